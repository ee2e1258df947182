"""What a tool is, to the rules that permit it and to the model that calls it."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from .chat import Preview

# What a call can do to the world; permissions look at nothing else.
#   read      looks, inside the project
#   note      writes what only ragent reads: a proposed rule, a plan, a chart card
#   edit      changes files or notebooks of the project
#   run       executes: launches runs, shell commands, notebook cells
#   act       changes the state of runs: stops one, answers an alert
#   reach     sends something out of this machine: a web search
#   ask       asks the person
ToolEffect = Literal["read", "note", "edit", "run", "act", "reach", "ask"]

# What may be done again after a crash left the outcome of a call open.
#   again  harmless (reads, and what an id makes single)
#   once   never blindly: the model is told "outcome unknown" and looks for itself
Repeat = Literal["again", "once"]


class ToolSpec(Struct, frozen=True, kw_only=True):
    """name: snake_case verb_object.  title: for the card, "Read a file".  args: a Struct; its docstring and the
    docstrings' `name: meaning` lines are what the model reads."""

    name: str
    title: str
    description: str
    args: Any  # type[Struct]
    effect: ToolEffect
    repeat: Repeat = "once"


class ToolOutcome(Struct, frozen=True, kw_only=True):
    """text: what the model reads, at most `MAX_TOOL_TEXT` characters.  data: what the card draws ({"card": …}).

    untrusted: the text holds words from logs, files, names or pages; it is quoted to the model as data.
    images: ids of attachments that the model should see.
    """

    text: str
    data: dict[str, Any] = {}
    is_error: bool = False
    untrusted: str = ""  # where the words come from, "job.log of run_…"; "" if they are all ours
    images: list[str] = []
    ends_turn: bool = False


MAX_TOOL_TEXT = 30_000


class Ask(Struct, frozen=True, kw_only=True):
    """Permission to be asked from a person, with what they will see."""

    preview: Preview


class Refuse(Struct, frozen=True, kw_only=True):
    """Not in this mode, or never. The model reads the reason."""

    reason: str


class Allow(Struct, frozen=True, kw_only=True):
    why: str  # "reads only", "accept edits", "allowed by grt_…"


Permission = Allow | Ask | Refuse
