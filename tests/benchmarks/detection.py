"""How often the alert rules are right: real training curves whose outcome is known.

    python -m tests.benchmarks.detection [--short] [--json] [--grid] [--npz FILE] [--logs DIR]

Curves: 1,520 AlgoPerf runs (a `.npz` with `workload`, `outcome` and `N|metric` arrays of step, seconds, value), judged
from the evaluated losses. A clean run counts as interrupted if ANY warning or critical alert is raised in it, by
whatever rule on whatever series; a failed one as caught under the same condition. Rows are replayed by their own time
stamps, so the silence rules run too. Intervals are Wilson's, 95 %.

--grid also asks how much the thresholds owe to single workloads: for each workload they are chosen anew, from 3 x 3 x 3
values, on all the others (most failures caught with at most 5 % of clean runs interrupted), and tested on the one left
out. The axes touch different rules, so each axis is run once and the alerts are joined.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from ragent_jupyter.domain.alert import Severity
from ragent_jupyter.domain.metrics import Row
from ragent_jupyter.rules.stats import wilson
from ragent_jupyter.rules.watch import Limits, Points, Raise, Watch, replayed, watch
from tests.benchmarks.real_logs import LOGS

SHARED = Path(__file__).resolve().parents[3] / "shared" / "real-logs"
Curves = dict[str, Any]
Run = tuple[str, str, Curves]
Found = dict[str, Any]
DEFAULTS = Limits()


def load(path: Path) -> list[Run]:
    """(workload, outcome, {metric: array (points, 3)}) of every run."""
    data = np.load(path, allow_pickle=False)
    curves: list[Curves] = [{} for _ in data["workload"]]
    for key in data.files:
        number, _, metric = key.partition("|")
        if metric:
            curves[int(number)][metric] = data[key]
    return list(zip(data["workload"].tolist(), data["outcome"].tolist(), curves, strict=True))


def rows_of(curves: Curves) -> list[Row]:
    """The rows that the run wrote: values of one step and moment together, in the order of time."""
    cells: dict[tuple[float, int], dict[str, float]] = {}
    for name, points in curves.items():
        for step, wall, value in points.tolist():
            cells.setdefault((wall, int(step)), {})[name] = value
    return [Row(step, 1.7e9 + wall, cells[wall, step], n) for n, (wall, step) in enumerate(sorted(cells))]


def alerts_of(rows: list[Row], limits: Limits = DEFAULTS) -> list[Raise]:
    """What the rules would have said about a run."""
    state = Watch(run_id="bench", limits=limits)
    raised: list[Raise] = []
    for fact in replayed(rows, "replay"):
        state, effects = watch(state, fact)
        raised += effects
    return raised


def share(hits: int, of: int) -> str:
    low, high = wilson(hits, of)
    return f"{hits}/{of} = {100 * hits / max(1, of):.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def measure(runs: list[Run], limits: Limits = DEFAULTS) -> list[Found]:
    """One record a run: workload, outcome, the rules that interrupted, the worst severity."""
    found = []
    for number, (workload, outcome, curves) in enumerate(runs):
        raised = alerts_of(rows_of(curves), limits)
        loud = [r for r in raised if r.severity is not Severity.INFO]
        found.append({
            "run": number, "workload": workload, "outcome": outcome,
            "rules": sorted({r.rule for r in loud}),
            "alerts": [(r.rule, r.metric, r.evidence.step) for r in loud],
            "critical": any(r.severity is Severity.CRITICAL for r in loud),
            "infos": len(raised) - len(loud),
        })  # fmt: skip
    return found


def summary(found: list[Found]) -> dict[str, Any]:
    def count(outcome: str, test: Any) -> tuple[int, int]:
        chosen = [r for r in found if r["outcome"] == outcome]
        return sum(bool(test(r)) for r in chosen), len(chosen)

    clean_rules = collections.Counter(rule for r in found if r["outcome"] == "clean" for rule in r["rules"])
    failed_rules = collections.Counter(rule for r in found if r["outcome"] == "failed" for rule in r["rules"])
    return {
        "failed_caught": count("failed", lambda r: r["rules"]),
        "clean_interrupted": count("clean", lambda r: r["rules"]),
        "clean_critical": count("clean", lambda r: r["critical"]),
        "clean_stall": count("clean", lambda r: "stall" in r["rules"]),
        "all_stall": (sum("stall" in r["rules"] for r in found), len(found)),
        "rules_on_clean": dict(clean_rules.most_common()),
        "rules_on_failed": dict(failed_rules.most_common()),
        "missed": [(r["run"], r["workload"]) for r in found if r["outcome"] == "failed" and not r["rules"]],
    }


def show(title: str, record: dict[str, Any]) -> None:
    print(f"{title}")
    for key in ("failed_caught", "clean_interrupted", "clean_critical", "clean_stall", "all_stall"):
        print(f"  {key:18} {share(*record[key])}")
    print(f"  rules on clean     {record['rules_on_clean']}\n  rules on failed    {record['rules_on_failed']}")
    print(f"  missed             {record['missed']}")


AXES: dict[str, tuple[tuple[float, ...], tuple[str, ...]]] = {
    "spike": ((2.0, 3.0, 5.0), ("spike_held",)),
    "eval_ratio": ((1.5, 2.0, 3.0), ("eval_worse",)),
    "given_back": ((0.01, 0.02, 0.04), ("overfit",)),
}
"""Threshold: the values tried, and the rules that it decides about. The middle ones are what ships."""


def leave_one_out(runs: list[Run], shipped: list[Found]) -> dict[str, Any]:
    """Thresholds chosen without a workload, tested on it."""
    by: dict[tuple[str, float], list[Found]] = {}
    for axis, (values, _) in AXES.items():
        for value in values:
            same = getattr(DEFAULTS, axis) == value
            by[axis, value] = shipped if same else measure(runs, structs.replace(DEFAULTS, **{axis: value}))
    axial = {rule for _, rules in AXES.values() for rule in rules}
    always = [bool(set(r["rules"]) - axial) for r in shipped]

    def loud(setting: tuple[float, ...]) -> list[bool]:
        hit = list(always)
        for (axis, (_, rules)), value in zip(AXES.items(), setting, strict=True):
            hit = [h or bool(set(rules) & set(r["rules"])) for h, r in zip(hit, by[axis, value], strict=True)]
        return hit

    settings = {s: loud(s) for s in itertools.product(*(values for values, _ in AXES.values()))}
    folds: dict[str, Any] = {}
    for left in sorted({r["workload"] for r in shipped}):

        def count(hit: list[bool], outcome: str, inside: bool, left: str = left) -> tuple[int, int]:
            chosen = [
                h
                for h, r in zip(hit, shipped, strict=True)
                if r["outcome"] == outcome and (r["workload"] == left) == inside
            ]
            return sum(chosen), len(chosen)

        def merit(setting: tuple[float, ...]) -> tuple[bool, int, int]:
            caught, _ = count(settings[setting], "failed", False)
            alarms, clean = count(settings[setting], "clean", False)
            return alarms <= 0.05 * clean, caught, -alarms

        best = max(settings, key=merit)
        folds[left] = {
            "setting": dict(zip(AXES, best, strict=True)),
            "failed_caught": count(settings[best], "failed", True),
            "clean_interrupted": count(settings[best], "clean", True),
        }
    total = {
        key: (sum(f[key][0] for f in folds.values()), sum(f[key][1] for f in folds.values()))
        for key in ("failed_caught", "clean_interrupted")
    }
    return {"folds": folds, "total": total}


def speed(points: int = 40_000) -> dict[str, float]:
    """Points a second of CPU time, one metric a row and 20 a row."""

    def rate(rows: list[Row], count: int) -> float:
        best = math.inf
        for _ in range(3):
            state = Watch(run_id="bench")
            started = time.process_time()
            for at in range(0, len(rows), 200):
                state, _ = watch(state, Points(source="m", rows=rows[at : at + 200], at=float(at)))
            best = min(best, time.process_time() - started)
        return count / best

    loss = [3.0 + 2000.0 / (1000.0 + n) + 0.05 * math.sin(n) for n in range(points)]
    wide = {f"x{k}": 1.0 for k in range(17)}
    return {
        "watched (a loss alone)": rate([Row(n, 1e9 + n, {"loss": v}, n) for n, v in enumerate(loss)], points),
        "unwatched (another name alone)": rate([Row(n, 1e9 + n, {"x": v}, n) for n, v in enumerate(loss)], points),
        "20 wide (loss, grad_norm, 18 others)": rate(
            [Row(n, 1e9 + n, {"loss": v, "grad_norm": v, "lr": 0.1, **wide}, n) for n, v in enumerate(loss[::10])],
            2 * points,
        ),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--npz", type=Path, default=SHARED / "algoperf-tuning.npz")
    parser.add_argument("--logs", type=Path, default=SHARED)
    parser.add_argument("--short", action="store_true", help="every eighth clean run, all failed ones")
    parser.add_argument("--grid", action="store_true", help="thresholds chosen without each workload in turn")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not args.npz.exists():
        print(f"There are no curves at {args.npz}: nothing was measured. Name them with --npz.", file=sys.stderr)
        # The curves are too large to be kept here: without them a machine's benchmarks are shorter, not broken.
        return 0 if args.npz == parser.get_default("npz") else 1
    runs = load(args.npz)
    if args.short:
        runs = [r for n, r in enumerate(runs) if r[1] == "failed" or n % 8 == 0]
    started = time.perf_counter()
    found = measure(runs)
    took = time.perf_counter() - started
    workloads = sorted({r["workload"] for r in found})
    result: dict[str, Any] = {
        "runs": len(found),
        "seconds": round(took, 1),
        "overall": summary(found),
        "workloads": {w: summary([r for r in found if r["workload"] == w]) for w in workloads},
        "logs": {},
        "points_per_s": speed(),
    }
    for name, read in LOGS.items():
        try:
            raised = alerts_of(read(args.logs))
        except FileNotFoundError:
            continue
        result["logs"][name] = [f"{r.severity.value} {r.rule}: {r.title}" for r in raised]
    if args.grid:
        result["leave_one_out"] = leave_one_out(runs, found)
    if args.json:
        print(json.dumps(result))
        return 0
    show(f"overall ({len(found)} runs, {took:.1f} s)", result["overall"])
    for workload, record in result["workloads"].items():
        show(workload, record)
    if args.grid:
        print("leave one workload out")
        for workload, fold in result["leave_one_out"]["folds"].items():
            caught, alarms = share(*fold["failed_caught"]), share(*fold["clean_interrupted"])
            print(f"  {workload:24} {fold['setting']}\n    caught {caught}   interrupted {alarms}")
        total = result["leave_one_out"]["total"]
        print(f"  total: caught {share(*total['failed_caught'])}   interrupted {share(*total['clean_interrupted'])}")
    for name, lines in result["logs"].items():
        loud = [line for line in lines if not line.startswith("info")]
        print(f"{name}: {len(lines) - len(loud)} info" + "".join(f"\n  {line}" for line in loud))
    for name, value in result["points_per_s"].items():
        print(f"{name}: {value / 1e3:,.0f} k points/s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
