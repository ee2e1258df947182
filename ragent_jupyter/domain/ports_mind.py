"""Protocols of the hands that the assistant works with. Each has one contract suite under tests/contracts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    import asyncio  # named only: whoever speaks the wire (`ragent status`) has no use for it


# --- files -----------------------------------------------------------------------------------------------------------
class FileHit(Struct, frozen=True):
    path: str  # relative to the project
    line: int  # from 1
    text: str


class FileEntry(Struct, frozen=True):
    path: str
    kind: Literal["file", "folder", "link"]
    size: int


class Workspace(Protocol):
    """The project's files as an agent may see them. All paths are relative to the project or lie in it.

    Links are resolved first and may not lead out; `.env*`, `.ssh`, `.git/config`, `.ragent` and other keepers of
    secrets are refused. All calls block (they are made off the event loop). Raise NotFound, NotAllowed, TooLarge,
    WrongMoment (the file is not what it was), CannotBeDone. What they return has its secrets blacked out.
    """

    def read(self, path: str, *, start: int = 1, lines: int = 400) -> tuple[str, int]:
        """(text of these lines, how many lines there are). Lines count from 1; binary files are CannotBeDone."""

    def entries(self, path: str = ".", *, depth: int = 2, limit: int = 500) -> list[FileEntry]: ...
    def search(self, pattern: str, *, glob: str = "", limit: int = 100) -> list[FileHit]:
        """A regular expression over text files; what git ignores is left out."""

    def sha256(self, path: str) -> str:
        """Of the bytes; "" where there is no such file."""

    def text(self, path: str) -> str:
        """The whole text as it is, secrets and all, for making an edit; never shown to a model."""

    def write(self, path: str, text: str, *, expect: str) -> None:
        """Replace atomically if the file's sha256 still is `expect` ("" = must not exist)."""

    def checkpoint(self, paths: Sequence[str], id: str) -> None:
        """Keep these files as they are, for `restore`; joins what the id already keeps."""

    def restore(self, id: str) -> list[str]:
        """Put back what a checkpoint keeps; files changed by others since are left (and named in WrongMoment)."""


class ShellResult(Struct, frozen=True, kw_only=True):
    """output: stdout and stderr as they came, its middle cut out beyond a limit.  exit_code: None if it was stopped."""

    output: str
    exit_code: int | None
    seconds: float
    timed_out: bool = False


class ShellRunner(Protocol):
    async def run(
        self,
        command: str,
        cwd: str,
        *,
        timeout_s: float,
        stop: asyncio.Event,
        said: Callable[[str], None],
    ) -> ShellResult:
        """Run `sh -c command` with a clean environment in a session of its own.

        stop: when set, the whole process tree is ended within a second. said: gets output as it comes. Raises
        CannotBeDone where it cannot start.
        """


# --- notebooks -------------------------------------------------------------------------------------------------------
class CellView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """outputs: as text, images as "[image/png, 12 kB]".  dirty: the user has unsaved changes in it."""

    id: str
    index: int
    kind: Literal["code", "markdown", "raw"]
    source: str
    outputs: list[str] = []
    execution_count: int | None = None


class NotebookView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """open: a tab has it open, so edits go to the shared model. dirty: it holds unsaved changes."""

    path: str
    cells: list[CellView]
    open: bool = False
    dirty: bool = False
    kernel: str = ""


class CellEdit(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """action: insert (before cell `id`, "" = at the end), edit, delete.  expect: the source the edit was made for."""

    action: Literal["insert", "edit", "delete"]
    id: str = ""
    kind: Literal["code", "markdown", "raw"] = "code"
    source: str = ""
    expect: str | None = None


class Notebooks(Protocol):
    """Notebooks by path: through the tab that has one open, else the file and a kernel of the engine's own.

    Raise NotFound, WrongMoment (the cell is not what it was; nothing was changed), CannotBeDone, NotAllowed.
    """

    async def all(self) -> list[dict[str, Any]]:
        """[{"path", "open", "dirty"}] of the project's notebooks."""

    async def read(self, path: str) -> NotebookView: ...
    async def edit(self, path: str, edits: Sequence[CellEdit], *, checkpoint: str) -> NotebookView:
        """All or none. checkpoint: the turn's id; what the cells were is kept under it before the first edit."""

    async def run(self, path: str, cell_id: str, *, stop: asyncio.Event, said: Callable[[str], None]) -> CellView: ...
    async def undo(self, checkpoint: str) -> list[str]:
        """Take a turn's edits back, cell by cell; cells that a person changed since stay. Returns paths."""

    async def variables(self, path: str, names: Sequence[str]) -> dict[str, str]:
        """Short summaries of variables of the notebook's kernel; never whole frames."""


# --- keys ------------------------------------------------------------------------------------------------------------
class KeyState(Struct, frozen=True, kw_only=True):
    """hint: "ends in 1234"; the key itself never leaves this machine's keeping. source: env, keyring, file, "" none."""

    name: str
    set: bool
    source: str = ""
    hint: str = ""


class Keys(Protocol):
    """Environment, then keyring, then a 0600 file in Jupyter's config folder. Names as in the environment."""

    def get(self, name: str) -> str | None: ...
    def states(self) -> list[KeyState]: ...
    def put(self, name: str, value: str | None) -> KeyState: ...
