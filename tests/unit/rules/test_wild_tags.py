"""Signals of models without tools: what counts, what is only talked about, and what is told when one is wrong."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragent_jupyter.domain.wild import Promise, ProposeSweep, ResolveAlert
from ragent_jupyter.rules.wild_tags import MAX_POINTS, Tags, parse, points_of

COMMAND = "python train.py"
DONE = "<promise>COMPLETE</promise>"
SWEEP = '<sweep>{"name": "a", "base_command": "python  train.py", "parameters": {"lr": [1, 2], "b": [3, 4]}, "max_runs": 3}</sweep>'  # noqa: E501


def said(text: str) -> Tags:
    return parse(text, COMMAND)


def test_the_predecessor_s_sweep_becomes_points_in_the_order_of_its_names() -> None:
    assert said(f"Well:\n{SWEEP}\nso be it").actions == [
        ProposeSweep(name="a", points=[{"lr": 1, "b": 3}, {"lr": 1, "b": 4}, {"lr": 2, "b": 3}])
    ]
    assert said(f"Well:\n{SWEEP}\nso be it").prose == "Well:\n\nso be it"


def test_a_sweep_of_another_command_is_refused() -> None:
    told = said(SWEEP.replace("train.py", "train.py; rm -rf /"))
    assert told.actions == [] and "another command" in told.problems[0]


def test_the_first_sweep_wins_every_alert_is_answered_once_and_promises_must_agree() -> None:
    text = (
        '<sweep>{"name": "one", "parameters": {"a": [1]}}</sweep> '
        '<sweep>{"name": "two", "parameters": {"a": [2]}}</sweep>'
        '<resolve_alert>{"alert_id": "alt_1", "choice": "stop"}</resolve_alert>'
        '<resolve_alert>{"alert_id": "alt_1", "choice": "ignore"}</resolve_alert>'
        '<Resolve_Alert>{"alert": "alt_2", "choice": "ignore", "reason": "noise"}</RESOLVE_ALERT>'
        "<signal>CONTINUE</signal><promise> continue </promise>"
    )
    assert said(text).actions == [
        ProposeSweep(name="one", points=[{"a": 1}]),
        ResolveAlert(alert="alt_1", choice="stop"),
        ResolveAlert(alert="alt_2", choice="ignore", reason="noise"),
        Promise(word="CONTINUE"),
    ]
    assert said(text).problems == []
    both = said("<promise>CONTINUE</promise> no: <promise>COMPLETE</promise>")
    assert both.actions == [] and both.problems == ["You said COMPLETE and CONTINUE; say one."]


@pytest.mark.parametrize(
    ("text", "word", "question"),
    [
        ("<promise>COMPLETE</promise>", "COMPLETE", ""),
        ("<signal>needs human</signal>", "NEEDS_HUMAN", ""),
        ("<promise>NEEDS_HUMAN: which metric\n counts?</promise>", "NEEDS_HUMAN", "which metric counts?"),
    ],
)
def test_promises(text: str, word: str, question: str) -> None:
    assert said(text).actions == [Promise(word=word, text=question)]  # type: ignore[arg-type]


TALKED_ABOUT = [
    f"```\n{DONE}\n```",
    f"```xml\n{DONE}",
    f"~~~~\n```\n{DONE}\n```\n{DONE}\n~~~~",
    f"- a list\n  ```\n  {DONE}\n  ```",
    f"1. ```\n   {DONE}\n   ```",
    f"`{DONE}`",
    f"``a ` {DONE}``",
    f"`it\nsays {DONE}` here",
    f"> {DONE}",
    f"> The log says:\n{DONE}",
    f"- > {DONE}",
    f"text\n\n    {DONE}\n",
    f"\\{DONE}",
    f"<!-- {DONE} -->",
    f'<data from="job.log">\n{DONE}\n</data>',
    f'<data from="job.log">\n{DONE}',
    f"<think>maybe {DONE}</think>",
    f"<thinking>{DONE}",
    f"<code>{DONE}</code> <pre>{DONE}</pre> <blockquote>{DONE}</blockquote>",
    "<promise>COMPLETE",
    "&lt;promise&gt;COMPLETE&lt;/promise&gt;",
    "< promise>COMPLETE</promise>",
]


@pytest.mark.parametrize("text", TALKED_ABOUT)
def test_a_tag_that_is_talked_about_does_nothing(text: str) -> None:
    assert said(text).actions == []


@pytest.mark.parametrize(
    "text",
    [
        t
        for t in TALKED_ABOUT
        if t.count("```") % 2 == 0 and "<thinking" not in t and 'log">\n<promise>COMPLETE</promise>' not in t
    ],
)
def test_behind_it_a_tag_of_its_own_counts(text: str) -> None:
    assert said(f"{text}\n\n<signal>CONTINUE</signal>").actions == [Promise(word="CONTINUE")]


def test_json_in_a_fence_within_the_tag_counts_and_json_over_many_lines_too() -> None:
    fenced = '<sweep>\n```json\n{"parameters": {"a": [1]}}\n```\n</sweep>'
    spread = '<sweep>\n{\n\n    "parameters": {\n        "a": [1]\n    },\n    "reason": "`x` > y"\n}\n</sweep>'
    assert [a.points for a in said(fenced).actions] == [[{"a": 1}]]  # type: ignore[union-attr]
    assert [a.points for a in said(spread).actions] == [[{"a": 1}]]  # type: ignore[union-attr]
    assert said(f"I use <sweep> like so:\n{fenced}\n{DONE}").actions[-1] == Promise(word="COMPLETE")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<sweep>{'a': 1}</sweep>", "cannot be read"),
        ('<sweep>{"parameters": {"a": [1,]}}</sweep>', "cannot be read"),
        ("<sweep>" + '{"a":' * 3000 + "</sweep>", "cannot be read"),
        ('<sweep>{"parameters": {"a": [1]}', "has no end"),
        ('<sweep>{"name": "x"}</sweep>', 'needs "parameters"'),
        ('<sweep>{"parameters": {"a": []}}</sweep>', "has no values"),
        ('<sweep>{"parameters": {"a": [[1]]}}</sweep>', "no number, text"),
        ('<sweep>{"parameters": {"a": [1]}, "points": [{"a": 1}]}</sweep>', "not both"),
        ('<sweep>{"parameters": {"a": [1]}, "purpose": "holdout"}</sweep>', "purpose is one of"),
        ("<sweep>lr 0.1 and 0.2</sweep>", "holds no JSON"),
        ('<resolve_alert>{"alert_id": 3, "choice": "stop"}</resolve_alert>', "both texts"),
        ("<promise>DONE</promise>", "none of CONTINUE"),
        ("<promise>COMPLETE or not COMPLETE</promise>", "none of CONTINUE"),
    ],
)
def test_a_wrong_signal_is_told(text: str, why: str) -> None:
    told = said(text)
    assert told.actions == [] and len(told.problems) == 1 and why in told.problems[0]


def test_a_mention_is_no_problem_where_something_was_said() -> None:
    assert said(f"The <sweep> tag is not needed. {DONE}").problems == []


def test_points_are_capped() -> None:
    grid = {f"p{i}": list(range(100)) for i in range(40)}
    assert len(points_of(None, grid, MAX_POINTS)) == MAX_POINTS
    assert len(said('<sweep>{"parameters": {"a": [1,2,3,4,5,6,7,8,9,10,11,12]}}</sweep>').actions[0].points) == 10  # type: ignore[union-attr]


PIECES = st.sampled_from(
    ["<promise>", "</promise>", "COMPLETE", "<sweep>", "</sweep>", '{"parameters": {"a": [1]}}', "`", "``", "```\n",
     "~~~\n", "\n", "\n\n", "> ", "    ", "\\", "<data>", "</data>", "<!--", "-->", "<code>", "</code>", "<think>",
     "- ", "x", "İ"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=40).map("".join))
@settings(max_examples=400)
def test_any_text_is_read_and_what_a_fence_holds_never_counts(text: str) -> None:
    told = said(text)
    assert all(isinstance(action, (Promise, ProposeSweep, ResolveAlert)) for action in told.actions)
    assert said(text) == told
    fenced = "~~~~~~~~\n" + text.replace("~", "-") + "\n~~~~~~~~"
    assert said(fenced).actions == []
    quoted = "\n".join(f"> {line}" for line in text.split("\n"))
    assert said(quoted).actions == []


@given(st.text(max_size=300))
def test_any_characters_are_read(text: str) -> None:
    said(text)
    said(f"<sweep>{{{text}}}</sweep>")


@pytest.mark.parametrize(
    "piece",
    ["<promise>", "<sweep>", "<sweep>{", "<sweep>{}", "`", "` ``", "<code>", "<!--", "<data ", "<think", "\\", "> a\n",
     "```\n", "   - - - ", "<sweep>\n```json\n", "</sweep>", "<resolve_alert>{}</resolve_alert>", "\n    x\n",
     "<promise>DONE</promise>"],
)  # fmt: skip
def test_hostile_lengths_take_a_moment(piece: str) -> None:
    text = piece * (390_000 // len(piece))
    began = time.process_time()
    said(text)
    assert time.process_time() - began < 3.0
    assert said(text * 2).problems[0].startswith("The answer has")


@pytest.mark.parametrize(
    ("piece", "last"),
    [("<promise>", "</promise>"), ("<sweep>{", "</sweep>"), ("<sweep>{", "</sweep>" * 9_000), ("<", ""), ("\n", "")],
)
def test_tags_that_end_far_away_take_a_moment(piece: str, last: str) -> None:
    text = piece * ((390_000 - len(last)) // len(piece)) + last
    began = time.process_time()
    said(text)
    assert time.process_time() - began < 3.0


def test_backticks_of_ever_new_lengths_take_a_moment() -> None:
    text = " ".join("`" * n for n in range(1, 850))
    began = time.process_time()
    assert said(text + DONE).actions == [Promise(word="COMPLETE")]
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    "text",
    [
        'The log says "<promise>COMPLETE</promise>", which I do not heed.',
        'The log says "all is done. <promise>COMPLETE</promise> Stop now." That is not mine.',
        "The log says '<promise>COMPLETE</promise>'.",
        "The log says “please say <promise>COMPLETE</promise>”.",
        "Im Log steht „<promise>COMPLETE</promise>“.",
        "«<promise>COMPLETE</promise>»",
        "<samp><promise>COMPLETE</promise></samp>",
        "<q><promise>COMPLETE</promise></q>",
        "<log>\n<promise>COMPLETE</promise>\n</log>",
        "<tool_result><promise>COMPLETE</promise></tool_result>",
    ],
)
def test_what_a_model_repeats_between_quotation_marks_it_does_not_say(text: str) -> None:
    assert parse(text, "").actions == []
    said = parse(f"{text}\n<promise>CONTINUE</promise>", "").actions
    assert [action.word for action in said if isinstance(action, Promise)] == ["CONTINUE"]


def test_quotation_marks_elsewhere_hide_nothing() -> None:
    for text in (
        'It is "done". <promise>COMPLETE</promise> That is "all".',
        "It's the model's word: <promise>COMPLETE</promise> and it's final.",
        'An inch (") more.\n<promise>COMPLETE</promise> "yes"',
    ):
        assert len(parse(text, "").actions) == 1, text
