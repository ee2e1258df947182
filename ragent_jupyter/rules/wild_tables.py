"""The tables of a wild loop's report, from the view and what is known of its runs. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ragent_jupyter.domain.alert import Alert
from ragent_jupyter.domain.report import Table
from ragent_jupyter.domain.sweep import Range
from ragent_jupyter.domain.wild import Knob, Loop, TrialView, Verdict, View
from ragent_jupyter.domain.wild_report import RunFact

from . import wild_words as words
from .noise import counts
from .report import number
from .wild_novelty import base_commit, changes, key, key_of, same
from .wild_summary import winner

_MOST_ROWS = 40
_MOST_RUNS = 2000

Align = Literal["l", "r"]


# --- what was found ---------------------------------------------------------------------------------------------------
def candidates_table(view: View) -> Table:
    """Every configuration with what it gave when it was looked at, and its verdict; verdicts first, then by value."""
    loop = view.loop
    verdicts = {key(v.params, loop.setup, v.commit or base_commit(loop)): v for v in loop.verdicts}
    groups: dict[str, list[TrialView]] = {}
    for trial in view.trials:
        if trial.purpose in ("baseline", "screen", "search", "confirm"):
            groups.setdefault(key_of(loop, trial), []).append(trial)
    sign = 1.0 if loop.setup.mode == "min" else -1.0
    rows: list[tuple[tuple[int, float], list[Any]]] = []
    for name, runs in groups.items():
        looks = [t for t in runs if t.purpose != "confirm" and counts(t)]
        values = [t.value for t in looks if t.value is not None]
        mean = sum(values) / len(values) if values else None
        verdict = verdicts.get(name)
        effect = verdict.effect if verdict else None
        order = (0, sign * (effect or 0.0)) if verdict else (1 if mean is not None else 2, sign * (mean or 0.0))
        rows.append((order, _candidate(loop, runs, mean, len(values), verdict)))
    rows.sort(key=lambda pair: pair[0])
    rest = len(rows) - _MOST_ROWS
    more = f"; {rest} more are left out" if rest > 0 else ""
    metric = loop.setup.metric or "metric"
    columns = ["configuration", f"{metric} (looked)", "n", "verdict", f"{metric} (fresh)", "effect", "95 % CI", "p"]
    columns += ["p (Holm)", "n fresh", "runs"]
    align: list[Align] = ["l", "r", "r", "l", "r", "r", "l", "r", "r", "r", "l"]
    return Table(f"Candidates and their verdicts{more}", columns, [row for _, row in rows[:_MOST_ROWS]], align)


def _candidate(loop: Loop, runs: list[TrialView], mean: float | None, n: int, v: Verdict | None) -> list[Any]:
    first = runs[0]
    what = words.configuration(loop, first.params, first.commit or base_commit(loop))
    if what == "the baseline":
        state = "baseline"
    elif v is not None:
        state = v.verdict
    else:
        state = "not tested" if mean is not None else "no value"
    ids = _ids([t.run for t in runs])
    if v is None:
        return [what, mean, n, state, "", "", "", "", "", "", ids]
    interval = f"{words.signed(v.ci[0])} to {words.signed(v.ci[1])}" if v.ci else ""
    return [what, mean, n, state, v.mean, v.effect, interval, v.p, v.p_holm, len(v.seeds), ids]


def _ids(runs: Sequence[str], most: int = 6) -> str:
    return " ".join(runs[:most]) + (f" and {len(runs) - most} more" if len(runs) > most else "")


def ablation_table(view: View) -> Table:
    """The winner with one change undone at a time: how much of the gain each change carries.

    Compared on the seeds that both have, else by means. share: of the winner's gain over the baseline.
    """
    loop, setup = view.loop, view.loop.setup
    won = winner(loop)
    rows: list[list[Any]] = []
    explained = [t for t in view.trials if t.purpose == "explain" and counts(t)]
    if won is not None and won.mean is not None:
        mine = changes(won.params, setup)
        by_seed = dict(zip(won.seeds, won.values, strict=False))
        groups: dict[str, list[TrialView]] = {}
        for trial in explained:
            groups.setdefault(key_of(loop, trial), []).append(trial)
        for runs in groups.values():
            undone = _undone(mine, changes(runs[0].params, setup), won.commit, runs[0].commit)
            if not undone:
                continue
            values = [t.value for t in runs if t.value is not None]
            pairs = [(t.value, by_seed[t.seed]) for t in runs if t.seed in by_seed and t.value is not None]
            mean = sum(values) / len(values)
            loss = sum(a - b for a, b in pairs) / len(pairs) if pairs else mean - won.mean
            share = f"{loss / -won.effect:.0%}" if won.effect else ""
            rows.append([undone, mean, loss, share, len(values), len(pairs), _ids([t.run for t in runs])])
    rows.sort(key=lambda row: -abs(row[2]))
    columns = ["change undone", setup.metric or "metric", "against the winner", "share of the gain", "n", "paired"]
    return Table(
        "Which change carries the gain: the winner with one change undone",
        [*columns, "runs"],
        rows,
        ["l", "r", "r", "r", "r", "r", "l"],
    )


def _undone(mine: Mapping[str, Any], theirs: Mapping[str, Any], my_commit: str, their_commit: str) -> str:
    """What of the winner's changes a run lacks, in words; "" where it is not the winner without something."""
    gone = [n for n in mine if n not in theirs or not same(mine[n], theirs[n])]
    added = [n for n in theirs if n not in mine]
    code = bool(my_commit and their_commit and my_commit != their_commit)
    if added or not (gone or code):
        return ""
    said = [f"{n} {words.shown(mine[n])} back to {_back(theirs, n)}" for n in gone]
    return ", ".join([*said, *(["the code"] if code else [])])


def _back(theirs: Mapping[str, Any], name: str) -> str:
    return words.shown(theirs[name]) if name in theirs else "its default"


# --- what went wrong --------------------------------------------------------------------------------------------------
def failures_table(loop: Loop, trials: Sequence[TrialView]) -> Table:
    rows = [
        [t.run, t.purpose, words.setting(t.params, loop.setup), t.seed, t.failure or t.status, t.reason, t.log_line]
        for t in trials
        if t.failure or t.status in ("failed", "stopped")
    ]
    rows += [
        [t.run, t.purpose, words.setting(t.params, loop.setup), t.seed, "does not count", t.void, ""]
        for t in trials
        if t.void
    ]
    columns = ["run", "purpose", "configuration", "seed", "what", "reason", "log line"]
    return Table("What failed and why", columns, rows[:_MOST_ROWS], ["l", "l", "l", "r", "l", "l", "l"])


def alerts_table(alerts: Sequence[Alert]) -> Table:
    rows = [
        [
            a.severity.value,
            a.run_id,
            a.rule,
            a.title,
            a.evidence.step,
            a.status.value,
            a.choice or "",
            a.answered_by or "",
        ]
        for a in sorted(alerts, key=lambda a: (-a.severity.rank, a.raised_at, a.id))
    ]
    columns = ["severity", "run", "rule", "what", "step", "status", "answer", "by"]
    return Table("Alerts and their answers", columns, rows[:_MOST_ROWS], ["l", "l", "l", "l", "r", "l", "l", "l"])


# --- how it was done --------------------------------------------------------------------------------------------------
def method_table(loop: Loop, trials: Sequence[TrialView], facts: Mapping[str, RunFact]) -> Table:
    setup, base = loop.setup, loop.baseline
    by = f"{loop.policy}{f' ({loop.model})' if loop.model else ''}"
    rows: list[tuple[str, str]] = [
        ("goal", loop.goal),
        ("decided by", f"{by}; autonomy {loop.autonomy}; random seed of the search {loop.seed}"),
        ("command", setup.command),
        ("metric", f"{setup.metric or 'not known'} ({'less' if setup.mode == 'min' else 'more'} is better)"),
        ("a run's value", f"the {setup.score} one of its training"),
    ]
    rows += [(f"searched: {name}", _knob(knob)) for name, knob in setup.space.items()]
    if setup.fidelity:
        rows.append(("training length", f"{setup.fidelity}, full at {words.shown(setup.full)}"))
    seed = {"": "the script has none", None: "not known"}.get(setup.seed, f"--{setup.seed}")
    rows.append(("seed flag", seed))
    if base is not None:
        used = words.seeds([t.seed for t in trials if t.run in base.runs and t.seed is not None])
        noise = "deterministic" if base.deterministic else f"sd {number(base.sigma, 2)}" if base.sigma else "not known"
        rows.append(("baseline", f"mean {number(base.mean)} of n = {base.n} ({used}); noise floor: {noise}"))
    confirm = sorted({t.seed for t in trials if t.purpose == "confirm" and t.seed is not None})
    rows.append(("confirmed on", f"{words.seeds(confirm)}, used by no run before" if confirm else "nothing, so far"))
    rows.append(
        ("test", "paired t test on the seeds' differences, Holm over the candidates; 95 % interval by bootstrap")
    )
    held = setup.holdout
    rows.append(("hold-out", f"{held.score} of {held.predictions}, {held.level}" if held else "none"))
    if setup.eval_files:
        rows.append(("files that judge", f"{', '.join(setup.eval_files[:8])}; hashed before and after each run"))
    how = "each run in an immutable tree of its commit" if setup.isolation == "tree" else "in the project's own folder"
    rows.append(("isolation", how + (f", branch {loop.branch}" if loop.branch else "")))
    commit = base_commit(loop)
    if commit:
        dirty = " with changes that were not committed" if base is not None and base.diff else ""
        rows.append(("code of the baseline", commit[:12] + dirty))
    pythons = sorted({f.python for f in facts.values() if f.python})
    if pythons:
        rows.append(("interpreter", ", ".join(pythons[:4])))
    rows.append(("limits", _limits(loop)))
    return Table("How it was done", ["what", "value"], [list(row) for row in rows], ["l", "l"])


def _knob(knob: Knob) -> str:
    if isinstance(knob.dim, Range):
        scale = ", by ratio" if knob.dim.log else ""
        reach = f"{words.shown(knob.dim.low)} to {words.shown(knob.dim.high)}{scale}"
    else:
        reach = ", ".join(words.shown(v) for v in knob.dim.values[:12])
    why = f"; {words.quoted(knob.why, 80)}" if knob.why else ""
    return f"{reach}; default {words.shown(knob.default)}{why}"


def _limits(loop: Loop) -> str:
    limits = loop.limits
    said = [
        f"{name.replace('_', ' ')} {getattr(limits, name):g}"
        for name in ("iterations", "hours", "tokens", "cost_usd", "gpu_hours", "cpu_hours", "disk_gb", "runs")
        if getattr(limits, name) is not None
    ]
    if limits.until:
        said.append(f"until {limits.until}")
    return ", ".join(said) or "none"


def runs_table(loop: Loop, trials: Sequence[TrialView], facts: Mapping[str, RunFact]) -> Table:
    rows = []
    for trial in trials[:_MOST_RUNS]:
        fact = facts.get(trial.run)
        code = (trial.commit or (fact.commit if fact else ""))[:12] or "no git"
        if fact is not None and fact.dirty:
            code += " + uncommitted changes"
        took = round(trial.seconds, 1) if trial.seconds is not None else None
        what = words.setting(trial.params, loop.setup)
        rows.append([trial.run, trial.sweep, trial.purpose, what, trial.seed, trial.value, trial.status, took, code])
    rest = len(trials) - len(rows)
    columns = ["run", "sweep", "purpose", "configuration", "seed", loop.setup.metric or "metric", "status"]
    return Table(
        f"Every run{f'; {rest} more are left out' if rest > 0 else ''}",
        [*columns, "seconds", "code"],
        rows,
        ["l", "l", "l", "l", "r", "r", "l", "r", "l"],
    )
