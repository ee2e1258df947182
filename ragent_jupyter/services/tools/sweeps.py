"""Tools about sweeps: list, show, create, start, stop."""

from __future__ import annotations

import asyncio
import statistics
from typing import Any, Literal

from msgspec import Struct

from ragent_jupyter.domain.chat import Preview
from ragent_jupyter.domain.errors import BadInput, WrongMoment
from ragent_jupyter.domain.run import Run, RunStatus
from ragent_jupyter.domain.sweep import Dimension, Range, SearchSpace, Sweep, SweepStatus, Values
from ragent_jupyter.domain.tools import MAX_TOOL_TEXT, ToolOutcome, ToolSpec
from ragent_jupyter.domain.wire import CreateSweep as CreateSweepBody
from ragent_jupyter.rules.environment import shown_env
from ragent_jupyter.rules.sweep_space import command_for, expand
from ragent_jupyter.rules.tool_text import code, fit, lines_of, num, one_line, setting, settings, table, when, word

from ..sweeps import SweepsDesk
from .base import SimpleTool, Tool, ToolContext
from .launch import usual_python
from .refs import HOW_TO_REFER, Ref, at, best_of, find_sweep, how_it_stops, status_of, who

_TRIALS = 60  # shown of one sweep


class RangeOf(Struct, frozen=True, forbid_unknown_fields=True):
    """low..high, both included."""

    low: float
    high: float
    step: float | None = None
    num: int | None = None
    log: bool = False
    integer: bool | None = None


class ListSweeps(Struct, frozen=True, forbid_unknown_fields=True):
    archived: bool = False
    limit: int = 20


class ShowSweep(Struct, frozen=True, forbid_unknown_fields=True):
    sweep: Ref


class CreateSweep(Struct, frozen=True, forbid_unknown_fields=True):
    command: str
    parameters: dict[str, list[Any] | RangeOf] = {}
    points: list[dict[str, Any]] = []
    method: Literal["grid", "random", "list"] | None = None
    primary: str = "loss"
    mode: Literal["min", "max"] = "min"
    name: str = ""
    max_runs: int = 100
    parallel: int = 1
    seed: int = 0
    flag: str = "--{name} {value}"
    cwd: str = ""
    python: str = ""
    executor: str = ""
    gpus: int = 0
    share_gpu: bool = False
    env: dict[str, str] = {}
    smoke: bool = True
    goal: str = ""
    start: bool = True


class StartSweep(Struct, frozen=True, forbid_unknown_fields=True):
    sweep: Ref


class StopSweep(Struct, frozen=True, forbid_unknown_fields=True):
    sweep: Ref
    now: bool = False


class SweepTools:
    def __init__(self, sweeps: SweepsDesk) -> None:
        self.sweeps = sweeps
        self.runs = sweeps.runs

    # --- looking ---------------------------------------------------------------------------------------------------
    def _of(self, sweep: Sweep) -> list[Run]:
        """The newest run of each trial, by trial."""
        newest: dict[int, Run] = {}
        runs = (r for r in self.runs.shell.runs.values() if r.sweep_id == sweep.id)
        for run in sorted(runs, key=lambda r: (r.created_at, r.id)):
            newest[run.trial or 0] = self.runs.shown(run)
        return [newest[trial] for trial in sorted(newest)]

    async def list_sweeps(self, args: ListSweeps, ctx: ToolContext) -> ToolOutcome:
        sweeps = self.sweeps.newest(archived=args.archived)
        if not sweeps:
            return ToolOutcome(text="There are no sweeps in this project yet.")
        rows = []
        for sweep in sweeps[: max(1, min(args.limit, 100))]:
            runs = self._of(sweep)
            over = sum(r.status.terminal for r in runs)
            best = _ranked(runs, sweep)
            said = f"{num(best[0][1])} in {best[0][0].id}" if best else "no data"
            rows.append(
                [sweep.id, word(sweep.name, 60), sweep.status.value, f"{over} of {len(sweep.trials)} over",
                 f"{word(sweep.primary, 40)} ({sweep.mode}): {said}", when(sweep.created_at)]
            )  # fmt: skip
        columns = ["id", "name", "status", "trials", "best of the finished (unconfirmed)", "created"]
        return ToolOutcome(
            text=fit("\n".join(table(columns, rows)), MAX_TOOL_TEXT), untrusted="names of sweeps and metrics"
        )

    async def show_sweep(self, args: ShowSweep, ctx: ToolContext) -> ToolOutcome:
        sweep = find_sweep(self.sweeps, args.sweep)
        runs = self._of(sweep)
        by_trial = {run.trial: run for run in runs}
        names = list(dict.fromkeys(k for t in sweep.trials for k in t.params))
        rows = []
        for trial in sweep.trials[:_TRIALS]:
            run = by_trial.get(trial.index)
            summary = run.summary.get(sweep.primary) if run else None
            best = best_of(summary, sweep.mode)
            values = [setting(trial.params.get(name)) for name in names]
            rows.append(
                [trial.index + 1, *values, run.id if run else "-", status_of(run) if run else "not run",
                 at(*best) if best else "no data"]
            )  # fmt: skip
        columns = ["trial", *(word(n, 40) for n in names), "run", "status", f"best {word(sweep.primary, 40)} @ step"]
        counts = {s: sum(r.status is s for r in runs) for s in RunStatus}
        counted = ", ".join(f"{n} {s.value}" for s, n in counts.items() if n) or "no run yet"
        left_out = len(sweep.trials) - _TRIALS
        text = lines_of(
            [
                f"sweep {sweep.id}, {word(sweep.name)}: {sweep.status.value}"
                + (f" ({one_line(sweep.reason)})" if sweep.reason else ""),
                f"goal: {one_line(sweep.goal)}" if sweep.goal else None,
                f"command: {code(sweep.command)}",
                f"cwd: {code(sweep.cwd, 500)}; interpreter: {code(sweep.interpreter or 'unknown', 300)}",
                f"space: {sweep.space.method}: {space_text(sweep.space)}",
                f"judged by {word(sweep.primary, 100)} ({sweep.mode}); {sweep.parallel} at once; "
                f"{len(sweep.trials)} trials: {counted}",
                f"estimate: {sweep.estimate.text}" if sweep.estimate is not None else None,
                f"created {when(sweep.created_at)}"
                + (f", started {when(sweep.started_at)}" if sweep.started_at else "")
                + (f", ended {when(sweep.ended_at)}" if sweep.ended_at else ""),
                _standing(runs, sweep),
                *table(columns, rows),
                f"(and {left_out} more trials)" if left_out > 0 else None,
            ]
        )
        return ToolOutcome(
            text=fit(text, MAX_TOOL_TEXT),
            data={"card": "sweep", "sweep": sweep.id},
            untrusted=f"names, command and values of {sweep.id}",
        )

    # --- doing -----------------------------------------------------------------------------------------------------
    def _body(self, args: CreateSweep, request_id: str | None) -> CreateSweepBody:
        method = args.method or ("list" if args.points and not args.parameters else "grid")
        if method == "list" and args.parameters:
            raise BadInput("A list sweep takes points, not parameters.", 'Give points: [{"lr": 0.1}, …].')
        if method != "list" and args.points:
            raise BadInput(f"A {method} sweep takes parameters, not points.", 'Set method to "list".')
        space = SearchSpace(
            method=method,
            parameters={name: _dimension(given) for name, given in args.parameters.items()},
            points=args.points,
            seed=args.seed,
            flag=args.flag,
        )
        return CreateSweepBody(
            command=args.command,
            space=space,
            name=one_line(args.name, 200) or None,
            cwd=args.cwd or None,
            python=args.python or usual_python(self.runs, args.command, args.cwd),
            env=args.env,
            executor=args.executor or None,
            gpus=args.gpus,
            share_gpu=args.share_gpu,
            max_runs=args.max_runs,
            parallel=args.parallel,
            smoke=args.smoke,
            primary=args.primary,
            mode=args.mode,
            goal=args.goal,
            start=args.start,
            request_id=request_id,
        )

    async def look_create(self, args: CreateSweep, ctx: ToolContext) -> Preview:
        body = self._body(args, None)
        if not body.command.strip():
            raise BadInput("The command is empty.", "Give the command that one trial runs, without its parameters.")
        if not 1 <= body.parallel <= 1000 or not 1 <= body.max_runs <= 10_000:
            raise BadInput(
                f"parallel is {body.parallel}, max_runs is {body.max_runs}.", "Give 1 to 1000, and 1 to 10,000."
            )
        points = expand(body.space, body.max_runs)
        cwd = str(self.runs._cwd(body.cwd))
        loop = asyncio.get_running_loop()
        executor = await loop.run_in_executor(None, self.runs.executor_for, body.executor)
        interpreter = await loop.run_in_executor(None, self.runs.interpreters.resolve, body.python, None)
        estimate = await self.sweeps.expected(body, points, cwd)
        return Preview(
            title=f"Create a sweep of {len(points)} runs" + (" and start it" if body.start else ""),
            command=body.command,
            cwd=cwd,
            details=[
                f"runs: {len(points)}, {body.parallel} at once"
                + (", the first one alone to see that it works" if body.smoke and len(points) > 1 else ""),
                f"space ({body.space.method}): {space_text(body.space)}",
                f"first: {code(command_for(body.command, points[0], body.space.flag, body.space.flags), 500)}",
                f"judged by: {word(body.primary, 100)} ({body.mode})",
                *([f"estimate: {estimate.text}"] if estimate is not None else []),
                f"interpreter: {interpreter.path} {interpreter.version}".rstrip(),
                f"executor: {executor}; GPUs of each run: {body.gpus or 'none'}{', shared' if body.share_gpu else ''}",
                *([f"environment: {settings(dict(shown_env(body.env)))}"] if body.env else []),
            ],
            pattern="create_sweep",
        )

    async def create_sweep(self, args: CreateSweep, ctx: ToolContext) -> ToolOutcome:
        sweep = await self.sweeps.create(self._body(args, ctx.call_id))
        after = "It launches its trials by itself." if args.start else "start_sweep starts it."
        return _done(sweep, f"{sweep.id} was created: {len(sweep.trials)} trials, {sweep.parallel} at once, ", after)

    async def look_start(self, args: StartSweep, ctx: ToolContext) -> Preview:
        sweep = find_sweep(self.sweeps, args.sweep)
        if sweep.status not in (SweepStatus.DRAFT, SweepStatus.READY):
            raise WrongMoment(f"Sweep {sweep.id} is {sweep.status.value}.", "Create a new sweep to run it again.")
        return Preview(
            title=f"Start a sweep of {len(sweep.trials)} runs",
            command=sweep.command,
            cwd=sweep.cwd,
            details=[
                f"sweep: {sweep.id} ({word(sweep.name, 60)})",
                f"runs: {len(sweep.trials)}, {sweep.parallel} at once",
                f"space ({sweep.space.method}): {space_text(sweep.space)}",
                f"judged by: {word(sweep.primary, 100)} ({sweep.mode})",
                *([f"estimate: {sweep.estimate.text}"] if sweep.estimate is not None else []),
            ],
            pattern="start_sweep",
        )

    async def start_sweep(self, args: StartSweep, ctx: ToolContext) -> ToolOutcome:
        sweep = find_sweep(self.sweeps, args.sweep)
        if sweep.status is not SweepStatus.RUNNING:
            sweep = await self.sweeps.start(sweep.id)
        return _done(sweep, f"{sweep.id}: {len(sweep.trials)} trials, {sweep.parallel} at once, ")

    async def look_stop(self, args: StopSweep, ctx: ToolContext) -> Preview:
        sweep = find_sweep(self.sweeps, args.sweep)
        if sweep.status.terminal:
            raise WrongMoment(f"Sweep {sweep.id} has already {sweep.status.value}.", "There is nothing to stop.")
        how = how_it_stops(args.now)
        return Preview(
            title="Stop a sweep and its runs",
            command=sweep.command,
            cwd=sweep.cwd,
            details=[f"sweep: {sweep.id} ({word(sweep.name, 60)})", f"its live runs are stopped {how}"],
            pattern="stop_sweep",
            danger=args.now,
        )

    async def stop_sweep(self, args: StopSweep, ctx: ToolContext) -> ToolOutcome:
        sweep = find_sweep(self.sweeps, args.sweep)
        sweep = await self.sweeps.stop(sweep.id, by=who(ctx), now=args.now)
        left = sum(not r.status.terminal for r in self._of(sweep))
        return _done(sweep, f"{sweep.id}: ", f"{left} runs of it are still ending." if left else "")


def _done(sweep: Sweep, before: str, after: str = "") -> ToolOutcome:
    text = f"{before}status {sweep.status.value}. {after}".strip()
    return ToolOutcome(text=text, data={"card": "sweep", "sweep": sweep.id})


def _dimension(given: list[Any] | RangeOf) -> Dimension:
    """A range is one of integers if it says so, or if all its numbers are whole and its steps are counted in them."""
    if isinstance(given, list):
        return Values(given)
    numbers = [given.low, given.high, *([given.step] if given.step is not None else [])]
    # 1..5 is a range of integers; 0.0..1.0 in five parts is none.
    whole = all(float(n).is_integer() for n in numbers) and given.num is None and not given.log
    integer = whole if given.integer is None else given.integer
    return Range(given.low, given.high, step=given.step, num=given.num, log=given.log, integer=integer)


def space_text(space: SearchSpace) -> str:
    """A search space on one line.

    >>> space_text(SearchSpace(parameters={"lr": Values([0.1, 0.01]), "bs": Range(16, 64, step=16, integer=True)}))
    'lr in [0.1, 0.01]; bs in 16..64 step 16 (integers)'
    """
    if space.method == "list":
        shown = "; ".join(settings(point, 12) for point in space.points[:8])
        return shown + (f"; and {len(space.points) - 8} more" if len(space.points) > 8 else "")
    parts = []
    for name, dim in list(space.parameters.items())[:30]:
        if isinstance(dim, Values):
            values = ", ".join(setting(v) for v in dim.values[:20])
            parts.append(f"{word(name, 60)} in [{values}{', …' if len(dim.values) > 20 else ''}]")
            continue
        low, high = (num(float(n), exact=True) for n in (dim.low, dim.high))
        how = f" step {num(float(dim.step), exact=True)}" if dim.step is not None else ""
        how += f" in {dim.num} points" if dim.num is not None else ""
        kinds = [k for k, on in (("log", dim.log), ("integers", dim.integer)) if on]
        parts.append(f"{word(name, 60)} in {low}..{high}{how}{f' ({chr(44).join(kinds)})' if kinds else ''}")
    more = len(space.parameters) - 30
    return "; ".join(parts) + (f"; and {more} more" if more > 0 else "")


def _ranked(runs: list[Run], sweep: Sweep) -> list[tuple[Run, float]]:
    """Finished runs with their best value, best first. One that was stopped or failed does not compete."""
    sign = -1.0 if sweep.mode == "max" else 1.0
    scored = [
        (run, best[0])
        for run in runs
        if run.status is RunStatus.FINISHED and (best := best_of(run.summary.get(sweep.primary), sweep.mode))
    ]
    return sorted(scored, key=lambda pair: sign * pair[1])


def _standing(runs: list[Run], sweep: Sweep) -> str:
    ranked = _ranked(runs, sweep)
    if not ranked:
        return f"best: no finished run has logged {word(sweep.primary, 100)} yet"
    run, value = ranked[0]
    values = [v for _, v in ranked]
    spread = f"; over {len(values)} finished: median {num(statistics.median(values))}" if len(values) > 1 else ""
    return (
        f"best: {num(value)} in {run.id} ({settings(run.params, 12)}), unconfirmed: not re-run on fresh seeds{spread}"
    )


def sweep_tools(sweeps: SweepsDesk) -> list[Tool]:
    """list_sweeps, show_sweep, create_sweep, start_sweep, stop_sweep."""
    its = SweepTools(sweeps)
    return [
        SimpleTool(
            ToolSpec(
                name="list_sweeps",
                title="List sweeps",
                description="List the project's sweeps, newest first, with status, trials done and best run.",
                args=ListSweeps,
                effect="read",
                repeat="again",
            ),
            its.list_sweeps,
        ),
        SimpleTool(
            ToolSpec(
                name="show_sweep",
                title="Show a sweep",
                description=f"A sweep's space, trials, their runs and values. sweep: {HOW_TO_REFER}",
                args=ShowSweep,
                effect="read",
                repeat="again",
            ),
            its.show_sweep,
        ),
        SimpleTool(
            ToolSpec(
                name="create_sweep",
                title="Create a sweep",
                description=(
                    "Create a sweep of runs and, unless start is false, start it; returns its id at once. command: of "
                    "one trial, without its parameters. parameters: name to a list of values, or to a range {low, "
                    "high, step or num, log, integer}; or points: a list of settings. method: grid, random (ranges "
                    "need no step) or list. flag: how a parameter reaches the command, such as '--{name} {value}' or "
                    "'{name}={value}'; one whose {name} stands in the command is filled in there. primary, mode: the "
                    "metric that trials are judged by and which way is better. max_runs, parallel: how many in all and "
                    "at once. smoke: the first trial runs alone. python, executor, gpus, env, cwd: as in launch_run."
                ),
                args=CreateSweep,
                effect="run",
                repeat="again",  # the call's id makes it single
            ),
            its.create_sweep,
            its.look_create,
        ),
        SimpleTool(
            ToolSpec(
                name="start_sweep",
                title="Start a sweep",
                description=f"Start a sweep that was created but not started. sweep: {HOW_TO_REFER}",
                args=StartSweep,
                effect="run",
                repeat="again",
            ),
            its.start_sweep,
            its.look_start,
        ),
        SimpleTool(
            ToolSpec(
                name="stop_sweep",
                title="Stop a sweep",
                description=(
                    "Stop a sweep: no further trial starts, its live runs are stopped. "
                    f"sweep: {HOW_TO_REFER} now: kill them at once."
                ),
                args=StopSweep,
                effect="act",
                repeat="again",
            ),
            its.stop_sweep,
            its.look_stop,
        ),
    ]
