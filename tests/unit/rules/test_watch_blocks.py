"""A block is nothing but its rows, told faster."""

from __future__ import annotations

import math
from itertools import accumulate

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from ragent_jupyter.domain.metrics import Row
from ragent_jupyter.rules.watch import Block, Points, Watch, watch

NAMES = st.lists(
    st.sampled_from(["loss", "lr", "m0", "m1", "val_loss", "grad_norm"]), min_size=1, max_size=4, unique=True
)
GAPS = st.lists(st.sampled_from([0.0, 1.0, 1.0, 2.5, 60.0]), min_size=1, max_size=5)
TIMES = st.one_of(
    st.tuples(st.integers(1, 400), GAPS, st.integers(0, 1000)).map(
        lambda drawn: list(accumulate((drawn[1] * drawn[0])[: drawn[0]], initial=1.7e9 + drawn[2]))
    ),
    st.lists(st.one_of(st.floats(0, 2e9), st.just(math.nan), st.just(0.0)), min_size=1, max_size=30),
)


@example(blocks=[(["m0"], [1.7e9 + i for i in range(300)], 1.0)])
@given(blocks=st.lists(st.tuples(NAMES, TIMES, st.floats(0.1, 10.0)), min_size=1, max_size=6))
def test_the_same_rows_as_blocks_and_one_by_one_leave_the_same_state(
    blocks: list[tuple[list[str], list[float], float]],
) -> None:
    whole, single = Watch(run_id="run_a"), Watch(run_id="run_a")
    raised: list[list[str]] = [[], []]
    step = 0
    for names, times, value in blocks:
        steps = list(range(step, step + len(times)))
        step += len(times)
        columns = [tuple(value * (1 + i % 7) for i in range(len(times))) for _ in names]
        whole, out = watch(
            whole,
            Block(source="s", names=names, steps=steps, times=times, columns=columns, offsets=steps, at=1.0),
        )
        raised[0] += [f"{alert.rule} {alert.offset}" for alert in out]
        for i, at in enumerate(times):
            row = Row(steps[i], at, {name: column[i] for name, column in zip(names, columns, strict=True)}, steps[i])
            single, out = watch(single, Points(source="s", rows=[row], at=1.0))
            raised[1] += [f"{alert.rule} {alert.offset}" for alert in out]
    assert raised[0] == raised[1]
    assert msgspec.json.encode(whole) == msgspec.json.encode(single)
