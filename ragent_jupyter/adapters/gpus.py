"""The GPUs of this machine, by NVIDIA's management library; and fakes of them for tests and demonstrations."""

from __future__ import annotations

import copy
import json
import os
import threading
import time
from collections.abc import Mapping
from typing import Any

from ..domain.errors import BadInput
from ..domain.ports import Gpus

Listing = list[dict[str, Any]]  # named here: inside the classes `list` is their method

_FRESH = 1.0  # seconds that a listing is good for: a look at eight GPUs costs some milliseconds
_MISSING_FOR = 60.0  # seconds until a machine without the library is asked again (a driver may be installed meanwhile)


class NvmlGpus:
    """domain.ports.Gpus. Lists every process that holds memory of a GPU, also those that are none of our runs.

    An index is NVML's, which orders by PCI bus; CUDA counts alike only under CUDA_DEVICE_ORDER=PCI_BUS_ID. In a
    container the pids of processes outside it are of no process that we could know: they count as foreign, as they
    should.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listing: Listing = []
        self._until = 0.0
        self._started = False

    def list(self) -> Listing:
        """See domain.ports.Gpus; memory in bytes, util in percent (None where the driver does not tell)."""
        with self._lock:
            now = time.monotonic()
            if now >= self._until:
                self._listing, lasts = self._look()
                self._until = now + lasts
            return copy.deepcopy(self._listing)

    def _look(self) -> tuple[Listing, float]:
        try:
            import pynvml
        except ImportError:
            return [], _MISSING_FOR
        try:
            if not self._started:
                pynvml.nvmlInit()
                self._started = True
            return [self._one(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())], _FRESH
        except pynvml.NVMLError:
            # No driver, or it was unloaded or updated under us: begin anew the next time.
            self._started = False
            return [], _MISSING_FOR

    def _one(self, nvml: Any, index: int) -> dict[str, Any]:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        name = nvml.nvmlDeviceGetName(handle)
        return {
            "index": index,
            "name": name.decode() if isinstance(name, bytes) else name,
            "memory_total": int(memory.total),
            "memory_used": int(memory.used),
            "util": self._told(nvml, lambda: int(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)),
            "processes": self._processes(nvml, handle),
        }

    def _processes(self, nvml: Any, handle: Any) -> Listing:
        """Compute and graphics processes, each pid once; memory None where it is not told (some containers)."""
        found: dict[int, int | None] = {}
        for ask in (nvml.nvmlDeviceGetComputeRunningProcesses, nvml.nvmlDeviceGetGraphicsRunningProcesses):
            for one in self._told(nvml, lambda ask=ask: ask(handle)) or ():
                found[int(one.pid)] = None if one.usedGpuMemory is None else int(one.usedGpuMemory)
        return [{"pid": pid, "memory": memory} for pid, memory in sorted(found.items())]

    def _told(self, nvml: Any, ask: Any) -> Any:
        """An answer that not every card and driver gives; None if this one does not."""
        try:
            return ask()
        except nvml.NVMLError:
            return None


class FakeGpus:
    """domain.ports.Gpus without hardware: `count` GPUs of 80 GB; `hold` puts a foreign process on one."""

    def __init__(self, count: int = 4) -> None:
        self._gpus: Listing = [
            {"index": i, "name": "Fake GPU", "memory_total": 80 << 30, "memory_used": 0, "util": 0, "processes": []}
            for i in range(count)
        ]

    def list(self) -> Listing:
        return copy.deepcopy(self._gpus)

    def hold(self, index: int, pid: int, memory: int = 1 << 30) -> None:
        """A process takes memory (bytes) of a GPU."""
        self.release(pid, index)
        self._gpus[index]["processes"].append({"pid": pid, "memory": memory})
        self._count(index)

    def release(self, pid: int, index: int | None = None) -> None:
        """A process lets go of one GPU, or of all."""
        for gpu in self._gpus if index is None else [self._gpus[index]]:
            gpu["processes"] = [one for one in gpu["processes"] if one["pid"] != pid]
            self._count(gpu["index"])

    def _count(self, index: int) -> None:
        gpu = self._gpus[index]
        gpu["memory_used"] = sum(one["memory"] for one in gpu["processes"])


def find_gpus(environ: Mapping[str, str] = os.environ) -> Gpus:
    """The machine's GPUs; fakes if RAGENT_FAKE_GPUS says how many ("4"), or which are held ('[[], [1234]]': pids).

    Raises BadInput if that is neither.
    """
    wanted = environ.get("RAGENT_FAKE_GPUS", "")
    if not wanted:
        return NvmlGpus()
    try:
        value = json.loads(wanted)
        held = [[]] * value if isinstance(value, int) else [[int(pid) for pid in pids] for pids in value]
    except (ValueError, TypeError):
        problem = f"RAGENT_FAKE_GPUS={wanted!r} is not understood."
        raise BadInput(problem, "Give a number, or a list of pids for each GPU: [[], [1234]].") from None
    fakes = FakeGpus(len(held))
    for index, pids in enumerate(held):
        for pid in pids:
            fakes.hold(index, pid)
    return fakes
