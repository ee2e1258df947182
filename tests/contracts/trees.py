"""What everything that keeps code apart promises: the suite that git and the fake in memory pass alike."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest

from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotAllowed, NotFound, RagentError, WrongMoment
from ragent_jupyter.domain.wild import FileEdit

TRAIN = "import model\nprint('value', model.VALUE)\nopen('out.txt', 'w').write(str(model.VALUE))\n"
FILES = {"train.py": TRAIN, "model.py": "VALUE = 1\n", "conf/a.yaml": "lr: 1\n", "pkg/__init__.py": ""}
LOOP = "wld_1"


class Ground(Protocol):
    """A project of one test: a repository with FILES committed. trees: also with `launch`."""

    folder: Path
    trees: Any

    def put(self, files: Mapping[str, str]) -> None:
        """What the user writes."""


def refused(kind: type[RagentError], what: Callable[[], object], *words: str) -> RagentError:
    with pytest.raises(kind) as caught:
        what()
    for word in words:
        assert word in str(caught.value)
    return caught.value


def change(new: str = "VALUE = 2\n", old: str = "VALUE = 1\n", path: str = "model.py") -> FileEdit:
    return FileEdit(path=path, old=old, new=new)


class TreesContract:
    @pytest.fixture
    def ground(self) -> Ground:
        raise NotImplementedError

    # --- the base -----------------------------------------------------------------------------------------------
    def test_a_base_is_the_user_s_code_with_what_was_not_committed(self, ground: Ground) -> None:
        ground.put({"model.py": "VALUE = 7\n", "new.py": "x = 1\n"})
        base = ground.trees.base(str(ground.folder), LOOP)
        assert (base.branch, base.dirty, base.root) == (f"ragent/{LOOP}", True, str(ground.folder))
        tree = ground.trees.tree(base.commit)
        assert (tree / "model.py").read_text() == "VALUE = 7\n"
        assert (tree / "new.py").read_text() == "x = 1\n"
        assert (tree / "train.py").read_text() == TRAIN

    def test_a_base_is_made_once(self, ground: Ground) -> None:
        first = ground.trees.base(str(ground.folder), LOOP)
        assert not first.dirty
        ground.put({"model.py": "VALUE = 8\n"})
        assert ground.trees.base(str(ground.folder), LOOP) == first
        assert ground.trees.base(str(ground.folder), "wld_2").commit != first.commit

    def test_what_is_in_no_repository_has_no_base(self, ground: Ground, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        assert ground.trees.repository(str(outside)) == ""
        assert ground.trees.repository(str(ground.folder / "conf")) == str(ground.folder)
        refused(CannotBeDone, lambda: ground.trees.base(str(outside), LOOP), "git init")
        refused(BadInput, lambda: ground.trees.base(str(ground.folder), "../x"))

    # --- edits --------------------------------------------------------------------------------------------------
    def test_an_edit_is_a_commit_and_the_user_s_file_stays(self, ground: Ground) -> None:
        base = ground.trees.base(str(ground.folder), LOOP)
        made = ground.trees.edit(LOOP, "", [change(), change("y = 1\n", "", "lib/new.py")], "twice the value", "k1")
        tree = ground.trees.tree(made)
        assert (tree / "model.py").read_text() == "VALUE = 2\n"
        assert (tree / "lib/new.py").read_text() == "y = 1\n"
        assert (ground.folder / "model.py").read_text() == "VALUE = 1\n"
        assert not (ground.folder / "lib").exists()
        diff = ground.trees.diff(base.commit, made)
        assert "-VALUE = 1" in diff and "+VALUE = 2" in diff and "lib/new.py" in diff

    def test_the_same_key_gives_the_same_commit(self, ground: Ground) -> None:
        ground.trees.base(str(ground.folder), LOOP)
        made = ground.trees.edit(LOOP, "", [change()], "a", "k1")
        assert ground.trees.edit(LOOP, "", [change()], "a", "k1") == made
        assert ground.trees.edit(LOOP, "", [change()], "a", "k2") != made

    def test_edits_stand_on_the_parent_they_name(self, ground: Ground) -> None:
        base = ground.trees.base(str(ground.folder), LOOP)
        two = ground.trees.edit(LOOP, base.commit, [change()], "a", "k1")
        three = ground.trees.edit(LOOP, two, [change("VALUE = 3\n", "VALUE = 2\n")], "b", "k2")
        other = ground.trees.edit(LOOP, base.commit, [change("VALUE = 9\n")], "c", "k3")
        found = [(ground.trees.tree(one) / "model.py").read_text() for one in (two, three, other)]
        assert found == ["VALUE = 2\n", "VALUE = 3\n", "VALUE = 9\n"]
        refused(NotFound, lambda: ground.trees.edit(LOOP, "f" * 40, [change()], "d", "k4"))

    @pytest.mark.parametrize(
        "edits, word",
        [
            ([change(old="nothing such\n")], "does not occur"),
            ([change(old="model", path="train.py")], "occurs"),
            ([change(), change(old="", path="model.py")], "exists already"),
            ([change(old="x", path="nosuch.py")], "does not exist"),
            ([change(new="VALUE = 1\n")], "change nothing"),
            ([change(new="def f(:\n")], "not be Python"),
        ],
    )
    def test_an_edit_that_cannot_be_made_is_kept_and_changes_nothing(
        self, ground: Ground, edits: list[FileEdit], word: str
    ) -> None:
        ground.trees.base(str(ground.folder), LOOP)
        refused(CannotBeDone, lambda: ground.trees.edit(LOOP, "", edits, "a", "k1"), word, "1.diff")
        kept = ground.folder / ".ragent" / "loops" / LOOP / "failed" / "1.diff"
        assert word in kept.read_text()
        good = ground.trees.edit(LOOP, "", [change()], "a", "k1")
        assert (ground.trees.tree(good) / "train.py").read_text() == TRAIN

    @pytest.mark.parametrize("path", ["../x.py", "/etc/x.py", ".git/hooks/pre-commit", "a/../../x", ".ragent/x", "~/x"])
    def test_an_edit_stays_inside(self, ground: Ground, path: str) -> None:
        ground.trees.base(str(ground.folder), LOOP)
        refused(NotAllowed, lambda: ground.trees.edit(LOOP, "", [change("x", "", path)], "a", "k1"))

    def test_no_edits_are_no_commit(self, ground: Ground) -> None:
        ground.trees.base(str(ground.folder), LOOP)
        refused(BadInput, lambda: ground.trees.edit(LOOP, "", [], "a", "k1"))
        refused(NotFound, lambda: ground.trees.edit("wld_other", "", [change()], "a", "k1"))

    # --- trees --------------------------------------------------------------------------------------------------
    def test_a_tree_is_read_only_and_made_once(self, ground: Ground) -> None:
        commit = ground.trees.base(str(ground.folder), LOOP).commit
        tree = ground.trees.tree(commit)
        assert tree == ground.folder / ".ragent" / "trees" / commit == ground.trees.tree(commit)
        for path in (tree, tree / "conf", tree / "train.py"):
            assert os.lstat(path).st_mode & stat.S_IWUSR == 0, path
        assert ground.trees.changed(commit) == []

    def test_a_change_of_a_tree_is_seen(self, ground: Ground) -> None:
        commit = ground.trees.base(str(ground.folder), LOOP).commit
        tree = ground.trees.tree(commit)
        (tree / "model.py").chmod(0o644)
        (tree / "model.py").write_text("VALUE = 3\n")
        tree.chmod(0o755)
        (tree / "stray.txt").write_text("")
        assert ground.trees.changed(commit) == ["model.py", "stray.txt"]

    def test_inputs_are_linked(self, ground: Ground) -> None:
        ground.put({"data/x.bin": "1"})
        commit = ground.trees.base(str(ground.folder), LOOP).commit
        ground.put({"weights/w.bin": "2"})
        refused(CannotBeDone, lambda: ground.trees.tree(commit, ["nosuch"]), "nosuch")
        tree = ground.trees.tree(commit, ["weights"])
        assert (tree / "weights" / "w.bin").read_text() == "2"
        assert ground.trees.changed(commit) == []

    @pytest.mark.parametrize("commit", ["f" * 40, "main", "", "--all"])
    def test_a_commit_that_is_none_has_no_tree(self, ground: Ground, commit: str) -> None:
        ground.trees.base(str(ground.folder), LOOP)
        with pytest.raises((NotFound, BadInput)):
            ground.trees.tree(commit)

    # --- a run's own folder -------------------------------------------------------------------------------------
    def test_a_run_writes_into_its_own_folder_and_imports_the_tree(self, ground: Ground, tmp_path: Path) -> None:
        commit = ground.trees.base(str(ground.folder), LOOP).commit
        ground.put({"model.py": "VALUE = 'edited meanwhile'\n"})
        here, env = ground.trees.work(commit, tmp_path / "run", str(ground.folder))
        assert here == tmp_path / "run" / "work"
        assert env["PYTHONPATH"].split(os.pathsep)[0] == str(ground.trees.tree(commit))
        done = subprocess.run(
            [sys.executable, "train.py"],
            cwd=here,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "value 1\n"
        assert (tmp_path / "run" / "work" / "out.txt").read_text() == "1"
        assert not (ground.folder / "out.txt").exists()
        assert ground.trees.changed(commit) == []

    def test_a_subfolder_is_a_subfolder(self, ground: Ground, tmp_path: Path) -> None:
        commit = ground.trees.base(str(ground.folder), LOOP).commit
        here, _ = ground.trees.work(commit, tmp_path / "run", str(ground.folder / "conf"))
        assert here == tmp_path / "run" / "work" / "conf"
        assert (here / "a.yaml").read_text() == "lr: 1\n"
        refused(CannotBeDone, lambda: ground.trees.work(commit, tmp_path / "run2", str(tmp_path)))

    def test_a_launch_is_refused_in_a_tree_that_was_changed(self, ground: Ground, tmp_path: Path) -> None:
        commit = ground.trees.base(str(ground.folder), LOOP).commit
        argv = [sys.executable, "train.py"]

        def launch(name: str) -> Any:
            return ground.trees.launch(
                commit, tmp_path / name, str(ground.folder), argv, dict(os.environ), sys.executable
            )

        cwd, _, env = launch("one")
        assert (cwd, env["RAGENT_OUTPUT_DIR"]) == (str(tmp_path / "one" / "work"), cwd)
        tree = ground.trees.tree(commit)
        (tree / "model.py").chmod(0o644)
        (tree / "model.py").write_text("VALUE = 3\n")
        refused(CannotBeDone, lambda: launch("two"), "model.py", "changed")
        assert ground.trees.changed(commit) == [], "it is restored"
        launch("three")

    def test_a_proof_says_where_modules_come_from(self, ground: Ground, tmp_path: Path) -> None:
        ground.trees.base(str(ground.folder), LOOP)
        commit = ground.trees.edit(LOOP, "", [change()], "a", "k1")
        here, env = ground.trees.work(commit, tmp_path / "run", str(ground.folder))
        assert ground.trees.prove(commit, sys.executable, str(here), {**os.environ, **env}).ok

    # --- the end ------------------------------------------------------------------------------------------------
    def test_a_person_merges(self, ground: Ground) -> None:
        base = ground.trees.base(str(ground.folder), LOOP).commit
        made = ground.trees.edit(LOOP, "", [change()], "a", "k1")
        last = ground.trees.edit(LOOP, made, [change("VALUE = 3\n", "VALUE = 2\n")], "b", "k2")
        said = ground.trees.merge(LOOP, last, "alice")
        assert "2 commits" in said and "alice" in said
        assert (ground.folder / "model.py").read_text() == "VALUE = 3\n"
        assert "already" in ground.trees.merge(LOOP, last, "alice")
        refused(CannotBeDone, lambda: ground.trees.merge(LOOP, base, "alice"), "nothing")

    def test_what_the_user_has_not_committed_is_not_merged_over(self, ground: Ground) -> None:
        ground.trees.base(str(ground.folder), LOOP)
        made = ground.trees.edit(LOOP, "", [change()], "a", "k1")
        ground.put({"model.py": "VALUE = 5\n"})
        refused(WrongMoment, lambda: ground.trees.merge(LOOP, made, "alice"), "model.py")
        assert (ground.folder / "model.py").read_text() == "VALUE = 5\n"

    def test_a_loop_is_forgotten(self, ground: Ground) -> None:
        first = ground.trees.base(str(ground.folder), LOOP)
        ground.trees.edit(LOOP, "", [change()], "a", "k1")
        ground.trees.forget(LOOP)
        refused(NotFound, lambda: ground.trees.edit(LOOP, "", [change()], "a", "k2"), LOOP)
        refused(NotFound, lambda: ground.trees.forget(LOOP))
        ground.put({"model.py": "VALUE = 6\n"})
        assert ground.trees.base(str(ground.folder), LOOP).commit != first.commit
