"""The life of a run, told as sentences."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ragent_jupyter.domain.effects import Launch, SendFinish, SendStop
from ragent_jupyter.domain.errors import WrongMoment
from ragent_jupyter.domain.facts import Exit
from ragent_jupyter.domain.run import Reason, Run, RunStatus
from ragent_jupyter.rules import run_life as life
from ragent_jupyter.rules.explain import error_line, explain, failure_signature

S = RunStatus
WHY = Reason("exit_code", "Exit code 3.")


def ready(**fields: Any) -> Run:
    return Run(id="run_a", name="a", command="true", argv=["true"], cwd="/", created_at=1.0, **fields)


def exited(code: int | None = 0, **fields: Any) -> Exit:
    return Exit(run_id="run_a", kind="exited", at=9.0, exit_code=code, **fields)


def feed(run: Run, *events: Any) -> tuple[Run, list[Any]]:
    owed: list[Any] = []
    for event in events:
        records, effects = life.decide(run, event)
        owed += effects
        for record in records:
            run = life.evolve(run, record)
    return run, owed


def running() -> Run:
    run, _ = feed(
        ready(), life.Enqueue(2.0, 1.0), life.Place(3.0, [0], "tmux"), life.Claimed(4.0), life.Started(4.5, 77)
    )
    return run


def test_a_run_goes_from_ready_to_finished() -> None:
    run, owed = feed(ready(), life.Enqueue(2.0, 1.0))
    assert (run.status, run.queued_at, owed) == (S.QUEUED, 2.0, [])
    run, owed = feed(run, life.Place(3.0, [1, 2], "process"))
    assert (run.status, run.gpu_ids, run.executor, owed) == (S.LAUNCHING, [1, 2], "process", [Launch(run_id="run_a")])
    run, _ = feed(run, life.Submitted("%7"), life.Claimed(4.0), life.Started(4.5, 77))
    assert (run.status, run.executor_handle, run.started_at, run.pid) == (S.RUNNING, "%7", 4.5, 77)
    run, _ = feed(run, life.Ended(exited(0, utime_s=1.0, stime_s=0.5), Reason("exit_code", "Finished.")))
    assert (run.status, run.exit_code, run.ended_at, run.reason, run.cpu_s) == (S.FINISHED, 0, 9.0, None, 1.5)


def test_a_run_that_exits_3_has_failed_with_its_reason() -> None:
    run, _ = feed(running(), life.Ended(exited(3), WHY))
    assert (run.status, run.exit_code, run.reason) == (S.FAILED, 3, WHY)


def test_137_while_stopping_is_stopped_not_failed() -> None:
    run, owed = feed(running(), life.Stop(5.0, "ord_1"))
    assert (run.status, owed) == (S.STOPPING, [SendStop(run_id="run_a", order_id="ord_1", by="user", now=False)])
    run, _ = feed(run, life.Ended(exited(137), WHY))
    assert (run.status, run.exit_code) == (S.STOPPED, 137)
    assert run.reason is not None and run.reason.kind == "stop"


def test_a_verdict_that_names_a_stop_order_is_stopped_even_if_the_engine_forgot() -> None:
    run, _ = feed(running(), life.Ended(exited(130, order_id="ord_1"), WHY))
    assert run.status is S.STOPPED


def test_a_second_stop_sends_nothing_unless_it_says_now() -> None:
    run, _ = feed(running(), life.Stop(5.0, "ord_1"))
    assert feed(run, life.Stop(6.0, "ord_2"))[1] == []
    run, owed = feed(run, life.Stop(6.0, "ord_3", now=True))
    assert owed == [SendStop(run_id="run_a", order_id="ord_3", by="user", now=True)]
    assert run.stop_order == "ord_3"


def test_a_queued_run_is_cancelled_without_an_order() -> None:
    run, owed = feed(ready(), life.Enqueue(2.0, 1.0), life.Stop(3.0, "ord_1"))
    assert (run.status, owed, run.settled) == (S.STOPPED, [], True)
    assert run.reason is not None and run.reason.kind == "cancelled"


def test_a_late_running_revives_nothing() -> None:
    run, _ = feed(running(), life.Ended(exited(0), WHY))
    again, owed = feed(run, life.Started(10.0, 99), life.Claimed(10.0), life.Ended(exited(5), WHY))
    assert (again, owed) == (run, [])


def test_facts_seen_twice_change_nothing() -> None:
    run = running()
    assert feed(run, life.Started(4.5, 77), life.Claimed(4.0))[0] == run


@pytest.mark.parametrize("status", [S.FINISHED, S.FAILED, S.STOPPED])
def test_an_ended_run_refuses_wishes_and_says_what_it_would_honour(status: RunStatus) -> None:
    run = ready(status=status)
    for wish in (life.Enqueue(1.0, 1.0), life.Place(1.0, [], "tmux"), life.Stop(1.0, "ord_1")):
        with pytest.raises(WrongMoment, match="retry it"):
            life.decide(run, wish)


def test_a_launch_that_is_refused_is_failed_with_the_remedy() -> None:
    run, _ = feed(
        ready(), life.Enqueue(2.0, 1.0), life.Place(3.0, [], "tmux"), life.Refused(3.5, "No tmux.", "Install it.")
    )
    assert (run.status, run.reason) == (S.FAILED, Reason("launch_error", "No tmux. Install it."))


def test_an_interactive_run_runs_from_its_claim_and_ends_by_finish() -> None:
    run, _ = feed(ready(kind="interactive"), life.Enqueue(2.0, 1.0), life.Place(2.0, [], "process"), life.Claimed(2.5))
    assert (run.status, run.started_at) == (S.RUNNING, 2.5)
    run, owed = feed(run, life.Finish(3.0, "ord_9"))
    assert owed == [SendFinish(run_id="run_a", order_id="ord_9")]
    run, _ = feed(run, life.Ended(Exit(run_id="run_a", kind="finished", at=4.0, order_id="ord_9"), WHY))
    assert run.status is S.FINISHED
    assert feed(run, life.Finish(5.0, "ord_10")) == (run, [])


def test_a_command_cannot_be_finished_by_hand() -> None:
    with pytest.raises(WrongMoment):
        life.decide(running(), life.Finish(3.0, "ord_9"))


def test_only_a_queued_run_moves_in_the_queue_but_any_gets_a_note() -> None:
    with pytest.raises(WrongMoment, match="moved in the queue"):
        life.decide(running(), life.Edit({"order": 1.0}))
    run, _ = feed(running(), life.Edit({"notes": "lr too high?", "tags": ["x"]}))
    assert (run.notes, run.tags) == ("lr too high?", ["x"])
    assert life.decide(run, life.Edit({"notes": "lr too high?"})) == ([], [])


# --- whatever happens --------------------------------------------------------------------------------------------
CODES = st.sampled_from([0, 1, 3, 137, None])
FACTS = st.one_of(
    st.just(life.Submitted("%1")),
    st.just(life.Claimed(4.0)),
    st.builds(life.Started, st.just(4.5), st.sampled_from([77, 78])),
    st.builds(lambda c: life.Ended(exited(c), WHY), CODES),
    st.just(life.Ended(Exit(run_id="run_a", kind="lost", at=9.0), Reason("lost", "Lost."))),
    st.just(life.Refused(3.0, "p", "r")),
    st.builds(life.Seen, st.sampled_from(["", "unwatched"]), st.sampled_from([None, 5.0])),
    st.just(life.Settled({})),
)
WISHES = st.one_of(
    st.just(life.Enqueue(2.0, 1.0)),
    st.just(life.Place(3.0, [], "tmux")),
    st.builds(life.Stop, st.just(5.0), st.sampled_from(["ord_1", "ord_2"]), st.just("user"), st.booleans()),
    st.just(life.Edit({"notes": "n"})),
)


class WhateverHappens(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.run = self.first = ready()
        self.journal: list[life.RunRecord] = []
        self.launches = 0
        self.ended_as: RunStatus | None = None

    def _feed(self, event: Any) -> None:
        records, effects = life.decide(self.run, event)
        self.launches += sum(isinstance(e, Launch) for e in effects)
        for record in records:
            self.journal.append(record)
            self.run = life.evolve(self.run, record)

    @rule(fact=FACTS)
    def the_world_speaks(self, fact: Any) -> None:
        self._feed(fact)  # a fact is never refused

    @rule(wish=WISHES)
    def somebody_wishes(self, wish: Any) -> None:
        before = self.run
        try:
            self._feed(wish)
        except WrongMoment:
            assert self.run == before

    @invariant()
    def it_is_launched_at_most_once(self) -> None:
        assert self.launches <= 1

    @invariant()
    def terminal_is_terminal(self) -> None:
        if self.ended_as is not None:
            assert self.run.status is self.ended_as
        elif self.run.status.terminal:
            self.ended_as = self.run.status

    @invariant()
    def the_journal_alone_rebuilds_the_run(self) -> None:
        run = self.first
        for record in self.journal:
            run = life.evolve(run, record)
        assert run == self.run
        assert msgspec.json.decode(msgspec.json.encode(run), type=Run) == run


TestWhateverHappens = WhateverHappens.TestCase
TestWhateverHappens.settings = settings(max_examples=150, stateful_step_count=20, deadline=None)


# --- reasons in words --------------------------------------------------------------------------------------------
def test_a_missing_module_names_the_interpreter_and_the_way_out() -> None:
    log = "Traceback (most recent call last):\n  File 't.py', line 1\nModuleNotFoundError: No module named 'torch'\n"
    reason = explain(exited(1), log, "/venv/bin/python")
    assert "'torch' is not installed in /venv/bin/python" in reason.text and "--python" in reason.text
    assert reason.log_line == "ModuleNotFoundError: No module named 'torch'"


@pytest.mark.parametrize(
    ("log", "kind", "quoted"),
    [
        ("x\ntorch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB\n", "oom", "Tried to allocate"),
        ("OSError: [Errno 28] No space left on device: 'ckpt.pt'\n", "exit_code", "No space left"),
        ("step 1\nValueError: bad lr\n", "exit_code", "ValueError: bad lr"),
        ("just some output\n", "exit_code", "just some output"),
        ("", "exit_code", None),
    ],
)
def test_the_reason_quotes_the_line_that_shows_it(log: str, kind: str, quoted: str | None) -> None:
    reason = explain(exited(1), log)
    assert reason.kind == kind
    assert (reason.log_line or "").find(quoted or "") >= 0 and (quoted is None) == (reason.log_line is None)


def test_a_kill_is_explained_by_its_signal() -> None:
    reason = explain(Exit(run_id="r", kind="signalled", at=1.0, signal=9), "")
    assert reason.kind == "signal" and "SIGKILL" in reason.text and "dmesg" in reason.text
    ours = explain(Exit(run_id="r", kind="signalled", at=1.0, signal=9, order_id="ord_1"), "")
    assert "SIGKILL" in ours.text and "dmesg" not in ours.text


def test_failures_that_differ_only_in_numbers_are_alike_and_others_are_not() -> None:
    def signature(line: str, code: int = 1) -> str:
        return failure_signature(Reason("exit_code", "", line), code)

    assert signature("RuntimeError: size 12 at /a/b.py") == signature("RuntimeError: size 99 at /c/d.py")
    assert signature("RuntimeError: size 12") != signature("KeyError: 'x'")
    assert signature("E", 1) != signature("E", 2)


def test_the_error_line_is_the_exception_not_the_noise_after_it() -> None:
    assert error_line("KeyError: 'lr'\nWandb: syncing\n") == "KeyError: 'lr'"


@pytest.mark.parametrize("line", ["x" * 16384, "1" * 16384, "a.b" * 5000, "sh: " * 4000, "Error" * 3000, " " * 16384])
@pytest.mark.parametrize("code", [0, 1])
def test_a_log_that_ends_in_one_long_line_is_explained_at_once(line: str, code: int) -> None:
    began = time.process_time()
    explain(exited(code), line)
    assert time.process_time() - began < 1.0


def test_a_run_that_is_over_is_still_said_to_be_unwatched() -> None:
    over = Run(id="run_a", name="a", command="c", argv=["c"], cwd="/", created_at=0.0, status=RunStatus.FINISHED)
    records, _ = life.decide(over, life.Seen(health="unwatched: exit code 1"))
    assert life.evolve(over, records[0]).health == "unwatched: exit code 1"
    assert not life.decide(msgspec.structs.replace(over, settled=True), life.Seen(health="late"))[0]
