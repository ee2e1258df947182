"""Where a project is, and where its engine listens."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from pathlib import Path

from ragent_jupyter.domain.errors import CannotBeDone

# A socket's path ends at 107 bytes on Linux and 103 on macOS.
_SOCKET_PATH_LIMIT = 100


def find_project(start: str | os.PathLike[str] | None = None, *, allow_home: bool = False) -> Path:
    """The project that serves `start` (default: the current folder).

    The nearest ancestor that holds `.ragent/`, else the git root, else the folder itself. Raises CannotBeDone where
    that would be the home folder or the file system's root, which nobody means, unless one of them already is a
    project or `allow_home` says so.
    """
    here = Path(start or os.getcwd()).expanduser().resolve()
    if here.is_file():
        here = here.parent
    home = Path.home().resolve()
    chain = [here, *here.parents]
    for folder in chain:
        if (folder / ".ragent").is_dir():
            return folder
    for folder in chain:
        if (folder / ".git").exists() and folder != home:
            return folder
    if here in (home, Path(here.anchor)) and not allow_home:
        raise CannotBeDone(
            f"{here} is not taken for a project: it is your home folder or the root of the disk.",
            "Go into a folder of its own (mkdir my-project && cd my-project), or name one with --workdir.",
        )
    return here


def ragent_dir(project: str | os.PathLike[str]) -> Path:
    return Path(project) / ".ragent"


def runs_dir(project: str | os.PathLike[str]) -> Path:
    return Path(project) / ".ragent" / "runs"


def ensure_ragent_dir(project: str | os.PathLike[str]) -> Path:
    """Make `.ragent/` with its `.gitignore` of `*`. Raises CannotBeDone where the folder cannot be written."""
    folder = ragent_dir(project)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "runs").mkdir(exist_ok=True)
        ignore = folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "not writable", str(folder))
    except OSError as error:
        raise CannotBeDone(
            f"The project folder {project} cannot be written: {error.strerror or error}.",
            "Make it writable (chmod u+w), free disk space, or work in another folder.",
        ) from error
    return folder


def runtime_dir() -> Path:
    """A short, private folder for sockets: $XDG_RUNTIME_DIR/ragent or /tmp/ragent-UID, mode 0700, ours alone."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base and len(os.fsencode(base)) < 60 and os.path.isdir(base) and os.access(base, os.W_OK):
        folder = Path(base) / "ragent"
    else:
        # Not gettempdir(): TMPDIR may differ between doors, and all of them must find the same socket.
        root = "/tmp" if os.path.isdir("/tmp") else tempfile.gettempdir()
        folder = Path(root) / f"ragent-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    about = folder.lstat()
    if about.st_uid != os.getuid() or not stat.S_ISDIR(about.st_mode) or about.st_mode & 0o077:
        raise CannotBeDone(f"{folder} is not a private folder of yours.", f"Remove it (rm -r {folder}) and try again.")
    return folder


def project_hash(project: str | os.PathLike[str]) -> str:
    """Eight hex digits that name this project's folder on this machine."""
    return hashlib.sha256(os.fsencode(os.path.realpath(project))).hexdigest()[:8]


def socket_path(project: str | os.PathLike[str]) -> str:
    """Where the engine of this project listens: inside `.ragent/`, or in the runtime folder where that is too long."""
    path = str(ragent_dir(os.path.realpath(project)) / "engine.sock")
    if len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT:
        return path
    return str(runtime_dir() / f"{project_hash(project)}.sock")
