"""TensorBoard: reload of an event file by its EventAccumulator, all points or its usual reservoir of 1,000."""

import json
import sys
import tempfile
import time

import tensorboard
import tensorboardX
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

points = int(sys.argv[1])
with tempfile.TemporaryDirectory(prefix="bench") as folder:
    writer = tensorboardX.SummaryWriter(folder, max_queue=10_000)
    for step in range(points):
        writer.add_scalar("loss", 1.0 / (step + 1), step)
    writer.close()

    def reload(keep: int) -> float:
        began = time.perf_counter()
        accumulator = EventAccumulator(folder, size_guidance={"scalars": keep})
        accumulator.Reload()
        assert len(accumulator.Scalars("loss")) == (keep or points)
        return 1000 * (time.perf_counter() - began)

    reload(100)
    print(json.dumps({"all points": reload(0), "reservoir of 1,000": reload(1000), "version": tensorboard.__version__}))
