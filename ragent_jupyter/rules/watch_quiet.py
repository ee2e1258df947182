"""What a run's silences teach, and what its processes do in one: signs of life, samples, bounds.

While the process tree does (almost) nothing, though it worked before, a few of the run's own longest silences are a
bound: a deadlock, a lost worker and a sleep look like that; a validation, a checkpoint and a compiler do not. While it
computes, or where nobody can see what it does, the bound is ten minutes or more, or five times what finished runs of
the same command needed. Processes that a signal or a debugger holds are no silence at all.
"""

from __future__ import annotations

import math

from .stats import median
from .watch_facts import Activity
from .watch_state import Quiet, Watch

FLOOR_S = 10.0  # no silence of idle processes counts below this
LEAST_S = 600.0  # no silence of processes that compute, where nothing is known of runs like it
ALIKE_S = 60.0  # and where something is
SLOWER = 6.0  # floors: with a connection to elsewhere, before a first row, and for "hang"
FRESH_S = 30.0  # an older sample says nothing about now
GPU_IDLE = 5.0  # percent
ENOUGH = 3  # finished runs like it: with fewer, one such silence in 200 was passed by a clean run (AlgoPerf curves)
_FEW = 3  # rows that show a pace
_IDLE_CPU = 0.03  # of a core
_SHARE = 0.2  # and of what it used before
_WORKED = 0.01  # of a core: what used less before shows nothing by using nothing
_IO = 16384.0  # bytes a second; monitors and heartbeats read less
_NET = 8192.0
_A_WHILE = 5.0  # seconds
_ONE_LOOK = 0.05  # seconds between two signs of life that are one: a row and the same row in the log


# --- signs of life ------------------------------------------------------------------------------------------------
def heard(state: Watch, at: float) -> None:
    """Rows have been read at `at`."""
    if at - at == 0.0:
        _alive(state, at)
        state.heard_at = at
    state.stalled = False


def heard_log(state: Watch, at: float) -> None:
    """The log has grown by `at`."""
    state.log_at = finite_at(state, at)
    _alive(state, state.log_at)
    state.stalled = False


def finite_at(state: Watch, at: float) -> float:
    """The witness's clock, or the last time it was heard if a fact brings no number."""
    return at if at - at == 0.0 else max(0.0, state.heard_at)


def _alive(state: Watch, at: float) -> None:
    quiet = state.quiet
    if quiet.begun < 0.0:
        quiet.begun = at
    _learn(state, at)
    quiet.life = at
    quiet.since, quiet.waits, quiet.connected, quiet.hung = -1.0, 0, False, False
    quiet.seen, quiet.cpu = -1.0, None  # what it did until now is no part of the next silence


def _learn(state: Watch, at: float) -> None:
    """The silence that ends at `at`."""
    quiet = state.quiet
    gap = at - quiet.life
    if quiet.life < 0.0 or gap < _ONE_LOOK:
        return
    if state.rows:
        quiet.gap_s, quiet.gaps = max(quiet.gap_s, gap), quiet.gaps + 1
    else:
        quiet.start_s, quiet.starts = max(quiet.start_s, gap), quiet.starts + 1


def forget(state: Watch, at: float) -> None:
    """What came before `at` is no silence: the witness, or the run, was held."""
    quiet = state.quiet
    if quiet.life >= 0.0:
        quiet.begun += max(0.0, at - quiet.life)  # nor was it life
        if quiet.first >= 0.0:
            quiet.first += max(0.0, at - quiet.life)
        quiet.life = at
    quiet.since, quiet.seen, quiet.waits = -1.0, -1.0, 0


def ended(state: Watch, at: float) -> None:
    """The job has ended: what was after its last word is a silence like any other."""
    if at - at == 0.0 and not state.ended:
        _learn(state, at)
        state.quiet.life = max(state.quiet.life, at)


def silent_s(state: Watch, at: float) -> float:
    """Seconds since the last sign of life."""
    return at - max(state.heard_at, state.log_at, 0.0) if state.heard_at >= 0.0 else 0.0


def told(state: Watch) -> dict[str, float]:
    """What runs like this one may learn from it: the fields of `Usual`, without `runs`."""
    quiet = state.quiet
    return {
        "start_s": round(quiet.start_s, 3),
        "gap_s": round(quiet.gap_s, 3),
        "pace_s": round(median(state.gaps), 4) if state.gaps else 0.0,
        "whole_s": round(max(0.0, quiet.life - quiet.begun), 3),
    }


# --- what the processes do ------------------------------------------------------------------------------------------
def activity(state: Watch, fact: Activity) -> None:
    """A sample of the silent run's process tree."""
    at, quiet = fact.at, state.quiet
    if at - at != 0.0:
        return
    if fact.held:  # by SIGSTOP or a debugger: somebody did that, and the silence begins when it goes on
        if state.heard_at >= 0.0:
            state.heard_at = at
        forget(state, at)
        return
    cpu, io, net = _finite(fact.cpu_s), _finite(fact.io_bytes), _finite(fact.net_bytes)
    if fact.gpu_util is not None and fact.gpu_util - fact.gpu_util == 0.0:
        state.gpu_util, state.gpu_at = fact.gpu_util, at
    if cpu is None:
        quiet.cpu, quiet.seen, quiet.since = None, -1.0, -1.0
        return
    quiet.cpu = 100.0 * max(0.0, cpu - quiet.cpu_s) / (at - quiet.seen) if 0.0 <= quiet.seen < at else None
    quiet.waits = quiet.waits + 1 if fact.waits else 0
    quiet.connected = quiet.connected or fact.connected
    quiet.uses_gpu = fact.uses_gpu
    quiet.seen, quiet.cpu_s, quiet.io_bytes, quiet.net_bytes = at, cpu, io, net
    if quiet.first < 0.0 and state.rows:
        quiet.first, quiet.first_cpu_s = at, cpu
    if quiet.since < 0.0 or at <= quiet.since or _works(state, fact, at):
        quiet.since, quiet.since_cpu_s = at, cpu
        quiet.since_io_bytes, quiet.since_net_bytes = io or 0.0, net


def _finite(value: float | None) -> float | None:
    return value if value is not None and 0.0 <= value < 1e300 else None


def _works(state: Watch, fact: Activity, at: float) -> bool:
    """Whether it did anything since it was last seen to, or cannot be seen to do nothing."""
    quiet = state.quiet
    for_s = at - quiet.since
    if quiet.io_bytes is None or quiet.waits >= 2:
        return True
    if quiet.cpu_s < quiet.since_cpu_s or quiet.io_bytes < quiet.since_io_bytes:
        return True  # a process left the tree and took its share along: what the others do must not be set off by that
    if (fact.uses_gpu and fact.gpu_util is None) or (fact.gpu_util or 0.0) >= GPU_IDLE:
        return True
    if quiet.cpu_s - quiet.since_cpu_s > _idle_cpu(quiet) * for_s:
        return True
    if quiet.io_bytes - quiet.since_io_bytes > _IO * for_s:
        return True
    before, net = quiet.since_net_bytes, quiet.net_bytes
    return before is not None and net is not None and net - before > _NET * for_s


def _idle_cpu(quiet: Quiet) -> float:
    """Cores that count as none: little, and little beside what it used before. Negative where it never used much."""
    used = used_before(quiet)
    return min(_IDLE_CPU, _SHARE * used) if used >= _WORKED else -1.0


def used_before(quiet: Quiet) -> float:
    """Cores that the tree used, on average, until its last sign of life.

    Since the first row, where that was seen and is a while ago: what a launcher, or a client of another machine, needed
    to begin with says nothing of how it goes on.
    """
    if quiet.first >= 0.0 and quiet.life - quiet.first >= _A_WHILE:
        return max(0.0, quiet.since_cpu_s - quiet.first_cpu_s) / (quiet.life - quiet.first)
    return quiet.since_cpu_s / max(0.5, quiet.life - quiet.begun)


def idle_s(state: Watch, at: float) -> float:
    """For how many seconds its processes have been seen to do nothing, up to now."""
    quiet = state.quiet
    return quiet.seen - quiet.since if quiet.since >= 0.0 and at - quiet.seen <= FRESH_S else 0.0


# --- bounds -------------------------------------------------------------------------------------------------------
def floor_s(state: Watch) -> float:
    """The least silence that is told of this run."""
    return state.limits.stall_s or FLOOR_S


def idle_bound(state: Watch) -> float:
    """Seconds of silence that count while the processes do nothing; infinite where nothing is known to compare with.

    Three of the longest silences so far, of this run and of finished ones like it; more while it has few of its own (a
    maximum of n says little of the next one for small n: it is passed with probability 1 / (n + 1)). A connection to
    another program, here or elsewhere, may be waited for, so it is given a minute.
    """
    quiet, usual, floor = state.quiet, state.usual, floor_s(state)
    if quiet.connected:
        floor *= SLOWER
    if state.rows >= _FEW:
        factor = 3.0 if usual.runs or quiet.gaps < 2 else 3.0 + 9.0 / quiet.gaps
        return max(floor, factor * longest(state))
    if usual.runs:
        return max(SLOWER * floor_s(state), 3.0 * max(usual.start_s, usual.gap_s, quiet.start_s))
    if quiet.starts >= 8:  # it writes, though no metrics
        return max(SLOWER * floor_s(state), 3.0 * quiet.start_s)
    return math.inf


def silence_bound(state: Watch) -> float:
    """Seconds of silence that count while the processes compute, or where nobody can see what they do.

    Alone: 10 min, 10 median gaps or 3 times the longest gap, and infinite before it has shown a pace: a run that logs
    no metrics is not silent, it is just quiet. After one evaluation nothing is known of how far apart they are, and
    some scripts log nothing but evaluations after a first burst of steps: until the second one the floor is half an
    hour. With three finished runs like it: 5 of their longest silences, or 3 of them beyond ten minutes.
    """
    least = state.limits.stall_s or LEAST_S
    if state.usual.runs >= ENOUGH:
        floor = state.limits.stall_s or ALIKE_S
        if state.rows < _FEW:
            return max(floor, 10.0 * max(state.usual.start_s, state.usual.gap_s, state.quiet.start_s))
        most = longest(state)
        return max(floor, min(5.0 * most, max(least, 3.0 * most)))
    if len(state.gaps) < 2:
        return math.inf
    floor = 3.0 * least if state.evals == 1 else least
    return max(floor, 10.0 * median(state.gaps), 3.0 * state.largest_gap)


def longest(state: Watch) -> float:
    """The longest silence after a first row: of this run, and of those like it at this run's pace."""
    quiet, usual = state.quiet, state.usual
    own = quiet.gap_s if quiet.gaps >= 2 else max(quiet.gap_s, quiet.life - quiet.begun)
    pace = median(state.gaps) if len(state.gaps) >= 5 else 0.0
    slower = min(20.0, max(1.0, pace / usual.pace_s)) if usual.pace_s > 0.0 else 1.0
    return max(own, usual.gap_s * slower)
