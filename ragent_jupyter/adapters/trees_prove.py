"""Whether a run's interpreter would really execute a tree's files: asked of that interpreter, before the first run."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..domain.errors import CannotBeDone
from ..domain.ports_wild import Proof
from .trees_git import within

_SECONDS = 60.0  # an interpreter on a cold network file system, with heavy start-up hooks
_MOST = 3_000  # modules that are asked for
_MARK = "RAGENT-PROOF "
Names = Callable[[], Mapping[str, bool]]


class Provers:
    """Remembers what was proven, as long as the folders on the module path have not changed."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Proof, dict[str, int]]] = {}
        self._inside: dict[str, tuple[list[str], dict[str, int]]] = {}

    def prove(self, question: str, python: str, cwd: str, env: Mapping[str, str], names: Names, place: Place) -> Proof:
        """question: what is proven, for the memory.  names: called if it is new; module -> whether any other place is
        wrong for it, not only the user's own files."""
        first = env.get("RAGENT_SCRIPT", cwd)
        key = json.dumps([question, python, "" if first == cwd else first, _settings(env)])
        if (known := self._known.get(key)) and _as_before(known[1]):
            return known[0]
        if not (wanted := names()):
            return Proof(ok=True)
        try:
            answer = ask(python, cwd, env, list(wanted), place.root)
        except CannotBeDone as error:
            return Proof(ok=False, problem=f"{error.problem} {error.remedy}".strip())
        proof = judge(answer["found"], wanted, place, python)
        if proof.ok:
            self._known[key] = proof, _times(answer["path"], cwd)
        return proof

    def inside(self, python: str, cwd: str, env: Mapping[str, str], root: str) -> list[str]:
        """Folders of the user's repository that this Python has on its module path. Raises CannotBeDone."""
        key = json.dumps([python, root, _settings({name: v for name, v in env.items() if name != "PYTHONPATH"})])
        if (known := self._inside.get(key)) and _as_before(known[1]):
            return known[0]
        answer = ask(python, cwd, env, [], root)
        found = [one for one in answer["inside"] if ".ragent" not in os.path.relpath(one, root).split("/")]
        self._inside[key] = found, _times([one for one in answer["path"] if "/.ragent/" not in one], cwd)
        return found


class Place:
    """root: the user's repository.  own: folders whose files are the run's (the tree, its work folder)."""

    def __init__(self, root: str, own: Sequence[str]) -> None:
        self.root = root
        self.own = [os.path.realpath(one) for one in own]

    def holds(self, path: str) -> bool:
        return any(within(path, one) for one in self.own)


def _settings(env: Mapping[str, str]) -> list[tuple[str, str]]:
    return sorted((name, value) for name, value in env.items() if name.startswith("PYTHON"))


def _times(paths: Sequence[str], cwd: str) -> dict[str, int]:
    """When the folders of a module path changed last: what is installed changes one of them."""
    return {path: _changed_at(path) for path in paths if not within(path, cwd)}


def _as_before(times: Mapping[str, int]) -> bool:
    return all(_changed_at(path) == at for path, at in times.items())


def _changed_at(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def ask(python: str, cwd: str, env: Mapping[str, str], names: Sequence[str], root: str) -> dict[str, Any]:
    """What runfiles/prove_modules.py answers. Raises CannotBeDone."""
    spec = importlib.util.find_spec("ragent_jupyter.runfiles.prove_modules")
    assert spec is not None and spec.origin is not None
    question = json.dumps({"first": env.get("RAGENT_SCRIPT", cwd), "names": names, "root": root})
    remedy = "Choose another interpreter with --python, or run in place, without trees."
    try:
        child = subprocess.Popen(
            [python, "-B", spec.origin], cwd=cwd, env=dict(env), start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
    except OSError as error:
        raise CannotBeDone(f"{python} does not start: {error.strerror}.", remedy) from error
    try:
        out, err = child.communicate(question.encode(), _SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        raise CannotBeDone(f"{python} has not said within {_SECONDS:.0f} s where it finds modules.", remedy) from None
    lines = [line for line in out.decode("utf-8", "replace").splitlines() if line.startswith(_MARK)]
    try:
        answer: dict[str, Any] = json.loads(lines[-1].removeprefix(_MARK))
        return answer
    except (IndexError, ValueError):
        said = (err.decode("utf-8", "replace").strip().splitlines() or ["nothing"])[-1]
        raise CannotBeDone(f"{python} does not say where it finds modules: {said[:300]}", remedy) from None


def judge(found: Mapping[str, Sequence[str]], wanted: Mapping[str, bool], place: Place, python: str) -> Proof:
    """found: module -> (file, whose word it is)."""
    modules, wrong = {}, []
    for name, (path, who) in found.items():
        modules[name] = path
        if place.holds(path):
            continue
        theirs = within(path, place.root) and ".ragent" not in os.path.relpath(path, place.root).split("/")
        if theirs and "site-packages" in path.split("/"):
            theirs = False  # the environment lies in the repository; what is in it is installed, not edited
        if theirs or wanted.get(name):
            wrong.append((name, path, who))
    if not wrong:
        return Proof(ok=True, modules=modules)
    name, path, who = wrong[0]
    top = name.partition(".")[0]
    more = f" So would {len(wrong) - 1} more." if len(wrong) > 1 else ""
    how = f" (by {who.rpartition('.')[0]})" if "editable" in who else ""
    problem = (
        f"{python} would take the module {name} from {path}{how}, not from the tree of the commit.{more} "
        f"Uninstall that copy (`{python} -m pip uninstall {top}`; an editable install counts as one), or put its "
        "folder into PYTHONPATH: it is then taken from the tree."
    )
    return Proof(ok=False, problem=problem, modules=modules)


def names_of(edited: Sequence[str], files: Sequence[str], *, base: bool) -> dict[str, bool]:
    """The names by which files may be imported: module -> whether no other place will do.

    A package has one true name, from the first folder above that is none. Shorter and longer ones may be right too, if
    some folder is on the path: there, only the user's own file is wrong. base: nothing was edited, so only that is.
    """
    packages = {os.path.dirname(path) for path in files if os.path.basename(path) == "__init__.py"}
    found: dict[str, bool] = {}
    for path in edited:
        if not path.endswith(".py"):
            continue
        parts = path.removesuffix(".py").split("/")
        if parts[-1] == "__init__":
            parts.pop()
        depth, folder = 0, os.path.dirname(path)
        while folder and folder in packages:
            depth, folder = depth + 1, os.path.dirname(folder)
        true = depth + (0 if path.endswith("/__init__.py") else 1)
        for length in range(1, len(parts) + 1):
            words = parts[-length:]
            if all(word.isidentifier() for word in words):
                name = ".".join(words)
                must = not base and length == true and depth > 0
                found[name] = found.get(name, False) or must
        if len(found) > _MOST:
            break
    return found
