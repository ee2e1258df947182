"""The columns' reader: whatever the zoom and the width, a chart shows what was measured."""

from __future__ import annotations

import math
import os
import random
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragent_jupyter.adapters.columns import ColumnReader
from ragent_jupyter.domain.metrics import Row, Series
from ragent_jupyter.runfiles.columns import ColumnWriter
from ragent_jupyter.runfiles.columns_format import COMMITS
from tests.support.metric_model import check_series, model_of

START = 1.79e9


def write(run: Path, values: Sequence[float], *, steps: Sequence[int] | None = None, name: str = "loss") -> None:
    """One metric, a value a row, a second a row."""
    with ColumnWriter(run / "metrics") as writer:
        count = len(values)
        times = array("d", np.arange(count) + START)
        writer.append_block([name], array("q", steps or range(count)), times, [array("d", values)])
        writer.commit({})


def read(run: Path, name: str = "loss", **ask: Any) -> Series:
    series = ColumnReader().series(str(run), "run_1", name, **{"x": "step", "points": 1000, **ask})
    assert series is not None
    return series


# --- no zoom and no width hides anything -----------------------------------------------------------------------------
@pytest.mark.parametrize("beside", [math.nan, math.inf, -math.inf])
def test_a_one_step_spike_beside_a_nan_survives_every_width(tmp_path: Path, beside: float) -> None:
    values = np.full(70_000, 0.5)
    values[51_234] = 99.0
    values[51_233] = values[51_235] = beside
    values[10] = -99.0
    write(tmp_path, values)
    reader = ColumnReader()
    for points in [*range(1, 1200), 1500, 3000, 20_000, 69_999, 70_000, 70_001, 0]:
        series = reader.series(str(tmp_path), "run_1", "loss", x="step", points=points)
        assert series is not None
        assert len(series.x) <= (points or 70_000)
        shown = series.last if series.raw else [*series.max, *series.min]
        assert max(v for v in shown if v is not None) == 99.0, points
        assert min(v for v in shown if v is not None) == -99.0, points
        assert series.nonfinite == [51_233, 51_235], points


def test_a_one_step_spike_survives_every_zoom(tmp_path: Path) -> None:
    rng = random.Random(7)
    values = np.full(70_000, 0.5)
    values[51_234] = 99.0
    values[51_235] = math.nan
    write(tmp_path, values)
    reader = ColumnReader()
    for _ in range(300):
        low, high = rng.randint(0, 51_234), rng.randint(51_234, 69_999)
        points = rng.choice([1, 2, 7, 64, 300, 1000])
        series = reader.series(str(tmp_path), "run_1", "loss", x="step", points=points, from_=low, to=high)
        assert series is not None
        assert max(v for v in (series.max or series.last) if v is not None) == 99.0, (low, high, points)
        assert low <= series.x[0] and series.x[-1] <= high


FLOATS = st.floats(width=32) | st.just(math.nan) | st.just(math.inf)


@settings(max_examples=150)
@given(
    values=st.lists(FLOATS, min_size=1, max_size=400),
    repeat=st.sampled_from([1, 1, 7, 40]),
    points=st.integers(1, 500),
    window=st.none() | st.tuples(st.floats(-10, 20_000), st.floats(-10, 20_000)),
    x=st.sampled_from(["step", "time", "relative"]),
    first_row=st.sampled_from([0, 1, 63, 64]),
)
def test_each_bucket_says_exactly_what_lies_in_it(
    tmp_path_factory: pytest.TempPathFactory,
    values: list[float],
    repeat: int,
    points: int,
    window: tuple[float, float] | None,
    x: str,
    first_row: int,
) -> None:
    run = tmp_path_factory.mktemp("run")
    values = values * repeat
    with ColumnWriter(run / "metrics") as writer:
        writer.append([Row(i, START + i, {"other": 0.0}) for i in range(first_row)])
        writer.append([Row(2 * i, START + first_row + i, {"loss": value}) for i, value in enumerate(values)])
        writer.commit({})
    origin = {"step": 0.0, "time": 0.0, "relative": START}[x]
    expected = [(2.0 * i if x == "step" else START + first_row + i - origin, v) for i, v in enumerate(values)]
    from_, to = (None, None) if window is None else (min(window), max(window))
    if window is not None and x == "time":
        from_, to = START + (from_ or 0), START + (to or 0)
    expected = [(at, v) for at, v in expected if (from_ is None or at >= from_) and (to is None or at <= to)]
    check_series(read(run, x=x, points=points, from_=from_, to=to), expected, points)


@settings(max_examples=60)
@given(
    parts=st.lists(st.tuples(st.integers(0, 300), st.integers(1, 300), st.sampled_from([0, 1, 1, 3])), max_size=8),
    points=st.integers(1, 400),
    x=st.sampled_from(["step", "time"]),
    back=st.booleans(),
)
def test_rewinds_repeats_and_clocks_set_back(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[int, int, int]], points: int, x: str, back: bool
) -> None:
    run = tmp_path_factory.mktemp("run")
    rows: list[Row] = []
    for number, (start, count, stride) in enumerate(parts):
        for i in range(count):
            late = -500.0 if back and number % 2 else 0.0
            rows.append(Row(start + stride * i, START + len(rows) + late + 0.25 * number, {"loss": float(len(rows))}))
    with ColumnWriter(run / "metrics") as writer:
        writer.append(rows)
        writer.commit({})
    if not rows:
        assert ColumnReader().series(str(run), "run_1", "loss", x=x, points=points) is None
        return
    shown = model_of(rows)["loss"].visible()
    expected = [(float(point.step), point.value) for point in shown]
    if x == "time":
        expected = sorted((point.time, point.value) for point in shown)
    check_series(read(run, x=x, points=points), expected, points)


def test_the_older_tail_is_hidden_but_kept(tmp_path: Path) -> None:
    with ColumnWriter(tmp_path / "metrics") as writer:
        writer.append([Row(step, START + step, {"loss": 1.0, "lr": 0.1}) for step in range(100)])
        writer.append([Row(step, START + 40 + step, {"loss": 2.0}) for step in range(60, 130)])
        writer.append([Row(step, START + 80 + step, {"loss": 3.0}) for step in range(50, 70)])
        writer.commit({})
    series = read(tmp_path)
    assert series.x == [*range(50), *range(50, 70)]
    assert series.last == [1.0] * 50 + [3.0] * 20
    assert series.rewinds == [50.0]
    assert [(fork["x"][0], fork["x"][-1], set(fork["last"])) for fork in series.forks] == [
        (50, 99, {1.0}),
        (60, 129, {2.0}),
    ]
    assert series.total == 190
    assert read(tmp_path, "lr").rewinds == []
    by_time = read(tmp_path, x="relative")
    assert by_time.rewinds == [130.0]


def test_many_nans_are_counted_all_and_listed_a_thousand(tmp_path: Path) -> None:
    values = np.random.default_rng(1).random(50_000)
    values[20_000:] = math.nan
    values[100] = math.inf
    write(tmp_path, values)
    series = read(tmp_path, points=500)
    assert series.nonfinite_count == 30_001
    assert len(series.nonfinite) == 1000 == len(series.nonfinite_kinds)
    assert series.nonfinite[:2] == [100, 20_000]
    assert series.nonfinite_kinds[:2] == ["inf", "nan"]
    assert series.last[-1] is None is series.min[-1]
    assert series.x[-1] == 49_999


@pytest.mark.parametrize("points", [1, 3, 10, 40, 100, 150])
@pytest.mark.parametrize("shift", [0, 17])
def test_a_block_of_nothing_but_nan_hides_nothing_of_its_neighbours(tmp_path: Path, points: int, shift: int) -> None:
    values = np.random.default_rng(2).random(10_000)
    for at in range(shift, 10_000, 192):
        values[at : at + 100] = math.nan
    values[5000:7000] = -math.inf
    write(tmp_path, values)
    everything = [(float(step), value) for step, value in enumerate(values.tolist())]
    check_series(read(tmp_path, points=points), everything, points)
    # A window that begins and ends within such a block counts no NaN of the block's other part.
    check_series(read(tmp_path, points=points, from_=8100, to=9650), everything[8100:9651], points)


def test_all_points_on_request(tmp_path: Path) -> None:
    values = [0.5, math.nan, 0.25]
    write(tmp_path, values)
    series = read(tmp_path, points=0)
    assert series.raw
    assert series.last == [0.5, None, 0.25]
    assert series.nonfinite == [1]


def test_a_window_with_nothing_in_it_is_empty(tmp_path: Path) -> None:
    write(tmp_path, [1.0] * 5000)
    for x in ("step", "time"):
        series = read(tmp_path, x=x, from_=6000.0 if x == "step" else START + 6000)
        assert (series.x, series.last, series.total) == ([], [], 5000)


# --- no data is no data ----------------------------------------------------------------------------------------------
def test_an_unknown_metric_or_run_is_no_data(tmp_path: Path) -> None:
    reader = ColumnReader()
    assert reader.series(str(tmp_path), "run_1", "loss", x="step", points=10) is None
    assert reader.names(str(tmp_path)) == []
    assert reader.totals(str(tmp_path)) == {"rows": 0, "points": 0, "metrics": 0, "sources": [], "seq": 0}
    write(tmp_path, [1.0])
    assert reader.series(str(tmp_path), "run_1", "acc", x="step", points=10) is None
    assert reader.names(str(tmp_path)) == ["loss"]
    assert reader.totals(str(tmp_path))["points"] == 1


@pytest.mark.parametrize("size", [0, 7, 100_000])
@pytest.mark.parametrize("name", ["m00000.f64", "m00000.pyr", "steps.i64", "times.f64"])
def test_a_file_that_was_cut_gives_no_points_and_no_crash(tmp_path: Path, name: str, size: int) -> None:
    values = np.random.default_rng(0).random(100_000)
    write(tmp_path, values)
    reader = ColumnReader()
    assert reader.series(str(tmp_path), "run_1", "loss", x="time", points=100) is not None
    os.truncate(tmp_path / "metrics" / name, size)
    for x in ("step", "time"):
        for ask in ({"points": 100}, {"points": 0}, {"points": 5000, "from_": 1.0}):
            series = reader.series(str(tmp_path), "run_1", "loss", x=x, **ask)  # type: ignore[arg-type]
            assert series is not None
            assert series.total == 100_000
            assert not series.x or len(series.x) > 50  # nothing, or (if it needs no more of that file) all of it
    os.remove(tmp_path / "metrics" / name)
    cut = reader.series(str(tmp_path), "run_1", "loss", x="time", points=0)
    assert cut is not None
    assert (cut.x == []) == (name != "m00000.pyr" and name != "steps.i64")


def test_garbage_among_the_commits_is_no_crash(tmp_path: Path) -> None:
    write(tmp_path, [1.0, 2.0])
    path = tmp_path / "metrics" / COMMITS
    good = path.read_bytes()
    for garbage in (b"\0" * 50, b"{}\n[]\n", b'{"crc":"zzzzzzzz","seq":2}\n', good[:-3], b"\xff\xfe\n"):
        path.write_bytes(good + garbage)
        assert read(tmp_path).last == [1.0, 2.0]
    path.write_bytes(b"")
    assert ColumnReader().names(str(tmp_path)) == []


# --- what came after -------------------------------------------------------------------------------------------------
def test_deltas_add_up_to_the_whole(tmp_path: Path) -> None:
    rng = random.Random(3)
    reader = ColumnReader()
    x: list[float] = []
    last: list[float | None] = []
    cursor, resets, deltas = None, 0, 0
    values: list[float] = []
    with ColumnWriter(tmp_path / "metrics") as writer:
        for _ in range(120):
            new = [rng.choice([rng.random(), rng.random(), math.nan]) for _ in range(rng.randint(0, 9))]
            writer.append([Row(len(values) + i, START + i, {"loss": value}) for i, value in enumerate(new)])
            values += new
            writer.commit({})
            series = reader.series(str(tmp_path), "run_1", "loss", x="step", points=5000, since=cursor)
            if series is None:
                continue
            assert series.total == len(values)
            if series.reset:
                resets += 1
                x, last = [], []
            else:
                deltas += 1
            x += series.x
            last += series.last
            assert series.nonfinite_count == sum(map(math.isnan, values))
            cursor = series.cursor
            assert x == list(range(len(values)))
            assert last == [None if math.isnan(v) else v for v in values]
    assert resets == 1
    assert deltas > 100


def test_a_delta_that_cannot_be_appended_is_the_whole_anew(tmp_path: Path) -> None:
    reader = ColumnReader()

    def ask(since: str | None, **more: Any) -> Series:
        series = reader.series(str(tmp_path), "run_1", "loss", **{"x": "step", "points": 50, "since": since, **more})
        assert series is not None
        return series

    with ColumnWriter(tmp_path / "metrics") as writer:
        writer.append([Row(step, START + step, {"loss": 1.0}) for step in range(40)])
        writer.commit({})
        first = ask(None)
        writer.append([Row(40, START + 40, {"loss": 1.0})])
        writer.commit({})
        delta = ask(first.cursor)
        assert (delta.reset, delta.x, delta.raw) == (False, [40.0], True)
        assert ask(first.cursor, from_=10.0).reset, "another question"
        assert ask(first.cursor, x="time").reset, "another question"
        assert ask("nonsense").reset
        assert ask("a:b:c:d:e").reset

        writer.append([Row(40, START + 41, {"loss": 2.0})])  # the same step again: the last wins
        writer.commit({})
        again = ask(delta.cursor)
        assert (again.reset, again.x[-1], again.last[-1], len(again.x)) == (True, 40.0, 2.0, 41)

        writer.append([Row(20, START + 42, {"loss": 3.0})])  # back to an older step
        writer.commit({})
        rewound = ask(again.cursor)
        assert (rewound.reset, rewound.x[-1], len(rewound.x)) == (True, 20.0, 21)

        writer.append([Row(step, START + 50 + step, {"loss": 3.0}) for step in range(21, 200)])
        writer.commit({})
        many = ask(rewound.cursor)
        assert many.reset, "too many points to append"
        assert len(many.x) <= 50
        writer.append([Row(200, START + 250, {"loss": 3.0})])
        writer.commit({})
        assert not ask(many.cursor).reset, "an old rewind is no reason to send all again"
    assert ask(ask(None).cursor).x == []


def test_a_delta_after_old_repeats_is_a_delta(tmp_path: Path) -> None:
    reader = ColumnReader()
    with ColumnWriter(tmp_path / "metrics") as writer:
        writer.append([Row(step // 2, START + step, {"loss": float(step)}) for step in range(20)])
        writer.commit({})
        first = reader.series(str(tmp_path), "run_1", "loss", x="step", points=50)
        assert first is not None
        assert first.last == [float(2 * step + 1) for step in range(10)]
        writer.append([Row(10, START + 30, {"loss": 7.0}), Row(10, START + 31, {"loss": 8.0})])
        writer.commit({})
        delta = reader.series(str(tmp_path), "run_1", "loss", x="step", points=50, since=first.cursor)
    assert delta is not None
    assert (delta.reset, delta.x, delta.last) == (False, [10.0], [8.0])


# --- a thousand live runs are cheap ----------------------------------------------------------------------------------
def test_a_run_that_has_not_changed_costs_one_stat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, [1.0])
    reader = ColumnReader()
    reader.names(str(tmp_path))
    opened: list[Any] = []
    real = os.open
    monkeypatch.setattr(os, "open", lambda *args: opened.append(args) or real(*args))  # type: ignore[func-returns-value]
    reader.names(str(tmp_path))
    assert opened == []


def test_of_a_run_that_has_grown_only_the_new_commits_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = ColumnReader()
    read_bytes = 0
    real = os.pread

    def pread(fd: int, size: int, offset: int) -> bytes:
        nonlocal read_bytes
        data = real(fd, size, offset)
        read_bytes += len(data)
        return data

    with ColumnWriter(tmp_path / "metrics") as writer:
        for step in range(500):
            writer.append([Row(step, START, {"loss": 1.0})])
            writer.commit({"source": {"offset": step, "text": "x" * 60}})
            if step == 498:
                assert reader.totals(str(tmp_path))["rows"] == 499
        monkeypatch.setattr(os, "pread", pread)
        assert reader.totals(str(tmp_path))["rows"] == 500
    assert read_bytes < 400


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no /proc here")
    write(tmp_path, np.random.default_rng(0).random(5000))
    reader = ColumnReader()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        reader.series(str(tmp_path), "run_1", "loss", x="time", points=100)
    assert len(os.listdir("/proc/self/fd")) == before


def test_cursors_outlive_the_rotation_of_the_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ragent_jupyter.runfiles import columns

    monkeypatch.setattr(columns, "ROTATE_BYTES", 300)
    reader = ColumnReader()
    cursor = None
    with ColumnWriter(tmp_path / "metrics") as writer:
        for step in range(50):
            writer.append([Row(step, START, {"loss": 1.0})])
            writer.commit({"s": {"offset": step}})
            series = reader.series(str(tmp_path), "run_1", "loss", x="step", points=100, since=cursor)
            assert series is not None
            assert series.reset == (step == 0)
            cursor = series.cursor
