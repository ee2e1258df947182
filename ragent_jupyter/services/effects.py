"""Performing what is owed: launches and orders. Each is known by an id, so doing it twice is doing it once."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import msgspec

from ragent_jupyter.domain.effects import Launch, Owed, SendAnswer, SendFinish, SendStop
from ragent_jupyter.domain.errors import MissingPart, RagentError
from ragent_jupyter.domain.facts import AnswerOrder, FinishOrder, Order, StopOrder
from ragent_jupyter.domain.ports import Executor, LaunchSpec
from ragent_jupyter.domain.run import GitState, Run
from ragent_jupyter.rules import run_life
from ragent_jupyter.runfiles.jsonl import LineWriter, read_json_lines
from ragent_jupyter.runfiles.kill_points import kill_point
from ragent_jupyter.runfiles.spec import AttachSpec, SidecarSpec, Spec, StallSpec, write_spec

from . import silences
from .shell import Change, Shell

log = logging.getLogger("ragent.engine")


class Machine(Protocol):
    """What launching needs to know of this machine; the engine's joining place brings it."""

    def job_env(self, run: Run, run_dir: Path) -> dict[str, str]: ...
    def note_files(self, run: Run, run_dir: Path, env: dict[str, str]) -> None: ...
    def git_state(self, cwd: str, run_dir: Path) -> GitState | None: ...
    def wrapper_argv(self, run_dir: Path) -> list[str]: ...
    def sidecar(self, run_dir: Path) -> SidecarSpec | None: ...
    def attach(self, pid: int) -> AttachSpec: ...


class Grounds(Protocol):
    """Where a run executes that is to execute a commit's files, whatever the user does to theirs meanwhile."""

    def launch(
        self, commit: str, run_dir: Path, cwd: str, argv: Sequence[str], env: Mapping[str, str], python: str
    ) -> tuple[str, list[str], dict[str, str]]:
        """(cwd, argv, environment) for the run; the commit's tree stands and is proven. Raises RagentError."""


class Effects:
    """Performs outbox rows in threads, one at a time per run, and settles them."""

    def __init__(
        self,
        shell: Shell,
        runs_dir: Path,
        project: str,
        executors: Mapping[str, Executor],
        machine: Machine,
        trees: Grounds | None = None,
    ) -> None:
        self.shell = shell
        self.runs_dir = runs_dir
        self.project = project
        self.executors = executors
        self.machine = machine
        self.trees = trees
        # Called in a thread right before a run is given to its executor: (run, its folder, where it will execute).
        self.before_launch: Callable[[Run, Path, str], None] = lambda run, run_dir, cwd: None
        self.pool = ThreadPoolExecutor(4, thread_name_prefix="effects")
        self._locks: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def perform(self, owed: Owed) -> None:
        """Begin an effect; it goes on by itself and is settled when done."""
        task = asyncio.get_running_loop().create_task(self._perform(owed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _perform(self, owed: Owed) -> None:
        effect = owed.effect
        lock = self._locks.setdefault(effect.run_id, asyncio.Lock())
        async with lock:
            try:
                match effect:
                    case Launch():
                        await self._launch(effect.run_id)
                    case SendStop(run_id=run_id, order_id=order, by=by, now=now):
                        await self._order(
                            run_id,
                            order,
                            lambda seq: StopOrder(seq=seq, order_id=order, at=self.shell.clock.now(), by=by, now=now),
                        )
                    case SendAnswer(run_id=run_id, order_id=order, alert_id=alert, choice=choice, action=action):
                        await self._order(
                            run_id,
                            order,
                            lambda seq: AnswerOrder(
                                seq=seq,
                                order_id=order,
                                at=self.shell.clock.now(),
                                alert_id=alert,
                                choice=choice,
                                action=action,
                            ),
                        )
                    case SendFinish(run_id=run_id, order_id=order):
                        await self._order(
                            run_id,
                            order,
                            lambda seq: FinishOrder(seq=seq, order_id=order, at=self.shell.clock.now()),
                        )
                kill_point("effects.performed")
                await self.shell.settle(owed)
            except (OSError, RagentError) as error:
                # Stays owed: tried again at the next start, and by the host's look at runs that do not get on.
                log.error("%s is still owed: %s", owed.key, error)
        if not lock.locked():
            self._locks.pop(effect.run_id, None)

    async def _order(self, run_id: str, order_id: str, make: Callable[[int], Order]) -> None:
        def write() -> None:
            path = self.runs_dir / run_id / "orders.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            known = {o.order_id for o in read_json_lines(path, Order)} if path.exists() else set()
            if order_id in known:
                return
            with LineWriter(path, fsync=True) as writer:
                writer.append(msgspec.json.encode(make(writer.next_seq)))

        await asyncio.get_running_loop().run_in_executor(self.pool, write)

    async def _launch(self, run_id: str) -> None:
        """DESIGN's order: spec fsynced, then submitted under the run's id, then the handle is recorded."""
        run = self.shell.runs.get(run_id)
        if run is None or run.status.terminal:
            return
        run_dir = self.runs_dir / run_id
        loop = asyncio.get_running_loop()
        alike = silences.alike(run, self.shell.runs.values(), self.shell.sweeps)
        try:
            handle = await loop.run_in_executor(self.pool, self._submit, run, run_dir, alike)
            kill_point("effects.submitted")
        except (RagentError, OSError) as error:
            problem = error.problem if isinstance(error, RagentError) else f"It could not be launched: {error}."
            remedy = error.remedy if isinstance(error, RagentError) else "Check the disk and the project's folder."
            await self._feed(run_id, run_life.Refused(self.shell.clock.now(), problem, remedy))
            return
        await self._feed(run_id, run_life.Submitted(handle))

    def _submit(self, run: Run, run_dir: Path, alike: Sequence[str]) -> str:
        executor = self.executors[run.executor]
        if not (run_dir / "claim.json").exists():
            if not (run_dir / "spec.json").exists():
                run_dir.mkdir(parents=True, exist_ok=True)
                env = self.machine.job_env(run, run_dir)
                placed = run
                if run.tree and run.kind != "interactive":
                    placed, env = self._in_tree(run, run_dir, env)
                    git: GitState | None = GitState(run.tree)
                else:
                    git = self.machine.git_state(run.cwd, run_dir)
                spec = Spec(
                    run_id=run.id,
                    project=self.project,
                    argv=placed.argv,
                    cwd=placed.cwd,
                    mode="attach" if run.kind == "interactive" else "spawn",
                    name=run.name,
                    command=run.command,
                    python=run.interpreter.path if run.interpreter else None,
                    interpreter=run.interpreter,
                    executor=run.executor,
                    gpu_ids=run.gpu_ids,
                    sweep_id=run.sweep_id,
                    trial=run.trial,
                    params=run.params,
                    seed=run.seed,
                    retry_of=run.retry_of,
                    primary=run.primary,
                    mode_better=run.mode,
                    created_at=run.created_at,
                    env_names=sorted(run.env),
                    git=git,
                    attach=self.machine.attach(run.pid or 0) if run.kind == "interactive" else None,
                    sidecar=self.machine.sidecar(run_dir),
                    stall=StallSpec(
                        stall_s=silences.wanted(env, self.shell.prefs.get(silences.SETTING)),
                        alike=silences.learnt(self.runs_dir, alike),
                    ),
                )
                if run.kind != "interactive":
                    self.machine.note_files(placed, run_dir, env)
                self.before_launch(run, run_dir, placed.cwd)
                write_spec(run_dir, spec, env)
            kill_point("effects.spec_written")
            return executor.submit(
                LaunchSpec(
                    run_id=run.id,
                    run_dir=os.fspath(run_dir),
                    name=run.name,
                    wrapper=self.machine.wrapper_argv(run_dir),
                    cwd=os.fspath(run_dir),
                )
            )
        return run.executor_handle or ""

    def _in_tree(self, run: Run, run_dir: Path, env: dict[str, str]) -> tuple[Run, dict[str, str]]:
        """The run as it is executed: in its own folder over the tree of its commit. The run itself keeps the words and
        the folder that the user gave. Raises RagentError: then it is not launched."""
        if self.trees is None:
            raise MissingPart("This engine keeps no trees of commits.", "Run in place, without a tree.")
        python = run.interpreter.path if run.interpreter else ""
        cwd, argv, env = self.trees.launch(run.tree, run_dir, run.cwd, run.argv, env, python)
        return msgspec.structs.replace(run, cwd=cwd, argv=argv), env

    async def _feed(self, run_id: str, fact: run_life.Fact) -> None:
        run = self.shell.runs[run_id]
        records, effects = run_life.decide(run, fact)
        changes = []
        for record in records:
            run = run_life.evolve(run, record)
            changes.append(Change(record.type, run))
        if changes:
            await self.shell.commit(changes, effects)
