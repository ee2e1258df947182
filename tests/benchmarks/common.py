"""What all benchmarks share: results as data, rounds in which everybody takes a turn, one table."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

ROOT = Path(__file__).resolve().parents[2]
# The peers may live in an environment of their own: pip install "ragent-jupyter[bench]" there, and name its Python.
PEERS_PYTHON = os.environ.get("RAGENT_BENCH_PYTHON", sys.executable)


class Result(Struct, frozen=True, kw_only=True):
    """One measured number. who: "ragent", a peer, or a bound that nobody can beat ("floor").

    values: one a round; `better` says whether "more" or "less" is better.  goal: ours, in the same unit.
    missing: why there is no number.
    """

    what: str
    who: str
    unit: str
    better: str = "more"
    values: list[float] = []
    goal: float | None = None
    note: str = ""
    missing: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)


def rounds(turns: dict[str, Callable[[], float]], count: int) -> dict[str, list[float]]:
    """Each turn once a round, in order, so that a busy minute hits all of them alike."""
    found: dict[str, list[float]] = {who: [] for who in turns}
    for _ in range(count):
        for who, turn in turns.items():
            found[who].append(turn())
    return found


class Peer:
    """A tracker measured in a process of its own by tests/benchmarks/peers/NAME.py."""

    def __init__(self, script: str, *args: str) -> None:
        self.script = script
        self.args = args
        self.missing = ""
        self.version = ""

    def ask(self) -> dict[str, float]:
        """One run of the script: its JSON line. {} once it has turned out to be absent (then `missing` says why)."""
        if self.missing:
            return {}
        path = ROOT / "tests" / "benchmarks" / "peers" / f"{self.script}.py"
        done = subprocess.run(
            [PEERS_PYTHON, str(path), *self.args], capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL
        )
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if done.returncode or not lines:
            said = (done.stderr.strip().splitlines() or ["no answer"])[-1][:160]
            self.missing = "not installed" if "ModuleNotFoundError" in said else f"failed: {said}"
            return {}
        answer: dict[str, float] = json.loads(lines[-1])
        self.version = str(answer.pop("version", ""))
        return answer


def table(results: Sequence[Result]) -> str:
    """Rows of one thing together; `ratio` is ours against each (above 1: ours is that many times better)."""
    ours: dict[str, Result] = {}
    for result in results:
        if result.who == "ragent" and result.values:
            ours.setdefault(result.what, result)
    lines = [f"{'what':52} {'who':24} {'median':>12} {'best':>12} {'goal':>10}  {'ratio':>8}"]
    before = ""
    for result in results:
        what = result.what if result.what != before else ""
        before = result.what
        if not result.values:
            lines.append(f"{what[:52]:52} {result.who[:24]:24} {result.missing}")
            continue
        best = max(result.values) if result.better == "more" else min(result.values)
        goal = f"{_number(result.goal)}" if result.goal is not None else ""
        ratio, mine = "", ours.get(result.what)
        if mine is not None and result.who != "ragent":
            times = mine.median / result.median if result.better == "more" else result.median / mine.median
            ratio = f"{times:.3g} x"
        elif result.goal is not None:
            good = result.median >= result.goal if result.better == "more" else result.median <= result.goal
            ratio = "met" if good else "NOT MET"
        numbers = f"{_number(result.median):>12} {_number(best):>12} {goal:>10}  {ratio:>8}"
        lines.append(f"{what[:52]:52} {result.who[:24]:24} {numbers}  {result.unit} {result.note}".rstrip())
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    lines.append(
        f"{os.cpu_count()} cores, load {load}, Python {sys.version.split()[0]}; a busy machine: trust the ratios."
    )
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def main(run: Callable[[bool], list[Result]]) -> None:
    """`python -m tests.benchmarks.bench_NAME [--short] [--json]`."""
    show(run("--short" in sys.argv), "--json" in sys.argv)


def show(results: Sequence[Result], as_json: bool) -> None:
    if as_json:
        rows = [
            {
                **{field: getattr(result, field) for field in result.__struct_fields__},
                "median": result.median if result.values else None,
            }
            for result in results
        ]
        print(json.dumps({"results": rows, "load": os.getloadavg(), "cpus": os.cpu_count()}))
    else:
        print(table(results))
