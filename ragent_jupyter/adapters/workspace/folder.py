"""domain.ports_mind.Workspace on a folder of this machine."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
import threading
from collections import deque
from collections.abc import Sequence
from typing import Literal

from ragent_jupyter.domain.errors import (
    BadInput,
    CannotBeDone,
    NotAllowed,
    NotFound,
    RagentError,
    TooLarge,
    WrongMoment,
)
from ragent_jupyter.domain.ports_mind import FileEntry, FileHit

from . import search as searching
from .checkpoints import Checkpoints, Kept
from .globs import globber
from .refused import why_refused
from .texts import Redact, blacked_out, decoded, encoded, split_lines
from .tree import Spot, Tree, kind_of, read_bytes

LARGEST_READ = 64_000_000  # bytes
LARGEST_EDIT = 5_000_000
MOST_LINES = 5_000
MOST_ENTRIES = 5_000
LONGEST_LINE = 4_000  # characters
_AROUND = 100  # lines before and after those asked for that are looked at for a secret that began there


class FolderWorkspace:
    """The project's folder. redact: blacks secrets out of a text.  keep_out: folders refused wherever they lie.

    Writers in this process take turns. What another program writes in the instant between the last look at a file and
    its replacement is lost, as with any editor.
    """

    def __init__(
        self, root: str | os.PathLike[str], redact: Redact, keep_out: Sequence[str | os.PathLike[str]] = ()
    ) -> None:
        self._tree = Tree(root, keep_out)
        self._redact = redact
        self._checkpoints = Checkpoints(self._tree.root)
        self._lock = threading.Lock()

    # --- looking ------------------------------------------------------------------------------------------------
    def place(self, path: str, *, write: bool = False) -> str:
        """The path as it truly lies in the project, links resolved. Raises as `read` does, and where it is refused."""
        with self._tree.at(path, write=write) as spot:
            return spot.path

    def read(self, path: str, *, start: int = 1, lines: int = 400) -> tuple[str, int]:
        if start < 1 or lines < 1:
            raise BadInput("Lines count from 1.", "Give start >= 1 and lines >= 1.")
        with self._tree.at(path) as spot:
            data, _ = read_bytes(spot, LARGEST_READ)
            every = split_lines(decoded(data, spot.path))
        first, last = start - 1, start - 1 + min(lines, MOST_LINES)
        before = min(first, _AROUND)
        safe = blacked_out(every[first - before : last + _AROUND], self._redact)[before : before + last - first]
        shown = (
            line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}… [{len(line):,} characters]" for line in safe
        )
        return "\n".join(shown), len(every)

    def entries(self, path: str = ".", *, depth: int = 2, limit: int = 500) -> list[FileEntry]:
        """Breadth first: a limit cuts what lies deepest. Refused names are left out, heavy folders not opened."""
        limit = max(1, min(limit, MOST_ENTRIES))
        with self._tree.at(path) as spot:
            if spot.about is None:
                raise NotFound(f"There is no folder {spot.path!r}.", "Look at its parent.")
            if not spot.is_folder:
                raise CannotBeDone(f"{spot.path!r} is {kind_of(spot.about.st_mode)}, not a folder.", "Use read_file.")
            found: list[FileEntry] = []
            todo = deque([(spot.parts, 1)])
            while todo and len(found) < limit:
                parts, level = todo.popleft()
                for name, about in self._names(parts):
                    below = (*parts, name)
                    if len(found) >= limit:
                        break
                    if why_refused(below):
                        continue
                    kind = _kind(about.st_mode)
                    if kind is None:
                        continue
                    shown = self._redact(searching.shown_name("/".join(below)))
                    found.append(FileEntry(shown, kind, about.st_size if kind == "file" else 0))
                    if kind == "folder" and level < depth and name not in searching.HEAVY:
                        todo.append((below, level + 1))
        return sorted(found, key=lambda entry: entry.path)

    def _names(self, parts: tuple[str, ...]) -> list[tuple[str, os.stat_result]]:
        """A folder's names in order, and what each is (a link as a link); [] if it went away or may not be opened."""
        try:
            with self._tree.at("/".join(parts) or ".") as spot:
                if spot.parts != parts:
                    return []  # it became a link meanwhile
                fd = os.open(spot.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=spot.folder)
        except (RagentError, OSError):
            return []
        try:
            found = []
            for name in sorted(os.listdir(fd)):
                try:
                    found.append((name, os.stat(name, dir_fd=fd, follow_symlinks=False)))
                except OSError:
                    continue  # gone again
            return found
        finally:
            os.close(fd)

    def search(self, pattern: str, *, glob: str = "", limit: int = 100) -> list[FileHit]:
        limit = max(1, min(limit, 1_000))
        return searching.search(self._tree, pattern, globber(glob), limit, self._redact)

    # --- changing -----------------------------------------------------------------------------------------------
    def sha256(self, path: str) -> str:
        with self._tree.at(path) as spot:
            if spot.about is None:
                return ""
            data, _ = read_bytes(spot, LARGEST_READ)
            return hashlib.sha256(data).hexdigest()

    def text(self, path: str) -> str:
        with self._tree.at(path) as spot:
            data, _ = read_bytes(spot, LARGEST_EDIT)
            return decoded(data, spot.path)

    def write(self, path: str, text: str, *, expect: str) -> None:
        with self._lock, self._tree.at(path, write=True) as spot:
            old = self._as_expected(spot, expect)
            data = encoded(text, old or b"", spot.path)
            if len(data) > LARGEST_EDIT:
                raise TooLarge(f"The text has {len(data):,} bytes; at most {LARGEST_EDIT:,} are written.", "Split it.")
            self._checkpoints.writes(spot.path, hashlib.sha256(data).hexdigest())
            _replace(spot, data, stat.S_IMODE(spot.about.st_mode) if spot.about else None, old)

    def remove(self, path: str, *, expect: str) -> None:
        """Delete a file if its sha256 still is `expect`."""
        with self._lock, self._tree.at(path, write=True) as spot:
            if spot.about is None:
                raise NotFound(f"There is no file {spot.path!r}.", "Look with list_files.")
            self._as_expected(spot, expect)
            self._checkpoints.writes(spot.path, "")
            os.unlink(spot.name, dir_fd=spot.folder)

    def _as_expected(self, spot: Spot, expect: str) -> bytes | None:
        """The file's bytes now, None if there is none. Raises WrongMoment where it is not what is expected."""
        data = None if spot.about is None else read_bytes(spot, LARGEST_EDIT)[0]
        now = "" if data is None else hashlib.sha256(data).hexdigest()
        if now == expect:
            return data
        if not expect:
            raise WrongMoment(f"{spot.path!r} exists already.", "Read it, and edit it instead of creating it.")
        if not now:
            raise WrongMoment(f"{spot.path!r} is gone since it was read.", "Look with list_files.")
        raise WrongMoment(f"{spot.path!r} was changed since it was read.", "Read it again, then edit what it is now.")

    # --- taking back --------------------------------------------------------------------------------------------
    def checkpoint(self, paths: Sequence[str], id: str) -> None:
        for path in paths:
            with self._lock, self._tree.at(path, write=True) as spot:
                data, mode = None, 0o644
                if spot.about is not None:
                    data, about = read_bytes(spot, LARGEST_EDIT)
                    mode = stat.S_IMODE(about.st_mode)
                self._checkpoints.keep(id, spot.path, data, mode)

    def restore(self, id: str) -> list[str]:
        done: list[str] = []
        left: list[str] = []
        for kept in self._checkpoints.kept(id):
            try:
                if self._put_back(id, kept):
                    done.append(kept.path)
            except (NotAllowed, NotFound, WrongMoment, CannotBeDone, TooLarge):
                left.append(kept.path)
        if left:
            back = f" Put back: {', '.join(done)}." if done else ""
            raise WrongMoment(
                f"Changed by others since, and left as they are: {', '.join(left)}.{back}", "Compare them by hand."
            )
        return done

    def _put_back(self, id: str, kept: Kept) -> bool:
        """False: it is what it was, nothing to do. Raises WrongMoment if it is neither that nor what ragent made."""
        with self._lock, self._tree.at(kept.path, write=True) as spot:
            if spot.path != kept.path:
                raise WrongMoment(f"{kept.path!r} leads elsewhere now.", "")
            old = None if spot.about is None else read_bytes(spot, LARGEST_READ)[0]
            now = "" if old is None else hashlib.sha256(old).hexdigest()
            if now == kept.before:
                return False
            if now not in kept.after:
                raise WrongMoment(f"{kept.path!r} was changed since.", "")
            if kept.before:
                _replace(spot, self._checkpoints.bytes_of(id, kept.before), kept.mode, old)
            else:
                os.unlink(spot.name, dir_fd=spot.folder)
            return True


def _kind(mode: int) -> Literal["file", "folder", "link"] | None:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "link" if stat.S_ISLNK(mode) else None


def _replace(spot: Spot, data: bytes, mode: int | None, old: bytes | None) -> None:
    """Give a name these bytes, all or none, and on disk when this returns. old: what it must still hold, None nothing.

    mode: permission bits; None for a new file's usual ones. Raises CannotBeDone, WrongMoment.
    """
    folders: list[int] = []
    temp = f".{secrets.token_hex(8)}.ragent-new"
    try:
        folder = spot.folder
        for name in spot.parts[len(spot.parts) - 1 - spot.missing : -1] if spot.missing else ():
            try:
                os.mkdir(name, dir_fd=folder)
            except FileExistsError:
                pass  # somebody made it meanwhile; the next line looks whether it is a folder
            folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            folders.append(folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(temp, flags, 0o666 if mode is None else 0o600, dir_fd=folder)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                if mode is not None:
                    os.fchmod(fd, mode)
                os.fsync(fd)
            if old is None:
                _link_new(temp, spot.name, folder)
            else:
                if read_bytes(spot, LARGEST_READ)[0] != old:
                    raise WrongMoment(f"{spot.path!r} was changed this moment.", "Read it again.")
                os.replace(temp, spot.name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            try:
                os.unlink(temp, dir_fd=folder)
            except OSError:
                pass  # it has its final name, or was never made
            raise
        os.fsync(folder)
    except FileExistsError:
        raise WrongMoment(f"{spot.path!r} exists already.", "Read it, and edit it instead.") from None
    except OSError as error:
        raise CannotBeDone(
            f"{spot.path!r} cannot be written: {error.strerror or error}.", "Nothing was changed."
        ) from error
    finally:
        for fd in folders:
            os.close(fd)


def _link_new(temp: str, name: str, folder: int) -> None:
    """Give a new file its name. Raises FileExistsError: rename would overwrite what somebody made meanwhile."""
    try:
        os.link(temp, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        os.unlink(temp, dir_fd=folder)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
            raise
        # A file system without hard links: the name is taken first, empty, and filled by the rename.
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder))
        os.replace(temp, name, src_dir_fd=folder, dst_dir_fd=folder)
