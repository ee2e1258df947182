"""Hugging Face's trainer_state.json: rewritten whole at each checkpoint, with the whole history in it."""

from __future__ import annotations

import json
import os
from binascii import crc32
from typing import Any

from .metrics_jsonl import decode_line, number
from .protocol import Block, BlockBuilder, StepKeeper, to_step

_MAX_BYTES = 64 << 20
NAME = "trainer_state.json"


class HfState:
    """A state file, or the output folder whose checkpoints hold them (the newest one counts).

    state: what `state()` gave before.  baseline: a folder's history at the launch, see `history_of`; a run that goes on
    from a checkpoint repeats it, and those entries are not this run's. A row's offset is its entry's number.
    """

    format = "hf_state"
    more = False
    generation = 0

    def __init__(
        self,
        path: str,
        state: dict[str, Any] | None = None,
        *,
        id: str,
        baseline: tuple[int, int] | None = None,
        since: float = 0.0,
    ) -> None:
        state = state or {}
        self.path = path
        self.id = id
        self.garbage = 0
        self._entries: int = int(state.get("entries", 0))
        self._crc: int = int(state.get("crc", 0))
        self._last: int | None = state.get("last")
        self._since: float = float(state.get("since", since))
        base = state.get("baseline", baseline)
        self._baseline: tuple[int, int] | None = (int(base[0]), int(base[1])) if base else None
        self._steps = StepKeeper(state.get("steps"))
        self._seen: tuple[str, int, int] | None = None

    def read(self, limit: int, now: float, *, final: bool = False, until: dict[str, Any] | None = None) -> list[Block]:
        newest = self._newest()
        if newest is None or newest == self._seen:
            return []
        history = read_history(newest[0])
        if history is None:
            return []  # half written: it will be there whole at the next look
        self._seen = newest
        begin = self._begin(history)
        end = len(history) if until is None else min(len(history), int(until.get("entries", 0)))
        out = BlockBuilder()
        for index in range(begin, end):
            self._entry(history[index], index, now, out)
        if end > self._entries or begin != self._entries:
            self._entries, self._crc = end, checksum(history[:end])
        if until is not None:
            self._seen = None
        return out.done()

    def _newest(self) -> tuple[str, int, int] | None:
        """(path, mtime in ns, size) of the state file to read."""
        found: list[tuple[int, str, int]] = []
        for path in state_files(self.path):
            try:
                stat = os.stat(path)
            except OSError:
                continue
            if stat.st_size <= _MAX_BYTES and stat.st_mtime >= self._since:
                found.append((stat.st_mtime_ns, path, stat.st_size))
        if not found:
            return None
        mtime, path, size = max(found)
        return path, mtime, size

    def _begin(self, history: list[dict[str, Any]]) -> int:
        """The first entry that is new."""
        if self._entries and len(history) >= self._entries and checksum(history[: self._entries]) == self._crc:
            return self._entries
        if self._entries and self._last is not None:
            # Another history (an older checkpoint was taken up): only what lies beyond the newest step is surely new.
            return next(
                (i for i, e in enumerate(history) if (to_step(number(e.get("step"))) or 0) > self._last), len(history)
            )
        if self._baseline is not None:
            count, crc = self._baseline
            if len(history) >= count and checksum(history[:count]) == crc:
                return count
        return 0

    def _entry(self, entry: dict[str, Any], index: int, now: float, out: BlockBuilder) -> None:
        values = {k: v for k, raw in entry.items() if k != "step" and (v := number(raw)) is not None}
        step = to_step(number(entry.get("step")))
        if not values:
            return
        step = self._steps.implied(values) if step is None else self._steps.given(step, values)
        self._last = step if self._last is None else max(self._last, step)
        out.add(step, now, values, index)

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = {"entries": self._entries, "crc": self._crc, "since": self._since}
        if self._last is not None:
            state["last"] = self._last
            state["steps"] = self._steps.state()
        if self._baseline is not None:
            state["baseline"] = list(self._baseline)
        return state

    def reached(self, state: dict[str, Any]) -> bool:
        return self._entries >= int(state.get("entries", 0))

    def close(self) -> None:
        """Nothing is kept open."""


def state_files(path: str) -> list[str]:
    """The state files that a path stands for: itself, or a folder's own and those of its checkpoints."""
    if not os.path.isdir(path):
        return [path]
    found = [os.path.join(path, NAME)]
    try:
        with os.scandir(path) as entries:
            found += [os.path.join(e.path, NAME) for e in entries if e.name.startswith("checkpoint-") and e.is_dir()]
    except OSError:
        return []
    return found


def read_history(path: str) -> list[dict[str, Any]] | None:
    """log_history of a state file; None if it cannot be read (yet)."""
    try:
        with open(path, "rb") as file:
            state = decode_line(file.read(_MAX_BYTES + 1))
    except OSError:
        return None
    history = None if state is None else state.get("log_history")
    return [entry for entry in history if isinstance(entry, dict)] if isinstance(history, list) else None


def history_of(path: str) -> tuple[int, int] | None:
    """(entries, checksum) of the longest history in a folder now; None if there is none."""
    longest: list[dict[str, Any]] = []
    for file in state_files(path):
        history = read_history(file)
        if history is not None and len(history) > len(longest):
            longest = history
    return (len(longest), checksum(longest)) if longest else None


def checksum(history: list[dict[str, Any]]) -> int:
    """The same for the same entries, however the file spells them."""
    return crc32(json.dumps(history, sort_keys=True).encode())
