"""Logs: numbered, cleaned, without secrets, bounded in size and time."""

from __future__ import annotations

import asyncio
import io
import re
import time

import pytest

from ragent_jupyter.domain.errors import BadInput
from ragent_jupyter.services.log_search import LONGEST_LINE, lines_of, matching

from .hands import Hands

LOG = "".join(f"line {n}\n" for n in range(1, 1001))


def numbers(text: str) -> list[int]:
    return [int(m[1]) for m in re.finditer(r"^[> ]*(\d+): ", text, re.MULTILINE)]


@pytest.mark.parametrize(
    ("args", "first", "last"),
    [
        ({}, 901, 1000),
        ({"lines": 3}, 998, 1000),
        ({"head": True, "lines": 2}, 1, 2),
        ({"around_line": 500, "lines": 5}, 498, 502),
        ({"around_line": 99999, "lines": 4}, 998, 1000),
        ({"around_line": -7, "lines": 2}, 1, 2),
        ({"around_offset": 0, "lines": 2}, 1, 2),
        ({"around_offset": 10**9, "lines": 4}, 999, 1000),
    ],
)
def test_the_lines_that_were_asked_for(hands: Hands, args: dict[str, object], first: int, last: int) -> None:
    hands.log(hands.run("run_a"), LOG)
    outcome = hands.do("read_log", run=1, **args)
    assert numbers(outcome.text) == list(range(first, last + 1))
    assert outcome.text.splitlines()[-1] == f"{last}: line {last}"
    assert outcome.untrusted == "job.log of run_a"
    assert f"lines {first}..{last} of 1000" in outcome.text


def test_an_offset_as_an_alert_cites_it(hands: Hands) -> None:
    hands.log(hands.run("run_a"), LOG)
    text = hands.do("read_log", run=1, around_offset=LOG.index("line 700\n") + 3, lines=1).text
    assert text.splitlines()[1:] == ["700: line 700"]


def test_terminal_control_progress_bars_and_a_last_line_without_an_end(hands: Hands) -> None:
    hands.log(hands.run("run_a"), "\x1b[31mred\x1b[0m\n\x1b]0;t\x07 1%\r 50%\r99%\nlast")
    assert hands.do("read_log", run=1).text.splitlines()[1:] == ["1: red", "2: 99%", "3: last"]


def test_secrets_are_blacked_out_and_lines_stay_numbered(hands: Hands) -> None:
    pem = "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n" * 3 + "-----END PRIVATE KEY-----\n"
    hands.log(hands.run("run_a"), f"a\npassword=hunter2secret\n{pem}b\n")
    for name, args in (("read_log", {}), ("search_log", {"pattern": "a|b|e|i|M", "regex": True})):
        text = hands.do(name, run=1, **args).text
        assert "hunter2" not in text and "MIIE" not in text, name
    assert "MIIE" not in hands.do("read_log", run=1, around_line=5, lines=1).text
    assert numbers(hands.do("read_log", run=1).text) == list(range(1, 9))


def test_a_secret_cannot_be_guessed_by_searching_for_it(hands: Hands) -> None:
    hands.log(hands.run("run_a"), "password=hunter2secret\n")
    assert hands.do("search_log", run=1, pattern="hunter", context=0).text.startswith("No line")
    assert numbers(hands.do("search_log", run=1, pattern="password", context=0).text) == [1]


def test_nothing_written_yet(hands: Hands) -> None:
    hands.live("run_a")
    assert hands.do("read_log", run=1).text == "run_a has written nothing yet (status running)."
    assert "No line of job.log" in hands.do("search_log", run=1, pattern="x").text


def test_enormous_lines_are_cut_and_the_newest_ones_kept(hands: Hands) -> None:
    hands.log(hands.run("run_a"), ("y" * 200_000 + "\n") * 30 + "the end\n")
    text = hands.do("read_log", run=1).text
    assert len(text) < 30_000 and text.endswith("31: the end") and "(200000 characters)" in text
    assert "z: " not in hands.do("search_log", run=1, pattern="the end").text


def test_only_one_place_at_once(hands: Hands) -> None:
    hands.run("run_a")
    with pytest.raises(BadInput, match="Only one place"):
        hands.do("read_log", run=1, head=True, around_line=3)
    with pytest.raises(BadInput, match="0 lines"):
        hands.do("read_log", run=1, lines=0)


def test_a_search_tells_line_numbers_and_context(hands: Hands) -> None:
    hands.log(hands.run("run_a"), LOG)
    text = hands.do("search_log", run=1, pattern="LINE 50", context=1, limit=2).text
    assert text.startswith("11 lines of job.log of run_a fit LINE 50, the first 2 shown (1000 lines")
    assert numbers(text) == [49, 50, 51, 499, 500, 501]
    assert "> 50: line 50" in text and "  49: line 49" in text
    last = hands.do("search_log", run=1, pattern=r"line \d+0$", regex=True, context=0, limit=2, last=True).text
    assert numbers(last) == [990, 1000]
    assert hands.do("search_log", run=1, pattern="LINE 50", case=True).text.startswith("No line")


def test_words_are_no_regular_expression_unless_asked(hands: Hands) -> None:
    hands.log(hands.run("run_a"), "loss (nan) at [3]\nloss nan\n")
    assert numbers(hands.do("search_log", run=1, pattern="(nan) at [", context=0).text) == [1]
    with pytest.raises(BadInput, match="is not a regular expression"):
        hands.do("search_log", run=1, pattern="(nan", regex=True)


def test_a_pattern_that_takes_for_ever_is_ended(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragent_jupyter.services.tools.logs._SEARCH_S", 1.0)
    hands.log(hands.run("run_a"), "an early match: aab\n" + "a" * 60 + "!\n")
    began = time.monotonic()
    text = hands.do("search_log", run=1, pattern=r"(a+)+b", regex=True, context=0).text
    assert time.monotonic() - began < 30  # it would take years
    assert "ended after 1 s" in text and "> 1: an early match" in text


def test_a_stop_ends_a_search_at_once(hands: Hands) -> None:
    hands.log(hands.run("run_a"), "a" * 60 + "!\n")

    async def go() -> float:
        ctx = hands.context(stop=asyncio.Event())
        task = asyncio.ensure_future(hands.call("search_log", ctx, run=1, pattern=r"(a+)+b", regex=True))
        await asyncio.wait({task}, timeout=0.3)
        began = time.monotonic()
        ctx.stop.set()
        await task
        return time.monotonic() - began

    assert asyncio.run(go()) < 4.0  # it was given more than twice as long


def test_a_long_line_is_cut_to_its_beginning_a_progress_bar_to_its_end() -> None:
    long, bar = b"x" * 100_000, b"\r".join(b"%d%%" % (n % 100) for n in range(60_000)) + b"\r99% done"
    lines = list(lines_of(io.BytesIO(b"a\n" + long + b"\n" + bar + b"\nb")))
    assert [len(line) for _, line, _ in lines] == [2, LONGEST_LINE, LONGEST_LINE, 1]
    assert lines[2][1].endswith(b"99% done\n")
    assert [lines[i][2] == lines[i + 1][0] for i in range(3)] == [True] * 3


def test_the_lines_after_the_last_match_are_there() -> None:
    lines = [(n, b"%d\n" % n, n + 1) for n in range(5)]
    found = list(matching(lines, re.compile("[34]"), 2, 10, False))
    assert [(m["line"], m["before"], m["after"]) for m in found[:-1]] == [(4, ["1", "2"], ["4"]), (5, ["2", "3"], [])]
    assert found[-1] == {"total": 2, "lines": 5, "bytes": 5, "complete": True, "enough": False}


def test_counting_ends_where_it_says_nothing_more(hands: Hands) -> None:
    hands.log(hands.run("run_a"), "loss\n" * 30_000)
    text = hands.do("search_log", run=1, pattern="loss", context=0, limit=1).text
    assert text.startswith("10000 or more lines") and "(10000 lines" in text
    last = hands.do("search_log", run=1, pattern="loss", context=0, limit=1, last=True).text
    assert last.startswith("30000 lines") and numbers(last) == [30_000]
