"""The gate of Wild Mode: points, budgets, repeats and failures."""

from __future__ import annotations

import math
from typing import Any

import pytest
from msgspec.structs import replace

from ragent_jupyter.domain.wild import (
    Analyse,
    Baseline,
    Confirm,
    EditCode,
    Entry,
    FileEdit,
    Launch,
    Promise,
    ProposeSweep,
    Spent,
    Stage,
    TrialView,
)
from ragent_jupyter.rules.wild_guard import Passed

from .wild_guarding import POINT, ask, passed, refused, sweep
from .wild_worlds import LOOP, event, limited, loop, trial, view


# --- points -----------------------------------------------------------------------------------------------------------
def test_a_point_inside_the_space_passes_as_it_is() -> None:
    action = sweep({"lr": 0.2, "act": "tanh", "width": 32, "seed": 1000, "epochs": 5}, by=["model"])
    assert ask(action) == Passed(action)


def test_values_are_spelled_as_the_script_takes_them() -> None:
    found = passed(sweep({"lr": "1e-1", "width": 32.0, "seed": "7", "epochs": 5.0}))
    assert found.action == sweep({"lr": 0.1, "width": 32, "seed": 7, "epochs": 5})
    (point,) = found.action.points
    assert type(point["width"]) is int and type(point["seed"]) is int


@pytest.mark.parametrize(
    ("point", "why"),
    [
        ({"lr": 2.0}, "outside 0.001 to 1"),
        ({"lr": 0.0}, "outside"),
        ({"lr": math.nan}, "not a finite number"),
        ({"lr": math.inf}, "not a finite number"),
        ({"lr": "nan"}, "not a finite number"),
        ({"lr": "0.1; rm -rf /"}, "not a finite number"),
        ({"lr": True}, "not a finite number"),
        ({"lr": None}, "not a finite number"),
        ({"lr": [0.1]}, "not a finite number"),
        ({"lr": 10**400}, "not a finite number"),
        ({"width": 32.5}, "not a whole number"),
        ({"act": "gelu"}, "none of relu, tanh"),
        ({"act": "--out=/etc/x"}, "none of"),
        ({"momentum": 0.9}, "no parameter that may be set"),
        ({"": 1}, "no parameter"),
        ({"lr ; rm": 0.1}, "no parameter"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"seed": True}, "seed"),
        ({"epochs": 11}, "more training than the baseline"),
        ({"epochs": 0}, "not a number above 0"),
        ({"epochs": 2.5}, "not a whole number"),
        ({"out": "x"}, "no parameter that may be set"),
        ({f"p{i}": 1 for i in range(200)}, "sets 200 parameters"),
    ],
)
def test_a_point_outside_the_space_is_refused_with_the_reason(point: dict[str, Any], why: str) -> None:
    assert why in refused(sweep(POINT, point))
    assert why in refused(Launch(params=point))


def test_the_ends_of_a_range_and_the_default_are_inside() -> None:
    ends = [0.001 - 1e-14, math.exp(math.log(1.0)) + 1e-12]
    found = passed(sweep(*({"lr": end} for end in ends)))
    assert [p["lr"] for p in found.action.points] == [pytest.approx(0.001), 1.0]  # type: ignore[union-attr]
    odd = loop({"space": {"lr": replace(LOOP.setup.space["lr"], default=5.0)}})
    assert isinstance(ask(sweep({"lr": 5.0}), view(of=odd)), Passed)


def test_a_sweep_has_1_to_200_points() -> None:
    assert "0 points" in refused(sweep())
    assert "201 points" in refused(sweep(*({"lr": 0.1, "seed": i} for i in range(201))))


def test_what_is_no_action_is_refused() -> None:
    for odd in (
        None,
        "propose_sweep",
        {"do": "launch"},
        ProposeSweep(name="s", points=None),  # type: ignore[arg-type]
        ProposeSweep(name=3, points=[POINT]),  # type: ignore[arg-type]
        ProposeSweep(name="s", points=[POINT], purpose="win"),  # type: ignore[arg-type]
        ProposeSweep(name="s", points=["lr"]),  # type: ignore[list-item]
        Launch(params={"lr": object()}),
        EditCode(summary="s", edits=[{"path": 1}]),  # type: ignore[list-item]
        Promise(word="DONE"),  # type: ignore[arg-type]
    ):
        assert refused(odd)
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    assert refused(Launch(params={"lr": deep}))


# --- the moment -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("stage", [Stage.RUNNING, Stage.CONFIRMING])
def test_work_begins_while_nothing_runs_or_when_a_person_spoke(stage: Stage) -> None:
    busy = view(of=replace(LOOP, stage=stage))
    change = EditCode(summary="s", edits=[FileEdit(path="train.py", old="a", new="b")])
    for action in (sweep(POINT), Launch(params=POINT), Confirm(), change):
        for kind in ("completion", "failure", "critical", "warning"):
            assert stage.value in refused(action, busy, event(kind))
    for kind in ("human", "answer"):
        assert isinstance(ask(sweep(POINT), busy, event(kind)), Passed)
    assert isinstance(ask(Promise(word="COMPLETE", text="done"), busy, event("failure")), Passed)


def test_an_ended_loop_takes_nothing() -> None:
    over = view(of=replace(LOOP, stage=Stage.ENDED))
    for action in (sweep(POINT), Promise(word="CONTINUE"), Analyse(text="x")):
        assert refused(action, over) == "The loop has ended."


# --- budgets ----------------------------------------------------------------------------------------------------------
def test_a_sweep_is_cut_to_the_runs_that_are_left() -> None:
    points = [{"lr": 0.2, "seed": i} for i in range(6)]
    by = ["rule", "model", "rule", "model", "rule", "model"]
    left = view(of=replace(limited(runs=10), spent=Spent(runs=6)))
    found = passed(sweep(*points, by=by), left)
    assert found.action == sweep(*points[:4], by=by[:4])
    assert found.note == "Cut from 6 to 4 runs by the limit of runs (6 of 10 used)"
    # What this decision has taken before counts.
    found = passed(sweep(*points), left, accepted=[sweep({"lr": 0.3}, {"lr": 0.4}), Launch(params={})])
    assert found.action == sweep(points[0])
    assert "No run is left" in refused(sweep(*points), left, accepted=[sweep(*([{}] * 4))])


def test_time_cuts_a_sweep_too() -> None:
    slow = Baseline(runs=["b"], values=[1.0], mean=1.0, seconds=600.0)
    left = view(of=replace(limited(hours=1.0), baseline=slow, spent=Spent(seconds=2000)), slots=2)
    found = passed(sweep(*({"lr": 0.2, "seed": i} for i in range(20))), left)
    assert len(found.action.points) == 6 and "time limit (27 min left" in found.note  # type: ignore[union-attr]
    short = [{"lr": 0.2, "seed": i, "epochs": 1} for i in range(20)]
    assert passed(sweep(*short), left).action == sweep(*short)  # cheap looks take less


@pytest.mark.parametrize(
    ("limits", "spent", "says"),
    [
        ({"runs": 5}, Spent(runs=5), "limit of runs"),
        ({"hours": 1.0}, Spent(seconds=3600), "time limit"),
        ({"gpu_hours": 1.0}, Spent(gpu_seconds=4000), "GPU limit"),
        ({"disk_gb": 1.0}, Spent(disk_bytes=2 * 10**9), "disk limit"),
        ({"iterations": 3}, Spent(iterations=3), "iterations"),
    ],
)
def test_a_limit_that_is_used_up_is_named(limits: dict[str, Any], spent: Spent, says: str) -> None:
    assert says in refused(sweep(POINT), view(of=replace(limited(**limits), spent=spent)))


def test_iterations_are_spent_by_searching_alone_and_tokens_by_a_model_alone() -> None:
    done = replace(limited(iterations=3, tokens=10), spent=Spent(iterations=3, tokens=50))
    assert isinstance(ask(sweep({"seed": 1}, purpose="baseline"), view(of=done)), Passed)
    tokens = replace(limited(tokens=10), spent=Spent(tokens=50))
    assert isinstance(ask(sweep(POINT), view(of=tokens)), Passed)
    assert "token limit" in refused(sweep(POINT), view(of=replace(tokens, policy="llm")))


# --- the same again ---------------------------------------------------------------------------------------------------
def test_a_point_that_was_tried_is_left_out_and_a_tried_sweep_refused() -> None:
    known = view([trial("run_1", value=0.5, seed=1000, params={"lr": 0.2})])
    again = {"lr": "2e-1", "act": "relu", "width": 64.0, "seed": 1000}  # the same, with defaults spelled out
    found = passed(sweep(again, {"lr": 0.3, "seed": 1000}), known)
    assert found.action == sweep({"lr": 0.3, "seed": 1000})
    assert found.note == "1 point left out as already tried (run_1 gave 0.5)"
    assert refused(sweep(again), known) == "Already tried: run_1 gave 0.5."
    assert refused(sweep({"lr": 0.2}), known) == "Already tried: run_1 gave 0.5."  # no seed: any seed will do
    assert isinstance(ask(sweep({"lr": 0.2, "seed": 1001}), known), Passed)
    assert isinstance(ask(sweep({"lr": 0.2, "seed": 1000, "epochs": 2}), known), Passed)
    assert isinstance(ask(sweep(again, replicate=True), known), Passed)


def test_a_point_does_not_stand_twice_in_a_decision() -> None:
    found = passed(sweep(POINT, dict(POINT), {"lr": 0.20000000000000001, "seed": 1000}))
    assert found.action == sweep(POINT)
    assert "twice" in refused(Launch(params=POINT), accepted=[sweep(POINT)])


def test_what_ended_through_no_fault_of_its_own_may_come_again() -> None:
    for failure in ("lost", "launch", "stopped"):
        lost = trial("run_1", seed=1000, params={"lr": 0.2}, status="failed", failure=failure)
        assert isinstance(ask(sweep(POINT), view([lost])), Passed)
    void = trial("run_1", value=0.1, seed=1000, params={"lr": 0.2}, void="evaluate.py changed")
    assert isinstance(ask(sweep(POINT), view([void])), Passed)
    oom = trial("run_1", seed=1000, params={"lr": 0.2}, status="failed", failure="oom")
    assert "run_1 failed: oom" in refused(sweep(POINT), view([oom]))


def test_a_script_without_a_seed_is_repeated_by_its_baseline() -> None:
    plain = view(of=loop({"seed": ""}))
    assert passed(sweep({}, {}, purpose="baseline"), plain).action == sweep({}, {}, purpose="baseline")


def test_the_same_parameters_on_new_code_are_new() -> None:
    known = [trial("run_1", value=0.5, seed=1000, params={"lr": 0.2})]
    edited = view(known, of=loop(commits=["a" * 40, "b" * 40]))
    assert isinstance(ask(sweep(POINT), edited), Passed)
    assert refused(sweep(POINT, commit="aaaaaaa"), edited).startswith("Already tried")


# --- the same failure again -------------------------------------------------------------------------------------------
def failures(n: int, failure: str = "exit", line: str = "KeyError: 'x' at 0x{0}", **params: Any) -> list[TrialView]:
    return [
        trial(
            f"run_{i}", seed=i, status="failed", failure=failure, log_line=line.format(i),
            params={"lr": 0.01 * 3**i, **params},
        )
        for i in range(n)
    ]  # fmt: skip


def test_after_three_equal_failures_nothing_runs_until_something_changed() -> None:
    assert isinstance(ask(sweep(POINT), view(failures(2))), Passed)
    assert "failed alike (exit KeyError: 'x' at #)" in refused(sweep(POINT), view(failures(3)))
    other = [*failures(2), *failures(1, line="ValueError")]
    assert isinstance(ask(sweep(POINT), view(other)), Passed)
    well = [*failures(3), trial("ok", value=1.0, params={"lr": 0.5})]
    assert isinstance(ask(sweep(POINT), view(well)), Passed)
    assert isinstance(ask(sweep(POINT), view(failures(3)), event("answer")), Passed)
    edited = view(failures(3), of=loop(commits=["a" * 40, "b" * 40]))
    assert isinstance(ask(sweep(POINT), edited), Passed)


def test_a_change_of_the_setup_is_a_change() -> None:
    def entry(n: int, do: str, outcome: Any = "done") -> Entry:
        return Entry(
            id=f"n{n}", loop_id="w", n=n, at=0.0, by="rule", stage="", iteration=0, action={"do": do}, outcome=outcome
        )

    swept, changed = entry(1, "propose_sweep"), entry(2, "change_setup")
    assert isinstance(ask(sweep(POINT), view(failures(3), entries=[swept, changed])), Passed)
    assert "failed alike" in refused(sweep(POINT), view(failures(3), entries=[changed, swept]))
    assert "failed alike" in refused(
        sweep(POINT), view(failures(3), entries=[swept, entry(2, "change_setup", "refused")])
    )


def test_a_neighbourhood_that_only_ran_out_of_memory_is_left_alone() -> None:
    storm = [trial(f"run_{i}", seed=i, status="failed", failure="oom", params={"width": 200 + i}) for i in range(3)]
    near, far = {"width": 240, "seed": 9}, {"width": 100, "seed": 9}
    assert passed(sweep(near, far), view(storm)).action == sweep(far)
    assert "failed alike (oom)" in refused(sweep(near), view(storm))
    once = [*storm, trial("ok", value=1.0, seed=8, params={"width": 210})]
    assert isinstance(ask(sweep(near), view(once)), Passed)


# --- purposes ---------------------------------------------------------------------------------------------------------
def test_a_sweep_may_not_call_itself_what_it_is_not() -> None:
    assert "baseline changes nothing" in refused(sweep(POINT, purpose="baseline"))
    assert "not a policy's" in refused(sweep(POINT, purpose="holdout"))
    assert "not a policy's" in refused(sweep(POINT, purpose="reproduce"))
    arms = [{"seed": 5}, {"lr": 0.2, "seed": 5}]
    assert isinstance(ask(sweep(*arms, purpose="confirm")), Passed)
    assert "same seeds" in refused(sweep(arms[1], purpose="confirm"))  # no baseline
    assert "same seeds" in refused(sweep(arms[0], {"lr": 0.2, "seed": 6}, purpose="confirm"))
    assert "same seeds" in refused(sweep({}, {"lr": 0.2}, purpose="confirm"))
    used = view([trial("lucky", value=0.1, seed=5, params={"lr": 0.3})])
    assert "no run of the loop has used" in refused(sweep(*arms, purpose="confirm"), used)
    assert "seed flag" in refused(sweep({}, {"lr": 0.2}, purpose="confirm"), view(of=loop({"seed": ""})))
