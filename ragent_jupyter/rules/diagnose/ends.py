"""What a run's end says by itself: its exit code or signal, a stop, and how long it had been silent."""

from __future__ import annotations

import re
import signal as _signal

from ragent_jupyter.domain.run import Run, RunStatus

from ..digest import step as shown_step
from ..stats import span
from .words import Case, Cause, Cite, LogLine

_SILENT_S = 5.0  # somebody asks: less than the watch rules' ten minutes is worth a word


def verdict(case: Case) -> str:
    """How it ended, in a sentence without a name."""
    run = case.run
    took = ""
    if run.started_at is not None and run.ended_at is not None and run.ended_at >= run.started_at:
        took = f" after {span(run.ended_at - run.started_at)}"
    match run.status:
        case RunStatus.FINISHED:
            return f"It finished with exit code {run.exit_code or 0}{took}."
        case RunStatus.STOPPED:
            return f"It was stopped{by(run)}{took}."
        case RunStatus.FAILED:
            if run.signal:
                return f"It failed{took}: ended by signal {run.signal} ({signal_name(run.signal)})."
            if run.exit_code is not None:
                return f"It failed with exit code {run.exit_code}{took}."
            return f"It failed{took}: {run.reason.text if run.reason else 'nobody saw how.'}"
        case RunStatus.RUNNING if case.pace is not None:
            return f"It is running; the last sign of life is {span(case.pace.silent_s)} old."
        case status:
            return f"It is {status.value}; it has not ended."


def by(run: Run) -> str:
    who = run.stop_by or ""
    kind, _, id_ = who.partition(":")
    if kind in ("alert", "sweep"):
        return f" because of {kind} {id_[:40]}"
    return " by request" if who in ("", "user") else f" by {who[:60]}"


def signal_name(number: int) -> str:
    try:
        return _signal.Signals(number).name
    except ValueError:
        return "unknown"


def end_causes(case: Case) -> list[Cause]:
    """Causes that need no word of the log."""
    found = [_ended(case), _silent(case)]
    return [cause for cause in found if cause is not None]


def _exit(text: str) -> list[Cite]:
    return [Cite(source="exit.json", text=text)]


def _ended(case: Case) -> Cause | None:
    run = case.run
    if run.status is RunStatus.STOPPED:
        return Cause(kind="stopped", title=f"it was stopped{by(run)}", cites=_exit(f"stop{by(run)}"), score=60.0)
    if run.status is not RunStatus.FAILED:
        return None
    kind = run.reason.kind if run.reason else ""
    if kind == "launch_error" and run.reason:
        return Cause(kind="launch", title="it could not be launched", cites=_exit(run.reason.text[:300]), score=120.0)
    if kind == "lost" and run.reason:
        return Cause(
            kind="lost",
            title="its wrapper died and nobody saw the job's end",
            cites=_exit(run.reason.text[:300]),
            next=["Often the machine was restarted or everything of this user was killed; retry it."],
            score=70.0,
        )
    number = run.signal or 0
    code = run.exit_code
    if not number and code is not None and 128 < code < 160:
        number = code - 128
    text = f"signal {run.signal} ({signal_name(run.signal)})" if run.signal else f"exit code {code}"
    if kind == "oom" and number == 9:
        return Cause(
            kind="memory",
            title="the kernel's out-of-memory killer ended it",
            cites=_exit(f"{text}, out of memory"),
            next=["Lower the batch size or the number of loader workers, or ask for more memory."],
            score=118.0,
        )
    if number:
        return _by_signal(number, text)
    if code == 124:
        limited = re.search(r"(?:^|[\s;&|])timeout\b", run.command) is not None
        return Cause(
            kind="time_limit",
            title="`timeout` ended it" if limited else "exit code 124 is what `timeout` gives when the time is over",
            cites=_exit(text),
            next=["Give it more time, or save checkpoints and go on from the last one."],
            score=95.0 if limited else 70.0,
        )
    known = {
        126: ("permission", "exit code 126: the command was found but may not be executed"),
        127: ("command", "exit code 127: a command was not found"),
    }.get(code or 0)
    if known:
        return Cause(kind=known[0], title=known[1], cites=_exit(text), score=70.0)
    return None


def _by_signal(number: int, text: str) -> Cause:
    name = signal_name(number)
    if number in (_signal.SIGSEGV, _signal.SIGBUS, _signal.SIGABRT, _signal.SIGILL, _signal.SIGFPE):
        return Cause(
            kind="crash",
            title=f"native code crashed ({name})",
            cites=_exit(text),
            next=["`python -X faulthandler` shows the Python line; compare package versions with the last good run."],
            score=60.0 if number == _signal.SIGABRT else 85.0,  # an abort is how many libraries say something else
        )
    if number == _signal.SIGINT:
        title = "it was interrupted (SIGINT), not by ragent"
        return Cause(kind="interrupted", title=title, cites=_exit(text), score=84.0)
    if number in (_signal.SIGXCPU, _signal.SIGXFSZ):
        kind = "time_limit" if number == _signal.SIGXCPU else "disk_full"
        title = f"a resource limit ended it ({name}): see `ulimit -a`"
        return Cause(kind=kind, title=title, cites=_exit(text), score=100.0)
    hints = {
        _signal.SIGKILL: "SIGKILL cannot be refused: often the kernel's out-of-memory killer or a scheduler; "
        "`dmesg | tail` "
        "and the scheduler's log say which.",
        _signal.SIGTERM: "SIGTERM is how schedulers, containers and people end a job: look for a preemption or a "
        "shutdown.",
        _signal.SIGHUP: "SIGHUP comes when the terminal that started it closes.",
    }
    hint = hints.get(_signal.Signals(number)) if name != "unknown" else None
    return Cause(
        kind="killed",
        title=f"it was killed by {name} from outside; ragent did not send it",
        cites=_exit(text),
        next=[hint] if hint else [],
        score=82.0,
    )


def _silent(case: Case) -> Cause | None:
    """A run that lives, or was ended by others, after a silence that its own pace does not explain."""
    run, pace = case.run, case.pace
    ended_by_others = run.status is RunStatus.STOPPED or (run.status is RunStatus.FAILED and bool(run.signal))
    alive = run.status in (RunStatus.RUNNING, RunStatus.STOPPING)
    stalls = [a for a in case.alerts if a.rule in ("stall", "hang")]
    if pace is None or not (alive or ended_by_others):
        return None
    bound = max(_SILENT_S, 20.0 * pace.usual_s, 5.0 * pace.largest_s)
    if pace.silent_s <= bound:
        return None
    cites = []
    if pace.metric:
        where = f"last row: step {shown_step(pace.last_step)}" if pace.last_step is not None else "last row"
        cites.append(Cite(source=pace.metric, text=f"{where}; rows came every {_s(pace.usual_s)}", step=pace.last_step))
    last = last_line(case.log)
    if last is not None:
        cites.append(Cite(source="job.log", text=last.text.strip()[:300], line=last.number, offset=last.offset))
    if stalls:
        cites.append(Cite(source=f"alert {stalls[-1].id}", text=stalls[-1].title))
    still = "nothing has come" if alive else "nothing came before the end"
    return Cause(
        kind="hang",
        title=f"{still} for {_s(pace.silent_s)}, where rows used to come every {_s(pace.usual_s)} "
        f"(the longest gap was {_s(pace.largest_s)})",
        cites=cites,
        next=[
            "`py-spy dump --pid PID` shows where it stands: a loader's queue, a collective that waits for a "
            "rank, a lock, or "
            "only a long evaluation.",
            "If it stays silent, stop it and retry with num_workers=0 or one rank to see which it is.",
        ],
        score=75.0,
    )


def _s(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1.0 else f"{seconds:.1f} s" if seconds < 10.0 else span(seconds)


def last_line(log: list[LogLine]) -> LogLine | None:
    return next((line for line in reversed(log) if line.text.strip()), None)
