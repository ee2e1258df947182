"""What the witness of a clean run sees second by second, silences and all, as facts for the rules."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ragent_jupyter.domain.metrics import Row
from ragent_jupyter.rules.watch import Activity, Points, Slept, Tick, WatchFact


class Phase(NamedTuple):
    """A silence and what the processes do in it. cpu: cores.  io, net: bytes a second.  longest: seconds."""

    longest: float
    cpu: float = 0.0
    io: float = 0.0
    net: float = 0.0
    waits: bool = False
    held: bool = False
    gpu: float | None = None


PHASES = {
    "validation": Phase(500.0, cpu=1.0),
    "validation on a GPU": Phase(500.0, cpu=0.02, gpu=70.0),
    "checkpoint": Phase(120.0, cpu=0.02, io=2e7),
    "slow disk": Phase(120.0, waits=True),
    "data set": Phase(300.0, cpu=0.3, io=5e6),
    "download": Phase(300.0, cpu=0.01, net=1e5),
    "busy machine": Phase(120.0, cpu=0.005, waits=True),
    "short wait": Phase(9.0),
    "paused": Phase(3000.0, held=True),
    "laptop asleep": Phase(30000.0),
}


def recorded(rows: Sequence[Row], rng: random.Random, counts: dict[str, int]) -> Iterator[WatchFact]:
    """The rows in their own time, with up to four silences between them, and a slow first step in a third of the runs.

    counts: silences by kind, added up.
    """
    places = {rng.randrange(len(rows)): rng.choice(list(PHASES)) for _ in range(rng.randrange(5))}
    clock = _Clock(rng.uniform(0.3, 3.0))
    yield Tick(at=clock.at)
    if rng.random() < 0.33:
        counts["slow first step"] = counts.get("slow first step", 0) + 1
        yield from clock.silence(Phase(300.0, cpu=1.0), rng.uniform(10.0, 300.0))
    start, shift = rows[0].time, clock.at
    for number, row in enumerate(rows):
        clock.lively(max(0.0, row.time - start + shift - clock.at))
        yield Tick(at=clock.at)
        yield Points(source="m", rows=[row], at=clock.at)
        if (name := places.get(number)) is not None:
            counts[name] = counts.get(name, 0) + 1
            before = clock.at
            seconds = rng.uniform(1.0, PHASES[name].longest)
            if name == "laptop asleep":
                clock.at += seconds
                yield Slept(at=clock.at, gap_s=seconds)
            else:
                yield from clock.silence(PHASES[name], seconds)
            shift += clock.at - before


class _Clock:
    """The witness's clock, and what the tree has used so far. cpu: cores while it is lively."""

    def __init__(self, cpu: float) -> None:
        self.at, self.cpu, self.cpu_s, self.io, self.net = 1000.0, cpu, 2.0, 1e8, 1e9

    def lively(self, seconds: float) -> None:
        self.at += seconds
        self.cpu_s += self.cpu * seconds

    def silence(self, phase: Phase, seconds: float) -> Iterator[WatchFact]:
        """Ticks each second, and a look at the processes each second one, as the sidecar does it."""
        for second in range(1, int(seconds) + 1):
            self.at += 1.0
            self.cpu_s += phase.cpu
            self.io += phase.io
            self.net += phase.net
            if second % (2 if second < 60 else 10) == 0:
                yield Activity(
                    at=self.at,
                    cpu_s=self.cpu_s,
                    io_bytes=self.io,
                    net_bytes=self.net if phase.net else None,
                    connected=bool(phase.net),
                    waits=phase.waits,
                    held=phase.held,
                    gpu_util=phase.gpu,
                    uses_gpu=phase.gpu is not None,
                )
            yield Tick(at=self.at)
