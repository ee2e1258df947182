"""Curves: the digest's numbers are those of the columns, however long the curve is."""

from __future__ import annotations

import math
import random

import pytest

from ragent_jupyter.domain.errors import BadInput, NotFound

from .hands import Hands


def test_a_long_curve_is_read_as_buckets_and_its_ends_are_exact(hands: Hands) -> None:
    rng = random.Random(3)
    values = [2.0 * math.exp(-n / 9000) + 0.1 * rng.random() + 0.05 for n in range(30_000)]
    values[17_003], values[23_456], values[12_345] = 0.0123456789, math.nan, 77.7
    run = hands.run("run_a", primary="loss")
    hands.curve(run, "loss", values)
    text = hands.do("read_metrics", runs=["run_a"], exact=True).text
    assert "loss: 30000 points, steps 0..29999, read as" in text
    assert f"first {values[0]!r} at step 0; last {values[-1]!r} at step 29999" in text
    assert "best (min) 0.0123456789 at step 17003" in text and "max 77.7 at step 12345" in text
    assert "not finite: 1: nan at step 23456" in text and "spikes: " in text
    assert len(text.splitlines()) <= 42


def test_a_part_of_a_curve(hands: Hands) -> None:
    run = hands.run("run_a")
    hands.curve(run, "loss", [1.0 / (1 + n) for n in range(10_000)])
    text = hands.do("read_metrics", runs=[1], metrics=["loss"], from_step=5000, to_step=9000, exact=True).text
    assert f"first {1 / 5001!r} at step 5000; last {1 / 9001!r} at step 9000" in text
    assert "no data between these steps" in hands.do("read_metrics", runs=[1], metrics=["loss"], from_step=1e9).text


@pytest.mark.parametrize(("around", "steps"), [(500, range(498, 503)), (-5, range(5)), (1e12, range(995, 1000))])
def test_exact_points_around_a_step(hands: Hands, around: float, steps: range) -> None:
    run = hands.run("run_a")
    values = [n * 0.123456789 for n in range(1000)]
    values[499] = math.inf
    hands.curve(run, "loss", values)
    text = hands.do("read_metrics", runs=[1], metrics=["loss"], around=around, points=5).text
    said = ", ".join(f"{n}: {'inf' if n == 499 else repr(values[n]) if n else '0'}" for n in steps)
    assert text.splitlines()[0].endswith(f"(step: value): {said}")


def test_points_that_stand_close_together_in_a_sparse_curve(hands: Hands) -> None:
    from ragent_jupyter.domain.metrics import Row
    from ragent_jupyter.runfiles.columns import ColumnWriter

    run = hands.run("run_a")
    with ColumnWriter(hands.runs.folder(run.id) / "metrics") as writer:
        steps = [*range(20_000), 10_000_000]
        writer.append([Row(step, 0.0, {"loss": float(step)}) for step in steps])
        writer.commit({})
    text = hands.do("read_metrics", runs=[1], metrics=["loss"], around=700, points=3).text
    assert "699: 699, 700: 700, 701: 701" in text


def test_an_unknown_metric_names_the_nearest(hands: Hands) -> None:
    run = hands.run("run_a")
    hands.curve(run, "val_loss", [1.0, 0.5])
    with pytest.raises(NotFound) as error:
        hands.do("read_metrics", runs=[1], metrics=["val_los"])
    assert "val_loss" in error.value.remedy
    hands.run("run_b", at=1.0)
    text = hands.do("read_metrics", runs=[1, 2], metrics=["val_loss"]).text
    assert "[run_b] val_loss: no data (it logged nothing)" in text


def test_no_metric_at_all_is_no_data(hands: Hands) -> None:
    hands.run("run_a")
    assert hands.do("read_metrics", runs=[1]).text == "no data: run_a: no metric was logged."
    with pytest.raises(BadInput):
        hands.do("read_metrics", runs=[])
    with pytest.raises(BadInput, match="finite step"):
        hands.do("read_metrics", runs=[1], around=math.nan)


def test_many_curves_stay_within_the_limit(hands: Hands) -> None:
    for n in range(20):
        hands.curve(hands.run(f"run_{n:02d}", at=n), "loss", [1.0 / (1 + i) for i in range(300)])
    outcome = hands.do("read_metrics", runs=list(range(1, 21)), metrics=["loss"])
    assert len(outcome.text) <= 30_000 and outcome.text.count("[run_") == 20
    with pytest.raises(BadInput, match="too many"):
        hands.run("run_20", at=20.0)
        hands.do("read_metrics", runs=list(range(1, 22)))


def test_a_chart_draws_only_what_there_is(hands: Hands) -> None:
    hands.curve(hands.run("run_a"), "loss", [1.0, 0.5])
    hands.run("run_b", at=1.0)
    outcome = hands.do("plot_chart", metric="loss", runs=[1, 2], x="relative")
    assert outcome.data == {"card": "chart", "metric": "loss", "runs": ["run_a"], "x": "relative"}
    assert "run_b: no data (it logged nothing); not drawn" in outcome.text
    with pytest.raises(NotFound, match="no metric accuracy"):
        hands.do("plot_chart", metric="accuracy", runs=[1])
    with pytest.raises(NotFound, match="No data"):
        hands.do("plot_chart", metric="loss", runs=[2])
