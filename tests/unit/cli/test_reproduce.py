"""`ragent reproduce REPORT#CLAIM`: was beside is, and an exit code that says whether it came out again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ragent_jupyter.domain.errors import NotFound
from ragent_jupyter.domain.wild_report import Pair, Reproduction
from tests.support.fake_engine import FakeEngine

from .conftest import Ragent

PAIRS = [
    Pair(was_run="run_a", was=0.2, now_run="run_x", now=0.2, seed=7, status="finished"),
    Pair(was_run="run_b", was=0.3, now_run="run_y", now=0.31, seed=7, side="baseline", status="finished"),
]
GOING = Reproduction(
    id="swp_9",
    report="/p/reports/r.ipynb",
    claim="claim-1",
    metric="loss",
    was=[0.2, 0.3],
    now=[None, None],
    runs=["run_x", "run_y"],
    done=False,
    text="Under way: 0 of 2 runs over.",
    pairs=[replace(p, now=None, status="running") for p in PAIRS],
)
DONE = replace(
    GOING,
    done=True,
    now=[0.2, 0.31],
    pairs=PAIRS,
    outcome="within",
    reproduced=True,
    text="Reproduced within the noise.",
    notes=["The interpreter is another version: 3.11 was, 3.12 is."],
)


@pytest.fixture
def answers(engine: FakeEngine) -> FakeEngine:
    left = [GOING, DONE]
    engine.on["POST", "reports/reproduce"] = lambda query, body: (202, GOING)
    engine.on["GET", "reproductions/swp_9"] = lambda query, body: left.pop(0) if len(left) > 1 else left[0]
    event: dict[str, Any] = {"seq": 1, "time": 1.0, "topic": "runs", "type": "run_ended", "data": {}}
    engine.on["GET", "events"] = lambda query, body: iter([event, {**event, "seq": 2}])
    return engine


def test_it_waits_and_shows_both(ragent: Ragent, answers: FakeEngine, project: Path) -> None:
    said = ragent("reproduce", "reports/r.ipynb#claim-1")
    assert said.code == 0, said.err
    assert said.out.splitlines() == [
        "seed  side       run was  was  run is    is  difference",
        "7     candidate  run_a    0.2  run_x    0.2    the same",
        "7     baseline   run_b    0.3  run_y   0.31       +0.01",
        "",
        "Reproduced within the noise.",
        "· The interpreter is another version: 3.11 was, 3.12 is.",
    ]
    sent = answers.bodies("POST", "reports/reproduce")
    assert sent == [{"report": str(project / "reports" / "r.ipynb"), "claim": "claim-1"}]


def test_json_is_one_document(ragent: Ragent, answers: FakeEngine) -> None:
    said = ragent("reproduce", "rep_1#claim-1", "--json")
    assert said.code == 0 and said.document["outcome"] == "within" and said.document["was"] == [0.2, 0.3]
    assert answers.bodies("POST", "reports/reproduce")[0]["report"] == "rep_1"


def test_what_did_not_come_out_again_is_a_failure(ragent: Ragent, engine: FakeEngine) -> None:
    pairs = [replace(PAIRS[0], now=None, status="failed"), PAIRS[1]]
    failed = replace(DONE, outcome="failed", reproduced=False, text="Not reproduced.", pairs=pairs)
    engine.on["POST", "reports/reproduce"] = lambda query, body: (202, failed)
    said = ragent("reproduce", "r.ipynb#claim-1")
    assert said.code == 1 and "Not reproduced." in said.out and "no value" in said.out


def test_without_a_claim_the_engine_lists_them(ragent: Ragent, engine: FakeEngine) -> None:
    def refuse(query: dict[str, str], body: Any) -> Any:
        assert body["claim"] == ""
        raise NotFound("No claim was named.", "It has: claim-1. Write REPORT#CLAIM.")

    engine.on["POST", "reports/reproduce"] = refuse
    said = ragent("reproduce", "r.ipynb")
    assert said.code == 1 and "It has: claim-1" in said.err
