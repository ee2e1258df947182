"""`%ragent VERB …`: the command line's verbs in a cell, returning values with a face."""

from __future__ import annotations

import os
import sys
from html import escape
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.testing.globalipapp import start_ipython

from ragent_jupyter.domain.errors import BadInput, NotFound, RagentError
from ragent_jupyter.domain.run import RunStatus
from ragent_jupyter.kernel.magics import VERBS
from tests.support.fake_engine import FakeEngine

from .conftest import Curves, a_run


@pytest.fixture(scope="module")
def shell() -> InteractiveShell:
    shell = start_ipython() or InteractiveShell.instance()
    shell.run_line_magic("load_ext", "ragent_jupyter")
    return shell


@pytest.fixture
def say(shell: InteractiveShell, engine: FakeEngine) -> Any:
    return lambda line: shell.run_line_magic("ragent", line)


def faces(value: Any) -> tuple[str, str]:
    bundle = value._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    return bundle["text/plain"], bundle["text/html"]


def test_every_verb_of_the_help_is_there_and_says_what_it_takes(say: Any):
    text, html = faces(say("help"))
    for verb, (_, says) in VERBS.items():
        assert f"%ragent {verb}" in text and says in text and escape(says) in html


def test_a_bare_ragent_is_the_status(say: Any, engine: FakeEngine):
    text, html = faces(say(""))
    assert text == "1 running · 1 alert"
    assert str(engine.project) in html


def test_runs_show_state_name_metric_and_are_a_sequence(say: Any):
    runs = say("runs")
    assert [run.id for run in runs] == ["run_a1", "run_b2"]
    assert runs["train 1"].id == "run_a1" and runs[-1].status is RunStatus.FAILED
    text, html = faces(runs)
    assert "● running" in text and "loss 0.25" in text and "✕ failed" in text and "loss nan" in text
    assert "<b>evil</b>" not in html and "&lt;b&gt;evil" in html
    assert 'data-ragent-run="run_a1"' in html
    assert list(say("runs --status failed --limit 5")) == [runs["run_b2"]]


def test_runs_become_a_data_frame(say: Any):
    df = say("runs").df
    assert list(df.index) == ["run_a1", "run_b2"]
    assert df.loc["run_a1", "loss"] == 0.25 and df.loc["run_b2", "loss"] != df.loc["run_b2", "loss"]
    assert str(df["started_at"].dtype).startswith("datetime64")


def test_a_run_is_found_by_the_beginning_of_its_id_or_its_name(say: Any):
    assert say("show run_a").id == say("show a1").id == say("show 'train 1'").id == "run_a1"
    text, html = faces(say("show run_b2"))
    assert "It ran out of memory." in text
    assert "CUDA &lt;out&gt; of memory" in html


def test_run_sends_the_command_as_it_was_typed_and_returns_at_once(say: Any, engine: FakeEngine):
    engine.on["POST", "runs"] = lambda q, b: (201, a_run("run_new", name="mine", status=RunStatus.QUEUED, summary={}))
    started = say(
        """run --name "my run" --gpus 2 --primary=loss --mode max python t.py --lr 0.1 | tee 'a b' && echo "x  y" """
    )
    (body,) = engine.bodies("POST", "runs")
    assert body["command"] == """python t.py --lr 0.1 | tee 'a b' && echo "x  y\""""
    assert (body["name"], body["gpus"], body["primary"], body["mode"]) == ("my run", 2, "loss", "max")
    assert (body["caller_python"], body["cwd"]) == (sys.executable, os.getcwd())
    assert body["request_id"]
    assert started.id == "run_new" and "○ queued" in repr(started)


def test_a_command_with_options_of_its_own_and_a_notebook(say: Any, engine: FakeEngine):
    engine.on["POST", "runs"] = lambda q, b: (201, a_run("run_new"))
    say("run -- --strange-command")
    say("run 'my work/train.ipynb'")
    say("run notebooks/train.ipynb")
    say("run python x.py nb.ipynb")
    sent = [(body.get("kind", "command"), body["command"]) for body in engine.bodies("POST", "runs")]
    assert sent == [
        ("command", "--strange-command"),
        ("notebook", "my work/train.ipynb"),
        ("notebook", "notebooks/train.ipynb"),
        ("command", "python x.py nb.ipynb"),
    ]


def test_stop_retry_and_respond_reach_the_engine(say: Any, engine: FakeEngine):
    engine.on["POST", "runs/run_a1/stop"] = lambda q, b: a_run(status=RunStatus.STOPPING)
    engine.on["POST", "runs/run_b2/retry"] = lambda q, b: (201, a_run("run_c3"))
    engine.on["POST", "alerts/alt_x1/respond"] = lambda q, b: engine.alerts[0]
    assert say("stop run_a1 --now").status is RunStatus.STOPPING
    assert engine.bodies("POST", "runs/run_a1/stop") == [{"now": True}]
    assert say("retry run_b2 --set lr=0.001 --set epochs=3 --set name=x").id == "run_c3"
    assert engine.bodies("POST", "runs/run_b2/retry")[0]["set"] == {"lr": 0.001, "epochs": 3, "name": "x"}
    say("respond alt_x stop")
    assert engine.bodies("POST", "alerts/alt_x1/respond")[0]["choice"] == "stop"


def test_alerts_say_what_can_be_answered_and_with_what(say: Any):
    text, html = faces(say("alerts"))
    assert "loss became NaN at step 412" in text
    assert "%ragent respond alt_x1 stop" in text and "Ignore (the safe one)" in html
    with pytest.raises(BadInput, match="ignore \\(Ignore\\), stop \\(Stop run\\)"):
        say("respond alt_x1 sto")


def test_logs_show_the_last_lines_as_text(say: Any, engine: FakeEngine):
    text = "".join(f"line {i} <x>\n" for i in range(100))
    engine.on["GET", "runs/run_a1/logs"] = lambda q, b: {"text": text, "offset": 0, "next": 9, "size": 1200}
    log = say("logs run_a1 -n 2")
    assert str(log) == "line 98 <x>\nline 99 <x>"
    assert "line 99 &lt;x&gt;" in faces(log)[1]


def test_a_chart_carries_plotly_svg_and_numbers(say: Any, curves: Curves):
    curves.points = {("run_a1", "loss"): [(0, 1.0), (1, 0.5)], ("run_b2", "loss"): [(0, 2.0)]}
    bundle = say("chart loss")._repr_mimebundle_()
    traces = bundle["application/vnd.plotly.v1+json"]["data"]
    # plotly takes a little HTML in names: ours are text.
    assert {"train 1", "&lt;b&gt;evil&lt;/b&gt;"} <= {trace.get("name") for trace in traces}
    assert bundle["image/svg+xml"].startswith("<svg") and "<b>evil" not in bundle["image/svg+xml"]
    assert "train 1" in bundle["text/plain"]
    one = say("chart loss run_a1")
    assert [series.run for series in one.series] == ["run_a1"]
    assert type(one.figure).__module__.startswith("plotly")


def test_a_chart_without_data_says_so_and_draws_nothing(say: Any, curves: Curves):
    with pytest.raises(NotFound, match="No run has logged los"):
        say("chart los")
    with pytest.raises(NotFound, match="No data for acc in run_a1"):
        say("chart acc run_a1")


@pytest.mark.parametrize(
    ("line", "kind", "words"),
    [
        ("nope", BadInput, "no verb 'nope'"),
        ("show nothing-like-it", NotFound, "nothing-like-it"),
        ("show", BadInput, "takes one name"),
        ("run", BadInput, "No command"),
        ("run --gpus two python x", BadInput, "whole number"),
        ("run --mode up python x", BadInput, "min or max"),
        ("run --wat 1 python x", BadInput, "no option --wat"),
        ("run --name", BadInput, "names no value"),
        ("runs extra", BadInput, "takes nothing like"),
        ("chart loss --x miles", BadInput, "miles"),
        ("stop", BadInput, "No run"),
        ("retry run_b2 --set lr", BadInput, "names no value"),
        ("show 'open", BadInput, "quotes"),
    ],
)
def test_a_mistake_is_told_in_two_lines_with_its_remedy(say: Any, line: str, kind: type[RagentError], words: str):
    with pytest.raises(kind) as refused:
        say(line)
    assert words in str(refused.value)
    shown = refused.value._render_traceback_()  # type: ignore[attr-defined]
    assert len(shown) == 2 and shown[0].startswith("ragent: ")


def test_the_shell_shows_a_mistake_without_our_call_stack(
    shell: InteractiveShell, engine: FakeEngine, capsys: pytest.CaptureFixture[str]
):
    result = shell.run_cell("%ragent show nothing-like-it")
    assert isinstance(result.error_in_exec, NotFound)
    out = capsys.readouterr().out
    assert "ragent: No run" in out and "Traceback" not in out and "magics.py" not in out


def test_variables_of_the_notebook_are_filled_in(shell: InteractiveShell, engine: FakeEngine):
    engine.on["POST", "runs"] = lambda q, b: (201, a_run("run_new"))
    shell.run_cell("lr = 0.3\n_started = %ragent run python t.py --lr {lr}")
    assert engine.bodies("POST", "runs")[0]["command"] == "python t.py --lr 0.3"
    assert shell.user_ns["_started"].id == "run_new"


def test_loading_the_extension_asks_nobody(engine: FakeEngine, shell: InteractiveShell):
    asked = len(engine.asked)
    shell.run_line_magic("reload_ext", "ragent_jupyter")
    assert len(engine.asked) == asked
