"""What the rules say about evaluations."""

from __future__ import annotations

from ragent_jupyter.domain.metrics import Row
from ragent_jupyter.rules.watch import Raise, Watch
from tests.unit.rules.watching import hear, loud, rows, short, wavy


def epochs(
    state: Watch, train: list[float], held_out: list[float], name: str = "val_loss", **more: list[float]
) -> list[Raise]:
    """One row an epoch, with both losses and whatever else."""
    found = []
    for n, (a, b) in enumerate(zip(train, held_out, strict=True)):
        values = {"train_loss": a, name: b, **{key: column[n] for key, column in more.items()}}
        found.append(Row(n, 1000.0 + n, values, n * 40))
    return hear(state, found)


FALLING = [2.0 * 0.9**n for n in range(30)]
TURNING = [*[2.0 * 0.9**n + 0.5 for n in range(10)], *[1.2 * 1.03**n for n in range(20)]]


def test_an_evaluation_twice_its_best_in_two_evaluations_is_a_warning() -> None:
    raised = hear(Watch(), rows("eval_loss", [3.0, 2.0, 1.5, 1.2, 1.1, 1.0, 2.1, 2.2]))
    assert short(raised) == [("warning", "eval_worse", "eval_loss")]
    assert raised[0].evidence.baseline == 1.0
    assert raised[0].evidence.threshold == 2.0
    assert raised[0].evidence.step == 7


def test_one_bad_evaluation_alone_is_not() -> None:
    assert hear(Watch(), rows("eval_loss", [3.0, 2.0, 1.5, 1.2, 1.0, 2.5, 1.0, 0.9])) == []


def test_evaluations_that_are_always_rough_need_more_than_a_factor_of_two() -> None:
    rough = [3.0, 1.0] * 10 + [3.0, 3.0, 1.0, 1.0] * 5
    assert hear(Watch(), rows("eval_loss", rough)) == []


def test_overfitting_is_a_rising_evaluation_while_the_training_loss_falls() -> None:
    raised = epochs(Watch(), FALLING, TURNING)
    assert short(raised) == [("warning", "overfit", "val_loss")]
    assert raised[0].title.startswith("val_loss rises while train_loss falls, at step ")
    assert raised[0].evidence.baseline == min(TURNING)


def test_an_evaluation_that_rises_with_the_training_loss_is_no_overfitting() -> None:
    assert epochs(Watch(), TURNING, TURNING) == []


def test_no_overfitting_is_told_while_a_held_out_score_still_improves() -> None:
    better = [0.5 + 0.01 * n for n in range(30)]
    assert epochs(Watch(), FALLING, TURNING, val_acc=better) == []
    assert loud(epochs(Watch(), FALLING, TURNING, val_acc=[0.5] * 30)) == [("warning", "overfit", "val_loss")]


def test_a_rise_that_gives_back_little_of_what_was_gained_is_no_overfitting() -> None:
    low = [*[1.0 * 0.6**n for n in range(10)], *[0.6**9 * 1.02**n for n in range(20)]]  # 1.0 to 0.01 to 0.015
    assert epochs(Watch(), FALLING, low) == []


def test_six_validation_sets_ask_once() -> None:
    sets = {f"eval_g{k}_loss": TURNING for k in range(1, 6)}
    raised = epochs(Watch(), FALLING, TURNING, name="eval_g0_loss", **sets)
    assert loud(raised) == [("warning", "overfit", "eval_g0_loss")]
    assert len(raised) == 6


def test_a_test_set_beside_a_validation_set_asks_nobody() -> None:
    raised = epochs(Watch(), FALLING, TURNING, test_loss=TURNING)
    assert short(raised) == [("warning", "overfit", "val_loss"), ("info", "overfit", "test_loss")]


def test_a_training_split_that_is_evaluated_beside_the_validation_set_is_judged_like_it() -> None:
    good = [1.0] * 12
    raised = epochs(Watch(), [*[1.0] * 10, 2.5, 2.6], good)
    assert short(raised) == [("warning", "eval_worse", "train_loss")]


def test_twenty_evaluations_that_are_all_worse_than_the_first_mean_that_nothing_is_learned() -> None:
    raised = hear(Watch(), rows("val_loss", [6.91, *wavy(7.0, 30, 0.005)]))
    assert short(raised) == [("warning", "not_learning", "val_loss")]
    assert hear(Watch(), rows("val_loss", wavy(2.0, 60, 0.005))) == []  # level: it goes on from a good checkpoint
    assert hear(Watch(), rows("val_loss", [2.0] * 60)) == []
    assert hear(Watch(), rows("val_loss", [6.91 - 0.02 * n for n in range(30)])) == []


def test_after_the_loss_became_nan_evaluations_are_no_news() -> None:
    state = Watch()
    first = epochs(state, [*FALLING[:9], float("nan")], TURNING[:10])
    assert loud(first) == [("critical", "non_finite", "train_loss")]
    more = [Row(n, 1000.0 + n, {"val_loss": 2.0 + n / 50.0, "train/loss": 1.0 / n}, n * 40) for n in range(10, 20)]
    assert [r for r in hear(state, more) if r.rule == "overfit"] == []
