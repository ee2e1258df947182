"""The sidecar's loop: look, read, watch, write, wait. All thinking is in `rules`, all writing in `witness`."""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import time
from types import FrameType

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.errors import Held, RagentError
from ragent_jupyter.domain.facts import Exit, JobStarted, Live, WrapperFact
from ragent_jupyter.rules.watch import JobEnded
from ragent_jupyter.runfiles.jsonl import Tail, decode_lines
from ragent_jupyter.runfiles.sources.metrics_jsonl import MetricsJsonl
from ragent_jupyter.runfiles.sources.stdout import Stdout
from ragent_jupyter.runfiles.spec import Spec, read_spec

from .live import write_live
from .outside import Outside
from .progress import Pace, progress, total_from
from .system import SystemProbe
from .witness import DiskRefused, Witness


class Pacing(Struct, frozen=True):
    """Seconds. busy: between looks while something comes; idle: after `calm` seconds without; both are cheap."""

    busy: float = 0.1
    near: float = 0.15
    idle: float = 0.5
    calm: float = 60.0
    tick: float = 1.0
    live: float = 1.0
    heartbeat: float = 10.0
    system: float = 10.0
    quiet: float = 2.0  # of silence, before its processes are looked at, and between two looks
    discover: float = 0.4
    discover_max: float = 20.0
    asleep: float = 5.0


class Sidecar:
    """Watches the run in `run_dir` until it has ended and all is read. Raises Held, FileNotFoundError, DecodeError."""

    def __init__(self, run_dir: str, pacing: Pacing | None = None) -> None:
        self.run_dir = os.path.abspath(run_dir)
        self.pacing = pacing or Pacing()
        self.spec: Spec = read_spec(self.run_dir)
        self.witness = Witness(self.run_dir, self.spec.run_id, self.spec.params, self.spec.stall)
        self._wrapper = Tail(self._path("wrapper.jsonl"))
        self._started_at = self.spec.created_at
        self._job_pid: int | None = self.spec.attach.pid if self.spec.attach else None
        self._probe = SystemProbe(self._job_pid, self.spec.gpu_ids, self.spec.run_id)
        self._system: dict[str, float] = {}
        self._total = total_from(self.spec.params, self.spec.argv)
        self._pace = Pace()
        self._eta_s: float | None = None
        self._trouble = ""
        self._heard_at = time.monotonic()
        self._due: dict[str, float] = {}
        self._exit: Exit | None = None
        self._stopped = False
        self._seen_at_work = False
        self._add_own_sources()
        self._outside = None if self.spec.attach else Outside(self.witness, self.run_dir, self.spec)
        self._look_every = self.pacing.discover
        self._look_at = time.monotonic() + self.pacing.discover
        self._looked_last = False

    def _path(self, name: str) -> str:
        return os.path.join(self.run_dir, name)

    def _add_own_sources(self) -> None:
        own = "in the run's folder"
        self.witness.add(MetricsJsonl(self._path("metrics.jsonl"), id="metrics.jsonl"), own)
        self.witness.add(Stdout(self._path("job.log"), id="job.log"), own)

    # -- the loop -------------------------------------------------------------------------------------------------
    def run(self) -> int:
        """Until the run has ended (0), or until SIGTERM (0 too: what was read is committed, a successor goes on)."""
        if self.witness.ended:
            return 0
        wake = _wake_on_signals(self._stop)
        last = self.witness.now()
        try:
            while not self._stopped:
                busy = self.step()
                if self._exit is not None and not busy:
                    if self._finish():
                        return 0
                    busy = False
                pause = self._pause(busy)
                if pause > 0:
                    select.select([wake], [], [], pause)
                now = self.witness.now()
                if now - last > self.pacing.asleep + pause:
                    self.witness.slept(now - last)
                last = now
            self._settle()
            self.witness.snapshot(force=True)
            return 0
        finally:
            self.witness.close()

    def _stop(self) -> None:
        self._stopped = True

    def _pause(self, busy: bool) -> float:
        if self._trouble:
            return self.pacing.idle
        if busy:
            return 0.0 if self.witness.feed.more else self.pacing.busy
        calm = time.monotonic() - self._heard_at > self.pacing.calm
        return self.pacing.idle if calm else self.pacing.near

    def step(self) -> bool:
        """One look at everything. Returns whether there was something new, so that it is worth looking again soon."""
        points = 0
        if self._exit is None:
            self._exit = self._read_exit()
        if not self._trouble:  # nothing is read that could not be committed: memory stays bounded on a full disk
            if self._exit is not None:
                self._discover(final=True)
            points = self.witness.read(final=self._exit is not None)
            self.witness.orders()
            if self._is_due("tick", self.pacing.tick):
                self._look_at_silence()
                self.witness.tick(self._log_bytes(), self._eta_s)
            if self._exit is None and self._is_due("system", self.pacing.system):
                self._sample()
            if self._exit is None:
                self._discover()
        if points or self.witness.feed.more:
            self._heard_at = time.monotonic()
        wrote = self._settle()
        self.witness.snapshot()
        self._write_live(force=False)
        return bool(points or wrote or self.witness.feed.more or self.witness.feed.holding)

    def _is_due(self, what: str, every: float) -> bool:
        now = time.monotonic()
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + every
        return True

    def _settle(self) -> bool:
        try:
            wrote = self.witness.settle()
        except DiskRefused as error:
            if not self._trouble:
                say(str(error))
            self._trouble = str(error)
            return False
        self._trouble = ""
        return wrote

    # -- the run ----------------------------------------------------------------------------------------------------
    def _read_exit(self) -> Exit | None:
        try:
            with open(self._path("exit.json"), "rb") as file:
                return msgspec.json.decode(file.read(), type=Exit)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError:
            return Exit(run_id=self.spec.run_id, kind="lost", at=time.time())  # it ended; how is for others to say

    def _finish(self) -> bool:
        """The job is over and nothing more comes. Returns whether everything is written."""
        exit = self._exit
        assert exit is not None
        self.witness.job_ended(
            JobEnded(
                at=self.witness.now(),
                exit_code=exit.exit_code,
                signal=exit.signal,
                oom=exit.oom,
                stopped=exit.order_id is not None,
            )
        )
        try:
            self.witness.settle()
            self._write_live(force=True)  # before the last word: whoever starts after that changes nothing any more
            self.witness.end()
        except DiskRefused as error:
            self._trouble = str(error)
            return False
        return True

    def _read_wrapper(self) -> None:
        for fact in decode_lines(self._wrapper.read(), WrapperFact):
            if isinstance(fact, JobStarted):
                self._job_pid = self._probe.job_pid = fact.pid
                self._started_at = fact.at

    def _sample(self) -> None:
        self._read_wrapper()
        self._system = self._probe.sample()
        if self._system:
            self.witness.system(self._system, time.time() - self._started_at)

    def _look_at_silence(self) -> None:
        """What the job does while it says nothing. Not of a notebook's kernel: it rests while its user thinks."""
        silent = self.witness.silent_s
        first = self.witness.points > 0 and not self._seen_at_work  # what it used by now, it used to begin with
        if self._exit is not None or self.spec.attach is not None or (silent < self.pacing.quiet and not first):
            return
        if self._is_due("activity", self.pacing.quiet if silent < 60.0 else self.pacing.system) or first:
            if self._job_pid is None:
                self._read_wrapper()
            fact = self._probe.activity(self.witness.now())
            if fact is not None:
                self._seen_at_work = self._seen_at_work or first
                self.witness.activity(fact)

    def _log_bytes(self) -> int | None:
        try:
            return os.stat(self._path("job.log")).st_size
        except OSError:
            return None

    # -- files outside the folder -----------------------------------------------------------------------------------
    def _discover(self, *, final: bool = False) -> None:
        """Look for metric files of the job: often at first, then seldom; once more when it has ended."""
        now = time.monotonic()
        if self._outside is None or (final and self._looked_last) or (not final and now < self._look_at):
            return
        self._looked_last = final
        self._read_wrapper()
        again = self._outside.look(self._job_pid, final=final)
        self._look_every = self.pacing.discover if again else min(self._look_every * 1.5, self.pacing.discover_max)
        self._look_at = now + self._look_every

    # -- live.json ------------------------------------------------------------------------------------------------
    def _write_live(self, *, force: bool) -> None:
        points = self.witness.points
        every = self.pacing.live if points != self._due.get("live_points") else self.pacing.heartbeat
        now = time.monotonic()
        if not force and now < self._due.get("live", 0.0) + every:
            return
        self._due["live"], self._due["live_points"] = now, points
        stdout = self.witness.feed.sources.get("job.log")
        told = stdout.progress if isinstance(stdout, Stdout) else None
        done = progress(told, self.witness.last_step, self._total, self._pace, self.witness.now())
        self._eta_s = done.eta_s if done else None
        live = Live(
            at=time.time(),
            pid=os.getpid(),
            points=points,
            rows=self.witness.columns.rows,
            progress=msgspec.to_builtins(done) if done else None,
            summary=self.witness.summary.json(),
            system=self._system,
            sources=sorted(self.witness.found),
            health="; ".join([self._trouble, *self.witness.feed.health.values()]).strip("; "),
            quiet=self.witness.quiet,
        )
        try:
            write_live(self.run_dir, live)
        except OSError:
            self._due["live"] = now  # the disk refuses; it is a cache, the next one will do


def _wake_on_signals(stop: object) -> int:
    """A descriptor that becomes readable when SIGTERM or SIGINT asks us to end."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    os.set_blocking(reader, False)

    def handler(number: int, frame: FrameType | None) -> None:
        assert callable(stop)
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    return reader


def say(text: str) -> None:
    """A line for sidecar.log, if it can be written: it may lie on the very disk that is full."""
    with contextlib.suppress(OSError):
        os.write(2, f"ragent_sidecar: {text}\n".encode("utf-8", "replace"))


def run(run_dir: str) -> int:
    """Watch one run; the process's exit status."""
    try:
        sidecar = Sidecar(run_dir)
    except Held:
        return 0  # another sidecar watches it already
    except (OSError, msgspec.DecodeError, RagentError) as error:
        say(f"{run_dir} cannot be watched: {error}")
        return 1
    gc.freeze()  # what was imported stays; the collector need not walk through it again and again
    return sidecar.run()
