"""The notebooks that are shipped run from top to bottom with a real engine, and what they show is what was recorded."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from ragent_jupyter.domain.alert import AlertStatus
from ragent_jupyter.domain.run import RunStatus
from ragent_jupyter.domain.sweep import SweepStatus
from tests.support.engine import Project, project

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def run_all(made: Project, name: str, monkeypatch: pytest.MonkeyPatch) -> nbformat.NotebookNode:
    """A copy of the notebook in the project's folder, executed there as *Run All* would."""
    # `ragent` and `python` as they are found in an activated environment.
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TMUX_TMPDIR", str(made.folder))
    path = made.folder / f"{name}.ipynb"
    shutil.copy(NOTEBOOKS / path.name, path)
    notebook = nbformat.read(path, as_version=4)
    began = time.monotonic()
    NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(made.folder)}}
    ).execute()
    print(f"{path.name}: {time.monotonic() - began:.1f} s, load {os.getloadavg()[0]:.1f}")
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            # `--dry-run` says beside its list that it started nothing; nothing else has a word to say there.
            assert output.get("name") != "stderr" or "nothing was started" in output["text"], output["text"]
    return notebook


def shown(notebook: nbformat.NotebookNode, start: str) -> dict[str, Any]:
    """The result of the cell whose source has a line that begins so."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and any(line.startswith(start) for line in cell.source.splitlines()):
            return dict(next(o["data"] for o in cell.outputs if "data" in o))
    raise AssertionError(f"no cell has {start!r}")


def rows_of(made: Project, run: str) -> list[dict[str, float]]:
    return [json.loads(line) for line in (made.run_dir(run) / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", sorted(path.name for path in NOTEBOOKS.glob("*.ipynb")))
def test_it_is_committed_clean(name: str) -> None:
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code and all(not cell.outputs and cell.execution_count is None for cell in code)
    assert "widgets" not in notebook.metadata and notebook.metadata.kernelspec.name == "python3"


def test_quickstart(monkeypatch: pytest.MonkeyPatch) -> None:
    with project(prefix="rn-") as made:
        notebook = run_all(made, "quickstart", monkeypatch)
        steady, wild = (made.client.find_run(name) for name in ("steady", "wild"))

        assert steady.status is RunStatus.FINISHED and steady.summary["loss"].count == 300
        rows = rows_of(made, steady.id)
        assert steady.summary["loss"].last == rows[-1]["loss"] < 0.1
        assert f"{rows[-1]['val_loss']:.6f}" in shown(notebook, "ragent.runs().df")["text/plain"]

        assert wild.status is RunStatus.STOPPED and wild.summary["loss"].nonfinite > 0
        answered = next(a for a in made.alerts(run=wild.id) if a.rule == "non_finite")
        assert answered.status is AlertStatus.RESOLVED and answered.choice == "stop"
        first = next(row["step"] for row in rows_of(made, wild.id) if not math.isfinite(row["loss"]))
        counted = next(c for c in notebook.cells if c.source.startswith("wild_loss ="))
        assert f"the first at step {first}\n" in counted.outputs[0]["text"]

        drawn = shown(notebook, 'ragent.chart("val_loss"')["application/vnd.plotly.v1+json"]["data"]
        assert [len(curve["y"]) for curve in drawn] == [15] and drawn[0]["y"][-1] == rows[-1]["val_loss"]
        assert "1 finished, 1 stopped" in shown(notebook, "report.summary()")["text/markdown"]
        assert "steady" in shown(notebook, "report.trials()")["text/html"]
        assert len(list((made.folder / "reports").glob("*.ipynb"))) == 1


def test_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    with project(prefix="rn-") as made:
        notebook = run_all(made, "sweep", monkeypatch)
        sweep = made.client.sweeps()[0]
        runs = made.client.all_runs(sweep=sweep.id)

        assert sweep.status is SweepStatus.FINISHED and len(sweep.trials) == len(runs) == 6
        assert sorted({round(run.params["lr"], 6) for run in runs}) == [0.003, 0.03, 0.3]
        best = min(runs, key=lambda run: min(row.get("val_loss", 9e9) for row in rows_of(made, run.id)))
        value = min(row["val_loss"] for row in rows_of(made, best.id) if "val_loss" in row)
        summary = shown(notebook, "report.summary()")["text/markdown"].replace("\\", "")
        assert f"{value:.4g}"[:5] in summary and "nconfirmed" in summary
        assert len(shown(notebook, 'ragent.chart("val_loss"')["application/vnd.plotly.v1+json"]["data"]) == 6
        assert "lr" in shown(notebook, "report.effects()")["text/html"]
        written = nbformat.read(made.folder / "reports" / "line.ipynb", as_version=4)
        assert any("outputs" in cell and cell.outputs for cell in written.cells)


def test_log(monkeypatch: pytest.MonkeyPatch) -> None:
    with project(prefix="rn-") as made:
        notebook = run_all(made, "log", monkeypatch)
        (run,) = made.client.runs().runs

        assert run.kind == "interactive" and run.status is RunStatus.FINISHED
        assert run.summary["loss"].count == 201 and run.summary["loss"].nonfinite == 1
        rows = rows_of(made, run.id)
        assert rows[199]["loss"] < rows[0]["loss"] and rows[199]["accuracy"] > 0.85
        assert f"{rows[199]['loss']:.6f}" in shown(notebook, "ragent.metrics(run)")["text/plain"]
        (alert,) = [a for a in made.alerts(run=run.id) if a.rule == "non_finite"]
        assert alert.status is AlertStatus.DISMISSED and alert.choice == "ignore"
        drawn = shown(notebook, "ragent.chart(")["application/vnd.plotly.v1+json"]["data"]
        assert sorted(len(curve["y"]) for curve in drawn) == [200, 200]
