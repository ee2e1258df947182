"""Slash commands do what they say, with the authority of the person who typed them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from ragent_jupyter.domain.chat import Session
from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotAllowed, NotFound, RagentError, WrongMoment
from ragent_jupyter.domain.run import RunStatus
from ragent_jupyter.domain.sweep import SearchSpace, Sweep, SweepStatus, Trial
from ragent_jupyter.domain.wire import CreateReport, ReportReply
from ragent_jupyter.services.commands import Asked, Commands, Done, NewSession, Prompt, code, plain
from ragent_jupyter.services.memory import MemoryDesk

from .desks import Desks

T = TypeVar("T")
SESSION = Session(id="ses_1", created_at=0.0, updated_at=0.0)


def run(do: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(do)


class Reports:
    def __init__(self) -> None:
        self.asked: list[CreateReport] = []

    async def create(self, body: CreateReport) -> ReportReply:
        self.asked.append(body)
        return ReportReply(
            id="rep_1", path="/p/reports/a.ipynb", title="t", sweep=body.sweep, created_at=0.0, findings=["0.1 won"]
        )


@pytest.fixture
def desks(tmp_path: Path) -> Desks:
    made = Desks(tmp_path)
    made.run("run_a1", "train 1", at=1)
    made.run("run_b2", "**evil**", at=2, status=RunStatus.RUNNING, executor="process")
    return made


@pytest.fixture
def commands(desks: Desks) -> Commands:
    return Commands(desks.runs, desks.sweeps, MemoryDesk(desks.shell), Reports())  # type: ignore[arg-type]


def done(commands: Commands, text: str, **more: Any) -> Done:
    result = run(commands.expand(SESSION, text, **more))
    assert isinstance(result, Done)
    return result


def prompt(commands: Commands, text: str) -> Prompt:
    result = run(commands.expand(SESSION, text))
    assert isinstance(result, Prompt)
    return result


def test_a_message_is_a_message(commands: Commands) -> None:
    assert prompt(commands, "why did /launch fail?") == Prompt(text="why did /launch fail?")
    assert prompt(commands, "/data/x.py fails") == Prompt(text="/data/x.py fails")
    assert prompt(commands, "//etc") == Prompt(text="/etc", shown="//etc")


def test_launch_starts_a_run_once_exactly_as_typed(desks: Desks, commands: Commands) -> None:
    async def go() -> None:
        text = "/launch --name 'my run' --primary acc --mode max\npython t.py --lr 0.1 \\\n  | tee 'a  b'"
        one = await commands.expand(SESSION, text, request_id="msg_1")
        two = await commands.expand(SESSION, text, request_id="msg_1")
        assert isinstance(one, Done) and one == two, "after a crash it is the same run"
        made = desks.shell.runs[one.cards[0]["run"]]
        assert made.command == "python t.py --lr 0.1 \\\n  | tee 'a  b'"
        assert (made.name, made.primary, made.mode, made.status) == ("my run", "acc", "max", RunStatus.QUEUED)
        assert made.id in one.markdown and len(desks.shell.runs) == 3

    run(go())


@pytest.mark.parametrize("text", ["/launch", "/launch --gpus x t.py", "/launch --name", "/launch --mode best t.py"])
def test_a_launch_that_cannot_be_read_starts_nothing(desks: Desks, commands: Commands, text: str) -> None:
    with pytest.raises(BadInput) as error:
        run(commands.expand(SESSION, text))
    assert "/launch" in error.value.remedy and len(desks.shell.runs) == 2


def test_stop_stops_the_turn_a_run_or_a_sweep(desks: Desks, commands: Commands) -> None:
    stopped: list[tuple[str, str]] = []

    async def stop_turn(session_id: str, by: str) -> None:
        stopped.append((session_id, by))

    async def go() -> None:
        with pytest.raises(WrongMoment, match="run_b2"):
            await commands.expand(SESSION, "/stop")
        commands.stop_turn = stop_turn
        busy = Session(id="ses_2", created_at=0.0, updated_at=0.0, turn="trn_1")
        for text in ("/stop", "/stop turn"):
            assert isinstance(await commands.expand(busy, text, by="ann"), Done)
        assert stopped == [("ses_2", "ann")] * 2
        assert commands.at_once("/stop") and not commands.at_once("/launch x") and not commands.at_once("stop")
        result = await commands.expand(SESSION, "/stop b2", by="ann")
        assert isinstance(result, Done) and r"\*\*evil\*\*" in result.markdown
        assert (desks.shell.runs["run_b2"].status, desks.shell.runs["run_b2"].stop_by) == (RunStatus.STOPPING, "ann")
        with pytest.raises(WrongMoment):
            await commands.expand(SESSION, "/stop run_a1")
        with pytest.raises(NotFound):
            await commands.expand(SESSION, "/stop nobody")
        with pytest.raises(BadInput):
            await commands.expand(SESSION, "/stop run_a1 run_b2")
        a_sweep(desks, SweepStatus.RUNNING)
        await commands.expand(SESSION, "/stop swp_1")
        assert desks.shell.sweeps["swp_1"].status is SweepStatus.STOPPED

    run(go())


def a_sweep(desks: Desks, status: SweepStatus = SweepStatus.FINISHED) -> None:
    trials = [Trial(index=n, params={}, run_ids=[id_]) for n, id_ in enumerate(("run_a1", "run_b2"))]
    desks.shell.sweeps["swp_1"] = Sweep(
        id="swp_1", name="lr", command="x", cwd="/", created_at=0.0, space=SearchSpace(), status=status, trials=trials
    )


def test_a_report_is_of_what_was_named_or_of_the_newest(desks: Desks, commands: Commands) -> None:
    reports: Any = commands.reports
    assert "- 0.1 won" in done(commands, "/report").markdown
    done(commands, "/report run_a1 'train 1'")
    a_sweep(desks)
    done(commands, "/report")
    card = done(commands, "/report lr").cards
    assert [(body.sweep, body.runs) for body in reports.asked] == [
        (None, ["run_b2"]), (None, ["run_a1", "run_a1"]), ("swp_1", []), ("swp_1", []),
    ]  # fmt: skip
    assert card == [{"card": "report", "path": "/p/reports/a.ipynb", "report": "rep_1"}]
    with pytest.raises(NotFound):
        run(commands.expand(SESSION, "/report swp_nope"))


def test_memory_from_the_chat(commands: Commands) -> None:
    desk = commands.memory
    assert desk is not None
    assert "No rules yet" in done(commands, "/memory").markdown
    card = done(commands, "/memory add Use bf16. It is stable.", by="ann").cards[0]
    rule = desk.get(card["rule"])
    assert (rule.title, rule.text, rule.by) == ("Use bf16", "Use bf16. It is stable.", "ann")
    done(commands, "/memory add A title\nand a text\nof two lines")
    assert {r.title: r.text for r in desk.all()}["A title"] == "and a text\nof two lines"
    done(commands, f"/memory off {rule.id}")
    assert not desk.get(rule.id).on and "(off, by user)" in done(commands, "/memory list").markdown
    done(commands, "/memory on Use bf16")
    assert desk.get(rule.id).on
    waiting = run(desk.propose("idea", "text"))
    assert "waits for your word" in done(commands, "/memory").markdown
    with pytest.raises(NotAllowed):
        run(commands.expand(SESSION, f"/memory approve {waiting.id}", person=False))
    done(commands, f"/memory approve {waiting.id}")
    assert desk.get(waiting.id).heeded
    done(commands, f"/memory remove {waiting.id}")
    for text, error in (
        ("/memory add", BadInput),
        ("/memory off", BadInput),
        ("/memory off x", NotFound),
        ("/memory hide x", BadInput),
    ):
        with pytest.raises(error) as refusal:
            run(commands.expand(SESSION, text))
        assert refusal.value.remedy


def test_what_becomes_a_request_shows_what_was_typed(desks: Desks, commands: Commands) -> None:
    asked = prompt(commands, "/analyze")
    assert asked.shown == "/analyze" and asked.text.startswith("Analyze my latest run, run_b2.")
    assert prompt(commands, "/analyze 'train 1'").text.startswith("Analyze run run_a1.")
    asked = prompt(commands, "/compare a1 b2 run_a1")
    assert asked.text.startswith("Compare the runs run_a1 and run_b2.") and asked.shown == "/compare a1 b2 run_a1"
    a_sweep(desks)
    assert prompt(commands, "/compare swp_1").text == asked.text
    asked = prompt(commands, "/plan make it\nfaster")
    assert asked.mode == "plan" and asked.text.endswith("make it\nfaster")
    assert "lr over 0.1, 0.01" in prompt(commands, "/sweep lr over 0.1, 0.01").text


@pytest.mark.parametrize(
    "text",
    [
        "/analyze a b",
        "/analyze nobody",
        "/compare",
        "/compare a1",
        "/compare 'a1",
        "/plan",
        "/sweep",
        "/nope",
        "/wild on",
        "/research x",
    ],
)
def test_what_cannot_be_done_says_how_it_could(commands: Commands, text: str) -> None:
    with pytest.raises(RagentError) as error:
        run(commands.expand(SESSION, text))
    assert error.value.remedy


def test_without_a_run_there_is_nothing_to_analyze(tmp_path: Path) -> None:
    empty = Desks(tmp_path)
    with pytest.raises(NotFound, match="There is no run yet"):
        run(Commands(empty.runs, empty.sweeps).expand(SESSION, "/analyze"))


def test_only_what_is_built_is_offered(desks: Desks, commands: Commands) -> None:
    names = [verb.name for verb in commands.verbs()]
    assert names == ["launch", "sweep", "analyze", "compare", "stop", "report", "memory", "plan", "clear", "help"]
    help_ = done(commands, "/help").markdown
    assert all(verb.usage in help_ for verb in commands.verbs()) and "/wild" not in help_
    bare = Commands(desks.runs, desks.sweeps)
    assert {"report", "memory"}.isdisjoint(verb.name for verb in bare.verbs())
    with pytest.raises(BadInput):
        run(bare.expand(SESSION, "/report"))

    async def wild(asked: Asked) -> Done:
        return Done(markdown=asked.args)

    commands.add("wild", "/wild GOAL", "work through the night", wild)
    assert done(commands, "/wild  win").markdown == "win"
    with pytest.raises(ValueError):
        commands.add("wild", "", "", wild)


def test_clear_begins_anew_and_takes_the_first_message_along(commands: Commands) -> None:
    assert run(commands.expand(SESSION, "/clear")) == NewSession()
    assert run(commands.expand(SESSION, "/clear what now?")) == NewSession(text="what now?")


def test_names_are_only_words_in_markdown() -> None:
    assert code("a ``` b") == "````a ``` b````" and code("`x") == "`` `x ``" and code("a\nb") == "`a b`"
    assert plain("![x](http://e) <img>\n# h") == r"\!\[x\]\(http://e\) \<img\> \# h"


def test_a_desk_that_refuses_is_heard(desks: Desks, commands: Commands) -> None:
    with pytest.raises((CannotBeDone, BadInput)):
        run(commands.expand(SESSION, "/launch --cwd /nowhere/at/all true"))
