"""Which Python a run sees first: found by path, folder, conda or kernel name; listed for the sidebar.

An interpreter is named as the user would: a path, a venv's folder, "conda:NAME", "kernel:NAME"; without a name it is
the caller's own, so that a run started in a notebook has the notebook's packages.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from ..domain.errors import CannotBeDone
from ..domain.run import Interpreter
from ..runfiles.jsonl import atomic_write

Kind = Literal["caller", "venv", "conda", "kernelspec", "path"]
_START_S = 20.0  # seconds that an interpreter may take to say its version (a cold network file system)
_CONDA_HOMES = ("miniconda3", "anaconda3", "miniforge3", "mambaforge", "micromamba", ".conda", "miniconda", "anaconda")


class LocalInterpreters:
    """The Pythons of this machine.

    project: where relative paths begin, and whose .ragent/ takes what `env` must write; default the cwd, and nothing is
    written.  home: where the user's environments are looked for.
    """

    def __init__(self, project: str | os.PathLike[str] | None = None, home: Path | None = None) -> None:
        self.project: Path = Path(project) if project else Path.cwd()
        self._bin = Path(project, ".ragent", "bin") if project else None
        self.home = home or Path.home()
        self._versions: dict[tuple[str, int, int], str] = {}
        self._lock = threading.Lock()

    # --- resolving --------------------------------------------------------------------------------------------------
    def resolve(self, wanted: str | None, caller: str | None = None) -> Interpreter:
        """The interpreter that `wanted` names, started once to see that it works.

        wanted: a path of an executable or of an environment's folder, "conda:NAME", "kernel:NAME", None or "".
        caller: sys.executable of whoever asked; taken if nothing is wanted (then, without a caller, our own).
        Raises CannotBeDone with what is there instead.
        """
        wanted = (wanted or "").strip()
        scheme, colon, name = wanted.partition(":")
        if not wanted:
            return self._checked(caller or sys.executable, "caller", "")
        if colon and scheme == "conda":
            return self._checked(self._conda(name), "conda", name)
        if colon and scheme == "kernel":
            return self._checked(self._kernel(name), "kernelspec", name)
        return self._path(wanted)

    def _path(self, wanted: str) -> Interpreter:
        path = self.project / os.path.expanduser(wanted)
        if path.is_dir():
            inside = path / "bin" / "python"
            if not inside.exists():
                problem = f"{path} is no Python environment: it has no bin/python."
                raise CannotBeDone(problem, "Name the folder that `python -m venv FOLDER` made, or a Python's path.")
            return self._checked(str(inside), _kind_of(inside), path.name)
        if "/" not in wanted and not path.exists():
            found = shutil.which(wanted)
            if found is None:
                problem = f"There is no Python {wanted!r} here or on PATH."
                raise CannotBeDone(
                    problem, f'Give a path, a venv\'s folder, "conda:NAME" or "kernel:NAME". {self._some()}'
                )
            path = Path(found)
        kind = _kind_of(path)
        return self._checked(str(path), kind, path.parent.parent.name if kind != "path" else "")

    def _conda(self, name: str) -> str:
        environments = self._conda_environments()
        if name not in environments:
            known = ", ".join(sorted(environments)) or "none"
            problem = f"There is no conda environment {name!r} (known: {known})."
            raise CannotBeDone(
                problem, f"Create it (conda create -n {name or 'NAME'} python), or give its folder's path."
            )
        path = Path(environments[name], "bin", "python")
        if not path.exists():
            problem = f"The conda environment {name!r} has no Python."
            raise CannotBeDone(problem, f"Run: conda install -n {name} python")
        return str(path)

    def _kernel(self, name: str) -> str:
        specs = self._kernels()
        if name not in specs:
            known = ", ".join(sorted(specs)) or "none"
            problem = f"There is no Jupyter kernel {name!r} (known: {known})."
            raise CannotBeDone(problem, f"Register it: python -m ipykernel install --user --name {name or 'NAME'}")
        path, language = specs[name]
        if language.lower() != "python" or not path:
            problem = f"The kernel {name!r} speaks {language or 'no language that it names'}, not Python."
            raise CannotBeDone(problem, "Choose a Python kernel, or run the command without one.")
        return path

    def _checked(self, path: str, kind: Kind, name: str) -> Interpreter:
        """The interpreter, if it starts. Raises CannotBeDone."""
        path = os.path.abspath(path)  # not resolved: a venv's Python is a link, and is its venv by the link's place
        if not os.path.lexists(path):
            raise CannotBeDone(f"There is no Python at {path}.", f"Choose another one. {self._some()}")
        if not os.path.exists(path):
            problem = f"{path} is a link to a Python that is gone ({os.path.realpath(path)})."
            raise CannotBeDone(problem, "Make the environment anew; its base Python was removed or updated.")
        return Interpreter(path=path, kind=kind, name=name, version=self._version(path))

    def _version(self, path: str) -> str:
        about = os.stat(path)
        key = (path, about.st_ino, about.st_mtime_ns)
        with self._lock:
            if key in self._versions:
                return self._versions[key]
        if stat.S_ISDIR(about.st_mode) or not os.access(path, os.X_OK):
            raise CannotBeDone(f"{path} is not a program.", "Name a Python's path, or its environment's folder.")
        words = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
        try:
            # The module path may hold broken things of the user's; whether it starts at all is asked.
            done = subprocess.run(
                [path, "-I", "-S", "-c", words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_START_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            problem = f"{path} has not started within {_START_S:.0f} s."
            raise CannotBeDone(problem, "Try it in a terminal; its file system may hang.") from None
        except OSError as error:
            raise CannotBeDone(f"{path} does not start: {error.strerror}.", "Choose another Python.") from None
        version = done.stdout.strip()
        if done.returncode != 0 or not re.fullmatch(r"\d+\.\d+\.\d+", version):
            said = (done.stderr.strip().splitlines() or ["it said nothing of a version"])[-1]
            raise CannotBeDone(f"{path} is not a working Python: {said}.", f"Choose another one. {self._some()}")
        with self._lock:
            self._versions[key] = version
        return version

    # --- listing ----------------------------------------------------------------------------------------------------
    def present(self) -> list[Interpreter]:
        """The interpreters that we find without starting any: each once, the project's own first, then ours.

        `version` is what their files say, "" where they say nothing.
        """
        found: dict[str, Interpreter] = {}
        for path, kind, name in self._places():
            if os.path.exists(path):
                found.setdefault(path, Interpreter(path, kind, name, _written_version(Path(path))))
        return list(found.values())

    def _places(self) -> Iterator[tuple[str, Kind, str]]:
        for folder in (".venv", "venv", "env"):
            if (self.project / folder / "pyvenv.cfg").exists():
                yield str(self.project / folder / "bin" / "python"), "venv", folder
        yield sys.executable, "caller", ""
        for name, folder in sorted(self._conda_environments().items()):
            yield os.path.join(folder, "bin", "python"), "conda", name
        for name, (path, language) in sorted(self._kernels().items()):
            if path and language.lower() == "python":
                yield path, "kernelspec", name
        for name in ("python3", "python"):
            if on_path := shutil.which(name):
                yield on_path, _kind_of(Path(on_path)), ""

    def _some(self) -> str:
        names = [one.path for one in self.present()][:5]
        return f"Found here: {', '.join(names)}." if names else ""

    def _conda_environments(self) -> dict[str, str]:
        """{name: folder}, without starting conda (which takes a second): its own list of them, and the usual places."""
        roots = [os.environ.get("CONDA_ROOT", ""), os.environ.get("MAMBA_ROOT_PREFIX", ""), "/opt/conda"]
        if conda := os.environ.get("CONDA_EXE"):
            roots.append(os.path.dirname(os.path.dirname(conda)))
        roots += [str(self.home / name) for name in _CONDA_HOMES]
        found: dict[str, str] = {}
        for root in filter(None, roots):
            if os.path.isdir(os.path.join(root, "conda-meta")):
                found.setdefault("base", root)
            folder = Path(root, "envs")
            for one in sorted(folder.iterdir()) if folder.is_dir() else ():
                if (one / "conda-meta").is_dir():
                    found.setdefault(one.name, str(one))
        try:
            listed = (self.home / ".conda" / "environments.txt").read_text(errors="replace").splitlines()
        except OSError:
            listed = []
        for line in map(str.strip, listed):
            if os.path.isdir(os.path.join(line, "conda-meta")) and line not in found.values():
                found.setdefault(os.path.basename(line), line)
        return found

    def _kernels(self) -> dict[str, tuple[str, str]]:
        """{name: (path of its Python or "", language)} of the Jupyter kernels; a broken kernel.json is passed over."""
        from jupyter_client.kernelspec import KernelSpecManager

        found = {}
        for name, folder in KernelSpecManager().find_kernel_specs().items():
            try:
                words = json.loads(Path(folder, "kernel.json").read_bytes())
                program, language = str(words["argv"][0]), str(words.get("language", ""))
            except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError):
                continue
            if "/" not in program:
                # Jupyter itself starts the plain "python" of a kernel as the server's own.
                own = re.fullmatch(r"python(3(\.\d+)?)?", program)
                program = sys.executable if own else shutil.which(program) or ""
            found[name] = (program, language)
        return found

    # --- using ------------------------------------------------------------------------------------------------------
    def env(self, interpreter: Interpreter | None) -> dict[str, str]:
        """What a job's environment needs so that `python` is this one: PATH first of all, and the environment's mark.

        Conda's activation scripts are not run; what they set (compilers, CUDA paths) must be given by the user.
        """
        before = os.environ.get("PATH", os.defpath)
        if interpreter is None or not interpreter.path:
            return {"PATH": before}
        path = Path(interpreter.path)
        prefix = path.parent.parent
        first = [str(folder) for folder in (self._shim(path), path.parent) if folder]
        env = {"PATH": ":".join([*first, before])}
        if (prefix / "pyvenv.cfg").exists():
            env["VIRTUAL_ENV"] = str(prefix)
        elif (prefix / "conda-meta").is_dir():
            env["CONDA_PREFIX"] = str(prefix)
            env["CONDA_DEFAULT_ENV"] = interpreter.name or prefix.name
        if "CONDA_PREFIX" in os.environ and "CONDA_PREFIX" not in env:
            env |= {"CONDA_PREFIX": "", "CONDA_DEFAULT_ENV": ""}  # the engine's own environment is not the job's
        return env

    def _shim(self, path: Path) -> Path | None:
        """A folder whose `python` is this one, where its own folder has none or another (/usr/bin/python3.12).

        A script, not a link: a venv's Python finds its venv by the place of the file that was started.
        """
        if self._bin is None or _same(path, path.parent / "python"):
            return None
        folder = self._bin / hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
        script = f'#!/bin/sh\nexec {shlex.quote(str(path))} "$@"\n'.encode()
        for name in ("python", "python3"):
            if not (folder / name).exists():
                folder.mkdir(parents=True, exist_ok=True)
                atomic_write(folder / name, script, fsync=False, mode=0o755)
        return folder


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _kind_of(path: Path) -> Kind:
    """What an interpreter's place says of it."""
    prefix = path.parent.parent
    if (prefix / "pyvenv.cfg").exists():
        return "venv"
    return "conda" if (prefix / "conda-meta").is_dir() else "path"


def _written_version(path: Path) -> str:
    """An interpreter's version by what stands beside it; "" if nothing does."""
    prefix = path.parent.parent
    try:
        written = re.search(r"(?m)^version(?:_info)?\s*=\s*(\d+\.\d+\.\d+)", (prefix / "pyvenv.cfg").read_text())
        if written:
            return written[1]
    except OSError:
        pass  # not a venv
    for one in prefix.glob("conda-meta/python-[23].*.json"):
        if told := re.match(r"python-(\d+\.\d+\.\d+)", one.name):
            return told[1]
    return ".".join(map(str, sys.version_info[:3])) if str(path) == sys.executable else ""
