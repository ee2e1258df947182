"""The desk of wild loops: starts them, hears what people wish, and keeps one driver for each that lives."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotFound, RagentError, WrongMoment
from ragent_jupyter.domain.ports_wild import Policy, Trees
from ragent_jupyter.domain.wild import Entry, Loop, LoopEvent, PolicyKind, Spent, TrialView, View, Waiting
from ragent_jupyter.domain.wire_wild import (
    AnswerLoop,
    ChangeLimits,
    CreateLoop,
    JournalReply,
    LoopReply,
    MergeLoop,
    MergeReply,
    PatchLoop,
    ReorderEvents,
    SetupReply,
    Steer,
    StopLoop,
)
from ragent_jupyter.rules import wild_loop as rules
from ragent_jupyter.rules.environment import kept
from ragent_jupyter.rules.wild_limits import changed_limits, check_limits, hit
from ragent_jupyter.rules.wild_summary import summary
from ragent_jupyter.runfiles.spec import write_base_env

from . import silences
from .holdout import kept_out
from .shell import Change, Shell
from .wild_book import entry_id
from .wild_driver import Driver
from .wild_merging import chosen, of_commit
from .wild_view import WildViews
from .wild_work import WildWork

log = logging.getLogger("ragent.engine")

MAX_GOAL = 4000
MAX_STEER = 8000
MAX_LIVING = 8
_MAX_MODEL = 200
_RECENT = 60
_SPARED = "Stopped; its runs go on to their end."
PAGE = 1000


def _goal(text: str) -> str:
    """A goal as it is kept. Raises BadInput."""
    goal = text.strip()
    if not goal:
        raise BadInput("The goal is empty.", 'Say what you want, such as "lower val_loss".')
    if len(goal) > MAX_GOAL:
        raise BadInput(f"The goal has {len(goal):,} characters.", f"Say it in at most {MAX_GOAL:,}.")
    return goal


def _open(loop: Loop) -> None:
    """Raises WrongMoment for a loop that nothing opens again: what it was is history."""
    if loop.over and loop.end != "budget":
        raise WrongMoment(f"Loop {loop.id} has ended ({loop.end}).", "Start a new one.")


class Sets(Protocol):
    """services/wild_setup.py."""

    async def propose(self, body: CreateLoop) -> SetupReply: ...


class WildDesk:
    def __init__(
        self,
        shell: Shell,
        views: WildViews,
        work: WildWork,
        setups: Sets,
        trees: Trees | None,
        *,
        policy: Callable[[Loop, LoopEvent], Policy],
        default_policy: Callable[[], PolicyKind],
        make_id: Callable[[str], str],
        redact: Callable[[str], str],
        session: Callable[[Loop], Awaitable[str]],
        progressed: Callable[[], None],
    ) -> None:
        self.shell = shell
        self.views = views
        self.work = work
        self.setups = setups
        self.trees = trees
        self.policy = policy
        self.default_policy = default_policy
        self.make_id = make_id
        self.redact = redact
        self.session = session
        self.progressed = progressed
        self.interrupted: Callable[[Loop, LoopEvent], Awaitable[str]] | None = None
        self._drivers: dict[str, Driver] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._recent: dict[str, deque[Entry]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._late: set[asyncio.Task[None]] = set()
        self._serving = asyncio.Event()
        views.recent = self.recent

    # --- life ---------------------------------------------------------------------------------------------------------
    def begin(self) -> None:
        """Go on with every loop that has not ended."""
        self.shell.listeners.append(self._heard)
        for loop in list(self.shell.loops.values()):
            if not loop.over:
                self._drive(loop.id)
            elif self.work.leaves(loop) or not loop.report:
                self._soon(self._finished(loop))  # a crash came between its end and what belongs to it

    async def end(self) -> None:
        """The engine ends: loops stay as they are, to be gone on with."""
        tasks = [*self._tasks.values(), *self._late]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def busy(self) -> bool:
        """A loop needs the engine, unless it rests by a person's wish and nothing of it runs."""
        return any(not loop.over and not loop.paused for loop in self.shell.loops.values())

    def _drive(self, loop_id: str) -> None:
        if loop_id in self._tasks and not self._tasks[loop_id].done():
            return
        driver = Driver(loop_id, self.shell, self.views, self.work, self.policy, self.trees, self._remember)
        driver.interrupted = self.interrupted
        driver.redact = self.redact
        self._drivers[loop_id] = driver
        self._tasks[loop_id] = asyncio.get_running_loop().create_task(driver.run())

    def _heard(self, change: Change) -> None:
        """Something changed: whoever it may concern looks. Looking at the record is cheap, and misses nothing."""
        if change.type.startswith(("run_", "sweep_", "alert_")):
            for driver in self._drivers.values():
                driver.wake.set()

    def waiting(self, loop_id: str, until: float | None, why: str) -> None:
        """The model is waited for within a decision, or it answers again (until None): shown, and decides nothing."""
        loop = self.shell.loops.get(loop_id)
        if loop is None or loop.over or (until is None and loop.waiting is None):
            return
        shown = (
            None
            if until is None
            else Waiting(until=until, why=why, tries=(loop.waiting.tries if loop.waiting else 0) + 1)
        )
        task = asyncio.ensure_future(self.shell.commit([Change("wild_changed", replace(loop, waiting=shown))]))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    def held(self, sweep: Any) -> bool:
        """Whether a sweep starts nothing for now."""
        loop = self.shell.loops.get(sweep.loop_id) if sweep.loop_id else None
        return loop is not None and (loop.paused or loop.over)

    # --- the ledger ---------------------------------------------------------------------------------------------------
    def _remember(self, entry: Entry) -> None:
        self.recent(entry.loop_id)
        self._recent[entry.loop_id].append(entry)

    def recent(self, loop_id: str) -> Sequence[Entry]:
        kept_here = self._recent.get(loop_id)
        if kept_here is None:
            loop = self.shell.loops.get(loop_id)
            newest = loop.entries if loop else 0
            kept_here = deque(self._read(loop_id, max(1, newest - _RECENT + 1), newest), maxlen=_RECENT)
            self._recent[loop_id] = kept_here
        return kept_here

    def _read(self, loop_id: str, first: int, last: int) -> list[Entry]:
        ids = [entry_id(loop_id, n) for n in range(first, last + 1)]
        found = (
            [msgspec.json.decode(data, type=Entry) for data in self.shell.store.load("entry", ids=ids)] if ids else []
        )
        return sorted(found, key=lambda entry: entry.n)

    def journal(self, loop_id: str, after: int = 0, limit: int = PAGE) -> JournalReply:
        loop = self.get(loop_id)
        last = min(loop.entries, max(0, after) + limit)
        return JournalReply(entries=self._read(loop_id, max(0, after) + 1, last), total=loop.entries)

    # --- looking ------------------------------------------------------------------------------------------------------
    def get(self, loop_id: str) -> Loop:
        loop = self.shell.loops.get(loop_id)
        if loop is None:
            raise NotFound(f"No wild loop {loop_id[:60]!r} in this project.", "List them with `ragent wild list`.")
        return loop

    def all(self) -> list[Loop]:
        return sorted(self.shell.loops.values(), key=lambda loop: (loop.created_at, loop.id), reverse=True)

    def counted(self, loop: Loop) -> Loop:
        """The loop with its use as it is now, not as it was last written down."""
        if loop.over:  # its clock stands still, whatever was last written down
            return replace(loop, spent=replace(loop.spent, since=None))
        return replace(loop, spent=self.views.spent(loop))

    def reply(self, loop_id: str) -> LoopReply:
        loop = self.counted(self.get(loop_id))
        runs = self.views.runs_of(loop)
        counts: dict[str, int] = {}
        for run in runs:
            counts[run.status.value] = counts.get(run.status.value, 0) + 1
        alerts = self.views.alerts_of(loop)
        trials = self.views.view(loop).trials
        now = self.shell.clock.now()
        return LoopReply(
            loop=loop,
            counts=counts,
            alerts=len(alerts),
            elapsed_s=(loop.ended_at or now) - loop.created_at,
            summary=summary(loop, trials, alerts, now),
        )

    def view_of(self, loop_id: str) -> View:
        return self.views.view(self.counted(self.get(loop_id)))

    # --- beginning ----------------------------------------------------------------------------------------------------
    async def draft(self, body: CreateLoop) -> SetupReply:
        """What would be run and searched. Raises BadInput, CannotBeDone; nothing is kept."""
        _goal(body.goal)
        limits = check_limits(body.limits)
        silences.wanted(body.env)
        reply = await self.setups.propose(body)
        return replace(reply, policy=body.policy or self.default_policy(), limits=limits)

    async def create(self, body: CreateLoop, by: str = "", advice: str = "", labels: Path | None = None) -> Loop:
        """A loop, begun. advice: what the person should know, for the ledger's first line.  labels: the
        file that was sealed. Raises BadInput,
        CannotBeDone where its setup leaves a question open."""
        again = self._of_request(body.request_id)
        if again is not None:
            return again
        drafted = await self.draft(body)
        if drafted.asks:
            ask = drafted.asks[0]
            options = ", ".join(f"{o.id} ({o.label})" for o in ask.options)
            raise CannotBeDone(ask.text, f"Say so at the start: {options or 'see the draft'}.")
        if drafted.policy != "builtin":
            self.work.may_use_model(body.model)
        self._room()
        loop_id = self.make_id("wld")
        setup = drafted.setup
        commits, branch = [], ""
        if setup.isolation == "tree" and self.trees is not None:
            if labels is not None:
                await asyncio.to_thread(kept_out, labels, self.trees, setup)
            base = await asyncio.to_thread(self.trees.base, setup.cwd, loop_id)
            await asyncio.to_thread(self.trees.tree, base.commit, setup.inputs)
            commits, branch = [base.commit], base.branch
        self._room()  # others may have begun meanwhile
        again = self._of_request(body.request_id)  # the same request may have come twice meanwhile
        if again is not None:
            return again
        now = self.shell.clock.now()
        loop = Loop(
            id=loop_id,
            goal=self.redact(body.goal.strip()),
            created_at=now,
            setup=setup,
            policy=drafted.policy,
            autonomy=body.autonomy,
            limits=drafted.limits,
            spent=Spent(since=now),
            commits=commits,
            branch=branch,
            model=body.model,
            seed=body.seed,
            by=by,
            request_id=body.request_id,
        )
        if body.caller_env is not None:
            write_base_env(self.work.folder(loop_id), kept(body.caller_env))
        said = {"do": "wish", "wish": "start", "goal": loop.goal, "limits": msgspec.to_builtins(loop.limits)}
        line = Entry(
            id=entry_id(loop_id, 1), loop_id=loop_id, n=1, at=now, by="human", who=by, stage=loop.stage.value,
            iteration=0, action=said, result=f"Started: {loop.goal} {advice}".strip(),
        )  # fmt: skip
        loop = replace(loop, entries=1)
        await self.shell.commit([Change("wild_created", loop), Change("wild_entry", line)])
        self._remember(line)
        if loop.policy != "builtin":
            session_id = await self.session(loop)
            await self.shell.commit([Change("wild_changed", replace(self.get(loop_id), session_id=session_id))])
        self._drive(loop_id)
        return self.get(loop_id)

    def _room(self) -> None:
        living = [loop for loop in self.shell.loops.values() if not loop.over]
        if len(living) >= MAX_LIVING:
            raise CannotBeDone(f"{len(living)} loops live already.", "Stop one first.")

    def _of_request(self, request_id: str | None) -> Loop | None:
        if not request_id:
            return None
        return next((loop for loop in self.shell.loops.values() if loop.request_id == request_id), None)

    # --- wishes -------------------------------------------------------------------------------------------------------
    async def _wish(
        self, before: Loop, after: Loop, wish: str, by: str, result: str, type: str = "wild_changed"
    ) -> Loop:
        """A person's wish takes effect at once: in memory before anything is awaited."""
        n = after.entries + 1
        line = Entry(
            id=entry_id(after.id, n), loop_id=after.id, n=n, at=self.shell.clock.now(), by="human", who=by,
            stage=before.stage.value, iteration=before.iteration, action={"do": "wish", "wish": wish}, result=result,
        )  # fmt: skip
        self._remember(line)
        await self.shell.commit([Change(type, replace(after, entries=n)), Change("wild_entry", line)])
        driver = self._drivers.get(after.id)
        if driver is not None:
            driver.wake.set()
        self.progressed()
        return self.get(after.id)

    async def pause(self, loop_id: str, by: str = "") -> Loop:
        loop = self.get(loop_id)
        if loop.paused:
            return loop
        return await self._wish(loop, rules.paused(loop), "pause", by, "Paused. Runs that live go on; none is started.")

    async def resume(self, loop_id: str, by: str = "") -> Loop:
        loop = self.get(loop_id)
        if not loop.over and not loop.paused and loop.waiting is None:
            return loop
        after = rules.resumed(loop, hit(loop.limits, self.views.spent(loop)))
        changed = await self._wish(loop, after, "resume", by, "Resumed.")
        self._drive(loop_id)
        return changed

    async def stop(self, loop_id: str, wish: StopLoop, by: str = "") -> Loop:
        loop = self.get(loop_id)
        if loop.over and loop.end == "stopped":  # said again: what the first time did not reach is done now
            if wish.runs:
                await self.work.stop_sweeps(loop, now=wish.now)
            return self.get(loop_id)
        after = rules.stopped(loop, by, self.shell.clock.now())
        what = "Stopped, with its runs." if wish.runs else _SPARED
        stopped = await self._wish(loop, after, "stop", by, what, "wild_ended")
        driver = self._drivers.get(loop_id)
        if driver is not None:
            await driver.drop()
        if wish.runs:
            await self.work.stop_sweeps(stopped, now=wish.now)
        else:
            await self.work.hold_sweeps(stopped)
        self._soon(self._report_of(loop_id))
        return self.get(loop_id)

    def _soon(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _finished(self, loop: Loop) -> None:
        """Do what was left undone of a loop's end. What a person asked to spare, and what a limit ends, is spared.

        The report is hundreds of files and a notebook: doors that wait for the engine's first answer come before it.
        """
        wishes = [e for e in self.recent(loop.id) if isinstance(e.action, dict) and e.action.get("wish") == "stop"]
        spared = loop.end != "stopped" or (wishes and wishes[-1].result == _SPARED)
        try:
            if spared:
                await self.work.hold_sweeps(loop)
            else:
                await self.work.stop_sweeps(loop, now=False)
        except RagentError as error:
            log.error("the sweeps of loop %s were not ended: %s", loop.id, error)
        if not loop.report:
            await self._serving.wait()
            await self._report_of(loop.id)

    def serves(self) -> None:
        """The engine answers, and has answered those who waited for it."""
        self._serving.set()

    async def _report_of(self, loop_id: str) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await self.work.finish(loop_id, self._remember)

    async def steer(self, loop_id: str, wish: Steer, by: str = "") -> Loop:
        text = self.redact(wish.text.strip())
        if not text:
            raise BadInput("There is nothing to steer by.", "Say what should change.")
        if len(text) > MAX_STEER:
            raise BadInput(f"The text has {len(text):,} characters.", f"Say it in at most {MAX_STEER:,}.")
        loop = self.get(loop_id)
        key = hashlib.sha256(wish.request_id.encode()).hexdigest()[:16] if wish.request_id else self.make_id("evt")
        after = rules.steered(loop, f"human:{key}", text, self.shell.clock.now())
        return loop if after is loop else await self._wish(loop, after, "steer", by, text)

    async def answer(self, loop_id: str, wish: AnswerLoop, by: str = "") -> Loop:
        loop = self.get(loop_id)
        question = loop.question
        text = self.redact(wish.text.strip()[:MAX_STEER])
        after, _, words = rules.answered(loop, wish.question, wish.choice, text, self.shell.clock.now())
        if question is not None and question.about == "model" and wish.choice == "builtin":
            after = replace(after, policy="builtin", current=None)
        if wish.choice == "stop" and question is not None and question.about in ("blocked", "model", "need"):
            await self._wish(loop, after, "answer", by, words)
            return await self.stop(loop_id, StopLoop(), by)
        return await self._wish(loop, after, "answer", by, f"{question.text if question else ''} → {words}")

    async def limits(self, loop_id: str, wish: ChangeLimits, by: str = "") -> Loop:
        loop = self.get(loop_id)
        _open(loop)
        after = replace(loop, limits=changed_limits(loop.limits, wish.limits))
        said = ", ".join(f"{name} {value}" for name, value in wish.limits.items())
        changed = await self._wish(loop, after, "limits", by, f"Limits: {said}.")
        room = hit(changed.limits, self.views.spent(changed)) is None
        if changed.over and changed.end == "budget" and wish.resume and room:
            return await self.resume(loop_id, by)
        return changed

    async def patch(self, loop_id: str, wish: PatchLoop, by: str = "") -> Loop:
        loop = self.get(loop_id)
        _open(loop)
        fields: dict[str, Any] = {}
        if wish.autonomy is not None:
            fields["autonomy"] = wish.autonomy
        if wish.goal is not None:
            fields["goal"] = self.redact(_goal(wish.goal))
        if wish.space is not None:
            fields["setup"] = rules.changed_setup(loop, {"space": wish.space})
        if wish.model is not None:
            if len(wish.model) > _MAX_MODEL:
                raise BadInput(f"The model's name has {len(wish.model):,} characters.", "Give provider:model.")
            fields["model"] = wish.model
        if wish.policy is not None:
            if wish.policy != "builtin":
                self.work.may_use_model(wish.model or loop.model)
                if not loop.session_id:
                    fields["session_id"] = await self.session(loop)
                    loop = self.get(loop_id)
            fields["policy"] = wish.policy
        if not fields:
            return loop
        return await self._wish(loop, replace(loop, **fields), "change", by, f"Changed: {', '.join(sorted(fields))}.")

    async def reorder(self, loop_id: str, wish: ReorderEvents, by: str = "") -> Loop:
        loop = self.get(loop_id)
        _open(loop)
        after = rules.reordered(loop, wish.order, wish.drop)
        return await self._wish(loop, after, "queue", by, f"Reordered {len(wish.order)}, dropped {len(wish.drop)}.")

    # --- code ---------------------------------------------------------------------------------------------------------
    def _trees(self, loop: Loop) -> Trees:
        if self.trees is None or not loop.commits:
            raise WrongMoment(f"Loop {loop.id} changed no code.", "It ran in your own folder.")
        return self.trees

    async def diff(self, loop_id: str, commit: str = "") -> str:
        loop = self.get(loop_id)
        trees = self._trees(loop)
        return await asyncio.to_thread(trees.diff, loop.commits[0], chosen(loop, commit))

    async def merge(self, loop_id: str, wish: MergeLoop, by: str = "") -> MergeReply:
        loop = self.get(loop_id)
        trees = self._trees(loop)
        commit = chosen(loop, wish.commit)
        async with self._locks.setdefault(loop_id, asyncio.Lock()):
            text = await asyncio.to_thread(trees.merge, loop_id, commit, by)
        text += f" {of_commit(loop, commit)}"
        shown = await asyncio.to_thread(trees.diff, loop.commits[0], commit)
        loop = self.get(loop_id)
        await self._wish(loop, loop, "merge", by, text)
        return MergeReply(text=text, diff=shown)

    async def report(self, loop_id: str) -> Loop:
        loop = self.get(loop_id)
        path = await self.work.report(loop)
        loop = replace(self.get(loop_id), report=path)
        await self.shell.commit([Change("wild_changed", loop)])
        return loop

    def trials(self, loop_id: str) -> list[TrialView]:
        return self.view_of(loop_id).trials
