"""`ragent replay PATH…`: what the alert rules say about recorded logs. Needs no engine and starts nothing."""

from __future__ import annotations
