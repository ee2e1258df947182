"""What a report says is computed: change a number, and exactly what rests on it changes."""

from __future__ import annotations

from typing import Any

import msgspec

from ragent_jupyter.domain.alert import Alert, AlertStatus, Evidence, Severity
from ragent_jupyter.domain.metrics import Series
from ragent_jupyter.domain.report import ReportData
from ragent_jupyter.domain.run import Reason, Run, RunStatus
from ragent_jupyter.rules.effects import effects_of
from ragent_jupyter.rules.report import compose


def run(n: int, status: RunStatus = RunStatus.FINISHED, reason: Reason | None = None, **params: Any) -> Run:
    return Run(
        id=f"run_{n}",
        name=f"s #{n}",
        command="c",
        argv=[],
        cwd="/",
        created_at=float(n),
        status=status,
        reason=reason,
        params=params,
        started_at=1.0,
        ended_at=3.5,
    )


def series(n: int, *values: float | None, name: str = "val_loss") -> Series:
    return Series(run=f"run_{n}", name=name, x=[float(i) for i in range(len(values))], last=list(values), raw=True)


def data(runs: list[Run], curves: list[Series], **fields: Any) -> ReportData:
    return ReportData(runs=runs, alerts=fields.pop("alerts", []), series=curves, primary="val_loss", **fields)


def said(report: Any, kind: str) -> list[str]:
    return [s.text for s in report.sentences if s.kind == kind]


THREE = [run(1, lr=0.1), run(2, lr=0.2), run(3, lr=0.3)]
CURVES = [series(1, 3.0, 2.5), series(2, 3.0, 1.25, 1.5), series(3, 3.0, 2.0)]


def test_one_stored_value_stands_behind_sentence_cell_and_curve() -> None:
    before = compose(data(THREE, CURVES))
    assert "Best val_loss: 1.25 in s #2 (lr 0.2), n = 1." in said(before, "result")[1]
    changed = [CURVES[0], series(2, 3.0, 1.125, 1.5), CURVES[2]]
    after = compose(data(THREE, changed))
    assert "Best val_loss: 1.125 in s #2" in said(after, "result")[1]
    assert (before.trials.rows[0][2], after.trials.rows[0][2]) == (1.25, 1.125)
    assert [c.y for c in after.figures[0].curves if c.run == "run_2"] == [[3.0, 1.125, 1.5]]
    assert said(before, "spread") != said(after, "spread")
    untouched = [row for row in after.trials.rows if row[0] != "s #2"]
    assert untouched == [row for row in before.trials.rows if row[0] != "s #2"]


def test_a_best_of_one_seed_is_called_unconfirmed_and_the_noise_unknown() -> None:
    report = compose(data(THREE, CURVES))
    assert "Unconfirmed" in said(report, "result")[1] and not report.confirmed
    assert "noise between seeds is not known" in said(report, "caution")[0]


def test_seeds_of_the_best_setting_give_its_spread_with_n() -> None:
    runs = [run(1, lr=0.1, seed=0), run(2, lr=0.1, seed=1), run(3, lr=0.1, seed=2), run(4, lr=0.9, seed=0)]
    curves = [series(1, 1.0), series(2, 2.0), series(3, 3.0), series(4, 9.0)]
    text = said(compose(data(runs, curves)), "result")[1]
    assert "2 ± 1 (mean ± sd, n = 3)" in text and "Unconfirmed" in text


def test_higher_is_better_where_the_sweep_says_so() -> None:
    report = compose(data(THREE, CURVES, mode="max"))
    assert report.best_run == "run_1"  # all reached 3.0: the first of equals, always the same one
    assert report.trials.rows[0][2] == 3.0


def test_a_run_that_failed_or_was_stopped_is_never_the_best() -> None:
    why = Reason("nan", "Stopped: loss became NaN at step 3 (rule:quickstart).", "step 3 loss nan")
    runs = [run(1, lr=0.1), run(2, RunStatus.STOPPED, why, lr=9.0)]
    report = compose(data(runs, [series(1, 2.0), series(2, 0.001)]))
    assert report.best_run == "run_1"
    assert said(report, "failure") == ["s #2 (lr 9): Stopped: loss became NaN at step 3 (rule:quickstart)."]


def test_a_failure_quotes_its_log_line() -> None:
    why = Reason("exit_code", "Exit code 1.", "KeyError: 'lr'")
    report = compose(data([run(1, RunStatus.FAILED, why)], []))
    assert said(report, "failure") == ["s #1 failed: Exit code 1. Its log says: \"KeyError: 'lr'\""]
    assert report.failures.rows[0][-1] == "KeyError: 'lr'"


def test_no_data_is_said_and_never_drawn() -> None:
    report = compose(data([run(1, lr=0.1)], []))
    assert said(report, "nothing") == ["No finished run logged a finite val_loss: there is no best."]
    assert report.best_run is None and report.figures[0].curves == [] and report.trials.rows[0][2] is None
    nothing_finite = compose(data([run(1)], [series(1, None, None)]))
    assert nothing_finite.best_run is None


def test_buckets_count_by_their_smallest_value_not_by_their_last() -> None:
    cut = Series(run="run_1", name="val_loss", x=[9.0], last=[5.0], min=[0.5], max=[8.0])
    report = compose(data([run(1)], [cut]))
    assert "Best val_loss: 0.5" in said(report, "result")[1]
    assert report.trials.rows[0][1:3] == [0.5, 5.0]


def test_alerts_say_what_became_of_them() -> None:
    alert = Alert(
        id="alt_a",
        run_id="run_1",
        rule="non_finite",
        severity=Severity.CRITICAL,
        title="loss became NaN at step 3",
        raised_at=1.0,
        evidence=Evidence(metric="val_loss", step=3, value="nan"),
        status=AlertStatus.RESOLVED,
        choice="stop",
        answered_by="rule:quickstart",
    )
    info = msgspec.structs.replace(alert, id="alt_b", severity=Severity.INFO)
    report = compose(data([run(1)], [series(1, 1.0)], alerts=[alert, info]))
    assert said(report, "alert") == [
        "Critical in s #1: loss became NaN at step 3; answered with stop by rule:quickstart."
    ]
    assert len(report.alerts.rows) == 2 and report.figures[0].curves[0].flags == [3.0, 3.0]


def test_a_retried_trial_counts_once_by_its_newest_run() -> None:
    first = msgspec.structs.replace(
        run(1, RunStatus.FAILED, Reason("exit_code", "Exit code 1.")), sweep_id="s", trial=0
    )
    second = msgspec.structs.replace(run(2), sweep_id="s", trial=0, retry_of="run_1")
    report = compose(data([first, second], [series(2, 1.0)]))
    assert said(report, "result")[0] == "1 run: 1 finished."


def test_a_parameter_that_decides_everything_is_said_to_matter_and_noise_is_not() -> None:
    runs = [run(i, lr=[0.1, 1.0][i % 2], noise=i % 3) for i in range(12)]
    curves = [series(i, 1.0 + (i % 2) + 0.01 * i) for i in range(12)]
    texts = said(compose(data(runs, curves)), "parameter")
    assert len(texts) == 1 and texts[0].startswith("lr mattered") and "n = 12" in texts[0]


def test_too_few_trials_say_nothing_about_parameters() -> None:
    assert effects_of([({"lr": 0.1}, 1.0), ({"lr": 0.2}, 2.0)], "min") == []


def test_a_trial_that_diverged_ranks_last() -> None:
    why = Reason("nan", "Stopped: loss became NaN at step 3 (user).")
    good = [run(i, lr=0.1, bs=i % 2) for i in range(4)]
    bad = [run(i, RunStatus.STOPPED, why, lr=9.0, bs=i % 2) for i in range(4, 8)]
    texts = said(compose(data([*good, *bad], [series(i, 1.0 + i) for i in range(4)])), "parameter")
    assert texts and texts[0].startswith("lr mattered") and "4 diverged, ranked last" in texts[0]
