"""`/name arguments`: what was meant."""

from __future__ import annotations

import pytest

from ragent_jupyter.domain.errors import BadInput
from ragent_jupyter.rules.commands import Command, launch_options, parse, plain, split, unknown

KNOWN = {"gpus": int, "name": str}


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("/help", Command("help", "")),
        ("/HELP  ", Command("help", "")),
        ("/launch python t.py \\\n  --lr 1", Command("launch", "python t.py \\\n  --lr 1")),
        ("/plan\ntwo lines\nof it", Command("plan", "two lines\nof it")),
        ("/tmp/x is full", None),
        ("/", None),
        ("/1", None),
        ("//help", None),
        (" /help", None),
        ("please /help", None),
        ("/help!", None),
    ],
)
def test_parse(text: str, command: Command | None) -> None:
    assert parse(text) == command


def test_a_doubled_slash_is_text() -> None:
    assert plain("//help me") == "/help me" and plain("a // b") == "a // b"


def test_an_unknown_name_is_refused_with_what_it_may_be() -> None:
    error = unknown("compar", ["compare", "help"])
    assert "Did you mean /compare?" in error.remedy and "//compar" in error.remedy
    assert "Did you mean" not in unknown("zzz", ["compare"]).remedy


@pytest.mark.parametrize(
    ("text", "options", "command"),
    [
        ("python t.py --gpus 2", {}, "python t.py --gpus 2"),
        ("--gpus 2 --name='my run' python t.py", {"gpus": 2, "name": "my run"}, "python t.py"),
        ('--name "a b" -- --odd cmd', {"name": "a b"}, "--odd cmd"),
        ("--name x echo \"it's\" | tee 'a  b'", {"name": "x"}, "echo \"it's\" | tee 'a  b'"),
        ("", {}, ""),
    ],
)
def test_the_command_stays_as_it_was_typed(text: str, options: dict[str, object], command: str) -> None:
    assert launch_options(text, KNOWN, "") == (options, command)


@pytest.mark.parametrize("text", ["--nope 1 cmd", "--gpus two cmd", "--gpus", "--name 'open cmd", "--"[:1] * 2 + "x"])
def test_options_that_cannot_be_read_say_so(text: str) -> None:
    with pytest.raises(BadInput) as error:
        launch_options(text, KNOWN, "/launch CMD")
    assert error.value.remedy


def test_an_open_quote_is_refused_with_the_usage() -> None:
    with pytest.raises(BadInput, match="/compare"):
        split("'a", "/compare RUN RUN")
