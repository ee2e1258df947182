"""Silence: how long is too long, by what the run did before, what runs like it did, and what its processes do."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.domain.metrics import Row
from ragent_jupyter.domain.silence import Usual
from ragent_jupyter.rules.watch import (
    Activity,
    JobEnded,
    Limits,
    Points,
    Raise,
    Slept,
    Tick,
    Watch,
    watch,
)  # fmt: skip
from ragent_jupyter.rules.watch_quiet import idle_bound, silence_bound, told
from tests.unit.rules.watching import rows, say

Told = tuple[int, str, str]


class Job:
    """A run as its witness sees it: it computes at `cpu` cores, and its tree says so every other silent second."""

    def __init__(self, cpu: float = 0.9, **state: Any) -> None:
        self.state = Watch(run_id="run_a", **state)
        self.at, self.used, self.read, self.step = 0.0, 0.1, 1e6, 0
        self.cpu = cpu
        self.raised: list[Raise] = []
        self._say(Tick(at=0.0))

    def _say(self, *facts: Any) -> list[Raise]:
        out = say(self.state, *facts)
        self.raised += out
        return out

    def logs(self, count: int = 30, every_s: float = 1.0) -> Job:
        for _ in range(count):
            self.at += every_s
            self.used += self.cpu * every_s
            self.step += 1
            row = Row(self.step, 1e6 + self.at, {"loss": 2.0}, self.step)
            self._say(Points(source="m", rows=[row], at=self.at))
        return self

    def silent(self, seconds: int, *, cpu: float = 0.0, io: float = 0.0, seen: bool = True, **more: Any) -> list[Told]:
        """(second of this silence, severity, rule) of what is told."""
        found, net = [], more.pop("net", None)
        for second in range(1, seconds + 1):
            self.at += 1.0
            self.used += cpu
            self.read += io
            if seen and second % 2 == 0:
                sent = None if net is None else 5e6 + net * second
                fact = Activity(at=self.at, cpu_s=self.used, io_bytes=self.read, net_bytes=sent, **more)
                self._say(fact)
            found += [(second, r.severity.value, r.rule) for r in self._say(Tick(at=self.at))]
        return found


IDLE = [(10, "warning", "stall"), (300, "critical", "hang")]
ALIKE = Usual(runs=3, start_s=4.0, gap_s=2.0, pace_s=1.0, whole_s=90.0)


def test_idle_processes_are_told_after_ten_seconds_and_again_once_that_has_gone_on() -> None:
    """For five minutes where no run like it has finished: a lock or a rate limit may be waited for. Else for one."""
    assert Job().logs().silent(3000) == IDLE
    assert Job(usual=ALIKE).logs().silent(3000) == [IDLE[0], (60, "critical", "hang")]


def test_the_words_hold_the_evidence() -> None:
    job = Job(usual=ALIKE).logs()
    job.silent(100)
    first, second = job.raised
    assert first.title == "no metric and no output for 10 s, and its processes do nothing"
    assert "Silent for 10 s; the longest silence before was 1.0 s, in 3 finished runs like it 2.0 s." in first.text
    assert "CPU 0 % of a core (90 % before), almost nothing read or written." in first.text
    assert (first.evidence.value, first.evidence.baseline, first.evidence.threshold) == (10.0, 1.0, 10.0)
    assert "nothing has moved since" in second.text and second.evidence.threshold == 60.0
    assert [choice.action for choice in second.choices] == ["ignore", "stop"]


def test_processes_that_compute_are_given_ten_minutes_and_are_never_called_hung() -> None:
    job = Job().logs()
    assert job.silent(5000, cpu=1.0) == [(600, "warning", "stall")]
    assert job.raised[0].title == "no metric and no output for 10 min, at 100 % CPU"


def test_with_finished_runs_like_it_a_minute_and_then_longer_than_a_whole_run() -> None:
    job = Job(usual=ALIKE).logs()
    assert job.silent(5000, cpu=1.0) == [(60, "warning", "stall"), (180, "critical", "hang")]
    slow = msgspec.structs.replace(ALIKE, whole_s=1000.0)
    assert Job(usual=slow).logs().silent(5000, cpu=1.0)[1] == (1000, "critical", "hang")
    two = msgspec.structs.replace(ALIKE, runs=2)
    assert Job(usual=two).logs().silent(5000, cpu=1.0) == [(600, "warning", "stall")]


def test_a_validation_that_finished_runs_had_is_waited_for() -> None:
    known = msgspec.structs.replace(ALIKE, gap_s=90.0)
    assert Job(usual=known).logs().silent(400, cpu=1.0) == []
    assert Job(usual=known).logs().silent(600, cpu=1.0) == [(450, "warning", "stall")]
    longer = msgspec.structs.replace(ALIKE, gap_s=900.0)
    assert Job(usual=longer).logs().silent(3000, cpu=1.0) == [(2700, "warning", "stall")]


def test_a_slower_run_is_given_what_its_own_pace_makes_of_theirs() -> None:
    known = msgspec.structs.replace(ALIKE, gap_s=30.0)
    assert Job(usual=known).logs(10, every_s=4.0).silent(600, cpu=1.0) == [(600, "warning", "stall")]
    assert idle_bound(Job(usual=known).logs(10, every_s=4.0).state) == 3 * 4 * 30.0


def test_its_own_longest_silence_is_the_measure_and_a_few_say_less_than_many() -> None:
    assert idle_bound(Job().logs(2, every_s=20.0).logs(1, every_s=20.0).state) == (3 + 9 / 2) * 20.0
    assert idle_bound(Job().logs(91, every_s=20.0).state) == pytest.approx((3 + 9 / 90) * 20.0)
    job = Job().logs(90)
    assert job.silent(200, cpu=1.0) == []  # an evaluation
    job.logs(1)
    assert job.silent(1000)[0] == (603, "warning", "stall")  # 201 s, 91 silences: no longer than one that works


@pytest.mark.parametrize(
    "does",
    [
        {"io": 1e6},  # a checkpoint is written, a data set read
        {"waits": True},  # stuck in IO, or a machine too busy to give it a core
        {"gpu_util": 80.0, "uses_gpu": True},
        {"uses_gpu": True},  # it holds a GPU, and nobody can read how busy that is
        {"connected": True, "net": 50e3},  # a download
        {"cpu": 0.05},
        {"seen": False},
    ],
    ids=str,
)
def test_what_works_or_cannot_be_seen_to_rest_is_given_ten_minutes(does: dict[str, Any]) -> None:
    assert Job().logs().silent(599, **does) == []


def test_who_never_used_the_cpu_shows_nothing_by_not_using_it() -> None:
    assert Job(cpu=0.0).logs(60).silent(700) == [(600, "warning", "stall")]  # ssh, docker run, srun


def test_what_it_used_to_begin_with_is_not_what_it_uses() -> None:
    job = Job(cpu=0.001)
    job.used = 3.0  # imports; then it hands over to another machine and passes on what is said there
    job.logs(1)
    job._say(Activity(at=job.at, cpu_s=job.used, io_bytes=job.read))
    job.logs(40)
    assert job.silent(599) == []
    busy = Job()
    busy.used = 3.0
    busy.logs(1)
    busy._say(Activity(at=busy.at, cpu_s=busy.used, io_bytes=busy.read))
    assert busy.logs(40).silent(400) == IDLE
    assert "(90 % before)" in busy.raised[0].text


def test_what_it_does_in_a_silence_is_not_told_of_the_time_before() -> None:
    job = Job().logs(3)
    assert job.silent(4) == []
    job.logs(10)
    assert job.silent(2) == [] and job.state.quiet.cpu is None
    assert job.silent(2) == [] and job.state.quiet.cpu == 0.0


def test_a_kernel_that_does_not_count_io_is_no_proof_of_rest() -> None:
    job = Job().logs()
    for second in range(1, 500):
        out = say(job.state, Activity(at=job.at + second, cpu_s=job.used), Tick(at=job.at + second))
        assert out == []


def test_a_connection_may_be_waited_for_and_gets_a_minute() -> None:
    job = Job().logs()
    assert job.silent(400, connected=True, net=0.0) == [(60, "warning", "stall"), (300, "critical", "hang")]
    assert "a connection to another program that brings nothing" in job.raised[0].text


def test_a_busy_gpu_is_given_three_times_as_long() -> None:
    job = Job().logs()
    assert job.silent(3000, cpu=1.0, gpu_util=100.0, uses_gpu=True) == [(1800, "warning", "stall")]
    assert "GPU 100 %" in job.raised[0].text


def test_what_a_signal_or_a_debugger_holds_is_not_silent() -> None:
    job = Job().logs()
    assert job.silent(5000, held=True) == []
    assert job.silent(5) == []
    assert job.silent(100)[0] == (6, "warning", "stall")  # 5 s of rest after it went on, and 6 more


def test_a_laptop_that_slept_begins_anew() -> None:
    job = Job().logs()
    assert job.silent(8) == []
    job.at += 3600.0
    say(job.state, Slept(at=job.at, gap_s=3600.0))
    assert job.silent(100)[0] == (10, "warning", "stall")


def test_a_moment_of_work_begins_the_rest_anew() -> None:
    job = Job().logs()
    assert job.silent(8) == [] and job.silent(4, cpu=0.5) == []
    assert job.silent(20) == [(8, "warning", "stall")]


@pytest.mark.parametrize(("does", "what"), [({"cpu": 0.9}, "used"), ({"io": 1e6}, "read")])
def test_what_a_child_had_used_goes_with_it_and_that_is_no_rest(does: dict[str, float], what: str) -> None:
    job = Job().logs()
    job.used, job.read = 600.0, 1e9
    assert job.silent(4, **does) == []
    setattr(job, what, 0.1 * getattr(job, what))  # it ended, and nobody waits for it, or another parent has it now
    assert job.silent(500, **does) == []


def test_life_after_a_warning_teaches_and_is_told_again_only_beyond_that() -> None:
    job = Job().logs(90)
    assert job.silent(40) == IDLE[:1]
    job.logs(1)
    job.at += 3600.0
    say(job.state, Slept(at=job.at, gap_s=3600.0))
    assert job.silent(100) == []  # 41 s was harmless
    assert job.silent(100)[0] == (28, "warning", "stall")


def test_before_the_first_row_only_runs_like_it_say_how_long_it_takes() -> None:
    assert Job().silent(3000) == [] and Job().silent(3000, cpu=1.0) == []
    assert Job(usual=ALIKE).silent(100)[0] == (60, "warning", "stall")
    slow = msgspec.structs.replace(ALIKE, start_s=40.0)
    assert Job(usual=slow).silent(500)[0] == (120, "warning", "stall")
    assert Job(usual=slow).silent(500, cpu=1.0)[0] == (400, "warning", "stall")


def test_a_run_that_only_prints_is_given_a_minute() -> None:
    job = Job()
    for n in range(10):
        job.at += 1.0
        job.used += 0.9
        say(job.state, Tick(at=job.at, log_bytes=100 * (n + 1)))
    assert job.silent(100)[0] == (60, "warning", "stall")


@pytest.mark.parametrize(
    ("stall_s", "idle", "works"),
    [
        (2.0, [(4, "warning", "stall"), (12, "critical", "hang")], [(10, "warning", "stall")]),
        (1200.0, [(1200, "warning", "stall")], [(1200, "warning", "stall")]),
    ],
)
def test_a_bound_that_a_person_set_is_the_least_for_both(stall_s: float, idle: list[Told], works: list[Told]) -> None:
    limits = Limits(stall_s=stall_s)
    job = Job(limits=limits).logs(300, every_s=0.3)
    assert job.silent(1300) == idle
    assert Job(limits=limits).logs(30).silent(1300, cpu=1.0) == works


def test_rows_that_all_came_at_once_are_measured_by_the_run_s_whole_life() -> None:
    job = Job()
    job.at, job.used = 20.0, 10.0
    say(job.state, Points(source="m", rows=rows("loss", [2.0] * 20), at=20.0))
    assert idle_bound(job.state) == 60.0
    assert job.silent(100)[0] == (60, "warning", "stall")


def test_what_it_leaves_for_runs_like_it() -> None:
    job = Job().logs(1, every_s=7.0).logs(20)
    assert told(job.state) == {"start_s": 7.0, "gap_s": 1.0, "pace_s": 1.0, "whole_s": 27.0}
    say(job.state, JobEnded(at=job.at + 5.0, exit_code=0))  # it wrote a model at the end
    assert told(job.state)["gap_s"] == 5.0 and told(job.state)["whole_s"] == 32.0


# --- whatever happens -------------------------------------------------------------------------------------------------
QUIET = st.tuples(
    st.integers(1, 90),
    st.fixed_dictionaries({"cpu": st.sampled_from([0.0, 0.01, 0.5]), "io": st.sampled_from([0.0, 1e6])}),
)


@given(st.lists(st.tuples(st.integers(1, 12), QUIET), max_size=6), st.sampled_from([Usual(), ALIKE]))
def test_no_rest_counts_below_ten_seconds_or_three_of_its_longest_silences(
    life: list[tuple[int, Any]], usual: Usual
) -> None:
    job = Job(usual=usual)
    for count, (seconds, does) in life:
        job.logs(count)
        before = max(1.0, job.state.quiet.gap_s)
        bounds = idle_bound(job.state), silence_bound(job.state)
        assert bounds[0] >= max(10.0, 3.0 * before if job.state.quiet.gaps >= 2 else 0.0)
        for second, severity, rule in job.silent(seconds, **does):
            assert second >= min(bounds) and (severity, rule) in {("warning", "stall"), ("critical", "hang")}
            assert rule == "stall" or second >= 60
            assert (does["cpu"] < 0.03 and not does["io"]) or second >= bounds[1]


NUMBERS = st.one_of(st.none(), st.floats(), st.floats(0, 1e4))
FACTS = st.lists(
    st.one_of(
        st.builds(
            Activity, at=st.floats(), cpu_s=NUMBERS, io_bytes=NUMBERS, net_bytes=NUMBERS, gpu_util=NUMBERS,
            connected=st.booleans(), waits=st.booleans(), held=st.booleans(), uses_gpu=st.booleans(),
        ),
        st.builds(Tick, at=st.floats(), log_bytes=st.one_of(st.none(), st.integers(0, 9))),
        st.builds(Points, source=st.just("m"), rows=st.just(rows("loss", [2.0] * 3)), at=st.floats()),
        st.builds(Slept, at=st.floats(), gap_s=st.floats()),
    ),
    max_size=30,
)  # fmt: skip


@given(FACTS)
def test_any_numbers_are_borne_and_a_witness_that_is_replaced_says_the_same(facts: list[Any]) -> None:
    whole, kept = Watch(run_id="run_a"), Watch(run_id="run_a")
    for fact in facts:
        whole, one = watch(whole, fact)
        kept, other = watch(msgspec.json.decode(msgspec.json.encode(kept), type=Watch), fact)
        assert one == other and whole == kept
