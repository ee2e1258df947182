"""A wild loop's report: the verdict first, then how it was found, what did not work, and what each number rests on.

Pure: the same data gives the same report, to the letter. What the loop recorded and what the runs' metrics say now
stand side by side (`wild_claims`); tables come from the view, the ledger and the runs as they are stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Literal

from msgspec.structs import replace

from ragent_jupyter.domain.report import Effect, Table
from ragent_jupyter.domain.wild import Entry, Loop, TrialView, View
from ragent_jupyter.domain.wild_report import CodeChange, WildData, WildReport
from ragent_jupyter.domain.wire_wild import Line

from . import wild_words as words
from .effects import effects_of
from .noise import counts
from .wild_claims import check, rederived
from .wild_figures import confirm_figure, history_figure
from .wild_novelty import full_length
from .wild_summary import null_result, summary, title, winner
from .wild_tables import ablation_table, alerts_table, candidates_table, failures_table, method_table, runs_table

_MOST_LEDGER = 60
_EFFECT_TRIALS = 100  # a permutation test of many more takes seconds


def compose(data: WildData) -> WildReport:
    """The report of what was recorded. Works for a loop that still goes, that failed, that has no run."""
    view = rederived(data.view, data.series)
    loop, trials = view.loop, view.trials
    facts = {run.id: run for run in data.runs}
    tables = {
        "candidates": candidates_table(view),
        "ablation": ablation_table(view),
        "failures": failures_table(loop, trials),
        "alerts": alerts_table(view.alerts),
        "method": method_table(loop, trials, facts),
        "ledger": _ledger(data.ledger, data.entries),
        "runs": runs_table(loop, trials, facts),
        "environment": Table("Environment", ["what", "value"], [[k, v] for k, v in data.environment.items()]),
    }
    figures = {"curves": confirm_figure(view, data.series), "history": history_figure(view)}
    return WildReport(
        title=title(loop, view.now),
        summary=summary(loop, trials, view.alerts, view.now),
        claims=check(data.view, data.series, data.runs),
        tables={name: table for name, table in tables.items() if table.rows},
        figures={name: spec for name, spec in figures.items() if spec is not None},
        importance=importance(loop, trials),
        nulls=_nulls(view, tables["ablation"]),
        changes=changes_of(data.ledger, loop, data.diffs),
    )


def importance(loop: Loop, trials: Sequence[TrialView]) -> list[Effect]:
    """Parameters by how much of the variation in rank they explain, from the search runs alone.

    Of very many runs every second, third … counts: `n` says how many did.
    """
    looked = [t for t in trials if t.purpose in ("screen", "search") and counts(t)]
    full = [t for t in looked if full_length(t.params, loop.setup)]
    full = full[:: -(-len(full) // _EFFECT_TRIALS) or 1]
    names = [name for t in full for name in t.params if name in loop.setup.space]
    points = [
        ({name: t.params.get(name, loop.setup.space[name].default) for name in dict.fromkeys(names)}, t.value)
        for t in full
        if t.value is not None
    ]
    return effects_of(points, loop.setup.mode)


def _nulls(view: View, ablation: Table) -> list[Line]:
    """What was looked for and not found, and what nobody has looked at: a reader must not take silence for either."""
    loop, setup = view.loop, view.loop.setup
    found = []
    nothing = null_result(loop, view.trials)
    if nothing:
        found.append(Line(text=nothing))
    for v in loop.verdicts:
        if v.verdict != "confirmed":
            who = words.configuration(loop, v.params, v.commit)
            tone: Literal["bad", "plain"] = "bad" if v.verdict in ("worse", "void") else "plain"
            text = f"{who}: {v.verdict}. {words.quoted(v.why, 400)}"
            found.append(Line(text=text, tone=tone, refs=[*v.runs, *v.baseline_runs]))
    if loop.baseline is None:
        found.append(Line(text="No baseline was measured: nothing here can be called better or worse."))
    if not any(t.purpose == "confirm" for t in view.trials) and view.trials:
        found.append(Line(text="Nothing was re-run on fresh seeds: no gain in this report is confirmed.", tone="wait"))
    if winner(loop) is not None and not ablation.rows:
        found.append(Line(text="No change of the winner was undone for comparison: which one helps is not known."))
    if setup.holdout is None:
        found.append(Line(text="No hold-out was sealed: the metric that was searched on is the only one."))
    return found


# --- the ledger -------------------------------------------------------------------------------------------------------
_WEIGHTY = frozenset({"propose_sweep", "launch", "edit_code", "confirm", "promise", "resolve_alert", "stop_run"})


def mattered(entries: Sequence[Entry], most: int = _MOST_LEDGER) -> list[Entry]:
    """The decisions a reader wants: what a person said, what was started, changed, stopped, refused, promised.

    The oldest and the newest half of `most`, where there are more.
    """
    kept = [
        e
        for e in entries
        if e.by == "human" or e.outcome in ("refused", "asked", "outcome_unknown") or _do(e) in _WEIGHTY
    ]
    if len(kept) <= most:
        return kept
    half = most // 2
    return [*kept[:half], *kept[-(most - half) :]]


def _do(entry: Entry) -> str:
    action = entry.action
    found = action.get("do") if isinstance(action, dict) else getattr(type(action), "__struct_config__", None)
    return found if isinstance(found, str) else str(getattr(found, "tag", "") or "")


def _ledger(entries: Sequence[Entry], total: int) -> Table:
    rows = [
        [
            e.n,
            when(e.at),
            f"{e.by}{f' ({e.who})' if e.who else ''}",
            e.stage,
            words.quoted(f"{e.event.kind} {e.event.text or e.event.ref}".strip(), 120) if e.event else "",
            words.quoted(e.reasoning, 240),
            _said(e),
            words.quoted(f"{e.outcome}{f': {e.result}' if e.result else ''}", 160),
        ]
        for e in entries
    ]
    columns = ["n", "time (UTC)", "by", "stage", "event", "reasoning", "action", "result"]
    title = f"Decisions that mattered: {len(rows)} of {words.plural(max(total, len(rows)), 'entry', 'entries')}"
    return Table(title, columns, rows, ["r", "l", "l", "l", "l", "l", "l", "l"])


def when(at: float) -> str:
    """
    >>> when(1_700_000_000)
    '2023-11-14 22:13:20'
    """
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def _said(entry: Entry) -> str:
    """An action in a few words."""
    action = entry.action if isinstance(entry.action, dict) else {}
    match _do(entry):
        case "propose_sweep":
            points = action.get("points")
            n = len(points) if isinstance(points, list) else 0
            return f"{words.plural(n, 'run')} for {action.get('purpose', 'search')}: {action.get('name', '')}"[:120]
        case "edit_code":
            return words.quoted(f"edit: {action.get('summary', '')}", 120)
        case "resolve_alert":
            return words.quoted(f"alert {action.get('alert', '')}: {action.get('choice', '')}", 120)
        case "stop_run":
            return f"stop {action.get('run', '')}"
        case "promise":
            return words.quoted(f"{action.get('word', '')} {action.get('text', '')}".strip(), 120)
        case "wish":
            return words.quoted(", ".join(f"{k} {v}" for k, v in action.items() if k != "do"), 120)
        case other:
            return other.replace("_", " ")


def changes_of(entries: Sequence[Entry], loop: Loop, diffs: Mapping[str, str]) -> list[CodeChange]:
    """The edits of the code, those that were refused too. A diff is git's own where there is one, else the edit's."""
    accepted = list(loop.commits[1:])
    found = []
    for entry in entries:
        if _do(entry) != "edit_code" or not isinstance(entry.action, dict) or entry.outcome == "asked":
            continue
        done = entry.outcome == "done"
        named = next((c for c in accepted if c[:7] and c[:7] in entry.result), accepted[0] if accepted else "")
        commit = named if done else ""
        if commit:
            accepted.remove(commit)
        found.append(
            CodeChange(
                n=entry.n,
                summary=words.quoted(str(entry.action.get("summary", "")), 200),
                hypothesis=words.quoted(str(entry.action.get("hypothesis", "")), 400),
                commit=commit,
                problem="" if done else words.quoted(entry.result, 400) or entry.outcome,
                diff=diffs.get(commit) or edits_as_diff(entry.action.get("edits")),
            )
        )
    # What the ledger's excerpt does not hold still changed the code.
    found += [CodeChange(n=0, summary="", commit=c, diff=diffs.get(c, "")) for c in accepted]
    return [replace(change, diff=change.diff[:20_000]) for change in found]


def edits_as_diff(edits: Any) -> str:
    """Edits as they were asked for, in a diff's form.

    >>> print(edits_as_diff([{"path": "a.py", "old": "x = 1", "new": "x = 2"}]))
    --- a.py
    +++ a.py
    -x = 1
    +x = 2
    """
    out: list[str] = []
    for edit in edits if isinstance(edits, list) else []:
        if not isinstance(edit, dict):
            continue
        path = str(edit.get("path", ""))
        out += [f"--- {path}", f"+++ {path}"]
        out += [f"-{line}" for line in str(edit.get("old", "")).splitlines()]
        out += [f"+{line}" for line in str(edit.get("new", "")).splitlines()]
    return "\n".join(out)
