"""How silent a run may be: what a person set, and what runs like it did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ragent_jupyter.domain.errors import BadInput
from ragent_jupyter.domain.run import Run, RunStatus
from ragent_jupyter.domain.silence import Usual
from ragent_jupyter.domain.sweep import SearchSpace, Sweep
from ragent_jupyter.services.silences import VARIABLE, alike, learnt, wanted


def run(id: str, **more: Any) -> Run:
    given = {"status": RunStatus.FINISHED, "command": "python t.py", "cwd": "/p", "created_at": float(id[-1])} | more
    return Run(id=id, name=id, argv=[], **given)


def sweep(id: str, **more: Any) -> Sweep:
    given = {"command": "python t.py"} | more
    return Sweep(id=id, name=id, cwd="/p", created_at=0.0, space=SearchSpace(), **given)


def test_runs_alike_are_the_finished_ones_of_the_same_command_folder_and_gpus() -> None:
    runs = [
        run("run_1"), run("run_2", command="python  t.py"), run("run_3", command="python u.py"),
        run("run_4", status=RunStatus.STOPPED), run("run_5", cwd="/q"), run("run_6", gpus=1), run("run_7", void="bent"),
        run("run_8", sweep_id="swp_1"), run("run_9"),
    ]  # fmt: skip
    assert alike(run("run_9"), runs, {"swp_1": sweep("swp_1")}) == ["run_2", "run_1"]


def test_a_sweep_s_runs_are_like_those_of_its_command_and_a_loop_s_like_the_loop_s() -> None:
    sweeps = {
        "swp_1": sweep("swp_1"), "swp_2": sweep("swp_2"), "swp_3": sweep("swp_3", command="python u.py"),
        "swp_4": sweep("swp_4", loop_id="wld_1"), "swp_5": sweep("swp_5", loop_id="wld_1", command="python u.py"),
    }  # fmt: skip
    runs = [run(f"run_{n}", sweep_id=f"swp_{n}", command=f"python t.py --n {n}") for n in range(1, 6)]
    assert alike(run("run_0", sweep_id="swp_2"), runs, sweeps) == ["run_2", "run_1"]
    assert alike(run("run_0", sweep_id="swp_4"), runs, sweeps) == ["run_5", "run_4"]


def test_nothing_is_learnt_for_a_notebook_s_kernel_whose_user_thinks() -> None:
    runs = [run(f"run_{n}", kind="interactive", command="a.ipynb") for n in range(4)]
    assert alike(run("run_9", kind="interactive", command="a.ipynb"), runs, {}) == []


def test_only_the_newest_are_read() -> None:
    runs = [run(f"run_{n}", created_at=float(n)) for n in range(100)]
    assert alike(run("run_100"), runs, {}) == [f"run_{n}" for n in range(99, 91, -1)]


def test_what_they_left_is_the_longest_of_each(tmp_path: Path) -> None:
    left = {
        "run_1": {"start_s": 3.0, "gap_s": 1.0, "pace_s": 0.1, "whole_s": 9.0},
        "run_2": {"start_s": 1.0, "gap_s": 5.0, "pace_s": 0.3, "whole_s": 7.0},
        "run_3": {"start_s": 0.0, "gap_s": 0.0},  # it ended at once
    }
    for id, quiet in left.items():
        (tmp_path / id).mkdir()
        (tmp_path / id / "live.json").write_text(json.dumps({"at": 1.0, "pid": 1, "quiet": quiet}))
    (tmp_path / "run_4").mkdir()
    (tmp_path / "run_4" / "live.json").write_text('{"at": 1.0, "qui')
    known = learnt(tmp_path, [*left, "run_4", "run_5"])
    assert known == Usual(runs=2, start_s=3.0, gap_s=5.0, pace_s=0.2, whole_s=9.0)
    assert learnt(tmp_path, ["run_3", "run_4", "run_5"]) == Usual()


def test_the_run_s_own_setting_beats_the_project_s() -> None:
    assert wanted({}, None) is None
    assert wanted({}, 120) == 120.0
    assert wanted({VARIABLE: " 30 "}, 120) == 30.0
    assert wanted({VARIABLE: ""}, 120) == 120.0


@pytest.mark.parametrize("text", ["soon", "0", "-5", "nan", "inf", "1e9", "9" * 500])
def test_a_setting_that_is_no_number_of_seconds_is_refused(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        wanted({VARIABLE: text})
    assert VARIABLE in refused.value.problem and len(refused.value.problem) < 100
