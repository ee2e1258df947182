"""A number that no record holds is found; one that a record rounds to is not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.domain.run import MetricSummary, Run
from ragent_jupyter.rules.said_numbers import numbers_of, unbacked

RUN = Run(
    id="run_06fk2v9xw7q2", name="train 1", command="python t.py --lr 3e-4", argv=[], cwd="/", created_at=0.0,
    started_at=100.0, ended_at=161.5, params={"bs": 64},
    summary={"val_loss": MetricSummary(last=0.14213, step=1999, min=0.13984, min_step=1876, max=2.3, count=2000)},
)  # fmt: skip


def test_what_is_recorded_passes_however_it_is_rounded() -> None:
    text = "run_06fk2v9xw7q2 reached 0.14 (0.1398 at step 1,876, of 2000), lr 3e-4, batch 64, in 61.5 s"
    assert unbacked(text, numbers_of([RUN])) == []


def test_what_is_not_is_named_once() -> None:
    text = "0.15 at step 1877, 12 % better; again 0.15"
    assert unbacked(text, numbers_of([RUN])) == ["0.15", "1877", "12 %"]


def test_ids_dates_versions_and_small_counts_are_no_claims() -> None:
    assert unbacked("2 of 3 runs on 2026-11-22 with torch 2.1.0 at 10:30, run_99abc, src/v2/t.py:77", []) == []


@given(st.floats(-1e6, 1e6), st.integers(0, 6))
def test_any_rounding_of_a_known_value_is_known(value: float, digits: int) -> None:
    assert unbacked(f"it is {value:.{digits}f} now", [value]) == []


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    assert isinstance(unbacked(text, [1.0]), list)
