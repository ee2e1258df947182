"""Trees and run folders: whole or not there, read-only, seen when changed; what a command becomes there."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ragent_jupyter.adapters import trees_store
from ragent_jupyter.adapters.trees import GitTrees
from ragent_jupyter.adapters.trees_work import WorkFolder
from ragent_jupyter.domain.errors import CannotBeDone
from tests.contracts.trees import refused
from tests.support.git_repo import Repo

LOOP = "wld_1"


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "repo")
    made.commit(
        {"train.py": "x = 1\n", "lib/util.py": "y = 1\n", "results.csv": "a\n1\n", "data/.gitkeep": "",
         ".gitignore": "data/*\n!data/.gitkeep\nout/\n.venv/\n"}
    )  # fmt: skip
    (made.folder / ".ragent").mkdir()
    (made.folder / ".ragent" / ".gitignore").write_text("*\n")
    return made


@pytest.fixture
def hands(repo: Repo) -> GitTrees:
    return GitTrees(repo.folder)


def head(repo: Repo) -> str:
    return repo.git("rev-parse", "HEAD")


def launched(
    hands: GitTrees, run: str, argv: list[str], cwd: str = "", **env: str
) -> tuple[str, list[str], dict[str, str]]:
    folder = hands.project
    base = {"PATH": os.environ["PATH"], **env}
    where = cwd or str(folder)
    return hands.launch(head(Repo(folder)), folder / ".ragent/runs" / run, where, argv, base, sys.executable)


# --- trees ------------------------------------------------------------------------------------------------------------
def test_many_at_once_make_one_tree(repo: Repo, hands: GitTrees) -> None:
    commit, found = head(repo), list[Path]()
    threads = [threading.Thread(target=lambda: found.append(GitTrees(repo.folder).tree(commit))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6 and len(set(found)) == 1
    left = {path.name for path in (repo.folder / ".ragent/trees").iterdir()}
    assert left == {commit, f"{commit}.json", f"{commit}.git", f"{commit}.lock"}
    assert hands.changed(commit) == []


@pytest.mark.slow
@pytest.mark.parametrize("point", ["trees.building", "trees.recorded", "trees.work"])
def test_half_a_tree_is_never_used(repo: Repo, hands: GitTrees, point: str, tmp_path: Path) -> None:
    commit = head(repo)
    code = (
        "from pathlib import Path; from ragent_jupyter.adapters.trees import GitTrees;"
        f"GitTrees(Path({str(repo.folder)!r})).work({commit!r}, Path({str(tmp_path / 'run')!r}), {str(repo.folder)!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "RAGENT_KILL_AT": f"{point}:1"}, check=False)
    assert done.returncode == -9
    assert (repo.folder / ".ragent/trees" / commit).exists() == (point == "trees.work")
    assert not (tmp_path / "run" / "work").exists()
    here, _ = hands.work(commit, tmp_path / "run", str(repo.folder))
    assert hands.changed(commit) == []
    assert sorted(os.listdir(here)) == [".git", ".gitignore", "data", "lib", "results.csv", "train.py"]
    assert not [path.name for path in (repo.folder / ".ragent/trees").glob("tmp-*")]
    assert os.listdir(tmp_path / "run") and not (tmp_path / "run" / "work.tmp").exists()


def test_a_full_disk_is_said_and_leaves_nothing(repo: Repo, hands: GitTrees, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(trees_store, "_close", full)
        refused(CannotBeDone, lambda: hands.tree(head(repo)), "No space left", "disk space")
    assert not list((repo.folder / ".ragent/trees").glob("tmp-*"))
    assert hands.tree(head(repo)).is_dir()


def test_a_tree_knows_its_commit_and_is_where_a_search_for_the_root_ends(
    repo: Repo, hands: GitTrees, tmp_path: Path
) -> None:
    old = head(repo)
    hands.work(old, repo.folder / ".ragent/runs/run_1", str(repo.folder))
    repo.commit({"train.py": "x = 2\n"})
    for place in (hands.tree(old), repo.folder / ".ragent/runs/run_1/work"):
        asked = subprocess.run(
            ["git", "-C", str(place), "rev-parse", "HEAD", "--show-toplevel"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert asked.stdout.split() == [old, str(place)]
        status = subprocess.run(
            ["git", "-C", str(place), "status", "--short"], capture_output=True, text=True, check=True
        )
        assert status.stdout == ""


def test_export_rules_take_nothing_away(repo: Repo, hands: GitTrees) -> None:
    commit = repo.commit({".gitattributes": "lib/ export-ignore\n*.py export-subst\n", "v.py": "V = '$Format:%H$'\n"})
    tree = hands.tree(commit)
    assert (tree / "lib/util.py").exists()
    assert (tree / "v.py").read_text() == "V = '$Format:%H$'\n"


def test_a_link_out_of_the_repository_leads_to_the_same_place(repo: Repo, hands: GitTrees) -> None:
    (repo.folder.parent / "shared").mkdir()
    (repo.folder.parent / "shared" / "x.txt").write_text("there")
    (repo.folder / "lib" / "away").symlink_to("../../shared")
    tree = hands.tree(repo.commit())
    assert (tree / "lib/away/x.txt").read_text() == "there"


def test_an_added_module_is_a_change_and_bytes_that_are_the_same_are_none(repo: Repo, hands: GitTrees) -> None:
    tree = hands.tree(head(repo))
    for folder in (tree, tree / "lib"):
        folder.chmod(0o755)
    (tree / "lib" / "util.py").chmod(0o644)
    (tree / "lib" / "util.py").write_text("y = 1\n")
    assert hands.changed(head(repo)) == []
    (tree / "lib" / "json.py").write_text("")
    (tree / "train.py").unlink()
    assert hands.changed(head(repo)) == ["lib/json.py", "train.py"]


def test_a_tree_whose_record_was_deleted_is_made_again(repo: Repo, hands: GitTrees) -> None:
    tree = hands.tree(head(repo))
    (tree / "train.py").chmod(0o644)
    (tree / "train.py").write_text("x = 'changed'\n")
    (repo.folder / ".ragent/trees" / f"{head(repo)}.json").unlink()
    assert (hands.tree(head(repo)) / "train.py").read_text() == "x = 1\n"


# --- inputs -----------------------------------------------------------------------------------------------------------
def test_inputs_appear_in_folders_that_the_commit_has_too(repo: Repo, hands: GitTrees) -> None:
    repo.put({"data/a.bin": "1", "data/sub/b.bin": "2", "out/best.pt": "3", "notes/x.txt": "4"})
    tree = hands.tree(head(repo), ["data", "out/best.pt"])
    assert [(tree / p).read_text() for p in ("data/a.bin", "data/sub/b.bin", "out/best.pt")] == ["1", "2", "3"]
    assert not (tree / "data").is_symlink() and os.lstat(tree / "out").st_mode & 0o222 == 0
    assert hands.tree(head(repo), ["notes"]) == tree and (tree / "notes/x.txt").exists(), "later ones are added"
    assert hands.changed(head(repo)) == []
    here, _ = hands.work(head(repo), repo.folder / ".ragent/runs/run_1", str(repo.folder))
    assert (here / "data/a.bin").read_text() == "1"
    assert (here / "data/.gitkeep").exists()


@pytest.mark.parametrize("path", ["", "..", "../shared", "/etc/passwd", ".git", ".ragent/runs", "train.py"])
def test_what_is_no_input(repo: Repo, hands: GitTrees, path: str) -> None:
    (repo.folder.parent / "shared").mkdir()
    refused(CannotBeDone, lambda: hands.tree(head(repo), [path]))


def test_an_input_that_is_written_is_noticed(repo: Repo, hands: GitTrees) -> None:
    repo.put({"data/a.bin": "1", "out/deep/b.bin": "2"})
    hands.tree(head(repo), ["data/a.bin", "out"])
    run = repo.folder / ".ragent/runs/run_1"
    here, _ = hands.work(head(repo), run, str(repo.folder))
    assert hands.inputs_changed(run) == []
    (here / "out/deep/b.bin").write_text("changed")
    assert hands.inputs_changed(run) == ["out"]
    (here / "data/a.bin").write_text("changed")
    assert hands.inputs_changed(run) == ["data/a.bin", "out"]


# --- a run's folder ---------------------------------------------------------------------------------------------------
def test_a_file_that_a_program_overwrites_is_the_run_s_own(repo: Repo, hands: GitTrees) -> None:
    run = repo.folder / ".ragent/runs/run_1"
    here, _ = hands.work(head(repo), run, str(repo.folder))
    (here / "results.csv").write_text("b\n2\n")
    assert hands.changed(head(repo)) == []
    assert (repo.folder / "results.csv").read_text() == "a\n1\n"
    assert hands.code_changed(run) == []
    (here / "train.py").unlink()
    (here / "train.py").write_text("x = 'other'\n")
    assert hands.code_changed(run) == ["train.py"]


def test_an_environment_in_the_project_is_where_it_was(repo: Repo, hands: GitTrees) -> None:
    repo.put({".venv/pyvenv.cfg": "", ".venv/bin/python": ""})
    here, _ = hands.work(head(repo), repo.folder / ".ragent/runs/run_1", str(repo.folder))
    assert (here / ".venv").resolve() == repo.folder / ".venv"


def test_what_a_command_names_in_the_repository_is_named_in_the_run_s_folder(repo: Repo, hands: GitTrees) -> None:
    root = repo.folder
    repo.put({"data/big.bin": "1"})
    work = root / ".ragent/runs/run_1/work"
    command = (
        f"cd {root} && python {root}/train.py --data={root}/data/big.bin --out '{root}/fresh/x'"
        f" --cfg {root}/results.csv {root}2/other {root}/.ragent/runs x{root}/train.py"
    )
    cwd, argv, env = launched(
        hands, "run_1", ["/bin/bash", "-c", command], PWD=str(root), OLDPWD="/x", PROJECT_ROOT=str(root),
        PYTHONPATH=f"{root}/lib:/usr/share/x:{root}/gone", VIRTUAL_ENV=f"{root}/.venv",
    )  # fmt: skip
    assert cwd == str(work)
    assert argv[2] == (
        f"cd {work} && python {work}/train.py --data={root}/data/big.bin --out '{work}/fresh/x'"
        f" --cfg {work}/results.csv {root}2/other {root}/.ragent/runs x{root}/train.py"
    )
    tree = root / ".ragent/trees" / head(repo)
    assert env["PYTHONPATH"] == f"{tree}:{tree}/lib:/usr/share/x"
    assert (env["PWD"], env["PROJECT_ROOT"], env["VIRTUAL_ENV"]) == (cwd, str(work), f"{root}/.venv")
    assert "OLDPWD" not in env and env["PYTHONDONTWRITEBYTECODE"] == "1" and env["RAGENT_OUTPUT_DIR"] == cwd
    said = WorkFolder(work.parent).record()["said"]
    assert f"{root}/data/big.bin in the command is left: the commit does not hold it" in said


def test_a_project_reached_by_a_link_is_the_same_project(repo: Repo, hands: GitTrees, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(repo.folder)
    cwd, argv, _ = launched(hands, "run_1", ["python", f"{tmp_path}/alias/lib/util.py"], cwd=f"{tmp_path}/alias/lib")
    work = repo.folder / ".ragent/runs/run_1/work"
    assert (cwd, argv[1]) == (str(work / "lib"), str(work / "lib/util.py"))


def test_what_runs_left_in_a_tree_is_moved_aside(repo: Repo, hands: GitTrees) -> None:
    tree = hands.tree(head(repo), [])
    tree.chmod(0o755)
    (tree / "ckpt.pt").write_text("weights of another run")
    launched(hands, "run_1", ["python", "train.py"])
    assert not (hands.tree(head(repo)) / "ckpt.pt").exists()
    assert (repo.folder / f".ragent/trees/{head(repo)}.changed-1/ckpt.pt").exists()
    assert WorkFolder(repo.folder / ".ragent/runs/run_1").record()["left_by_earlier_runs"] == ["ckpt.pt"]


def test_inputs_outlive_a_restored_tree(repo: Repo, hands: GitTrees) -> None:
    repo.put({"data/a.bin": "1"})
    tree = hands.tree(head(repo), ["data/a.bin"])
    (tree / "train.py").chmod(0o644)
    (tree / "train.py").write_text("x = 'changed'\n")
    refused(CannotBeDone, lambda: launched(hands, "run_1", ["python", "train.py"]), "train.py")
    cwd, _, _ = launched(hands, "run_2", ["python", "train.py"])
    assert Path(cwd, "data/a.bin").read_text() == "1"


def test_a_folder_that_the_commit_does_not_have_is_an_empty_one(repo: Repo, hands: GitTrees) -> None:
    (repo.folder / "scratch").mkdir()
    cwd, _, _ = launched(hands, "run_1", ["python", "../train.py"], cwd=str(repo.folder / "scratch"))
    assert os.listdir(cwd) == [] and Path(cwd, "../train.py").exists()


def test_a_relative_path_of_a_run_leads_into_its_own_folder(repo: Repo, hands: GitTrees) -> None:
    base = repo.commit({"sub/train.py": "", "a.py": ""})
    run_dir = repo.folder / ".ragent" / "runs" / "run_1"
    cwd = str(repo.folder / "sub")
    here, _ = hands.work(base, run_dir, cwd)
    assert hands.place_of(run_dir, cwd) == here == run_dir / "work" / "sub"
    assert hands.place_of(run_dir, "/elsewhere") == hands.place_of(run_dir, str(repo.folder)) == run_dir / "work"
    assert hands.place_of(run_dir.with_name("run_2"), cwd).name == "work", "one that was never launched"
