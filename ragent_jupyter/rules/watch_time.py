"""Rules on pace: a run that stands still, slows down, leaves its GPU idle or runs out of memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice, pairwise
from operator import le

from ..domain.alert import Evidence, Severity
from .stats import median, median_of_sorted, short, slope, span
from .watch_facts import Raise, Slept, System, Tick
from .watch_loss import remember
from .watch_raise import Spot, offer, seen
from .watch_state import FAR, Metric, Watch

_GPU_IDLE = 5.0  # percent
_GPU_BUSY = 10.0
_GPU_FRESH_S = 300.0  # an older sample says nothing about now
_TEN_MIN = 600.0


def clock_row(state: Watch, time: float) -> float:
    """A row has come at `time` by the log's clock: learn the pace. Returns the time to space alerts by."""
    state.rows += 1
    last = state.row_time
    gap = time - last
    if gap > 0.0 and time < 1e300:
        state.row_time = time
        if state.rows > 1 and not state.skip_gap and last > 0.0:
            gaps = state.gaps
            gaps.append(gap)
            if len(gaps) > 127:
                del gaps[:63]
            if gap > state.largest_gap:
                state.largest_gap = gap
        state.skip_gap = False
        return time
    return last


def clock_rows(state: Watch, times: Sequence[float]) -> None:
    """The same as `clock_row` for each of these, at once where they do not run back: for catching up."""
    last = state.row_time
    rising = last > 0.0 and not state.skip_gap and state.rows and len(times) > 1 and times[-1] < 1e300
    if not (rising and last <= times[0] and all(map(le, times, islice(times, 1, None)))):
        for time in times:
            clock_row(state, time)
        return
    state.rows += len(times)
    fresh = [b - a for a, b in pairwise((last, *times)) if b > a]
    if not fresh:
        return
    state.row_time = times[-1]
    state.largest_gap = max(state.largest_gap, max(fresh))
    count = len(state.gaps) + len(fresh)
    keep = count if count <= 127 else 65 + (count - 128) % 63  # where cutting 63 off at each 128th would have left it
    state.gaps[:] = [*state.gaps, *fresh][-keep:]


def heard(state: Watch, at: float) -> None:
    """Rows have been read at `at`."""
    if at - at == 0.0:
        state.heard_at = at
    state.stalled = False


def heard_log(state: Watch, at: float) -> None:
    """The log has grown by `at`."""
    state.log_at = finite_at(state, at)
    state.stalled = False


def finite_at(state: Watch, at: float) -> float:
    """The witness's clock, or the last time it was heard if a fact brings no number."""
    return at if at - at == 0.0 else max(0.0, state.heard_at)


def tick(state: Watch, fact: Tick, out: list[Raise]) -> None:
    """Time has passed: is the run silent for longer than its own past explains?"""
    at = fact.at
    if at - at != 0.0 or state.ended:
        return
    state.eta_s = fact.eta_s if fact.eta_s is not None and fact.eta_s - fact.eta_s == 0.0 else None
    if fact.log_bytes is not None and fact.log_bytes != state.log_bytes:
        state.log_bytes = fact.log_bytes
        heard_log(state, at)
    if state.heard_at < 0.0 or at < state.heard_at:
        state.heard_at = at  # the first tick, or another boot's clock
    if state.log_at > at:
        state.log_at = at
    silent_s = at - max(state.heard_at, state.log_at)
    if silent_s < state.limits.stall_s or state.stalled:
        return
    if silent_s < silence_bound(state):
        return
    util = state.gpu_util if at - state.gpu_at <= _GPU_FRESH_S else None
    if util is not None and util >= _GPU_IDLE:
        return
    state.stalled = True
    bound = silence_bound(state)
    pace = median(state.gaps)
    gpu = f", and the GPU is {short(util)} % busy" if util is not None else ""
    title = f"no metric and no output for {span(silent_s)}"
    text = (
        f"Rows used to come every {span(pace)}, the longest gap was {span(state.largest_gap)}{gpu}. The run may hang "
        "(a data loader, a collective, a lock) or be in a very long evaluation. Look at the end of the log and at the "
        "processes: py-spy dump shows where one stands."
    )
    evidence = Evidence(value=silent_s, baseline=pace, threshold=bound)
    offer(state, Spot(out, at), "stall", Severity.WARNING, title, text, evidence)


def silence_bound(state: Watch) -> float:
    """Seconds of silence that this run's past does not explain: 10 min, 10 median gaps or 3 times the longest gap.

    Infinite before it has shown a pace: a run that logs no metrics is not silent, it is just quiet. After one
    evaluation nothing is known of how far apart they are, and some scripts log nothing but evaluations after a first
    burst of steps: until the second one the floor is half an hour.
    """
    if len(state.gaps) < 2:
        return math.inf
    floor = 3.0 * state.limits.stall_s if state.evals == 1 else state.limits.stall_s
    return max(floor, 10.0 * median(state.gaps), 3.0 * state.largest_gap)


def slept(state: Watch, fact: Slept) -> None:
    """The witness was away: every silence starts anew, and the next gap teaches nothing."""
    if fact.at - fact.at == 0.0:
        if state.heard_at >= 0.0:
            state.heard_at = fact.at
        state.log_at = fact.at
        if state.gpu_idle_since >= 0.0:
            state.gpu_idle_since = fact.at
    state.skip_gap = True
    for metric in state.metrics.values():
        metric.low_since = -1.0


def speed(state: Watch, spot: Spot, name: str, metric: Metric, value: float) -> None:
    """Throughput: the median of the last 20 below 0.7 of the best such median for ten minutes."""
    remember(metric, spot.step, value)
    if metric.count < 20:
        return
    middle = median_of_sorted(metric.sorted20)
    if metric.checked == FAR or middle > metric.checked:
        metric.checked = middle
    if middle >= 0.7 * metric.checked or metric.checked <= 0.0:
        metric.low_since = -1.0
        metric.told = 0
    elif metric.low_since < 0.0:
        metric.low_since = spot.now
    elif spot.now - metric.low_since >= _TEN_MIN and not metric.told:
        metric.told = 1
        title = f"{name} fell to {short(100.0 * middle / metric.checked)} % of its best at step {spot.step}"
        text = (
            f"The median of the last 20 is {short(middle)}, the best was {short(metric.checked)}; it has been low for "
            f"{span(spot.now - metric.low_since)}. Look for a busy neighbour on the GPU, a slow disk or heat."
        )
        evidence = seen(spot, name, metric, value, metric.checked, 0.7 * metric.checked)
        offer(state, spot, "throughput", Severity.WARNING, title, text, evidence)


def system(state: Watch, fact: System, out: list[Raise]) -> None:
    """A sample of the machine."""
    at, values = fact.at, fact.values
    if at - at != 0.0:
        return
    util = values.get("gpu_util")
    if util is not None and util - util == 0.0:
        _gpu(state, out, at, util)
    _memory(state, out, at, "rss", values.get("rss_bytes"), values.get("mem_limit_bytes"))
    _memory(state, out, at, "gpu_mem", values.get("gpu_mem_used_bytes"), values.get("gpu_mem_total_bytes"))


def _gpu(state: Watch, out: list[Raise], at: float, util: float) -> None:
    """A GPU that has worked and now rests for ten minutes and three times longer than ever before in this run."""
    state.gpu_util, state.gpu_at = util, at
    if util >= _GPU_BUSY:
        state.gpu_worked = True
    if util >= _GPU_IDLE:
        if state.gpu_idle_since >= 0.0:
            state.gpu_longest_idle = max(state.gpu_longest_idle, at - state.gpu_idle_since)
        state.gpu_idle_since = -1.0
        state.gpu_told = False
        return
    if state.gpu_idle_since < 0.0 or at < state.gpu_idle_since:
        state.gpu_idle_since = at
    idle_s = at - state.gpu_idle_since
    bound = max(_TEN_MIN, 3.0 * state.gpu_longest_idle)
    if state.gpu_worked and idle_s >= bound and not state.gpu_told:
        state.gpu_told = True
        title = f"the GPU has been idle for {span(idle_s)}"
        text = "It had been working. The run may wait for data, another worker or a lock, and it still holds the GPU."
        evidence = Evidence(metric="gpu_util", value=util, baseline=state.gpu_longest_idle, threshold=bound)
        offer(state, Spot(out, at), "gpu_idle", Severity.WARNING, title, text, evidence)


def _memory(state: Watch, out: list[Raise], at: float, what: str, used: float | None, limit: float | None) -> None:
    """Memory that rises steadily and will reach 95 % of its limit before the run ends (or within the hour)."""
    if used is None or limit is None or not (0.0 <= used < 1e300 and 1.0 <= limit < 1e300):
        return
    share = used / limit
    trail = state.memory.setdefault(what, [])
    if trail and at - trail[-1][0] < 15.0:
        return
    trail.append([at, share])
    if len(trail) > 64:
        del trail[: len(trail) - 64]
    if len(trail) < 24 or share < 0.5 or at - trail[0][0] < 300.0:
        return
    # Steady means that each third rises like the others: a leak, not a cache that fills up once and stays.
    third = len(trail) // 3
    parts = [trail[:third], trail[third : 2 * third], trail[2 * third :]]
    slopes = [slope([p[0] for p in part], [p[1] for p in part]) for part in parts]
    overall = slope([p[0] for p in trail], [p[1] for p in trail])
    if overall <= 0.0 or min(slopes) < 0.4 * overall or max(slopes) > 2.5 * overall:
        return
    left_s = max(0.0, (0.95 - share) / overall)
    horizon = state.eta_s if state.eta_s is not None else 3600.0
    if left_s > horizon:
        return
    of = "memory" if what == "rss" else "GPU memory"
    title = f"{of} is rising to its limit: {share:.0%} used"
    text = (
        f"At the pace of the last {span(at - trail[0][0])} it reaches 95 % in {span(left_s)}. Tensors that keep their "
        "graph, growing lists and data loader workers are the usual leaks. Save a checkpoint before the run is killed."
    )
    window: list[tuple[float, float | str]] = [(p[0], p[1]) for p in trail]
    evidence = Evidence(metric=what, value=share, baseline=trail[0][1], threshold=0.95, window=window)
    offer(state, Spot(out, at), "memory", Severity.WARNING, title, text, evidence)
