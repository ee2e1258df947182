"""A wild loop in a notebook: its report, computed from what is recorded now, piece by piece. A written report calls it.

Each piece shows itself and holds what it shows in `.data`, for further work.
"""

from __future__ import annotations

import re
from typing import Any

from ragent_jupyter.adapters import figures, tables
from ragent_jupyter.adapters import wild_notebook as notebook
from ragent_jupyter.client import Client
from ragent_jupyter.domain.errors import NotFound
from ragent_jupyter.domain.wild import Loop
from ragent_jupyter.domain.wild_report import WildData, WildReport
from ragent_jupyter.rules.wild_report import compose

from .live_report import Piece


class LiveWild:
    """`ragent.wild(ID)`: what the loop found, what it rests on, what it cost."""

    def __init__(self, client: Client, data: WildData) -> None:
        self._client = client
        self.data = data
        self.report: WildReport = compose(data)

    @property
    def loop(self) -> Loop:
        return self.data.view.loop

    def refresh(self) -> LiveWild:
        """The same loop as it is now."""
        return fetch(self._client, self.loop.id)

    def summary(self) -> Piece:
        """One screen: what is real, what it needs, what was tried, what it cost."""
        return Piece(notebook.summary_bundle(self.report.summary), self.report.summary)

    def claims(self) -> list[str]:
        """The ids of what is claimed."""
        return [checked.claim.id for checked in self.report.claims]

    def claim(self, id: str) -> Piece:
        """One claim, as it was recorded and as the runs' metrics give it now. Raises NotFound."""
        for checked in self.report.claims:
            if checked.claim.id == id:
                return Piece(notebook.claim_bundle(checked), checked)
        raise NotFound(f"The loop claims nothing called {id!r}.", f"It has: {', '.join(self.claims()) or 'none'}.")

    def curves(self) -> Piece:
        """The candidate beside the baseline, on the same seeds."""
        return self._figure("curves")

    def history(self) -> Piece:
        """Each run's value, the best so far, and where the noise of seeds lies."""
        return self._figure("history")

    def candidates(self) -> Piece:
        """Every configuration and its verdict."""
        return self._table("candidates")

    def ablation(self) -> Piece:
        """The winner with one change undone."""
        return self._table("ablation")

    def importance(self) -> Piece:
        """Which parameter mattered in the search."""
        effects = self.report.importance
        return Piece(tables.table_bundle(notebook.importance_table(effects)), effects)

    def nulls(self) -> Piece:
        """What was not found, and what nobody has looked at."""
        return Piece(notebook.lines_bundle(self.report.nulls), self.report.nulls)

    def failures(self) -> Piece:
        """What failed and why."""
        return self._table("failures")

    def alerts(self) -> Piece:
        """The alerts of its runs and their answers."""
        return self._table("alerts")

    def method(self) -> Piece:
        """Seeds, noise, test, hold-out, isolation, limits."""
        return self._table("method")

    def changes(self) -> Piece:
        """The changes to the code, the refused ones too, with their diffs."""
        return Piece(notebook.changes_bundle(self.report.changes), self.report.changes)

    def ledger(self) -> Piece:
        """The decisions that mattered."""
        return self._table("ledger")

    def runs(self) -> Piece:
        """Every run with its seed, value and code."""
        return self._table("runs")

    def environment(self) -> Piece:
        """Versions and the machine."""
        return self._table("environment")

    def _table(self, name: str) -> Piece:
        table = self.report.tables.get(name)
        if table is None:
            raise NotFound(f"There is nothing to show as {name}.", f"There are: {', '.join(self.report.tables)}.")
        return Piece(tables.table_bundle(table), table)

    def _figure(self, name: str) -> Piece:
        spec = self.report.figures.get(name)
        if spec is None:
            known = ", ".join(self.report.figures) or "none"
            raise NotFound(f"There is nothing to draw as {name}: no run has a value yet.", f"There are: {known}.")
        return Piece(figures.bundle(spec), spec)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return notebook.summary_bundle(self.report.summary)

    def __repr__(self) -> str:
        return str(notebook.summary_bundle(self.report.summary)["text/plain"])


def find(client: Client, ref: str | None) -> str:
    """The id of the loop that a person means; none named: the newest. Raises NotFound, BadInput for several."""
    ref = (ref or "").strip()
    if not ref:
        known = client.loops()
        if not known:
            raise NotFound("There is no wild loop in this project yet.", "`ragent wild GOAL` starts one.")
        return known[0].id
    # A report's cell names its loop whole, and must not ask for all of them.
    return ref if re.fullmatch(r"wld_\w{12}", ref) else client.find_loop(ref).id


def fetch(client: Client, loop_id: str) -> LiveWild:
    return LiveWild(client, client.get("reports/data", type=WildData, query={"loop": loop_id}))
