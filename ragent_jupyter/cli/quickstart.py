"""`ragent quickstart`: a finished experiment with a report, with no key and no network.

A client of the wire and nothing more: what it does, anybody can do with `ragent sweep`, `respond` and `report`.
"""

from __future__ import annotations

import os
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ragent_jupyter.domain.alert import Alert, AlertStatus
from ragent_jupyter.domain.errors import BadInput, CannotBeDone
from ragent_jupyter.domain.run import Run, RunStatus
from ragent_jupyter.domain.sweep import Sweep, SweepStatus
from ragent_jupyter.domain.wire import CreateReport, CreateSweep, ReportReply

from .context import Context
from .doctor import tmux_hint
from .live import answer, follow_sweep
from .output import DONE, FAILED, INTERRUPTED, Out, duration, number

if TYPE_CHECKING:
    from ragent_jupyter.client import Client

EXAMPLE = "next_letter"
RULE = "rule:quickstart"
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

    sweep = client.create_sweep(_wish(folder, max(1, executors.parallel), chosen.name))
    out.say(f"{len(sweep.trials)} runs, {sweep.parallel} at a time ({chosen.name}), sweep {sweep.id}\n")
    answers: list[dict[str, Any]] = []
    ended = follow_sweep(out, client, sweep, _answering(out, client, answers), lines=False)
    if ended is None:
        out.note(f"\nThe sweep goes on without this terminal. `ragent stop {sweep.id} -C {folder}` ends it.")
        return INTERRUPTED
    runs = client.all_runs(sweep=sweep.id)
    report = client.create_report(CreateReport(sweep=sweep.id))
    result = _result(client, ended, runs, report, answers)
    result["executor"] = chosen.name
    result["notes"] = notes
    result["took_s"] = round(time.monotonic() - began, 1)
    out.document(result)
    _say(out, ended, result)
    if args.lab:
        from .lab import open_lab

        open_lab(client.project, args.after, Path(report.path))
    return DONE if ended.status is SweepStatus.FINISHED else FAILED


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


def _wish(folder: Path, parallel: int, executor: str) -> CreateSweep:
    from ragent_jupyter.client.typed import sweep_of

    file = folder / "sweep.json"
    try:
        data = msgspec.json.decode(file.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise CannotBeDone(f"{file} is not JSON: {error}.", "Mend it, or remove it and repeat.") from error
    wanted = sweep_of(data)
    return msgspec.structs.replace(
        wanted,
        cwd=str(folder),
        python=sys.executable,  # the one Python that is known to have numpy: ragent needs it itself
        caller_python=sys.executable,
        caller_env=dict(os.environ),
        executor=executor,
        parallel=parallel,
        env={**_ENV, **wanted.env},
    )


def _answering(out: Out, client: Client, answers: list[dict[str, Any]]) -> Any:
    """Answers an alert as the shipped rule says, through the same door as a person's answer."""
    from ragent_jupyter.rules.answers import shipped_answer

    answered: set[str] = set()

    def on_alert(alert: Alert, run: Run) -> None:
        choice = shipped_answer(alert)
        if choice is None or alert.id in answered:
            return
        answered.add(alert.id)
        done = answer(client, alert, choice, RULE)
        if done is not None and done.status is AlertStatus.RESOLVED:
            label = next((c.label for c in alert.choices if c.id == choice), choice)
            answers.append({"alert": alert.id, "run": run.id, "title": alert.title, "choice": choice, "label": label})
            if not out.terminal:
                out.say(f"answered by rule: {label}")

    return on_alert


def _result(
    client: Client, sweep: Sweep, runs: list[Run], report: ReportReply, answers: list[dict[str, Any]]
) -> dict[str, Any]:
    from ragent_jupyter.rules.sweep_life import best_run

    best = best_run(sweep, {run.id: run for run in runs})
    counts = {status.value: sum(run.status is status for run in runs) for status in RunStatus}
    return {
        "project": str(client.project),
        "sweep": sweep.id,
        "status": sweep.status.value,
        "runs": {name: n for name, n in counts.items() if n},
        "best": None if best is None else {
            "run": best[0].id, "metric": sweep.primary, "value": best[1], "params": best[0].params, "confirmed": False,
        },
        "ended_early": [
            {"run": run.id, "params": run.params, "status": run.status.value,
             "reason": run.reason.text if run.reason else ""}
            for run in runs if run.status in (RunStatus.FAILED, RunStatus.STOPPED)
        ],
        "answers": answers,
        "findings": report.findings,
        "report": report.path,
        "open": f"ragent lab -C {client.project}",
    }  # fmt: skip


def _say(out: Out, sweep: Sweep, result: dict[str, Any]) -> None:
    out.say()
    best = result["best"]
    if best is not None:
        params = ", ".join(f"{k} {number(v) if isinstance(v, float) else v}" for k, v in best["params"].items())
        out.say(f"Best: {best['metric']} {number(best['value'])} with {params} (unconfirmed: one seed).")
    else:
        out.say(f"No run finished with a {sweep.primary}.")
    first = {said["run"]: said for said in reversed(result["answers"])}  # one line a run says enough
    for run, said in sorted(first.items()):
        out.say(f"{out.paint('!', '33')} {said['title']} ({run}). {said['label']}, by the shipped rule.")
    for run in result["ended_early"]:
        if run["run"] not in first:
            out.say(f"{out.state(run['status'])}  {run['run']}  {run['reason']}")
    if result["findings"]:
        out.say("\nWhat it found:")
        for finding in result["findings"]:
            out.say(f"· {finding}")
    out.say(f"\nReport: {result['report']}")
    out.say(f"Open it in JupyterLab: {result['open']}")
    out.say(f"Done in {duration(result['took_s'])}.")


__all__ = ["copy_example", "quickstart"]
