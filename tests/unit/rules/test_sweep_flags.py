"""Templates of single parameters."""

from __future__ import annotations

import shlex
import subprocess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragent_jupyter.domain.errors import CannotBeDone
from ragent_jupyter.rules.sweep_space import command_for, spell

FLAGS = {"amp": "--amp|", "ema": "--ema|--no-ema", "raw": "--raw 1|--raw ''", "lr": "--lr={value}",
         "h": "{name}={value}", "set": "--ragent-set {name}={value}"}  # fmt: skip


def made(**params: Any) -> str:
    return command_for("t", params, "--{name} {value}", FLAGS)


def test_switches() -> None:
    assert made(amp=True) == "t --amp" and made(amp=False) == "t"
    assert made(ema=True, raw=False) == "t --ema --raw ''"
    assert made(ema="false", amp=1) == "t --no-ema --amp"
    with pytest.raises(CannotBeDone, match="switch"):
        made(amp="maybe")


def test_each_has_its_own_and_the_rest_the_common_one() -> None:
    assert made(lr=0.1, h="a b", other=3) == "t --lr=0.1 --other 3 'h=a b'", "pairs without dashes last"
    assert command_for("t {lr}", {"lr": 0.1}, "--{name} {value}", FLAGS) == "t 0.1"
    assert made(set="{value}") == "t --ragent-set 'set={value}'", "a value that reads like a place is filled in once"


def test_a_template_with_an_open_quote_is_refused() -> None:
    with pytest.raises(CannotBeDone, match="template"):
        command_for("t", {"lr": 1}, "", {"lr": "--lr '{value}"})


_TEXT = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=30)
_VALUE = st.one_of(
    _TEXT, st.floats(allow_nan=False), st.integers(), st.sampled_from(["$(id)", "`id`", "a;b", "'", "\n", "*"])
)
_SHAPES = st.sampled_from(["--{name} {value}", "--{name}={value}", "{name}={value}", "--ragent-set {name}={value}"])


@settings(max_examples=40, deadline=None)
@given(_VALUE, _SHAPES, st.sampled_from(["lr", "a;id", "$(id)", "x y"]))
def test_neither_a_value_nor_a_name_becomes_a_command(value: Any, shape: str, name: str) -> None:
    command = command_for("printf '%s\\0'", {name: value}, "", {name: shape})
    ran = subprocess.run(["bash", "-c", command], capture_output=True, check=True)
    meant = [w.replace("{name}", "\1").replace("{value}", "\2").replace("\1", name).replace("\2", spell(value))
             for w in shape.split()]  # fmt: skip
    assert ran.stdout.decode().split("\0")[:-1] == meant


@given(st.text(max_size=30), _TEXT)
def test_a_template_becomes_no_command_either(template: str, value: str) -> None:
    try:
        command = command_for("t", {"lr": value}, "", {"lr": template})
    except CannotBeDone:
        return
    assert shlex.split(command)[0] == "t"
    assert all(word in ("", shlex.quote(word)) or "'" in command for word in command.split()[1:])
