"""A report as a real notebook: cells that ask ragent for the numbers, with the outputs they give already embedded."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from ragent_jupyter.domain.report import Report, ReportData
from ragent_jupyter.runfiles.jsonl import atomic_write

from . import figures, tables


def report_cells(report: Report, data: ReportData) -> list[tuple[str, str, dict[str, Any] | None]]:
    """(kind, source, output bundle) of each cell. The bundle is what executing the source displays."""
    what = repr(data.sweep.id) if data.sweep else repr([r.id for r in data.runs])
    title = f", title={data.title!r}" if data.title else ""
    cells: list[tuple[str, str, dict[str, Any] | None]] = [
        ("markdown", f"# {tables.safe(report.title)}", None),
        (
            "code",
            "# Every number below is asked for anew when this notebook runs: run all cells after new results.\n"
            "import ragent_jupyter as ragent\n\n"
            f"report = ragent.report({what}{title})",
            None,
        ),
        ("code", "report.summary()", tables.narrative_bundle(report.sentences)),
        ("code", "report.trials()", tables.table_bundle(report.trials)),
    ]
    for spec in report.figures:
        cells.append(("code", f"report.curves({spec.title!r})", figures.bundle(spec)))
    if report.effects:
        cells.append(("code", "report.effects()", tables.table_bundle(effects_table(report))))
    cells.append(("code", "report.failures()", tables.table_bundle(report.failures)))
    cells.append(("code", "report.alerts()", tables.table_bundle(report.alerts)))
    cells.append(("code", "report.environment()", tables.table_bundle(report.environment)))
    return cells


def effects_table(report: Report) -> Any:
    from ragent_jupyter.domain.report import Table

    rows = [[e.parameter, round(e.share, 3), e.p, e.n, e.best_value] for e in report.effects]
    title = "Share of the variation in rank that one parameter explains, and how often chance explains as much"
    return Table(title, ["parameter", "share", "p", "n", "best value"], rows, ["l", "r", "r", "r", "r"])


class NotebookReports:
    """services.reports.NotebookWriter by nbformat."""

    def write(self, path: Path, report: Report, data: ReportData) -> None:
        """Validate and write the notebook, replaced whole. Raises OSError."""
        import nbformat
        from nbformat import v4

        notebook = v4.new_notebook()
        count = 0
        for number, (kind, source, output) in enumerate(report_cells(report, data)):
            # Ids from the content's place: the same report gives the same file, which diffs well.
            cell_id = hashlib.sha256(f"{report.title}:{number}:{source}".encode()).hexdigest()[:8]
            if kind == "markdown":
                cell = v4.new_markdown_cell(source)
            else:
                count += 1
                cell = v4.new_code_cell(source, execution_count=count)
                if output is not None:
                    cell.outputs = [v4.new_output("execute_result", data=output, execution_count=count)]
            cell["id"] = cell_id
            notebook.cells.append(cell)
        notebook.metadata = {
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "ragent": {
                "sweep": data.sweep.id if data.sweep else None,
                "runs": [r.id for r in data.runs],
                "primary": data.primary,
                "best_run": report.best_run,
                "confirmed": report.confirmed,
            },
        }
        nbformat.validate(notebook)
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, nbformat.writes(notebook, version=4).encode())
