"""CSV logs: Lightning's metrics.csv, Keras' CSVLogger, SB3's monitor.csv, anything with a header line.

An empty cell is an absent value, not a NaN: which of the two it means nobody can tell (pandas writes NaN as nothing),
so a metric that goes silent while others go on is for the rules to judge. Lightning rewrites the whole file when a new
metric appears; then the first row is the same as before, and the rows that were given out are passed over.
"""

from __future__ import annotations

import csv
import json
from binascii import crc32
from typing import Any

from .metrics_jsonl import read_time
from .protocol import Block, BlockBuilder, StepKeeper, to_float, to_step
from .tail import ByteTail
from .vocabulary import is_metric_name

STEP_COLUMNS = (
    "step", "_step", "global_step", "trainer/global_step", "iteration", "iter", "time/total_timesteps",
    "total_timesteps", "timesteps", "epoch",
)  # fmt: skip
TIME_COLUMNS = ("time", "_timestamp", "timestamp", "wall_time", "created_at", "date")
_MONITOR_NAMES = {"r": "episode_reward", "l": "episode_length"}


class CsvFile:
    """One CSV file. state: what `state()` gave before.

    Beside the protocol: `columns`, the names in the header ([] before it was read).
    skip_rows, first: rows from before the launch and the first one's checksum (`csv_baseline`); they are passed over.
    """

    format = "csv"

    def __init__(
        self, path: str, state: dict[str, Any] | None = None, *, id: str, skip_rows: int = 0, first: int | None = None
    ) -> None:
        state = state or {}
        self.path = path
        self.id = id
        self.columns: list[str] = list(state.get("columns", ()))
        self._tail = ByteTail(path, state)
        self._steps = StepKeeper(state.get("steps"))
        self._garbage: int = int(state.get("garbage", 0))
        self._rows: int = int(state.get("rows", 0))  # of data in this file, given out or passed over
        self._skip: int = int(state.get("skip", skip_rows))  # rows still to be passed over
        self._first: int | None = state.get("first", first)  # checksum of the first row
        self._delimiter: str = state.get("delimiter", ",")
        self._t_start: float | None = state.get("t_start")
        self._own_generation: int = int(state.get("restarts", 0))

    @property
    def more(self) -> bool:
        return self._tail.more

    @property
    def garbage(self) -> int:
        return self._garbage + self._tail.skipped

    @property
    def generation(self) -> int:
        return self._own_generation

    def read(self, limit: int, now: float, *, final: bool = False, until: dict[str, Any] | None = None) -> list[Block]:
        generation = self._tail.generation
        start, data = self._tail.read(limit, final=final, until=until)
        if self._tail.generation != generation:
            self.columns, self._t_start = [], None
            self._skip, self._rows = max(self._skip, self._rows), 0
        if not data:
            return []
        out = BlockBuilder()
        offset = start
        for line in data.split(b"\n"):
            text = line.decode("utf-8-sig" if offset == 0 else "utf-8", "replace").strip("\0\r\n")
            if text.strip():
                self._line(text, offset, now, out)
            offset += len(line) + 1
        return out.done()

    def _line(self, text: str, offset: int, now: float, out: BlockBuilder) -> None:
        if text.startswith("#"):
            self._comment(text)
            return
        if not self.columns:
            self._delimiter = max(",\t;", key=text.count)
            self.columns = [name.strip() for name in next(csv.reader([text], delimiter=self._delimiter))]
            return
        try:
            cells = next(csv.reader([text], delimiter=self._delimiter))
        except (csv.Error, StopIteration):
            self._garbage += 1
            return
        if len(cells) > len(self.columns):
            self._garbage += 1
            return
        row = {name: cell.strip() for name, cell in zip(self.columns, cells) if cell.strip()}  # noqa: B905
        if row == {name: name for name in row} and row:
            return  # the header again: a writer that was restarted and appends
        if self._rows == 0:
            self._begin(row)
        self._rows += 1
        if self._skip:
            self._skip -= 1
            return
        step, at, values = self._split(row)
        if not values:
            if step is not None:
                self._steps.given(step, ())
            return
        step = self._steps.implied(values) if step is None else self._steps.given(step, values)
        out.add(step, now if at is None else at, values, offset)

    def _comment(self, text: str) -> None:
        """SB3's monitor begins with `#{"t_start": …}`; its times count from there."""
        try:
            start = json.loads(text[1:]).get("t_start")
        except (ValueError, AttributeError):
            return
        self._t_start = float(start) if isinstance(start, (int, float)) else None

    def _begin(self, row: dict[str, str]) -> None:
        """The first row tells whether a file that began anew is the old one with more columns, or another one."""
        first = crc32(repr(sorted(row.items())).encode())
        if self._skip and self._first is not None and first != self._first:
            self._skip = 0
            self._steps = StepKeeper()
            self._own_generation += 1
        self._first = first

    def _split(self, row: dict[str, str]) -> tuple[int | None, float | None, dict[str, float]]:
        step: int | None = None
        at: float | None = None
        taken = ""
        for name in STEP_COLUMNS:
            if name in row and (step := to_step(to_float(row[name]))) is not None:
                taken = name
                break
        values: dict[str, float] = {}
        for name, cell in row.items():
            if name == taken or not name:
                continue
            if name in TIME_COLUMNS and at is None and (at := read_time(cell)) is not None:
                continue
            value = to_float(cell)
            if value is None:
                continue
            if self._t_start is not None:
                if name == "t":
                    at = self._t_start + value
                    continue
                name = _MONITOR_NAMES.get(name, name)
            values[name] = value
        return step, at, values

    def state(self) -> dict[str, Any]:
        state = {**self._tail.state(), "steps": self._steps.state(), "rows": self._rows, "columns": self.columns}
        for key, value in (
            ("garbage", self.garbage), ("skip", self._skip), ("first", self._first), ("t_start", self._t_start),
            ("restarts", self._own_generation),
        ):  # fmt: skip
            if value:
                state[key] = value
        if self._delimiter != ",":
            state["delimiter"] = self._delimiter
        return state

    def reached(self, state: dict[str, Any]) -> bool:
        return self._tail.reached(state)

    def close(self) -> None:
        self._tail.close()


def csv_baseline(path: str, size: int) -> tuple[int, int]:
    """(rows, checksum of the first one) of a file's first `size` bytes: what a later reader is to pass over."""
    source = CsvFile(path, id="")
    while source.read(1 << 20, 0.0, until={"offset": size}) or source.more:
        pass
    source.close()
    return source._rows, source._first or 0


def looks_like_metrics(header: str) -> bool:
    """Whether a CSV's first line names columns of a training log, not of a data set or of predictions.

    >>> looks_like_metrics("epoch,accuracy,loss"), looks_like_metrics("id,label,prob"), looks_like_metrics("r,l,t")
    (True, False, True)
    """
    names = [name.strip().strip('"').lower() for name in header.replace("\t", ",").replace(";", ",").split(",")]
    if names == ["r", "l", "t"]:
        return True
    return any(name in STEP_COLUMNS for name in names) and any(is_metric_name(name) for name in names)
