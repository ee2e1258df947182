"""Not in a higher conftest: pytest-jupyter's event loop does not share a process with the browser tests'."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_jupyter.jupyter_server import *  # noqa: F403

from tests.support.fake_wire import Fakes


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fakes]:
    """Wherever a door would start an engine, it now starts a fake one."""
    fakes = Fakes()
    monkeypatch.setattr("ragent_jupyter.client.ensure_engine", fakes.ensure)
    yield fakes
    fakes.kill()


@pytest.fixture
def jp_server_config(fakes: Fakes) -> dict[str, Any]:
    return {
        "ServerApp": {
            "jpserver_extensions": {"ragent_jupyter": True},
            "allow_unauthenticated_access": False,
            "reraise_server_extension_failures": True,
        }
    }


@pytest.fixture
def project(jp_root_dir: Path) -> Path:
    (jp_root_dir / ".ragent").mkdir(exist_ok=True)
    return jp_root_dir.resolve()


@pytest.fixture
def seen(project: Path) -> Callable[[], list[dict[str, Any]]]:
    def read() -> list[dict[str, Any]]:
        path = project / ".ragent" / "seen.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    return read
