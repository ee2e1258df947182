"""What the model of a wild loop is told for one decision: made from the record alone, and never larger than its room.

Each section comes in several lengths, the whole one first. Where all together are too long, the largest gives way
first, and says what it leaves out. What was read from logs, files, metrics and names is quoted as data; only the words
of the person (goal, steering, answers) and ragent's own stand outside the quotation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ragent_jupyter.domain.alert import Alert
from ragent_jupyter.domain.sweep import Range
from ragent_jupyter.domain.wild import Entry, EventKind, Knob, LoopEvent, Setup, Stage, TrialView, View

from .compaction import tokens_of_text
from .prompt import one_line, quote

ROOM = 12_000  # tokens of a whole prompt, by estimate
_LEAST = 1_000  # of the sections; in a small context their shortest forms stand, whatever is left
SYSTEM, TAGS, AGAIN = "wild-system", "wild-tags", "wild-again"
SKILL_OF: dict[EventKind, str] = {
    "explore": "wild-explore", "analysis": "wild-analyze", "completion": "wild-event", "failure": "wild-event",
    "critical": "wild-alert", "warning": "wild-alert", "human": "wild-human", "answer": "wild-human",
}  # fmt: skip
# A decision about these that does nothing is an empty one.
MUST_ACT: frozenset[str] = frozenset({"explore", "analysis"})

READS = (
    "list_runs", "show_run", "compare_runs", "read_metrics", "read_log", "search_log", "diff_config", "analyze_run",
    "diagnose_run", "compare_models", "list_sweeps", "show_sweep", "list_alerts", "list_files", "read_file",
    "search_files", "list_rules",
)  # fmt: skip
_ANYWHERE = ("stop_run", "resolve_alert", "analyse", "promise")
_EXPERIMENTS = ("propose_sweep", "launch", "confirm")


def tools_for(view: View, event: LoopEvent) -> list[str]:
    """Names of the tools that act, which fit the event and the stage."""
    names = list(_ANYWHERE)
    free = view.loop.stage in (Stage.EXPLORING, Stage.ANALYZING) or event.kind in ("human", "answer")
    if free:
        names += _EXPERIMENTS
        if view.loop.setup.may_edit and view.loop.setup.isolation == "tree":
            names.append("edit_code")
    if not view.alerts:
        names.remove("resolve_alert")
    return names


# --- sections ---------------------------------------------------------------------------------------------------------
def sections(view: View, event: LoopEvent, tail: str = "") -> dict[str, list[str]]:
    """Each section's text, whole first, then shorter and shorter. tail: the end of the log of the event's run."""
    loop = view.loop
    goal = loop.goal.strip() or "(none was given)"
    return {
        "goal": [_cut(goal, most) for most in (4000, 1500, 700)],
        "setup": _quoted("the loop's setup", [_setup(loop.setup, knobs) for knobs in (60, 20, 6)], 500),
        "limits": [_limits(view)],
        "stage": [_stage(view)],
        "plan": _quoted("the loop's plan", [_plan(view, most) for most in (30, 10, 4)]),
        "baseline": [_baseline(view)],
        "trials": _quoted("the record of trials", [_trials(view, rows) for rows in (40, 20, 10, 4)], 500),
        "verdicts": _quoted("the verdicts", [_verdicts(view, most) for most in (12, 5, 2)]),
        "failures": _quoted("failed runs", [_failures(view, most) for most in (8, 4, 2)]),
        "alerts": _quoted("pending alerts", [_alerts(view.alerts, most) for most in (10, 4, 2)]),
        "event": [_event(view, event, tail, most) for most in (9000, 4500, 1800, 600, 300)],
        "said": [_said(view, most, chars) for most, chars in ((20, 2000), (8, 800), (3, 300), (1, 120))],
        "rules": [_rules(view.rules, most) for most in (8000, 3000, 900, 250)],
        "ledger": _quoted("the ledger", [_ledger(view.entries, most) for most in (20, 10, 4)]),
    }


NAMES = (
    "goal", "setup", "limits", "stage", "plan", "baseline", "trials", "verdicts", "failures", "alerts", "event",
    "said", "rules", "ledger",
)  # fmt: skip


def fitted(
    lengths: Mapping[str, Sequence[str]], uses: Mapping[str, int], taken: int, room: int = ROOM
) -> dict[str, str]:
    """One length of each section, so that all fit. uses: how often a template says each; taken: tokens of the rest.

    The largest that can still give way does so first; the same input gives the same choice.
    """
    room = max(room - taken, _LEAST)
    sizes = {name: [tokens_of_text(text) * uses.get(name, 0) for text in texts] for name, texts in lengths.items()}
    at = dict.fromkeys(lengths, 0)
    while sum(sizes[name][at[name]] for name in lengths) > room:
        shrinks = [
            (sizes[name][at[name]], name)
            for name in lengths
            if at[name] + 1 < len(sizes[name]) and min(sizes[name][at[name] + 1 :]) < sizes[name][at[name]]
        ]
        if not shrinks:
            break
        at[max(shrinks)[1]] += 1
    return {name: texts[at[name]] for name, texts in lengths.items()}


def _quoted(source: str, texts: Sequence[str], least: int = 250) -> list[str]:
    """Each as data. least: characters of one more, the shortest: whatever stands in the record, it fits."""
    return [quote(text, source) for text in [*texts, _cut(texts[-1], least)]]


def _cut(text: str, most: int, tail: bool = False) -> str:
    """At most so many characters, and how many are left out."""
    if len(text) <= most:
        return text
    left = f"[{len(text) - most:,} characters left out]"
    return f"{left}\n{text[-most:]}" if tail else f"{text[:most]} {left}"


def _more(all_: Sequence[Any], shown: int, how: str = "") -> list[str]:
    left = len(all_) - shown
    return [f"… and {left} more, left out here{f'; {how}' if how else ''}."] if left > 0 else []


def number(value: Any) -> str:
    """A number as the model reads it: six digits, enough to tell two trials apart."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return one_line(str(value), 60)
    return f"{value:.6g}" if math.isfinite(value) else "not finite"


def _setup(setup: Setup, most: int) -> str:
    lines = [
        f"Command: {one_line(setup.command, 600)}",
        f"Metric: {one_line(setup.metric, 120) or 'not known yet'}, {setup.mode}, a run's {setup.score} value counts",
        f"Seed flag: {one_line(setup.seed, 60) if setup.seed else 'none known'}; parallel runs: {setup.parallel}; "
        f"GPUs a run: {setup.gpus}",
    ]
    if setup.fidelity:
        full = number(setup.full)
        lines.append(f"Training length: {one_line(setup.fidelity, 60)}, full at {full}; never searched")
    lines.append("What may be changed:" if setup.space else "No parameter may be changed.")
    for name, knob in list(setup.space.items())[:most]:
        lines.append(f"- {one_line(name, 60)}: {_knob(knob)}")
    lines += _more(list(setup.space), most)
    edits = ", ".join(one_line(glob, 80) for glob in setup.may_edit[:most])
    lines.append(
        f"Files that may be edited: {edits}" if edits and setup.isolation == "tree" else "No file may be edited."
    )
    if setup.eval_files:
        held = ", ".join(one_line(name, 80) for name in setup.eval_files[:most])
        lines.append(f"Never to be changed (a change voids the run): {held}")
    if setup.holdout is not None:
        lines.append("A sealed hold-out is scored by ragent at the end; no run sees it.")
    return "\n".join(lines)


def _knob(knob: Knob) -> str:
    if isinstance(knob.dim, Range):
        kind = "whole numbers" if knob.dim.integer else "numbers"
        text = f"{kind} from {number(knob.dim.low)} to {number(knob.dim.high)}{', log scale' if knob.dim.log else ''}"
    else:
        shown = ", ".join(number(value) for value in knob.dim.values[:12])
        text = f"one of {shown}{', …' if len(knob.dim.values) > 12 else ''}"
    return f"{text}; default {number(knob.default)}"


def _limits(view: View) -> str:
    limits, spent = view.loop.limits, view.loop.spent
    pairs: list[tuple[str, float | None, float]] = [
        ("iterations", limits.iterations, spent.iterations),
        ("hours", limits.hours, spent.seconds / 3600),
        ("runs", limits.runs, spent.runs),
        ("tokens", limits.tokens, spent.tokens),
        ("US dollars", limits.cost_usd, spent.cost_usd or 0.0),
        ("GPU hours", limits.gpu_hours, spent.gpu_seconds / 3600),
        ("CPU hours", limits.cpu_hours, spent.cpu_seconds / 3600),
        ("GB of disk", limits.disk_gb, spent.disk_bytes / 1e9),
    ]
    lines = [f"- {name}: {used:.4g} of {limit:.4g} used" for name, limit, used in pairs if limit is not None]
    if view.runs_left is not None:
        lines.append(f"- about {view.runs_left} more runs fit")
    if limits.until:
        lines.append(f"- it ends when {one_line(limits.until, 120)} is met")
    return "\n".join(lines) or "No limit is set."


def _stage(view: View) -> str:
    loop = view.loop
    counts: dict[str, int] = {}
    for trial in view.trials:
        counts[trial.status] = counts.get(trial.status, 0) + 1
    runs = ", ".join(f"{n} {one_line(status, 20)}" for status, n in sorted(counts.items())) or "none yet"
    return (
        f"Stage {loop.stage.value}, iteration {loop.iteration}, autonomy {loop.autonomy}. Runs so far: {runs}. "
        f"{view.slots} may live at once."
    )


def _plan(view: View, most: int) -> str:
    # What is open comes first: it is what the next decision is about.
    tasks = sorted(view.loop.plan, key=lambda task: task.state in ("done", "dropped"))
    lines = [f"- [{task.state}] {task.id}: {one_line(task.text, 200)}" for task in tasks[:most]]
    lines += _more(tasks, most)
    findings = view.loop.findings[-most:]
    if findings:
        lines.append("Findings so far, checked against the record:")
        lines += [f"- {one_line(text, 300)}" for text in findings]
    return "\n".join(lines) or "No plan yet."


def _baseline(view: View) -> str:
    base = view.loop.baseline
    if base is None:
        return "Not measured yet: it comes first."
    text = f"Mean {number(base.mean)} over {base.n or len(base.values)} runs"
    if base.deterministic:
        return f"{text}; repeats are bit-identical, so noise cannot be measured. {number(base.seconds)} s a run."
    if base.sigma is None:
        return (
            f"{text}; its noise is not known, so no difference can be told from chance. {number(base.seconds)} s a run."
        )
    return (
        f"{text}, standard deviation {number(base.sigma)} over seeds: a single run within {number(2 * base.sigma)} of "
        f"the mean may be chance. {number(base.seconds)} s a run."
    )


def _better(view: View) -> Callable[[TrialView], float]:
    sign = 1.0 if view.loop.setup.mode == "min" else -1.0
    return lambda trial: sign * trial.value if _measured(trial) else math.inf  # type: ignore[operator]


def _measured(trial: TrialView) -> bool:
    return trial.value is not None and math.isfinite(trial.value) and not trial.void and not trial.failure


def _trials(view: View, most: int) -> str:
    if not view.trials:
        return "No trial yet."
    done = sorted((t for t in view.trials if _measured(t)), key=_better(view))
    live = [t for t in view.trials if not _measured(t) and not t.failure and not t.void]
    metric = one_line(view.loop.setup.metric, 60) or "value"
    lines = [f"run | purpose | by | {metric} | against the baseline | seed | seconds | changed"]
    lines += [_row(view, trial) for trial in done[:most]]
    if len(done) > most:
        rest = [trial.value for trial in done[most:] if trial.value is not None]
        lines.append(
            f"… {len(rest)} more measured trials, left out here, from {number(rest[0])} to {number(rest[-1])}, "
            f"median {number(rest[len(rest) // 2])}; list_runs shows them."
        )
    shown = live[: max(2, most // 3)]
    lines += [
        f"{t.run} | {one_line(t.purpose, 12)} | {one_line(t.status, 12)}, no value yet | {_params(t)}" for t in shown
    ]
    lines += _more(live, len(shown))
    return "\n".join(lines)


def _row(view: View, trial: TrialView) -> str:
    base = view.loop.baseline
    against = ""
    if base is not None and trial.value is not None:
        against = f"{trial.value - base.mean:+.4g}"
        if base.sigma:
            against += f" ({(trial.value - base.mean) / base.sigma:+.1f} sigma)"
    seconds = "" if trial.seconds is None else f"{trial.seconds:.0f}"
    seed = "" if trial.seed is None else str(trial.seed)
    code = f" code {one_line(trial.commit, 10)}" if trial.commit and trial.commit != _base_commit(view) else ""
    cells = (
        trial.run,
        one_line(trial.purpose, 12),
        one_line(trial.by, 12),
        number(trial.value),
        against,
        seed,
        seconds,
    )
    return f"{' | '.join(cells)} | {_params(trial)}{code}"


def _base_commit(view: View) -> str:
    return view.loop.commits[0] if view.loop.commits else ""


def _params(trial: TrialView) -> str:
    pairs = [f"{one_line(str(k), 40)}={number(v)}" for k, v in list(trial.params.items())[:10]]
    more = f" and {len(trial.params) - 10} more" if len(trial.params) > 10 else ""
    return (", ".join(pairs) or "the default") + more


def _verdicts(view: View, most: int) -> str:
    verdicts = view.loop.verdicts[-most:]
    lines = _more(view.loop.verdicts, most)
    for verdict in verdicts:
        params = ", ".join(f"{one_line(str(k), 40)}={number(v)}" for k, v in list(verdict.params.items())[:8])
        ci = f", 95 % interval {number(verdict.ci[0])} to {number(verdict.ci[1])}" if verdict.ci else ""
        effect = f", effect {number(verdict.effect)}" if verdict.effect is not None else ""
        lines.append(f"- {verdict.verdict}: {params or 'the default'}{effect}{ci}. {one_line(verdict.why, 200)}")
    if lines:
        return "\n".join(lines)
    best = view.loop.best
    if best is not None:
        params = ", ".join(f"{one_line(str(k), 40)}={number(v)}" for k, v in list(best.params.items())[:8])
        return f"None yet. Best so far, unconfirmed: {number(best.value)} with {params or 'the default'}."
    return "None yet: nothing may be called better."


def _failures(view: View, most: int) -> str:
    groups: dict[tuple[str, str], list[TrialView]] = {}
    for trial in view.trials:
        if trial.failure or trial.void:
            why = trial.failure or f"void: {trial.void}"
            groups.setdefault((one_line(why, 80), _shape(trial.log_line)), []).append(trial)
    if not groups:
        return "None."
    lines = []
    for (why, _), trials in list(groups.items())[-most:]:
        last = trials[-1]
        lines.append(f"- {why}, {len(trials)} run{'s' if len(trials) > 1 else ''}, last {last.run} ({_params(last)})")
        if last.reason:
            lines.append(f"  {one_line(last.reason, 200)}")
        if last.log_line:
            lines.append(f"  log: {one_line(last.log_line, 300)}")
    return "\n".join(_more(list(groups), most) + lines)


def _shape(line: str) -> str:
    """A log line without its numbers: failures of one kind say the same with other figures."""
    return "".join("0" if c.isdigit() else c for c in one_line(line, 120))


def failure_kind(trial: TrialView) -> str:
    """What makes two failures one kind."""
    return f"{trial.failure}|{_shape(trial.log_line)}"


def _alerts(alerts: Iterable[Alert], most: int) -> str:
    pending = sorted(alerts, key=lambda alert: (-alert.severity.rank, alert.raised_at, alert.id))
    lines = [_alert(alert, 160) for alert in pending[:most]] + _more(pending, most, "list_alerts shows them")
    return "\n".join(lines) or "None."


def _alert(alert: Alert, chars: int) -> str:
    choices = "; ".join(f"{choice.id} ({one_line(choice.label, 60)})" for choice in alert.choices[:8])
    safe = f"; default {alert.default}" if alert.default else ""
    title = one_line(alert.title, chars)
    return f"- {alert.id} {alert.severity.value} on {alert.run_id}: {title}. choices: {choices}{safe}"


def _event(view: View, event: LoopEvent, tail: str, most: int) -> str:
    head = event.kind.capitalize() + (f", about {one_line(event.ref, 60)}" if event.ref else "")
    if event.tries:
        head += f". {event.tries} earlier decision{'s' if event.tries > 1 else ''} about it came to nothing"
    if event.kind in ("human", "answer"):
        word = "The person says" if event.kind == "human" else "The person answers"
        return f"{head}.\n{word}: {_cut(event.text.strip(), most)}"
    told: list[str] = [one_line(event.text, 600)] if event.text else []
    alert = next((a for a in view.alerts if a.id == event.ref), None)
    run = event.ref
    if alert is not None:
        run = alert.run_id
        told += [_alert(alert, 300), one_line(alert.text, 600)]
        found = alert.evidence
        told.append(
            f"evidence: metric {one_line(found.metric, 80)}, step {found.step}, value {number(found.value)}, threshold "
            f"{number(found.threshold)}"
        )
        if found.log_line:
            told.append(f"log line: {one_line(found.log_line, 400)}")
    trial = next((t for t in view.trials if t.run == run), None)
    if trial is not None:
        told.append(_row(view, trial))
        if trial.failure or trial.reason:
            told.append(f"{trial.status}: {one_line(trial.failure, 40)} {one_line(trial.reason, 300)}")
        if len(trial.curve) > 1:
            told.append("curve (step, value): " + _curve(trial.curve, 20 if most > 2000 else 6))
    if event.kind == "analysis":
        mine = [t for t in view.trials if t.sweep == event.ref]
        told += [_row(view, t) for t in sorted(mine, key=_better(view))[: 20 if most > 2000 else 5]]
        told += _more(mine, 20 if most > 2000 else 5)
    record = "\n".join(line for line in told if line) or "(nothing more is recorded)"
    text = quote(_cut(record, 2 * most), "the record of the event")
    if tail.strip():
        text += "\n" + quote(_cut(tail.strip("\n"), most, tail=True), f"the end of the log of {one_line(run, 60)}")
    return f"{head}.\n{text}"


def _curve(curve: Sequence[tuple[float, float]], most: int) -> str:
    stride = max(1, math.ceil(len(curve) / most))
    chosen = list(curve[::stride])
    if chosen[-1] != curve[-1]:
        chosen.append(curve[-1])
    return ", ".join(f"({number(step)}, {number(value)})" for step, value in chosen)


def _said(view: View, most: int, chars: int) -> str:
    lines = [f"- {one_line(text, chars)}" for text in view.loop.steer[-most:]]
    asked = view.loop.answers[-most:]
    if asked:
        # The questions are the model's own words, and may hold what it had read; the answers are the person's.
        questions = "\n".join(f"{n}. {one_line(question, 200)}" for n, (question, _) in enumerate(asked, 1))
        lines.append(quote(questions, "what this loop asked"))
        lines += [f"- the answer to {n}: {one_line(answer, chars)}" for n, (_, answer) in enumerate(asked, 1)]
    if not lines:
        return "Nothing beside the goal."
    left = max(0, len(view.loop.steer) - most) + max(0, len(view.loop.answers) - most)
    return "\n".join(([f"… {left} earlier, left out here."] if left else []) + lines)


def _rules(rules: Sequence[str], most: int) -> str:
    if not rules:
        return "None."
    share = max(60, most // len(rules))
    lines = [f"- {one_line(rule, max(share, 200) if len(rules) < 30 else share)}" for rule in rules]
    kept: list[str] = []
    for line in lines:
        if sum(map(len, kept)) + len(line) > most and kept:
            break
        kept.append(line)
    return "\n".join(kept + _more(lines, len(kept), "list_rules shows them"))


def _ledger(entries: Sequence[Entry], most: int) -> str:
    lines = [_entry(entry) for entry in entries[-most:]]
    return "\n".join(_more(entries, most) + lines) if lines else "Nothing yet."


def _entry(entry: Entry) -> str:
    what = entry.event.kind if entry.event is not None else "-"
    did = ""
    if isinstance(entry.action, dict):
        name = entry.action.get("name") or entry.action.get("word") or entry.action.get("summary") or ""
        did = f" → {one_line(str(entry.action.get('do', '')), 30)} {one_line(str(name), 80)}".rstrip()
    why = f" | {one_line(entry.reasoning, 200)}" if entry.reasoning else ""
    came = f" | {entry.outcome}{': ' + one_line(entry.result, 160) if entry.result else ''}"
    return f"{entry.n}. {what} | {entry.by}{did}{why}{came}"
