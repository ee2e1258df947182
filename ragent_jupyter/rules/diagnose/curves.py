"""What the curves of a run prove: not finite, diverged, overfit, nothing learned."""

from __future__ import annotations

from collections.abc import Sequence

from ragent_jupyter.domain.run import Run

from ..digest import Curve, Direction, direction_of, lost_ground
from ..digest import step as shown_step
from ..stats import log_roughness, median
from ..tool_text import num, word
from ..watch_names import (
    EVAL,
    GAME,
    GRAD,
    LOSS,
    PERPLEXITY,
    QUALITY,
    classify,
    is_eval_name,
    is_learning_rate,
    training_names,
)
from .words import Cause, Cite

_GIVEN_BACK = 0.1  # of what an evaluation had gained: as much must be lost again to speak of overfitting
_RANK = {LOSS: 0, GRAD: 1, EVAL: 2, GAME: 3, PERPLEXITY: 4, QUALITY: 5}


def curve_causes(run: Run, curves: Sequence[Curve]) -> list[Cause]:
    """Causes that the curves show, each at most once, with the metric, step and value that prove it."""
    found = [_not_finite(run, curves), _overfit(run, curves), _diverged(run, curves), _not_learning(run, curves)]
    return [cause for cause in found if cause is not None]


def _cite(curve: Curve, step: float, text: str) -> Cite:
    return Cite(source=curve.name, text=text, step=step)


def _rate(run: Run) -> str:
    """The learning rate that the run was given, as "lr 0.1", if it is known."""
    for name, value in run.params.items():
        if is_learning_rate(name):
            return f"{word(name, 40)} {num(value) if isinstance(value, float) else word(value, 40)}"
    return ""


def _not_finite(run: Run, curves: Sequence[Curve]) -> Cause | None:
    bad = [c for c in curves if c.odd and classify(c.name) in _RANK]
    if not bad:
        return None
    bad.sort(key=lambda c: (c.odd[0][0], _RANK[classify(c.name)], c.name))
    first = bad[0]
    at, kind = first.odd[0]
    before = [(x, v) for x, v in zip(first.x, first.last, strict=True) if v is not None and x < at]
    after = [x for x, v in zip(first.x, first.last, strict=True) if v is not None and x > at]
    text = f"{kind} at step {shown_step(at)}"
    if before:
        text += f"; {num(before[-1][1])} at step {shown_step(before[-1][0])} just before"
    cites = [_cite(first, at, text)]
    for other in bad[1:3]:
        cites.append(_cite(other, other.odd[0][0], f"{other.odd[0][1]} at step {shown_step(other.odd[0][0])}"))
    rate = _rate(run)
    lower = (
        f"Lower the learning rate ({rate} was used) or warm up longer" if rate else "Lower the learning rate or warm up"
    )
    steps = [
        f"{lower}, clip gradients, use bfloat16 or float32; go on from a checkpoint before step {shown_step(at)}.",
    ]
    healed = f" It was finite again later: {first.odd_count} values were not." if after else ""
    return Cause(
        kind="not_finite",
        title=f"{word(first.name, 80)} became {kind} at step {shown_step(at)}.{healed}".rstrip("."),
        cites=cites,
        next=steps,
        score=75.0 if not after else 40.0,
    )


def _overfit(run: Run, curves: Sequence[Curve]) -> Cause | None:
    by_name = {c.name: c for c in curves}
    best: Cause | None = None
    for curve in curves:
        direction = direction_of(curve.name, run.primary, run.mode)
        if direction == "" or not is_eval_name(curve.name) or classify(curve.name) not in (EVAL, QUALITY, PERPLEXITY):
            continue
        lost = _lost(curve, direction)
        if lost is None:
            continue
        now, top, at, share = lost
        partner = next((by_name[n] for n in training_names(curve.name) if n in by_name), None)
        if partner is None:
            partner = next((c for c in curves if classify(c.name) == LOSS and not is_eval_name(c.name)), None)
        if partner is None:
            continue
        way = direction_of(partner.name, run.primary, run.mode) or "min"
        then, later = _level(partner, at), _level(partner, None)
        if then is None or later is None or (later >= then if way == "min" else later <= then):
            continue
        exact = curve.lowest if direction == "min" else curve.highest
        at, top = exact if exact is not None else (at, top)
        worse = "rose" if direction == "min" else "fell"
        cause = Cause(
            kind="overfit",
            title=f"{word(curve.name, 80)} got worse from step {shown_step(at)} on while "
            f"{word(partner.name, 80)} got better",
            cites=[
                _cite(curve, at, f"best {num(top)} at step {shown_step(at)}, then it {worse} to {num(now)}"),
                _cite(partner, partner.x[-1], f"{num(then)} there, {num(later)} at step {shown_step(partner.x[-1])}"),
            ],
            next=[
                f"Keep the checkpoint nearest to step {shown_step(at)}, and stop early by {word(curve.name, 80)}.",
                "More data or augmentation, weight decay or dropout, or a smaller model.",
            ],
            score=50.0 + min(10.0, 10.0 * share),
        )
        if best is None or cause.score > best.score:
            best = cause
    return best


def _lost(curve: Curve, direction: Direction) -> tuple[float, float, float, float] | None:
    """(level now, best level, step of the best, share of the gain that was lost) if it clearly got worse again."""
    points = [(x, v) for x, v in zip(curve.x, curve.last, strict=True) if v is not None]
    if len(points) < 8:
        return None
    sign = -1.0 if direction == "max" else 1.0
    wide = 3 if len(points) < 40 else 5
    values = [sign * v for _, v in points]
    middles = [median(values[i : i + wide]) for i in range(len(values) - wide + 1)]
    at = min(range(len(middles)), key=lambda i: (middles[i], i))
    now, top, first = middles[-1], middles[at], middles[0]
    if at >= len(middles) - 1 - len(middles) // 8:
        return None  # the best is too new to say that it is over
    gained, given = first - top, now - top
    rough = median([abs(a - 2 * b + c) for a, b, c in zip(values, values[1:], values[2:], strict=False)]) / 2.0
    if given <= max(_GIVEN_BACK * gained, 4.0 * rough) or given <= 0.02 * abs(top):
        return None
    return sign * now, sign * top, points[at + wide // 2][0], given / gained if gained > 0 else 1.0


def _level(curve: Curve, at: float | None) -> float | None:
    """The median around a step, or at the end."""
    points = [(x, v) for x, v in zip(curve.x, curve.last, strict=True) if v is not None]
    if at is not None:
        points = [p for p in points if p[0] <= at] or points[:1]
    return median([v for _, v in points[-5:]]) if points else None


def _diverged(run: Run, curves: Sequence[Curve]) -> Cause | None:
    for curve in curves:
        if classify(curve.name) != LOSS or is_eval_name(curve.name):
            continue
        lost = lost_ground(curve, "min")
        if lost is None:
            continue
        now, best, at = lost
        last = curve.newest
        assert last is not None  # ground can only be lost where there are points
        rate = _rate(run)
        return Cause(
            kind="diverged",
            title=f"{word(curve.name, 80)} climbed away from its best after step {shown_step(at)}",
            cites=[
                _cite(
                    curve,
                    at,
                    f"best median {num(best)} at step {shown_step(at)}; {num(last[1])} at step {shown_step(last[0])}, "
                    f"the median of the last five is {num(now)}",
                )
            ],
            next=[
                f"Go on from a checkpoint near step {shown_step(at)} with a lower learning rate"
                + (f" ({rate} was used)." if rate else "."),
                "Clip gradients; look at the data and the schedule around that step.",
            ],
            score=55.0,
        )
    return None


def _not_learning(run: Run, curves: Sequence[Curve]) -> Cause | None:
    for curve in curves:
        if classify(curve.name) != LOSS or is_eval_name(curve.name):
            continue
        points = [(x, v) for x, v in zip(curve.x, curve.last, strict=True) if v is not None]
        if len(points) < 50 or min(v for _, v in points) <= 0.0:
            continue
        fifth = len(points) // 5
        values = [v for _, v in points]
        start, end = median(values[:fifth]), median(values[-fifth:])
        noise = log_roughness(values[: max(20, fifth)])
        if end < start * (1.0 - max(0.01, 0.5 * noise)):
            continue
        if end > 1.5 * start:
            continue  # that is a divergence
        zero = next((n for n, v in run.params.items() if is_learning_rate(n) and v in (0, 0.0, "0", "0.0")), "")
        rate = next((c for c in curves if is_learning_rate(c.name) and c.highest and c.highest[1] == 0.0), None)
        cites = [
            _cite(
                curve,
                points[-1][0],
                f"median {num(start)} over the first {fifth} points, {num(end)} over the last {fifth} "
                f"(steps {shown_step(points[0][0])} to {shown_step(points[-1][0])})",
            )
        ]
        if rate is not None:
            cites.append(_cite(rate, rate.x[-1], f"{word(rate.name, 80)} is 0 at every step"))
        why = " The learning rate is 0." if zero or rate is not None else ""
        return Cause(
            kind="not_learning",
            title=f"{word(curve.name, 80)} did not fall in {curve.total or len(points)} points.{why}".rstrip("."),
            cites=cites,
            next=[
                "Check the learning rate and its schedule, that the optimizer was given the parameters, that "
                "they require "
                "gradients, and that the labels belong to the inputs. A model that learns must overfit a single batch."
            ],
            score=48.0,
        )
    return None
