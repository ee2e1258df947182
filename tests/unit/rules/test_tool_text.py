"""Whatever somebody named a run: one line, and not mistaken for our words."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.rules.tool_text import code, fit, num, one_line, setting, table, when, word

texts = st.text(alphabet=st.sampled_from('ab \n\r\t\0\x1b\u2028\u202e\x85<>|"\\/é\ud800'), max_size=60) | st.text(
    max_size=60
)


@given(texts)
def test_a_name_is_one_line_without_tags_and_bars(name: str) -> None:
    shown = word(name)
    assert shown.isprintable() and not set(shown) & set("<>|") and shown
    shown.encode()


@given(texts)
def test_a_quoted_name_can_be_read_back_exactly(name: str) -> None:
    shown = word(name)
    assert json.loads(shown) == name if shown.startswith('"') else shown == name


def test_ten_kilobytes_are_cut() -> None:
    assert len(word("x" * 10_000)) < 230 and "10000 characters" in word("x" * 10_000)
    assert len(one_line("y " * 10_000)) <= 501


@given(texts)
def test_commands_and_sentences_are_one_line(text: str) -> None:
    assert code(text).isprintable() and one_line(text).isprintable()


@given(st.floats() | st.integers() | st.none() | st.text(max_size=20))
def test_numbers(value: float | int | str | None) -> None:
    shown = num(value)
    assert shown.isprintable()
    if isinstance(value, float) and value == value:
        assert float(num(value, exact=True)) == value


def test_nan_is_nan() -> None:
    assert (num(float("nan")), num(float("nan"), exact=True), num("nan")) == ("nan", "nan", "nan")


@given(st.recursive(st.none() | st.booleans() | st.floats() | texts, lambda x: st.lists(x, max_size=3), max_leaves=5))
def test_settings_are_one_line(value: object) -> None:
    assert setting(value).isprintable()


@given(st.text(alphabet="ab\n", max_size=300), st.integers(80, 200))
def test_what_is_cut_says_so_and_fits(text: str, most: int) -> None:
    shown = fit(text, most)
    assert len(shown) <= most + 10
    assert shown == text or "are left out" in shown


def test_a_table_of_hostile_cells_keeps_its_columns() -> None:
    lines = table(["a", "b"], [[word("x | y\nz"), 1]])
    assert len(lines) == 2 and lines[1].count(" | ") == 1


def test_times_of_any_size() -> None:
    assert when(1e18).endswith("after 1970") and when(-5.0) == "1969-12-31T23:59:55Z"
