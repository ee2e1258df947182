"""`ragent.log` in a notebook, at a prompt or in a script that ragent did not start: an interactive run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ragent_jupyter import _interactive, _log
from ragent_jupyter.domain.errors import Unreachable
from tests.support.fake_engine import FakeEngine

from .conftest import a_run

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No run of another test, and none that this very process may be part of."""
    monkeypatch.delenv("RAGENT_METRICS_FILE", raising=False)
    monkeypatch.setattr(_interactive, "_session", None)
    monkeypatch.setattr(_interactive, "_watching", None)
    _forget_file()
    yield
    _forget_file()


def _forget_file() -> None:
    _log._out.close()
    _log._out.path = ""


@pytest.fixture
def created(engine: FakeEngine) -> list[dict[str, Any]]:
    """What was asked for; each request gets a run of its own."""
    bodies: list[dict[str, Any]] = []

    def create(query: Any, body: dict[str, Any]) -> Any:
        bodies.append(body)
        return 201, a_run(f"run_i{len(bodies)}", name=f"nb {len(bodies)}", kind="interactive", summary={})

    engine.on["POST", "runs"] = create
    for n in (1, 2):
        engine.on["POST", f"runs/run_i{n}/finish"] = lambda q, b: a_run("run_i1", summary={})
    return bodies


def rows(engine: FakeEngine, run: str) -> list[dict[str, Any]]:
    path = engine.project / ".ragent" / "runs" / run / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_first_row_opens_a_run_and_the_others_join_it(engine: FakeEngine, created: list[Any], monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "/srv/nb/training.ipynb")
    _log.log({"loss": 1.0}, step=0)
    _log.log({"loss": 0.5}, step=1)
    (body,) = created
    assert body["kind"] == "interactive" and body["pid"] == os.getpid()
    assert body["command"] == "/srv/nb/training.ipynb" and body["name"] == "training"
    assert body["cwd"] == str(engine.project) and body["caller_python"] == sys.executable
    assert [(row["loss"], row["step"]) for row in rows(engine, "run_i1")] == [(1.0, 0), (0.5, 1)]
    assert _interactive.current_run() == "run_i1"


def test_finish_ends_it_and_the_next_row_opens_another(engine: FakeEngine, created: list[Any]):
    _log.log({"loss": 1.0})
    _log.finish()
    assert ("POST", "runs/run_i1/finish") in [(m, p) for m, p, _, _ in engine.asked]
    assert _interactive.current_run() is None
    _log.finish()  # nothing is open: nothing to do
    _log.log({"loss": 2.0})
    assert [row["loss"] for row in rows(engine, "run_i2")] == [2.0]
    assert len(created) == 2


def test_code_that_ragent_runs_itself_opens_none(engine: FakeEngine, created: list[Any], monkeypatch, tmp_path: Path):
    monkeypatch.setenv("RAGENT_METRICS_FILE", str(tmp_path / "m.jsonl"))
    _log.log({"loss": 1.0})
    _log.finish()
    assert created == [] and json.loads((tmp_path / "m.jsonl").read_text())["loss"] == 1.0


def test_without_an_engine_the_rows_are_kept_and_the_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def no_engine(*_: Any, **__: Any) -> Any:
        raise Unreachable("No engine.", "Start one.")

    monkeypatch.chdir(tmp_path)
    (tmp_path / ".ragent").mkdir()
    monkeypatch.setattr("ragent_jupyter.client.api.ensure_engine", no_engine)
    with pytest.warns(UserWarning, match="No engine") as told:
        _log.log({"loss": 1.0}, step=3)
    _log.log({"loss": 2.0}, step=4)
    (kept,) = tmp_path.glob("ragent-metrics-*.jsonl")
    assert str(kept) in str(told[0].message) and len(told) == 1
    assert [json.loads(line)["step"] for line in kept.read_text().splitlines()] == [3, 4]


class Shell:
    """IPython, as far as we look at it."""

    def __init__(self) -> None:
        self.config = {"IPKernelApp": {"connection_file": "/run/kernel-0f3a-77.json"}}
        self.hooks: list[Any] = []
        self.events = SimpleNamespace(register=lambda name, hook: self.hooks.append((name, hook)))

    def ran(self, source: str, n: int, error: Exception | None = None) -> None:
        info = SimpleNamespace(raw_cell=source, cell_id=f"c{n}")
        for _, hook in self.hooks:
            hook(SimpleNamespace(info=info, execution_count=n, error_in_exec=error, error_before_exec=None))


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Shell:
    shell = Shell()
    monkeypatch.setattr(_interactive, "_shell", lambda: shell)
    return shell


def test_in_a_kernel_its_id_and_its_cells_are_kept(engine, created, kernel: Shell, capsys: pytest.CaptureFixture[str]):
    _log.log({"loss": 1.0})
    assert created[0]["kernel"] == "0f3a-77"
    assert "run_i1" in capsys.readouterr().out
    kernel.ran("ragent.log({'loss': 1})", 1)
    kernel.ran("1/0", 2, ZeroDivisionError())
    kernel.ran("  ", 3)
    _log.finish()
    kernel.ran("print('after')", 4)
    path = engine.project / ".ragent" / "runs" / "run_i1" / "cells.jsonl"
    cells = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(c["n"], c["ok"], c["source"]) for c in cells] == [(1, True, "ragent.log({'loss': 1})"), (2, False, "1/0")]
    assert path.stat().st_mode & 0o777 == 0o600
    assert [name for name, _ in kernel.hooks] == ["post_run_cell"]


def test_a_run_that_was_ended_from_elsewhere_is_let_go_of_after_the_cell(engine, created, kernel: Shell):
    _log.log({"loss": 1.0})
    (engine.project / ".ragent" / "runs" / "run_i1" / "exit.json").write_text("{}")
    kernel.ran("x", 1)
    _log.log({"loss": 2.0})
    assert _interactive.current_run() == "run_i2"
    assert not [path for _, path, _, _ in engine.asked if path == "runs/run_i1/finish"]


def test_a_forked_worker_logs_into_its_parents_run(engine: FakeEngine, created: list[Any]):
    _log.log({"loss": 1.0}, step=0)
    pid = os.fork()
    if pid == 0:
        try:
            _forget_file()  # as in a worker that starts with fresh modules' state
            _log.log({"loss": 2.0}, step=1)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert [row["step"] for row in rows(engine, "run_i1")] == [0, 1]
    assert len(created) == 1


def test_a_script_says_that_it_is_done(engine: FakeEngine, created: list[Any]):
    script = engine.project / "short.py"
    script.write_text("import ragent_jupyter as ragent\nragent.log({'loss': 0.5}, step=1)\n")
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, str(script), "--lr", "a b"], cwd=engine.project, env=env, timeout=60)
    assert done.returncode == 0
    assert created[0]["name"] == "short" and created[0]["command"].endswith("short.py --lr 'a b'")
    assert ("POST", "runs/run_i1/finish") in [(m, p) for m, p, _, _ in engine.asked]
    assert rows(engine, "run_i1")[0]["loss"] == 0.5
