"""MLflow on SQLite: log_metric a step (visible at once, as ours), and log_batch of 1,000 (its fastest, not at once)."""

import json
import os
import sys
import tempfile
import time

rows = int(sys.argv[1])
os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="1", MLFLOW_LOGGING_LEVEL="ERROR")
with tempfile.TemporaryDirectory(prefix="bench") as folder:
    os.chdir(folder)
    import mlflow
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{folder}/m.db"
    mlflow.set_tracking_uri(uri)
    client = MlflowClient(uri)
    experiment = client.create_experiment("e", artifact_location=f"{folder}/a")

    def one_by_one(count: int) -> float:
        run = client.create_run(experiment).info.run_id
        began = time.perf_counter()
        for step in range(count):
            client.log_metric(run, "m0", 1.0 / (step + 1), step=step)
        return count / (time.perf_counter() - began)

    def batches(count: int) -> float:
        run = client.create_run(experiment).info.run_id
        began = time.perf_counter()
        for batch in range(count):
            steps = range(batch * 1000, batch * 1000 + 1000)
            client.log_batch(run, metrics=[Metric("m0", 1.0 / (s + 1), 1790000000000 + s, s) for s in steps])
        return count * 1000 / (time.perf_counter() - began)

    one_by_one(20)
    batches(1)
    found = {"log_metric": one_by_one(rows), "log_batch(1000)": batches(max(2, rows // 100))}
    print(json.dumps({**found, "version": mlflow.__version__}))
