"""The host watches run folders: it turns what wrappers and sidecars wrote there into facts for the rules.

A look is made in a thread and only reads; what it saw is applied on the engine's loop, in one transaction with the
offsets up to which the files were read. A file read twice therefore changes nothing twice.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.alert import AlertStatus
from ragent_jupyter.domain.effects import Launch, Owed
from ragent_jupyter.domain.errors import RagentError
from ragent_jupyter.domain.facts import (
    AlertRaised,
    Claim,
    Exit,
    JobStarted,
    Live,
    SidecarFact,
    SidecarState,
    WatchEnded,
    WrapperFact,
)
from ragent_jupyter.domain.ports import Executor
from ragent_jupyter.domain.run import MetricSummary, Progress, Reason, Run, RunStatus
from ragent_jupyter.rules import run_life
from ragent_jupyter.rules.explain import explain
from ragent_jupyter.runfiles.jsonl import Tail

from .alerts import AlertsDesk, raised
from .logs import tail
from .runs import RunsDesk
from .shell import Change, Shell, effect_key

log = logging.getLogger("ragent.engine")

LOOK_S = 0.2
PULSE_S = 2.0  # how often processes are looked at; files are looked at each time
NEVER_CLAIMED_S = 5.0  # a launch without a claim for so long is looked into


class Witness(Protocol):
    """What the host needs to know of processes; the engine's joining place brings it."""

    def alive(self, pid: int, start_time: float) -> bool: ...
    def this_host(self) -> tuple[str, str]: ...
    def publish_lost(self, run_dir: Path, verdict: Exit) -> Exit: ...
    def job_alive(self, run_dir: Path, run_id: str) -> bool: ...
    def sidecar_alive(self, run_dir: Path) -> bool: ...
    def start_sidecar(self, run_dir: Path) -> None: ...
    def kill_job(self, run_dir: Path, run_id: str, hard: bool) -> None: ...


class Watched(Struct):
    """What the host remembers between two looks at one run. Not state: it is found again after a restart."""

    run_dir: Path
    wrapper: Tail
    facts: Tail
    claim: Claim | None = None
    live_stamp: tuple[int, int] = (0, 0)
    columns_size: int = -1
    next_pulse: float = 0.0
    settle_tries: int = 0
    stop_tried: float = 0.0
    launched_mono: float = 0.0
    relaunches: int = 0


class Look(Struct):
    """What one look at one run saw."""

    run_id: str
    claim: Claim | None = None
    exit: Exit | None = None
    wrapper: list[Any] = []
    facts: list[Any] = []
    live: Live | None = None
    columns_changed: bool = False
    wrapper_alive: bool | None = None
    job_alive: bool | None = None
    log_tail: str = ""
    give_up_settling: bool = False
    resubmit: bool = False


class Host:
    def __init__(
        self,
        shell: Shell,
        runs: RunsDesk,
        alerts: AlertsDesk,
        executors: Mapping[str, Executor],
        witness: Witness,
        perform: Callable[[Owed], None],
    ) -> None:
        self.shell = shell
        self.runs = runs
        self.alerts = alerts
        self.executors = executors
        self.witness = witness
        self.perform = perform
        self.watched: dict[str, Watched] = {}
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="host")
        self._stopping = False

    # --- which runs ---------------------------------------------------------------------------------------------
    def _wanted(self) -> list[Run]:
        return [r for r in self.shell.runs.values() if r.status.live or (r.status.terminal and not r.settled)]

    def _watch(self, run: Run) -> Watched:
        seen = self.watched.get(run.id)
        if seen is None:
            folder = self.runs.folder(run.id)
            offsets = self.shell.offsets
            seen = Watched(
                folder,
                Tail(folder / "wrapper.jsonl", offsets.get(f"{run.id}/wrapper", 0)),
                Tail(folder / "facts.jsonl", offsets.get(f"{run.id}/facts", 0)),
                # One that an earlier engine had handed over is looked into at once: it has had its time.
                launched_mono=self.shell.clock.mono() - (NEVER_CLAIMED_S if run.executor_handle else 0.0),
            )
            self.watched[run.id] = seen
        return seen

    # --- the loop -----------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Look, apply, wait; until `stop`."""
        loop = asyncio.get_running_loop()
        while not self._stopping:
            began = self.shell.clock.mono()
            try:
                await self.look_once(loop)
            except RagentError as error:
                log.error("what the run folders say could not be remembered yet: %s", error)
            except Exception:
                log.exception("a look at the run folders failed; the next one follows")
            took = self.shell.clock.mono() - began
            # Never more than a tenth of a core for looking, however many runs there are.
            await asyncio.sleep(max(LOOK_S, min(2.0, took * 9)))

    def stop(self) -> None:
        self._stopping = True

    async def look_once(self, loop: asyncio.AbstractEventLoop) -> None:
        wanted = self._wanted()
        keep = {r.id for r in wanted}
        for gone in [i for i in self.watched if i not in keep]:
            del self.watched[gone]
        if not wanted:
            return
        pairs = [(run, self._watch(run)) for run in wanted]
        now = self.shell.clock.mono()
        looks = await loop.run_in_executor(self.pool, self._look_all, pairs, now)
        for look in looks:
            try:
                await self._apply(look)
            except RagentError as error:
                # The tails have moved past what was not remembered: look at this run anew, from what was.
                self.watched.pop(look.run_id, None)
                log.error("run %s: %s", look.run_id, error)

    # --- looking: in a thread, reads only -----------------------------------------------------------------------
    def _look_all(self, pairs: list[tuple[Run, Watched]], now: float) -> list[Look]:
        looks = []
        for run, watched in pairs:
            try:
                look = self._look(run, watched, now)
            except OSError as error:
                log.warning("run %s cannot be looked at: %s", run.id, error)
                continue
            if look is not None:
                looks.append(look)
        return looks

    def _look(self, run: Run, w: Watched, now: float) -> Look | None:
        look = Look(run.id)
        news = False
        folder = os.fspath(w.run_dir)
        if w.claim is None:
            w.claim = _read(folder + "/claim.json", Claim)
            if w.claim is not None:
                look.claim, news = w.claim, True
        if _size(folder + "/wrapper.jsonl") != w.wrapper.offset:
            look.wrapper = _decode(w.wrapper, WrapperFact)
            news = news or bool(look.wrapper)
        if not run.status.terminal:
            look.exit = _read(folder + "/exit.json", Exit)
        # Facts are read after the verdict was looked for: whatever the sidecar raised before it is then in this look.
        if _size(folder + "/facts.jsonl") != w.facts.offset:
            look.facts = _decode(w.facts, SidecarFact)
            news = news or bool(look.facts)
        stamp = _stamp(folder + "/live.json")
        if stamp != w.live_stamp:
            w.live_stamp = stamp
            look.live = _read(folder + "/live.json", Live)
            news = news or look.live is not None
        size = _size(folder + "/metrics/commits.jsonl")
        if size != w.columns_size:
            w.columns_size = size
            look.columns_changed = news = True
        if now >= w.next_pulse:
            w.next_pulse = now + PULSE_S
            news = self._pulse(run, w, look, now) or news
        if look.exit is not None:
            look.log_tail = tail(w.run_dir / "job.log")
            news = True
        return look if news else None

    def _pulse(self, run: Run, w: Watched, look: Look, now: float) -> bool:
        """Look at processes. True where there is something to tell."""
        if run.status.terminal:
            return self._settling(run, w, look)
        if w.claim is None:
            # One that is being stopped as well: a new wrapper finds the order, starts nothing and says so.
            waiting = run.status in (RunStatus.LAUNCHING, RunStatus.STOPPING)
            if not waiting or now - w.launched_mono < NEVER_CLAIMED_S:
                return False
            executor = self.executors.get(run.executor)
            sighting = executor.look([run.id]).get(run.id) if executor else None
            if sighting is not None and sighting.state in ("alive", "pending"):
                return False
            w.launched_mono = now
            w.relaunches += 1
            look.resubmit = True
            return True
        host, boot = self.witness.this_host()
        if w.claim.host != host:
            return False
        same_boot = w.claim.boot_id == boot
        look.wrapper_alive = same_boot and self.witness.alive(w.claim.pid, w.claim.start_time)
        if look.wrapper_alive:
            return run.unreachable_since is not None or bool(run.health)
        look.job_alive = same_boot and self.witness.job_alive(w.run_dir, run.id)
        if look.exit is None:
            # The wrapper is dead and writes no more: what it published is there now, or never will be.
            look.exit = _read(os.fspath(w.run_dir / "exit.json"), Exit)
        if look.exit is None and not look.job_alive:
            how = "" if same_boot else " The machine was restarted meanwhile."
            look.exit = self.witness.publish_lost(
                w.run_dir,
                Exit(
                    run_id=run.id,
                    kind="lost",
                    at=self.shell.clock.now(),
                    problem=f"its wrapper (pid {w.claim.pid}) died without a verdict, no process is left of it.{how}",
                    order_id=run.stop_order,
                    host=host,
                ),
            )
        if look.exit is None and run.status is RunStatus.STOPPING:
            # Nobody is left to deliver the stop: the engine does it, INT first.
            first = not w.stop_tried
            w.stop_tried = w.stop_tried or now
            self.witness.kill_job(w.run_dir, run.id, hard=not first and now - w.stop_tried > 10.0)
        if look.exit is None and not self.witness.sidecar_alive(w.run_dir):
            self.witness.start_sidecar(w.run_dir)
        return True

    def _settling(self, run: Run, w: Watched, look: Look) -> bool:
        """The run is over, but nobody has said that all of its metrics were read."""
        if (w.run_dir / "spec.json").exists() and w.settle_tries < 5:
            if self.witness.sidecar_alive(w.run_dir):
                return False
            if w.claim is not None and self._wrapper_alive(w.claim):
                return False  # it keeps the sidecar alive to the end
            w.settle_tries += 1
            if w.settle_tries < 5:
                self.witness.start_sidecar(w.run_dir)
                return False
        look.give_up_settling = True
        return True

    def _wrapper_alive(self, claim: Claim) -> bool:
        host, boot = self.witness.this_host()
        return claim.host == host and claim.boot_id == boot and self.witness.alive(claim.pid, claim.start_time)

    # --- applying: on the loop, one transaction a run -------------------------------------------------------------
    async def _apply(self, look: Look) -> None:
        run = self.shell.runs.get(look.run_id)
        w = self.watched.get(look.run_id)
        if run is None or w is None:
            return
        if look.live is not None:
            self.runs.live[run.id] = look.live
        changes: list[Change] = []
        effects: list[Any] = []
        before = run

        def feed(fact: run_life.Fact) -> None:
            nonlocal run
            assert run is not None
            records, more = run_life.decide(run, fact)
            effects.extend(more)
            for record in records:
                run = run_life.evolve(run, record)
                changes.append(Change(record.type, run))

        if look.claim is not None:
            feed(run_life.Claimed(look.claim.at or self.shell.clock.now()))
        self._health(look, run, feed)
        for fact in look.wrapper:
            if isinstance(fact, JobStarted):
                feed(run_life.Started(fact.at, fact.pid))
            elif isinstance(fact, SidecarState) and fact.state == "given_up":
                feed(run_life.Seen(health=f"unwatched: {fact.detail or 'the sidecar does not start'}"))
        changes += self._alerts(look, run)
        if look.exit is not None and not run.status.terminal:
            python = run.interpreter.path if run.interpreter else None
            reason = self._reason(run, explain(look.exit, look.log_tail, python))
            feed(run_life.Ended(look.exit, reason))
        ended = any(isinstance(f, WatchEnded) for f in look.facts)
        if (ended or look.give_up_settling) and run.status.terminal:
            live = _read(os.fspath(w.run_dir / "live.json"), Live) or self.runs.live.get(run.id)
            summary = msgspec.convert(live.summary, dict[str, MetricSummary]) if live else {}
            progress = msgspec.convert(live.progress, Progress) if live and live.progress else None
            feed(run_life.Settled(summary, progress))
        if run.status.terminal and not before.status.terminal:
            told = {c.obj.id for c in changes if c.type == "alert_raised"}
            word = {"finished": "finished", "failed": "failed"}.get(run.status.value, "was stopped")
            changes += [c for c in self.alerts.expire(run.id, f"The run {word}.") if c.obj.id not in told]
            fresh = [c for c in changes if c.type == "alert_raised" and c.obj.status is AlertStatus.PENDING]
            for change in fresh:
                changes[changes.index(change)] = Change(
                    change.type,
                    msgspec.structs.replace(change.obj, status=AlertStatus.EXPIRED, note=f"The run {word}."),
                )
        offsets = {}
        if look.wrapper:
            offsets[f"{run.id}/wrapper"] = w.wrapper.offset
        if look.facts:
            offsets[f"{run.id}/facts"] = w.facts.offset
        if changes or effects or offsets:
            await self.shell.commit(changes, effects, offsets)
        if look.resubmit:
            launch = Launch(run_id=run.id)
            self.perform(Owed(key=effect_key(launch), stream=run.id, effect=launch))
        self._tell(look, run)
        if run.settled:
            self.runs.live.pop(run.id, None)
        if run is not before or look.live is not None:
            self.runs.progressed()
        if run.status.terminal and not before.status.terminal:
            await self.alerts.follow_up(run.id)

    def _health(self, look: Look, run: Run, feed: Callable[[run_life.Fact], None]) -> None:
        if look.wrapper_alive is None or look.exit is not None:
            return
        if look.wrapper_alive:
            if run.health == _ORPHAN:
                feed(run_life.Seen())
        elif look.job_alive:
            feed(run_life.Seen(health=_ORPHAN))

    def _alerts(self, look: Look, run: Run) -> list[Change]:
        found = []
        for fact in look.facts:
            if isinstance(fact, AlertRaised) and fact.id not in self.shell.alerts:
                found.append(Change("alert_raised", raised(run, fact, run.status.terminal)))
        return found

    def _reason(self, run: Run, reason: Reason) -> Reason:
        """A run that was stopped because of an alert says which."""
        by = run.stop_by or ""
        if not by.startswith("alert:"):
            return reason
        alert = self.shell.alerts.get(by.removeprefix("alert:"))
        if alert is None:
            return reason
        kind = "nan" if "finite" in alert.rule or "nan" in alert.rule else reason.kind
        return (
            Reason("nan", f"Stopped: {alert.title} ({alert.answered_by}).", reason.log_line)
            if kind == "nan"
            else reason
        )

    def _tell(self, look: Look, run: Run) -> None:
        if look.columns_changed:
            live = self.runs.live.get(run.id)
            points = live.points if live else 0
            self.shell.ring_bell("metrics", "metrics_changed", run.id, {"run": run.id, "points": points})
        if look.live is not None and not run.settled:
            data = {"run": run.id, "progress": look.live.progress, "summary": look.live.summary}
            self.shell.ring_bell("runs", "run_progress", run.id, data)


_ORPHAN = "its wrapper is gone; the job lives on and is watched, its exit code will not be known"


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _stamp(path: str) -> tuple[int, int]:
    try:
        about = os.stat(path)
    except OSError:
        return (0, 0)
    return about.st_mtime_ns, about.st_ino


def _read(path: str, type_: Any) -> Any:
    """A JSON file, or None where it is not there or not whole yet."""
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(), type=type_)
    except (OSError, msgspec.DecodeError):
        return None


def _decode(tail_: Tail, type_: Any) -> list[Any]:
    decoded = []
    for line in tail_.read():
        try:
            decoded.append(msgspec.json.decode(line, type=type_))
        except msgspec.DecodeError as error:
            log.warning("%s: a line was skipped: %s", tail_.path, error)
    return decoded
