"""A job that keeps its own books: what it was told, what it logged and how it ended, in a file outside `.ragent`.

    python job.py TRUTH_DIR [--rows N --burst N --pace S --exit CODE --via file|stdout --nan-at STEP --lr X]

A line is written to the books only after what it tells has been done; signals wait between the two.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import time

STOPPED = 3  # its exit code after INT or TERM
_SIGNALS = {signal.SIGINT, signal.SIGTERM}
_NAN_FROM_LR = 0.05


def loss(step: int, nan_at: int | None, lr: float) -> float:
    """What is logged at a step; the auditor computes it again."""
    if nan_at is not None and step >= nan_at and lr >= _NAN_FROM_LR:
        return math.nan
    return round(0.1 + 2.5 * math.exp(-step / 400.0), 6)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("truth")
    parser.add_argument("--rows", type=int, default=50)
    parser.add_argument("--burst", type=int, default=1)
    parser.add_argument("--pace", type=float, default=0.02)
    parser.add_argument("--exit", type=int, default=0)
    parser.add_argument("--via", choices=["file", "stdout"], default="file")
    parser.add_argument("--nan-at", type=int)
    parser.add_argument("--lr", type=float, default=0.1)
    args = parser.parse_args()
    run_id = os.environ["RAGENT_RUN_ID"]
    books = os.open(os.path.join(args.truth, run_id + ".jsonl"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(**words: object) -> None:
        os.write(books, json.dumps({**words, "at": time.time()}).encode() + b"\n")

    def stop(number: int, _frame: object) -> None:
        note(end=STOPPED, signal=number)
        os._exit(STOPPED)

    for number in _SIGNALS:
        signal.signal(number, stop)
    note(start=run_id, pid=os.getpid(), nan_at=args.nan_at, lr=args.lr, via=args.via)
    out = 1
    if args.via == "file":
        out = os.open(os.environ["RAGENT_METRICS_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for first in range(0, args.rows, args.burst):
        steps = range(first, min(first + args.burst, args.rows))
        values = [loss(step, args.nan_at, args.lr) for step in steps]
        if args.via == "file":
            lines = [json.dumps({"step": step, "loss": value}) for step, value in zip(steps, values, strict=True)]
        else:
            lines = [f"step={step} loss={value}" for step, value in zip(steps, values, strict=True)]
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        os.write(out, ("\n".join(lines) + "\n").encode())
        note(rows=[steps.start, steps.stop])
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        time.sleep(args.pace)
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    note(end=args.exit)
    return args.exit


if __name__ == "__main__":
    sys.exit(main())
