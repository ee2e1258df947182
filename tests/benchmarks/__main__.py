"""All benchmarks, one table: `python -m tests.benchmarks [--short] [--json]`.

Every `bench_*.py` beside this file with a `run(short) -> list[Result]` takes part. Nothing is asserted: a busy machine
fails no test. Peers come from the `[bench]` extra (RAGENT_BENCH_PYTHON may name another environment's Python); one that
is not installed is said to be absent.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from .common import Result, show


def main() -> None:
    short, as_json = "--short" in sys.argv, "--json" in sys.argv
    results: list[Result] = []
    alone: list[str] = []
    for path in sorted(Path(__file__).parent.glob("bench_*.py")):
        module = importlib.import_module(f"{__package__}.{path.stem}")
        if not hasattr(module, "run"):
            alone.append(path.stem)
            continue
        print(f"… {path.stem}", file=sys.stderr)
        results += module.run(short)
    show(results, as_json)
    alone.append("wild")
    print("By themselves: " + ", ".join(f"python -m {__package__}.{name}" for name in alone), file=sys.stderr)


if __name__ == "__main__":
    main()
