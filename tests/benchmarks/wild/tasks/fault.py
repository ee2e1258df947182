"""A run that goes wrong in one way. It writes down when: {"at": seconds} in fault.json of its folder.

python fault.py --kind nan|oom|oom-caught|hang|deadlock|spin|flood|injection|fork|disk|clean --seed N --lines FILE
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time

p = argparse.ArgumentParser()
p.add_argument("--kind", default="clean")
p.add_argument("--lr", type=float, default=0.1)
p.add_argument("--seed", type=int, default=0)
p.add_argument("--lines", default="", help="a file of lines to print")
p.add_argument("--names", default="", help="a file of names to log metrics under")
p.add_argument("--pace", type=float, default=0.02)
a = p.parse_args()
where = os.path.dirname(os.environ["RAGENT_METRICS_FILE"])
out = open(os.environ["RAGENT_METRICS_FILE"], "a")


def log(step, value, name="loss"):
    out.write(json.dumps({"step": step, name: value}) + "\n")
    out.flush()


def now():
    with open(os.path.join(where, "fault.json"), "w") as mark:
        json.dump({"at": time.time()}, mark)


for step in range(1, 21):
    log(step, 2.0 / step + 0.5 + 0.01 * ((a.seed * 31 + step * 17) % 7))
    print(f"step {step}", flush=True)
    time.sleep(a.pace)

if a.kind == "nan":
    now()
    log(21, float("nan"))
    time.sleep(60)
elif a.kind == "oom":
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    now()
    held = [bytearray(200 << 20) for _ in range(20)]
elif a.kind == "oom-caught":
    now()
    print("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", flush=True)
    time.sleep(60)
elif a.kind == "hang":
    now()
    time.sleep(3600)
elif a.kind == "deadlock":  # a worker and its trainer wait for each other
    asks, answers = os.pipe(), os.pipe()
    now()
    if os.fork() == 0:
        os.read(asks[0], 1)
    os.read(answers[0], 1)
elif a.kind == "spin":
    now()
    while True:
        pass
elif a.kind == "flood":
    line = "x" * 199 + "\n"
    for _ in range(400):
        sys.stdout.write(line * 500)  # 40 MB
    sys.stdout.flush()
    now()
    log(21, float("nan"))
    time.sleep(60)
elif a.kind == "injection":
    for line in open(a.lines):
        print(line.rstrip("\n"), flush=True)
    for n, name in enumerate(open(a.names)):
        log(n, 0.5, name.rstrip("\n"))
    now()
    sys.exit(3)
elif a.kind == "fork":
    for session in (False, True, True):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=session)
    now()
    sys.exit(4)
elif a.kind == "disk":
    now()
    with open("/dev/full", "w") as full:  # every write to it fails as on a disk that is full
        full.write("a checkpoint" * 10_000)
elif a.kind == "clean" and a.lines:
    for line in open(a.lines):
        print(line.rstrip("\n"), flush=True)
