"""Asking the person: a form in the chat, its answers as the tool's result."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.chat import FormField, Preview
from ragent_jupyter.domain.errors import BadInput
from ragent_jupyter.domain.tools import ToolOutcome, ToolSpec
from ragent_jupyter.rules.tool_text import one_line, word

from .base import SimpleTool, Tool, ToolContext

_FIELDS = 12
_OPTIONS = 30


class Field(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    label: str = ""
    kind: Literal["text", "choice", "choices", "number", "yes_no"] = "text"
    options: list[str] = []
    default: str | float | bool | list[str] | None = None


class AskUser(Struct, frozen=True, forbid_unknown_fields=True):
    question: str
    fields: list[Field] = []


def form_of(args: AskUser) -> list[FormField]:
    """The fields to show; a question without fields is one of text. Raises BadInput for a form that nobody can fill."""
    fields = list(args.fields) or [Field(name="answer", label="Your answer")]
    if len(fields) > _FIELDS:
        raise BadInput(f"{len(fields)} fields are too many for one form.", f"Ask at most {_FIELDS} at once.")
    names = [f.name for f in fields]
    if len(set(names)) < len(names) or any(not name.strip() for name in names):
        raise BadInput("Two fields have one name, or one has none.", "Give each field a name of its own.")
    found = []
    for field in fields:
        options = [one_line(option, 200) for option in field.options]
        if field.kind in ("choice", "choices"):
            if not 1 <= len(options) <= _OPTIONS or len(set(options)) < len(options):
                raise BadInput(
                    f"Field {word(field.name, 60)} has {len(options)} options.", f"Give 1 to {_OPTIONS} different ones."
                )
        elif options:
            raise BadInput(f"Field {word(field.name, 60)} has options.", 'Set its kind to "choice" or "choices".')
        made = FormField(
            name=one_line(field.name, 60),
            label=one_line(field.label or field.name, 300),
            kind=field.kind,
            options=options,
            default=field.default,
        )
        if field.default is not None:
            _checked(made, field.default)
        found.append(made)
    return found


def _checked(field: FormField, value: Any) -> Any:
    """An answer as its field's kind has it. Raises BadInput."""
    name = word(field.name, 60)
    if field.kind == "number":
        try:
            return msgspec.convert(value, float, strict=False)
        except msgspec.ValidationError:
            raise BadInput(f"{name}: {one_line(str(value), 60)} is no number.", "Give a number.") from None
    if field.kind == "yes_no":
        if isinstance(value, bool):
            return value
        raise BadInput(f"{name} is neither yes nor no.", "Give true or false.")
    given = value if field.kind == "choices" and isinstance(value, list) else [value]
    if field.kind in ("choice", "choices") and any(one not in field.options for one in given):
        raise BadInput(f"{name}: {one_line(str(value), 60)} is none of its options.", "Choose one of them.")
    return value


def asking_tools() -> list[Tool]:
    """ask_user."""

    async def look(args: AskUser, ctx: ToolContext) -> Preview:
        question = args.question.strip()
        if not question:
            raise BadInput("The question is empty.", "Say what you need to know.")
        return Preview(title=one_line(question, 2000), form=form_of(args))

    async def ask_user(args: AskUser, ctx: ToolContext) -> ToolOutcome:
        fields = form_of(args)
        lines = []
        for field in fields:
            value = ctx.answers.get(field.name, field.default)
            if value is None or value == "":
                lines.append(f"{word(field.name, 60)}: (left empty)")
                continue
            shown = _checked(field, value)
            lines.append(f"{word(field.name, 60)}: {_answer(shown)}")
        if not ctx.answers:
            return ToolOutcome(
                text="The person filled in nothing. Go on with what you know, or say what you cannot do without it.",
                is_error=True,
            )
        return ToolOutcome(text="The person's answers:\n" + "\n".join(lines))

    return [
        SimpleTool(
            ToolSpec(
                name="ask_user",
                title="Ask the person",
                description=(
                    "Ask the person something that only they can decide or know, as a form, and wait for the answers. "
                    "question: one clear sentence. fields: name, label, kind (text, choice, choices, number, yes_no), "
                    "options for choices, default; none: one field of text. Ask only what blocks you."
                ),
                args=AskUser,
                effect="ask",
                repeat="again",
            ),
            ask_user,
            look,
        )
    ]


def _answer(value: Any) -> str:
    if isinstance(value, str):
        return value[:8000]
    return msgspec.json.encode(value).decode()[:8000]
