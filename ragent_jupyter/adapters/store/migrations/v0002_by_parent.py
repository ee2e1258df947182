"""Objects are found by what they belong to: the parts of one chat among those of all."""

from __future__ import annotations

from sqlalchemy import Column, Connection, Index, MetaData, Table, Text


def up(connection: Connection) -> None:
    objects = Table("objects", MetaData(), Column("kind", Text), Column("parent", Text))
    Index("objects_by_parent", objects.c.kind, objects.c.parent).create(connection)
