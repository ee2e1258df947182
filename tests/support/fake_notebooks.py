"""Notebooks in memory: the port without files, tabs and kernels, for tests of what stands on it."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

from ragent_jupyter.adapters.notebook_hands.cells import (
    Cell,
    already_undone,
    apply_steps,
    merge,
    source_of,
    undo_steps,
)
from ragent_jupyter.adapters.notebook_hands.file import cell_views
from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotFound
from ragent_jupyter.domain.notebooks import CellChange, RanCell, steps_of
from ragent_jupyter.domain.ports_mind import CellEdit, NotebookView


class FakeNotebooks:
    """`books`: path -> cells. Code understands `print('…')`, `raise X('…')` and `sleep(seconds)`."""

    def __init__(self, **books: Sequence[str]) -> None:
        self._ids = (f"c{n}" for n in itertools.count())
        self.books: dict[str, list[Cell]] = {}
        for name, sources in books.items():
            self.books[f"{name}.ipynb"] = [self.cell(source) for source in sources]
        self.kept: dict[str, dict[str, list[CellChange]]] = {}
        self.opened: set[str] = set()
        self.values: dict[str, str] = {}
        self._until: dict[tuple[str, str], float] = {}

    def cell(self, source: str, kind: str = "code") -> Cell:
        made: Cell = {"cell_type": kind, "id": next(self._ids), "metadata": {}, "source": source}
        return made | ({"outputs": [], "execution_count": None} if kind == "code" else {})

    def _book(self, path: str) -> list[Cell]:
        if path not in self.books:
            raise NotFound(f"There is no notebook {path!r}.", "list_notebooks shows what is there.")
        return self.books[path]

    async def all(self) -> list[dict[str, Any]]:
        return [{"path": p, "open": p in self.opened, "dirty": p in self.opened} for p in sorted(self.books)]

    async def read(self, path: str) -> NotebookView:
        return NotebookView(path=path, cells=cell_views(self._book(path)), open=path in self.opened, kernel="python3")

    async def edit(self, path: str, edits: Sequence[CellEdit], *, checkpoint: str) -> NotebookView:
        if not edits:
            raise BadInput("No edit was given.")
        after, changes, _ = apply_steps(self._book(path), steps_of(edits), new_id=lambda: next(self._ids))
        kept = self.kept.setdefault(checkpoint, {})
        kept[path] = merge(kept.get(path, []), changes)
        self.books[path] = after
        return await self.read(path)

    async def undo(self, checkpoint: str) -> list[str]:
        paths = []
        for path, changes in list(self.kept.get(checkpoint, {}).items()):
            todo = [c for c in changes if not already_undone(self.books[path], c)]
            after, _, left = apply_steps(
                self.books[path], undo_steps(todo), new_id=lambda: next(self._ids), strict=False
            )
            self.books[path] = after
            self.kept[checkpoint][path] = [c for c in changes if c.id in left]
            if len(left) < len(changes):
                paths.append(path)
        return paths

    async def run(
        self, path: str, cell_id: str, *, stop: asyncio.Event, said: Callable[[str], None], timeout_s: float = 120.0
    ) -> RanCell:
        cell = next((c for c in self._book(path) if c["id"] == cell_id), None)
        if cell is None:
            raise NotFound(f"There is no cell {cell_id!r} here.")
        if cell["cell_type"] != "code":
            raise CannotBeDone(f"The cell {cell_id!r} is no code.")
        source, state = source_of(cell), "done"
        outputs: list[Cell] = []
        for text in re.findall(r"print\('(.*?)'\)", source):
            said(text + "\n")
            outputs.append({"output_type": "stream", "name": "stdout", "text": text + "\n"})
        key = (path, cell_id)
        for seconds in re.findall(r"sleep\((.*?)\)", source):
            until = self._until.setdefault(key, time.monotonic() + float(seconds))
            try:
                await asyncio.wait_for(stop.wait(), max(0, min(timeout_s, until - time.monotonic())))
                state = "stopped"
                del self._until[key]
            except asyncio.TimeoutError:
                if time.monotonic() < until:
                    state = "running"
                else:
                    del self._until[key]
        raised = re.search(r"raise (\w+)\('(.*?)'\)", source)
        if raised:
            state = "error"
            outputs.append({"output_type": "error", "ename": raised[1], "evalue": raised[2], "traceback": []})
        cell["outputs"], cell["execution_count"] = outputs, 1
        view = next(c for c in cell_views(self.books[path]) if c.id == cell_id)
        return RanCell(**{f: getattr(view, f) for f in view.__struct_fields__}, state=state)  # type: ignore[arg-type]

    async def interrupt(self, path: str) -> bool:
        return False

    async def running(self, path: str) -> list[str]:
        return [cell for p, cell in self._until if p == path]

    async def variables(self, path: str, names: Sequence[str]) -> dict[str, str]:
        return {name: self.values.get(name, "not defined") for name in names}

    def file_hash(self, path: str) -> str:
        return hashlib.sha256(repr(self.books[path]).encode()).hexdigest() if path in self.books else ""
