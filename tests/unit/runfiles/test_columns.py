"""The columns' writer: rows and offsets appear together, exactly once, whatever happens to the process or the disk."""

from __future__ import annotations

import errno
import math
import os
import resource
import shutil
import signal
import tempfile
from array import array
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ragent_jupyter.adapters.columns import ColumnReader
from ragent_jupyter.domain.errors import Held
from ragent_jupyter.domain.metrics import Row
from ragent_jupyter.runfiles import columns, columns_files, kill_points
from ragent_jupyter.runfiles.columns import ColumnsNotWritten, ColumnWriter
from ragent_jupyter.runfiles.columns_format import COMMITS, Committed, decode_commit
from tests.support.metric_model import check_series, model_of, same


def points(run: Path, name: str) -> list[tuple[float, float | None]] | None:
    """All committed, visible points of a metric: (step, value)."""
    series = ColumnReader().series(str(run), "run", name, x="step", points=0)
    return None if series is None else list(zip(series.x, series.last, strict=True))


def rows(start: int, end: int, **metrics: float) -> list[Row]:
    return [
        Row(step, 1.79e9 + step, {name: base + step for name, base in metrics.items()}) for step in range(start, end)
    ]


def test_rows_are_visible_after_their_commit_and_not_before(tmp_path: Path) -> None:
    with ColumnWriter(tmp_path / "metrics") as writer:
        writer.append(rows(0, 2, loss=0.5))
        assert points(tmp_path, "loss") is None
        writer.commit({"metrics.jsonl": {"offset": 90}})
        assert points(tmp_path, "loss") == [(0, 0.5), (1, 1.5)]
        writer.append(rows(2, 3, loss=0.5))
        assert len(points(tmp_path, "loss") or []) == 2
        writer.commit({})
        assert len(points(tmp_path, "loss") or []) == 3


def test_the_next_writer_goes_on_after_the_last_commit(tmp_path: Path) -> None:
    with ColumnWriter(tmp_path / "metrics") as writer:
        writer.append(rows(0, 100, loss=0.0, lr=1.0))
        writer.commit({"a": {"offset": 10}, "b": {"offset": 3}})
        writer.append(rows(100, 170, loss=900.0))
        writer._flush()  # on disk, but in no commit
    with ColumnWriter(tmp_path / "metrics") as writer:
        assert writer.sources == {"a": {"offset": 10}, "b": {"offset": 3}}
        assert (writer.rows, writer.points) == (100, 200)
        writer.append(rows(100, 110, loss=0.0))
        writer.commit({"a": {"offset": 11}})
        assert writer.sources == {"a": {"offset": 11}, "b": {"offset": 3}}
    assert points(tmp_path, "loss") == [(step, float(step)) for step in range(110)]
    assert points(tmp_path, "lr") == [(step, step + 1.0) for step in range(100)]


def test_no_file_is_ever_made_shorter(tmp_path: Path) -> None:
    with ColumnWriter(tmp_path / "metrics") as writer:
        writer.append(rows(0, 70, loss=0.0))
        writer.commit({})
        writer.append(rows(70, 500, loss=0.0))
        writer._flush()
    before = {file.name: file.stat().st_size for file in (tmp_path / "metrics").glob("m*")}
    with ColumnWriter(tmp_path / "metrics") as writer:
        writer.append(rows(70, 71, loss=0.0))
        writer.commit({})
    after = {file.name: file.stat().st_size for file in (tmp_path / "metrics").glob("m*")}
    assert before == after
    assert len(points(tmp_path, "loss") or []) == 71


def test_a_commit_line_torn_at_any_byte_did_not_happen(tmp_path: Path) -> None:
    first = tmp_path / "first"
    with ColumnWriter(first / "metrics") as writer:
        writer.append(rows(0, 3, loss=0.0))
        writer.commit({"s": {"offset": 3}})
        whole = (first / "metrics" / COMMITS).stat().st_size
        writer.append(rows(3, 5, loss=0.0, new=0.0))
        writer.commit({"s": {"offset": 5}})
        data = (first / "metrics" / COMMITS).read_bytes()
    for cut in range(whole, len(data)):
        run = tmp_path / f"cut{cut}"
        shutil.copytree(first, run)
        (run / "metrics" / COMMITS).write_bytes(data[:cut])
        assert len(points(run, "loss") or []) == 3
        with ColumnWriter(run / "metrics") as writer:
            assert writer.sources == {"s": {"offset": 3}}
            writer.append(rows(3, 4, loss=0.0, other=0.0))
            writer.commit({"s": {"offset": 4}})
        assert points(run, "loss") == [(0, 0), (1, 1), (2, 2), (3, 3)], cut
        assert points(run, "new") is None, cut
        assert points(run, "other") == [(3, 3)], cut


# --- kill -9 ---------------------------------------------------------------------------------------------------------
def truth_at(step: int) -> Row:
    values = {"loss": float(step)}
    if step % 7 == 0:
        values["eval"] = -float(step)
    if step > 30:
        values[f"late_{step}"] = 1.0
    return Row(step, 1.79e9 + step, values)


TRUTH = [truth_at(step) for step in range(40)]


def write_from_source(run: Path) -> None:
    """A sidecar in small: goes on at its committed offset, four rows a commit."""
    with ColumnWriter(run / "metrics", sync_every_s=0.0) as writer:
        at = writer.sources.get("truth", {}).get("offset", 0)
        while at < len(TRUTH):
            writer.append(TRUTH[at : at + 4])
            at += len(TRUTH[at : at + 4])
            writer.commit({"truth": {"offset": at}})


def in_child(job: Any) -> int:
    """The status of a forked child that runs `job`; Python's own clean-up is left out, as under a real kill."""
    pid = os.fork()
    if not pid:
        try:
            job()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


@pytest.mark.parametrize("part", range(8))
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_kill_at_any_point_neither_loses_nor_doubles_a_row(
    tmp_path: Path, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "ROTATE_BYTES", 700)  # several rotations in 40 rows
    monkeypatch.setattr(os, "fsync", lambda fd: None)  # the kill points around it stay
    killed = 0
    for number in range(1 + part, 10_000, 8):
        run = tmp_path / str(number)

        def until_killed(number: int = number, run: Path = run) -> None:
            kill_points.arm(f"columns.*:{number}")
            write_from_source(run)

        status = in_child(until_killed)
        if status == 0:
            break  # there are no more kill points than this
        assert os.WTERMSIG(status) == signal.SIGKILL
        killed += 1
        read = ColumnReader()  # what a chart sees while nobody writes: whole commits of four rows
        seen = read.series(str(run), "run", "loss", x="step", points=0)
        assert seen is None or len(seen.x) % 4 == 0
        assert in_child(lambda run=run: write_from_source(run)) == 0
        for name, model in model_of(TRUTH).items():
            assert points(run, name) == [(p.step, p.value) for p in model.visible()], (number, name)
        assert read.totals(str(run))["rows"] == len(TRUTH)
    assert killed > 8


# --- whatever happens ------------------------------------------------------------------------------------------------
NAMES = ["loss", "val/loss", 'quote" \\ and\nline', "ü" * 40]
VALUES = st.floats(width=64)


class WhateverHappens(RuleBasedStateMachine):
    """Rows, commits, kills, clean restarts and full disks in any order, against a list of rows."""

    @initialize()
    def start(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(columns, "ROTATE_BYTES", 1500)
        self.patch.setattr(columns, "BUFFER_BYTES", 600)
        self.patch.setattr(columns_files, "OPEN_FILES", 3)
        self.patch.setattr(os, "fsync", lambda fd: None)
        self.run = Path(tempfile.mkdtemp(prefix="columns"))
        self.reader = ColumnReader()
        self.writer = ColumnWriter(self.run / "metrics")
        self.taken: list[Row] = []
        self.committed: list[Row] = []
        self.offset = 0
        self.changed = True

    @rule(
        step=st.integers(0, 40),
        names=st.sets(st.sampled_from(NAMES), min_size=1),
        values=st.lists(VALUES, min_size=1, max_size=90),
        stride=st.sampled_from([1, 1, 1, 2, 0]),
    )
    def rows_come(self, step: int, names: set[str], values: list[float], stride: int) -> None:
        start = len(self.taken) if step > 10 else step  # now and then the training goes back
        new = [
            Row(start + stride * i, 1.79e9 + len(self.taken) + i, dict.fromkeys(sorted(names), value))
            for i, value in enumerate(values)
        ]
        self.writer.append(new)
        self.taken += new

    @rule()
    def commit(self) -> None:
        self.offset += 1
        self.writer.commit({"source": {"offset": self.offset}})
        self.committed = list(self.taken)
        self.changed = True

    @rule(flushed=st.booleans())
    def the_writer_is_killed(self, flushed: bool) -> None:
        if flushed:
            self.writer._flush()
        self.writer._files.close()
        os.close(self.writer._lock)
        self.writer = ColumnWriter(self.run / "metrics")
        self.taken = list(self.committed)
        assert self.writer.sources.get("source", {}).get("offset", 0) == self.offset

    @rule(after=st.integers(0, 12))
    def the_disk_is_full_for_a_while(self, after: int) -> None:
        left = after
        pwrite, write = os.pwrite, os.write

        def short(real: Any) -> Any:
            def call(fd: int, data: Any, *offset: int) -> int:
                nonlocal left
                left -= 1
                if left > 0:
                    return int(real(fd, data, *offset))
                if left == 0 and len(data) > 1:
                    return int(real(fd, bytes(data)[: len(data) // 2], *offset))
                raise OSError(errno.ENOSPC, "No space left on device")

            return call

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "pwrite", short(pwrite))
            patch.setattr(os, "write", short(write))
            try:
                self.writer.commit({"source": {"offset": self.offset + 1}})
            except ColumnsNotWritten as error:
                assert error.errno == errno.ENOSPC
                return
        self.offset += 1
        self.committed = list(self.taken)
        self.changed = True

    @precondition(lambda self: getattr(self, "changed", False))
    @invariant()
    def the_reader_sees_the_committed_rows(self) -> None:
        self.changed = False
        self.check(self.reader)
        self.check(ColumnReader())

    def check(self, reader: ColumnReader) -> None:
        models = model_of(self.committed)
        assert sorted(reader.names(str(self.run))) == sorted(models)
        for name, model in models.items():
            series = reader.series(str(self.run), "run", name, x="step", points=0)
            assert series is not None
            shown = model.visible()
            assert series.x == [point.step for point in shown]
            wanted = [point.value if math.isfinite(point.value) else None for point in shown]
            assert all(map(same, series.last, wanted))
            assert series.total == len(model.points)
            few = reader.series(str(self.run), "run", name, x="step", points=2)
            assert few is not None
            check_series(few, [(float(point.step), point.value) for point in shown], 2)

    def teardown(self) -> None:
        self.writer.close()
        self.patch.undo()
        shutil.rmtree(self.run)


WhateverHappens.TestCase.settings = settings(max_examples=80, stateful_step_count=25, deadline=None)
TestWhateverHappens = WhateverHappens.TestCase


# --- the disk --------------------------------------------------------------------------------------------------------
def test_a_full_disk_is_said_clearly_and_the_same_rows_go_out_later(tmp_path: Path) -> None:
    """RLIMIT_FSIZE: a real short write from the kernel, not a mock."""

    def job() -> None:
        with ColumnWriter(tmp_path / "metrics") as writer:
            writer.append(rows(0, 50, loss=0.0))
            writer.commit({"s": 1})
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (2004, hard))  # in the middle of a value
            writer.append(rows(50, 500, loss=0.0))
            for _ in range(2):
                with pytest.raises(ColumnsNotWritten, match="File too large"):
                    writer.commit({"s": 2})
            assert len(points(tmp_path, "loss") or []) == 50
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            writer.append(rows(500, 501, loss=0.0))
            writer.commit({"s": 3})
            assert points(tmp_path, "loss") == [(step, step) for step in range(501)]

    assert in_child(job) == 0


def test_an_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with ColumnWriter(tmp_path / "metrics") as writer:
        writer.append(rows(0, 5, loss=0.0))
        with monkeypatch.context() as patch, pytest.raises(ColumnsNotWritten) as caught:
            patch.setattr(os, "pwrite", full)
            writer.commit({})
        assert "No space left" in caught.value.problem
        assert "Free space" in caught.value.remedy
        writer.commit({})
    assert len(points(tmp_path, "loss") or []) == 5


def test_rows_that_do_not_fit_the_buffer_are_taken_once_even_if_the_disk_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "BUFFER_BYTES", 64)

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with ColumnWriter(tmp_path / "metrics") as writer:
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", full)
            writer.append(rows(0, 50, loss=0.0))  # must not raise: the caller would append them again
        writer.commit({})
    assert points(tmp_path, "loss") == [(step, step) for step in range(50)]


def test_after_the_machine_went_down_only_what_was_synced_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def until_the_power_goes() -> None:
        writer = ColumnWriter(tmp_path / "metrics")
        writer.append(rows(0, 10, loss=0.0))
        writer.commit({"s": {"offset": 10}}, sync=True)
        writer.append(rows(10, 20, loss=0.0))
        writer.commit({"s": {"offset": 20}})

    assert in_child(until_the_power_goes) == 0
    reader = ColumnReader()
    before = reader.series(str(tmp_path), "run", "loss", x="step", points=0)
    assert before is not None
    assert before.total == 20
    monkeypatch.setattr(columns, "_boot_id", lambda: "another")
    with ColumnWriter(tmp_path / "metrics") as writer:
        assert writer.sources == {"s": {"offset": 10}}
        assert points(tmp_path, "loss") == [(step, step) for step in range(10)]
        writer.append(rows(10, 25, loss=100.0))
        writer.commit({"s": {"offset": 25}})
    assert [value for _, value in points(tmp_path, "loss") or []][9:12] == [9.0, 110.0, 111.0]
    after = reader.series(str(tmp_path), "run", "loss", x="step", points=0, since=before.cursor)
    assert after is not None
    assert after.reset, "who has drawn the lost points must draw anew"


def test_what_a_closed_writer_committed_outlives_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ColumnWriter(tmp_path / "metrics") as writer:
        writer.append(rows(0, 10, loss=0.0))
        writer.commit({"s": {"offset": 10}})
    with ColumnWriter(tmp_path / "metrics") as writer:
        writer.append(rows(10, 12, loss=0.0))  # never committed: close() must not do it behind the caller's back
    monkeypatch.setattr(columns, "_boot_id", lambda: "another")
    with ColumnWriter(tmp_path / "metrics") as writer:
        assert (writer.rows, writer.sources) == (10, {"s": {"offset": 10}})


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    with ColumnWriter(tmp_path / "metrics"), pytest.raises(Held, match="Another sidecar"):
        ColumnWriter(tmp_path / "metrics")
    ColumnWriter(tmp_path / "metrics").close()


def test_a_commit_line_that_the_disk_cut_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    with ColumnWriter(tmp_path / "metrics") as writer:
        writer.append(rows(0, 5, loss=0.0))
        with monkeypatch.context() as patch, pytest.raises(ColumnsNotWritten):
            patch.setattr(os, "write", lambda fd, data: write(fd, data[:-1]))
            writer.commit({"s": {"offset": 5}})
        assert points(tmp_path, "loss") is None
        assert writer.sources == {}
        writer.commit({"s": {"offset": 6}})
        assert len(points(tmp_path, "loss") or []) == 5


def test_what_a_killed_writer_left_behind_does_not_come_to_life_later(tmp_path: Path) -> None:
    with ColumnWriter(tmp_path / "metrics") as writer:
        writer.append(rows(0, 10, loss=0.0))
        writer.commit({})
        writer.append(rows(10, 12, other=0.0))  # loss skips two rows: an extent …
        writer.append(rows(5, 8, loss=0.0))  # … and goes back: a mark; both at its 11th value
        writer._flush()
    with ColumnWriter(tmp_path / "metrics") as writer:
        writer.append(rows(10, 30, loss=0.0))  # neither skips nor goes back, and passes the 11th value
        writer.commit({})
    assert points(tmp_path, "loss") == [(step, step) for step in range(30)]
    with ColumnWriter(tmp_path / "metrics") as writer:  # nor for a new metric that gets the number of a lost one
        writer.append(rows(30, 33, another=0.0))
        writer.append(rows(33, 34, loss=0.0))
        writer.append(rows(34, 35, another=0.0))
        writer._flush()
    with ColumnWriter(tmp_path / "metrics") as writer:
        writer.append(rows(30, 40, third=0.0))
        writer.commit({})
    assert points(tmp_path, "third") == [(step, step) for step in range(30, 40)]


# --- many, odd, small ------------------------------------------------------------------------------------------------
def test_thousands_of_metrics_do_not_take_thousands_of_descriptors(tmp_path: Path) -> None:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no /proc here")
    names = [f"layer_{i}/grad" for i in range(1500)]
    before = len(os.listdir("/proc/self/fd"))
    with ColumnWriter(tmp_path / "metrics") as writer:
        for step in range(0, 128, 64):
            column = array("d", map(float, range(step, step + 64)))
            writer.append_block(names, array("q", range(step, step + 64)), column, [column] * len(names))
            writer.commit({})
        assert len(os.listdir("/proc/self/fd")) - before < columns_files.OPEN_FILES + 40
    assert points(tmp_path, names[777]) == [(step, step) for step in range(128)]
    lines = (tmp_path / "metrics" / COMMITS).read_bytes().splitlines()
    assert len(lines[1]) < 200  # counts of neighbours are one range, not 1,500 entries


def test_a_dense_point_takes_less_than_twelve_bytes(tmp_path: Path) -> None:
    names = [f"m{i}" for i in range(20)]
    count = 20_000
    with ColumnWriter(tmp_path / "metrics") as writer:
        for at in range(0, count, 100):
            column = array("d", map(float, range(at, at + 100)))
            writer.append_block(names, array("q", range(at, at + 100)), column, [column] * 20)
            writer.commit({"s": {"offset": at}})
    size = sum(file.stat().st_size for file in (tmp_path / "metrics").iterdir())
    assert size / (20 * count) <= 12


def test_metrics_may_come_and_go(tmp_path: Path) -> None:
    with ColumnWriter(tmp_path / "metrics") as writer:
        for step in range(300):
            values = {"loss": float(step)}
            if step % 10 == 9:
                values["eval"] = -float(step)
            if 100 <= step < 200:
                values["phase"] = 1.0
            writer.append([Row(step, 1.79e9 + step, values)])
            if step % 25 == 0:
                writer.commit({})
        writer.commit({})
    assert points(tmp_path, "loss") == [(step, step) for step in range(300)]
    assert points(tmp_path, "eval") == [(step, -step) for step in range(9, 300, 10)]
    assert points(tmp_path, "phase") == [(step, 1.0) for step in range(100, 200)]


def test_a_nan_that_came_with_an_earlier_batch_is_still_in_the_block(tmp_path: Path) -> None:
    with ColumnWriter(tmp_path / "metrics") as writer:
        writer.append([Row(0, 0.0, {"loss": math.nan}), Row(1, 1.0, {"loss": -7.0})])
        writer.append(rows(2, 400, loss=0.0))
        writer.commit({})
    series = ColumnReader().series(str(tmp_path), "run", "loss", x="step", points=2)
    assert series is not None
    assert (series.min[0], series.nonfinite, series.nonfinite_count) == (-7.0, [0.0], 1)


def test_rows_without_a_step_are_counted_and_stand_where_the_training_is(tmp_path: Path) -> None:
    with ColumnWriter(tmp_path / "metrics") as writer:
        writer.append([Row(None, 1.0, {"a": 0.0}), Row(None, 2.0, {"a": 1.0})])
        writer.append([Row(500, 3.0, {"loss": 1.0}), Row(None, 4.0, {"eval": 1.0}), Row(10**30, 5.0, {"eval": 2.0})])
        writer.commit({})
    with ColumnWriter(tmp_path / "metrics") as writer:
        writer.append([Row(None, 6.0, {"eval": 3.0})])
        writer.commit({})
    assert points(tmp_path, "a") == [(0, 0.0), (1, 1.0)]
    assert points(tmp_path, "eval") == [(500, 1.0), (501, 2.0), (502, 3.0)]


@pytest.mark.parametrize(
    ("names", "steps", "times", "values", "error"),
    [
        (["a"], [1], [1.0], [[1.0, 2.0]], ValueError),
        (["a", "b"], [1], [1.0], [[1.0]], ValueError),
        (["a", "a"], [1], [1.0], [[1.0], [2.0]], ValueError),
        (["a"], [1, 2], [1.0], [[1.0]], ValueError),
        (["a"], [2**63], [1.0], [[1.0]], OverflowError),
        (["a"], [1], ["x"], [[1.0]], TypeError),
        (["a"], [1], [1.0], [["x"]], TypeError),
    ],
)
def test_a_block_that_is_refused_leaves_no_trace(
    tmp_path: Path, names: Any, steps: Any, times: Any, values: Any, error: type[Exception]
) -> None:
    with ColumnWriter(tmp_path / "metrics") as writer:
        with pytest.raises(error):
            writer.append_block(names, steps, times, values)
        writer.append([Row(None, 1.0, {"b": 1.0})])
        writer.commit({})
        assert (writer.rows, writer.points) == (1, 1)
    assert ColumnReader().names(str(tmp_path)) == ["b"]
    assert points(tmp_path, "b") == [(0, 1.0)]


def test_the_log_of_commits_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "ROTATE_BYTES", 4000)
    reader = ColumnReader()
    with ColumnWriter(tmp_path / "metrics") as writer:
        for step in range(300):
            writer.append(rows(step, step + 1, loss=0.0, lr=0.0))
            writer.commit({"metrics.jsonl": {"offset": step, "state": "x" * 50}})
            assert reader.totals(str(tmp_path))["rows"] == step + 1
            assert (tmp_path / "metrics" / COMMITS).stat().st_size < 5000
    done = Committed()
    for line in (tmp_path / "metrics" / COMMITS).read_bytes().splitlines():
        commit = decode_commit(line)
        assert commit is not None
        assert done.apply(commit)
    assert done.seq == 301  # and one as it was closed, which says that all is on the disk


def test_an_idle_run_writes_nothing(tmp_path: Path) -> None:
    with ColumnWriter(tmp_path / "metrics") as writer:
        writer.append(rows(0, 5, loss=0.0))
        writer.commit({"a": {"offset": 5}, "b": {"offset": 0}})
        before = (tmp_path / "metrics" / COMMITS).stat()
        writer.commit({"a": {"offset": 5}})
        writer.commit({})
        assert (tmp_path / "metrics" / COMMITS).stat() == before
        writer.commit({"a": {"offset": 6}})  # a line without metrics was read
        assert (tmp_path / "metrics" / COMMITS).stat().st_size > before.st_size


def test_a_line_that_is_missing_in_the_middle_stops_the_count_there(tmp_path: Path) -> None:
    with ColumnWriter(tmp_path / "metrics") as writer:
        for step in range(4):
            writer.append(rows(step, step + 1, **{f"m{step}": 0.0}))
            writer.commit({})
    path = tmp_path / "metrics" / COMMITS
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"m1"', b'"mX"')
    path.write_bytes(b"".join(lines))
    assert ColumnReader().names(str(tmp_path)) == ["m0"]
