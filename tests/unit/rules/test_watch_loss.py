"""What the rules say about training losses and gradient norms."""

from __future__ import annotations

import pytest

from ragent_jupyter.domain.alert import Choice
from ragent_jupyter.domain.metrics import Row
from ragent_jupyter.rules.watch import Answered, Limits, Watch, watch
from tests.unit.rules.watching import INF, NAN, hear, loud, rows, short, wavy


def test_a_loss_that_becomes_nan_raises_one_critical_alert_that_says_when_and_shows_the_window() -> None:
    state = Watch(run_id="run_a", params={"lr": 0.1})
    raised = hear(state, rows("loss", [2.0, 1.9, 1.8, NAN, NAN, NAN]))
    assert short(raised) == [("critical", "non_finite", "loss")]
    alert = raised[0]
    assert alert.title == "loss became NaN at step 3"
    assert (alert.source, alert.offset) == ("metrics.jsonl", 60)
    assert alert.evidence.value == "nan"
    assert alert.evidence.window == [(0.0, 2.0), (1.0, 1.9), (2.0, 1.8), (3.0, "nan")]
    assert alert.default == "ignore"
    assert alert.choices == [
        Choice("ignore", "ignore", "Ignore"),
        Choice("stop", "stop", "Stop run"),
        Choice("retry_lower_lr", "retry_with", "Lower lr to 0.03 and retry", {"lr": 0.03}),
    ]


@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("name", ["loss", "train/loss", "eval_loss", "val_loss", "grad_norm", "train/grad_norm"])
def test_every_loss_and_gradient_norm_must_be_finite(name: str, value: float) -> None:
    assert short(hear(Watch(), rows(name, [1.0, 1.0, value]))) == [("critical", "non_finite", name)]


def test_the_first_value_of_all_may_be_nan_already() -> None:
    assert short(hear(Watch(), rows("loss", [NAN]))) == [("critical", "non_finite", "loss")]


def test_one_row_with_several_nans_is_one_alert_about_the_loss_that_names_the_others() -> None:
    raised = hear(Watch(), [Row(7, 1.0, {"grad_norm": NAN, "lr": 0.1, "loss": NAN})])
    assert short(raised) == [("critical", "non_finite", "loss")]
    assert "So are grad_norm in the same row" in raised[0].text


def test_evaluations_that_are_nan_after_the_loss_was_are_told_as_info() -> None:
    state = Watch()
    hear(state, rows("loss", [2.0, NAN]))
    assert short(hear(state, rows("eval_loss", [NAN], start=2))) == [("info", "non_finite", "eval_loss")]


def test_a_second_loss_that_follows_in_the_same_row_as_the_known_one_is_told_as_info() -> None:
    state = Watch()
    hear(state, rows("loss", [2.0, NAN]))
    both = [Row(2, 1002.0, {"loss": NAN, "train/ctc_loss": NAN})]
    assert short(hear(state, both)) == [("info", "non_finite", "train/ctc_loss")]


def test_a_gradient_norm_that_broke_first_does_not_quiet_the_loss() -> None:
    state = Watch()
    assert short(hear(state, rows("grad_norm", [1.0, INF]))) == [("critical", "non_finite", "grad_norm")]
    assert short(hear(state, rows("loss", [2.0, NAN]))) == [("critical", "non_finite", "loss")]


def test_a_second_trouble_is_told_while_the_first_is_unanswered() -> None:
    state = Watch()
    assert short(hear(state, rows("loss", [*wavy(2.0, 20), NAN]))) == [("critical", "non_finite", "loss")]
    assert loud(hear(state, rows("other/loss", [*wavy(2.0, 20), 9.0, 9.0]))) == [
        ("warning", "spike_held", "other/loss")
    ]


def test_a_rejected_reward_that_is_nan_is_no_emergency() -> None:
    assert short(hear(Watch(), rows("eval/f1", [0.5, NAN]))) == [("info", "non_finite", "eval/f1")]


def test_an_actor_loss_may_do_what_it_likes_as_long_as_it_is_finite() -> None:
    state = Watch()
    assert hear(state, rows("actor_loss", [0.1, -5.0, 40.0, 900.0, 9000.0, 9000.0] * 10)) == []
    assert short(hear(state, rows("actor_loss", [NAN], start=60))) == [("critical", "non_finite", "actor_loss")]


def test_a_perplexity_that_overflows_is_a_warning_and_one_that_is_nan_is_critical() -> None:
    assert short(hear(Watch(), rows("ppl", [90.0, INF]))) == [("warning", "non_finite", "ppl")]
    assert short(hear(Watch(), rows("ppl", [90.0, NAN]))) == [("critical", "non_finite", "ppl")]


def test_a_single_spike_that_heals_is_told_as_info_with_its_threshold() -> None:
    raised = hear(Watch(), rows("loss", [*wavy(2.0, 20), 7.0, *wavy(2.0, 20)]))
    assert short(raised) == [("info", "spike", "loss")]
    assert raised[0].evidence.step == 20
    assert raised[0].evidence.value == 7.0
    assert raised[0].evidence.threshold == pytest.approx(6.0, rel=0.01)
    assert raised[0].evidence.window[-1] == (20.0, 7.0)
    assert len(raised[0].evidence.window) == 21


def test_a_spike_that_stays_for_a_second_value_is_a_warning() -> None:
    raised = hear(Watch(), rows("loss", [*wavy(2.0, 20), 7.0, 7.5, 2.0]))
    assert short(raised) == [("info", "spike", "loss"), ("warning", "spike_held", "loss")]
    assert raised[1].evidence.step == 21


def test_three_times_the_median_is_the_limit_and_not_less() -> None:
    assert hear(Watch(), rows("loss", [*[2.0] * 20, 6.0, 6.0])) == []
    assert short(hear(Watch(), rows("loss", [*[2.0] * 20, 6.01, 6.01]))) == [
        ("info", "spike", "loss"),
        ("warning", "spike_held", "loss"),
    ]


def test_the_warm_up_of_a_language_model_raises_nothing() -> None:
    falling = [10.8 - 0.02 * n for n in range(100)] + [8.8 * 0.995**n + 1.0 for n in range(300)]
    assert hear(Watch(), rows("loss", falling)) == []


def test_a_loss_near_zero_may_triple_from_batch_to_batch() -> None:
    noisy = [0.0005 * 4.0 ** ((n * 7919) % 11 / 5.0 - 1.0) for n in range(300)]
    assert max(noisy) / min(noisy) > 10
    assert loud(hear(Watch(), rows("loss", noisy))) == []


def test_a_loss_that_crosses_zero_has_no_ratios() -> None:
    assert hear(Watch(), rows("loss", [-1.0, 0.5, -0.2, 3.0, 9.0, 12.0, 80.0, 90.0] * 5)) == []


def test_a_loss_twice_its_best_for_ten_values_is_diverging() -> None:
    slow = [2.0 * 1.02**n for n in range(60)]  # never three times the median of the last 20
    raised = hear(Watch(), rows("loss", [*wavy(2.0, 40), *slow]))
    assert short(raised) == [("warning", "divergence", "loss")]
    alert = raised[0]
    assert alert.evidence.baseline == pytest.approx(2.0, rel=0.05)
    assert alert.evidence.threshold == pytest.approx(2 * (alert.evidence.baseline or 0.0))


def test_a_recovery_after_a_divergence_is_told_and_arms_the_rule_again() -> None:
    state = Watch()
    first = hear(state, rows("loss", [*wavy(2.0, 40), *[2.0 * 1.02**n for n in range(60)]]))
    then = hear(state, rows("loss", [*[6.0 * 0.97**n for n in range(60)]], start=100))
    again = hear(state, rows("loss", [1.0 * 1.02**n for n in range(60)], start=4000))
    assert loud(first) == loud(again) == [("warning", "divergence", "loss")]
    assert short(then) == [("info", "new_best", "loss")]


def test_each_rule_speaks_about_a_metric_once_per_cooldown() -> None:
    state = Watch(limits=Limits(cooldown_s=100.0))
    spikes = [*wavy(2.0, 20), 7.0, *wavy(2.0, 20), 7.0, *wavy(2.0, 100), 7.0]
    raised = hear(state, rows("loss", spikes))
    assert [(r.rule, r.evidence.step) for r in raised] == [("spike", 20), ("spike", 142)]


def test_an_alert_that_was_ignored_keeps_its_rule_quiet_for_longer() -> None:
    state = Watch(run_id="run_a", limits=Limits(cooldown_s=100.0))
    first = hear(state, rows("loss", [*wavy(2.0, 20), 7.0]))
    watch(state, Answered(at=2.0, alert_id=first[0].alert_id("run_a"), choice="ignore", action="ignore"))
    assert hear(state, rows("loss", [*wavy(2.0, 200), 7.0], start=21)) == []
    assert short(hear(state, rows("loss", [*wavy(2.0, 20), 7.0], start=5000))) == [("info", "spike", "loss")]


def test_after_stop_was_chosen_nothing_more_is_raised() -> None:
    state = Watch(run_id="run_a")
    first = hear(state, rows("loss", [2.0, NAN]))
    watch(state, Answered(at=2.0, alert_id=first[0].alert_id("run_a"), choice="stop", action="stop"))
    assert hear(state, rows("grad_norm", [1.0, NAN], start=2)) == []


def test_an_answer_to_an_unknown_alert_changes_nothing() -> None:
    state = Watch(run_id="run_a")
    watch(state, Answered(at=2.0, alert_id="alt_other", choice="stop", action="stop"))
    assert state == Watch(run_id="run_a")


def test_a_restart_from_step_zero_is_no_divergence() -> None:
    falling = [10.0 * 0.97**n + 0.5 for n in range(150)]
    state = Watch()
    assert hear(state, rows("loss", falling)) == []
    assert hear(state, rows("loss", falling)) == []


def test_steps_that_begin_anew_each_epoch_do_not_blind_the_rules() -> None:
    state = Watch()
    for epoch in range(6):
        assert hear(state, [Row(n, 1000.0 + epoch * 9 + n, {"loss": 2.0}) for n in range(9)]) == []
    assert loud(hear(state, [Row(n, 2000.0 + n, {"loss": 9.0}) for n in range(3)])) == [
        ("warning", "spike_held", "loss")
    ]


def test_a_gradient_norm_that_jumps_interrupts_nobody() -> None:
    raised = hear(Watch(), rows("grad_norm", [*wavy(1.0, 40), 2.9e9, 2.9e9, *wavy(1.0, 40)]))
    assert short(raised) == [("info", "spike", "grad_norm")]


def test_rewards_and_accuracies_have_no_spike_rule() -> None:
    jumpy = [1.0, 1.0, 90.0, 1.0, 90.0, 90.0, 2.0] * 10
    for name in ("r", "rollout/ep_rew_mean", "accuracy", "episode_return"):
        assert hear(Watch(), rows(name, jumpy)) == [], name


def test_a_plateau_is_told_once_as_info() -> None:
    raised = hear(Watch(), rows("loss", [*[5.0 * 0.97**n + 1.0 for n in range(200)], *wavy(1.01, 1200, 0.001)]))
    assert short(raised) == [("info", "plateau", "loss")]


def test_a_project_may_set_its_own_limits() -> None:
    strict = Watch(limits=Limits(spike=1.5))
    assert loud(hear(strict, rows("loss", [*[2.0] * 20, 3.1, 3.1]))) == [("warning", "spike_held", "loss")]


def test_a_learning_rate_is_offered_lower_only_where_the_run_has_one() -> None:
    def offered(params: dict[str, object]) -> list[dict[str, object]]:
        raised = hear(Watch(params=params), rows("loss", [NAN]))
        return [choice.set for choice in raised[0].choices if choice.action == "retry_with"]

    assert offered({"optim.learning_rate": "1e-3"}) == [{"optim.learning_rate": 0.0003}]
    assert offered({"batch": 8}) == []
    assert offered({"lr": "cosine"}) == []
    assert offered({"lr": 0.0}) == []


def test_a_spike_is_told_also_where_the_loss_stands_beside_each_evaluation() -> None:
    from ragent_jupyter.domain.alert import Severity
    from ragent_jupyter.domain.metrics import Row
    from ragent_jupyter.rules.watch import watch
    from ragent_jupyter.rules.watch_facts import Points
    from ragent_jupyter.rules.watch_state import Watch

    def row(step: int) -> Row:
        loss = 10.8 / (1 + step) ** 0.3 * (3.5 if step == 60 else 1.0)
        return Row(step, 1.8e9 + step, {"loss": loss, "eval_loss": 3.0 - 0.001 * step}, step * 30)

    _, raised = watch(Watch(), Points(source="m", rows=[row(step) for step in range(120)], at=1.0))
    assert [(r.rule, r.metric, r.severity, r.evidence.step) for r in raised] == [("spike", "loss", Severity.INFO, 60)]


def test_a_loss_that_stays_nan_is_told_once_and_one_that_breaks_again_is_told_again() -> None:
    state = Watch(limits=Limits(cooldown_s=100.0))
    raised = hear(state, rows("loss", [2.0, *[NAN] * 300, *wavy(2.0, 10), NAN]))
    assert [r.evidence.step for r in raised] == [1, 311]


def test_rows_without_a_step_are_counted_for_each_source() -> None:
    def unnumbered(values: list[float]) -> list[Row]:
        return [Row(None, 1000.0 + n, {"loss": value}, n) for n, value in enumerate(values)]

    state = Watch()
    hear(state, unnumbered([2.0] * 7), source="a")
    assert [r.evidence.step for r in hear(state, unnumbered([NAN]), source="a")] == [7]
