"""A metric that is missing where it always was: files that cannot say NaN leave the cell empty."""

from __future__ import annotations

from ragent_jupyter.domain.metrics import Row
from ragent_jupyter.rules.watch import Watch
from tests.unit.rules.watching import hear, loud, short, wavy


def cells(count: int, start: int, **values: float) -> list[Row]:
    return [Row(n, 1000.0 + n, dict(values), n * 20) for n in range(start, start + count)]


def test_a_loss_whose_cell_stays_empty_while_the_learning_rate_goes_on_is_told_after_ten_rows() -> None:
    state = Watch()
    assert hear(state, [Row(n, 1000.0 + n, {"loss": v, "lr": 0.1}) for n, v in enumerate(wavy(2.0, 30))]) == []
    assert hear(state, cells(9, 30, lr=0.1)) == []
    raised = hear(state, cells(50, 39, lr=0.1))
    assert short(raised) == [("warning", "silent", "loss")]
    assert raised[0].title == "loss went silent after step 29, most likely NaN"


def test_it_is_critical_if_the_last_value_was_already_far_off() -> None:
    state = Watch()
    hear(state, [Row(n, 1000.0 + n, {"loss": v, "lr": 0.1}) for n, v in enumerate([*wavy(2.0, 30), 90.0])])
    raised = hear(state, cells(20, 31, lr=0.1))
    assert short(raised) == [("critical", "silent", "loss")]
    assert raised[0].evidence.value == 90.0


def test_a_loss_that_is_logged_every_hundredth_row_is_not_silent_in_between() -> None:
    found = [Row(n, 1000.0 + n, {"lr": 0.1, **({"loss": 2.0} if n % 100 == 0 else {})}) for n in range(3000)]
    assert hear(Watch(), found) == []


def test_it_is_told_once_such_a_loss_stays_away_three_times_longer_than_ever() -> None:
    state = Watch()
    hear(state, [Row(n, 1000.0 + n, {"lr": 0.1, **({"loss": 2.0} if n % 10 == 0 else {})}) for n in range(400)])
    raised = hear(state, cells(60, 400, lr=0.1))
    assert [(r.rule, r.evidence.step) for r in raised] == [("silent", 390)]


def test_evaluation_rows_with_other_names_do_not_mean_silence() -> None:
    found = []
    for n in range(400):
        found.append(Row(n, 1000.0 + n, {"loss": 2.0, "lr": 0.1}))
        if n % 20 == 0:
            found.append(Row(n, 1000.5 + n, {"val_loss": 2.0, "val_acc": 0.5}))
    assert loud(hear(Watch(), found)) == []


def test_a_script_that_logs_its_loss_for_the_first_hundred_steps_only_is_healthy() -> None:
    state = Watch()
    hear(state, cells(100, 0, loss=2.0, lr=0.1, grad_norm=1.0))
    assert hear(state, cells(100, 100, **{"validation/loss": 2.0, "train/loss": 2.0})) == []


def test_a_loss_that_has_said_nan_before_it_left_is_not_told_twice() -> None:
    state = Watch()
    hear(state, cells(30, 0, loss=2.0, lr=0.1))
    assert loud(hear(state, cells(1, 30, loss=float("nan"), lr=0.1))) == [("critical", "non_finite", "loss")]
    assert hear(state, cells(50, 31, lr=0.1)) == []


def test_rows_of_another_source_say_nothing_about_this_one() -> None:
    state = Watch()
    hear(state, cells(30, 0, loss=2.0, lr=0.1), source="a")
    assert hear(state, cells(50, 30, lr=0.1), source="b") == []
