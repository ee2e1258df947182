"""A workspace in memory that passes the true one's contract suite. No links; folders come with their files."""

from __future__ import annotations

import fnmatch
import hashlib
import posixpath
import re
from collections.abc import Callable, Sequence

from ragent_jupyter.adapters.workspace.refused import why_refused
from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotAllowed, NotFound, WrongMoment
from ragent_jupyter.domain.ports_mind import FileEntry, FileHit


def _hash(data: str | bytes | None) -> str:
    if data is None:
        return ""
    return hashlib.sha256(data if isinstance(data, bytes) else data.encode()).hexdigest()


class FakeWorkspace:
    """files: relative path → text, or bytes where it is binary. `touch` is what another program writes."""

    def __init__(self, files: dict[str, str | bytes] | None = None, redact: Callable[[str], str] = str) -> None:
        self.files = dict(files or {})
        self._redact = redact
        self._kept: dict[str, dict[str, tuple[str | bytes | None, list[str]]]] = {}
        self._newest: dict[str, str] = {}

    def touch(self, path: str, text: str | bytes) -> None:
        self.files[path] = text

    def place(self, path: str, *, write: bool = False) -> str:
        if not path or "\0" in path:
            raise BadInput("A path must have a name.")
        plain = posixpath.normpath(path)
        if plain.startswith(("/", "..")) or path.startswith("~/"):
            raise NotAllowed(f"{path!r} leads out of the project.")
        if why_refused([name for name in plain.split("/") if name != "."], write=write):
            raise NotAllowed(f"{path!r} is not for an agent.")
        return plain

    def read(self, path: str, *, start: int = 1, lines: int = 400) -> tuple[str, int]:
        if start < 1 or lines < 1:
            raise BadInput("Lines count from 1.")
        every = self._redact(self.text(path).replace("\r\n", "\n")).split("\n")
        if every[-1] == "":
            every.pop()
        return "\n".join(every[start - 1 : start - 1 + lines]), len(every)

    def entries(self, path: str = ".", *, depth: int = 2, limit: int = 500) -> list[FileEntry]:
        base = self.place(path)
        start = () if base == "." else tuple(base.split("/"))
        if base in self.files:
            raise CannotBeDone(f"{path!r} is a file.")
        found: dict[str, FileEntry] = {}
        for name, data in self.files.items():
            parts = tuple(name.split("/"))
            if parts[: len(start)] != start or why_refused(parts):
                continue
            for n in range(len(start) + 1, min(len(parts), len(start) + depth) + 1):
                below = "/".join(parts[:n])
                size = len(data if isinstance(data, bytes) else data.encode())
                whole = n == len(parts)
                found[below] = FileEntry(below, "file" if whole else "folder", size if whole else 0)
        if not found and start:
            raise NotFound(f"There is no folder {path!r}.")
        first = sorted(found.values(), key=lambda entry: (entry.path.count("/"), entry.path))[:limit]
        return sorted(first, key=lambda entry: entry.path)

    def search(self, pattern: str, *, glob: str = "", limit: int = 100) -> list[FileHit]:
        try:
            wanted = re.compile(pattern)
        except re.error as error:
            raise BadInput(f"No regular expression: {error}.") from None
        hits = []
        for path, data in sorted(self.files.items()):
            if isinstance(data, bytes) or why_refused(path.split("/")):
                continue
            if glob and not fnmatch.fnmatchcase(path if "/" in glob else posixpath.basename(path), glob):
                continue
            for number, line in enumerate(self._redact(data).splitlines(), 1):
                if wanted.search(line):
                    hits.append(FileHit(path, number, line))
        return hits[:limit]

    def sha256(self, path: str) -> str:
        return _hash(self.files.get(self.place(path)))

    def text(self, path: str) -> str:
        data = self.files.get(self.place(path))
        if data is None:
            raise NotFound(f"There is no file {path!r}.")
        if isinstance(data, bytes):
            raise CannotBeDone(f"{path!r} is no text: binary data, {len(data)} bytes.")
        return data

    def write(self, path: str, text: str, *, expect: str) -> None:
        place = self.place(path, write=True)
        if self.sha256(path) != expect:
            raise WrongMoment(f"{path!r} was changed since it was read.")
        self._note(place, _hash(text))
        self.files[place] = text

    def remove(self, path: str, *, expect: str) -> None:
        place = self.place(path, write=True)
        if place not in self.files:
            raise NotFound(f"There is no file {path!r}.")
        if self.sha256(path) != expect:
            raise WrongMoment(f"{path!r} was changed since it was read.")
        self._note(place, "")
        del self.files[place]

    def _note(self, place: str, sha256: str) -> None:
        id = self._newest.get(place)
        if id is not None:
            self._kept[id][place][1].append(sha256)

    def checkpoint(self, paths: Sequence[str], id: str) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", id):
            raise BadInput(f"{id!r} is no id.")
        for path in paths:
            place = self.place(path, write=True)
            self._kept.setdefault(id, {}).setdefault(place, (self.files.get(place), []))
            self._newest[place] = id

    def restore(self, id: str) -> list[str]:
        if id not in self._kept:
            raise NotFound(f"There is no checkpoint {id!r}.")
        done, left = [], []
        for place, (before, after) in self._kept[id].items():
            now = _hash(self.files.get(place))
            if now == _hash(before):
                continue
            if now not in after:
                left.append(place)
                continue
            done.append(place)
            if before is None:
                del self.files[place]
            else:
                self.files[place] = before
        if left:
            raise WrongMoment(f"Changed by others since, and left as they are: {', '.join(left)}.")
        return done
