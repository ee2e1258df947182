"""B1: a small network on digits. What each search claims, what it is worth, and what is called better by mistake.

The digits come with scikit-learn, which ragent does not need: `pip install "ragent-jupyter[bench]"`. Without it the
same network learns digit-like pictures, and the table says so.
"""

from __future__ import annotations

import importlib.util
import math
import os
import random
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ragent_jupyter.adapters.optimiser import RandomOptimiser
from ragent_jupyter.domain.sweep import Range
from ragent_jupyter.domain.wild import Knob, Limits, Loop
from ragent_jupyter.domain.wire_wild import CreateLoop
from ragent_jupyter.rules.confirm import expected
from ragent_jupyter.services.policies.builtin import BuiltinPolicy
from tests.support.engine import project
from tests.support.wait import wait_until
from tests.support.wild_sim import Sim

from .figures import Figure
from .search import FRESH, Task, compare

BENCH = "b1 digits"
SCRIPT = Path(__file__).parent / "tasks" / "digits.py"
WITHOUT = 'scikit-learn is not installed (pip install "ragent-jupyter[bench]"): digit-like pictures were drawn'


def have_digits() -> bool:
    return importlib.util.find_spec("sklearn") is not None


def task(full: int, which: str) -> Task:
    from .tasks import digits

    parts = digits.data(which)

    def train(params: dict[str, Any], seed: int, each: Any) -> tuple[list[float], float]:
        curve, hidden = digits.train(parts, seed=seed, each=each, **params)
        return list(curve), float(hidden)

    return Task(SCRIPT, train, "epochs", full, "val_loss")


def run(short: bool, times: int | None = None) -> list[Figure]:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    digits = have_digits()
    which = "digits" if digits and not short else "made"
    make = partial(task, 6 if short else 18, which)
    rows = [] if which == "digits" else [Figure(bench=BENCH, what="the data", missing="drawn" if digits else WITHOUT)]
    searches, found = compare(make, BENCH, times or (1 if short else 60), 22 if short else 40, 4 if short else 10, 5)
    rows += searches
    rows += null(make(), 24 if short else 400)
    if not short:
        rows.append(real(which, found["ragent"].true))
    return rows


# --- nothing is better ------------------------------------------------------------------------------------------------
def null(made: Task, loops: int) -> list[Figure]:
    """Loops in which every configuration is as good as the default: whatever is called confirmed is so by mistake."""
    pool = [made.value({}, FRESH + 9000 + n) for n in range(8 if loops < 100 else 60)]
    space = {f"knob-{n}": Knob(dim=Range(low=0.1, high=10.0, log=True), default=1.0) for n in range(4)}
    worlds: dict[str, Callable[[random.Random, random.Random], float]] = {
        "gauss": lambda own, shared: 1.0 + own.gauss(0, 0.05),
        "half shared by the seed": lambda own, shared: 1.0 + own.gauss(0, 0.04) + shared.gauss(0, 0.04),
        "heavy tail": lambda own, shared: math.exp(own.gauss(0, 0.3)) + (own.random() < 0.03),
        "the digits' own seeds": lambda own, shared: own.choice(pool),
    }
    wrong: dict[str, int] = dict.fromkeys(worlds, 0)
    tested = 0
    for number in range(loops):
        name = list(worlds)[number % len(worlds)]

        def objective(params: dict[str, Any], seed: int, world: str = name, night: int = number) -> float:
            own = random.Random(f"{night} {seed} {sorted(params.items())}")
            return worlds[world](own, random.Random(f"{night} {seed}"))

        sim = Sim(space, objective, limits=Limits(runs=40), seed=number)
        result = sim.run(BuiltinPolicy(RandomOptimiser()))
        tested += bool(result.loop.verdicts)
        wrong[name] += any(verdict.verdict == "confirmed" for verdict in result.loop.verdicts)
    print(f"… {BENCH}: {loops} loops without anything to find", file=sys.stderr, flush=True)
    by_world = ", ".join(f"{n} {name}" for name, n in wrong.items())
    return [
        Figure(bench=BENCH, what="wrongly confirmed where nothing is better", hits=sum(wrong.values()), of=loops,
               goal=0.05, note=f"loops of 40 runs, {tested} of them put something to the test; {by_world}"),
    ]  # fmt: skip


# --- through the engine -----------------------------------------------------------------------------------------------
def real(which: str, played: list[float]) -> Figure:
    """One night with real runs: its claim, run again with ten fresh seeds here."""
    with project("process", "rg-b1-") as p:
        shutil.copy(SCRIPT, p.folder / "digits.py")
        loop: Loop = p.client.create_loop(
            CreateLoop(
                goal="lower val_loss", command=f"{sys.executable} digits.py --data-set {which}",
                caller_python=sys.executable, executor="process", parallel=2, autonomy="full", limits=Limits(runs=40),
                env={"OMP_NUM_THREADS": "1", "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
            )
        )  # fmt: skip
        look = partial(p.client.loop, loop.id)
        wait_until(lambda: look().loop.over, 1800, every=0.5, what="the loop to end")
        loop = look().loop
        runs = len(p.client.all_runs())
    won = [v for v in loop.verdicts if v.verdict == "confirmed" and v.mean is not None]
    what = "the same through the engine, true loss"
    if not won:
        return Figure(bench=BENCH, what=what, missing=f"ended {loop.end} with nothing confirmed, {runs} runs")
    best = min(won, key=lambda v: v.mean or 0.0)
    made = task(18, which)
    again = [made.run(best.params, FRESH + n) for n in range(10)]
    over = sum(curve[-1] for curve, _ in again) / len(again) / (expected(best, "min") or 1.0) - 1
    note = f"{runs} runs in {loop.spent.seconds:.0f} s; over-claim {over:.3f}; {len(played)} played ones: "
    note += f"{min(played):.3f} … {max(played):.3f}"
    return Figure(bench=BENCH, what=what, values=[hidden for _, hidden in again], note=note)
