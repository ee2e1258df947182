"""Wild Mode in plain lines: the draft before it starts, where a loop stands, its ledger, the morning after."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ragent_jupyter.client import wild_said as said
from ragent_jupyter.client.wild_typed import dim_text, limits_text, value_text
from ragent_jupyter.domain.wild import Entry, Loop, PolicyKind, Question
from ragent_jupyter.domain.wire_wild import Line, LoopReply, SetupReply, Summary

from .chat_view import harmless
from .output import Out, ago, duration, short

POLICIES: dict[PolicyKind, str] = {
    "builtin": "built-in rules, no model", "llm": "a model", "hybrid": "rules and a model",
}  # fmt: skip
_GLYPH = {
    "exploring": ("○", "34"), "running": ("●", "34"), "analyzing": ("○", "34"), "confirming": ("●", "34"),
    "paused": ("■", "90"), "asking": ("!", "33"), "waiting": ("○", "33"), "complete": ("✓", "32"),
    "budget": ("■", "33"), "stopped": ("■", "90"), "failed": ("✗", "31"),
}  # fmt: skip
_TONE = {"good": "32", "bad": "31", "wait": "33", "plain": ""}


def clean(text: str, most: int = 0) -> str:
    """What somebody else wrote: nothing that a terminal obeys, on one line, cut to `most` characters if given."""
    text = " ".join(harmless(text).split())
    return short(text, most) if most else text


def glyph(out: Out, loop: Loop) -> str:
    sign, code = _GLYPH.get(said.state_of(loop), ("·", ""))
    return out.paint(sign, code)


def state(out: Out, loop: Loop, now: float | None = None) -> str:
    """`● running`, in its colour."""
    code = _GLYPH.get(said.state_of(loop), ("·", ""))[1]
    return f"{glyph(out, loop)} {out.paint(clean(said.state_text(loop, time.time() if now is None else now)), code)}"


# --- before it starts ---------------------------------------------------------------------------------------------
def draft(out: Out, goal: str, reply: SetupReply, autonomy: str, model: str = "") -> None:
    """What would be run, what would be searched, what it may spend."""
    setup, script = reply.setup, reply.script
    place = "a copy of the commit" if setup.isolation == "tree" else "your folder as it is"
    if setup.metric:
        metric = f"{setup.metric}, {'less' if setup.mode == 'min' else 'more'} is better"
    else:
        metric = "found out by the first run"
    seed = setup.seed
    if seed:
        seeds = f"{seed}; a gain is confirmed on {setup.seeds} fresh seeds"
    elif seed is None:
        seeds = "found out by the first run"
    else:
        seeds = "the script has none: nothing can be confirmed"
    limits = limits_text(reply.limits)
    estimate = reply.estimate.text if reply.estimate is not None else "after the first run, which runs alone"
    facts = [
        ("goal", goal),
        ("command", setup.command or "?"),
        ("where", f"{setup.cwd}, {place}"),
        ("decides", POLICIES[reply.policy] + (f" ({model})" if model else "") + f", autonomy {autonomy}"),
        ("metric", metric),
        ("seed", seeds),
        ("limits", limits),
        ("at a time", f"{setup.parallel}" + (f", {setup.gpus} GPU each" if setup.gpus else "")),
        ("estimate", estimate),
        ("may edit", ", ".join(setup.may_edit)),
        ("inputs", ", ".join(setup.inputs)),
        ("judges", ", ".join(setup.eval_files)),
        ("hold-out", f"{setup.holdout.predictions}, {setup.holdout.score}" if setup.holdout is not None else ""),
    ]
    for name, text in facts:
        if text:
            out.say(f"{out.paint(name.ljust(9), '2')} {clean(text)}")
    out.say()
    if setup.space:
        rows = [
            [clean(name, 32), clean(value_text(knob.default), 16), clean(dim_text(knob.dim), 40), clean(knob.why, 48)]
            for name, knob in setup.space.items()
        ]
        out.table(["TUNED", "NOW", "RANGE", "WHY"], rows)
    else:
        out.say("Nothing to tune was found in the script.")
    if setup.fidelity:
        full = f" {value_text(setup.full)}" if setup.full is not None else ""
        out.say(f"Training length: {clean(setup.fidelity)}{full}; never searched, lowered for a first look at most.")
    others = [flag.name for flag in script.flags if flag.name not in setup.space and flag.role in ("tune", "exclude")]
    if others:
        out.say(f"Left alone: {len(others)} ({clean(', '.join(others), 80)})")
    for note in script.notes:
        out.say(f"{out.paint('!', '33')} {clean(note)}")


def question(out: Out, ask: Question, now: float | None = None) -> None:
    """A question with its options, numbered, the default marked."""
    out.say()
    out.say(out.paint(f"? {clean(ask.text)}", "1;33"))
    for n, line in enumerate(said.option_lines(ask, time.time() if now is None else now), 1):
        out.say(f"  {n}. {clean(line)}")


# --- where it stands ------------------------------------------------------------------------------------------------
def status(out: Out, reply: LoopReply, entries: Sequence[Entry] = ()) -> None:
    now, loop = time.time(), reply.loop
    out.say(f"{state(out, loop, now)}  {loop.id}  {out.paint(clean(loop.goal, 80), '1')}")
    if loop.reason:
        out.say(f"  {clean(loop.reason)}")
    spent = ", ".join(f"{meter.word} {meter.text}" for meter in said.meters(loop, now))
    counts = said.counts_text(reply.counts)
    alerts = f"; {reply.alerts} alert{'s' if reply.alerts != 1 else ''} pending" if reply.alerts else ""
    facts = [
        ("since", f"{duration(reply.elapsed_s)}" + (f", ended {ago(loop.ended_at)}" if loop.ended_at else "")),
        ("used", spent),
        ("until", loop.limits.until),
        ("runs", (counts or "none yet") + alerts),
        ("baseline", said.baseline_text(loop)),
        ("best", said.best_text(loop)),
        ("estimate", loop.estimate.text if loop.estimate is not None and not loop.over else ""),
        ("branch", loop.branch),
        ("report", loop.report),
    ]
    for name, text in facts:
        if text:
            out.say(f"{out.paint(name.ljust(9), '2')} {clean(text)}")
    for task in loop.plan:
        mark = {"done": "✓", "doing": "●", "dropped": "–"}.get(task.state, "○")
        out.say(f"  {mark} {clean(task.text, 100)}")
    for one in entries:
        out.say(entry(out, one))
    if loop.question is not None:
        question(out, loop.question, now)
        out.say(f"  `ragent wild answer CHOICE --loop {loop.id}` answers it.")


def entry(out: Out, one: Entry, most: int = 160) -> str:
    """One line of the ledger."""
    clock = time.strftime("%H:%M:%S", time.localtime(one.at))
    code = {"refused": "33", "asked": "33", "outcome_unknown": "33"}.get(one.outcome, "")
    return f"{out.paint(f'{clock} {one.n:>4}', '2')}  {clean(said.by_text(one), 32)}: " + out.paint(
        clean(said.entry_text(one), most), code
    )


def reasons(out: Out, one: Entry) -> list[str]:
    """What stands behind a line of the ledger: what it was about, what it saw, why, what came of it."""
    lines = []
    if one.event is not None and one.event.kind != "explore":
        lines.append(f"on: {said.event_text(one.event)}")
    if one.evidence:
        seen = [" ".join(filter(None, [e.kind, e.ref, value_text(e.value), e.text])) for e in one.evidence[:8]]
        lines.append(f"saw: {'; '.join(seen)}")
    action = one.action if isinstance(one.action, dict) else {}
    if one.reasoning and one.reasoning not in (action.get("text"), action.get("reason"), action.get("why")):
        lines.append(f"why: {one.reasoning}")
    if one.result and action and action.get("do") != "wish":  # a wish's result stands in its line
        lines.append(f"result: {one.result}")
    return [out.paint(f"               {clean(line, 240)}", "2") for line in lines]


# --- the morning after ----------------------------------------------------------------------------------------------
def summary(out: Out, what: Summary) -> None:
    """One screen: what was tried, what of it is real, what it cost, what it needs."""
    out.say(out.paint(clean(what.title), "1"))
    parts: list[tuple[str, list[Line]]] = [
        ("Tried", what.tried), ("Real", what.real), ("Cost", what.cost), ("Needs", what.needs),
    ]  # fmt: skip
    for head, lines in parts:
        if not lines:
            continue
        out.say()
        out.say(out.paint(head, "1"))
        for line in lines:
            out.say("  " + out.paint(clean(line.text), _TONE.get(line.tone, "")))


def loops(out: Out, found: Sequence[Loop]) -> None:
    if not found:
        out.say('No wild loops yet. Start one: ragent wild "GOAL" -- CMD')
        return
    rows = [
        [state(out, one), one.id, clean(one.goal, 48), str(one.iteration), clean(said.best_text(one), 60),
         ago(one.created_at)]
        for one in found
    ]  # fmt: skip
    out.table(["", "LOOP", "GOAL", "ITER", "BEST", "BEGAN"], rows, right=(3,))
