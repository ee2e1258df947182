"""What a model is told of a thing that was mentioned: short, exact, with the words of others on single lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ragent_jupyter.domain.alert import Alert
from ragent_jupyter.domain.chat import Session, TextPart, Turn
from ragent_jupyter.domain.ports_mind import CellView, NotebookView
from ragent_jupyter.domain.run import Run
from ragent_jupyter.domain.sweep import Sweep
from ragent_jupyter.rules.tool_text import num, one_line, setting, settings, table, when, word

MOST = 4_000  # characters of one thing
_METRICS = 25
_LOG_LINES = 20
_TRIALS = 40


def cut(text: str, most: int = MOST) -> str:
    """The text, its end left out beyond `most` characters, and that said.

    >>> len(cut("x" * 9000)) <= MOST
    True
    """
    if len(text) <= most:
        return text
    note = f"\n[cut: {len(text):,} characters in all]"
    return text[: most - len(note)] + note


def middle_cut(text: str, most: int) -> str:
    """Beginning and end of a text that is too long."""
    if len(text) <= most:
        return text
    note = f"\n[… {len(text) - most:,} characters left out …]\n"
    head = (most - len(note)) * 2 // 3
    return text[:head] + note + text[-(most - len(note) - head) :]


def run_text(run: Run, alerts: Sequence[Alert], log: str) -> str:
    lines = [f"run {run.id}, {run.status.value}, named {word(run.name)}"]
    if run.alias:
        lines[0] += f", alias {word(run.alias)}"
    if run.reason is not None:
        lines.append(f"ended because: {one_line(run.reason.text)}")
        if run.reason.log_line:
            lines.append(f"  its log: {one_line(run.reason.log_line)}")
    lines.append(f"command: {one_line(run.command, 600)}")
    if run.params:
        lines.append(f"parameters: {settings(run.params)}")
    times = [("created", run.created_at), ("started", run.started_at), ("ended", run.ended_at)]
    lines.append(", ".join(f"{name} {when(at)}" for name, at in times if at is not None))
    more = [("exit code", run.exit_code), ("sweep", run.sweep_id), ("retry of", run.retry_of), ("health", run.health)]
    said = [f"{name} {one_line(str(value), 100)}" for name, value in more if value not in (None, "")]
    if run.git is not None:
        said.append(f"commit {word(run.git.commit, 12)}{' with uncommitted changes' if run.git.dirty else ''}")
    if said:
        lines.append(", ".join(said))
    if run.notes:
        lines.append(f"notes: {one_line(run.notes, 300)}")
    if run.summary:
        rows = [
            [word(name, 60), num(s.last), s.step if s.step is not None else "-", num(s.min), num(s.max), s.nonfinite]
            for name, s in list(run.summary.items())[:_METRICS]
        ]
        lines += ["metrics:", *table(["name", "last", "at step", "min", "max", "NaN/inf"], rows)]
        if len(run.summary) > _METRICS:
            lines.append(f"and {len(run.summary) - _METRICS} more metrics")
    else:
        lines.append("metrics: none were logged")
    for alert in alerts[:5]:
        lines.append(f"alert {alert.id}, {alert.severity.value}, {alert.status.value}: {one_line(alert.title)}")
    tail = [one_line(line, 300) for line in log.splitlines() if line.strip()][-_LOG_LINES:]
    text = "\n".join(lines)
    room = MOST - len(text) - 40
    while tail and sum(len(line) + 1 for line in tail) > room:
        tail.pop(0)
    return cut("\n".join([text, f"last {len(tail)} lines of its log:", *tail]) if tail else text)


def sweep_text(sweep: Sweep, runs: dict[str, Run]) -> str:
    """runs: by id, those of its trials."""
    lines = [
        f"sweep {sweep.id}, {sweep.status.value}, named {word(sweep.name)}",
        f"command: {one_line(sweep.command, 600)}",
        f"judged by {word(sweep.primary)}, {'less' if sweep.mode == 'min' else 'more'} is better",
    ]
    if sweep.goal:
        lines.append(f"goal: {one_line(sweep.goal, 300)}")
    if sweep.reason:
        lines.append(f"ended because: {one_line(sweep.reason)}")
    rows = []
    for trial in sweep.trials[:_TRIALS]:
        run = runs.get(trial.run_ids[-1]) if trial.run_ids else None
        summary = run.summary.get(sweep.primary) if run is not None else None
        value = None if summary is None else summary.min if sweep.mode == "min" else summary.max
        state = run.status.value if run is not None else "not started"
        rows.append(
            [trial.index + 1, settings(trial.params, 12), run.id if run else "-", state, num(value), num(summary.last if summary else None)]  # noqa: E501
        )  # fmt: skip
    lines += table(["trial", "parameters", "run", "state", f"best {word(sweep.primary, 40)}", "last"], rows)
    if len(sweep.trials) > _TRIALS:
        lines.append(f"and {len(sweep.trials) - _TRIALS} more trials")
    lines.append("A best value is unconfirmed until it was run again on fresh seeds.")
    return cut("\n".join(lines))


def alert_text(alert: Alert, run: Run | None) -> str:
    seen = alert.evidence
    lines = [f"alert {alert.id} ({alert.rule}), {alert.severity.value}, {alert.status.value}: {one_line(alert.title)}"]
    lines.append(f"of run {alert.run_id}" + (f", {run.status.value}, named {word(run.name)}" if run else ""))
    lines.append(f"raised {when(alert.raised_at)}")
    if alert.text:
        lines.append(one_line(alert.text, 600))
    facts: list[tuple[str, Any]] = [
        ("metric", seen.metric), ("step", seen.step), ("value", seen.value), ("baseline", seen.baseline),
        ("threshold", seen.threshold),
    ]  # fmt: skip
    told = [
        f"{name} {word(value) if name == 'metric' else num(value)}" for name, value in facts if value not in (None, "")
    ]
    if told:
        lines.append("evidence: " + ", ".join(told))
    if seen.log_line:
        lines.append(f"its log: {one_line(seen.log_line)}")
    if seen.window:
        lines.append("steps and values before it: " + ", ".join(f"{step}: {num(v)}" for step, v in seen.window[-32:]))
    if alert.status.value == "pending":
        lines += [f"choice {choice.id}: {one_line(choice.label, 200)}" for choice in alert.choices]
    elif alert.choice:
        lines.append(f"answered {word(alert.choice)} by {word(alert.answered_by or '')} {one_line(alert.note, 200)}")
    return cut("\n".join(lines))


def report_text(report: dict[str, Any]) -> str:
    lines = [f"report {report['id']}: {one_line(str(report.get('title', '')), 200)}"]
    lines.append(f"a notebook at {word(report.get('path', ''))}, written {when(report.get('created_at'))}")
    lines += [f"- {one_line(str(finding), 500)}" for finding in report.get("findings", [])]
    return cut("\n".join(lines))


def session_text(session: Session, turns: Iterable[Turn], parts: Iterable[Any]) -> str:
    lines = [f"chat {session.id}: {one_line(session.title or 'without a title', 200)}"]
    ended = [turn for turn in turns if turn.status == "done"]
    if not ended:
        lines.append("It has no answer yet.")
        return "\n".join(lines)
    last = max(ended, key=lambda turn: turn.n)
    lines.append(f"its last question: {one_line(last.message.shown or last.message.text, 600)}")
    own = sorted((p for p in parts if p.turn_id == last.id), key=lambda p: p.index)
    said = [p.text for p in own if isinstance(p, TextPart) and p.status == "done" and p.text.strip()]
    lines.append("its last answer:")
    lines.append(said[-1].strip() if said else "(no text)")
    return cut("\n".join(lines))


def cell_text(path: str, cell: CellView) -> str:
    outputs = "\n".join(cell.outputs).strip()
    head = f"cell {cell.id} (number {cell.index + 1}, {cell.kind}) of {word(path)}"
    source = middle_cut(cell.source, 2_500)
    text = f"{head}\n{source}"
    if cell.kind == "code":
        ran = f"run as [{cell.execution_count}]" if cell.execution_count else "not run"
        text = f"{head}, {ran}\n{source}\n--- outputs ---\n{middle_cut(outputs, 1_200) if outputs else 'none'}"
    return cut(text)


def notebook_text(view: NotebookView) -> str:
    state = "open" if view.open else "not open"
    if view.dirty:
        state += ", with unsaved changes"
    lines = [f"notebook {word(view.path)}, {state}, {len(view.cells)} cells"]
    each = max(80, (MOST - 200) // max(1, len(view.cells)))
    for cell in view.cells:
        ran = f" [{cell.execution_count}]" if cell.execution_count else ""
        lines.append(f"--- cell {cell.id} ({cell.kind}){ran}")
        lines.append(middle_cut(cell.source, each) if each < len(cell.source) else cell.source)
    return cut("\n".join(lines))


def variable_text(name: str, summary: str) -> str:
    return cut(f"variable {setting(name)}: {summary}")
