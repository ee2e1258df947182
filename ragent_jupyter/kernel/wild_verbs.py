"""`%ragent wild …`: the verbs of the command line in a cell. Nothing waits in it for the loop.

What is a person's to say (answers, limits, merges, permission to change code) the engine refuses from here, with where
it is said: code in a cell may be an agent's own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from ragent_jupyter.client import Client
from ragent_jupyter.client import wild_said as said
from ragent_jupyter.client.wild_request import request_of
from ragent_jupyter.client.wild_typed import limits_of, ranges_of, with_ranges
from ragent_jupyter.domain.errors import BadInput, WrongMoment
from ragent_jupyter.domain.wild import Loop
from ragent_jupyter.domain.wire_wild import CreateLoop

from .magics import _first, _no_more, _options, _split
from .wild_views import DiffView, JournalView, LoopsView, LoopView, QueueView, SetupView, SummaryView

USAGE = '%ragent wild "GOAL" [options] -- CMD, or %ragent wild VERB [ID]'
_START: dict[str, Any] = {
    "--policy": str, "--model": str, "--autonomy": str, "--max-runs": str, "--max-iterations": str, "--max-hours": str,
    "--max-cost": str, "--max-tokens": str, "--max-gpu-hours": str, "--max-cpu-hours": str, "--max-disk": str,
    "--until": str, "--metric": str, "--minimize": None, "--maximize": None, "--seed-flag": str, "--seeds": int,
    "--top": int, "--set-range": list, "--space": str, "--input": list, "--in-place": None, "--eval-file": list,
    "--may-edit": list, "--holdout": str, "--holdout-predictions": str, "--holdout-score": str, "--gpus": int,
    "--parallel": int, "--executor": str, "--python": str, "--cwd": str, "--env": list, "--command": str,
    "--goal": str, "--dry-run": None,
}  # fmt: skip


def wild(rest: str) -> Any:
    """Do what the line says."""
    first, after = _first(rest) if rest else ("", "")
    if first in _VERBS:
        return _VERBS[first](after)
    if not rest:
        return status("")
    return _start(rest)


def begin(client: Client, body: CreateLoop, ranges: Mapping[str, Any], *, draft: bool) -> SetupView | LoopView:
    """The loop, or only its draft. Raises CannotBeDone where something must be said first."""
    if not ranges and not draft:
        return LoopView(client, client.create_loop(body))
    reply = client.draft_loop(body)
    if ranges:
        body = replace(body, space=with_ranges(reply.setup.space, dict(ranges), reply.script))
        reply = client.draft_loop(body)
    view = SetupView(client, body, reply)
    return view if draft else view.start()


def begun(
    goal: str, command: str, *, draft: bool, project: str | os.PathLike[str] | None, options: Mapping[str, Any]
) -> SetupView | LoopView:
    """What `ragent.wild(goal=…)` does. options: as in `_START`, with underscores."""
    known = {name.lstrip("-").replace("-", "_") for name in _START} - {"goal", "command", "dry_run"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise BadInput(f"There is no option {unknown[0]!r}.", f"There are: {', '.join(sorted(known))}.")
    for name in ("set_range", "input", "eval_file", "may_edit", "env"):
        if isinstance(options.get(name), str):
            raise BadInput(f"{name} takes a list.", f"Write {name}=[{options[name]!r}].")
    if not goal.strip():
        raise BadInput("No goal was given.", 'Say it: goal="lower val_loss"')
    env = _env(options.get("env") or [])
    body = request_of(options, goal.strip(), command, Path(os.getcwd()), env, sys.executable)
    return begin(Client(project, door="kernel"), body, ranges_of(options.get("set_range") or []), draft=draft)


def _start(rest: str) -> SetupView | LoopView:
    head, command = _command(rest)
    found, words = _options(head, _START)
    given = {name.replace("-", "_"): value for name, value in found.items()}
    if given.get("command") and command:
        raise BadInput("A command was given twice.", "Leave out --command, or what stands behind --.")
    goal = given.pop("goal", "") or " ".join(words).strip()
    command, draft = given.pop("command", "") or command, given.pop("dry_run", False)
    if not goal:
        raise BadInput("No goal was given.", f"Usage: {USAGE}")
    return begun(goal, command, draft=draft, project=None, options=given)


def _env(items: Sequence[str]) -> dict[str, str]:
    env = {}
    for item in items:
        name, sign, value = item.partition("=")
        if not sign:
            raise BadInput(f"--env {item!r} is not NAME=VALUE.", "Write it like --env OMP_NUM_THREADS=1")
        env[name] = value
    return env


def _command(rest: str) -> tuple[str, str]:
    """What stands before ` -- `, and the command behind it as it was typed: a shell reads it, pipes and all."""
    left: list[str] = []
    text = rest
    while text:
        word, after = _first(text)
        if word == "--" and not text.startswith(("'", '"')):
            return " ".join(left), after
        left.append(text[: len(text) - len(after)].strip())
        text = after
    return rest, ""


# --- verbs ------------------------------------------------------------------------------------------------------------
def _loop(words: list[str], *, own: bool = False) -> tuple[Client, Loop, list[str]]:
    """The loop that the first word names, else the newest that lives. own: other words are the person's."""
    client = Client(door="kernel")
    if words and (not own or words[0].startswith("wld_")):
        if words[1:] and not own:
            raise BadInput(f"{words[1]!r} is too much.", f"Usage: {USAGE}")
        return client, client.find_loop(words[0]), words[1:]
    return client, client.find_loop(""), words


def status(rest: str) -> LoopView:
    client, loop, _ = _loop(_split(rest))
    return LoopView(client, loop)


def watch(rest: str) -> Any:
    return status(rest).watch()


def pause(rest: str) -> LoopView:
    return status(rest).pause()


def resume(rest: str) -> LoopView:
    return status(rest).resume()


def stop(rest: str) -> LoopView:
    found, words = _options(rest, {"--now": None, "--keep-runs": None})
    client, loop, _ = _loop(words)
    return LoopView(client, loop).stop(runs="keep-runs" not in found, now="now" in found)


def steer(rest: str) -> LoopView:
    first, after = _first(rest) if rest else ("", "")
    ref, text = (first, after) if first.startswith("wld_") else ("", rest)
    text = text.strip()
    if len(text) > 1 and text[0] in "'\"" and text[-1] == text[0]:
        text = text[1:-1]
    if not text:
        raise BadInput("There is nothing to steer by.", "Usage: %ragent wild steer TEXT")
    client = Client(door="kernel")
    return LoopView(client, client.find_loop(ref)).steer(text)


def answer(rest: str) -> LoopView:
    client, loop, words = _loop(_split(rest), own=True)
    question = loop.question
    if question is None:
        raise WrongMoment(f"{loop.id} asks nothing now.", "`%ragent wild status` shows where it stands.")
    try:
        choice, text = said.chosen(question, " ".join(words))
    except ValueError as error:
        raise BadInput(f"{' '.join(words)!r} is not one of the choices.", str(error)) from None
    return LoopView(client, client.answer_loop(loop.id, question.id, choice, text))


def limits(rest: str) -> LoopView:
    client, loop, words = _loop(_split(rest), own=True)
    return LoopView(client, client.limits_loop(loop.id, limits_of(words, loop.limits)) if words else loop)


def journal(rest: str) -> JournalView:
    found, words = _options(rest, {"-n": int})
    client, loop, _ = _loop(words)
    return LoopView(client, loop).journal(found.get("n", 30))


def queue(rest: str) -> QueueView:
    found, words = _options(rest, {"--first": list, "--drop": list})
    client, loop, _ = _loop(words)
    if found:
        loop = client.queue_loop(loop.id, found.get("first", []), found.get("drop", []))
    return QueueView(loop)


def summary(rest: str) -> SummaryView:
    return status(rest).summary()


def merge(rest: str) -> Any:
    found, words = _options(rest, {"--diff": None, "--commit": str})
    client, loop, _ = _loop(words)
    if "diff" in found:
        return DiffView(loop, client.diff_loop(loop.id, found.get("commit", "")))
    return client.merge_loop(loop.id, found.get("commit", "")).text


def report(rest: str) -> Any:
    client, loop, _ = _loop(_split(rest))
    return LoopView(client, client.wild_report(loop.id)).record()


def list_(rest: str) -> LoopsView:
    _no_more(rest, "wild")
    client = Client(door="kernel")
    return LoopsView(client, client.loops())


_VERBS: dict[str, Callable[[str], Any]] = {
    "status": status, "watch": watch, "follow": watch, "pause": pause, "resume": resume, "stop": stop, "steer": steer,
    "answer": answer, "limits": limits, "journal": journal, "queue": queue, "summary": summary, "merge": merge,
    "report": report, "list": list_,
}  # fmt: skip
