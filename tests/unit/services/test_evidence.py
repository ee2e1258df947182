"""Lines of a log with their true places, whatever the log holds."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.rules.diagnose.words import LogLine
from ragent_jupyter.services.evidence import log_lines


def truth(data: bytes, line: LogLine) -> bytes:
    assert line.offset == 0 or data[line.offset - 1 : line.offset] == b"\n"
    if line.number:
        assert data[: line.offset].count(b"\n") + 1 == line.number
    return data[line.offset :].split(b"\n", 1)[0]


def test_a_long_log_is_read_at_both_ends_with_numbers_and_offsets(tmp_path: Path) -> None:
    path = tmp_path / "job.log"
    data = b"".join(b"step %d loss 0.5\n" % n for n in range(5000)) + b"last words"
    path.write_bytes(data)
    found = log_lines(path, head=1000, tail=2000)
    assert found[0] == LogLine(1, 0, "step 0 loss 0.5") and found[-1].text == "last words"
    assert found[-1].number == 5001 and 100 < len(found) < 300
    assert all(truth(data, line).decode() == line.text for line in found)


def test_no_log_an_empty_one_and_control_sequences(tmp_path: Path) -> None:
    path = tmp_path / "job.log"
    assert log_lines(path) == []
    path.write_bytes(b"")
    assert log_lines(path) == []
    path.write_bytes(b"\x1b[31mred\x1b[0m\n10%\r20%\n\0\0hole\n\xff\xfe\n")
    assert [line.text for line in log_lines(path)] == ["red", "20%", "hole", "\ufffd\ufffd"]


def test_secrets_are_blacked_out_before_anything_is_cited(tmp_path: Path) -> None:
    path = tmp_path / "job.log"
    path.write_text("ok\nOPENAI_API_KEY=sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD\nValueError: x\n")
    found = log_lines(path)
    assert "sk-proj" not in found[1].text and found[2] == LogLine(
        3, path.read_text().index("ValueError"), "ValueError: x"
    )


@given(st.binary(max_size=400), st.integers(1, 60), st.integers(1, 60))
def test_every_line_says_where_it_stands(data: bytes, head: int, tail: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.log"
        path.write_bytes(data)
        for line in log_lines(path, head=head, tail=tail):
            if b"\n" in data[-tail:] or line.offset < len(data) - tail:
                truth(data, line)
