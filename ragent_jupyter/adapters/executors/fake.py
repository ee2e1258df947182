"""An executor without processes: runs live in this object, and their files are written as a wrapper would.

For tests and demonstrations. It understands a few commands, passes the same contract suite as the true ones, and lets
its owner end a run at will. It survives a new engine in the same process, not the end of the process.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from ...domain.facts import Claim, Exit, JobStarted, Order, SignalSent, StopOrder, StopSeen, WrapperFact
from ...domain.ports import LaunchSpec, Sighting
from ...runfiles import proc
from ...runfiles.jsonl import LineWriter, Tail, decode_lines, publish

LIVES = 1e9  # seconds: until it is ended


class FakeJob:
    """One run of the fake. `ends_at`: monotonic seconds; `exit_code`: what it will end with then."""

    def __init__(self, spec: LaunchSpec, lasts: float, exit_code: int) -> None:
        self.spec = spec
        self.ends_at = time.monotonic() + lasts
        self.exit_code = exit_code
        self.started_at = time.time()
        self.orders = Tail(os.path.join(spec.run_dir, "orders.jsonl"))
        self.facts = LineWriter(os.path.join(spec.run_dir, "wrapper.jsonl"))
        self.over = False


class FakeExecutor:
    """domain.ports.Executor. Commands: `true`, `false`, `sleep N`, `sh -c "exit N"`; any other is not found.

    manual: no run ends by its command; only by `end()` or a stop.  slots: how many are "alive" at once, others are
    "pending" and have no claim yet (as on a busy cluster).
    """

    name = "fake"

    def __init__(
        self, project_dir: str | os.PathLike[str] = ".", *, manual: bool = False, slots: int | None = None
    ) -> None:
        self.project_dir = Path(project_dir)
        self.manual, self.slots = manual, slots
        self.submitted: list[LaunchSpec] = []
        self.missing = ""  # set: the executor says that it cannot be used, and why
        self._jobs: dict[str, FakeJob] = {}
        self._pending: dict[str, LaunchSpec] = {}
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    # --- the port ---------------------------------------------------------------------------------------------------
    def available(self) -> tuple[bool, str]:
        return (not self.missing, self.missing or "A fake: nothing is executed.")

    def submit(self, spec: LaunchSpec) -> str:
        with self._lock:
            if spec.run_id not in self._jobs and spec.run_id not in self._pending:
                self.submitted.append(spec)
                self._pending[spec.run_id] = spec
                self._fill()
            if self._thread is None:
                self._thread = threading.Thread(target=self._attend, name="fake-executor", daemon=True)
                self._thread.start()
        return f"fake:{spec.run_id}"

    def look(self, run_ids: Sequence[str]) -> dict[str, Sighting]:
        with self._lock:
            return {run_id: self._sighting(run_id) for run_id in run_ids}

    def attach_command(self, run_id: str) -> str | None:
        return None

    def forget(self, run_id: str) -> None:
        with self._lock:
            job = self._jobs.get(run_id)
            if job is not None and job.over:
                del self._jobs[run_id]

    # --- what its owner may do --------------------------------------------------------------------------------------
    def end(self, run_id: str, exit_code: int | None = 0, *, signal: int | None = None, verdict: bool = True) -> None:
        """End a run now.  verdict=False: as if its wrapper had been killed, without exit.json. Raises KeyError."""
        with self._lock:
            job = self._jobs[run_id]
            self._end(job, exit_code, signal, None, verdict)

    def close(self) -> None:
        """Stop attending; runs that live stay as they are."""
        self._closed = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(5)

    # --- inside -----------------------------------------------------------------------------------------------------
    def _sighting(self, run_id: str) -> Sighting:
        if run_id in self._pending:
            return Sighting(run_id=run_id, handle=f"fake:{run_id}", state="pending")
        job = self._jobs.get(run_id)
        if job is None:
            return Sighting(run_id=run_id, handle=None, state="unknown")
        state = "gone" if job.over else "alive"
        return Sighting(run_id=run_id, handle=f"fake:{run_id}", state=state, pid=os.getpid())

    def _fill(self) -> None:
        """Start what is pending while there are slots."""
        for run_id, spec in list(self._pending.items()):
            if self.slots is not None and sum(not job.over for job in self._jobs.values()) >= self.slots:
                return
            del self._pending[run_id]
            self._start(spec)

    def _start(self, spec: LaunchSpec) -> None:
        claim = Claim(
            run_id=spec.run_id,
            host=os.uname().nodename,
            boot_id=proc.boot_id(),
            pid=os.getpid(),
            start_time=proc.start_time(os.getpid()) or 0.0,
            executor_id="fake",
            at=time.time(),
        )
        if not publish(os.path.join(spec.run_dir, "claim.json"), msgspec.json.encode(claim)):
            return  # another executor was faster: the run is not ours
        argv = _argv(spec.run_dir)
        lasts, exit_code, problem = _understand(argv)
        job = self._jobs[spec.run_id] = FakeJob(spec, LIVES if self.manual else lasts, exit_code)
        Path(spec.run_dir, "job.log").touch()
        if problem:
            verdict = Exit(run_id=spec.run_id, kind="launch_error", at=time.time(), problem=problem, remedy="Use true.")
            self._publish(job, verdict)
            return
        self._say(job, JobStarted(seq=job.facts.next_seq, at=job.started_at, pid=os.getpid()))

    def _attend(self) -> None:
        while not self._closed:
            with self._lock:
                self._fill()
                for job in [job for job in self._jobs.values() if not job.over]:
                    self._tick(job)
            self._wake.wait(0.02)

    def _tick(self, job: FakeJob) -> None:
        if time.monotonic() >= job.ends_at:
            self._end(job, job.exit_code, None, None, True)
            return
        for order in decode_lines(job.orders.read(), Order):
            if isinstance(order, StopOrder):
                number, name = (9, "KILL") if order.now else (2, "INT")
                self._say(job, StopSeen(seq=job.facts.next_seq, at=time.time(), order_id=order.order_id))
                sent = SignalSent(
                    seq=job.facts.next_seq, at=time.time(), order_id=order.order_id, signal=name, grace_s=0
                )
                self._say(job, sent)
                self._end(job, None, number, order.order_id, True)
                return

    def _end(
        self, job: FakeJob, exit_code: int | None, signal: int | None, order_id: str | None, verdict: bool
    ) -> None:
        if job.over:
            return
        if not verdict:
            job.over = True
            return
        about: dict[str, Any] = {"exit_code": exit_code} if signal is None else {"signal": signal}
        self._publish(
            job,
            Exit(
                run_id=job.spec.run_id,
                kind="exited" if signal is None else "signalled",
                at=time.time(),
                order_id=order_id,
                started_at=job.started_at,
                host=os.uname().nodename,
                **about,
            ),
        )

    def _publish(self, job: FakeJob, verdict: Exit) -> None:
        publish(os.path.join(job.spec.run_dir, "exit.json"), msgspec.json.encode(verdict))
        job.over = True
        job.facts.close()

    def _say(self, job: FakeJob, fact: WrapperFact) -> None:
        job.facts.append(msgspec.json.encode(fact))


def _argv(run_dir: str) -> list[str]:
    spec = msgspec.json.decode(Path(run_dir, "spec.json").read_bytes())
    return [str(word) for word in spec["argv"]]


def _understand(argv: list[str]) -> tuple[float, int, str]:
    """(seconds it lasts, exit code, problem) of a command."""
    match argv:
        case ["true"]:
            return 0.0, 0, ""
        case ["false"]:
            return 0.0, 1, ""
        case ["sleep", seconds]:
            return float(seconds), 0, ""
        case ["sh", "-c", script] if script.startswith("exit "):
            return 0.0, int(script[5:]), ""
    return 0.0, 0, f"The command {argv[0] if argv else ''!r} was not found."
