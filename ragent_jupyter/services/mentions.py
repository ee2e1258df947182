"""`@run:…`, `@file:…` and the rest: from what was typed to what the model is told, and what could be typed next."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor as Pool
from typing import Any

from msgspec import Struct

from ragent_jupyter.domain.chat import Mention
from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotFound, RagentError
from ragent_jupyter.domain.ports import MetricReader
from ragent_jupyter.domain.ports_mind import CellView, Notebooks, NotebookView, Workspace
from ragent_jupyter.domain.run import Run
from ragent_jupyter.domain.wire_chat import Suggestion
from ragent_jupyter.rules import mentions as rules
from ragent_jupyter.rules.digest import curve_of, digests, direction_of
from ragent_jupyter.rules.lookup import Named, lookup, nearest
from ragent_jupyter.rules.redact import redact
from ragent_jupyter.rules.tool_text import one_line, word

from . import mention_texts as texts
from .logs import tail
from .runs import RunsDesk
from .shell import Shell

log = logging.getLogger("ragent.engine")

MOST_MENTIONS = 20
_MOST_VARIABLES = 20
_POINTS = 1000
_COMPARED = 5  # runs of a metric that no run was named for
_LIMIT = 20
_FILES_S = 5.0  # seconds that a listing of the project's files is good for
_NO_NOTEBOOK = "Name one: @notebook:path.ipynb, or write from a notebook's own page."


# Kind, id, label, detail: made a Suggestion only if it is among the best, as a key press must not build ten thousand.
_Offer = tuple[str, str, str, str]
_Named = tuple[Sequence[str], _Offer]


class Quoted(Struct, frozen=True, kw_only=True):
    """What a model is told of one thing. untrusted: it holds words of logs, files, names or other people."""

    kind: str
    id: str
    text: str
    untrusted: bool = True


class Mentions:
    """workspace, notebooks: None where there are none; such a mention then says so.

    redact: what knows this project's keys beside what keys look like.
    """

    def __init__(
        self,
        shell: Shell,
        runs: RunsDesk,
        metrics: MetricReader,
        *,
        workspace: Workspace | None = None,
        notebooks: Notebooks | None = None,
        pool: Pool | None = None,
        redact: Callable[[str], str] = redact,
    ) -> None:
        self.shell = shell
        self.runs = runs
        self.metrics = metrics
        self.workspace = workspace
        self.notebooks = notebooks
        self.pool = pool
        self.redact = redact
        self._files: tuple[float, list[str]] = (-1e9, [])
        self._of: dict[str, Callable[[str, str, str], Awaitable[tuple[str, str, str]]]] = {
            "run": self._run,
            "sweep": self._sweep,
            "metric": self._metric,
            "chart": self._metric,
            "alert": self._alert,
            "file": self._file,
            "cell": self._cell,
            "notebook": self._notebook,
            "var": self._var,
            "report": self._report,
            "session": self._session,
        }

    async def resolve(
        self, text: str, *, notebook: str = "", cell: str = "", variables: Sequence[str] = ()
    ) -> tuple[list[Mention], list[Quoted]]:
        """The mentions of a message, and what the model is told of each that could be resolved.

        notebook, cell: what is in front of the person.  variables: names whose summaries come along without being
        mentioned. Never raises for what was typed: a mention that leads nowhere carries its problem.
        """
        found: list[Mention] = []
        told: list[Quoted] = []
        seen: set[tuple[str, str]] = set()
        for one in rules.parse(text):
            if not one.known:
                problem = f"There is no kind {one.kind!r}. There are: {', '.join(rules.KINDS)}."
                found.append(Mention(kind=one.kind, id=one.id, problem=problem))
                continue
            if len(told) >= MOST_MENTIONS:
                found.append(Mention(kind=one.kind, id=one.id, problem=f"Only {MOST_MENTIONS} mentions are read."))
                continue
            try:
                id_, label, said = await self._of[one.kind](one.id, notebook, cell)
            except RagentError as error:
                found.append(Mention(kind=one.kind, id=one.id, problem=str(error)))
                continue
            except OSError as error:
                log.warning("@%s:%s could not be read: %s", one.kind, one.id, error)
                found.append(Mention(kind=one.kind, id=one.id, problem=f"It could not be read: {error.strerror}."))
                continue
            found.append(Mention(kind=one.kind, id=id_, label=label))
            if (one.kind, id_) not in seen:
                seen.add((one.kind, id_))
                told.append(Quoted(kind=one.kind, id=id_, text=texts.cut(self.redact(said))))
        # A name that was mentioned as well is told once.
        told += await self._variables([v for v in variables if ("var", v) not in seen], notebook)
        return found, told

    # --- one kind each: (id, label, text) -------------------------------------------------------------------------
    async def _run(self, ref: str, notebook: str, cell: str) -> tuple[str, str, str]:
        run = self.runs.shown(self.find_run(ref))
        alerts = sorted(
            (a for a in self.shell.alerts.values() if a.run_id == run.id),
            key=lambda a: (-a.severity.rank, -a.raised_at),
        )
        said = await self._off(tail, self.runs.folder(run.id) / "job.log")
        return run.id, run.alias or run.name, texts.run_text(run, alerts, said)

    async def _sweep(self, ref: str, notebook: str, cell: str) -> tuple[str, str, str]:
        known = sorted(self.shell.sweeps.values(), key=lambda s: (s.created_at, s.id))
        sweep = self.shell.sweeps[the_one(ref, "sweep", [Named(s.id, (s.name,)) for s in known])]
        ids = [trial.run_ids[-1] for trial in sweep.trials if trial.run_ids]
        runs = {id_: self.runs.shown(self.shell.runs[id_]) for id_ in ids if id_ in self.shell.runs}
        return sweep.id, sweep.name, texts.sweep_text(sweep, runs)

    async def _alert(self, ref: str, notebook: str, cell: str) -> tuple[str, str, str]:
        known = sorted(self.shell.alerts.values(), key=lambda a: (a.raised_at, a.id))
        alert = self.shell.alerts[the_one(ref, "alert", [Named(a.id, (a.title,)) for a in known])]
        return alert.id, alert.title, texts.alert_text(alert, self.shell.runs.get(alert.run_id))

    async def _metric(self, ref: str, notebook: str, cell: str) -> tuple[str, str, str]:
        name, refs = rules.metric_and_runs(ref)
        if refs:
            runs = [self.runs.shown(self.find_run(one)) for one in refs[:_LIMIT]]
        else:
            newest = sorted(self.shell.runs.values(), key=lambda r: (r.created_at, r.id), reverse=True)
            runs = []
            for run in newest:
                shown = self.runs.shown(run)
                if name in shown.summary and not run.archived:
                    runs.append(shown)
                if len(runs) == _COMPARED:
                    break
        if not runs:
            raise NotFound(
                f"No run has a metric {name!r}.", f"There are: {', '.join(self._metric_names()[:15]) or 'none'}."
            )
        curves = []
        lines = []
        for run in runs:
            series = await self._off(self._series, run, name)
            if series is None:
                has = ", ".join(word(n, 60) for n in list(run.summary)[:15])
                lines.append(f"{run.id} has no metric {word(name)}; it has: {has or 'none'}")
                continue
            curves.append((run, curve_of(series)))
        each = max(3, 40 // max(1, len(curves)))
        for run, curve in curves:
            lines.append(f"{word(name)} of {run.id}, {run.status.value}, named {word(run.name)}")
            lines += ["  " + line for line in digests([(curve, direction_of(name, run.primary, run.mode))], lines=each)]
        ids = ",".join(run.id for run in runs)
        return (f"{name}@{ids}" if refs else name), name, "\n".join(lines)

    def _series(self, run: Run, name: str) -> Any:
        folder = str(self.runs.folder(run.id))
        return self.metrics.series(folder, run.id, name, x="step", points=_POINTS, from_=None, to=None, since=None)

    async def _file(self, ref: str, notebook: str, cell: str) -> tuple[str, str, str]:
        if self.workspace is None:
            raise CannotBeDone("Files cannot be read here.", "")
        said, total = await self._off(lambda: self.workspace.read(ref, lines=200))  # type: ignore[union-attr]
        shown = said.count("\n") + 1
        head = f"file {word(ref)}, {total} lines" + (f", the first {shown}" if shown < total else "")
        return ref, ref, f"{head}\n{said}"

    async def _notebook(self, ref: str, notebook: str, cell: str) -> tuple[str, str, str]:
        view = await self._view(ref or notebook)
        return view.path, view.path, texts.notebook_text(view)

    async def _cell(self, ref: str, notebook: str, cell: str) -> tuple[str, str, str]:
        """ref: "" the selected one, a cell's id or number, `path.ipynb#id` in another notebook."""
        path, _, id_ = ref.rpartition("#")
        view = await self._view(path or notebook)
        id_ = id_ or cell
        if not id_:
            raise BadInput("No cell is selected.", "Name one by its id or its number: @cell:3.")
        found = next((c for c in view.cells if c.id == id_), None)
        if found is None and id_.isdigit() and 1 <= int(id_) <= len(view.cells):
            found = view.cells[int(id_) - 1]
        if found is None:
            raise NotFound(f"No cell {id_!r} in {view.path}.", f"It has {len(view.cells)} cells; @cell:1 is the first.")
        return f"{view.path}#{found.id}", _first_line(found), texts.cell_text(view.path, found)

    async def _var(self, ref: str, notebook: str, cell: str) -> tuple[str, str, str]:
        summaries = await self._summaries([ref], notebook)
        if ref not in summaries:
            raise NotFound(f"No variable {ref!r} in the kernel of {notebook}.", "Run the cell that sets it.")
        return ref, ref, texts.variable_text(ref, summaries[ref])

    async def _report(self, ref: str, notebook: str, cell: str) -> tuple[str, str, str]:
        known = sorted(self.shell.reports.values(), key=lambda r: (r.get("created_at", 0.0), r["id"]))
        things = [Named(r["id"], (str(r.get("title", "")), str(r.get("path", "")).rsplit("/", 1)[-1])) for r in known]
        report = self.shell.reports[the_one(ref, "report", things)]
        return report["id"], str(report.get("title", "")), texts.report_text(report)

    async def _session(self, ref: str, notebook: str, cell: str) -> tuple[str, str, str]:
        known = sorted(self.shell.sessions.values(), key=lambda s: (s.created_at, s.id))
        session = self.shell.sessions[the_one(ref, "session", [Named(s.id, (s.title,)) for s in known])]
        self.shell.open_session(session.id)
        turns, parts = self.shell.turns[session.id].values(), self.shell.parts[session.id].values()
        return session.id, session.title, texts.session_text(session, turns, parts)

    # --- what they stand on ---------------------------------------------------------------------------------------
    def find_run(self, ref: str) -> Run:
        """The run that is meant: id, beginning of one, name, alias, "latest". Raises NotFound, BadInput."""
        if ref in self.shell.runs:
            return self.shell.runs[ref]
        known = sorted(self.shell.runs.values(), key=lambda r: (r.created_at, r.id))
        things = [Named(r.id, (r.name, r.alias) if r.alias else (r.name,)) for r in known]
        return self.shell.runs[the_one(ref, "run", things)]

    def _metric_names(self) -> list[str]:
        """Names of metrics, those of the newest runs first."""
        names: dict[str, None] = {}
        newest = sorted(self.shell.runs.values(), key=lambda r: (r.created_at, r.id), reverse=True)
        for run in newest[:500]:
            live = None if run.settled else self.runs.live.get(run.id)
            for name in [*run.summary, *(live.summary if live is not None else ())]:
                names.setdefault(name)
        return sorted(names, key=lambda name: name.startswith("system/"))

    async def _view(self, path: str) -> NotebookView:
        if self.notebooks is None:
            raise CannotBeDone("Notebooks cannot be read here.", "")
        if not path:
            raise BadInput("No notebook is in front.", _NO_NOTEBOOK)
        return await self.notebooks.read(path)

    async def _summaries(self, names: Sequence[str], notebook: str) -> dict[str, str]:
        if self.notebooks is None:
            raise CannotBeDone("Variables of notebooks cannot be read here.", "")
        if not notebook:
            raise BadInput("No notebook is in front, and a variable belongs to one.", _NO_NOTEBOOK)
        return await self.notebooks.variables(notebook, names)

    async def _variables(self, names: Sequence[str], notebook: str) -> list[Quoted]:
        if not names or not notebook or self.notebooks is None:
            return []
        try:
            summaries = await self._summaries(list(names)[:_MOST_VARIABLES], notebook)
        except (RagentError, OSError) as error:  # they were only to come along: the message is sent without them
            log.info("variables of %s were not read: %s", notebook, error)
            return []
        return [
            Quoted(kind="var", id=name, text=texts.cut(self.redact(texts.variable_text(name, said))))
            for name, said in summaries.items()
        ]

    async def _off(self, do: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.pool, do, *args)

    # --- what could be typed ----------------------------------------------------------------------------------------
    async def suggest(self, q: str, kind: str = "", notebook: str = "") -> list[Suggestion]:
        """At most 20, best first. q: what stands behind the `@`, "run:lr" or "lr".  kind: only these."""
        q = q.lstrip("@").strip().strip('"')
        head, colon, rest = q.partition(":")
        if colon and head.lower() in rules.KINDS:
            kind, q = head.lower(), rest.strip('"')
        if len(q) > 200 or (kind and kind not in rules.KINDS):
            return []
        found: list[tuple[int, int, _Offer]] = []
        # Among equals in this order: what a chat is mostly about comes first.
        for rank, one in enumerate((kind,) if kind else rules.KINDS):
            if not kind and one in ("chart", "metric") and not q:
                continue
            limit = _LIMIT if kind else 6 if q else 3
            found += [(grade, rank, s) for grade, s in rules.best(q, await self._things(one, q, notebook), limit)]
        found.sort(key=lambda f: f[:2])
        return [_shown(offer) for _, _, offer in found[:_LIMIT]]

    async def _things(self, kind: str, q: str, notebook: str) -> list[_Named]:
        """What there is of a kind, newest first: the names it answers to, and how it is offered."""
        if kind == "run":
            newest = sorted(
                (r for r in self.shell.runs.values() if not r.archived),
                key=lambda r: (r.created_at, r.id),
                reverse=True,
            )
            return [
                ((r.id, r.id[4:], r.name, r.alias), ("run", r.id, r.alias or r.name, r.status.value)) for r in newest
            ]
        if kind == "sweep":
            sweeps = sorted(self.shell.sweeps.values(), key=lambda s: (s.created_at, s.id), reverse=True)
            return [
                ((s.id, s.id[4:], s.name), ("sweep", s.id, s.name, f"{s.status.value}, {len(s.trials)} trials"))
                for s in sweeps
                if not s.archived
            ]
        if kind == "alert":
            alerts = sorted(
                self.shell.alerts.values(), key=lambda a: (a.status.value == "pending", a.raised_at), reverse=True
            )
            return [((a.id, a.title), ("alert", a.id, a.title, a.status.value)) for a in alerts]
        if kind in ("metric", "chart"):
            name, at, ref = q.partition("@")
            if at:
                return [
                    ([f"{name}@{n}" for n in names], (kind, f"{name}@{offer[1]}", name, offer[2]))
                    for names, offer in await self._things("run", ref, notebook)
                ]
            return [((n, n.rsplit("/", 1)[-1]), (kind, n, n, "")) for n in self._metric_names()]
        if kind == "report":
            reports = sorted(self.shell.reports.values(), key=lambda r: r.get("created_at", 0.0), reverse=True)
            return [((r["id"], str(r["title"])), ("report", r["id"], str(r["title"]), "")) for r in reports]
        if kind == "session":
            sessions = sorted(self.shell.sessions.values(), key=lambda s: s.updated_at, reverse=True)
            return [
                ((s.id, s.title), ("session", s.id, s.title or "untitled", ""))
                for s in sessions
                if not s.archived and s.turns
            ]
        try:
            if kind == "file":
                return [((p, p.rsplit("/", 1)[-1]), ("file", p, p, "")) for p in await self._paths()]
            return await self._of_notebooks(kind, notebook)
        except (RagentError, OSError) as error:
            log.info("no suggestions for @%s: %s", kind, error)
            return []

    async def _paths(self) -> list[str]:
        """The project's files, as they were at most five seconds ago: every key press asks."""
        if self.workspace is None:
            return []
        at, paths = self._files
        now = self.shell.clock.mono()
        if now - at > _FILES_S:
            entries = await self._off(lambda: self.workspace.entries(".", depth=6, limit=5000))  # type: ignore[union-attr]
            paths = sorted((e.path for e in entries if e.kind == "file"), key=lambda p: (p.count("/"), p))
            self._files = now, paths
        return paths

    async def _of_notebooks(self, kind: str, notebook: str) -> list[_Named]:
        if self.notebooks is None or (kind in ("cell", "var") and not notebook):
            return []
        if kind == "notebook":
            known = await self.notebooks.all()
            known.sort(key=lambda n: (n["path"] != notebook, not n.get("open"), n["path"]))
            return [
                ((n["path"], n["path"].rsplit("/", 1)[-1]),
                 ("notebook", n["path"], n["path"], "open" if n.get("open") else ""))
                for n in known
            ]  # fmt: skip
        if kind == "cell":
            view = await self.notebooks.read(notebook)
            return [
                ((str(c.index + 1), c.id, c.source[:200]), ("cell", c.id, _first_line(c), f"cell {c.index + 1}"))
                for c in view.cells
            ]
        summaries = await self.notebooks.variables(notebook, [])
        return [((name,), ("var", name, name, one_line(said, 60))) for name, said in summaries.items()]


def _shown(offer: _Offer) -> Suggestion:
    kind, id_, label, detail = offer
    return Suggestion(
        kind=kind, id=id_, label=one_line(label, 120), detail=one_line(detail, 120), insert=rules.insert(kind, id_)
    )


def _first_line(cell: CellView) -> str:
    return next((line.strip()[:80] for line in cell.source.splitlines() if line.strip()), f"{cell.kind} cell")


def the_one(ref: str, what: str, things: Sequence[Named]) -> str:
    """The id of the one thing that is meant. Raises NotFound, BadInput with what it may be."""
    found = lookup(ref, things)
    if len(found) == 1:
        return found[0]
    if not found:
        near = nearest(ref, things, 3)
        raise NotFound(
            f"No {what} {ref[:100]!r} here.", f"Is it {' or '.join(near)}?" if near else f"There is no {what} yet."
        )
    more = f" and {len(found) - 4} more" if len(found) > 4 else ""
    raise BadInput(f"{ref[:100]!r} may be {', '.join(found[:4])}{more}.", "Give more of the id.")
