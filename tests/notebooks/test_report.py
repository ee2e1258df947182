"""A report is a real notebook: complete as it opens, and the same again when it runs; changed data changes it."""

from __future__ import annotations

import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotFound
from ragent_jupyter.domain.sweep import SearchSpace, Sweep, Values
from ragent_jupyter.domain.wire import CreateReport, CreateSweep
from tests.support.engine import Project, project
from tests.support.wait import wait_until

TRAIN = """
import json, os, sys
lr = float(sys.argv[sys.argv.index("--lr") + 1])
if lr > 5: raise ValueError("lr is too large for this toy")
with open(os.environ["RAGENT_METRICS_FILE"], "a") as out:
    for step in range(20):
        row = {"step": step, "val_loss": abs(lr - 0.3) + 1.0 / (step + 1), "loss": 2.0 / (step + 1)}
        out.write(json.dumps(row) + "\\n")
"""


@pytest.fixture(scope="module")
def swept() -> Iterator[tuple[Project, Sweep]]:
    with project("process") as made:
        body = CreateSweep(
            command=made.script("train.py", TRAIN),
            space=SearchSpace(parameters={"lr": Values([0.1, 0.3, 0.7, 9.0])}),
            name="toy",
            executor="process",
            caller_python=sys.executable,
            parallel=2,
            primary="val_loss",
        )
        sweep = made.client.create_sweep(body)
        wait_until(lambda: made.client.sweep(sweep.id).status.terminal, 60)
        wait_until(lambda: all(r.settled for r in made.client.all_runs(sweep=sweep.id)), 30)
        yield made, sweep


def execute(path: Path) -> nbformat.NotebookNode:
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    return notebook


def outputs(notebook: nbformat.NotebookNode) -> list[dict[str, Any]]:
    return [o["data"] for c in notebook.cells if c.cell_type == "code" for o in c.outputs if "data" in o]


def test_it_is_valid_complete_and_gives_the_same_again(swept: tuple[Project, Sweep]) -> None:
    made, sweep = swept
    reply = made.client.create_report(CreateReport(sweep=sweep.id))
    path = Path(reply.path)
    assert path.parent == made.folder / "reports"
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert all(c["id"] for c in notebook.cells) and "widgets" not in notebook.metadata
    embedded = outputs(notebook)
    kinds = {kind for data in embedded for kind in data}
    assert {"text/markdown", "text/html", "image/svg+xml", "application/vnd.plotly.v1+json", "text/plain"} <= kinds
    assert "ValueError: lr is too large for this toy" in embedded[0]["text/markdown"].replace("\\", "")
    assert "Unconfirmed" in embedded[0]["text/markdown"]
    assert outputs(execute(path)) == embedded
    assert reply.findings and reply.findings[0].startswith("4 trials: 3 finished, 1 failed")


def test_a_changed_stored_value_changes_sentence_cell_and_curve(swept: tuple[Project, Sweep]) -> None:
    made, sweep = swept
    path = Path(made.client.create_report(CreateReport(sweep=sweep.id, path="reports/changed.ipynb")).path)
    before = outputs(nbformat.read(path, as_version=4))
    best = made.client.sweep(sweep.id).trials[1].run_ids[0]
    old, new = 0.05, 0.03125  # the last of 20 steps: 1/20
    assert f"Best val\\_loss: {old}" in before[0]["text/markdown"]
    columns = [f for f in (made.run_dir(best) / "metrics").iterdir() if struct.pack("<d", old) in f.read_bytes()]
    assert len(columns) == 1, columns
    backup = made.folder / "backup"
    shutil.copy(columns[0], backup)
    try:
        columns[0].write_bytes(columns[0].read_bytes().replace(struct.pack("<d", old), struct.pack("<d", new)))
        after = outputs(execute(path))
    finally:
        shutil.copy(backup, columns[0])
    assert "Best val\\_loss: 0.03125" in after[0]["text/markdown"]
    assert '<td style="text-align:right">0.03125</td>' in after[1]["text/html"]
    drawn = [t for t in after[2]["application/vnd.plotly.v1+json"]["data"] if t["y"] and t["y"][-1] == new]
    assert len(drawn) == 1
    assert after[2]["image/svg+xml"] != before[2]["image/svg+xml"]


def test_an_older_report_is_never_overwritten(swept: tuple[Project, Sweep]) -> None:
    made, sweep = swept
    first = made.client.create_report(CreateReport(sweep=sweep.id))
    second = made.client.create_report(CreateReport(sweep=sweep.id))
    assert first.path != second.path
    with pytest.raises(CannotBeDone):
        made.client.create_report(CreateReport(sweep=sweep.id, path=str(Path(first.path).relative_to(made.folder))))


@pytest.mark.parametrize("path", ["../outside.ipynb", ".ragent/x.ipynb", "x.txt", "/etc/x.ipynb"])
def test_a_report_stays_inside_the_project(swept: tuple[Project, Sweep], path: str) -> None:
    made, sweep = swept
    with pytest.raises(BadInput):
        made.client.create_report(CreateReport(sweep=sweep.id, path=path))


def test_nothing_to_report_on_is_said(swept: tuple[Project, Sweep]) -> None:
    made, _ = swept
    with pytest.raises(NotFound):
        made.client.create_report(CreateReport(sweep="swp_nope"))
    with pytest.raises(BadInput):
        made.client.create_report(CreateReport())
