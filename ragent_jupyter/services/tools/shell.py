"""The tool that runs a shell command in the project."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct

from ragent_jupyter.domain.chat import Preview
from ragent_jupyter.domain.errors import BadInput, CannotBeDone
from ragent_jupyter.domain.ports_mind import ShellRunner
from ragent_jupyter.domain.tools import ToolOutcome, ToolSpec
from ragent_jupyter.rules.environment import kept, shown_env
from ragent_jupyter.rules.shell_words import Command, head, understood
from ragent_jupyter.rules.text_edit import visible

from .base import SimpleTool, Tool, ToolContext
from .files import Files

_DEFAULT_S = 120.0
_MOST_S = 600.0


class RunShell(Struct, frozen=True, forbid_unknown_fields=True):
    command: str
    cwd: str = "."
    timeout_s: float = _DEFAULT_S


def shell_env(base: Mapping[str, str]) -> dict[str, str]:
    """What a command of an agent sees of a caller's environment: what a job may see, less whatever looks like a secret.

    A job may need its HF_TOKEN; a command whose words go to a model must not be able to print one, in whatever form.
    >>> shell_env({"HOME": "/h", "HF_TOKEN": "hf_x", "ANTHROPIC_API_KEY": "k", "MY_PASSWORD": "p"})
    {'HOME': '/h'}
    """
    job = kept(base)
    shown = shown_env(job)
    return {name: value for name, value in job.items() if shown[name] == value}


class ShellTools:
    def __init__(self, runner: ShellRunner, files: Files, project: Path, redact: Callable[[str], str]) -> None:
        self._runner = runner
        self._files = files
        self._project = project
        self._redact = redact

    def _checked(self, args: RunShell) -> Command:
        command = understood(args.command)
        if command.problem:
            raise BadInput(command.problem, "Send one command line for sh.")
        if command.background:
            raise CannotBeDone(
                "A shell command ends with all that it started, so nothing can be put into the background.",
                "Start long work with launch_run; it goes on by itself and is watched.",
            )
        if not 0 < args.timeout_s <= _MOST_S:
            raise BadInput(f"A shell command has at most {_MOST_S:.0f} s.", "Start what takes longer with launch_run.")
        return command

    async def look(self, args: RunShell, ctx: ToolContext) -> Preview:
        command = self._checked(args)

        def folder() -> str:
            self._files.entries(args.cwd or ".", depth=1, limit=1)  # refuses what is no folder of the project
            return self._files.place(args.cwd or ".")

        place = await asyncio.get_running_loop().run_in_executor(None, folder)
        exact = "\n".join(visible(line) for line in args.command.strip("\n").split("\n"))
        shown = self._redact(exact)
        details = [f"Careful: {why}." for why in command.dangers]
        details.append(f"Ends after {args.timeout_s:g} s at the latest, with all that it started.")
        return Preview(
            title="Run a shell command",
            command=shown,
            cwd=str(self._project) if place == "." else str(self._project / place),
            details=details,
            # A pattern is kept; one that holds a secret is none.
            pattern=command.pattern if shown == exact else "",
            danger=bool(command.dangers),
        )

    async def run(self, args: RunShell, ctx: ToolContext) -> ToolOutcome:
        self._checked(args)
        got = await self._runner.run(
            args.command, args.cwd or ".", timeout_s=args.timeout_s, stop=ctx.stop, said=ctx.said
        )
        if got.timed_out:
            end = f"[ended after {args.timeout_s:g} s: it took too long. Start long work with launch_run.]"
        elif got.exit_code is None:
            end = f"[stopped after {got.seconds:g} s]"
        else:
            end = f"[exit code {got.exit_code}, {got.seconds:g} s]"
        shown = self._redact(head(args.command))
        return ToolOutcome(
            text=f"{got.output}\n{end}" if got.output else end,
            data={"card": "shell", "command": shown, "exit_code": got.exit_code},
            is_error=got.exit_code is None,
            untrusted=f"output of {shown}",
        )


def shell_tools(runner: ShellRunner, files: Files, project: Path, redact: Callable[[str], str]) -> list[Tool]:
    tools = ShellTools(runner, files, project, redact)
    return [SimpleTool(_RUN, tools.run, tools.look)]


_RUN = ToolSpec(
    name="run_shell",
    title="Run a shell command",
    description=(
        "Run one command line with sh in the project and wait for its end; output and exit code come back. cwd: a "
        "folder of the project. timeout_s: 120, at most 600. Nothing stays running behind it: training and other long "
        "work is started with launch_run. Tokens and keys are not in its environment. Use the file tools to read, "
        "search and edit files."
    ),
    args=RunShell,
    effect="run",
)
