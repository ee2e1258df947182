"""Steps from an older database to this release's, one module each: `v0001_start`, `v0002_…`; never edited afterwards.

Each has `up(connection)`, in SQL that every supported database understands. All that are missing are applied in one
transaction together, so that a database is never between two releases.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, func, insert, inspect, select

from ragent_jupyter.domain.errors import CannotBeDone

from ..schema import schema_version
from . import v0001_start, v0002_by_parent

STEPS: list[tuple[int, Callable[[Connection], None]]] = [(1, v0001_start.up), (2, v0002_by_parent.up)]
NEWEST = STEPS[-1][0]


def version_of(connection: Connection) -> int:
    """Which release's tables the database has; 0 if none."""
    if not inspect(connection).has_table("schema_version"):
        return 0
    return connection.execute(select(func.max(schema_version.c.version))).scalar() or 0


def refuse_newer(version: int, place: str) -> None:
    """Raises CannotBeDone for a database that a later release has written: this one would misread it."""
    if version > NEWEST:
        raise CannotBeDone(
            f"The database {place} was written by a newer ragent (schema {version}; this one knows {NEWEST}).",
            "Upgrade ragent here: pip install --upgrade ragent-jupyter.",
        )


def migrate(connection: Connection, now: float, release: str) -> None:
    """Apply what is missing. The caller holds the transaction and has made the backup."""
    have = version_of(connection)
    for version, up in STEPS:
        if version > have:
            up(connection)
            connection.execute(insert(schema_version).values(version=version, applied_at=now, by_release=release))
