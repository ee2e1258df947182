"""`python -m tests.soak --rounds N [--seed S] [--json]`: exit 0 if nothing was lost and nothing is there twice."""

from __future__ import annotations

import argparse
import json
import secrets
import sys

from .driver import soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--rounds", type=int, default=20, help="how many times something is killed")
    parser.add_argument("--seed", type=int, help="draws the same kills again; their moments still vary")
    parser.add_argument("--json", action="store_true", help="one line of JSON on stdout and nothing else")
    parser.add_argument("--points", action="store_true", help="first hit each kill point by itself (some minutes)")
    parser.add_argument("--no-jupyter", action="store_true")
    args = parser.parse_args()
    seed = args.seed if args.seed is not None else secrets.randbelow(1_000_000)

    def say(words: str) -> None:
        print(words, file=sys.stderr, flush=True)

    result = soak(args.rounds, seed, jupyter=not args.no_jupyter, points=args.points, say=None if args.json else say)
    print(json.dumps(result) if args.json else json.dumps(result, indent=2), flush=True)
    return 0 if result["clean"] else 1


if __name__ == "__main__":
    sys.exit(main())
