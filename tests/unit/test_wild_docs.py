"""docs/wild.md: its diagram is the table of stages, its options are those of the command line."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import get_args

from ragent_jupyter.cli import wild_args
from ragent_jupyter.cli.main import _parse, _parser
from ragent_jupyter.client.wild_typed import USUAL, limit_name, limits_of, limits_text
from ragent_jupyter.domain.wild import Autonomy, Limits, PolicyKind, VerdictWord
from ragent_jupyter.rules.wild_stages import diagram

PAGE = Path(__file__).resolve().parents[2] / "ragent_jupyter" / "docs" / "wild.md"
TEXT = PAGE.read_text()


def options() -> set[str]:
    subparsers = _parser()._subparsers
    assert subparsers is not None
    wild = subparsers._group_actions[0].choices["wild"]  # type: ignore[index,call-overload]
    return {name for action in wild._actions for name in action.option_strings}


def test_the_diagram_is_the_table_of_stages() -> None:
    (drawn,) = re.findall(r"^```mermaid\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert drawn == diagram()


def test_every_limit_is_in_the_table_under_its_name_and_option() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `--([\w-]+)` \|", TEXT, re.MULTILINE)
    assert {name for name, _ in rows} == set(Limits.__struct_fields__)
    assert {f"--{option}" for _, option in rows} <= options()
    assert [limit_name(option) for name, option in rows] == [name for name, _ in rows]
    assert "8 hours, 100 runs" in TEXT and limits_text(USUAL) == "8 h, 100 runs"


def test_every_command_line_of_the_page_is_a_goal_or_a_verb() -> None:
    lines = [re.sub(r"   .*| > [\w.]+$", "", line) for line in re.findall(r"^(ragent wild .*)$", TEXT, re.MULTILINE)]
    assert len(lines) > 20
    for line in lines:
        verb, words, goal = wild_args.split(_parse(shlex.split(line)[1:]))
        assert verb or goal, line
        if verb in ("limits",):
            limits_of(words, Limits(runs=100, cost_usd=1.0))


def test_options_verbs_and_words_of_the_page_are_those_there_are() -> None:
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]+", TEXT)) <= options()
    named = set(re.findall(r"(?<!%)ragent wild ([a-z]+)\b", TEXT))
    assert named <= set(wild_args.VERBS) and {"status", "follow", "stop", "answer", "merge", "journal"} <= named
    rows = re.findall(r"^\| `(cautious|balanced|full)` \|", TEXT, re.MULTILINE)
    assert set(rows) == set(get_args(Autonomy))
    assert all(f"`{kind}`" in TEXT or f"--policy {kind}" in TEXT for kind in get_args(PolicyKind))
    verdicts = set(get_args(VerdictWord))
    assert all(f"**{word}**" in TEXT for word in verdicts - {"void"})
