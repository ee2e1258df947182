"""Tools on the project's files: list, read, search, edit, create, delete."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol, TypeVar

from msgspec import Struct

from ragent_jupyter.domain.chat import Preview, Touched
from ragent_jupyter.domain.errors import BadInput, CannotBeDone, TooLarge, WrongMoment
from ragent_jupyter.domain.ports_mind import Workspace
from ragent_jupyter.domain.tools import ToolOutcome, ToolSpec
from ragent_jupyter.rules.redact import GONE
from ragent_jupyter.rules.text_edit import Replacement, counted, diff, edited, syntax_problem, visible

from .base import SimpleTool, Tool, ToolContext

T = TypeVar("T")

_MOST_TEXT = 27_000  # characters of an answer; the loop cuts at 30,000
_MOST_DIFF = 200_000  # characters that a person can be asked to look at
_SHOWN_LINE = 300  # of a hit
_REMEMBERED = 500  # previews whose files are remembered


class Files(Workspace, Protocol):
    """domain.ports_mind.Workspace and what the tools need beyond it."""

    def place(self, path: str, *, write: bool = False) -> str:
        """The path as it truly lies in the project, links resolved. Raises as `read` does."""

    def remove(self, path: str, *, expect: str) -> None:
        """Delete a file if its sha256 still is `expect`."""


class ListFiles(Struct, frozen=True, forbid_unknown_fields=True):
    path: str = "."
    depth: int = 2
    limit: int = 300


class ReadFile(Struct, frozen=True, forbid_unknown_fields=True):
    path: str
    start: int = 1
    lines: int = 400


class SearchFiles(Struct, frozen=True, forbid_unknown_fields=True):
    pattern: str
    glob: str = ""
    limit: int = 50


class EditFile(Struct, frozen=True, forbid_unknown_fields=True):
    path: str
    old_text: str = ""
    new_text: str = ""
    edits: list[Replacement] = []


class CreateFile(Struct, frozen=True, forbid_unknown_fields=True):
    path: str
    text: str


class DeleteFile(Struct, frozen=True, forbid_unknown_fields=True):
    path: str


class _Change(Struct, frozen=True):
    """What a call makes of a file. old, new: "" where it is made or deleted.  sha256: of what `old` was read from."""

    path: str
    old: str
    new: str
    sha256: str


class FileTools:
    """redact: blacks secrets out of what is shown. Files are read off the event loop."""

    def __init__(self, files: Files, redact: Callable[[str], str]) -> None:
        self._files = files
        self._redact = redact
        # call id → the file as the newest preview saw it: a call is done on that, or not at all.
        self._seen: OrderedDict[str, str] = OrderedDict()

    # --- looking ------------------------------------------------------------------------------------------------
    async def list_files(self, args: ListFiles, ctx: ToolContext) -> ToolOutcome:
        limit, depth = _within(args.limit, 1, 2000), _within(args.depth, 1, 10)
        found = await _off(lambda: self._files.entries(args.path, depth=depth, limit=limit))
        base = await _off(lambda: self._files.place(args.path))
        start = 0 if base == "." else base.count("/") + 1
        lines = []
        for entry in found:
            deep = entry.path.count("/") - start
            name = _named(entry.path.rsplit("/", 1)[-1])
            about = "/" if entry.kind == "folder" else " (link)" if entry.kind == "link" else f"  {_size(entry.size)}"
            lines.append(f"{'  ' * max(0, deep)}{name}{about}")
        head = f"{_named(base)}: {len(found)} entries, {depth} deep."
        if len(found) >= limit:
            head += " There are more: list a folder in it, or raise limit."
        if not found:
            head = f"{_named(base)} is empty (what keeps secrets is not shown)."
        return ToolOutcome(text=_fit([head, *lines], "List a folder in it."), untrusted="names of files")

    async def read_file(self, args: ReadFile, ctx: ToolContext) -> ToolOutcome:
        path = await _off(lambda: self._files.place(args.path))
        _no_notebook(path, "Read")
        text, total = await _off(lambda: self._files.read(path, start=args.start, lines=_within(args.lines, 1, 2000)))
        if not total:
            return ToolOutcome(text=f"{_named(path)} is empty.")
        if args.start > total:
            return ToolOutcome(text=f"{_named(path)} has {total} lines.")
        shown: list[str] = []
        size = 0
        for n, line in enumerate(text.split("\n"), args.start):
            row = f"{n}\t{line}"
            size += len(row) + 1
            if shown and size > _MOST_TEXT:
                break
            shown.append(row[:_MOST_TEXT])
        last = args.start + len(shown) - 1
        head = f"{_named(path)}, lines {args.start} to {last} of {total} (number, tab, text)."
        if last < total:
            head += f" Go on with start={last + 1}."
        return ToolOutcome(text="\n".join([head, *shown]), untrusted=f"file {_named(path)}")

    async def search_files(self, args: SearchFiles, ctx: ToolContext) -> ToolOutcome:
        limit = _within(args.limit, 1, 500)
        hits = await _off(lambda: self._files.search(args.pattern, glob=args.glob, limit=limit))
        if not hits:
            return ToolOutcome(text="No line matches (what git ignores is not searched).")
        files = len({hit.path for hit in hits})
        head = f"{len(hits)} lines in {files} files."
        if len(hits) >= limit:
            head += " There may be more: narrow the pattern, give a glob, or raise limit."
        lines = [f"{_named(hit.path)}:{hit.line}: {visible(hit.text.strip()[:_SHOWN_LINE])}" for hit in hits]
        return ToolOutcome(text=_fit([head, *lines], "Narrow the pattern."), untrusted="files that match")

    # --- changing -----------------------------------------------------------------------------------------------
    def _edit(self, args: EditFile) -> _Change:
        path = self._files.place(args.path, write=True)
        _no_notebook(path, "Edit")
        if args.edits and (args.old_text or args.new_text):
            raise BadInput("There are both edits and old_text.", "Give one of them.")
        edits = args.edits or [Replacement(args.old_text, args.new_text)]
        sha = self._files.sha256(path)
        old = self._files.text(path)
        for edit in edits:
            _no_mask(edit, old)
        change = _Change(path, old, edited(old, edits), sha)
        if self._files.sha256(path) != sha:
            raise WrongMoment(f"{_named(path)} is being changed by something else.", "Read it again in a moment.")
        return change

    def _create(self, args: CreateFile) -> _Change:
        path = self._files.place(args.path, write=True)
        _no_notebook(path, "Make")
        if self._files.sha256(path):
            raise WrongMoment(f"{_named(path)} exists already.", "Read it, then use edit_file.")
        return _Change(path, "", args.text, "")

    def _delete(self, args: DeleteFile) -> _Change:
        path = self._files.place(args.path, write=True)
        sha = self._files.sha256(path)
        return _Change(path, self._files.text(path), "", sha)

    def _preview(self, change: _Change, ctx: ToolContext, title: str, pattern: str, danger: bool = False) -> Preview:
        self._seen[ctx.call_id] = change.sha256
        self._seen.move_to_end(ctx.call_id)
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        exact = diff(change.old, change.new, change.path)
        if len(exact) > _MOST_DIFF:
            raise TooLarge(
                f"The change has {len(exact):,} characters, more than a person can look at.",
                "Make it in smaller pieces.",
            )
        shown = self._redact(exact)
        details = ["Secrets are blacked out in what is shown here."] if shown != exact else []
        problem = syntax_problem(change.new, change.path)
        if problem:
            details.append(f"Python cannot read it afterwards: {_named(problem)}.")
        return Preview(
            title=title,
            diff=shown,
            details=details,
            touches=[Touched(change.path, change.sha256)],
            pattern=pattern,
            danger=danger,
        )

    async def look_edit(self, args: EditFile, ctx: ToolContext) -> Preview:
        change = await _off(lambda: self._edit(args))
        return self._preview(change, ctx, f"Edit {_named(change.path)}", _pattern(change.path))

    async def look_create(self, args: CreateFile, ctx: ToolContext) -> Preview:
        change = await _off(lambda: self._create(args))
        return self._preview(change, ctx, f"Make {_named(change.path)}", _pattern(change.path))

    async def look_delete(self, args: DeleteFile, ctx: ToolContext) -> Preview:
        change = await _off(lambda: self._delete(args))
        return self._preview(change, ctx, f"Delete {_named(change.path)}", "", danger=True)

    async def edit_file(self, args: EditFile, ctx: ToolContext) -> ToolOutcome:
        return await _off(lambda: self._write(self._edit(args), ctx, "Edited"))

    async def create_file(self, args: CreateFile, ctx: ToolContext) -> ToolOutcome:
        return await _off(lambda: self._write(self._create(args), ctx, "Made"))

    async def delete_file(self, args: DeleteFile, ctx: ToolContext) -> ToolOutcome:
        change = await _off(lambda: self._delete(args))

        def remove() -> None:
            self._as_seen(change, ctx)
            self._files.checkpoint([change.path], ctx.turn_id)
            self._files.remove(change.path, expect=change.sha256)

        await _off(remove)
        shown = self._redact(diff(change.old, "", change.path))[:_MOST_TEXT]
        return ToolOutcome(
            text=f"Deleted {_named(change.path)}. Undoing this turn brings it back.",
            data={"card": "diff", "path": change.path, "diff": shown},
        )

    def _write(self, change: _Change, ctx: ToolContext, verb: str) -> ToolOutcome:
        self._as_seen(change, ctx)
        self._files.checkpoint([change.path], ctx.turn_id)
        self._files.write(change.path, change.new, expect=change.sha256)
        shown = diff(change.old, change.new, change.path)
        more, fewer = counted(shown)
        said = f"{verb} {_named(change.path)}: {more} lines added, {fewer} removed."
        problem = syntax_problem(change.new, change.path)
        if problem:
            said += f" Warning: Python cannot read it now: {_named(problem)}."
        return ToolOutcome(
            text=said, data={"card": "diff", "path": change.path, "diff": self._redact(shown)[:_MOST_DIFF]}
        )

    def _as_seen(self, change: _Change, ctx: ToolContext) -> None:
        seen = self._seen.pop(ctx.call_id, change.sha256)
        if seen != change.sha256:
            raise WrongMoment(
                f"{_named(change.path)} was changed since this call was looked at; nothing was done.",
                "Read it again, then make the edit for what it is now.",
            )


def file_tools(files: Files, redact: Callable[[str], str]) -> list[Tool]:
    tools = FileTools(files, redact)
    return [
        SimpleTool(_LIST, tools.list_files),
        SimpleTool(_READ, tools.read_file),
        SimpleTool(_SEARCH, tools.search_files),
        SimpleTool(_EDIT, tools.edit_file, tools.look_edit),
        SimpleTool(_CREATE, tools.create_file, tools.look_create),
        SimpleTool(_DELETE, tools.delete_file, tools.look_delete),
    ]


async def _off(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, work)


def _within(number: int, least: int, most: int) -> int:
    return max(least, min(number, most))


def _named(text: str) -> str:
    """A name inside our own words: one line, what is not seen escaped, not endless."""
    plain = visible(text.replace("\n", "\\n"))
    return plain if len(plain) <= 200 else plain[:199] + "…"


def _size(size: int) -> str:
    for unit, one in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= one:
            return f"{size / one:.1f} {unit}"
    return f"{size} bytes"


def _fit(lines: list[str], remedy: str) -> str:
    """Whole lines that fit into an answer."""
    size = 0
    for n, line in enumerate(lines):
        size += len(line) + 1
        if size > _MOST_TEXT:
            return "\n".join([*lines[:n], f"[{len(lines) - n} more lines. {remedy}]"])
    return "\n".join(lines)


def _pattern(path: str) -> str:
    """What "always" would allow: all of the file's folder; in the project's own folder this one file."""
    if any(char in path for char in "*?[]\n\r"):
        return ""  # a name that reads as a glob would allow more than it says
    folder, slash, _ = path.rpartition("/")
    return f"edit_file:{folder}/**" if slash else f"edit_file:{path}"


def _no_notebook(path: str, verb: str) -> None:
    if path.casefold().endswith(".ipynb"):
        raise CannotBeDone(
            f"{_named(path)} is a notebook; as plain text its cells and outputs would be damaged.",
            f"{verb} it with the notebook tools, by cells.",
        )


def _no_mask(edit: Replacement, text: str) -> None:
    """Reading shows GONE where a secret stands; written back it would destroy the secret."""
    if GONE in edit.old_text and edit.old_text not in text:
        raise CannotBeDone(
            f"old_text holds {GONE}, which stands for a secret that is not shown.",
            "Choose a piece of the file that leaves the secret out.",
        )
    if GONE in edit.new_text and GONE not in edit.old_text and GONE not in text:
        raise BadInput(f"new_text holds {GONE}, which is no secret's value.", "Read secrets from the environment.")


_LIST = ToolSpec(
    name="list_files",
    title="List files",
    description=(
        "List a folder of the project as a tree. path: relative to the project. depth: how many levels, 1 to 10. "
        "limit: at most so many entries. Heavy folders (.git, node_modules, caches) are named but not opened; what "
        "keeps secrets is not shown."
    ),
    args=ListFiles,
    effect="read",
    repeat="again",
)
_READ = ToolSpec(
    name="read_file",
    title="Read a file",
    description=(
        "Read lines of a text file of the project. Each line comes as its number, a tab and its text. start: first "
        "line, from 1. lines: how many, at most 2000. Logs of runs are read with read_log, notebooks with the "
        "notebook tools. Secrets are shown as [secret]."
    ),
    args=ReadFile,
    effect="read",
    repeat="again",
)
_SEARCH = ToolSpec(
    name="search_files",
    title="Search in files",
    description=(
        "Find lines in the project's text files that match a regular expression (Python's). glob: only these paths, "
        "'*.py' or 'src/**'. What git ignores is left out. Gives path:line: text."
    ),
    args=SearchFiles,
    effect="read",
    repeat="again",
)
_EDIT = ToolSpec(
    name="edit_file",
    title="Edit a file",
    description=(
        "Replace exact pieces of a text file. old_text must stand in the file exactly once, without line numbers and "
        "with its indentation; take lines around it if it is not single. Several at once: edits, a list of "
        "{old_text, new_text}, made one after the other, all or none. Read the file first."
    ),
    args=EditFile,
    effect="edit",
)
_CREATE = ToolSpec(
    name="create_file",
    title="Make a file",
    description="Make a new text file in the project, with its folders. Fails if the file exists: edit it then.",
    args=CreateFile,
    effect="edit",
)
_DELETE = ToolSpec(
    name="delete_file",
    title="Delete a file",
    description="Delete one text file of the project. Undoing the turn brings it back.",
    args=DeleteFile,
    effect="edit",
)
