from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ragent_jupyter.domain.alert import Alert, Choice, Severity
from ragent_jupyter.domain.metrics import Series
from ragent_jupyter.domain.run import MetricSummary, Progress, Reason, Run, RunStatus
from ragent_jupyter.domain.wire import MetricNames, SeriesReply
from tests.support.fake_engine import FakeEngine


def a_run(id_: str = "run_a1", **fields: Any) -> Run:
    known: dict[str, Any] = {
        "id": id_, "name": "train 1", "command": "python train.py", "argv": ["python", "train.py"], "cwd": "/",
        "created_at": 1_795_000_000.0, "status": RunStatus.RUNNING, "started_at": 1_795_000_001.0,
        "summary": {"loss": MetricSummary(last=0.25, step=7, min=0.2, max=1.0, count=8)},
    }  # fmt: skip
    return Run(**(known | fields))


def a_failed_run(id_: str = "run_b2") -> Run:
    return a_run(
        id_,
        name="<b>evil</b>",
        status=RunStatus.FAILED,
        ended_at=1_795_000_061.0,
        reason=Reason("oom", "It ran out of memory.", "CUDA <out> of memory"),
        summary={"loss": MetricSummary(last="nan", step=3, count=4, nonfinite=2)},
        progress=Progress(fraction=0.5),
    )


def an_alert() -> Alert:
    return Alert(
        id="alt_x1",
        run_id="run_a1",
        rule="non_finite",
        severity=Severity.CRITICAL,
        title="loss became NaN at step 412",
        raised_at=1_795_000_010.0,
        text="The run goes on.",
        choices=[Choice("ignore", "ignore", "Ignore"), Choice("stop", "stop", "Stop run")],
        default="ignore",
    )


class Engine(FakeEngine):
    """The stand-in, and the address it was asked at last: a metric's name may stand in it several times."""

    path = ""

    def _serve(self, handler: Any) -> None:
        if "metrics/series" in handler.path:
            self.path = handler.path
        super()._serve(handler)


class Curves:
    """GET metrics/series from a table: (run, name) -> points so far. Gives what came after a cursor."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.points: dict[tuple[str, str], list[tuple[float, float | str]]] = {}
        engine.on["GET", "metrics/series"] = self.answer

    def answer(self, query: dict[str, str], body: Any) -> SeriesReply:
        since = query["since"].split(",") if query.get("since") else []
        found = []
        for n, run in enumerate(query["runs"].split(",")):
            for name in parse_qs(urlsplit(self.engine.path).query)["name"]:
                points = self.points.get((run, name))
                if points is None:
                    continue
                begin = int(since[n]) if since and since[n] else 0
                new = points[begin:]
                bad = [(x, str(y)) for x, y in new if isinstance(y, str)]
                found.append(
                    Series(
                        run=run, name=name, x=[x for x, _ in new], raw=True,
                        last=[None if isinstance(y, str) else y for _, y in new],
                        nonfinite=[x for x, _ in bad], nonfinite_kinds=[y for _, y in bad], nonfinite_count=len(bad),
                        total=len(points), cursor=str(len(points)), reset=not begin,
                    )
                )  # fmt: skip
        return SeriesReply(x="step", series=found)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A project with an engine, and this process in its folder."""
    monkeypatch.chdir(tmp_path)
    engine = Engine(tmp_path)
    engine.runs = [a_run(), a_failed_run()]
    engine.alerts = [an_alert()]
    engine.on["GET", "runs/run_a1/metrics"] = lambda q, b: MetricNames(
        run="run_a1", names=["loss", "acc", "system/rss_bytes"]
    )
    yield engine
    engine.close()


@pytest.fixture
def curves(engine: Engine) -> Curves:
    return Curves(engine)
