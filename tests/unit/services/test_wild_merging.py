"""Which commit of a loop a merge means when nobody names one, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest

from ragent_jupyter.domain.errors import NotFound
from ragent_jupyter.domain.wild import Candidate, Loop, Setup, Stage, Verdict
from ragent_jupyter.services.wild_merging import chosen, of_commit

BASE, ONE, TWO, THREE = (letter * 40 for letter in "abcd")


def verdict(word: Any, mean: float, commit: str, **params: Any) -> Verdict:
    return Verdict(params=params, verdict=word, why="", mean=mean, commit=commit)


def loop(*verdicts: Verdict, best: str = "", mode: Any = "min", stage: Stage = Stage.ENDED) -> Loop:
    found = Candidate(params={}, runs=[], value=0.1, commit=best) if best else None
    return Loop(
        id="w", goal="g", created_at=0.0, setup=Setup(command="x", cwd="/", mode=mode), commits=[BASE, ONE, TWO, THREE],
        verdicts=list(verdicts), best=found, stage=stage,
    )  # fmt: skip


def test_the_best_confirmed_one_is_meant_whatever_was_judged_last() -> None:
    two = verdict("confirmed", 0.2, TWO), verdict("confirmed", 0.5, ONE)
    assert chosen(loop(*two, best=THREE), "") == TWO and chosen(loop(*two, mode="max"), "") == ONE
    assert chosen(loop(verdict("confirmed", 0.2, "", lr=1)), "") == BASE, "a setting of the code it started from"


def test_without_a_confirmed_one_what_measured_best_is_meant() -> None:
    assert chosen(loop(verdict("worse", 0.9, THREE), best=ONE), "") == ONE
    assert chosen(loop(), "") == THREE


def test_a_commit_that_is_named_is_one_of_the_loop_s() -> None:
    assert chosen(loop(), ONE[:7]) == ONE
    for wrong in (ONE[:6], "f" * 40, ONE + "b"):
        with pytest.raises(NotFound):
            chosen(loop(), wrong)


def test_what_is_known_of_it_is_said() -> None:
    assert of_commit(loop(verdict("confirmed", 0.2, TWO)), TWO) == "Confirmed."
    with_setting = loop(verdict("confirmed", 0.2, TWO, lr=0.3))
    assert of_commit(with_setting, TWO) == "Confirmed with lr 0.3, which is no part of the code."
    assert of_commit(loop(verdict("worse", 0.9, ONE)), ONE) == "Not confirmed: worse on fresh seeds."
    said = of_commit(loop(stage=Stage.RUNNING), ONE)
    assert said == "Not confirmed: it was not put to the test on fresh seeds. The loop still goes on."
