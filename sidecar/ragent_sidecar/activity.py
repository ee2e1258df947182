"""What the processes of a silent run do: CPU, bytes read and written, states, connections, GPU. Linux only, from /proc.

Looked at only while a run is silent, every few seconds: a tree of ten processes costs well below a millisecond. What
the kernel does not tell is None, and then the rules conclude nothing from it. Never fatal: processes end meanwhile.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct

LINUX = sys.platform.startswith("linux")
# A kernel that does not say whose children processes are would show a parent that waits, and nobody who works.
_TOLD = LINUX and os.path.exists(f"/proc/self/task/{os.getpid()}/children")
_TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_MAX_PROCESSES = 512
_MAX_THREADS = 2048  # over the whole tree; the states of more are not looked at
_MAX_FILES = 4096
_TABLE = 1 << 20  # bytes of the system's table of connections; a server with more is not looked through further
_DEVICES = (
    "/dev/nvidia", "/dev/kfd", "/dev/dri/render", "/dev/dxg", "/dev/accel", "/dev/vfio/", "/dev/neuron", "/dev/davinci",
    "/dev/hl",
)  # fmt: skip
_LOOPBACK_6 = "00000000000000000000000001000000"
_ESTABLISHED = "01"


class Tree(Struct):
    """Sums over one process tree. io: bytes; None where the kernel does not say. states: letters of all threads."""

    pids: list[int]
    cpu_s: float = 0.0
    io: float | None = 0.0
    states: str = ""
    traced: bool = False


class Strays:
    """Processes of a run that have another parent by now (nohup, setsid, a daemon): known by the mark they were given.

    What a process is does not change, so each is read once; a machine with thousands costs one listing a look.
    """

    def __init__(self, mark: bytes) -> None:
        self._mark = mark
        self._others: set[int] = {os.getpid()}
        self._ours: set[int] = set()

    def look(self, root: int) -> list[int]:
        """All that carry the mark, those below `root` as well, without us."""
        if not LINUX:
            return []
        pids = set(map(int, filter(str.isdigit, os.listdir("/proc"))))
        self._ours &= pids
        self._others &= pids
        for pid in pids - self._ours - self._others:
            (self._ours if self._marked(pid) else self._others).add(pid)
        return sorted(self._ours - {root})

    def _marked(self, pid: int) -> bool:
        try:
            return self._mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return False  # another user's, or gone


def look(root: int, strays: Sequence[int] = ()) -> Tree | None:
    """The tree under `root` now, and those of `strays`; None if it is gone, or not to be seen on this system.

    cpu_s counts children that have ended and were waited for, so it grows with whatever the tree does.
    """
    if not _TOLD:
        return None
    tree, todo, threads = Tree([]), [*strays, root], 0
    seen: set[int] = set()
    while todo and len(tree.pids) < _MAX_PROCESSES:
        pid = todo.pop()
        if pid in seen:
            continue
        seen.add(pid)
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            if fields[0] in (b"Z", b"X"):
                continue
            tree.pids.append(pid)
            tree.cpu_s += sum(map(int, fields[11:15])) / _TICK
            _read_io(tree, pid)
            tree.traced = tree.traced or _traced(pid)
            for task in os.listdir(f"/proc/{pid}/task"):
                threads += 1
                if threads <= _MAX_THREADS:
                    stat = Path(f"/proc/{pid}/task/{task}/stat").read_bytes()
                    tree.states += stat.rpartition(b")")[2].split(None, 1)[0].decode()
                todo += map(int, Path(f"/proc/{pid}/task/{task}/children").read_bytes().split())
        except (OSError, ValueError, IndexError):
            continue  # it ended while we looked
    return tree if root in tree.pids else None


def _read_io(tree: Tree, pid: int) -> None:
    """Bytes through read and write calls (page cache, pipes and files alike) and bytes from and to disks."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text().split("\n")
    except OSError:
        tree.io = None  # another user's, or a kernel that does not count
        return
    if tree.io is not None:
        counted = dict(line.split(": ") for line in lines if ": " in line)
        names = ("rchar", "wchar", "read_bytes", "write_bytes")
        tree.io += sum(float(counted.get(name, 0)) for name in names)


def _traced(pid: int) -> bool:
    """Whether a debugger holds on to it."""
    for line in Path(f"/proc/{pid}/status").read_text(errors="replace").split("\n"):
        if line.startswith("TracerPid:"):
            return line.split()[1] != "0"
    return False


def held(tree: Tree) -> bool:
    """Whether somebody stopped it (SIGSTOP) or debugs it."""
    return tree.traced or "T" in tree.states or "t" in tree.states


def waits(tree: Tree) -> bool:
    """Whether a thread runs or would (a machine that is too busy gives it nothing), or is in uninterruptible IO."""
    return "R" in tree.states or "D" in tree.states


def open_things(pids: list[int]) -> tuple[bool, set[str]]:
    """(whether the processes hold a GPU or another accelerator open, the numbers of their sockets)."""
    sockets: set[str] = set()
    device, seen = False, 0
    for pid in pids:
        try:
            for name in os.listdir(f"/proc/{pid}/fd"):
                seen += 1
                if seen > _MAX_FILES:
                    return device, sockets
                target = os.readlink(f"/proc/{pid}/fd/{name}")
                if target.startswith("socket:["):
                    sockets.add(target[8:-1])
                elif target.startswith(_DEVICES):
                    device = True
        except OSError:
            continue  # it ended while we looked
    return device, sockets


def connected(pid: int, sockets: set[str]) -> Literal["", "here", "elsewhere"]:
    """Where the other end of a TCP connection of these sockets is, as the network of `pid` sees it: on another machine,
    or with a program of this one that holds none of them."""
    if not sockets:
        return ""
    here: list[tuple[str, str]] = []
    ends: dict[tuple[str, str], str] = {}
    for table in ("tcp", "tcp6"):
        try:
            with open(f"/proc/{pid}/net/{table}") as file:
                lines = file.read(_TABLE).split("\n")[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if len(fields) <= 9 or fields[3] != _ESTABLISHED:
                continue
            near, far = _plain(fields[1]), _plain(fields[2])
            ends[near, far] = fields[9]
            if fields[9] in sockets:
                if not _this_machine(fields[2].split(":")[0]):
                    return "elsewhere"
                here.append((far, near))
    # "0": nobody has taken the connection yet, so nobody can say whose it will be.
    return "here" if any(ends.get(other, "0") not in {"0", *sockets} for other in here) else ""


def _plain(end: str) -> str:
    """
    >>> _plain("0000000000000000FFFF00000100007F:1F90"), _plain("0100007F:1F90")
    ('0100007F:1F90', '0100007F:1F90')
    """
    return end[24:] if end[:24] == "0000000000000000FFFF0000" else end


def _this_machine(address: str) -> bool:
    """An address as the kernel's table writes it, words in the machine's byte order: is it 127.x or ::1?

    >>> _this_machine("0100007F"), _this_machine("0000000000000000FFFF00000100007F"), _this_machine("0101A8C0")
    (True, True, False)
    """
    mapped = len(address) == 8 or address[16:24] == "FFFF0000"
    little = address[-2:] if sys.byteorder == "little" else address[-8:-6]
    return (mapped and little == "7F") or address == _LOOPBACK_6


def net_bytes(pid: int) -> float | None:
    """Bytes that the network of `pid` has received and sent so far, without what stayed on the machine."""
    try:
        lines = Path(f"/proc/{pid}/net/dev").read_text().split("\n")[2:]
    except OSError:
        return None
    total = 0.0
    for line in lines:
        name, colon, rest = line.partition(":")
        fields = rest.split()
        if colon and name.strip() != "lo" and len(fields) > 8:
            total += float(fields[0]) + float(fields[8])
    return total
