"""How many search trials of a hybrid loop the model may still propose: the optimiser keeps at least 70 % of them."""

from __future__ import annotations

from collections.abc import Sequence

from ragent_jupyter.domain.wild import TrialView

# 3 of 10 at most. Source: Ferreira et al. 2026, arXiv 2603.24647: their best hybrid left the optimiser in control and
# let the model propose under a third of the trials.


def by_model(by: str) -> bool:
    """Whether a trial's author is a model.

    >>> [by_model(by) for by in ("model", "rule", "anthropic:claude", "rule:tpe", "human", "")]
    [True, False, True, False, False, False]
    """
    author = by.partition(":")[0]
    return author not in ("rule", "human", "engine", "")


def room(trials: Sequence[TrialView], batch: int) -> int:
    """How many of the next `batch` search trials may be the model's, so that of all of them at most 30 % are.

    >>> room([], 10)
    3
    """
    search = [trial for trial in trials if trial.purpose == "search"]
    theirs = sum(by_model(trial.by) for trial in search)
    # In whole numbers: 0.3 * 10 must be 3 and not a little less.
    most = (3 * (len(search) + batch)) // 10
    return max(0, min(batch, most - theirs))


def room_alone(trials: Sequence[TrialView]) -> int:
    """The same for a sweep that holds the model's trials alone.

    >>> room_alone([])
    0
    """
    search = [trial for trial in trials if trial.purpose == "search"]
    theirs = sum(by_model(trial.by) for trial in search)
    ours = len(search) - theirs
    return max(0, (3 * ours) // 7 - theirs)
