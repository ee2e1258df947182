"""The sidecar of a run: reads its metrics, watches them, and writes what it saw into the run's folder.

    python -I -m ragent_sidecar RUN_DIR

It does its whole job while the engine is dead. Standard library, msgspec, psutil and ragent's domain, rules, runfiles.
"""
