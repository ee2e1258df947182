from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ragent_jupyter.cli.main import main
from tests.support.fake_engine import FakeEngine


class Said(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """stdout as one JSON document, and nothing else."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> dict[str, str]:
        return json.loads(self.err)["error"]  # type: ignore[no-any-return]


Ragent = Callable[..., Said]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def engine(project: Path) -> Iterator[FakeEngine]:
    engine = FakeEngine(project)
    yield engine
    engine.close()


@pytest.fixture
def ragent(capsys: pytest.CaptureFixture[str]) -> Ragent:
    """`ragent("runs", "--json")`: the exit code and what was said, as in a pipe."""

    def call(*argv: str) -> Said:
        code = main(list(argv))
        said = capsys.readouterr()
        assert "\x1b" not in said.out + said.err, "no colour in a pipe"
        return Said(code, said.out, said.err)

    return call
