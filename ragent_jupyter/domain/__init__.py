"""Floor 1, the words: frozen structs, enums and errors. Standard library and msgspec only; no clock, disk or network."""
