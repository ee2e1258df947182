"""The commit that a loop starts from: HEAD with what the user had not committed, made beside the user's index."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any, Literal

from ..domain.errors import CannotBeDone, WrongMoment
from ..domain.ports_wild import Base, Ignored
from ..runfiles.jsonl import atomic_write
from ..runfiles.kill_points import kill_point
from .trees_git import Git, GitFailed, disk_words, locked

HUGE = 50_000_000  # bytes; a larger file is no code, and stays out of the repository
MOST = 500_000_000  # bytes of all that is taken along
_ENTRIES = 2_000  # looked at to tell a folder's size
_LISTED = 500
_NEVER_INPUTS = frozenset(
    {
        ".git", ".ragent", "__pycache__", "node_modules", ".ipynb_checkpoints", ".mypy_cache", ".pytest_cache",
        ".ruff_cache", ".hypothesis", ".tox", ".nox", ".DS_Store", ".idea", ".vscode", ".coverage", "htmlcov",
    }
)  # fmt: skip
_NEVER_ENDINGS = (".pyc", ".pyo", ".egg-info", ".swp", "~")


class Bases:
    """The bases of loops: `.ragent/loops/LOOP/base.json` and the branch ragent/LOOP."""

    def __init__(self, folder: Path) -> None:
        """folder: `.ragent/loops`."""
        self.folder = folder

    def lock(self, loop_id: str) -> Any:
        return locked(self.folder / loop_id / "lock")

    def record(self, loop_id: str) -> dict[str, Any] | None:
        try:
            found = json.loads((self.folder / loop_id / "base.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def roots(self) -> list[str]:
        """Of all repositories that loops work on."""
        names = sorted(os.listdir(self.folder)) if self.folder.is_dir() else []
        found = [str(record["root"]) for name in names if (record := self.record(name))]
        return list(dict.fromkeys(found))

    def make(self, root: str, loop_id: str) -> Base:
        """The base that the loop has, or a new one."""
        git, branch = Git(root), f"ragent/{loop_id}"
        with self.lock(loop_id):
            known = self.record(loop_id) or self._from_branch(git, branch)
            if known is None:
                known = self._snapshot(git, loop_id)
                self._keep(loop_id, known)
                kill_point("trees.base")
            if not git.resolve(f"refs/heads/{branch}"):
                _create_branch(git, branch, str(known["commit"]))
            elif self.record(loop_id) is None:
                self._keep(loop_id, known)
        return Base(commit=known["commit"], branch=branch, dirty=bool(known["dirty"]), root=str(known["root"]))

    def _keep(self, loop_id: str, known: dict[str, Any]) -> None:
        atomic_write(self.folder / loop_id / "base.json", json.dumps(known, indent=1).encode())

    def _from_branch(self, git: Git, branch: str) -> dict[str, Any] | None:
        """Where our record is gone: the first commit on the branch that is not a change of the loop."""
        at = git.resolve(f"refs/heads/{branch}")
        while at:
            words = git.text("log", "-1", "--format=%(trailers:key=Ragent-Key,valueonly)%x00%P", at).split("\0")
            if not words[0].strip():
                dirty = bool(git.text("log", "-1", "--format=%(trailers:key=Ragent-Base,valueonly)", at))
                return {"root": git.folder, "commit": at, "dirty": dirty, "left_out": []}
            at = words[1].split()[0] if words[1].strip() else ""
        return None

    def _snapshot(self, git: Git, loop_id: str) -> dict[str, Any]:
        if torn := sorted(set(_unmerged(git))):
            raise WrongMoment(
                f"Files with unresolved conflicts: {', '.join(torn[:5])}.", "Finish or abort the merge, then start."
            )
        scratch = self.folder / loop_id / "index"
        try:
            index = git.path("index")
            scratch.unlink(missing_ok=True)
            if os.path.exists(index):
                # With its time: git takes an entry for unchanged only if it is older than the index.
                shutil.copy2(index, scratch)
            there = git.having(GIT_INDEX_FILE=str(scratch))
            changed = there.listed("diff-files", "-z", "--name-only", "--ignore-submodules=dirty")
            new = there.listed("ls-files", "-z", "--others", "--exclude-standard")
            taken, left_out = _choose(git.folder, changed, new)
            lines = b"".join(os.fsencode(path) + b"\0" for path in taken)
            there.raw("update-index", "-z", "--add", "--remove", "--replace", "--stdin", stdin=lines, timeout=600.0)
            tree = there.text("write-tree")
        except OSError as error:
            raise disk_words(error, "The state of the repository cannot be copied") from error
        finally:
            for name in ("index", "index.lock"):
                (scratch.parent / name).unlink(missing_ok=True)
        left_out += [f"{path} (changes inside the submodule)" for path in _dirty_submodules(git)]
        head = git.resolve("HEAD")
        known: dict[str, Any] = {"root": git.folder, "head": head, "left_out": left_out}
        if head and git.text("rev-parse", f"{head}^{{tree}}") == tree:
            return {**known, "commit": head, "dirty": False}
        text = (
            f"ragent: what {loop_id} starts from\n\nHEAD with the changes that were not committed.\n\n"
            f"Ragent-Loop: {loop_id}\nRagent-Base: {head or 'none'}\n"
        )
        parents = ["-p", head] if head else []
        commit = git.text("commit-tree", tree, *parents, "-F", "-", stdin=text.encode())
        return {**known, "commit": commit, "dirty": True}


def _create_branch(git: Git, branch: str, commit: str) -> None:
    try:
        git.raw("update-ref", "-m", "ragent: base", f"refs/heads/{branch}", commit, "0" * len(commit))
    except GitFailed as error:
        if git.resolve("refs/heads/ragent"):
            problem = "A branch named 'ragent' stands where ragent keeps its branches (ragent/…)."
            raise CannotBeDone(problem, "Rename it: git branch -m ragent ANOTHER-NAME") from error
        raise


def _unmerged(git: Git) -> list[str]:
    return [line.partition("\t")[2] for line in git.listed("ls-files", "-u", "-z")]


def _dirty_submodules(git: Git) -> list[str]:
    if not os.path.exists(os.path.join(git.folder, ".gitmodules")):
        return []
    status = git.listed("status", "--porcelain=v2", "-z", "--untracked-files=no", "--ignore-submodules=none")
    found = []
    for line in status:
        words = line.split(" ", 8)
        if len(words) == 9 and words[0] == "1" and words[2].startswith("S") and set(words[2][2:]) & set("MU"):
            found.append(words[8])
    return found


def _choose(root: str, changed: list[str], new: list[str]) -> tuple[list[str], list[str]]:
    """What is taken along, and what is left out, in words. Small files first: code is small."""
    sized: list[tuple[int, str]] = []
    left_out: list[str] = []
    for path in dict.fromkeys([*changed, *new]):
        if path.endswith("/"):  # a repository inside this one
            left_out.append(f"{path} (a repository of its own)")
        elif ".ragent" not in path.split("/"):
            try:
                about = os.lstat(os.path.join(root, path))
                sized.append((about.st_size, path))
            except OSError:
                sized.append((0, path))  # removed: that is taken along
    taken, total = [], 0
    for size, path in sorted(sized):
        total += size
        if size > HUGE or total > MOST:
            left_out.append(f"{path} ({size / 1e6:.0f} MB)")
        else:
            taken.append(path)
    return taken, left_out


def ignored(root: str) -> list[Ignored]:
    """What git leaves alone and a run may need; also files that are too large to be taken along. Sorted by path."""
    git = Git(root)
    listed = git.listed("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory")
    found: dict[str, Ignored] = {}
    for path in listed:
        name = path.rstrip("/").split("/")[-1]
        parts = set(path.split("/"))
        if parts & _NEVER_INPUTS or name.endswith(_NEVER_ENDINGS):
            continue
        full = os.path.join(root, path)
        if os.path.exists(os.path.join(full, "pyvenv.cfg")) or os.path.isdir(os.path.join(full, "conda-meta")):
            continue  # an environment: the run's interpreter finds it by itself
        if path.endswith("/"):
            found[path] = Ignored(path.rstrip("/"), _folder_size(full), "folder")
        elif os.path.exists(full):
            # A link to a folder is listed as a file.
            kind: Literal["file", "folder"] = "folder" if os.path.isdir(full) else "file"
            found[path] = Ignored(path, _folder_size(full) if kind == "folder" else os.stat(full).st_size, kind)
        if len(found) >= _LISTED:
            break
    for path in git.listed("ls-files", "-z", "--others", "--exclude-standard"):
        full = os.path.join(root, path)
        if not path.endswith("/") and os.path.isfile(full) and os.path.getsize(full) > HUGE:
            found[path] = Ignored(path, os.path.getsize(full), "file")
    return [found[path] for path in sorted(found)]


def _folder_size(folder: str) -> int:
    """Bytes of what lies in a folder, of the first 2,000 entries."""
    total, left = 0, _ENTRIES
    for place, _, names in os.walk(folder):
        for name in names:
            left -= 1
            if left < 0:
                return total
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return total
