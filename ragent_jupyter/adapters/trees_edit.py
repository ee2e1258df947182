"""Changes to code as commits, made in a worktree that is the loop's own. What fails is kept as a diff."""

from __future__ import annotations

import ast
import difflib
import hashlib
import os
import stat
import warnings
from collections.abc import Sequence
from pathlib import Path

from ..domain.errors import BadInput, CannotBeDone, NotAllowed, RagentError
from ..domain.wild import FileEdit
from ..runfiles.jsonl import atomic_write
from ..runfiles.kill_points import kill_point
from .trees_git import SLOW_S, Git, GitFailed, disk_words

MOST_EDITS = 100
MOST_TEXT = 2 << 20  # characters of one file
# Of our own worktree only: it holds every file, whatever the user has narrowed theirs to, and no large blobs.
_WHOLE = ("-c", "core.sparseCheckout=false", "-c", "core.sparseCheckoutCone=false")


class Worktree:
    """`.ragent/worktrees/LOOP`: detached, locked, ours."""

    def __init__(self, git: Git, folder: Path) -> None:
        self.main = git
        self.folder = folder
        self.git = Git(str(folder), GIT_LFS_SKIP_SMUDGE="1")

    def ready(self, commit: str) -> None:
        """It is there, and holds exactly this commit."""
        if not self._is_there():
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            # Twice: also where a worktree of this name was once locked and its folder removed.
            force = ("--force", "--force", "--detach", "--lock")
            add = self.main.having(GIT_LFS_SKIP_SMUDGE="1")
            add.raw(*_WHOLE, "worktree", "add", *force, str(self.folder), commit, timeout=SLOW_S)
            kill_point("trees.worktree")
        for name in ("index.lock", "HEAD.lock"):  # of a git that was killed here; the loop's lock is ours
            Path(self.git.path(name)).unlink(missing_ok=True)
        for state in ("CHERRY_PICK_HEAD", "sequencer"):
            if os.path.exists(self.git.path(state)):
                self.git.raw(*_WHOLE, "cherry-pick", "--quit")
        self.git.raw(*_WHOLE, "checkout", "--quiet", "--force", "--detach", commit, timeout=SLOW_S)
        self.git.raw("clean", "--quiet", "-ffd")

    def _is_there(self) -> bool:
        if not (self.folder / ".git").is_file():
            return False
        try:
            found = self.git.text("rev-parse", "--show-toplevel")
        except GitFailed:
            return False
        return os.path.realpath(found) == os.path.realpath(self.folder)

    def remove(self) -> None:
        if self._is_there():
            self.main.raw("worktree", "remove", "--force", "--force", str(self.folder))
        self.main.raw("worktree", "prune")


class Editor:
    """Makes one commit of edits. loop_folder: `.ragent/loops/LOOP`, where what fails is kept."""

    def __init__(self, git: Git, worktree: Worktree, loop_id: str, loop_folder: Path) -> None:
        self.git = git
        self.worktree = worktree
        self.loop_id = loop_id
        self.failed = loop_folder / "failed"

    def made(self, key: str) -> str:
        """The commit of a key, "" where there is none."""
        return self.git.resolve(self._ref(key))

    def edit(self, parent: str, edits: Sequence[FileEdit], message: str, key: str) -> str:
        """The commit. Raises CannotBeDone with the place of the failed diff."""
        checked_edits(edits)
        found = self._finished(parent, key)
        if not found:
            try:
                self.worktree.ready(parent)
            except OSError as error:
                raise disk_words(error, "The loop's worktree cannot be made") from error
            changed: dict[str, tuple[str | None, str]] = {}
            try:
                apply_edits(self.worktree.folder, edits, changed)
                check_syntax(changed)
                found = self._commit(changed, message, key)
            except NotAllowed:
                raise  # a path that is none of the loop's business is no failed experiment
            except (RagentError, OSError) as error:
                raise self._keep(error, edits, changed) from error
        kill_point("trees.committed")
        self.git.raw("update-ref", "-m", "ragent: edit", self._ref(key), found)
        self.git.raw("update-ref", "-m", "ragent: edit", f"refs/heads/ragent/{self.loop_id}", found)
        return found

    def _ref(self, key: str) -> str:
        """Each commit has a name of its own: the branch shows the newest only, and git sweeps up what nothing names."""
        return f"refs/ragent/{self.loop_id}/{hashlib.sha256(key.encode()).hexdigest()[:24]}"

    def _finished(self, parent: str, key: str) -> str:
        """The commit that was made for this key by one who died before giving it its name."""
        git = self.worktree.git
        if not (self.worktree.folder / ".git").is_file():
            return ""
        try:
            words = git.text("log", "-1", "--format=%H%x00%P%x00%(trailers:key=Ragent-Key,valueonly)").split("\0")
        except GitFailed:
            return ""
        return words[0] if words[1].strip() == parent and words[2].strip() == key else ""

    def _commit(self, changed: dict[str, tuple[str | None, str]], message: str, key: str) -> str:
        git = self.worktree.git
        for path, (before, text) in changed.items():
            full = self.worktree.folder / path
            full.parent.mkdir(parents=True, exist_ok=True)
            full.write_bytes(text.encode())
            if before is None:
                full.chmod(0o644)
        git.raw(*_WHOLE, "add", "--sparse", "--", *changed)
        if git.true(*_WHOLE, "diff", "--cached", "--quiet", "--no-ext-diff"):
            raise CannotBeDone("The edits change nothing.", "Say what is to be different.")
        head = git.text("rev-parse", "HEAD")
        text = f"{message.strip() or 'A change'}\n\nRagent-Loop: {self.loop_id}\nRagent-Key: {key}\n"
        try:
            git.raw(*_WHOLE, "commit", "--quiet", "--cleanup=whitespace", "-F", "-",
                      stdin=text.encode("utf-8", "replace"), timeout=SLOW_S)  # fmt: skip
        except GitFailed as error:
            problem = f"The repository's hooks refused the commit: {error.said[-2000:] or error.problem}"
            raise CannotBeDone(problem, "Change the edit so that the hooks accept it; they are not skipped.") from error
        made = git.text("rev-parse", "HEAD")
        if git.text("rev-parse", "HEAD^") != head:
            raise CannotBeDone("A hook of the repository moved HEAD while the change was committed.", "See its hooks.")
        return made

    def _keep(
        self, error: Exception, edits: Sequence[FileEdit], changed: dict[str, tuple[str | None, str]]
    ) -> CannotBeDone:
        """The error with the place of the diff, which stands there from now on."""
        problem = error.problem if isinstance(error, RagentError) else f"The change cannot be written: {error}."
        remedy = error.remedy if isinstance(error, RagentError) else "Free some disk space."
        text = "".join(f"# {line}\n" for line in problem.splitlines()) + _as_diff(edits, changed)
        data = text.encode("utf-8", "replace")
        try:
            self.failed.mkdir(parents=True, exist_ok=True)
            there = sorted(self.failed.glob("*.diff"), key=lambda path: int(path.stem) if path.stem.isdigit() else 0)
            same = next((path for path in there if path.read_bytes() == data), None)
            number = 1 + max([int(path.stem) for path in there if path.stem.isdigit()], default=0)
            path = same or self.failed / f"{number}.diff"
            atomic_write(path, data)
        except OSError as full:
            return CannotBeDone(f"{problem} (The diff could not be kept: {full}.)", remedy)
        return CannotBeDone(f"{problem} (kept as {path.name} in {self.failed})", remedy)


# --- edits as text ----------------------------------------------------------------------------------------------------
def checked_edits(edits: Sequence[FileEdit]) -> None:
    """Raises BadInput, NotAllowed, whatever the files hold."""
    if not edits:
        raise BadInput("There are no edits.", "Name at least one file and what to replace in it.")
    if len(edits) > MOST_EDITS:
        raise BadInput(f"{len(edits)} edits at once.", f"Give at most {MOST_EDITS}; one commit is one thought.")
    for edit in edits:
        if len(edit.new) > MOST_TEXT:
            raise BadInput(f"The new text for {edit.path} is longer than 2 MB.", "Code is shorter than that.")
        _checked_path(edit.path)


def _checked_path(path: str) -> None:
    parts = path.split("/")
    if not path or "\0" in path or len(path) > 1000 or path.endswith("/"):
        raise BadInput(f"{path[:100]!r} is no path of a file.", "Name a file, relative to the repository's root.")
    if path.startswith(("/", "~")) or "\\" in path or any(part in ("", ".", "..") for part in parts):
        raise NotAllowed(f"{path} is not a plain path inside the repository.", "Name it from the repository's root.")
    if any(part.lower() in (".git", ".ragent", ".gitmodules") for part in parts):
        raise NotAllowed(f"{path} belongs to git or to ragent.", "Edit the code of the project.")


def apply_edits(root: Path, edits: Sequence[FileEdit], changed: dict[str, tuple[str | None, str]]) -> None:
    """Fill `changed`: path -> (text before, None for a new file; text after), in memory.

    Raises CannotBeDone, NotAllowed; `changed` then holds what applied before.
    """
    for edit in edits:
        before, now = changed[edit.path] if edit.path in changed else _read(root, edit.path)
        if now is None:
            if edit.old:
                problem = f"{edit.path} does not exist, so nothing in it can be replaced."
                raise CannotBeDone(problem, 'Name a file of the commit, or give old = "" to make a new one.')
            changed[edit.path] = (None, edit.new)
            continue
        if not edit.old:
            raise CannotBeDone(f"{edit.path} exists already.", "Say in `old` which of its lines are to be replaced.")
        # A model reads lines, not line ends: in a file of Windows lines its "\n" means one of those.
        windows = "\r\n" in now and "\n" not in now.replace("\r\n", "")
        old, new = (edit.old, edit.new)
        if windows:
            old, new = (text.replace("\r\n", "\n").replace("\n", "\r\n") for text in (old, new))
        times = now.count(old)
        if times != 1:
            what = "does not occur" if times == 0 else f"occurs {times} times"
            quoted = edit.old if len(edit.old) <= 200 else edit.old[:200] + "…"
            problem = f"The text to replace {what} in {edit.path}: {quoted!r}"
            raise CannotBeDone(problem, "Give text that occurs exactly once, as it stands in the file.")
        changed[edit.path] = (before, now.replace(old, new))


def _read(root: Path, path: str) -> tuple[str | None, str | None]:
    """(text, the same) of a file, (None, None) where there is none."""
    parts = path.split("/")
    for depth in range(1, len(parts)):
        folder = root.joinpath(*parts[:depth])
        try:
            mode = os.lstat(folder).st_mode
        except FileNotFoundError:
            return None, None
        if stat.S_ISLNK(mode):
            raise NotAllowed(f"{path} leads through the link {folder.name}.", "Name the file by its own place.")
        if not stat.S_ISDIR(mode):
            raise CannotBeDone(f"{path} cannot be: {folder.name} is a file.", "Choose another path.")
        if (folder / ".git").exists():
            raise NotAllowed(f"{path} lies in a submodule.", "Only the repository's own files can be changed.")
    full = root / path
    try:
        mode = os.lstat(full).st_mode
    except FileNotFoundError:
        return None, None
    if not stat.S_ISREG(mode):
        raise NotAllowed(f"{path} is no plain file.", "Name a text file of the repository.")
    try:
        text = full.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise CannotBeDone(f"{path} is not UTF-8 text.", "Only text can be edited.") from error
    return text, text


def check_syntax(changed: dict[str, tuple[str | None, str]]) -> None:
    """Raises CannotBeDone for a Python file that has become none. A file that our Python could not read before may be
    written for a newer one: it is left to the run."""
    for path, (before, after) in changed.items():
        if not path.endswith((".py", ".pyi")):
            continue
        if (wrong := syntax_error(after)) and (before is None or not syntax_error(before)):
            raise CannotBeDone(f"{path} would not be Python any more: {wrong}.", "Correct the edit.")


def syntax_error(text: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text.encode())
    except SyntaxError as error:
        return f"{error.msg}, line {error.lineno}"
    except (ValueError, RecursionError, MemoryError) as error:
        return str(error) or type(error).__name__
    return ""


def _as_diff(edits: Sequence[FileEdit], changed: dict[str, tuple[str | None, str]]) -> str:
    """What was wanted, for people: a unified diff of what applied, and the bare replacement of what did not."""
    text = ""
    for path, (before, after) in changed.items():
        old = "/dev/null" if before is None else f"a/{path}"
        lines = difflib.unified_diff(_lines(before or ""), _lines(after), old, f"b/{path}")
        text += "".join(lines)
    for edit in edits:
        if edit.path not in changed or (edit.old and edit.old in changed[edit.path][1]):
            text += f"--- a/{edit.path}\n+++ b/{edit.path}\n@@ not applied @@\n"
            text += "".join(f"-{line}" for line in _lines(edit.old)) + "".join(f"+{line}" for line in _lines(edit.new))
    return text


def _lines(text: str) -> list[str]:
    return [line + "\n" for line in text.split("\n")] if text else []
