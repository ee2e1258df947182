"""What differs between two setups, however it was written."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.domain.alert import Alert, Severity
from ragent_jupyter.domain.run import GitState, Interpreter, Run, RunStatus
from ragent_jupyter.rules.config_diff import Setup, compare, differing, files_of, flags_of, last_good, script_of


def run(id_: str, command: str = "python train.py", at: float = 0.0, **fields: Any) -> Run:
    known: dict[str, Any] = {"name": id_, "argv": [], "cwd": "/p", "status": RunStatus.FINISHED}
    return Run(id=id_, command=command, created_at=at, **(known | fields))


def told(a: Run, b: Run, **more: Any) -> list[tuple[str, str, str | None, str | None]]:
    return [(d.kind, d.name, d.before, d.after) for d in compare(Setup(run=a), Setup(run=b, **more))]


def test_a_changed_flag_is_one_setting() -> None:
    assert told(run("a", "python t.py --lr 0.1 --bs 8"), run("b", "python t.py --lr=0.3 --bs 8")) == [
        ("setting", "lr", "0.1", "0.3")
    ]


def test_the_same_value_in_other_words_is_no_difference() -> None:
    a = run("a", "python t.py --learning-rate 1e-3 --amp", params={"learning_rate": 0.001})
    assert told(a, run("b", "python t.py learning_rate=0.001 --amp=true")) == []


def test_what_is_set_in_one_only() -> None:
    assert told(run("a", "python t.py"), run("b", "python t.py --clip 1.0")) == [("setting", "clip", None, "1.0")]


def test_everything_beside_settings() -> None:
    a = run("a", "python t.py", interpreter=Interpreter("/v/bin/python", version="3.11.1"), git=GitState("a" * 40))
    b = run(
        "b", "torchrun t.py", cwd="/q", interpreter=Interpreter("/w/bin/python", version="3.12.0"), gpus=2,
        env={"X": "1"}, git=GitState("b" * 40, dirty=True, diff_file="git.diff"),
    )  # fmt: skip
    diff = "diff --git a/t.py b/t.py\n--- a/t.py\n+++ b/t.py\n@@ -1 +1 @@\n-lr = 1\n+lr = 3\n"
    kinds = [(kind, name) for kind, name, *_ in told(a, b, diff=diff)]
    assert kinds == [
        ("command", "command"), ("cwd", "cwd"), ("interpreter", "path"), ("interpreter", "version"),
        ("device", "gpus"), ("variable", "X"), ("commit", "commit"), ("file", "t.py"),
    ]  # fmt: skip


def test_packages_only_where_both_are_known() -> None:
    a, b = run("a"), run("b")
    assert compare(Setup(run=a, packages={"torch": "2.1"}), Setup(run=b)) == []
    (found,) = compare(Setup(run=a, packages={"torch": "2.1"}), Setup(run=b, packages={"torch": "2.2"}))
    assert (found.kind, found.name, found.before, found.after) == ("package", "torch", "2.1", "2.2")


def test_settings_that_differ_among_many() -> None:
    runs = [run("a", params={"lr": 0.1, "seed": 1}), run("b", params={"lr": 0.1, "seed": 2}), run("c")]
    assert differing(runs) == {"lr": [0.1, 0.1, None], "seed": [1, 2, None]}


def test_the_last_good_run_is_of_the_same_script_earlier_finished_and_unmarred() -> None:
    wanted = run("run_3", "python -u ./train.py --lr 1", 3.0)
    runs = [
        run("run_1", at=1.0),
        wanted,
        run("run_4", at=4.0),
        run("run_5", at=5.0, status=RunStatus.FAILED),
        run("run_6", "python other.py", 6.0),
        run("run_9", at=9.0),
    ]
    critical = Alert(id="alt", run_id="run_4", rule="non_finite", severity=Severity.CRITICAL, title="", raised_at=0.0)
    bad = run("run_7", "python train.py --lr 9", 7.0, status=RunStatus.FAILED)
    assert last_good(bad, runs, [critical]) == wanted
    assert last_good(run("run_0", at=0.5), runs, []) is None


def test_scripts_are_known_by_their_file() -> None:
    assert script_of(run("a", "python a/../train.py")) == script_of(run("b", "CUDA=1 python /p/train.py -x"))
    assert script_of(run("a", "python -m pkg.train --x 1")) == "-m pkg.train"
    assert script_of(run("a", "make train")) == "make"


@given(st.text(max_size=200))
def test_any_command_is_read(command: str) -> None:
    flags = flags_of(command)
    assert all(isinstance(value, str) for value in flags.values())
    one = run("a", command)
    assert compare(Setup(run=one), Setup(run=one)) == []


@given(st.text(max_size=300))
def test_any_diff_is_read(diff: str) -> None:
    assert isinstance(files_of(diff), dict)


def test_a_file_with_a_blank_in_its_name() -> None:
    diff = 'diff --git "a/my file.py" "b/my file.py"\n@@ -1 +1 @@\n-a\n+b\n'
    assert files_of(diff) == {"my file.py": "@@ -1 +1 @@\n-a\n+b"}
