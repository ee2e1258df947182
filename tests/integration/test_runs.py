"""Runs through the real engine, on each executor. Scenario names (A5, W14 …) are those of the acceptance list."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotFound, WrongMoment
from ragent_jupyter.domain.wire import CreateRun, PatchRun
from tests.support.engine import HELD, Project, gone
from tests.support.wait import wait_until

TRAIN = """
import json, os, sys, time
out = open(os.environ["RAGENT_METRICS_FILE"], "a")
for step in range(int(sys.argv[1])):
    out.write(json.dumps({"step": step, "loss": 1.0 / (step + 1)}) + "\\n"); out.flush()
    time.sleep(float(sys.argv[2]) if len(sys.argv) > 2 else 0.01)
"""
HELD_TRAIN = TRAIN + 'while not os.path.exists("go"): time.sleep(0.05)\n'


def test_A5_launch_log_fail(p: Project) -> None:
    bar = "printf 'epoch 1\\n\\033[32mgreen\\033[0m 10%%\\r20%%\\r30%%\\n'"
    command = f"# a comment first\n{bar}\necho 'it''s \"here\"' # x\nexit 3"
    run = p.run(command)
    assert run.status.value == "queued"
    run = p.wait(run)
    assert (run.status.value, run.exit_code) == ("failed", 3)
    assert run.reason is not None and "Exit code 3" in run.reason.text
    assert run.queued_at and run.launched_at and run.started_at and run.ended_at
    assert run.queued_at <= run.launched_at <= run.started_at <= run.ended_at
    text = p.client.logs(run.id).text
    assert text == 'epoch 1\n30%\nits "here"\n'


def test_metrics_arrive_whole_and_once(p: Project) -> None:
    run = p.wait(p.run(p.script("t.py", TRAIN) + " 200 0.002"))
    assert run.status.value == "finished"
    assert p.points(run, "loss") == [(float(i), 1.0 / (i + 1)) for i in range(200)]
    assert run.summary["loss"].last == 1 / 200 and run.summary["loss"].step == 199


def test_A6_stop_is_graceful(p: Project) -> None:
    script = """
import signal, sys, time
def save(*_):
    open("checkpoint", "w").write("saved"); print("checkpoint saved", flush=True); sys.exit(0)
signal.signal(signal.SIGINT, save)
print("ready", flush=True)
while True: time.sleep(0.05)
"""
    run = p.run(p.script("t.py", script))
    p.until(lambda: "ready" in p.client.logs(run.id).text)
    p.client.stop(run.id)
    run = p.wait(run)
    assert run.status.value == "stopped"
    assert (p.folder / "checkpoint").read_text() == "saved"
    assert run.reason is not None and run.reason.kind == "stop"


def test_A6_a_queued_run_is_cancelled_and_never_starts(p: Project) -> None:
    p.client.put("prefs", {"parallel": 1})
    first = p.run("sleep 30")
    p.wait(first, "running")
    second = p.run("touch started")
    assert p.client.stop(second.id).status.value == "stopped"
    p.client.stop(first.id, now=True)
    p.wait(first)
    assert not (p.folder / "started").exists()


def test_stop_now_ends_a_job_that_ignores_everything(p: Project) -> None:
    run = p.run("trap '' INT TERM; echo ready; while true; do sleep 0.1; done")
    p.until(lambda: "ready" in p.client.logs(run.id).text)
    p.client.stop(run.id, now=True)
    run = p.wait(run, timeout=30)
    assert run.status.value == "stopped"


def test_W14_no_child_is_left_behind(p: Project) -> None:
    script = """
import os, subprocess, sys
subprocess.Popen(["sleep", "300"], start_new_session=True)
subprocess.Popen("nohup sleep 301 >/dev/null 2>&1 &", shell=True)
print("children", flush=True)
"""
    run = p.wait(p.run(p.script("t.py", script)))
    assert run.status.value == "finished"

    def left() -> list[int]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("RAGENT_RUN_ID") == run.id and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.pid)
            except psutil.Error:
                continue
        return found

    wait_until(lambda: not left(), 10, what="the children to be gone")


def test_W15_a_stop_touches_no_other_run(p: Project) -> None:
    p.client.put("prefs", {"parallel": 2})
    a, b = p.run("sleep 60"), p.run(HELD + "echo done")
    p.wait(a, "running")
    p.wait(b, "running")
    p.client.stop(a.id, now=True)
    assert p.wait(a).status.value == "stopped"
    (p.folder / "go").touch()
    b = p.wait(b)
    assert (b.status.value, p.client.logs(b.id).text) == ("finished", "done\n")


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["/no/such/program"], "/no/such/program"),
        ("definitely-not-a-command --x", "not found"),
    ],
)
def test_a_command_that_does_not_exist_says_so(one: Project, command: str | list[str], says: str) -> None:
    run = one.wait(one.run(command))
    assert run.status.value == "failed" and run.reason is not None
    assert says in run.reason.text + (run.reason.log_line or "")


def test_a_missing_module_is_explained(one: Project) -> None:
    run = one.wait(one.run(one.script("t.py", "import no_such_module_here\n")))
    assert run.reason is not None
    assert "no_such_module_here" in run.reason.text and "--python" in run.reason.text


def test_a_run_names_its_interpreter(one: Project, tmp_path: Path) -> None:
    import venv

    venv.create(tmp_path / "v", with_pip=False)
    run = one.wait(one.run("python -c 'import sys; print(sys.prefix)'", python=str(tmp_path / "v")))
    assert one.client.logs(run.id).text.strip() == str(tmp_path / "v")
    assert run.interpreter is not None and run.interpreter.kind == "venv"


def test_output_that_is_not_text_is_no_trouble(one: Project) -> None:
    run = one.wait(one.run("printf 'a\\000b\\377\\nplain\\n'"))
    assert one.client.logs(run.id).text.endswith("plain\n") and "�" in one.client.logs(run.id).text


def test_a_folder_that_is_gone_is_refused_before_and_told_after(one: Project) -> None:
    with pytest.raises(CannotBeDone, match="does not exist"):
        one.run("true", cwd="/no/such/folder")
    (one.folder / "gone").mkdir()
    one.client.put("prefs", {"parallel": 1})
    first = one.run(HELD + "true")
    second = one.run("true", cwd=str(one.folder / "gone"))
    (one.folder / "gone").rmdir()
    (one.folder / "go").touch()
    one.wait(first)
    second = one.wait(second)
    assert second.status.value == "failed" and second.reason is not None and "gone" in second.reason.text


def test_unknown_ids_and_wrong_moments(one: Project) -> None:
    with pytest.raises(NotFound):
        one.client.run("run_nope")
    with pytest.raises(NotFound):
        one.client.stop("run_nope")
    run = one.wait(one.run("true"))
    with pytest.raises(WrongMoment, match="retry"):
        one.client.stop(run.id)
    with pytest.raises(WrongMoment):
        one.client.start_run(run.id)
    with pytest.raises(NotFound):
        one.client.respond("alt_nope", "stop")


@pytest.mark.parametrize("command", ["", "   \n", []])
def test_an_empty_command_is_refused(one: Project, command: str | list[str]) -> None:
    with pytest.raises(BadInput, match="empty"):
        one.run(command)


def test_malformed_and_huge_bodies_are_refused_and_change_nothing(one: Project) -> None:
    import http.client
    import socket

    from ragent_jupyter.runfiles.project import socket_path

    def post(body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("x")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(socket_path(one.folder))
        connection.request("POST", "/ragent/api/v1/runs", body)
        reply = connection.getresponse()
        return reply.status, reply.read()

    before = one.client.runs().total
    for body in (
        b"{",
        b"[]",
        b'{"command": 3}',
        b'{"command": "true", "gpus": NaN}',
        b'{"command":"true","x":1}',
        b"\xff",
    ):
        status, text = post(body)
        assert status == 400 and b"problem" in text, body
    status, _ = post(b'{"command": "' + b"a" * (300 * 1024) + b'"}')
    assert status == 400
    assert one.client.runs().total == before


def test_the_same_request_twice_creates_one_run(one: Project) -> None:
    body = CreateRun(command="echo once >> count", request_id="r-1", executor="process")
    a, b = one.client.create_run(body), one.client.create_run(body)
    assert a.id == b.id
    one.wait(a)
    assert (one.folder / "count").read_text() == "once\n"


def test_a_retry_is_a_new_run_with_its_parameter_changed(one: Project) -> None:
    first = one.wait(one.run("echo --lr 0.3; false"))
    second = one.wait(one.client.retry(first.id, {"lr": 0.1}))
    assert second.retry_of == first.id and one.client.logs(second.id).text == "--lr 0.1\n"


def test_queued_runs_can_be_reordered(one: Project) -> None:
    one.client.put("prefs", {"parallel": 1})
    first = one.run(HELD + "true")
    one.wait(first, "running")
    b, c = one.run("echo b >> order"), one.run("echo c >> order")
    one.client.patch_run(c.id, PatchRun(before=b.id))
    (one.folder / "go").touch()
    one.wait(b)
    one.wait(c)
    assert (one.folder / "order").read_text() == "c\nb\n"


# --- faults -----------------------------------------------------------------------------------------------------------
def test_W1_a_killed_engine_finds_its_runs_again(p: Project) -> None:
    live = p.run(p.script("t.py", HELD_TRAIN) + " 60 0.02")
    ended = p.run("until [ -e go7 ]; do sleep 0.05; done; exit 7")
    p.wait(live, "running")
    p.wait(ended, "running")
    p.kill_engine()
    (p.folder / "go7").touch()
    wait_until(lambda: (p.run_dir(ended) / "exit.json").exists(), 30)
    ended = p.wait(ended)
    assert (ended.status.value, ended.exit_code) == ("failed", 7)
    assert p.client.run(live.id).status.value == "running"
    (p.folder / "go").touch()
    live = p.wait(live)
    assert live.status.value == "finished"
    assert [s for s, _ in p.points(live, "loss")] == [float(i) for i in range(60)]


def test_a_killed_wrapper_does_not_take_the_job_along(p: Project) -> None:
    import json

    run = p.run(p.script("t.py", HELD_TRAIN) + " 40 0.02")
    p.until(lambda: len(p.points(run, "loss")) > 3)
    os.kill(json.loads((p.run_dir(run) / "claim.json").read_text())["pid"], signal.SIGKILL)
    p.until(lambda: "wrapper is gone" in p.client.run(run.id).health)
    (p.folder / "go").touch()
    run = p.wait(run)
    assert run.status.value == "failed" and run.reason is not None and run.reason.kind == "lost"
    assert [s for s, _ in p.points(run, "loss")] == [float(i) for i in range(40)]


def test_a_killed_tmux_server_takes_no_run_along() -> None:
    from ragent_jupyter.runfiles.project import project_hash
    from tests.support.engine import project

    with project("tmux") as p:
        run = p.run(p.script("t.py", HELD_TRAIN) + " 30 0.02")
        p.wait(run, "running")
        server = f"tmux -L ragent-{project_hash(p.folder)}"
        os.system(f"{server} kill-server")
        wait_until(lambda: os.system(f"{server} list-sessions >/dev/null 2>&1") != 0, what="the server to be gone")
        (p.folder / "go").touch()
        run = p.wait(run)
        assert run.status.value == "finished"
        assert len(p.points(run, "loss")) == 30
        assert p.wait(p.run("true")).status.value == "finished"


def test_W19_two_doors_at_once_share_one_engine(one: Project) -> None:
    import subprocess

    code = "import sys; from ragent_jupyter.client import Client; print(Client(sys.argv[1]).status().pid)"
    doors = [
        subprocess.Popen([sys.executable, "-c", code, str(one.folder)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    pids = {door.communicate(timeout=60)[0].strip() for door in doors}
    assert pids == {str(one.engine_pid)}


def test_an_idle_engine_ends_and_the_next_door_starts_another(one: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGENT_IDLE_S", "0.6")
    run = one.wait(one.run("true"))
    pid = one.engine_pid
    wait_until(lambda: gone(pid), 20)
    assert one.client.run(run.id).status.value == "finished"
    assert one.engine_pid != pid


def test_a_drained_engine_leaves_its_runs_alone(p: Project) -> None:
    run = p.run(HELD + "echo done")
    p.wait(run, "running")
    pid = p.engine_pid
    p.client.post("drain")
    wait_until(lambda: gone(pid), 20)
    (p.folder / "go").touch()
    run = p.wait(run)
    assert run.status.value == "finished" and p.engine_pid != pid


def test_a_drained_engine_makes_way_at_once(one: Project) -> None:
    pid = one.engine_pid
    one.client.post("drain")
    wait_until(lambda: gone(pid), 20)


@pytest.mark.parametrize("pid", [None, 0, -4, 1 << 40])
def test_an_interactive_run_names_a_process(one: Project, pid: int | None) -> None:
    with pytest.raises(BadInput, match="names no process"):
        one.client.create_run(CreateRun(command="notebook", kind="interactive", pid=pid))


def test_preferences_are_of_their_kind_and_null_removes_them(one: Project) -> None:
    for wrong in (True, 0, -3, "2"):
        with pytest.raises(BadInput):
            one.client.put("prefs", {"parallel": wrong})
    one.client.put("prefs", {"parallel": 3, "theme": "dark"})
    assert one.client.put("prefs", {"parallel": None})["prefs"] == {"theme": "dark"}
    assert one.client.put("prefs", {"budget_day_usd": 5})["prefs"]["budget_day_usd"] == 5
    with pytest.raises(BadInput, match="float"):
        one.client.put("prefs", {"budget_day_usd": "5"})
    for wrong in (
        {"budget_day_usd": -1},
        {"turn_cost_usd": -0.5},
        {"judge_budget_usd_day": -1},
        {"turn_steps": 0},
        {"gpu_hour_usd": 1e308},
    ):
        with pytest.raises(BadInput, match=r"is -?[0-9]"):
            one.client.put("prefs", wrong)
    one.client.put("prefs", {"budget_day_usd": None})
    one.kill_engine()
    assert one.client.get("prefs")["prefs"] == {"theme": "dark"}


def test_many_runs_of_nothing_start_quickly_and_all_end(p: Project) -> None:
    p.client.put("prefs", {"parallel": 8})
    runs = [p.run("true", name=f"n{i}") for i in range(12)]
    assert {p.wait(r, timeout=60).status.value for r in runs} == {"finished"}


def test_a_run_starts_from_its_callers_environment_less_what_is_not_its_business(one: Project) -> None:
    one.client.status()  # the engine is there already, with an environment of its own
    caller = {"PATH": os.environ["PATH"], "HF_HOME": "/data/hf", "ANTHROPIC_API_KEY": "k", "JUPYTER_TOKEN": "t"}
    first = one.wait(
        one.run("echo $HF_HOME,$ANTHROPIC_API_KEY,$JUPYTER_TOKEN,$SEED", caller_env=caller, env={"SEED": "3"})
    )
    assert one.client.logs(first.id).text == "/data/hf,,,3\n"
    again = one.wait(one.client.retry(first.id))
    assert one.client.logs(again.id).text == "/data/hf,,,3\n"
    kept = (one.run_dir(first) / "base_env.json").read_text()
    assert "HF_HOME" in kept and "ANTHROPIC" not in kept and "JUPYTER" not in kept


def test_the_first_answer_after_a_restart_knows_what_ended_meanwhile(one: Project) -> None:
    run = one.run(HELD + "exit 7")
    one.wait(run, "running")
    one.kill_engine()
    (one.folder / "go").touch()
    wait_until(lambda: (one.run_dir(run) / "exit.json").exists(), 30)
    assert one.client.run(run.id).status.value == "failed"
