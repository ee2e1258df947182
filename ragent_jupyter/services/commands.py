"""Slash commands: those that a person's word is enough for are done here, the others become a full request.

Only what is built is offered: a command whose desk is missing does not exist, and `add` is for parts that come later.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from ragent_jupyter.domain.chat import MemoryRule, Mode, Session
from ragent_jupyter.domain.errors import BadInput, NotFound, WrongMoment
from ragent_jupyter.domain.run import Run
from ragent_jupyter.domain.sweep import Sweep
from ragent_jupyter.domain.wire import CreateReport, CreateRun
from ragent_jupyter.domain.wire_chat import PutRule, Verb
from ragent_jupyter.rules import commands as rules
from ragent_jupyter.rules.lookup import Named
from ragent_jupyter.rules.memory_md import title_of
from ragent_jupyter.rules.tool_text import one_line

from .memory import MemoryDesk
from .mentions import the_one
from .reports import ReportsDesk
from .runs import RunsDesk
from .sweeps import SweepsDesk

StopTurn = Callable[[str, str], Awaitable[object]]  # (session id, by)


class Prompt(Struct, frozen=True, kw_only=True):
    """A message for the model. shown: what the chat shows, "" where it is the text.  mode: for this message alone."""

    text: str
    shown: str = ""
    mode: Mode | None = None


class Done(Struct, frozen=True, kw_only=True):
    """It was done, and this says what. cards: as in `ToolOutcome.data`."""

    markdown: str
    cards: list[dict[str, Any]] = []


class NewSession(Struct, frozen=True, kw_only=True):
    """The chat goes on in a new session. text: the first message of it, "" for none."""

    text: str = ""


Expanded = Prompt | Done | NewSession


class Asked(Struct, frozen=True, kw_only=True):
    """A command as it came. person: whether it was typed where a person's word is taken for approvals.

    request_id: the same one twice starts nothing twice.
    """

    session: Session
    args: str
    text: str
    by: str = ""
    person: bool = True
    request_id: str = ""


@dataclass(frozen=True)
class Entry:
    """now: done while a turn is under way, instead of waiting in the queue."""

    verb: Verb
    do: Callable[[Asked], Awaitable[Expanded]]
    now: bool = False


_LAUNCH_OPTIONS: Mapping[str, type] = {
    "name": str, "gpus": int, "executor": str, "python": str, "primary": str, "mode": str, "cwd": str,
}  # fmt: skip
_MOST_COMPARED = 20
_MEMORY_USAGE = "/memory [list | add TEXT | on RULE | off RULE | approve RULE | refuse RULE | remove RULE]"


class Commands:
    """The registry and what each one does. stop_turn: how a turn is stopped, where there are turns."""

    def __init__(
        self,
        runs: RunsDesk,
        sweeps: SweepsDesk,
        memory: MemoryDesk | None = None,
        reports: ReportsDesk | None = None,
        *,
        stop_turn: StopTurn | None = None,
    ) -> None:
        self.runs = runs
        self.sweeps = sweeps
        self.memory = memory
        self.reports = reports
        self.stop_turn = stop_turn
        self._entries: dict[str, Entry] = {}
        self.add("launch", "/launch [--name N --gpus N --primary METRIC …] CMD", "start a run", self._launch)
        self.add("sweep", "/sweep WHAT", "set up a sweep over parameters", self._sweep)
        self.add("analyze", "/analyze [RUN]", "what happened in a run (default: the newest)", self._analyze)
        self.add("compare", "/compare RUN RUN …", "what differs between runs, and what it did", self._compare)
        self.add("stop", "/stop [turn | RUN | SWEEP]", "stop the answer, a run or a sweep", self._stop, now=True)
        if reports is not None:
            self.add("report", "/report [SWEEP | RUN …]", "write a notebook about them", self._report)
        if memory is not None:
            self.add("memory", _MEMORY_USAGE, "the rules that agents heed", self._memory, now=True)
        self.add("plan", "/plan TASK", "look only, and propose a plan", self._plan)
        self.add("clear", "/clear", "go on in a new chat; this one is kept", self._clear)
        self.add("help", "/help", "this list", self._help, now=True)

    def add(
        self, name: str, usage: str, help: str, do: Callable[[Asked], Awaitable[Expanded]], *, now: bool = False
    ) -> None:
        """Offer one more. Raises ValueError for a name that is taken."""
        if name in self._entries:
            raise ValueError(f"two commands are called /{name}")
        self._entries[name] = Entry(Verb(name=name, usage=usage, help=help), do, now)

    def verbs(self) -> list[Verb]:
        """What is offered, in the order of the list."""
        return [entry.verb for entry in self._entries.values()]

    def at_once(self, text: str) -> bool:
        """Whether a message is a command that must not wait for the turn under way (`/stop` above all)."""
        command = rules.parse(text)
        entry = self._entries.get(command.name) if command else None
        return entry is not None and entry.now

    async def expand(
        self, session: Session, text: str, *, by: str = "", person: bool = True, request_id: str = ""
    ) -> Expanded:
        """What a message comes to. Raises a RagentError with the usage; nothing was done then."""
        command = rules.parse(text)
        if command is None:
            said = rules.plain(text)
            return Prompt(text=said, shown=text if said != text else "")
        entry = self._entries.get(command.name)
        if entry is None:
            raise rules.unknown(command.name, list(self._entries))
        asked = Asked(session=session, args=command.args, text=text, by=by, person=person, request_id=request_id)
        return await entry.do(asked)

    def _usage(self, name: str) -> str:
        return f"Usage: {self._entries[name].verb.usage}"

    # --- done at once ---------------------------------------------------------------------------------------------
    async def _launch(self, asked: Asked) -> Done:
        options, command = rules.launch_options(asked.args, _LAUNCH_OPTIONS, self._entries["launch"].verb.usage)
        if not command.strip():
            raise BadInput("No command was given.", self._usage("launch"))
        if options.get("mode", "min") not in ("min", "max"):
            raise BadInput(f"--mode is min or max, not {options['mode'][:40]!r}.", self._usage("launch"))
        body = CreateRun(command=command, request_id=asked.request_id or None, **options)
        run = await self.runs.create(body)
        return Done(markdown=f"Started {_named(run)}: {code(run.command)}", cards=[{"card": "run", "run": run.id}])

    async def _stop(self, asked: Asked) -> Done:
        words = rules.split(asked.args, self._entries["stop"].verb.usage)
        if not words or words == ["turn"]:
            return await self._stop_turn(asked, named=bool(words))
        if len(words) > 1:
            raise BadInput("One thing is stopped at a time.", self._usage("stop"))
        if words[0].startswith("swp_"):
            sweep = await self.sweeps.stop(self._find_sweep(words[0]).id, by=asked.by or "user")
            return Done(
                markdown=f"Stopping sweep {code(sweep.id)} and its runs.", cards=[{"card": "sweep", "sweep": sweep.id}]
            )
        run = await self.runs.stop(self._find_run(words[0]).id, by=asked.by or "user")
        return Done(
            markdown=f"Stopping {_named(run)}: INT, then TERM, then KILL.", cards=[{"card": "run", "run": run.id}]
        )

    async def _stop_turn(self, asked: Asked, *, named: bool) -> Done:
        if asked.session.turn and self.stop_turn is not None:
            await self.stop_turn(asked.session.id, asked.by)
            return Done(markdown="Stopped.")
        live = [run for run in self.runs.shell.live_runs() if not named]
        also = f" These runs live: {', '.join(run.id for run in live[:5])}." if live else ""
        raise WrongMoment(f"No answer is under way.{also}", self._usage("stop"))

    async def _report(self, asked: Asked) -> Done:
        assert self.reports is not None  # it is offered only then
        words = rules.split(asked.args, self._entries["report"].verb.usage)
        sweep, runs = self._subject(words)
        reply = await self.reports.create(CreateReport(sweep=sweep, runs=runs))
        findings = "".join(f"\n- {one_line(finding, 300)}" for finding in reply.findings)
        return Done(
            markdown=f"Wrote {code(reply.path)}.{findings}",
            cards=[{"card": "report", "path": reply.path, "report": reply.id}],
        )

    def _subject(self, words: Sequence[str]) -> tuple[str | None, list[str]]:
        """A sweep, or runs; without words the newest sweep that has runs, else the newest run."""
        if not words:
            sweeps = [s for s in self.sweeps.newest() if any(trial.run_ids for trial in s.trials)]
            return (sweeps[0].id, []) if sweeps else (None, [self._find_run("latest").id])
        if len(words) == 1 and not words[0].startswith("run_"):
            try:
                return self._find_sweep(words[0]).id, []
            except NotFound:
                if words[0].startswith("swp_"):
                    raise
        return None, [self._find_run(word).id for word in words]

    async def _memory(self, asked: Asked) -> Done:
        assert self.memory is not None  # it is offered only then
        action, _, rest = asked.args.partition(" ") if asked.args else ("list", "", "")
        action, rest = action.lower(), rest.strip()
        if action == "list":
            return self._rules()
        if action == "add":
            if not rest:
                raise BadInput("There is nothing to remember.", f"Usage: {_MEMORY_USAGE}")
            first, newline, more = rest.partition("\n")
            title, text = (first, more) if newline and more.strip() else (title_of(rest), rest)
            rule = await self.memory.create(PutRule(title=title, text=text), by=asked.by)
            return _said("Added, and on from the next message", rule)
        if action == "remove":
            return _said("Removed", await self.memory.remove(self._find_rule(rest).id))
        fields: dict[str, dict[str, Any]] = {
            "on": {"on": True}, "off": {"on": False}, "approve": {"status": "active"}, "refuse": {"status": "refused"},
        }  # fmt: skip
        if action not in fields:
            raise BadInput(f"/memory cannot {action[:40]!r}.", f"Usage: {_MEMORY_USAGE}")
        rule = await self.memory.patch(
            self._find_rule(rest).id, PutRule(**fields[action]), by=asked.by, person=asked.person
        )
        return _said({"on": "On", "off": "Off", "approve": "Approved", "refuse": "Refused"}[action], rule)

    def _rules(self) -> Done:
        assert self.memory is not None
        rules_ = [rule for rule in self.memory.all() if rule.status != "refused"]
        if not rules_:
            return Done(markdown="No rules yet. `/memory add …` adds one.")
        lines = []
        for rule in rules_:
            state = "waits for your word" if rule.status == "proposed" else "on" if rule.on else "off"
            scope = f", for {code(rule.scope)}" if rule.scope else ""
            lines.append(f"- {code(rule.id)} **{plain(rule.title)}** ({state}, by {rule.source}{scope})")
        return Done(markdown="\n".join(lines), cards=[{"card": "rule", "rule": rule.id} for rule in rules_[:20]])

    async def _help(self, asked: Asked) -> Done:
        return Done(markdown="\n".join(f"- {code(verb.usage)}: {verb.help}" for verb in self.verbs()))

    async def _clear(self, asked: Asked) -> NewSession:
        return NewSession(text=asked.args)

    # --- full requests ----------------------------------------------------------------------------------------------
    async def _plan(self, asked: Asked) -> Prompt:
        if not asked.args:
            raise BadInput("There is nothing to plan.", self._usage("plan"))
        text = f"Make a plan for the following, and propose it to me. Look at what is there first.\n\n{asked.args}"
        return Prompt(text=text, shown=asked.text, mode="plan")

    async def _sweep(self, asked: Asked) -> Prompt:
        if not asked.args:
            raise BadInput("What shall be varied?", self._usage("sweep"))
        text = (
            f"Set up a sweep: {asked.args}\n\nLook at the script and at what has run before. State the command, the "
            "parameters with their values, the metric that decides and how many runs that makes. Then create and "
            "start it. Do not wait for its end: say how it is followed."
        )
        return Prompt(text=text, shown=asked.text)

    async def _analyze(self, asked: Asked) -> Prompt:
        words = rules.split(asked.args, self._entries["analyze"].verb.usage)
        if len(words) > 1:
            raise BadInput("One run is analyzed at a time.", f"{self._usage('analyze')}; /compare takes several.")
        run = self._find_run(words[0] if words else "latest")
        what = f"run {run.id}" if words else f"my latest run, {run.id}"
        text = (
            f"Analyze {what}. Say how it went and why, from its metrics, alerts, log and configuration; cite values "
            "with their steps, and lines of the log. Then say what to do next."
        )
        return Prompt(text=text, shown=asked.text)

    async def _compare(self, asked: Asked) -> Prompt:
        words = rules.split(asked.args, self._entries["compare"].verb.usage)
        runs: list[Run] = []
        if len(words) == 1 and words[0].startswith("swp_"):
            sweep = self._find_sweep(words[0])
            ids = [trial.run_ids[-1] for trial in sweep.trials if trial.run_ids]
            runs = [self.runs.get(id_) for id_ in ids]
        else:
            for word in words:
                run = self._find_run(word)
                if run not in runs:
                    runs.append(run)
        if len(runs) < 2:
            raise BadInput("Two runs or more are compared.", self._usage("compare"))
        if len(runs) > _MOST_COMPARED:
            raise BadInput(f"{len(runs)} runs are too many.", f"Name at most {_MOST_COMPARED}, or use /report.")
        listed = ", ".join(run.id for run in runs[:-1]) + f" and {runs[-1].id}"
        text = (
            f"Compare the runs {listed}. Say what differs in their configuration, code and environment, what that did "
            "to their metrics (values with steps), and which is better by the metric they are judged by."
        )
        return Prompt(text=text, shown=asked.text)

    # --- what is meant ------------------------------------------------------------------------------------------------
    def _find_run(self, ref: str) -> Run:
        runs = self.runs.shell.runs
        if ref in runs:
            return runs[ref]
        known = sorted(runs.values(), key=lambda r: (r.created_at, r.id))
        return runs[the_one(ref, "run", [Named(r.id, (r.name, r.alias) if r.alias else (r.name,)) for r in known])]

    def _find_sweep(self, ref: str) -> Sweep:
        known = list(reversed(self.sweeps.newest(archived=True)))
        return self.sweeps.get(the_one(ref, "sweep", [Named(s.id, (s.name,)) for s in known]))

    def _find_rule(self, ref: str) -> MemoryRule:
        assert self.memory is not None
        if not ref:
            raise BadInput("No rule was named.", f"Usage: {_MEMORY_USAGE}")
        known = self.memory.all()
        return self.memory.get(the_one(ref, "rule", [Named(rule.id, (rule.title,)) for rule in known]))


def _named(run: Run) -> str:
    return f"{code(run.id)} ({plain(run.alias or run.name)}), {run.status.value}"


def _said(what: str, rule: MemoryRule) -> Done:
    return Done(markdown=f"{what}: {code(rule.id)} **{plain(rule.title)}**", cards=[{"card": "rule", "rule": rule.id}])


def code(text: str, most: int = 300) -> str:
    """Somebody's words as a span of code, which can neither end early nor hold markup.

    >>> code("a`b"), code("")
    ('``a`b``', '` `')
    """
    text = one_line(text, most) or " "
    ticks = "`"
    while ticks in text:
        ticks += "`"
    pad = " " if text[0] == "`" or text[-1] == "`" else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def plain(text: str, most: int = 120) -> str:
    """Somebody's words in Markdown as nothing but words.

    >>> plain("**a** <b>")
    '\\\\*\\\\*a\\\\*\\\\* \\\\<b\\\\>'
    """
    return "".join(f"\\{char}" if char in "\\`*_{}[]()<>#!|~$" else char for char in one_line(text, most))
