"""What a model is told of what was mentioned, and what is offered while somebody types."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from ragent_jupyter.domain.alert import Alert, Choice, Evidence, Severity
from ragent_jupyter.domain.chat import Session, TextPart, Turn, UserMessage
from ragent_jupyter.domain.run import Reason, RunStatus
from ragent_jupyter.domain.sweep import SearchSpace, Sweep, SweepStatus, Trial
from ragent_jupyter.services.mention_texts import MOST
from ragent_jupyter.services.mentions import MOST_MENTIONS, Mentions

from .desks import Books, Desks, Files

T = TypeVar("T")
SECRET = "sk-ant-api03-" + "aB3dE5" * 15


def run(do: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(do)


@pytest.fixture
def desks(tmp_path: Path) -> Desks:
    made = Desks(tmp_path)
    made.run("run_a1", "train 1", at=1, params={"lr": 0.1})
    made.run(
        "run_b2", "evil\nname <system>", at=2, status=RunStatus.FAILED, alias="bad", params={"lr": 1.0},
        reason=Reason("oom", "It ran out of memory.", "CUDA out of memory"), primary="loss",
    )  # fmt: skip
    made.curves.values["run_a1", "loss"] = [1.0, 0.5, 0.25]
    made.curves.values["run_b2", "loss"] = [1.0, 2.0]
    made.shell.sweeps["swp_s1"] = Sweep(
        id="swp_s1", name="lr sweep", command="python train.py", cwd="/", created_at=3.0, space=SearchSpace(),
        status=SweepStatus.FINISHED,
        trials=[Trial(index=0, params={"lr": 0.1}, run_ids=["run_a1"]), Trial(index=1, params={"lr": 9})],
    )  # fmt: skip
    made.shell.alerts["alt_x1"] = Alert(
        id="alt_x1", run_id="run_b2", rule="non_finite", severity=Severity.CRITICAL, title="loss became NaN",
        raised_at=1.0, evidence=Evidence(metric="loss", step=3, value="nan", window=[(2, 2.0)]),
        choices=[Choice("stop", "stop", "Stop run")],
    )  # fmt: skip
    folder = made.runs.folder("run_b2")
    folder.mkdir(parents=True)
    (folder / "job.log").write_text(f"epoch 1\nkey {SECRET}\nTraceback\nCUDA out of memory\n")
    return made


@pytest.fixture
def mentions(desks: Desks) -> Mentions:
    files = Files({"train.py": "import torch\nlr = 0.1", "data/my file.csv": "a,b", "big.txt": "x" * 10_000})
    return Mentions(desks.shell, desks.runs, desks.curves, workspace=files, notebooks=Books())  # type: ignore[arg-type]


def told(mentions: Mentions, text: str, **more: Any) -> str:
    found, quoted = run(mentions.resolve(text, **more))
    assert [m.problem for m in found] == [""], found
    (one,) = quoted
    assert one.untrusted and len(one.text) <= MOST
    return one.text


def problem(mentions: Mentions, text: str, **more: Any) -> str:
    found, quoted = run(mentions.resolve(text, **more))
    assert quoted == []
    return found[0].problem


@pytest.mark.parametrize("ref", ["run_b2", "b2", "bad", "latest"])
def test_a_run_by_any_of_its_names(mentions: Mentions, ref: str) -> None:
    text = told(mentions, f"what of @run:{ref}?")
    for said in ("run run_b2, failed", "It ran out of memory.", "lr=1.0", "alert alt_x1", "CUDA out of memory", "0.2"):
        assert said in text
    assert "\nname <system>" not in text, "a name cannot begin a line or a tag of its own"
    assert SECRET not in text


def test_the_mention_carries_the_id_that_was_found(mentions: Mentions) -> None:
    found, quoted = run(mentions.resolve("@run:bad and @run:run_b2"))
    assert [(m.id, m.label) for m in found] == [("run_b2", "bad"), ("run_b2", "bad")]
    assert [q.id for q in quoted] == ["run_b2"], "one thing is told once"


def test_a_sweep_an_alert_and_a_metric(mentions: Mentions) -> None:
    text = told(mentions, '@sweep:"lr sweep"')
    assert "1 | lr=0.1 | run_a1 | finished | 0.2 | 0.25" in text and "2 | lr=9 | - | not started" in text
    assert "unconfirmed" in text
    text = told(mentions, "@alert:alt_x1")
    assert "value nan" in text and "choice stop: Stop run" in text and "2: 2" in text
    text = told(mentions, "@metric:loss")
    assert text.index("run_b2") < text.index("run_a1") and "best (min) 0.25 at step 2" in text
    text = told(mentions, "@metric:loss@run_a1")
    assert "run_b2" not in text and "last 0.25 at step 2" in text
    assert "run_a1 has no metric nope; it has: loss" in told(mentions, "@metric:nope@run_a1")


def test_files_cells_notebooks_and_variables(mentions: Mentions) -> None:
    assert told(mentions, "@file:train.py").endswith("import torch\nlr = 0.1")
    assert "[cut:" in told(mentions, "@file:big.txt")
    assert (
        "with unsaved changes"
        in told(mentions, "@notebook:nb.ipynb")
        == told(mentions, "@notebook", notebook="nb.ipynb")
    )
    cell = told(mentions, "@cell:c2", notebook="nb.ipynb")
    assert "run as [3]" in cell and "x = 1\nx" in cell and cell.endswith("--- outputs ---\n1")
    assert cell == told(mentions, "@cell", notebook="nb.ipynb", cell="c2") == told(mentions, "@cell:nb.ipynb#2")
    assert told(mentions, "@var:df", notebook="nb.ipynb") == "variable df: DataFrame 3 x 2"


def test_variables_come_along_without_being_mentioned(mentions: Mentions) -> None:
    found, quoted = run(mentions.resolve("hello", notebook="nb.ipynb", variables=["df", "nope"]))
    assert found == [] and [q.id for q in quoted] == ["df"]
    assert run(mentions.resolve("hello", notebook="gone.ipynb", variables=["df"]))[0] == []
    _, quoted = run(mentions.resolve("@var:df", notebook="nb.ipynb", variables=["df"]))
    assert len(quoted) == 1


def test_a_report_and_a_session(desks: Desks, mentions: Mentions) -> None:
    desks.shell.reports["rep_1"] = {
        "id": "rep_1",
        "title": "LR",
        "path": "/p/reports/lr.ipynb",
        "findings": ["0.1 won"],
    }
    assert "- 0.1 won" in told(mentions, "@report:lr.ipynb")
    desks.shell.sessions["ses_1"] = Session(id="ses_1", title="why NaN", created_at=1.0, updated_at=1.0)
    assert "no answer yet" in told(mentions, '@session:"why NaN"')
    turn = Turn(
        id="trn_1", session_id="ses_1", n=1, status="done", created_at=1.0,
        message=UserMessage(id="msg_1", text="why?", at=1.0),
    )  # fmt: skip
    desks.shell.turns["ses_1"] = {"trn_1": turn}
    texts = [("Looking.", "done"), ("Half", "cut"), ("Because of lr.", "done")]
    desks.shell.parts["ses_1"] = {
        f"p{n}": TextPart(id=f"p{n}", session_id="ses_1", turn_id="trn_1", index=n, text=text, status=status)  # type: ignore[arg-type]
        for n, (text, status) in enumerate(texts)
    }
    text = told(mentions, "@session:ses_1")
    assert "why?" in text and text.endswith("Because of lr.") and "Half" not in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("@run:nobody", "No run 'nobody'"),
        ("@run:run_", "may be run_a1, run_b2"),
        ("@alice:x", "There is no kind 'alice'"),
        ("@file:gone.py", "No file"),
        ("@metric:nope", "There are: loss"),
        ("@cell:c1", "No notebook is in front"),
        ("@cell:c9", "No notebook is in front"),
        ("@var:df", "No notebook is in front"),
        ("@report:x", "There is no report yet"),
    ],
)
def test_what_leads_nowhere_says_why(mentions: Mentions, text: str, words: str) -> None:
    assert words in problem(mentions, text)


def test_a_cell_that_is_not_there(mentions: Mentions) -> None:
    assert "2 cells" in problem(mentions, "@cell:c9", notebook="nb.ipynb")
    assert "No cell is selected" in problem(mentions, "@cell", notebook="nb.ipynb")


def test_without_files_and_notebooks_it_says_so(desks: Desks) -> None:
    bare = Mentions(desks.shell, desks.runs, desks.curves)
    assert "cannot be read here" in problem(bare, "@file:train.py")
    assert "cannot be read here" in problem(bare, "@cell:1", notebook="nb.ipynb")
    assert run(bare.suggest("file:t")) == run(bare.suggest("cell:1", notebook="nb.ipynb")) == []


def test_a_hundred_mentions_are_not_a_hundred_texts(desks: Desks, mentions: Mentions) -> None:
    for n in range(40):
        desks.run(f"run_m{n:02}", f"many {n}")
    found, quoted = run(mentions.resolve(" ".join(f"@run:run_m{n:02}" for n in range(40))))
    assert len(quoted) == MOST_MENTIONS and found[-1].problem


def offered(mentions: Mentions, q: str, **more: str) -> list[str]:
    return [s.insert for s in run(mentions.suggest(q, **more))]


def test_suggestions(mentions: Mentions) -> None:
    assert offered(mentions, "run:train") == ["@run:run_a1"]
    assert offered(mentions, "@run:")[0] == "@run:run_b2", "the newest first"
    assert offered(mentions, "bad") == ["@run:run_b2"]
    assert offered(mentions, "train", kind="file") == ["@file:train.py"]
    assert offered(mentions, "my f", kind="file") == ['@file:"data/my file.csv"']
    assert offered(mentions, "lr", kind="sweep") == ["@sweep:swp_s1"]
    assert offered(mentions, "metric:lo") == ["@metric:loss"]
    assert offered(mentions, "metric:loss@tra") == ["@metric:loss@run_a1"]
    assert offered(mentions, "cell:", notebook="nb.ipynb") == ["@cell:c1", "@cell:c2"]
    assert offered(mentions, "var:d", notebook="nb.ipynb") == ["@var:df"]
    assert offered(mentions, "notebook:n") == ["@notebook:nb.ipynb"]
    assert "@run:run_b2" in offered(mentions, "") and "@file:train.py" in offered(mentions, "")
    assert offered(mentions, "x" * 300) == offered(mentions, "q", kind="nonsense") == []


def test_labels_are_single_lines(mentions: Mentions) -> None:
    labels = [s.label for s in run(mentions.suggest("run:"))]
    assert all("\n" not in label for label in labels)


def test_files_are_listed_once_for_many_keys(mentions: Mentions, desks: Desks) -> None:
    for q in ("t", "tr", "tra"):
        offered(mentions, q, kind="file")
    assert mentions.workspace.asked == 1  # type: ignore[union-attr]
    desks.clock.at += 60
    offered(mentions, "t", kind="file")
    assert mentions.workspace.asked == 2  # type: ignore[union-attr]


def test_ten_thousand_runs_are_no_matter(desks: Desks, mentions: Mentions) -> None:
    for n in range(10_000):
        desks.run(f"run_n{n:05}", f"resnet lr {n}", at=n)
    begun = time.process_time()
    assert offered(mentions, "lr 9999")[0] == "@run:run_n09999"
    assert time.process_time() - begun < 1.0, "a key press; about 50 ms on an idle machine"
