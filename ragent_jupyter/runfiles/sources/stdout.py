"""job.log as a source: what `styles.parse` finds in its lines, with steps that grow.

Training loops print counts that begin anew: a progress bar each epoch, "Epoch 2, step 10" after "Epoch 1, step 900".
Such laps are strung together here, or each epoch would look like a return to an older step.
"""

from __future__ import annotations

import re
from typing import Any

from .protocol import Block, BlockBuilder, StepKeeper
from .styles import MOST, Parsed, clean, parse
from .tail import ByteTail

_SPLIT = re.compile(rb"[\r\n]")
_READ = 1 << 18  # bytes a read at most: every line becomes an object
_MAX_NAMES = 500  # a log that "reports" more is printing something else

Lap = tuple[int, int, int]  # base, newest count, its epoch (-1: none given)


class Laps:
    """Strings together counts that begin anew with each epoch or bar.

    >>> laps = Laps()
    >>> [laps.whole(1, 5), laps.whole(1, 9), laps.whole(2, 1), laps.whole(2, 9)]
    [5, 9, 10, 18]
    """

    def __init__(self, state: list[int] | None = None) -> None:
        self.base, self.last, self.epoch = state or (0, -1, -1)

    def whole(self, epoch: int | None, n: int, total: int | None = None) -> int:
        """The count over all laps. total: of one lap, if it is known: its length is then what a lap adds."""
        epoch = -1 if epoch is None else epoch
        new_lap = n <= self.last if epoch > self.epoch >= 0 else epoch < 0 and n < self.last
        if self.last >= 0 and new_lap:
            self.base = min(self.base + (total if total and total >= self.last else self.last), 1000 * MOST)
        elif 0 <= epoch < self.epoch:  # the program itself went back
            self.base = 0
        self.last, self.epoch = n, epoch
        return self.base + n

    def state(self) -> list[int]:
        return [self.base, self.last, self.epoch]


class Stdout:
    """The source for a job's output. Beside the Source protocol it keeps what the last read saw for other eyes:

    lines: (offset, text) of the lines of a read that are no metrics: the rules look for OOM and such in them.
    progress: (done, total, label) as the log told it last.
    """

    format = "stdout"
    garbage = 0

    def __init__(self, path: str, state: dict[str, Any] | None = None, *, id: str = "job.log") -> None:
        state = state or {}
        self.id = id
        self.path = path
        self.lines: list[tuple[int, str]] = []
        self.progress: tuple[int, int, str] | None = None
        if p := state.get("progress"):
            self.progress = (int(p[0]), int(p[1]), str(p[2]))
        self._tail = ByteTail(path, state, separators=b"\n\r")
        self._restore(state)

    def _restore(self, state: dict[str, Any]) -> None:
        self._steps = StepKeeper(state.get("steps"))
        self._laps = {style: Laps(lap) for style, lap in state.get("laps", {}).items()}
        self._epoch: int | None = state.get("epoch")
        self._names: set[str] = set()
        self._bar: list[Any] | None = state.get("bar")

    @property
    def more(self) -> bool:
        return self._tail.more

    @property
    def generation(self) -> int:
        return self._tail.generation

    def read(self, limit: int, now: float, *, final: bool = False, until: dict[str, Any] | None = None) -> list[Block]:
        generation = self._tail.generation
        start, data = self._tail.read(min(limit, _READ), final=final, until=until)
        if self._tail.generation != generation:
            self._restore({})
        self.lines = []
        if not data:
            return []
        out = BlockBuilder()
        offset = start
        for line in _SPLIT.split(data):
            if line:
                self._line(line, offset, now, out)
            offset += len(line) + 1
        return out.done()

    def _line(self, line: bytes, offset: int, now: float, out: BlockBuilder) -> None:
        if len(line) > 16384:
            return
        text = clean(line.decode("utf-8", "replace"))
        if not text:
            return
        said = parse(text)
        if said is None:
            self.lines.append((offset, text))
            return
        step, epoch = _count(said.step), _count(said.epoch)
        if said.style == "epoch":
            self._epoch = epoch
        if said.progress and max(said.progress) < MOST:
            self.progress = (*said.progress, said.style)
        if said.style == "keras":
            # Keras prints one full bar an epoch; its rows count epochs.
            step = self._epoch
        elif said.style == "tqdm":
            if said.values and self._repeated(said):
                return
            if step is not None:
                total = said.progress[1] if said.progress else None
                step = self._lap("tqdm").whole(epoch, step, total)
        elif said.lap and step is not None and epoch is not None:
            step = self._lap(said.style).whole(epoch, step, said.progress[1] if said.progress else None)
        if not said.values:
            return
        values = said.values
        if epoch is not None and said.style != "tqdm":
            values.setdefault("epoch", float(epoch))
        self._names.update(values)
        if len(self._names) > _MAX_NAMES:
            return
        names = values.keys() - {"epoch"}  # every line repeats it, so it does not tell where a new step begins
        step = self._steps.implied(names) if step is None else self._steps.given(step, names)
        out.add(step, now, values, offset)

    def _lap(self, style: str) -> Laps:
        return self._laps.setdefault(style, Laps())

    def _repeated(self, said: Parsed) -> bool:
        """A bar is drawn again and again; only a new count is a new row."""
        key = [said.step, said.progress[1] if said.progress else 0, said.epoch]
        if key == self._bar:
            return True
        self._bar = key
        return False

    def state(self) -> dict[str, Any]:
        state = {**self._tail.state(), "steps": self._steps.state()}
        if self._laps:
            state["laps"] = {style: lap.state() for style, lap in self._laps.items()}
        if self._epoch is not None:
            state["epoch"] = self._epoch
        if self._bar is not None:
            state["bar"] = self._bar
        if self.progress is not None:
            state["progress"] = list(self.progress)
        return state

    def reached(self, state: dict[str, Any]) -> bool:
        return self._tail.reached(state)

    def close(self) -> None:
        self._tail.close()


def _count(number: int | None) -> int | None:
    return number if number is not None and abs(number) < MOST else None
