"""A wild loop's report as a real notebook: each cell asks ragent for its part again, its output is already embedded."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import msgspec

from ragent_jupyter.domain.report import Effect, Table
from ragent_jupyter.domain.wild_report import Checked, CodeChange, WildData, WildReport
from ragent_jupyter.domain.wire_wild import Line, Summary
from ragent_jupyter.runfiles.jsonl import atomic_write

from . import figures, tables

_TONE = {"good": "✓ ", "bad": "✕ ", "wait": "! ", "plain": ""}
_PARTS = (("Real", "real"), ("Needs", "needs"), ("Tried", "tried"), ("Cost", "cost"))  # the answer first


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """output: what executing the source displays; None for text and for a cell that shows nothing."""

    id: str
    source: str
    code: bool = True
    output: dict[str, Any] | None = None
    metadata: dict[str, Any] = {}


# --- pieces, which the kernel shows too -------------------------------------------------------------------------------
def summary_bundle(summary: Summary) -> dict[str, Any]:
    """The one screen: what is real, what it needs, what was tried, what it cost."""
    out, plain = [f"**{tables.safe(summary.title)}**"], [summary.title]
    for head, name in _PARTS:
        lines: list[Line] = getattr(summary, name)
        if lines:
            out += ["", f"### {head}", "", *(f"- {_TONE[line.tone]}{tables.safe(line.text)}" for line in lines)]
            plain += ["", head, *(f"  {line.text}" for line in lines)]
    return {"text/markdown": "\n".join(out), "text/plain": "\n".join(plain)}


def lines_bundle(lines: Sequence[Line]) -> dict[str, Any]:
    """Sentences with the ids of the runs that they rest on."""
    out = [f"- {tables.safe(line.text)}{_refs(line.refs)}" for line in lines]
    plain = [line.text + (f" [{' '.join(line.refs[:8])}]" if line.refs else "") for line in lines]
    return {"text/markdown": "\n".join(out), "text/plain": "\n".join(plain)}


def _refs(refs: Sequence[str], most: int = 8) -> str:
    if not refs:
        return ""
    shown = " ".join(refs[:most]) + (f" and {len(refs) - most} more" if len(refs) > most else "")
    return f" ({tables.safe(shown)})"


def claim_bundle(checked: Checked) -> dict[str, Any]:
    """The claim, whether its runs' metrics still say so, and both numbers side by side."""
    word = (
        "Computed again from the runs' recorded metrics: the same."
        if not checked.differs
        else f"Computed again from the runs' recorded metrics, this differs: {', '.join(checked.differs)}."
    )
    shape = tables.html(checked.table)
    mark = "✓" if not checked.differs else "✕"
    lead = f"<p><strong>{escape(checked.text)}</strong><br>{mark} {escape(word)}</p>"
    return {"text/html": lead + shape, "text/plain": f"{checked.text}\n{word}\n{tables.text(checked.table)}"}


def changes_bundle(changes: Sequence[CodeChange]) -> dict[str, Any]:
    """Each edit with its hypothesis, what became of it, and its diff."""
    out: list[str] = []
    plain: list[str] = []
    for change in changes:
        state = f"commit {change.commit[:12]}" if change.commit else f"refused: {change.problem.rstrip('.')}"
        head = change.summary or "A change that the excerpt of the ledger does not hold"
        out += [f"#### {tables.safe(head)}", "", tables.safe(f"{state}. {change.hypothesis}".strip())]
        plain += [f"{head} ({state}). {change.hypothesis}".strip(), change.diff, ""]
        if change.diff:
            # A fence longer than any in the diff: what stands in there cannot end it.
            longest = max((len(run) for run in re.findall(r"`{3,}", change.diff)), default=2)
            fence = "`" * (longest + 1)
            out += ["", f"{fence}diff", change.diff, fence, ""]
    return {"text/markdown": "\n".join(out), "text/plain": "\n".join(plain).rstrip()}


def importance_table(effects: Sequence[Effect]) -> Table:
    rows = [[e.parameter, round(e.share, 3), e.p, e.n, e.best_value] for e in effects]
    title = "Share of the variation in rank that one parameter explains, and how often chance explains as much"
    return Table(title, ["parameter", "share", "p", "n", "best value"], rows, ["l", "r", "r", "r", "r"])


# --- the notebook -----------------------------------------------------------------------------------------------------
def cells(report: WildReport, data: WildData, path: str, claims: Mapping[str, dict[str, Any]]) -> list[Cell]:
    """path: of the notebook, as a person would type it.  claims: id -> what the claim's cell carries."""
    loop = data.view.loop
    made: list[Cell] = []

    def words(id: str, *lines: str) -> None:
        made.append(Cell(id=id, source="\n".join(lines), code=False))

    def code(id: str, source: str, output: dict[str, Any] | None, metadata: dict[str, Any] | None = None) -> None:
        made.append(Cell(id=id, source=source, output=output, metadata=metadata or {}))

    def table(name: str) -> None:
        if name in report.tables:
            code(name, f"wild.{name}()", tables.table_bundle(report.tables[name]))

    goal = tables.safe(loop.goal[:300]) or "A wild loop"
    going = "" if loop.over else " The loop was not over when this was written."
    words("title", f"# {goal}", "", f"Report of the wild loop `{loop.id}`.{going}")
    code(
        "begin",
        "# Every number below is computed anew from the recorded runs when this notebook runs.\n"
        "import ragent_jupyter as ragent\n\n"
        f"wild = ragent.wild({loop.id!r})",
        None,
    )
    code("summary", "wild.summary()", summary_bundle(report.summary))
    if report.claims:
        words(
            "claims",
            "## What is claimed",
            "",
            "Each claim stands beside the same, computed again from its runs' metrics, run by run.",
        )
    for checked in report.claims:
        id = checked.claim.id
        code(id, f"wild.claim({id!r})", claim_bundle(checked), {"ragent": {"claim": claims[id]}})
    words("how", "## How it was done")
    table("method")
    if report.figures or "candidates" in report.tables:
        words("found", "## What was found")
    for name, spec in report.figures.items():
        code(name, f"wild.{name}()", figures.bundle(spec))
    table("candidates")
    if "ablation" in report.tables or report.importance:
        words("why", "## What made the difference")
    table("ablation")
    if report.importance:
        code("importance", "wild.importance()", tables.table_bundle(importance_table(report.importance)))
    words("against", "## What did not work, and what is not known")
    if report.nulls:
        code("nulls", "wild.nulls()", lines_bundle(report.nulls))
    table("failures")
    table("alerts")
    if report.changes:
        words("code", "## Changes to the code")
        code("changes", "wild.changes()", changes_bundle(report.changes))
    words("record", "## The record")
    table("ledger")
    table("runs")
    table("environment")
    words("again", *_again(report, path))
    return made


def _again(report: WildReport, path: str) -> list[str]:
    """How each claim is run again. The path is data: it stands in a code block."""
    out = ["## Run a claim again", ""]
    if not report.claims:
        return [*out, "Nothing was claimed, so there is nothing to run again."]
    out += [
        "Each line repeats a claim's own runs (same command, seeds, code and interpreter) and shows the difference.",
        "*Run All* in this notebook re-derives every number from what was recorded, without a new run.",
        "",
        "```bash",
    ]
    quoted = path if re.fullmatch(r"[\w./-]+", path) else "'" + path.replace("'", "'\\''") + "'"
    return [*out, *(f"ragent reproduce {quoted}#{c.claim.id}" for c in report.claims), "```"]


class WildNotebooks:
    """services.wild_reports.WildWriter by nbformat."""

    def write(
        self, path: Path, shown: str, report: WildReport, data: WildData, claims: Mapping[str, dict[str, Any]]
    ) -> None:
        """Validate and write the notebook, replaced whole. Raises OSError."""
        import nbformat
        from nbformat import v4

        notebook = v4.new_notebook()
        count = 0
        for cell in cells(report, data, shown, claims):
            if cell.code:
                count += 1
                made = v4.new_code_cell(cell.source, execution_count=count, metadata=cell.metadata)
                if cell.output is not None:
                    made.outputs = [v4.new_output("execute_result", data=cell.output, execution_count=count)]
            else:
                made = v4.new_markdown_cell(cell.source, metadata=cell.metadata)
            made["id"] = cell.id
            notebook.cells.append(made)
        loop = data.view.loop
        notebook.metadata = {
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "ragent": {
                "loop": loop.id,
                "end": loop.end,
                "metric": loop.setup.metric,
                "claims": [c.claim.id for c in report.claims],
                "confirmed": any(c.claim.verdict == "confirmed" for c in report.claims),
            },
        }
        nbformat.validate(notebook)
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, nbformat.writes(notebook, version=4).encode())
