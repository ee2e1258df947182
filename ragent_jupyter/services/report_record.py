"""What the two desks of reports share: what runs ran on, a name that nobody has, and the line in the record."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ragent_jupyter._version import __version__
from ragent_jupyter.domain.errors import CannotBeDone
from ragent_jupyter.domain.run import Run
from ragent_jupyter.domain.wire import ReportReply

from .shell import Change, Shell

_MOST_COMMITS = 12


def python_of(run: Run) -> str:
    return f"{run.interpreter.version} ({run.interpreter.path})".strip() if run.interpreter else ""


def code_of(run: Run) -> tuple[str, bool]:
    """(commit, whether the folder held more than it). A run in a tree executed that commit and nothing else."""
    if run.tree:
        return run.tree, False
    return (run.git.commit, run.git.dirty) if run.git else ("", False)


def environment(runs: Sequence[Run], log_id: str, what: str, value: str) -> dict[str, str]:
    """What runs ran on, by name. what, value: a line of the report's own, such as the command."""
    about = {"ragent": __version__}
    if runs:
        about["Python of the runs"] = ", ".join(sorted({p for r in runs if (p := python_of(r))})) or "unknown"
        about["executor"] = ", ".join(sorted({r.executor for r in runs}))
    commits = {c[:12] + (" + uncommitted changes" if dirty else "") for r in runs for c, dirty in [code_of(r)] if c}
    about["commit"] = ", ".join(sorted(commits)[:_MOST_COMMITS]) or "not in a git repository"
    about["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    about[what] = value
    about["engine's Python"] = ".".join(map(str, sys.version_info[:3]))
    about["log"] = log_id
    return about


def reserved(folder: Path, title: str, *, start: str = "", most: int = 60, usual: str = "report") -> Path:
    """A notebook's name that nobody has, taken by an empty file: a report is the user's, and never overwritten.

    Raises OSError, CannotBeDone.
    """
    stem = start + (re.sub(r"[^\w.-]+", "-", title.lower()).strip("-.")[:most].strip("-.") or usual)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, 10_000):
        path = folder / f"{stem}{f'-{number}' if number > 1 else ''}.ipynb"
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
        except FileExistsError:
            continue
        return path
    raise CannotBeDone(f"{folder} holds 10,000 reports of this name.", "Move some of them away.")


async def remembered(
    shell: Shell, id: str, path: Path, title: str, findings: Sequence[str], sweep: str | None = None
) -> ReportReply:
    """The report as the record and the sidebar know it from now on."""
    reply = ReportReply(
        id=id, path=str(path), title=title, sweep=sweep, created_at=shell.clock.now(), findings=list(findings)
    )
    await shell.commit([Change("report_created", msgspec.to_builtins(reply))])
    return reply
