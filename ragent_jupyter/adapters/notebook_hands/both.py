"""The Notebooks port: an open notebook through its tab, any other on its file. Chooses anew at every call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotFound
from ragent_jupyter.domain.notebooks import (
    CellChange,
    GiveVerdict,
    RanCell,
    Review,
    ReviewCell,
    steps_of,
)
from ragent_jupyter.domain.ports_mind import CellEdit, CellView, NotebookView

from .cells import source_of, undo_steps
from .checkpoints import Checkpoints
from .file import FileNotebooks
from .kernel import STOP_S, EngineKernels, Running, wait_for
from .open import Tabs
from .outputs import cut, digests, plain
from .summaries import expressions, needs_python, read_back

MAX_WAIT_S = 3600.0


class BothNotebooks:
    """domain.notebooks.NotebookHands of one project. One call at a time works on a notebook."""

    def __init__(self, files: FileNotebooks, tabs: Tabs, kernels: EngineKernels, checkpoints: Checkpoints) -> None:
        self.files = files
        self.tabs = tabs
        self.kernels = kernels
        self.checkpoints = checkpoints
        self._locks: dict[str, asyncio.Lock] = {}
        self._swept = False

    # --- looking ------------------------------------------------------------------------------------------------
    async def all(self) -> list[dict[str, Any]]:
        names = await asyncio.to_thread(self.files.all)
        opened = {}
        for real, notebook in self.tabs.open().items():
            opened[Path(real).relative_to(self.files.project).as_posix()] = notebook.dirty
        return [
            {"path": name, "open": name in opened, "dirty": opened.get(name, False)}
            for name in sorted({*names, *opened})
        ]

    async def read(self, path: str) -> NotebookView:
        name, real = self.files.find(path)
        if self.tabs.tab_of(real) is not None:
            return _view(name, await self.tabs.ask(real, "read", {}))
        return await asyncio.to_thread(self.files.view, path)

    def file_hash(self, path: str) -> str:
        return self.files.file_hash(path)

    async def running(self, path: str) -> list[str]:
        name, real = self.files.find(path)
        if self.tabs.tab_of(real) is not None:
            return [str(one) for one in (await self.tabs.ask(real, "read", {})).get("running", [])]
        run = self.kernels.running(name)
        return [run.cell] if run is not None else []

    # --- changing -----------------------------------------------------------------------------------------------
    async def edit(self, path: str, edits: Sequence[CellEdit], *, checkpoint: str) -> NotebookView:
        if not edits:
            raise BadInput("No edit was given.", "Give at least one.")
        name, real = self.files.find(path)
        steps = steps_of(edits)
        if not self._swept:
            self._swept = True
            await asyncio.to_thread(self.checkpoints.prune)
        async with self._lock(name):
            self.checkpoints.of(checkpoint, name)  # an id that could keep nothing is refused before anything is done
            if self.tabs.tab_of(real) is not None:
                result = await self.tabs.ask(real, "apply", {"steps": msgspec.to_builtins(steps), "strict": True})
                changes = msgspec.convert(result.get("changes", []), list[CellChange])
                await asyncio.to_thread(self.checkpoints.add, checkpoint, name, changes)
                view = _view(name, result)
            else:

                def keep(changes: list[CellChange]) -> None:
                    self.checkpoints.add(checkpoint, name, changes)

                view, _ = await asyncio.to_thread(self.files.apply, path, steps, keep)
        self.tabs.tell_review(name)
        return view

    async def undo(self, checkpoint: str) -> list[str]:
        """Paths of the notebooks that were changed back. Cells that a person accepted or changed since stay."""
        paths = []
        for kept in self.checkpoints.of_id(checkpoint):
            review = await self._take_back(checkpoint, kept.path, None)
            if len(review.left) < len(kept.changes):
                paths.append(kept.path)
        return paths

    async def _take_back(self, checkpoint: str, path: str, cells: set[str] | None) -> Review:
        """Undo a checkpoint's changes of one notebook: those of `cells`, or all that were not accepted."""
        name, real = self.files.find(path)
        async with self._lock(name):
            kept = self.checkpoints.of(checkpoint, name)
            wanted = [c for c in kept if (c.id in cells if cells is not None else not c.accepted)]
            left: list[str] = []
            if wanted:
                left = await self._undo(real, name, wanted)
                gone = {c.id for c in wanted} - set(left)
                await asyncio.to_thread(self.checkpoints.put, checkpoint, name, [c for c in kept if c.id not in gone])
        self.tabs.tell_review(name)
        return Review(path=name, left=left)

    async def _undo(self, real: Path, name: str, changes: list[CellChange]) -> list[str]:
        if self.tabs.tab_of(real) is None:
            return (await asyncio.to_thread(self.files.undo, name, changes))[1]
        steps = msgspec.to_builtins(undo_steps(changes))
        result = await self.tabs.ask(real, "apply", {"steps": steps, "strict": False})
        return [str(one) for one in result.get("left", [])]

    # --- review -------------------------------------------------------------------------------------------------
    def review(self, path: str) -> Review:
        """What waits for a person's word; of a cell that several turns changed, the newest change."""
        name, _ = self.files.find(path)
        found: dict[str, ReviewCell] = {}
        for checkpoint, changes in self.checkpoints.of_path(name):
            for change in changes:
                if not change.accepted:
                    found[change.id] = ReviewCell(
                        id=change.id,
                        checkpoint=checkpoint,
                        action=change.action,
                        kind=change.kind,
                        before=source_of(change.before) if change.before else "",
                        after=change.after or "",
                        place=change.place[:20],
                    )
        return Review(path=name, cells=list(found.values()))

    async def decide(self, word: GiveVerdict) -> Review:
        """A person's word on cells; the answer tells what still waits, and what could not be taken back."""
        shown = self.review(word.path)
        wanted = set(word.cells) if word.cells else {cell.id for cell in shown.cells}
        unknown = wanted - {cell.id for cell in shown.cells}
        if unknown:
            raise NotFound(f"No change of {sorted(unknown)[0]!r} waits for a word.", "Read the review again.")
        left: list[str] = []
        # Newest turn first: what an older one left is what a newer one began with.
        for checkpoint in dict.fromkeys(cell.checkpoint for cell in reversed(shown.cells)):
            mine = {cell.id for cell in shown.cells if cell.id in wanted and cell.checkpoint == checkpoint}
            if not mine:
                continue
            if word.verdict == "reject":
                left += (await self._take_back(checkpoint, shown.path, mine)).left
            else:
                async with self._lock(shown.path):
                    kept = self.checkpoints.of(checkpoint, shown.path)
                    after = [replace(c, accepted=True) if c.id in mine else c for c in kept]
                    # All agreed to: nothing is left to ask or to take back.
                    after = [] if all(c.accepted for c in after) else after
                    await asyncio.to_thread(self.checkpoints.put, checkpoint, shown.path, after)
        self.tabs.tell_review(shown.path)
        return replace(self.review(word.path), left=left)

    # --- running ------------------------------------------------------------------------------------------------
    async def run(
        self,
        path: str,
        cell_id: str,
        *,
        stop: asyncio.Event,
        said: Callable[[str], None],
        timeout_s: float = 120.0,
    ) -> RanCell:
        if not 0 < timeout_s <= MAX_WAIT_S:
            raise BadInput(f"timeout_s is {timeout_s:g}.", f"Give 1 to {MAX_WAIT_S:.0f} seconds.")
        name, real = self.files.find(path)
        began = time.monotonic()
        if self.tabs.tab_of(real) is not None:

            def plainly(text: str) -> None:
                said(plain(text))

            result = await self.tabs.ask(real, "run", {"cell": cell_id}, said=plainly, stop=stop, leave_s=timeout_s)
            ran = msgspec.convert(result.get("cell"), RanCell)
            return replace(_clean(ran), seconds=time.monotonic() - began)
        view = await asyncio.to_thread(self.files.view, path)
        cell = next((c for c in view.cells if c.id == cell_id), None)
        if cell is None:
            ids = ", ".join(c.id for c in view.cells[:100]) or "none"
            raise NotFound(f"There is no cell {cell_id!r} here.", f"The cells are: {ids}.")
        if cell.kind != "code":
            raise CannotBeDone(f"The cell {cell_id!r} is {cell.kind}, not code.", "Run a code cell.")

        async def ended(run: Running) -> None:
            await asyncio.to_thread(self.files.put_outputs, name, run.cell, run.source, run.outputs, run.count)

        run = self.kernels.running(name)
        if run is None or run.cell != cell_id:
            if stop.is_set():
                return RanCell(**_fields(cell), state="stopped")
            run = await self.kernels.start(name, real.parent, view.kernel, cell_id, cell.source, ended)
        run.said = said
        why = await wait_for(run, stop, timeout_s)
        if why == "stop":
            await self.kernels.interrupt(name, run)
            await wait_for(run, asyncio.Event(), STOP_S)
        run.said = lambda text: None
        fields = _fields(cell) | {"outputs": digests(run.outputs), "execution_count": run.count, "source": run.source}
        return RanCell(**fields, state=run.state, seconds=time.monotonic() - began)

    async def interrupt(self, path: str) -> bool:
        name, real = self.files.find(path)
        if self.tabs.tab_of(real) is not None:
            return bool((await self.tabs.ask(real, "interrupt", {})).get("interrupted"))
        return await self.kernels.interrupt(name)

    async def variables(self, path: str, names: Sequence[str]) -> dict[str, str]:
        name, real = self.files.find(path)
        if self.tabs.tab_of(real) is None:
            return await self.kernels.variables(name, list(names))
        result = await self.tabs.ask(real, "variables", {"expressions": expressions(names)})
        needs_python(str(result.get("language", "")))
        return read_back(result.get("expressions") or {})

    @property
    def busy(self) -> bool:
        """Whether a cell runs that the engine must be there for."""
        return self.kernels.busy

    async def close(self) -> None:
        await self.kernels.close()

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())


def _fields(cell: CellView) -> dict[str, Any]:
    return {name: getattr(cell, name) for name in cell.__struct_fields__}


Told = TypeVar("Told", bound=CellView)


def _clean(cell: Told) -> Told:
    """What a page sent: cut and plain, whatever it did itself."""
    return replace(cell, outputs=[cut(plain(text)) for text in cell.outputs[:100]])


def _view(name: str, result: dict[str, Any]) -> NotebookView:
    cells = [_clean(cell) for cell in msgspec.convert(result.get("cells", []), list[CellView])]
    return NotebookView(
        path=name, cells=cells, open=True, dirty=bool(result.get("dirty")), kernel=str(result.get("kernel", ""))
    )
