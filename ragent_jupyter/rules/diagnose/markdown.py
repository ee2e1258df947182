"""Diagnoses, analyses and comparisons as Markdown, complete as they stand: a model may read them, a person too."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ragent_jupyter.domain.run import Run, RunStatus

from ..config_diff import Difference, differing, said_plainly, settings_of
from ..digest import Curve, Direction, direction_of, lost_ground, plateau, spikes
from ..digest import step as shown_step
from ..stats import span
from ..tool_text import code, num, one_line, word
from .words import KINDS, Case, Cause, Cite, Diagnosis

_CHANGES = 12
_CURVES = 12
_ALERTS = 8
_COLUMNS = 8
_SETTINGS = 20
_TICKS = re.compile(r"`+")


def mark(text: str, longest: int = 200) -> str:
    """Somebody else's words as inline code that they cannot leave.

    >>> mark("a`b")
    '``a`b``'
    """
    flat = code(text, longest).strip() or " "
    fence = "`" * (max((len(t) for t in _TICKS.findall(flat)), default=0) + 1)
    pad = " " if flat.startswith("`") or flat.endswith("`") else ""
    return f"{fence}{pad}{flat}{pad}{fence}"


def cell(text: str, longest: int = 80) -> str:
    """The same for a cell of a table."""
    return mark(text, longest).replace("|", "\\|")


def run_head(run: Run) -> str:
    return f"{mark(run.alias or run.name, 80)} ({run.id})"


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."


def cited(cite: Cite) -> str:
    """One line: where, and what stands there."""
    where = cite.source
    if cite.line:
        where += f", line {cite.line}"
    elif cite.offset is not None:
        where += f", byte {cite.offset}"
    if cite.line and cite.offset is not None:
        where += f" (byte {cite.offset})"
    return f"{mark(where)}: {mark(cite.text, 400)}"


# --- why it failed ---------------------------------------------------------------------------------------------------
def diagnosis_text(case: Case, diagnosis: Diagnosis) -> str:
    run = case.run
    lines = [f"### What went wrong in {run_head(run)}", "", diagnosis.verdict]
    if diagnosis.causes:
        best, *others = diagnosis.causes
        lines += ["", *_cause(best, "Most likely: " if best.kind != "error_line" else "")]
        if others:
            lines += ["", "**Also seen**"]
            lines += [f"- {_told(c)}: {'; '.join(cited(x) for x in c.cites[:1])}" for c in others]
    else:
        lines += ["", f"I found no cause. I looked at {_listed(diagnosis.checked)}."]
    lines += _changes(case)
    if case.alerts:
        lines += ["", "**Alerts of this run**", *_alerts(case)]
    return "\n".join(lines)


def _told(cause: Cause) -> str:
    known = KINDS.get(cause.kind, cause.kind)
    title = cause.title
    if cause.kind == "code":
        return f"{known} ({mark(title, 200)})"
    return title if title == known or cause.kind in ("error_line", "missing_module") else f"{known}: {title}"


def _cause(cause: Cause, head: str) -> list[str]:
    told = _told(cause)
    lines = [f"**{head}{told if head else told[:1].upper() + told[1:]}**", ""]
    lines += [f"- Proof: {cited(cite)}" for cite in cause.cites]
    if cause.frame:
        lines.append(f"- In your code: {mark(cause.frame)}" + (f", {mark(cause.code, 300)}" if cause.code else ""))
    lines += [f"- Next: {step}" for step in cause.next]
    return lines


def _changes(case: Case) -> list[str]:
    if case.good is None:
        return []
    if not case.changed:
        return ["", f"Nothing that is recorded differs from the last good run {case.good.id}."]
    shown = sorted(case.changed, key=lambda d: _ORDER.index(d.kind) if d.kind in _ORDER else 99)
    lines = ["", f"**Changed since the last good run {case.good.id}**"]
    lines += [f"- {_difference(d)}" for d in shown[:_CHANGES]]
    if len(shown) > _CHANGES:
        lines.append(f"- and {len(shown) - _CHANGES} more")
    return lines


_ORDER = ("setting", "file", "commit", "command", "package", "interpreter", "variable", "device", "cwd")


def _difference(d: Difference) -> str:
    if d.kind == "file":
        before, after = d.before or "", d.after or ""
        what = "uncommitted changes, gone" if not after else "uncommitted changes" if not before else "changed again"
        return f"file {mark(d.name)}: {what}"
    before = mark(d.before, 120) if d.before is not None else "not set"
    after = mark(d.after, 120) if d.after is not None else "not set"
    name = "" if d.name == d.kind else f" {mark(d.name, 80)}"
    return f"{d.kind}{name}: {before} then, {after} now"


def _alerts(case: Case) -> list[str]:
    lines = [
        f"- {a.severity.value}: {mark(a.title)} ({a.status.value}, {a.id})"
        for a in sorted(case.alerts, key=lambda a: (-a.severity.rank, a.raised_at))[:_ALERTS]
    ]
    if len(case.alerts) > _ALERTS:
        lines.append(f"- and {len(case.alerts) - _ALERTS} more")
    return lines


def _listed(items: Sequence[str]) -> str:
    return ", ".join(items[:-1]) + f" and {items[-1]}" if len(items) > 1 else items[0] if items else "nothing"


# --- how it went -----------------------------------------------------------------------------------------------------
def analysis_text(case: Case, diagnosis: Diagnosis) -> str:
    run = case.run
    lines = [f"### How {run_head(run)} went", "", diagnosis.verdict]
    progress = run.progress
    if not run.status.terminal and progress is not None and progress.fraction is not None:
        eta = f", about {span(progress.eta_s)} to go" if progress.eta_s is not None else ""
        lines[-1] += f" It is {progress.fraction:.0%} done{eta}."
    curves = _ordered(case)
    if curves:
        lines += ["", "| metric | points | first | last | best | course |", "|---|---|---|---|---|---|"]
        lines += [_row(curve, direction) for curve, direction in curves[:_CURVES]]
        if len(curves) > _CURVES:
            rest = ", ".join(word(c.name, 40) for c, _ in curves[_CURVES : _CURVES + 12])
            lines += ["", f"Also logged: {mark(rest, 400)}."]
    else:
        lines += ["", "No metric was recorded, so there is no curve to speak of."]
    notes = _notes(curves)
    if notes:
        lines += ["", "**What stands out**", *[f"- {note}" for note in notes]]
    if case.alerts:
        lines += ["", "**Alerts**", *_alerts(case)]
    trouble = [c for c in diagnosis.causes if c.kind not in ("stopped",)]
    if trouble:
        lines += ["", *_cause(trouble[0], "Trouble: ")]
    elif run.status is RunStatus.FINISHED or not run.status.terminal:
        lines += ["", f"No trouble found in {_listed(diagnosis.checked)}."]
    lines += _changes(case)
    lines += ["", *_next(case, curves, bool(trouble))]
    return "\n".join(lines).rstrip()


def _ordered(case: Case) -> list[tuple[Curve, Direction]]:
    run = case.run
    found = [(c, direction_of(c.name, run.primary, run.mode)) for c in case.curves]
    return sorted(found, key=lambda p: (p[0].name != run.primary, p[1] == "", "loss" not in p[0].name.lower()))


def _at(point: tuple[float, float] | None) -> str:
    return "no data" if point is None else f"{num(point[1])} @ {shown_step(point[0])}"


def _row(curve: Curve, direction: Direction) -> str:
    best = {"min": curve.lowest, "max": curve.highest}.get(direction)
    best_text = _at(best) if direction else "-"
    ends = [_at(curve.first), _at(curve.newest)]
    return "| " + " | ".join([cell(curve.name), str(curve.total), *ends, best_text, _course(curve, direction)]) + " |"


def _course(curve: Curve, direction: Direction) -> str:
    if curve.odd_count:
        return f"{curve.odd[0][1]} from step {shown_step(curve.odd[0][0])}" if curve.odd else "not finite"
    if not direction:
        return "-"
    lost = lost_ground(curve, direction)
    if lost is not None:
        return f"lost ground since step {shown_step(lost[2])}"
    still = plateau(curve, direction)
    if still is not None:
        return f"flat since step {shown_step(still[0])}"
    points = [(x, v) for x, v in zip(curve.x, curve.last, strict=True) if v is not None]
    if len(points) < 8:
        return "too short to tell"
    half = points[len(points) // 2 :]
    quarter = max(1, len(half) // 2)
    before = sum(v for _, v in half[:quarter]) / quarter
    after = sum(v for _, v in half[-quarter:]) / quarter
    better = after < before if direction == "min" else after > before
    return "still improving" if better else "not improving any more"


def _notes(curves: Sequence[tuple[Curve, Direction]]) -> list[str]:
    notes = []
    for curve, direction in curves[:_CURVES]:
        name = mark(curve.name, 80)
        if curve.odd_count:
            at, kind = curve.odd[0] if curve.odd else (0.0, "nan")
            many = f"{curve.odd_count} values are not finite"
            notes.append(f"{name}: {many}, the first is {kind} at step {shown_step(at)}.")
        if not direction:
            continue
        lost = lost_ground(curve, direction)
        if lost is not None:
            now, best, where = lost
            then = f"its best median was {num(best)} at step {shown_step(where)}"
            notes.append(f"{name} ends at a median of {num(now)}; {then}.")
        still = plateau(curve, direction)
        if still is not None and lost is None:
            notes.append(
                f"{name} has not got better by 0.5 % since step {shown_step(still[0])}, {still[1]:.0%} of the curve."
            )
        jumps = sorted(spikes(curve, direction), key=lambda s: -s.times)[:3]
        if jumps and lost is None:
            jumps.sort(key=lambda s: s.step)
            told = ", ".join(f"{num(s.value)} at step {shown_step(s.step)}" for s in jumps)
            notes.append(f"{name} jumped: {told}.")
    return notes[:10]


def _next(case: Case, curves: Sequence[tuple[Curve, Direction]], trouble: bool) -> list[str]:
    run = case.run
    if trouble:
        return []
    for curve, direction in curves[:1]:
        if not direction:
            break
        best = curve.lowest if direction == "min" else curve.highest
        if best is None:
            break
        said = f"{mark(curve.name, 80)} was best with {num(best[1])} at step {shown_step(best[0])}"
        if plateau(curve, direction) is not None:
            tail = "It is flat since long: a lower learning rate, another schedule or a larger model would tell more."
        elif run.status is RunStatus.FINISHED and _course(curve, direction) == "still improving":
            tail = "It was still improving at the end: a longer run would go on."
        else:
            tail = "Compare it with other runs before you conclude."
        return [f"**Next**: {said} (one run, *unconfirmed*). {tail}"]
    return []


# --- side by side ----------------------------------------------------------------------------------------------------
def comparison_text(runs: Sequence[Run], metric: str, direction: Direction) -> str:
    """A table of what differs in the settings of some runs, and what came of it. runs: as doors see them."""
    lines = [f"### {len(runs)} runs side by side", ""]
    differs = differing(runs)
    same = {
        name: value
        for name, value in settings_of(runs[0]).items()
        if name not in differs and not any(name.replace("-", "_") == d.replace("-", "_") for d in differs)
    }
    names = list(differs)[:_COLUMNS]
    heads = ["run", "status", *(cell(n, 40) for n in names)]
    if metric:
        heads += [f"best {cell(metric, 60)}" if direction else f"last {cell(metric, 60)}", "last"]
    lines += ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    scored: list[tuple[float, Run, str]] = []
    for number, run in enumerate(runs):
        row = [f"{cell(run.alias or run.name, 40)} {run.id}", run.status.value]
        for name in names:
            value = differs[name][number]
            row.append("-" if value is None else cell(value if isinstance(value, str) else said_plainly(value), 40))
        if metric:
            summary = run.summary.get(metric)
            value_, step = None, None
            if summary is not None and direction:
                value_, step = (
                    (summary.max, summary.max_step) if direction == "max" else (summary.min, summary.min_step)
                )
            last = "no data" if summary is None else num(summary.last)
            if value_ is None:
                row += [last if not direction else "no data", last]
            else:
                told = f"{num(value_)} @ {step}" if step is not None else num(value_)
                scored.append((-value_ if direction == "max" else value_, run, told))
                row += [told, last + (f" ({summary.nonfinite} not finite)" if summary and summary.nonfinite else "")]
        lines.append("| " + " | ".join(row) + " |")
    lines.append("")
    if not differs:
        lines.append("No recorded setting differs between them.")
    elif len(differs) > _COLUMNS:
        more = ", ".join(word(n, 40) for n in list(differs)[_COLUMNS : _COLUMNS + 20])
        lines.append(f"Also different: {mark(more, 400)}.")
    if same:
        told = ", ".join(f"{word(n, 40)}={one_line(str(v), 40)}" for n, v in list(same.items())[:_SETTINGS])
        lines.append(f"The same in all: {mark(told, 800)}.")
    lines += _ranking(scored, runs, metric, differs)
    return "\n".join(lines)


def _ranking(
    scored: list[tuple[float, Run, str]], runs: Sequence[Run], metric: str, differs: dict[str, list[object]]
) -> list[str]:
    if len(scored) < 2:
        return ["", "There is no metric that two of them share, so none can be called better."] if len(runs) > 1 else []
    scored.sort(key=lambda s: s[0])
    (_, best, told), (_, _, second) = scored[0], scored[1]
    at = next(i for i, r in enumerate(runs) if r.id == best.id)
    had = [f"{word(n, 40)}={said_plainly(v[at])}" for n, v in differs.items() if v[at] is not None][:6]
    text = f"**Best by {mark(metric, 80)}**: {run_head(best)} with {told}; the next one has {second}."
    if had:
        text += f" It differs by {mark(', '.join(had), 300)}."
    doubt = "One run each tells little about chance: this is *unconfirmed* until it is repeated on fresh seeds."
    return ["", text, doubt]
