"""Values put into a question, code taken out of an answer, Markdown that loads nothing."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.domain.errors import BadInput
from ragent_jupyter.kernel.chat_text import MOST_VALUE, code_of, code_span, interpolate, safe_markdown, shown


class Thing:
    size = 3
    inner = {"a b": [1, 2], 5: "five"}

    @property
    def broken(self) -> int:
        raise ZeroDivisionError("no")

    @property
    def wordless(self) -> Any:
        class Wordless:
            def __repr__(self) -> str:
                raise ValueError("no words")

        return Wordless()

    def called(self) -> int:
        raise AssertionError("nothing is called")


NAMES: dict[str, Any] = {"x": 1, "t": Thing(), "In": ["", "a = 1"], "Out": {1: "one"}, "s": "{x}"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{x} and {x}", "1 and 1"),
        ("{t.size} {t.inner['a b'][1]} {t.inner[5]}", "3 2 five"),
        ("{In[1]} {In[-1]} {Out[1]}", "a = 1 a = 1 one"),
        ("{{x}} {{{x}}}", "{x} {1}"),
        ("{s}", "{x}"),
        ('{"a": {"b": [{"c": {}}]}} f"{{1}}" {{}} {{"x": {x}}}', '{"a": {"b": [{"c": {}}]}} f"{{1}}" {{}} {{"x": 1}}'),
        ('{"a": 1} {x + 1} {x()} {x!r} {1} {} { x } {x:d}', '{"a": 1} {x + 1} {x()} {x!r} {1} {} { x } {x:d}'),
        (r"\frac{1}{2}", r"\frac{1}{2}"),
        ("{__import__('os')} {t.__class__}", "{__import__('os')} {t.__class__}"),
    ],
)
def test_only_names_attributes_and_items_are_filled_in(text: str, filled: str) -> None:
    assert interpolate(text, NAMES, str) == filled


@pytest.mark.parametrize(
    "text", ["{nope}", "{t.nope}", "{t.inner[nope]}", "{In[9]}", "{t.broken}", "{t.wordless}", "{x[0]}"]
)
def test_what_is_not_there_is_an_error_with_a_way_out(text: str) -> None:
    with pytest.raises(BadInput) as error:
        interpolate(text, NAMES, shown)
    assert error.value.remedy


def test_a_method_is_named_not_called() -> None:
    assert "called" in interpolate("{t.called}", NAMES, shown)


def test_values_are_short() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": range(10_000)})
    said = shown(frame)
    assert said.startswith("DataFrame, 10000 x 1\n") and len(said.splitlines()) == 12
    assert len(shown("x" * 50_000)) < MOST_VALUE + 100


def test_a_value_is_cut_after_its_secrets_are_gone() -> None:
    said = shown("x" * (MOST_VALUE - 10) + "correct-horse-battery" * 2, lambda text: text.replace("correct-horse", "*"))
    assert "correct" not in said


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("no code", ""),
        ("```\nls\n```", "ls"),
        ("```py\na\n```\ntext\n```python\nb\n```\n```sh\nc\n```", "a\n\nb"),
        ("````python\n```\nx\n```\n````", "```\nx\n```"),
        ("```python\nnever closed", ""),
        ("~~~python title=x\na\n~~~", "a"),
    ],
)
def test_code_of_an_answer(text: str, code: str) -> None:
    assert code_of(text) == code


_HOSTILE = st.lists(
    st.sampled_from(
        ["![x](http://e/q)", "![x][r]", "<img src=http://e>", "<b>", "`", "```", "~~~", "$$", "\n", "\n\n", "a", " ",
         "|", "\\", "[r]: http://e", "<", "!", "[", "> ", "- ", "    ", "<!--", "<SCRIPT>"]
    ),
    max_size=15,
).map("".join)  # fmt: skip


@given(_HOSTILE)
def test_no_picture_and_no_loading_tag_is_left_wherever_it_stands(text: str) -> None:
    safe = safe_markdown(text)
    assert "![" not in safe
    assert not re.search(r"<(img|script)", safe, re.IGNORECASE)
    assert safe.replace("\u200b", "") == text, "nothing else was changed"


def test_a_tag_that_loads_is_none_in_code_either() -> None:
    # $$ may hide the fence from whoever renders it: what we take for code must be harmless as text, too.
    assert "<img" not in safe_markdown("$$\n```\n$$ <img src=http://e>\n```")


def test_code_keeps_its_signs() -> None:
    assert safe_markdown("```python\nif a <b: x = {'k': 1}\n```") == "```python\nif a <b: x = {'k': 1}\n```"
    assert safe_markdown("1 < 2, [a](http://x), $x < y$") == "1 < 2, [a](http://x), $x < y$"


def test_a_span_of_code_cannot_end_early() -> None:
    assert code_span("a`![x](y)`\n# h") == "``a`![x](y)` # h``"
