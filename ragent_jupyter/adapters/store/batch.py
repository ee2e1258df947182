"""Transactions on their way to the database: read from the caller at once, then merged to share one commit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.events import StoredRecord
from ragent_jupyter.domain.ports import Tx

_encode = msgspec.json.Encoder().encode


class Pending(Struct):
    """A Tx whose data is bytes already."""

    records: list[tuple[str, str, str, int, bytes]]  # stream, topic, type, v, data
    time: float
    tx: Tx
    owed: list[tuple[str, str, bytes]]  # key, stream, effect


def pend(tx: Tx, now: float) -> Pending:
    """Read a transaction. Raises TypeError if its data is not JSON."""
    return Pending(
        [(r.stream, r.topic, r.type, r.v, _encode(r.data)) for r in tx.records],
        now,
        Tx(records=[], puts=list(tx.puts), gone=list(tx.gone), settled=list(tx.settled), offsets=dict(tx.offsets)),
        [(o.key, o.stream, _encode(o.effect)) for o in tx.owed],
    )


class Batch:
    """What several transactions, one after the other, come to: rows for the tables, each key once, the last one's.

    Inside one transaction effects are settled before new ones are owed, so that a key can be owed anew.
    """

    def __init__(self, items: list[Pending], seq: int, place: int) -> None:
        """seq, place: the newest that were given out."""
        self.seq, self.place = seq, place
        self.seqs: list[list[int]] = []
        self.records: list[dict[str, Any]] = []
        objects: dict[tuple[str, str], dict[str, Any] | None] = {}
        owed: dict[str, dict[str, Any] | None] = {}
        offsets: dict[str, int] = {}
        for item in items:
            first = self.seq + 1
            for stream, topic, type_, v, data in item.records:
                self.seq += 1
                self.records.append(
                    {
                        "seq": self.seq,
                        "stream": stream,
                        "topic": topic,
                        "type": type_,
                        "v": v,
                        "time": item.time,
                        "data": data,
                    }
                )
            self.seqs.append(list(range(first, self.seq + 1)))
            for put in item.tx.puts:
                objects[put.kind, put.id] = {
                    "kind": put.kind,
                    "id": put.id,
                    "parent": put.parent,
                    "status": put.status,
                    "sort": put.sort,
                    "data": put.data,
                }
            for gone in item.tx.gone:
                objects[gone] = None
            for key in item.tx.settled:
                owed[key] = None
            for key, stream, effect in item.owed:
                self.place += 1
                owed[key] = {"key": key, "place": self.place, "stream": stream, "effect": effect}
            offsets.update(item.tx.offsets)
        self.objects = [row for row in objects.values() if row is not None]
        self.gone = [{"gone_kind": kind, "gone_id": id} for (kind, id), row in objects.items() if row is None]
        self.settled = [{"gone": key} for key, row in owed.items() if row is None]
        self.owed = [row for row in owed.values() if row is not None]
        self.offsets = [{"file": file, "bytes": size} for file, size in offsets.items()]

    def stored(self) -> Iterator[StoredRecord]:
        """Its records as readers of the log will see them."""
        for row in self.records:
            yield StoredRecord(**{**row, "data": msgspec.Raw(row["data"])})
