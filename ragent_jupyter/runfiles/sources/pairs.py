"""Two bare columns, "step value" a line, as some scripts keep them. Only read where a person names the file."""

from __future__ import annotations

import os
import re
from itertools import pairwise
from typing import Any

from .protocol import Block, BlockBuilder, StepKeeper, to_float
from .tail import ByteTail

_LINE = re.compile(r"\s*(\d{1,15})[\s,;]+(\S+)\s*")


class Pairs:
    """A file of pairs. The metric is called "loss" if the file's name has that word, else "value"."""

    format = "pairs"

    def __init__(self, path: str, state: dict[str, Any] | None = None, *, id: str) -> None:
        state = state or {}
        self.path = path
        self.id = id
        self.garbage: int = int(state.get("garbage", 0))
        self._name = "loss" if "loss" in os.path.basename(path).lower() else "value"
        self._tail = ByteTail(path, state)
        self._steps = StepKeeper(state.get("steps"))

    @property
    def more(self) -> bool:
        return self._tail.more

    @property
    def generation(self) -> int:
        return self._tail.generation

    def read(self, limit: int, now: float, *, final: bool = False, until: dict[str, Any] | None = None) -> list[Block]:
        offset, data = self._tail.read(limit, final=final, until=until)
        out = BlockBuilder()
        for line in data.split(b"\n"):
            match = _LINE.fullmatch(line.decode("utf-8", "replace"))
            value = to_float(match[2]) if match else None
            if match is not None and value is not None:
                out.add(self._steps.given(int(match[1]), (self._name,)), now, {self._name: value}, offset)
            elif line.strip():
                self.garbage += 1
            offset += len(line) + 1
        return out.done()

    def state(self) -> dict[str, Any]:
        return {**self._tail.state(), "steps": self._steps.state(), "garbage": self.garbage}

    def reached(self, state: dict[str, Any]) -> bool:
        return self._tail.reached(state)

    def close(self) -> None:
        self._tail.close()


def looks_like_pairs(lines: list[str]) -> bool:
    """Whether every one of at least three lines is a rising count and a number."""
    counts = []
    for line in lines:
        match = _LINE.fullmatch(line)
        if not match or to_float(match[2]) is None:
            return False
        counts.append(int(match[1]))
    return len(counts) >= 3 and all(a < b for a, b in pairwise(counts))
