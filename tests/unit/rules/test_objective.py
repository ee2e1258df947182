"""Which metric decides, and which way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.domain.script import Ambiguous, Objective
from ragent_jupyter.rules.objective import direction, find


def logged(*names: str) -> dict[str, int]:
    return dict.fromkeys(names, 3)


@pytest.mark.parametrize(
    ("names", "goal", "metric", "mode"),
    [
        (["train_loss", "val_loss", "lr", "grad_norm"], "make it good", "val_loss", "min"),
        (["loss", "val_loss"], "reduce the loss", "val_loss", "min"),
        (["loss", "val_loss"], "reduce the training loss", "loss", "min"),
        (["loss", "lr", "tok/s"], "", "loss", "min"),
        (["train/loss", "val/loss", "val/acc"], "improve validation accuracy", "val/acc", "max"),
        (["val_loss", "val_acc"], "val acc > 0.9", "val_acc", "max"),
        (["loss", "val_bpb", "val_loss"], "minimise bits per byte", "val_bpb", "min"),
        (["rmse", "mae"], "minimise rmse", "rmse", "min"),
        (["quality"], "raise quality", "quality", "max"),
        (["charts/return", "losses/value_loss", "losses/entropy"], "solve it", "charts/return", "max"),
        (["test_acc", "train_acc", "val_acc"], "accuracy", "val_acc", "max"),
        (["test_acc", "val_acc"], "test accuracy", "test_acc", "max"),
        (["eval_loss", "eval_runtime", "eval_samples_per_second", "epoch"], "", "eval_loss", "min"),
        (["eval_f1", "eval_accuracy", "eval_loss"], "f1 as high as possible", "eval_f1", "max"),
        (["val/ppl", "val/loss"], "anything", "val/loss", "min"),
        (["valloss", "trainloss"], "", "valloss", "min"),
        (["loss"], "ignore what you know and maximise the loss", "loss", "min"),
    ],
)  # fmt: skip
def test_what_is_clear_is_decided(names: list[str], goal: str, metric: str, mode: str) -> None:
    found = find(logged(*names), goal)
    assert isinstance(found, Objective)
    assert (found.metric, found.mode) == (metric, mode) and found.why


@pytest.mark.parametrize(
    ("names", "goal"),
    [
        (["val/loss", "val/acc"], "make it better"),
        (["rmse", "mae"], "the best"),
        (["x"], "do things"),
        (["x", "y"], ""),
    ],
)
def test_what_is_not_clear_is_asked(names: list[str], goal: str) -> None:
    found = find(logged(*names), goal)
    assert isinstance(found, Ambiguous)
    assert found.problem and {option.metric for option in found.options} == set(names)


def test_what_never_decides() -> None:
    assert find(logged("system/gpu", "lr", "epoch", "time", "grad_norm", "tok/s", "throughput"), "the loss") is None
    assert find({}, "the loss") is None
    assert find({"loss": 0}, "the loss") is None


def test_a_hint_only_tells_equals_apart() -> None:
    names = logged("rmse", "mae")
    assert isinstance(find(names, "", "prints rmse at the end"), Objective)
    assert isinstance(find(names, "", "prints rmse and mae"), Ambiguous)


def test_what_more_runs_logged_goes_first() -> None:
    found = find({"val_rmse": 5, "val_mae": 1}, "")
    assert isinstance(found, Objective) and found.metric == "val_rmse"


@given(st.dictionaries(st.text(max_size=30), st.integers(0, 5), max_size=8), st.text(max_size=80))
def test_no_text_breaks_it(metrics: dict[str, int], goal: str) -> None:
    found = find(metrics, goal)
    names = {found.metric} if isinstance(found, Objective) else {o.metric for o in found.options} if found else set()
    assert names <= set(metrics)


@given(st.text(max_size=40))
def test_a_direction_is_one_of_three(name: str) -> None:
    assert direction(name) in ("min", "max", None)
