"""What a person is asked, and what the answer leads to. A question is found again from what is true, not remembered."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from ragent_jupyter.domain.script import Ambiguous, Objective
from ragent_jupyter.domain.wild import ChangeSetup, Option, Promise, ProposeSweep, Seen, TrialView, View

from .. import objective
from .standing import Standing, counted, counts, seen
from .steps import Step, complete, note

STOP = Option("stop", "Stop the loop")
AGAIN = Option("again", "I fixed it: run the baseline again")
SMALLER = Option("smaller", "Search closer to the default")
_MAX = re.compile(r"\b(max(imi[sz]e)?|higher|larger|greater|up)\b", re.IGNORECASE)
_MIN = re.compile(r"\b(min(imi[sz]e)?|lower|smaller|less|down)\b", re.IGNORECASE)


class Asked(Struct, frozen=True):
    """about: baseline, metric, batches or space."""

    about: str
    promise: Promise
    objectives: list[Objective] = []


def _words(choice: Objective) -> str:
    return f"{choice.metric}, {'lower' if choice.mode == 'min' else 'higher'} is better"


def open_question(at: Standing) -> Asked | None:
    """What cannot be decided without a person, as things stand."""
    if at.base and not at.live:
        if not any(t.status == "finished" for t in at.base):
            return Asked("baseline", _baseline_question(at))
        if not _measured(at):
            return _metric_question(at)
    if at.base and not at.setup.space and not at.search:
        text = (
            "The script exposes nothing that could be searched. Name parameters and ranges "
            '(such as "lr between 0.001 and 0.1") in a message, or stop.'
        )
        return Asked("space", Promise(word="NEEDS_HUMAN", text=text, options=[STOP], default="stop"))
    if len(barren(at)) >= 2:
        return Asked("batches", _batches_question(at))
    return None


def _measured(at: Standing) -> bool:
    return bool(at.setup.metric) and any(t.status == "finished" and t.value is not None for t in at.base)


def barren(at: Standing) -> list[list[TrialView]]:
    """The newest batches of which no run ended well and none was stopped on purpose."""
    found: list[list[TrialView]] = []
    for batch in reversed(at.rounds):
        if not batch or any(counts(t) or t.failure in ("", "stopped") for t in batch):
            break
        found.append(batch)
    return found


def _line(trials: Sequence[TrialView]) -> str:
    """What the failed runs said, quoted."""
    last = next((t for t in trials if t.log_line), trials[0])
    what = last.log_line or last.reason or last.failure or last.status
    return f"“{' '.join(what.split())[:200]}”"


def _baseline_question(at: Standing) -> Promise:
    n = len(at.base)
    text = (
        f"The default configuration does not run: {counted(n, 'run')} of {n} ended as {at.base[-1].failure or 'failed'}"
        f", {_line(at.base[::-1])}. Repair the script or the command and say so, or stop."
    )
    return Promise(word="NEEDS_HUMAN", text=text, options=[AGAIN, STOP], default="stop")


def _batches_question(at: Standing) -> Promise:
    lost = [t for batch in barren(at) for t in batch]
    text = (
        f"{counted(len(lost), 'run')} of the last two batches failed, the newest with {_line(lost)}. "
        "Should the search go on closer to the default?"
    )
    return Promise(word="NEEDS_HUMAN", text=text, options=[SMALLER, STOP], default="stop")


def _metric_question(at: Standing) -> Asked | None:
    """None where the metric is clear."""
    logged = at.view.metrics
    names = ", ".join(sorted(logged)[:8])
    if not logged:
        text = (
            f"{counted(len(at.base), 'run')} of the default finished and logged no metric that could be read. "
            'Let the script print or log one (such as "val_loss: 1.23") and say so, or stop.'
        )
        return Asked("baseline", Promise(word="NEEDS_HUMAN", text=text, options=[AGAIN, STOP], default="stop"))
    found = objective.find(logged, at.loop.goal) if not at.setup.metric else None
    if isinstance(found, Objective):
        return None
    if at.setup.metric and at.setup.metric in logged:
        text = (
            f"{at.setup.metric} was logged, but no run of the default has a finite last value of it. "
            "Which metric decides instead?"
        )
    elif at.setup.metric:
        text = f"No run logged {at.setup.metric}; they logged {names}. Which metric decides?"
    else:
        text = found.problem if isinstance(found, Ambiguous) else f"None of {names} says what is better. Which decides?"
    options = found.options if isinstance(found, Ambiguous) else []
    if not options:
        wider = [objective.find({name: n}, at.loop.goal) for name, n in sorted(logged.items())]
        options = [o for o in wider if isinstance(o, Objective)]
        options += [o for w in wider if isinstance(w, Ambiguous) for o in w.options]
    options = [o for o in options if o.metric != at.setup.metric][:6]
    shown = [Option(f"metric{i}", _words(choice)) for i, choice in enumerate(options)]
    promise = Promise(word="NEEDS_HUMAN", text=text, options=[*shown, STOP], default="stop")
    return Asked("metric", promise, options)


def asking(at: Standing) -> list[Step]:
    """The question that is open now, as a step; [] where nothing is."""
    found = open_question(at)
    if found is None:
        return []
    trials = at.base if found.about != "batches" else [t for batch in barren(at) for t in batch]
    evidence = seen(trials) + [Seen(kind="text", ref=t.run, text=t.log_line) for t in trials[-1:] if t.log_line]
    why = f"This cannot be decided by a rule: {found.promise.text}"
    return [Step(found.promise, why, evidence, f"rule:ask_{found.about}")]


def on_answer(view: View, text: str) -> list[Step] | None:
    """What an answer leads to; None where none of our questions was meant, [] never."""
    at = Standing(view)
    said = text.rpartition("→")[2].strip()
    found = open_question(at)
    if found is None or not said:
        return None
    chosen = next((o for o in found.promise.options if said.casefold().startswith(o.label.casefold())), None)
    chosen = chosen or next((o for o in found.promise.options if said.casefold() == o.id), None)
    heard = [Seen(kind="text", text=said[:200])]
    if chosen == STOP or said.casefold() in ("stop", "no"):
        return [complete("A person chose to stop.", heard, "rule:answer")]
    if found.about == "metric":
        picked = _picked(found, chosen, said, at)
        if picked is not None:
            why = f"The answer decides: {_words(picked)}."
            return [Step(ChangeSetup(fields={"metric": picked.metric, "mode": picked.mode}, reason=why), why, heard)]
    elif found.about == "baseline" and (chosen == AGAIN or _yes(said)):
        return [again(at, heard)]
    elif found.about == "batches" and (chosen == SMALLER or _yes(said)):
        from .space import shrunk, space_fields

        why = "The answer: closer to the default. Each range is halved around it."
        return [Step(ChangeSetup(fields=space_fields(shrunk(at.setup.space)), reason=why), why, heard)]
    return None


def _yes(said: str) -> bool:
    return bool(re.match(r"(yes|ok|okay|again|retry|go on|continue|fixed|done|i fixed)\b", said.casefold()))


def _picked(found: Asked, chosen: Option | None, said: str, at: Standing) -> Objective | None:
    if chosen is not None and chosen.id.startswith("metric"):
        return found.objectives[int(chosen.id[6:])]
    named = [name for name in at.view.metrics if re.search(rf"(?<![\w/]){re.escape(name)}(?![\w/])", said)]
    if not named:
        return None
    metric = max(named, key=len)
    if _MAX.search(said) or _MIN.search(said):
        return Objective(metric=metric, mode="max" if _MAX.search(said) else "min")
    known = next((o for o in found.objectives if o.metric == metric), None)
    guess = known or objective.find({metric: at.view.metrics[metric]}, at.loop.goal)
    return guess if isinstance(guess, Objective) else None


def again(at: Standing, evidence: list[Seen]) -> Step:
    """The baseline once more, on the seeds it had: what failed is meant to be repeated."""
    seeds = list(dict.fromkeys(t.seed for t in at.base if t.seed is not None))
    points = [at.point({}, seed) for seed in seeds] or [{}]
    why = f"The script was repaired: the default runs again, {counted(len(points), 'time')}."
    sweep = ProposeSweep(name="baseline", points=points, purpose="baseline", reason=why, replicate=True)
    return Step(sweep, why, evidence, "rule:baseline")


__all__ = ["AGAIN", "SMALLER", "STOP", "again", "asking", "barren", "note", "on_answer", "open_question"]
