"""wandb offline: run.log rows a second until finish()."""

import json
import os
import sys
import tempfile
import time

rows = int(sys.argv[1])
with tempfile.TemporaryDirectory(prefix="bench") as folder:
    os.environ.update(
        WANDB_MODE="offline",
        WANDB_DIR=folder,
        WANDB_SILENT="true",
        WANDB_CONSOLE="off",
        WANDB_DISABLE_GIT="true",
        WANDB_DISABLE_CODE="true",
        WANDB_ERROR_REPORTING="false",
        HOME=folder,
    )
    import wandb

    def log(count: int, width: int) -> float:
        names = [f"m{i}" for i in range(width)]
        settings = wandb.Settings(x_disable_stats=True, x_disable_meta=True)
        run = wandb.init(project="p", mode="offline", dir=folder, settings=settings)
        began = time.perf_counter()
        for step in range(count):
            run.log(dict.fromkeys(names, 1.0 / (step + 1)))
        run.finish()
        return count * width / (time.perf_counter() - began)

    log(100, 1)
    print(json.dumps({"": log(rows, 1), "wide": log(rows // 10, 20), "version": wandb.__version__}))
    sys.stdout.flush()
