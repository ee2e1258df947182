"""The benchmarks of Wild Mode tell true differences from those that mean nothing, and shares with their bad bound."""

from __future__ import annotations

import json
from collections import Counter
from hashlib import sha256
from typing import Any

import pytest
from msgspec.structs import replace

from ragent_jupyter.domain.wild import Entry, LoopEvent
from tests.benchmarks.wild import flags
from tests.benchmarks.wild.figures import Figure, bootstrap, plain, table
from tests.benchmarks.wild.kills import Night, differences, ledger
from tests.benchmarks.wild.search import ratio


def test_a_share_is_held_against_its_bad_bound() -> None:
    few = Figure(bench="b", what="wrong", hits=0, of=20, goal=0.05)
    many = replace(few, of=200)
    assert few.met is False and many.met is True
    right = Figure(bench="b", what="right", better="more", hits=95, of=100, goal=0.9)
    assert right.met is False and replace(right, hits=950, of=1000).met is True
    shown = table([few, many, replace(few, hits=None, values=[], missing="not installed")])
    assert "too few" in shown and "met" in shown and "not installed" in shown
    assert "NOT MET" in table([replace(many, hits=30)])
    assert json.loads(plain([many]))["figures"][0]["ci"][1] < 0.05


def test_a_mean_has_an_interval_that_holds_it() -> None:
    values = [1.0, 2.0, 4.0, 8.0]
    figure = Figure(bench="b", what="w", values=values, goal=4.0)
    low, high = figure.ci
    assert low < figure.value < high and figure.n == 4 and figure.met
    assert bootstrap([3.0], sum) == (3.0, 3.0)
    low, high, whole = ratio([1.0, 1.0, 2.0], [2.0, 2.0, 2.0])
    assert low <= whole == 0.5 <= high


def entry(n: int, **more: Any) -> Entry:
    said: dict[str, Any] = {"by": "rule", "stage": "running", "iteration": 1, "reasoning": "run_abc took 3.2 s", **more}
    return Entry(id=f"ent_{n}", loop_id="wld_1", n=n, at=float(n), **said)


def test_ids_moments_and_marks_of_kills_are_no_differences() -> None:
    mark = entry(2, outcome="outcome_unknown", result="An earlier call")
    one = ledger([entry(1), entry(2)], {"run_abc": "RUN-0-0"})
    other = [entry(1), mark, entry(3, reasoning="run_xyz took 4.8 s")]
    assert one == ledger(other, {"run_abc": "RUN-0-0", "run_xyz": "RUN-0-0"})
    assert one != ledger([entry(1), entry(2, reasoning="run_xyz took 3.2 s")], {"run_abc": "RUN-0-0", "run_xyz": "R"})
    done = [LoopEvent(id=f"c{n}", kind="completion", at=0.0, order=50.0, ref=f"run_{n}") for n in range(2)]
    notes = [entry(n + 1, event=event) for n, event in enumerate(done)]
    assert ledger(notes, {}) == ledger(notes[::-1], {})


@pytest.mark.parametrize(
    "change",
    [
        {"end": "budget runs"},
        {"decisions": ["b"]},
        {"sweeps": ["s", "t"]},
        {"verdicts": []},
        {"starts": Counter({"x": 2})},
    ],
)
def test_what_a_night_came_to_is_compared_whole(change: dict[str, Any]) -> None:
    night = Night(
        end="complete", decisions=["a"], sweeps=["s"], verdicts=["v"], starts=Counter({"x": 1}), doubled=[], lost=[],
        runs=1, unknown=0, seconds=1.0,
    )  # fmt: skip
    assert differences(night, replace(night, seconds=9.0, unknown=3)) == []
    assert differences(night, replace(night, **change))


def test_flags_are_judged_by_name_alias_and_second_label(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "RAGENT_FLAG_SCRIPTS" in flags.run(True)[0].missing
    folder = tmp_path / "dev" / "a__b"
    folder.mkdir(parents=True)
    source = "import argparse\np = argparse.ArgumentParser()\np.add_argument('--lr', type=float, default=0.1)\n"
    source += "p.add_argument('--out-dir', default='x')\np.parse_args()\n"
    (folder / "t.py").write_text(source)
    script = {
        "repo": "a/b", "commit": "c", "path": "t.py", "extra": [], "sha256": sha256(source.encode()).hexdigest(),
        "extra_sha256": {}, "style": "argparse", "split": "dev", "also": {"output": ["exclude"]},
        "labels": {"lr": "tune", "output": "tune", "gone": "tune"}, "aliases": {"output": ["out_dir"]},
    }  # fmt: skip
    found = {one["name"]: one for one in flags.judged(script, tmp_path)}
    assert found["lr"]["strict"] and not found["output"]["strict"] and found["output"]["lenient"]
    assert found["gone"]["role"] == "not found" and not found["gone"]["lenient"]
    (folder / "t.py").write_text(source + "#")
    with pytest.raises(SystemExit):
        flags.judged(script, tmp_path)
