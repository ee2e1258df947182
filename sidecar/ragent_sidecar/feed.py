"""All sources of one run as one stream of blocks, each metric from one source only."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Iterator
from typing import Any, NamedTuple

from ragent_jupyter.runfiles.sources.protocol import RANKS, Block, Source

GRACE_S = 0.25  # a script logs and prints the same row within a few milliseconds; a loaded machine needs longer

_SAME = re.compile(r"[\W_]+")


def same_name(name: str) -> str:
    """Names that mean the same metric in different formats: "train/loss", "Train Loss" and "train_loss".

    >>> same_name("Train Loss") == same_name("train/loss")
    True
    """
    return _SAME.sub("_", name.lower()).strip("_") or name


class Owners:
    """Which source each metric is taken from: metrics.jsonl before TensorBoard, HF state, CSV, stdout.

    A script that prints its loss and logs it as well must not have it twice. The best source that ever gave a metric
    keeps it; from the moment a better one appears, the lesser one's values are dropped. What the lesser one gave until
    then stays: the better source usually tells those steps again, which the columns store as a rewind. That happens
    only to a better source that comes late: the first rows of a lesser one are held back for `GRACE_S` (see Feed).
    """

    def __init__(self, state: dict[str, str] | None = None) -> None:
        self._owner: dict[str, str] = dict(state or {})  # same_name -> owner
        self._formats: dict[str, str] = {}  # owner -> format
        self._group: dict[str, str] = {}  # source id -> owner
        self._cache: dict[tuple[str, tuple[str, ...]], list[int] | None] = {}

    def know(self, source: Source) -> None:
        """Event files of one folder are one owner: each restart of a program begins another file."""
        folder = os.path.dirname(source.path) if source.format == "tensorboard" else ""
        self._group[source.id] = f"tensorboard:{folder}" if folder else source.id
        self._formats[self._group[source.id]] = source.format

    def _rank(self, owner: str) -> int:
        return RANKS.get(self._formats.get(owner, ""), 9)

    def admit(self, source_id: str, block: Block) -> Block | None:
        """What of a block counts; None if nothing does."""
        owner = self._group.get(source_id, source_id)
        key = (owner, tuple(block.names))
        if key in self._cache:
            keep = self._cache[key]
        else:
            keep = self._judge(owner, block.names)
            if len(self._cache) > 4096:
                self._cache.clear()
            self._cache[key] = keep
        if keep is None:
            return block
        return block.only(keep) if keep else None

    def unheard(self, source_id: str, block: Block) -> bool:
        """Whether the block names a metric that no source has given yet."""
        return any(same_name(name) not in self._owner for name in block.names)

    def _judge(self, me: str, names: list[str]) -> list[int] | None:
        """Positions that count; None: all of them."""
        keep: list[int] = []
        changed = False
        mine = self._rank(me)
        for i, name in enumerate(names):
            same = same_name(name)
            owner = self._owner.get(same)
            if owner == me:
                keep.append(i)
            elif owner is None or mine < self._rank(owner):
                changed = changed or owner is not None
                self._owner[same] = me
                keep.append(i)
        if changed:
            self._cache.clear()  # somebody has lost a metric
        return None if len(keep) == len(names) else keep

    def state(self) -> dict[str, str]:
        return dict(self._owner)


class _Held(NamedTuple):
    """Rows that were read and do not count yet. state: where the source stood before them, for the commit."""

    blocks: list[Block]
    state: dict[str, Any]
    until: float


class Feed:
    """The sources, read best first. One that fails is left out of this tick and shown in `health`, never fatal.

    A script prints its loss a moment before or after it logs it. Whichever this process happens to see first, the
    metric belongs to the better source: a lesser source's first rows of a metric wait for `GRACE_S`, and meanwhile
    that source is not read on.
    """

    def __init__(self, owners: Owners) -> None:
        self._owners = owners
        self._held: dict[str, _Held] = {}
        self.sources: dict[str, Source] = {}
        self.health: dict[str, str] = {}
        self._committed: dict[str, dict[str, Any]] = {}
        self._failed: set[str] = set()

    def add(self, source: Source) -> None:
        self.sources[source.id] = source
        ranked = sorted(self.sources.values(), key=lambda s: (RANKS.get(s.format, 9), s.id))
        self.sources = {s.id: s for s in ranked}

    def remove(self, id: str) -> None:
        source = self.sources.pop(id, None)
        self._held.pop(id, None)
        if source is not None:
            source.close()

    def state_of(self, source: Source) -> dict[str, Any]:
        """Where a source stands, without what is held back."""
        held = self._held.get(source.id)
        return source.state() if held is None else held.state

    def read(self, limit: int, now: float, *, final: bool = False) -> Iterator[tuple[Source, list[Block]]]:
        """What is new in each source, about `limit` bytes of each at most."""
        for source in list(self.sources.values()):
            if source.id in self._failed:
                continue
            held = self._held.get(source.id)
            if held is not None:
                if final or not now < held.until <= now + GRACE_S:  # a clock that was set back holds nothing for long
                    del self._held[source.id]
                    yield source, held.blocks
                if not final:
                    continue
            before = source.state() if RANKS.get(source.format, 9) else {}
            try:
                blocks = source.read(limit, now, final=final)
            except OSError as error:
                self.health[source.id] = f"{source.id}: {error.strerror or error}"
                continue
            except Exception as error:
                # No file may end the watch of a run, whatever it says. sidecar.log has the whole story.
                traceback.print_exc()
                self._failed.add(source.id)
                self.health[source.id] = f"{source.id} cannot be read on: {type(error).__name__}: {error}"
                continue
            self.health.pop(source.id, None)
            if before and not final and any(self._owners.unheard(source.id, block) for block in blocks):
                self._held[source.id] = _Held(blocks, before, now + GRACE_S)
                continue
            yield source, blocks

    @property
    def more(self) -> bool:
        ready = (source for id, source in self.sources.items() if id not in self.health and id not in self._held)
        return any(source.more for source in ready)

    @property
    def holding(self) -> bool:
        """Whether rows are held back, so that it is worth looking again soon."""
        return bool(self._held)

    def changed(self, states: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Those that differ from what was last `committed`."""
        return {id: state for id, state in states.items() if self._committed.get(id) != state}

    def committed(self, states: dict[str, dict[str, Any]]) -> None:
        self._committed.update(states)

    def close(self) -> None:
        for source in self.sources.values():
            source.close()
