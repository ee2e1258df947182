"""A log is bytes of anybody's; what is shown of it is text and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.services.logs import clean, read_log, tail


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m\n", "red\n"),
        ("\x1b]0;title\x07text\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\n", "textlink\n"),
        ("\x1b]52;c;ZXZpbA==", ""),
        (" 10%\r 50%\r100%\ndone\n", "100%\ndone\n"),
        ("dos\r\nline\r\n", "dos\nline\n"),
        ("bell\x07 back\x08space\x00\n", "bell backspace\n"),
        ("tab\tstays\n", "tab\tstays\n"),
    ],
)
def test_control_is_stripped_and_progress_folds(raw: str, shown: str) -> None:
    assert clean(raw) == shown


@given(st.text(alphabet=st.sampled_from("\x1b[]0;m\x07\\\r\nab\x00\x9b"), max_size=60))
def test_nothing_that_a_terminal_obeys_is_left(raw: str) -> None:
    assert not set(clean(raw)) & {chr(c) for c in range(32) if chr(c) not in "\t\n"}


def test_pieces_put_together_are_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "job.log"
    whole = "".join(f"line {i} äöü\n" for i in range(500))
    path.write_text(whole)
    at, read = 0, ""
    while at < path.stat().st_size:
        piece = read_log(path, at, 777)
        assert piece.next > at
        read, at = read + piece.text, piece.next
    assert read == whole


def test_a_negative_offset_begins_at_a_line(tmp_path: Path) -> None:
    path = tmp_path / "job.log"
    path.write_text("first line\nsecond line\nthird\n")
    assert tail(path, 10) == "third\n"
    piece = read_log(path, -10, 100)
    assert (piece.offset, piece.next, piece.size) == (23, 29, 29)


def test_a_line_longer_than_a_piece_still_moves_on(tmp_path: Path) -> None:
    path = tmp_path / "job.log"
    path.write_text("x" * 5000)
    piece = read_log(path, 0, 1000)
    assert piece.next == 1000 and len(piece.text) == 1000


def test_a_log_that_is_not_there_reads_as_nothing(tmp_path: Path) -> None:
    assert read_log(tmp_path / "none", 5, 10).text == ""
    assert read_log(tmp_path / "none", -5, 10).size == 0


def test_an_offset_beyond_the_end_gives_nothing_and_the_end(tmp_path: Path) -> None:
    path = tmp_path / "job.log"
    path.write_text("a\n")
    piece = read_log(path, 10**12, 10)
    assert (piece.text, piece.next) == ("", 2)
