"""Code apart from the user's, by git: domain.ports_wild.Trees.

`.ragent/loops/LOOP/` what a loop started from, and diffs that failed · `.ragent/worktrees/LOOP` where its edits become
commits · `.ragent/trees/COMMIT` the read-only files that runs execute · `RUN_DIR/work` what a run may write.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..domain.errors import CannotBeDone, NotFound
from ..domain.ports_wild import Base, Ignored, Proof, Trees
from ..domain.wild import FileEdit
from . import trees_merge
from .trees_base import Bases, ignored
from .trees_edit import Editor, Worktree
from .trees_git import Git, checked_name, locked, remove_folder, toplevel, within
from .trees_prove import Place, Provers, names_of
from .trees_store import TreeStore, input_targets, is_code
from .trees_work import Moved, WorkFolder, aliases_of, script_and_python, tree_env

log = logging.getLogger("ragent.trees")

_MOST_DIFF = 2 << 20
_FULL = re.compile(r"[0-9a-f]{40,64}\Z")


class GitTrees(Trees):
    """project: the folder that holds `.ragent/`. The repository may be it, lie above it, below it, or elsewhere."""

    def __init__(self, project: Path) -> None:
        self.project = project.resolve()
        folder = self.project / ".ragent"
        self.bases = Bases(folder / "loops")
        self.store = TreeStore(folder / "trees")
        self._worktrees = folder / "worktrees"
        self._provers = Provers()

    # --- looking ------------------------------------------------------------------------------------------------
    def repository(self, cwd: str) -> str:
        return toplevel(cwd)

    def ignored(self, cwd: str) -> list[Ignored]:
        root = toplevel(cwd)
        return ignored(root) if root else []

    def left_out(self, loop_id: str) -> list[str]:
        """What the base does not hold although git would show it: huge files, repositories within, in words."""
        record = self.bases.record(checked_name(loop_id)) or {}
        return [str(one) for one in record.get("left_out", [])]

    def diff(self, old: str, new: str) -> str:
        """At most 2 MiB of `git diff OLD NEW`. Raises NotFound."""
        git = self._git_of(new)
        pair = git.commit(old), git.commit(new)
        text = git.raw("diff", "--no-ext-diff", "--no-textconv", "--no-color", *pair, "--")
        return text[:_MOST_DIFF].decode("utf-8", "replace")

    # --- commits ------------------------------------------------------------------------------------------------
    def base(self, cwd: str, loop_id: str) -> Base:
        root = toplevel(cwd)
        if not root:
            raise CannotBeDone(
                f"{cwd} is in no git repository.", "Run `git init` there, or let the loop run in place, without trees."
            )
        return self.bases.make(root, checked_name(loop_id))

    def edit(self, loop_id: str, parent: str, edits: Sequence[FileEdit], message: str, key: str) -> str:
        git, start = self._loop(loop_id)
        with self.bases.lock(loop_id):
            editor = Editor(git, self._worktree(git, loop_id), loop_id, self.bases.folder / loop_id)
            if made := editor.made(key):
                return made
            at = git.commit(parent) if parent else start
            if not git.is_ancestor(start, at):
                raise CannotBeDone(f"{parent} is not a commit of {loop_id}.", "Build on its base or on its commits.")
            return editor.edit(at, edits, message, key)

    def merge(self, loop_id: str, commit: str, by: str) -> str:
        git, start = self._loop(loop_id)
        with self.bases.lock(loop_id):
            return trees_merge.merge(git, self._worktree(git, loop_id), loop_id, start, git.commit(commit), by)

    def forget(self, loop_id: str) -> None:
        """Its trees stay: runs link into them. What failed stays too."""
        git, _ = self._loop(loop_id)
        with self.bases.lock(loop_id):
            trees_merge.forget(git, self._worktree(git, loop_id), loop_id)
            (self.bases.folder / loop_id / "base.json").unlink(missing_ok=True)

    def _loop(self, loop_id: str) -> tuple[Git, str]:
        record = self.bases.record(checked_name(loop_id))
        if record is None:
            raise NotFound(f"The loop {loop_id} has no code of its own.", "It runs in place, or was forgotten.")
        return Git(str(record["root"])), str(record["commit"])

    def _worktree(self, git: Git, loop_id: str) -> Worktree:
        return Worktree(git, self._worktrees / loop_id)

    def _git_of(self, commit: str) -> Git:
        """The repository that holds a commit: where a tree of it came from, the project's own, or a loop's."""
        record = self.store.record(commit) if _FULL.match(commit) else None
        if record:
            return Git(str(record["root"]))
        roots = [toplevel(str(self.project)), *self.bases.roots()]
        error: NotFound | None = None
        for root in dict.fromkeys(filter(None, roots)):
            git = Git(root)
            try:
                git.commit(commit)
                return git
            except NotFound as missing:
                error = missing
        raise error or NotFound(f"There is no commit {commit}: {self.project} is in no repository.")

    # --- trees --------------------------------------------------------------------------------------------------
    def tree(self, commit: str, inputs: Sequence[str] = ()) -> Path:
        if not inputs and _FULL.match(commit) and self.store.record(commit):
            return self.store.folder / commit
        git = self._git_of(commit)
        targets = input_targets(git.folder, str(self.project), inputs)
        return self.store.make(git, git.commit(commit), targets)

    def changed(self, commit: str) -> list[str]:
        return self.store.changed(self.tree(commit).name)

    def work(self, commit: str, run_dir: Path, cwd: str) -> tuple[Path, dict[str, str]]:
        tree = self.tree(commit)
        known = self.store.record(tree.name)
        if known is None:
            raise CannotBeDone(f"The tree of {commit[:10]} was removed meanwhile.", "Launch the run again.")
        folder = WorkFolder(run_dir)
        here = folder.make(tree, known, cwd)
        return here, tree_env(tree, here, os.path.relpath(here, folder.place))

    def place_of(self, run_dir: Path, cwd: str) -> Path:
        """The folder of a run's own that stands for this one of the user's: where a relative path of it leads."""
        folder = WorkFolder(run_dir)
        root = str(folder.record().get("root", ""))
        inside = os.path.realpath(cwd)
        return folder.place / os.path.relpath(inside, root) if root and within(inside, root) else folder.place

    def inputs_changed(self, run_dir: Path) -> list[str]:
        """Inputs that were written since the run was launched. The links are no wall: they lead to the user's files,
        which this user may write; so it is looked at afterwards."""
        return WorkFolder(run_dir).inputs_changed()

    def code_changed(self, run_dir: Path) -> list[str]:
        """Code in a run's own folder that the run replaced, and code of its tree that somebody has changed.

        Root may write what is read-only. The next launch restores the tree; until then every run of it is in doubt.
        """
        folder = WorkFolder(run_dir)
        commit = str(folder.record().get("commit", ""))
        known = self.store.record(commit)
        if known is None:
            return []
        with locked(self.store.folder / f"{commit}.check"):  # not while a launch restores it
            touched = [path for path in self.store.changed(commit) if path in known["files"] or is_code(path)]
        return sorted({*folder.code_changed(known), *touched})

    # --- proof --------------------------------------------------------------------------------------------------
    def prove(self, commit: str, python: str, cwd: str, env: dict[str, str]) -> Proof:
        """cwd: the run's, as `work` gave it.  env: the whole environment of the job.

        RAGENT_SCRIPT in it: the folder of the script that runs, which Python puts first; else cwd is taken for it.
        """
        tree = self.tree(commit)
        known = self.store.record(tree.name)
        if known is None:
            raise CannotBeDone(f"The tree of {commit[:10]} was removed meanwhile.", "Launch the run again.")
        root, files = str(known["root"]), known["files"]

        def names() -> dict[str, bool]:
            edited, base = self._edited(tree.name, Git(root), files)
            return names_of(edited, list(files), base=base)

        return self._provers.prove(tree.name, python, cwd, env, names, Place(root, [str(tree), cwd]))

    def _edited(self, commit: str, git: Git, files: Mapping[str, object]) -> tuple[list[str], bool]:
        """(Python files that differ from the loop's base, False); of a base itself all of them, True."""
        words = git.text("log", "-1", "--format=%(trailers:key=Ragent-Loop,valueonly)", commit).split()
        record = self.bases.record(words[-1]) if words and re.fullmatch(r"[\w-]+", words[-1]) else None
        python = sorted(path for path in files if path.endswith(".py"))
        if record is None or record["commit"] == commit:
            return python, True
        changed = set(git.listed("diff", "--name-only", "-z", "--no-renames", str(record["commit"]), commit))
        return [path for path in python if path in changed], False

    # --- launching ----------------------------------------------------------------------------------------------
    def launch(
        self, commit: str, run_dir: Path, cwd: str, argv: Sequence[str], env: Mapping[str, str], python: str
    ) -> tuple[str, list[str], dict[str, str]]:
        """(cwd, argv, environment) of a run that executes in a tree, once it is sure that it will. python: the run's.

        Raises CannotBeDone: the tree was changed (it is restored by then), or the interpreter would take other files.
        What was changed about the command stands in RUN_DIR/tree.json.
        """
        full = self.tree(commit).name
        moved_aside = self._as_it_was(full)
        here, own = self.work(full, run_dir, cwd)
        folder = WorkFolder(run_dir)
        root = str(folder.record()["root"])
        moved = Moved(root, aliases_of(root, cwd), folder.place, self.store.folder / full)
        argv, found = moved.argv(argv), moved.env(env, own)
        script, named = script_and_python(argv, here, lambda word: shutil.which(word, path=found.get("PATH")))
        python = named or python
        found["RAGENT_SCRIPT"] = script or str(here)
        if python:
            found["PYTHONPATH"] = self._with_editable(python, str(here), found, moved)
            proof = self.prove(full, python, str(here), found)
            if not proof.ok:
                remove_folder(folder.place)
                raise CannotBeDone(proof.problem, "Nothing was run: its numbers would be another code's.")
        folder.note(said=moved.said, left_by_earlier_runs=moved_aside, pythonpath=found["PYTHONPATH"])
        return str(here), argv, found

    def _as_it_was(self, commit: str) -> list[str]:
        """Make sure that the tree is what the commit says. What runs have left in it is moved aside and named."""
        with locked(self.store.folder / f"{commit}.check"):
            changed = self.store.changed(commit)
            if not changed:
                return []
            known = (self.store.record(commit) or {}).get("files", {})
            aside = self.store.restore(self._git_of(commit), commit)
        log.warning("the tree of %s was changed (%s); restored, kept as %s", commit, ", ".join(changed[:5]), aside)
        if serious := [path for path in changed if path in known or is_code(path)]:
            raise CannotBeDone(
                f"The read-only tree of {commit[:10]} was changed: {', '.join(serious[:5])}. It is restored from git; "
                f"what stood there is kept as {aside.name}. Runs of this commit may have executed the changed code.",
                "Find out what wrote there, and launch again.",
            )
        return changed

    def _with_editable(self, python: str, cwd: str, env: Mapping[str, str], moved: Moved) -> str:
        """PYTHONPATH with the tree's counterparts of folders that an environment adds to the path (editable installs),
        so that they come from the tree."""
        paths = env["PYTHONPATH"].split(os.pathsep)
        try:
            inside = self._provers.inside(python, cwd, env, moved.root)
        except CannotBeDone:
            return env["PYTHONPATH"]  # the proof says what is wrong with it
        return os.pathsep.join(dict.fromkeys([*paths, *filter(None, map(moved.in_tree, inside))]))
