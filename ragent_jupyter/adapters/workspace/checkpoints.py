"""What files were before an agent's edits: `.ragent/checkpoints/ID/`, for taking a turn back.

`kept.jsonl` there has one line for each file kept, {"path", "before": sha256 or "", "mode"}, and one for each write
that follows, {"path", "after": sha256}; the bytes lie beside it under their sha256. A line for a write is on disk
before the write, so after a crash the file is one of the two.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotFound


class Kept(msgspec.Struct):
    """One file of a checkpoint. after: what ragent made of it, each version. before "": there was none."""

    path: str
    before: str
    mode: int = 0o644
    after: list[str] = msgspec.field(default_factory=list)


class Checkpoints:
    def __init__(self, root: str) -> None:
        self._folder = Path(root) / ".ragent" / "checkpoints"
        # Which checkpoint kept a file last: what is written belongs to that one.
        self._newest: dict[str, str] = {}

    def keep(self, id: str, path: str, data: bytes | None, mode: int) -> None:
        """Keep a file as it is now, unless this checkpoint has it already. data: None where there is no file."""
        with _writing():
            if path not in self._read(id):
                folder = self._of(id)
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                before = "" if data is None else hashlib.sha256(data).hexdigest()
                if data is not None and not (folder / before).exists():
                    _put(folder / before, data)
                _append(folder / "kept.jsonl", {"path": path, "before": before, "mode": mode})
            self._newest[path] = id

    def writes(self, path: str, sha256: str) -> None:
        """ragent is about to make this of the file ("" = remove it)."""
        id = self._newest.get(path)
        if id is not None:
            with _writing():
                _append(self._of(id) / "kept.jsonl", {"path": path, "after": sha256})

    def kept(self, id: str) -> list[Kept]:
        """In the order in which they were kept. Raises NotFound."""
        found = self._read(id)
        if not found:
            raise NotFound(f"There is no checkpoint {id!r}.", "Nothing was edited then, or it was cleared away.")
        return list(found.values())

    def bytes_of(self, id: str, sha256: str) -> bytes:
        try:
            data = (self._of(id) / sha256).read_bytes()
        except OSError as error:
            raise CannotBeDone(f"The checkpoint's copy cannot be read: {error.strerror}.", "Use git.") from None
        if hashlib.sha256(data).hexdigest() != sha256:
            raise CannotBeDone("The checkpoint's copy is damaged.", "Use git.")
        return data

    def _of(self, id: str) -> Path:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", id):
            raise BadInput(f"{id[:100]!r} is no id of a checkpoint.", "Use letters, digits, - and _.")
        return self._folder / id

    def _read(self, id: str) -> dict[str, Kept]:
        try:
            lines = (self._of(id) / "kept.jsonl").read_bytes().splitlines()
        except FileNotFoundError:
            return {}
        found: dict[str, Kept] = {}
        for line in lines:
            try:
                row: dict[str, Any] = msgspec.json.decode(line)
            except msgspec.DecodeError:
                continue  # torn by a crash: what it announced was not done yet
            if "before" in row:
                found.setdefault(row["path"], Kept(row["path"], row["before"], row["mode"]))
            elif row["path"] in found:
                found[row["path"]].after.append(row["after"])
        return found


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CannotBeDone(
            f"The checkpoint cannot be written: {error.strerror or error}.", "Free disk space; nothing was changed."
        ) from error


def _put(path: Path, data: bytes) -> None:
    temp = path.with_name(path.name + ".new")
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(fd)
    os.replace(temp, path)


def _append(path: Path, row: dict[str, Any]) -> None:
    """One line, on disk when this returns. A line that a crash tore off before is ended first."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(fd).st_size
        torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
        os.write(fd, (b"\n" if torn else b"") + msgspec.json.encode(row) + b"\n")
        os.fsync(fd)
    finally:
        os.close(fd)
