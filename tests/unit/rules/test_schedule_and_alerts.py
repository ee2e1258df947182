"""Who may start now, and what an answer does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.domain.alert import Alert, AlertStatus, Choice, Severity
from ragent_jupyter.domain.errors import BadInput, WrongMoment
from ragent_jupyter.domain.run import Run
from ragent_jupyter.rules import alert_life
from ragent_jupyter.rules.environment import job_env, shown_env
from ragent_jupyter.rules.schedule import Gpu, Placement, gpus_from, place, waits


def run(name: str, gpus: int = 0, gpu_ids: list[int] | None = None, **fields: Any) -> Run:
    return Run(
        id=name, name=name, command="", argv=[], cwd="/", created_at=0, gpus=gpus, gpu_ids=gpu_ids or [], **fields
    )


def test_A8_six_one_gpu_runs_on_four_gpus_one_each_and_two_wait() -> None:
    queued = [run(f"r{i}", 1) for i in range(6)]
    placed = place(queued, [], [Gpu(i) for i in range(4)], 2)
    assert placed == [Placement(f"r{i}", [i]) for i in range(4)]


def test_A8_a_gpu_with_a_foreign_process_is_skipped() -> None:
    listing = [{"index": 0, "processes": [{"pid": 999}]}, {"index": 1, "processes": [{"pid": 5}]}, {"index": 2}]
    gpus = gpus_from(listing, frozenset({5}))
    assert gpus == [Gpu(0, True), Gpu(1), Gpu(2)]
    assert place([run("a", 1), run("b", 1)], [run("x", 1, [1])], gpus, 1) == [Placement("a", [2])]


def test_a_wide_run_is_not_starved_by_narrow_ones_behind_it() -> None:
    live = [run("x", 1, [0])]
    assert place([run("wide", 2), run("narrow", 1), run("cpu")], live, [Gpu(0), Gpu(1)], 4) == [Placement("cpu", [])]


def test_runs_without_gpus_share_the_parallel_limit_and_notebooks_take_no_slot() -> None:
    live = [run("a"), run("n", kind="interactive"), run("g", 1, [0])]
    assert place([run("b"), run("c")], live, [], 2) == [Placement("b", [])]


def test_runs_that_asked_to_share_spread_over_gpus_first() -> None:
    queued = [run(f"r{i}", 1, share_gpu=True) for i in range(3)]
    assert [p.gpu_ids for p in place(queued, [], [Gpu(0), Gpu(1)], 1)] == [[0], [1], [0]]
    alone = [run("r", 1)]
    assert place(alone, [run("s", 1, [0], share_gpu=True)], [Gpu(0)], 1) == []


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=12), st.integers(0, 4), st.integers(1, 3))
def test_no_gpu_is_given_twice_unless_both_asked_to_share(wishes: list[Any], n: int, parallel: int) -> None:
    queued = [run(f"r{i}", g, share_gpu=s) for i, (g, s) in enumerate(wishes)]
    placed = {p.run_id: p.gpu_ids for p in place(queued, [], [Gpu(i) for i in range(n)], parallel)}
    for a in queued:
        for b in queued:
            if a.id < b.id and not (a.share_gpu and b.share_gpu):
                assert not set(placed.get(a.id, [])) & set(placed.get(b.id, []))
    assert sum(1 for r in queued if r.id in placed and not r.gpus) <= parallel
    assert all(len(placed[r.id]) == r.gpus for r in queued if r.id in placed)


def test_the_first_run_that_finds_no_room_says_what_it_waits_for_and_those_behind_it_nothing() -> None:
    queued = [run("a", 1), run("b", 2), run("c", 1), run("d"), run("e")]
    gpus = [Gpu(0, True), Gpu(1), Gpu(2)]
    placed = place(queued, [], gpus, 1)
    assert placed == [Placement("a", [1]), Placement("d", [])]
    assert waits(queued, placed, gpus) == {"b": "Waits for 2 of 3 GPUs (1 held by other programs)."}


def test_a_run_that_the_machine_could_never_start_says_so_and_holds_up_nobody() -> None:
    queued = [run("a", 3), run("b", 1), run("c", 1)]
    placed = place(queued, [], [Gpu(0)], 1)
    assert placed == [Placement("b", [0])]
    said = {"a": "Wants 3 GPUs; this machine has 1.", "c": "Waits for 1 of 1 GPU."}
    assert waits(queued, placed, [Gpu(0)]) == said
    assert waits([run("a", 1)], [], []) == {"a": "Wants 1 GPU; this machine has none."}


# --- alerts ------------------------------------------------------------------------------------------------------
def alert(**fields: Any) -> Alert:
    return Alert(
        id="alt_a",
        run_id="run_a",
        rule="non_finite",
        severity=Severity.CRITICAL,
        title="loss became NaN at step 3",
        raised_at=1.0,
        choices=[Choice("ignore", "ignore", "Keep going, don't stop"), Choice("stop", "stop", "Stop run")],
        **fields,
    )


def answer(a: Alert, choice: str, by: str = "user") -> tuple[Alert, Choice | None]:
    records, act = alert_life.decide(a, alert_life.Answer(2.0, choice, by))
    for record in records:
        a = alert_life.evolve(a, record)
    return a, act


def test_A12_a_choice_acts_by_its_type_not_by_its_words() -> None:
    ignored, act = answer(alert(), "ignore")
    assert ignored.status is AlertStatus.DISMISSED and act is not None and act.action == "ignore"
    stopped, act = answer(alert(), "stop")
    assert stopped.status is AlertStatus.RESOLVED and act is not None and act.action == "stop"


def test_the_same_answer_twice_is_one_answer_and_another_is_refused_with_who_decided() -> None:
    stopped, _ = answer(alert(), "stop", "rule:quickstart")
    assert answer(stopped, "stop") == (stopped, None)
    with pytest.raises(WrongMoment, match="rule:quickstart"):
        answer(stopped, "ignore")


def test_an_unknown_choice_names_the_ones_there_are() -> None:
    with pytest.raises(BadInput, match=r"ignore, stop"):
        answer(alert(), "Stop run")


def test_A13_an_expired_alert_has_nothing_left_to_stop() -> None:
    records, _ = alert_life.decide(alert(), alert_life.Expire(3.0, "The run finished."))
    expired = alert_life.evolve(alert(), records[0])
    assert (expired.status, expired.note) == (AlertStatus.EXPIRED, "The run finished.")
    with pytest.raises(WrongMoment, match="The run finished"):
        answer(expired, "stop")
    assert alert_life.decide(expired, alert_life.Expire(4.0, "again")) == ([], None)


# --- environments ------------------------------------------------------------------------------------------------
def test_a_job_sees_no_token_of_ours_but_what_the_user_gave_it() -> None:
    base = {
        "HOME": "/h",
        "JUPYTERHUB_API_TOKEN": "a",
        "JPY_API_TOKEN": "b",
        "ANTHROPIC_API_KEY": "c",
        "TMUX": "x",
        "RAGENT_RUN_ID": "other",
        "DATABASE_URL": "d",
        "HF_TOKEN": "the job's own",
    }
    env = job_env(base, {"PATH": "/v"}, {"OPENAI_API_KEY": "mine"}, {"RAGENT_RUN_ID": "run_a"})
    assert env == {
        "HOME": "/h",
        "HF_TOKEN": "the job's own",
        "PATH": "/v",
        "OPENAI_API_KEY": "mine",
        "RAGENT_RUN_ID": "run_a",
    }


def test_secrets_are_shown_by_their_end_only() -> None:
    assert shown_env({"MY_SECRET": "abcdefgh1234", "LR": "1"}) == {"MY_SECRET": "•••1234", "LR": "1"}
