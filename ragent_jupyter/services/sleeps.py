"""When the machine slept, as far as this engine saw it: the wall clock ran ahead of the monotonic one.

What happened before the engine began is not known: there the wall clock counts.
"""

from __future__ import annotations

from typing import Protocol

JUMP_S = 2.0  # the two clocks are read one after the other: less than this is no sleep


class Clocks(Protocol):
    def now(self) -> float: ...
    def mono(self) -> float: ...


class Sleeps:
    """look() often: a sleep is known to lie between two looks, and is put at the beginning of that time."""

    def __init__(self, clock: Clocks) -> None:
        self._clock = clock
        self._wall, self._mono = clock.now(), clock.mono()
        self._found: list[tuple[float, float]] = []

    def look(self) -> float:
        """Seconds slept since the last look, 0.0 if none. A clock that was set forward is as good as sleep."""
        wall, mono = self._clock.now(), self._clock.mono()
        ahead = (wall - self._wall) - (mono - self._mono)
        if ahead > JUMP_S:
            self._found.append((self._wall, self._wall + ahead))
        else:
            ahead = 0.0
        self._wall, self._mono = wall, mono
        return ahead

    def awake(self, since: float, until: float) -> float:
        """Seconds between two times of the wall clock without what was slept; never below 0."""
        slept = sum(max(0.0, min(end, until) - max(begin, since)) for begin, end in self._found)
        return max(0.0, until - since - slept)
