"""ragent is a guest: Lab starts whatever its configuration says, and nothing of ours ends with Lab."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ragent_jupyter.client.transport import request
from ragent_jupyter.runfiles.project import socket_path
from tests.support.fake_wire import Fakes
from tests.support.wait import wait_until

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.slow


class Jupyter:
    """A real `jupyter server` in a process of its own, with folders of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.work = home / "work"
        self.config = home / "config"
        for folder in (self.work / ".ragent", self.config, home / "runtime"):
            folder.mkdir(parents=True, exist_ok=True)
        (self.config / "jupyter_server_config.json").write_text(
            '{"ServerApp": {"jpserver_extensions": {"ragent_jupyter": true}}}'
        )
        self.log = home / "log"
        self.process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self, *arguments: str) -> None:
        env = os.environ | {
            "JUPYTER_CONFIG_DIR": str(self.config), "JUPYTER_DATA_DIR": str(self.home / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.home / "runtime"), "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", "--ip=127.0.0.1",
                    "--port=0",
                    "--IdentityProvider.token=t", f"--ServerApp.root_dir={self.work}", *arguments,
                ],
                env=env, stdout=log, stderr=log, cwd=self.work,
            )  # fmt: skip
        info = self.home / "runtime" / f"jpserver-{self.process.pid}.json"

        def answers() -> bool:
            assert self.process is not None and self.process.poll() is None, self.log.read_text()
            if not info.exists():
                return False
            try:
                self.url = json.loads(info.read_text())["url"]
                return self.get("api/status") is not None
            except (OSError, ValueError):
                return False

        wait_until(answers, timeout=60, what="Jupyter answers")

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(
            urllib.request.Request(self.url + path, headers={"Authorization": "token t"}), timeout=30
        ) as r:
            return json.load(r)

    def end(self, how: signal.Signals) -> None:
        if self.process is not None:
            if self.process.poll() is None:
                self.process.send_signal(how)
            self.process.wait(30)
            self.process = None


@pytest.fixture
def jupyter(tmp_path: Path) -> Iterator[Jupyter]:
    jupyter = Jupyter(tmp_path)
    yield jupyter
    jupyter.end(signal.SIGKILL)


@pytest.fixture
def engine(jupyter: Jupyter) -> Iterator[Fakes]:
    fakes = Fakes()
    fakes.ensure(jupyter.work)
    yield fakes
    fakes.kill()


BROKEN: dict[str, Callable[[Path], Any]] = {
    "a value that is none, in our own file": lambda config: (config / "jupyter_ragent_jupyter_config.json").write_text(
        '{"RagentApp": {"keep_alive": "banana", "keep_alive_limit_hours": 3}}'
    ),
    "our own file is no JSON": lambda config: (config / "jupyter_ragent_jupyter_config.json").write_text('{"Ragent'),
    "our own file is no Python": lambda config: (config / "jupyter_ragent_jupyter_config.py").write_text("c.x = = 1"),
    "our own file raises": lambda config: (config / "jupyter_ragent_jupyter_config.py").write_text(
        "raise SystemExit(3)"
    ),
    "a value that is none, in the server's file": lambda config: (config / "jupyter_server_config.py").write_text(
        "c.RagentApp.keep_alive_limit_hours = [1]\nc.RagentApp.no_such_thing = 1\n"
    ),
    "a project that does not exist": lambda config: (config / "jupyter_server_config.py").write_text(
        "c.RagentApp.project = '/nowhere/at/all'"
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_jupyter_starts_although_our_configuration_is_broken(jupyter: Jupyter, how: str):
    BROKEN[how](jupyter.config)
    jupyter.start()
    assert jupyter.get("api/status")["connections"] == 0
    assert jupyter.get("ragent/api/v1/project")["root"] == str(jupyter.work)  # and our door is there all the same
    if how != "a project that does not exist":
        assert "ragent" in jupyter.log.read_text()


def test_a_bad_value_on_the_command_line_does_not_stop_it_either(jupyter: Jupyter):
    jupyter.start("--RagentApp.keep_alive_limit_hours=soon")
    assert jupyter.get("ragent/api/v1/project")["project"] == str(jupyter.work)


def test_good_values_beside_a_bad_one_are_kept(jupyter: Jupyter, engine: Fakes):
    (jupyter.work / "inner").mkdir()
    (jupyter.work / "inner" / ".ragent").mkdir()
    (jupyter.config / "jupyter_server_config.py").write_text(
        "c.RagentApp.keep_alive = 'banana'\nc.RagentApp.project = 'inner'\n"
    )
    jupyter.start()
    assert jupyter.get("ragent/api/v1/project")["project"] == str(jupyter.work / "inner")


def test_a_ragent_folder_that_is_a_file_is_a_refusal_not_a_crash(jupyter: Jupyter):
    (jupyter.work / ".ragent").rmdir()
    (jupyter.work / ".ragent").write_text("")
    jupyter.start()
    with pytest.raises(urllib.error.HTTPError) as refused:
        jupyter.get("ragent/api/v1/status")
    assert refused.value.code in (422, 503)
    assert json.load(refused.value)["error"]["remedy"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_that_ends_leaves_the_engine_alone(jupyter: Jupyter, engine: Fakes, how: signal.Signals):
    jupyter.start()
    pid = jupyter.get("ragent/api/v1/status")["pid"]
    jupyter.end(how)
    assert json.loads(request(socket_path(jupyter.work), "GET", "status"))["pid"] == pid
    jupyter.start()
    assert jupyter.get("ragent/api/v1/status")["pid"] == pid


def test_the_extension_is_a_small_part_of_the_servers_start():
    """What Lab's start pays for us, beside what it pays for jupyter_server: about a hundredth. The best of three."""
    code = (
        # Processor time: a neighbour on this machine is not our import.
        "import time, sys; t = time.process_time()\n"
        "import jupyter_server.serverapp, jupyter_server.extension.application\n"
        "base = time.process_time() - t\n"
        "t = time.process_time(); import ragent_jupyter.server.app; took = time.process_time() - t\n"
        "heavy = {'numpy', 'pandas', 'sqlalchemy', 'plotly', 'anthropic', 'ipywidgets', 'mistune', 'optuna'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "print(took / base)"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    part = min(float(subprocess.check_output([sys.executable, "-c", code], env=env, cwd="/")) for _ in range(3))
    assert part <= 0.1
