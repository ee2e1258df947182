"""`ragent wild`: a goal to work towards, and the verbs about a loop that does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ragent_jupyter.client import wild_said as said
from ragent_jupyter.client.wild_typed import limits_of, limits_text
from ragent_jupyter.domain.errors import BadInput, WrongMoment
from ragent_jupyter.domain.wild import Entry, Loop
from ragent_jupyter.rules.wild_loop import head

from . import wild_args, wild_start
from . import wild_view as view
from .chat_view import harmless
from .context import Context
from .output import DONE, INTERRUPTED, Out

if TYPE_CHECKING:
    from ragent_jupyter.client import Client

_PAGE = 1000  # entries of a ledger that come at once
_LAST = 30


def wild(context: Context) -> int:
    verb, words, goal = wild_args.split(context.args)
    if not verb:
        return wild_start.start(context, goal)
    return _VERBS[verb](context, words)


def _found(context: Context, words: list[str], *, own: bool = False) -> tuple[Client, Loop, list[str]]:
    ref, rest = wild_args.reference(context.args, words, own=own)
    client = context.client()
    return client, client.find_loop(ref), rest


def _said(out: Out, loop: Loop, what: str) -> int:
    out.document(loop)
    out.say(f"{view.state(out, loop)}  {loop.id}  {what}".rstrip())
    return DONE


# --- looking ----------------------------------------------------------------------------------------------------------
def status(context: Context, words: list[str]) -> int:
    if context.args.follow:
        return follow(context, words)
    client, loop, _ = _found(context, words)
    reply = client.loop(loop.id)
    context.out.document(wild_start.document(reply, DONE))
    if not context.out.json:
        view.status(context.out, reply, client.journal(loop.id, max(0, loop.entries - 5)).entries)
    return DONE


def follow(context: Context, words: list[str]) -> int:
    client, loop, _ = _found(context, words)
    return wild_start.attend(context, client, loop.id, earlier=5)


def summary(context: Context, words: list[str]) -> int:
    client, loop, _ = _found(context, words)
    reply = client.loop(loop.id)
    context.out.document(reply.summary)
    if not context.out.json:
        view.summary(context.out, reply.summary)
    return DONE


def list_(context: Context, words: list[str]) -> int:
    if words:
        return status(context, words)
    found = context.client().loops()
    context.out.document({"loops": found})
    if not context.out.json:
        view.loops(context.out, found)
    return DONE


def queue(context: Context, words: list[str]) -> int:
    args, out = context.args, context.out
    client, loop, _ = _found(context, words)
    if args.first or args.drop:
        loop = client.queue_loop(loop.id, args.first, args.drop)
    waiting = sorted(loop.queue, key=lambda e: (e.order, e.at, e.id))
    out.document({"current": loop.current, "next": head(loop.queue), "queue": waiting})
    if out.json:
        return DONE
    if loop.current is not None:
        out.say(f"{out.paint('●', '34')} {loop.current.id}  {view.clean(said.event_text(loop.current), 100)} (now)")
    for event in waiting:
        out.say(f"○ {view.clean(event.id)}  {view.clean(said.event_text(event), 100)}")
    if loop.current is None and not waiting:
        out.say("Nothing waits to be decided.")
    elif waiting:
        out.say(f"`ragent wild queue --first EVENT` decides one next, `--drop EVENT` forgets it; loop {loop.id}.")
    return DONE


def journal(context: Context, words: list[str]) -> int:
    """The ledger: the last lines, all of it as JSONL, or as it grows."""
    args, out = context.args, context.out
    if args.lines is not None and args.lines < 0:
        raise BadInput(f"--lines {args.lines} shows nothing.", "Give 0 or more.")
    client, loop, _ = _found(context, words)
    last = args.lines
    if last is None:
        last = loop.entries if args.jsonl else _LAST
    shown = Out(json=True, out=out.out, err=out.err) if args.jsonl else out  # --jsonl says what it is by itself
    n = max(0, loop.entries - last)
    gathered: list[Entry] = []
    while n < loop.entries:
        page = client.journal(loop.id, n).entries
        if not page:
            break
        for entry in page:
            _one(shown, entry, gathered, lines=args.follow or args.jsonl)
        n = page[-1].n
    if not args.follow:
        if not args.jsonl:
            out.document({"loop": loop.id, "entries": gathered, "total": loop.entries})
        if not loop.entries:
            out.say("Nothing was decided yet.")
        return DONE
    return _grows(shown, client, loop, n)


def _one(out: Out, entry: Entry, gathered: list[Entry], *, lines: bool) -> None:
    if out.json and not lines:
        gathered.append(entry)
    elif out.json:
        out.line(entry)
    else:
        out.say(view.entry(out, entry, 400))
        for line in view.reasons(out, entry):
            out.say(line)


def _grows(out: Out, client: Client, loop: Loop, n: int) -> int:
    from ragent_jupyter.client.wild_following import LoopFollowing

    going = LoopFollowing(client, loop.id)
    try:
        while True:
            for entry in going.entries:
                if entry.n > n:
                    n = entry.n
                    _one(out, entry, [], lines=True)
            if going.loop.over:
                return DONE
            going.next(0.5)
    except KeyboardInterrupt:
        out.note(f"\n{loop.id} goes on.")
        return INTERRUPTED
    finally:
        going.leave()


# --- wishes -----------------------------------------------------------------------------------------------------------
def pause(context: Context, words: list[str]) -> int:
    client, loop, _ = _found(context, words)
    return _said(context.out, client.pause_loop(loop.id), "Runs that live go on; `ragent wild resume` goes on with it.")


def resume(context: Context, words: list[str]) -> int:
    client, loop, _ = _found(context, words)
    return _said(context.out, client.resume_loop(loop.id), "")


def stop(context: Context, words: list[str]) -> int:
    args = context.args
    if args.now and args.keep_runs:
        raise BadInput("--now is for its runs, which --keep-runs leaves alone.", "Leave one of them out.")
    client, loop, _ = _found(context, words)
    stopped = client.stop_loop(loop.id, runs=not args.keep_runs, now=args.now)
    return _said(context.out, stopped, "Its runs go on." if args.keep_runs else "Its runs end too.")


def steer(context: Context, words: list[str]) -> int:
    ref, rest = wild_args.reference(context.args, words, own=True)
    text = " ".join(rest).strip()
    if not text:
        raise BadInput("There is nothing to steer by.", 'Say it: ragent wild steer "try smaller widths first"')
    client = context.client()
    loop = client.find_loop(ref)
    return _said(context.out, client.steer_loop(loop.id, text), "It hears this at its next decision.")


def answer(context: Context, words: list[str]) -> int:
    out = context.out
    client, loop, rest = _found(context, words, own=True)
    question = loop.question
    if question is None:
        raise WrongMoment(f"{loop.id} asks nothing now.", "`ragent wild status` shows where it stands.")
    if not rest:
        if not out.asks:
            raise BadInput("No answer was given.", f"One of: {', '.join(said.ids(question.options))}.")
        view.question(out, question)
        try:
            rest = [input("  Number or words, Enter for the default: ")]
        except EOFError:
            return DONE
    try:
        choice, text = said.chosen(question, " ".join(rest))
    except ValueError as error:
        raise BadInput(f"{' '.join(rest)!r} is not one of the choices.", str(error)) from None
    return _said(out, client.answer_loop(loop.id, question.id, choice, text), "Answered.")


def limits(context: Context, words: list[str]) -> int:
    out = context.out
    client, loop, rest = _found(context, words, own=True)
    if rest:
        loop = client.limits_loop(loop.id, limits_of(rest, loop.limits))
    out.document(loop.limits if not rest else loop)
    if out.json:
        return DONE
    if rest:
        out.say(f"{view.state(out, loop)}  {loop.id}  {view.clean(limits_text(loop.limits))}")
        return DONE
    rows = [[meter.word, meter.name, meter.text] for meter in said.meters(loop, time.time())]
    rows += [["goal", "until", view.clean(loop.limits.until)]] if loop.limits.until else []
    out.table(["LIMIT", "NAME", "USED"], rows)
    out.say(f"`ragent wild limits NAME=VALUE` changes one, none removes it, +N adds; loop {loop.id}.")
    return DONE


# --- its code and its report ------------------------------------------------------------------------------------------
def merge(context: Context, words: list[str]) -> int:
    args, out = context.args, context.out
    client, loop, _ = _found(context, words)
    if args.diff:
        diff = client.diff_loop(loop.id, args.commit or "")
        out.document({"loop": loop.id, "diff": diff})
        for line in diff.splitlines() if not out.json else []:
            code = "32" if line.startswith("+") else "31" if line.startswith("-") else "36" if line[:2] == "@@" else ""
            out.say(out.paint(harmless(line), code))
        if not diff:
            out.say("There is nothing to merge.")
        return DONE
    done = client.merge_loop(loop.id, args.commit or "")
    out.document(done)
    out.say(view.clean(done.text))
    return DONE


def report(context: Context, words: list[str]) -> int:
    client, loop, _ = _found(context, words)
    written = client.wild_report(loop.id)
    context.out.document({"loop": loop.id, "report": written.report})
    context.out.say(written.report)
    return DONE


_VERBS: dict[str, Callable[[Context, list[str]], int]] = {
    "status": status, "follow": follow, "pause": pause, "resume": resume, "stop": stop, "steer": steer,
    "answer": answer, "limits": limits, "journal": journal, "queue": queue, "summary": summary, "merge": merge,
    "report": report, "list": list_,
}  # fmt: skip
