"""metrics.jsonl as training code really writes it."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragent_jupyter.domain.metrics import Row
from ragent_jupyter.runfiles.sources.metrics_jsonl import MetricsJsonl

NOW = 1_790_000_000.0


def rows_of(source: MetricsJsonl, limit: int = 1 << 20, *, final: bool = False) -> list[Row]:
    rows: list[Row] = []
    while True:
        blocks = source.read(limit, NOW, final=final)
        rows += [row for block in blocks for row in block.rows()]
        if not blocks and not source.more:
            return rows


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def read_text(file: Path, text: str | bytes, **options: bool) -> list[Row]:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return rows_of(MetricsJsonl(str(file)), **options)


def test_rows_come_with_their_step_time_and_place(file: Path) -> None:
    lines = '{"step": 3, "loss": 0.5, "time": 1790000001.5}\n{"step": 4, "loss": 1}\n'
    first, second = read_text(file, lines)
    assert first == Row(3, 1790000001.5, {"loss": 0.5}, 0)
    assert second == Row(4, NOW, {"loss": 1.0}, lines.index('{"step": 4'))


@pytest.mark.parametrize(
    ("token", "value"),
    [("NaN", "nan"), ("Infinity", "inf"), ("-Infinity", "-inf"), ("1e400", "inf"), ('"nan"', "nan"), ('"-inf"', "-inf"),
     ('"Infinity"', "inf"), ("nan", "nan"), ("-inf", "-inf")],
)  # fmt: skip
def test_what_is_not_finite_is_a_value_in_every_spelling(file: Path, token: str, value: str) -> None:
    rows = read_text(file, f'{{"step": 1, "loss": 2.0}}\n{{"step": 2, "loss": {token}}}\n{{"step": 3, "loss": 1.0}}\n')
    assert [row.step for row in rows] == [1, 2, 3]
    assert repr(rows[1].values["loss"]) == value


def test_all_spellings_among_many_rows_of_one_shape(file: Path) -> None:
    tokens = {
        10: "NaN",
        20: "Infinity",
        30: "-Infinity",
        40: '"nan"',
        50: "1e400",
        60: "1.7976931348623157e308",
        70: "null",
    }
    lines = [f'{{"step": {i}, "loss": {tokens.get(i, "1.5")}, "note": "NaN?"}}' for i in range(400)]
    rows = read_text(file, "".join(line + "\n" for line in lines) * 3)
    assert len(rows) == 3 * 399
    odd = {row.step: repr(row.values["loss"]) for row in rows if row.values["loss"] != 1.5}
    assert odd == {10: "nan", 20: "inf", 30: "-inf", 40: "nan", 50: "inf", 60: "1.7976931348623157e+308"}


def test_what_is_no_number_is_no_metric(file: Path) -> None:
    row = read_text(file, '{"step": 1, "loss": 2, "name": "x", "done": true, "tags": [1, 2], "note": null}\n')[0]
    assert row.values == {"loss": 2.0}


def test_nested_objects_are_flattened(file: Path) -> None:
    assert read_text(file, '{"step": 1, "train": {"loss": 2, "acc": {"top1": 0.5}}}\n')[0].values == {
        "train/loss": 2.0,
        "train/acc/top1": 0.5,
    }


def test_the_w_and_b_spelling_of_step_and_time(file: Path) -> None:
    row = read_text(file, '{"_step": 7, "_timestamp": 1790000002.0, "_runtime": 12.0, "loss": 1.0}\n')[0]
    assert row == Row(7, 1790000002.0, {"loss": 1.0}, 0)


def test_a_time_that_can_be_no_date_is_a_metric(file: Path) -> None:
    lines = "".join(f'{{"step": {i}, "time": 0.25, "loss": 1.0}}\n' for i in range(40))
    rows = read_text(file, lines)
    assert len(rows) == 40
    assert all(row.values == {"time": 0.25, "loss": 1.0} and row.time == NOW for row in rows)


def test_a_text_as_time(file: Path) -> None:
    assert read_text(file, '{"step": 1, "timestamp": "2026-09-21T13:33:20Z", "loss": 1}\n')[0].time == 1789997600.0


def test_event_rows_of_another_kind_disturb_nothing(file: Path) -> None:
    rows = read_text(
        file,
        '{"event": "train_start", "config": {"lr": "x"}}\n'
        + "".join(
            f'{{"step": {i}, "loss": {i}.5}}\n' + f'{{"step": {i}, "eval_loss": 1}}\n' * (i % 10 == 0)
            for i in range(100)
        ),
    )
    assert [row.values["loss"] for row in rows if "loss" in row.values] == [i + 0.5 for i in range(100)]
    assert [row.step for row in rows if "eval_loss" in row.values] == list(range(0, 100, 10))


def test_a_key_that_comes_later_is_not_passed_over(file: Path) -> None:
    lines = [f'{{"step": {i}, "loss": 1.5' + (', "acc": 0.5}' if i >= 50 else "}") for i in range(100)]
    rows = read_text(file, "".join(line + "\n" for line in lines))
    assert [row.step for row in rows if "acc" in row.values] == list(range(50, 100))
    assert len(rows) == 100


def test_rows_without_a_step_count_and_an_eval_row_stands_beside_its_step(file: Path) -> None:
    rows = read_text(file, '{"loss": 3}\n{"loss": 2}\n{"eval_loss": 9}\n{"loss": 1}\n')
    assert [(row.step, *row.values) for row in rows] == [(0, "loss"), (1, "loss"), (1, "eval_loss"), (2, "loss")]


def test_a_torn_line_waits_for_its_end(file: Path) -> None:
    file.write_text('{"step": 1, "loss": 1.0}\n{"step": 2, "lo')
    source = MetricsJsonl(str(file))
    assert [row.step for row in rows_of(source)] == [1]
    with file.open("a") as out:
        out.write('ss": 0.5}\n')
    assert [(row.step, row.values["loss"]) for row in rows_of(source)] == [(2, 0.5)]


def test_the_last_line_needs_no_newline_once_nobody_writes(file: Path) -> None:
    text = '{"step": 1, "loss": 1.0}\n{"step": 2, "loss": 0.5}'
    assert [row.step for row in read_text(file, text)] == [1]
    assert [row.step for row in read_text(file, text, final=True)] == [1, 2]


def test_garbage_is_skipped_and_counted(file: Path) -> None:
    file.write_bytes(b'{"step": 1, "loss": 1}\nTraceback (most recent\n\xff\xfe{\n[1, 2]\n\n{"step": 2, "loss": 2}\n')
    source = MetricsJsonl(str(file))
    assert [row.step for row in rows_of(source)] == [1, 2]
    assert source.garbage == 3


def test_windows_line_ends_and_nul_padding_after_a_crash(file: Path) -> None:
    rows = read_text(file, b'{"step": 1, "loss": 1}\r\n' + b"\0" * 5000 + b'{"step": 2, "loss": 2}\r\n')
    assert [row.step for row in rows] == [1, 2]


def test_space_reserved_by_the_writer_is_not_passed_over(file: Path) -> None:
    file.write_bytes(b'{"step": 1, "loss": 1}\n' + b"\0" * 300)
    source = MetricsJsonl(str(file))
    assert [row.step for row in rows_of(source)] == [1]
    with file.open("r+b") as out:
        out.seek(23)
        out.write(b'{"step": 2, "loss": 2}\n')
    assert [row.step for row in rows_of(source)] == [2]


def test_a_truncated_file_is_read_anew(file: Path) -> None:
    file.write_text('{"step": 1, "loss": 1}\n{"step": 2, "loss": 2}\n')
    source = MetricsJsonl(str(file))
    rows_of(source)
    file.write_text('{"step": 5, "loss": 5}\n')
    assert [row.step for row in rows_of(source)] == [5]
    assert source.generation == 1


def test_a_file_cut_short_and_grown_beyond_our_offset_between_two_looks(file: Path) -> None:
    file.write_text('{"step": 1, "loss": 1}\n')
    source = MetricsJsonl(str(file))
    rows_of(source)
    file.write_text('{"step": 7, "loss": 7.25}\n{"step": 8, "loss": 8}\n')
    assert [row.step for row in rows_of(source)] == [7, 8]


def test_a_rotated_file_is_finished_before_the_new_one_is_opened(file: Path) -> None:
    file.write_text('{"step": 1, "loss": 1}\n')
    source = MetricsJsonl(str(file))
    rows_of(source)
    with file.open("a") as out:
        out.write('{"step": 2, "loss": 2}\n')
    file.rename(file.with_name("metrics.jsonl.1"))
    file.write_text('{"step": 3, "loss": 3}\n')
    assert [row.step for row in rows_of(source)] == [2, 3]


def test_a_rotation_while_nobody_watched(file: Path) -> None:
    file.write_text('{"step": 1, "loss": 1}\n')
    source = MetricsJsonl(str(file))
    rows_of(source)
    state = json.loads(json.dumps(source.state()))
    source.close()
    with file.open("a") as out:
        out.write('{"step": 2, "loss": 2}\n')
    file.rename(file.with_name("metrics.jsonl.1"))
    file.write_text('{"step": 3, "loss": 3}\n')
    assert [row.step for row in rows_of(MetricsJsonl(str(file), state))] == [2, 3]


def test_going_on_from_a_state_gives_the_rest_and_nothing_twice(file: Path) -> None:
    file.write_text("".join(f'{{"loss": {i}}}\n' for i in range(100)))
    source = MetricsJsonl(str(file))
    first = [row for block in source.read(300, NOW) for row in block.rows()]
    state = json.loads(json.dumps(source.state()))
    rest = rows_of(MetricsJsonl(str(file), state))
    assert [row.step for row in first + rest] == list(range(100))
    assert MetricsJsonl(str(file), state).reached(state)


def test_until_stops_where_the_other_one_stood(file: Path) -> None:
    file.write_text("".join(f'{{"loss": {i}}}\n' for i in range(100)))
    source = MetricsJsonl(str(file))
    first = [row for block in source.read(300, NOW) for row in block.rows()]
    again = MetricsJsonl(str(file))
    derived = [row for block in again.read(1 << 20, NOW, until=source.state()) for row in block.rows()]
    assert derived == first
    assert again.reached(source.state())
    assert not again.read(1 << 20, NOW, until=source.state())


def test_ten_gigabytes_of_nothing_cost_nothing(file: Path) -> None:
    with file.open("wb") as out:
        out.write(b'{"step": 1, "loss": 1}\n')
        out.seek(10 << 30)
        out.write(b'{"step": 2, "loss": 2}\n')
    source = MetricsJsonl(str(file))
    rows: list[Row] = []
    for _ in range(8):
        rows += [row for block in source.read(1 << 20, NOW) for row in block.rows()]
    assert [row.step for row in rows] == [1, 2]


def test_a_line_without_end_is_given_up_in_bounded_memory(file: Path) -> None:
    file.write_bytes(b'{"step": 1, "loss": 1}\n' + b"x" * (9 << 20) + b'\n{"step": 2, "loss": 2}\n')
    source = MetricsJsonl(str(file))
    assert [row.step for row in rows_of(source)] == [1, 2]
    assert source.garbage >= 1


def test_one_read_is_bounded(file: Path) -> None:
    file.write_text('{"step": 1, "loss": 1.0}\n' * 100_000)
    source = MetricsJsonl(str(file))
    blocks = source.read(1 << 16, NOW)
    assert sum(block.points for block in blocks) <= (1 << 16) / 20
    assert source.more


def test_steps_and_numbers_beyond_any_column(file: Path) -> None:
    rows = read_text(
        file,
        '{"step": 1, "loss": 1}\n' * 20 + f'{{"step": {10**30}, "loss": {10**400}}}\n' + '{"step": 0.5, "loss": 2}\n',
    )
    assert rows[-2].values["loss"] == math.inf
    assert len(rows) == 22


VALUES = st.one_of(
    st.floats(), st.integers(-(10**20), 10**20), st.text(max_size=4), st.booleans(), st.none(),
    st.sampled_from(["nan", "inf"]), st.dictionaries(st.sampled_from("xy"), st.floats(), max_size=2),
)  # fmt: skip
ROWS = st.lists(
    st.dictionaries(st.sampled_from(["step", "time", "loss", "acc", "eval/loss", ""]), VALUES, max_size=5), max_size=40
)


@settings(max_examples=150, deadline=None)
@given(rows=ROWS, repeat=st.integers(1, 30), seed=st.integers(0, 1000))
def test_however_it_is_cut_the_rows_are_those_of_a_line_by_line_reading(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]], repeat: int, seed: int
) -> None:
    file = tmp_path_factory.mktemp("rows") / "metrics.jsonl"
    lines = [json.dumps(row) for row in rows for _ in range(repeat)]
    file.write_text("".join(line + "\n" for line in lines))
    whole = rows_of(MetricsJsonl(str(file)))
    single = rows_of(MetricsJsonl(str(file)), 1)
    dice = random.Random(seed)
    source, cut = MetricsJsonl(str(file)), []
    while True:
        blocks = source.read(dice.randrange(1, 400), NOW)
        cut += [row for block in blocks for row in block.rows()]
        if not blocks and not source.more:
            break
    assert repr(whole) == repr(single) == repr(cut)


def test_the_largest_step_may_be_followed_by_rows_without_one(file: Path) -> None:
    largest = 2**63 - 1024  # that a float can spell
    rows = read_text(file, f'{{"step": {largest}, "loss": 1}}\n' + '{"loss": 2}\n' * 2000)
    assert rows[0].step == largest and len(rows) == 2001


def test_half_a_surrogate_in_a_name_is_replaced(file: Path) -> None:
    rows = read_text(file, '{"step": 1, "a\\ud800": 1}\n{"step": 2, "a\\ud800": 2}\n{"step": 3, "loss": 3}\n')
    assert [row.values for row in rows] == [{"a?": 1.0}, {"a?": 2.0}, {"loss": 3.0}]


def test_objects_nested_beyond_reason_are_passed_over(file: Path) -> None:
    deep = '{"a": ' * 950 + "1" + "}" * 950
    rows = read_text(file, deep + '\n{"step": 2, "loss": 3}\n')
    assert [row.values for row in rows] == [{"loss": 3.0}]
