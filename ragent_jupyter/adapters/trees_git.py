"""The git command line for code that stands apart from the user's: no prompt, no optional lock, a clean environment.

Hooks, attributes and filters of the repository do their work; monitors, pagers and external diffs do not.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..domain.errors import BadInput, CannotBeDone, MissingPart, NotFound

QUICK_S = 60.0
SLOW_S = 600.0  # a checkout of a large repository; a hook that runs the tests
WHO = "ragent"
MAIL = "ragent@localhost"

# What a user may have switched on for speed would be written into files of theirs, or start programs.
_SETTINGS = (
    "core.quotePath=false",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.splitIndex=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "commit.gpgsign=false",
    "advice.detachedHead=false",
    "log.showSignature=false",
)
_COMMIT = re.compile(r"[0-9a-f]{4,64}\Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,80}\Z")


class GitFailed(CannotBeDone):
    """git said no. said: its words, or a hook's."""

    def __init__(self, problem: str, remedy: str, said: str, code: int) -> None:
        super().__init__(problem, remedy)
        self.said = said
        self.code = code


class Git:
    """git in one folder (a repository's root, or a worktree of it)."""

    def __init__(self, folder: str, **env: str) -> None:
        """env: more of the environment, such as GIT_INDEX_FILE."""
        self.folder = folder
        self._env = env

    def having(self, **env: str) -> Git:
        return Git(self.folder, **{**self._env, **env})

    def raw(self, *args: str, stdin: bytes = b"", timeout: float = QUICK_S, plain: bool = False) -> bytes:
        """What a command wrote. plain: as the user would call it, with none of our settings.

        Raises GitFailed, MissingPart.
        """
        settings = [] if plain else [word for one in _SETTINGS for word in ("-c", one)]
        argv = ["git", *settings, *args]
        try:
            child = subprocess.Popen(
                argv, cwd=self.folder, env={**_clean_env(), **self._env}, start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
        except FileNotFoundError as error:
            if not os.path.isdir(self.folder):
                raise NotFound(f"The folder {self.folder} does not exist.") from error
            raise MissingPart("git is not installed.", "Install git, or run in place, without trees.") from error
        try:
            out, err = child.communicate(stdin, timeout)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)  # its group: a hook's children hold the pipes as well
            child.communicate()
            problem = f"`git {_verb(args)}` has not ended within {timeout:.0f} s."
            raise GitFailed(problem, "See what its hooks or filters wait for.", "", -1) from None
        if child.returncode != 0:
            said = (err or out).decode("utf-8", "replace").strip()
            remedy = "Free some disk space." if "No space left" in said else "See what git says."
            problem = f"`git {_verb(args)}` failed: {said[-1000:] or f'exit code {child.returncode}'}"
            raise GitFailed(problem, remedy, said, child.returncode)
        return out

    def text(self, *args: str, stdin: bytes = b"", timeout: float = QUICK_S, plain: bool = False) -> str:
        return os.fsdecode(self.raw(*args, stdin=stdin, timeout=timeout, plain=plain)).strip()

    def listed(self, *args: str) -> list[str]:
        """The paths of a listing that NULs separate."""
        return [os.fsdecode(path) for path in self.raw(*args).split(b"\0") if path]

    def true(self, *args: str) -> bool:
        """Whether a command that asks says yes."""
        try:
            self.raw(*args)
        except GitFailed:
            return False
        return True

    def path(self, name: str) -> str:
        """Where a file of the repository lies, such as "index"; for a linked worktree its own."""
        return os.path.join(self.folder, self.text("rev-parse", "--git-path", name))

    def commit(self, name: str) -> str:
        """The full id. Raises BadInput, NotFound."""
        if not _COMMIT.match(name):
            raise BadInput(f"{name!r} is no commit's id.", "Give at least four of its hexadecimal digits.")
        try:
            return self.text("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        except GitFailed:
            raise NotFound(f"There is no commit {name} in {self.folder}.", "`ragent wild status` names them.") from None

    def resolve(self, ref: str) -> str:
        """The commit that a ref names, "" where there is none."""
        try:
            return self.text("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        except GitFailed:
            return ""

    def is_ancestor(self, old: str, new: str) -> bool:
        return self.true("merge-base", "--is-ancestor", old, new)


def _clean_env() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {
        **kept,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_EDITOR": "true",
        "GIT_PAGER": "cat",
        # A commit must not depend on whether somebody has told git a name.
        "GIT_AUTHOR_NAME": WHO,
        "GIT_AUTHOR_EMAIL": MAIL,
        "GIT_COMMITTER_NAME": WHO,
        "GIT_COMMITTER_EMAIL": MAIL,
    }


def _verb(args: tuple[str, ...]) -> str:
    return " ".join(args[:2])[:100]


def toplevel(folder: str) -> str:
    """The root of the work tree that holds a folder, "" where there is none. Raises MissingPart."""
    if not os.path.isdir(folder):
        return ""
    try:
        found = Git(folder).text("rev-parse", "--show-toplevel")
    except GitFailed:
        return ""
    return os.path.realpath(found) if found else ""


def checked_name(name: str) -> str:
    """A loop's id as a part of paths and refs. Raises BadInput."""
    if not _NAME.match(name):
        raise BadInput(f"{name!r} is no id of a loop.", "Ids are letters, digits, - and _.")
    return name


def within(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies below it, by their names."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One at a time, among threads and processes; a holder that dies lets go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def remove_folder(folder: Path) -> None:
    """A folder with all that is in it, read-only folders too. Links are removed, not followed."""
    if folder.is_symlink() or not folder.is_dir():
        folder.unlink(missing_ok=True)
        return
    folder.chmod(0o700)
    for entry in list(os.scandir(folder)):
        if entry.is_dir(follow_symlinks=False):
            remove_folder(Path(entry.path))
        else:
            os.unlink(entry.path)
    folder.rmdir()


def disk_words(error: OSError, what: str) -> CannotBeDone:
    """What an error of the disk means for whoever asked."""
    return CannotBeDone(f"{what}: {error.strerror or error}.", "Free some disk space, or look at the folder's rights.")
