"""Event files: framing, both kinds of scalars, torn records, several files."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

import pytest

from ragent_jupyter.domain.metrics import Row
from ragent_jupyter.runfiles.sources.tensorboard import EventFile

NOW = 1.0
REAL = Path(__file__).parents[3] / "data" / "real-logs" / "events.out.tfevents.algoperf-deepspeech-nan"


def varint(value: int) -> bytes:
    out = b""
    value &= (1 << 64) - 1
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def record(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + b"CRC_" + data + b"_CRC"


def event(step: int, wall: float, *values: bytes) -> bytes:
    summary = b"".join(field(1, value) for value in values)
    return record(b"\x09" + struct.pack("<d", wall) + b"\x10" + varint(step) + field(5, summary))


def scalar(tag: str, value: float) -> bytes:
    return field(1, tag.encode()) + b"\x15" + struct.pack("<f", value)


def tensor(tag: str, dtype: int, content: bytes) -> bytes:
    return field(1, tag.encode()) + field(8, b"\x08" + varint(dtype) + field(2, b"") + content)


def rows_of(source: EventFile, limit: int = 1 << 20) -> list[Row]:
    rows: list[Row] = []
    while True:
        blocks = source.read(limit, NOW)
        rows += [row for block in blocks for row in block.rows()]
        if not blocks and not source.more:
            return rows


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "events.out.tfevents.1.host"


def test_scalars_of_version_1_with_their_own_clock(file: Path) -> None:
    file.write_bytes(
        record(b"\x1a\x0dbrain.Event:2") + event(3, 1.7e9, scalar("loss", 0.5)) + event(-1, 1.7e9, scalar("x", 1))
    )
    assert rows_of(EventFile(str(file), id="tb")) == [
        Row(3, 1.7e9, {"loss": 0.5}, 31),
        Row(-1, 1.7e9, {"x": 1.0}, 31 + len(event(3, 1.7e9, scalar("loss", 0.5)))),
    ]


@pytest.mark.parametrize(
    ("dtype", "content", "value"),
    [
        (1, field(4, struct.pack("<f", 0.25)), 0.25),
        (2, field(4, struct.pack("<d", 0.1)), 0.1),
        (1, field(5, struct.pack("<f", 2.5)), 2.5),
        (2, b"\x31" + struct.pack("<d", 0.1), 0.1),
        (9, b"\x50" + varint(-7), -7.0),
        (3, field(7, varint(12)), 12.0),
        (14, field(4, b"\x80\x3f"), 1.0),
    ],
)
def test_scalars_of_version_2_are_tensors(file: Path, dtype: int, content: bytes, value: float) -> None:
    file.write_bytes(event(1, 1.7e9, tensor("loss", dtype, content)))
    assert [row.values for row in rows_of(EventFile(str(file), id="tb"))] == [{"loss": value}]


def test_texts_pictures_and_histograms_are_no_metrics(file: Path) -> None:
    shape = field(2, b"\x08\x02")
    text = tensor("note", 7, field(8, b"hello"))
    pair = field(1, b"hist") + field(8, b"\x08\x01" + field(2, shape) + field(4, b"12345678"))
    file.write_bytes(event(1, 1.7e9, text, pair, scalar("loss", 1.0)))
    assert [row.values for row in rows_of(EventFile(str(file), id="tb"))] == [{"loss": 1.0}]


def test_the_tags_of_one_step_are_one_row(file: Path) -> None:
    file.write_bytes(b"".join(event(s, 1.7e9, scalar(tag, s)) for s in (1, 2) for tag in ("loss", "acc")))
    assert [(row.step, row.values) for row in rows_of(EventFile(str(file), id="tb"))] == [
        (1, {"loss": 1.0, "acc": 1.0}),
        (2, {"loss": 2.0, "acc": 2.0}),
    ]


def test_a_torn_record_waits_and_any_cut_gives_the_same(file: Path) -> None:
    data = b"".join(event(s, 1.7e9 + s, scalar("loss", s), scalar("nan", math.nan)) for s in range(20))
    file.write_bytes(data)
    whole = rows_of(EventFile(str(file), id="tb"))
    assert len(whole) == 20
    file.write_bytes(b"")
    source, cut, state = None, [], None
    for at in range(0, len(data), 37):
        with file.open("ab") as out:
            out.write(data[at : at + 37])
        source = EventFile(str(file), state, id="tb")
        cut += rows_of(source)
        state = json.loads(json.dumps(source.state()))
        source.close()
    assert repr(cut) == repr(whole)


def test_a_large_record_is_stepped_over(file: Path) -> None:
    file.write_bytes(record(b"\0" * (9 << 20)) + event(1, 1.7e9, scalar("loss", 1.0)))
    assert len(rows_of(EventFile(str(file), id="tb"), 1 << 16)) == 1


def test_what_is_no_event_file_is_left_alone(file: Path) -> None:
    file.write_bytes(b"\xff" * 4096)
    source = EventFile(str(file), id="tb")
    assert rows_of(source) == []
    assert source.garbage == 1


def test_a_broken_record_costs_only_itself(file: Path) -> None:
    file.write_bytes(record(b"\x2a\xff\xff\xff") + event(1, 1.7e9, scalar("loss", 1.0)))
    source = EventFile(str(file), id="tb")
    assert len(rows_of(source)) == 1
    assert source.garbage == 1


def test_events_from_before_the_launch_do_not_count(file: Path) -> None:
    file.write_bytes(event(1, 1.6e9, scalar("loss", 1.0)) + event(2, 1.8e9, scalar("loss", 2.0)))
    assert [row.step for row in rows_of(EventFile(str(file), id="tb", since=1.7e9))] == [2]


def test_a_prefix_tells_two_folders_apart(file: Path) -> None:
    file.write_bytes(event(1, 1.7e9, scalar("epoch_loss", 1.0)))
    assert rows_of(EventFile(str(file), id="tb", prefix="validation/"))[0].values == {"validation/epoch_loss": 1.0}


@pytest.mark.parametrize("limit", [100, 999, 1 << 16, 1 << 20])
def test_a_real_file_reads_the_same_in_any_pieces(limit: int) -> None:
    points = [
        (row.step, name, repr(value))
        for row in rows_of(EventFile(str(REAL), id="tb"), limit)
        for name, value in row.values.items()
    ]
    assert len(points) == 1878
    assert sum(name == "loss" and value == "nan" for _, name, value in points) == 281
    assert min(step for step, name, value in points if (name, value) == ("loss", "nan")) == 19900
