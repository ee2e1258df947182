"""How a wild loop is spoken of in a terminal and in a cell: the words that the sidebar uses too. Pure.

What a model or a script wrote is quoted on one line and cut; taking out what a terminal obeys is the door's affair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from ragent_jupyter.domain.wild import Entry, Loop, LoopEvent, Question, Verdict
from ragent_jupyter.rules import wild_words as w
from ragent_jupyter.rules.report import number

STATES = {
    "exploring": "deciding what to run next",
    "running": "running",
    "analyzing": "reading results",
    "confirming": "confirming on fresh seeds",
    "paused": "paused",
    "asking": "waits for you",
    "waiting": "waits for the model",
    "complete": "complete",
    "budget": "ended at a limit",
    "stopped": "stopped",
    "failed": "failed",
}
_METERS = {
    "hours": "time", "runs": "runs", "iterations": "iterations", "cost_usd": "cost", "tokens": "tokens",
    "gpu_hours": "GPU time", "cpu_hours": "CPU time", "disk_gb": "disk",
}  # fmt: skip
_ALWAYS = ("hours", "runs", "iterations")  # shown without a limit too
_EVENTS = {
    "human": "you said", "answer": "your answer", "critical": "critical alert", "warning": "warning",
    "failure": "a run failed", "completion": "a run finished", "analysis": "a sweep is over", "explore": "what next",
}  # fmt: skip
_BY = {"human": "a person", "rule": "a rule", "model": "the model", "engine": "the engine"}
_OUTCOMES = {"refused": "refused", "asked": "asked first", "outcome_unknown": "outcome unknown"}


def state_of(loop: Loop) -> str:
    """One word: that it waits for a person comes before its stage, that it is over before all."""
    if loop.over:
        return loop.end or "stopped"
    if loop.question is not None:
        return "asking"
    return "paused" if loop.paused else "waiting" if loop.waiting is not None else loop.stage.value


def state_text(loop: Loop, now: float) -> str:
    """The state in words, and until when where it waits for a model."""
    text = STATES.get(state_of(loop), state_of(loop))
    if not loop.over and not loop.paused and loop.question is None and loop.waiting is not None:
        text += f", asks again in {w.duration(max(0.0, loop.waiting.until - now))} ({w.quoted(loop.waiting.why)})"
    return text


# --- what it has used ---------------------------------------------------------------------------------------------
class Meter(Struct, frozen=True):
    """used, limit: in the limit's unit (hours, runs, dollars, GB); limit None: none. text: "12 of 40"."""

    name: str
    word: str
    used: float | None
    limit: float | None
    text: str

    @property
    def share(self) -> float | None:
        """0..1 of the limit."""
        if not self.limit or self.used is None:
            return None
        return min(1.0, self.used / self.limit)


def active_seconds(loop: Loop, now: float) -> float:
    """What counts against the limit of time: pauses excluded, what has passed since the last look included."""
    spent = loop.spent
    until = now if loop.ended_at is None else min(now, loop.ended_at)
    return spent.seconds + (0.0 if spent.since is None else max(0.0, until - spent.since))


def elapsed_seconds(loop: Loop, now: float) -> float:
    """Since its start, pauses included; what it was in the end once it is over."""
    return max(0.0, (now if loop.ended_at is None else loop.ended_at) - loop.created_at)


def meters(loop: Loop, now: float) -> list[Meter]:
    """What it has used of what it may: everything with a limit, and time, runs and iterations."""
    limits, spent = loop.limits, loop.spent
    used: dict[str, float | None] = {
        "hours": active_seconds(loop, now) / 3600,
        "runs": spent.runs,
        "iterations": spent.iterations,
        "cost_usd": spent.cost_usd,
        "tokens": spent.tokens,
        "gpu_hours": spent.gpu_seconds / 3600,
        "cpu_hours": spent.cpu_seconds / 3600,
        "disk_gb": spent.disk_bytes / 1e9,
    }
    found = []
    for name, word in _METERS.items():
        limit, have = getattr(limits, name), used[name]
        if limit is None and name not in _ALWAYS and not have:
            continue
        text = amount(name, have)
        text = text if limit is None else f"{text} of {amount(name, limit)}"
        found.append(Meter(name, word, have, limit, text))
    return found


def amount(name: str, value: float | None) -> str:
    """A limit's figure in its own unit.

    >>> amount("hours", 1.5), amount("cost_usd", 0.4), amount("runs", 12), amount("disk_gb", 0.0025)
    ('1 h 30 min', '$0.40', '12', '2.5 MB')
    """
    if value is None:
        return "no price known"
    if name in ("hours", "gpu_hours", "cpu_hours"):
        return w.duration(value * 3600)
    if name == "cost_usd":
        return f"${value:.2f}" if value >= 0.01 or not value else "< $0.01"
    if name == "disk_gb":
        return w.size(value * 1e9)
    return f"{value:,.0f}"


# --- what it has found --------------------------------------------------------------------------------------------
def verdict_of_best(loop: Loop) -> Verdict | None:
    """The newest verdict on the best so far; None: it is unconfirmed."""
    if loop.best is None:
        return None
    same = [v for v in loop.verdicts if (v.params, v.commit) == (loop.best.params, loop.best.commit)]
    return same[-1] if same else None


def best_text(loop: Loop) -> str:
    """The best so far with what is known of it; "" while there is none."""
    best = loop.best
    if best is None:
        return ""
    verdict = verdict_of_best(loop)
    value = best.value
    said: str = verdict.verdict if verdict is not None else "unconfirmed"
    if verdict is not None and verdict.mean is not None:
        value = verdict.mean
        said += f", mean of {len(verdict.values) or len(verdict.seeds)} fresh seeds"
    text = f"{loop.setup.metric or 'best'} {number(value)} with {w.configuration(loop, best.params, best.commit)}"
    return f"{text} ({said})"


def baseline_text(loop: Loop) -> str:
    """The default configuration's value; "" until it was measured."""
    base = loop.baseline
    if base is None:
        return ""
    n = base.n or len(base.values)
    spread = ", deterministic" if base.deterministic else f" ± {number(base.sigma)}" if base.sigma is not None else ""
    return f"{loop.setup.metric} {number(base.mean)}{spread} ({w.plural(n, 'run')} of the default)"


def counts_text(counts: Mapping[str, int]) -> str:
    """
    >>> counts_text({"finished": 12, "running": 2, "failed": 0})
    '2 running, 12 finished'
    """
    order = ("running", "launching", "stopping", "queued", "ready", "finished", "failed", "stopped")
    names = [*(n for n in order if n in counts), *sorted(set(counts) - set(order))]
    return ", ".join(f"{counts[name]} {name}" for name in names if counts[name])


# --- the ledger ---------------------------------------------------------------------------------------------------
def event_text(event: LoopEvent) -> str:
    said = _EVENTS.get(event.kind, event.kind)
    return f"{said}: {w.quoted(event.text)}" if event.text else said


def action_text(action: Any) -> str:
    """An action in plain words. What is not known here is named as it names itself: a newer engine may know more."""
    if not isinstance(action, Mapping):
        return ""
    reason = f": {w.quoted(str(action['reason']))}" if action.get("reason") else ""
    said = w.quoted(str(action.get("text") or ""))
    match action.get("do"):
        case "propose_sweep":
            name = str(action.get("name") or action.get("purpose") or "")
            return f"Sweep {w.quoted(name, 60)}: {w.plural(len(action.get('points') or []), 'point')}{reason}"
        case "launch":
            return f"Run {w.setting(action.get('params') or {})}{reason}"
        case "stop_run":
            return f"Stop {action.get('run')}{reason}"
        case "resolve_alert":
            return f"Answer an alert: {action.get('choice')}{reason}"
        case "edit_code":
            return f"Change code: {w.quoted(str(action.get('summary') or ''))}"
        case "analyse":
            return f"Learnt: {said}"
        case "confirm":
            return f"Put the best to the test on fresh seeds{reason}"
        case "promise":
            word = {"COMPLETE": "Nothing left to try", "NEEDS_HUMAN": "Ask a person"}
            return ": ".join(filter(None, [word.get(str(action.get("word")), "Go on"), said]))
        case "verdict":
            who = w.setting(action.get("params") or {})
            if not action.get("params") and action.get("commit"):  # other code, nothing else: not the baseline
                who = f"code {str(action['commit'])[:7]}"
            return f"{who}: {action.get('verdict')}. {w.quoted(str(action.get('why')))}"
        case "change_setup":
            return f"Change the set-up: {', '.join(action.get('fields') or {})}{reason}"
        case "wish":
            wish = str(action.get("wish") or action.get("what") or action.get("kind") or "…")
            return ": ".join(filter(None, [f"Asked for: {w.quoted(wish)}", said]))
        case other:
            return f"{other or 'something'}{reason}"


def entry_text(entry: Entry) -> str:
    """One line of the ledger: what was done, else what came of it, else what it was about."""
    text = action_text(entry.action) or w.quoted(entry.result or entry.reasoning)
    if isinstance(entry.action, Mapping) and entry.action.get("do") == "wish" and entry.result:
        text += f": {w.quoted(entry.result)}"
    if not text and entry.event is not None:
        text = event_text(entry.event)
    outcome = _OUTCOMES.get(entry.outcome, "")
    return f"{text or 'Decided nothing.'}" + (f" ({outcome})" if outcome else "")


def by_text(entry: Entry) -> str:
    """
    >>> by_text(Entry(id="e", loop_id="l", n=1, at=0.0, by="rule", stage="running", iteration=1, who="rule:tpe"))
    'rule:tpe'
    """
    return entry.who or _BY.get(entry.by, entry.by)


# --- questions ----------------------------------------------------------------------------------------------------
def option_lines(question: Question, now: float) -> list[str]:
    """Each option with its id, the default marked, with the time after which it is taken."""
    lines = []
    for option in question.options:
        marked = ""
        if option.id == question.default:
            marked = " (the default)"
            if question.default_at is not None:
                marked = f" (the default, taken in {w.duration(max(0.0, question.default_at - now))})"
        lines.append(f"{option.id}: {option.label}{marked}")
    return lines


def chosen(question: Question, typed: str) -> tuple[str, str]:
    """(option's id, text) for what was typed: a number, an id, an option's words, "" the default; else free text.

    Raises ValueError with a sentence where it is none of these.
    """
    typed = typed.strip()
    if not typed and question.default:
        return question.default, ""
    first, _, rest = typed.partition(" ")
    if first.isdigit() and 1 <= int(first) <= len(question.options) and first not in ids(question.options):
        return question.options[int(first) - 1].id, rest.strip()
    for option in question.options:
        if typed.lower() in (option.id.lower(), option.label.lower()):
            return option.id, ""
        if first.lower() == option.id.lower():
            return option.id, rest.strip()
    if typed and question.free_text:
        return "", typed
    raise ValueError(f"One of: {', '.join(ids(question.options))}.")


def ids(options: Sequence[Any]) -> list[str]:
    return [option.id for option in options]
