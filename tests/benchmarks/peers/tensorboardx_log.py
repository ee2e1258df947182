"""tensorboardX: add_scalar calls a second until the writer has flushed (its own queue and thread, big queue)."""

import json
import sys
import tempfile
import time

import tensorboardX

rows = int(sys.argv[1])
with tempfile.TemporaryDirectory(prefix="bench") as folder:

    def log(name: str, count: int) -> float:
        writer = tensorboardX.SummaryWriter(f"{folder}/{name}", max_queue=10_000, flush_secs=120)
        began = time.perf_counter()
        for step in range(count):
            writer.add_scalar("m0", 1.0 / (step + 1), step)
        writer.close()
        return count / (time.perf_counter() - began)

    log("warm", 200)
    print(json.dumps({"": log("one", rows), "version": tensorboardX.__version__}))
