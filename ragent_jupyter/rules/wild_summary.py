"""The morning after, on one screen: what was tried, what is real, what it cost, what it needs. Pure.

Written for somebody tired: at most a minute of reading, the answer first, nothing said twice. What was not confirmed is
called so in every line that names it; an estimate has a "~"; a loop that found nothing says that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ragent_jupyter.domain.alert import Alert, AlertStatus
from ragent_jupyter.domain.wild import Candidate, Limits, Loop, Setup, Stage, TrialView, Verdict
from ragent_jupyter.domain.wire_wild import Line, Summary

from . import wild_words as words
from .confirm import expected
from .report import number
from .wild_novelty import base_commit, key, key_of

_Tone = Literal["good", "bad", "plain", "wait"]
_MOST_LINES = 6  # of a kind; what is left out is counted
_STAGES = {
    Stage.EXPLORING: "deciding what to try next",
    Stage.RUNNING: "running",
    Stage.ANALYZING: "looking at results",
    Stage.CONFIRMING: "confirming on fresh seeds",
}
_LIMITS = {
    "iterations": "iterations",
    "hours": "time",
    "tokens": "tokens",
    "cost_usd": "money",
    "gpu_hours": "GPU time",
    "cpu_hours": "CPU time",
    "disk_gb": "disk",
    "runs": "runs",
    "until": "its goal condition",
}


def summary(loop: Loop, trials: Sequence[TrialView], alerts: Sequence[Alert], now: float) -> Summary:
    """One screen of a loop at a moment. trials, alerts: the loop's own.  now: unix seconds, where it is not over."""
    return Summary(
        title=title(loop, now),
        tried=_tried(loop, trials),
        real=real(loop, trials),
        cost=cost(loop, now),
        needs=_needs(loop, alerts, now),
    )


def as_text(summary: Summary) -> str:
    """The screen as plain lines, for a terminal and for text/plain."""
    out = [summary.title]
    for head, lines in (
        ("Tried", summary.tried),
        ("Real", summary.real),
        ("Cost", summary.cost),
        ("Needs", summary.needs),
    ):
        out += ["", head, *(f"  {line.text}" for line in lines)]
    return "\n".join(out)


# --- the title --------------------------------------------------------------------------------------------------------
def title(loop: Loop, now: float) -> str:
    """The goal, and where it stands, in words that differ for each way to end."""
    return f"{words.quoted(loop.goal, 120) or 'No goal'}: {standing(loop, now)}"


def standing(loop: Loop, now: float) -> str:
    """How it ended, or what it does now. One clause, no full stop."""
    reason = f" ({words.first_sentence(loop.reason)})" if loop.reason else ""
    won = winner(loop) is not None
    if loop.over:
        match loop.end:
            case "complete" if won:
                return "complete, with a confirmed gain"  # which one stands in the lines below
            case "complete" if any(v.verdict == "unconfirmed" for v in loop.verdicts) or unproven(loop):
                return f"complete; its best is unconfirmed{reason}"
            case "complete":
                return f"complete; nothing better than the baseline was found{reason}"
            case "budget":
                limit = f"ended by its limit on {_LIMITS.get(loop.budget, loop.budget) or 'spending'}"
                return f"{limit}, {'with a confirmed gain' if won else 'without a confirmed gain'}{reason}"
            case "stopped":
                return f"stopped, {'with a confirmed gain' if won else 'without a confirmed gain'}{reason}"
            case _:
                return f"failed{reason}"
    if loop.question is not None:
        return f"needs you: {words.quoted(loop.question.text)}"
    if loop.paused:
        return f"paused{reason}"
    if loop.waiting is not None:
        return f"waits for the model ({words.quoted(loop.waiting.why).rstrip('.')})"
    doing = _STAGES.get(loop.stage, loop.stage.value)
    return f"still going, {doing}, iteration {loop.iteration}"


def winner(loop: Loop) -> Verdict | None:
    """The confirmed candidate with the largest gain."""
    good = [v for v in loop.verdicts if v.verdict == "confirmed"]
    sign = 1.0 if loop.setup.mode == "min" else -1.0
    return min(good, key=lambda v: sign * (v.effect or 0.0)) if good else None


def unproven(loop: Loop) -> Candidate | None:
    """The best as it stands where no verdict speaks about it."""
    best = loop.best
    if best is None:
        return None
    name = key(best.params, loop.setup, best.commit or base_commit(loop))
    judged = {key(v.params, loop.setup, v.commit or base_commit(loop)) for v in loop.verdicts}
    return None if name in judged else best


# --- tried ------------------------------------------------------------------------------------------------------------
def _tried(loop: Loop, trials: Sequence[TrialView]) -> list[Line]:
    if not trials:
        return [Line(text="Nothing has run yet." if not loop.over else "Nothing was run.", tone="plain")]
    points = {key_of(loop, t) for t in trials}
    purposes: dict[str, int] = {}
    for trial in trials:
        purposes[trial.purpose] = purposes.get(trial.purpose, 0) + 1
    for_what = ", ".join(f"{n} for {words.PURPOSES.get(p, p or 'one look')}" for p, n in purposes.items())
    text = f"{words.plural(len(points), 'configuration')} in {words.plural(len(trials), 'run')}: {for_what}."
    found = [Line(text=text, refs=list(dict.fromkeys(t.sweep for t in trials)))]
    changes = len(loop.commits) - 1
    if changes > 0:
        found.append(Line(text=f"{words.plural(changes, 'change')} to the code, each a commit on {loop.branch}."))
    live = [t for t in trials if t.status not in ("finished", "failed", "stopped")]
    if live:
        text = f"{words.plural(len(live), 'run')} {'is' if len(live) == 1 else 'are'} not over yet."
        found.append(Line(text=text, tone="wait", refs=[t.run for t in live]))
    return [*found, *failures(trials, loop.setup)]


def failures(trials: Sequence[TrialView], setup: Setup) -> list[Line]:
    """What failed and why, alike ones together, most first; what does not count is said last."""
    groups: dict[str, list[TrialView]] = {}
    for trial in trials:
        if trial.failure or trial.status in ("failed", "stopped"):
            groups.setdefault(trial.failure or trial.status, []).append(trial)
    found = []
    for kind, members in sorted(groups.items(), key=lambda pair: -len(pair[1])):
        where = list(dict.fromkeys(words.setting(t.params, setup) for t in members))
        at = "; ".join(where[:3]) + (f"; {len(where) - 3} more" if len(where) > 3 else "")
        # What a run that was stopped wrote last says nothing of why.
        line = next((t.log_line for t in members if t.log_line and t.status != "stopped"), "")
        why = "" if line or kind in ("oom", "nan") else next((t.reason for t in members if t.reason), "")
        said = f' Log: "{words.quoted(line, 120)}"' if line else f" {words.quoted(why, 120)}" if why else ""
        tone: _Tone = "plain" if kind == "stopped" else "bad"
        text = f"{words.failed(kind, len(members))} ({at}).{said}"
        found.append(Line(text=text, tone=tone, refs=[t.run for t in members]))
    void = [t for t in trials if t.void]
    if void:
        reasons = "; ".join(dict.fromkeys(words.quoted(t.void, 120) for t in void))
        text = f"{words.plural(len(void), 'run')} {'does' if len(void) == 1 else 'do'} not count: {reasons}"
        found.append(Line(text=text.rstrip(".") + ".", tone="bad", refs=[t.run for t in void]))
    if len(found) > _MOST_LINES:
        rest = found[_MOST_LINES:]
        refs = [ref for line in rest for ref in line.refs]
        found = [*found[:_MOST_LINES], Line(text=f"{words.plural(len(refs), 'run')} failed otherwise.", refs=refs)]
    return found


# --- real -------------------------------------------------------------------------------------------------------------
UNSCORED = "The sealed hold-out was not scored"  # in a verdict's `why`, where it was tried


def real(loop: Loop, trials: Sequence[TrialView]) -> list[Line]:
    """Confirmed first, then what could not be told from the baseline, then what nobody has confirmed."""
    order = {"confirmed": 0, "not distinguishable": 1, "unconfirmed": 2, "worse": 3, "void": 4}
    sign = 1.0 if loop.setup.mode == "min" else -1.0
    judged = sorted(loop.verdicts, key=lambda v: (order[v.verdict], sign * (v.effect or 0.0)))
    found = [_verdict(loop, v) for v in judged[:_MOST_LINES]]
    if len(judged) > _MOST_LINES:
        found.append(Line(text=f"{len(judged) - _MOST_LINES} more verdicts stand in the report."))
    best = unproven(loop)
    if best is not None and winner(loop) is None:
        found.append(_unconfirmed(loop, best))
    null = null_result(loop, trials)
    if null:
        found.insert(0, Line(text=null))
    if loop.baseline is not None:
        found.append(_baseline(loop))
    return found


def _verdict(loop: Loop, v: Verdict) -> Line:
    refs = [*v.runs, *v.baseline_runs]
    who = words.configuration(loop, v.params, v.commit)
    metric = v.metric or loop.setup.metric or "the metric"
    if v.verdict in ("unconfirmed", "void") or v.mean is None or v.baseline_mean is None:
        tone: _Tone = "bad" if v.verdict == "void" else "wait"
        return Line(text=f"{_capital(v.verdict)}: {who}: {words.quoted(v.why, 240)}", tone=tone, refs=refs)
    numbers = (
        f"{metric} {number(v.mean)} against {number(v.baseline_mean)} of the baseline, "
        f"{words.change(v.effect, v.baseline_mean)}; {words.interval(v.ci)}, "
        f"{words.plural(len(v.values), 'fresh seed')}, {words.probability(v)}."
    )
    if v.holdout is not None:
        numbers += f" On the sealed hold-out: {number(v.holdout)}."
    if v.verdict == "confirmed":
        claim = expected(v, loop.setup.mode)
        if claim is not None:
            numbers += f" Expect {number(claim)} or better on average; that keeps one standard error in hand."
        return Line(text=f"Confirmed: {who}: {numbers}", tone="good", refs=refs)
    if v.verdict == "worse":
        return Line(text=f"Worse than the baseline: {who}: {numbers}", tone="bad", refs=refs)
    return Line(text=f"Not distinguishable from the baseline: {who}: {numbers}", refs=refs)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _unconfirmed(loop: Loop, best: Candidate) -> Line:
    who = words.configuration(loop, best.params, best.commit)
    metric = loop.setup.metric or "the metric"
    odd = f" {words.quoted(best.suspicious).rstrip('.')}." if best.suspicious else ""
    text = (
        f"Unconfirmed best: {metric} {number(best.value)} with {who} (n = {len(best.runs)}). It was not re-run beside "
        f"the baseline on fresh seeds, so it may be luck.{odd}"
    )
    return Line(text=text, tone="wait", refs=list(best.runs))


def null_result(loop: Loop, trials: Sequence[TrialView]) -> str:
    """The sentence of a loop that found nothing, "" where it found something or is not over."""
    if not loop.over or winner(loop) is not None:
        return ""
    metric = loop.setup.metric or "the metric"
    tested = [v for v in loop.verdicts if v.verdict in ("not distinguishable", "worse")]
    if tested:
        n = max(len(v.values) for v in tested)
        found = [v for v in tested if v.verdict == "not distinguishable"]
        what = (
            "none could be told from the baseline"
            if len(found) == len(tested)
            else f"{len(tested) - len(found)} came out worse than the baseline"
            + (f" and {len(found)} could not be told from it" if found else "")
        )
        if len(tested) == 1:
            what = "it could not be told from the baseline" if found else "it came out worse than the baseline"
        return f"No gain: {words.plural(len(tested), 'candidate')} re-run on {words.plural(n, 'fresh seed')}; {what}."
    if not trials:
        return "No result: nothing was run."
    if not any(t.value is not None and not t.void for t in trials):
        return f"No result: no run gave a value of {metric} that counts."
    if loop.best is None and not loop.verdicts:
        return "No gain: no configuration looked better than the baseline."
    return ""


def _baseline(loop: Loop) -> Line:
    base = loop.baseline
    assert base is not None
    metric = loop.setup.metric or "the metric"
    if base.deterministic:
        spread = f"{number(base.mean)}, the same with each of {base.n} seeds: deterministic, noise not measurable"
    elif base.sigma is not None:
        spread = f"{number(base.mean)} ± {number(base.sigma, 2)} (mean ± sd, n = {base.n})"
    else:
        spread = f"{number(base.mean)} (n = {base.n}), its noise is not known"
    dirty = " It holds changes that were not committed." if base.diff else ""
    return Line(text=f"Baseline: {metric} {spread}.{dirty}", refs=list(base.runs))


# --- cost -------------------------------------------------------------------------------------------------------------
def active_seconds(loop: Loop, now: float) -> float:
    """Time that counts against the limit: pauses excluded."""
    since = loop.spent.since
    return loop.spent.seconds + (max(0.0, now - since) if since is not None and not loop.over else 0.0)


def cost(loop: Loop, now: float) -> list[Line]:
    """What it took, each beside its limit; what was neither used nor limited is left out."""
    spent, limits = loop.spent, loop.limits
    ended = loop.ended_at if loop.ended_at is not None else now
    elapsed, active = max(0.0, ended - loop.created_at), active_seconds(loop, now)
    apart = elapsed - active > max(60.0, 0.02 * elapsed)
    time = f"{words.duration(elapsed)} from start to {'end' if loop.over else 'now'}"
    time += f", {words.duration(active)} of it active" if apart else ""
    about = "" if loop.over else "~"  # what a living run has used is known at its end
    rows = [
        ("hours", time, " h"),
        ("runs", words.plural(spent.runs, "run"), ""),
        ("iterations", words.plural(spent.iterations, "iteration"), ""),
        ("cpu_hours", f"{about}{words.hours(spent.cpu_seconds)} CPU-hours", ""),
    ]
    if spent.gpu_seconds or limits.gpu_hours is not None:
        rows.append(("gpu_hours", f"{about}{words.hours(spent.gpu_seconds)} GPU-hours", ""))
    rows.append(("disk_gb", f"{words.size(spent.disk_bytes)} on disk", " GB"))
    if spent.model_calls or spent.tokens:
        calls = f" in {words.plural(spent.model_calls, 'call')} of a model" if spent.model_calls else ""
        rows.append(("tokens", f"{spent.tokens:,} tokens{calls}", ""))
        paid = words.money(spent.cost_usd) if spent.cost_usd is not None else "Money not known: the model has no price"
        rows.append(("cost_usd", paid, "$"))
    else:
        rows.append(("", "No model was asked: no tokens, no money", ""))
    hit = loop.budget if loop.end == "budget" else "-"
    return [
        Line(text=f"{what}{_limit(limits, name, unit)}.", tone="wait" if name == hit else "plain")
        for name, what, unit in rows
    ]


def _limit(limits: Limits, name: str, unit: str) -> str:
    limit = getattr(limits, name) if name else None
    if limit is None:
        return ""
    said = f"{limit:,}" if isinstance(limit, int) else f"{limit:g}"
    return f" (limit ${said})" if unit == "$" else f" (limit {said}{unit})"


# --- needs ------------------------------------------------------------------------------------------------------------
def _needs(loop: Loop, alerts: Sequence[Alert], now: float) -> list[Line]:
    found: list[Line] = []
    question = loop.question
    if question is not None:
        labels = {o.id: o.label for o in question.options}
        choices = f" Choices: {', '.join(words.quoted(o.label, 60) for o in question.options)}." if labels else ""
        usual = labels.get(question.default, question.default)
        when = ""
        if usual and question.default_at is not None:
            when = f" Without an answer: {words.quoted(usual, 60)}, in {words.duration(question.default_at - now)}."
        elif usual:
            when = f" Usual answer: {words.quoted(usual, 60)}."
        refs = [question.ref] if question.ref else []
        found.append(Line(text=f"{words.quoted(question.text, 300)}{choices}{when}", tone="wait", refs=refs))
    if loop.waiting is not None and not loop.over:
        again = words.duration(loop.waiting.until - now)
        why = words.quoted(loop.waiting.why).rstrip(".")
        found.append(Line(text=f"The model is asked again in {again}: {why}.", tone="wait"))
    pending = sorted(
        (a for a in alerts if a.status is AlertStatus.PENDING and a.severity.rank > 0),
        key=lambda a: (-a.severity.rank, a.raised_at),
    )
    for alert in pending[:3]:
        text = f"{alert.severity.value.capitalize()} alert: {words.quoted(alert.title)}."
        found.append(Line(text=text, tone="bad" if alert.severity.rank > 1 else "wait", refs=[alert.run_id, alert.id]))
    if len(pending) > 3:
        refs = [a.id for a in pending[3:]]
        found.append(Line(text=f"{words.plural(len(refs), 'more alert')} wait for an answer.", tone="wait", refs=refs))
    if loop.over and loop.setup.holdout is not None:
        found += _unscored(loop)
    merge = _merge(loop)
    if merge is not None:
        found.append(merge)
    if loop.paused and not loop.over and question is None:
        found.append(Line(text=f"It is paused: `ragent wild resume {loop.id}` goes on.", tone="wait"))
    if loop.over and loop.end == "budget" and winner(loop) is None:
        text = f"To go on, raise the limit: `ragent wild limits {loop.id}`."
        found.append(Line(text=text))
    return found or [Line(text="Nothing needs you.")]


def _unscored(loop: Loop) -> list[Line]:
    """A hold-out that was sealed and not scored: a person who trusts in it must hear that."""
    why = next((v.why.partition(UNSCORED)[2].lstrip(": ") for v in loop.verdicts if UNSCORED in v.why), "")
    if any(v.holdout is not None for v in loop.verdicts):
        return []
    if why:
        return [Line(text=f"{UNSCORED}: {words.quoted(why, 240)}", tone="bad")]
    if any(v.verdict == "confirmed" for v in loop.verdicts):
        return []  # it is about to be
    return [Line(text=f"{UNSCORED}: nothing was confirmed.")]


def _merge(loop: Loop) -> Line | None:
    """Code that proved good stands on the loop's branch until a person takes it."""
    won, base = winner(loop), base_commit(loop)
    if won is None or not won.commit or not base or won.commit == base:
        return None
    text = (
        f"The confirmed code is commit {won.commit[:12]} on {loop.branch}. "
        f"`ragent wild merge {loop.id}` puts it on your branch, with --diff it only shows it."
    )
    return Line(text=text, tone="wait", refs=list(won.runs))
