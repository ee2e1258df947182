"""Paths inside a project, walked one name at a time on open folders, so that no link can lead out in between.

Checking a path and then opening it by name leaves a moment in which a folder can be swapped for a link. Here every
folder is opened from its parent with O_NOFOLLOW, links are resolved by us, and the last name is opened from the folder
that was reached.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotAllowed, NotFound, TooLarge, WrongMoment

from .refused import why_refused

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: should a pipe take a file's place after we looked, opening it must not wait for a writer.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_MOST_LINKS = 40
_MOST_NAMES = 200


class Spot:
    """A place in the tree: an open folder and a name in it. Valid inside `Tree.at`.

    parts: names from the project down, links resolved; () is the project itself.  about: None if nothing is there.
    missing: names of folders between `parts[:-1]` and the last that do not exist yet.
    """

    def __init__(self, folder: int, parts: tuple[str, ...], about: os.stat_result | None, missing: int) -> None:
        self.folder = folder
        self.parts = parts
        self.about = about
        self.missing = missing

    @property
    def path(self) -> str:
        return "/".join(self.parts) or "."

    @property
    def name(self) -> str:
        return self.parts[-1] if self.parts else "."

    @property
    def is_file(self) -> bool:
        return self.about is not None and stat.S_ISREG(self.about.st_mode)

    @property
    def is_folder(self) -> bool:
        return self.about is not None and stat.S_ISDIR(self.about.st_mode)


class Tree:
    """The project's folder. keep_out: folders that are refused wherever they lie (Jupyter's runtime files)."""

    def __init__(self, root: str | os.PathLike[str], keep_out: Sequence[str | os.PathLike[str]] = ()) -> None:
        self.given = os.path.abspath(root)
        self.root = os.path.realpath(root)
        self._keep_out = [os.fspath(folder) for folder in keep_out]

    def names(self, path: str) -> list[str]:
        """The names of a path from the project down, `..` and links not yet resolved.

        Raises BadInput for what is no path, NotAllowed for an absolute one outside.
        """
        if not path or "\0" in path or any("\ud800" <= char <= "\udbff" for char in path):
            raise BadInput("A path must have a name and no NUL character.", "Give a path relative to the project.")
        if len(path) > 4096 or path.count("/") > _MOST_NAMES:
            raise BadInput("The path is too long.", "Give a path relative to the project.")
        if path == "~" or path.startswith("~/"):
            raise _outside(path)
        names = [name for name in path.split("/") if name not in ("", ".")]
        if not path.startswith("/"):
            return names
        for root in (self.root, self.given):
            above = Path(root).parts[1:]
            if tuple(names[: len(above)]) == above:
                return names[len(above) :]
        raise _outside(path)

    @contextmanager
    def at(self, path: str, *, write: bool = False) -> Iterator[Spot]:
        """Go to a path. Raises BadInput, NotAllowed (outside, or refused), NotFound (a folder on the way is a file)."""
        asked = self.names(path)
        self._check(path, asked, write)
        stack = [self._open_root()]
        try:
            barred = self._barred()
            spot = self._walk(path, asked, stack, barred)
            self._check(path, spot.parts, write)
            yield spot
        finally:
            for fd in stack:
                os.close(fd)

    def _walk(self, path: str, todo: list[str], stack: list[int], barred: set[tuple[int, int]]) -> Spot:
        done: list[str] = []
        links = 0
        todo = list(todo)
        while todo:
            name = todo.pop(0)
            if name in ("", "."):
                continue
            if name == "..":
                if not done:
                    raise _outside(path)
                done.pop()
                os.close(stack.pop())
                continue
            about = _look(stack[-1], name, path)
            if about is None:
                if ".." in todo:
                    raise NotFound(f"There is no folder {'/'.join([*done, name])!r}.", "Look with list_files.")
                rest = [one for one in todo if one not in ("", ".")]
                return Spot(stack[-1], (*done, name, *rest), None, len(rest))
            if stat.S_ISLNK(about.st_mode):
                links += 1
                if links > _MOST_LINKS:
                    raise CannotBeDone(f"{path!r} goes round in links.", "Name the file itself.")
                target = self._target(stack[-1], name, path)
                if target.startswith("/"):
                    inside = self.names(target)
                    while len(stack) > 1:
                        os.close(stack.pop())
                    done = []
                    todo = [*inside, *todo]
                else:
                    todo = [*target.split("/"), *todo]
                continue
            if (about.st_dev, about.st_ino) in barred:
                raise NotAllowed(f"{path!r} is not for an agent: it keeps runtime files.", "Work without it.")
            if not stat.S_ISDIR(about.st_mode):
                if any(one not in ("", ".") for one in todo):
                    raise NotFound(f"{'/'.join([*done, name])!r} is a file, not a folder.", "Look with list_files.")
                return Spot(stack[-1], (*done, name), about, 0)
            try:
                fd = os.open(name, _FOLDER, dir_fd=stack[-1])
            except OSError as error:
                raise _refusal(error, path) from None
            stack.append(fd)
            done.append(name)
        # A folder: the spot is inside its parent, except for the project itself.
        about = os.fstat(stack[-1])
        return Spot(stack[-1] if not done else stack[-2], tuple(done), about, 0)

    def _target(self, folder: int, name: str, path: str) -> str:
        try:
            return os.readlink(name, dir_fd=folder)
        except OSError as error:
            raise _refusal(error, path) from None

    def _check(self, path: str, parts: Sequence[str], write: bool) -> None:
        why = why_refused(parts, write=write)
        if why:
            raise NotAllowed(
                f"{path!r} is not for an agent: {why}.",
                "Work without it; what a person must enter there, ask the person to.",
            )

    def _open_root(self) -> int:
        try:
            return os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise CannotBeDone(
                f"The project's folder cannot be opened: {error.strerror}.", "See that it is there."
            ) from None

    def _barred(self) -> set[tuple[int, int]]:
        found = set()
        for folder in self._keep_out:
            try:
                about = os.stat(folder)
            except OSError:
                continue  # not made yet, so nothing is in it
            found.add((about.st_dev, about.st_ino))
        return found


def _look(folder: int, name: str, path: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _refusal(error, path) from None


def _outside(path: str) -> NotAllowed:
    return NotAllowed(f"{path!r} leads out of the project.", "Only files inside the project can be used.")


def _refusal(error: Exception, path: str) -> Exception:
    number = getattr(error, "errno", None)
    if number in (errno.ELOOP, errno.ENOTDIR, errno.ENOENT):
        return WrongMoment(f"{path!r} changed while it was looked at.", "Look again.")
    if number in (errno.EACCES, errno.EPERM):
        return NotAllowed(f"{path!r} may not be opened: its permissions forbid it.", "Ask the person.")
    if number == errno.ENAMETOOLONG:
        return BadInput("A name in the path is too long.", "Give a path relative to the project.")
    return CannotBeDone(f"{path!r} cannot be opened: {getattr(error, 'strerror', None) or error}.", "")


def open_file(spot: Spot) -> int:
    """The descriptor of a regular file, for reading. Raises NotFound, CannotBeDone (a folder, a pipe, a device)."""
    if spot.about is None:
        raise NotFound(f"There is no file {spot.path!r}.", "Look with list_files or search_files.")
    if not spot.is_file:
        raise CannotBeDone(f"{spot.path!r} is {kind_of(spot.about.st_mode)}, not a file.", "Name a file.")
    try:
        fd = os.open(spot.name, _FILE, dir_fd=spot.folder)
    except OSError as error:
        raise _refusal(error, spot.path) from None
    about = os.fstat(fd)
    if not stat.S_ISREG(about.st_mode):
        os.close(fd)
        raise WrongMoment(f"{spot.path!r} changed while it was looked at.", "Look again.")
    return fd


def read_bytes(spot: Spot, most: int) -> tuple[bytes, os.stat_result]:
    """The file's bytes. Raises also TooLarge beyond `most` bytes."""
    fd = open_file(spot)
    with os.fdopen(fd, "rb") as file:
        about = os.fstat(fd)
        data = file.read(most + 1) if about.st_size <= most else b""
        if about.st_size > most or len(data) > most:
            raise TooLarge(
                f"{spot.path!r} has {about.st_size:,} bytes; at most {most:,} are read.",
                "Look into it with search_files, or with a shell command such as tail.",
            )
        return data, about


def kind_of(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISLNK(mode):
        return "a link"
    if stat.S_ISFIFO(mode):
        return "a pipe"
    if stat.S_ISSOCK(mode):
        return "a socket"
    if stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
        return "a device"
    return "a file"
