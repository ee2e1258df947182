"""`ragent quickstart`: Wild Mode end to end on a shipped example, with no key and no network.

A client of the wire and nothing more: what it does, anybody can do with `ragent wild`.
"""

from __future__ import annotations

import os
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ragent_jupyter.client.wild_typed import range_of, with_ranges
from ragent_jupyter.domain.alert import AlertStatus
from ragent_jupyter.domain.errors import BadInput, CannotBeDone
from ragent_jupyter.domain.run import Run, RunStatus
from ragent_jupyter.domain.wild import Limits, Loop
from ragent_jupyter.domain.wire_wild import CreateLoop, LoopReply, SetupReply

from . import wild_view as view
from .context import Context
from .doctor import tmux_hint
from .output import DONE, FAILED, INTERRUPTED, NEEDS_HUMAN, Out, duration
from .wild_live import follow
from .wild_start import with_report

if TYPE_CHECKING:
    from ragent_jupyter.client import Client

EXAMPLE = "next_letter"
GOAL = "Guess the next letter better: lower val_loss"
# Two of what the script exposes are tuned, in ranges that keep every run short; a first look should not take an hour.
RANGES = {"lr": "0.002..2:log", "hidden": "32,64,128"}
RUNS = 32
_FROM_THE_START = 100  # lines of the ledger
_MOST_HOURS = 0.2  # where a machine is much slower than most
_MOST_AT_ONCE = 4  # more at once, and the search would have nothing to learn from
# The network is small: more threads a run would only get in each other's way.
_ENV = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "VECLIB_MAXIMUM_THREADS": "1"}


def quickstart(context: Context) -> int:
    out, args = context.out, context.args
    if args.lab and out.json:
        raise BadInput("--lab opens JupyterLab, which has no result to give as JSON.", "Leave one of them out.")
    began = time.monotonic()
    folder = (context.workdir / Path(args.folder or "ragent-quickstart").expanduser()).resolve()
    kept = copy_example(folder)
    client = _client(folder)
    out.say(f"The example is in {folder}")
    for name in kept:
        out.say(f"  {name} differs from the shipped one: yours is used and left as it is.")
    executors = client.executors()
    chosen = next((e for e in executors.executors if e.default and e.available), None)
    if chosen is None:
        raise CannotBeDone("No executor can start runs here.", "`ragent doctor` says what is missing.")
    notes: list[str] = []
    if chosen.name != "tmux":
        notes.append(f"tmux is not here: runs start as plain processes. {tmux_hint()}")
        out.say(f"  {notes[-1]}")

    body = _wish(folder, max(1, min(executors.parallel, _MOST_AT_ONCE)), chosen.name)
    draft = client.draft_loop(body)
    body = replace(body, space=_space(draft))
    draft = client.draft_loop(body)
    if not out.json:
        out.say()
        view.draft(out, body.goal, draft, body.autonomy)
        out.say()
    loop = client.create_loop(body)
    out.say(f"{loop.id}: {draft.setup.parallel} runs at a time ({chosen.name}), at most {RUNS} in all.\n")
    followed = follow(out, client, loop.id, earlier=_FROM_THE_START)
    if followed.left:
        out.note(f"\nIt goes on without this terminal. `ragent wild follow -C {folder}` comes back to it, "
                 f"`ragent wild stop -C {folder}` ends it.")  # fmt: skip
        return INTERRUPTED
    reply = with_report(out, client, followed.reply) if followed.reply.loop.over else followed.reply
    result = _result(client, reply)
    result["executor"] = chosen.name
    result["notes"] = notes
    result["took_s"] = round(time.monotonic() - began, 1)
    out.document(result)
    _say(out, reply, result)
    if followed.asked is not None:
        return NEEDS_HUMAN
    if args.lab:
        from .lab import open_lab

        open_lab(client.project, args.after, Path(reply.loop.report) if reply.loop.report else None)
    return DONE if reply.loop.end in ("complete", "budget") else FAILED


def copy_example(folder: Path) -> list[str]:
    """Put the example into `folder`; the names of its files that were there already and are different: they stay.

    Raises CannotBeDone where the folder cannot be made or written.
    """
    kept: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source in sorted(files("ragent_jupyter").joinpath("examples", EXAMPLE).iterdir(), key=lambda f: f.name):
            if not source.is_file():
                continue
            target = folder / source.name
            content = source.read_bytes()
            if not target.exists():
                target.write_bytes(content)
            elif target.read_bytes() != content:
                kept.append(source.name)
    except OSError as error:
        raise CannotBeDone(
            f"The example cannot be put into {folder}: {error.strerror or error}.",
            "Name another: ragent quickstart DIR",
        ) from error
    return kept


def _client(folder: Path) -> Client:
    """The engine of the project that `folder` is in, or of the folder itself, which then becomes a project."""
    from ragent_jupyter.client import Client
    from ragent_jupyter.runfiles.project import ensure_ragent_dir

    # An ancestor that is a project already is served by its own engine; a project is never put into another.
    if not any((ancestor / ".ragent").is_dir() for ancestor in (folder, *folder.parents)):
        ensure_ragent_dir(folder)
    return Client(folder)


def _wish(folder: Path, parallel: int, executor: str) -> CreateLoop:
    return CreateLoop(
        goal=GOAL,
        command="python train.py",
        cwd=str(folder),
        python=sys.executable,  # the one Python that is known to have numpy: ragent needs it itself
        caller_python=sys.executable,
        caller_env=dict(os.environ),
        env=_ENV,
        executor=executor,
        parallel=parallel,
        policy="builtin",
        autonomy="full",
        isolation="in_place",
        limits=Limits(runs=RUNS, hours=_MOST_HOURS),
        request_id=os.urandom(8).hex(),
    )


def _space(draft: SetupReply) -> dict[str, Any]:
    """Of what was found in the script, what is tuned here. A script of the user's own keeps what was found in it."""
    known = {flag.name for flag in draft.script.flags}
    if not set(RANGES) <= known:
        return draft.setup.space
    ranges = {name: range_of(name, text) for name, text in RANGES.items()}
    return with_ranges({}, ranges, draft.script, why="one of two that are tuned here, to be quick")


def _result(client: Client, reply: LoopReply) -> dict[str, Any]:
    loop = reply.loop
    runs = {run.id: run for sweep in loop.sweeps for run in client.all_runs(sweep=sweep)}
    stages: dict[str, list[str]] = {}
    purposes = {sweep.id: sweep.purpose for sweep in client.sweeps()}
    for run in runs.values():
        stages.setdefault(purposes.get(run.sweep_id or "", "") or "search", []).append(run.id)
    counts = {status.value: sum(run.status is status for run in runs.values()) for status in RunStatus}
    return {
        "project": str(client.project),
        "loop": loop.id,
        "end": loop.end,
        "reason": loop.reason,
        "runs": {name: n for name, n in counts.items() if n},
        "stages": stages,
        "baseline": None if loop.baseline is None else {
            "metric": loop.setup.metric, "mean": loop.baseline.mean, "sd": loop.baseline.sigma,
            "runs": loop.baseline.runs,
        },
        "best": _best(loop),
        "verdicts": loop.verdicts,
        "ended_early": [_early(run) for run in runs.values() if run.status in (RunStatus.FAILED, RunStatus.STOPPED)],
        "answers": _answers(client, runs),
        "summary": reply.summary,
        "report": loop.report or None,
        "open": f"ragent lab -C {client.project}",
    }  # fmt: skip


def _best(loop: Loop) -> dict[str, Any] | None:
    """The confirmed gain, else the best that was seen, which is then called unconfirmed."""
    from ragent_jupyter.rules.wild_summary import winner

    won = winner(loop)
    if won is not None:
        return {
            "metric": won.metric, "value": won.mean, "params": won.params, "confirmed": True, "effect": won.effect,
            "ci": won.ci, "seeds": won.seeds, "runs": won.runs, "baseline_runs": won.baseline_runs,
        }  # fmt: skip
    best = loop.best
    if best is None:
        return None
    return {
        "metric": loop.setup.metric, "value": best.value, "params": best.params, "confirmed": False, "runs": best.runs,
    }  # fmt: skip


def _early(run: Run) -> dict[str, Any]:
    reason = run.reason.text if run.reason else ""
    return {"run": run.id, "params": run.params, "status": run.status.value, "reason": reason}


def _answers(client: Client, runs: dict[str, Run]) -> list[dict[str, Any]]:
    """The alerts of its runs that were answered, and by whom."""
    found = []
    for alert in client.alerts().alerts:
        if alert.run_id in runs and alert.status is AlertStatus.RESOLVED:
            label = next((c.label for c in alert.choices if c.id == alert.choice), alert.choice)
            found.append({"alert": alert.id, "run": alert.run_id, "title": alert.title, "choice": alert.choice,
                          "label": label, "by": alert.answered_by})  # fmt: skip
    return found


def _say(out: Out, reply: LoopReply, result: dict[str, Any]) -> None:
    if out.json:
        return
    out.say()
    view.summary(out, reply.summary)
    if reply.loop.question is not None:
        view.question(out, reply.loop.question)
    if result["report"]:
        out.say(f"\nReport: {result['report']}")
    out.say(f"Open it in JupyterLab: {result['open']}")
    out.say(f"Done in {duration(result['took_s'])}.")


__all__ = ["copy_example", "quickstart"]
