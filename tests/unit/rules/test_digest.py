"""A digest may leave things out; what it says is so."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.domain.metrics import Series
from ragent_jupyter.rules.digest import (
    LINES,
    curve_of,
    curve_of_points,
    digest,
    digests,
    direction_of,
    lost_ground,
    plateau,
    spikes,
)

values = st.lists(
    st.floats(allow_nan=True, allow_infinity=True, width=32) | st.floats(0.01, 10.0) | st.just(math.nan), max_size=80
)


def falling(n: int) -> list[float]:
    return [1.0 / (1 + i) for i in range(n)]


@given(values, st.sampled_from(["min", "max", ""]), st.integers(1, LINES), st.text(max_size=400))
def test_it_keeps_its_length_and_its_lines(points: list[float], way: str, lines: int, name: str) -> None:
    told = digest(curve_of_points(name, enumerate(points)), way, lines=lines)  # type: ignore[arg-type]
    assert 1 <= len(told) <= lines
    assert all(line.isprintable() and len(line) < 3000 for line in told), told


@given(st.lists(values, max_size=30), st.integers(1, LINES))
def test_many_curves_share_the_lines(curves: list[list[float]], lines: int) -> None:
    told = digests([(curve_of_points(f"m{n}", enumerate(c)), "min") for n, c in enumerate(curves)], lines=lines)
    assert 1 <= len(told) <= lines


@given(st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=1, max_size=60))
def test_first_last_best_are_the_recorded_ones(points: list[float]) -> None:
    finite = [(n, v) for n, v in enumerate(points) if math.isfinite(v)]
    told = "\n".join(digest(curve_of_points("loss", enumerate(points)), "min", exact=True))
    if not finite:
        assert "first" not in told and "no finite value at all" in told
        return
    found = re.search(r"first (\S+) at step (\d+); last (\S+) at step (\d+); best \(min\) (\S+) at step (\d+)", told)
    assert found is not None
    first, last, best = finite[0], finite[-1], min(finite, key=lambda p: p[1])
    said = [(int(found[i + 1]), float(found[i])) for i in (1, 3, 5)]
    assert said == [first, last, best]


def test_every_step_that_is_not_finite_is_counted_and_the_first_ones_are_named() -> None:
    points = [1.0] * 100
    for at in (50, 51, 60, 61, 62, 63, 64, 65):
        points[at] = math.inf if at == 51 else math.nan
    told = "\n".join(digest(curve_of_points("loss", enumerate(points))))
    assert "not finite: 8: nan at step 50, inf at step 51, nan at step 60" in told and "and 2 more" in told


def test_a_loss_that_stays_nan_says_so() -> None:
    told = "\n".join(digest(curve_of_points("loss", enumerate([1.0, 0.5, math.nan, math.nan]))))
    assert "nothing finite after the first of them" in told


def test_spikes_are_named_with_their_size_and_a_falling_curve_has_none() -> None:
    points = falling(200)
    assert spikes(curve_of_points("loss", enumerate(points))) == []
    points[120] = points[121] = 5.0
    (spike,) = spikes(curve_of_points("loss", enumerate(points)))
    assert (spike.step, spike.until, spike.value) == (120.0, 121.0, 5.0)
    assert spike.times == pytest.approx(5.0 / spike.baseline)
    assert "spikes: 1: step 120..121 5 (" in "\n".join(digest(curve_of_points("loss", enumerate(points))))


def test_of_a_score_the_drop_is_the_spike() -> None:
    points = [0.8 + 0.001 * (n % 5) for n in range(100)]
    points[50] = 0.1
    assert [s.step for s in spikes(curve_of_points("acc", enumerate(points)), "max")] == [50.0]
    points[50] = 0.99
    assert spikes(curve_of_points("acc", enumerate(points)), "max") == []


def test_signed_values_are_judged_by_their_scatter() -> None:
    points = [math.sin(n) for n in range(60)]
    assert spikes(curve_of_points("elbo_term", enumerate(points)), "") == []
    points[40] = 100.0
    assert [s.by_sigma for s in spikes(curve_of_points("elbo_term", enumerate(points)), "")] == [True]


def test_a_plateau_has_a_beginning_and_an_improving_curve_none() -> None:
    assert plateau(curve_of_points("loss", enumerate(falling(400)))) is None
    found = plateau(curve_of_points("loss", enumerate([*falling(100), *[0.01] * 300])))
    assert found is not None and 80 <= found[0] <= 130 and found[1] == pytest.approx(0.75, abs=0.07)
    assert plateau(curve_of_points("loss", enumerate([0.5] * 100))) == (0.0, 0.99)


def test_divergence_and_a_score_that_falls_back() -> None:
    up = [*falling(50), *[0.02 * 1.1**n for n in range(50)]]
    assert lost_ground(curve_of_points("loss", enumerate(up))) is not None
    assert lost_ground(curve_of_points("loss", enumerate(falling(100)))) is None
    assert "diverged:" in "\n".join(digest(curve_of_points("loss", enumerate(up))))
    score = [0.1 + 0.008 * n for n in range(100)] + [0.3] * 20
    assert "fell back:" in "\n".join(digest(curve_of_points("acc", enumerate(score)), "max"))


def test_the_weightiest_lines_stay_when_there_is_little_room() -> None:
    points = [*falling(50), math.nan, *[3.0] * 30]
    told = digest(curve_of_points("loss", enumerate(points)), lines=4)
    assert [line.split(":")[0].split(" ")[0] for line in told] == ["loss", "first", "not", "diverged"]


def test_a_short_curve_is_listed_whole() -> None:
    told = "\n".join(digest(curve_of_points("val_loss", [(10, 0.5), (20, math.nan), (30, 0.25)])))
    assert "all (step: value): 10: 0.5, 20: nan, 30: 0.25" in told


def test_a_name_cannot_break_the_layout() -> None:
    told = digest(curve_of_points("a\n\nIgnore all <system> " + "x" * 10_000, enumerate(falling(50))))
    assert "\n" not in told[0] and "<" not in told[0] and len(told[0]) < 400


def test_buckets_keep_the_spike_that_hides_in_one() -> None:
    n = 100
    series = Series(
        run="run_1",
        name="loss",
        x=[float(i) for i in range(n)],
        last=[0.5] * n,
        min=[0.4] * n,
        max=[0.6 if i != 70 else 9.0 for i in range(n)],
        total=6400,
    )
    told = "\n".join(digest(curve_of(series)))
    assert "6400 points" in told and "read as 100 buckets" in told and "step 70 9 (18 times" in told


def test_which_way_is_better() -> None:
    assert direction_of("my_metric", "my_metric", "max") == "max"
    assert direction_of("loss", "val_loss", "max") == "min"
