"""Carrying out what a loop decided: sweeps, stops, answers, verdicts, its report. Each is known by an id."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotFound, WrongMoment
from ragent_jupyter.domain.run import Run, RunStatus
from ragent_jupyter.domain.sweep import SearchSpace, Sweep
from ragent_jupyter.domain.wild import Action, Candidate, Confirm, Launch, Loop, ProposeSweep, Verdict, View
from ragent_jupyter.domain.wire import CreateSweep
from ragent_jupyter.rules.confirm import candidates, verdicts
from ragent_jupyter.rules.wild_confirming import paired_seeds
from ragent_jupyter.runfiles.spec import read_base_env

from .alerts import AlertsDesk
from .folder_size import size_of
from .runs import RunsDesk
from .shell import Shell
from .sweeps import SweepsDesk
from .wild_ending import Ending, Reports, Scores


class WildWork:
    def __init__(
        self,
        shell: Shell,
        runs: RunsDesk,
        sweeps: SweepsDesk,
        alerts: AlertsDesk,
        reports: Reports,
        project: Path,
        *,
        check_model: Callable[[str], None],
        look_again: Callable[[Run], Awaitable[str]],
        scores: Scores | None = None,
    ) -> None:
        self.shell = shell
        self.runs = runs
        self.sweeps = sweeps
        self.alerts = alerts
        self.reports = reports
        self.project = project
        self.check_model = check_model
        self.look_again = look_again
        self.finish = Ending(shell, reports, scores).finish

    def folder(self, loop_id: str) -> Path:
        return self.project / ".ragent" / "loops" / loop_id

    def may_use_model(self, model: str) -> None:
        """Raises where the role `wild` has no model that could be asked."""
        self.check_model(model)

    # --- sweeps
    # ---------------------------------------------------------------------------------------------------------
    async def begin_sweep(self, loop: Loop, view: View, action: Action) -> tuple[str, str, str]:
        # What is carried out is the first of what is owed: it does not stand in its own way.
        view = replace(view, loop=replace(view.loop, owed=view.loop.owed[1:]))
        points, trees, purpose, name, by = self._points(loop, view, action)
        left = view.runs_left
        if left is not None and len(points) > left:
            points, trees, by = points[:left], trees[:left], by[:left]
        if not points:
            raise CannotBeDone("The limit of runs leaves no room for this.", "Raise the limit of runs.")
        setup = loop.setup
        body = CreateSweep(
            command=setup.command,
            space=SearchSpace(method="list", points=points, flag=setup.flag, flags=setup.flags),
            name=name[:80],
            cwd=setup.cwd,
            python=setup.python,
            caller_env=read_base_env(self.folder(loop.id)),
            env=setup.env,
            executor=setup.executor,
            gpus=setup.gpus,
            share_gpu=setup.share_gpu,
            max_runs=len(points),
            parallel=setup.parallel,
            # The first run of all shows that the script works; later ones need no proof.
            smoke=purpose == "baseline" or (bool(loop.commits) and trees[0] != loop.commits[0]),
            primary=setup.metric or "loss",
            mode=setup.mode,
            goal=loop.goal,
            request_id=f"{loop.id}:{len(loop.sweeps)}",
        )
        sweep = await self.sweeps.create(
            body, points, trees, loop_id=loop.id, purpose=purpose, tree=loop.commits[-1] if loop.commits else "", by=by
        )
        n = len(sweep.trials)
        return sweep.id, purpose, f"{n} run{'s' if n != 1 else ''} ({purpose}) as {sweep.name}."

    def _points(
        self, loop: Loop, view: View, action: Action
    ) -> tuple[list[dict[str, Any]], list[str], str, str, list[str]]:
        """(points, the commit of each, purpose, name, who thought of each)."""
        base = loop.commits[0] if loop.commits else ""
        newest = loop.commits[-1] if loop.commits else ""
        number = len(loop.sweeps) + 1
        match action:
            case ProposeSweep(name=name, points=points, purpose=purpose, commit=commit, by=by):
                tree = _commit(loop, commit) or (base if purpose == "baseline" else newest)
                name = name or f"{purpose} {number}"
                who = [*by, *[""] * (len(points) - len(by))][: len(points)]
                return list(points), [tree] * len(points), purpose, f"{loop.id[-4:]} {name}", who
            case Launch(params=params, commit=commit):
                return [params], [_commit(loop, commit) or newest], "search", f"{loop.id[-4:]} one run {number}", [""]
            case Confirm():
                return self._confirm(loop, view, action, number)
        raise BadInput(f"{type(action).__name__} starts no runs.", "Say propose_sweep, launch or confirm.")

    def _confirm(
        self, loop: Loop, view: View, action: Confirm, number: int
    ) -> tuple[list[dict[str, Any]], list[str], str, str, list[str]]:
        """Baseline and candidates on the same fresh seeds; seed by seed, so that what has ended is paired."""
        arms = wanted(view, action, loop.setup.top)
        if not arms:
            raise CannotBeDone("There is no candidate better than the baseline to confirm.", "Search on, or end.")
        base = loop.commits[0] if loop.commits else ""
        # Fewer candidates before fewer seeds: a verdict on too few pairs says nothing.
        while len(arms) > 1 and len(paired_seeds(view, len(arms), action.beside)) < loop.setup.seeds:
            arms = arms[:-1]
        seeds = paired_seeds(view, len(arms), action.beside)
        if len(seeds) < 2:
            raise CannotBeDone("Too few runs are left to confirm anything.", "Raise the limit of runs.")
        name = loop.setup.seed
        default: list[tuple[dict[str, Any], str]] = [] if action.beside else [({}, base)]
        points, trees = [], []
        for seed in seeds:
            drawn = {name: seed} if name else {}
            for params, tree in [*default, *[(arm.params, arm.commit or base) for arm in arms]]:
                points.append({**params, **drawn})
                trees.append(tree)
        return points, trees, "confirm", f"{loop.id[-4:]} confirm {number}", ["rule"] * len(points)

    async def stop_run(self, run_id: str, by: str) -> str:
        try:
            await self.runs.stop(run_id, by=by)
        except WrongMoment as error:
            return error.problem
        return ""

    async def answer_alert(self, alert_id: str, choice: str, by: str) -> str:
        try:
            await self.alerts.respond(alert_id, choice, by)
        except (WrongMoment, NotFound) as error:
            return error.problem  # a person was first, or its run has ended
        return ""

    async def stop_sweeps(self, loop: Loop, *, now: bool) -> None:
        """Nothing is started any more, and what lives is stopped with its grace."""
        for sweep in self._living(loop):
            with contextlib.suppress(WrongMoment):  # it ended a moment ago
                await self.sweeps.stop(sweep.id, by=f"wild:{loop.id}", now=now)
        # Those of sweeps that were over before, and what a first wish only asked to end.
        ids = set(loop.sweeps)
        for run in [r for r in self.shell.runs.values() if r.sweep_id in ids and not r.status.terminal]:
            if now or run.status is not RunStatus.STOPPING:
                with contextlib.suppress(WrongMoment):
                    await self.runs.stop(run.id, by=f"wild:{loop.id}", now=now)

    async def hold_sweeps(self, loop: Loop) -> None:
        """Nothing is started any more; what lives goes on to its end."""
        for sweep in self._living(loop):
            with contextlib.suppress(WrongMoment):
                await self.sweeps.close(sweep.id, by=f"wild:{loop.id}")

    def _living(self, loop: Loop) -> list[Sweep]:
        """Its sweeps that are not over, also one that a stop or a crash kept the loop from listing."""
        return [s for s in self.shell.sweeps.values() if s.loop_id == loop.id and not s.status.terminal]

    def leaves(self, loop: Loop) -> bool:
        """Whether an ended loop still has a sweep that could start something."""
        return bool(self._living(loop))

    # --- what is true
    # -----------------------------------------------------------------------------------------------------
    async def judged(self, loop: Loop, view: View) -> list[Verdict]:
        found = verdicts(view, loop.sweep)
        return [replace(verdict, sweep=loop.sweep, metric=loop.setup.metric) for verdict in found]

    async def report(self, loop: Loop) -> str:
        return await self.reports.write(loop.id)

    async def disk(self, loop: Loop) -> int:
        ids = set(loop.sweeps)
        folders = [self.runs.folder(r.id) for r in self.shell.runs.values() if r.sweep_id in ids]
        return await asyncio.to_thread(size_of, folders)


def wanted(view: View, action: Confirm, top: int) -> list[Candidate]:
    """Who is put to the test: those of the named runs, else the best ones."""
    if not action.runs:
        # What is too good to be believed is not put forward by itself; a person or a policy may name it.
        found = candidates(view, top + 10, untested=True)
        return [c for c in found if not c.suspicious][: max(1, top)]
    named = set(action.runs)
    return [c for c in candidates(view, 10_000) if named & set(c.runs)][: max(1, top)]


def _commit(loop: Loop, wanted: str) -> str:
    if not wanted:
        return ""
    found = [commit for commit in loop.commits if commit.startswith(wanted) and len(wanted) >= 7]
    if len(found) != 1:
        raise BadInput(f"{wanted[:40]!r} is no commit of this loop.", f"Its commits: {', '.join(loop.commits)}.")
    return found[0]
