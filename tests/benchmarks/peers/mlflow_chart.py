"""MLflow on SQLite: what its charts read, 320 points of one metric's history, and the whole history."""

import json
import os
import statistics
import sys
import tempfile
import time

points = int(sys.argv[1])
os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="1", MLFLOW_LOGGING_LEVEL="ERROR")
with tempfile.TemporaryDirectory(prefix="bench") as folder:
    os.chdir(folder)
    import mlflow
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{folder}/m.db"
    mlflow.set_tracking_uri(uri)
    client = MlflowClient(uri)
    run = client.create_run(client.create_experiment("e", artifact_location=f"{folder}/a")).info.run_id
    for batch in range(0, points, 1000):
        steps = range(batch, batch + 1000)
        client.log_batch(run, metrics=[Metric("loss", 1.0 / (s + 1), 1790000000000 + s, s) for s in steps])

    def timed(read) -> float:
        read()
        found = []
        for _ in range(3):
            began = time.perf_counter()
            assert read()
            found.append(1000 * (time.perf_counter() - began))
        return statistics.median(found)

    found = {"whole history": timed(lambda: client.get_metric_history(run, "loss"))}
    store = client._tracking_client.store
    bulk = getattr(store, "get_metric_history_bulk_interval_from_steps", None)
    if bulk is not None:
        wanted = list(range(0, points, max(1, points // 320)))
        found["320 points"] = timed(lambda: bulk(run, "loss", wanted, 320))
    print(json.dumps({**found, "version": mlflow.__version__}))
