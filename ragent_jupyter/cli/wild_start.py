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
from ragent_jupyter.client.wild_typed import (
    answered,
    limits_from,
    ranges_of,
    space_json,
    space_of_json,
    with_ranges,
)
from ragent_jupyter.domain.errors import BadInput, CannotBeDone, RagentError
from ragent_jupyter.domain.wild import Holdout, Knob, Loop, Question
from ragent_jupyter.domain.wire_wild import CreateLoop, LoopReply, SetupReply

from . import wild_view as view
from .context import Context, caller_python
from .output import DONE, FAILED, INTERRUPTED, NEEDS_HUMAN, NeedsHuman, Out
from .runs import env_of, python_of
from .wild_live import Followed, follow, how_to_come_back

if TYPE_CHECKING:
    from ragent_jupyter.client import Client

_REPORT_WAIT_S = 120.0


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
    return attend(context, client, made.id)


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
    if args.minimize and args.maximize:
        raise BadInput("--minimize and --maximize exclude each other.", "Leave one of them out.")
    for name in ("seeds", "top", "parallel"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise BadInput(f"--{name} {getattr(args, name)} is too few.", "Give 1 or more.")
    if args.gpus is not None and args.gpus < 0:
        raise BadInput(f"--gpus {args.gpus} is too few.", "Give 0 or more.")
    # One word is a line for the shell; several were split by the shell already and must survive a second time.
    words = args.after[0] if len(args.after) == 1 else shlex.join(args.after)
    cwd = context.workdir / Path(args.cwd).expanduser() if args.cwd else context.workdir
    if not cwd.is_dir():
        raise CannotBeDone(f"{cwd} is not a folder.", "Give --cwd a folder that exists.")
    limits = limits_from(
        {
            "runs": args.max_runs, "iterations": args.max_iterations, "hours": args.max_hours,
            "cost_usd": args.max_cost, "tokens": args.max_tokens, "gpu_hours": args.max_gpu_hours,
            "cpu_hours": args.max_cpu_hours, "disk_gb": args.max_disk, "until": args.until,
        }
    )  # fmt: skip
    mode: Any = "min" if args.minimize else "max" if args.maximize else None
    return CreateLoop(
        goal=goal,
        command=args.command_line if args.command_line is not None else words,
        cwd=str(cwd.resolve()),
        python=python_of(args.python, context.workdir),
        caller_python=caller_python(),
        caller_env=dict(os.environ),
        env=env_of(args.env),
        executor=args.executor,
        policy=args.policy,
        model=args.model or "",
        autonomy=args.autonomy or "balanced",
        limits=limits,
        metric=args.metric or "",
        mode=mode,
        space=space_of_json(_read(context.workdir / Path(args.space).expanduser())) if args.space else None,
        seed_flag=None if args.seed_flag is None else args.seed_flag.lstrip("-"),
        seeds=args.seeds,
        top=args.top,
        gpus=args.gpus or 0,
        parallel=args.parallel,
        isolation="in_place" if args.in_place else None,
        inputs=args.input or None,
        eval_files=args.eval_file or None,
        may_edit=args.may_edit,
        holdout=_holdout(args, cwd, mode),
        request_id=os.urandom(8).hex(),
    )


def _holdout(args: Any, cwd: Path, mode: Any) -> Holdout | None:
    given = (args.holdout, args.holdout_predictions, args.holdout_score)
    if not any(given):
        return None
    if not all(given):
        raise BadInput("A hold-out needs all of its three options.",
                       "--holdout LABELS --holdout-predictions FILE --holdout-score accuracy")  # fmt: skip
    path = (cwd / Path(args.holdout).expanduser()).resolve()
    if not path.is_file():
        raise BadInput(f"There is no file {path}.", "Give --holdout the file with the labels.")
    best: Any = mode or ("max" if args.holdout_score == "accuracy" else "min")
    return Holdout(id=str(path), predictions=args.holdout_predictions, score=args.holdout_score, mode=best)


def _read(path: Path) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.", "Give a file that exists.") from error
    except msgspec.DecodeError as error:
        raise BadInput(f"{path.name} is not JSON: {error}.", "Mend it and try again.") from error


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
            return space_of_json(_read(path), space)
        except BadInput as error:
            out.note(f"{error.problem} {error.remedy}")
            return None


__all__ = ["attend", "start", "started"]
