"""Tools of the assistant: one file per family, all of one shape (base.py)."""
