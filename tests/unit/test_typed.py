"""What people type, as the wire's words."""

from __future__ import annotations

from typing import Any

import pytest

from ragent_jupyter.client.typed import dimension_of, pairs, space_of, sweep_of
from ragent_jupyter.domain.errors import BadInput
from ragent_jupyter.domain.sweep import Range, Values


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("0.1,0.01", Values([0.1, 0.01])),
        ("relu, gelu", Values(["relu", "gelu"])),
        ("true,false,none", Values([True, False, "none"])),
        ('["a,b", "c"]', Values(["a,b", "c"])),
        ("3", Values([3])),
        ("range(16,64,step=16)", Range(low=16, high=64, step=16, integer=True)),
        ("range(16, 64, 16)", Range(low=16, high=64, step=16, integer=True)),
        ("range(1e-4,0.1,num=4,log)", Range(low=1e-4, high=0.1, num=4, log=True)),
        ("range(1,3,num=5,integer=false)", Range(low=1, high=3, num=5)),
    ],
)
def test_an_axis_is_read_as_it_is_meant(text: str, meant: Any) -> None:
    assert dimension_of("x", text) == meant


@pytest.mark.parametrize("text", ["", "range(1)", "range(1,2", "range(1,2,size=3)", "range(a,b)", "[1,"])
def test_an_axis_that_means_nothing_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadInput, match="'width'"):
        dimension_of("width", text)


def test_a_file_may_write_ranges_as_objects() -> None:
    assert dimension_of("lr", {"min": 0.1, "max": 1, "log": True}) == Range(low=0.1, high=1, log=True)
    assert dimension_of("lr", {"values": [1, 2]}) == Values([1, 2])
    with pytest.raises(BadInput, match=r"no 'minimum'"):
        dimension_of("lr", {"minimum": 0.1, "high": 1})


def test_parameters_are_read_as_json_where_they_can_be() -> None:
    assert pairs(["lr=0.1", "act=relu", 'id="3"', "note=a=b"], "--set") == {
        "lr": 0.1,
        "act": "relu",
        "id": "3",
        "note": "a=b",
    }
    with pytest.raises(BadInput, match="NAME=VALUE"):
        pairs(["lr"], "--set")


def test_an_axis_given_twice_is_a_slip() -> None:
    with pytest.raises(BadInput, match="twice"):
        space_of(["lr=1", "lr=2"])


def test_a_sweep_file_is_flat_or_as_the_wire_has_it() -> None:
    flat = sweep_of({"command": "x", "parameters": {"lr": [1, 2]}, "seed": 3, "max_runs": 4})
    wire = sweep_of(
        {
            "command": "x",
            "space": {"parameters": {"lr": {"kind": "values", "values": [1, 2]}}, "seed": 3},
            "max_runs": 4,
        }
    )
    assert flat == wire
    assert sweep_of({"command": "x", "points": [{"lr": 1}]}).space.method == "list"


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ([], "object"),
        ({}, "no command"),
        ({"command": " "}, "no command"),
        ({"command": "x", "parmeters": {}}, "parmeters"),
        ({"command": "x", "parameters": [1]}, "`parameters`"),
        ({"command": "x", "parameters": {"lr": [1]}, "max_runs": "many"}, "max_runs"),
        ({"command": "x", "parameters": {"lr": [1]}, "mode": "best"}, "mode"),
        ({"command": "x", "space": {"method": "tpe"}}, "method"),
    ],
)
def test_a_sweep_that_means_nothing_is_refused_by_field(data: Any, named: str) -> None:
    with pytest.raises(BadInput, match=named):
        sweep_of(data)
