"""Floor 1, the words: frozen structs, enums and errors. Only the standard library and msgspec; no clock, no disk."""
