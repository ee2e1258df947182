"""The first release's tables. Written out here, not taken from schema.py, which moves on with later releases."""

from __future__ import annotations

from sqlalchemy import Column, Connection, Float, Index, Integer, LargeBinary, MetaData, Table, Text

from ..dialect import BIGINT


def up(connection: Connection) -> None:
    tables = MetaData()
    Table(
        "schema_version",
        tables,
        Column("version", Integer, primary_key=True, autoincrement=False),
        Column("applied_at", Float, nullable=False),
        Column("by_release", Text, nullable=False),
    )
    Table(
        "head",
        tables,
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("log_id", Text, nullable=False),
        Column("seq", BIGINT, nullable=False),
        Column("commits", BIGINT, nullable=False),
        Column("epoch", BIGINT, nullable=False),
        Column("owner", Text, nullable=False),
        Column("created_at", Float, nullable=False),
    )
    Table(
        "log",
        tables,
        Column("seq", BIGINT, primary_key=True, autoincrement=False),
        Column("stream", Text, nullable=False),
        Column("topic", Text, nullable=False),
        Column("type", Text, nullable=False),
        Column("v", Integer, nullable=False),
        Column("time", Float, nullable=False),
        Column("data", LargeBinary, nullable=False),
        Index("log_by_stream", "stream", "seq"),
        Index("log_by_topic", "topic", "seq"),
    )
    Table(
        "objects",
        tables,
        Column("kind", Text, primary_key=True),
        Column("id", Text, primary_key=True),
        Column("parent", Text),
        Column("status", Text, nullable=False),
        Column("sort", Float, nullable=False),
        Column("data", LargeBinary, nullable=False),
    )
    Table(
        "outbox",
        tables,
        Column("key", Text, primary_key=True),
        Column("place", BIGINT, nullable=False),
        Column("stream", Text, nullable=False),
        Column("effect", LargeBinary, nullable=False),
    )
    Table(
        "offsets",
        tables,
        Column("file", Text, primary_key=True),
        Column("bytes", BIGINT, nullable=False),
    )
    tables.create_all(connection, checkfirst=False)
