"""What can be known of processes from outside, without psutil: Linux by /proc, macOS by `ps` and `sysctl`.

A process is named by its pid *and* its start time, on a boot: a pid alone may have been given to another since.
Nothing here signals anybody; only a run's wrapper does.
"""

from __future__ import annotations

import os
import sys
import time
from functools import cache
from pathlib import Path
from typing import NamedTuple

LINUX = sys.platform.startswith("linux")


class Process(NamedTuple):
    pid: int
    start_time: float


def wrapper_path() -> str:
    """The one file that runs as every run's wrapper: `python -I -S <this> RUN_DIR`."""
    return str(Path(__file__).with_name("wrapper.py"))


def _tool(*argv: str) -> str:
    """The output of a small system program; "" if it is missing, fails or takes longer than 5 s."""
    import subprocess  # here: a sidecar on Linux never needs it, and it is a tenth of its start

    try:
        env = {"PATH": "/bin:/usr/bin:/sbin:/usr/sbin", "LC_ALL": "C"}
        done = subprocess.run(argv, capture_output=True, timeout=5, env=env, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""


@cache
def boot_id() -> str:
    """Names this boot of this machine; "" where the system does not tell."""
    if LINUX:
        try:
            return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return ""
    return _tool("sysctl", "-n", "kern.bootsessionuuid").strip()


def _stat(pid: int) -> list[bytes] | None:
    """The fields of /proc/PID/stat from the third on (state first); None if there is no such process."""
    try:
        data = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    return data[data.rfind(b")") + 2 :].split()  # the name may hold blanks and brackets


def start_time(pid: int) -> float | None:
    """When a process began: clock ticks since boot on Linux (field 22 of its stat), unix seconds elsewhere.

    Only ever compared with an earlier answer for the same machine. None: no such process, or it is a zombie.
    """
    if LINUX:
        fields = _stat(pid)
        return None if fields is None or fields[0] in (b"Z", b"X") else float(fields[19])
    state, _, started = _tool("ps", "-o", "stat=,lstart=", "-p", str(pid)).strip().partition(" ")
    if not started or state.startswith("Z"):
        return None
    try:
        return time.mktime(time.strptime(started.strip(), "%a %b %d %H:%M:%S %Y"))
    except ValueError:
        return None


def alive(pid: int, started: float, boot: str = "") -> bool:
    """Whether that very process still runs. boot: the boot id noted with it; "" skips that comparison.

    A zombie counts as dead: it will do nothing more.
    """
    if boot and boot_id() and boot != boot_id():
        return False
    return start_time(pid) == started


def pids() -> list[int]:
    """The processes that exist now."""
    if LINUX:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [int(word) for word in _tool("ps", "-axo", "pid=").split()]


def environ_scan(name: str, value: str) -> list[Process]:
    """The processes that were started with NAME=value in their environment, as far as we may look.

    That is: those of the same user. A process's own later changes to its environment are not seen.
    """
    wanted = f"{name}={value}".encode("utf-8", "surrogateescape")
    found = []
    if LINUX:
        for pid in pids():
            started = start_time(pid)
            if started is not None and wanted in _environ(pid):
                found.append(Process(pid, started))
        return found
    for line in _tool("ps", "-Eww", "-axo", "pid=,command=").splitlines():
        pid_text, _, rest = line.strip().partition(" ")
        if f" {name}={value} " in rest + " " and (started := start_time(int(pid_text))) is not None:
            found.append(Process(int(pid_text), started))
    return found


def _environ(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def environ_of(pid: int) -> dict[str, str]:
    """A process's environment at its start; {} if it may not be read (another user's, or not Linux)."""
    pairs = (entry.decode("utf-8", "surrogateescape").partition("=") for entry in _environ(pid) if entry)
    return {name: value for name, _, value in pairs}


def run_processes(run_id: str) -> list[Process]:
    """The job's processes of a run, its sidecar left out: what still lives when a wrapper was killed."""
    found = environ_scan("RAGENT_RUN_ID", run_id)
    return [one for one in found if b"RAGENT_ROLE=sidecar" not in _environ(one.pid)]


def open_files(pid: int) -> list[str]:
    """Paths of the files that a process holds open, deleted ones left out; [] if that may not be seen."""
    if LINUX:
        found = []
        try:
            names = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            return []
        for name in names:
            try:
                path = os.readlink(f"/proc/{pid}/fd/{name}")
            except OSError:
                continue  # closed meanwhile
            if path.startswith("/") and not path.startswith(("/dev/", "/proc/")) and not path.endswith(" (deleted)"):
                found.append(path)
        return found
    lines = _tool("lsof", "-p", str(pid), "-Fn").splitlines()
    return [line[1:] for line in lines if line.startswith("n/") and not line.startswith("n/dev/")]


def cwd_of(pid: int) -> str | None:
    """The working folder of a process; None if that may not be seen."""
    if LINUX:
        try:
            return os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            return None
    lines = _tool("lsof", "-a", "-p", str(pid), "-d", "cwd", "-Fn").splitlines()
    return next((line[1:] for line in lines if line.startswith("n")), None)
