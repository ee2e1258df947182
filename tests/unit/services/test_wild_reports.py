"""The desk of a loop's reports: from the record to a file of its own name, at any moment of the loop."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import nbformat
import pytest
from msgspec.structs import replace

from ragent_jupyter.domain.errors import CannotBeDone, NotFound
from ragent_jupyter.domain.run import GitState
from ragent_jupyter.domain.wild import Limits
from ragent_jupyter.rules.wild_report import compose
from tests.support.wild_made import BASE, CODE, Night, alert, best_of, judged, loop_of, night_with_gain, over
from tests.support.wild_record import Record


def test_it_gathers_what_was_recorded(tmp_path: Path) -> None:
    async def go() -> None:
        record = Record(tmp_path, *night_with_gain())
        await record.remember()
        record.shell.alerts["alt_1"] = alert()
        data = await record.reports.data("wld_1")
        assert [c.differs for c in compose(data).claims] == [[], [], []]
        # Only what a claim or the ablation rests on is read from the metrics again.
        assert {s.run for s in data.series} == {f"run_{n:02d}" for n in (1, 2, 3, 4, 5, *range(13, 38))}
        assert [a.id for a in data.view.alerts] == ["alt_1"]
        assert (data.entries, [e.n for e in data.ledger]) == (5, [1, 2, 4, 5])
        assert data.runs[0].commit == BASE and data.runs[0].tree and not data.runs[0].dirty
        assert "3.11.7" in data.environment["Python of the runs"]

    asyncio.run(go())


def test_it_is_written_beside_what_is_there_and_remembered(tmp_path: Path) -> None:
    async def go() -> None:
        record = Record(tmp_path, *night_with_gain())
        mine = tmp_path / "reports" / "wild-lower-val_loss-of-train.py.ipynb"
        mine.parent.mkdir()
        mine.write_text("my own words")
        first, second = [await record.reports.write("wld_1") for _ in range(2)]
        assert mine.read_text() == "my own words"
        assert [Path(p).name for p in (first, second)] == [
            "wild-lower-val_loss-of-train.py-2.ipynb",
            "wild-lower-val_loss-of-train.py-3.ipynb",
        ]
        nbformat.validate(nbformat.read(first, as_version=4))
        kept = list(record.shell.reports.values())
        assert [r["path"] for r in kept] == [first, second]
        assert kept[0]["findings"][0].startswith("Confirmed: lr 0.3, wd 0.01")
        assert "reports/wild-lower" in nbformat.read(first, as_version=4).cells[-1].source

    asyncio.run(go())


def test_each_moment_of_a_loop_has_its_report(tmp_path: Path) -> None:
    empty, started, spent = Night(), Night(), Night()
    started.baseline(2)
    spent.baseline()
    spent.search()
    ended = over("budget", "The limit of runs is used up.", budget="runs", limits=Limits(runs=12))
    for n, (loop, night) in enumerate(
        (
            (loop_of(empty), empty),
            (loop_of(empty, **over("failed", "No interpreter was found.")), empty),
            (judged(started), started),
            (judged(spent, best=best_of(spent), **ended), spent),
        )
    ):

        async def go(loop=loop, night=night, n=n) -> str:  # type: ignore[no-untyped-def]
            return await Record(tmp_path / str(n), loop, night).reports.write("wld_1")

        (tmp_path / str(n)).mkdir()
        notebook = nbformat.read(asyncio.run(go()), as_version=4)
        nbformat.validate(notebook)
        assert ("not over when this was written" in notebook.cells[0].source) is (not loop.over)


def test_code_changes_carry_gits_diff_or_say_that_it_is_gone(tmp_path: Path) -> None:
    def diff(old: str, new: str) -> str:
        if new == CODE:
            return f"diff of {old[:4]}"
        raise CannotBeDone("There is no such commit.", "")

    async def go() -> None:
        loop, night = night_with_gain()
        record = Record(tmp_path, replace(loop, commits=[BASE, CODE, "f00d" * 10]), night)
        record.reports.diff = diff
        data = await record.reports.data("wld_1")
        assert data.diffs[CODE] == "diff of ba5e" and data.diffs["f00d" * 10].startswith("The diff is not there")

    asyncio.run(go())


def test_a_run_in_the_users_folder_says_its_commit_and_that_it_was_not_clean(tmp_path: Path) -> None:
    async def go() -> None:
        night = Night()
        night.baseline(1)
        record = Record(tmp_path, judged(night), night)
        run = record.shell.runs["run_01"]
        record.shell.runs["run_01"] = replace(run, tree="", git=GitState("abc123", dirty=True))
        fact = (await record.reports.data("wld_1")).runs[0]
        assert (fact.commit, fact.dirty, fact.tree) == ("abc123", True, False)

    asyncio.run(go())


def test_what_cannot_be_written_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    async def go() -> None:
        record = Record(tmp_path, *night_with_gain())
        with pytest.raises(NotFound):
            await record.reports.write("wld_nope")
        (tmp_path / "reports").write_text("a file in the way")
        with pytest.raises(CannotBeDone, match="could not be written"):
            await record.reports.write("wld_1")
        os.unlink(tmp_path / "reports")

        class Broken:
            def write(self, *_: object) -> None:
                raise OSError(28, "No space left on device")

        record.reports.writer = Broken()
        with pytest.raises(CannotBeDone, match="No space left"):
            await record.reports.write("wld_1")
        assert list((tmp_path / "reports").iterdir()) == [] and record.shell.reports == {}

    asyncio.run(go())
