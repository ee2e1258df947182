"""A shell command: its words, its end, and that nothing of it is left behind."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.adapters.shell_output import Output, cleaned
from ragent_jupyter.adapters.shell_runner import MARK, LocalShell
from ragent_jupyter.domain.errors import CannotBeDone, NotAllowed, NotFound
from ragent_jupyter.domain.ports_mind import ShellResult
from ragent_jupyter.rules.redact import redact
from ragent_jupyter.runfiles import proc

from ...support.wait import wait_until

ENV = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "LC_ALL": "C.UTF-8"}
SECRET = "sk-ant-api03-" + "abcDEF0123456789" * 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "project" / "sub").mkdir(parents=True)
    return tmp_path / "project"


def run(folder: Path, command: str, cwd: str = ".", timeout_s: float = 20.0, **more: Any) -> ShellResult:
    async def inside() -> ShellResult:
        shell = LocalShell(folder, lambda: more.get("env", ENV), redact, more.get("most", 24_000))
        stop = asyncio.Event()
        after = more.get("stop_when")

        async def watch() -> None:
            await asyncio.get_running_loop().run_in_executor(None, wait_until, after)
            stop.set()

        watcher = asyncio.ensure_future(watch()) if after else None
        try:
            return await shell.run(
                command, cwd, timeout_s=timeout_s, stop=stop, said=more.get("said", lambda text: None)
            )
        finally:
            if watcher:
                watcher.cancel()

    return asyncio.run(inside())


def test_both_streams_come_in_order_with_the_exit_code(folder: Path) -> None:
    said: list[str] = []
    got = run(folder, "echo one; echo two >&2; exit 3", said=said.append)
    assert (got.output, got.exit_code, got.timed_out) == ("one\ntwo", 3, False)
    assert "".join(said) == "one\ntwo\n"
    assert got.seconds < 10


def test_it_runs_in_a_folder_of_the_project(folder: Path) -> None:
    assert run(folder, "pwd -P", "sub").output == str((folder / "sub").resolve())
    assert run(folder, "pwd -P", str(folder / "sub")).output == str((folder / "sub").resolve())
    (folder / "out").symlink_to("/")
    (folder / "file").write_text("")
    for cwd, kind in (("..", NotAllowed), ("/", NotAllowed), ("out", NotAllowed), (".ragent", NotAllowed)):
        with pytest.raises(kind):
            run(folder, "pwd", cwd)
    for cwd in ("file", "nosuch"):
        with pytest.raises((CannotBeDone, NotFound)):
            run(folder, "pwd", cwd)


def test_it_sees_the_environment_that_it_is_given_and_no_other(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    names = {line.partition("=")[0] for line in run(folder, "env").output.splitlines()}
    assert "ANTHROPIC_API_KEY" not in names and {"PATH", MARK, "NO_COLOR"} <= names
    assert run(folder, "test -t 0; read x; echo $?").output == "1", "nothing can be typed into it"


def test_a_command_that_is_not_there_says_so(folder: Path) -> None:
    got = run(folder, "no-such-program-at-all")
    assert got.exit_code == 127 and "not found" in got.output


def test_what_is_too_long_for_the_system_is_an_error(folder: Path) -> None:
    with pytest.raises(CannotBeDone, match="could not be started"):
        run(folder, "x" * 5_000_000)


# --- the end ----------------------------------------------------------------------------------------------------------
def test_a_timeout_ends_it_and_keeps_what_was_said(folder: Path) -> None:
    began = time.monotonic()
    got = run(folder, "echo begun; sleep 60", timeout_s=0.5)
    assert (got.output, got.exit_code, got.timed_out) == ("begun", None, True)
    assert time.monotonic() - began < 25


TREES = {
    "plain": "echo $$ > pid; exec sleep 300",
    "child": "sh -c 'echo $$ > pid; exec sleep 300'; true",
    "own session": "setsid sh -c 'echo $$ > pid; exec sleep 300' & wait",
    "deaf": "trap '' TERM INT HUP; echo $$ > pid; while :; do sleep 0.2; done",
    "grandchild left": "(setsid sh -c 'echo $$ > pid; exec sleep 300' &) ; sleep 300",
    "without environment": "env -i sh -c 'echo $$ > pid; sleep 300; true'",
    "in the group without environment": "(env -i sh -c 'echo $$ > pid; sleep 300; true' &) ; sleep 300",
}


@pytest.mark.parametrize("how", TREES)
def test_stop_ends_the_whole_tree_soon(folder: Path, how: str) -> None:
    pid_file = folder / "pid"
    moment: list[float] = []

    def begun() -> bool:
        if pid_file.exists() and pid_file.read_text().endswith("\n"):
            moment.append(time.monotonic())
            return True
        return False

    got = run(folder, TREES[how], stop_when=begun)
    assert time.monotonic() - moment[0] < 7.5, "a second on an idle machine"
    assert got.exit_code is None and not got.timed_out
    assert proc.start_time(int(pid_file.read_text())) is None


@pytest.mark.parametrize(
    "command",
    ["sleep 300 &", "(setsid sleep 300 &)", "nohup sleep 300 >/dev/null 2>&1 &", "(sh -c 'sleep 300' &)",
     "(env -i sleep 300 &)"],
)  # fmt: skip
def test_what_a_command_leaves_behind_is_ended_with_it(folder: Path, command: str) -> None:
    before = sleepers()
    began = time.monotonic()
    got = run(folder, f"{command}\necho done")
    assert (got.output, got.exit_code) == ("done", 0)
    assert time.monotonic() - began < 25, "a child that holds the pipe open is not waited for"
    wait_until(lambda: sleepers() <= before, what="the sleeper to be gone")


def sleepers() -> set[int]:
    import psutil

    return {p.pid for p in psutil.process_iter(["cmdline"]) if (p.info["cmdline"] or [])[:2] == ["sleep", "300"]}


def test_cancelled_in_the_middle_it_leaves_nothing(folder: Path) -> None:
    async def inside() -> None:
        shell = LocalShell(folder, lambda: ENV, redact)
        work = asyncio.ensure_future(
            shell.run(TREES["own session"], ".", timeout_s=60, stop=asyncio.Event(), said=lambda text: None)
        )
        await asyncio.get_running_loop().run_in_executor(None, wait_until, (folder / "pid").is_file)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(inside())
    # It may have been ended between making the file and writing into it.
    pid = (folder / "pid").read_text().strip()
    assert not pid or proc.start_time(int(pid)) is None


def test_stopped_before_it_began_it_never_begins(folder: Path) -> None:
    async def inside() -> ShellResult:
        stop = asyncio.Event()
        stop.set()
        shell = LocalShell(folder, lambda: ENV, redact)
        return await shell.run("touch mark", ".", timeout_s=5, stop=stop, said=lambda text: None)

    assert asyncio.run(inside()).exit_code is None
    assert not (folder / "mark").exists()


# --- words ------------------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_a_flood_keeps_its_head_and_tail_and_does_not_fill_the_memory(folder: Path) -> None:
    got = run(folder, "echo first; yes middle | head -c 60000000; echo; echo last", most=1000)
    assert got.exit_code == 0
    assert got.output.startswith("first\nmiddle\n") and got.output.endswith("\nlast")
    assert "the middle is left out" in got.output and len(got.output) < 1200


def test_secrets_are_blacked_out_in_what_is_told_and_kept(folder: Path) -> None:
    (folder / "key").write_text(f"a\n-----BEGIN PRIVATE KEY-----\n{'MIIEsecret' * 6}\n-----END PRIVATE KEY-----\nb\n")
    (folder / "log").write_text(f"using {SECRET} now\n")
    said: list[str] = []
    got = run(folder, "cat log; while read x; do echo $x; sleep 0.02; done < key", said=said.append)
    for text in (got.output, "".join(said)):
        assert SECRET not in text and "MIIE" not in text
        assert text.startswith("using [secret] now\na\n") and text.rstrip().endswith("\nb")


@pytest.mark.parametrize(
    "data, shown",
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;ZXZpbA==\x07", ""),
        ("\x1bPq#0\x1b\\ok", "ok"),
        ("\x9b31mx\x9d0;t\x07y", "xy"),
        ("\x1b]0;never ends\nnext", "\nnext"),
        ("10%\r20%\r100%", "100%"),
        ("a\r\nb\r\n", "a\nb\n"),
        ("bell\x07 null\x00 del\x7f", "bell null del"),
        ("\u202eevil\u200b", "evil"),
        ("\x1b[2J\x1b[Hx\x1b(B", "x"),
        ("tab\tstays", "tab\tstays"),
    ],
)
def test_terminal_codes_are_no_text(data: str, shown: str) -> None:
    assert cleaned(data) == shown


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_whatever_bytes_come_the_text_can_be_shown(pieces: list[bytes]) -> None:
    output = Output(redact, 1000, lambda text: None)
    for piece in pieces:
        output.take(piece)
    assert all(char.isprintable() or char in "\n\t" or ord(char) > 0x9F for char in output.text())


@given(st.text(alphabet="añ世\n\r", max_size=200), st.integers(1, 7))
def test_how_the_bytes_are_cut_does_not_matter(text: str, size: int) -> None:
    def shown(pieces: list[bytes]) -> str:
        output = Output(redact, 10_000, lambda text: None)
        for piece in pieces:
            output.take(piece)
        return output.text()

    data = text.encode()
    assert shown([data[n : n + size] for n in range(0, len(data), size)]) == shown([data])


def test_a_line_without_end_is_not_kept_for_ever() -> None:
    told: list[str] = []
    output = Output(redact, 10_000, told.append)
    for _ in range(40):
        output.take(b"." * 1000)
    assert told, "a progress bar without line feeds shows"


def test_a_key_that_a_flood_cuts_in_two_is_not_shown() -> None:
    output = Output(redact, 10_000, lambda text: None)
    body = b"\n".join(b"MIIE" + b"A" * 60 for _ in range(5000))
    for _ in range(3):
        output.take(b"x" * 999_999 + b"\n")
    output.take(b"-----BEGIN PRIVATE KEY-----\n" + body + b"\n-----END PRIVATE KEY-----\nend\n")
    assert "MIIE" not in output.text() and output.text().endswith("end")
