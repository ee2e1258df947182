"""The gate of Wild Mode, whatever it is given: it answers, and nothing outside the space or the budget passes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragent_jupyter.domain.sweep import Range, Values
from ragent_jupyter.domain.wild import (
    Analyse,
    ChangeSetup,
    Confirm,
    EditCode,
    FileEdit,
    Launch,
    Promise,
    ProposeSweep,
    ResolveAlert,
    Stage,
    StopRun,
    TrialView,
)
from ragent_jupyter.rules.wild_guard import NeedsPerson, Passed, Refused, check

from .wild_guarding import SEALED
from .wild_worlds import IGNORE, LOOP, STOP, alert, event, loop, trial, view

# --- whatever it is given ---------------------------------------------------------------------------------------------
JUNK = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.just("0.2"), st.just("relu")
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=6,
)
NAMES = st.sampled_from(["lr", "act", "width", "seed", "epochs", "out", "momentum", ""])
POINTS = st.dictionaries(
    NAMES, st.one_of(JUNK, st.floats(0.001, 1.0), st.integers(8, 256), st.sampled_from(["relu", "tanh", 0.1])),
    max_size=4,
)  # fmt: skip
FINE = st.fixed_dictionaries(
    {},
    optional={
        "lr": st.floats(0.001, 1.0),
        "act": st.sampled_from(["relu", "tanh"]),
        "width": st.integers(8, 256),
        "seed": st.integers(0, 40),
        "epochs": st.integers(1, 10),
    },
)
SWEEPS = st.builds(
    ProposeSweep,
    name=st.text(max_size=5),
    points=st.lists(st.one_of(FINE, POINTS), max_size=6),
    purpose=st.sampled_from(["baseline", "screen", "search", "confirm", "explain", "holdout"]),
    commit=st.sampled_from(["", "a" * 40, "aaaaaaa", "zz"]),
    replicate=st.booleans(),
    by=st.lists(st.sampled_from(["rule", "model", "boss"]), max_size=6),
)
ACTIONS = st.one_of(
    SWEEPS,
    st.builds(Launch, params=st.one_of(FINE, POINTS), commit=st.text(max_size=3)),
    st.builds(StopRun, run=st.sampled_from(["run_1", "run_2", "x"])),
    st.builds(ResolveAlert, alert=st.sampled_from(["alt_1", "x"]), choice=st.sampled_from(["stop", "ignore", ""])),
    st.builds(
        EditCode,
        summary=st.text(max_size=5),
        edits=st.lists(
            st.builds(FileEdit, path=st.text(max_size=12), old=st.text(max_size=3), new=st.text(max_size=3)),
            max_size=3,
        ),
    ),
    st.builds(Analyse, text=st.text(max_size=5)),
    st.builds(Confirm, runs=st.lists(st.sampled_from(["run_1", "run_2", "b0", "x"]), max_size=4)),
    st.builds(Promise, word=st.sampled_from(["CONTINUE", "COMPLETE", "NEEDS_HUMAN", "?"]), text=st.text(max_size=3)),
    st.builds(
        ChangeSetup,
        fields=st.dictionaries(
            st.sampled_from(["metric", "mode", "seed", "space", "top", "seeds", "fidelity", "full", "command", "env"]),
            JUNK,
            max_size=3,
        ),
    ),
    JUNK,
)
RUNS = st.builds(
    trial,
    st.sampled_from(["run_1", "run_2"]),
    st.sampled_from(["baseline", "search", "confirm"]),
    value=st.one_of(st.none(), st.floats()),
    status=st.sampled_from(["running", "finished", "failed"]),
    failure=st.sampled_from(["", "oom", "exit", "lost"]),
    params=st.one_of(FINE, POINTS),
    seed=st.one_of(st.none(), st.integers(0, 40)),
)


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    ACTIONS,
    st.lists(RUNS, max_size=6),
    st.sampled_from(["cautious", "balanced", "full"]),
    st.sampled_from(["explore", "critical", "human", "answer", "analysis"]),
    st.sampled_from(list(Stage)),
    st.one_of(st.none(), st.integers(0, 8)),
    st.lists(SWEEPS, max_size=2),
)
def test_the_guard_always_answers_and_nothing_outside_the_space_or_the_budget_passes(
    action: Any, runs: list[TrialView], autonomy: Any, kind: str, stage: Stage, left: int | None, before: list[Any]
) -> None:
    of = loop(autonomy=autonomy, stage=stage, setup={"holdout": SEALED})
    seen = view(runs, of=of, runs_left=left, alerts=[alert()], metrics={"acc": 1})
    found = check(seen, event(kind, "alt_1"), action, before)
    assert isinstance(found, (Passed, Refused, NeedsPerson))
    if isinstance(found, Refused):
        return
    done = (found if isinstance(found, Passed) else found.passed).action
    points = done.points if isinstance(done, ProposeSweep) else [done.params] if isinstance(done, Launch) else []
    for point in points:
        assert inside(point)
    if points and left is not None:
        assert len(points) + sum(len(a.points) for a in before) <= left
    if isinstance(done, ProposeSweep):
        assert done.points and (not done.by or len(done.by) == len(done.points))
        assert not done.by or set(done.by) <= {"rule", "model", "human"}
    if isinstance(done, EditCode):
        assert all(e.path == "train.py" or e.path.startswith("src/") for e in done.edits)
    assert check(seen, event(kind, "alt_1"), action, before) == found


def inside(point: dict[str, Any]) -> bool:
    space = LOOP.setup.space
    for name, value in point.items():
        if name == "seed":
            assert type(value) is int and 0 <= value < 2**32
        elif name == "epochs":
            assert type(value) is int and 0 < value <= 10
        else:
            dim = space[name].dim
            if isinstance(dim, Values):
                assert value in dim.values and isinstance(value, str)
            else:
                assert isinstance(dim, Range) and not isinstance(value, bool)
                assert dim.low <= value <= dim.high and (not dim.integer or type(value) is int)
    return True


def test_the_choices_of_these_tests_are_what_they_say() -> None:
    assert (STOP.action, IGNORE.action) == ("stop", "ignore")
