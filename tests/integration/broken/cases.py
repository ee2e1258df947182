"""The cases that the patterns may be tuned on."""
# ruff: noqa: E501 — messages stand as frameworks write them

from __future__ import annotations

from . import Case

LOGGER = """
import json, math, os, random, time
random.seed(7)
_out = open(os.environ["RAGENT_METRICS_FILE"], "a")
def log(step, **values):
    _out.write(json.dumps({"step": step, **values}) + "\\n"); _out.flush()
"""

CASES = [
    Case(
        "cuda-oom",
        "gpu_memory",
        "Tried to allocate 3.91 GiB",
        """
import torch
def forward(batch):
    return torch.oom("CUDA out of memory. Tried to allocate 3.91 GiB. GPU 0 has a total capacity of 23.65 GiB of which "
        "1.20 GiB is free. Including non-PyTorch memory, this process has 22.44 GiB memory in use.")
for step in range(3):
    print(f"step {step} loss {2.5 - 0.1 * step:.3f}", flush=True)
forward(512)
""",
        frame="return torch.oom(",
    ),
    Case(
        "numpy-alloc-under-rlimit",
        "memory",
        "Unable to allocate",
        """
import numpy as np, resource
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
def load_all(n):
    return np.ones((n, 4096), dtype=np.float64)
print("loading features")
features = load_all(2_000_000)
""",
        frame="return np.ones(",
    ),
    Case(
        "bare-memoryerror",
        "memory",
        "MemoryError",
        """
import resource
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
cache = []
while True:
    cache.append(bytearray(64 << 20))
""",
        frame="cache.append",
    ),
    Case("missing-cv2", "missing_module", "No module named 'cv2'", "import json\nimport cv2\n", frame="import cv2"),
    Case(
        "no-such-data",
        "missing_file",
        "data/fineweb/train_000.bin",
        """
import os
def load(split):
    with open(os.path.join("data", "fineweb", f"{split}_000.bin"), "rb") as f:
        return f.read()
print("vocab 50304", flush=True)
load("train")
""",
        frame="with open(",
    ),
    Case(
        "checkpoint-on-a-full-disk",
        "disk_full",
        "Errno 28",
        """
def save(path, blob):
    with open(path, "wb", buffering=0) as f:
        f.write(blob)
print("epoch 1 done, saving", flush=True)
save("/dev/full", b"x" * 4096)
""",
        frame="f.write(blob)",
    ),
    Case(
        "file-size-limit",
        "disk_full",
        "File too large",
        """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
with open("model.ckpt", "wb") as f:
    for shard in range(8):
        f.write(b"w" * (512 << 10)); f.flush()
""",
        frame="f.write(b",
    ),
    Case(
        "loss-overflows-to-nan",
        "not_finite",
        "step ",
        LOGGER
        + """
w, lr = 1.0, 1.9
for step in range(60):
    loss = w * w
    log(step, loss=loss if step < 40 else float("nan"), lr=lr)
    w = w * 0.97 if step < 20 else w * 9.0
print("done")
""",
        where="loss",
    ),
    Case(
        "loss-is-nan-stopping",
        "not_finite",
        "stopping training",
        """
import sys
for step in range(30):
    print(f"Epoch: [0]  [{step:>4}/625]  lr: 0.000100  loss: {6.9 - step * 0.01:.4f}", flush=True)
print("Loss is nan, stopping training", flush=True)
sys.exit(1)
""",
    ),
    Case(
        "kill-9",
        "killed",
        "signal 9",
        """
import os, signal
print("step 1", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
""",
        where="exit.json",
    ),
    Case(
        "kill-9-below-a-shell",
        "killed",
        "Killed",
        """
import os, signal
print("warming up", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
""",
        command="bash launch.sh",
        files={"launch.sh": "echo starting\n{python} train.py\ncode=$?\nsync; exit $code\n"},
    ),
    Case(
        "sigterm-from-outside",
        "killed",
        "signal 15",
        """
import os, signal
print("epoch 3/90", flush=True)
os.kill(os.getpid(), signal.SIGTERM)
""",
        where="exit.json",
    ),
    Case(
        "coreutils-timeout",
        "time_limit",
        "exit code 124",
        """
import time
print("epoch 0", flush=True)
time.sleep(60)
""",
        where="exit.json",
        command="timeout 1 {python} train.py",
    ),
    Case(
        "slurm-time-limit",
        "time_limit",
        "DUE TO TIME LIMIT",
        """
import sys
print("step 8812 loss 2.911", flush=True)
sys.stderr.write("slurmstepd: error: *** JOB 771204 ON node31 CANCELLED AT 2026-03-02T04:00:12 DUE TO TIME LIMIT ***\\n")
sys.exit(143)
""",
    ),
    Case(
        "silent-while-alive",
        "hang",
        "step 119",
        LOGGER
        + """
for step in range(120):
    log(step, loss=3.0 / (1 + step))
    time.sleep(0.01)
print("waiting for the queue of the loader", flush=True)
time.sleep(600)
""",
        where="loss",
        live=True,
    ),
    Case(
        "nccl-watchdog",
        "collective",
        "Watchdog caught collective operation timeout",
        """
import os, sys
print("step 210 loss 3.31", flush=True)
sys.stderr.write("[rank3]:[E302 11:09:41.201 ProcessGroupNCCL.cpp:629] [Rank 3] Watchdog caught collective operation timeout: "
    "WorkNCCL(SeqNum=881, OpType=ALLREDUCE, NumelIn=25557032, Timeout(ms)=600000) ran for 600071 milliseconds.\\n")
sys.stderr.write("[rank3]:[E302 11:09:41.377 ProcessGroupNCCL.cpp:681] [Rank 3] To avoid data inconsistency, we are taking "
    "the entire process down.\\n")
sys.stderr.flush()
os.abort()
""",
    ),
    Case(
        "embedding-index-assert",
        "device_assert",
        "srcIndex < srcSelectDimSize",
        """
import sys, torch
sys.stderr.write("../aten/src/ATen/native/cuda/Indexing.cu:1290: indexSelectLargeIndex: block: [77,0,0], thread: [32,0,0] "
    "Assertion `srcIndex < srcSelectDimSize` failed.\\n" * 3)
torch.fail("CUDA error: device-side assert triggered\\nCUDA kernel errors might be asynchronously reported at some other "
    "API call, so the stacktrace below might be incorrect.\\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1")
""",
        frame="torch.fail(",
    ),
    Case(
        "numpy-matmul",
        "shape",
        "mismatch in its core dimension",
        """
import numpy as np
def attend(q, k):
    return q @ k
attend(np.zeros((8, 64)), np.zeros((32, 8)))
""",
        frame="return q @ k",
    ),
    Case(
        "collate-in-a-worker",
        "shape",
        "stack expects each tensor to be equal size",
        """
import torch
inner = '''Caught RuntimeError in DataLoader worker process 2.
Original Traceback (most recent call last):
  File "/opt/env/lib/python3.11/site-packages/torch/utils/data/_utils/worker.py", line 309, in _worker_loop
    data = fetcher.fetch(index)
  File "/opt/env/lib/python3.11/site-packages/torch/utils/data/_utils/collate.py", line 213, in collate_tensor_fn
    return torch.stack(batch, 0, out=out)
RuntimeError: stack expects each tensor to be equal size, but got [3, 224, 224] at entry 0 and [1, 224, 224] at entry 5
'''
def main():
    for batch in range(2):
        torch.fail(inner)
main()
""",
        frame="torch.fail(inner)",
    ),
    Case(
        "heads-do-not-divide",
        "assertion",
        "AssertionError",
        """
class Config:
    n_embd, n_head = 770, 12
def build(config):
    assert config.n_embd % config.n_head == 0, "embedding must divide by heads"
build(Config)
""",
        frame="assert config.n_embd",
    ),
    Case(
        "ctrl-c",
        "interrupted",
        "KeyboardInterrupt",
        """
import os, signal, time
print("step 40", flush=True)
def train():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)
train()
""",
    ),
    Case(
        "script-without-x-bit",
        "permission",
        "Permission denied",
        command="./run.sh",
        files={"run.sh": "#!/bin/sh\necho hi\n"},
    ),
    Case(
        "port-taken",
        "port",
        "Address already in use",
        """
import socket
a = socket.socket(); a.bind(("127.0.0.1", 0)); a.listen()
def rendezvous(port):
    s = socket.socket(); s.bind(("127.0.0.1", port)); return s
rendezvous(a.getsockname()[1])
""",
        frame="s.bind(",
    ),
    Case(
        "bad-flag-value",
        "usage",
        "invalid float value",
        """
import argparse
p = argparse.ArgumentParser()
p.add_argument("--lr", type=float)
p.parse_args(["--lr", "3e-4x"])
""",
    ),
    Case(
        "loader-worker-bus-error",
        "data_worker",
        "killed by signal: Bus error",
        """
import torch
print("Epoch 0: 12%", flush=True)
torch.fail("DataLoader worker (pid 90117) is killed by signal: Bus error. It is possible that dataloader's workers are out "
           "of shared memory. Please try to raise your shared memory limit.")
""",
        frame="torch.fail(",
    ),
    Case(
        "hub-not-reachable",
        "network",
        "We couldn't connect to",
        """
import urllib.request
def fetch(name):
    try:
        urllib.request.urlopen("http://127.0.0.1:9/" + name, timeout=2)
    except OSError as error:
        raise OSError(f"We couldn't connect to 'https://huggingface.co' to load the files, and couldn't find them in the "
                      f"cached files.") from error
fetch("gpt2/config.json")
""",
        frame="raise OSError(",
    ),
    Case(
        "half-and-float",
        "dtype",
        "must have the same dtype",
        """
import torch
def head(x):
    return torch.fail("mat1 and mat2 must have the same dtype, but got Half and Float")
head(0)
""",
        frame="return torch.fail(",
    ),
    Case(
        "empty-loader",
        "zero_division",
        "ZeroDivisionError",
        """
def average(losses):
    return sum(losses) / len(losses)
print("found 0 samples", flush=True)
average([])
""",
        frame="return sum(losses)",
    ),
    Case(
        "yaml-indent",
        "config",
        "mapping values are not allowed here",
        """
import yaml
def read(path):
    return yaml.safe_load(open(path))
read("config.yaml")
""",
        files={"config.yaml": "model: gpt\n  depth: 12\n lr: 3\n"},
        frame="return yaml.safe_load(",
    ),
    Case(
        "json-comma",
        "config",
        "JSONDecodeError",
        """
import json
settings = json.load(open("hparams.json"))
""",
        files={"hparams.json": '{"lr": 0.1,}\n'},
        frame="json.load(",
    ),
    Case(
        "overfit",
        "overfit",
        "",
        LOGGER
        + """
for step in range(60):
    best = 20
    v = 2.0 - 0.05 * step if step < best else 1.0 + 0.03 * (step - best)
    log(step, train_loss=2.5 * math.exp(-step / 12) + 0.02, val_loss=v + 0.002 * random.random())
""",
        where="val_loss",
    ),
    Case(
        "diverges-without-nan",
        "diverged",
        "",
        LOGGER
        + """
for step in range(150):
    value = 4.0 / (1 + step) ** 0.3 if step < 60 else 1.2 * 1.06 ** (step - 60)
    log(step, loss=value * (1 + 0.02 * random.random()))
""",
        where="loss",
    ),
    Case(
        "segfault",
        "crash",
        "signal 11",
        """
import ctypes
print("compiling extension", flush=True)
ctypes.string_at(0)
""",
        where="exit.json",
    ),
    Case(
        "checkpoint-of-another-model",
        "checkpoint",
        "size mismatch for",
        """
import torch
def resume():
    torch.fail("Error(s) in loading state_dict for GPT:\\n\\tsize mismatch for transformer.wte.weight: copying a param with "
        "shape torch.Size([50304, 768]) from checkpoint, the shape in current model is torch.Size([50257, 768]).")
resume()
""",
        frame='torch.fail("Error(s)',
    ),
    Case("syntax", "syntax", "SyntaxError", "def step(x):\n    return (x +\n\nprint(step(1))\n"),
    Case("typo-in-the-command", "command", "command not found", command="pyhton train.py --lr 0.1"),
    Case(
        "flat-from-the-start",
        "not_learning",
        "",
        LOGGER
        + """
for step in range(200):
    log(step, train_loss=2.3026 + 0.004 * random.random(), lr=0.0)
""",
        where="train_loss",
    ),
    Case(
        "missing-variable",
        "code",
        "KeyError: 'DATA_ROOT'",
        """
import os
def setup():
    return os.environ["DATA_ROOT"]
setup()
""",
        frame='return os.environ["DATA_ROOT"]',
    ),
]
