"""The engine's database behind domain.ports.Store: SQLite by default, PostgreSQL by URL, and a fake in memory."""

from __future__ import annotations

from .memory import MemoryDisk, MemoryStore
from .sql_store import SqlStore, open_store

__all__ = ["MemoryDisk", "MemoryStore", "SqlStore", "open_store"]
