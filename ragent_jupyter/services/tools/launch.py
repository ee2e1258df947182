"""Tools that make runs and end them: launch, retry, stop. Each is single by its call's id."""

from __future__ import annotations

import asyncio
import os
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.chat import Preview
from ragent_jupyter.domain.errors import BadInput, NotFound, WrongMoment
from ragent_jupyter.domain.run import Interpreter, Run, RunStatus
from ragent_jupyter.domain.tools import ToolOutcome, ToolSpec
from ragent_jupyter.domain.wire import CreateRun
from ragent_jupyter.rules.config_diff import script_of
from ragent_jupyter.rules.environment import shown_env
from ragent_jupyter.rules.tool_text import code, one_line, settings, word

from ..runs import RunsDesk, with_params
from .base import SimpleTool, Tool, ToolContext
from .refs import HOW_TO_REFER, Ref, find_run, how_it_stops, in_order, run_label, who


class LaunchRun(Struct, frozen=True, forbid_unknown_fields=True):
    command: str
    params: dict[str, Any] = {}
    name: str = ""
    cwd: str = ""
    python: str = ""
    executor: str = ""
    gpus: int = 0
    share_gpu: bool = False
    env: dict[str, str] = {}
    primary: str = ""
    mode: Literal["min", "max"] = "min"
    tags: list[str] = []
    notes: str = ""


class RetryRun(Struct, frozen=True, forbid_unknown_fields=True):
    run: Ref
    set: dict[str, Any] = {}


class StopRun(Struct, frozen=True, forbid_unknown_fields=True):
    run: Ref
    now: bool = False


class LaunchTools:
    def __init__(self, runs: RunsDesk) -> None:
        self.runs = runs

    def _body(self, args: LaunchRun) -> CreateRun:
        command = with_params(args.command, args.params) if args.params else args.command
        kind = "notebook" if args.command.strip().endswith(".ipynb") and "\n" not in args.command.strip() else "command"
        if kind == "notebook" and " " in args.command.strip():
            kind = "command"
        return CreateRun(
            command=args.command.strip() if kind == "notebook" else command,
            kind=kind,  # type: ignore[arg-type]
            name=one_line(args.name, 200) or None,
            cwd=args.cwd or None,
            python=args.python or usual_python(self.runs, args.command, args.cwd),
            env=args.env,
            executor=args.executor or None,
            gpus=args.gpus,
            share_gpu=args.share_gpu,
            primary=args.primary or None,
            mode=args.mode,
            params=args.params,
            tags=args.tags,
            notes=args.notes,
        )

    async def _resolved(self, body: CreateRun) -> tuple[str, str, str, Interpreter]:
        """(command, cwd, executor, interpreter) as `create` will have them; raises what it would raise."""
        command, _ = self.runs._command(body)
        cwd = self.runs._cwd(body.cwd)
        if body.kind == "notebook" and not (cwd / command).is_file():
            raise NotFound(
                f"There is no notebook {word(command)} in {cwd}.", "Give its path from the project's folder."
            )
        if not 0 <= body.gpus <= 64:
            raise BadInput(f"{body.gpus} GPUs cannot be asked for.", "Give a number from 0 to 64.")
        loop = asyncio.get_running_loop()
        executor = await loop.run_in_executor(None, self.runs.executor_for, body.executor)
        interpreter = await loop.run_in_executor(None, self.runs.interpreters.resolve, body.python, None)
        return command, str(cwd), executor, interpreter

    async def look_launch(self, args: LaunchRun, ctx: ToolContext) -> Preview:
        body = self._body(args)
        command, cwd, executor, interpreter = await self._resolved(body)
        return Preview(
            title="Launch a run",
            command=command,
            cwd=cwd,
            details=launch_details(body, executor, interpreter),
            pattern="launch_run",
        )

    async def launch_run(self, args: LaunchRun, ctx: ToolContext) -> ToolOutcome:
        body = msgspec.structs.replace(self._body(args), request_id=ctx.call_id)
        if body.kind == "notebook":
            await self._resolved(body)
        return _launched(await self.runs.create(body))

    async def look_retry(self, args: RetryRun, ctx: ToolContext) -> Preview:
        run = find_run(self.runs, args.run)
        if not run.status.terminal:
            raise WrongMoment(f"{run_label(run)} is not over.", "Stop it first, or wait for its end.")
        if run.kind == "interactive":
            raise WrongMoment(f"{run_label(run)} is a notebook's own session.", "Run its cells again in the notebook.")
        details = [f"again: {run_label(run)}", f"changed: {settings(args.set) or 'nothing'}"]
        details += [f"interpreter: {run.interpreter.path}"] if run.interpreter else []
        return Preview(
            title="Run it again",
            command=with_params(run.command, args.set) if args.set else run.command,
            cwd=run.cwd,
            details=[*details, f"GPUs: {run.gpus}"],
            pattern="retry_run",
        )

    async def retry_run(self, args: RetryRun, ctx: ToolContext) -> ToolOutcome:
        old = find_run(self.runs, args.run)
        return _launched(await self.runs.retry(old.id, args.set, request_id=ctx.call_id), f", a retry of {old.id}")

    # --- stopping --------------------------------------------------------------------------------------------------
    async def look_stop(self, args: StopRun, ctx: ToolContext) -> Preview:
        run = find_run(self.runs, args.run)
        if run.status.terminal:
            raise WrongMoment(f"{run_label(run)} is over already.", "There is nothing to stop.")
        how = how_it_stops(args.now)
        return Preview(
            title="Stop a run",
            command=run.command,
            cwd=run.cwd,
            details=[f"run: {run.id} ({word(run.alias or run.name, 60)})", f"how: {how}"],
            pattern="stop_run",
            danger=args.now,
        )

    async def stop_run(self, args: StopRun, ctx: ToolContext) -> ToolOutcome:
        run = find_run(self.runs, args.run)
        run = await self.runs.stop(run.id, now=args.now, by=who(ctx))
        said = "was cancelled before it started" if run.status is RunStatus.STOPPED else "is being stopped"
        return ToolOutcome(text=f"{run.id} {said} (status {run.status.value}).", data={"card": "run", "run": run.id})


def usual_python(runs: RunsDesk, command: str, cwd: str) -> str | None:
    """The Python that the newest run of the same script had, if it is still there: that is where it works."""
    folder = os.path.normpath(os.path.join(runs.project, os.path.expanduser(cwd)))
    script = script_of(Run(id="", name="", command=command, argv=[], cwd=folder, created_at=0.0))
    for run in reversed(in_order(runs.shell.runs.values())):
        if run.kind != "interactive" and run.interpreter and script_of(run) == script:
            return run.interpreter.path if os.path.exists(run.interpreter.path) else None
    return None


def launch_details(body: CreateRun, executor: str, interpreter: Interpreter) -> list[str]:
    """What a person must know beside the command, a line each; only what does not change while they read."""
    gpus = f"{body.gpus}{', shared' if body.share_gpu else ''}" if body.gpus else "none"
    return [
        f"interpreter: {interpreter.path} {interpreter.version}".rstrip(),
        f"executor: {executor}",
        f"GPUs: {gpus}",
        *([f"parameters: {settings(body.params)}"] if body.params else []),
        *([f"environment: {settings(dict(shown_env(body.env)))}"] if body.env else []),
        *([f"judged by: {word(body.primary)} ({body.mode})"] if body.primary else []),
        *([f"name: {word(body.name)}"] if body.name else []),
    ]


def _launched(run: Run, more: str = "") -> ToolOutcome:
    return ToolOutcome(
        text=f"{run.id} was created{more}: {word(run.name, 60)}, status {run.status.value}, executor {run.executor}.\n"
        f"command: {code(run.command)}\nIt goes on by itself; show_run and read_log tell how it gets on.",
        data={"card": "run", "run": run.id},
    )


def launch_tools(runs: RunsDesk) -> list[Tool]:
    """launch_run, retry_run, stop_run."""
    its = LaunchTools(runs)
    return [
        SimpleTool(
            ToolSpec(
                name="launch_run",
                title="Launch a run",
                description=(
                    "Launch a command as a run that is recorded and watched; returns its id at once. command: as typed "
                    "in a shell, or the path of one notebook (.ipynb). params: hyperparameters; they replace --name "
                    "value, --name=value or name=value in the command, fill {name}, else are appended as --name value, "
                    "and are recorded. cwd: from the project's folder. python: a path, a venv's folder, conda:NAME or "
                    "kernel:NAME; default: the one that this script last ran with. executor: tmux or process. "
                    "env: variables. primary, mode: the metric it is judged by and which way is better."
                ),
                args=LaunchRun,
                effect="run",
                repeat="again",  # the call's id makes it single
            ),
            its.launch_run,
            its.look_launch,
        ),
        SimpleTool(
            ToolSpec(
                name="retry_run",
                title="Run it again",
                description=(
                    "Run the command of a run that is over once more, as a new run; returns its id at once. "
                    f"run: {HOW_TO_REFER} set: parameters to change."
                ),
                args=RetryRun,
                effect="run",
                repeat="again",
            ),
            its.retry_run,
            its.look_retry,
        ),
        SimpleTool(
            ToolSpec(
                name="stop_run",
                title="Stop a run",
                description=(
                    "Stop a run, or take it out of the queue. It is asked to end (INT), then told (TERM), then killed. "
                    f"run: {HOW_TO_REFER} now: kill at once, without the time to save."
                ),
                args=StopRun,
                effect="act",
                repeat="again",
            ),
            its.stop_run,
            its.look_stop,
        ),
    ]
