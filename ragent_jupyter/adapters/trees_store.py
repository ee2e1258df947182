"""`.ragent/trees/COMMIT`: the files of a commit, complete, read-only, made once; beside it a record of them."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..domain.errors import CannotBeDone, RagentError
from ..runfiles.jsonl import atomic_write
from ..runfiles.kill_points import kill_point
from .trees_git import SLOW_S, Git, disk_words, locked, remove_folder, within

_HASHED = 64 << 20  # bytes; of a larger file, size and times are compared, not the content
_CODE = (".py", ".pyc", ".so", ".pyd", ".pth", ".pyi", ".zip")


class TreeStore:
    """folder: `.ragent/trees`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def record(self, commit: str) -> dict[str, Any] | None:
        """What was made: root, files {path: [mode, blob, sha256, size, mtime_ns, ctime_ns]}, inputs {path: target}."""
        found = self._noted(commit)
        return found if found and self._place(commit).is_dir() else None

    def _noted(self, commit: str) -> dict[str, Any]:
        try:
            found = json.loads((self.folder / f"{commit}.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _place(self, commit: str) -> Path:
        return self.folder / commit

    def make(self, git: Git, commit: str, inputs: dict[str, str]) -> Path:
        """The tree, with these inputs linked into it. Half a tree never has the commit's name."""
        with locked(self.folder / f"{commit}.lock"):
            known = self.record(commit)
            try:
                if known is None:
                    known = self._build(git, commit, self._noted(commit).get("inputs", {}))
                missing = {path: target for path, target in inputs.items() if known["inputs"].get(path) != target}
                if missing:
                    self._link(commit, known, missing)
            except OSError as error:
                raise disk_words(error, f"The tree of {commit[:10]} cannot be made") from error
        return self._place(commit)

    def _build(self, git: Git, commit: str, inputs: dict[str, str]) -> dict[str, Any]:
        for left in self.folder.glob(f"tmp-{commit}-*"):  # whoever made it is dead: the lock is ours
            remove_folder(left) if left.is_dir() else left.unlink()
        temp = self.folder / f"tmp-{commit}-{secrets.token_hex(4)}"
        temp.mkdir()
        place = self._place(commit)
        try:
            check_out(git, commit, temp)
            lacking = _submodules(git, commit, temp)
            _outward_links(git.folder, temp)
            if os.path.lexists(place):  # without its record, or not what it was
                remove_folder(place)
            self._private_git(git, commit, temp)
            files = _close(temp, _blobs(git, commit))
            record = {"commit": commit, "root": git.folder, "files": files, "inputs": inputs, "lacking": lacking}
            self._write(commit, record)
            kill_point("trees.recorded")
            os.rename(temp, place)
            place.chmod(0o555)
        finally:
            if temp.exists():
                remove_folder(temp)
        self._link(commit, record, inputs)
        return record

    def _write(self, commit: str, record: dict[str, Any]) -> None:
        atomic_write(self.folder / f"{commit}.json", json.dumps(record).encode())

    def _private_git(self, git: Git, commit: str, temp: Path) -> None:
        """A git folder of the tree's own, so that a program that asks which commit it runs from, or looks upwards for
        the repository's root, finds this tree and not the user's. It shares the objects, and its HEAD is the commit."""
        own = self.folder / f"{commit}.git"
        own.mkdir(exist_ok=True)
        common = os.path.realpath(os.path.join(git.folder, git.text("rev-parse", "--git-common-dir")))
        (own / "commondir").write_text(common + "\n")
        (own / "HEAD").write_text(commit + "\n")
        (own / "index").unlink(missing_ok=True)
        (temp / ".git").write_text(f"gitdir: {own}\n")
        index = Git(git.folder, GIT_INDEX_FILE=str(own / "index"))
        index.raw("-c", "core.sparseCheckout=false", "read-tree", commit)
        # A run's folder holds links and copies: what differs from the commit there is no change of the code.
        listed = index.raw("ls-files", "-z")
        index.raw("update-index", "-z", "--assume-unchanged", "--stdin", stdin=listed)

    def _link(self, commit: str, known: dict[str, Any], inputs: dict[str, str]) -> None:
        place = self._place(commit)
        for path, target in inputs.items():
            for name, source in _links_of(place, path, target, known["files"]):
                full = place / name
                with _writable(place, full.parent):
                    full.unlink(missing_ok=True) if full.is_symlink() else None
                    os.symlink(source, full)
        known["inputs"] = {**known["inputs"], **inputs}
        self._write(commit, known)

    # --- is it still what it was -------------------------------------------------------------------------------------
    def changed(self, commit: str) -> list[str]:
        """Paths that are not what the commit says: altered, missing, or added. Sorted."""
        known = self.record(commit)
        if known is None:
            return []
        place, files = self._place(commit), known["files"]
        inputs = known["inputs"]
        there = dict(_walk(str(place)))
        found = []
        for path, (mode, _, digest, size, mtime, ctime) in files.items():
            about = there.pop(path, None)
            if about is None or stat.S_IFMT(about.st_mode) != stat.S_IFMT(mode):
                found.append(path)
            elif (about.st_size, about.st_mtime_ns, about.st_ctime_ns) != (size, mtime, ctime):
                # A chmod, or a copy of the project: what the file holds decides, where that was noted.
                same = digest and _digest(place / path, about) == digest
                found += [] if same else [path]
        for path, about in there.items():
            if not (stat.S_ISLNK(about.st_mode) and _is_input(path, os.readlink(place / path), inputs)):
                found.append(path)
        return sorted(found)

    def restore(self, git: Git, commit: str) -> Path:
        """The tree made anew from git. What stood there is kept aside; where that is, is answered."""
        with locked(self.folder / f"{commit}.lock"):
            inputs, number = self._noted(commit).get("inputs", {}), 1
            while os.path.lexists(aside := self.folder / f"{commit}.changed-{number}"):
                number += 1
            try:
                os.rename(self._place(commit), aside)
                self._build(git, commit, inputs)
            except OSError as error:
                raise disk_words(error, f"The tree of {commit[:10]} cannot be restored") from error
        return aside


def is_code(path: str) -> bool:
    """Whether an import could take a file."""
    return path.endswith(_CODE)


def check_out(git: Git, commit: str, folder: Path) -> None:
    """All files of a commit, through the repository's filters and line ends, by an index that is nobody's."""
    index = folder.with_name(folder.name + ".index")
    try:
        there = Git(str(folder), GIT_DIR=git.text("rev-parse", "--absolute-git-dir"), GIT_WORK_TREE=str(folder),
                    GIT_INDEX_FILE=str(index))  # fmt: skip
        whole = ("-c", "core.sparseCheckout=false")
        there.raw(*whole, "read-tree", commit, timeout=SLOW_S)
        kill_point("trees.building")
        there.raw(*whole, "checkout-index", "--all", "--force", "--ignore-skip-worktree-bits", timeout=SLOW_S)
    finally:
        for name in (index, index.with_name(index.name + ".lock")):
            name.unlink(missing_ok=True)


def _blobs(git: Git, commit: str) -> dict[str, str]:
    found = {}
    for line in git.listed("ls-tree", "-r", "-z", "--full-tree", commit):
        about, _, path = line.partition("\t")
        found[path] = about.split()[2]
    return found


def _submodules(git: Git, commit: str, folder: Path) -> list[str]:
    """Fill the folders of submodules from where the user has them; the paths of those that cannot be filled."""
    lacking = []
    for line in git.listed("ls-tree", "-r", "-z", "--full-tree", commit):
        about, _, path = line.partition("\t")
        if not about.startswith("160000"):
            continue
        target = folder / path
        target.mkdir(parents=True, exist_ok=True)
        at, inner = about.split()[2], Git(os.path.join(git.folder, path))
        if not os.path.exists(os.path.join(inner.folder, ".git")) or not inner.resolve(at):
            lacking.append(path)
            continue
        try:
            check_out(inner, at, target)
        except RagentError:
            lacking.append(path)
            continue
        lacking += [f"{path}/{one}" for one in _submodules(inner, at, target)]
    return lacking


def _outward_links(root: str, folder: Path) -> None:
    """A relative link that leads out of the repository leads to the same place from here."""
    for path, about in list(_walk(str(folder))):
        if stat.S_ISLNK(about.st_mode):
            full = folder / path
            words = os.readlink(full)
            target = os.path.normpath(os.path.join(root, os.path.dirname(path), words))
            if not words.startswith("/") and not within(target, root):
                full.unlink()
                os.symlink(target, full)


def _close(folder: Path, blobs: dict[str, str]) -> dict[str, list[Any]]:
    """Make everything read-only but the folder itself, and note what it is."""
    files: dict[str, list[Any]] = {}
    for path, about in _walk(str(folder)):
        full = folder / path
        digest = _digest(full, about)
        if not stat.S_ISLNK(about.st_mode):
            full.chmod(0o555 if about.st_mode & 0o100 else 0o444)
            about = os.lstat(full)
        files[path] = [about.st_mode, blobs.get(path, ""), digest, about.st_size, about.st_mtime_ns, about.st_ctime_ns]
    for place, names, _ in os.walk(folder):
        for name in names:
            one = Path(place, name)
            if not one.is_symlink():
                one.chmod(0o555)
    return files


def _digest(path: Path, about: os.stat_result) -> str:
    """sha256 of a file, the text of a link; "" for a very large file."""
    if stat.S_ISLNK(about.st_mode):
        return os.readlink(path)
    if not stat.S_ISREG(about.st_mode) or about.st_size > _HASHED:
        return ""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _walk(folder: str, under: str = "") -> Iterator[tuple[str, os.stat_result]]:
    """(path, lstat) of everything that is no folder. Links are not followed."""
    with os.scandir(os.path.join(folder, under)) as entries:
        for entry in list(entries):
            path = f"{under}/{entry.name}" if under else entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(folder, path)
            else:
                yield path, entry.stat(follow_symlinks=False)


def _links_of(place: Path, path: str, target: str, files: dict[str, Any]) -> list[tuple[str, str]]:
    """The links that make an input appear: one, or one for each entry of a folder that the commit has files in."""
    if path in files:
        raise CannotBeDone(f"{path} is in the commit already.", "Name only what git ignores as an input.")
    if not (place / path).is_dir() or (place / path).is_symlink():
        return [(path, target)]
    found = []
    for name in sorted(os.listdir(target)):
        if f"{path}/{name}" not in files:
            found += _links_of(place, f"{path}/{name}", os.path.join(target, name), files)
    return found


def _is_input(path: str, target: str, inputs: dict[str, str]) -> bool:
    for name, source in inputs.items():
        if within(path, name) and target == os.path.normpath(os.path.join(source, os.path.relpath(path, name))):
            return True
    return False


class _writable:
    """Makes a folder of a tree, and opens it for a moment."""

    def __init__(self, place: Path, folder: Path) -> None:
        self.opened: list[Path] = []
        self.place, self.folder = place, folder

    def __enter__(self) -> None:
        chain = [self.folder]
        while chain[-1] != self.place:
            chain.append(chain[-1].parent)
        for folder in reversed(chain):
            if folder.is_symlink():
                raise CannotBeDone(f"{folder.name} is a link in the commit.", "Name the input by its own place.")
            if not folder.exists():
                folder.mkdir()
            folder.chmod(0o755)
            self.opened.append(folder)

    def __exit__(self, *exc: object) -> None:
        for folder in self.opened:
            folder.chmod(0o555)


def input_targets(root: str, project: str, inputs: Sequence[str]) -> dict[str, str]:
    """{path in the repository: the user's file or folder}. Inputs are relative to the repository, else to the project.

    Raises CannotBeDone.
    """
    found = {}
    for path in inputs:
        plain = path.rstrip("/")
        places = [os.path.normpath(os.path.join(folder, plain)) for folder in (root, project)]
        full = next((place for place in places if os.path.lexists(place)), "")
        if not plain or not full:
            raise CannotBeDone(f"The input {path!r} does not exist.", "Name files or folders inside the repository.")
        if full == root or not within(full, root):
            raise CannotBeDone(f"The input {path!r} lies outside the repository.", "Give its absolute path by a flag.")
        inside = os.path.relpath(full, root)
        if {".git", ".ragent"} & set(inside.split("/")):
            raise CannotBeDone(f"{path!r} belongs to git or to ragent.", "Name files that the run reads.")
        found[inside] = full
    return found
