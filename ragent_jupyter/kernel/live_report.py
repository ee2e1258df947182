"""A report in a notebook: asked for now, composed by the rules, shown piece by piece. A written report calls it."""

from __future__ import annotations

from typing import Any

from ragent_jupyter.adapters import figures, tables
from ragent_jupyter.adapters.notebooks import effects_table
from ragent_jupyter.client import Client
from ragent_jupyter.domain.errors import NotFound
from ragent_jupyter.domain.report import Report, ReportData
from ragent_jupyter.domain.wire import CreateReport
from ragent_jupyter.rules.report import compose

from .views import ReportView


class Piece:
    """A part of a report. It shows itself; `.data` is what it shows, for further work."""

    def __init__(self, bundle: dict[str, Any], data: Any) -> None:
        self._bundle = bundle
        self.data = data

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return self._bundle

    def __repr__(self) -> str:
        return str(self._bundle["text/plain"])


class LiveReport:
    """`ragent.report(sweep)`: its pieces, computed from what is recorded now."""

    def __init__(self, client: Client, body: CreateReport, data: ReportData) -> None:
        self._client = client
        self._body = body
        self.data = data
        self.report: Report = compose(data)

    def summary(self) -> Piece:
        """The sentences: best and spread, what mattered, what failed and why, what is unconfirmed."""
        return Piece(tables.narrative_bundle(self.report.sentences), self.report.sentences)

    def trials(self) -> Piece:
        """The table of trials, best first."""
        return Piece(tables.table_bundle(self.report.trials), self.report.trials)

    def curves(self, metric: str | None = None) -> Piece:
        """The curves of a metric (default: the one that the report judges by). Raises NotFound for one it lacks."""
        wanted = metric or self.data.primary
        for spec in self.report.figures:
            if spec.title == wanted:
                return Piece(figures.bundle(spec), spec)
        known = ", ".join(spec.title for spec in self.report.figures)
        raise NotFound(f"The report has no curves of {wanted!r}.", f"It has: {known}.")

    def effects(self) -> Piece:
        """Which parameter mattered."""
        return Piece(tables.table_bundle(effects_table(self.report)), self.report.effects)

    def failures(self) -> Piece:
        """What failed and why."""
        return Piece(tables.table_bundle(self.report.failures), self.report.failures)

    def alerts(self) -> Piece:
        """The alerts and their answers."""
        return Piece(tables.table_bundle(self.report.alerts), self.report.alerts)

    def environment(self) -> Piece:
        """Versions, machine and provenance."""
        return Piece(tables.table_bundle(self.report.environment), self.report.environment)

    def save(self, path: str | None = None) -> ReportView:
        """Write it as a notebook of its own. path: inside the project; default reports/NAME.ipynb."""
        body = CreateReport(sweep=self._body.sweep, runs=self._body.runs, path=path, title=self._body.title)
        return ReportView(self._client.create_report(body))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return tables.narrative_bundle(self.report.sentences)

    def __repr__(self) -> str:
        return f"{self.report.title}\n{tables.plain(self.report.sentences)}"


def fetch(client: Client, body: CreateReport) -> LiveReport:
    query = {"sweep": body.sweep, "runs": body.runs or None, "title": body.title}
    return LiveReport(client, body, client.get("reports/data", type=ReportData, query=query))
