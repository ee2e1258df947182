"""Other trackers, each measured by a script of its own that prints one JSON line: name of the mode -> number."""
