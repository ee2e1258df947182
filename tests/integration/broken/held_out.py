"""Cases that no pattern was tuned on: written with the key before the patterns, run once when those were done."""
# ruff: noqa: E501 — messages stand as frameworks write them

from __future__ import annotations

from . import Case
from .cases import LOGGER

HELD_OUT = [
    Case(
        "jax-hbm",
        "gpu_memory",
        "Out of memory allocating 17179869184 bytes",
        """
class XlaRuntimeError(RuntimeError):
    pass
XlaRuntimeError.__module__ = "jaxlib.xla_extension"
def update(state):
    raise XlaRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 17179869184 bytes.")
print("I0302 compile 31.2s", flush=True)
update(None)
""",
        frame="raise XlaRuntimeError(",
    ),
    Case(
        "tf-bfc",
        "gpu_memory",
        "OOM when allocating tensor with shape[64,512,512,64]",
        """
import sys
sys.stderr.write("2026-03-02 10:11:12.131415: W tensorflow/core/framework/op_kernel.cc:1839] OP_REQUIRES failed at conv_ops.cc:684 "
    ": RESOURCE_EXHAUSTED: OOM when allocating tensor with shape[64,512,512,64] and type float on "
    "/job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc\\n")
sys.exit(1)
""",
    ),
    Case(
        "plain-c-cuda",
        "gpu_memory",
        "out of memory",
        """
import sys
print("num_parameters: 124475904")
print("allocating 1439 MiB for activations", flush=True)
sys.stderr.write("[CUDA ERROR] at file train_gpt2.cu:512:\\nout of memory\\n")
sys.exit(1)
""",
    ),
    Case(
        "one-rank-of-two",
        "code",
        "KeyError: 'attention_mask'",
        """
import subprocess, sys
inner = "import sys\\ndef collate(rows):\\n    return rows['attention_mask']\\ncollate({})\\n"
open("worker.py", "w").write(inner)
subprocess.run([sys.executable, "worker.py"])
class ChildFailedError(Exception):
    pass
ChildFailedError.__module__ = "torch.distributed.elastic.multiprocessing.errors"
raise ChildFailedError("\\n============\\nworker.py FAILED\\n------------\\nRoot Cause (first observed failure):\\n[0]:\\n  "
    "rank      : 1 (local_rank: 1)\\n  exitcode  : 1 (pid: 4242)\\n============")
""",
        frame="return rows['attention_mask']",
    ),
    Case("no-such-script", "missing_file", "can't open file", command="{python} trian.py --epochs 3"),
    Case(
        "anomaly-mode",
        "not_finite",
        "returned nan values",
        """
import torch
def backward():
    torch.fail("Function 'LogBackward0' returned nan values in its 0th output.")
backward()
""",
        frame="torch.fail(",
    ),
    Case(
        "dd-on-full",
        "disk_full",
        "No space left on device",
        command="bash stage.sh",
        files={"stage.sh": "set -e\necho staging shards\ndd if=/dev/zero of=/dev/full bs=4096 count=2\necho never\n"},
    ),
    Case(
        "faulthandler-gave-up",
        "hang",
        "Timeout (0:00:01)",
        """
import faulthandler, threading
faulthandler.dump_traceback_later(1, exit=True)
lock = threading.Lock(); lock.acquire()
print("step 17", flush=True)
def wait_for_peer():
    lock.acquire()
wait_for_peer()
""",
    ),
    Case(
        "gloo-peer-gone",
        "collective",
        "Connection closed by peer",
        """
import torch
def reduce_gradients():
    torch.fail("[../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [10.21.0.4]:41332")
reduce_gradients()
""",
        frame="torch.fail(",
    ),
    Case(
        "accuracy-tells-overfitting",
        "overfit",
        "",
        LOGGER
        + """
for epoch in range(40):
    train = 1 - 0.6 * math.exp(-epoch / 6)
    val = 0.55 + 0.26 * (1 - math.exp(-epoch / 4)) - max(0, epoch - 14) * 0.009
    log(epoch, train_acc=train, val_acc=val)
""",
        where="val_acc",
    ),
    Case(
        "cast-in-place",
        "dtype",
        "Cannot cast ufunc",
        """
import numpy as np
def accumulate(counts, weights):
    counts += weights
accumulate(np.zeros(4, dtype=np.int64), np.full(4, 0.5))
""",
        frame="counts += weights",
    ),
    Case(
        "cgroup-oom",
        "memory",
        "oom_kill event",
        """
import sys
print("tokenizing shard 12", flush=True)
sys.stderr.write("slurmstepd: error: Detected 1 oom_kill event in StepId=771204.0. Some of the step tasks have been OOM Killed.\\n")
sys.stderr.write("srun: error: node31: task 0: Out Of Memory\\n")
sys.exit(137)
""",
    ),
    Case(
        "tokenizer-not-cached",
        "network",
        "Can't load tokenizer for",
        """
def from_pretrained(name):
    raise OSError(f"Can't load tokenizer for '{name}'. If you were trying to load it from 'https://huggingface.co/models', make "
        "sure you don't have a local directory with the same name.")
from_pretrained("acme/llama-tok")
""",
        frame="raise OSError(",
    ),
]
