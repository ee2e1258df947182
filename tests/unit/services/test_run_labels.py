"""A run's alias, tags and notes: hostile text is no order, and what is huge is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from ragent_jupyter.domain.errors import TooLarge
from ragent_jupyter.domain.sweep import SearchSpace
from ragent_jupyter.domain.wire import CreateRun, CreateSweep, PatchRun

from .desks import Desks

ESCAPES = "\x1b]0;title\x07a\x1b[2J\r\nb\x00\u202e\u061cc"


@pytest.fixture
def desks(tmp_path: Path) -> Desks:
    made = Desks(tmp_path)
    made.run("run_a")
    return made


def patched(desks: Desks, **fields: Any) -> Any:
    return asyncio.run(desks.runs.patch("run_a", PatchRun(**fields)))


def test_what_a_terminal_would_obey_is_not_kept(desks: Desks) -> None:
    run = patched(desks, alias=ESCAPES, tags=[ESCAPES, "<promise>COMPLETE</promise>", " ", "\x07"], notes=ESCAPES)
    assert (run.alias, run.tags, run.notes) == ("a b c", ["a b c", "<promise>COMPLETE</promise>"], "a\nbc")


@pytest.mark.parametrize(
    "fields",
    [{"alias": "x" * 201}, {"tags": ["x" * 101]}, {"tags": ["x"] * 51}, {"notes": "x" * 20_001}],
)
def test_what_is_huge_is_refused_and_changes_nothing(desks: Desks, fields: dict[str, Any]) -> None:
    before = desks.runs.get("run_a")
    with pytest.raises(TooLarge) as refused:
        patched(desks, **fields)
    assert refused.value.remedy and desks.runs.get("run_a") == before
    if "alias" not in fields:
        with pytest.raises(TooLarge):
            asyncio.run(desks.runs.create(CreateRun(command="true", **fields)))
        assert list(desks.shell.runs) == ["run_a"]


def test_the_names_that_runs_and_sweeps_are_given_are_small_and_obeyed_by_nobody(desks: Desks) -> None:
    space = SearchSpace(method="list", points=[{"lr": 0.1}])
    for name in ("x" * 201, "x" * 60_000):
        with pytest.raises(TooLarge):
            asyncio.run(desks.runs.create(CreateRun(command="true", executor="process", name=name)))
        with pytest.raises(TooLarge):
            asyncio.run(desks.sweeps.create(CreateSweep(command="true", space=space, executor="process", name=name)))
    assert list(desks.shell.runs) == ["run_a"] and not desks.shell.sweeps
    run = asyncio.run(desks.runs.create(CreateRun(command="true", executor="process", name=ESCAPES)))
    sweep = asyncio.run(desks.sweeps.create(CreateSweep(command="true", space=space, executor="process", name=ESCAPES)))
    assert (run.name, sweep.name) == ("a b c", "a b c")
    trial = asyncio.run(
        desks.runs.create(CreateRun(command="true", executor="process", name="x" * 205), sweep_id="swp")
    )
    assert trial.name == "x" * 205  # the sweep's name and a number


def test_a_retry_keeps_what_its_run_had(desks: Desks) -> None:
    desks.run("run_old", tags=["x" * 300], executor="process")
    again = asyncio.run(desks.runs.retry("run_old", {}))
    assert again.tags == ["x" * 300]


def test_a_sequence_without_an_end_takes_a_moment(desks: Desks) -> None:
    assert patched(desks, notes="\x1b]" * 10_000).notes == "]" * 10_000
