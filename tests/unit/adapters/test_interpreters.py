"""Which Python a run gets: by path, folder, conda or kernel name; and what is said where there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ragent_jupyter.adapters.interpreters import LocalInterpreters
from ragent_jupyter.domain.errors import CannotBeDone
from ragent_jupyter.domain.run import Interpreter

VERSION = ".".join(map(str, sys.version_info[:3]))


def a_python(path: Path) -> Path:
    """A Python of ours at another place, as a script: a link would do for a venv only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalInterpreters:
    """A project and a home of our own; nothing of this machine's environments is seen."""
    for name in ("CONDA_EXE", "CONDA_ROOT", "CONDA_PREFIX", "MAMBA_ROOT_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    (tmp_path / "project").mkdir()
    return LocalInterpreters(tmp_path / "project", tmp_path / "home")


def kernel(tmp_path: Path, name: str, argv: list[str], language: str = "python") -> None:
    folder = tmp_path / "jupyter" / "kernels" / name
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": name, "language": language}))


@pytest.mark.parametrize("wanted", [None, "", "  "])
def test_without_a_wish_it_is_the_callers_own(here: LocalInterpreters, tmp_path: Path, wanted: str | None) -> None:
    caller = str(a_python(tmp_path / "caller" / "python"))
    assert here.resolve(wanted, caller) == Interpreter(caller, "caller", "", VERSION)
    assert here.resolve(wanted, None).path == sys.executable


def test_a_venv_is_named_by_its_folder_or_its_python(here: LocalInterpreters) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(here.project / ".venv")], check=True)
    python = str(here.project / ".venv" / "bin" / "python")
    assert here.resolve(".venv") == Interpreter(python, "venv", ".venv", VERSION)
    assert here.resolve(str(here.project / ".venv")) == here.resolve(python) == here.resolve(".venv")
    assert here.present()[0] == Interpreter(python, "venv", ".venv", VERSION)
    prefix = subprocess.run(
        ["sh", "-c", "python -c 'import sys; print(sys.prefix)'"],
        env=here.env(here.resolve(".venv")),
        capture_output=True,
        text=True,
        check=True,
    )
    assert prefix.stdout.strip() == str(here.project / ".venv")
    assert here.env(here.resolve(".venv"))["VIRTUAL_ENV"] == str(here.project / ".venv")


def test_conda_environments_are_found_by_name_without_starting_conda(here: LocalInterpreters, tmp_path: Path) -> None:
    base, elsewhere = tmp_path / "home" / "miniforge3", tmp_path / "data" / "big"
    for folder in (base, base / "envs" / "torch", elsewhere):
        a_python(folder / "bin" / "python")
        (folder / "conda-meta").mkdir()
    (base / "envs" / "torch" / "conda-meta" / "python-3.12.4-h1.json").touch()
    (tmp_path / "home" / ".conda").mkdir()
    (tmp_path / "home" / ".conda" / "environments.txt").write_text(f"{base}\n{elsewhere}\n/gone\n")
    torch = here.resolve("conda:torch")
    assert (torch.path, torch.kind, torch.name) == (str(base / "envs" / "torch" / "bin" / "python"), "conda", "torch")
    assert here.resolve("conda:base").path == str(base / "bin" / "python")
    assert here.resolve("conda:big").path == str(elsewhere / "bin" / "python")
    assert {one.name: one.version for one in here.present() if one.kind == "conda"} == {
        "base": "",
        "big": "",
        "torch": "3.12.4",  # as its files say; none was started
    }
    env = here.env(torch)
    assert env["PATH"].startswith(str(base / "envs" / "torch" / "bin") + ":")
    assert (env["CONDA_PREFIX"], env["CONDA_DEFAULT_ENV"]) == (str(base / "envs" / "torch"), "torch")
    with pytest.raises(CannotBeDone) as refusal:
        here.resolve("conda:jax")
    assert "base, big, torch" in refusal.value.problem
    assert "conda create -n jax" in refusal.value.remedy


def test_a_kernel_names_its_python(here: LocalInterpreters, tmp_path: Path) -> None:
    python = str(a_python(tmp_path / "env" / "bin" / "python"))
    kernel(tmp_path, "mine", [python, "-m", "ipykernel_launcher"])
    kernel(tmp_path, "plain", ["python", "-m", "ipykernel_launcher"])
    kernel(tmp_path, "julia", ["/usr/bin/julia"], "julia")
    kernel(tmp_path, "broken", [])
    assert here.resolve("kernel:mine") == Interpreter(python, "kernelspec", "mine", VERSION)
    assert here.resolve("kernel:plain").path == sys.executable  # so does Jupyter
    assert python in [one.path for one in here.present()]
    assert "julia" not in [one.name for one in here.present()]
    with pytest.raises(CannotBeDone, match="speaks julia"):
        here.resolve("kernel:julia")
    with pytest.raises(CannotBeDone, match=r"no Jupyter kernel 'broken'.*mine"):
        here.resolve("kernel:broken")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "There is no Python at"),
        (lambda path: path.mkdir(), "no bin/python"),
        (lambda path: path.write_text("x"), "is not a program"),
        (lambda path: path.symlink_to("/gone/python3"), "link to a Python that is gone"),
        (lambda path: path.symlink_to("/bin/ls"), "is not a working Python"),
        (lambda path: path.write_text("#!/bin/sh\nexit 0\n") and path.chmod(0o755), "said nothing of a version"),
        (lambda path: path.write_text("#!/gone/python\n") and path.chmod(0o755), "does not start: No such file"),
    ],
)
def test_what_is_no_python_is_refused_with_a_remedy(here: LocalInterpreters, make: object, says: str) -> None:
    make(here.project / "thing")  # type: ignore[operator]
    with pytest.raises(CannotBeDone, match=says) as refusal:
        here.resolve("./thing")
    assert refusal.value.remedy


def test_a_name_that_is_nowhere_is_refused_with_what_is_there(here: LocalInterpreters) -> None:
    with pytest.raises(CannotBeDone, match="no Python 'python9'") as refusal:
        here.resolve("python9")
    assert sys.executable in refusal.value.remedy


def test_the_jobs_python_is_this_one_even_where_its_folder_has_another(here: LocalInterpreters, tmp_path: Path) -> None:
    a_python(tmp_path / "usr bin" / "python").write_text("#!/bin/sh\necho the wrong one\n")
    chosen = here.resolve(str(a_python(tmp_path / "usr bin" / "python3.12")))
    for name in ("python", "python3"):
        done = subprocess.run([name, "-V"], env=here.env(chosen), capture_output=True, text=True, check=True)
        assert done.stdout.strip() == f"Python {VERSION}"
    own = here.resolve(str(a_python(tmp_path / "own" / "python")))
    assert here.env(own)["PATH"] == f"{tmp_path / 'own'}:{os.environ['PATH']}"  # needs no help


def test_the_engines_conda_environment_is_not_the_jobs(
    here: LocalInterpreters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDA_PREFIX", "/opt/engine")
    own = here.resolve(str(a_python(tmp_path / "own" / "python")))
    assert here.env(own)["CONDA_PREFIX"] == ""
    assert here.env(None) == {"PATH": os.environ["PATH"]}


def test_a_python_is_started_once_to_see_that_it_works(here: LocalInterpreters, tmp_path: Path) -> None:
    path = tmp_path / "counted"
    path.write_text(f'#!/bin/sh\necho x >> {tmp_path}/starts\nexec {sys.executable} "$@"\n')
    path.chmod(0o755)
    for _ in range(3):
        here.resolve(str(path))
    assert (tmp_path / "starts").read_text() == "x\n"
