"""A real JupyterLab over a real engine, driven by a real browser. A run of its own: `pytest tests/e2e`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.engine import Project, project
from tests.support.wait import wait_until

from .looks import ARGS, CHROMIUM

ROOT = Path(__file__).parents[2]
TOKEN = "e2e"
# "Soon", on a machine that has other things to do as well.
expect.set_options(timeout=20_000)
QUIET = """{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}"""

# A training that can be watched: its loss falls with the step; it lasts until it is stopped, or for --steps.
TRAIN = """
import argparse, json, math, os, time
p = argparse.ArgumentParser()
p.add_argument("--lr", type=float, default=0.1)
p.add_argument("--steps", type=int, default=100000)
p.add_argument("--every", type=float, default=0.05)
p.add_argument("--nan-at", type=int, default=-1)
p.add_argument("--exit", type=int, default=0)
a = p.parse_args()
with open(os.environ["RAGENT_METRICS_FILE"], "a") as f:
    for step in range(a.steps):
        loss = float("nan") if 0 <= a.nan_at <= step else 2 / (1 + step * a.lr) + 0.1
        f.write(json.dumps({"step": step, "loss": loss}) + "\\n")
        f.flush()
        print(f"step {step}/{a.steps} loss={loss:.4f}", flush=True)
        time.sleep(a.every)
raise SystemExit(a.exit)
"""


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    return browser_type_launch_args | {"executable_path": CHROMIUM, "args": ARGS}


class Lab:
    """A running JupyterLab with its project."""

    def __init__(self, url: str, made: Project) -> None:
        self.url = url
        self.project = made

    def open(self, page: Page, *, panel: bool = True, keep: bool = False) -> None:
        """Goes to Lab and brings the panel to the front; `keep` what an earlier visit has left open."""
        page.goto(f"{self.url}/lab?{'' if keep else 'reset&'}token={TOKEN}")
        page.wait_for_function("!!window.jupyterapp", timeout=60_000)
        page.evaluate("async () => { await jupyterapp.restored }")
        if panel:
            page.evaluate("async () => { await jupyterapp.commands.execute('ragent:open') }")
            opened = "#ragent-panel :is(.rg-row, .rg-empty, .rg-form, .rg-detail)"
            page.wait_for_selector(opened, timeout=30_000)

    def page(self, page: Page) -> None:
        """Goes to the page outside Lab."""
        page.goto(f"{self.url}/ragent?token={TOKEN}")
        page.wait_for_selector(".rg-row, .rg-empty", timeout=30_000)

    def command(self, *arguments: str) -> str:
        return " ".join([sys.executable, "train.py", *arguments])


def start_lab(folder: Path, home: Path, module: str = "jupyterlab") -> tuple[subprocess.Popen[bytes], str]:
    """JupyterLab (or Notebook) with a home of its own, with the bundle of this checkout."""
    bundle = home / "share" / "labextensions"
    bundle.mkdir(parents=True)
    (bundle / "ragent-jupyter").symlink_to(ROOT / "ragent_jupyter" / "labextension")
    settings = home / "settings"
    settings.mkdir()
    (settings / "overrides.json").write_text(QUIET)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER_", "JPY_"))} | {
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_PATH": str(home / "share"),
    }
    log = (home / "lab.log").open("wb")
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            module,
            "--no-browser",
            "--allow-root",
            "--ip=127.0.0.1",
            f"--port={port}",
            "--ServerApp.port_retries=0",
            f"--IdentityProvider.token={TOKEN}",
            f"--ServerApp.root_dir={folder}",
            f"--LabApp.app_settings_dir={settings}",
            f"--ServerApp.jpserver_extensions={{'ragent_jupyter': True, '{module}': True}}",
            "--expose-app-in-browser",
        ],
        env=env,
        stdout=log,
        stderr=log,
        cwd=folder,
    )
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, (home / "lab.log").read_text()
        try:
            urllib.request.urlopen(f"{url}/api?token={TOKEN}", timeout=2).close()
        except OSError:
            return False
        return True

    wait_until(answers, 90, every=0.2, what="JupyterLab answers")
    return process, url


def end_lab(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(20)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    assert (ROOT / "ragent_jupyter" / "labextension" / "package.json").exists(), "not built: pip install -e ."
    with project("process") as made:
        (made.folder / "train.py").write_text(TRAIN)
        made.client.put("prefs", {"executor": "process"})
        process, url = start_lab(made.folder, tmp_path_factory.mktemp("home"))
        try:
            yield Lab(url, made)
        finally:
            end_lab(process)


@pytest.fixture
def fresh(lab: Lab) -> Iterator[Lab]:
    """The lab, without runs of earlier tests: those that live are stopped, all are archived."""
    yield lab
    client = lab.project.client
    for run in client.all_runs():
        if not run.status.terminal:
            client.stop(run.id, now=True)
            lab.project.wait(run.id)
        client.post(f"runs/{run.id}/archive", {})


@pytest.fixture
def quiet(page: Page) -> Iterator[list[str]]:
    """Errors that the browser's console shows while a test runs; ours must be none."""
    heard: list[str] = []
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("console", lambda message: heard.append(message.text) if message.type == "error" else None)
    yield heard


def at_rest(page: Page, where: str = "") -> None:
    """Waits until nothing in `where` ("" is the whole page) is on its way; what moves for ever does not count."""
    page.wait_for_function(
        """where => {
          const there = where ? document.querySelector(where) : document;
          return there.getAnimations({ subtree: true }).every(
            one => one.playState !== 'running' || one.effect.getComputedTiming().endTime === Infinity
          );
        }""",
        arg=where,
    )


def until(condition: Callable[[], Any], what: str = "", timeout: float = 20.0) -> Any:
    return wait_until(condition, timeout, every=0.05, what=what)
