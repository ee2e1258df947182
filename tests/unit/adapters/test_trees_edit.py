"""Edits as commits: hooks, names, line ends, kills, and the way back to the user's branch."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ragent_jupyter.adapters.trees import GitTrees
from ragent_jupyter.domain.errors import CannotBeDone, NotAllowed, WrongMoment
from ragent_jupyter.domain.wild import FileEdit
from tests.contracts.trees import refused
from tests.support.git_repo import Repo
from tests.support.wait import wait_until

LOOP = "wld_1"


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "repo")
    made.commit({"train.py": "x = 1\n", "lib/util.py": "y = 1\n", ".gitignore": "*.log\n"})
    (made.folder / ".ragent").mkdir()
    (made.folder / ".ragent" / ".gitignore").write_text("*\n")
    return made


@pytest.fixture
def hands(repo: Repo) -> GitTrees:
    made = GitTrees(repo.folder)
    made.base(str(repo.folder), LOOP)
    return made


def to(new: str, old: str = "x = 1", path: str = "train.py") -> FileEdit:
    return FileEdit(path=path, old=old, new=new)


def hook(repo: Repo, name: str, text: str) -> None:
    path = repo.folder / ".git" / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_commit_says_whose_it_is(repo: Repo, hands: GitTrees) -> None:
    made = hands.edit(LOOP, "", [to("x = 2")], "lr: warm up\n\n# not a comment", "act_7")
    words = repo.git("log", "-1", "--format=%an <%ae>%n%cn <%ce>%n%B", made)
    assert words == (
        "ragent <ragent@localhost>\nragent <ragent@localhost>\n"
        "lr: warm up\n\n# not a comment\n\nRagent-Loop: wld_1\nRagent-Key: act_7"
    )
    assert repo.git("diff", "--name-only", "main", made) == "train.py"


def test_hooks_run_and_may_refuse(repo: Repo, hands: GitTrees) -> None:
    hook(
        repo,
        "pre-commit",
        'grep -q "x = 13" train.py && { echo "13 is bad luck" >&2; exit 1; }; touch "$PWD/../ran"; true',
    )
    before = repo.state()
    refused(CannotBeDone, lambda: hands.edit(LOOP, "", [to("x = 13")], "a", "k1"), "13 is bad luck", "1.diff")
    kept = (repo.folder / ".ragent/loops/wld_1/failed/1.diff").read_text()
    assert "-x = 1\n+x = 13\n" in kept and "# " in kept and "bad luck" in kept
    hands.edit(LOOP, "", [to("x = 2")], "a", "k2")
    assert (repo.folder / ".ragent/worktrees/ran").exists()
    assert repo.state() == before


def test_what_a_hook_corrects_is_in_the_commit(repo: Repo, hands: GitTrees) -> None:
    hook(repo, "pre-commit", "echo 'x = 2  # formatted' > train.py; git add train.py")
    made = hands.edit(LOOP, "", [to("x = 2")], "a", "k1")
    assert repo.git("show", f"{made}:train.py") == "x = 2  # formatted"


def test_the_same_failure_is_kept_once(repo: Repo, hands: GitTrees) -> None:
    for key in ("k1", "k1", "k2"):
        refused(CannotBeDone, lambda key=key: hands.edit(LOOP, "", [to("z", "nothing")], "a", key))
    refused(CannotBeDone, lambda: hands.edit(LOOP, "", [to("z", "other")], "a", "k3"), "2.diff")
    failed = repo.folder / ".ragent/loops/wld_1/failed"
    assert sorted(os.listdir(failed)) == ["1.diff", "2.diff"]
    assert "@@ not applied @@\n-other\n+z\n" in (failed / "2.diff").read_text()


def test_what_an_edit_left_behind_is_not_in_the_next(repo: Repo, hands: GitTrees) -> None:
    edits = [to("n = 1\n", "", "left.py"), to("def f(:\n", "", "broken.py")]
    refused(CannotBeDone, lambda: hands.edit(LOOP, "", edits, "a", "k1"), "broken.py")
    (repo.folder / ".ragent/worktrees/wld_1").mkdir(parents=True, exist_ok=True)
    made = hands.edit(LOOP, "", [to("x = 2")], "a", "k2")
    (repo.folder / ".ragent/worktrees/wld_1/stray.py").write_text("s = 1\n")
    (repo.folder / ".ragent/worktrees/wld_1/train.py").write_text("scribbled\n")
    again = hands.edit(LOOP, made, [to("x = 3", "x = 2"), to("mine = 1\n", "", "stray.py")], "b", "k3")
    assert repo.git("diff", "--name-only", "main", again) == "stray.py\ntrain.py"


def test_links_and_ignored_files_are_not_edited(repo: Repo, hands: GitTrees, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (repo.folder / "away").symlink_to(outside)
    (repo.folder / "alias.py").symlink_to("train.py")
    repo.commit()
    hands.base(str(repo.folder), "wld_2")
    refused(NotAllowed, lambda: hands.edit("wld_2", "", [to("n = 1\n", "", "away/new.py")], "a", "k1"), "link")
    refused(NotAllowed, lambda: hands.edit("wld_2", "", [to("x = 2", path="alias.py")], "a", "k2"), "no plain file")
    refused(CannotBeDone, lambda: hands.edit("wld_2", "", [to("n", "", "a.log")], "a", "k3"), "ignored")
    assert list(outside.iterdir()) == []


def test_windows_lines_stay_and_latin_text_is_refused(repo: Repo, hands: GitTrees) -> None:
    repo.commit({"win.py": b"a = 1\r\nb = 2\r\n", "latin.py": b"# -*- coding: latin-1 -*-\ns = '\xe9'\n"})
    hands.base(str(repo.folder), "wld_2")
    made = hands.edit("wld_2", "", [to("a = 3\nc = 4\nb = 2", "a = 1\nb = 2", "win.py")], "a", "k1")
    raw = subprocess.run(["git", "-C", str(repo.folder), "show", f"{made}:win.py"], capture_output=True, check=True)
    assert raw.stdout == b"a = 3\r\nc = 4\r\nb = 2\r\n"
    refused(CannotBeDone, lambda: hands.edit("wld_2", "", [to("s = 2", "s", "latin.py")], "a", "k2"), "UTF-8")


def test_a_file_for_a_newer_python_is_left_to_the_run(repo: Repo, hands: GitTrees) -> None:
    repo.commit({"newer.py": "x = 1\nthis is for = a python to come\n"})
    hands.base(str(repo.folder), "wld_2")
    assert hands.edit("wld_2", "", [to("x = 2", path="newer.py")], "a", "k1")


@pytest.mark.slow
@pytest.mark.parametrize("point", ["trees.worktree", "trees.committed"])
def test_one_who_is_killed_in_the_middle_is_followed_by_one_commit(repo: Repo, hands: GitTrees, point: str) -> None:
    code = (
        "from pathlib import Path; from ragent_jupyter.adapters.trees import GitTrees;"
        "from ragent_jupyter.domain.wild import FileEdit;"
        "edit = FileEdit(path='train.py', old='x = 1', new='x = 2');"
        f"GitTrees(Path({str(repo.folder)!r})).edit('wld_1', '', [edit], 'a', 'k1')"
    )
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "RAGENT_KILL_AT": f"{point}:1"}, check=False)
    assert done.returncode == -9
    killed, at = repo.git("-C", ".ragent/worktrees/wld_1", "log", "-1", "--format=%H %ct").split()
    wait_until(lambda: time.time() >= int(at) + 1, what="a second in which the same commit would have another id")
    made = hands.edit(LOOP, "", [to("x = 2")], "a", "k1")
    assert repo.git("rev-list", "--count", f"main..{made}") == "1"
    assert (killed == made) == (point == "trees.committed"), "its commit is taken, not made twice"


def test_a_worktree_that_was_deleted_by_hand_is_made_again(repo: Repo, hands: GitTrees) -> None:
    import shutil

    made = hands.edit(LOOP, "", [to("x = 2")], "a", "k1")
    shutil.rmtree(repo.folder / ".ragent/worktrees")
    again = hands.edit(LOOP, made, [to("x = 3", "x = 2")], "b", "k2")
    assert repo.git("show", f"{again}:train.py") == "x = 3"


def test_commits_that_are_not_on_the_branch_survive_a_clean_up(repo: Repo, hands: GitTrees) -> None:
    first = hands.edit(LOOP, "", [to("x = 2")], "a", "k1")
    hands.edit(LOOP, "", [to("x = 3")], "b", "k2")
    hands.edit(LOOP, "", [to("x = 4")], "c", "k3")
    repo.git("reflog", "expire", "--expire=now", "--all")
    repo.git("gc", "-q", "--prune=now")
    assert (hands.tree(first) / "train.py").read_text() == "x = 2\n"


# --- the user's branch ------------------------------------------------------------------------------------------------
def test_a_branch_that_went_on_gets_the_commits_on_top(repo: Repo, hands: GitTrees) -> None:
    made = hands.edit(LOOP, "", [to("x = 2")], "a", "k1")
    last = hands.edit(LOOP, made, [to("n = 1\n", "", "new.py")], "b", "k2")
    repo.commit({"lib/util.py": "y = 5\n"}, "the user's")
    repo.put({"lib/util.py": "y = 6\n", "own.txt": "mine"})
    said = hands.merge(LOOP, last, "alice")
    assert "2 commits" in said and "main" in said
    assert repo.git("log", "-3", "--format=%s", "main") == "b\na\nthe user's"
    assert (repo.folder / "lib/util.py").read_text() == "y = 6\n"
    assert repo.git("status", "--porcelain") == " M lib/util.py\n?? own.txt"
    assert "already" in hands.merge(LOOP, last, "alice")


def test_what_the_base_took_along_is_not_merged(repo: Repo) -> None:
    repo.put({"lib/util.py": "y = 9\n"})
    hands = GitTrees(repo.folder)
    hands.base(str(repo.folder), "wld_2")
    made = hands.edit("wld_2", "", [to("x = 2")], "a", "k1")
    hands.merge("wld_2", made, "alice")
    assert repo.git("diff", "--name-only", "HEAD~1", "HEAD") == "train.py"
    assert repo.git("status", "--porcelain") == " M lib/util.py"


def test_a_conflict_is_named_and_leaves_everything(repo: Repo, hands: GitTrees) -> None:
    made = hands.edit(LOOP, "", [to("x = 2")], "a", "k1")
    repo.commit({"train.py": "x = 'user'\n"})
    before = repo.state()
    refused(CannotBeDone, lambda: hands.merge(LOOP, made, "alice"), "train.py", "cherry-pick")
    assert repo.state() == before
    assert hands.edit(LOOP, made, [to("x = 3", "x = 2")], "b", "k2"), "the worktree works on"


@pytest.mark.parametrize("moment", ["detached", "rebase", "untracked", "staged", "unborn"])
def test_a_merge_waits_for_a_quiet_moment(repo: Repo, hands: GitTrees, moment: str) -> None:
    made = hands.edit(LOOP, "", [to("x = 2"), to("n = 1\n", "", "new.py")], "a", "k1")
    if moment == "detached":
        repo.git("checkout", "-q", "--detach")
    elif moment == "rebase":
        (repo.folder / ".git" / "rebase-merge").mkdir()
    elif moment == "untracked":
        repo.put({"new.py": "mine\n"})
    elif moment == "staged":
        repo.put({"train.py": "x = 5\n"})
        repo.git("add", "train.py")
    else:
        repo.git("checkout", "-q", "--orphan", "fresh")
    before = repo.state()
    refused(WrongMoment, lambda: hands.merge(LOOP, made, "alice"))
    assert repo.state() == before


def test_only_what_the_loop_made_is_merged(repo: Repo, hands: GitTrees) -> None:
    repo.git("switch", "-q", "--orphan", "other")
    foreign = repo.commit({"o.py": "o = 1\n"})
    repo.git("switch", "-q", "main")
    refused(CannotBeDone, lambda: hands.merge(LOOP, foreign, "alice"), "not a commit of")
    refused(
        CannotBeDone, lambda: hands.edit(LOOP, foreign, [to("o = 2", "o = 1", "o.py")], "a", "k1"), "not a commit of"
    )


def test_forgetting_leaves_what_the_user_has(repo: Repo, hands: GitTrees) -> None:
    made = hands.edit(LOOP, "", [to("x = 2")], "a", "k1")
    hands.merge(LOOP, made, "alice")
    hands.forget(LOOP)
    assert repo.git("rev-parse", "main") == made
    assert repo.git("for-each-ref", "--format=%(refname)") == "refs/heads/main"
    assert repo.git("worktree", "list").count("\n") == 0


def test_a_branch_that_somebody_looks_at_is_not_taken_away(repo: Repo, hands: GitTrees) -> None:
    hands.edit(LOOP, "", [to("x = 2")], "a", "k1")
    repo.git("switch", "-q", f"ragent/{LOOP}")
    refused(WrongMoment, lambda: hands.forget(LOOP), "checked out")
