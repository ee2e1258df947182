"""Rules on pace: a run that slows down, leaves its GPU idle or runs out of memory. Standing still: watch_stall."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, pairwise
from operator import le

from ..domain.alert import Evidence, Severity
from .stats import median_of_sorted, short, slope, span
from .watch_facts import Raise, Slept, System
from .watch_loss import remember
from .watch_quiet import forget
from .watch_raise import Spot, offer, seen
from .watch_state import FAR, Metric, Watch

_GPU_IDLE = 5.0  # percent
_GPU_BUSY = 10.0
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


def slept(state: Watch, fact: Slept) -> None:
    """The witness was away: every silence starts anew, and the next gap teaches nothing."""
    if fact.at - fact.at == 0.0:
        if state.heard_at >= 0.0:
            state.heard_at = fact.at
        state.log_at = fact.at
        forget(state, fact.at)
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
