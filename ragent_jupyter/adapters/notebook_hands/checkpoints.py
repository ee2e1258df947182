"""What cells were before a turn's edits, in `.ragent/checkpoints/notebooks/TURN/`: one file a notebook."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.errors import BadInput
from ragent_jupyter.domain.notebooks import CellChange
from ragent_jupyter.runfiles.jsonl import atomic_write

from .cells import merge

_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
KEEP_S = 30 * 86400.0


class Kept(Struct, frozen=True, kw_only=True):
    path: str  # of the notebook, relative to the project
    changes: list[CellChange]


_decode = msgspec.json.Decoder(Kept).decode


class Checkpoints:
    """All calls block; the files are small. Raise BadInput for an id that could not name a folder, OSError."""

    def __init__(self, project: Path) -> None:
        self.folder = project / ".ragent" / "checkpoints" / "notebooks"

    def _file(self, id: str, path: str) -> Path:
        if not _ID.fullmatch(id):
            raise BadInput(f"{id[:80]!r} names no checkpoint.", "Give the id of a turn.")
        name = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        return self.folder / id / f"{name}.json"

    def add(self, id: str, path: str, changes: Sequence[CellChange]) -> None:
        """Join what the id already keeps of this notebook."""
        kept = self.of(id, path)
        self.put(id, path, merge(kept, changes))

    def put(self, id: str, path: str, changes: Sequence[CellChange]) -> None:
        file = self._file(id, path)
        if changes:
            file.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(file, msgspec.json.encode(Kept(path=path, changes=list(changes))), mode=0o600)
            return
        file.unlink(missing_ok=True)
        if file.parent.is_dir() and not any(file.parent.iterdir()):
            file.parent.rmdir()

    def of(self, id: str, path: str) -> list[CellChange]:
        kept = _read(self._file(id, path))
        return kept.changes if kept is not None else []

    def of_id(self, id: str) -> list[Kept]:
        folder = self._file(id, "").parent
        return [kept for kept in map(_read, sorted(folder.glob("*.json"))) if kept is not None]

    def of_path(self, path: str) -> list[tuple[str, list[CellChange]]]:
        """(id, changes) of every checkpoint that keeps cells of this notebook, oldest first."""
        name = self._file("x", path).name
        found = []
        for file in sorted(self.folder.glob(f"*/{name}"), key=_written):
            kept = _read(file)
            if kept is not None and kept.path == path:
                found.append((file.parent.name, kept.changes))
        return found

    def prune(self, ids_in_use: Iterable[str] = ()) -> None:
        """Forget checkpoints that nobody asked for in a month."""
        keep = set(ids_in_use)
        for folder in self.folder.glob("*"):
            if folder.name not in keep and time.time() - _written(folder) > KEEP_S:
                shutil.rmtree(folder, ignore_errors=True)


def _written(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _read(file: Path) -> Kept | None:
    try:
        return _decode(file.read_bytes())
    except FileNotFoundError:
        return None
    except msgspec.DecodeError:
        # Damaged by hand or by another version: it cannot be undone from, and must not be taken for the truth.
        os.replace(file, file.with_suffix(".broken"))
        return None
