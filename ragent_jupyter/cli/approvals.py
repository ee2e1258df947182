"""Approvals in a terminal: what exactly will happen, and one key for the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ragent_jupyter.domain.chat import Approval, FormField, Scope, ToolPart
from ragent_jupyter.domain.errors import BadInput, NotAllowed, NotFound, WrongMoment

from .chat_view import harmless
from .output import Out

if TYPE_CHECKING:
    from ragent_jupyter.client import Client

_DIFF_LINES = 200
_CHOICES: dict[str, Scope] = {
    "y": "once", "yes": "once", "o": "once", "s": "session", "a": "always", "n": "no", "no": "no",
}  # fmt: skip


def ask(out: Out, client: Client, call: ToolPart) -> None:
    """Show a call and send what the person says. Ctrl-D is a no."""
    approval = call.approval
    assert approval is not None
    describe(out, approval)
    try:
        choice, note, answers = _form(out, approval) if approval.shows.form else _choice(out, approval)
    except EOFError:
        choice, note, answers = "no", "", {}
    try:
        client.approve(call.session_id, approval.id, choice, hash=approval.hash, note=note, answers=answers)
    except (WrongMoment, BadInput, NotFound) as error:
        # Somebody answered in the sidebar meanwhile, the turn has ended, or the file is not what was shown: what is
        # still to be asked then comes anew.
        out.note(f"{error.problem} {error.remedy}".rstrip())


def refuse(client: Client, call: ToolPart, reason: str) -> None:
    """Nobody is here to be asked: the call is refused, or, where this door may not even refuse, the turn stopped."""
    approval = call.approval
    assert approval is not None
    try:
        client.approve(call.session_id, approval.id, "no", hash=approval.hash, note=reason)
    except NotAllowed:
        client.stop_turn(call.session_id)
    except WrongMoment:
        return  # answered by somebody who is there


def describe(out: Out, approval: Approval) -> None:
    """The call in full: what a person agrees to must be what they saw."""
    shows = approval.shows
    colour = "31" if shows.danger else "33"
    out.say()
    out.say(out.paint(f"? {harmless(shows.title)}", f"1;{colour}"))
    for n, line in enumerate(harmless(shows.command).splitlines()):
        out.say(f"  {'|' if n else '$'} {line}")
    if shows.cwd:
        out.say(f"  in {harmless(shows.cwd)}")
    for line in [*shows.details, *(f"{n}. {step}" for n, step in enumerate(shows.plan, 1))]:
        out.say("  " + harmless(line).replace("\n", "\n  "))
    if shows.cost:
        out.say(f"  cost: {harmless(shows.cost)}")
    lines = harmless(shows.diff).splitlines()
    for line in lines[:_DIFF_LINES]:
        code = "32" if line.startswith("+") else "31" if line.startswith("-") else "36" if line[:2] == "@@" else ""
        out.say("  " + out.paint(line, code))
    if len(lines) > _DIFF_LINES:
        out.say(f"  … {len(lines) - _DIFF_LINES} more lines; the sidebar shows them all")


def _choice(out: Out, approval: Approval) -> tuple[Scope, str, dict[str, Any]]:
    shows = approval.shows
    # What the engine would not remember is not offered: a grant never covers what is dangerous.
    pattern = "" if shows.danger else harmless(shows.pattern)
    offered = {"once": "[y] once", "no": "[n] no"}
    if shows.plan:
        offered = {"once": "[y] do it, asking as usual", "session": "[s] do it, edits go ahead", "no": "[n] no"}
    elif pattern:
        offered |= {"session": "[s] this session", "always": f"[a] always {pattern}"}
    order = [scope for scope in ("once", "session", "always", "no") if scope in offered]
    while True:
        first, _, rest = input(f"  {'  '.join(offered[scope] for scope in order)}: ").strip().partition(" ")
        choice = _CHOICES.get(first.lower())
        if choice == "no":
            return "no", rest.strip(), {}
        if choice in offered and choice is not None and not rest:
            return choice, "", {}
        out.say("  One letter; after n you may say why.")


def _form(out: Out, approval: Approval) -> tuple[Scope, str, dict[str, Any]]:
    """A form is answered field by field; the first empty line without a default refuses it."""
    answers: dict[str, Any] = {}
    for field in approval.shows.form:
        given = _field(out, field)
        if given is None:
            return "no", "", {}
        answers[field.name] = given
    return "once", "", answers


def _field(out: Out, field: FormField) -> Any:
    for number, option in enumerate(field.options, 1):
        out.say(f"  {number}. {harmless(option)}")
    default = f" [{harmless(str(field.default))}]" if field.default is not None else ""
    while True:
        text = input(f"  {harmless(field.label)}{default}: ").strip()
        if not text:
            return field.default
        try:
            return _value(field, text)
        except ValueError as error:
            out.say(f"  {error}")


def _value(field: FormField, text: str) -> Any:
    """What was typed as what the field takes. Raises ValueError with a sentence."""
    if field.kind == "number":
        try:
            return float(text) if not text.lstrip("+-").isdigit() else int(text)
        except ValueError:
            raise ValueError("A number is needed.") from None
    if field.kind == "yes_no":
        if text.lower() not in ("y", "yes", "n", "no"):
            raise ValueError("y or n.")
        return text.lower() in ("y", "yes")
    if field.kind in ("choice", "choices"):
        found = [_option(field, one.strip()) for one in (text.split(",") if field.kind == "choices" else [text])]
        return found if field.kind == "choices" else found[0]
    return text


def _option(field: FormField, text: str) -> str:
    if text in field.options:
        return text
    if text.isdigit() and 1 <= int(text) <= len(field.options):
        return field.options[int(text) - 1]
    raise ValueError(f"One of 1 to {len(field.options)}.")
