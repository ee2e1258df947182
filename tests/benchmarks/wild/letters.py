"""B2: guessing the next letter of Python's own help, which needs nothing but numpy: bits a letter against the peers."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

from .figures import Figure
from .search import Task, compare

BENCH = "b2 letters"
SCRIPT = Path(__file__).parent / "tasks" / "letters.py"
EVERY = 20  # steps between two looks: the unit in which successive halving counts


def task(looks: int) -> Task:
    from .tasks import letters

    parts, kinds = letters.data()

    def train(params: dict[str, Any], seed: int, each: Any) -> tuple[list[float], float]:
        said = {**params, "steps": EVERY * params["steps"]}
        curve, hidden = letters.train(parts, kinds, seed=seed, every=EVERY, each=each, **said)
        return list(curve), float(hidden)

    return Task(SCRIPT, train, "steps", looks, "val_bits")


def run(short: bool, times: int | None = None) -> list[Figure]:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    make = partial(task, 3 if short else 12)
    rows, _ = compare(make, BENCH, times or (1 if short else 5), 14 if short else 60, 2 if short else 10, 5)
    made = make()
    default = [made.run({}, 70_000 + n)[1] for n in range(2 if short else 10)]
    rows.append(Figure(bench=BENCH, what="the default's own true loss", who="default", unit="bits", values=default))
    return rows
