"""Hashes of the files that judge a run and of what they import, taken before it is launched and after it has ended.

A change makes the run void (`rules/wild_evidence.voided`). The user's own hand may have made it: void says that the
numbers cannot be compared, not who cheated.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from ragent_jupyter.domain.wild import Setup
from ragent_jupyter.rules.wild_evidence import MISSING, TOO_MANY, UNREADABLE

from .eval_imports import Imports, allowed

MOST_FILES = 20_000
WHOLE_BYTES = 512 * 2**20  # larger files are told by their ends, size and times
_END = 4 * 2**20
_CHUNK = 2**20
# Written by every run without anybody's intent.
_BESIDE = frozenset({"__pycache__", ".ipynb_checkpoints", ".git", ".ragent"})
# A file that was changed this short ago may change again without a new time stamp: it is hashed each time.
_YOUNG_S = 2.0
_KEEP = 50_000

_Stamp = tuple[int, int, int, int, int]


class Look(Struct, frozen=True):
    """What stood there. files: path (as the setup names it, files of folders below it) -> sha256, or why there is none.

    times: path -> when it was last written or moved, by the clock of the file system, which nobody but root can set
    back.
    """

    files: dict[str, str]
    times: dict[str, list[int]]


class EvalFiles:
    """Takes snapshots off the loop's thread. What a file's time stamps and inode say is unchanged is not read again.

    The change time counts among them: it cannot be set back by who writes the file.
    """

    def __init__(self) -> None:
        self._known: dict[_Stamp, str] = {}
        self._lock = threading.Lock()
        self._imports = Imports()

    async def snapshot(self, setup: Setup, root: str | Path) -> dict[str, str]:
        """path (as the setup names it, files of folders below it) -> sha256, or why there is none. Raises nothing."""
        if not setup.eval_files:
            return {}
        return await asyncio.to_thread(self.snapshot_now, setup, root)

    def snapshot_now(self, setup: Setup, root: str | Path, top: str | Path | None = None) -> dict[str, str]:
        """The same, in this thread. root: what relative paths are relative to."""
        return self.look_now(setup, root, top).files

    def look_now(self, setup: Setup, root: str | Path, top: str | Path | None = None) -> Look:
        """What the setup names and what that imports from the project.  top: the project's folder, default root."""
        base = os.fspath(root)
        above = os.fspath(top) if top is not None else base
        found: dict[str, str] = {}
        paths: dict[str, str] = {}
        for name in setup.eval_files:
            self._look(name, os.path.join(base, os.path.expanduser(name)), found, set(), paths)
            if len(found) > MOST_FILES:
                break
        for name, path in self.imported(setup, paths, base, above).items():
            if name not in found:
                self._look(name, path, found, set(), paths)
        return Look(found, {name: when for name, path in paths.items() if (when := _times(path))})

    def imported(self, setup: Setup, paths: Mapping[str, str], root: str, top: str) -> dict[str, str]:
        """name -> path of what these files import from the project, less what a person let the loop change."""
        found = self._imports.of(paths, root, top)
        return {name: path for name, path in sorted(found.items()) if not allowed(setup, name, root, top)}

    def _look(
        self, name: str, path: str, found: dict[str, str], above: set[tuple[int, int]], paths: dict[str, str]
    ) -> None:
        """A file, or all files of a folder. above: folders on the way, so that a link in a circle ends.  paths: filled
        with where the files are."""
        if len(found) >= MOST_FILES:
            found[TOO_MANY] = f"more than {MOST_FILES}"
            return
        try:
            about = os.stat(path)  # links are followed: what is read counts, not the name
        except OSError as error:
            gone = isinstance(error, (FileNotFoundError, NotADirectoryError))
            found[name] = MISSING if gone else UNREADABLE
            return
        if stat.S_ISREG(about.st_mode):
            found[name] = self._hash(path)
            paths[name] = path
            return
        if not stat.S_ISDIR(about.st_mode):
            found[name] = "not a file"
            return
        here = (about.st_dev, about.st_ino)
        if here in above:
            return
        try:
            names = sorted(os.listdir(path))
        except OSError:
            found[name] = UNREADABLE
            return
        # An empty folder and one that is not there are different things.
        found[f"{name.rstrip('/')}/"] = "folder"
        for one in names:
            if one not in _BESIDE:
                self._look(f"{name.rstrip('/')}/{one}", os.path.join(path, one), found, above | {here}, paths)

    def _hash(self, path: str) -> str:
        try:
            # A pipe that took the file's place must not hold this thread.
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return UNREADABLE
        with os.fdopen(handle, "rb", buffering=0):
            about = os.fstat(handle)
            stamp = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
            with self._lock:
                known = self._known.get(stamp)
            if known is not None:
                return known
            try:
                made = _digest(handle, about)
            except OSError:
                return UNREADABLE
            old = time.time() - max(about.st_ctime, about.st_mtime) > _YOUNG_S
            now = os.fstat(handle)
            if old and (now.st_size, now.st_mtime_ns, now.st_ctime_ns) == stamp[2:]:
                with self._lock:
                    if len(self._known) >= _KEEP:
                        self._known.clear()
                    self._known[stamp] = made
            return made


def _times(path: str) -> list[int]:
    """Of the file, and of the link where the name is one."""
    try:
        return [one.st_ctime_ns for one in (os.stat(path), os.lstat(path))]
    except OSError:
        return []


def _digest(handle: int, about: os.stat_result) -> str:
    total = hashlib.sha256()
    if about.st_size <= WHOLE_BYTES:
        while chunk := os.read(handle, _CHUNK):
            total.update(chunk)
        return total.hexdigest()
    for offset in (0, max(0, about.st_size - _END)):
        total.update(os.pread(handle, _END, offset))
    total.update(f"{about.st_size} {about.st_mtime_ns} {about.st_ctime_ns}".encode())
    return f"ends {total.hexdigest()}"
