"""Search spaces, and the life of a sweep."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.domain.errors import CannotBeDone, WrongMoment
from ragent_jupyter.domain.run import MetricSummary, Reason, Run, RunStatus
from ragent_jupyter.domain.sweep import Range, SearchSpace, Sweep, SweepStatus, Trial, Values
from ragent_jupyter.rules import sweep_life as life
from ragent_jupyter.rules.sweep_space import command_for, expand, range_values, spell

S = RunStatus


def grid(**parameters: Any) -> SearchSpace:
    return SearchSpace(parameters={k: Values(v) if isinstance(v, list) else v for k, v in parameters.items()})


def test_a_grid_counts_the_last_parameter_fastest() -> None:
    assert expand(grid(lr=[0.1, 0.2], bs=[1, 2]), 99) == [
        {"lr": 0.1, "bs": 1},
        {"lr": 0.1, "bs": 2},
        {"lr": 0.2, "bs": 1},
        {"lr": 0.2, "bs": 2},
    ]


def test_a_grid_of_a_million_million_points_is_cut_without_being_made() -> None:
    space = grid(**{f"p{i}": list(range(100)) for i in range(6)})
    assert len(expand(space, 5)) == 5


def test_ranges_include_both_ends_and_do_not_drift() -> None:
    assert range_values("x", Range(low=0.0, high=1.0, step=0.1))[-1] == 1.0
    assert len(range_values("x", Range(low=0.0, high=1.0, step=0.1))) == 11
    assert range_values("x", Range(low=1, high=4, integer=True)) == [1, 2, 3, 4]


def test_random_is_repeatable_distinct_and_within_its_range() -> None:
    space = SearchSpace(method="random", seed=3, parameters={"lr": Range(low=1e-4, high=1e-1, log=True)})
    points = expand(space, 20)
    assert points == expand(space, 20) and len({p["lr"] for p in points}) == 20
    assert all(1e-4 <= p["lr"] <= 1e-1 for p in points)
    assert expand(SearchSpace(method="random", seed=4, parameters=space.parameters), 20) != points


def test_a_small_space_runs_dry_instead_of_repeating_itself() -> None:
    assert len(expand(SearchSpace(method="random", parameters={"a": Values([1, 2])}), 50)) == 2
    assert expand(SearchSpace(method="list", points=[{"a": 1}, {"a": 1}, {"a": 2}]), 50) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    "space",
    [
        SearchSpace(),
        SearchSpace(method="list"),
        grid(lr=[]),
        grid(lr=Range(low=0.1, high=1.0)),
        grid(lr=Range(low=2.0, high=1.0, num=3)),
        grid(lr=Range(low=0.0, high=1.0, num=3, log=True)),
        grid(lr=Range(low=0.0, high=1.0, step=0.0)),
        grid(lr=Range(low=0.0, high=float("inf"), num=2)),
        grid(lr=Range(low=0.0, high=1e9, step=1.0)),
    ],
)
def test_an_impossible_space_is_refused_with_a_remedy(space: SearchSpace) -> None:
    with pytest.raises(CannotBeDone) as refusal:
        expand(space, 10)
    assert refusal.value.remedy


@given(st.dictionaries(st.sampled_from(["lr", "act"]), st.one_of(st.text(max_size=20), st.floats(), st.booleans())))
def test_no_value_can_become_a_command(params: dict[str, Any]) -> None:
    params = {k: v for k, v in params.items() if "\0" not in str(v)}
    words = shlex.split(command_for("python t.py", params, "--{name} {value}"))
    expected = ["python", "t.py"]
    for name, value in params.items():
        expected += [f"--{name}", spell(value)]
    assert words == expected


def test_parameters_go_where_the_command_or_the_flag_says() -> None:
    assert command_for("run {lr} x", {"lr": 0.1, "bs": 2}, "{name}={value}") == "run 0.1 x bs=2"
    assert command_for("run {lr}", {"lr": 0.1, "bs": 2}, "") == "run 0.1"


def test_neither_a_value_nor_a_name_becomes_a_command() -> None:
    command = command_for("run {a} {b}", {"a": "{b}", "b": "; touch x;"}, "--{name} {value}")
    assert shlex.split(command) == ["run", "{b}", "; touch x;"]
    assert shlex.split(command_for("run", {"a;touch x": 1}, "--{name} {value}")) == ["run", "--a;touch x", "1"]


# --- life --------------------------------------------------------------------------------------------------------
def sweep(n: int = 4, **fields: Any) -> Sweep:
    base: dict[str, Any] = {"parallel": 2, "smoke": False, **fields}
    return Sweep(
        id="swp_a",
        name="s",
        command="c",
        cwd="/",
        created_at=0.0,
        space=SearchSpace(),
        status=SweepStatus.RUNNING,
        trials=[Trial(index=i, params={}) for i in range(n)],
        **base,
    )


def with_runs(s: Sweep, *states: RunStatus | tuple[RunStatus, Reason]) -> tuple[Sweep, dict[str, Run]]:
    runs = {}
    for i, state in enumerate(states):
        status, reason = state if isinstance(state, tuple) else (state, None)
        run = Run(id=f"run_{i}", name="", command="", argv=[], cwd="/", created_at=i, status=status, reason=reason)
        runs[run.id] = run
        for record in life.decide(s, life.TrialRun(i, run.id)):
            s = life.evolve(s, record)
    return s, runs


def plan(s: Sweep, runs: dict[str, Run], logged: frozenset[str] = frozenset()) -> life.Plan:
    return life.plan(s, runs, logged, 5.0)


BAD = Reason("exit_code", "Exit code 1.", "KeyError: 'x'")


def test_A7_never_more_than_parallel_and_freed_slots_are_filled() -> None:
    assert plan(sweep(9), {}).launch == [0, 1]
    assert plan(*with_runs(sweep(9), S.RUNNING, S.QUEUED)).launch == []
    assert plan(*with_runs(sweep(9), S.FINISHED, S.RUNNING)).launch == [2]
    assert plan(*with_runs(sweep(9), S.FAILED, S.FINISHED)).launch == [2, 3]


def test_a_smoke_run_goes_alone_until_it_has_logged() -> None:
    first = plan(sweep(4, smoke=True), {})
    assert first.launch == [0]
    s, runs = with_runs(sweep(4, smoke=True), S.RUNNING)
    assert plan(s, runs).launch == [] and "alone" in plan(s, runs).waiting
    assert plan(s, runs, frozenset({"run_0"})).launch == [1]
    assert plan(*with_runs(sweep(4, smoke=True), S.FINISHED)).launch == [1, 2]


def test_W12_after_three_equal_early_errors_nothing_more_is_started() -> None:
    s, runs = with_runs(sweep(9, smoke=True), (S.FAILED, BAD))
    assert plan(s, runs).launch == [1]  # still one at a time: nothing has worked yet
    s, runs = with_runs(sweep(9, smoke=True), (S.FAILED, BAD), (S.FAILED, BAD), (S.FAILED, BAD))
    verdict = plan(s, runs)
    assert verdict.launch == [] and verdict.over is not None
    assert verdict.over.status is SweepStatus.FAILED and "KeyError: 'x'" in verdict.over.reason


def test_equal_errors_do_not_end_a_sweep_that_has_a_finished_trial() -> None:
    s, runs = with_runs(sweep(9), S.FINISHED, (S.FAILED, BAD), (S.FAILED, BAD), (S.FAILED, BAD))
    assert plan(s, runs).over is None and plan(s, runs).launch == [4, 5]


def test_unequal_errors_do_not_end_it_either() -> None:
    other = [Reason("exit_code", "", f"{kind}Error: boom") for kind in ("Key", "Value", "Type")]
    s, runs = with_runs(sweep(9, parallel=1), *[(S.FAILED, r) for r in other])
    assert plan(s, runs).over is None


def test_a_sweep_finishes_when_all_ended_and_fails_only_if_none_finished() -> None:
    over = plan(*with_runs(sweep(2), S.FINISHED, S.FAILED)).over
    assert over is not None and over.status is SweepStatus.FINISHED and "1 of 2" in over.reason
    over = plan(*with_runs(sweep(2), S.STOPPED, S.FAILED)).over
    assert over is not None and over.status is SweepStatus.FAILED


def test_a_retry_counts_as_its_trials_newest_run() -> None:
    s, runs = with_runs(sweep(1), S.FAILED)
    retry = Run(id="run_r", name="", command="", argv=[], cwd="/", created_at=9, status=S.RUNNING, retry_of="run_0")
    for record in life.decide(s, life.TrialRun(0, "run_r")):
        s = life.evolve(s, record)
    assert s.trials[0].run_ids == ["run_0", "run_r"]
    assert plan(s, {**runs, "run_r": retry}).over is None


def test_a_stopped_sweep_plans_nothing_and_a_second_stop_is_refused() -> None:
    s = sweep(3)
    for record in life.decide(s, life.StopSweep(4.0)):
        s = life.evolve(s, record)
    assert (s.status, plan(s, {}).launch) == (SweepStatus.STOPPED, [])
    with pytest.raises(WrongMoment):
        life.decide(s, life.StopSweep(5.0))
    with pytest.raises(WrongMoment):
        life.decide(s, life.Start(5.0))


def test_the_best_run_is_by_the_declared_metric_and_no_data_is_no_best() -> None:
    s, runs = with_runs(sweep(3, primary="acc", mode="max"), S.FINISHED, S.FINISHED, S.FAILED)
    assert life.best_run(s, runs) is None
    import msgspec

    values = {"run_0": 0.5, "run_1": 0.9, "run_2": 0.99}
    runs = {
        i: msgspec.structs.replace(r, summary={"acc": MetricSummary(max=values[i], min=0.1)}) for i, r in runs.items()
    }
    best = life.best_run(s, runs)
    assert best is not None and (best[0].id, best[1]) == ("run_1", 0.9)
