"""What an unattended client answers."""

from __future__ import annotations

import pytest

from ragent_jupyter.domain.alert import Alert, Choice
from ragent_jupyter.rules.answers import shipped_answer
from ragent_jupyter.rules.watch import JobEnded, Raise, Watch, watch
from tests.unit.rules.watching import NAN, hear, rows, wavy


def asked(effect: Raise) -> Alert:
    """The alert that the engine makes of it."""
    return Alert(
        id=effect.alert_id("run_a"), run_id="run_a", rule=effect.rule, severity=effect.severity, title=effect.title,
        raised_at=0.0, evidence=effect.evidence, choices=effect.choices, default=effect.default,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["loss", "eval_loss"])
def test_a_loss_that_is_nan_is_stopped(name: str) -> None:
    assert shipped_answer(asked(hear(Watch(), rows(name, [1.0, NAN]))[0])) == "stop"


@pytest.mark.parametrize(
    "found",
    [
        rows("grad_norm", [1.0, NAN]),
        rows("loss", [*wavy(2.0, 20), 9.0, 9.0]),
        rows("ppl", [1.0, float("inf")]),
    ],
    ids=["grad_norm", "spike", "ppl"],
)
def test_everything_else_waits_for_a_person(found: list[object]) -> None:
    raised = hear(Watch(), found)  # type: ignore[arg-type]
    assert raised
    assert [shipped_answer(asked(r)) for r in raised] == [None] * len(raised)


def test_a_failed_end_waits_for_a_person() -> None:
    _, raised = watch(Watch(), JobEnded(at=1.0, exit_code=3))
    assert [shipped_answer(asked(r)) for r in raised] == [None]


def test_it_never_picks_a_choice_that_is_not_offered() -> None:
    effect = hear(Watch(), rows("loss", [1.0, NAN]))[0]
    alert = asked(effect)
    only = Alert(
        id=alert.id, run_id="run_a", rule=alert.rule, severity=alert.severity, title=alert.title, raised_at=0.0,
        evidence=alert.evidence, choices=[Choice("ignore", "ignore", "Keep going, don't stop")],
    )  # fmt: skip
    assert shipped_answer(only) is None
