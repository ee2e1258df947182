"""The processes of a run and the files that they hold open for writing."""

from __future__ import annotations

import os
from pathlib import Path

from ..proc import LINUX, _tool, run_processes

_MAX = 512


def processes_of(root: int | None, run_id: str | None = None) -> list[int]:
    """A process and all below it; without a root, those whose environment names the run."""
    if root is not None and LINUX:
        return _tree(root)
    if run_id is not None:
        return [process.pid for process in run_processes(run_id)]
    return [root] if root is not None else []


def _tree(root: int) -> list[int]:
    found: list[int] = []
    todo = [root]
    while todo and len(found) < _MAX:
        pid = todo.pop()
        try:
            tasks = os.listdir(f"/proc/{pid}/task")
            found.append(pid)
            for task in tasks:
                todo += map(int, Path(f"/proc/{pid}/task/{task}/children").read_bytes().split())
        except (OSError, ValueError):
            continue  # it ended while we looked
    return found


def written_files(pid: int) -> list[str]:
    """Paths of regular files that a process holds open for writing; [] if that may not be seen."""
    if not LINUX:
        return _written_by_lsof(pid)
    found: list[str] = []
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return []
    for name in names:
        try:
            path = os.readlink(f"/proc/{pid}/fd/{name}")
            if not path.startswith("/") or path.startswith(("/dev/", "/proc/", "/sys/")):
                continue
            info = Path(f"/proc/{pid}/fdinfo/{name}").read_text()
        except OSError:
            continue  # closed meanwhile
        flags = next((line.split()[1] for line in info.splitlines() if line.startswith("flags:")), "0")
        if int(flags, 8) & os.O_ACCMODE != os.O_RDONLY:
            found.append(path.removesuffix(" (deleted)"))
    return found


def _written_by_lsof(pid: int) -> list[str]:
    found: list[str] = []
    access = ""
    for line in _tool("lsof", "-p", str(pid), "-Fan").splitlines():
        if line.startswith("f"):
            access = ""
        elif line.startswith("a"):
            access = line[1:]
        elif line.startswith("n/") and access in ("w", "u") and not line.startswith("n/dev/"):
            found.append(line[1:])
    return found
