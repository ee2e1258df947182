"""Wild Mode, measured: `python -m tests.benchmarks.wild [NAME …] [--short] [--json] [--times N]`.

b1 a small network on digits    b2 a character model on Python's own help    b3 a night of faults    b4 kill -9
b6 planted truths    flags roles of command line flags    latency    replay

No network. Each prints mean, 95 % interval and n. Nothing fails on a time: a busy machine is no bug. What must never
happen (a lost run, an obeyed injection) is counted, and the exit status is 1 where the count is not nothing.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time

from .figures import Figure, plain, table

MODULES = {
    "b4": "kills",
    "b1": "digits",
    "b3": "faults",
    "latency": "latency",
    "replay": "replay",
    "flags": "flags",
    "b6": "planted",
    "b2": "letters",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.wild")
    parser.add_argument("names", nargs="*", choices=[*MODULES, []], help="which; all if none is named")
    parser.add_argument("--short", action="store_true", help="a minute for all of them together")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--times", type=int, help="kills, repeats or runs in place of the usual number")
    args = parser.parse_args()
    figures: list[Figure] = []
    for name in args.names or MODULES:
        began = time.monotonic()
        found = importlib.import_module(f"{__package__}.{MODULES[name]}").run(args.short, args.times)
        print(f"… {name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        figures += found
    print(plain(figures) if args.json else table(figures))
    return 1 if any(figure.never and figure.hits for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
