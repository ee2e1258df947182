"""CSV logs as Lightning, Keras, SB3 and people write them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ragent_jupyter.domain.metrics import Row
from ragent_jupyter.runfiles.sources.csv_file import CsvFile

NOW = 1_790_000_000.0


def rows_of(source: CsvFile, limit: int = 1 << 20, *, final: bool = False) -> list[Row]:
    rows: list[Row] = []
    while True:
        blocks = source.read(limit, NOW, final=final)
        rows += [row for block in blocks for row in block.rows()]
        if not blocks and not source.more:
            return rows


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "metrics.csv"


def test_an_empty_cell_is_an_absent_value(file: Path) -> None:
    file.write_text("epoch,step,train_loss,val_loss\n0,9,0.5,\n0,9,,0.6\n1,19,nan,\n")
    rows = rows_of(CsvFile(str(file), id="m"))
    assert [row.step for row in rows] == [9, 9, 19]
    assert rows[0].values == {"epoch": 0.0, "train_loss": 0.5}
    assert rows[1].values == {"epoch": 0.0, "val_loss": 0.6}
    assert repr(rows[2].values["train_loss"]) == "nan"


def test_a_rewrite_with_a_new_column_gives_no_row_twice(file: Path) -> None:
    file.write_text("step,loss\n" + "".join(f"{i},0.{i}\n" for i in range(5)))
    source = CsvFile(str(file), id="m")
    assert len(rows_of(source)) == 5
    file.write_text("step,loss,val_loss\n" + "".join(f"{i},0.{i},\n" for i in range(5)) + "5,0.5,0.9\n")
    assert [(row.step, row.values) for row in rows_of(source)] == [(5, {"loss": 0.5, "val_loss": 0.9})]


@pytest.mark.parametrize("cut", [3, 15, 25, 40, 60])
def test_a_rewrite_seen_half_way_gives_no_row_twice(file: Path, cut: int) -> None:
    file.write_text("step,loss\n" + "".join(f"{i},0.{i}\n" for i in range(9)))
    source = CsvFile(str(file), id="m")
    rows_of(source)
    whole = "step,loss,val_loss\n" + "".join(f"{i},0.{i},\n" for i in range(9)) + "9,0.5,0.9\n"
    file.write_text(whole[:cut])
    assert rows_of(source) == []
    with file.open("a") as out:
        out.write(whole[cut:])
    assert [row.step for row in rows_of(source)] == [9]


def test_another_log_under_the_same_name_is_read_whole(file: Path) -> None:
    file.write_text("step,loss\n0,0.5\n1,0.4\n")
    source = CsvFile(str(file), id="m")
    rows_of(source)
    file.unlink()
    file.write_text("step,loss\n0,0.9\n1,0.8\n")
    assert [row.values["loss"] for row in rows_of(source)] == [0.9, 0.8]


def test_the_monitor_of_stable_baselines(file: Path) -> None:
    file.write_text('#{"t_start": 1619623497.5, "env_id": "Walker"}\nr,l,t\n16.2,16,3.5\n17.0,11,4.5\n')
    rows = rows_of(CsvFile(str(file), id="m"))
    assert rows[0].values == {"episode_reward": 16.2, "episode_length": 16.0}
    assert [(row.step, row.time) for row in rows] == [(0, 1619623501.0), (1, 1619623502.0)]


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("epoch,loss\n3,0.5\n", [3]),
        ("loss,acc\n1,2\n1,2\n", [0, 1]),
        ("step\tloss\n7\t0.5\n", [7]),
        ("\ufeffstep;loss\r\n7;0.5\r\n", [7]),
        ('"step","loss"\n"7","0.5"\n', [7]),
        ("step,loss\n1,0.5\nstep,loss\n2,0.5\n", [1, 2]),
    ],
)
def test_headers_and_delimiters(file: Path, text: str, steps: list[int]) -> None:
    file.write_text(text, newline="")
    assert [row.step for row in rows_of(CsvFile(str(file), id="m"))] == steps


def test_rows_from_before_the_launch_are_passed_over(file: Path) -> None:
    file.write_text("step,loss\n" + "".join(f"{i},1\n" for i in range(6)))
    assert [row.step for row in rows_of(CsvFile(str(file), id="m", skip_rows=4))] == [4, 5]


def test_going_on_from_a_state_in_every_place(file: Path) -> None:
    lines = ["step,loss,name\n", *(f"{i},0.{i},x\n" for i in range(10)), "torn"]
    file.write_text("")
    rows: list[Row] = []
    state = None
    for line in lines:
        with file.open("a") as out:
            out.write(line)
        source = CsvFile(str(file), state, id="m")
        rows += rows_of(source)
        state = json.loads(json.dumps(source.state()))
        source.close()
    assert [(row.step, row.values["loss"]) for row in rows] == [(i, float(f"0.{i}")) for i in range(10)]


def test_garbage_rows_are_counted(file: Path) -> None:
    file.write_text("step,loss\n1,2\n1,2,3,4\nTraceback\n2,2\n")
    source = CsvFile(str(file), id="m")
    assert [row.step for row in rows_of(source)] == [1, 2]
    assert source.garbage == 1
