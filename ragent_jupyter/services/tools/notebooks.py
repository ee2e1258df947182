"""Tools about notebooks: list, read, edit, run a cell, interrupt it. Every path is named; there is no active one.

A cell is edited only as it was last seen: by the model that asks, and by the person who approved. If it changed since,
nothing is done and the model reads what it holds now.
"""

from __future__ import annotations

import asyncio
import difflib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import Any, Literal

from msgspec import Struct

from ragent_jupyter.domain.chat import Preview, Touched
from ragent_jupyter.domain.errors import BadInput, NotFound, WrongMoment
from ragent_jupyter.domain.notebooks import NotebookHands, RanCell
from ragent_jupyter.domain.ports_mind import CellEdit, CellView, NotebookView
from ragent_jupyter.domain.tools import ToolOutcome, ToolSpec
from ragent_jupyter.rules.redact import GONE, redact
from ragent_jupyter.rules.tool_text import code, fit, word

from .base import SimpleTool, Tool, ToolContext

_TEXT = 26_000
_SOURCE = 4_000  # characters of a cell's source, if no cell was asked for by name
_OUTPUTS = 1_500
_LISTED = 200
_REMEMBERED = 100  # notebooks whose cells are known to have been read


class ListNotebooks(Struct, frozen=True, forbid_unknown_fields=True):
    query: str = ""


class ReadNotebook(Struct, frozen=True, forbid_unknown_fields=True):
    path: str
    cells: list[str] = []
    outputs: bool = True


class Act(Struct, frozen=True, forbid_unknown_fields=True):
    action: Literal["insert", "edit", "replace", "delete"]
    id: str = ""
    kind: Literal["code", "markdown", "raw"] = "code"
    source: str = ""
    old: str = ""
    new: str = ""


class EditNotebook(Struct, frozen=True, forbid_unknown_fields=True):
    path: str
    edits: list[Act]


class RunCell(Struct, frozen=True, forbid_unknown_fields=True):
    path: str
    cell: str
    timeout_s: float = 120.0


class StopCell(Struct, frozen=True, forbid_unknown_fields=True):
    path: str


class NotebookTools:
    """blacken: takes secrets out of what is shown."""

    def __init__(self, notebooks: NotebookHands, blacken: Callable[[str], str] = redact) -> None:
        self.notebooks = notebooks
        self.blacken = blacken
        # (session, path) -> cell id -> its source as the model has seen it whole.
        self._seen: OrderedDict[tuple[str, str], dict[str, str]] = OrderedDict()

    # --- looking ------------------------------------------------------------------------------------------------
    async def list_notebooks(self, args: ListNotebooks, ctx: ToolContext) -> ToolOutcome:
        found = [b for b in await self.notebooks.all() if args.query.lower() in b["path"].lower()]
        if not found:
            what = f"whose path holds {word(args.query)}" if args.query else "in this project"
            return ToolOutcome(text=f"There is no notebook {what}.")
        lines = []
        for book in found[:_LISTED]:
            state = " (open in JupyterLab, unsaved changes)" if book["dirty"] else ""
            state = state or (" (open in JupyterLab)" if book["open"] else "")
            lines.append(word(book["path"]) + state)
        if len(found) > _LISTED:
            lines.append(f"and {len(found) - _LISTED} more; name a part of the path as query")
        return ToolOutcome(text=self.blacken("\n".join(lines)), untrusted="names of notebooks")

    async def read_notebook(self, args: ReadNotebook, ctx: ToolContext) -> ToolOutcome:
        view = await self.notebooks.read(args.path)
        running = await self.notebooks.running(args.path)
        cells = [_cell(view, ref) for ref in args.cells] if args.cells else view.cells
        whole = bool(args.cells)
        shown = [_shown(cell, whole, args.outputs, cell.id in running) for cell in cells]
        head = f"notebook {word(view.path)}, {_state(view)}, {len(view.cells)} cells"
        text = fit(self.blacken("\n".join([head, *shown])), _TEXT, "Name fewer cells in `cells`.")
        # What was cut away was not seen; a cell that stands behind the cut neither.
        room = _TEXT - len(head)
        for cell, said in zip(cells, shown, strict=True):
            room -= len(said) + 1
            if room < 200:
                break
            if whole or len(cell.source) <= _SOURCE:
                self._saw(ctx, view.path, cell)
        data = {"card": "notebook", "path": view.path, "cells": [cell.id for cell in cells][:50]}
        return ToolOutcome(text=text, data=data, untrusted=f"notebook {view.path}")

    # --- editing ------------------------------------------------------------------------------------------------
    async def preview_edit(self, args: EditNotebook, ctx: ToolContext) -> Preview:
        view = await self.notebooks.read(args.path)
        edits = self._edits(view, args, ctx)
        details = []
        if view.open:
            details.append("It is open in JupyterLab: the edit goes into the open document, unsaved work stays.")
        elif any(e.action == "edit" for e in edits):
            details.append("The outputs of edited cells are cleared.")
        details.append("It can be undone cell by cell, or all at once.")
        return Preview(
            title=f"Edit {word(view.path)}: {_counted(edits)}",
            diff=self.blacken(_diff(view, edits)),
            details=details,
            # The hash of an open document's file says nothing of what is in the tab; the diff is bound instead.
            touches=[] if view.open else [Touched(path=view.path, sha256=await self._hash(view.path))],
            pattern=_pattern("edit_notebook", view.path),
        )

    async def edit_notebook(self, args: EditNotebook, ctx: ToolContext) -> ToolOutcome:
        before = await self.notebooks.read(args.path)
        edits = self._edits(before, args, ctx)
        diff = self.blacken(_diff(before, edits))
        view = await self.notebooks.edit(args.path, edits, checkpoint=ctx.turn_id)
        old = {cell.id: cell.source for cell in before.cells}
        changed = [cell for cell in view.cells if old.get(cell.id) != cell.source]
        for cell in changed:
            self._saw(ctx, view.path, cell)
        lines = [f"Done: {_counted(edits)} in {word(view.path)}."]
        lines += [
            f"cell {cell.id} is number {cell.index + 1} ({cell.kind}{'' if cell.id in old else ', new'})"
            for cell in changed
        ]
        if view.open:
            lines.append("It is open in JupyterLab: the person sees each change and may reject it.")
        data = {"card": "notebook", "path": view.path, "cells": [cell.id for cell in changed], "diff": diff}
        return ToolOutcome(text="\n".join(lines), data=data)

    def _edits(self, view: NotebookView, args: EditNotebook, ctx: ToolContext) -> list[CellEdit]:
        """The edits as they are applied, each bound to what its cell holds. Raises what the model should read."""
        if not args.edits:
            raise BadInput("No edit was given.", "Give at least one.")
        seen = self._seen.get((ctx.session_id, view.path), {})
        now = {cell.id: cell.source for cell in view.cells}
        edits = []
        for act in args.edits:
            if act.action == "insert":
                self._no_secret(act.source, "")
                before = _cell(view, act.id).id if act.id else ""
                edits.append(CellEdit(action="insert", id=before, kind=act.kind, source=act.source))
                continue
            cell = _cell(view, act.id)
            if cell.id not in seen:
                raise WrongMoment(
                    f"Cell {cell.id} was not read whole in this chat.", f"read_notebook with cells=[{cell.id!r}] first."
                )
            if seen[cell.id] != cell.source:
                self._saw(ctx, view.path, cell)
                raise WrongMoment(
                    f"Cell {cell.id} was changed since you read it; nothing was done.",
                    f"It holds now:\n{fit(self.blacken(cell.source), 8_000)}",
                )
            if act.action == "delete":
                edits.append(CellEdit(action="delete", id=cell.id, expect=now[cell.id]))
                continue
            source = act.source
            if act.action == "replace":
                source = _replaced(cell.id, now[cell.id], act)
            self._no_secret(source, cell.source)
            # Several replacements in one cell build on each other.
            edits.append(CellEdit(action="edit", id=cell.id, source=source, expect=now[cell.id]))
            now[cell.id] = source
        return edits

    def _no_secret(self, source: str, before: str) -> None:
        if source.count(GONE) > before.count(GONE):
            raise BadInput(
                f"The new text holds {GONE}, which stands for a secret that you are not shown.",
                "Use action replace on the other lines, so that the secret stays as it is.",
            )

    async def _hash(self, path: str) -> str:
        return await asyncio.to_thread(self.notebooks.file_hash, path)

    def _saw(self, ctx: ToolContext, path: str, cell: CellView) -> None:
        key = (ctx.session_id, path)
        self._seen.setdefault(key, {})[cell.id] = cell.source
        self._seen.move_to_end(key)
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)

    # --- running ------------------------------------------------------------------------------------------------
    async def preview_run(self, args: RunCell, ctx: ToolContext) -> Preview:
        view = await self.notebooks.read(args.path)
        cell = _code(_cell(view, args.cell))
        where = (
            "In the kernel of the notebook that is open in JupyterLab." if view.open else "In a kernel of ragent's own."
        )
        return Preview(
            title=f"Run cell {cell.index + 1} of {word(view.path)}",
            command=self.blacken(cell.source),
            cwd=str(PurePosixPath(view.path).parent),
            details=[where, f"Waited for at most {args.timeout_s:g} s; then it goes on by itself."],
            pattern=_pattern("run_cell", view.path),
        )

    async def run_cell(self, args: RunCell, ctx: ToolContext) -> ToolOutcome:
        view = await self.notebooks.read(args.path)
        cell = _code(_cell(view, args.cell))

        def said(text: str) -> None:
            ctx.said(self.blacken(text))

        ran = await self.notebooks.run(args.path, cell.id, stop=ctx.stop, said=said, timeout_s=args.timeout_s)
        text = fit(self.blacken(_ran(ran)), _TEXT, f"read_notebook with cells=[{cell.id!r}].")
        data = {"card": "notebook", "path": view.path, "cells": [cell.id]}
        return ToolOutcome(
            text=text, data=data, is_error=ran.state == "error", untrusted=f"outputs of cell {cell.id} of {view.path}"
        )

    async def preview_stop(self, args: StopCell, ctx: ToolContext) -> Preview:
        view = await self.notebooks.read(args.path)
        return Preview(
            title=f"Interrupt the kernel of {word(view.path)}",
            details=["Whatever runs in it is interrupted, a person's cell too." if view.open else "Its cell ends."],
            pattern=_pattern("stop_cell", view.path),
        )

    async def stop_cell(self, args: StopCell, ctx: ToolContext) -> ToolOutcome:
        done = await self.notebooks.interrupt(args.path)
        return ToolOutcome(text="Interrupted." if done else "Nothing was running there.")


def _pattern(tool: str, path: str) -> str:
    """What "always" would allow; nothing where the path itself would read as a pattern."""
    return "" if any(char in path for char in "*?[\n\r") else f"{tool}:{path}"


def _cell(view: NotebookView, ref: str) -> CellView:
    """A cell by its id, or by its number from 1."""
    for cell in view.cells:
        if cell.id == ref:
            return cell
    if ref.isdecimal() and 1 <= int(ref) <= len(view.cells):
        return view.cells[int(ref) - 1]
    known = ", ".join(cell.id for cell in view.cells[:60]) or "none"
    raise NotFound(f"{word(view.path)} has no cell {word(ref)}.", f"Its cells in order: {known}.")


def _code(cell: CellView) -> CellView:
    if cell.kind != "code":
        raise BadInput(f"Cell {cell.id} is {cell.kind}, not code.", "Run a code cell.")
    return cell


def _state(view: NotebookView) -> str:
    if not view.open:
        return "not open"
    return "open in JupyterLab, with unsaved changes" if view.dirty else "open in JupyterLab"


def _shown(cell: CellView, whole: bool, outputs: bool, running: bool) -> str:
    ran = ""
    if cell.kind == "code":
        ran = f", run as [{cell.execution_count}]" if cell.execution_count else ", not run"
        ran = ", running now" if running else ran
    source = cell.source if whole else fit(cell.source, _SOURCE, f"Ask for cells=[{cell.id!r}].")
    lines = [f"--- cell {cell.id} (number {cell.index + 1}, {cell.kind}{ran})", source]
    if outputs and cell.outputs:
        limit = _TEXT // 2 if whole else _OUTPUTS
        lines += ["--- its outputs", fit("\n".join(cell.outputs), limit, f"Ask for cells=[{cell.id!r}].")]
    return "\n".join(lines)


def _ran(ran: RanCell) -> str:
    says = {
        "done": f"Cell {ran.id} ran in {ran.seconds:.1f} s.",
        "error": f"Cell {ran.id} ended with an error after {ran.seconds:.1f} s.",
        "stopped": f"Cell {ran.id} was stopped.",
        "running": (
            f"Cell {ran.id} still runs after {ran.seconds:.0f} s and goes on. run_cell on it again waits for it and "
            "does not begin it anew; read_notebook shows its outputs so far; stop_cell interrupts it."
        ),
    }
    lines = [says[ran.state]]
    if ran.outputs:
        lines += ["--- outputs", "\n".join(ran.outputs)]
    elif ran.state == "done":
        lines.append("It gave no output.")
    return "\n".join(lines)


def _replaced(id_: str, source: str, act: Act) -> str:
    count = source.count(act.old) if act.old else 0
    if count != 1:
        how = "is not there" if not count else f"is there {count} times"
        raise BadInput(
            f"In cell {id_}, the old text {how}: {code(act.old, 200)}.", "Give a text that stands there exactly once."
        )
    return source.replace(act.old, act.new, 1)


def _counted(edits: Sequence[CellEdit]) -> str:
    said = []
    for action, verb in (("edit", "changed"), ("insert", "added"), ("delete", "deleted")):
        count = len({e.id for e in edits if e.action == action}) if action == "edit" else 0
        count = count or sum(e.action == action for e in edits)
        if count:
            said.append(f"{count} cell{'s' if count > 1 else ''} {verb}")
    return ", ".join(said)


def _diff(view: NotebookView, edits: Sequence[CellEdit]) -> str:
    """A unified diff with one piece for each cell."""
    first = {cell.id: cell for cell in view.cells}
    last: dict[str, str] = {}
    pieces: list[str] = []
    for edit in edits:
        if edit.action == "edit":
            last[edit.id] = edit.source
    for edit in edits:
        if edit.action == "insert":
            at = f"before {edit.id}" if edit.id else "at the end"
            pieces.append(_piece("", edit.source, "/dev/null", f"new {edit.kind} cell, {at}"))
        elif edit.action == "delete":
            pieces.append(_piece(first[edit.id].source, "", f"cell {edit.id}", "/dev/null"))
        elif edit.id in last:
            name = f"cell {edit.id}"
            pieces.append(_piece(first[edit.id].source, last.pop(edit.id), name, name))
    return "".join(pieces)


def _piece(before: str, after: str, old: str, new: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), old, new, lineterm="")
    text = "\n".join(lines)
    # An empty cell that comes or goes has no lines to compare, but it comes or goes.
    return f"{text}\n" if text else f"--- {old}\n+++ {new}\n"


_PATH = "path: as list_notebooks shows it."
_CELL_REFS = "A cell is named by its id; its number from 1 is understood too."


def notebook_tools(notebooks: NotebookHands, blacken: Callable[[str], str] = redact) -> list[Tool]:
    tools = NotebookTools(notebooks, blacken)
    made: list[tuple[str, str, str, type[Struct], str, str, Any, Any]] = [
        (
            "list_notebooks",
            "List notebooks",
            "The project's notebooks, and which are open in JupyterLab. query: a part of the path.",
            ListNotebooks,
            "read",
            "again",
            tools.list_notebooks,
            None,
        ),
        (
            "read_notebook",
            "Read a notebook",
            f"Cells of a notebook with ids, sources and outputs, unsaved work included. {_PATH} cells: only these, "
            f"whole; leave it empty for all. outputs: false leaves outputs out. {_CELL_REFS} Images are named, not "
            "shown.",
            ReadNotebook,
            "read",
            "again",
            tools.read_notebook,
            None,
        ),
        (
            "edit_notebook",
            "Edit a notebook",
            f"Edit cells, all or none. {_PATH} edits, in order: action `replace` puts `new` for `old`, which stands "
            "exactly once in cell `id`; `edit` sets the whole `source` of cell `id`, its kind stays; `insert` adds a "
            "cell of `kind` with `source` before cell `id`, or at the end without id; `delete` removes cell `id`. Only "
            f"cells that you have read can be changed. {_CELL_REFS} The person can undo each change.",
            EditNotebook,
            "edit",
            "once",
            tools.edit_notebook,
            tools.preview_edit,
        ),
        (
            "run_cell",
            "Run a cell",
            f"Execute one code cell and read its outputs; they are kept in the notebook. {_PATH} cell: {_CELL_REFS} "
            "timeout_s: how long to wait, up to 3600; after that the cell goes on and running it again waits for it. "
            "For training use launch_run instead: a run outlives kernel and browser.",
            RunCell,
            "run",
            "once",
            tools.run_cell,
            tools.preview_run,
        ),
        (
            "stop_cell",
            "Interrupt a cell",
            f"Interrupt what runs in the kernel of a notebook. {_PATH}",
            StopCell,
            "run",
            "again",
            tools.stop_cell,
            tools.preview_stop,
        ),
    ]
    return [
        SimpleTool(
            ToolSpec(name=name, title=title, description=says, args=args, effect=effect, repeat=repeat),  # type: ignore[arg-type]
            do,
            look,
        )
        for name, title, says, args, effect, repeat, do, look in made
    ]
