"""What is a mention, and what only looks like one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.rules.mentions import KINDS, best, closeness, insert, parse


def found(text: str) -> list[tuple[str, str]]:
    return [(m.kind, m.id) for m in parse(text)]


@pytest.mark.parametrize(
    ("text", "mentions"),
    [
        ("@run:run_a1", [("run", "run_a1")]),
        (
            "Why did @run:run_a1, (@sweep:lr) and @alert:alt_x1?",
            [("run", "run_a1"), ("sweep", "lr"), ("alert", "alt_x1")],
        ),
        ("@metric:val/loss@run_a1,run_b2.", [("metric", "val/loss@run_a1,run_b2")]),
        ('@metric:"val loss"@run_a1!', [("metric", "val loss@run_a1")]),
        ('see @file:"my data/a b.csv".', [("file", "my data/a b.csv")]),
        ("@file:src/train.py: line 3", [("file", "src/train.py")]),
        ("@file:notes(1).md)", [("file", "notes(1).md")]),
        ("@var:df['a']", [("var", "df['a']")]),
        ("@cell and @notebook.", [("cell", ""), ("notebook", "")]),
        ("@Run:x @run:x @run:x", [("run", "x")]),
        ("**@run:x**", [("run", "x")]),
        ("line\n@run:x\n> @run:y", [("run", "x"), ("run", "y")]),
    ],
)
def test_mentions(text: str, mentions: list[tuple[str, str]]) -> None:
    assert found(text) == mentions


@pytest.mark.parametrize(
    "text",
    [
        "me@run:x", "a@b.com", "me@file:y.org", "@run", "@run: x", "@property", "\\@run:x", "@", "@:", "@run:...",
        "`@run:x`", "``a ` @run:x``", "```\n@run:x\n```", "~~~~\n```\n@run:x\n~~~~", "> ```\n> @run:x\n> ```",
        "```\n@run:x", "@cells", "@notebook/x", "pip install @types/run:x", "http://u@run:x/", "@@run:x",
    ],
)  # fmt: skip
def test_what_is_none(text: str) -> None:
    assert found(text) == []


def test_a_kind_that_nobody_knows_is_told_apart() -> None:
    (one,) = parse("ask @alice:home about it")
    assert (one.kind, one.id, one.known) == ("alice", "home", False)


def test_a_span_of_code_that_never_ends_is_no_code() -> None:
    assert found("a ` b @run:x") == [("run", "x")]


@given(st.text(alphabet=st.sampled_from('@run:file`~" \n.,x\\(>-_'), max_size=80))
def test_a_mention_stands_where_it_says(text: str) -> None:
    for one in parse(text):
        assert text[one.start] == "@" and text[one.start : one.end].lower().startswith("@" + one.kind)
        assert one.id or one.kind in ("cell", "notebook")


@given(st.sampled_from(KINDS), st.text(alphabet="ab /.-,()@", min_size=1, max_size=20).map(str.strip).filter(bool))
def test_what_is_inserted_is_read_as_what_it_was(kind: str, id_: str) -> None:
    assert found(f"see {insert(kind, id_)} there") == [(kind, id_)]


def test_the_closest_name_comes_first_and_among_equals_the_newest() -> None:
    names = ["linear", "old-lr", "lr-1", "lr-2", "xlrx", "nothing"]
    things = [((name,), name) for name in names]
    assert [name for _, name in best("lr", things, 10)] == ["lr-1", "lr-2", "old-lr", "xlrx", "linear"]
    assert [name for _, name in best("", things, 2)] == ["linear", "old-lr"]
    assert closeness("x", ["ABX"]) == 3
