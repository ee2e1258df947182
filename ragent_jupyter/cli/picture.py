"""A part of the terminal that rich draws again by itself, several times a second."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .output import Out


class Picture:
    """draw: what stands there now. transient: nothing of it stays when it ends."""

    def __init__(self, out: Out, draw: Callable[[], Any], *, per_second: float = 4, transient: bool = False) -> None:
        from rich.console import Console

        self.console = Console(file=out.out, no_color=not out.colour, highlight=False)
        self._draw = draw
        self._per_second, self._transient = per_second, transient
        self._live: Any = None

    @property
    def shown(self) -> bool:
        return self._live is not None

    def begin(self) -> None:
        """Shown from now on. Once more is no harm."""
        from rich.live import Live

        if self._live is None:
            with _ctrl_c_waits():
                self._live = Live(
                    console=self.console,
                    get_renderable=self._draw,
                    refresh_per_second=self._per_second,
                    transient=self._transient,
                )
                self._live.start()

    def end(self) -> None:
        """Its last state stays where it is, unless it is transient. Once more is no harm."""
        if self._live is not None:
            with _ctrl_c_waits():
                live, self._live = self._live, None
                live.stop()


@contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """Ctrl-C comes after the block: what rich has begun by half it can neither go on with nor end."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python hands Ctrl-C to the main thread alone
        return
    held: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held:
        signal.raise_signal(signal.SIGINT)
