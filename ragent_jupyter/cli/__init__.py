"""The command line: a door like any other. One file per family of verbs; everything goes through the client."""
