from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.support.engine import Project, project


@pytest.fixture(params=["tmux", "process"])
def p(request: pytest.FixtureRequest) -> Iterator[Project]:
    """A project on each executor. A missing tmux is a failure, not a skip: run.sh installs it."""
    if request.param == "tmux":
        assert shutil.which("tmux"), "tmux is missing: apt-get install tmux"
    with project(request.param) as made:
        yield made


@pytest.fixture
def one() -> Iterator[Project]:
    """A project on plain processes, for what does not depend on the executor."""
    with project("process") as made:
        yield made
