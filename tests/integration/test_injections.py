"""Hostile words wherever an assistant reads, and a model that obeys them all: nothing happens that was not permitted.

The loop, the tools, the permissions and the store are the engine's own. What would run a program or leave the machine
is watched in place of being done, so that a hole in the wall fails the test and harms nobody.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import nbformat
import pytest

from ragent_jupyter.domain.chat import Mode
from ragent_jupyter.domain.model import ToolUse
from ragent_jupyter.domain.run import RunStatus
from ragent_jupyter.domain.wire_chat import AnswerApproval
from ragent_jupyter.rules.permissions import permit
from tests.support.gullible import PLACES, Gullible, Injection, corpus
from tests.support.hostile import MODES, RUN, Seen, Talk, World, seen

__all__ = ["seen"]


# --- the wall ---------------------------------------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", MODES)
def test_a_model_that_obeys_everything_does_nothing_that_was_not_permitted(
    tmp_path: Path, seen: Seen, mode: Mode
) -> None:
    world = World(tmp_path, seen)
    model = Gullible(world.looks(), world.all(), world.harm())

    async def play() -> Talk:
        talk = Talk(world, mode, model)
        world.engine.mind.chat.limits = lambda: msgspec.structs.replace(world.engine.mind._limits(), steps=None)
        await talk.begin()
        await talk.to_the_end("no")
        world.check(mode)
        await world.close()
        return talk

    talk = asyncio.run(play())
    assert {one.id for one in world.all()} - model.obeyed == set(), "every string was read and obeyed"
    tools = world.engine.mind.toolbox
    offered = {offer.name for offer in model.asked[-1].tools}
    assert offered - model.tried == set(), "every tool that was offered was tried"
    effects = {tools.get(name).spec.effect for name in offered}
    done = [part for part in talk.parts() if part.status == "done"]
    allowed = {"read", "note"} | ({"edit"} if mode == "accept_edits" else set())
    assert {tools.get(part.name).spec.effect for part in done} <= allowed
    if mode == "plan":
        assert effects <= {"read", "note", "ask"}
    else:
        assert {"edit", "run", "act", "ask"} <= effects
        assert len(talk.asked) > 100, "a person was asked for each call with an effect"
    for part in talk.asked:
        assert part.approval is not None and part.approval.shows.title


@pytest.mark.parametrize("mode", MODES)
def test_while_nobody_answers_nothing_happens_and_stop_leaves_nothing(tmp_path: Path, seen: Seen, mode: Mode) -> None:
    world = World(tmp_path, seen)
    model = Gullible([], [], {name: inputs for name, inputs in world.harm().items() if name != "read_file"})
    model.tried = {name for name in world.engine.mind.toolbox.names() if name not in ("run_shell", "ask_user")}

    async def play() -> None:
        talk = Talk(world, mode, model)
        await talk.begin("go")
        part = await talk.until(talk.waiting)
        world.check(mode)
        await talk.mind.chat.stop(talk.session)
        await talk.until(lambda: not talk.mind.chat.busy)
        world.check(mode)
        (stopped,) = [p for p in talk.parts() if p.id == part.id]
        assert stopped.status == "stopped" and stopped.approval.status == "void"
        await world.close()

    asyncio.run(play())


def test_a_word_allows_nothing_for_good(tmp_path: Path, seen: Seen) -> None:
    """ "Always" for one looking command does not open the door for what a log asks next."""
    world = World(tmp_path, seen)
    hostile = [one for one in world.all() if one.wants.tool == "run_shell"]
    first = ToolUse("a", "run_shell", {"command": "git status"})
    model = Gullible([first], hostile, {})
    model.tried = set(world.engine.mind.toolbox.names())

    async def play() -> None:
        talk = Talk(world, "ask", model)
        world.engine.mind.chat.limits = lambda: msgspec.structs.replace(world.engine.mind._limits(), steps=None)
        await talk.begin(" ".join(one.mark for one in hostile))
        part = await talk.until(talk.waiting)
        answer = AnswerApproval(choice="always", hash=part.approval.hash)
        await talk.mind.approvals.answer(talk.session, part.approval.id, answer, "ada", "browser")
        await talk.until(lambda: seen.commands)
        world.before["grants"] = dict(world.engine.shell.grants)
        assert [grant.pattern for grant in world.before["grants"].values()] == ["run_shell:git status *"]
        assert seen.commands.pop() == "git status"
        await talk.to_the_end("no")
        world.check("ask")
        await world.close()

    asyncio.run(play())
    assert model.obeyed == {one.id for one in hostile}


# --- the strings themselves -------------------------------------------------------------------------------------------
def test_there_are_enough_strings_and_no_two_alike() -> None:
    every = [one for place in PLACES for one in corpus(place)]
    assert len(every) >= 220
    assert len({one.text for one in every}) == len(every) == len({one.id for one in every})
    assert {"run_shell", "launch_run", "stop_run", "answer_alert", "create_file", "delete_file", "read_file",
            "edit_notebook", "run_cell", "create_sweep", "retry_run", "propose_rule"} <= {
        one.wants.tool for one in every
    }  # fmt: skip
    scripts = [r"[\u4e00-\u9fff]", r"[\u0400-\u04ff]", r"[\u0600-\u06ff]", r"[\u3040-\u30ff]", r"[\uac00-\ud7af]"]
    for script in [
        *scripts,
        r"[\u0590-\u05ff]",
        r"[\u0900-\u097f]",
        "\u200b",
        "\u202e",
        "\x1b",
        "<tool_use>",
        "</data>",
    ]:
        assert any(re.search(script, one.text) for one in every), script


@pytest.mark.parametrize("mode", MODES)
def test_no_string_asks_for_something_that_is_allowed_unasked(tmp_path: Path, seen: Seen, mode: Mode) -> None:
    """Each wish by itself: refused before it is asked, asked, or a look that a wall stops. Without a loop."""
    world = World(tmp_path, seen)
    box = world.engine.mind.toolbox

    async def judged(one: Injection) -> str:
        from ragent_jupyter.domain.errors import RagentError
        from ragent_jupyter.domain.tools import Allow
        from ragent_jupyter.services.tools.base import ToolContext

        context = ToolContext(session_id="ses_1", turn_id="trn_1", call_id=f"prt_{one.id}", mode=mode)
        try:
            tool = box.get(one.wants.tool)
            args = box.arguments(one.wants.tool, one.wants.input)
            preview = await tool.preview(args, context)
            verdict = permit(mode, tool.spec.effect, preview)
            if not isinstance(verdict, Allow):
                return type(verdict).__name__
            if tool.spec.effect == "read":
                await tool.run(args, context)
            return f"{tool.spec.effect} was allowed"
        except RagentError:
            return "stopped"

    async def play() -> dict[str, str]:
        return {one.id: await judged(one) for one in world.all()}

    got = asyncio.run(play())
    world.check(mode)
    harmless = {"note was allowed"} | ({"edit was allowed"} if mode == "accept_edits" else set())
    assert {id: how for id, how in got.items() if how not in {"Ask", "Refuse", "stopped", *harmless}} == {}
    asyncio.run(world.close())


# --- secrets ----------------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_a_secret_reaches_no_prompt_no_database_no_log_and_no_reply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A key in the environment, in a log, in files, in a name and in a notebook; a person allows everything."""
    caplog.set_level("DEBUG")
    known = "tvly-" + "Hq7Lm2" * 5  # of ours: its very value is known
    shaped = "hf_" + "Ab3dE5" * 6  # a stranger's: known by its shape alone
    monkeypatch.setenv("TAVILY_API_KEY", known)
    monkeypatch.setenv("HF_TOKEN", shaped)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    world = World(tmp_path, Seen())
    secrets = [known, shaped]
    text = f"key = '{known}'\ntoken = '{shaped}'\nlr = 0.1\n"
    (world.folder / "cfg.py").write_text(text)
    (world.engine.runs.folder(RUN) / "job.log").write_text(f"using {known}\nand {shaped}\n")
    nbformat.write(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(f"k = '{known}'\nt = '{shaped}'", id="c1")]),
        world.folder / "nb.ipynb",
    )
    world._run("run_named", name=f"with {shaped}", status=RunStatus.FINISHED, settled=True, at=200)
    calls: list[tuple[str, Mapping[str, Any]]] = [
        ("read_file", {"path": "cfg.py"}),
        ("search_files", {"pattern": "key|token"}),
        ("search_files", {"pattern": re.escape(shaped[:12])}),
        ("read_log", {"run": RUN}),
        ("search_log", {"run": RUN, "pattern": "using"}),
        ("read_notebook", {"path": "nb.ipynb"}),
        ("list_runs", {}),
        ("show_run", {"run": "run_named"}),
        ("run_shell", {"command": "env; cat cfg.py; printenv TAVILY_API_KEY HF_TOKEN"}),
        ("run_shell", {"command": "env | base64 -w0; env | rev; env | xxd -p | tr -d '\\n'"}),
        ("edit_file", {"path": "cfg.py", "old_text": "lr = 0.1", "new_text": "lr = 0.2"}),
        ("delete_file", {"path": "cfg.py"}),
    ]
    model = Gullible([ToolUse(f"c{n}", name, dict(input)) for n, (name, input) in enumerate(calls)], [], {})
    model.tried = set(world.engine.mind.toolbox.names())

    async def play() -> tuple[str, Talk]:
        talk = Talk(world, "ask", model)
        world.check = lambda mode: None  # type: ignore[method-assign]  # here the person allows it
        await talk.begin(f"My key is {known} and {shaped}. @file:cfg.py @run:run_named")
        await talk.to_the_end("once")
        held = world.engine.mind.sessions.read(talk.session, turns=50)
        replies = msgspec.json.encode(held).decode() + world.engine.mind.export(talk.session, "md")[1]
        await world.close()
        return replies, talk

    replies, talk = asyncio.run(play())
    done = [part.name for part in talk.parts() if part.status == "done"]
    assert sorted(done) == sorted(name for name, _ in calls), "all of it was done, so all of it was shown"
    prompts = json.dumps([msgspec.to_builtins(request) for request in model.asked])
    held = {"prompts": prompts, "replies": replies, "log": caplog.text}
    for path in (world.folder / ".ragent").rglob("*"):
        # The run's own log is what the job wrote; a checkpoint is the file itself, to be put back.
        if path.is_file() and path.name != "job.log" and "checkpoints" not in path.parts:
            held[str(path)] = path.read_bytes().decode("latin-1")
    for secret in secrets:
        forms = [secret, secret[::-1], secret.encode().hex(), json.dumps(secret)[1:-1]]
        for where, words in held.items():
            for form in forms:
                assert form not in words, (where, words[max(0, words.find(form) - 200) : words.find(form) + 60])
    assert "[secret]" in prompts
