"""One thing to do, with why and what it was seen in."""

from __future__ import annotations

from msgspec import Struct

from ragent_jupyter.domain.wild import Action, Analyse, LoopTask, Promise, Seen

from .standing import Standing


class Step(Struct, frozen=True):
    """who: the rule that decided, "rule:…"."""

    action: Action
    reasoning: str
    evidence: list[Seen] = []
    who: str = "rule:builtin"


_PLAN = (
    ("baseline", "measure the default over seeds"),
    ("search", "search from the default"),
    ("confirm", "confirm on fresh paired seeds"),
    ("explain", "explain what made the difference"),
    ("report", "report"),
)


def tasks(at: Standing, doing: str) -> list[LoopTask]:
    """The plan as it now is. What stands before the task that is being done, and left no trace, was dropped."""
    order = [name for name, _ in _PLAN]
    place = order.index(doing)
    traces = {"baseline": at.base, "search": at.search, "confirm": at.loop.verdicts, "explain": at.of("explain")}
    found = []
    for number, (name, text) in enumerate(_PLAN):
        if number == place:
            state = "doing"
        elif number > place:
            state = "todo"
        else:
            state = "done" if traces.get(name) else "dropped"
        found.append(LoopTask(id=name, text=text, state=state))  # type: ignore[arg-type]
    return found


def told(at: Standing, task: str) -> bool:
    """Whether the plan already says that this task is over."""
    return any(t.id == task and t.state in ("done", "dropped") for t in at.loop.plan)


def note(
    at: Standing, doing: str, text: str, evidence: list[Seen], who: str, findings: list[str] | None = None
) -> Step:
    return Step(Analyse(text=text, findings=findings or [], tasks=tasks(at, doing)), text, evidence, who)


def complete(text: str, evidence: list[Seen], who: str) -> Step:
    return Step(Promise(word="COMPLETE", text=text), text, evidence, who)
