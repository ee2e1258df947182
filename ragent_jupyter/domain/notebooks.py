"""The words between the engine and a notebook: steps, what they changed, and what an open tab says and is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct

from .ports_mind import CellEdit, CellView, Notebooks

CellKind = Literal["code", "markdown", "raw"]


class CellStep(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A CellEdit as the hands apply it. An edit keeps the cell's kind; `kind` counts for an insert.

    expect: the source that must be there, None for any.  cell: a whole cell to put back (nbformat's dict).
    place: where it goes back: ids of the cells that stood above it, nearest first.
    """

    action: Literal["insert", "edit", "delete"]
    id: str = ""
    kind: CellKind = "code"
    source: str = ""
    expect: str | None = None
    cell: dict[str, Any] | None = None
    place: list[str] = []


class CellChange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was done to one cell. before: the whole cell as it was, None if it is new.  after: its source, None if gone.

    accepted: a person looked and said yes; it is no longer taken back with the rest.
    """

    id: str
    action: Literal["inserted", "edited", "deleted"]
    kind: CellKind = "code"
    before: dict[str, Any] | None = None
    after: str | None = None
    place: list[str] = []
    accepted: bool = False


CellState = Literal["done", "error", "stopped", "running"]


class RanCell(CellView, frozen=True, kw_only=True, omit_defaults=True):
    """A cell that was executed. state "running": it goes on, running it again waits for it.  seconds: waited so far."""

    state: CellState = "done"
    seconds: float = 0.0


# --- what a tab says --------------------------------------------------------------------------------------------------
class OpenNotebook(Struct, frozen=True, kw_only=True):
    """path: absolute, on the server's disk.  dirty: it holds unsaved changes."""

    path: str
    dirty: bool = False
    kernel: str = ""


class TabNotebooks(Struct, frozen=True, kw_only=True):
    """All notebooks that a browser's tab has open; the newest word replaces the one before. None: it is leaving."""

    tab: str
    notebooks: list[OpenNotebook] = []


class TabAnnounced(Struct, frozen=True, kw_only=True):
    """expires_s: say it again before."""

    expires_s: float


class TakeRequest(Struct, frozen=True, kw_only=True):
    """key: made by the tab for this one taking; the same key again is the same taking, whose answer was lost."""

    tab: str
    key: str = ""


class TabRequest(Struct, frozen=True, kw_only=True):
    """What a tab is asked to do, told to the one tab that takes it. path: as that tab announced it."""

    id: str
    path: str
    action: Literal["read", "apply", "run", "interrupt", "variables"]
    args: dict[str, Any] = {}


class TabSaid(Struct, frozen=True, kw_only=True):
    """The request is still being worked on; text: output since the last word.

    n: the word's number, from 1; one that came already is the same word, sent again. 0: from a tab that counts none.
    """

    tab: str
    text: str = ""
    n: int = 0


class TabProblem(Struct, frozen=True, kw_only=True):
    type: str = "cannot_be_done"
    problem: str = ""
    remedy: str = ""


class TabAnswer(Struct, frozen=True, kw_only=True):
    tab: str
    ok: bool
    result: dict[str, Any] = {}
    error: TabProblem | None = None


# --- review -----------------------------------------------------------------------------------------------------------
class ReviewCell(Struct, frozen=True, kw_only=True):
    """A change that waits for a person's word. before: source, "" for a new cell.  after: source, "" for a gone one.

    place: ids of the cells that stood above it, nearest first.
    """

    id: str
    checkpoint: str
    action: Literal["inserted", "edited", "deleted"]
    kind: CellKind
    before: str = ""
    after: str = ""
    place: list[str] = []


class Review(Struct, frozen=True, kw_only=True):
    """path: relative to the project.  left: cells that could not be taken back, for a person has changed them since."""

    path: str
    cells: list[ReviewCell] = []
    left: list[str] = []


class GiveVerdict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """cells: ids; none: all that wait.  path: absolute, or relative to the project."""

    path: str
    verdict: Literal["accept", "reject"]
    cells: list[str] = []


class NotebookHands(Notebooks, Protocol):
    """`Notebooks` with what the tools need beyond it."""

    async def run(self, path: str, cell_id: str, *, stop: Any, said: Any, timeout_s: float = 120.0) -> RanCell:
        """After `timeout_s` seconds the answer is "running" and the cell goes on; called again, it is waited for."""

    async def interrupt(self, path: str) -> bool:
        """Interrupt the notebook's kernel; whether there was anything to interrupt."""

    async def running(self, path: str) -> list[str]:
        """Ids of cells that are being executed."""

    def file_hash(self, path: str) -> str:
        """sha256 of the file, hex; "" where there is none."""


def steps_of(edits: Sequence[CellEdit]) -> list[CellStep]:
    return [CellStep(action=e.action, id=e.id, kind=e.kind, source=e.source, expect=e.expect) for e in edits]
