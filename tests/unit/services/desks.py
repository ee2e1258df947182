"""Desks over a store in memory and a fake executor: a project without processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ragent_jupyter.adapters.executors.fake import FakeExecutor
from ragent_jupyter.adapters.store.memory import MemoryStore
from ragent_jupyter.domain.errors import NotFound
from ragent_jupyter.domain.metrics import Series
from ragent_jupyter.domain.ports_mind import CellView, FileEntry, NotebookView
from ragent_jupyter.domain.run import Interpreter, MetricSummary, Run, RunStatus
from ragent_jupyter.services.runs import RunsDesk
from ragent_jupyter.services.shell import Clock, Shell
from ragent_jupyter.services.sweeps import SweepsDesk


class StillClock(Clock):
    """Stands, until a test moves it."""

    def __init__(self, at: float = 1_795_000_000.0) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    mono = now


class Pythons:
    def resolve(self, wanted: str | None, caller: str | None) -> Interpreter:
        return Interpreter(wanted or caller or "/usr/bin/python3")


class Curves:
    """A reader of metrics from a table: (run, name) → values of steps 0, 1, 2 …"""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], list[float]] = {}

    def names(self, run_dir: str) -> list[str]:
        return [name for run, name in self.values if run_dir.endswith(run)]

    def series(self, run_dir: str, run: str, name: str, **_: Any) -> Series | None:
        found = self.values.get((run, name))
        if found is None:
            return None
        xs = [float(x) for x in range(len(found))]
        return Series(run=run, name=name, x=xs, last=list(found), raw=True, total=len(found))

    def totals(self, run_dir: str) -> dict[str, Any]:
        return {}


class Files:
    """A workspace of a few texts. `asked`: how often they were listed."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts = dict(texts)
        self.asked = 0

    def read(self, path: str, *, start: int = 1, lines: int = 400) -> tuple[str, int]:
        if path not in self.texts:
            raise NotFound(f"No file {path!r} in this project.", "List them.")
        every = self.texts[path].split("\n")
        return "\n".join(every[start - 1 : start - 1 + lines]), len(every)

    def entries(self, path: str = ".", *, depth: int = 2, limit: int = 500) -> list[FileEntry]:
        self.asked += 1
        return [FileEntry(name, "file", len(text)) for name, text in self.texts.items()]


class Books:
    """One notebook, `nb.ipynb`, of two cells and one variable."""

    cells = [
        CellView(id="c1", index=0, kind="markdown", source="# Title"),
        CellView(id="c2", index=1, kind="code", source="x = 1\nx", outputs=["1"], execution_count=3),
    ]

    async def all(self) -> list[dict[str, Any]]:
        return [{"path": "nb.ipynb", "open": True, "dirty": False}]

    async def read(self, path: str) -> NotebookView:
        if path != "nb.ipynb":
            raise NotFound(f"No notebook {path!r}.", "List them.")
        return NotebookView(path=path, cells=self.cells, open=True, dirty=True)

    async def variables(self, path: str, names: Sequence[str]) -> dict[str, str]:
        known = {"df": "DataFrame 3 x 2"}
        return {name: said for name, said in known.items() if not names or name in names}


class Desks:
    def __init__(self, project: Path) -> None:
        self.clock = StillClock()
        self.store = MemoryStore()
        self.shell = Shell(self.store, self.clock)
        self.shell.load()
        self.runs = RunsDesk(self.shell, project, {"process": FakeExecutor(project, manual=True)}, Pythons())
        self.sweeps = SweepsDesk(self.shell, self.runs, project)
        self.curves = Curves()

    def run(self, id_: str, name: str = "train 1", *, at: float = 0.0, **fields: Any) -> Run:
        known: dict[str, Any] = {
            "command": "python train.py", "argv": ["python", "train.py"], "cwd": "/", "settled": True,
            "status": RunStatus.FINISHED, "summary": {"loss": MetricSummary(last=0.25, step=7, min=0.2, max=1.0)},
        }  # fmt: skip
        run = Run(id=id_, name=name, created_at=self.clock.at + at, **(known | fields))
        self.shell.runs[id_] = run
        return run
