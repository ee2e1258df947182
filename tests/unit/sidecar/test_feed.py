"""Many sources as one stream: what one of them does to the others, and which names mean the same."""

from __future__ import annotations

import pytest
from ragent_sidecar.feed import same_name
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
