"""A run that stands still: a warning once its silence is beyond its bound, and "hang", critical, once that went on."""

from __future__ import annotations

import math

from msgspec import Struct

from ..domain.alert import Evidence, Severity
from .stats import short, span
from .watch_facts import Raise, Tick
from .watch_quiet import (
    ENOUGH,
    FRESH_S,
    GPU_IDLE,
    SLOWER,
    floor_s,
    forget,
    heard_log,
    idle_bound,
    idle_s,
    silence_bound,
    silent_s,
    used_before,
)
from .watch_raise import Spot, offer
from .watch_state import Watch

_GO_ON = 3.0  # bounds of silence after which a warning becomes critical
_ALONE_S = 300.0  # where no run like it has finished: a lock, a rate limit or another's GPU may be waited for
_PROVEN = 0.75  # of the bound: for so long the processes must have been seen idle
_GPU_FRESH_S = 300.0  # an older sample says nothing about now


class _Found(Struct, frozen=True):
    """silent_s beyond bound_s; beyond hang_s it is critical.  idle: the processes do nothing."""

    silent_s: float
    bound_s: float
    hang_s: float
    idle: bool


def tick(state: Watch, fact: Tick, out: list[Raise]) -> None:
    """Time has passed: is the run silent for longer than its past explains?"""
    at = fact.at
    if at - at != 0.0 or state.ended:
        return
    state.eta_s = fact.eta_s if fact.eta_s is not None and fact.eta_s - fact.eta_s == 0.0 else None
    if state.quiet.begun < 0.0:
        state.quiet.begun = state.quiet.life = at
    if fact.log_bytes is not None and fact.log_bytes != state.log_bytes:
        grown = state.log_bytes >= 0 or fact.log_bytes > 0  # an empty log that is there now says nothing
        state.log_bytes = fact.log_bytes
        if grown:
            heard_log(state, at)
    if state.heard_at < 0.0 or at < state.heard_at:
        state.heard_at = at  # the first tick, or another boot's clock
        forget(state, at)
    if state.log_at > at:
        state.log_at = at
    silent = silent_s(state, at)
    if silent < floor_s(state) or (state.stalled and state.quiet.hung):
        return
    found = _found(state, at, silent)
    if found is None:
        return
    if found.silent_s >= found.hang_s and not state.quiet.hung:
        state.stalled = state.quiet.hung = True
        _tell(state, at, found, hung=True, out=out)
    elif not state.stalled:
        state.stalled = True
        _tell(state, at, found, hung=False, out=out)


def _found(state: Watch, at: float, silent: float) -> _Found | None:
    working = silence_bound(state)
    bound, idle = min(idle_bound(state), working), idle_s(state, at)
    if silent >= bound and idle >= _PROVEN * bound:
        hang = max(SLOWER * floor_s(state), _GO_ON * bound)
        if not state.usual.runs and not state.limits.stall_s:
            hang = max(hang, _ALONE_S)
        return _Found(silent, bound, hang if idle >= _PROVEN * hang else math.inf, True)
    bound = working
    if (_gpu(state, at) or 0.0) >= GPU_IDLE:
        bound *= _GO_ON  # a collective that waits for a lost rank keeps its GPU busy, but so does a long evaluation
    if silent < bound:
        return None
    known = state.usual.runs >= ENOUGH
    return _Found(silent, bound, max(_GO_ON * bound, state.usual.whole_s) if known else math.inf, False)


def _gpu(state: Watch, at: float) -> float | None:
    return state.gpu_util if at - state.gpu_at <= _GPU_FRESH_S else None


def _tell(state: Watch, at: float, found: _Found, *, hung: bool, out: list[Raise]) -> None:
    quiet, usual = state.quiet, state.usual
    cpu = quiet.cpu if at - quiet.seen <= FRESH_S else None
    own = max(quiet.gap_s if state.rows else quiet.start_s, state.largest_gap)
    before = f"Silent for {span(found.silent_s)}; the longest silence before was {_short_span(own)}"
    if usual.runs:
        before += (
            f", in {usual.runs} finished {'run' if usual.runs == 1 else 'runs'} like it {_short_span(usual.gap_s)}"
        )
    text = f"{before}.{_does(state, at, cpu, found.idle)} "
    if found.idle:
        does = ", and its processes do nothing"
        text += "It most likely hangs: a lock, a data loader, a collective, an answer that does not come, a sleep."
    else:
        does = "" if cpu is None else f", at {cpu:.0f} % CPU"
        text += "The run may hang (a loop without end, a collective, a lock) or be in a very long evaluation."
    if hung:
        text += " It was told before, and nothing has moved since."
    text += " Look at the end of the log and at the processes: py-spy dump shows where one stands."
    title = f"no metric and no output for {span(found.silent_s)}{does}"
    evidence = Evidence(value=found.silent_s, baseline=own, threshold=found.hang_s if hung else found.bound_s)
    severity = Severity.CRITICAL if hung else Severity.WARNING
    offer(state, Spot(out, at), "hang" if hung else "stall", severity, title, text, evidence)


def _does(state: Watch, at: float, cpu: float | None, idle: bool) -> str:
    """What the processes were seen to do, as a sentence."""
    quiet, gpu = state.quiet, _gpu(state, at)
    seen: list[str] = []
    if cpu is not None:
        before = f" ({100.0 * used_before(quiet):.0f} % before)" if idle else ""
        seen.append(f"CPU {cpu:.0f} % of a core{before}")
    if idle:
        seen.append("almost nothing read or written")
    if quiet.connected:
        seen.append("a connection to another program" + (" that brings nothing" if idle else ""))
    if gpu is not None:
        seen.append(f"GPU {short(gpu)} %")
    return f" {', '.join(seen)}." if seen else ""


def _short_span(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10.0 else span(seconds)
