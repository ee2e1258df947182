"""A run's own folder over a tree, and what of its command and environment has to change so that it runs there.

What a program may write to is a file of the run's own: the folders are real, and small files that are no code are
copies. Code is a link into the tree: Python takes a script's folder by its real place, which is the tree.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..domain.errors import CannotBeDone
from ..runfiles.jsonl import atomic_write
from ..runfiles.kill_points import kill_point
from .trees_git import disk_words, remove_folder, within

_LINKED = (".py", ".pyi", ".pyx", ".pxd", ".so", ".pyd", ".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hpp", ".rs")
_COPIED = 1 << 20  # bytes; larger files are links
_COPIES = (2_000, 64 << 20)  # files and bytes in all
_ENTRIES = 20_000  # of a linked folder that are looked at
_ENVIRONMENTS = (".venv", "venv", "env")
# Variables that say where programs are, or who is asked; their folders are meant as they are.
_KEPT = re.compile(r"^(?:PATH|HOME|PYTHON.*|VIRTUAL_ENV.*|CONDA.*|LD_.*|DYLD_.*|RAGENT_.*|TMPDIR|XDG_.*|SHELL|_)$")
_PATH_END = r"[^\s'\"`;|&<>(),]*"


class WorkFolder:
    """`RUN_DIR/work`, and RUN_DIR/tree.json that says what it is of."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.place = run_dir / "work"

    def record(self) -> dict[str, Any]:
        try:
            found = json.loads((self.run_dir / "tree.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def note(self, **fields: Any) -> None:
        atomic_write(self.run_dir / "tree.json", json.dumps({**self.record(), **fields}, indent=1).encode())

    def make(self, tree: Path, known: Mapping[str, Any], cwd: str) -> Path:
        """The folder that stands for the user's cwd. known: the tree's record.  Raises CannotBeDone."""
        root = str(known["root"])
        sub = os.path.relpath(os.path.realpath(cwd), root)
        if not within(os.path.realpath(cwd), root):
            problem = f"{cwd} is not in the repository {root} that the commit is of."
            raise CannotBeDone(problem, "Run in a folder of the repository, or without a tree.")
        try:
            if not self.place.is_dir():
                self._build(tree, known, sub)
            here = self.place / sub
            here.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise disk_words(error, "The run's folder cannot be made") from error
        return here

    def _build(self, tree: Path, known: Mapping[str, Any], sub: str) -> None:
        self.run_dir.mkdir(parents=True, exist_ok=True)
        temp = self.run_dir / "work.tmp"
        if temp.exists():
            remove_folder(temp)
        temp.mkdir()
        self._fill(tree, temp, dict(known["files"]))
        root = str(known["root"])
        for folder in dict.fromkeys((".", sub)):
            for name in _ENVIRONMENTS:
                place = temp / folder / name
                if os.path.exists(os.path.join(root, folder, name, "pyvenv.cfg")) and not os.path.lexists(place):
                    place.parent.mkdir(parents=True, exist_ok=True)
                    os.symlink(os.path.join(root, folder, name), place)
        self.note(
            commit=known["commit"],
            tree=str(tree),
            root=root,
            inputs={path: [target, _fingerprint(target)] for path, target in known["inputs"].items()},
        )
        kill_point("trees.work")
        os.rename(temp, self.place)

    def _fill(self, tree: Path, temp: Path, files: dict[str, Any]) -> None:
        number, size, root = 0, 0, str(tree)
        for place, folders, names in os.walk(root):
            here = str(temp) + place[len(root) :]
            os.makedirs(here, exist_ok=True)
            for name in [*names, *(f for f in folders if os.path.islink(os.path.join(place, f)))]:
                source = os.path.join(place, name)
                about = os.lstat(source)
                path, target = source[len(root) + 1 :], os.path.join(here, name)
                if path not in files:  # an input: the link itself, which leads to the user's file
                    os.symlink(os.readlink(source), target) if stat.S_ISLNK(about.st_mode) else None
                elif stat.S_ISLNK(about.st_mode):
                    os.symlink(os.readlink(source), target)
                elif name.endswith(_LINKED) or about.st_size > _COPIED or number >= _COPIES[0] or size >= _COPIES[1]:
                    os.symlink(source, target)
                else:
                    shutil.copyfile(source, target)
                    os.chmod(target, 0o755 if about.st_mode & 0o100 else 0o644)
                    number, size = number + 1, size + about.st_size

    def inputs_changed(self) -> list[str]:
        """Inputs that are not what they were when the run was launched: whoever could write them has."""
        inputs = self.record().get("inputs", {})
        return sorted(path for path, (target, was) in inputs.items() if _fingerprint(target) != was)

    def code_changed(self, known: Mapping[str, Any]) -> list[str]:
        """Code files of the run's folder that are no longer the tree's: replaced, or gone."""
        tree = str(self.record().get("tree", ""))
        found = []
        for path, about in known["files"].items():
            here = self.place / path
            if path.endswith(_LINKED) and stat.S_ISREG(about[0]) and os.path.realpath(here) != os.path.join(tree, path):
                found.append(path)
        return sorted(found)


def _fingerprint(path: str) -> list[Any]:
    """Of a file its size and time, of a folder those of its first 20,000 entries, summed up."""
    try:
        about = os.stat(path)
    except OSError:
        return []
    if not stat.S_ISDIR(about.st_mode):
        return [about.st_size, about.st_mtime_ns]
    number = size = 0
    newest = about.st_mtime_ns
    for place, folders, names in os.walk(path):
        folders.sort()
        for name in sorted([*names, *folders]):
            number += 1
            if number > _ENTRIES:
                return [number, size, newest]
            try:
                one = os.lstat(os.path.join(place, name))
            except OSError:
                continue
            size += one.st_size
            newest = max(newest, one.st_mtime_ns)
    return [number, size, newest]


# --- environment and command ------------------------------------------------------------------------------------------
def tree_env(tree: Path, here: Path, sub: str) -> dict[str, str]:
    """What makes the tree come first. PYTHONPATH: the folder that stands for the cwd, the root, and their src."""
    folders = [tree / sub, tree] if sub != "." else [tree]
    found: list[str] = []
    for folder in folders:
        for one in (folder, folder / "src"):
            if one.is_dir() and (one.name != "src" or one == tree or _is_layout(one)) and str(one) not in found:
                found.append(str(one))
    return {
        "PYTHONPATH": os.pathsep.join(found),
        "PYTHONDONTWRITEBYTECODE": "1",
        "RAGENT_OUTPUT_DIR": str(here),
        "RAGENT_TREE": str(tree),
    }


def _is_layout(folder: Path) -> bool:
    """Whether a src folder is one that imports begin in: it is no package itself."""
    return not (folder / "__init__.py").exists()


class Moved:
    """Names of places in the user's repository, told as places of the run's folder. said: what was changed, in words.

    aliases: prefixes that mean the repository's root, the real one first.
    """

    def __init__(self, root: str, aliases: Sequence[str], work: Path, tree: Path) -> None:
        self.root, self.work, self.tree = root, work, tree
        self.said: list[str] = []
        roots = sorted({*aliases, root} - {"/", ""}, key=len, reverse=True)
        self._roots = roots
        self._pattern = re.compile(
            r"(?<![\w./~-])(?:" + "|".join(map(re.escape, roots)) + r")(?![\w.-])(?P<rest>/?" + _PATH_END + ")"
        )

    def argv(self, argv: Sequence[str]) -> list[str]:
        return [self._text(word, "the command") for word in argv]

    def env(self, env: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
        """The job's environment with the tree's own on top, which holds PYTHONPATH's first part."""
        found = {}
        for name, value in env.items():
            plain = value.startswith("/") and self._inside(value) is not None and not _KEPT.match(name)
            found[name] = self._text(value, name) if plain else value
        theirs = [self.in_tree(one) for one in env.get("PYTHONPATH", "").split(os.pathsep) if one]
        paths = [*own["PYTHONPATH"].split(os.pathsep), *(one for one in theirs if one)]
        found = {**found, **own, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}
        found.pop("OLDPWD", None)
        if "PWD" in found:
            found["PWD"] = own["RAGENT_OUTPUT_DIR"]
        return found

    def in_tree(self, folder: str) -> str:
        """Where the tree has a folder that was named for imports; "" where it has none; others as they are."""
        inside = self._inside(os.path.normpath(folder)) if folder.startswith("/") else folder
        if inside is None:
            return folder
        there = os.path.normpath(self.tree / inside)
        return there if within(there, str(self.tree)) and os.path.isdir(there) else ""

    def _inside(self, path: str) -> str | None:
        for root in self._roots:
            if within(path, root):
                return os.path.relpath(path, root)
        return None

    def _text(self, text: str, where: str) -> str:
        def new(found: re.Match[str]) -> str:
            inside = os.path.normpath(found["rest"].strip("/") or ".")
            if inside.startswith("..") or {".git", ".ragent"} & set(inside.split("/")):
                return found[0]
            there = self.work / inside
            if os.path.lexists(os.path.join(self.root, inside)) and not os.path.lexists(there):
                self.said.append(f"{found[0]} in {where} is left: the commit does not hold it")
                return found[0]
            moved = f"{self.work}{found['rest']}"
            self.said.append(f"{found[0]} in {where} is {moved}")
            return moved

        return self._pattern.sub(new, text)


def aliases_of(root: str, cwd: str) -> list[str]:
    """Names of the root: the real one, and the one by which the user came in (a link above the repository)."""
    sub = os.path.relpath(os.path.realpath(cwd), root)
    plain = os.path.normpath(cwd)
    if sub == ".":
        return [root, plain]
    return [root, plain[: -len(sub) - 1]] if plain.endswith("/" + sub) else [root]


def script_and_python(argv: Sequence[str], here: Path, which: Callable[[str], str | None]) -> tuple[str, str]:
    """(the real folder of the script that a command runs, the Python that it names); "" for what cannot be told."""
    words: list[str] = []
    for word in argv[2:] if len(argv) == 3 and argv[1] == "-c" else argv:
        try:
            words += shlex.split(word) if len(argv) == 3 and argv[1] == "-c" else [word]
        except ValueError:
            words += word.split()
    python, script = "", ""
    for at, word in enumerate(words):
        if not python and re.fullmatch(r"python[\d.]*", os.path.basename(word)):
            python = (str(here / word) if "/" in word else which(word)) or ""
            if at + 1 < len(words) and words[at + 1] == "-m":
                return str(here), python
        # runfiles/with_constants.py only runs another script: it is that one which counts.
        if word.endswith(".py") and (here / word).is_file() and os.path.basename(word) != "with_constants.py":
            script = os.path.dirname(os.path.realpath(here / word))
            break
    return script, python
