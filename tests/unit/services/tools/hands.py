"""Tools in a project without processes: desks over a store in memory, real columns and logs in its run folders."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ragent_jupyter.adapters.columns import ColumnReader
from ragent_jupyter.domain.alert import Alert, Choice, Evidence, Severity
from ragent_jupyter.domain.chat import Preview
from ragent_jupyter.domain.metrics import Row
from ragent_jupyter.domain.ports_mind import CellEdit, CellView, NotebookView
from ragent_jupyter.domain.run import Run, RunStatus
from ragent_jupyter.domain.tools import ToolOutcome
from ragent_jupyter.runfiles.columns import ColumnWriter
from ragent_jupyter.services.alerts import AlertsDesk
from ragent_jupyter.services.memory import MemoryDesk
from ragent_jupyter.services.tools.alerts import alert_tools
from ragent_jupyter.services.tools.asking import asking_tools
from ragent_jupyter.services.tools.base import Tool, Toolbox, ToolContext
from ragent_jupyter.services.tools.compare import compare_tools
from ragent_jupyter.services.tools.launch import launch_tools
from ragent_jupyter.services.tools.logs import log_tools
from ragent_jupyter.services.tools.memory import memory_tools
from ragent_jupyter.services.tools.metrics import metric_tools
from ragent_jupyter.services.tools.planning import planning_tools
from ragent_jupyter.services.tools.plots import plot_tools
from ragent_jupyter.services.tools.runs import run_tools
from ragent_jupyter.services.tools.sweeps import sweep_tools
from tests.unit.services.desks import Desks


class Hands:
    def __init__(self, project: Path) -> None:
        self.project = project
        self.desks = Desks(project)
        self.shell, self.runs, self.sweeps = self.desks.shell, self.desks.runs, self.desks.sweeps
        self.alerts = AlertsDesk(self.shell, self.runs)
        self.memory = MemoryDesk(self.shell)
        self.metrics = ColumnReader()
        self.box = Toolbox()
        for family in (
            run_tools(self.runs, self.alerts), launch_tools(self.runs), compare_tools(self.runs),
            metric_tools(self.runs, self.metrics), log_tools(self.runs), sweep_tools(self.sweeps),
            alert_tools(self.alerts), plot_tools(self.runs, self.metrics), memory_tools(self.memory), asking_tools(),
            planning_tools(self.shell),
        ):  # fmt: skip
            self.add(family)

    def add(self, family: Iterable[Tool]) -> None:
        for tool in family:
            self.box.add(tool)

    # --- what there is -----------------------------------------------------------------------------------------------
    def run(self, id_: str, name: str = "train 1", *, at: float = 0.0, **fields: Any) -> Run:
        return self.desks.run(id_, name, at=at, **fields)

    def curve(self, run: Run, name: str, values: Sequence[float]) -> None:
        with ColumnWriter(self.runs.folder(run.id) / "metrics") as writer:
            writer.append([Row(n, 1000.0 + n, {name: v}) for n, v in enumerate(values)])
            writer.commit({})

    def log(self, run: Run, text: str | bytes) -> None:
        path = self.runs.folder(run.id) / "job.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)

    def alert(self, run: Run, id_: str = "alt_000000000001", **fields: Any) -> Alert:
        known: dict[str, Any] = {
            "rule": "non_finite", "severity": Severity.CRITICAL, "title": "loss became NaN at step 412",
            "raised_at": self.desks.clock.at, "default": "ignore",
            "evidence": Evidence(metric="loss", step=412, value="nan", source="metrics.jsonl", offset=9),
            "choices": [
                Choice("ignore", "ignore", "Ignore"), Choice("stop", "stop", "Stop run"),
                Choice("retry_lower_lr", "retry_with", "Lower lr to 0.03 and retry", {"lr": 0.03}),
            ],
        }  # fmt: skip
        alert = Alert(id=id_, run_id=run.id, **(known | fields))
        self.shell.alerts[id_] = alert
        return alert

    def live(self, id_: str, **fields: Any) -> Run:
        return self.run(id_, status=RunStatus.RUNNING, settled=False, **fields)

    # --- what is done ------------------------------------------------------------------------------------------------
    def context(self, call: str = "prt_1", answers: Mapping[str, Any] | None = None, **more: Any) -> ToolContext:
        fields = {"session_id": "ses_1", "turn_id": "trn_1", "mode": "ask", "by": "ada", **more}
        return ToolContext(call_id=call, answers=answers or {}, **fields)  # type: ignore[arg-type]

    async def call(self, name: str, ctx: ToolContext | None = None, /, **input: Any) -> ToolOutcome:
        """As the loop does: the arguments are validated, the preview is made, then it runs."""
        tool, args, context = self.box.get(name), self.box.arguments(name, input), ctx or self.context()
        await tool.preview(args, context)
        return await tool.run(args, context)

    def do(self, name: str, ctx: ToolContext | None = None, /, **input: Any) -> ToolOutcome:
        return asyncio.run(self.call(name, ctx, **input))

    def look(self, name: str, ctx: ToolContext | None = None, /, **input: Any) -> Preview:
        tool, args = self.box.get(name), self.box.arguments(name, input)
        return asyncio.run(tool.preview(args, ctx or self.context()))


class Books:
    """Notebooks in memory, path -> cells; keeps what was edited under which checkpoint."""

    def __init__(self) -> None:
        self.cells: dict[str, list[CellView]] = {}
        self.edits: list[tuple[str, str]] = []

    async def all(self) -> list[dict[str, Any]]:
        return [{"path": path, "open": False, "dirty": False} for path in self.cells]

    async def read(self, path: str) -> NotebookView:
        return NotebookView(path=path, cells=self.cells.setdefault(path, []))

    async def edit(self, path: str, edits: Sequence[CellEdit], *, checkpoint: str) -> NotebookView:
        for edit in edits:
            cells = self.cells.setdefault(path, [])
            cells.append(CellView(id=f"c{len(cells)}", index=len(cells), kind=edit.kind, source=edit.source))
            self.edits.append((path, checkpoint))
        return await self.read(path)

    async def run(self, path: str, cell_id: str, **_: Any) -> CellView:
        raise AssertionError("no cell is run here")

    async def undo(self, checkpoint: str) -> list[str]:
        return []

    async def variables(self, path: str, names: Sequence[str]) -> dict[str, str]:
        return {}
