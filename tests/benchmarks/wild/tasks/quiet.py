"""A clean run with long silences: a slow first step, validations, checkpoints, short waits. It prints nothing in them.

python quiet.py --first S --validate S --checkpoint S --wait S
"""

import argparse
import json
import os
import tempfile
import time

p = argparse.ArgumentParser()
for name in ("first", "validate", "checkpoint", "wait"):
    p.add_argument(f"--{name}", type=float, default=0.0, help="seconds")
a = p.parse_args()
out = open(os.environ["RAGENT_METRICS_FILE"], "a")


def computes(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sum(range(10_000))


def writes(seconds):
    """A disk that is slow, or a file that is large: little CPU, bytes and waiting for them."""
    until = time.monotonic() + seconds
    with tempfile.NamedTemporaryFile(dir=".") as file:
        while time.monotonic() < until:
            file.seek(0)
            file.write(bytes(1 << 20))
            file.flush()
            os.fsync(file.fileno())
            time.sleep(0.2)


computes(a.first)
for step in range(1, 41):
    computes(0.05)
    out.write(json.dumps({"step": step, "loss": 2.0 / step + 0.5}) + "\n")
    out.flush()
    if step == 20:
        computes(a.validate)
    if step == 30:
        writes(a.checkpoint)
    if step == 35:
        time.sleep(a.wait)
computes(a.validate / 2)
