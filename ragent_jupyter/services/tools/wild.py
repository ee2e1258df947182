"""Tools of a wild loop's mind: each is one typed action, put through the loop's guard. Their word is the guard's.

They stand in the loop's own toolbox, not in that of the chats. Nothing happens before the decision is remembered.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

from msgspec import Struct

from ragent_jupyter.domain.errors import BadInput
from ragent_jupyter.domain.ports_wild import Outcome
from ragent_jupyter.domain.tools import ToolOutcome, ToolSpec
from ragent_jupyter.domain.wild import (
    Action,
    Analyse,
    Confirm,
    EditCode,
    FileEdit,
    Launch,
    LoopTask,
    Option,
    Promise,
    ProposeSweep,
    ResolveAlert,
    StopRun,
)
from ragent_jupyter.rules.wild_tags import MAX_POINTS, points_of

from .base import SimpleTool, Tool, ToolContext


class Desk(Protocol):
    """Whoever knows which loop decides in a session."""

    async def act_in_session(self, session_id: str, action: Action, reasoning: str) -> Outcome:
        """Raises WrongMoment in a session in which no loop decides."""


class Propose(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    points: list[dict[str, Any]] = []
    grid: dict[str, list[Any]] = {}
    purpose: Literal["baseline", "screen", "search", "explain"] = "search"
    reason: str = ""
    replicate: bool = False


class One(Struct, frozen=True, forbid_unknown_fields=True):
    params: dict[str, Any]
    reason: str = ""


class Stop(Struct, frozen=True, forbid_unknown_fields=True):
    run: str
    reason: str


class Resolve(Struct, frozen=True, forbid_unknown_fields=True):
    alert: str
    choice: str
    reason: str = ""


class OneEdit(Struct, frozen=True, forbid_unknown_fields=True):
    path: str
    old: str
    new: str


class Edit(Struct, frozen=True, forbid_unknown_fields=True):
    summary: str
    hypothesis: str
    edits: list[OneEdit]


class PlanTask(Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    text: str
    state: Literal["todo", "doing", "done", "dropped"] = "todo"


class Learnt(Struct, frozen=True, forbid_unknown_fields=True):
    text: str
    findings: list[str] = []
    tasks: list[PlanTask] = []


class Test(Struct, frozen=True, forbid_unknown_fields=True):
    runs: list[str] = []
    reason: str = ""


class Word(Struct, frozen=True, forbid_unknown_fields=True):
    word: Literal["CONTINUE", "COMPLETE", "NEEDS_HUMAN"]
    text: str = ""
    options: list[str] = []
    default: str = ""


def _propose(args: Propose) -> ProposeSweep:
    try:
        points = points_of(args.points, args.grid, MAX_POINTS)
    except ValueError as error:
        raise BadInput(f"propose_sweep: {error}", "Send points, or a grid of values by name.") from None
    if not points and args.purpose != "baseline":
        raise BadInput("propose_sweep has no points.", 'Send points such as [{"lr": 0.01}], or a grid.')
    return ProposeSweep(
        name=args.name, points=points, purpose=args.purpose, reason=args.reason, replicate=args.replicate
    )


def _launch(args: One) -> Launch:
    try:
        (params,) = points_of([args.params], None, 1)
    except ValueError as error:
        raise BadInput(f"launch: {error}", 'Send params such as {"lr": 0.01}.') from None
    return Launch(params=params, reason=args.reason)


def _edit(args: Edit) -> EditCode:
    if not args.edits:
        raise BadInput("edit_code has no edits.", "Send at least one: path, old, new.")
    edits = [FileEdit(path=one.path, old=one.old, new=one.new) for one in args.edits]
    return EditCode(summary=args.summary, hypothesis=args.hypothesis, edits=edits)


def _learnt(args: Learnt) -> Analyse:
    tasks = [LoopTask(id=task.id, text=task.text, state=task.state) for task in args.tasks[:50]]
    return Analyse(text=args.text, findings=args.findings[:20], tasks=tasks)


def _word(args: Word) -> Promise:
    labels = [label.strip() for label in args.options[:8] if label.strip()]
    ids = {label: str(n) for n, label in enumerate(labels, 1)}
    if args.word == "NEEDS_HUMAN" and not args.text.strip():
        raise BadInput("NEEDS_HUMAN says nothing.", "Ask one question in text; give options and a default.")
    default = ids.get(args.default.strip(), args.default.strip() if args.default.strip() in ids.values() else "")
    options = [Option(id=ids[label], label=label) for label in dict.fromkeys(labels)]
    return Promise(word=args.word, text=args.text, options=options, default=default)


# name → (title, arguments, what the model reads, its action, whether it ends the turn once it is accepted)
_TOOLS: list[tuple[str, str, type, str, Any, bool]] = [
    (
        "propose_sweep",
        "Propose a sweep",
        Propose,
        "Run several points of the loop's command at once. points: a list of changes to the default, such as "
        '[{"lr": 0.01}, {"lr": 0.03, "dropout": 0.1}]; or grid: all combinations of values by name. Only parameters '
        "that may be changed, within their range. purpose: search (candidates), screen (cheap looks), explain (the "
        "best with one change undone), baseline (no points: the default over seeds). reason: what in the record speaks "
        "for it, with run ids. replicate: the same points again are meant.",
        _propose,
        True,
    ),
    (
        "launch",
        "Launch one run",
        One,
        "Run one point. params: the changes to the default. reason: what it will tell.",
        _launch,
        True,
    ),
    (
        "stop_run",
        "Stop a run of the loop",
        Stop,
        "Stop a run of this loop that can teach nothing more. run: its id. reason: what its curve or log shows.",
        lambda args: StopRun(run=args.run, reason=args.reason),
        False,
    ),
    (
        "resolve_alert",
        "Answer an alert",
        Resolve,
        "Answer a pending alert. alert: its id. choice: the id of one of its choices. reason: one sentence.",
        lambda args: ResolveAlert(alert=args.alert, choice=args.choice, reason=args.reason),
        False,
    ),
    (
        "edit_code",
        "Edit the loop's code",
        Edit,
        "Change files as one commit on the loop's own branch; later runs execute it, the person's files stay as they "
        "are. summary: one line. hypothesis: what it should improve, and why. edits: path, old (text that occurs "
        "exactly once; empty for a new file), new. Only files that may be edited; never the evaluation.",
        _edit,
        False,
    ),
    (
        "analyse",
        "Keep an analysis",
        Learnt,
        "Keep what was learnt. text: short, each number with its run id; ragent checks them against the record. "
        "findings: single sentences worth remembering. tasks: the whole plan as it now is (id, text, state); leave it "
        "out if it stays.",
        _learnt,
        False,
    ),
    (
        "confirm",
        "Put candidates to the test",
        Test,
        "Re-run candidates and the baseline on fresh paired seeds. runs: one run of each candidate; empty: the best "
        "ones. reason: why now.",
        lambda args: Confirm(runs=args.runs[:20], reason=args.reason),
        True,
    ),
    (
        "promise",
        "Say how the loop goes on",
        Word,
        "CONTINUE: another iteration. COMPLETE: the goal is reached, or nothing worth trying is left; say in text what "
        "was found. NEEDS_HUMAN: text is one question that only a person can answer; options: short answers; default: "
        "the one that is taken if nobody answers.",
        _word,
        True,
    ),
]
NAMES = tuple(row[0] for row in _TOOLS)


def wild_tools(desk: Desk) -> list[Tool]:
    """propose_sweep, launch, stop_run, resolve_alert, edit_code, analyse, confirm, promise."""
    return [_tool(desk, *row) for row in _TOOLS]


def _tool(desk: Desk, name: str, title: str, args: type, about: str, action: Any, ends: bool) -> Tool:
    async def run(said: Any, ctx: ToolContext) -> ToolOutcome:
        reason = getattr(said, "reason", "") or getattr(said, "hypothesis", "")
        outcome = await desk.act_in_session(ctx.session_id, action(said), reason)
        state = "accepted" if outcome.accepted else "asked" if outcome.asked else "refused"
        return ToolOutcome(
            text=f"{state.capitalize()}. {outcome.text}".strip(),
            data={"card": "wild", "do": name, "state": state},
            is_error=state == "refused",
            # A question to the person ends it too: what comes next depends on the answer.
            ends_turn=(ends and outcome.accepted) or outcome.asked,
        )

    # Gated by the loop's own guard, which knows its limits: a chat's permissions have nothing to add.
    spec = ToolSpec(name=name, title=title, description=about, args=args, effect="note", repeat="once")
    return SimpleTool(spec, run)
