"""`ragent wild` against a stand-in engine: what it sends, what it says, its exit codes, and what bad input comes to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ragent_jupyter.domain.errors import NotAllowed
from tests.support.fake_engine import FakeEngine
from tests.support.fake_wild import ASK_METRIC, LOOP, QUESTION, FakeWild, entry

from .conftest import Ragent

GOAL = "lower val_loss"
ENDED = {"stage": "ended", "end": "complete", "reason": "Nothing is left to try.", "report": "/p/reports/wild.ipynb"}


@pytest.fixture
def wild(engine: FakeEngine) -> FakeWild:
    return FakeWild(engine)


# --- the command line -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "argv",
    [
        ["--yes"],
        ["--", "true"],
        ["statsu"],
        ["a goal", "--minimize", "--maximize"],
        ["a goal", "--command", "x", "--", "y"],
        ["a goal", "--max-runs", "few"],
        ["a goal", "--max-runs", "0"],
        ["a goal", "--max-runs", "1.5"],
        ["a goal", "--max-hours", "nan"],
        ["a goal", "--set-range", "lr"],
        ["a goal", "--set-range", "lr=1..0"],
        ["a goal", "--set-range", "lr=0..1:log"],
        ["a goal", "--set-range", "lr=0..1:cube"],
        ["a goal", "--space", "missing.json"],
        ["a goal", "--holdout", "y.csv"],
        ["a goal", "--seeds", "0"],
        ["a goal", "--gpus", "-1"],
        ["a goal", "--autonomy", "wild"],
        ["a goal", "--now"],
        ["a goal", "--frob"],
        ["a goal", "--goal", "another"],
        ["stop", "--max-runs", "3"],
        ["stop", "--now", "--keep-runs"],
        ["pause", "--now"],
        ["status", "--", "x"],
        ["steer"],
        ["status", "a", "b"],
    ],
)
def test_a_wrong_command_line_is_exit_code_2_with_a_remedy(argv: list[str], project: Any, ragent: Ragent) -> None:
    said = ragent("wild", *argv, "--json") if "--" not in argv else ragent("wild", "--json", *argv)
    assert (said.code, said.out) == (2, ""), said
    assert said.error["type"] == "bad_input" and said.error["remedy"]
    assert not (project / ".ragent").exists()


def test_a_goal_may_be_a_verbs_name_and_a_verb_may_be_in_a_goal(wild: FakeWild, ragent: Ragent) -> None:
    assert ragent("wild", "--goal", "stop", "-d", "-y", "--", "true").code == 0
    assert ragent("wild", "stop overfitting", "-d", "-y", "--", "true").code == 0
    assert [body["goal"] for body in wild.created] == ["stop", "stop overfitting"]
    assert wild.said == []


# --- a start ----------------------------------------------------------------------------------------------------------
def test_what_was_asked_for_is_what_is_sent(wild: FakeWild, ragent: Ragent, engine: FakeEngine) -> None:
    (engine.project / "labels.csv").write_text("1")
    argv = ["wild", GOAL, "--policy", "builtin", "--autonomy", "full", "--max-runs", "40", "--max-hours", "0.5"]
    argv += ["--max-cost", "2", "--until", "val/acc > 0.95", "--metric", "acc", "--maximize", "--seed-flag=--rng"]
    argv += ["--seeds", "3", "--top", "2", "--input", "data", "--in-place", "--eval-file", "eval.py"]
    argv += ["--may-edit", "src/**", "--holdout", "labels.csv", "--holdout-predictions", "p.csv"]
    argv += ["--holdout-score", "accuracy", "--gpus", "1", "--parallel", "2", "--executor", "process", "--env", "A=1"]
    said = ragent(*argv, "--detach", "--json", "--", "python", "train.py", "--name", "a b")
    assert said.code == 0 and said.document["id"] == LOOP
    (body,) = wild.created
    assert body["limits"] == {"runs": 40, "hours": 0.5, "cost_usd": 2.0, "until": "val/acc > 0.95"}
    assert (body["metric"], body["mode"], body["seed_flag"]) == ("acc", "max", "rng")
    assert body["command"] == "python train.py --name 'a b'" and body["cwd"] == str(engine.project)
    assert body["holdout"] == {
        "id": str(engine.project / "labels.csv"), "predictions": "p.csv", "score": "accuracy", "mode": "max",
    }  # fmt: skip
    assert (body["isolation"], body["inputs"], body["may_edit"]) == ("in_place", ["data"], ["src/**"])
    assert (body["seeds"], body["top"], body["gpus"], body["parallel"]) == (3, 2, 1, 2)
    assert body["request_id"] and body["draft"] is False and body["caller_env"]
    assert [draft["draft"] for draft in wild.drafted] == [True]


def test_without_a_limit_there_is_a_night(wild: FakeWild, ragent: Ragent) -> None:
    ragent("wild", GOAL, "-d", "-y", "--", "true")
    ragent("wild", GOAL, "-d", "-y", "--max-hours", "none", "--", "true")
    assert [body["limits"] for body in wild.created] == [{"hours": 8.0, "runs": 100}, {}]


def test_ranges_stand_over_what_was_found(wild: FakeWild, ragent: Ragent) -> None:
    ranges = ["--set-range", "lr=1e-3..1:log", "--set-range", "drop_out=0.0..0.5"]
    assert ragent("wild", GOAL, *ranges, "-d", "-y", "--", "true").code == 0
    space = wild.created[0]["space"]
    assert list(space) == ["lr", "width", "drop-out"]
    assert (space["lr"]["dim"]["high"], space["lr"]["default"]) == (1.0, 0.01)
    assert (space["drop-out"]["dim"]["high"], space["drop-out"]["default"]) == (0.5, 0.1)
    said = ragent("wild", GOAL, "--set-range", "momentum=0..1", "-d", "-y", "--", "true")
    assert said.code == 2 and "lr, width, drop-out" in said.err
    assert len(wild.created) == 1


def test_a_space_may_be_a_file(wild: FakeWild, ragent: Ragent, engine: FakeEngine) -> None:
    space = {"lr": {"low": 0.001, "high": 0.1, "log": True, "default": 0.01}, "act": ["relu", "gelu"], "bs": "8..64"}
    (engine.project / "space.json").write_text(json.dumps(space))
    assert ragent("wild", GOAL, "--space", "space.json", "-d", "-y", "--", "true").code == 0
    sent = wild.created[0]["space"]
    assert sent["act"]["dim"]["values"] == ["relu", "gelu"] and sent["bs"]["dim"]["integer"] is True
    (engine.project / "space.json").write_text('{"lr": 3}')
    assert "lr is neither a list nor a range" in ragent("wild", GOAL, "--space", "space.json", "--", "true").err


def test_a_dry_run_shows_the_draft_and_starts_nothing(wild: FakeWild, ragent: Ragent) -> None:
    said = ragent("wild", GOAL, "--dry-run", "--", "python", "train.py")
    assert said.code == 0 and wild.created == []
    assert "lr     0.01  0.0001 to 0.1, log  its name" in said.out
    assert "val_loss, less is better" in said.out and "8 h, 100 runs" in said.out
    assert "Training length: steps 300" in said.out and "Left alone: 2 (drop-out, device)" in said.out
    assert ragent("wild", GOAL, "--dry-run", "--json", "--", "true").document["setup"]["seed"] == "seed"


def test_in_a_pipe_what_must_be_asked_first_is_exit_code_3(wild: FakeWild, ragent: Ragent) -> None:
    wild.asks = [ASK_METRIC]
    said = ragent("wild", GOAL, "--yes", "--", "true")
    assert (said.code, wild.created) == (3, [])
    assert "Which metric decides?" in said.err and "acc|max (acc, more)" in said.err
    assert ragent("wild", GOAL, "--json", "--", "true").error["type"] == "needs_human"
    assert ragent("wild", GOAL, "--metric", "acc", "-d", "--", "true").code == 0


# --- following --------------------------------------------------------------------------------------------------------
def play(engine: FakeEngine, *steps: Any, **fields: Any) -> FakeWild:
    return FakeWild(engine, *steps, **fields)


def test_in_a_pipe_it_is_followed_line_by_line_to_its_summary(engine: FakeEngine, ragent: Ragent) -> None:
    best = {"params": {"lr": 0.03}, "runs": ["run_1"], "value": 1.21}
    points = {"do": "propose_sweep", "name": "search", "points": [{}, {}], "reason": "near the best"}
    wild = play(
        engine, entry(1, action=points), {"stage": "running", "best": best}, {"stage": "confirming"},
        entry(2, by="model", who="", outcome="refused", action={"do": "launch", "params": {"lr": 9}}), ENDED,
    )  # fmt: skip
    said = ragent("wild", GOAL, "--yes", "--", "true")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert any("rule:tpe: Sweep search: 2 points: near the best" in line for line in lines)
    assert any("the model: Run lr 9 (refused)" in line for line in lines)
    assert "best: val_loss 1.21 with lr 0.03 (unconfirmed)" in lines
    assert any(line.startswith("● confirming on fresh seeds  iteration 2") for line in lines)
    assert lines[-1] == "Report: /p/reports/wild.ipynb"
    assert [lines.index(head) for head in ("Tried", "Real", "Cost", "Needs")] == sorted(
        lines.index(head) for head in ("Tried", "Real", "Cost", "Needs")
    )
    assert wild.created


@pytest.mark.parametrize(
    "ended, code",
    [
        (ENDED, 0),
        ({**ENDED, "end": "budget", "budget": "runs", "reason": "The limit of runs is used up: 40 of 40."}, 0),
        ({**ENDED, "end": "stopped"}, 1),
        ({**ENDED, "end": "failed"}, 1),
    ],
)
def test_with_json_it_is_one_document_with_the_end_and_the_exit_code(
    engine: FakeEngine, ragent: Ragent, ended: dict[str, Any], code: int
) -> None:
    play(engine, {"iteration": 3}, ended)
    said = ragent("wild", GOAL, "--json", "--", "true")
    assert said.code == code
    assert (said.document["end"], said.document["exit"], said.document["id"]) == (ended["end"], code, LOOP)
    assert said.document["summary"]["real"] and said.document["report"] == "/p/reports/wild.ipynb"
    assert said.document["loop"]["setup"]["metric"] == "val_loss"


def test_a_question_that_nobody_can_answer_here_is_exit_code_3_and_the_loop_goes_on(
    engine: FakeEngine, ragent: Ragent
) -> None:
    wild = play(engine, {"question": QUESTION})
    said = ragent("wild", GOAL, "--yes", "--", "true")
    assert said.code == 3
    assert "May I stop run 3?" in said.err and f"ragent wild answer CHOICE --loop {LOOP}" in said.err
    assert "no (Do not), the default" in said.err
    document = ragent("wild", "follow", "--json").document
    assert (document["exit"], document["question"]["id"], document["state"]) == (3, "qst_1", "asking")
    assert wild.answers == [] and wild.said == []


def test_a_report_that_is_written_after_the_end_is_waited_for(engine: FakeEngine, ragent: Ragent) -> None:
    play(engine, {**ENDED, "report": ""}, {"report": "/p/reports/late.ipynb"})
    assert ragent("wild", GOAL, "--json", "--", "true").document["report"] == "/p/reports/late.ipynb"


def test_words_of_a_model_cannot_paint_a_terminal(engine: FakeEngine, ragent: Ragent) -> None:
    evil = "\x1b]0;title\x07\x1b[31mred\nsecond line"
    play(engine, entry(1, action={"do": "analyse", "text": evil}), ENDED, goal=evil)
    said = ragent("wild", GOAL, "-y", "--", "true")
    assert "\x1b" not in said.out and "title" not in said.out and "Learnt: red second line" in said.out


# --- verbs ------------------------------------------------------------------------------------------------------------
def test_status_says_where_it_stands(engine: FakeEngine, ragent: Ragent) -> None:
    baseline = {"runs": ["r1"], "values": [1.5, 1.6], "mean": 1.55, "sigma": 0.05, "n": 2}
    wild = play(engine, question=QUESTION, baseline=baseline, plan=[{"id": "t", "text": "Confirm", "state": "doing"}])
    wild.entries = [entry(1, result="A first look.")]
    for argv in (["wild", "status"], ["wild"], ["wild", "list", "wld_a"], ["wild", "status", "a1"]):
        said = ragent(*argv)
        assert said.code == 0, said.err
        assert f"! waits for you  {LOOP}  lower val_loss" in said.out
        assert "time 12 min of 2 h, runs 12 of 40, iterations 0" in said.out
        assert "val_loss 1.55 ± 0.05 (2 runs of the default)" in said.out
        assert "1. yes: Go ahead" in said.out and "2. no: Do not (the default)" in said.out
        assert "rule:tpe: A first look." in said.out and "● Confirm" in said.out
    assert ragent("wild", "status", "--json").document["counts"] == {"finished": 3}


def test_a_loop_that_is_not_there_and_none_at_all(wild: FakeWild, ragent: Ragent) -> None:
    assert "No wild loop 'wld_zz'" in ragent("wild", "pause", "wld_zz").err
    wild.loops = False
    said = ragent("wild", "status")
    assert said.code == 1 and "There is no wild loop" in said.err
    assert ragent("wild", "list").out.startswith("No wild loops yet.")
    assert ragent("wild", "list", "--json").document == {"loops": []}


def test_wishes_are_sent_as_they_were_typed(wild: FakeWild, ragent: Ragent) -> None:
    assert "paused" in ragent("wild", "pause").out
    ragent("wild", "resume", LOOP)
    ragent("wild", "steer", "try", "smaller widths", "--loop", "a1")
    ragent("wild", "steer", LOOP, "and no dropout")
    ragent("wild", "limits", "runs=+20", "hours=none", "cost=1.50")
    ragent("wild", "queue", "--first", "completion:run_1", "--drop", "human:1")
    ragent("wild", "merge", "--commit", "abc")
    ragent("wild", "stop", "--keep-runs", "--json")
    verbs = [verb for verb, _ in wild.said]
    assert verbs == ["pause", "resume", "steer", "steer", "limits", "queue", "merge", "stop"]
    said = dict(enumerate(body for _, body in wild.said))
    assert (said[2]["text"], said[3]["text"]) == ("try smaller widths", "and no dropout")
    assert said[4]["limits"] == {"runs": 60, "hours": None, "cost_usd": 1.5}
    assert said[5] == {"order": ["completion:run_1"], "drop": ["human:1"]}
    assert said[7] == {"runs": False, "now": False}


@pytest.mark.parametrize(
    "words, sent",
    [
        (["yes"], ("yes", "")),
        (["2"], ("no", "")),
        (["no", "not", "that one"], ("no", "not that one")),
        (["only run 4"], ("", "only run 4")),
    ],
)
def test_an_answer_is_a_choice_its_number_or_words(
    engine: FakeEngine, ragent: Ragent, words: list[str], sent: tuple[str, str]
) -> None:
    wild = play(engine, question=QUESTION)
    assert ragent("wild", "answer", *words).code == 0
    (body,) = wild.answers
    assert (body["question"], body.get("choice", ""), body.get("text", "")) == ("qst_1", *sent)


def test_an_answer_where_nothing_is_asked_and_where_this_door_may_not(wild: FakeWild, ragent: Ragent) -> None:
    said = ragent("wild", "answer", "yes")
    assert said.code == 1 and "asks nothing now" in said.err
    wild.loop["question"] = {**QUESTION, "free_text": False}
    assert ragent("wild", "answer", "perhaps").code == 2
    wild.late = NotAllowed("An answer to a loop is a person's.", "Do it in the sidebar.")
    said = ragent("wild", "answer", "yes")
    assert said.code == 1 and "Do it in the sidebar." in said.err


@pytest.mark.parametrize("words", [["runs"], ["frobs=3"], ["runs=few"], ["runs=0"], ["hours=-1"], ["tokens=1.5"]])
def test_a_limit_that_cannot_be_is_refused_here(wild: FakeWild, ragent: Ragent, words: list[str]) -> None:
    said = ragent("wild", "limits", *words)
    assert said.code == 2 and wild.said == []


def test_the_limits_are_shown_with_what_is_used(wild: FakeWild, ragent: Ragent) -> None:
    assert "runs        runs        12 of 40" in ragent("wild", "limits").out
    assert ragent("wild", "limits", "--json").document == {"hours": 2.0, "runs": 40}


def test_the_ledger_as_lines_and_as_jsonl(wild: FakeWild, ragent: Ragent) -> None:
    wild.entries = [entry(n, result=f"line {n}") for n in range(1, 41)]
    wild.entries[39] |= {
        "reasoning": "It was the last.", "event": {"id": "e", "kind": "failure", "at": 1.0, "order": 1, "text": "OOM"},
        "evidence": [{"kind": "run", "ref": "run_3", "value": 0.5}],
    }  # fmt: skip
    wild.loop["entries"] = 40
    out = ragent("wild", "journal").out
    assert "line 11" in out and "line 10" not in out
    assert "on: a run failed: OOM" in out and "saw: run run_3 0.5" in out and "why: It was the last." in out
    assert "line 39" not in ragent("wild", "journal", "-n", "1").out
    lines = ragent("wild", "journal", "--jsonl").lines
    assert [one["n"] for one in lines] == list(range(1, 41))
    document = ragent("wild", "journal", "--json", "-n", "2").document
    assert [one["n"] for one in document["entries"]] == [39, 40] and document["total"] == 40


def test_what_was_decided_is_said_in_words(wild: FakeWild, ragent: Ragent) -> None:
    actions: list[tuple[dict[str, Any], str]] = [
        ({"do": "wish", "wish": "steer"}, "Asked for: steer: done so"),
        ({"do": "verdict", "params": {"lr": 0.1}, "verdict": "worse", "why": "It lost."}, "lr 0.1: worse. It lost."),
        ({"do": "stop_run", "run": "run_1", "reason": "no hope"}, "Stop run_1: no hope"),
        ({"do": "edit_code", "summary": "a warm-up"}, "Change code: a warm-up"),
        ({"do": "promise", "word": "COMPLETE", "text": "that is all"}, "Nothing left to try: that is all"),
        ({"do": "change_setup", "fields": {"metric": "acc"}}, "Change the set-up: metric"),
        ({"do": "fly"}, "fly"),
    ]
    wild.entries = [entry(n, action=action, result="done so") for n, (action, _) in enumerate(actions, 1)]
    wild.loop["entries"] = len(actions)
    out = ragent("wild", "journal").out
    assert [words for _, words in actions if f"rule:tpe: {words}\n" not in out] == []


def test_the_ledger_is_followed_as_ndjson_to_the_end(engine: FakeEngine, ragent: Ragent) -> None:
    wild = play(engine, entry(2, result="two"), entry(3, result="three"), ENDED)
    wild.entries = [entry(1, result="one")]
    wild.loop["entries"] = 1
    said = ragent("wild", "journal", "-f", "--json")
    assert said.code == 0 and [one["result"] for one in said.lines] == ["one", "two", "three"]


def test_the_queue_its_diff_its_report_and_its_summary(engine: FakeEngine, ragent: Ragent) -> None:
    event = {"id": "critical:alt_1", "kind": "critical", "at": 1.0, "order": 20.0, "text": "loss became NaN"}
    late = {"id": "explore:1", "kind": "explore", "at": 0.5, "order": 90.0}
    wild = play(engine, queue=[late, event])
    out = ragent("wild", "queue").out
    assert out.index("critical:alt_1  critical alert: loss became NaN") < out.index("explore:1  what next")
    assert ragent("wild", "queue", "--json").document["next"]["id"] == "critical:alt_1"
    assert "+new" in ragent("wild", "merge", "--diff").out and wild.said == []
    assert ragent("wild", "report").out == "/p/reports/wild.ipynb\n"
    assert "lr 0.03 is better" in ragent("wild", "summary").out
    assert ragent("wild", "summary", "--json").document["needs"][0]["text"] == "Nothing."


def test_a_line_of_the_ledger_that_was_missed_is_asked_for(engine: FakeEngine, ragent: Ragent) -> None:
    wild = play(engine, entry(1, result="one"))
    wild.plays += [lambda: wild.entries.append(entry(2, result="two")), entry(3, result="three"), ENDED]
    out = ragent("wild", GOAL, "-y", "--", "true").out
    assert [word for word in ("one", "two", "three") if f"rule:tpe: {word}\n" not in out] == []


def test_the_time_that_counts_ends_with_the_loop(engine: FakeEngine, ragent: Ragent) -> None:
    began = 1_795_000_000.0
    play(engine, **ENDED, ended_at=began + 130.0, spent={"seconds": 60.0, "since": began + 120.0, "runs": 3})
    assert "time 1 min 10 s of 2 h" in ragent("wild", "status").out
