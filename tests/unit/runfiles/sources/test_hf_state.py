"""trainer_state.json: rewritten whole, read once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ragent_jupyter.domain.metrics import Row
from ragent_jupyter.runfiles.sources.hf_state import HfState, history_of
from ragent_jupyter.runfiles.sources.pairs import Pairs

NOW = 1_790_000_000.0


def save(folder: Path, step: int, history: list[dict[str, Any]]) -> None:
    target = folder / f"checkpoint-{step}"
    target.mkdir(parents=True, exist_ok=True)
    (target / "trainer_state.json").write_text(json.dumps({"global_step": step, "log_history": history}))


def entries(*steps: int) -> list[dict[str, Any]]:
    return [{"step": step, "loss": 10.0 / (step + 1), "epoch": step / 100} for step in steps]


def rows_of(source: HfState) -> list[Row]:
    return [row for block in source.read(1 << 20, NOW) for row in block.rows()]


def test_each_checkpoint_gives_only_its_new_entries(tmp_path: Path) -> None:
    source = HfState(str(tmp_path), id="hf")
    assert rows_of(source) == []
    save(tmp_path, 20, entries(10, 20))
    assert [(row.step, row.offset) for row in rows_of(source)] == [(10, 0), (20, 1)]
    assert rows_of(source) == []
    save(tmp_path, 40, [*entries(10, 20), {"step": 40, "loss": float("nan")}])
    source = HfState(str(tmp_path), json.loads(json.dumps(source.state())), id="hf")
    (row,) = rows_of(source)
    assert (row.step, repr(row.values["loss"])) == (40, "nan")


def test_a_history_taken_over_from_before_the_launch_does_not_count(tmp_path: Path) -> None:
    save(tmp_path, 20, entries(10, 20))
    source = HfState(str(tmp_path), id="hf", baseline=history_of(str(tmp_path)))
    assert rows_of(source) == []
    save(tmp_path, 30, entries(10, 20, 30))
    assert [row.step for row in rows_of(source)] == [30]


def test_a_half_written_file_is_read_when_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "trainer_state.json"
    text = json.dumps({"log_history": entries(1, 2)})
    file.write_text(text[:50])
    source = HfState(str(tmp_path), id="hf")
    assert rows_of(source) == []
    file.write_text(text)
    assert len(rows_of(source)) == 2


def test_an_older_checkpoint_taken_up_again_doubles_nothing(tmp_path: Path) -> None:
    source = HfState(str(tmp_path), id="hf")
    save(tmp_path, 30, entries(10, 20, 30))
    rows_of(source)
    save(tmp_path, 40, [*entries(10), {"step": 20, "loss": 7}, {"step": 40, "loss": 5}])
    assert [row.step for row in rows_of(source)] == [40]


def test_two_bare_columns(tmp_path: Path) -> None:
    file = tmp_path / "losses.txt"
    file.write_text("1 8.5\n2 nan\nhello\n3, 7\n")
    source = Pairs(str(file), id="p")
    rows = [row for block in source.read(1 << 20, NOW) for row in block.rows()]
    assert [(row.step, repr(row.values["loss"])) for row in rows] == [(1, "8.5"), (2, "nan"), (3, "7.0")]
    assert source.garbage == 1
