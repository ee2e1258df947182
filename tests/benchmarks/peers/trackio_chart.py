"""trackio: what its dashboard reads for one run, at most 3,000 rows; each time of another project (no cache)."""

import json
import os
import statistics
import sys
import tempfile
import time

points = int(sys.argv[1])
with tempfile.TemporaryDirectory(prefix="bench") as folder:
    os.environ.update(TRACKIO_DIR=folder, HF_HUB_OFFLINE="1", GRADIO_ANALYTICS_ENABLED="False")
    import trackio
    from trackio.sqlite_storage import SQLiteStorage

    sys.stdout = sys.stderr
    times = []
    for project in ("warm", "a", "b"):
        trackio.init(project=project, name="r", embed=False, auto_log_gpu=False, auto_log_cpu=False)
        for step in range(points if project != "warm" else 1000):
            trackio.log({"loss": 1.0 / (step + 1)})
        trackio.finish()
        began = time.perf_counter()
        rows = SQLiteStorage.get_logs(project, "r", max_points=3000)
        times.append(1000 * (time.perf_counter() - began))
        assert rows
    sys.stdout = sys.__stdout__
    print(json.dumps({"(<= 3,000 rows)": statistics.median(times[1:]), "version": trackio.__version__}))
    sys.stdout.flush()
