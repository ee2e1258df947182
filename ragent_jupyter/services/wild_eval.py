"""The files that judge a loop's runs, looked at before each run and after it: a change voids its numbers."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from ragent_jupyter.domain.run import Run, RunStatus
from ragent_jupyter.domain.wild import Holdout, Loop
from ragent_jupyter.rules import run_life
from ragent_jupyter.rules.wild_evidence import drifted, put_back, voided
from ragent_jupyter.runfiles.jsonl import atomic_write

from .eval_files import EvalFiles
from .runs import RunsDesk
from .shell import Shell

log = logging.getLogger("ragent.engine")

_BEFORE, _AFTER = "eval-before.json", "eval-after.json"
_FIRST = "eval-first.json"


class Code(Protocol):
    """adapters/trees.py: what runs did to the code that they were given."""

    def code_changed(self, run_dir: Path) -> list[str]: ...
    def inputs_changed(self, run_dir: Path) -> list[str]: ...


class WildEval:
    """What was seen lies in each run's folder, so that a crash between the two looks loses nothing."""

    def __init__(
        self,
        shell: Shell,
        runs: RunsDesk,
        project: Path,
        code: Code,
        unscored: Callable[[Holdout, str], str] = lambda holdout, run_id: "",
    ) -> None:
        """unscored: why a run's predictions for a sealed hold-out could not be scored; blocks."""
        self.unscored = unscored
        self.code = code
        self.shell = shell
        self.runs = runs
        self.project = project
        self.files = EvalFiles()
        self._told: set[str] = set()  # loops whose hold-out was spoken about
        self._checked: set[str] = set()  # asked at every step of a loop: the disk is looked at until it says yes

    def _loop(self, run: Run) -> Loop | None:
        """The loop, where there is something to look at."""
        sweep = self.shell.sweeps.get(run.sweep_id or "")
        loop = self.shell.loops.get(sweep.loop_id) if sweep is not None and sweep.loop_id else None
        if loop is None:
            return None
        return loop if loop.setup.eval_files or run.tree or loop.setup.holdout is not None else None

    def before(self, run: Run, run_dir: Path, cwd: str) -> None:
        """Called in a thread right before a launch. cwd: where the run will execute. Raises OSError."""
        loop = self._loop(run)
        if loop is None or not loop.setup.eval_files or (run_dir / _BEFORE).exists():
            return
        top = self._top(run_dir, cwd)
        seen = self.files.look_now(loop.setup, cwd, top)
        _write(run_dir / _BEFORE, {"root": cwd, "top": top, "files": seen.files, "times": seen.times})
        first = self.project / ".ragent" / "loops" / loop.id / _FIRST
        if not first.exists():
            first.parent.mkdir(parents=True, exist_ok=True)
            _write(first, {"root": cwd, "files": seen.files})

    def _top(self, run_dir: Path, cwd: str) -> str:
        """The folder that is the project where the run executes: its own copy, else the user's."""
        inside = Path(os.path.normpath(cwd))
        for top in (run_dir / "work", self.project):
            if inside.is_relative_to(top):
                return os.fspath(top)
        return os.fspath(inside)

    def checked(self, run: Run) -> bool:
        """Whether the second look was taken, or none is owed."""
        if run.id in self._checked:
            return True
        done = self._loop(run) is None or (self.runs.folder(run.id) / _AFTER).exists()
        if done and run.status.terminal:
            self._checked.add(run.id)
        return done

    async def after(self, run: Run) -> str:
        """The second look, once the run has ended; void says what changed. What a person should hear, or ""."""
        loop = self._loop(run)
        if loop is None or self.checked(run):
            return ""
        void = await asyncio.to_thread(self._compare, loop, run, self.runs.folder(run.id))
        if void and void != run.void:
            log.warning("run %s is void: %s", run.id, void)
            await self.runs.feed(run.id, run_life.Edit({"void": void}))
        await asyncio.to_thread(_write, self.runs.folder(run.id) / _AFTER, {"void": void})
        return await self._predicted(loop, run)

    async def _predicted(self, loop: Loop, run: Run) -> str:
        """What is wrong with the predictions of the loop's first good run: a night would end without a score."""
        holdout = loop.setup.holdout
        if holdout is None or loop.baseline is not None or run.status is not RunStatus.FINISHED:
            return ""
        if loop.id in self._told:
            return ""
        self._told.add(loop.id)
        return await asyncio.to_thread(self.unscored, holdout, run.id)

    def _compare(self, loop: Loop, run: Run, folder: Path) -> str:
        if run.tree:
            code = self.code.code_changed(folder)
            if code:
                return f"{', '.join(code[:3])} of its own code changed while it ran."
            inputs = self.code.inputs_changed(folder)
            if inputs:  # a cache beside the data is usual: said, not held against it
                log.warning("run %s or another wrote into its inputs: %s", run.id, ", ".join(inputs[:5]))
        before = _read(folder / _BEFORE)
        if before is None or not loop.setup.eval_files:
            return ""  # it was never launched, or nothing judges it
        first = _read(self.project / ".ragent" / "loops" / loop.id / _FIRST) or before
        root = str(before["root"])
        now = self.files.look_now(loop.setup, root, str(before.get("top", root)))
        files: dict[str, str] = before["files"]
        # Each run of a tree has a folder of its own: what counts is what the files are, not where.
        changed = voided(files, now.files) or put_back(files, now.files, before.get("times", {}), now.times)
        return changed or drifted(first["files"], files)


def _write(path: Path, made: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, msgspec.json.encode(made))


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError):
        return None
    return found
