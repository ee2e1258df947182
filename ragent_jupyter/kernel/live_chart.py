"""A live line chart in a notebook: an anywidget around uPlot, 53 kB, fed at most ten times a second.

Python keeps the data. A view asks for all of it (`ready`) when it appears, gets `all`, then `rows`; messages sent
before a view exists would be lost. Every message is numbered (`batch`): the server drops messages of a kernel that
talks too fast, and a view that misses a number asks for everything again.

    view → kernel   {"kind": "ready"}
    kernel → view   {"kind": "all", "names": […], "n": rows, "batch": k}   one float64 buffer a column, x first
                    {"kind": "rows", "n": rows, "batch": k + 1}            the same, only the new rows

A kernel that runs a cell answers no `ready` until the cell has ended, and then a training in the next cell would
leave the chart empty. So `all` is told again, unasked, two seconds after news, as long as it is small.

In a y column NaN and infinities are values that were logged so; ABSENT says that a line has no point at that x.
"""

from __future__ import annotations

import array
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from ragent_jupyter.domain.errors import MissingPart

STATIC = Path(__file__).resolve().parent.parent / "static"
ABSENT = sys.float_info.max
EVERY_S = 0.1
AGAIN_S = 2.0
SMALL = 256 * 1024  # bytes that may be told again without being asked for

if not (STATIC / "anywidget.js").is_file():
    raise MissingPart(
        "The notebook chart's script was not built with this installation of ragent.",
        "Install it again (pip install ragent-jupyter), or build it: cd labextension && jlpm && jlpm build:prod.",
    )


class LiveChart(anywidget.AnyWidget):
    """`show(names, x, *ys)` replaces what is drawn, `extend(x, *ys)` adds rows. Both are safe from any thread and
    return at once; what comes within a tenth of a second goes out together."""

    _esm = STATIC / "anywidget.js"
    _css = STATIC / "anywidget.css" if (STATIC / "anywidget.css").is_file() else ""
    title = traitlets.Unicode("").tag(sync=True)  # what is drawn, for who cannot see it
    x_name = traitlets.Unicode("step").tag(sync=True)
    height = traitlets.Int(240).tag(sync=True)

    def __init__(self, names: Sequence[str] = (), **traits: Any) -> None:
        self._lock = threading.RLock()
        self._names = list(names)
        self._columns = [array.array("d") for _ in range(1 + len(self._names))]
        self._sent = 0  # rows that views have been told
        self._whole = False  # the next message is `all`
        self._batch = 0
        self._told_at = -EVERY_S
        self._timer: threading.Timer | None = None
        self._again: threading.Timer | None = None
        self._closed = False
        super().__init__(**traits)
        self.on_msg(self._from_view)

    def show(self, names: Sequence[str], x: Sequence[float], *ys: Sequence[float]) -> None:
        """Draw these lines, all of equal length, instead of what there was. x grows."""
        columns = [array.array("d", column) for column in (x, *ys)]
        self._check(columns, len(names))
        with self._lock:
            self._names, self._columns, self._whole = list(names), columns, True
            self._ring()

    def extend(self, x: Sequence[float], *ys: Sequence[float]) -> None:
        """Add rows behind those that there are."""
        columns = [array.array("d", column) for column in (x, *ys)]
        with self._lock:
            self._check(columns, len(self._names))
            for column, more in zip(self._columns, columns, strict=True):
                column.extend(more)
            self._ring()

    @property
    def points(self) -> int:
        """Rows drawn."""
        return len(self._columns[0])

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for timer in (self._timer, self._again):
                if timer is not None:
                    timer.cancel()
        super().close()

    @staticmethod
    def _check(columns: Sequence[array.array[float]], lines: int) -> None:
        if len(columns) != 1 + lines or len({len(column) for column in columns}) > 1:
            raise ValueError(f"a chart of {lines} lines takes x and {lines} columns of equal length")

    def _from_view(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if isinstance(content, dict) and content.get("kind") == "ready":
            with self._lock:
                self._whole = True
                self._tell()

    def _ring(self) -> None:
        """Tell the views now, or as soon as a tenth of a second has passed since they were told last."""
        if self._timer is not None or self._closed:
            return
        wait = self._told_at + EVERY_S - time.monotonic()
        if wait <= 0:
            self._tell()
            return
        self._timer = self._alarm(wait, self._later)

    def _later(self) -> None:
        with self._lock:
            self._timer = None
            self._tell()

    def _once_more(self) -> None:
        with self._lock:
            self._again = None
            self._whole = True
            self._tell(again=True)

    @staticmethod
    def _alarm(seconds: float, ring: Callable[[], None]) -> threading.Timer:
        timer = threading.Timer(seconds, ring)
        timer.daemon = True
        timer.start()
        return timer

    def _tell(self, again: bool = False) -> None:
        if self._closed:
            return
        begin = 0 if self._whole else self._sent
        rows = len(self._columns[0]) - begin
        if not rows and not self._whole:
            return
        message: dict[str, Any] = {"kind": "rows", "n": rows, "batch": self._batch + 1}
        if self._whole:
            message |= {"kind": "all", "names": self._names}
        self._batch += 1
        self._sent = len(self._columns[0])
        self._whole = False
        self._told_at = time.monotonic()
        self.send(message, buffers=[column[begin:].tobytes() for column in self._columns])
        if not again and self._again is None and 8 * len(self._columns) * len(self._columns[0]) <= SMALL:
            self._again = self._alarm(AGAIN_S, self._once_more)
