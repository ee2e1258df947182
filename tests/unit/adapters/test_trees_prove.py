"""The proof against real environments: a virtual environment with editable installs of both kinds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from ragent_jupyter.adapters.trees import GitTrees
from ragent_jupyter.adapters.trees_prove import Place, judge, names_of
from ragent_jupyter.adapters.trees_work import WorkFolder
from ragent_jupyter.domain.errors import CannotBeDone
from ragent_jupyter.domain.wild import FileEdit
from tests.contracts.trees import refused
from tests.support.git_repo import Repo

LOOP = "wld_1"
SETUP = """
from setuptools import setup
setup(name="tiny", version="1", packages=["tiny"], package_dir={PLACE})
"""
PYPROJECT = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
USE = "import sys; sys.path[:] = [p for p in sys.path]\nimport tiny.model\nprint(tiny.model.WHO, tiny.model.__file__)\n"


@pytest.fixture(scope="module")
def setuptools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with pip and setuptools, from which environments are built without looking anything up."""
    folder = tmp_path_factory.mktemp("builder")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "setuptools>=64", "wheel"], check=True, capture_output=True)
    return python


def environment(folder: Path) -> Path:
    venv.create(folder, with_pip=False, symlinks=True)
    return folder / "bin" / "python"


def install(setuptools: Path, source: Path, python: Path, *more: str) -> None:
    """pip and setuptools are lent to the environment for this one call."""
    lent = str(site(setuptools))
    done = subprocess.run(
        [python, "-m", "pip", "install", "-q", "--no-build-isolation", "--no-deps", *more, str(source)],
        env={**os.environ, "PYTHONPATH": lent}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def site(python: Path) -> Path:
    return next((python.parent.parent / "lib").glob("python*/site-packages"))


def package(repo: Repo, folder: str) -> None:
    place = {"tiny": f"{folder}/tiny"} if folder == "lib" else {"": folder} if folder != "." else {}
    repo.commit(
        {
            "pyproject.toml": PYPROJECT,
            "setup.py": SETUP.replace("{PLACE}", repr(place)),
            f"{folder}/tiny/__init__.py": "",
            f"{folder}/tiny/model.py": "WHO = 'user'\n",
            "scripts/train.py": USE,
            ".gitignore": "*.egg-info/\nbuild/\n__pycache__/\n.ragent/\n",
        }
    )


def edited(repo: Repo, folder: str) -> tuple[GitTrees, str]:
    (repo.folder / ".ragent").mkdir(exist_ok=True)
    hands = GitTrees(repo.folder)
    hands.base(str(repo.folder), LOOP)
    edit = FileEdit(path=os.path.normpath(f"{folder}/tiny/model.py"), old="'user'", new="'tree'")
    return hands, hands.edit(LOOP, "", [edit], "a", "k1")


def executed(hands: GitTrees, commit: str, python: Path) -> str:
    """What a launched run prints."""
    run = hands.project / ".ragent/runs/run_1"
    argv = ["/bin/sh", "-c", "python scripts/train.py"]
    env = {"PATH": f"{python.parent}:{os.environ['PATH']}"}
    cwd, argv, env = hands.launch(commit, run, str(hands.project), argv, env, str(python))
    done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=True)
    return done.stdout.split()[0]


@pytest.mark.slow
@pytest.mark.parametrize("folder", [".", "src", "lib"])
def test_with_an_editable_install_the_tree_is_executed_or_nothing_is(
    tmp_path: Path, setuptools: Path, folder: str
) -> None:
    """In the root and in src: setuptools writes a finder and a .pth, and the tree comes first. In lib: the package is
    found by name only, through a finder that knows the user's file."""
    repo = Repo(tmp_path / "repo")
    package(repo, folder)
    python = environment(tmp_path / "env")
    install(setuptools, repo.folder, python, "-e")
    hands, commit = edited(repo, folder)
    assert list(site(python).glob("__editable__*")), "the install is an editable one"
    if folder != "lib":
        assert executed(hands, commit, python) == "tree"
        return
    assert list(site(python).glob("__editable___tiny*finder.py")), "of the kind with a finder"
    wrong = refused(CannotBeDone, lambda: executed(hands, commit, python), "tiny.model", str(repo.folder / "lib/tiny"))
    assert "__editable___tiny" in str(wrong) and "pip uninstall tiny" in str(wrong)
    assert not (repo.folder / ".ragent/runs/run_1/work").exists()


@pytest.mark.slow
def test_a_copy_that_was_installed_is_not_the_edited_file(tmp_path: Path, setuptools: Path) -> None:
    repo = Repo(tmp_path / "repo")
    package(repo, "lib")
    python = environment(tmp_path / "env")
    install(setuptools, repo.folder, python)
    hands, commit = edited(repo, "lib")
    refused(CannotBeDone, lambda: executed(hands, commit, python), "tiny.model", "site-packages")


@pytest.fixture
def python(tmp_path: Path) -> Path:
    return environment(tmp_path / "env")


@pytest.mark.slow
def test_folders_that_an_environment_adds_come_from_the_tree(tmp_path: Path, python: Path) -> None:
    """A .pth that names an unusual folder of the repository: its counterpart in the tree is put before it."""
    repo = Repo(tmp_path / "repo")
    package(repo, "code/python")
    (site(python) / "tiny.pth").write_text(f"{repo.folder}/code/python\n")
    hands, commit = edited(repo, "code/python")
    assert executed(hands, commit, python) == "tree"
    paths = WorkFolder(hands.project / ".ragent/runs/run_1").record()["pythonpath"].split(":")
    assert paths[-1] == str(hands.tree(commit) / "code/python")


@pytest.mark.slow
def test_what_is_installed_after_a_proof_is_seen(tmp_path: Path, python: Path) -> None:
    repo = Repo(tmp_path / "repo")
    package(repo, "src")
    hands, commit = edited(repo, "src")
    assert executed(hands, commit, python) == "tree"
    (site(python) / "finder.pth").write_text("import finder\n")
    (site(python) / "finder.py").write_text(
        "import sys, importlib.util\n"
        "class F:\n"
        "    @staticmethod\n"
        "    def find_spec(name, path=None, target=None):\n"
        f"        top = '{repo.folder}/src/tiny/'\n"
        "        places = {'tiny': top + '__init__.py', 'tiny.model': top + 'model.py'}\n"
        "        if name in places:\n"
        "            return importlib.util.spec_from_file_location(name, places[name])\n"
        "sys.meta_path.insert(0, F)\n"
    )
    refused(CannotBeDone, lambda: executed(hands, commit, python), "tiny", str(repo.folder / "src/tiny"))


@pytest.mark.slow
def test_no_package_is_executed_by_a_proof(tmp_path: Path, python: Path) -> None:
    repo = Repo(tmp_path / "repo")
    package(repo, "src")
    repo.commit({"src/tiny/__init__.py": f"open({str(tmp_path / 'mark')!r}, 'w')\n"})
    hands, commit = edited(repo, "src")
    here, env = hands.work(commit, tmp_path / "run", str(repo.folder))
    proof = hands.prove(commit, str(python), str(here), {"PATH": os.environ["PATH"], **env})
    assert proof.ok
    assert proof.modules["tiny.model"] == str(hands.tree(commit) / "src/tiny/model.py")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    "text, word", [("exit 3", "nothing"), ("echo hello", "nothing"), ("echo boom >&2; exit 1", "boom")]
)
def test_an_interpreter_that_does_not_answer_proves_nothing(tmp_path: Path, text: str, word: str) -> None:
    repo = Repo(tmp_path / "repo")
    package(repo, "src")
    hands, commit = edited(repo, "src")
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\n{text}\n")
    fake.chmod(0o755)
    here, env = hands.work(commit, tmp_path / "run", str(repo.folder))
    proof = hands.prove(commit, str(fake), str(here), {**os.environ, **env})
    assert not proof.ok and word in proof.problem
    gone = hands.prove(commit, str(tmp_path / "nosuch"), str(here), {**os.environ, **env})
    assert not gone.ok and "does not start" in gone.problem


def test_names_of_a_file() -> None:
    files = ["src/tiny/__init__.py", "src/tiny/model.py", "scripts/util.py", "my-script.py", "a.txt"]
    assert names_of(files, files, base=False) == {
        "tiny": True, "src.tiny": False, "model": False, "tiny.model": True, "src.tiny.model": False, "util": False,
        "scripts.util": False,
    }  # fmt: skip
    assert not any(names_of(files, files, base=True).values())


def test_a_namesake_that_was_never_the_user_s_is_no_problem() -> None:
    place = Place("/r", ["/r/.ragent/trees/c"])
    found = {"util": ["/env/site-packages/util.py", ""], "tiny": ["/r/.ragent/trees/c/tiny/__init__.py", ""]}
    assert judge(found, {"util": False, "tiny": True}, place, "python").ok
    inside = {"numpy": ["/r/.venv/lib/python3.11/site-packages/numpy/__init__.py", ""]}
    assert judge(inside, {"numpy": False}, place, "python").ok
    assert not judge({"util": ["/r/scripts/util.py", ""]}, {"util": False}, place, "python").ok


def test_the_question_is_answered_by_old_pythons(tmp_path: Path) -> None:
    """The script is a file of its own; whatever Python runs it, it imports nothing of ours."""
    from ragent_jupyter.runfiles import prove_modules

    old = next(map(str, Path.home().glob(".pyenv/versions/3.8.*/bin/python")), sys.executable)
    question = json.dumps({"first": str(tmp_path), "names": ["json.decoder", "nosuch.x", "sys"], "root": str(tmp_path)})
    done = subprocess.run([old, prove_modules.__file__], input=question, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout.strip().removeprefix("RAGENT-PROOF "))
    assert list(answer["found"]) == ["json.decoder"] and answer["inside"] == [str(tmp_path.resolve())]
    assert os.path.dirname(prove_modules.__file__) not in answer["path"]
