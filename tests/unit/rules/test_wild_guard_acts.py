"""The gate of Wild Mode: confirm stages, code, alerts, the setup, and when a person is asked."""

from __future__ import annotations

import math
from typing import Any

import pytest
from msgspec.structs import replace

from ragent_jupyter.domain.alert import AlertStatus, Choice, Severity
from ragent_jupyter.domain.wild import (
    Analyse,
    Baseline,
    ChangeSetup,
    Confirm,
    EditCode,
    FileEdit,
    Launch,
    LoopTask,
    Option,
    Promise,
    ProposeSweep,
    ResolveAlert,
    StopRun,
    TrialView,
    Verdict,
    View,
)
from ragent_jupyter.rules.wild_confirming import paired_seeds
from ragent_jupyter.rules.wild_guard import NeedsPerson, Passed

from .wild_guarding import POINT, SEALED, ask, needs, passed, refused, sweep
from .wild_worlds import alert, base_runs, confirm_runs, event, limited, loop, trial, view


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


def test_the_next_candidate_may_share_the_baselines_runs_of_a_test() -> None:
    seeds = [2000, 2001, 2002, 2003, 2004]
    runs = [*searched(), *confirm_runs({None: [1.0, 1.1, 0.9, 1.0, 1.1], 0.2: [1.0, 1.1, 0.9, 1.0, 2.0]}, seeds)]
    said = Verdict(params={"lr": 0.2}, verdict="not distinguishable", why="", commit="a" * 40, sweep="swp_2")
    tested = loop(verdicts=[said])
    found = passed(Confirm(beside="swp_2"), view(runs, of=tested, runs_left=12))
    assert found.action == Confirm(runs=["run_1", "run_2"], beside="swp_2")  # 2 x 5 runs fit, not (2 + 1) x 5
    assert paired_seeds(view(runs, of=tested, runs_left=12), 2, "swp_2") == seeds
    assert paired_seeds(view(runs, of=tested, runs_left=4), 1, "swp_2") == seeds[:4]
    assert not set(paired_seeds(view(runs, of=tested), 1)) & {t.seed for t in runs}
    assert "on 0 seeds" in refused(Confirm(beside="swp_9"), view(runs, of=tested))
    lost = [replace(t, status="failed", value=None) if t.run.endswith("None_2001") else t for t in runs]
    assert "on 4 seeds" in refused(Confirm(beside="swp_2"), view(lost, of=tested))


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
    assert "same id" in refused(Analyse(text="x", tasks=[LoopTask(id="1", text="a"), LoopTask(id="1", text="b")]))
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
    longer = ChangeSetup(fields={"fidelity": "steps", "full": 100})
    assert isinstance(ask(longer, blank, event("human")), Passed) and "is a person's" in refused(longer, blank)
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
