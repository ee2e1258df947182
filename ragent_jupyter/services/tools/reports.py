"""Tools about reports: have one composed from what was recorded; add words of the assistant's, marked as such."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct

from ragent_jupyter.domain.chat import Preview, Touched
from ragent_jupyter.domain.errors import BadInput, NotFound, TooLarge
from ragent_jupyter.domain.ports_mind import CellEdit, Notebooks
from ragent_jupyter.domain.tools import MAX_TOOL_TEXT, ToolOutcome, ToolSpec
from ragent_jupyter.domain.wire import CreateReport as CreateReportBody
from ragent_jupyter.rules.lookup import Named, lookup, nearest
from ragent_jupyter.rules.said_numbers import numbers_of, unbacked
from ragent_jupyter.rules.tool_text import fit, one_line, word

from ..reports import ReportsDesk
from .base import SimpleTool, Tool, ToolContext
from .refs import HOW_TO_REFER, Ref, find_runs, find_sweep

_TEXT = 20_000


class CreateReport(Struct, frozen=True, forbid_unknown_fields=True):
    sweep: Ref = ""
    runs: list[Ref] = []
    title: str = ""
    path: str = ""


class ExtendReport(Struct, frozen=True, forbid_unknown_fields=True):
    report: str
    title: str
    text: str
    runs: list[Ref] = []


class ReportTools:
    def __init__(self, reports: ReportsDesk, notebooks: Notebooks | None) -> None:
        self.reports = reports
        self.notebooks = notebooks
        self.runs = reports.runs

    def _body(self, args: CreateReport) -> CreateReportBody:
        if (args.sweep != "") == bool(args.runs):
            raise BadInput("A report is of one sweep or of some runs.", "Name a sweep, or one or more runs.")
        return CreateReportBody(
            sweep=find_sweep(self.reports.sweeps, args.sweep).id if args.sweep != "" else None,
            runs=[run.id for run in find_runs(self.runs, args.runs)],
            title=one_line(args.title, 200) or None,
            path=args.path or None,
        )

    async def look_create(self, args: CreateReport, ctx: ToolContext) -> Preview:
        body = self._body(args)
        of = f"sweep {body.sweep}" if body.sweep else f"{len(body.runs)} runs: {', '.join(body.runs[:10])}"
        details = [f"of: {of}", f"title: {word(body.title)}" if body.title else "title: from what it is of"]
        touches = []
        if body.path:
            touches = [Touched(self._relative(self.reports.named(body.path)), "")]
        where = touches[0].path if touches else "reports/, under a name that is free"
        return Preview(
            title="Write a report", details=[*details, f"to: {where}"], touches=touches, pattern="create_report"
        )

    async def create_report(self, args: CreateReport, ctx: ToolContext) -> ToolOutcome:
        reply = await self.reports.create(self._body(args))
        path = self._relative(Path(reply.path))
        lines = [f"Report {reply.id} is at {word(path, 300)}: {word(reply.title)}. It says:"]
        lines += [f"- {one_line(finding, 600)}" for finding in reply.findings]
        return ToolOutcome(
            text=fit("\n".join(lines), MAX_TOOL_TEXT),
            data={"card": "report", "path": path},
            untrusted=f"names and logs of the runs in {reply.id}",
        )

    # --- the assistant's own words ---------------------------------------------------------------------------------
    def _found(self, ref: str) -> tuple[str, str]:
        """(id, path from the project's folder) of a report."""
        every = sorted(self.reports.shell.reports.values(), key=lambda r: (r.get("created_at", 0.0), r["id"]))
        paths = {r["id"]: self._relative(Path(r["path"])) for r in every}
        named = [
            Named(r["id"], (paths[r["id"]], os.path.basename(paths[r["id"]]), str(r.get("title", "")))) for r in every
        ]
        ids = lookup(ref, named)
        if len(ids) == 1:
            return ids[0], paths[ids[0]]
        shown = "; ".join(f"{i} ({word(paths[i], 100)})" for i in (ids or nearest(ref, named))[:8])
        if ids:
            raise BadInput(f"{word(ref, 60)} may mean {len(ids)} reports.", f"Give the id: {shown}.")
        raise NotFound(
            f"There is no report {word(ref, 60)}.", f"There is: {shown}." if shown else "create_report writes one."
        )

    def _source(self, args: ExtendReport, ctx: ToolContext) -> tuple[str, list[str]]:
        """The section's Markdown, and the numbers in it that the named runs' records do not hold."""
        title, text = one_line(args.title, 200), args.text.strip()
        if not title or not text:
            raise BadInput("The section has no title or no text.", "Give both.")
        if len(text) > _TEXT:
            raise TooLarge(f"The section is {len(text)} characters long.", f"Say it in at most {_TEXT}.")
        runs = find_runs(self.runs, args.runs)
        missing = unbacked(f"{title}\n{text}", numbers_of(runs))
        of = ", ".join(run.id for run in runs) or "no run"
        if not runs and not missing:
            checked = "It quotes no number."
        elif missing:
            checked = f"Numbers that the records of {of} do not hold: {', '.join(missing[:40])}."
        else:
            checked = f"Its numbers were found in the records of {of}."
        words = f"*Words of the assistant, not computed by this report. {checked}*"
        return f"## {title}\n\n{words}\n\n{text}\n\n{_mark(ctx)}", missing

    def _hands(self) -> Notebooks:
        if self.notebooks is None:
            raise BadInput("Notebooks cannot be edited here.", "Give the text in the chat instead.")
        return self.notebooks

    async def look_extend(self, args: ExtendReport, ctx: ToolContext) -> Preview:
        self._hands()
        _, path = self._found(args.report)
        source, missing = self._source(args, ctx)
        diff = "".join(f"+{line}\n" for line in source.split("\n"))
        said = [f"numbers without a record: {', '.join(missing[:40])}"] if missing else []
        return Preview(
            title="Add a section to a report",
            diff=f"--- a/{path}\n+++ b/{path}\n@@ a new Markdown cell at the end @@\n{diff}",
            details=[f"report: {word(path, 300)}", *said],
            pattern=f"extend_report:{path}",
        )

    async def extend_report(self, args: ExtendReport, ctx: ToolContext) -> ToolOutcome:
        hands = self._hands()
        id_, path = self._found(args.report)
        source, missing = self._source(args, ctx)
        view = await hands.read(path)
        if not any(_mark(ctx) in cell.source for cell in view.cells):  # else a crash came after it was written
            edit = CellEdit(action="insert", kind="markdown", source=source)
            await hands.edit(path, [edit], checkpoint=ctx.turn_id)
        note = (
            f" The section says of itself that these numbers are in no record of the named runs: "
            f"{', '.join(missing[:40])}. Correct them, or name the runs they come from."
            if missing
            else ""
        )
        return ToolOutcome(
            text=f"A section was added at the end of {word(path, 300)} ({id_}), marked as the assistant's words.{note}",
            data={"card": "report", "path": path},
        )

    def _relative(self, path: Path) -> str:
        """From the project's folder, as notebooks are named."""
        return os.path.relpath(path, os.path.realpath(self.reports.project))


def _mark(ctx: ToolContext) -> str:
    """What makes adding a section twice the same as once."""
    return f"<!-- ragent {ctx.session_id} {ctx.call_id} -->"


def report_tools(reports: ReportsDesk, notebooks: Notebooks | None = None) -> list[Tool]:
    """create_report and, where notebooks can be edited, extend_report."""
    its = ReportTools(reports, notebooks)
    found: list[Tool] = [
        SimpleTool(
            ToolSpec(
                name="create_report",
                title="Write a report",
                description=(
                    "Write a report notebook of one sweep or of some runs: computed by code from what was recorded, "
                    f"with figures and tables. sweep or runs: {HOW_TO_REFER} title. path: a new .ipynb in the project; "
                    "default: in reports/."
                ),
                args=CreateReport,
                effect="edit",
            ),
            its.create_report,
            its.look_create,
        ),
    ]
    if notebooks is not None:
        found.append(
            SimpleTool(
                ToolSpec(
                    name="extend_report",
                    title="Extend a report",
                    description=(
                        "Add a Markdown section of your own words at the end of a report; it is marked as yours. "
                        "report: its id or path. text: each number in it must come from the named runs; others are "
                        f"marked as without a record. runs: whose numbers it quotes. {HOW_TO_REFER}"
                    ),
                    args=ExtendReport,
                    effect="edit",
                    repeat="again",  # the call's id stands in the cell
                ),
                its.extend_report,
                its.look_extend,
            )
        )
    return found
