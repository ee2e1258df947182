"""A JSONL file with one writer: what a death in the middle, a full disk or a rotation may cost, and what not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragent_jupyter.domain.facts import FinishOrder, Order, StopOrder
from ragent_jupyter.runfiles import jsonl
from ragent_jupyter.runfiles.jsonl import LineWriter, Tail, append_line, atomic_write, publish, read_json_lines


def test_a_line_after_a_torn_tail_begins_on_a_line_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "facts.jsonl"
    path.write_bytes(b'{"seq":1}\n{"se')
    append_line(path, b'{"seq":2}')
    assert path.read_bytes() == b'{"seq":1}\n{"se\n{"seq":2}\n'


def test_a_line_may_not_hold_a_newline(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="newline"):
        append_line(tmp_path / "facts.jsonl", b"a\nb")
    assert not (tmp_path / "facts.jsonl").exists()


@pytest.mark.parametrize(
    ("found", "follows"),
    [
        (b"", 1),
        (b'{"seq":7}\n', 8),
        (b'{"seq":7}\n{"seq":8', 8),  # torn: that fact was never said
        (b'{"seq":7}\n{"seq":8}', 9),  # only its newline is missing, and the next append gives it one
        (b'{"seq":7}\nnot json\n[1]\n"x"\n', 8),
        (b'{"seq":7}\n' + b"x" * 200_000 + b"\n", 8),  # further back than the first look
        (b"\xff\x00garbage", 1),
    ],
)
def test_seq_goes_on_after_the_last_full_line(tmp_path: Path, found: bytes, follows: int) -> None:
    path = tmp_path / "facts.jsonl"
    path.write_bytes(found)
    with LineWriter(path) as writer:
        assert writer.next_seq == follows
        assert writer.append(b'{"seq":%d}' % follows, fsync=True) == follows
        assert writer.next_seq == follows + 1
    assert json.loads(path.read_bytes().splitlines()[-1]) == {"seq": follows}


def test_a_tail_gives_only_complete_lines_and_goes_on_from_its_offset(tmp_path: Path) -> None:
    path = tmp_path / "facts.jsonl"
    tail = Tail(path)
    assert tail.read() == []  # there is no such file yet
    path.write_bytes(b"one\ntw")
    assert tail.read() == [b"one"]
    assert tail.offset == 4
    with path.open("ab") as out:
        out.write(b"o\n\nthree\nf")
    again = Tail(path, tail.offset)  # another process, later
    assert again.read_at() == [(4, b"two"), (9, b"three")]
    assert again.offset == 15
    assert again.read() == []
    assert not again.reset


@pytest.mark.parametrize("how", ["truncated", "replaced", "rewritten longer"])
def test_a_file_that_is_no_longer_what_it_was_is_read_anew(tmp_path: Path, how: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"one\ntwo\n")
    tail = Tail(path)
    assert tail.read() == [b"one", b"two"]
    if how == "truncated":
        path.write_bytes(b"new\n")
    elif how == "replaced":
        (tmp_path / "next").write_bytes(b"new\n")
        os.replace(tmp_path / "next", path)
    else:
        path.write_bytes(b"new\n" + b"x" * 20 + b"\n")
    assert tail.read()[0] == b"new"
    assert tail.reset
    tail.read()
    assert not tail.reset


def test_blank_lines_do_not_look_like_the_end(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"\n\n\na\n")
    assert Tail(path).read(limit=1) == [b"a"]


def test_a_line_longer_than_any_of_ours_is_passed_over_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "MAX_LINE", 1000)
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"a\n" + b"x" * 5000)
    tail = Tail(path)
    assert tail.read(limit=10) == [b"a"]
    assert tail.read(limit=10) == []
    assert tail.offset == 2
    with path.open("ab") as out:
        out.write(b"yyy\nb\n" + b"z" * 500 + b"\nc\n")
    assert tail.read(limit=10) == [b"b"]
    assert tail.skipped == 5004
    assert tail.read(limit=10) == [b"z" * 500, b"c"]  # long, but a line


@settings(max_examples=60, deadline=None)
@given(pieces=st.lists(st.binary(max_size=40), max_size=12), limit=st.integers(1, 60))
def test_however_the_bytes_arrive_every_complete_line_is_read_once(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], limit: int
) -> None:
    path = tmp_path_factory.mktemp("tail") / "any"
    tail, seen = Tail(path), []
    path.touch()
    for piece in pieces:
        with path.open("ab") as out:
            out.write(piece)
        seen += tail.read_at(limit)
    while more := tail.read_at(limit):
        seen += more
    whole = b"".join(pieces)
    complete = whole[: whole.rfind(b"\n") + 1]
    assert [line for _, line in seen] == [line for line in complete.split(b"\n") if line]
    assert all(whole[at : at + len(line)] == line for at, line in seen)


def test_garbage_lines_are_reported_and_cost_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "orders.jsonl"
    lines = [b'{"type":"stop","seq":1,"order_id":"ord_a","at":1,"new":true}', b"\xff\xfe", b'{"type":"dance","seq":2}']
    path.write_bytes(b"\n".join([*lines, b'{"type":"finish","seq":3,"order_id":"ord_b","at":2}', b'{"type":']))
    garbage: list[bytes] = []
    assert read_json_lines(path, Order, garbage) == [
        StopOrder(seq=1, order_id="ord_a", at=1.0),
        FinishOrder(seq=3, order_id="ord_b", at=2.0),
    ]
    assert garbage == lines[1:]
    assert read_json_lines(tmp_path / "absent", Order) == []


def test_a_full_disk_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "live.json"
    atomic_write(path, b"old")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        atomic_write(path, b"new")
    with pytest.raises(OSError, match="No space"):
        publish(tmp_path / "exit.json", b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["live.json"]


def test_of_several_who_publish_the_first_wins(tmp_path: Path) -> None:
    path = tmp_path / "exit.json"
    assert publish(path, b"first")
    assert not publish(path, b"second")
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["exit.json"]


KILLED = """
import sys
sys.path.insert(0, sys.argv[1])
from ragent_jupyter.runfiles.jsonl import LineWriter, atomic_write
with LineWriter(sys.argv[2] + "/facts.jsonl") as w:
    for _ in range(3):
        w.append(b'{"seq":%d}' % w.next_seq)
atomic_write(sys.argv[2] + "/live.json", b"new")
"""


@pytest.mark.parametrize(
    ("at", "lines", "live"),
    [("jsonl.append:3", 2, "old"), ("jsonl.appended:3", 3, "old"), ("*:7", 3, "old"), ("jsonl.renamed:1", 3, "new")],
)
def test_a_kill_point_kills_in_the_middle_and_once(tmp_path: Path, at: str, lines: int, live: str) -> None:
    (tmp_path / "live.json").write_text("old")
    root = str(Path(__file__).parents[3])
    argv = [sys.executable, "-c", KILLED, root, str(tmp_path)]
    env = {**os.environ, "RAGENT_KILL_AT": f"{at}:{tmp_path / 'killed'}"}
    assert subprocess.run(argv, env=env, check=False, timeout=20).returncode == -signal.SIGKILL
    assert len((tmp_path / "facts.jsonl").read_bytes().splitlines()) == lines
    assert (tmp_path / "live.json").read_text() == live
    assert subprocess.run(argv, env=env, check=False, timeout=20).returncode == 0  # the marker: it lives now
    assert (tmp_path / "live.json").read_text() == "new"
