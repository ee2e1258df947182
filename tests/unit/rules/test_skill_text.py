"""Skills as texts: front matter, what may stand between the braces, and filling it in once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.domain.errors import BadInput, RagentError, TooLarge
from ragent_jupyter.rules import wild_prompt
from ragent_jupyter.rules.skill_text import SkillText, check_name, holes, parse, render, score, version_of

SHIPPED = Path(wild_prompt.__file__).parents[1] / "skills"


def skill(head: str = "name: a-b", body: str = "Say {{x}}.") -> str:
    return f"---\n{head}\n---\n{body}\n"


def test_a_file_is_read() -> None:
    text = skill("name: short\ntitle: 'A: title'\ndescription: words\nvariables: x, y\nneeds: x")
    assert parse(text) == SkillText(
        name="short", title="A: title", description="words", body="Say {{x}}.", variables=("x", "y"), needs=("x",),
        version=version_of(text),
    )  # fmt: skip


def test_variables_may_be_a_yaml_list_and_the_name_may_be_the_file_s() -> None:
    read = parse(skill("variables: [x]\nextra: {deep: [1]}"), stem="from-file")
    assert (read.name, read.title, read.variables) == ("from-file", "from-file", ("x",))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("no front matter", "does not begin"),
        (skill(), "{{x}} is not a variable"),
        (skill("name: a\nvariables: x\nneeds: y"), "does not say {{y}}"),
        (skill("name: A/../b\nvariables: x"), "no name for a skill"),
        (skill("name: ''\nvariables: x"), "no name for a skill"),
        (skill("name: a\nvariables: 'X!'"), "no name of a variable"),
        (skill("- a\n- b"), "no list of"),
        (skill("name: [a"), "not what YAML allows"),
        (skill("[" * 5000), "not what YAML allows"),
        (skill("name: {a: 1}\nvariables: x"), "`name` is no text"),
        (skill("name: a", ""), "no text below"),
        (skill("a: !!python/object/apply:os.system ['true']"), "not what YAML allows"),
        (skill("name: a", "{{ }}"), "is not a variable"),
    ],
)
def test_what_is_no_skill_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(BadInput, match="(?i)" + why.replace("{", r"\{").replace("[", r"\[")):
        parse(text)


def test_what_is_too_long_is_refused() -> None:
    with pytest.raises(TooLarge, match="characters"):
        parse(skill(body="x" * 50_000))
    with pytest.raises(TooLarge, match="tokens"):
        parse(skill(body="word " * 4_000))


def test_values_are_put_in_once_and_never_looked_at_again() -> None:
    assert render("{{a}}|{{ b }}|{{a}}", {"a": "{{b}}", "b": "{{a}} \\1"}) == "{{b}}|{{a}} \\1|{{b}}"
    with pytest.raises(BadInput, match="has no value"):
        render("{{a}} {{c}}", {"a": "1"})


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.text(), min_size=3), st.lists(st.sampled_from("abc")))
def test_a_rendering_is_its_values_in_order(values: dict[str, str], order: list[str]) -> None:
    body = "|".join(f"{{{{{name}}}}}" for name in order)
    assert render(body, values) == "|".join(values[name] for name in order)


@given(st.text(alphabet="-{}ab\n :[]'", max_size=400))
def test_any_text_is_a_skill_or_a_refusal(text: str) -> None:
    try:
        assert parse(text, "x").body
    except RagentError as error:
        assert error.remedy


@given(st.text(max_size=70))
def test_a_name_is_a_plain_file_name(name: str) -> None:
    try:
        check_name(name)
    except BadInput:
        return
    assert Path(name).name == name and not name.startswith((".", "-")) and name == name.lower()


def test_search_wants_every_word_and_puts_names_first() -> None:
    text = skill("name: loss-report\ntitle: About\nvariables: x", "The curve of {{x}}.")
    assert score(parse(text), ["loss-report"]) > score(parse(text), ["about"]) > score(parse(text), ["curve"]) > 0
    assert score(parse(text), ["loss", "nowhere"]) == 0


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*.md")), ids=lambda file: file.stem)
def test_what_is_shipped_is_valid_and_asks_for_nothing_that_there_is_not(file: Path) -> None:
    read = parse(file.read_text())
    assert read.name == file.stem and read.description
    known = {"wild-tags": {"command"}, "wild-again": {"problems", "answer"}}.get(read.name, set(wild_prompt.NAMES))
    assert set(holes(read.body)) <= set(read.variables) <= known


def test_every_event_has_a_template() -> None:
    named = {*wild_prompt.SKILL_OF.values(), wild_prompt.SYSTEM, wild_prompt.TAGS, wild_prompt.AGAIN}
    assert named == {file.stem for file in SHIPPED.glob("*.md")}
