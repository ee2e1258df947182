"""Floor 4: the engine, the one process that owns a project's state. `python -m ragent_jupyter.engine --project DIR`."""
