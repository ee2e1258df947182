"""The shell tool: what a person is shown, what is refused, what a model reads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ragent_jupyter.domain.chat import Preview
from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotAllowed, NotFound, RagentError
from ragent_jupyter.domain.ports_mind import ShellResult
from ragent_jupyter.domain.tools import ToolOutcome
from ragent_jupyter.rules.redact import redact
from ragent_jupyter.services.tools.base import Toolbox, ToolContext
from ragent_jupyter.services.tools.shell import shell_env, shell_tools

from ....support.fake_workspace import FakeWorkspace

SECRET = "hf_" + "abcDEF0123456789" * 2


class ToldShell:
    """domain.ports_mind.ShellRunner that says what it is told and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, float]] = []
        self.says = ShellResult(output="hello", exit_code=0, seconds=0.5)

    async def run(
        self, command: str, cwd: str, *, timeout_s: float, stop: asyncio.Event, said: Callable[[str], None]
    ) -> ShellResult:
        self.asked.append((command, cwd, timeout_s))
        said(self.says.output)
        return self.says


class Bench:
    def __init__(self) -> None:
        self.shell = ToldShell()
        files = FakeWorkspace({"src/a.py": "x", "b.py": "x"})
        self.box = Toolbox(shell_tools(self.shell, files, Path("/home/ada/project"), redact))

    def context(self) -> ToolContext:
        return ToolContext(session_id="ses_1", turn_id="trn_1", call_id="prt_1", mode="ask")

    def look(self, **given: Any) -> Preview:
        args = self.box.arguments("run_shell", given)
        return asyncio.run(self.box.get("run_shell").preview(args, self.context()))

    def do(self, **given: Any) -> ToolOutcome:
        args = self.box.arguments("run_shell", given)
        return asyncio.run(self.box.get("run_shell").run(args, self.context()))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_person_sees_the_exact_command_and_where(bench: Bench) -> None:
    shown = bench.look(command="git status -s", cwd="src")
    assert (shown.command, shown.cwd) == ("git status -s", "/home/ada/project/src")
    assert (shown.pattern, shown.danger) == ("run_shell:git status *", False)
    assert bench.look(command="ls").cwd == "/home/ada/project"


def test_danger_is_said_and_never_allowed_for_good(bench: Bench) -> None:
    shown = bench.look(command="rm -rf build")
    assert shown.danger and shown.pattern == "" and shown.details[0] == "Careful: deletes files (rm)."


def test_what_is_not_seen_is_made_visible(bench: Bench) -> None:
    shown = bench.look(command="echo a\u202e\u200b\necho b")
    assert shown.command == "echo a\\u202e\\u200b\necho b" and shown.danger


def test_a_secret_in_a_command_is_not_kept(bench: Bench) -> None:
    shown = bench.look(command=f"python x.py --hub {SECRET}")
    assert SECRET not in str(shown) and shown.pattern == ""
    got = bench.do(command=f"python x.py --hub {SECRET}")
    assert SECRET not in str(got)
    assert bench.shell.asked[0][0].endswith(SECRET)


@pytest.mark.parametrize(
    "given, kind, word",
    [
        ({"command": ""}, BadInput, "empty"),
        ({"command": "a\0b"}, BadInput, "NUL"),
        ({"command": "python train.py &"}, CannotBeDone, "launch_run"),
        ({"command": "nohup python train.py"}, CannotBeDone, "launch_run"),
        ({"command": "ls", "timeout_s": 601}, BadInput, "launch_run"),
        ({"command": "ls", "timeout_s": 0}, BadInput, "600"),
        ({"command": "ls", "timeout_s": -1}, BadInput, "600"),
        ({"command": "ls", "cwd": ".."}, NotAllowed, "project"),
        ({"command": "ls", "cwd": "/etc"}, NotAllowed, "project"),
        ({"command": "ls", "cwd": "nosuch"}, NotFound, "nosuch"),
        ({"command": "ls", "cwd": "b.py"}, CannotBeDone, "file"),
        ({"command": "ls", "cwd": ".ragent"}, NotAllowed, "agent"),
    ],
)
def test_what_makes_no_sense_is_said_before_a_person_is_asked(
    bench: Bench, given: dict[str, Any], kind: type[RagentError], word: str
) -> None:
    with pytest.raises(kind, match=word):
        bench.look(**given)
    assert bench.shell.asked == []


@pytest.mark.parametrize("given", [{"command": "x &"}, {"command": ""}, {"command": "ls", "timeout_s": 1e9}])
def test_it_is_not_run_either(bench: Bench, given: dict[str, Any]) -> None:
    with pytest.raises(RagentError):
        bench.do(**given)
    assert bench.shell.asked == []


@pytest.mark.parametrize("timeout", [float("nan"), float("inf")])
def test_a_time_that_is_none_is_bad_input(bench: Bench, timeout: float) -> None:
    with pytest.raises(BadInput):
        bench.look(command="ls", timeout_s=timeout)


def test_a_model_reads_output_and_exit_code_as_data(bench: Bench) -> None:
    got = bench.do(command="ls", cwd="src")
    assert got.text == "hello\n[exit code 0, 0.5 s]"
    assert got.untrusted == "output of ls" and not got.is_error
    assert got.data == {"card": "shell", "command": "ls", "exit_code": 0}
    assert bench.shell.asked == [("ls", "src", 120.0)]


def test_how_it_ended_is_said(bench: Bench) -> None:
    bench.shell.says = ShellResult(output="", exit_code=None, seconds=120.0, timed_out=True)
    got = bench.do(command="ls")
    assert "took too long" in got.text and "launch_run" in got.text and got.is_error
    bench.shell.says = ShellResult(output="part", exit_code=None, seconds=1.0)
    assert bench.do(command="ls").text == "part\n[stopped after 1 s]"
    bench.shell.says = ShellResult(output="", exit_code=1, seconds=1.0)
    assert bench.do(command="grep x").text == "[exit code 1, 1 s]"


def test_no_token_is_in_the_environment() -> None:
    base = {
        "PATH": "/bin", "HF_TOKEN": SECRET, "WANDB_API_KEY": "x" * 40, "AWS_SECRET_ACCESS_KEY": "y",
        "JUPYTER_TOKEN": "z",
        "ANTHROPIC_API_KEY": "k", "RAGENT_RUN_ID": "run_1", "CUDA_VISIBLE_DEVICES": "0", "DB_PASSWORD": "p",
    }  # fmt: skip
    assert shell_env(base) == {"PATH": "/bin", "CUDA_VISIBLE_DEVICES": "0"}
