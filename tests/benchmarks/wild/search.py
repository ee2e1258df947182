"""What B1 and B2 share: ragent and its peers search the same space of the same script with the same number of runs.

ragent: the built-in policy, the loop's rules, its guard and its confirm stage are the true ones; only the queue and the
clock are played (`tests/support/wild_sim`), so that a night of 40 runs costs 40 runs. Peers: random draws, Optuna's TPE
as it comes, Optuna's successive halving over random draws (as many epochs as 40 full runs have), each with one seed for
all its runs, as is usual, and each claims the best value it saw. ragent claims what its summary tells people to expect,
the mean of its confirm stage and one standard error, or nothing.

What is claimed is then run with fresh seeds. over-claim: how much worse the fresh mean of the validation loss is than
what was claimed. true loss: the fresh mean on the hidden part.
"""

from __future__ import annotations

import math
import os
import random
import statistics
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from msgspec import Struct

from ragent_jupyter.adapters.optimiser import OptunaOptimiser
from ragent_jupyter.domain.sweep import Range
from ragent_jupyter.domain.wild import Knob, Limits
from ragent_jupyter.rules.confirm import expected
from ragent_jupyter.rules.script import read_script
from ragent_jupyter.rules.search_space import propose
from ragent_jupyter.services.policies.builtin import BuiltinPolicy
from tests.support.wild_sim import Failed, Sim

from .figures import Figure, bootstrap

Params = dict[str, Any]
Each = Callable[[int, float], bool]
FRESH = 50_000  # the first seed that nobody has searched with
FIRST = 200  # the first search; those before were looked at while the rules were written


class Task:
    """A script that is called as a function. train: (parameters by the names of flags, seed, each) →
    (curve of the validation loss, loss on the hidden part)."""

    def __init__(
        self, script: Path, train: Callable[..., tuple[list[float], float]], fidelity: str, full: int, metric: str
    ) -> None:
        self.script, self.train, self.fidelity, self.full, self.metric = script, train, fidelity, full, metric
        found = read_script(script.read_text(), script.name, {}, f"python {script.name}")
        self.space: dict[str, Knob] = propose(found)
        self.defaults = {name: knob.default for name, knob in self.space.items()}
        self.spent = 0  # steps of the fidelity
        self._known: dict[str, tuple[list[float], float]] = {}

    def run(self, params: Mapping[str, Any], seed: int, each: Each | None = None) -> tuple[list[float], float]:
        """Twice the same is once the same, unless somebody listens."""
        said = {self.fidelity: self.full, **self.defaults, **params}
        key = repr((sorted(said.items()), seed))
        if each is not None or key not in self._known:
            made = self.train({name.replace("-", "_"): value for name, value in said.items()}, seed, each)
            self.spent += len(made[0])
            if each is not None:
                return made
            self._known[key] = made
        return self._known[key]

    def value(self, params: Mapping[str, Any], seed: int) -> float:
        return self.run(params, seed)[0][-1]


class Claim(Struct, frozen=True):
    """value: None: nothing is claimed, and what it was given is what it recommends.  mean: of the runs behind a claim
    that keeps something in hand.
    """

    params: Params
    value: float | None
    steps: int
    mean: float | None = None


# --- who searches -----------------------------------------------------------------------------------------------------
def ragent(task: Task, runs: int, seed: int, seeds: int = 5) -> Claim:
    def objective(params: Params, at: int) -> float | Failed:
        value = task.value(params, at)
        return value if value == value and abs(value) != float("inf") else Failed("nan", "loss became NaN", 0.3)

    before = task.spent
    sim = Sim(
        task.space, objective, curve=lambda params, at, value: _curve(task, params, at), limits=Limits(runs=runs),
        metric=task.metric, seed=seed, slots=2,
        setup={"fidelity": task.fidelity, "full": task.full, "seeds": seeds, "seed_base": 1000 + 1000 * seed},
    )  # fmt: skip
    result = sim.run(BuiltinPolicy(OptunaOptimiser()))
    steps = task.spent - before
    for trial in result.trials:  # what was stopped early was trained whole, for its curve
        if trial.status == "stopped":
            steps -= task.full - len(trial.curve)
    if result.claimed is None:
        return Claim({}, None, steps)
    return Claim(result.claimed.params, expected(result.claimed, "min"), steps, result.claimed.mean)


def _curve(task: Task, params: Params, seed: int) -> list[tuple[float, float]]:
    return [(float(step), value) for step, value in enumerate(task.run(params, seed)[0], 1)]


def drawn(space: Mapping[str, Knob], rng: random.Random) -> Params:

    params: Params = {}
    for name, knob in space.items():
        dim = knob.dim
        if not isinstance(dim, Range):
            params[name] = rng.choice(dim.values)
            continue
        value = (
            math.exp(rng.uniform(math.log(dim.low), math.log(dim.high))) if dim.log else rng.uniform(dim.low, dim.high)
        )
        params[name] = round(value) if dim.integer else value
    return params


def by_chance(task: Task, runs: int, seed: int) -> Claim:
    rng, before = random.Random(seed), task.spent
    points = [drawn(task.space, rng) for _ in range(runs)]
    tried = [(task.value(point, seed), point) for point in points]
    value, params = min(((v, p) for v, p in tried if v == v), key=lambda pair: pair[0])
    return Claim(params, value, task.spent - before)


def _suggested(trial: Any, space: Mapping[str, Knob]) -> Params:
    params: Params = {}
    for name, knob in space.items():
        dim = knob.dim
        if not isinstance(dim, Range):
            params[name] = trial.suggest_categorical(name, dim.values)
        elif dim.integer:
            params[name] = trial.suggest_int(name, round(dim.low), round(dim.high), log=dim.log)
        else:
            params[name] = trial.suggest_float(name, dim.low, dim.high, log=dim.log)
    return params


@contextmanager
def optuna() -> Iterator[Any]:
    import optuna as found

    found.logging.set_verbosity(found.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield found


def tpe(task: Task, runs: int, seed: int) -> Claim:
    before = task.spent
    with optuna() as o:
        study = o.create_study(sampler=o.samplers.TPESampler(seed=seed))

        def objective(trial: Any) -> float:
            value = task.value(_suggested(trial, task.space), seed)
            if value != value:
                raise o.TrialPruned
            return value

        study.optimize(objective, n_trials=runs)
    return Claim(study.best_params, study.best_value, task.spent - before)


def asha(task: Task, runs: int, seed: int) -> Claim:
    """Successive halving over random draws until the steps of `runs` full runs are spent."""
    before = task.spent
    with optuna() as o:
        pruner = o.pruners.SuccessiveHalvingPruner(min_resource=max(1, task.full // 9), reduction_factor=3)
        study = o.create_study(sampler=o.samplers.RandomSampler(seed=seed), pruner=pruner)
        while task.spent - before < runs * task.full:
            trial = study.ask()

            def each(step: int, value: float, trial: Any = trial) -> bool:
                if value != value:
                    return True
                trial.report(value, step)
                return bool(trial.should_prune())

            curve, _ = task.run(_suggested(trial, task.space), seed, each)
            whole = len(curve) == task.full and curve[-1] == curve[-1]
            study.tell(trial, curve[-1] if whole else None, state=None if whole else o.trial.TrialState.PRUNED)
    return Claim(study.best_params, study.best_value, task.spent - before)


PEERS: dict[str, Callable[[Task, int, int], Claim]] = {"random": by_chance, "tpe": tpe, "asha": asha}


# --- what came of it --------------------------------------------------------------------------------------------------
class Found(Struct):
    claimed: list[float | None]
    means: list[float | None]
    fresh: list[float]
    true: list[float]
    steps: list[int]


def compare(
    make: Callable[[], Task], bench: str, repeats: int, runs: int, fresh: int, seeds: int
) -> tuple[list[Figure], dict[str, Found]]:
    """make: the task, in each process anew.  repeats: searches of each; fresh: seeds that a claim is run with;
    seeds: of ragent's confirm stage.
    """
    found = {name: Found([], [], [], [], []) for name in ("ragent", *PEERS)}
    with ProcessPoolExecutor(min(repeats, os.cpu_count() or 1), get_context("spawn")) as pool:
        whole = pool.map(partial(_repeat, make, runs=runs, fresh=fresh, seeds=seeds), range(FIRST, FIRST + repeats))
        for repeat, rows in enumerate(whole):
            for name, (claimed, mean, again, true, steps) in rows.items():
                mine = found[name]
                mine.claimed.append(claimed)
                mine.means.append(mean)
                mine.fresh.append(again)
                mine.true.append(true)
                mine.steps.append(steps)
            last = ", ".join(f"{name} {mine.true[-1]:.3f}" for name, mine in found.items())
            print(f"… {bench} {repeat + 1} of {repeats}: {last}", file=sys.stderr, flush=True)
    return figures(bench, found, runs), found


def _repeat(
    make: Callable[[], Task], repeat: int, *, runs: int, fresh: int, seeds: int
) -> dict[str, tuple[float | None, float | None, float, float, int]]:
    """One search of each: (what it claims, the mean behind it, its fresh mean, its true loss, steps spent)."""
    task, rows = make(), {}
    who: dict[str, Callable[[Task, int, int], Claim]] = {"ragent": partial(ragent, seeds=seeds), **PEERS}
    for name, searches in who.items():
        claim = searches(task, runs, repeat)
        again = [task.run(claim.params, FRESH + 100 * repeat + n) for n in range(fresh)]
        means = statistics.fmean(curve[-1] for curve, _ in again), statistics.fmean(hidden for _, hidden in again)
        rows[name] = (claim.value, claim.mean, *means, claim.steps)
    return rows


def figures(bench: str, found: Mapping[str, Found], runs: int) -> list[Figure]:
    rows: list[Figure] = []
    for name, mine in found.items():
        rows.append(Figure(bench=bench, what=f"true loss of what is claimed, {runs} runs, median", who=name,
                           values=mine.true, typical="median"))  # fmt: skip
    low, high, times = ratio(found["ragent"].true, found["random"].true)
    rows.append(Figure(bench=bench, what="true loss / random's median", values=[times], goal=0.9,
                       note=f"95 % {low:.3f} … {high:.3f}, n {len(found['ragent'].true)}"))  # fmt: skip
    for name, mine in found.items():
        over = [f / c - 1 for c, f in zip(mine.claimed, mine.fresh, strict=True) if c is not None]
        silent = len(mine.claimed) - len(over)
        note = f"as a share of the claim; worst {max(over):.3f}" if over else ""
        note += f"; {silent} claim nothing" if silent else ""
        rows.append(Figure(bench=bench, what="over-claim, fresh mean against claim, mean", who=name, values=over,
                           goal=0.05 if name == "ragent" else None, note=note,
                           missing="" if over else "nothing was claimed"))  # fmt: skip
    bare = [f / c - 1 for c, f in zip(found["ragent"].means, found["ragent"].fresh, strict=True) if c is not None]
    rows.append(Figure(bench=bench, what="the same against the bare mean of its fresh runs", who="ragent", values=bare,
                       missing="" if bare else "nothing was claimed"))  # fmt: skip
    for name, mine in found.items():
        over = [f / c - 1 for c, f in zip(mine.claimed, mine.fresh, strict=True) if c is not None]
        rows.append(Figure(bench=bench, what="over-claim, median", who=name, values=over, typical="median",
                           missing="" if over else "nothing was claimed"))  # fmt: skip
    for name, mine in found.items():
        rows.append(Figure(bench=bench, what="steps spent", who=name, values=[float(s) for s in mine.steps]))
    return rows


def ratio(mine: list[float], other: list[float]) -> tuple[float, float, float]:
    """Of two medians, with a 95 % bootstrap interval over the repeats, a repeat of both drawn together."""
    whole = statistics.median(mine) / statistics.median(other)
    if len(mine) < 2:
        return whole, whole, whole
    low, high = bootstrap(
        [float(n) for n in range(len(mine))],
        lambda picks: statistics.median(mine[int(p)] for p in picks) / statistics.median(other[int(p)] for p in picks),
    )
    return low, high, whole
