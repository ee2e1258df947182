"""What holds whatever the facts are: batching, JSON between any two facts, no exception, bounded memory."""

from __future__ import annotations

import itertools
from array import array
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragent_jupyter.domain.alert import Severity
from ragent_jupyter.domain.metrics import Row
from ragent_jupyter.rules.watch import (
    Answered,
    Block,
    JobEnded,
    LogLines,
    Points,
    Raise,
    Slept,
    System,
    Tick,
    Watch,
    WatchFact,
    watch,
)
from ragent_jupyter.rules.watch_state import KEEP, MAX_METRICS, MAX_NAMES, MAX_RAISED, MAX_SHAPES
from tests.benchmarks import real_logs
from tests.benchmarks.detection import alerts_of
from tests.unit.rules.watching import loud, rows, say, wavy

NAMES = [
    "loss",
    "train/loss",
    "val_loss",
    "validation/loss",
    "grad_norm",
    "tok/s",
    "val_acc",
    "ppl",
    "actor_loss",
    "lr",
    "x",
]
ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=True)
LEVELS = st.one_of(st.sampled_from([0.0, 1.0, 1.1, 2.0, 2.5, 7.0, 90.0, float("nan"), float("inf")]), ANY_FLOAT)
VALUES = st.dictionaries(st.sampled_from(NAMES), LEVELS, max_size=5)
ROWS = st.builds(
    Row, st.one_of(st.none(), st.integers(-5, 300)), st.floats(0.0, 1e7), VALUES, st.integers(0, 1 << 40)
)  # fmt: skip
WILD_ROWS = st.builds(
    Row,
    st.one_of(st.none(), st.integers()),
    ANY_FLOAT,
    st.dictionaries(st.one_of(st.text(), st.sampled_from(NAMES)), st.one_of(ANY_FLOAT, st.integers(), st.booleans())),
    st.integers(0, 1 << 62),
)
FACTS: st.SearchStrategy[WatchFact] = st.one_of(
    st.builds(Points, source=st.text(max_size=3), rows=st.lists(WILD_ROWS, max_size=6), at=ANY_FLOAT),
    st.builds(
        Tick, at=ANY_FLOAT, log_bytes=st.one_of(st.none(), st.integers(0, 9)), eta_s=st.one_of(st.none(), ANY_FLOAT)
    ),
    st.builds(LogLines, at=ANY_FLOAT, lines=st.lists(st.tuples(st.integers(0, 99), st.text()), max_size=3)),
    st.builds(
        System,
        at=ANY_FLOAT,
        values=st.dictionaries(
            st.sampled_from(
                ["gpu_util", "rss_bytes", "mem_limit_bytes", "gpu_mem_used_bytes", "gpu_mem_total_bytes", "x"]
            ),
            ANY_FLOAT,
        ),
    ),
    st.builds(
        Answered, at=ANY_FLOAT, alert_id=st.text(max_size=4), choice=st.text(max_size=4), action=st.text(max_size=4)
    ),
    st.builds(JobEnded, at=ANY_FLOAT, exit_code=st.integers(-9, 300), signal=st.one_of(st.none(), st.integers(0, 99))),
    st.builds(Slept, at=ANY_FLOAT, gap_s=ANY_FLOAT),
)


def kept(state: Watch) -> Watch:
    """The state as another process finds it."""
    return msgspec.json.decode(msgspec.json.encode(state), type=Watch)


def in_batches(found: list[Row], cuts: list[int], through_json: bool) -> tuple[list[Raise], Watch]:
    state, raised = Watch(run_id="run_a"), []
    edges = [0, *sorted(cut % (len(found) + 1) for cut in cuts), len(found)]
    for low, high in itertools.pairwise(edges):
        state, effects = watch(state, Points(source="m", rows=found[low:high], at=5.0))
        raised += effects
        if through_json:
            state = kept(state)
    return raised, state


def plain(raised: list[Raise]) -> bytes:
    return msgspec.json.encode(raised)


@settings(max_examples=200, deadline=None)
@given(st.lists(ROWS, max_size=60), st.lists(st.integers(0, 100), max_size=6))
def test_how_rows_are_cut_into_facts_changes_nothing(found: list[Row], cuts: list[int]) -> None:
    whole, state = in_batches(found, [], False)
    parts, same = in_batches(found, cuts, True)
    assert plain(parts) == plain(whole)
    assert kept(state) == same


@pytest.mark.parametrize("log", ["criteo-nan", "ogbg-overfit"])
@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, 10000), max_size=30))
def test_how_a_real_log_is_cut_changes_nothing(log: str, cuts: list[int]) -> None:
    found = real(log)
    whole, _ = in_batches(found, [], False)
    parts, _ = in_batches(found, cuts, True)
    assert whole
    assert plain(parts) == plain(whole)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=5, unique=True), st.data())
def test_a_block_says_the_same_as_its_rows(names: list[str], data: st.DataObject) -> None:
    table = data.draw(st.lists(st.lists(LEVELS, min_size=len(names), max_size=len(names)), max_size=40))
    found = [Row(n, 100.0 + n, dict(zip(names, line, strict=True)), n * 9) for n, line in enumerate(table)]
    block = Block(
        source="m",
        names=names,
        steps=array("q", range(len(table))),
        times=array("d", [100.0 + n for n in range(len(table))]),
        columns=[array("d", [line[k] for line in table]) for k in range(len(names))],
        offsets=array("q", [n * 9 for n in range(len(table))]),
        at=5.0,
    )
    by_rows, by_block = Watch(), Watch()
    told = say(by_rows, Points(source="m", rows=found, at=5.0))
    assert plain(say(by_block, block)) == plain(told)
    assert kept(by_block) == kept(by_rows)


@settings(max_examples=300, deadline=None)
@given(st.lists(FACTS, max_size=25))
def test_no_fact_whatever_raises_an_error_or_leaves_a_state_that_json_cannot_say(facts: list[WatchFact]) -> None:
    state = Watch(run_id="run_a", params={"lr": "1e-3"})
    for fact in facts:
        state, raised = watch(state, fact)
        state = kept(state)
        msgspec.json.decode(msgspec.json.encode(raised), type=list[Raise])


@settings(max_examples=100, deadline=None)
@given(st.lists(ROWS, max_size=120))
def test_each_alert_comes_once_per_cooldown_and_never_twice_with_one_id(found: list[Row]) -> None:
    found = [Row(row.step, 1000.0 + n, row.values, n) for n, row in enumerate(found)]  # all within half an hour
    raised = say(Watch(), Points(source="m", rows=found, at=5.0))
    keys = [(r.rule, r.metric) for r in raised]
    assert len(keys) == len(set(keys))
    ids = [r.alert_id("run_a") for r in raised]
    assert len(ids) == len(set(ids))


@settings(max_examples=50, deadline=None)
@given(st.floats(8.0, 12.0), st.floats(0.9, 0.999), st.lists(st.floats(-0.05, 0.05), min_size=150, max_size=150))
def test_a_warm_up_from_any_height_raises_nothing(start: float, decay: float, noise: list[float]) -> None:
    falling = [2.0 + (start - 2.0) * decay**n * (1.0 + wobble) for n, wobble in enumerate(noise)]
    assert say(Watch(), Points(source="m", rows=rows("loss", falling), at=5.0)) == []


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 60), st.sampled_from([float("nan"), float("inf"), -float("inf")]), st.sampled_from(NAMES[:5]))
def test_a_value_that_is_not_finite_is_found_wherever_it_is(at: int, value: float, name: str) -> None:
    found = rows(name, [*wavy(2.0, at), value, *wavy(2.0, 5)])
    raised = say(Watch(), Points(source="m", rows=found, at=5.0))
    assert [(r.severity, r.rule, r.evidence.step) for r in raised] == [(Severity.CRITICAL, "non_finite", at)]


def test_memory_is_bounded_however_much_is_said() -> None:
    state = Watch(run_id="run_a")
    for n in range(3000):
        found = [Row(n, 1000.0 + n, {f"m{n}/loss": float("nan"), "loss": 2.0 + n % 3, f"x{n}": 1.0}, n)]
        state, _ = watch(state, Points(source="m", rows=found, at=float(n)))
        state, _ = watch(state, System(at=20.0 * n, values={"rss_bytes": 1.0, "mem_limit_bytes": 9.0}))
    assert len(state.metrics) <= MAX_METRICS
    assert len(state.kinds) <= MAX_NAMES
    assert len(state.shapes) <= MAX_SHAPES
    assert len(state.raised) <= MAX_RAISED and len(state.ids) <= MAX_RAISED
    assert len(state.metrics["loss"].recent) == len(state.metrics["loss"].steps) < 2 * KEEP
    assert len(state.gaps) < 128
    assert len(state.memory["rss"]) <= 64


def test_a_broken_script_does_not_fill_the_list_of_alerts() -> None:
    state = Watch()
    raised = say(state, *[Points(source="m", rows=rows(f"m{n}/loss", [float("nan")]), at=1.0) for n in range(400)])
    assert len(raised) == 50


LOGS = Path(__file__).resolve().parents[4] / "shared" / "real-logs"


def real(log: str) -> list[Row]:
    if not LOGS.exists():
        pytest.skip(f"no real logs at {LOGS}")
    return real_logs.LOGS[log](LOGS)


@pytest.mark.parametrize("log", ["wmt", "vit", "llmc", "torchtitan", "sb3"])
def test_a_healthy_real_log_interrupts_nobody(log: str) -> None:
    assert loud(alerts_of(real(log))) == []


def test_a_loss_that_turned_into_an_empty_cell_is_caught() -> None:
    assert loud(alerts_of(real("criteo-nan"))) == [("warning", "spike_held", "loss"), ("critical", "silent", "loss")]


def test_a_nan_without_any_spike_before_is_caught_at_its_step() -> None:
    raised = alerts_of(real("deepspeech-nan"))
    assert [(r.rule, r.metric, r.evidence.step) for r in raised if r.severity is Severity.CRITICAL] == [
        ("non_finite", "loss", 19900)
    ]
    assert {r.severity for r in raised if r.metric == "grad_norm"} == {Severity.INFO}


def test_a_graph_network_that_overfits_is_told() -> None:
    assert loud(alerts_of(real("ogbg-overfit"))) == [("warning", "overfit", "validation/loss")]


def test_a_fine_tuning_whose_evaluations_get_worse_is_told() -> None:
    """Six evaluation losses grow from 1.1 to 2.7 and accuracy falls from 0.71 to 0.59 while the training loss falls."""
    assert loud(alerts_of(real("hf"))) == [
        ("warning", "overfit", "eval_g0_loss"),
        ("warning", "eval_worse", "eval_g0_loss"),
    ]
