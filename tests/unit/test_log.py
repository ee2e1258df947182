"""ragent.log: every row is on disk when the call returns, and nothing of it ever stops a training."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter import _log
from ragent_jupyter.runfiles.sources.metrics_jsonl import MetricsJsonl


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    _log.finish()
    path = tmp_path / "metrics.jsonl"
    monkeypatch.setenv("RAGENT_METRICS_FILE", str(path))
    yield path
    _log.finish()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line]


def read_back(path: Path) -> list[tuple[int | None, dict[str, float]]]:
    """What the sidecar's source makes of the file."""
    source = MetricsJsonl(str(path))
    return [(row.step, row.values) for block in source.read(1 << 30, 0.0) for row in block.rows()]


def test_a_row_is_visible_when_the_call_returns(file: Path) -> None:
    for step in range(3):
        _log.log({"loss": 0.5 / (step + 1), "tokens": 10**6}, step=step)
        assert [(row["step"], row["loss"]) for row in lines(file)][-1] == (step, 0.5 / (step + 1))
    assert len(lines(file)) == 3
    assert lines(file)[0]["tokens"] == 10**6
    assert abs(lines(file)[0]["time"] - file.stat().st_mtime) < 60


def test_without_a_step_the_reader_counts(file: Path) -> None:
    _log.log({"loss": 1.0})
    _log.log(loss=0.5)
    assert "step" not in lines(file)[0]
    assert [step for step, _ in read_back(file)] == [0, 1]


def test_nan_and_infinities_reach_the_reader(file: Path) -> None:
    _log.log({"a": math.nan, "b": math.inf, "c": -math.inf, "d": 1.5}, step=7)
    [(step, values)] = read_back(file)
    assert step == 7
    assert math.isnan(values["a"])
    assert (values["b"], values["c"], values["d"]) == (math.inf, -math.inf, 1.5)


class Tensor:
    """Stands in for a 0-d tensor: something with __float__ and nothing else."""

    def __float__(self) -> float:
        return 2.5


def test_scalars_of_any_library_are_numbers(file: Path) -> None:
    _log.log(
        {
            "f32": np.float32(0.25),
            "f64": np.float64(math.nan),
            "i": np.int64(3),
            "d0": np.array(1.5),
            "t": Tensor(),
        },
        step=np.int64(4),
    )
    [(step, values)] = read_back(file)
    assert step == 4
    assert math.isnan(values.pop("f64"))
    assert values == {"f32": 0.25, "i": 3.0, "d0": 1.5, "t": 2.5}


def test_booleans_are_zero_and_one_and_large_integers_are_floats(file: Path) -> None:
    _log.log({"done": True, "flops": 10**30}, step=1)
    assert read_back(file) == [(1, {"done": 1.0, "flops": 1e30})]


def test_nested_dicts_are_flattened(file: Path) -> None:
    _log.log({"train": {"loss": 1.0, "acc": {"top1": 0.5}}, "lr": 0.1}, step=0)
    assert read_back(file) == [(0, {"train/loss": 1.0, "train/acc/top1": 0.5, "lr": 0.1})]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("1.5", "'bad' must be one number, not str '1.5'"),
        (None, "'bad' must be one number, not NoneType"),
        ([1.0], "'bad' must be one number, not list"),
        (np.zeros(3), "'bad' must be one number, not numpy.ndarray of shape (3,)"),
        (10**400, "'bad' must be one number"),
    ],
)
def test_a_bad_value_is_refused_by_name_and_nothing_is_logged(file: Path, value: object, said: str) -> None:
    with pytest.raises(TypeError) as caught:
        _log.log({"good": 1.0, "bad": value}, step=1)
    assert said in str(caught.value)
    assert not file.exists()


def test_a_bad_value_inside_a_nested_dict_is_named_with_its_path(file: Path) -> None:
    with pytest.raises(TypeError, match="'train/loss'"):
        _log.log({"train": {"loss": "x"}})


@pytest.mark.parametrize("step", ["3", 1.5, None.__class__, [1]])
def test_a_step_is_a_whole_number(file: Path, step: object) -> None:
    with pytest.raises(TypeError, match="step must be a whole number"):
        _log.log({"loss": 1.0}, step=step)  # type: ignore[arg-type]


def test_what_is_no_dict_is_refused(file: Path) -> None:
    with pytest.raises(TypeError, match="takes a dict of metrics, not float"):
        _log.log(0.5, step=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="needs metrics"):
        _log.log(step=1)


def test_threads_do_not_mix_their_rows(file: Path) -> None:
    def work(worker: int) -> None:
        for step in range(300):
            _log.log({f"loss_{worker}": float(step), "pad": 1.0 / 3.0}, step=step)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = lines(file)
    assert len(rows) == 1800
    for worker in range(6):
        assert [row["step"] for row in rows if f"loss_{worker}" in row] == list(range(300))


def test_a_forked_child_logs_too_and_repeats_nothing_of_its_parent(file: Path) -> None:
    _log.log({"a": 1.0}, step=0)
    _log._out.waiting.append(b'{"waiting":1}\n')
    _log._out.waiting_bytes = 14
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
    if not child:
        try:
            _log.log({"b": 1.0}, step=0)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    _log.log({"c": 1.0}, step=1)
    assert [sorted(set(row) - {"time", "step"}) for row in lines(file)] == [["a"], ["b"], ["waiting"], ["c"]]


def test_a_signal_handler_may_log_in_the_middle_of_a_log(file: Path) -> None:
    hits = 0

    def handler(*_: object) -> None:
        nonlocal hits
        hits += 1
        _log.log({"handled": float(hits)}, step=hits)

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        logged = 0
        while hits < 50:
            _log.log({"loss": 0.5}, step=logged)
            logged += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    rows = lines(file)
    assert sum("handled" in row for row in rows) == hits
    assert sum("loss" in row for row in rows) == logged


def test_half_a_row_of_a_killed_process_does_not_swallow_the_next(file: Path) -> None:
    file.write_bytes(b'{"loss": 1.0, "st')
    _log.log({"loss": 0.5}, step=2)
    assert read_back(file) == [(2, {"loss": 0.5})]


def test_a_file_that_was_moved_away_is_opened_anew(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _log.log({"loss": 1.0}, step=0)
    file.rename(file.with_suffix(".1"))
    monkeypatch.setattr(_log._out, "looked_at", 0.0)  # a second has passed
    _log.log({"loss": 0.5}, step=1)
    assert [row["step"] for row in lines(file)] == [1]


def test_a_closed_descriptor_loses_no_row(file: Path) -> None:
    """Daemons close every descriptor they find."""
    _log.log({"loss": 1.0}, step=0)
    os.close(_log._out.fd)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _log.log({"loss": 0.5}, step=1)
        _log.log({"loss": 0.2}, step=2)
    assert [row["step"] for row in lines(file)] == [0, 1, 2]


def test_a_full_disk_warns_once_and_stops_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    _log.finish()
    monkeypatch.setenv("RAGENT_METRICS_FILE", "/dev/full")
    with pytest.warns(UserWarning, match="No space left") as caught:
        for step in range(20):
            _log.log({"loss": 0.5}, step=step)
    assert len(caught) == 1
    _log._out.close()
    _log._out.path = str(file)  # space again
    _log.log({"loss": 0.5}, step=20)
    assert [row["step"] for row in lines(file)] == list(range(21))


def test_rows_beyond_the_memory_bound_are_counted_and_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_log, "WAITING_BYTES", 400)
    _log.log({"loss": 0.5}, step=0)
    with pytest.MonkeyPatch.context() as patch, pytest.warns(UserWarning, match="cannot write"):
        patch.setattr(_log, "_write", refuse)
        patch.setattr(os, "write", refuse)
        for step in range(1, 20):
            _log.log({"loss": 0.5}, step=step)
    kept = len(_log._out.waiting)
    assert 0 < kept < 19
    with pytest.warns(UserWarning, match=f"{19 - kept} rows did not fit"):
        _log.log({"loss": 0.5}, step=20)
    assert [row["step"] for row in lines(file)] == [0, *range(1, kept + 1), 20]


def refuse(fd: int, data: bytes) -> int:
    raise OSError(28, "No space left on device")


FSIZE = """
import resource, sys, warnings
warnings.simplefilter("ignore")
from ragent_jupyter import _log
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))     # in the middle of a row
for step in range(100):
    _log.log({"loss": 1.0 / 3.0}, step=step)
assert len(_log._out.waiting) > 50, len(_log._out.waiting)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
_log.log({"loss": 1.0 / 3.0}, step=100)
"""


def test_a_write_that_was_cut_in_the_middle_of_a_row_is_made_whole(file: Path) -> None:
    subprocess.run([sys.executable, "-c", FSIZE], check=True, timeout=30)
    assert [step for step, _ in read_back(file)] == list(range(101))


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_row_cut_anywhere_is_read_exactly_once(tmp_path: Path, cut: int) -> None:
    line = b'{"loss":0.5}\n'
    path = tmp_path / "cut.jsonl"
    at = len(line) - cut
    path.write_bytes(line[:at] + _log._remainder(line, at))
    assert read_back(path) == [(0, {"loss": 0.5})]


NO_MSGSPEC = """
import sys
sys.modules["msgspec"] = sys.modules["msgspec.json"] = None
from ragent_jupyter import _log
_log.log({"loss": float("nan"), "lr": 0.1, "n": 3}, step=1)
assert _log._Encoder is None
assert not {"numpy", "tornado", "asyncio"} & set(sys.modules)
"""


def test_training_environments_need_nothing_but_python(file: Path) -> None:
    subprocess.run([sys.executable, "-c", NO_MSGSPEC], check=True, timeout=30)
    [(step, values)] = read_back(file)
    assert step == 1
    assert math.isnan(values["loss"])
    assert values["lr"] == 0.1
    assert values["n"] == 3


def test_without_ragent_around_an_interactive_run_is_opened_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _log.finish()
    monkeypatch.delenv("RAGENT_METRICS_FILE", raising=False)
    calls: list[str] = []
    fake = types.ModuleType("ragent_jupyter._interactive")
    fake.open_run = lambda: calls.append("open") or str(tmp_path / "m.jsonl")  # type: ignore[attr-defined]
    fake.close_run = lambda: calls.append("close")  # type: ignore[attr-defined]
    import ragent_jupyter

    monkeypatch.setitem(sys.modules, "ragent_jupyter._interactive", fake)
    monkeypatch.setattr(ragent_jupyter, "_interactive", fake, raising=False)
    _log.log({"loss": 1.0})
    _log.log({"loss": 0.5})
    _log.finish()
    _log.finish()
    assert calls == ["open", "close"]
    assert len(lines(tmp_path / "m.jsonl")) == 2


# "step", "time" and the names that begin with "_" mean something to the reader.
NAMES = st.text(min_size=1, max_size=20).filter(lambda name: name not in ("step", "time") and name[0] != "_")
NUMBERS = st.floats() | st.integers(min_value=-(2**53), max_value=2**53)


@given(row=st.dictionaries(NAMES, NUMBERS, min_size=1, max_size=8), step=st.integers(0, 2**53))
def test_any_name_and_any_number_come_back(row: dict[str, float], step: int) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / "metrics.jsonl"
        patch.setenv("RAGENT_METRICS_FILE", str(path))
        _log.log(row, step=step)
        _log.finish()
        [(got_step, got)] = read_back(path)
    assert got_step == step
    assert {name: repr(float(value)) for name, value in row.items()} == {n: repr(v) for n, v in got.items()}
