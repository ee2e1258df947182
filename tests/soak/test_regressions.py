"""What the soak once found, each as a world of its own. The seed that found it stands beside it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ragent_jupyter.adapters.executors.tmux import TmuxExecutor
from ragent_jupyter.client import Client
from ragent_jupyter.domain.ports import LaunchSpec
from ragent_jupyter.domain.run import Run, RunStatus
from ragent_jupyter.domain.sweep import SearchSpace, SweepStatus, Values
from ragent_jupyter.domain.wire import CreateRun, CreateSweep
from ragent_jupyter.runfiles import proc
from tests.support.wait import wait_until

from .audit import audit
from .driver import JOB, Soak
from .world import World

pytestmark = pytest.mark.slow


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


@pytest.fixture
def soak(world: World) -> Soak:
    return Soak(world, seed=1, jupyter=False)


def launch(soak: Soak, name: str, *options: str, executor: str = "process") -> Run:
    """A run of the book-keeping job."""
    command = " ".join([sys.executable, str(JOB), str(soak.world.truth), *options])
    body = CreateRun(
        command=command, name=name, params={"lr": 0.1}, primary="loss", executor=executor, request_id=f"request-{name}"
    )
    run = soak.world.ask(lambda client: client.create_run(body))
    soak.wishes.names.add(name)
    return run


def wait(soak: Soak, run: Run, so: Callable[[Run], bool], timeout: float = 60.0) -> Run:
    soak.wait_until(lambda client: so(client.run(run.id)), timeout)
    found: Run = soak.world.ask(lambda client: client.run(run.id))
    assert so(found), found
    return found


def settled(run: Run) -> bool:
    return run.status.terminal and run.settled


def details(soak: Soak) -> Any:
    world = soak.world
    client: Client = world.client()
    points = sum(pattern.startswith("wrapper.") for pattern in world.hits())
    return audit(client, world.project, world.truth, soak.wishes, world.killed_wrappers, points).details


@pytest.mark.parametrize("executor", ["process", "tmux"])
def test_a_run_that_is_stopped_before_its_wrapper_claimed_it_ends(soak: Soak, executor: str) -> None:
    """Seed 2: the wrapper died before its claim, then came the stop; only launching runs were launched again."""
    with soak.world.kill_at("wrapper.claim.fsync", 1) as marker:
        run = launch(soak, "a", executor=executor)
        soak.wait_until(lambda client: marker.exists(), 20.0)
        assert marker.exists()
    soak.wishes.stopped.add(run.id)
    soak.world.ask(lambda client: client.stop(run.id))
    ended = wait(soak, run, settled)
    assert ended.status is RunStatus.STOPPED
    assert details(soak) == []


def test_a_sweep_whose_creation_was_cut_short_is_started_when_it_is_asked_for_again(soak: Soak) -> None:
    """Created and started are two commits; the door repeats its request after the engine died between them."""
    space = SearchSpace(parameters={"rows": Values([3, 4])})
    command = f"{sys.executable} {JOB} {soak.world.truth}"
    body = CreateSweep(command=command, space=space, name="s", parallel=2, smoke=False, request_id="request-s")
    with soak.world.kill_at("store.after_commit", 1) as marker:
        soak.world.ask(lambda client: client.create_sweep(body))
        assert marker.exists()
    soak.wishes.sweeps.add("s")
    soak.wait_until(lambda client: client.sweeps()[0].status.terminal, 30.0)
    [sweep] = soak.world.ask(lambda client: client.sweeps())
    assert sweep.status is SweepStatus.FINISHED
    assert details(soak) == []


@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_answer_that_stops_a_run_stops_it_whenever_the_engine_dies(soak: Soak, number: int) -> None:
    """The answer and the stop that it asks for are two commits."""
    run = launch(soak, "a", "--rows", "3000", "--pace", "0.02", "--nan-at", "5")
    soak.wait_until(lambda client: bool(client.alerts(status="pending").alerts), 30.0)
    [alert] = [a for a in soak.world.ask(lambda client: client.alerts(status="pending")).alerts if a.run_id == run.id]
    for engine in soak.world.find("engine"):
        soak.world.kill(engine, "engine")
    with soak.world.kill_at("store.before_commit", number):
        soak.world.ask(lambda client: client.respond(alert.id, "stop"))
        soak.wishes.answered[alert.id] = "stop"
        ended = wait(soak, run, settled, 30.0)
    assert ended.status is RunStatus.STOPPED
    assert details(soak) == []


@pytest.mark.parametrize("command", ["list-panes", "new-window"])
def test_a_tmux_server_that_is_killed_while_it_answers_costs_no_run(
    world: World, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Seed 31: its client ended without a word, and the run with "tmux refused new-window"."""
    executor = TmuxExecutor(world.project)
    real, died = executor._call, []

    def call(asked: str, *args: str) -> Any:
        if asked == command and not died:
            died.append(asked)
            return SimpleNamespace(returncode=1, stdout=[], stderr=[])
        return real(asked, *args)

    monkeypatch.setattr(executor, "_call", call)
    assert executor.submit(_spec(world))
    assert died == [command]
    wait_until((world.project / ".ragent" / "runs" / "run_1" / "claim.json").exists)


def test_a_tmux_server_that_is_killed_while_it_starts_costs_no_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seed 5: "tmux does not start", and not a word why."""
    shim, marker = world.folder / "bin" / "tmux", world.folder / "died"
    shim.parent.mkdir()
    dies = f'case "$*" in *new-session*) [ -e {marker} ] || {{ touch {marker}; exit 1; }};; esac'
    shim.write_text(f'#!/bin/sh\n{dies}\nexec {shutil.which("tmux")} "$@"\n')
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    assert TmuxExecutor(world.project).submit(_spec(world))
    assert marker.exists()
    wait_until((world.project / ".ragent" / "runs" / "run_1" / "claim.json").exists)


def _spec(world: World) -> LaunchSpec:
    folder = world.project / ".ragent" / "runs" / "run_1"
    folder.mkdir(parents=True)
    argv = [sys.executable, "-I", "-S", proc.wrapper_path(), str(folder)]
    return LaunchSpec(run_id="run_1", run_dir=str(folder), name="a", wrapper=argv, cwd=str(folder))
