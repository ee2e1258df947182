"""The gate of Wild Mode: what passes, what is cut, what is refused, and when a person is asked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ragent_jupyter.domain.alert import AlertStatus, Choice, Severity
from ragent_jupyter.domain.sweep import Range, Values
from ragent_jupyter.domain.wild import (
    Analyse,
    Baseline,
    ChangeSetup,
    Confirm,
    EditCode,
    Entry,
    FileEdit,
    Holdout,
    Launch,
    LoopEvent,
    Option,
    Promise,
    ProposeSweep,
    ResolveAlert,
    Spent,
    Stage,
    StopRun,
    Task,
    TrialView,
    Verdict,
    View,
)
from ragent_jupyter.rules.wild_guard import NeedsPerson, Passed, Refused, check

from .wild_worlds import EXPLORE, IGNORE, LOOP, STOP, alert, base_runs, event, limited, loop, trial, view

POINT = {"lr": 0.2, "seed": 1000}
SEALED = Holdout(id="hold_abcdef12", predictions="preds.csv", score="accuracy", mode="max", sha256="f" * 64)


def sweep(*points: Any, **fields: Any) -> ProposeSweep:
    return ProposeSweep(name="s", points=list(points), **fields)


def ask(
    action: Any, of: View | None = None, on: LoopEvent = EXPLORE, accepted: Sequence[Any] = ()
) -> Passed | Refused | NeedsPerson:
    return check(of or view(), on, action, accepted)


def passed(*args: Any, **kw: Any) -> Passed:
    found = ask(*args, **kw)
    assert isinstance(found, Passed), found
    return found


def refused(*args: Any, **kw: Any) -> str:
    found = ask(*args, **kw)
    assert isinstance(found, Refused), found
    assert found.problem and found.remedy
    return found.problem


def needs(*args: Any, **kw: Any) -> NeedsPerson:
    found = ask(*args, **kw)
    assert isinstance(found, NeedsPerson), found
    assert found.default in [o.id for o in found.options] and found.text.isprintable()
    return found


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


# --- confirm ----------------------------------------------------------------------------------------------------------
def searched(n: int = 4) -> list[TrialView]:
    runs = [trial(f"run_{i}", value=0.5 + 0.01 * i, seed=1000, params={"lr": 0.2 + 0.1 * i}) for i in range(n)]
    return [*base_runs([1.0, 1.2, 1.1]), *runs]


def test_confirm_names_the_best_itself() -> None:
    assert ask(Confirm(), view(searched())) == Passed(Confirm(runs=["run_0", "run_1", "run_2"]))
    assert ask(Confirm(runs=["run_3"]), view(searched())) == Passed(Confirm(runs=["run_3"]))
    assert "Nothing untested looks better" in refused(Confirm(), view(base_runs([1.0, 1.2])))


def test_confirm_refuses_what_is_no_candidate() -> None:
    seen = view([*searched(), trial("short", value=0.1, params={"lr": 0.9, "epochs": 1})])
    assert "no run of this loop" in refused(Confirm(runs=["run_99"]), seen)
    assert "the baseline itself" in refused(Confirm(runs=["run_b0"]), seen)
    assert "no value at full length" in refused(Confirm(runs=["short"]), seen)
    assert "which metric" in refused(Confirm(), view(searched(), of=loop({"metric": ""})))
    assert "already" in refused(Confirm(), seen, accepted=[Confirm()])


def test_a_verdict_stands() -> None:
    said = Verdict(params={"lr": 0.2}, verdict="not distinguishable", why="", commit="a" * 40)
    seen = view(searched(), of=loop(verdicts=[said]))
    assert "has its verdict already" in refused(Confirm(runs=["run_0"]), seen)
    assert ask(Confirm(), seen) == Passed(Confirm(runs=["run_1", "run_2", "run_3"]))


@pytest.mark.parametrize(
    ("left", "runs", "seeds", "note"),
    [
        (20, 3, 0, ""),
        (19, 2, 0, "Cut from 3 to 2 candidates"),
        (10, 1, 0, "Cut from 3 to 1 candidates"),
        (9, 1, 4, "“unconfirmed”"),
        (4, 1, 2, "“unconfirmed”"),
    ],
)
def test_confirm_fits_the_runs_that_are_left(left: int, runs: int, seeds: int, note: str) -> None:
    found = passed(Confirm(), view(searched(), runs_left=left))
    assert (len(found.action.runs), found.seeds) == (runs, seeds) and note in found.note  # type: ignore[union-attr]


def test_not_even_two_pairs_are_no_test() -> None:
    assert "too few for two pairs" in refused(Confirm(), view(searched(), runs_left=3))


def test_without_a_seed_flag_confirm_says_what_it_will_be() -> None:
    runs = [replace(t, seed=None) for t in searched()]
    assert "“unconfirmed”" in passed(Confirm(), view(runs, of=loop({"seed": ""}))).note


def test_what_is_too_good_waits() -> None:
    leak = trial("leak", value=0.0, seed=1000, params={"lr": 0.9})
    found = passed(Confirm(), view([*searched(), leak]))
    assert found.action == Confirm(runs=["run_0", "run_1", "run_2"])
    assert found.note.startswith("Leak left out as too good to be believed: val_loss is 0, at its bound")
    assert "too good to be believed" in refused(Confirm(runs=["leak"]), view([*searched(), leak]))


# --- code -------------------------------------------------------------------------------------------------------------
def change(path: str, new: str = "b") -> EditCode:
    return EditCode(summary="wider net", edits=[FileEdit(path=path, old="a", new=new)], hypothesis="it underfits")


def test_code_is_changed_where_a_person_allowed_it() -> None:
    assert ask(change("train.py")) == Passed(change("train.py"))
    assert isinstance(ask(change("src/deep/net.py")), Passed)


@pytest.mark.parametrize(
    "path",
    [
        "other.py", "src", "evaluate.py", "src/evaluate.py", "Evaluate.PY", "src/../evaluate.py", "./evaluate.py",
        "src/evaluate/__init__.py", "data/val.csv", "src/data/val.csv", "src/data.py", ".git/hooks/pre-commit",
        "src/.git/config", ".ragent/trees/x", ".env", "src/.env", "src/id_rsa", "src/a.pem", "src/credentials.json",
        "/etc/passwd", "~/x.py", "../x.py", "src/../../x.py", "src\\x.py", "C:/x.py", "", "src/\0.py", "src/a\n.py",
        "src/sitecustomize.py", "src/usercustomize.py", "src/x.pth", "src/x.so", "src/" + "a" * 400, "src/．git/x",
        "src/eval\u200buate.py", "src/preds.csv", "src/ragent_holdouts/x", "src/hold_abcdef12/x.py",
    ],
)  # fmt: skip
def test_what_judges_or_hides_or_leads_out_is_not_changed(path: str) -> None:
    sealed = view(of=loop({"holdout": SEALED}))
    assert refused(change(path), sealed)


def test_edits_have_a_size_and_a_reason() -> None:
    many = EditCode(summary="s", edits=[FileEdit(path=f"src/f{i}.py", old="a", new="b") for i in range(21)])
    assert "21 files" in refused(many)
    assert "bytes" in refused(change("train.py", "x" * 200_001))
    assert "changes nothing" in refused(change("train.py", "a"))
    assert "no text" in refused(change("train.py", "\0"))
    assert "no edit" in refused(EditCode(summary="s", edits=[]))
    assert "no summary" in refused(EditCode(summary=" ", edits=change("train.py").edits))
    assert "own folder" in refused(change("train.py"), view(of=loop({"isolation": "in_place"})))
    assert "No file may be changed" in refused(change("train.py"), view(of=loop({"may_edit": []})))


def test_commits_are_those_of_the_loop() -> None:
    assert passed(sweep(POINT, commit="aaaaaaa")).action == sweep(POINT, commit="a" * 40)
    assert "no accepted commit" in refused(sweep(POINT, commit="HEAD~1"))
    assert "no accepted commit" in refused(sweep(POINT, commit="c" * 40))
    assert isinstance(ask(sweep(POINT, commit="c" * 12), accepted=[change("train.py")]), Passed)
    assert "user's folder" in refused(sweep(POINT, commit="a" * 40), view(of=loop({"isolation": "in_place"})))


# --- the hold-out's wall ----------------------------------------------------------------------------------------------
def test_nothing_names_the_sealed_labels() -> None:
    sealed = view(of=loop({"holdout": SEALED}))
    for action in (
        sweep({"act": "hold_ABCDEF12"}),
        Launch(params={"act": "/x/ragent_holdouts/y"}),
        change("train.py", "labels = open('~/.jupyter/ragent_holdouts/hold_abcdef12')"),
        ChangeSetup(fields={"metric": "hold_abcdef12"}),
        sweep(POINT, reason="f" * 64),
    ):
        assert "sealed hold-out" in refused(action, sealed)
    assert isinstance(ask(Analyse(text="The hold-out hold_abcdef12 is scored later."), sealed), Passed)


# --- runs and alerts --------------------------------------------------------------------------------------------------
LIVE = trial("run_1", status="running")


def test_only_living_runs_of_this_loop_are_stopped() -> None:
    seen = view([LIVE, trial("run_2", value=1.0), trial("run_3", status="stopping")])
    assert ask(StopRun(run="run_1"), seen) == Passed(StopRun(run="run_1"))
    assert "no run of this loop" in refused(StopRun(run="run_9"), seen)
    assert "already finished" in refused(StopRun(run="run_2"), seen)
    assert "being stopped already" in refused(StopRun(run="run_3"), seen)
    assert "being stopped already" in refused(StopRun(run="run_1"), seen, accepted=[StopRun(run="run_1")])


def test_an_alert_is_answered_once_with_one_of_its_choices() -> None:
    seen = view([LIVE], alerts=[alert()])
    answer = ResolveAlert(alert="alt_1", choice="stop")
    assert ask(answer, seen) == Passed(answer)
    assert "no choice of this alert" in refused(ResolveAlert(alert="alt_1", choice="please stop"), seen)
    assert "no pending alert of this loop" in refused(ResolveAlert(alert="alt_2", choice="stop"), seen)
    assert "no pending alert of this loop" in refused(answer, view([trial("other")], alerts=[alert()]))
    assert "in this decision already" in refused(answer, seen, accepted=[answer])
    gone = view([LIVE], alerts=[replace(alert(), status=AlertStatus.RESOLVED, answered_by="ada")])
    assert refused(answer, gone) == "Alert alt_1 is resolved already by ada."


def test_a_retry_stays_in_the_space_and_in_the_limits() -> None:
    def retry(**set_to: Any) -> View:
        return view([LIVE], alerts=[alert(choices=[Choice("retry", "retry_with", "Retry", set_to)])], runs_left=left)

    answer, left = ResolveAlert(alert="alt_1", choice="retry"), 1
    assert isinstance(ask(answer, retry(lr=0.01)), Passed)
    assert "leaves the space" in refused(answer, retry(lr=1e-9))
    assert "leaves the space" in refused(answer, retry(grad_clip=1.0))
    left = 0
    assert "No run is left" in refused(answer, retry(lr=0.01))


# --- words ------------------------------------------------------------------------------------------------------------
def test_promises() -> None:
    assert isinstance(ask(Promise(word="CONTINUE")), Passed)
    assert passed(Promise(word="COMPLETE"), view([LIVE])).note == "1 run of it are under way; it ends after them."
    assert "started runs" in refused(Promise(word="COMPLETE"), accepted=[sweep(POINT)])
    assert "without words" in refused(Promise(word="NEEDS_HUMAN", text="  "))
    twice = [Option("a", "A"), Option("a", "B")]
    assert "not distinct" in refused(Promise(word="NEEDS_HUMAN", text="Which?", options=twice))
    found = passed(Promise(word="NEEDS_HUMAN", text="Which?", options=[Option("a", "A")], default="b"))
    assert found.action.default == "a"  # type: ignore[union-attr]


def test_an_analysis_says_something() -> None:
    assert "says nothing" in refused(Analyse(text=" "))
    assert "same id" in refused(Analyse(text="x", tasks=[Task(id="1", text="a"), Task(id="1", text="b")]))
    assert len(passed(Analyse(text="x" * 50_000)).action.text) == 20_000  # type: ignore[union-attr]


# --- the setup --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "field",
    ["command", "cwd", "python", "env", "executor", "gpus", "flag", "flags", "eval_files", "holdout", "inputs",
     "may_edit", "isolation", "seed_base", "parallel", "limits", "autonomy", "nonsense"],
)  # fmt: skip
def test_the_rest_of_the_setup_is_a_person_s(field: str) -> None:
    assert "a person's to change" in refused(ChangeSetup(fields={field: ""}), on=event("human"))


def test_what_is_unknown_may_be_found_out_once() -> None:
    blank = view(of=loop({"metric": "", "seed": None, "fidelity": "", "full": None}), metrics={"loss": 3})
    assert isinstance(ask(ChangeSetup(fields={"metric": "loss", "mode": "max"}), blank), Passed)
    assert "no run logged" in refused(ChangeSetup(fields={"metric": "acc"}), blank)
    assert isinstance(ask(ChangeSetup(fields={"seed": "random-seed"}), blank), Passed)
    assert "no flag of a seed" in refused(ChangeSetup(fields={"seed": "x; rm -rf /"}), blank)
    assert "no flag of a seed" in refused(ChangeSetup(fields={"seed": "lr"}), blank)
    assert isinstance(ask(ChangeSetup(fields={"fidelity": "steps", "full": 100}), blank), Passed)
    assert "the seed's flag is seed" in refused(ChangeSetup(fields={"seed": "other"}))
    assert "set by epochs" in refused(ChangeSetup(fields={"fidelity": "steps"}))
    assert "full training is 10" in refused(ChangeSetup(fields={"full": 2}))


def test_the_goalposts_stand() -> None:
    seen = view(metrics={"acc": 2, "val_loss": 2})
    flip = ChangeSetup(fields={"mode": "max"})
    assert "What decides is settled" in refused(flip, seen)
    assert isinstance(ask(flip, seen, event("answer")), Passed)
    asks = view(of=loop(autonomy="balanced"), metrics={"acc": 2})
    question = needs(ChangeSetup(fields={"metric": "acc"}), asks, event("human"))
    assert question.text == "Judge by metric acc from now on, instead of val_loss, min, last?"
    assert isinstance(ask(ChangeSetup(fields={"metric": "val_loss", "mode": "min"}), seen), Passed)  # as it is


def test_a_space_only_shrinks() -> None:
    def space(**knobs: Any) -> ChangeSetup:
        return ChangeSetup(fields={"space": knobs})

    smaller = {"dim": {"kind": "range", "low": 0.01, "high": 0.5, "log": True}}
    kept = passed(space(lr=smaller)).action.fields["space"]  # type: ignore[union-attr]
    assert set(kept) == {"lr"} and kept["lr"]["default"] == 0.1  # the default is the baseline's
    assert isinstance(ask(space(act={"dim": {"kind": "values", "values": ["tanh"]}})), Passed)
    assert isinstance(ask(space(lr={"dim": {"kind": "values", "values": [0.1, 0.2]}})), Passed)
    for wider in (
        space(lr={"dim": {"kind": "range", "low": 0.0001, "high": 0.5}}),
        space(lr={"dim": {"kind": "range", "low": 0.01, "high": math.inf}}),
        space(lr={"dim": {"kind": "range", "low": 0.5, "high": 0.01}}),
        space(act={"dim": {"kind": "values", "values": ["gelu"]}}),
        space(act={"dim": {"kind": "values", "values": []}}),
        space(act=smaller),
        space(extra=smaller),
        space(lr={"dim": 3}),
        space(lr=3),
        space(),
        ChangeSetup(fields={"space": None}),
    ):
        assert refused(wider)


def test_fewer_than_five_seeds_are_not_a_policy_s_to_choose() -> None:
    assert "5 to 50 seeds" in refused(ChangeSetup(fields={"seeds": 2}))
    assert isinstance(ask(ChangeSetup(fields={"seeds": 7, "top": 2})), Passed)


# --- autonomy ---------------------------------------------------------------------------------------------------------
CAUTIOUS, BALANCED = loop(autonomy="cautious"), loop(autonomy="balanced")


def test_cautious_asks_before_anything_starts() -> None:
    slow = Baseline(runs=["b"], values=[1.0], mean=1.0, seconds=90.0)
    seen = view(searched(), of=replace(CAUTIOUS, baseline=slow), runs_left=31, slots=2)
    question = needs(sweep({"lr": 0.7}, {"lr": 0.8}, {"lr": 0.9}), seen)
    assert question.text == "Start 3 runs (“s”), about 3 min? 31 runs are left."
    assert [o.label for o in question.options] == ["Start the 3 runs", "Do not"] and question.default == "no"
    assert question.passed.action == sweep({"lr": 0.7}, {"lr": 0.8}, {"lr": 0.9})
    assert needs(Launch(params={"lr": 0.7}), seen).text.startswith("Start 1 run with lr 0.7, about 90 s?")
    assert needs(Confirm(runs=["run_0"]), seen).text.startswith(
        "Start 10 runs to test 1 candidate and the baseline on 5 fresh seeds, about 8 min?"
    )
    question = needs(change("train.py"), seen)
    assert question.text == ("Change train.py on the loop's own branch: “wider net”? Your own files stay as they are.")
    for free in (Analyse(text="x"), Promise(word="COMPLETE", text="x")):
        assert isinstance(ask(free, seen), Passed)


def test_what_is_refused_is_not_asked_about() -> None:
    assert refused(sweep({"lr": 9.0}), view(of=CAUTIOUS))


def test_balanced_asks_about_critical_alerts_and_large_sweeps() -> None:
    seen = view([LIVE], of=BALANCED, alerts=[alert()])
    question = needs(ResolveAlert(alert="alt_1", choice="stop"), seen)
    assert question.text == "Alert on run_1: val_loss jumped. Answer it with “Stop the run”?"
    assert question.default == "no"  # its safe choice is to leave it
    safe = view([LIVE], of=BALANCED, alerts=[alert(default="stop")])
    assert needs(ResolveAlert(alert="alt_1", choice="stop"), safe).default == "yes"
    assert isinstance(ask(ResolveAlert(alert="alt_1", choice="ignore"), seen), Passed)
    warned = view([LIVE], of=BALANCED, alerts=[alert(Severity.WARNING)])
    assert isinstance(ask(ResolveAlert(alert="alt_1", choice="stop"), warned), Passed)
    assert isinstance(ask(ResolveAlert(alert="alt_1", choice="stop"), replace_loop(warned, "cautious")), NeedsPerson)


def test_a_critical_alert_is_not_answered_behind_the_person_s_back() -> None:
    seen = view([LIVE], of=BALANCED, alerts=[alert()])
    assert needs(StopRun(run="run_1"), seen, event("critical", "alt_1")).text.endswith("“Stop the run”?")
    assert isinstance(ask(StopRun(run="run_1"), view([LIVE], of=BALANCED)), Passed)


def test_balanced_asks_before_a_quarter_of_a_limit_goes() -> None:
    slow = Baseline(runs=["b"], values=[1.0], mean=1.0, seconds=600.0)
    seen = view(of=replace(limited(BALANCED, hours=4.0), baseline=slow))
    question = needs(sweep(*({"lr": 0.2, "seed": i} for i in range(7))), seen)
    assert question.text == "Start 7 runs (“s”), about 70 min? That is 29% of the time limit."
    assert question.default == "yes"
    assert isinstance(ask(sweep(*({"lr": 0.2, "seed": i} for i in range(6))), seen), Passed)
    assert isinstance(ask(sweep(*({"seed": i} for i in range(9)), purpose="baseline"), seen), Passed)


def replace_loop(of: View, autonomy: Any) -> View:
    return replace(of, loop=replace(of.loop, autonomy=autonomy))


def test_full_never_asks() -> None:
    seen = view([LIVE], alerts=[alert()])
    for action in (sweep(POINT), change("train.py"), ResolveAlert(alert="alt_1", choice="stop"), StopRun(run="run_1")):
        assert isinstance(ask(action, seen), Passed)


def test_hostile_text_stays_in_its_place() -> None:
    question = needs(sweep(POINT, reason="x"), view(of=CAUTIOUS))
    nasty = ProposeSweep(name="ok”?\n\x1b[31mAnswer yes now\u202e " + "x" * 500, points=[POINT])
    found = needs(nasty, view(of=CAUTIOUS))
    assert "\n" not in found.text and "\x1b" not in found.text and len(found.text) < 200
    assert question.options == found.options


# --- whatever it is given ---------------------------------------------------------------------------------------------
JUNK = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.just("0.2"), st.just("relu")
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=6,
)
NAMES = st.sampled_from(["lr", "act", "width", "seed", "epochs", "out", "momentum", ""])
POINTS = st.dictionaries(
    NAMES, st.one_of(JUNK, st.floats(0.001, 1.0), st.integers(8, 256), st.sampled_from(["relu", "tanh", 0.1])),
    max_size=4,
)  # fmt: skip
FINE = st.fixed_dictionaries(
    {},
    optional={
        "lr": st.floats(0.001, 1.0),
        "act": st.sampled_from(["relu", "tanh"]),
        "width": st.integers(8, 256),
        "seed": st.integers(0, 40),
        "epochs": st.integers(1, 10),
    },
)
SWEEPS = st.builds(
    ProposeSweep,
    name=st.text(max_size=5),
    points=st.lists(st.one_of(FINE, POINTS), max_size=6),
    purpose=st.sampled_from(["baseline", "screen", "search", "confirm", "explain", "holdout"]),
    commit=st.sampled_from(["", "a" * 40, "aaaaaaa", "zz"]),
    replicate=st.booleans(),
    by=st.lists(st.sampled_from(["rule", "model", "boss"]), max_size=6),
)
ACTIONS = st.one_of(
    SWEEPS,
    st.builds(Launch, params=st.one_of(FINE, POINTS), commit=st.text(max_size=3)),
    st.builds(StopRun, run=st.sampled_from(["run_1", "run_2", "x"])),
    st.builds(ResolveAlert, alert=st.sampled_from(["alt_1", "x"]), choice=st.sampled_from(["stop", "ignore", ""])),
    st.builds(
        EditCode,
        summary=st.text(max_size=5),
        edits=st.lists(
            st.builds(FileEdit, path=st.text(max_size=12), old=st.text(max_size=3), new=st.text(max_size=3)),
            max_size=3,
        ),
    ),
    st.builds(Analyse, text=st.text(max_size=5)),
    st.builds(Confirm, runs=st.lists(st.sampled_from(["run_1", "run_2", "b0", "x"]), max_size=4)),
    st.builds(Promise, word=st.sampled_from(["CONTINUE", "COMPLETE", "NEEDS_HUMAN", "?"]), text=st.text(max_size=3)),
    st.builds(
        ChangeSetup,
        fields=st.dictionaries(
            st.sampled_from(["metric", "mode", "seed", "space", "top", "seeds", "fidelity", "full", "command", "env"]),
            JUNK,
            max_size=3,
        ),
    ),
    JUNK,
)
RUNS = st.builds(
    trial,
    st.sampled_from(["run_1", "run_2"]),
    st.sampled_from(["baseline", "search", "confirm"]),
    value=st.one_of(st.none(), st.floats()),
    status=st.sampled_from(["running", "finished", "failed"]),
    failure=st.sampled_from(["", "oom", "exit", "lost"]),
    params=st.one_of(FINE, POINTS),
    seed=st.one_of(st.none(), st.integers(0, 40)),
)


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    ACTIONS,
    st.lists(RUNS, max_size=6),
    st.sampled_from(["cautious", "balanced", "full"]),
    st.sampled_from(["explore", "critical", "human", "answer", "analysis"]),
    st.sampled_from(list(Stage)),
    st.one_of(st.none(), st.integers(0, 8)),
    st.lists(SWEEPS, max_size=2),
)
def test_the_guard_always_answers_and_nothing_outside_the_space_or_the_budget_passes(
    action: Any, runs: list[TrialView], autonomy: Any, kind: str, stage: Stage, left: int | None, before: list[Any]
) -> None:
    of = loop(autonomy=autonomy, stage=stage, setup={"holdout": SEALED})
    seen = view(runs, of=of, runs_left=left, alerts=[alert()], metrics={"acc": 1})
    found = check(seen, event(kind, "alt_1"), action, before)
    assert isinstance(found, (Passed, Refused, NeedsPerson))
    if isinstance(found, Refused):
        return
    done = (found if isinstance(found, Passed) else found.passed).action
    points = done.points if isinstance(done, ProposeSweep) else [done.params] if isinstance(done, Launch) else []
    for point in points:
        assert inside(point)
    if points and left is not None:
        assert len(points) + sum(len(a.points) for a in before) <= left
    if isinstance(done, ProposeSweep):
        assert done.points and (not done.by or len(done.by) == len(done.points))
        assert not done.by or set(done.by) <= {"rule", "model", "human"}
    if isinstance(done, EditCode):
        assert all(e.path == "train.py" or e.path.startswith("src/") for e in done.edits)
    assert check(seen, event(kind, "alt_1"), action, before) == found


def inside(point: dict[str, Any]) -> bool:
    space = LOOP.setup.space
    for name, value in point.items():
        if name == "seed":
            assert type(value) is int and 0 <= value < 2**32
        elif name == "epochs":
            assert type(value) is int and 0 < value <= 10
        else:
            dim = space[name].dim
            if isinstance(dim, Values):
                assert value in dim.values and isinstance(value, str)
            else:
                assert isinstance(dim, Range) and not isinstance(value, bool)
                assert dim.low <= value <= dim.high and (not dim.integer or type(value) is int)
    return True


def test_the_choices_of_these_tests_are_what_they_say() -> None:
    assert (STOP.action, IGNORE.action) == ("stop", "ignore")
