"""MEMORY.md: what is exported comes back as it was, and what people write by hand is understood."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.domain.chat import MemoryRule
from ragent_jupyter.rules.memory_md import Draft, export, parse, title_of

_LINES = st.sampled_from(
    [
        "text", "## not a title", "# nor this", "\\## written so", "- an item", "```", "```py", "~~~~", "", "  far in",
        '<!-- ragent {"id": "mem_other"} -->', "#tag", "<!-- a comment -->", "\\", "   ```", "    # far", "| a | b |",
    ]
)  # fmt: skip
_TEXTS = st.lists(_LINES, min_size=1, max_size=8).map("\n".join).filter(lambda t: t.strip())
_TITLES = st.text(alphabet="ab #`*<>-[]|\\:", min_size=1, max_size=20).filter(lambda t: t.strip())
_RULES = st.builds(
    MemoryRule,
    id=st.from_regex(r"mem_[a-z0-9]{6}", fullmatch=True),
    title=_TITLES.map(lambda t: " ".join(t.split())),
    text=_TEXTS.map(str.strip),
    created_at=st.just(0.0),
    updated_at=st.just(0.0),
    source=st.sampled_from(["user", "agent", "reflection"]),
    tags=st.lists(st.sampled_from(["gpu", "-->", 'a "b"', "ä"]), max_size=3),
    scope=st.sampled_from(["", "src/train.py", "a --> b"]),
    on=st.booleans(),
    status=st.sampled_from(["active", "proposed"]),
)


def as_draft(rule: MemoryRule) -> Draft:
    return Draft(**{name: getattr(rule, name) for name in Draft.__struct_fields__})


@given(st.lists(_RULES, max_size=4))
def test_what_is_exported_is_imported_as_it_was(rules: list[MemoryRule]) -> None:
    assert parse(export(rules)) == [as_draft(rule) for rule in rules]


@given(st.text(max_size=200))
def test_no_file_is_an_error(text: str) -> None:
    assert all(draft.title.strip() and draft.text.strip() for draft in parse(text))


def test_a_tag_cannot_end_its_comment_for_whoever_shows_the_file() -> None:
    rule = MemoryRule(id="mem_a", title="t", text="x", created_at=0, updated_at=0, tags=["--> <img>"])
    assert export([rule]).count("-->") == 1


def test_refused_rules_are_not_in_the_file() -> None:
    rule = MemoryRule(id="mem_a", title="t", text="x", created_at=0, updated_at=0, status="refused")
    assert parse(export([rule])) == []


def test_a_list_that_a_person_wrote() -> None:
    text = """\ufeffMy notes on this project:

* Use seed 0 for debugging. Others later.
- [ ] **Batch size**: never above 64
      on the small GPU
3) [x] Warm up
"""
    # The introduction is no rule; each item is one.
    assert [(d.title, d.text, d.on) for d in parse(text)] == [
        ("Use seed 0 for debugging", "Use seed 0 for debugging. Others later.", True),
        ("Batch size", "never above 64", False),
        ("Warm up", "Warm up", True),
    ]


def test_sections_of_a_person_are_rules_or_groups_of_them() -> None:
    text = """# CLAUDE.md
## Data
- Shuffle first
  - with a fixed seed

- Cache it
## Learning rate
Start at 1e-3.

```python
## no heading
```
- and an item
## Nothing here
"""
    assert [(d.title, d.tags) for d in parse(text)] == [
        ("Shuffle first", ["data"]),
        ("Cache it", ["data"]),
        ("Learning rate", []),
    ]
    assert parse(text)[0].text == "Shuffle first\n- with a fixed seed"
    assert parse(text)[2].text.endswith("- and an item") and "## no heading" in parse(text)[2].text


def test_a_comment_that_was_edited_until_it_broke_costs_only_itself() -> None:
    assert parse("## T\n<!-- ragent {oops} -->\ntext") == [Draft(title="T", text="text")]
    later = '## T\n<!-- ragent {"id": "mem_1", "new": 1} -->\ntext'
    assert parse(later) == [Draft(title="T", text="text", id="mem_1")]


def test_windows_line_ends() -> None:
    assert parse("## T\r\na\r\nb\r\n") == [Draft(title="T", text="a\nb")]


def test_a_title_is_short_and_whole_words() -> None:
    title = title_of("word " * 40)
    assert len(title) <= 80 and title.endswith("word…")
    assert title_of("x" * 300) == "x" * 79 + "…"
    assert msgspec.json.decode(msgspec.json.encode(title_of("ä. b"))) == "ä"
