"""Code apart from the user's, without git: commits are dictionaries. Passes the suite that git passes."""

from __future__ import annotations

import ast
import difflib
import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotAllowed, NotFound, WrongMoment
from ragent_jupyter.domain.ports_wild import Base, Ignored, Proof, Trees
from ragent_jupyter.domain.wild import FileEdit

Files = dict[str, bytes]


class FakeTrees(Trees):
    """folder: the project, which is the repository. committed: what its user has committed.

    proofs: what `prove` says by commit, where it is to say no.
    """

    def __init__(self, folder: Path, committed: Mapping[str, str]) -> None:
        self.folder = folder.resolve()
        self.proofs: dict[str, str] = {}
        self._committed = {path: text.encode() for path, text in committed.items()}
        self._commits: dict[str, Files] = {}
        self._parents: dict[str, str] = {}
        self._bases: dict[str, Base] = {}
        self._keys: dict[tuple[str, str], str] = {}
        self._inputs: dict[str, dict[str, str]] = {}

    def repository(self, cwd: str) -> str:
        inside = Path(cwd).resolve()
        return str(self.folder) if inside == self.folder or self.folder in inside.parents else ""

    def ignored(self, cwd: str) -> list[Ignored]:
        return []

    def _now(self) -> Files:
        found = {}
        for place, folders, names in os.walk(self.folder):
            folders[:] = [name for name in folders if name not in (".git", ".ragent", "__pycache__")]
            for name in names:
                path = Path(place, name)
                found[str(path.relative_to(self.folder))] = path.read_bytes()
        return found

    def _commit(self, files: Files, *more: str) -> str:
        made = hashlib.sha1(repr((sorted(files.items()), more)).encode()).hexdigest()
        self._commits[made] = files
        return made

    def _files(self, commit: str) -> Files:
        if commit not in self._commits:
            raise NotFound(f"There is no commit {commit}.")
        return self._commits[commit]

    def base(self, cwd: str, loop_id: str) -> Base:
        if not self.repository(cwd):
            raise CannotBeDone(f"{cwd} is in no git repository.", "Run `git init` there.")
        if not loop_id.replace("_", "").isalnum():
            raise BadInput(f"{loop_id!r} is no id of a loop.")
        if loop_id not in self._bases:
            files = self._now()
            commit = self._commit(files)
            dirty = files != self._committed
            self._bases[loop_id] = Base(commit=commit, branch=f"ragent/{loop_id}", dirty=dirty, root=str(self.folder))
        return self._bases[loop_id]

    def _loop(self, loop_id: str) -> Base:
        if loop_id not in self._bases:
            raise NotFound(f"The loop {loop_id} has no code of its own.")
        return self._bases[loop_id]

    def edit(self, loop_id: str, parent: str, edits: Sequence[FileEdit], message: str, key: str) -> str:
        parent = parent or self._loop(loop_id).commit
        if (loop_id, key) in self._keys:
            return self._keys[loop_id, key]
        if not edits:
            raise BadInput("There are no edits.")
        files = dict(self._files(parent))
        try:
            for edit in edits:
                self._apply(files, edit)
            if files == self._files(parent):
                raise CannotBeDone("The edits change nothing.")
        except CannotBeDone as error:
            failed = self.folder / ".ragent" / "loops" / loop_id / "failed"
            failed.mkdir(parents=True, exist_ok=True)
            path = failed / f"{1 + len(list(failed.iterdir()))}.diff"
            path.write_text(error.problem)
            raise CannotBeDone(f"{error.problem} (kept as {path.name})", error.remedy) from error
        made = self._commit(files, parent, key)
        self._keys[loop_id, key], self._parents[made] = made, parent
        return made

    def _apply(self, files: Files, edit: FileEdit) -> None:
        parts = edit.path.split("/")
        if edit.path.startswith(("/", "~")) or {"..", ".git", ".ragent"} & set(parts):
            raise NotAllowed(f"{edit.path} is not a plain path inside the repository.")
        if edit.path not in files:
            if edit.old:
                raise CannotBeDone(f"{edit.path} does not exist.")
            now = edit.new
        else:
            now = files[edit.path].decode()
            if not edit.old:
                raise CannotBeDone(f"{edit.path} exists already.")
            if now.count(edit.old) != 1:
                what = "occurs several times" if edit.old in now else "does not occur"
                raise CannotBeDone(f"The text to replace {what} in {edit.path}.")
            now = now.replace(edit.old, edit.new)
        if edit.path.endswith(".py"):
            try:
                ast.parse(now)
            except SyntaxError as error:
                raise CannotBeDone(f"{edit.path} would not be Python any more: {error}.") from error
        files[edit.path] = now.encode()

    def tree(self, commit: str, inputs: Sequence[str] = ()) -> Path:
        files, place = self._files(commit), self.folder / ".ragent" / "trees" / commit
        linked = self._inputs.setdefault(commit, {})
        for path in inputs:
            if not (self.folder / path).exists():
                raise CannotBeDone(f"The input {path!r} does not exist.")
            linked[path] = str(self.folder / path)
        if not place.exists():
            for path, data in files.items():
                (place / path).parent.mkdir(parents=True, exist_ok=True)
                (place / path).write_bytes(data)
        for path, target in linked.items():
            if not (place / path).exists():
                place.chmod(0o755)
                (place / path).symlink_to(target)
        _read_only(place)
        return place

    def changed(self, commit: str) -> list[str]:
        place, files = self.folder / ".ragent" / "trees" / commit, self._files(commit)
        there = {
            str(p.relative_to(place)): p.read_bytes() for p in place.rglob("*") if p.is_file() and not p.is_symlink()
        }
        found = {path for path in {*there, *files} if there.get(path) != files.get(path)}
        return sorted(path for path in found if path.split("/")[0] not in self._inputs.get(commit, {}))

    def work(self, commit: str, run_dir: Path, cwd: str) -> tuple[Path, dict[str, str]]:
        if not self.repository(cwd):
            raise CannotBeDone(f"{cwd} is not in the repository.")
        tree, place = self.tree(commit), run_dir / "work"
        for path in [*self._files(commit), *self._inputs.get(commit, {})]:
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            if not (place / path).is_symlink():
                (place / path).symlink_to(tree / path)
        here = place / Path(cwd).resolve().relative_to(self.folder)
        here.mkdir(parents=True, exist_ok=True)
        env = {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "RAGENT_OUTPUT_DIR": str(here)}
        return here, env

    def prove(self, commit: str, python: str, cwd: str, env: dict[str, str]) -> Proof:
        problem = self.proofs.get(commit, "")
        return Proof(ok=not problem, problem=problem)

    def launch(
        self, commit: str, run_dir: Path, cwd: str, argv: Sequence[str], env: Mapping[str, str], python: str
    ) -> tuple[str, list[str], dict[str, str]]:
        tree = self.tree(commit)
        if changed := self.changed(commit):
            _writable(tree)
            shutil.rmtree(tree)
            self.tree(commit)
            raise CannotBeDone(f"The read-only tree of {commit[:10]} was changed: {', '.join(changed)}.")
        here, own = self.work(commit, run_dir, cwd)
        found = {**env, **own}
        proof = self.prove(commit, python, str(here), found)
        if not proof.ok:
            raise CannotBeDone(proof.problem)
        return str(here), list(argv), found

    def diff(self, old: str, new: str) -> str:
        before, after, text = self._files(old), self._files(new), ""
        for path in sorted({*before, *after}):
            pair = [files.get(path, b"").decode("utf-8", "replace").splitlines(True) for files in (before, after)]
            text += "".join(difflib.unified_diff(*pair, f"a/{path}", f"b/{path}"))
        return text

    def merge(self, loop_id: str, commit: str, by: str) -> str:
        base, files, now = self._loop(loop_id).commit, self._files(commit), self._now()
        if commit == base:
            raise CannotBeDone("There is nothing to merge.")
        touched = [path for path in files if files[path] != self._files(base).get(path)]
        if all(self._committed.get(path) == files[path] for path in touched):
            return f"{commit[:10]} is on main already."
        if dirty := [path for path in touched if now.get(path) != self._committed.get(path)]:
            raise WrongMoment(f"{', '.join(dirty)} has changes that are not committed.")
        number, at = 0, commit
        while at != base:
            number, at = number + 1, self._parents[at]
        for path in touched:
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_bytes(files[path])
            self._committed[path] = files[path]
        return f"{number} commits of {loop_id} put on main, asked for by {by}."

    def forget(self, loop_id: str) -> None:
        self._loop(loop_id)
        del self._bases[loop_id]


def _read_only(folder: Path) -> None:
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o555 if path.is_dir() else 0o444)
    folder.chmod(0o555)


def _writable(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755)
