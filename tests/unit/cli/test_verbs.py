"""Each verb against a stand-in engine: what it sends, what it says, its exit code, and what it makes of bad input."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ragent_jupyter.domain.alert import Alert, AlertStatus, Choice, Severity
from ragent_jupyter.domain.errors import WrongMoment
from ragent_jupyter.domain.metrics import Series
from ragent_jupyter.domain.run import MetricSummary, Reason, Run, RunStatus
from ragent_jupyter.domain.sweep import Estimate, SearchSpace, Sweep, SweepStatus, Trial, Values
from ragent_jupyter.domain.wire import LogsReply, ReportReply, SeriesReply
from tests.support.fake_engine import FakeEngine

from .conftest import Ragent

VERBS = ["quickstart", "lab", "serve", "status", "doctor", "run", "retry", "sweep", "runs", "show", "logs", "chart"]
VERBS += ["stop", "alerts", "respond", "replay", "report", "chat", "memory", "keys", "models", "usage"]


def a_run(id_: str = "run_abc1", **more: Any) -> Run:
    fields: dict[str, Any] = {"name": "first", "command": "true", "argv": ["true"], "cwd": "/", "created_at": 1.0}
    return Run(id=id_, **{**fields, **more})


def a_sweep(**more: Any) -> Sweep:
    fields: dict[str, Any] = {"name": "widths", "command": "true", "cwd": "/", "created_at": 1.0}
    trials = [Trial(index=0, params={"w": 1})]
    return Sweep(id="swp_s1", space=SearchSpace(parameters={"w": Values([1])}), trials=trials, **{**fields, **more})


def an_alert(**more: Any) -> Alert:
    fields: dict[str, Any] = {
        "rule": "non_finite",
        "severity": Severity.CRITICAL,
        "title": "loss became NaN at step 412",
        "raised_at": 1.0,
        "choices": [Choice("ignore", "ignore", "Ignore"), Choice("stop", "stop", "Stop run")],
        "default": "ignore",
    }
    return Alert(id="alt_x1", **{"run_id": "run_abc1", **fields, **more})


# --- the command line itself -----------------------------------------------------------------------------------
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    from ragent_jupyter.cli.main import main

    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    assert f"ragent {verb}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["frobnicate"],
        ["runs", "--limit", "few"],
        ["runs", "--frob"],
        ["status", "--", "x"],
        ["show"],
        ["run"],
        ["run", "--", " "],
        ["run", "--env", "=1", "--", "true"],
        ["run", "--env", "RAGENT_TEST_NOT_SET", "--", "true"],
        ["run", "--", "nb.ipynb", "--lr", "1"],
        ["runs", "--status", "dead"],
        ["runs", "--limit", "0"],
        ["sweep", "--", "true"],
        ["sweep", "--param", "lr=1"],
        ["sweep", "--param", "lr", "--", "true"],
        ["sweep", "--param", "lr=1", "--random", "0", "--", "true"],
        ["sweep", "missing.json"],
        ["sweep", "train.py"],
        ["serve", "--stop", "--port", "1"],
        ["serve", "--port", "70000"],
        ["lab", "--json"],
        ["quickstart", "--lab", "--json"],
    ],
)
def test_a_wrong_command_line_is_exit_code_2_with_a_remedy(argv: list[str], project: Path, ragent: Ragent) -> None:
    said = ragent(*argv)
    assert said.code == 2
    assert said.out == ""
    if "--json" in argv:
        assert said.error["type"] == "bad_input" and said.error["remedy"]
    else:
        problem, remedy = said.err.rstrip("\n").split("\n", 1)
        assert problem.startswith("ragent: ") and remedy.strip()
    assert not (project / ".ragent").exists(), "a slip must not make the folder a project"


def test_a_wrong_command_line_with_json_is_a_json_error(project: Path, ragent: Ragent) -> None:
    said = ragent("runs", "--limit", "few", "--json")
    assert (said.code, said.out) == (2, "")
    assert said.error["type"] == "bad_input" and said.error["problem"] and said.error["remedy"]


@pytest.mark.parametrize("argv", [["status"], ["runs"], ["alerts"], ["show", "x"], ["logs", "x"], ["stop", "x"]])
def test_where_nothing_has_run_the_looking_verbs_leave_no_trace(argv: list[str], project: Path, ragent: Ragent) -> None:
    said = ragent(*argv)
    assert said.code == 1
    assert "not a ragent project yet" in said.err
    assert list(project.iterdir()) == []


def test_the_home_folder_is_never_silently_a_project(
    project: Path, ragent: Ragent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(project))
    said = ragent("run", "--", "true")
    assert said.code == 1
    assert "home folder" in said.err
    assert list(project.iterdir()) == []


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder that nobody can write")
def test_where_nobody_can_write_it_is_said(project: Path, ragent: Ragent) -> None:
    said = ragent("run", "-C", "/proc", "--json", "--", "true")
    assert (said.code, said.out, said.error["type"]) == (1, "", "cannot_be_done")
    assert "cannot be written" in said.error["problem"]
    assert "cannot be put into /proc" in ragent("quickstart", "/proc/here").err


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_project_is_refused_in_words(project: Path, ragent: Ragent) -> None:
    project.chmod(0o500)
    try:
        said = ragent("run", "--", "true")
    finally:
        project.chmod(0o700)
    assert said.code == 1
    assert "cannot be written" in said.err


def test_a_folder_that_is_not_there_is_refused(project: Path, ragent: Ragent) -> None:
    assert "is not a folder" in ragent("status", "-C", "nowhere").err
    assert "is not a folder" in ragent("run", "--cwd", "nowhere", "--", "true").err


def test_an_engine_that_cannot_start_is_said_with_its_last_words(
    project: Path, ragent: Ragent, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ragent_jupyter.client import start

    (project / ".ragent").mkdir()
    broken = [sys.executable, "-c", "raise SystemExit('the disk is on fire')"]
    monkeypatch.setattr(start, "engine_argv", lambda project: broken)
    said = ragent("runs", "--json")
    assert (said.code, said.out) == (1, "")
    assert said.error["type"] == "missing_part"
    assert "the disk is on fire" in said.error["remedy"]


def test_the_current_folder_may_have_gone(tmp_path: Path, ragent: Ragent, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert "has been removed" in ragent("runs").err


# --- run, retry ------------------------------------------------------------------------------------------------
def test_words_are_executed_as_they_are_and_a_line_goes_to_the_shell(engine: FakeEngine, ragent: Ragent) -> None:
    engine.on["POST", "runs"] = lambda query, body: (201, a_run())
    assert ragent("run", "--name", "n", "--", "python", "t.py", "--json", "a b").code == 0
    assert ragent("run", "--", "python t.py | tee x").code == 0
    assert ragent("run", "python", "t.py", "--lr", "1").code == 0
    first, second, third = engine.bodies("POST", "runs")
    assert (first["command"], first["name"]) == (["python", "t.py", "--json", "a b"], "n")
    assert second["command"] == "python t.py | tee x"
    assert third["command"] == ["python", "t.py", "--lr", "1"]


def test_a_run_is_told_where_it_is_and_which_python_is_meant(
    engine: FakeEngine, ragent: Ragent, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.on["POST", "runs"] = lambda query, body: (201, a_run())
    venv = engine.project / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setenv("VIRTUAL_ENV", str(venv))
    monkeypatch.setenv("PASSED", "on")
    (engine.project / "sub").mkdir()
    argv = ["--python", "venv", "--env", "A=1=2", "--env", "PASSED", "--cwd", "sub", "--gpus", "2", "--primary", "acc"]
    assert ragent("run", *argv, "--mode", "max", "--json", "--", "true").document["id"] == "run_abc1"
    # A venv's python is a link to one that knows nothing of the venv: it must arrive as it was named.
    assert ragent("run", "--python", "venv/bin/python", "--", "true").code == 0
    body, linked = engine.bodies("POST", "runs")
    assert linked["python"] == str(venv / "bin" / "python")
    assert body["cwd"] == str(engine.project / "sub")
    assert body["python"] == str(venv)
    assert body["caller_python"] == str(venv / "bin" / "python")
    assert body["env"] == {"A": "1=2", "PASSED": "on"}
    assert (body["gpus"], body["primary"], body["mode"]) == (2, "acc", "max")


def test_a_notebook_is_run_as_one(engine: FakeEngine, ragent: Ragent) -> None:
    engine.on["POST", "runs"] = lambda query, body: (201, a_run())
    said = ragent("run", "--", "nb.ipynb")
    assert said.code == 1 and "no notebook" in said.err
    (engine.project / "nb.ipynb").write_text("{}")
    assert ragent("run", "--", "nb.ipynb").code == 0
    [body] = engine.bodies("POST", "runs")
    assert (body["kind"], body["command"]) == ("notebook", str(engine.project / "nb.ipynb"))


def _log(*texts: str) -> Any:
    def answer(query: dict[str, str], body: Any) -> Iterator[Any]:
        at = 0
        for text in texts:
            yield LogsReply(text=text, offset=at, next=at + len(text), size=at + len(text))
            at += len(text)

    return answer


def test_following_ends_with_the_runs_own_verdict(engine: FakeEngine, ragent: Ragent) -> None:
    ended = a_run(status=RunStatus.FAILED, reason=Reason("exit_code", "Exit code 3.", "boom"))
    engine.on["POST", "runs"] = lambda query, body: (201, a_run(status=RunStatus.QUEUED))
    engine.on["GET", "runs/run_abc1"] = lambda query, body: ended
    engine.on["GET", "runs/run_abc1/logs"] = _log("one\n", "two\n")
    said = ragent("run", "--follow", "--", "true")
    assert (said.code, said.out) == (1, "one\ntwo\n")
    assert "Exit code 3." in said.err and "boom" in said.err
    lines = ragent("run", "--follow", "--json", "--", "true").lines
    assert [line["type"] for line in lines] == ["run", "log", "log", "run"]
    assert lines[-1]["run"]["status"] == "failed"


def test_ctrl_c_leaves_the_run_alone_and_says_so(engine: FakeEngine, ragent: Ragent) -> None:
    def interrupted(query: dict[str, str], body: Any) -> Iterator[Any]:
        yield LogsReply(text="one\n", offset=0, next=4, size=4)
        os.kill(os.getpid(), 2)
        yield LogsReply(text="two\n", offset=4, next=8, size=8)

    engine.on["POST", "runs"] = lambda query, body: (201, a_run())
    engine.on["GET", "runs/run_abc1/logs"] = interrupted
    said = ragent("run", "--follow", "--", "true")
    assert said.code == 130
    assert "run_abc1 goes on" in said.err
    assert not [path for method, path, _, _ in engine.asked if path.endswith("/stop")]


def test_retry_changes_what_was_asked(engine: FakeEngine, ragent: Ragent) -> None:
    engine.runs = [a_run(status=RunStatus.FAILED)]
    engine.on["POST", "runs/run_abc1/retry"] = lambda query, body: (201, a_run("run_new"))
    said = ragent("retry", "first", "--set", "lr=0.1", "--set", "act=relu", "--json")
    assert said.document["id"] == "run_new"
    assert engine.bodies("POST", "runs/run_abc1/retry")[0]["set"] == {"lr": 0.1, "act": "relu"}
    assert ragent("retry", "first", "--set", "lr").code == 2


# --- runs, show, logs, stop ------------------------------------------------------------------------------------
def test_runs_are_one_line_each(engine: FakeEngine, ragent: Ragent) -> None:
    summary = {"val_loss": MetricSummary(last=0.5, min=0.25, max=1.0, count=9)}
    done = {"status": RunStatus.FINISHED, "started_at": 1.0, "ended_at": 62.0}
    engine.runs = [a_run("run_b", summary=summary, **done), a_run("run_a", alias="baseline")]
    lines = ragent("runs").out.splitlines()
    assert lines[1].split("  ")[:3] == ["✓ finished", "run_b", "first   "[:5]]
    assert "val_loss 0.25" in lines[1] and "1 min 1 s" in lines[1]
    assert "baseline" in lines[2]
    assert [run["id"] for run in ragent("runs", "--json").document["runs"]] == ["run_b", "run_a"]
    assert ragent("runs", "--status", "failed").out == "No such runs.\n"
    assert engine.asked[-1][2]["status"] == "failed"


def test_a_name_cannot_speak_to_the_terminal(engine: FakeEngine, ragent: Ragent) -> None:
    evil = "a\x1b]0;title\x07\x9b2J\rb\nc"
    summary = {evil * 40: MetricSummary(count=1, last=1.0)}
    engine.runs = [a_run(name=evil, notes=evil, status=RunStatus.FINISHED, summary=summary)]
    for verb in (["runs"], ["show", "run_abc1"]):
        done = ragent(*verb)
        assert done.code == 0 and not set(done.out) & set("\x1b\x07\x9b\r")
        assert max(map(len, done.out.splitlines())) < 400


def test_a_closed_stdout_is_no_traceback(engine: FakeEngine, project: Path) -> None:
    engine.runs = [a_run()]
    code = "from ragent_jupyter.cli.main import main; raise SystemExit(main())"
    words = f"{sys.executable} -c '{code}' runs -C '{project}' >&-"
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "Traceback" not in done.stderr


def test_runs_of_a_sweep_may_be_named(engine: FakeEngine, ragent: Ragent) -> None:
    engine.sweeps = [a_sweep()]
    engine.runs = [a_run("run_a", sweep_id="swp_s1"), a_run("run_b")]
    assert [run["id"] for run in ragent("runs", "--sweep", "widths", "--json").document["runs"]] == ["run_a"]
    assert ragent("runs", "--sweep", "nope").code == 1


def test_a_queued_run_says_what_it_waits_for(engine: FakeEngine, ragent: Ragent) -> None:
    why = "Waits for 2 of 4 GPUs."
    engine.runs = [a_run(status=RunStatus.QUEUED, gpus=2, waits=why)]
    assert f"queued  {why}" in ragent("show", "run_abc1").out


def test_show_tells_the_whole_run(engine: FakeEngine, ragent: Ragent) -> None:
    summary = {"loss": MetricSummary(last="nan", step=9, min=0.5, min_step=3, count=9, nonfinite=2)}
    reason = Reason("exit_code", "Exit code 1.", "ValueError: bad lr")
    engine.runs = [a_run(summary=summary, params={"lr": 0.30000000000000004}, reason=reason, status=RunStatus.FAILED)]
    engine.alerts = [an_alert()]
    said = ragent("show", "run_abc1")
    for words in ("ValueError: bad lr", "lr=0.3", "loss", "nan", "0.5", "NaN at step 412", "ignore|stop"):
        assert words in said.out
    assert ragent("show", "run_abc1", "--json").document["id"] == "run_abc1"


def test_unknown_and_ambiguous_runs(engine: FakeEngine, ragent: Ragent) -> None:
    engine.runs = [a_run("run_abc1"), a_run("run_abc2")]
    for verb in (["show"], ["logs"], ["stop"], ["retry"], ["chart", "loss"]):
        missing = ragent(*verb, "nope", "--json")
        assert (missing.code, missing.out, missing.error["type"]) == (1, "", "not_found")
        several = ragent(*verb, "run_abc", "--json")
        assert (several.code, several.error["type"]) == (2, "bad_input")
        assert "run_abc1, run_abc2" in several.error["problem"]


def test_logs_are_read_to_their_end(engine: FakeEngine, ragent: Ragent) -> None:
    text = "".join(f"line {i}\n" for i in range(10))

    def logs(query: dict[str, str], body: Any) -> Any:
        offset = int(query["offset"])
        start = max(0, len(text) + offset) if offset < 0 else offset
        piece = text[start : start + min(30, int(query["limit"]))]
        return LogsReply(text=piece, offset=start, next=start + len(piece), size=len(text))

    engine.runs = [a_run()]
    engine.on["GET", "runs/run_abc1/logs"] = logs
    assert ragent("logs", "first").out == text


def test_the_last_lines_of_a_log(engine: FakeEngine, ragent: Ragent) -> None:
    text = "".join(f"line {i}\n" for i in range(1000))

    def logs(query: dict[str, str], body: Any) -> Any:
        start = max(0, len(text) + int(query["offset"]))
        piece = text[start : start + int(query["limit"])]
        return LogsReply(text=piece, offset=start, next=start + len(piece), size=len(text))

    engine.runs = [a_run()]
    engine.on["GET", "runs/run_abc1/logs"] = logs
    assert ragent("logs", "first", "-n", "2").out == "line 998\nline 999\n"
    assert ragent("logs", "first", "-n", "2", "--json").document == {
        "text": "line 998\nline 999\n",
        "next": len(text),
        "size": len(text),
    }
    assert ragent("logs", "first", "-n", "5000").out == text
    assert ragent("logs", "first", "-n", "0").out == ""


def test_a_log_is_followed_as_ndjson(engine: FakeEngine, ragent: Ragent) -> None:
    engine.runs = [a_run()]
    engine.on["GET", "runs/run_abc1/logs"] = _log("one\n", "", "two\n")
    assert [line["text"] for line in ragent("logs", "first", "-f", "--json").lines] == ["one\n", "two\n"]


def test_stop_stops_all_that_were_named_or_none(engine: FakeEngine, ragent: Ragent) -> None:
    engine.runs = [a_run("run_a"), a_run("run_b")]
    engine.sweeps = [a_sweep()]
    for run in engine.runs:
        engine.on["POST", f"runs/{run.id}/stop"] = lambda query, body: a_run(status=RunStatus.STOPPING)
    engine.on["POST", "sweeps/swp_s1/stop"] = lambda query, body: a_sweep(status=SweepStatus.STOPPED)
    assert ragent("stop", "run_a", "nope").code == 1
    assert engine.bodies("POST", "runs/run_a/stop") == []
    assert ragent("stop", "run_a", "run_b", "swp_s1", "--now").code == 0
    assert engine.bodies("POST", "runs/run_a/stop") == [{"now": True}]
    assert engine.bodies("POST", "sweeps/swp_s1/stop") == [{"now": True}]


def test_stopping_what_has_ended_is_a_refusal_with_its_remedy(engine: FakeEngine, ragent: Ragent) -> None:
    engine.runs = [a_run()]
    engine.on["POST", "runs/run_abc1/stop"] = lambda query, body: WrongMoment("It has ended.", "Retry it.")
    said = ragent("stop", "first")
    assert (said.code, said.err) == (1, "ragent: It has ended.\n  Retry it.\n")


# --- sweep -----------------------------------------------------------------------------------------------------
def test_a_sweep_from_options(engine: FakeEngine, ragent: Ragent) -> None:
    engine.on["POST", "sweeps"] = lambda query, body: (201, a_sweep())
    argv = ["--param", "lr=0.1,0.01", "--param", "bs=range(16,64,step=16)", "--parallel", "2", "--primary", "acc"]
    assert ragent("sweep", *argv, "--mode", "max", "--no-smoke", "--", "python", "t.py", "a b").code == 0
    [body] = engine.bodies("POST", "sweeps")
    assert body["command"] == "python t.py 'a b'"
    assert body["space"]["parameters"]["lr"] == {"kind": "values", "values": [0.1, 0.01]}
    assert body["space"]["parameters"]["bs"]["integer"] is True
    assert (body["parallel"], body["primary"], body["mode"], body["smoke"]) == (2, "acc", "max", False)
    assert body["cwd"] == str(engine.project)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.json", '{"command": "python t.py", "parameters": {"lr": [0.1, 0.01]}, "max_runs": 7}'),
        ("s.toml", 'command = "python t.py"\nmax_runs = 7\n[parameters]\nlr = [0.1, 0.01]\n'),
        ("s.yaml", "command: python t.py\nmax_runs: 7\nparameters:\n  lr: [0.1, 0.01]\n"),
    ],
)
def test_a_sweep_from_a_file_with_an_option_over_it(engine: FakeEngine, ragent: Ragent, name: str, text: str) -> None:
    if name.endswith("toml") and sys.version_info < (3, 11):
        pytest.skip("this Python cannot read TOML by itself")
    engine.on["POST", "sweeps"] = lambda query, body: (201, a_sweep())
    (engine.project / name).write_text(text)
    assert ragent("sweep", name, "--parallel", "3").code == 0
    [body] = engine.bodies("POST", "sweeps")
    assert body["space"]["parameters"] == {"lr": {"kind": "values", "values": [0.1, 0.01]}}
    assert (body["command"], body["max_runs"], body["parallel"]) == ("python t.py", 7, 3)


@pytest.mark.parametrize("text", ["{", "[1]", "\xff", '{"command": "x"}', '{"command": "x", "parameters": {"a": []}'])
def test_a_sweep_file_that_is_broken_is_a_usage_error(project: Path, ragent: Ragent, text: str) -> None:
    (project / "s.json").write_bytes(text.encode("latin-1"))
    said = ragent("sweep", "s.json")
    assert said.code == 2
    assert not (project / ".ragent").exists()


def test_a_dry_run_shows_the_trials_and_starts_nothing(project: Path, ragent: Ragent) -> None:
    said = ragent("sweep", "--dry-run", "--param", "lr=0.1,0.01", "--json", "--", "python t.py")
    assert [trial["command"] for trial in said.document["trials"]] == ["python t.py --lr 0.1", "python t.py --lr 0.01"]
    assert not (project / ".ragent").exists()


def test_a_random_sweep_is_as_large_as_asked(project: Path, ragent: Ragent) -> None:
    argv = ["sweep", "--dry-run", "--param", "lr=range(1e-4,1,log)", "--random", "5", "--seed", "3", "--json"]
    first = ragent(*argv, "--", "x").document["trials"]
    assert len(first) == 5
    assert ragent(*argv, "--", "x").document["trials"] == first


def _story(engine: FakeEngine) -> None:
    """A sweep of one run that starts, raises an alert and finishes."""
    running = a_run("run_t", sweep_id="swp_s1", params={"w": 1}, status=RunStatus.RUNNING)
    best = {"loss": MetricSummary(last=0.5, min=0.25, count=3)}
    engine.sweeps = [a_sweep(status=SweepStatus.RUNNING)]

    def events(query: dict[str, str], body: Any) -> Iterator[Any]:
        seq = int(query["after"])
        if seq > 7:
            return
        told = [
            ("engine", "hello", {}),
            ("runs", "run_created", running),
            ("runs", "run_created", a_run("run_of_another_sweep", sweep_id="swp_other")),
            ("runs", "run_progress", {"run": "run_t", "progress": {"fraction": 0.5}, "summary": {}}),
            ("alerts", "alert_raised", an_alert(run_id="run_t")),
            ("alerts", "alert_raised", an_alert(run_id="run_of_another_sweep", title="not ours")),
            ("runs", "run_ended", msgspec.structs.replace(running, status=RunStatus.FINISHED, summary=best)),
            ("sweeps", "sweep_ended", a_sweep(status=SweepStatus.FINISHED, reason="1 of 1 trials finished.")),
        ]  # fmt: skip
        for topic, type_, data in told:
            seq += topic != "engine"
            yield {"seq": seq, "time": 1.0, "topic": topic, "type": type_, "data": data}

    engine.on["GET", "events"] = events
    engine.on["POST", "sweeps"] = lambda query, body: (201, engine.sweeps[0])


def test_a_followed_sweep_is_plain_lines_in_a_pipe(engine: FakeEngine, ragent: Ragent) -> None:
    _story(engine)
    said = ragent("sweep", "--follow", "--param", "w=1", "--", "true")
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0].startswith("● running  run_t  w 1")
    assert "NaN at step 412" in lines[1]
    assert lines[2].startswith("✓ finished  run_t  w 1  loss 0.25")
    assert lines[3].endswith("1 of 1 trials finished.")
    assert "run_of_another_sweep" not in said.out and "not ours" not in said.out


ROUGHLY = Estimate(of="run_0", seconds=9.0, runs=3, parallel=1, wall_seconds=27.0, text="One run takes ~9 s.\x1b[2J")


def test_a_sweep_says_what_the_rest_takes(engine: FakeEngine, ragent: Ragent) -> None:
    engine.sweeps = [a_sweep(status=SweepStatus.RUNNING, estimate=ROUGHLY)]
    engine.on["POST", "sweeps"] = lambda query, body: (201, engine.sweeps[0])
    said = ragent("sweep", "--param", "w=1", "--", "true")
    assert said.out.splitlines()[1] == "estimate  One run takes ~9 s."
    assert ragent("sweep", "--json", "--param", "w=1", "--", "true").document["estimate"]["wall_seconds"] == 27.0
    engine.runs = [a_run("run_a", sweep_id="swp_s1")]
    assert "estimate  One run takes ~9 s." in ragent("runs", "--sweep", "swp_s1").out


def test_a_followed_sweep_says_it_once(engine: FakeEngine, ragent: Ragent) -> None:
    _story(engine)
    before = engine.on["GET", "events"]

    def events(query: dict[str, str], body: Any) -> Iterator[Any]:
        if int(query["after"]) <= 7:
            for runs in (3, 2):
                told = msgspec.structs.replace(ROUGHLY, runs=runs)
                data = a_sweep(status=SweepStatus.RUNNING, estimate=told)
                yield {"seq": 0, "time": 1.0, "topic": "sweeps", "type": "sweep_changed", "data": data}
        yield from before(query, body)

    engine.on["GET", "events"] = events
    said = ragent("sweep", "--follow", "--param", "w=1", "--", "true")
    assert said.out.count("estimate") == 1 and "\x1b" not in said.out


def test_a_followed_sweep_is_ndjson_for_a_program(engine: FakeEngine, ragent: Ragent) -> None:
    _story(engine)
    lines = ragent("sweep", "--follow", "--json", "--param", "w=1", "--", "true").lines
    types = ["sweep", "run_created", "alert_raised", "run_ended", "sweep_ended", "sweep"]
    assert [line["type"] for line in lines] == types
    assert lines[-1]["sweep"]["status"] == "finished"


# --- alerts ----------------------------------------------------------------------------------------------------
def test_alerts_show_their_choices(engine: FakeEngine, ragent: Ragent) -> None:
    assert ragent("alerts").out == "Nothing waits for an answer.\n"
    engine.alerts = [an_alert()]
    said = ragent("alerts")
    assert "ragent respond alt_x1 stop" in said.out and "Stop run" in said.out and "the safe one" in said.out
    assert ragent("alerts", "--json").document["pending"] == 1


def test_an_answer_is_a_choices_id_and_never_its_words(engine: FakeEngine, ragent: Ragent) -> None:
    engine.alerts = [an_alert()]
    answered = an_alert(status=AlertStatus.RESOLVED, choice="stop", answered_by="user")
    engine.on["POST", "alerts/alt_x1/respond"] = lambda query, body: answered
    assert ragent("respond", "alt_x1", "Stop run").code == 2
    assert ragent("respond", "x1", "stop", "--json").document["choice"] == "stop"
    assert engine.bodies("POST", "alerts/alt_x1/respond") == [{"choice": "stop", "by": "user"}]
    assert ragent("respond", "alt_nope", "stop").code == 1


def test_without_a_terminal_nobody_is_waited_for(engine: FakeEngine, ragent: Ragent) -> None:
    engine.alerts = [an_alert()]
    said = ragent("respond", "alt_x1", "--json")
    assert (said.code, said.out, said.error["type"]) == (3, "", "needs_human")
    assert "ignore, stop" in said.error["remedy"]


# --- chart, report, status, doctor, serve ----------------------------------------------------------------------
def test_a_chart_draws_what_there_is_and_says_what_is_not(engine: FakeEngine, ragent: Ragent) -> None:
    engine.runs = [a_run("run_a", name="with"), a_run("run_b", name="without")]
    nan: Any = {"nonfinite": [2.0], "nonfinite_count": 1}
    series = Series(run="run_a", name="loss", x=[0, 1, 2], last=[3.0, 2.0, None], total=3, **nan)
    engine.on["GET", "metrics/series"] = lambda query, body: SeriesReply(x="step", series=[series])
    said = ragent("chart", "loss", "run_a", "run_b")
    assert said.code == 0
    legend = {line.split()[-2 if "no data" in line else 0]: line for line in said.out.splitlines()[-2:]}
    assert "no data" in said.out.splitlines()[-1] and "without" in said.out.splitlines()[-1]
    assert legend and "with" in said.out.splitlines()[-2]
    assert ragent("chart", "loss", "run_a", "--json").document["series"][0]["last"] == [3.0, 2.0, None]


def test_a_chart_of_nothing_is_no_data_and_a_failure(engine: FakeEngine, ragent: Ragent) -> None:
    engine.runs = [a_run("run_a", summary={"acc": MetricSummary(last=1.0, count=1)})]
    engine.on["GET", "metrics/series"] = lambda query, body: SeriesReply(x="step", series=[])
    said = ragent("chart", "loss", "run_a")
    assert said.code == 1 and "no data" in said.out
    said = ragent("chart", "loss")
    assert said.code == 1 and "There are: acc." in said.err


def test_a_report_is_about_a_sweep_or_about_runs(engine: FakeEngine, ragent: Ragent) -> None:
    engine.sweeps, engine.runs = [a_sweep()], [a_run("run_a"), a_run("run_b")]
    made = ReportReply(id="rep_1", path="/p/r.ipynb", title="T", sweep=None, created_at=1.0, findings=["A is best."])
    engine.on["POST", "reports"] = lambda query, body: (201, made)
    said = ragent("report", "widths")
    assert said.code == 0 and "A is best." in said.out and "/p/r.ipynb" in said.out
    assert ragent("report", "run_a", "run_b", "--path", "x.ipynb", "--json").document["id"] == "rep_1"
    first, second = engine.bodies("POST", "reports")
    assert (first["sweep"], first["runs"]) == ("swp_s1", [])
    assert (second["sweep"], second["runs"]) == (None, ["run_a", "run_b"])
    assert second["path"] == str(engine.project / "x.ipynb")
    assert ragent("report", "swp_nope").code == 1
    assert ragent("report", "nope").code == 1


def test_status_is_one_line_and_its_ground(engine: FakeEngine, ragent: Ragent) -> None:
    engine.runs = [a_run(status=RunStatus.RUNNING), a_run("run_b", status=RunStatus.FAILED)]
    engine.alerts = [an_alert()]
    assert ragent("status").out.startswith("1 running · 1 alert\n")
    assert ragent("status", "--json").document["counts"] == {"running": 1, "failed": 1}


def test_doctor_works_where_the_engine_cannot_start(
    project: Path, ragent: Ragent, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ragent_jupyter.client import start

    (project / ".ragent").mkdir()
    monkeypatch.setattr(start, "engine_argv", lambda project: [sys.executable, "-c", "raise SystemExit(9)"])
    said = ragent("doctor", "--json")
    checks = {check["name"]: check for check in said.document["checks"]}
    assert said.code == 1
    assert checks["engine"]["ok"] is False and "exit code 9" in checks["engine"]["detail"]
    assert checks["python"]["ok"] and checks["disk"]["ok"]
    assert {"tmux", "socket", "lab extension", "server extension", "kernels"} <= set(checks)


def test_doctor_in_the_home_folder_says_where_to_go(
    project: Path, ragent: Ragent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(project))
    said = ragent("doctor", "--json")
    [check] = [check for check in said.document["checks"] if check["name"] == "project"]
    assert not check["ok"] and "home folder" in check["detail"]
    assert not (project / ".ragent").exists()


def test_serve_refuses_a_second_engine(engine: FakeEngine, ragent: Ragent) -> None:
    said = ragent("serve")
    assert said.code == 1 and "running already" in said.err


def test_serve_stop_where_nothing_runs_is_done(project: Path, ragent: Ragent) -> None:
    (project / ".ragent").mkdir()
    assert ragent("serve", "--stop", "--json").document["stopped"] is False


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[list[str], str]]]:
    """The programs that `ragent` turned into: argv and current folder."""
    calls: list[tuple[list[str], str]] = []
    monkeypatch.setattr(os, "execve", lambda file, argv, env: calls.append((argv, os.getcwd())))
    yield calls


def test_lab_opens_the_project_and_passes_the_rest_on(
    project: Path, ragent: Ragent, became: list[tuple[list[str], str]]
) -> None:
    (project / ".ragent").mkdir()
    (project / "sub").mkdir()
    assert ragent("lab", "-C", "sub", "--no-browser", "notes.ipynb", "--", "--port=0", "--json").code == 0
    [(argv, cwd)] = became
    assert argv[:4] == [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={project}"]
    assert sorted(argv[4:]) == ["--json", "--no-browser", "--port=0", "notes.ipynb"]
    assert cwd == str(project)


def test_serve_with_a_port_is_a_jupyter_server_with_ragent(
    project: Path, ragent: Ragent, became: list[tuple[list[str], str]]
) -> None:
    assert ragent("serve", "--port", "8899").code == 0
    [(argv, cwd)] = became
    assert argv[1:3] == ["-m", "jupyter_server"] and "--ServerApp.port=8899" in argv
    assert "--ServerApp.jpserver_extensions={'ragent_jupyter': True}" in argv
    assert cwd == str(project)


def test_serve_is_the_engine_in_the_foreground(
    project: Path, ragent: Ragent, became: list[tuple[list[str], str]]
) -> None:
    assert "running already" not in ragent("serve").err
    [(argv, _)] = became
    assert argv[-4:] == ["-m", "ragent_jupyter.engine", "--project", str(project)]


# --- in a terminal ---------------------------------------------------------------------------------------------
def in_a_terminal(cwd: Path, *argv: str, type: bytes = b"", size: tuple[int, int] = (30, 100)) -> tuple[int, str]:
    """Exit code and screen output of `ragent` on a pseudo terminal of (rows, columns); `type` is typed at once."""
    primary, secondary = pty.openpty()
    fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    env = {name: value for name, value in _env().items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
    child = subprocess.Popen(
        [sys.executable, "-m", "ragent_jupyter.cli.main", *argv],
        cwd=cwd,
        env={**env, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"},
        stdin=secondary,
        stdout=secondary,
        stderr=secondary,
    )
    os.close(secondary)
    os.write(primary, type)
    screen = b""
    try:
        while piece := os.read(primary, 65536):
            screen += piece
    except OSError:  # how Linux says that the other end is closed
        pass
    finally:
        os.close(primary)
    return child.wait(20), screen.decode()


def test_a_followed_sweep_is_a_table_in_a_terminal(engine: FakeEngine) -> None:
    _story(engine)
    code, screen = in_a_terminal(engine.project, "sweep", "--follow", "--param", "w=1", "--", "true")
    assert code == 0
    assert "\x1b[32m✓" in screen and "0.25" in screen and "1 of 1 ended" in screen
    assert "1 of 1 trials finished." in screen


def test_in_a_terminal_a_person_is_asked(engine: FakeEngine) -> None:
    engine.alerts = [an_alert()]
    engine.on["POST", "alerts/alt_x1/respond"] = lambda query, body: an_alert(status=AlertStatus.RESOLVED)
    code, screen = in_a_terminal(engine.project, "respond", "alt_x1", type=b"stop\n")
    assert code == 0 and "NaN at step 412" in screen
    assert engine.bodies("POST", "alerts/alt_x1/respond")[0]["choice"] == "stop"
    assert in_a_terminal(engine.project, "respond", "alt_x1", type=b"\n")[0] == 0
    assert engine.bodies("POST", "alerts/alt_x1/respond")[1]["choice"] == "ignore", "Enter is the safe choice"


def test_json_stays_json_in_a_terminal(engine: FakeEngine) -> None:
    code, screen = in_a_terminal(engine.project, "status", "--json")
    assert code == 0
    assert json.loads(screen)["seq"] == 7


# --- as a program ----------------------------------------------------------------------------------------------
def test_a_reader_that_goes_away_is_no_error(engine: FakeEngine) -> None:
    engine.runs = [a_run(f"run_{i:04}") for i in range(3000)]
    script = f"{sys.executable} -m ragent_jupyter.cli.main runs --limit 3000 | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", script], capture_output=True, text=True, cwd=engine.project, env=_env()
    )
    assert done.stderr == ""
    assert done.returncode == 0


def test_without_unicode_the_words_are_still_readable(engine: FakeEngine) -> None:
    engine.runs = [a_run(name="größe", status=RunStatus.FINISHED)]
    argv = [sys.executable, "-m", "ragent_jupyter.cli.main", "runs"]
    env = {**_env(), "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = subprocess.run(argv, capture_output=True, cwd=engine.project, env=env, check=True)
    assert b"+ finished" in done.stdout and rb"gr\xf6\xdfe" in done.stdout


def test_status_imports_little(engine: FakeEngine) -> None:
    probe = (
        "import sys; from ragent_jupyter.cli.main import main; main(['status', '--json']); print(' '.join(sys.modules))"
    )
    argv = [sys.executable, "-c", probe]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=engine.project, env=_env(), check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    heavy = {"numpy", "pandas", "tornado", "rich", "sqlalchemy", "asyncio", "jupyter_core", "plotly", "yaml"}
    assert not loaded & heavy
    assert json.loads("\n".join(done.stdout.splitlines()[:-1]))["seq"] == 7


def _env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


# --- replay: needs no engine -----------------------------------------------------------------------------------
def test_replay_says_what_the_rules_would_have_said(project: Path, ragent: Ragent) -> None:
    rows = [{"step": step, "loss": 2.0 - step / 100} for step in range(50)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (project / "healthy.jsonl").write_text(text)
    (project / "broken.jsonl").write_text(text + '{"step": 50, "loss": NaN}\n')
    document = ragent("replay", "healthy.jsonl", "broken.jsonl", "--json").document
    assert document["points"] == 101
    assert [(a["run"], a["metric"], a["step"]) for a in document["alerts"]] == [("broken.jsonl", "loss", 50)]
    said = ragent("replay", "healthy.jsonl", "broken.jsonl")
    assert said.code == 0
    assert "no alert" in said.out and "NaN at step 50" in said.out and said.out.endswith("101 points, 1 alert\n")
    assert not (project / ".ragent").exists()


def test_replay_of_nothing_is_no_silent_success(project: Path, ragent: Ragent) -> None:
    (project / "notes.txt").write_text("nothing to see\n")
    assert ragent("replay", "missing.jsonl").code == 2
    said = ragent("replay", "notes.txt", "--json")
    assert (said.code, said.out, said.error["type"]) == (1, "", "not_found")
