"""The other runs of a project, as far as they could have written a file that looks like ours."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

# Names of environment variables that people use to tell a program where to write.
_OUTPUT_NAME = re.compile(
    r"(?:^|_)(?:OUT|OUTPUT|LOG|LOGS|LOGDIR|SAVE|RESULT|RESULTS|EXP|EXPERIMENT|CKPT|CHECKPOINT)", re.I
)


class Neighbour(Struct):
    """A run: when it could write (unix seconds; ended None: it still can), where it stands, which folders it names."""

    run_id: str
    cwd: str
    named: list[str]
    started: float
    ended: float | None = None


def named_folders(argv: Iterable[str], env: dict[str, str], cwd: str) -> list[str]:
    """Folders that a command names by its arguments or its environment, real paths; not those that its cwd lies in.

    They need not exist yet: `--output_dir out/a` names out/a before the program makes it.
    """
    words: list[tuple[str, bool]] = []  # (text, whether its name says that something is written there)
    flag = ""
    for word in argv:
        name, equals, value = word.partition("=")
        if equals and re.fullmatch(r"-{0,2}[\w.+-]+", name):
            words.append((value, bool(_OUTPUT_NAME.search(name.replace("-", "_")))))
        elif not word.startswith("-"):
            words.append((word, bool(_OUTPUT_NAME.search(flag.replace("-", "_")))))
        flag = word if word.startswith("-") else ""
    words += [(value, True) for name, value in env.items() if _OUTPUT_NAME.search(name)]
    home = os.path.realpath(cwd)
    found: list[str] = []
    for word, output in words:
        if not word or len(word) > 1024 or "\0" in word or "\n" in word:
            continue
        path = os.path.realpath(os.path.join(cwd, os.path.expanduser(word)))
        new = not os.path.exists(path) and (output or "/" in word)
        if (new or os.path.isdir(path)) and not within(home, path) and path not in found:
            found.append(path)
    return found


def within(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies below it. Both real paths."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


class Neighbours:
    """Every other run under `runs_dir` whose life overlaps ours. Looked at only when a file needs to be judged."""

    def __init__(self, runs_dir: str, own: str, since: float) -> None:
        self._runs_dir = runs_dir
        self._own = own
        self._since = since
        self._done: set[str] = set()  # ended before we began: of no interest for ever
        self._specs: dict[str, Neighbour] = {}

    def look(self) -> list[Neighbour]:
        """Those that run, or that ended after our start."""
        try:
            names = os.listdir(self._runs_dir)
        except OSError:
            return []
        found: list[Neighbour] = []
        for name in names:
            if name == self._own or name in self._done:
                continue
            run = self._neighbour(name)
            if run is not None:
                found.append(run)
        return found

    def _before(self) -> float:
        """Whoever ended until then was gone when our job began. By the file system's own clock, so that the trial
        before us, gone for a hundredth of a second, is no neighbour."""
        try:
            return os.stat(os.path.join(self._runs_dir, self._own, "claim.json")).st_mtime
        except OSError:
            return self._since - 1.0

    def _neighbour(self, name: str) -> Neighbour | None:
        folder = os.path.join(self._runs_dir, name)
        try:
            ended: float | None = os.stat(os.path.join(folder, "exit.json")).st_mtime
        except OSError:
            ended = None
        if ended is not None and ended <= self._before():
            self._done.add(name)
            return None
        known = self._specs.get(name)
        if known is None:
            try:
                started = os.stat(os.path.join(folder, "claim.json")).st_mtime
            except OSError:
                return None  # not started (yet)
            spec = _json(os.path.join(folder, "spec.json"))
            cwd = str(spec.get("cwd") or folder)
            env = _json(os.path.join(folder, "env.json"))
            named = named_folders([str(word) for word in spec.get("argv", [])], _texts(env), cwd)
            known = self._specs[name] = Neighbour(name, os.path.realpath(cwd), named, started)
        known.ended = ended
        return known


def _json(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            value = json.loads(file.read())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _texts(env: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in env.items() if isinstance(value, str)}


def read_env(run_dir: str) -> dict[str, str]:
    """env.json of a run: what its job was started with; {} if it cannot be read."""
    return _texts(_json(os.path.join(run_dir, "env.json")))
