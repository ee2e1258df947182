"""Which seeds a model's trials run with: the model does not choose them.

All candidates share the seed of one run of the baseline, so that each can be compared with it and none is lucky by its
seed alone; a repetition that is meant draws seeds that the loop has not used.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ragent_jupyter.domain.wild import Launch, ProposeSweep, View

from .confirm import plan_seeds
from .wild_builtin.shares import baseline_seeds
from .wild_builtin.standing import Standing


def seeded(view: View, action: ProposeSweep | Launch) -> ProposeSweep | Launch:
    """The action with its seeds set, and a baseline without points filled in."""
    flag = view.loop.setup.seed
    if isinstance(action, Launch):
        (params,) = _points(view, flag, [action.params], action.replicate)
        return msgspec.structs.replace(action, params=params)
    if action.purpose == "baseline":
        if action.points:
            return action
        n = baseline_seeds(view)
        points = [{flag: seed} for seed in plan_seeds(view, n)] if flag else [{} for _ in range(n)]
        return msgspec.structs.replace(action, points=points, replicate=True)
    return msgspec.structs.replace(action, points=_points(view, flag, action.points, action.replicate))


def _points(view: View, flag: str | None, points: list[dict[str, Any]], replicate: bool) -> list[dict[str, Any]]:
    if not flag:
        return points
    if replicate:
        fresh = iter(plan_seeds(view, len(points)))
        return [point if flag in point else {**point, flag: next(fresh)} for point in points]
    anchor = Standing(view).anchor
    seed = anchor.seed if anchor is not None and anchor.seed is not None else view.loop.setup.seed_base
    return [{**point, flag: seed} for point in points]
