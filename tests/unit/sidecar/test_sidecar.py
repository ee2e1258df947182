"""The sidecar as a process: what it writes for a run, and what survives its death."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from unittest.mock import ANY

import pytest

from ragent_jupyter.adapters.columns import ColumnReader
from ragent_jupyter.domain.facts import Asleep, SourceFound, WatchEnded
from tests.support.wait import wait_until

from .conftest import ROOT, RunFolder, Spawn


def values(folder: RunFolder, name: str) -> list[tuple[float, float | None]]:
    series = ColumnReader().series(
        str(folder.path), folder.run_id, name, x="step", points=0, from_=None, to=None, since=None
    )
    return [] if series is None else list(zip(series.x, series.last, strict=True))


def test_a_run_is_read_watched_and_left_when_it_has_ended(run_folder: RunFolder, spawn: Spawn) -> None:
    process = spawn(run_folder)
    run_folder.log(*({"step": i, "loss": 5 - i / 100} for i in range(100)))
    run_folder.say("step 1/100: loss 4.9, lr 0.1\n")
    wait_until(lambda: run_folder.live().get("points") == 101, what="live.json")
    run_folder.log('{"step": 100, "loss": NaN}')
    alert = wait_until(run_folder.alerts)[0]
    assert (alert.rule, alert.evidence.step, alert.evidence.value) == ("non_finite", 100, "nan")
    run_folder.exit()
    assert process.wait(10) == 0
    assert isinstance(run_folder.facts()[-1], WatchEnded)
    assert run_folder.facts()[-1].points == 102
    assert {f.source for f in run_folder.facts() if isinstance(f, SourceFound)} == {"metrics.jsonl", "job.log"}
    assert [seq for seq, _ in enumerate(run_folder.facts(), 1)] == [fact.seq for fact in run_folder.facts()]
    loss = values(run_folder, "loss")
    assert loss[:100] == [(i, 5 - i / 100) for i in range(100)]
    assert run_folder.live()["summary"]["loss"] == {
        "count": 101, "last": "nan", "step": 100, "min": 4.01, "min_step": 99, "max": 5.0, "max_step": 0,
        "nonfinite": 1,
    }  # fmt: skip


def test_the_same_metric_printed_and_logged_is_had_once(run_folder: RunFolder, spawn: Spawn) -> None:
    run_folder.log(*({"step": i, "loss": 2.0} for i in range(10)))
    run_folder.say("".join(f"step {i} | loss 2.0 | lr 0.1\n" for i in range(10)))
    run_folder.exit()
    assert spawn(run_folder).wait(20) == 0
    assert len(values(run_folder, "loss")) == 10
    assert len(values(run_folder, "lr")) == 10


def test_a_last_line_without_newline_counts_after_the_end(run_folder: RunFolder, spawn: Spawn) -> None:
    (run_folder.path / "metrics.jsonl").write_text('{"step": 1, "loss": 1}\n{"step": 2, "loss": 2}')
    run_folder.exit()
    assert spawn(run_folder).wait(20) == 0
    assert [x for x, _ in values(run_folder, "loss")] == [1, 2]


def test_only_one_sidecar_watches_a_run(run_folder: RunFolder, spawn: Spawn) -> None:
    first = spawn(run_folder)
    run_folder.log({"loss": 1})
    wait_until(lambda: run_folder.live().get("points"))
    assert spawn(run_folder).wait(10) == 0
    assert first.poll() is None


def test_a_sidecar_asked_to_end_leaves_everything_to_its_successor(run_folder: RunFolder, spawn: Spawn) -> None:
    first = spawn(run_folder)
    run_folder.log({"step": 1, "loss": 1})
    wait_until(lambda: run_folder.live().get("points"))
    first.send_signal(signal.SIGTERM)
    assert first.wait(10) == 0
    run_folder.log({"step": 2, "loss": 2})
    run_folder.exit()
    assert spawn(run_folder).wait(10) == 0
    assert [x for x, _ in values(run_folder, "loss")] == [1, 2]
    assert run_folder.live()["points"] == 2


def test_started_again_after_the_end_it_adds_nothing(run_folder: RunFolder, spawn: Spawn) -> None:
    run_folder.log({"loss": 1})
    run_folder.exit(exit_code=1)
    assert spawn(run_folder).wait(10) == 0
    before = (run_folder.path / "facts.jsonl").read_bytes()
    assert spawn(run_folder).wait(10) == 0
    assert (run_folder.path / "facts.jsonl").read_bytes() == before


def test_a_stop_of_the_sidecar_itself_is_no_silence(run_folder: RunFolder, spawn: Spawn) -> None:
    process = spawn(run_folder)
    run_folder.log({"loss": 1})
    wait_until(lambda: run_folder.live().get("points"))
    process.send_signal(signal.SIGSTOP)
    wait_until(lambda: "T" in Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0])
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 6.5, timeout=10)
    process.send_signal(signal.SIGCONT)
    gap = wait_until(lambda: [f for f in run_folder.facts() if isinstance(f, Asleep)])[0].gap_s
    assert 5 < gap < 9


POINTS = [
    "columns.commit.before", "columns.commit.after", "jsonl.append", "jsonl.appended", "jsonl.fsync", "jsonl.rename",
    "jsonl.renamed", "sidecar.facts", "sidecar.committed", "sidecar.snapshot",
]  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("passing", [1, 2, 3])
def test_killed_anywhere_it_loses_and_doubles_nothing(
    run_folder: RunFolder, spawn: Spawn, point: str, passing: int
) -> None:
    rows = [json.dumps({"step": i, "loss": 5.0 - i / 100, "grad_norm": 1.0}) for i in range(200)]
    rows[150] = '{"step": 150, "loss": NaN, "grad_norm": Infinity}'
    first = spawn(run_folder, RAGENT_KILL_AT=f"{point}:{passing}")
    for wave in range(0, 200, 40):  # several commits, each in a tick of its own, as long as it lives
        run_folder.log(*rows[wave : wave + 40])
        wait_until(lambda: first.poll() is not None or values(run_folder, "loss")[-1:] == [(wave + 39, ANY)])  # noqa: B023
    run_folder.say("step 3 | lr 0.1\n")
    run_folder.exit(exit_code=3)
    first.wait(20)
    again = spawn(run_folder)
    assert again.wait(20) == 0
    assert [x for x, _ in values(run_folder, "loss")] == list(range(200))
    assert values(run_folder, "lr") == [(3, 0.1)]
    keys = [(alert.rule, alert.evidence.metric) for alert in run_folder.alerts()]
    assert sorted(keys) == sorted(set(keys))
    assert ("non_finite", "loss") in keys and ("exit", "") in keys
    assert [fact.seq for fact in run_folder.facts()] == list(range(1, len(run_folder.facts()) + 1))
    assert [type(fact).__name__ for fact in run_folder.facts()].count("WatchEnded") == 1
    assert run_folder.live()["points"] == 401


def test_it_runs_where_only_msgspec_and_psutil_are_installed(tmp_path: Path, run_folder: RunFolder) -> None:
    """The floor: a folder with links to the two packages is all that it may import beside the standard library."""
    import subprocess
    from importlib.util import find_spec

    site = tmp_path / "site"
    site.mkdir()
    for name in ("msgspec", "psutil"):
        spec = find_spec(name)
        assert spec is not None and spec.origin is not None
        (site / name).symlink_to(Path(spec.origin).parent)
    run_folder.log({"step": 1, "loss": 1})
    run_folder.exit()
    code = (
        f"import sys; sys.path[:0] = {[str(site), str(ROOT), str(ROOT / 'sidecar')]!r}\n"
        "from ragent_sidecar.__main__ import main\n"
        f"code = main([{str(run_folder.path)!r}])\n"
        "import json\n"
        "print(json.dumps([code, sorted({name.partition('.')[0] for name in sys.modules}),"
        " sorted(n for n in sys.modules if n.startswith('ragent_jupyter.'))]))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=20, check=True
    )
    exit_code, roots, ours = json.loads(done.stdout)
    assert exit_code == 0
    assert not {"numpy", "pandas", "tornado", "sqlalchemy", "plotly", "asyncio"} & set(roots)
    assert all(name.split(".")[1] in ("domain", "rules", "runfiles", "_version") for name in ours)
    assert run_folder.live()["points"] == 1
