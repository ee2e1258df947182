"""Many sources as one stream: what one of them does to the others, and which names mean the same."""

from __future__ import annotations

import pytest
from ragent_sidecar.feed import GRACE_S, same_name
from ragent_sidecar.witness import Witness

from ragent_jupyter.adapters.columns import ColumnReader
from ragent_jupyter.runfiles.sources.metrics_jsonl import MetricsJsonl
from ragent_jupyter.runfiles.sources.stdout import Stdout

from .conftest import RunFolder


def test_a_reader_that_fails_on_what_a_file_says_costs_that_file_alone(
    run_folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    witness = Witness(str(run_folder.path), run_folder.run_id)
    witness.add(Stdout(str(run_folder.path / "job.log")), "")
    witness.add(MetricsJsonl(str(run_folder.path / "metrics.jsonl")), "")
    run_folder.say("step 1 | loss 0.5\n")
    run_folder.log({"step": 1, "acc": 0.5})
    monkeypatch.setattr(Stdout, "_line", lambda *_: 1 // 0)
    for _ in range(3):
        witness.read()
    witness.end()
    assert witness.feed.health["job.log"].startswith("job.log cannot be read on: ZeroDivisionError")
    witness.close()
    assert list(ColumnReader().names(str(run_folder.path))) == ["acc"]


def test_names_in_any_script_are_told_apart() -> None:
    assert same_name("損失") != same_name("精度") and same_name("+") != same_name("-")


class Clock:
    """The wall clock of a witness."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_700_000_000.0
        monkeypatch.setattr("ragent_sidecar.witness.time.time", lambda: self.now)


def witness_of(folder: RunFolder) -> Witness:
    witness = Witness(str(folder.path), folder.run_id)
    witness.add(Stdout(str(folder.path / "job.log"), id="job.log"), "")
    witness.add(MetricsJsonl(str(folder.path / "metrics.jsonl"), id="metrics.jsonl"), "")
    return witness


def stored(witness: Witness, folder: RunFolder, name: str = "loss") -> int:
    witness.settle()
    assert ColumnReader().totals(str(folder.path))["points"] == witness.summary.json().get(name, {}).get("count", 0)
    return int(ColumnReader().totals(str(folder.path))["points"])


def test_a_loss_seen_on_the_screen_before_it_is_logged_counts_once(
    run_folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, witness = Clock(monkeypatch), witness_of(run_folder)
    run_folder.say("step 1 | loss 0.5\n")
    assert witness.read() == 0 and witness.feed.holding
    run_folder.log({"step": 1, "loss": 0.5})  # the same moment, a little later than this process looked
    clock.now += 0.02
    assert witness.read() == 1
    clock.now += GRACE_S
    assert witness.read() == 0 and not witness.feed.holding
    assert stored(witness, run_folder) == 1
    witness.close()


def test_a_loss_that_is_only_printed_is_there_after_the_grace_and_at_once_from_then_on(
    run_folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, witness = Clock(monkeypatch), witness_of(run_folder)
    run_folder.say("step 1 | loss 0.5\n")
    witness.read()
    clock.now += GRACE_S
    assert witness.read() == 1
    run_folder.say("step 2 | loss 0.4\n")
    assert witness.read() == 1
    assert stored(witness, run_folder) == 2
    witness.close()


def test_what_is_held_back_is_read_again_after_a_kill_and_told_when_the_job_ends(
    run_folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    Clock(monkeypatch)
    killed = witness_of(run_folder)
    run_folder.say("step 1 | loss 0.5\n")
    killed.read()
    assert stored(killed, run_folder) == 0  # commits where the log stood before those rows
    killed.close()
    successor = witness_of(run_folder)
    assert successor.read() == 0
    assert successor.read(final=True) == 1  # a job that ends within the grace loses nothing
    assert stored(successor, run_folder) == 1
    successor.close()


def test_a_clock_set_back_does_not_hold_rows_for_hours(run_folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, witness = Clock(monkeypatch), witness_of(run_folder)
    run_folder.say("step 1 | loss 0.5\n")
    witness.read()
    clock.now -= 3600
    assert witness.read() == 1
    witness.close()
