"""trackio: rows a second until finish() has stored them (it queues rows and writes batches to SQLite)."""

import json
import os
import sys
import tempfile
import time

rows = int(sys.argv[1])
with tempfile.TemporaryDirectory(prefix="bench") as folder:
    os.environ.update(TRACKIO_DIR=folder, HF_HUB_OFFLINE="1", GRADIO_ANALYTICS_ENABLED="False")
    import trackio

    def log(project: str, count: int, width: int) -> float:
        names = [f"m{i}" for i in range(width)]
        sys.stdout = sys.stderr
        trackio.init(project=project, name="r", embed=False, auto_log_gpu=False, auto_log_cpu=False)
        began = time.perf_counter()
        for step in range(count):
            trackio.log(dict.fromkeys(names, 1.0 / (step + 1)))
        trackio.finish()
        took = time.perf_counter() - began
        sys.stdout = sys.__stdout__
        return count * width / took

    log("warm", 100, 1)
    print(json.dumps({"": log("one", rows, 1), "wide": log("wide", rows // 10, 20), "version": trackio.__version__}))
    sys.stdout.flush()
