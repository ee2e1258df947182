"""Real logs through the rules: each says what really happened, and the healthy ones interrupt nobody."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ragent_sidecar.replay import ReplayedAlert, Result, replay

from .conftest import RunFolder

ROOT = Path(__file__).parents[3]
SMALL = ROOT / "tests" / "data" / "real-logs"
LARGE = ROOT.parent / "shared" / "real-logs"


def interrupting(result: Result) -> list[ReplayedAlert]:
    return [alert for alert in result.alerts if alert.severity.value != "info"]


def named(result: Result) -> list[tuple[str, str, str, int | None]]:
    return [(a.rule, a.severity.value, a.metric, a.step) for a in interrupting(result)]


@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("algoperf-wmt-healthy.csv", 3639),
        ("torchtitan-llama3-losses.txt", 100),
        ("sb3-td3-walker-monitor.csv", 6118),
        ("events.out.tfevents.algoperf-vit-healthy", 7935),
        ("llmc-gpt2-124M-main.log", 3 * 19560 + 80),
    ],
)
def test_a_healthy_run_interrupts_nobody(name: str, points: int) -> None:
    path = next((folder / name for folder in (SMALL, LARGE) if (folder / name).exists()), None)
    if path is None:
        pytest.skip(f"{name} is one of the large logs, and {LARGE} is not there")
    result = replay([path])
    assert result.points == points
    assert interrupting(result) == []


def test_criteo_whose_loss_turns_nan_as_empty_cells() -> None:
    found = named(replay([SMALL / "algoperf-criteo-nan.csv"]))
    assert ("silent", "critical", "loss", 56) in found
    assert {metric for _, _, metric, _ in found} == {"loss"}


def test_deepspeech_whose_loss_is_nan_from_step_19900() -> None:
    result = replay([SMALL / "events.out.tfevents.algoperf-deepspeech-nan"])
    (nan,) = [alert for alert in result.alerts if (alert.rule, alert.metric) == ("non_finite", "loss")]
    assert (nan.severity.value, nan.step, nan.value) == ("critical", 19900, "nan")
    assert not [a for a in interrupting(result) if a.metric in ("loss", "grad_norm") and a.rule != "non_finite"]


def test_ogbg_which_overfits() -> None:
    assert [
        (rule, severity, metric) for rule, severity, metric, _ in named(replay([SMALL / "algoperf-ogbg-overfit.csv"]))
    ] == [("overfit", "warning", "validation/loss")]


def test_the_six_evaluation_sets_of_a_trainer_state() -> None:
    result = replay([SMALL / "hf-trainer_state.json"])
    assert result.points == 1236
    assert {a.metric for a in interrupting(result)} == {"eval_g0_loss"}
    assert {a.rule for a in interrupting(result)} == {"overfit", "eval_worse"}


def test_a_run_folder_is_one_run_and_knows_how_it_ended(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run_a")
    run.log({"step": 1, "loss": 2.0}, '{"step": 2, "loss": NaN}')
    run.say("step 1 | loss 2.0 | lr 0.1\nTraceback (most recent call last):\nValueError: no\n")
    run.exit(exit_code=1)
    result = replay([run.path])
    assert result.runs == ["run_a"]
    assert {s.source: s.points for s in result.sources} == {"metrics.jsonl": 2, "job.log": 1}
    assert [(a.rule, a.step) for a in interrupting(result)] == [("non_finite", 2), ("exit", None)]


def test_a_folder_of_run_folders_is_several_runs(tmp_path: Path) -> None:
    for name in ("run_a", "run_b"):
        RunFolder(tmp_path / name, name).log({"step": 1, "loss": 2.0})
    assert replay([tmp_path]).runs == ["run_a", "run_b"]


def test_it_replays_to_the_same_and_to_changed_alerts_after_a_row_was_changed(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    rows = [{"step": i, "loss": 2.0 - i / 200} for i in range(100)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert interrupting(replay([file])) == []
    rows[60]["loss"] = float("inf")
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert named(replay([file])) == [("non_finite", "critical", "loss", 60)]
    assert replay([file]) == replay([file])


def test_a_pipe_a_notebook_and_a_link_to_itself_stop_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.log")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "n.ipynb").write_text('{"cells": [], "nbformat": 4, "nbformat_minor": 5}')
    (tmp_path / "ok.log").write_text("step 1 loss 0.5\n")
    assert replay([tmp_path / "pipe.log"]).points == 0
    assert replay([tmp_path / "n.ipynb"]).points == 0
    assert [source.source for source in replay([tmp_path]).sources] == ["ok.log"]


def test_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replay([tmp_path / "nowhere"])
