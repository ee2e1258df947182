"""Ways to ask the guard of Wild Mode about an action."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ragent_jupyter.domain.wild import (
    Holdout,
    LoopEvent,
    ProposeSweep,
    View,
)
from ragent_jupyter.rules.wild_guard import NeedsPerson, Passed, Refused, check

from .wild_worlds import EXPLORE, view

POINT = {"lr": 0.2, "seed": 1000}
SEALED = Holdout(id="hold_abcdef12", predictions="preds.csv", score="accuracy", mode="max", sha256="f" * 64)


def sweep(*points: Any, **fields: Any) -> ProposeSweep:
    return ProposeSweep(name="s", points=list(points), **fields)


def ask(
    action: Any, of: View | None = None, on: LoopEvent = EXPLORE, accepted: Sequence[Any] = ()
) -> Passed | Refused | NeedsPerson:
    return check(of or view(), on, action, accepted)


def passed(*args: Any, **kw: Any) -> Passed:
    found = ask(*args, **kw)
    assert isinstance(found, Passed), found
    return found


def refused(*args: Any, **kw: Any) -> str:
    found = ask(*args, **kw)
    assert isinstance(found, Refused), found
    assert found.problem and found.remedy
    return found.problem


def needs(*args: Any, **kw: Any) -> NeedsPerson:
    found = ask(*args, **kw)
    assert isinstance(found, NeedsPerson), found
    assert found.default in [o.id for o in found.options] and found.text.isprintable()
    return found
