"""What changed since it last worked: a run's setup against that of a good one."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

from msgspec import Struct

from ragent_jupyter.domain.errors import BadInput, NotFound
from ragent_jupyter.domain.run import Interpreter, Run
from ragent_jupyter.domain.tools import MAX_TOOL_TEXT, ToolOutcome, ToolSpec
from ragent_jupyter.rules.config_diff import Difference, Setup, compare, files_of, last_good, script_of
from ragent_jupyter.rules.redact import redact
from ragent_jupyter.rules.tool_text import code, fit, lines_of, setting, when, word

from ..runs import RunsDesk
from .base import SimpleTool, Tool, ToolContext
from .refs import HOW_TO_REFER, Ref, find_run, run_label

_DIFF_LINES = 120
_DIFF_BYTES = 1 << 20
_DIST = re.compile(r"(.+?)-([^-]+)\.(?:dist|egg)-info\Z")

CodeDiff = Callable[[str, str, str], Awaitable[str | None]]  # (folder, old commit, new commit) -> `git diff`, or None


class DiffConfig(Struct, frozen=True, forbid_unknown_fields=True):
    run: Ref
    against: Ref = ""


class ConfigTools:
    def __init__(self, runs: RunsDesk, code_diff: CodeDiff | None = None) -> None:
        self.runs = runs
        self.code_diff = code_diff

    async def diff_config(self, args: DiffConfig, ctx: ToolContext) -> ToolOutcome:
        run = find_run(self.runs, args.run)
        if args.against != "":
            good = find_run(self.runs, args.against)
            if good.id == run.id:
                raise BadInput("Both are the same run.", "Name another one in against.")
            why = "as named"
        else:
            found = last_good(run, self.runs.shell.runs.values(), self.runs.shell.alerts.values())
            if found is None:
                script = code(script_of(run), 200)
                raise NotFound(
                    f"No run of {script} from before {run.id} finished without a critical alert.",
                    "Name a run to compare with in against; list_runs shows them.",
                )
            good, why = self.runs.shown(found), "the last run of this script that finished without a critical alert"
        loop = asyncio.get_running_loop()
        before, after = await asyncio.gather(
            *(loop.run_in_executor(None, self._setup, r, _python(good) != _python(run)) for r in (good, run))
        )
        found_ = compare(before, after)
        text = lines_of(
            [
                f"{run_label(run)}, created {when(run.created_at)}, against {run_label(good)} ({why}).",
                f"settings are written {good.id} -> {run.id}." if found_ else "Nothing that is recorded differs.",
                *(_difference(d) for d in found_ if d.kind != "file"),
                *await self._code(before, after, found_),
                *await loop.run_in_executor(None, _packages, good, run),
            ]
        )
        data = {"card": "table", "columns": ["what", "name", good.id, run.id],
                "rows": [[d.kind, d.name, d.before, d.after] for d in found_ if d.kind != "file"][:200]}  # fmt: skip
        return ToolOutcome(
            text=fit(redact(text), MAX_TOOL_TEXT),
            data=data,
            untrusted=f"commands, settings and code of {good.id} and {run.id}",
        )

    def _setup(self, run: Run, other_python: bool) -> Setup:
        diff = ""
        if run.git is not None and run.git.diff_file:
            diff = _text(self.runs.folder(run.id) / "git.diff")
        packages = installed(run.interpreter) if other_python else None
        versions = None if packages is None else {name: version for name, (version, _) in packages.items()}
        return Setup(run=run, diff=diff, packages=versions)

    async def _code(self, before: Setup, after: Setup, found: list[Difference]) -> list[str]:
        """Code that differs: uncommitted changes by file, and what lies between the commits where git can tell."""
        lines: list[str] = []
        for one in (d for d in found if d.kind == "file"):
            if one.before is None or one.after is None:
                which, only = ("without", after.run) if one.before is None else ("with", before.run)
                body = one.after or one.before or ""
                verb = "changed, uncommitted, only in" if which == "without" else "no longer changed; it was in"
                lines.append(f"file {code(one.name, 200)}: {verb} {only.id}:")
            else:
                lines.append(f"file {code(one.name, 200)}: other uncommitted changes in {after.run.id}:")
                body = one.after
            lines += [f"  {_shown(line)}" for line in body.splitlines()[:60]]
        commit = next((d for d in found if d.kind == "commit" and d.before and d.after), None)
        if commit is not None and self.code_diff is not None and commit.before and commit.after:
            between = await self.code_diff(after.run.cwd, commit.before, commit.after)
            for name, body in files_of(between or "").items():
                lines.append(f"file {code(name, 200)}: committed between {commit.before[:10]} and {commit.after[:10]}:")
                lines += [f"  {_shown(line)}" for line in body.splitlines()[:60]]
        if len(lines) > _DIFF_LINES:
            lines = [*lines[:_DIFF_LINES], f"(and {len(lines) - _DIFF_LINES} more lines of code)"]
        return lines


def _difference(d: Difference) -> str:
    if d.kind == "setting":
        before, after = ("not set" if v is None else setting(v) for v in (d.before, d.after))
        return f"setting {word(d.name, 100)}: {before} -> {after}"
    before, after = (code(v, 1000) if v is not None else "none" for v in (d.before, d.after))
    return f"{d.kind}{'' if d.kind == d.name else f' {word(d.name, 100)}'}: {before} -> {after}"


def _shown(line: str) -> str:
    return code(line.expandtabs(4), 240)


def _python(run: Run) -> str:
    return run.interpreter.path if run.interpreter else ""


def _text(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(_DIFF_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""  # the folder was cleaned; that the run had changes is still said by its git state


# --- packages --------------------------------------------------------------------------------------------------------
def installed(python: Interpreter | None) -> dict[str, tuple[str, float]] | None:
    """Packages of an interpreter's environment as they are now: name -> (version, when it came, unix seconds).

    None where its site-packages cannot be found. Nothing is started: folders' names say it.
    """
    if python is None:
        return None
    root = Path(python.path).parent.parent
    found: dict[str, tuple[str, float]] = {}
    seen = False
    for site in sorted([*root.glob("lib/python3*/site-packages"), *root.glob("lib/python3*/dist-packages")]):
        try:
            entries = list(os.scandir(site))
        except OSError:
            continue  # removed meanwhile, or not ours to read
        seen = True
        for entry in entries:
            match = _DIST.match(entry.name)
            if match:
                try:
                    came = entry.stat().st_mtime
                except OSError:
                    continue  # uninstalled this moment
                found[match[1].lower().replace("_", "-")] = (match[2], came)
    return found if seen else None


def _packages(good: Run, run: Run) -> list[str]:
    """What is known of packages: which ones came to the shared environment between the two runs."""
    if _python(good) != _python(run):
        return ["packages: compared as they are installed now; what they were when the runs started is not recorded"]
    now = installed(run.interpreter)
    if now is None:
        return ["packages: not recorded, and this interpreter's are not to be found"]
    low, high = sorted((good.started_at or good.created_at, run.started_at or run.created_at))
    fresh = sorted(f"{word(n, 60)} {word(v, 40)}" for n, (v, came) in now.items() if low < came < high)
    if not fresh:
        return ["packages: the same environment, and none was installed in it between the two runs"]
    more = f" and {len(fresh) - 30} more" if len(fresh) > 30 else ""
    return [f"packages installed in the shared environment between the two runs: {', '.join(fresh[:30])}{more}"]


def config_tool(runs: RunsDesk, code_diff: CodeDiff | None = None) -> Tool:
    """diff_config. code_diff: what lies between two commits, where git can be asked."""
    its = ConfigTools(runs, code_diff)
    return SimpleTool(
        ToolSpec(
            name="diff_config",
            title="Compare configurations",
            description=(
                "What a run has otherwise than the last good run of the same script (or the run named in against): "
                "settings, command, interpreter, variables, commit, uncommitted code, packages. "
                f"run, against: {HOW_TO_REFER}"
            ),
            args=DiffConfig,
            effect="read",
            repeat="again",
        ),
        its.diff_config,
    )
