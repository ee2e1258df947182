"""A base holds everything that is the user's, and nothing of the user's is touched: real repositories."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ragent_jupyter.adapters import trees_base
from ragent_jupyter.adapters.trees import GitTrees
from ragent_jupyter.domain.errors import CannotBeDone, WrongMoment
from ragent_jupyter.domain.wild import FileEdit
from tests.contracts.trees import refused
from tests.support.git_repo import Repo

LOOP = "wld_1"


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "repo")
    made.commit({"train.py": "x = 1\n", "lib/util.py": "y = 1\n", ".gitignore": "*.log\ndata/\n", "old.txt": "old\n"})
    return made


def trees(repo: Repo, project: Path | None = None) -> GitTrees:
    folder = project or repo.folder
    (folder / ".ragent").mkdir(exist_ok=True)
    (folder / ".ragent" / ".gitignore").write_text("*\n")
    return GitTrees(folder)


def held(repo: Repo, commit: str) -> dict[str, str]:
    """path -> text, of a commit."""
    names = repo.git("ls-tree", "-r", "-z", "--name-only", commit).split("\0")
    return {name: repo.git("show", f"{commit}:{name}") for name in names if name}


def staged_and_modified(repo: Repo) -> None:
    repo.put({"train.py": "x = 2\n"})
    repo.git("add", "train.py")
    repo.put({"train.py": "x = 3\n", "new.py": "z = 1\n", "out.log": "ignored"})
    (repo.folder / "old.txt").unlink()
    repo.git("mv", "lib/util.py", "lib/moved.py")


def detached(repo: Repo) -> None:
    repo.git("checkout", "-q", "--detach")
    repo.put({"train.py": "x = 3\n"})


def stashed(repo: Repo) -> None:
    repo.put({"train.py": "x = 9\n"})
    repo.git("stash")
    repo.put({"new.py": "z = 1\n"})


def odd_names(repo: Repo) -> None:
    repo.put({"a\nb.py": "n = 1\n", 'quo"te \'s.py': "q = 1\n", "ünïcode/日本.py": "u = 1\n", "-dash.py": "d = 1\n",
              ":(top)magic*.py": "m = 1\n", " lead.py": "l = 1\n"})  # fmt: skip
    (repo.folder / os.fsdecode(b"latin\xe9.txt")).write_text("e")


def links_and_modes(repo: Repo) -> None:
    repo.put({"run.sh": "#!/bin/sh\n"})
    (repo.folder / "run.sh").chmod(0o755)
    (repo.folder / "link.py").symlink_to("train.py")
    (repo.folder / "lib_link").symlink_to("lib")
    (repo.folder / "dangling").symlink_to("nowhere")


def line_ends(repo: Repo) -> None:
    repo.commit({".gitattributes": "*.txt text eol=crlf\n*.bin filter=lfs diff=lfs -text\n"})
    (repo.folder / "old.txt").unlink()
    repo.git("checkout", "-q", "--", "old.txt")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 5\n"
    repo.put({"win.txt": b"a\r\nb\r\n", "weights.bin": pointer})


def sparse(repo: Repo) -> None:
    repo.git("sparse-checkout", "set", "--no-cone", "/*", "!/lib/")
    assert not (repo.folder / "lib").exists()
    repo.put({"train.py": "x = 3\n"})


def sub_module(repo: Repo) -> None:
    inner = Repo(repo.folder.parent / "inner")
    inner.commit({"core.py": "c = 1\n"})
    repo.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner.folder), "vendor/inner")
    repo.commit()
    repo.put({"vendor/inner/core.py": "c = 2\n", "train.py": "x = 3\n"})


def added_later(repo: Repo) -> None:
    repo.put({"new.py": "z = 1\n"})
    repo.git("add", "--intent-to-add", "new.py")


def split_index(repo: Repo) -> None:
    repo.git("update-index", "--split-index", "--untracked-cache")
    repo.put({"train.py": "x = 3\n"})


STATES: list[Callable[[Repo], None]] = [
    staged_and_modified, detached, stashed, odd_names, links_and_modes, line_ends, sparse, sub_module, added_later,
    split_index,
]  # fmt: skip


@pytest.mark.parametrize("state", STATES, ids=lambda one: one.__name__)
def test_the_base_is_what_the_user_sees_and_the_user_sees_no_difference(
    repo: Repo, state: Callable[[Repo], None]
) -> None:
    state(repo)
    hands = trees(repo)
    before = repo.state()
    base = hands.base(str(repo.folder), LOOP)
    made = hands.edit(LOOP, "", [FileEdit(path="added.py", old="", new="a = 1\n")], "a change", "k1")
    tree = hands.tree(made)
    hands.work(made, repo.folder / ".ragent" / "runs" / "run_1", str(repo.folder))
    assert repo.state() == before
    assert base.dirty
    assert repo.git("rev-parse", f"refs/heads/ragent/{LOOP}") == made
    wanted = set(repo.git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"))
    wanted -= {"", *repo.git("ls-files", "-z", "--deleted").split("\0")}
    if state is sparse:
        wanted.add("lib/util.py")
    for path in wanted - {"vendor/inner"}:
        mine, there = repo.folder / path, tree / path
        assert there.is_symlink() == mine.is_symlink(), path
        if mine.is_symlink():
            assert os.readlink(there) == os.readlink(mine)
        elif mine.exists():
            assert there.read_bytes() == mine.read_bytes(), path
            assert bool(there.stat().st_mode & 0o100) == bool(mine.stat().st_mode & 0o100), path
    found = {os.path.relpath(os.path.join(place, name), tree) for place, _, names in os.walk(tree) for name in names}
    extra = {".git", "added.py", "vendor/inner/core.py"}
    links = {path for path in wanted if (repo.folder / path).is_symlink()}
    assert found - extra - links == wanted - {"vendor/inner"} - links
    assert (tree / "lib" / "util.py").exists() or state is staged_and_modified
    assert hands.changed(made) == []


def test_what_lies_in_a_submodule_comes_from_its_commit_and_changes_there_are_named(repo: Repo) -> None:
    sub_module(repo)
    hands = trees(repo)
    base = hands.base(str(repo.folder), LOOP)
    assert (hands.tree(base.commit) / "vendor/inner/core.py").read_text() == "c = 1\n"
    assert hands.left_out(LOOP) == ["vendor/inner (changes inside the submodule)"]


def test_conflicts_are_not_run(repo: Repo) -> None:
    repo.git("switch", "-q", "-c", "other")
    repo.commit({"train.py": "x = 'other'\n"})
    repo.git("switch", "-q", "main")
    repo.commit({"train.py": "x = 'main'\n"})
    repo.git("merge", "other", check=False)
    before = repo.state()
    refused(WrongMoment, lambda: trees(repo).base(str(repo.folder), LOOP), "train.py", "conflicts")
    assert repo.state() == before
    assert repo.git("for-each-ref", "refs/heads/ragent") == ""


def test_a_repository_without_a_commit_has_a_base_without_a_parent(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    repo.put({"train.py": "x = 1\n"})
    before = repo.state()
    base = trees(repo).base(str(repo.folder), LOOP)
    assert repo.state() == before
    assert base.dirty
    assert repo.git("rev-list", "--count", base.commit) == "1"
    assert held(repo, base.commit) == {"train.py": "x = 1"}


def test_the_repository_may_lie_above_the_project(repo: Repo) -> None:
    repo.commit({"mono/app/train.py": "x = 1\n"})
    repo.put({"train.py": "x = 3\n", "mono/app/new.py": "n = 1\n"})
    hands = trees(repo, repo.folder / "mono")
    before = repo.state()
    base = hands.base(str(repo.folder / "mono" / "app"), LOOP)
    assert (base.root, repo.state()) == (str(repo.folder), before)
    assert held(repo, base.commit)["train.py"] == "x = 3"
    assert "mono/app/new.py" in held(repo, base.commit)


def test_a_change_of_the_same_size_in_the_same_instant_is_seen(repo: Repo) -> None:
    repo.git("config", "core.trustctime", "false")
    past = (1_700_000_000, 1_700_000_000)
    repo.put({"train.py": "x = 4\n"})
    os.utime(repo.folder / "train.py", past)
    repo.commit()
    repo.put({"train.py": "x = 5\n"})
    os.utime(repo.folder / "train.py", past)
    os.utime(repo.folder / ".git" / "index", past)
    assert held(repo, trees(repo).base(str(repo.folder), LOOP).commit)["train.py"] == "x = 5"


def test_huge_files_and_repositories_within_are_left_out_and_named(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees_base, "HUGE", 1000)
    repo.put({"big.bin": b"0" * 2000, "small.py": "s = 1\n"})
    Repo(repo.folder / "nested").commit({"n.py": "n = 1\n"})
    hands = trees(repo)
    base = hands.base(str(repo.folder), LOOP)
    assert "small.py" in held(repo, base.commit)
    assert not {"big.bin", "nested/n.py"} & set(held(repo, base.commit))
    assert [one.split(" (")[0] for one in hands.left_out(LOOP)] == ["nested/", "big.bin"]
    assert [one.path for one in hands.ignored(str(repo.folder))] == ["big.bin"]


def test_settings_and_variables_of_the_user_start_nothing_and_lead_nowhere(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "mark"
    for name in ("core.fsmonitor", "core.pager", "diff.external", "core.editor", "gpg.program"):
        repo.git("config", name, f"touch {mark}; false")
    repo.git("config", "commit.gpgsign", "true")
    repo.put({"train.py": "x = 3\n"})
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    hands = trees(repo)
    base = hands.base(str(repo.folder), LOOP)
    made = hands.edit(LOOP, "", [FileEdit(path="train.py", old="3", new="4")], "a", "k1")
    assert "+x = 4" in hands.diff(base.commit, made)
    assert not mark.exists()


def test_of_many_at_once_all_get_the_same_base(repo: Repo) -> None:
    repo.put({"train.py": "x = 3\n"})
    hands, found = trees(repo), set[str]()
    threads = [threading.Thread(target=lambda: found.add(hands.base(str(repo.folder), LOOP).commit)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1


def test_a_base_whose_record_is_gone_is_found_on_its_branch(repo: Repo) -> None:
    repo.put({"train.py": "x = 3\n"})
    hands = trees(repo)
    base = hands.base(str(repo.folder), LOOP)
    hands.edit(LOOP, "", [FileEdit(path="train.py", old="3", new="4")], "a", "k1")
    (repo.folder / ".ragent" / "loops" / LOOP / "base.json").unlink()
    repo.put({"train.py": "x = 5\n"})
    assert hands.base(str(repo.folder), LOOP) == base


def test_a_branch_that_stands_in_the_way_is_named(repo: Repo) -> None:
    repo.git("branch", "ragent")
    refused(CannotBeDone, lambda: trees(repo).base(str(repo.folder), LOOP), "branch -m ragent")


def test_a_linked_worktree_of_the_user_s_is_a_repository_too(repo: Repo, tmp_path: Path) -> None:
    repo.git("worktree", "add", "-q", str(tmp_path / "second"), "-b", "second")
    (tmp_path / "second" / "train.py").write_text("x = 8\n")
    before = repo.state()
    hands = GitTrees(tmp_path / "second")
    base = hands.base(str(tmp_path / "second"), LOOP)
    hands.edit(LOOP, "", [FileEdit(path="train.py", old="8", new="9")], "a", "k1")
    assert held(repo, base.commit)["train.py"] == "x = 8"
    after = repo.state()
    assert {**after, "refs": 0} == {**before, "refs": 0}
    assert subprocess.run(["git", "-C", str(tmp_path / "second"), "status", "--short"], capture_output=True, check=True)


def test_what_git_ignores_is_listed_with_its_size(repo: Repo) -> None:
    repo.put({"data/x.bin": b"0" * 100, "data/y.bin": b"0" * 50, "run.log": b"12345", "lib/__pycache__/u.pyc": b"1"})
    repo.put({".venv/pyvenv.cfg": "", ".gitignore": "*.log\ndata/\n.venv/\n__pycache__/\n"})
    found = [(one.path, one.size, one.kind) for one in trees(repo).ignored(str(repo.folder))]
    assert found == [("data", 150, "folder"), ("run.log", 5, "file")]
