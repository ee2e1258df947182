"""The desk of reproductions: from a notebook to runs of the record, never to a command that a notebook names."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotFound, RagentError, TooLarge
from ragent_jupyter.domain.run import GitState, Interpreter
from ragent_jupyter.domain.sweep import SweepStatus
from ragent_jupyter.domain.wild_report import Reproduction
from ragent_jupyter.domain.wire_wild import Reproduce
from ragent_jupyter.services import reproduce
from ragent_jupyter.services.reproduce import Reproductions
from tests.support.wild_made import night_with_gain
from tests.support.wild_record import Record


class Desk:
    def __init__(self, folder: Path) -> None:
        self.record = Record(folder, *night_with_gain())
        self.shell = self.record.shell
        self.desk = self.new()
        self.report = ""

    def new(self) -> Reproductions:
        """As after a restart."""
        record = self.record
        return Reproductions(self.shell, record.desks.runs, record.desks.sweeps, record.project, record.view_of)

    async def start(self, claim: str = "claim-1") -> Reproduction:
        return await self.desk.start(Reproduce(report=self.report, claim=claim))

    def edit(self, change: Callable[[dict[str, Any]], None], claim: str = "claim-1") -> None:
        """Somebody edits the notebook."""
        path = Path(self.report)
        notebook = json.loads(path.read_text())
        for cell in notebook["cells"]:
            said = cell["metadata"].get("ragent", {}).get("claim")
            if said and said["id"] == claim:
                change(said)
        path.write_text(json.dumps(notebook))

    async def finish(self, made: Reproduction, shift: float = 0.0, **fields: Any) -> Reproduction:
        """End its runs, `shift` away from what they gave before; the sweep launches more as some end."""
        while waiting := [p for p in self.desk.get(made.id).pairs if p.status not in ("finished", "failed")]:
            live = [p for p in waiting if p.now_run]
            assert live, "nothing was launched"
            for pair in live:
                await self.record.finish(pair.now_run, pair.was + shift, **fields)
        return self.desk.get(made.id)


def played(tmp_path: Path, play: Callable[[Desk], Awaitable[None]]) -> None:
    async def go() -> None:
        desk = Desk(tmp_path)
        desk.report = await desk.record.reports.write("wld_1")
        await play(desk)

    asyncio.run(go())


def test_a_claims_own_runs_are_run_again_and_compared(tmp_path: Path) -> None:
    async def play(d: Desk) -> None:
        made = await d.start()
        sweep = d.shell.sweeps[made.id]
        assert (sweep.purpose, sweep.loop_id, sweep.status) == ("reproduce", "", SweepStatus.RUNNING)
        assert [t.params for t in sweep.trials] == [
            *({"lr": 0.3, "wd": 0.01, "seed": s} for s in range(1000, 1005)),
            *({"seed": s} for s in range(1000, 1005)),
        ]
        assert {t.tree for t in sweep.trials} == {"ba5e" * 10}
        assert not made.done and made.text == "Under way: 0 of 10 runs over."
        assert sum(bool(p.now_run) for p in made.pairs) == 4  # as wide as the sweep it repeats
        done = await d.finish(made)
        assert (done.outcome, done.reproduced) == ("identical", True)
        assert done.was == done.now and done.verdict is not None and done.verdict.verdict == "confirmed"
        assert done.verdict.runs == done.runs[:5] and done.verdict.baseline_runs == done.runs[5:]
        launched = d.shell.runs[done.runs[0]]
        assert launched.command == "python train.py --lr 0.3 --wd 0.01 --seed 1000"
        assert launched.tree == "ba5e" * 10 and launched.interpreter == Interpreter("/usr/bin/python3")
        # The loop is over and stays as it was: its own runs and verdicts do not grow.
        assert len(d.record.view_of("wld_1").trials) == 37

    played(tmp_path, play)


def test_a_shift_of_both_sides_keeps_the_effect_and_one_of_the_candidate_does_not(tmp_path: Path) -> None:
    async def play(d: Desk) -> None:
        both = await d.finish(await d.start(), shift=0.01)
        assert not any("The notebook says" in note for note in both.notes)
        assert both.outcome == "within" and both.was_effect is not None
        assert both.now_effect == pytest.approx(both.was_effect)
        made = await d.start()
        assert made.id != both.id
        while live := [p for p in d.desk.get(made.id).pairs if p.now_run and p.status not in ("finished", "failed")]:
            for pair in live:
                shift = 0.1 if pair.side == "candidate" else 0.0
                await d.record.finish(pair.now_run, pair.was + shift)
        worse = d.desk.get(made.id)
        assert worse.outcome == "differs" and not worse.reproduced and worse.verdict is not None
        assert "the verdict was confirmed, is not distinguishable" in worse.text

    played(tmp_path, play)


def test_a_run_that_fails_is_no_reproduction(tmp_path: Path) -> None:
    async def play(d: Desk) -> None:
        made = await d.start("claim-baseline")
        assert len(made.pairs) == 5
        await d.record.finish(made.runs[0], None)
        done = await d.finish(made)
        assert done.done and done.outcome == "failed" and done.now[0] is None
        assert done.pairs[0].status == "failed" and done.verdict is None

    played(tmp_path, play)


def test_twice_at_once_is_once_and_a_restart_goes_on(tmp_path: Path) -> None:
    async def play(d: Desk) -> None:
        one, two = await asyncio.gather(d.start(), d.start())
        assert one.id == two.id and sum(s.purpose == "reproduce" for s in d.shell.sweeps.values()) == 1
        d.desk = d.new()
        await d.desk.begin()
        assert d.desk.get(one.id).pairs == two.pairs
        assert (await d.finish(one)).reproduced

    played(tmp_path, play)


def test_killed_before_the_start_it_is_started_after_the_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play(d: Desk) -> None:
        async def killed(sweep_id: str) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(d.record.desks.sweeps, "start", killed)
            with pytest.raises(KeyboardInterrupt):
                await d.start()
        (sweep,) = [s for s in d.shell.sweeps.values() if s.purpose == "reproduce"]
        assert sweep.status is SweepStatus.READY
        d.desk = d.new()
        await d.desk.begin()
        assert d.shell.sweeps[sweep.id].status is SweepStatus.RUNNING
        assert (await d.start()).id == sweep.id

    played(tmp_path, play)


def test_what_is_not_as_it_was_is_noted(tmp_path: Path) -> None:
    async def play(d: Desk) -> None:
        d.edit(lambda claim: claim["values"].__setitem__(0, 0.123))
        made = await d.start("claim-1")
        assert made.notes[0] == "The notebook says 0.123 for run_13, the record says 0.2028."
        fields: dict[str, Any] = {
            "interpreter": Interpreter("/usr/bin/python3", version="3.12.1"),
            "tree": "",
            "git": GitState("abc"),
        }
        done = await d.finish(made, **fields)
        assert "The interpreter is another version: 3.11.7 was, 3.12.1 is." in done.notes

    played(tmp_path, play)


def test_an_interval_that_was_widened_in_the_notebook_is_noted(tmp_path: Path) -> None:
    """Any effect would lie inside it."""

    async def play(d: Desk) -> None:
        d.edit(lambda claim: claim.__setitem__("ci", [-1e6, 1e6]))
        note = (await d.start()).notes[0]
        assert note.startswith("The notebook says 95 % CI -1") and "the record has 95 % CI -0." in note

    played(tmp_path, play)


@pytest.mark.parametrize(
    "change",
    [
        lambda claim: claim["params"].update({"lr": 9.0}),
        lambda claim: claim["params"].update({"x; touch owned": 1}),
        lambda claim: claim.update(runs=["run_gone", *claim["runs"][1:]]),
        lambda claim: claim.update(commit="f00d" * 10),
        lambda claim: claim.update(seeds=[1, 2, 3, 4, 5]),
        lambda claim: claim.update(loop="wld_other"),
    ],
)
def test_an_edited_claim_starts_nothing(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    async def play(d: Desk) -> None:
        before = len(d.shell.runs), len(d.shell.sweeps)
        d.edit(change)
        with pytest.raises(CannotBeDone):
            await d.start()
        assert (len(d.shell.runs), len(d.shell.sweeps)) == before

    played(tmp_path, play)


def test_a_command_in_a_notebook_is_never_looked_at(tmp_path: Path) -> None:
    async def play(d: Desk) -> None:
        d.edit(lambda claim: claim.update(command="touch owned", argv=["touch", "owned"], python="/tmp/evil"))
        made = await d.start()
        commands = {d.shell.runs[r].command for r in made.runs if r}
        assert all(c.startswith("python train.py ") for c in commands) and commands

    played(tmp_path, play)


def test_what_is_asked_for_wrongly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(d: Desk, report: str, claim: str = "claim-1") -> RagentError:
        with pytest.raises(RagentError) as error:
            await d.desk.start(Reproduce(report=report, claim=claim))
        return error.value

    async def play(d: Desk) -> None:
        assert "It has: claim-1, claim-2, claim-baseline" in (await refused(d, d.report, "claim-7")).remedy
        assert isinstance(await refused(d, "reports/none.ipynb"), NotFound)
        assert isinstance(await refused(d, "a\0b.ipynb"), NotFound)
        (tmp_path / "secret.txt").write_text("password")
        said = await refused(d, "secret.txt")
        assert isinstance(said, BadInput) and "password" not in str(said)
        os.mkfifo(tmp_path / "pipe.ipynb")
        assert isinstance(await refused(d, "pipe.ipynb"), BadInput)
        (tmp_path / "folder.ipynb").mkdir()
        assert isinstance(await refused(d, "folder.ipynb"), BadInput)
        (tmp_path / "torn.ipynb").write_text('{"cells": [')
        assert isinstance(await refused(d, "torn.ipynb"), BadInput)
        (tmp_path / "deep.ipynb").write_text("[" * 100_000)
        assert isinstance(await refused(d, "deep.ipynb"), BadInput)
        monkeypatch.setattr(reproduce, "_LARGEST", 100)
        assert isinstance(await refused(d, d.report), TooLarge)
        with pytest.raises(NotFound):
            d.desk.get("swp_base")

    played(tmp_path, play)


def test_a_report_may_be_named_by_its_id_or_from_the_project(tmp_path: Path) -> None:
    async def play(d: Desk) -> None:
        (report,) = d.shell.reports
        d.report = report
        made = await d.start()
        d.report = "reports/wild-lower-val_loss-of-train.py.ipynb"
        assert (await d.start()).id == made.id

    played(tmp_path, play)
