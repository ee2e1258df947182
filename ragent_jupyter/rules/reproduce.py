"""Running a claim again: what the notebook says, what may be executed for it, and how the outcome compares. Pure.

A report is a file that somebody may have edited, or got from elsewhere. So nothing is executed because a notebook says
so: a claim only names runs, and what is run again is what this project has recorded of them. A claim whose settings,
seeds or code are not those of the runs that it names is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotFound
from ragent_jupyter.domain.run import Run
from ragent_jupyter.domain.sweep import SearchSpace, Sweep
from ragent_jupyter.domain.wild_report import Claim, Pair

from . import wild_words as words
from .report import number
from .wild_novelty import same

MOST_RUNS = 200
_NOISE = 2.0  # sd of the difference of two means: what noise alone exceeds 1 time in 20

Outcome = Literal["", "identical", "within", "differs", "failed"]


# --- what the notebook says -------------------------------------------------------------------------------------------
def split_ref(ref: str) -> tuple[str, str]:
    """(report, claim) of REPORT#CLAIM; the claim is "" where none is named.

    >>> split_ref("reports/a.ipynb#claim-1"), split_ref("a#b.ipynb"), split_ref("a#b.ipynb#claim-1")
    (('reports/a.ipynb', 'claim-1'), ('a#b.ipynb', ''), ('a#b.ipynb', 'claim-1'))
    """
    head, mark, tail = ref.strip().rpartition("#")
    if not mark or tail.endswith(".ipynb"):
        return ref.strip(), ""
    return head, tail


def claims_in(notebook: Any) -> dict[str, Claim]:
    """The claims that the cells of a notebook carry, by id. Raises BadInput for what is no report of a wild loop."""
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    found: dict[str, Claim] = {}
    broken: list[str] = []
    for cell in cells if isinstance(cells, list) else []:
        said: Any = cell
        for step in ("metadata", "ragent", "claim"):
            said = said.get(step) if isinstance(said, dict) else None
        if said is None:
            continue
        try:
            claim = msgspec.convert(said, Claim)
        except msgspec.ValidationError as error:
            broken.append(words.quoted(str(error), 120))
            continue
        found.setdefault(claim.id, claim)
    if found:
        return found
    if broken:
        raise BadInput(f"The notebook's claims cannot be read: {broken[0]}", "Write the report again.")
    raise BadInput(
        "This notebook holds no claim.", "Name a wild loop's report, such as reports/wild-GOAL.ipynb#claim-1."
    )


def pick(claims: Mapping[str, Claim], id: str) -> Claim:
    """The claim of that id. Raises NotFound, with the list of those that there are."""
    if id in claims:
        return claims[id]
    known = ", ".join(words.quoted(name, 60) for name in list(claims)[:20])
    asked = f"The report has no claim {words.quoted(id, 60)!r}." if id else "No claim was named."
    raise NotFound(asked, f"It has: {known}. Write REPORT#CLAIM.")


# --- what is run again ------------------------------------------------------------------------------------------------
class Group(Struct, frozen=True, kw_only=True):
    """Runs of a claim that one sweep repeats. was: their ids, in the order of `points`."""

    like: Sweep  # whose command, folder, flags and environment they had
    python: str | None
    was: list[str]
    points: list[dict[str, Any]]
    trees: list[str]

    @property
    def space(self) -> SearchSpace:
        return msgspec.structs.replace(self.like.space, method="list", parameters={}, points=self.points)


def plan(claim: Claim, runs: Mapping[str, Run], sweeps: Mapping[str, Sweep]) -> list[Group]:
    """What to run for the claim, from the record alone. Raises CannotBeDone where claim and record do not agree."""
    wanted = [*claim.runs, *claim.baseline_runs]
    if not wanted:
        raise CannotBeDone("The claim rests on no run.", "Choose another claim of the report.")
    if len(wanted) > MOST_RUNS:
        raise CannotBeDone(f"The claim names {len(wanted)} runs.", f"At most {MOST_RUNS} are run again at once.")
    if len(claim.values) != len(claim.runs) or len(claim.baseline_values) != len(claim.baseline_runs):
        raise CannotBeDone("The claim does not give one value for each of its runs.", "Write the report again.")
    groups: dict[str, Group] = {}
    for n, id in enumerate(wanted):
        run, sweep = _recorded(id, runs, sweeps)
        _agrees(claim, n, run)
        python = run.interpreter.path if run.interpreter else None
        name = f"{sweep.id}:{python}"
        group = groups.get(name) or Group(like=sweep, python=python, was=[], points=[], trees=[])
        groups[name] = msgspec.structs.replace(
            group, was=[*group.was, id], points=[*group.points, dict(run.params)], trees=[*group.trees, run.tree]
        )
    return list(groups.values())


def _recorded(id: str, runs: Mapping[str, Run], sweeps: Mapping[str, Sweep]) -> tuple[Run, Sweep]:
    run = runs.get(id)
    if run is None:
        raise CannotBeDone(
            f"The claim names the run {words.quoted(id, 60)!r}, which this project has no record of.",
            "A claim is run again in the project that made it: a command in a notebook alone is never executed.",
        )
    sweep = sweeps.get(run.sweep_id or "")
    trial = next((t for t in sweep.trials if t.index == run.trial), None) if sweep else None
    if sweep is None or trial is None or not sweep.loop_id or run.kind != "command":
        raise CannotBeDone(f"Run {run.id} is no run of a wild loop.", "Run it again by itself: `ragent retry RUN`.")
    if trial.params != run.params:
        raise CannotBeDone(
            f"Run {run.id} was retried with other settings than its trial has, so it cannot be repeated as it was.",
            "Run it again by itself: `ragent retry RUN`.",
        )
    return run, sweep


def _agrees(claim: Claim, n: int, run: Run) -> None:
    """Whether the run that the claim names is what the claim says it is."""
    mine = n < len(claim.runs)
    for name, value in claim.params.items() if mine else ():
        if name in run.params and not same(run.params[name], value):
            shown = f"{words.quoted(name, 40)} {words.quoted(words.shown(value), 40)}"
            raise edited(f"The claim says {shown}, run {run.id} had {words.shown(run.params[name])}.")
        if name not in run.params:
            raise edited(f"The claim says {words.quoted(name, 40)}, run {run.id} was not given it.")
    place = n if mine else n - len(claim.runs)
    if place < len(claim.seeds):
        seed = run.seed if run.seed is not None else claim.seeds[place]
        if seed != claim.seeds[place]:
            raise edited(f"The claim says seed {claim.seeds[place]}, run {run.id} had {seed}.")
    code = run.tree or (run.git.commit if run.git else "")
    if mine and claim.commit and code and code != claim.commit:
        raise edited(f"The claim says code {words.quoted(claim.commit, 12)}, run {run.id} had {code[:12]}.")


def edited(problem: str) -> CannotBeDone:
    return CannotBeDone(problem, "The notebook was edited or is another project's: write the report again.")


# --- was and now ------------------------------------------------------------------------------------------------------
class Comparison(Struct, frozen=True, kw_only=True):
    outcome: Outcome
    text: str
    was_effect: float | None = None
    now_effect: float | None = None

    @property
    def reproduced(self) -> bool:
        return self.outcome in ("identical", "within")


def compare(claim: Claim, pairs: Sequence[Pair], verdict: str | None) -> Comparison:
    """How the runs of a claim came out again. All of them are over.

    pairs: the candidate's runs in the claim's order, then the baseline's.  verdict: the word that the new values lead
    to, None where the claim is none of a verdict.
    """
    lost = [p for p in pairs if p.now is None]
    if lost:
        ids = ", ".join(p.now_run or p.was_run for p in lost[:4])
        return Comparison(
            outcome="failed",
            text=f"Not reproduced: {words.plural(len(lost), 'run')} of {len(pairs)} gave no value ({ids}).",
        )
    was, now = _effect(claim, pairs, now=False), _effect(claim, pairs, now=True)
    told = f"{_what(claim)} was {_said(claim, was)}, is {_said(claim, now)}"
    if all(p.was == p.now for p in pairs):
        text = f"Reproduced to the last bit: {words.plural(len(pairs), 'run')} gave the same values again."
        return Comparison(outcome="identical", text=text, was_effect=was, now_effect=now)
    if verdict is not None and claim.verdict and verdict != claim.verdict:
        text = f"Not reproduced: the verdict was {claim.verdict}, is {verdict}; {told}."
        return Comparison(outcome="differs", text=text, was_effect=was, now_effect=now)
    inside, range_ = _within(claim, was, now)
    if inside:
        again = f"; the verdict is {verdict} again" if verdict else ""
        text = f"Reproduced within the noise: {told}, {range_}{again}."
        return Comparison(outcome="within", text=text, was_effect=was, now_effect=now)
    text = f"Not reproduced: {told}, {range_}."
    return Comparison(outcome="differs", text=text, was_effect=was, now_effect=now)


def _what(claim: Claim) -> str:
    return f"the effect on {claim.metric}" if claim.baseline_runs else f"the mean of {claim.metric}"


def _said(claim: Claim, value: float | None) -> str:
    return words.signed(value) if claim.baseline_runs else number(value)


def _effect(claim: Claim, pairs: Sequence[Pair], *, now: bool) -> float | None:
    """Candidate minus baseline; the mean where there is no baseline beside it."""
    values = [p.now if now else p.was for p in pairs]
    mine = [v for v, p in zip(values, pairs, strict=True) if p.side == "candidate" and v is not None]
    base = [v for v, p in zip(values, pairs, strict=True) if p.side == "baseline" and v is not None]
    if not mine:
        return None
    mean = math.fsum(mine) / len(mine)
    return mean - math.fsum(base) / len(base) if base else mean


def _within(claim: Claim, was: float | None, now: float | None) -> tuple[bool, str]:
    """Whether the new number lies where the claim's own noise allows, and that range in words."""
    if was is None or now is None:
        return False, "with nothing to compare"
    if claim.ci is not None and claim.baseline_runs:
        low, high = claim.ci
        return low <= now <= high, f"{'inside' if low <= now <= high else 'outside'} the {words.interval(claim.ci)}"
    if claim.sigma:
        # The same seeds: noise between seeds is more than what two such means may differ by.
        room = _NOISE * claim.sigma * math.sqrt(2.0 / max(1, len(claim.runs)))
        if claim.baseline_runs:
            room *= math.sqrt(2.0)
        inside = abs(now - was) <= room
        return inside, f"{'inside' if inside else 'outside'} the noise of ±{number(room, 2)}"
    return False, "and the claim knows no noise that would allow it"


def progress(pairs: Sequence[Pair]) -> str:
    over = sum(p.now is not None or p.status in ("finished", "failed", "stopped") for p in pairs)
    return f"Under way: {over} of {words.plural(len(pairs), 'run')} over."
