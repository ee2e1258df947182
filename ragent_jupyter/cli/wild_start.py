"""`ragent wild GOAL`: the draft is shown, what is open is asked, Enter starts it, and it is followed to its end."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from ragent_jupyter.client import wild_said as said
from ragent_jupyter.client.wild_request import answered, command_of, read_json, request_of
from ragent_jupyter.client.wild_typed import ranges_of, space_json, space_of_json, with_ranges
from ragent_jupyter.domain.errors import BadInput, RagentError
from ragent_jupyter.domain.wild import Knob, Loop, Question
from ragent_jupyter.domain.wire_wild import CreateLoop, LoopReply, SetupReply

from . import wild_view as view
from .context import Context, caller_python
from .output import DONE, FAILED, INTERRUPTED, NEEDS_HUMAN, NeedsHuman, Out
from .runs import env_of, python_of
from .wild_live import Followed, follow, how_to_come_back

if TYPE_CHECKING:
    from ragent_jupyter.client import Client

_REPORT_WAIT_S = 120.0
_FROM_THE_START = 100  # lines of the ledger


def start(context: Context, goal: str) -> int:
    args, out = context.args, context.out
    body, ranges = wish(context, goal), ranges_of(args.set_range)
    client = context.client(create=True)
    draft = client.draft_loop(body)
    if ranges:
        body = replace(body, space=with_ranges(draft.setup.space, ranges, draft.script))
        draft = client.draft_loop(body)
    if args.dry_run:
        out.document(draft)
        if not out.json:
            _show(out, body, draft)
            for ask in draft.asks:
                view.question(out, ask)
            out.note("Nothing was started.")
        return DONE
    if out.asks and not args.yes:
        agreed = _agree(out, client, body, draft)
        if agreed is None:
            out.say("Nothing was started.")
            return DONE
        body = agreed
    elif draft.asks:
        raise NeedsHuman(*_open(draft.asks[0]))
    elif not out.json:
        _show(out, body, draft)
    made = client.create_loop(body)
    return started(context, client, made, detach=args.detach)


def started(context: Context, client: Client, made: Loop, *, detach: bool) -> int:
    """Say that it began, and follow it unless that is not wanted."""
    out = context.out
    if detach:
        out.document(made)
        out.say(f"{view.state(out, made)}  {made.id}")
        out.say(how_to_come_back(made, str(context.workdir)))
        return DONE
    out.note(f"{made.id} begins.")
    return attend(context, client, made.id, earlier=_FROM_THE_START)


def attend(context: Context, client: Client, loop_id: str, *, earlier: int = 0) -> int:
    """Follow a loop and say how it was left; the exit code."""
    out = context.out
    followed = follow(out, client, loop_id, earlier=earlier)
    reply = followed.reply
    if reply.loop.over:
        reply = with_report(out, client, reply)
    code = code_of(followed)
    out.document(document(reply, code))
    if not out.json:
        _last_words(context, followed, reply)
    if followed.asked is not None:
        if out.json:
            return code
        raise NeedsHuman(*_open(followed.asked, loop_id))
    return code


def code_of(followed: Followed) -> int:
    """0 complete or ended at a limit, 1 failed or stopped, 3 a question that nobody here can answer, 130 left."""
    if followed.left:
        return INTERRUPTED
    if followed.asked is not None:
        return NEEDS_HUMAN
    return DONE if followed.reply.loop.end in ("complete", "budget") else FAILED


def document(reply: LoopReply, code: int) -> dict[str, Any]:
    """What --json gives: the loop as the wire says it, and what a script asks first."""
    loop = reply.loop
    return {
        "id": loop.id,
        "state": said.state_of(loop),
        "end": loop.end,
        "reason": loop.reason,
        "exit": code,
        "question": loop.question,
        "report": loop.report or None,
        "counts": reply.counts,
        "alerts": reply.alerts,
        "elapsed_s": reply.elapsed_s,
        "summary": reply.summary,
        "loop": loop,
    }


def with_report(out: Out, client: Client, reply: LoopReply) -> LoopReply:
    """A loop that is over, once its report is written: the engine does that after the end. Without one if it cannot."""
    from ragent_jupyter.client.wild_following import LoopFollowing

    if reply.loop.report:
        return reply
    out.note("Writing the report.")
    going = LoopFollowing(client, reply.loop.id)
    try:
        until = time.monotonic() + _REPORT_WAIT_S
        while not going.loop.report and time.monotonic() < until:
            going.next(0.5)
        if not going.loop.report:
            client.wild_report(reply.loop.id)
        going.look()
    except RagentError as error:
        out.note(f"The report was not written: {error.problem}")
    finally:
        going.leave()
    return going.reply


def _last_words(context: Context, followed: Followed, reply: LoopReply) -> None:
    out, loop = context.out, reply.loop
    if followed.left:
        out.note("\n" + how_to_come_back(loop, str(context.workdir)))
        return
    if not loop.over:
        return
    out.say()
    view.summary(out, reply.summary)
    if loop.report:
        out.say(f"\nReport: {loop.report}")


def _open(ask: Question, loop_id: str = "") -> tuple[str, str]:
    """A question that nobody here can answer, as a problem and a remedy."""
    options = "; ".join(f"{o.id} ({o.label})" + (", the default" if o.id == ask.default else "") for o in ask.options)
    if loop_id:
        remedy = f"Answer in the sidebar, or in a terminal: ragent wild answer CHOICE --loop {loop_id}"
        later = " The default is taken by itself later." if ask.default_at is not None else ""
        remedy += f". Choices: {options}.{later}" if options else f".{later}"
    else:
        remedy = f"Say it on the command line. Choices: {options}." if options else "Say it on the command line."
    return view.clean(ask.text), view.clean(remedy)


# --- what was asked for -----------------------------------------------------------------------------------------------
def wish(context: Context, goal: str) -> CreateLoop:
    """The request as the options say it. Raises BadInput."""
    args = context.args
    if args.command_line is not None and args.after:
        raise BadInput("A command was given twice.", "Leave out --command, or what stands behind --.")
    command = args.command_line if args.command_line is not None else command_of(args.after)
    given = {**vars(args), "python": python_of(args.python, context.workdir)}
    return request_of(given, goal, command, context.workdir, env_of(args.env), caller_python())


# --- with a person at the terminal ------------------------------------------------------------------------------------
def _show(out: Out, body: CreateLoop, draft: SetupReply) -> None:
    view.draft(out, body.goal, draft, body.autonomy, body.model)


def _agree(out: Out, client: Client, body: CreateLoop, draft: SetupReply) -> CreateLoop | None:
    """Ask what is open, show the draft, and start on Enter; None where the person leaves."""
    asked = 0
    try:
        while draft.asks:
            ask = draft.asks[0]
            asked += 1
            if asked > 20:
                raise NeedsHuman(*_open(ask))
            view.question(out, ask)
            try:
                choice, text = said.chosen(ask, input("  Number or words: "))
            except ValueError as error:
                out.say(f"  {error}")
                continue
            body = answered(body, ask, choice, text)
            draft = client.draft_loop(body)
        while True:
            _show(out, body, draft)
            match input("\nEnter starts it, e edits what is tuned, q leaves: ").strip().lower():
                case "" | "y" | "yes":
                    return body
                case "q" | "n" | "no":
                    return None
                case "e":
                    space = edit(out, draft.setup.space)
                    if space is not None:
                        body = replace(body, space=space)
                        draft = client.draft_loop(body)
    except EOFError:
        return None


def edit(out: Out, space: dict[str, Knob]) -> dict[str, Knob] | None:
    """The space as the person's editor leaves it; None where it is left alone or cannot be read."""
    text = msgspec.json.format(msgspec.json.encode(space_json(space)), indent=2)
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="ragent-") as folder:
        path = Path(folder) / "space.json"
        path.write_bytes(text + b"\n")
        try:
            ended = subprocess.run([*shlex.split(editor), str(path)], check=False)
        except (OSError, ValueError) as error:
            out.note(f"{editor} cannot be started: {error}. Set EDITOR, or use --set-range.")
            return None
        if ended.returncode != 0:
            out.note(f"{editor} ended with {ended.returncode}: nothing was changed.")
            return None
        try:
            return space_of_json(read_json(path), space)
        except BadInput as error:
            out.note(f"{error.problem} {error.remedy}")
            return None


__all__ = ["attend", "start", "started"]
