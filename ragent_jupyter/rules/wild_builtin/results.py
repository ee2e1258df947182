"""What came out, in sentences whose numbers are computed here: verdicts, what each change was worth, the end."""

from __future__ import annotations

import math
from typing import Any

from ragent_jupyter.domain.sweep import Values
from ragent_jupyter.domain.wild import Knob, ProposeSweep, Seen, Verdict

from ..confirm import expected
from ..stats import short
from .standing import Standing, changed, counted, counts, listed, seen, seen_baseline, spelled, spread
from .steps import Step

MOST_UNDONE = 4  # changes that are undone one by one


def plus_minus(values: list[float]) -> str:
    """Mean ± standard deviation.

    >>> plus_minus([1.9, 2.0, 2.1])
    '2 ± 0.1'
    """
    if not values:
        return "no data"
    mean, wide = math.fsum(values) / len(values), spread(values)
    return short(mean) + (f" ± {short(wide)}" if wide is not None else "")


def verdict_said(at: Standing, verdict: Verdict) -> str:
    """One candidate in one sentence."""
    what = listed(changes(at, verdict.params))
    if not verdict.values or not verdict.baseline_values:
        return f"{what}: {verdict.verdict}. {verdict.why}"
    text = (
        f"{what} → {verdict.metric} {plus_minus(verdict.values)} against {plus_minus(verdict.baseline_values)} "
        f"({len(verdict.values)} fresh paired seeds): {verdict.verdict}."
    )
    claim = expected(verdict, at.setup.mode) if verdict.verdict == "confirmed" else None
    return text if claim is None else f"{text} Expect {short(claim)} or better on average."


def changes(at: Standing, params: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a point that are not the default's."""
    names = changed(at.setup.space, params)
    return {name: value for name, value in params.items() if name in names or name not in at.setup.space}


def seen_verdicts(at: Standing) -> list[Seen]:
    return [
        Seen(kind="sweep", ref=v.sweep, value=v.mean, text=f"{v.verdict}: {v.why}"[:300]) for v in at.loop.verdicts[-6:]
    ]


# --- explain ----------------------------------------------------------------------------------------------------------
def undo(at: Standing, winner: Verdict, importance: dict[str, float], room: int) -> Step | None:
    """The winner with one change undone at a time, on a fresh seed that it was confirmed on; None: nothing to undo.

    room: runs that may be spent on it.
    """
    names = list(changes(at, winner.params))
    if len(names) < 2 or room < 1 or not winner.seeds:
        return None
    names = sorted(names, key=lambda n: (-importance.get(n, 0.0), n))[: min(MOST_UNDONE, room)]
    twice = 2 if room >= 2 * len(names) and len(winner.seeds) > 1 else 1
    points = [
        at.point({n: v for n, v in winner.params.items() if n != name}, seed)
        for seed in winner.seeds[:twice]
        for name in names
    ]
    why = (
        f"{verdict_said(at, winner)} Each of its {len(names)} changes is undone alone, on "
        f"{counted(twice, 'seed')} it was confirmed on, to see which of them made the difference."
    )
    sweep = ProposeSweep(name="explain", points=points, purpose="explain", reason=why, commit=winner.commit)
    return Step(sweep, why, seen_verdicts(at), "rule:explain")


def explanation(at: Standing, winner: Verdict, importance: dict[str, float]) -> tuple[list[str], list[Seen]]:
    """What each change was worth, and what the search says about the parameters, one sentence each."""
    said: list[str] = [verdict_said(at, winner)]
    wide = spread(winner.values)
    by_seed = dict(zip(winner.seeds, winner.values, strict=False))
    default = dict(zip(winner.seeds, winner.baseline_values, strict=False))
    worth: dict[str, list[tuple[float, float]]] = {}
    for trial in at.of("explain"):
        gone = [name for name in winner.params if name not in trial.params]
        if counts(trial) and len(gone) == 1 and trial.seed in by_seed:
            worth.setdefault(gone[0], []).append((trial.value or 0.0, by_seed[trial.seed]))
    for name, pairs in worth.items():
        without = math.fsum(a for a, _ in pairs) / len(pairs)
        whole = math.fsum(b for _, b in pairs) / len(pairs)
        loss = at.sign * (without - whole)
        sentence = (
            f"Without {listed({name: winner.params[name]})}, {winner.metric} is {short(without)} instead of "
            f"{short(whole)} ({counted(len(pairs), 'seed')})"
        )
        if wide is not None and abs(loss) <= 2 * wide * math.sqrt(2 / len(pairs)):
            sentence += ": no more than the noise between seeds"
        elif loss < 0:
            sentence += ": the change did harm"
        said.append(sentence + ".")
    if not worth and len(changes(at, winner.params)) == 1:
        said.append("It is a single change: undone, it is the default, which was measured beside it.")
    edges = [
        f"{name} {spelled(value)} is the {edge} that was offered"
        for name, value in changes(at, winner.params).items()
        if name in at.setup.space and (edge := at_edge(at.setup.space[name], value))
    ]
    if edges:
        said.append(f"{'; '.join(edges)}: a wider range may hold more.")
    top = sorted(importance.items(), key=lambda item: (-item[1], item[0]))[:3]
    if top and top[0][1] > 0:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in top)
        said.append(f"Over all search runs the variation goes with {shares}.")
    evidence = seen_verdicts(at) + seen(at.of("explain"))
    evidence += [Seen(kind="text", ref=name, value=share, text="importance") for name, share in top]
    evidence += [Seen(kind="run", ref=winner.baseline_runs[0], value=v) for v in list(default.values())[:1]]
    return said, evidence


def at_edge(knob: Knob, value: Any) -> str:
    """Whether a value lies at an end of what was searched, within a fiftieth of it: "smallest", "largest" or "".

    >>> from ragent_jupyter.domain.sweep import Range
    >>> lr = Knob(dim=Range(0.001, 0.1, log=True))
    >>> at_edge(lr, 0.098), at_edge(lr, 0.05), at_edge(Knob(dim=Values([8, 16, 32])), 8)
    ('largest', '', 'smallest')
    """
    dim = knob.dim
    if isinstance(value, bool) or not isinstance(value, int | float) or value == 0:
        return ""  # nothing of it is an end of its own
    if isinstance(dim, Values):
        numbers = [v for v in dim.values if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) < 3 or len(numbers) < len(dim.values):
            return ""  # of two values, each is at an end
        return "smallest" if value <= min(numbers) else "largest" if value >= max(numbers) else ""
    if dim.low >= dim.high or (dim.log and (dim.low <= 0 or value <= 0)):
        return ""
    if dim.log:
        place = math.log(value / dim.low) / math.log(dim.high / dim.low)
    else:
        place = (value - dim.low) / (dim.high - dim.low)
    return "smallest" if place <= 0.02 else "largest" if place >= 0.98 else ""


# --- the end ----------------------------------------------------------------------------------------------------------
def ending(at: Standing, winner: Verdict) -> tuple[str, list[Seen]]:
    return verdict_said(at, winner), [*seen_verdicts(at), *seen_baseline(at.baseline)]


def unconfirmed(at: Standing, why: str) -> tuple[str, list[Seen]]:
    """The best that was seen, where nothing allowed to confirm it."""
    best = at.best
    if best is None or best.value is None:
        return f"No search run has a value. {why}", seen_baseline(at.baseline)
    default = "" if at.baseline is None else f", the default {short(at.baseline.mean)}"
    what = f"{listed(changes(at, best.params))}: {at.setup.metric} {short(best.value)} in one run{default}."
    text = f"{what} Unconfirmed: {why}"
    return text, [*seen([best]), *seen_baseline(at.baseline)]


def null_result(at: Standing) -> tuple[str, list[Seen]]:
    """Nothing is shown to be better than the default, and that is the result."""
    n = sum(1 for t in at.search if counts(t))
    base = at.baseline
    default = "the default" if base is None else f"the default ({at.setup.metric} {short(base.mean)}"
    if base is not None:
        default += f", standard deviation {short(base.sigma)})" if base.sigma is not None else ")"
    real = [v for v in at.loop.verdicts if v.verdict != "confirmed"]
    if real:
        what = " ".join(verdict_said(at, v) for v in real[-3:])
        text = f"Nothing of {counted(n, 'search run')} is shown to be better than {default}. {what}"
    else:
        best = f" The best was {short(at.best.value)}." if at.best is not None and at.best.value is not None else ""
        text = f"None of {counted(n, 'search run')} looked better than {default}.{best}"
    return text, [*seen_verdicts(at), *seen_baseline(base), *seen([at.best] if at.best else [])]
