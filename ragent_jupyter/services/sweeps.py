"""The desk of sweeps: makes runs out of trials, keeps the width full, ends what is over. Needs no browser."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ragent_jupyter.domain.alert import AlertStatus
from ragent_jupyter.domain.effects import Effect
from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotFound, RagentError
from ragent_jupyter.domain.run import Run, RunStatus
from ragent_jupyter.domain.sweep import Estimate, Sweep, SweepStatus, Trial
from ragent_jupyter.domain.wire import CreateRun, CreateSweep
from ragent_jupyter.rules import estimate, labels, sweep_life
from ragent_jupyter.rules.environment import kept, shown_env
from ragent_jupyter.rules.sweep_space import command_for, expand
from ragent_jupyter.runfiles.spec import read_base_env, write_base_env

from . import silences
from .folder_size import size_of
from .runs import RunsDesk
from .shell import Change, Shell

log = logging.getLogger("ragent.engine")

PRICE_PREF = "gpu_hour_usd"  # what an hour of one GPU costs, US dollars
_TIMES = 50  # how often a large sweep's rest is estimated again
_SIZED = 5  # run folders that are measured for an estimate
_RETRY_S = 10.0  # seconds after a run's end in which the retry that an answer promised must have been made


class SweepsDesk:
    def __init__(self, shell: Shell, runs: RunsDesk, project: Path) -> None:
        self.shell = shell
        self.runs = runs
        self.project = project
        # Whether a sweep starts nothing for now, though it is not over: its loop is paused, or has just ended.
        self.held: Callable[[Sweep], bool] = lambda sweep: False
        # How many of a sweep's runs the machine lets live together.
        self.slots: Callable[[Sweep], int] = lambda sweep: sweep.parallel
        self._locks: dict[str, asyncio.Lock] = {}
        self._requests: dict[str, str] = {}
        self._estimated: dict[str, int] = {}  # sweep -> trials that had ended when its rest was estimated last

    def begin(self) -> None:
        self._requests = {s.request_id: s.id for s in self.shell.sweeps.values() if s.request_id}

    def get(self, sweep_id: str) -> Sweep:
        sweep = self.shell.sweeps.get(sweep_id)
        if sweep is None:
            raise NotFound(f"No sweep {sweep_id!r} in this project.", "List them with `ragent status`.")
        return sweep

    def newest(self, *, archived: bool = False) -> list[Sweep]:
        found = [s for s in self.shell.sweeps.values() if archived or not s.archived]
        return sorted(found, key=lambda s: (s.created_at, s.id), reverse=True)

    async def create(
        self, body: CreateSweep, points: Sequence[dict[str, Any]] = (), trees: Sequence[str] = (), **more: Any
    ) -> Sweep:
        """Raises BadInput, CannotBeDone: an impossible space, an empty command. Nothing is left behind then.

        points: the trials as they are, repeats and all, instead of the space's.  trees: the commit of each.
        more: loop_id, purpose, tree, by — what only desks may set.
        """
        if body.request_id and body.request_id in self._requests:
            return self.get(self._requests[body.request_id])
        if not body.command.strip():
            raise BadInput("The command is empty.", "Give the command that one trial runs, without its parameters.")
        if not 1 <= body.parallel <= 1000:
            raise BadInput(f"parallel is {body.parallel}.", "Give a number from 1 to 1000.")
        if body.max_runs > 10_000:
            raise BadInput(f"max_runs is {body.max_runs}.", "Give at most 10,000; split larger sweeps.")
        silences.wanted(body.env)
        name = labels.alias(body.name or "")
        chosen = list(points) or expand(body.space, body.max_runs)
        await self.runs.check_gpus(body.gpus)
        if body.executor is not None:
            self.runs.executor_for(body.executor)
        loop = asyncio.get_running_loop()
        interpreter = await loop.run_in_executor(None, self.runs.interpreters.resolve, body.python, body.caller_python)
        cwd = self.runs._cwd(body.cwd)
        known = [] if more.get("loop_id") else self._earlier(body, str(cwd))
        disk = await self._disk_each(known)
        if body.request_id and body.request_id in self._requests:
            return self.get(self._requests[body.request_id])
        now = self.shell.clock.now()
        sweep = Sweep(
            id=self.runs.new_id("swp"),
            name=name or f"sweep {len(self.shell.sweeps) + 1}",
            command=body.command,
            cwd=str(cwd),
            created_at=now,
            space=body.space,
            status=SweepStatus.READY,
            trials=[Trial(index=i, params=p, tree=trees[i] if trees else "") for i, p in enumerate(chosen)],
            max_runs=body.max_runs,
            parallel=body.parallel,
            smoke=body.smoke,
            max_equal_failures=body.max_equal_failures,
            primary=body.primary,
            mode=body.mode,
            gpus=body.gpus,
            share_gpu=body.share_gpu,
            executor=body.executor,
            interpreter=interpreter.path,
            env=body.env,
            goal=body.goal,
            request_id=body.request_id,
            **more,
        )
        if known:
            sweep = msgspec.structs.replace(sweep, estimate=self._estimate(sweep, known, disk))
        if sweep.request_id:
            self._requests[sweep.request_id] = sweep.id
        if body.caller_env is not None:
            write_base_env(self._folder(sweep.id), kept(body.caller_env))
        changes = [Change("sweep_created", sweep)]
        if body.start:
            # In the same transaction: a sweep that was created but not started would wait for nobody's second wish.
            for record in sweep_life.decide(sweep, sweep_life.Start(now)):
                sweep = sweep_life.evolve(sweep, record)
                changes.append(Change(record.type, sweep))
        await self.shell.commit(changes)
        if body.start:
            await self.advance(sweep.id)
        return self.get(sweep.id)

    def _folder(self, sweep_id: str) -> Path:
        return self.project / ".ragent" / "sweeps" / sweep_id

    async def start(self, sweep_id: str) -> Sweep:
        sweep = self.get(sweep_id)
        await self._apply(sweep, sweep_life.Start(self.shell.clock.now()))
        await self.advance(sweep_id)
        return self.get(sweep_id)

    async def stop(self, sweep_id: str, *, by: str = "user", now: bool = False) -> Sweep:
        """No trial is launched any more; those that live are stopped with their grace."""
        # Not while a trial is being launched: its run would come to be after the sweep was stopped.
        async with self._locks.setdefault(sweep_id, asyncio.Lock()):
            sweep = self.get(sweep_id)
            changes: list[Change] = []
            effects: list[Effect] = []
            for record in sweep_life.decide(sweep, sweep_life.StopSweep(self.shell.clock.now(), by)):
                sweep = sweep_life.evolve(sweep, record)
                changes.append(Change(record.type, sweep))
            # In the same transaction, also those that no trial lists yet: a sweep that says "stopped" while its runs
            # go on would be a lie.
            for run in [r for r in self.shell.runs.values() if r.sweep_id == sweep_id and not r.status.terminal]:
                more, owed = self.runs.stopping(run, now=now, by=f"sweep:{sweep_id}")
                changes += more
                effects += owed
            await self.shell.commit(changes, effects)
            self.runs.progressed()
        return self.get(sweep_id)

    async def close(self, sweep_id: str, *, by: str = "user") -> Sweep:
        """Nothing of it is started any more, what waits for a slot is cancelled; what lives goes on to its end."""
        async with self._locks.setdefault(sweep_id, asyncio.Lock()):
            sweep = self.get(sweep_id)
            changes: list[Change] = []
            effects: list[Effect] = []
            for record in sweep_life.decide(sweep, sweep_life.StopSweep(self.shell.clock.now(), by)):
                sweep = sweep_life.evolve(sweep, record)
                changes.append(Change(record.type, sweep))
            for run in [r for r in self.shell.runs.values() if r.sweep_id == sweep_id]:
                if run.status is RunStatus.QUEUED:
                    more, owed = self.runs.stopping(run, now=False, by=f"sweep:{sweep_id}")
                    changes += more
                    effects += owed
            await self.shell.commit(changes, effects)
        return self.get(sweep_id)

    def rests(self, run: Run) -> bool:
        """Whether a queued run is not to be started now: its loop is paused. What a person retries is theirs."""
        sweep = self.shell.sweeps.get(run.sweep_id) if run.sweep_id else None
        return sweep is not None and run.retry_of is None and self.held(sweep)

    async def _apply(
        self,
        sweep: Sweep,
        event: sweep_life.Start | sweep_life.StopSweep | sweep_life.TrialRun | sweep_life.Over,
    ) -> None:
        changes = []
        for record in sweep_life.decide(sweep, event):
            sweep = sweep_life.evolve(sweep, record)
            changes.append(Change(record.type, sweep))
        if changes:
            await self.shell.commit(changes)

    def _runs(self, sweep: Sweep) -> dict[str, Run]:
        ids = [r for t in sweep.trials for r in t.run_ids]
        return {i: self.shell.runs[i] for i in ids if i in self.shell.runs}

    async def adopt(self, run: Run) -> None:
        """A run of a trial that the sweep does not list yet (a retry, or a crash between the two): list it."""
        if run.sweep_id is None or run.trial is None or run.sweep_id not in self.shell.sweeps:
            return
        await self._apply(self.get(run.sweep_id), sweep_life.TrialRun(run.trial, run.id))

    async def advance_all(self) -> None:
        for sweep in list(self.shell.sweeps.values()):
            if sweep.status is SweepStatus.RUNNING:
                try:
                    await self.advance(sweep.id)
                except RagentError as error:
                    log.error("sweep %s does not get on: %s", sweep.id, error)

    async def advance(self, sweep_id: str) -> None:
        """Launch what there is room for; end the sweep where nothing is left."""
        async with self._locks.setdefault(sweep_id, asyncio.Lock()):
            sweep = self.get(sweep_id)
            if sweep.status is not SweepStatus.RUNNING or self.held(sweep):
                return
            # After a crash a run may exist that its trial does not list: adopt before planning, or it runs twice.
            listed = {r for t in sweep.trials for r in t.run_ids}
            for run in [r for r in self.shell.runs.values() if r.sweep_id == sweep_id and r.id not in listed]:
                await self.adopt(run)
            sweep = self.get(sweep_id)
            runs = self._runs(sweep)
            logged = frozenset(
                r.id for r in runs.values() if r.summary or ((live := self.runs.live.get(r.id)) and live.points > 0)
            )
            plan = sweep_life.plan(sweep, runs, logged, self.shell.clock.now())
            for index in plan.launch:
                if self.held(self.get(sweep_id)):
                    return  # paused or stopped between two launches
                await self._launch(self.get(sweep_id), index)
            if plan.over is not None and not self._retry_is_owed(runs):
                await self._apply(self.get(sweep_id), plan.over)
            await self._estimate_again(self.get(sweep_id))

    # --- what the rest will take --------------------------------------------------------------------------------------
    def _estimate(self, sweep: Sweep, known: Sequence[Run], disk_each: float) -> Estimate | None:
        price = self.shell.prefs.get(PRICE_PREF)
        return estimate.of_sweep(
            sweep,
            self._runs(sweep),
            known,
            now=self.shell.clock.now(),
            at_once=self.slots(sweep),
            disk_each=disk_each,
            gpu_hour_usd=price if isinstance(price, (int, float)) and not isinstance(price, bool) else None,
        )

    async def expected(self, body: CreateSweep, points: Sequence[dict[str, Any]], cwd: str) -> Estimate | None:
        """What a sweep would take that is not there yet, where runs of its command have ended well before."""
        known = self._earlier(body, cwd)
        trials = [Trial(index=i, params=point) for i, point in enumerate(points)]
        draft = Sweep(
            id="", name="", command=body.command, cwd=cwd, created_at=0.0, space=body.space, trials=trials,
            parallel=body.parallel, gpus=body.gpus, share_gpu=body.share_gpu,
        )  # fmt: skip
        return self._estimate(draft, known, await self._disk_each(known))

    def _earlier(self, body: CreateSweep, cwd: str) -> list[Run]:
        return estimate.earlier(body.command, cwd, body.gpus, self.shell.runs.values(), self.shell.sweeps)

    async def _disk_each(self, known: Sequence[Run]) -> float:
        """Bytes of one run's folder, the mean of a few. Off the event loop: the disk may be slow."""
        if not known:
            return 0.0
        folders = [self.runs.folder(run.id) for run in known[:_SIZED]]
        return await asyncio.to_thread(size_of, folders) / len(folders)

    async def _estimate_again(self, sweep: Sweep) -> None:
        """Once the smoke run has ended well, and again as trials end. A loop's sweep has none: its loop has one."""
        if sweep.status is not SweepStatus.RUNNING or sweep.loop_id:
            return
        runs = self._runs(sweep)
        known = estimate.measured(sweep, runs)
        ended = sum(run.status.terminal for run in runs.values())
        before = self._estimated.get(sweep.id)
        # Not at every end of a large sweep: each writes the whole sweep down.
        if not known or (before is not None and ended - before < max(1, len(sweep.trials) // _TIMES)):
            return
        self._estimated[sweep.id] = ended
        disk = await self._disk_each(known)
        sweep = self.get(sweep.id)  # others may have written meanwhile
        made = self._estimate(sweep, known, disk)
        if sweep.status is SweepStatus.RUNNING and made != sweep.estimate:
            await self.shell.commit([Change("sweep_changed", msgspec.structs.replace(sweep, estimate=made))])

    def _retry_is_owed(self, runs: Mapping[str, Run]) -> bool:
        """An answer to an alert promised a retry of a run that has just ended, and it is about to be made."""
        now = self.shell.clock.now()
        for alert in self.shell.alerts.values():
            run = runs.get(alert.run_id)
            if run is None or alert.status is not AlertStatus.RESOLVED:
                continue
            retries = any(c.id == alert.choice and c.action == "retry_with" for c in alert.choices)
            made = any(r.retry_of == run.id for r in runs.values())
            if retries and not made and now - (run.ended_at or now) < _RETRY_S:
                return True
        return False

    async def _launch(self, sweep: Sweep, index: int) -> None:
        trial = sweep.trials[index]
        params = trial.params
        seed = next((value for name, value in params.items() if name.lower().endswith("seed")), None)
        tree = trial.tree or sweep.tree
        body = CreateRun(
            command=command_for(sweep.command, params, sweep.space.flag, sweep.space.flags),
            name=f"{sweep.name} #{index + 1}",
            cwd=sweep.cwd,
            python=sweep.interpreter,
            caller_env=read_base_env(self._folder(sweep.id)),
            env=sweep.env,
            executor=sweep.executor,
            gpus=sweep.gpus,
            share_gpu=sweep.share_gpu,
            primary=sweep.primary,
            mode=sweep.mode,
            params=params,
            # One run a trial whatever happens between creating it and listing it.
            request_id=f"{sweep.id}:{index}",
        )
        try:
            run = await self.runs.create(
                body, sweep_id=sweep.id, trial=index, seed=seed if isinstance(seed, int) else None, tree=tree
            )
        except (CannotBeDone, BadInput) as error:
            reason = f"Trial {index + 1} could not be created: {error.problem} {error.remedy}"
            over = sweep_life.Over(self.shell.clock.now(), SweepStatus.FAILED, reason)
            await self._apply(self.get(sweep.id), over)
            return
        await self._apply(self.get(sweep.id), sweep_life.TrialRun(index, run.id))

    def shown(self, sweep: Sweep) -> Sweep:
        return msgspec.structs.replace(sweep, env=shown_env(sweep.env)) if sweep.env else sweep
