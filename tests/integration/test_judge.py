"""The judge over a real socket, on real metric columns: every row once, verdicts that hold, kills anywhere."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Callable, Coroutine
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ragent_jupyter.adapters.columns import ColumnReader
from ragent_jupyter.adapters.models.endpoints import Endpoints
from ragent_jupyter.adapters.store.memory import MemoryDisk, MemoryStore
from ragent_jupyter.domain.alert import Alert, AlertStatus, Choice, Evidence, Severity
from ragent_jupyter.domain.metrics import Row
from ragent_jupyter.domain.ports import Tx
from ragent_jupyter.domain.run import Run, RunStatus
from ragent_jupyter.rules.judge import LONGEST_S, SHORTEST_S
from ragent_jupyter.rules.redact import redact
from ragent_jupyter.runfiles.columns import ColumnWriter
from ragent_jupyter.services.alerts import AlertsDesk
from ragent_jupyter.services.judge import JudgeDesk
from ragent_jupyter.services.models import ModelsDesk
from ragent_jupyter.services.runs import RunsDesk
from ragent_jupyter.services.shell import Change, Clock, Shell
from tests.support.fake_frames import Call, Reply
from tests.support.fake_provider import FakeProvider, Seen

RUN = "run_judged01"
SHAPELESS = "our-own-server-takes-this-0001"  # a key that only whoever holds it can tell
ROLES = {"roles": {"judge": "anthropic:claude-test"}, "prices": {"claude-test": {"input": 100.0, "output": 1000.0}}}


class NoKeys:
    """domain.ports_mind.Keys with nothing in it: the provider here demands none."""

    def get(self, name: str) -> str | None:
        return "sk-ant-test-judge-000000" if name == "ANTHROPIC_API_KEY" else None

    def states(self) -> list[Any]:
        return []

    def put(self, name: str, value: str | None) -> Any:
        raise NotImplementedError

    def values(self) -> list[str]:
        return []


class Killed(BaseException):
    """The engine is gone."""


class KillStore(MemoryStore):
    """Dies at the nth commit, before or after it is on disk."""

    def __init__(self, disk: MemoryDisk, clock: Callable[[], float], dies_at: int = 0, after: bool = False) -> None:
        super().__init__(disk, clock)
        self.commits, self.dies_at, self.after = 0, dies_at, after

    def commit(self, tx: Tx) -> Any:
        self.commits += 1
        if self.commits == self.dies_at:
            if self.after:
                super().commit(tx)
            raise Killed
        return super().commit(tx)


class Time(Clock):
    def __init__(self) -> None:
        self.at = 1_790_000_000.0

    def now(self) -> float:
        return self.at

    def mono(self) -> float:
        return self.at


class World:
    """One project with one live run; an engine's part in it can be killed and begun again."""

    def __init__(self, project: Path, provider: FakeProvider) -> None:
        self.project = project
        self.provider = provider
        self.clock = Time()
        self.disk = MemoryDisk()
        self.writer = ColumnWriter(project / ".ragent" / "runs" / RUN / "metrics")
        (project / ".ragent" / "runs" / RUN / "job.log").write_text("step 1\nAPI_KEY=sk-ant-REDACT0123456789abcdef\n")
        self.rows = 0
        self.begin()

    def begin(self, dies_at: int = 0, after: bool = False) -> None:
        self.shell = Shell(KillStore(self.disk, self.clock.now, dies_at, after), self.clock)
        self.shell.load()
        self.runs = RunsDesk(self.shell, self.project, {}, None)  # type: ignore[arg-type]
        alerts = AlertsDesk(self.shell, self.runs)
        env = {"ANTHROPIC_BASE_URL": self.provider.url}
        self.models = ModelsDesk(self.shell, NoKeys(), lambda keys: Endpoints(keys, env))
        hide = lambda text: redact(text, [SHAPELESS])  # noqa: E731
        self.judge = JudgeDesk(self.shell, self.runs, ColumnReader(), self.models, alerts, hide)

    async def live(self, **prefs: Any) -> None:
        run = Run(
            id=RUN, name="t", command="python t.py", argv=["python"], cwd="/", created_at=1.0, started_at=1.0,
            status=RunStatus.RUNNING, params={"lr": 0.1}, primary="loss",
        )  # fmt: skip
        told = [Change("prefs_changed", {"id": k, "value": v}) for k, v in {"models": ROLES, **prefs}.items()]
        await self.shell.commit([Change("run_created", run), *told])

    def log_rows(self, count: int) -> None:
        steps = range(self.rows, self.rows + count)
        self.writer.append([Row(s, 1.0 + s, {"loss": 2.0 / (1 + s) ** 0.3, "val_loss": 1.0}) for s in steps])
        self.rows += count
        self.writer.commit({})

    async def pass_time(self, seconds: float, every: float = 5.0) -> None:
        for _ in range(int(seconds / every)):
            self.clock.at += every
            await self.judge.look_once()
            while self.judge._tasks:
                await asyncio.wait(list(self.judge._tasks.values()))

    async def end(self) -> None:
        run = self.shell.runs[RUN]
        import msgspec

        over = msgspec.structs.replace(run, status=RunStatus.FINISHED, settled=True, ended_at=self.clock.now())
        await self.shell.commit([Change("run_changed", over)])

    def asked(self) -> list[tuple[int, int]]:
        found = [re.search(r"rows (\d+) to (\d+)", seen.last_text) for seen in self.provider.calls]
        return [(int(m[1]), int(m[2])) for m in found if m]

    def partition(self) -> list[tuple[int, int]]:
        return [(j.start, j.end) for j in self.judge.verdicts(RUN)]

    @property
    def alerts(self) -> list[Alert]:
        return list(self.shell.alerts.values())


def verdict(**fields: Any) -> Reply:
    said = {"state": "healthy", "why": "It falls.", **fields}
    return Reply(calls=[Call(name="verdict", input=said)])


SICK = {
    "state": "sick", "severity": "critical", "rule": "plateau", "metric": "val_loss", "step": 9,
    "why": "val_loss stands at 1 while loss falls.", "choices": ["ignore", "stop"],
}  # fmt: skip


def judged(tmp_path: Path, provider: FakeProvider, story: Callable[[World], Coroutine[Any, Any, None]]) -> World:
    async def whole() -> World:
        world = World(tmp_path, provider)
        await world.live()
        await story(world)
        return world

    return asyncio.run(whole())


def test_A11_every_row_is_judged_once_and_a_calm_run_ever_less_often(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        for _ in range(60):
            world.log_rows(7)
            await world.pass_time(40.0)
        await world.end()
        await world.pass_time(40.0)

    with FakeProvider(default=verdict()) as provider:
        world = judged(tmp_path, provider, story)
    ranges = world.asked()
    assert ranges == world.partition() and ranges[0][0] == 0 and ranges[-1][1] == world.rows == 420
    assert all(a[1] == b[0] for a, b in pairwise(ranges))
    assert len(ranges) < 12 and world.alerts == [] and world.judge.states == {}
    seen = provider.calls[-1]
    assert seen.body["tool_choice"]["name"] == "verdict"
    digest = seen.last_text.split("\n\nThe end of its log")[0]
    assert len(digest.splitlines()) <= 40 and "since step" in digest
    assert "sk-ant-REDACT" not in json.dumps(seen.body) and '<data from="job.log">' in seen.last_text


def test_A11_a_plateau_is_judged_within_30_s_and_the_card_shows_verdict_rows_model_and_cost(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.log_rows(5)
        await world.pass_time(700.0)
        world.log_rows(5)
        await world.pass_time(5.0)
        before = len(provider.calls)
        provider.reply(verdict(**SICK))
        plateau = Alert(id="alt_p", run_id=RUN, rule="plateau", severity=Severity.INFO, title="still", raised_at=1.0)
        await world.shell.commit([Change("alert_raised", plateau)])
        began = world.clock.at
        while len(provider.calls) == before:
            await world.pass_time(5.0)
        assert world.clock.at - began <= 30.0
        world.log_rows(3)
        await world.pass_time(SHORTEST_S + 5.0)  # a sick run is looked at again soon

    with FakeProvider(default=verdict()) as provider:
        world = judged(tmp_path, provider, story)
    [alert] = [a for a in world.alerts if a.evidence.source == "judge"]
    assert alert.severity is Severity.CRITICAL and alert.status is AlertStatus.PENDING
    assert (alert.evidence.metric, alert.evidence.step, alert.evidence.value) == ("val_loss", 9, 1.0)
    assert len(alert.evidence.window) == 10 and alert.rule == "judge_plateau"
    assert re.search(r"Judged by claude-test for \$0\.\d{4}, rows 5 to 10", alert.text)
    assert [c.id for c in alert.choices] == ["ignore", "stop"]
    assert world.partition()[-1] == (10, 13)
    assert world.judge.spent_today() > 0


def test_no_key_that_is_held_reaches_the_judge_s_model(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        (tmp_path / ".ragent" / "runs" / RUN / "job.log").write_text(f"connecting with {SHAPELESS}\n")
        title = f"Traceback: refused {SHAPELESS}"
        alert = Alert(id="alt_k", run_id=RUN, rule="traceback", severity=Severity.WARNING, title=title, raised_at=1.0)
        await world.shell.commit([Change("alert_raised", alert)])
        world.log_rows(5)
        await world.pass_time(60.0)

    with FakeProvider(default=verdict()) as provider:
        judged(tmp_path, provider, story)
    said = provider.calls[0].last_text
    assert "connecting with [secret]" in said and "Traceback: refused" in said
    assert not any(SHAPELESS.encode() in seen.raw for seen in provider.seen)


def test_a_warning_may_be_lowered_and_a_critical_alert_never(tmp_path: Path) -> None:
    choice = Choice("ignore", "ignore", "Ignore")

    async def story(world: World) -> None:
        for id, severity in (("alt_w", Severity.WARNING), ("alt_c", Severity.CRITICAL)):
            alert = Alert(
                id=id, run_id=RUN, rule="stall", severity=severity, title=id, raised_at=1.0, choices=[choice],
                evidence=Evidence(source="job.log"),
            )  # fmt: skip
            await world.shell.commit([Change("alert_raised", alert)])
        world.log_rows(5)
        provider.reply(verdict(lower=["alt_w", "alt_c"])).reply(verdict(lower=["alt_w"]))
        await world.pass_time(60.0)

    with FakeProvider(default=verdict()) as provider:
        world = judged(tmp_path, provider, story)
    assert "alt_c" in provider.calls[1].last_text and "no warning that can be lowered" in provider.calls[1].last_text
    by_id = {a.id: a for a in world.alerts}
    assert (
        by_id["alt_w"].severity is Severity.INFO and "Lowered from warning by judge claude-test" in by_id["alt_w"].note
    )
    assert by_id["alt_w"].status is AlertStatus.PENDING and by_id["alt_c"].severity is Severity.CRITICAL


@pytest.mark.parametrize(
    "bad", ["[1, 2", '{"state": "superb", "why": "x"}', '{"state": "healthy", "why": "It was 7.77."}']
)
def test_A11_a_bad_verdict_is_retried_once_and_then_shown_as_health_until_it_is_well(tmp_path: Path, bad: str) -> None:
    async def story(world: World) -> None:
        world.log_rows(5)
        wrong = Reply(calls=[Call(name="verdict", raw=bad)])
        provider.reply(wrong).reply(wrong)
        await world.pass_time(35.0)
        assert len(provider.calls) == 2 and "was not sound" in provider.calls[1].last_text
        assert world.shell.runs[RUN].health.startswith("judge: it gave no sound verdict twice")
        assert world.partition() == []
        world.log_rows(5)
        await world.pass_time(60.0)
        assert world.shell.runs[RUN].health == "" and world.partition() == [(0, 10)]

    with FakeProvider(default=verdict()) as provider:
        judged(tmp_path, provider, story)


def test_words_instead_of_a_verdict_and_a_provider_that_is_down(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.log_rows(5)
        provider.say("All is well!").http(529).fault("cut").http(500)
        await world.pass_time(400.0)
        assert world.partition() == [(0, 5)] and len(provider.calls) == 5
        world.log_rows(1)
        for _ in range(9):
            provider.http(401)
        await world.pass_time(200.0)
        assert world.shell.runs[RUN].health.startswith("judge: ")
        await world.end()
        await world.pass_time(1200.0)
        assert world.judge.states == {} and world.partition() == [(0, 5)]

    with FakeProvider(default=verdict()) as provider:
        judged(tmp_path, provider, story)


def test_the_day_s_budget_holds_and_tomorrow_no_row_was_skipped(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await world.shell.commit([Change("prefs_changed", {"id": "judge_budget_usd_day", "value": 0.001})])
        for _ in range(6):
            world.log_rows(5)
            await world.pass_time(100.0)
        spent = len(provider.calls)
        assert 1 <= spent <= 2 and "budget" in world.shell.runs[RUN].health
        assert not world.judge.check().ok and "budget" in world.judge.check().detail
        world.clock.at += 86400.0
        await world.pass_time(LONGEST_S + 10.0)
        assert len(provider.calls) == spent + 1 and world.partition()[-1][1] == world.rows

    with FakeProvider(default=verdict()) as provider:
        judged(tmp_path, provider, story)


def test_without_a_model_or_switched_off_nothing_is_asked(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.log_rows(5)
        await world.shell.commit([Change("prefs_changed", {"id": "judge", "value": False})])
        await world.pass_time(100.0)
        assert world.judge.health == "off" and "switched off" in world.judge.check().detail
        roles = {"roles": {"judge": "builtin:assistant"}}
        told = [("judge", None), ("models", roles)]
        await world.shell.commit([Change("prefs_changed", {"id": k, "value": v}) for k, v in told])
        await world.pass_time(100.0)
        check = world.judge.check()
        assert (check.name, check.ok) == ("judge", True) and check.detail.startswith("no model; the rules alone")
        assert world.judge.health == "no model" and provider.calls == [] and world.shell.runs[RUN].health == ""

    with FakeProvider(default=verdict()) as provider:
        judged(tmp_path, provider, story)


@pytest.mark.slow
def test_killed_at_any_commit_no_row_is_skipped_or_judged_twice_and_no_alert_is_there_twice(tmp_path: Path) -> None:
    dice = random.Random(11)
    count = [0]

    def answer(seen: Seen) -> Reply:
        count[0] += 1
        return verdict(**SICK) if count[0] % 2 else verdict()

    async def story(world: World) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: None)  # the killed tasks say so
        for _ in range(25):
            world.log_rows(dice.randint(10, 20))
            try:
                world.begin(dies_at=dice.randint(1, 8), after=dice.random() < 0.5)
                await asyncio.wait_for(world.pass_time(120.0), 60)
            except Killed:
                continue
        world.begin()
        await world.end()
        await world.pass_time(60.0)

    with FakeProvider(default=answer) as provider:
        world = judged(tmp_path, provider, story)
    ranges = world.partition()
    assert ranges[0][0] == 0 and ranges[-1][1] == world.rows
    assert all(a[1] == b[0] for a, b in pairwise(ranges))
    starts = [a.evidence.offset for a in world.alerts if a.evidence.source == "judge"]
    sick = [j.start for j in world.judge.verdicts(RUN) if j.verdict.state == "sick"]
    assert sorted(starts) == sick and len(sick) > 3
