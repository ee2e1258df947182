"""What the machine says about a run: CPU and memory of its process tree, its GPUs. Cheap, and never fatal.

On Linux the tree is read from /proc, which costs microseconds; psutil is imported only elsewhere. NVML is loaded on
the first sample through ctypes if the driver's library is there: no package is needed, and none is imported.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from pathlib import Path
from typing import Any

from ragent_jupyter.rules.watch import Activity

from .activity import Strays, connected, held, look, net_bytes, open_things, waits

_LINUX = sys.platform.startswith("linux")
_TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_MAX_PROCESSES = 512


class SystemProbe:
    """Samples one run. job_pid: the job's first process. gpu_ids: of the run; empty: those that its processes use.

    run_id: its processes carry it in their environment, wherever they go.
    """

    def __init__(self, job_pid: int | None, gpu_ids: list[int], run_id: str = "") -> None:
        self.job_pid = job_pid
        self._strays = Strays(f"RAGENT_RUN_ID={run_id}".encode()) if run_id else None
        self._gpus = _Nvml(gpu_ids)
        self._cpu: dict[int, float] = {}  # pid -> CPU seconds so far
        self._cpu_at: float | None = None
        self._limit = memory_limit()

    def sample(self) -> dict[str, float]:
        """cpu_percent (100 is one core), rss_bytes, processes, mem_limit_bytes, gpu_util, gpu_mem_*; what is known."""
        values: dict[str, float] = {}
        pids: list[int] = []
        if self.job_pid is not None:
            used = tree_usage(self.job_pid)
            pids = list(used)
            if used:
                now = time.monotonic()
                cpu = {pid: seconds for pid, (seconds, _) in used.items()}
                if self._cpu_at is not None and now > self._cpu_at:
                    spent = sum(s - self._cpu.get(pid, 0.0) for pid, s in cpu.items() if s >= self._cpu.get(pid, 0.0))
                    values["cpu_percent"] = round(100.0 * spent / (now - self._cpu_at), 1)
                self._cpu, self._cpu_at = cpu, now
                values["rss_bytes"] = float(sum(rss for _, rss in used.values()))
                values["processes"] = float(len(used))
                if self._limit:
                    values["mem_limit_bytes"] = float(self._limit)
        values.update(self._gpus.sample(pids))
        return values

    def activity(self, at: float) -> Activity | None:
        """What the job's processes do now; None if there are none, or this system does not show it."""
        if self.job_pid is None:
            return None
        tree = look(self.job_pid, self._strays.look(self.job_pid) if self._strays is not None else ())
        if tree is None:
            return None
        device, sockets = open_things(tree.pids)
        where = connected(self.job_pid, sockets)
        return Activity(
            at=at,
            cpu_s=tree.cpu_s,
            io_bytes=tree.io,
            net_bytes=net_bytes(self.job_pid) if where == "elsewhere" else None,
            connected=bool(where),
            waits=waits(tree),
            held=held(tree),
            gpu_util=self._gpus.sample(tree.pids).get("gpu_util"),
            uses_gpu=device or bool(self._gpus.ids),
        )


def tree_usage(root: int) -> dict[int, tuple[float, int]]:
    """pid -> (CPU seconds, resident bytes) of a process and all below it; {} if it is gone."""
    if not _LINUX:
        return _tree_usage_psutil(root)
    found: dict[int, tuple[float, int]] = {}
    todo = [root]
    while todo and len(found) < _MAX_PROCESSES:
        pid = todo.pop()
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            if fields[0] in (b"Z", b"X"):
                continue
            found[pid] = ((int(fields[11]) + int(fields[12])) / _TICK, int(fields[21]) * _PAGE)
            for task in os.listdir(f"/proc/{pid}/task"):
                todo += map(int, Path(f"/proc/{pid}/task/{task}/children").read_bytes().split())
        except (OSError, ValueError, IndexError):
            continue  # it ended while we looked
    return found


def _tree_usage_psutil(root: int) -> dict[int, tuple[float, int]]:
    import psutil

    found: dict[int, tuple[float, int]] = {}
    try:
        first = psutil.Process(root)
        processes = [first, *first.children(recursive=True)][:_MAX_PROCESSES]
    except psutil.Error:
        return {}
    for process in processes:
        try:
            times = process.cpu_times()
            found[process.pid] = (times.user + times.system, process.memory_info().rss)
        except psutil.Error:
            continue
    return found


def memory_limit() -> int | None:
    """Bytes that this machine, or the cgroup we are in, has; None if it does not say."""
    limits: list[int] = []
    try:
        limits.append(os.sysconf("SC_PHYS_PAGES") * _PAGE)
    except (OSError, ValueError):
        pass  # not every system counts its pages
    for name in _cgroup_files():
        try:
            text = Path(name).read_text().strip()
        except OSError:
            continue
        if text.isdigit() and 0 < int(text) < 1 << 60:
            limits.append(int(text))
    return min(limits, default=None)


def _cgroup_files() -> list[str]:
    names = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
    try:
        own = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return names
    for line in own:
        parts = line.split(":", 2)
        if len(parts) == 3 and parts[0] == "0" and parts[2] != "/":
            names.append(f"/sys/fs/cgroup{parts[2]}/memory.max")
    return names


class _Memory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


class _Utilization(ctypes.Structure):
    _fields_ = [("gpu", ctypes.c_uint), ("memory", ctypes.c_uint)]


class _ProcessInfo(ctypes.Structure):
    _fields_ = [
        ("pid", ctypes.c_uint),
        ("used", ctypes.c_ulonglong),
        ("gpu_instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    ]


class _Nvml:
    """The few calls of NVML that a sample needs. Without a driver: no GPU values, and no second try."""

    def __init__(self, gpu_ids: list[int]) -> None:
        self.ids = gpu_ids
        self._lib: Any = None
        self._handles: dict[int, ctypes.c_void_p] = {}
        self._tried = False

    def _load(self) -> None:
        self._tried = True
        try:
            lib = ctypes.CDLL("libnvidia-ml.so.1")
            if lib.nvmlInit_v2() != 0:
                return
            count = ctypes.c_uint()
            if lib.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
                return
            for index in range(count.value):
                handle = ctypes.c_void_p()
                if lib.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)) == 0:
                    self._handles[index] = handle
        except (OSError, AttributeError):
            return
        self._lib = lib

    def sample(self, pids: list[int]) -> dict[str, float]:
        if not self._tried:
            self._load()
        if self._lib is None:
            return {}
        wanted = self.ids or [index for index in self._handles if self._uses(index, pids)]
        util: list[float] = []
        fullest: tuple[float, int, int] | None = None
        for index in wanted:
            handle = self._handles.get(index)
            if handle is None:
                continue
            use, memory = _Utilization(), _Memory()
            if self._lib.nvmlDeviceGetUtilizationRates(handle, ctypes.byref(use)) == 0:
                util.append(float(use.gpu))
            if self._lib.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) == 0 and memory.total:
                share = memory.used / memory.total
                if fullest is None or share > fullest[0]:
                    fullest = (share, memory.used, memory.total)
        values: dict[str, float] = {}
        if util:
            values["gpu_util"] = max(util)
        if fullest:
            values["gpu_mem_used_bytes"], values["gpu_mem_total_bytes"] = float(fullest[1]), float(fullest[2])
        return values

    def _uses(self, index: int, pids: list[int]) -> bool:
        """Whether one of these processes computes on that GPU."""
        if not pids:
            return False
        count = ctypes.c_uint(128)
        infos = (_ProcessInfo * 128)()
        try:
            code = self._lib.nvmlDeviceGetComputeRunningProcesses_v3(
                self._handles[index], ctypes.byref(count), ctypes.byref(infos)
            )
        except AttributeError:
            return False
        return code == 0 and any(infos[i].pid in pids for i in range(min(count.value, 128)))
