"""How often the alert rules are right: real training curves whose outcome is known.

    python -m tests.benchmarks.detection [--short] [--json] [--npz FILE] [--logs DIR] [--grid]

Curves: 1,520 AlgoPerf runs (a `.npz` with `workload`, `outcome` and `N|metric` arrays of step, seconds, value), judged
from the evaluated losses. A clean run counts as interrupted if ANY warning or critical alert is raised in it; a failed
one as caught under the same condition. A run's rows are replayed by their own time stamps, so silence rules run too.
"""

from __future__ import annotations

import argparse
import collections
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from ragent_jupyter.domain.alert import Severity
from ragent_jupyter.domain.metrics import Row
from ragent_jupyter.rules.stats import wilson
from ragent_jupyter.rules.watch import Limits, Raise, Watch, replayed, watch

SHARED = Path(__file__).resolve().parents[3] / "shared" / "real-logs"
Curves = dict[str, Any]
DEFAULTS = Limits()


def load(path: Path) -> list[tuple[str, str, Curves]]:
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


def measure(runs: list[tuple[str, str, Curves]], limits: Limits = DEFAULTS) -> list[dict[str, Any]]:
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


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--npz", type=Path, default=SHARED / "algoperf-tuning.npz")
    parser.add_argument("--short", action="store_true", help="every eighth clean run, all failed ones")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not args.npz.exists():
        print(f"no curves at {args.npz}", file=sys.stderr)
        return 1
    runs = load(args.npz)
    if args.short:
        runs = [r for n, r in enumerate(runs) if r[1] == "failed" or n % 8 == 0]
    started = time.perf_counter()
    found = measure(runs)
    took = time.perf_counter() - started
    total = summary(found)
    per = {w: summary([r for r in found if r["workload"] == w]) for w in sorted({r["workload"] for r in found})}
    if args.json:
        print(json.dumps({"seconds": took, "overall": total, "workloads": per}))
        return 0
    show(f"overall ({len(found)} runs, {took:.1f} s)", total)
    for workload, record in per.items():
        show(workload, record)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
