"""Notebooks as files: through nbformat, with a hash check before each write, replaced whole."""

from __future__ import annotations

import copy
import hashlib
import os
import secrets
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from ragent_jupyter.domain.errors import CannotBeDone, NotAllowed, NotFound, TooLarge, WrongMoment
from ragent_jupyter.domain.notebooks import CellChange, CellStep
from ragent_jupyter.domain.ports_mind import CellView, NotebookView
from ragent_jupyter.runfiles.jsonl import atomic_write

from .cells import Cell, already_undone, apply_steps, content_ids, source_of, undo_steps
from .outputs import digests

MAX_BYTES = 100 * 1024 * 1024
_MAX_LISTED = 500
_MAX_FOLDERS = 5_000
_NOT_OURS = frozenset({"node_modules", "__pycache__", "site-packages", "venv", "build", "dist"})


class FileNotebooks:
    """The notebooks of a project's folder. All calls block.

    Paths are relative to the project, or absolute inside of it; links are resolved first and may not lead out. Raise
    NotFound, NotAllowed, TooLarge, CannotBeDone, WrongMoment.
    """

    def __init__(self, project: Path) -> None:
        self.project = project.resolve()

    # --- paths --------------------------------------------------------------------------------------------------
    def find(self, path: str) -> tuple[str, Path]:
        """(path relative to the project, the real file)."""
        if not path or "\0" in path or len(path) > 4096:
            raise NotFound("No notebook was named.", "Give its path, as list_notebooks shows it.")
        try:
            real = (self.project / path).resolve()
        except (OSError, RuntimeError) as error:
            raise NotFound(f"{path!r} cannot be resolved: {error}.", "list_notebooks shows what is there.") from error
        if self.project not in real.parents:
            raise NotAllowed(f"{path!r} is outside of the project.", "Only the project's own notebooks can be used.")
        name = real.relative_to(self.project)
        if any(part.startswith(".") for part in name.parts):
            raise NotAllowed(f"{path!r} lies in a hidden place.", "Only the project's visible notebooks can be used.")
        if real.suffix != ".ipynb":
            raise CannotBeDone(f"{path!r} is no notebook.", "Its name has to end in .ipynb; use the file tools.")
        return name.as_posix(), real

    def all(self) -> list[str]:
        """Relative paths, sorted; hidden folders, environments and packages are not looked into; at most 500."""
        found: list[str] = []
        for looked, (folder, folders, files) in enumerate(os.walk(self.project)):
            if looked > _MAX_FOLDERS or len(found) >= _MAX_LISTED:
                break
            folders[:] = sorted(
                f
                for f in folders
                if not f.startswith(".")
                and f not in _NOT_OURS
                and not os.path.exists(os.path.join(folder, f, "pyvenv.cfg"))
            )
            here = Path(folder).relative_to(self.project)
            found += [(here / f).as_posix() for f in sorted(files) if f.endswith(".ipynb") and not f.startswith(".")]
        return sorted(found[:_MAX_LISTED])

    def file_hash(self, path: str) -> str:
        try:
            return hashlib.sha256(self.find(path)[1].read_bytes()).hexdigest()
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise CannotBeDone(f"{path!r} cannot be read: {error.strerror or error}.") from error

    # --- reading ------------------------------------------------------------------------------------------------
    def load(self, path: str) -> tuple[Any, str]:
        """(the notebook, sha256 of its bytes)."""
        import nbformat

        name, real = self.find(path)
        try:
            if real.stat().st_size > MAX_BYTES:
                raise TooLarge(f"{name} is larger than {MAX_BYTES >> 20} MB.", "Clear its outputs first.")
            raw = real.read_bytes()
        except FileNotFoundError:
            raise NotFound(f"There is no notebook {name!r}.", "list_notebooks shows what is there.") from None
        except OSError as error:
            raise CannotBeDone(f"{name} cannot be read: {error.strerror or error}.") from error
        try:
            book = nbformat.reads(raw.decode("utf-8"), as_version=nbformat.NO_CONVERT)
            if book.get("nbformat") != 4 or not isinstance(book.get("cells"), list):
                raise CannotBeDone(
                    f"{name} is in notebook format {book.get('nbformat')}, not 4.", "Open and save it in JupyterLab."
                )
        except CannotBeDone:
            raise
        except Exception as error:  # nbformat raises what its parsers raise
            raise CannotBeDone(
                f"{name} is no valid notebook: {type(error).__name__}: {str(error)[:200]}.",
                "Open it in JupyterLab and mend it there; it was left as it is.",
            ) from error
        return book, hashlib.sha256(raw).hexdigest()

    def view(self, path: str) -> NotebookView:
        return view_of(self.find(path)[0], self.load(path)[0])

    # --- changing -----------------------------------------------------------------------------------------------
    def apply(
        self, path: str, steps: Sequence[CellStep], keep: Callable[[list[CellChange]], None]
    ) -> tuple[NotebookView, list[CellChange]]:
        """All steps or none. keep: is handed what the cells were, before anything is written."""
        name, _ = self.find(path)
        book, sha = self.load(path)
        cells, changes, _ = apply_steps(book["cells"], steps, new_id=_new_id)
        if changes:
            book = self._with_cells(book, cells)
            data = self._encoded(name, book)
            keep(changes)
            self._write(path, data, sha)
        return view_of(name, book), changes

    def undo(self, path: str, changes: Sequence[CellChange]) -> tuple[NotebookView, list[str]]:
        """Cell by cell; returns the ids of cells that a person has changed since, which stay."""
        name, _ = self.find(path)
        book, sha = self.load(path)
        todo = [change for change in changes if not already_undone(book["cells"], change)]
        cells, done, left = apply_steps(book["cells"], undo_steps(todo), new_id=_new_id, strict=False)
        if done:
            book = self._with_cells(book, cells)
            self._write(path, self._encoded(name, book), sha)
        return view_of(name, book), left

    def put_outputs(
        self, path: str, cell_id: str, source: str, outputs: list[Cell], execution_count: int | None
    ) -> bool:
        """Write what a cell's execution gave, if the cell still holds what was executed."""
        name, _ = self.find(path)
        for _ in range(3):  # somebody else saves just now: look again
            book, sha = self.load(path)
            ids = content_ids(book["cells"])
            if cell_id not in ids:
                return False
            cell = book["cells"][ids.index(cell_id)]
            if cell.get("cell_type") != "code" or source_of(cell) != source:
                return False
            cell["outputs"] = copy.deepcopy(outputs)
            cell["execution_count"] = execution_count
            try:
                self._write(path, self._encoded(name, self._with_cells(book, book["cells"])), sha)
            except WrongMoment:
                continue
            return True
        return False

    def _with_cells(self, book: Any, cells: list[Cell]) -> Any:
        from nbformat import from_dict

        after = from_dict({**book, "cells": cells})
        if after.get("nbformat_minor", 0) < 5:
            for cell in after["cells"]:
                cell.pop("id", None)  # a cell has an id since 4.5; the file keeps its format
        return after

    def _encoded(self, name: str, book: Any) -> bytes:
        """The file's bytes, valid for sure."""
        import nbformat

        try:
            nbformat.validate(book)
        except nbformat.ValidationError as error:
            raise CannotBeDone(
                f"{name} would not be a valid notebook after this: {str(error)[:300]}.", "It was left as it is."
            ) from error
        text: str = nbformat.writes(book, version=nbformat.NO_CONVERT)
        return (text if text.endswith("\n") else text + "\n").encode()

    def _write(self, path: str, data: bytes, expect: str) -> None:
        name, real = self.find(path)
        try:
            if hashlib.sha256(real.read_bytes()).hexdigest() != expect:
                raise WrongMoment(f"{name} was saved by somebody else meanwhile; nothing was changed.", "Read again.")
            atomic_write(real, data, mode=stat.S_IMODE(real.stat().st_mode))
        except FileNotFoundError:
            raise WrongMoment(f"{name} was removed meanwhile; nothing was changed.", "list_notebooks again.") from None
        except OSError as error:
            raise CannotBeDone(f"{name} cannot be written: {error.strerror or error}.", "It is as it was.") from error


def _new_id() -> str:
    return secrets.token_hex(4)


def view_of(name: str, book: Any) -> NotebookView:
    kernel = (book.get("metadata", {}).get("kernelspec") or {}).get("name", "")
    return NotebookView(path=name, cells=cell_views(book["cells"]), kernel=str(kernel))


def cell_views(cells: Sequence[Cell]) -> list[CellView]:
    views = []
    for index, (id_, cell) in enumerate(zip(content_ids(cells), cells, strict=True)):
        kind = cell.get("cell_type", "raw")
        view = CellView(
            id=id_, index=index, kind=kind if kind in ("code", "markdown") else "raw", source=source_of(cell)
        )
        if kind == "code":
            view = replace(
                view, outputs=digests(cell.get("outputs") or []), execution_count=cell.get("execution_count")
            )
        views.append(view)
    return views
