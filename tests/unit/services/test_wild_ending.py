"""A loop's end: its hold-out is scored once and not before, then its report is written; a crash repeats neither."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from msgspec.structs import replace

from ragent_jupyter.domain.errors import CannotBeDone
from ragent_jupyter.domain.wild import Entry, Holdout, Loop, Setup, Stage, Verdict
from ragent_jupyter.services.shell import Shell
from ragent_jupyter.services.wild import WildDesk
from ragent_jupyter.services.wild_ending import Ending
from tests.unit.services.desks import MemoryStore, StillClock

HELD = Holdout(id="hold_1", predictions="preds.csv", score="accuracy", mode="max")
WON = Verdict(params={}, verdict="confirmed", why="Better.", mean=0.4, runs=["run_1"], baseline_runs=["run_b"])


class Scores:
    def __init__(self) -> None:
        self.asked = 0
        self.meanwhile: Any = lambda: None

    async def scored(self, loop: Loop, verdicts: list[Verdict]) -> list[Verdict]:
        self.asked += 1
        self.meanwhile()
        return [replace(v, holdout=0.9) if v.holdout is None else v for v in verdicts]


class Reports:
    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.shell: Any = None
        self.fails = False

    async def write(self, loop_id: str) -> str:
        self.seen.append([v.holdout for v in self.shell.loops[loop_id].verdicts])
        if self.fails:
            raise CannotBeDone("The disk is full.", "Free some.")
        return f"report-{len(self.seen)}.ipynb"


class Stand:
    def __init__(self, **fields: Any) -> None:
        self.shell = Shell(MemoryStore(), StillClock())
        self.scores, self.reports, self.lines = Scores(), Reports(), list[Entry]()
        self.reports.shell = self.shell
        wanted: dict[str, Any] = {
            "stage": Stage.ENDED, "end": "complete", "verdicts": [WON], "entries": 7,
            "setup": Setup(command="x", cwd="/", holdout=HELD),
        }  # fmt: skip
        self.shell.loops["wld_1"] = Loop(id="wld_1", goal="g", created_at=0.0, **{**wanted, **fields})

    @property
    def loop(self) -> Loop:
        return self.shell.loops["wld_1"]

    def finish(self) -> None:
        asyncio.run(Ending(self.shell, self.reports, self.scores).finish("wld_1", self.lines.append))


def test_the_score_comes_before_the_report_and_stands_in_the_ledger() -> None:
    stand = Stand()
    stand.finish()
    assert stand.reports.seen == [[0.9]] and stand.loop.report == "report-1.ipynb"
    [line] = stand.lines
    assert (line.n, line.who, stand.loop.entries) == (8, "rule:holdout", 8)
    assert line.action["holdout"] == 0.9 and [seen.ref for seen in line.evidence] == ["run_1", "run_b"]
    stand.finish()
    assert len(stand.lines) == 1 and stand.loop.entries == 8


def test_a_loop_that_goes_on_meanwhile_is_not_told() -> None:
    stand = Stand()
    stand.scores.meanwhile = lambda: stand.shell.loops.update(wld_1=replace(stand.loop, stage=Stage.EXPLORING))
    stand.finish()
    assert stand.loop.verdicts == [WON] and stand.lines == []


def test_a_report_that_cannot_be_written_leaves_the_score() -> None:
    stand = Stand()
    stand.reports.fails = True
    stand.finish()
    assert stand.loop.verdicts[0].holdout == 0.9 and stand.loop.report == ""
    stand.reports.fails = False
    stand.finish()
    assert stand.loop.report and len(stand.lines) == 1


def test_without_a_hold_out_nobody_is_asked() -> None:
    stand = Stand(setup=Setup(command="x", cwd="/"))
    stand.finish()
    assert stand.scores.asked == 0 and stand.reports.seen == [[None]]


def test_what_a_crash_left_undone_waits_until_the_engine_answers() -> None:
    """A report takes seconds of the machine; doors that wait for the first answer do not wait for it."""

    async def go() -> None:
        stand = Stand()
        ending = Ending(stand.shell, stand.reports, stand.scores)

        async def spared(loop: Loop) -> None:
            return None

        work: Any = SimpleNamespace(finish=ending.finish, leaves=lambda loop: False, hold_sweeps=spared)
        views: Any = SimpleNamespace(recent=None)
        none: Any = None
        desk = WildDesk(
            stand.shell, views, work, none, None, policy=none, default_policy=none, make_id=none, redact=none,
            session=none, progressed=none,
        )  # fmt: skip
        desk.begin()
        await asyncio.sleep(0.05)
        assert stand.loop.report == "" and stand.scores.asked == 0
        desk.serves()
        for _ in range(2000):
            if stand.loop.report:
                break
            await asyncio.sleep(0.01)
        assert stand.loop.report == "report-1.ipynb"
        await desk.end()

    asyncio.run(go())
