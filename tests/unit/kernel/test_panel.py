"""`ragent.panel()` and its live chart, seen from the kernel's side."""

from __future__ import annotations

import array
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from ragent_jupyter.kernel import live_chart
from tests.support.fake_engine import FakeEngine
from tests.support.wait import wait_until

from .conftest import Curves, a_run

if not (live_chart.STATIC / "anywidget.js").is_file():
    pytest.skip("the browser's side is not built", allow_module_level=True)

from ragent_jupyter.client import Client
from ragent_jupyter.kernel.live_chart import ABSENT, LiveChart
from ragent_jupyter.kernel.panels import Lines, Panel

Sent = list[tuple[dict[str, Any], list[list[float]]]]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """What every chart told its views."""
    messages: Sent = []

    def send(self: LiveChart, content: dict[str, Any], buffers: Any = None) -> None:
        columns = []
        for data in buffers or []:
            column = array.array("d")
            column.frombytes(data)
            columns.append(column.tolist())
        messages.append((content, columns))

    monkeypatch.setattr(LiveChart, "send", send)
    return messages


def test_a_view_that_asks_gets_everything_then_only_what_is_new(sent: Sent):
    chart = LiveChart(["loss"])
    chart._from_view(chart, {"kind": "ready"}, [])
    assert sent[-1] == ({"kind": "all", "names": ["loss"], "n": 0, "batch": 1}, [[], []])
    chart.extend([0, 1], [3.0, 2.0])
    wait_until(lambda: len(sent) == 2)
    assert sent[1] == ({"kind": "rows", "n": 2, "batch": 2}, [[0, 1], [3.0, 2.0]])
    chart._from_view(chart, {"kind": "ready"}, [])  # a second view, or a reload
    assert sent[2] == ({"kind": "all", "names": ["loss"], "n": 2, "batch": 3}, [[0, 1], [3.0, 2.0]])
    chart.close()


def test_points_that_come_fast_go_out_together_at_most_ten_times_a_second(sent: Sent):
    chart = LiveChart(["loss"])
    for i in range(1000):
        chart.extend([i], [float(i)])
    wait_until(lambda: sum(message["n"] for message, _ in sent) == 1000)
    assert len(sent) <= 3
    assert [message["batch"] for message, _ in sent] == list(range(1, len(sent) + 1))
    assert [x for _, columns in sent for x in columns[0]] == list(range(1000))
    chart.close()


def test_a_view_that_a_busy_kernel_cannot_answer_is_told_everything_a_little_later(sent: Sent, monkeypatch):
    monkeypatch.setattr(live_chart, "AGAIN_S", 0.2)
    chart = LiveChart(["loss"])
    chart.extend([0, 1], [3.0, 2.0])
    wait_until(lambda: sent[-1][0]["kind"] == "all")
    assert sent[-1] == ({"kind": "all", "names": ["loss"], "n": 2, "batch": 2}, [[0, 1], [3.0, 2.0]])
    wait_until(lambda: chart._again is None)
    assert len(sent) == 2  # once: a chart without news is silent
    monkeypatch.setattr(live_chart, "SMALL", 16)
    chart.extend([2], [1.0])
    wait_until(lambda: len(sent) == 3)
    assert chart._again is None  # large ones are told when they are asked for
    chart.close()


def test_columns_that_do_not_fit_are_refused_and_change_nothing(sent: Sent):
    chart = LiveChart(["a", "b"])
    with pytest.raises(ValueError, match="2 lines"):
        chart.extend([1], [1.0])
    with pytest.raises(ValueError, match="equal length"):
        chart.extend([1], [1.0], [1.0, 2.0])
    assert chart.points == 0 and sent == []


def test_a_closed_chart_is_silent(sent: Sent):
    chart = LiveChart(["a"])
    chart.extend([1], [1.0])
    chart.extend([2], [1.0])  # waits for its tenth of a second
    timers = [chart._timer, chart._again]
    chart.close()
    chart.extend([3], [1.0])
    for timer in timers:
        assert timer is not None
        timer.join(5)
    assert [message["n"] for message, _ in sent] == [1]


# --- the curves of a panel --------------------------------------------------------------------------------------
def look(lines: Lines, curves: Curves, engine: FakeEngine, runs: list[str]) -> Any:
    client = Client(engine.project)
    return lines.take(client.series(runs, ["loss"], since=lines.cursors() or None).series)


def test_one_run_is_drawn_whole_once_and_then_appended_to(engine: FakeEngine, curves: Curves):
    lines = Lines()
    lines.choose("loss", [("run_a1", "one")])
    points = curves.points[("run_a1", "loss")] = [(0, 1.0), (1, 0.5)]
    assert look(lines, curves, engine, ["run_a1"]) is None
    assert lines.aligned() == ([0, 1], [1.0, 0.5])
    lines.owed = False
    points += [(2, "nan"), (3, 0.25)]
    x, y = look(lines, curves, engine, ["run_a1"])
    assert x == [2, 3] and math.isnan(y[0]) and y[1] == 0.25
    assert look(lines, curves, engine, ["run_a1"]) == ([],)
    points.append((1, 9.0))  # rewound
    assert look(lines, curves, engine, ["run_a1"]) is None


def test_several_runs_share_their_x_and_mark_what_they_do_not_have(engine: FakeEngine, curves: Curves):
    lines = Lines()
    lines.choose("loss", [("run_a1", "same"), ("run_b2", "same")])
    curves.points = {("run_a1", "loss"): [(0, 1.0), (2, 0.5)], ("run_b2", "loss"): [(1, 3.0), (2, "inf")]}
    assert look(lines, curves, engine, ["run_a1", "run_b2"]) is None
    assert lines.aligned() == ([0, 1, 2], [1.0, ABSENT, 0.5], [ABSENT, 3.0, math.inf])
    assert lines.names == ["same n_a1", "same n_b2"]  # told apart
    lines.owed = False
    assert look(lines, curves, engine, ["run_a1", "run_b2"]) == ([],)
    curves.points[("run_b2", "loss")].append((3, 2.0))
    assert look(lines, curves, engine, ["run_a1", "run_b2"]) is None  # one line cannot grow alone


def test_a_run_without_the_metric_yet_does_not_disturb_the_others(engine: FakeEngine, curves: Curves):
    lines = Lines()
    lines.choose("loss", [("run_a1", "a"), ("run_b2", "b")])
    curves.points = {("run_b2", "loss"): [(1, 3.0)]}
    look(lines, curves, engine, ["run_a1", "run_b2"])
    assert lines.aligned() == ([1], [ABSENT], [3.0])


# --- the whole panel --------------------------------------------------------------------------------------------
@pytest.fixture
def panel(engine: FakeEngine, curves: Curves, sent: Sent) -> Iterator[Panel]:
    engine.runs = [a_run()]
    curves.points = {("run_a1", "loss"): [(0, 1.0), (1, 0.5)]}
    rings: list[int] = []

    def events(query: Any, body: Any) -> Iterator[Any]:
        while not rings or rings[0] < 3:
            wait_until(lambda: rings, timeout=20)
            n = rings.pop(0)
            if n < 0:
                return
            yield {"seq": 8, "time": 1.0, "topic": "metrics", "type": "metrics_changed", "data": {"run": "run_a1"}}

    engine.on["GET", "events"] = events
    panel = Panel(Client(engine.project))
    panel.ring = rings.append  # type: ignore[attr-defined]
    yield panel
    rings.append(-1)
    panel.close()


def test_the_first_picture_is_there_with_the_cell(panel: Panel, sent: Sent):
    assert panel._pick.value == "loss" and panel.chart.points == 2
    assert "1 running" in panel._head.value and "train 1" in panel._list.value
    assert sent[-1][0]["names"] == ["train 1"]


def test_a_doorbell_brings_the_new_points_and_silence_asks_for_nothing(
    panel: Panel, engine: FakeEngine, curves: Curves
):
    curves.points[("run_a1", "loss")].append((2, 0.25))
    panel.ring(1)  # type: ignore[attr-defined]
    wait_until(lambda: panel.chart.points == 3)
    wait_until(lambda: not panel._bell.wait(0.3))  # what had been rung for is done
    asked = len(engine.asked)
    assert not panel._bell.wait(0.5)
    assert len(engine.asked) == asked


def test_an_engine_that_is_gone_is_told_and_the_picture_stays(panel: Panel, engine: FakeEngine, monkeypatch):
    from ragent_jupyter.domain.errors import Unreachable

    def gone() -> None:
        raise Unreachable("Nobody answers.", "Start it.")

    monkeypatch.setattr(panel._client, "status", gone)
    panel.refresh()
    assert "Nobody answers." in panel._note.value and "older than" in panel._note.value
    assert panel.chart.points == 2 and "train 1" in panel._list.value


def test_a_notebook_shows_panel_runs_and_errors(engine: FakeEngine, curves: Curves):
    """Through a real kernel: what is saved with the notebook is small and readable without one."""
    curves.points = {("run_a1", "loss"): [(0, 1.0)], ("run_b2", "loss"): [(0, 1.0)]}
    engine.on["GET", "events"] = lambda q, b: iter(())
    root = Path(__file__).resolve().parents[3]
    cells = [
        f"import sys; sys.path.insert(0, {str(root)!r})\n%load_ext ragent_jupyter",
        "%ragent runs",
        "%ragent panel",
        "%ragent show nothing-like-it",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    NotebookClient(
        notebook, timeout=60, kernel_name="python3", allow_errors=True, resources={"metadata": {"path": engine.project}}
    ).execute()
    _, runs, panel, wrong = (cell.outputs for cell in notebook.cells)
    assert "train 1" in runs[0]["data"]["text/html"] and "train 1" in runs[0]["data"]["text/plain"]
    view = panel[-1]["data"]["application/vnd.jupyter.widget-view+json"]
    state = notebook.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    assert state[view["model_id"]]["model_name"] == "VBoxModel"
    assert wrong[0]["output_type"] == "error" and wrong[0]["ename"] == "NotFound"
    assert wrong[0]["traceback"][0].startswith("ragent: No run")
    assert len(json.dumps(notebook)) < 300_000
