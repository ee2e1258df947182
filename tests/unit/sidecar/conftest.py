"""Run folders for the sidecar, and the sidecar as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ragent_jupyter.domain.facts import AlertRaised, SidecarFact
from ragent_jupyter.runfiles.jsonl import read_json_lines

ROOT = Path(__file__).parents[3]
CODE = (
    f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'sidecar')!r}]\nfrom ragent_sidecar.__main__ import main\n"
)


class RunFolder:
    """A run's folder as the engine and the wrapper leave it, and hands to write into it as a job would."""

    def __init__(self, path: Path, run_id: str = "run_a", cwd: Path | None = None, **spec: Any) -> None:
        self.path = path
        self.run_id = run_id
        path.mkdir(parents=True, exist_ok=True)
        self.cwd = cwd or path
        body = {"v": 1, "run_id": run_id, "project": str(path.parent), "argv": ["python", "train.py"]}
        body |= {"cwd": str(self.cwd), "created_at": time.time(), **spec}
        (path / "spec.json").write_text(json.dumps(body))

    def log(self, *rows: dict[str, Any] | str) -> None:
        with (self.path / "metrics.jsonl").open("a") as out:
            for row in rows:
                out.write((row if isinstance(row, str) else json.dumps(row)) + "\n")

    def say(self, text: str) -> None:
        with (self.path / "job.log").open("a") as out:
            out.write(text)

    def exit(self, **exit: Any) -> None:
        body = {"run_id": self.run_id, "kind": "exited", "at": time.time(), "exit_code": 0} | exit
        temp = self.path / "exit.tmp"
        temp.write_text(json.dumps(body))
        temp.rename(self.path / "exit.json")

    def facts(self) -> list[Any]:
        return read_json_lines(self.path / "facts.jsonl", SidecarFact)

    def alerts(self) -> list[AlertRaised]:
        return [fact for fact in self.facts() if isinstance(fact, AlertRaised)]

    def live(self) -> dict[str, Any]:
        try:
            return msgspec.json.decode((self.path / "live.json").read_bytes())
        except FileNotFoundError:
            return {}


@pytest.fixture
def run_folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "runs" / "run_a")


Spawn = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start a sidecar process for a run's folder; all of them are killed at the end."""
    started: list[subprocess.Popen[bytes]] = []

    def start(folder: RunFolder, **env: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", CODE + f"sys.exit(main([{str(folder.path)!r}]))"],
            env={"PATH": os.environ["PATH"], **env},
            stderr=(folder.path / "sidecar.log").open("ab"),
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
