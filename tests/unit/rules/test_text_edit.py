"""Edits of exact pieces: once or not at all, line ends kept, and errors that say where to look."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ragent_jupyter.domain.errors import BadInput, CannotBeDone
from ragent_jupyter.rules.text_edit import Replacement, counted, diff, edited, syntax_problem, visible


def one(text: str, old: str, new: str) -> str:
    return edited(text, [Replacement(old, new)])


def test_the_one_place_is_replaced() -> None:
    assert one("lr = 0.1\nwd = 0\n", "lr = 0.1", "lr = 0.2") == "lr = 0.2\nwd = 0\n"


def test_edits_follow_each_other_and_all_or_none_are_made() -> None:
    assert edited("a b", [Replacement("a", "c"), Replacement("c b", "d")]) == "d"
    with pytest.raises(CannotBeDone, match=r"Edit 2 of 2"):
        edited("a b", [Replacement("a", "c"), Replacement("a", "d")])


@pytest.mark.parametrize("text, places", [("x\ny\nx\n", "1, 3"), ("xx", "1, 1")])
def test_a_piece_that_stands_there_more_than_once_names_its_lines(text: str, places: str) -> None:
    with pytest.raises(CannotBeDone, match=rf"2 times, at lines {places}\."):
        one(text, "x", "y")


def test_overlapping_places_count() -> None:
    with pytest.raises(CannotBeDone, match="2 times"):
        one("aaa", "aa", "b")


@pytest.mark.parametrize(
    "text, old, hint",
    [
        ("def f():\n    return 1\n", "def f():\n  return 1", "Its first line stands at line 1"),
        ("learning_rate = 0.1\n", "learning_rate = 0.2", "Line 1 is like"),
        ("a\n", "something else entirely", "Read the file again"),
        ("", "x", "Read the file again"),
        ("x", "  \n ", "Read the file again"),
    ],
)
def test_a_piece_that_is_not_there_gets_a_hint(text: str, old: str, hint: str) -> None:
    with pytest.raises(CannotBeDone, match=hint):
        one(text, old, "y")


@pytest.mark.parametrize("old, new", [("", "x"), ("a", "a"), ("a\r\nb", "a\nb")])
def test_what_is_no_edit_is_bad_input(old: str, new: str) -> None:
    with pytest.raises(BadInput):
        one("a\nb", old, new)


def test_nothing_to_edit_is_bad_input() -> None:
    with pytest.raises(BadInput):
        edited("a", [])


def test_line_ends_are_kept() -> None:
    assert one("a\r\nb\r\nc\r\n", "b\nc", "x\ny\nz") == "a\r\nx\r\ny\r\nz\r\n"
    assert one("a\nb\r\nc\n", "c", "x\ny") == "a\nb\r\nx\ny\n", "a mixed file: as most of its lines"
    assert one("a\rb", "a\rb", "c") == "c"


@given(st.text(alphabet="ab\r\n", max_size=30), st.text(alphabet="abc\n", min_size=1, max_size=5), st.data())
def test_an_edit_changes_nothing_around_it(text: str, new: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    whole = text[:at] + "MARK" + text[at:]
    assume(new != "MARK")
    got = one(whole, "MARK", new)
    assert got.startswith(text[:at]) and got.endswith(text[at:])
    assert got[at : len(got) - len(text) + at].replace("\r\n", "\n") == new


def test_a_diff_cannot_be_faked() -> None:
    shown = diff("", "a\u2028+fake\n\x1b[2Kx\u202e\n", "n\n+++ b/other.py")
    assert shown.split("\n")[1] == "+++ b/n\\n+++ b/other.py"
    assert "\x1b" not in shown and "\u202e" not in shown and "\u2028" not in shown
    assert counted(shown) == (2, 0)


def test_a_diff_of_new_gone_and_endless_files() -> None:
    assert diff("", "a\n", "x").startswith("--- /dev/null\n+++ b/x\n")
    assert diff("a\n", "", "x").startswith("--- a/x\n+++ /dev/null\n")
    assert diff("a", "b", "x").endswith("-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file")
    assert counted(diff("--- a\n", "+++ b\n", "x")) == (1, 1)


def test_a_diff_of_very_long_files_is_one_stretch() -> None:
    lines = [f"{n}\n" for n in range(15_000)]
    other = [*lines[:7000], "new\n", *lines[7001:]]
    shown = diff("".join(lines), "".join(other), "x")
    assert shown.split("\n")[2:] == ["@@ -7001,1 +7001,1 @@", "-7000", "+new"]


@given(st.text())
def test_what_is_made_visible_can_be_printed(text: str) -> None:
    assert all(char.isprintable() or char == "\t" for char in visible(text))


@pytest.mark.parametrize(
    "text, path, said",
    [("x = 1", "a.py", ""), ("x =", "a.py", "line 1"), ("x =", "a.txt", ""),
     ("\ufeffx = 1", "a.py", ""), ("\0", "a.py", "null"),
     ("(" * 1000, "a.py", "parenthes"), ("'\\d'", "a.py", "")],
)  # fmt: skip
def test_python_is_tried(text: str, path: str, said: str) -> None:
    got = syntax_problem(text, path)
    assert (said in got) if said else got == ""
