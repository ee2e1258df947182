"""The tables of the engine's database, as the newest migration leaves them. Only `sql_store.py` queries them.

`head` has one row: who owns the database and how far it is. `log` is append-only; `objects` holds the newest picture of
every run, sweep, alert …; `outbox` the effects that are owed; `offsets` how far each file of facts was applied.
"""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, Integer, LargeBinary, MetaData, Table, Text

from .dialect import BIGINT

metadata = MetaData()

# One row a migration that was applied; the largest version says which release's tables these are.
schema_version = Table(
    "schema_version",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("applied_at", Float, nullable=False),
    Column("by_release", Text, nullable=False),
)

head = Table(
    "head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("log_id", Text, nullable=False),  # random: a browser that knows another one starts from a snapshot
    Column("seq", BIGINT, nullable=False),  # the newest seq ever given; counted here, so that pruning frees none
    Column("commits", BIGINT, nullable=False),  # tells, after a commit whose answer was lost, whether it stood
    Column("epoch", BIGINT, nullable=False),  # raised by whoever opens; a writer with an older one has lost it
    Column("owner", Text, nullable=False),  # the host of the engine that has it open, "" when it was closed
    Column("created_at", Float, nullable=False),
)

log = Table(
    "log",
    metadata,
    Column("seq", BIGINT, primary_key=True, autoincrement=False),
    Column("stream", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("v", Integer, nullable=False),
    Column("time", Float, nullable=False),  # unix seconds, wall clock
    Column("data", LargeBinary, nullable=False),  # JSON
    Index("log_by_stream", "stream", "seq"),
    Index("log_by_topic", "topic", "seq"),
)

objects = Table(
    "objects",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("parent", Text),
    Column("status", Text, nullable=False),
    Column("sort", Float, nullable=False),
    Column("data", LargeBinary, nullable=False),  # JSON
    Index("objects_by_parent", "kind", "parent"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("key", Text, primary_key=True),
    Column("place", BIGINT, nullable=False),  # oldest first
    Column("stream", Text, nullable=False),
    Column("effect", LargeBinary, nullable=False),  # JSON of domain.effects.Effect
)

offsets = Table(
    "offsets",
    metadata,
    Column("file", Text, primary_key=True),
    Column("bytes", BIGINT, nullable=False),
)
