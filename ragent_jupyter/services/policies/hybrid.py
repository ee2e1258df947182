"""Rules, an optimiser and a model together: rules keep the method, the optimiser most trials, the model the ideas.

Baseline, confirm, explain, halving and alerts are the rules'. Of the search trials the optimiser keeps at least 70 %;
the model may fill the rest of a batch, change code, and write what was learnt. Where it cannot be reached the optimiser
goes on alone, and the ledger says so.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any, Protocol

import msgspec

from ragent_jupyter.domain.errors import RagentError
from ragent_jupyter.domain.model import ModelFailed, Usage
from ragent_jupyter.domain.ports_wild import Hands, Outcome, Policy, Thought
from ragent_jupyter.domain.wild import (
    Action,
    Analyse,
    Confirm,
    EditCode,
    Launch,
    LoopEvent,
    Promise,
    ProposeSweep,
    Seen,
    View,
)
from ragent_jupyter.rules.turn import add
from ragent_jupyter.rules.wild_builtin import on_answer
from ragent_jupyter.rules.wild_prompt import failure_kind
from ragent_jupyter.rules.wild_shares import room, room_alone

PATIENCE_S = 60.0  # of waiting for a provider; then the optimiser decides alone
_IDEAS = ("propose_sweep", "launch", "edit_code", "analyse", "promise")
_WORDS = ("analyse", "edit_code", "promise")


class Mind(Protocol):
    """LLMPolicy."""

    async def ask(
        self,
        view: View,
        event: LoopEvent,
        hands: Hands,
        *,
        only: Collection[str] | None = None,
        must: bool | None = None,
        patience_s: float | None = None,
        note: str = "",
    ) -> Thought: ...


class _Said(msgspec.Struct, frozen=True):
    action: Action
    reasoning: str
    evidence: list[Seen]
    who: str


class _Draft:
    """Hands that only write down: what the rules would do. Asking them is free, they keep nothing."""

    def __init__(self) -> None:
        self.said: list[_Said] = []

    async def act(
        self, action: Action, *, reasoning: str = "", evidence: Sequence[Seen] = (), who: str = ""
    ) -> Outcome:
        self.said.append(_Said(action, reasoning, list(evidence), who))
        return Outcome(accepted=True, text="")

    @property
    def batch(self) -> _Said | None:
        """The search sweep that the optimiser proposes."""
        for said in self.said:
            if isinstance(said.action, ProposeSweep) and said.action.purpose == "search":
                return said
        return None


class _Pinned:
    """The rules' hands: their sweeps run the best code that is known, not an edit that nobody has measured yet."""

    def __init__(self, hands: Hands, view: View) -> None:
        self.hands = hands
        best, commits = view.loop.best, view.loop.commits
        self.base = commits[0] if commits else ""
        self.best = best.commit if best is not None and best.commit else self.base

    async def act(
        self, action: Action, *, reasoning: str = "", evidence: Sequence[Seen] = (), who: str = ""
    ) -> Outcome:
        if isinstance(action, (ProposeSweep, Launch)) and not action.commit:
            first = isinstance(action, ProposeSweep) and action.purpose == "baseline"
            action = msgspec.structs.replace(action, commit=self.base if first else self.best)
        return await self.hands.act(action, reasoning=reasoning, evidence=evidence, who=who)


class _Told:
    """Hands whose first word begins with a sentence: an action's own reasoning is what the ledger shows of it."""

    def __init__(self, hands: Hands, told: str) -> None:
        self.hands = hands
        self.told = told

    async def act(
        self, action: Action, *, reasoning: str = "", evidence: Sequence[Seen] = (), who: str = ""
    ) -> Outcome:
        told, self.told = self.told, ""
        return await self.hands.act(action, reasoning=f"{told} {reasoning}".strip(), evidence=evidence, who=who)


class _Shared:
    """The model's hands on a batch: its points take at most its share, the optimiser's fill the rest.

    swept: a sweep was accepted, or a person is asked about it.  asked: it wants a person.
    """

    def __init__(self, hands: Hands, view: View, batch: Action | None) -> None:
        self.hands = hands
        self.view = view
        self.batch = batch if isinstance(batch, ProposeSweep) else None
        self.edited = self.swept = self.asked = False
        self.code = _Pinned(hands, view).best

    async def act(
        self, action: Action, *, reasoning: str = "", evidence: Sequence[Seen] = (), who: str = ""
    ) -> Outcome:
        match action:
            case ProposeSweep() | Launch():
                return await self._sweep(_as_sweep(action), reasoning, evidence, who)
            case Confirm():
                return Outcome(accepted=False, text="Refused: the rules put candidates to the test when it is time.")
            case Promise(word="COMPLETE"):
                text = "Refused: the rules end the loop, once the search has nothing left and its best is tested."
                return Outcome(accepted=False, text=text)
            case Promise(word="CONTINUE"):
                # It leaves the next step to the rules: nothing that the loop has to be told.
                return Outcome(accepted=True, text="The optimiser goes on.")
        outcome = await self.hands.act(action, reasoning=reasoning, evidence=evidence, who=who)
        self.edited |= isinstance(action, EditCode) and outcome.accepted
        self.asked |= isinstance(action, Promise) and outcome.accepted
        return outcome

    async def _sweep(self, wanted: ProposeSweep, reasoning: str, evidence: Sequence[Seen], who: str) -> Outcome:
        if wanted.purpose != "search":
            return Outcome(accepted=False, text=f"Refused: {wanted.purpose} is done by rules here. Propose a search.")
        if self.swept:
            return Outcome(accepted=False, text="Refused: one sweep a decision.")
        alone = self.edited or self.batch is None  # on code of its own the optimiser's points would measure that code
        rest = [] if alone or self.batch is None else self.batch.points
        most = room_alone(self.view.trials) if alone else room(self.view.trials, len(rest))
        if most < 1:
            text = "Refused: the optimiser keeps 70 % of the search trials, and your share is used up for now."
            return Outcome(accepted=False, text=f"{text} Say promise CONTINUE.")
        mine = wanted.points[:most]
        # A point that both name is the optimiser's: what is left of the batch stays as large as it was.
        if not alone:
            mine = [point for point in mine if point not in rest]
        theirs = rest[: len(rest) - len(mine)]
        sweep = msgspec.structs.replace(
            wanted,
            points=[*mine, *theirs],
            by=["model"] * len(mine) + ["rule"] * len(theirs),
            commit=wanted.commit if alone or self.batch is None else self.batch.commit or self.code,
        )
        outcome = await self.hands.act(sweep, reasoning=reasoning, evidence=evidence, who=who)
        self.swept |= outcome.accepted or outcome.asked
        cut = len(wanted.points) - len(mine)
        if not outcome.accepted or not cut:
            return outcome
        kept = f"{len(mine)} of your {len(wanted.points)} points fit into your share of the trials."
        return msgspec.structs.replace(outcome, text=f"{outcome.text} {kept}".strip())


def _as_sweep(action: ProposeSweep | Launch) -> ProposeSweep:
    if isinstance(action, ProposeSweep):
        return action
    return ProposeSweep(
        name="one run", points=[action.params], reason=action.reason, commit=action.commit, replicate=action.replicate
    )


class HybridPolicy(Policy):
    def __init__(self, builtin: Policy, llm: Mind, patience_s: float = PATIENCE_S) -> None:
        self.builtin = builtin
        self.llm = llm
        self.patience_s = patience_s

    def watch(self, view: View) -> list[tuple[Action, str]]:
        return self.builtin.watch(view)

    async def decide(self, view: View, event: LoopEvent, hands: Hands) -> Thought:
        match event.kind:
            case "answer" if on_answer(view, event.text) is not None:
                return await self._rules(view, event, hands)  # the question was the rules' own
            case "human" | "answer":
                return await self._person(view, event, hands)
            case "failure" if new_failure(view, event):
                return await self._failure(view, event, hands)
            case "explore" | "analysis":
                return await self._next(view, event, hands)
        return await self._rules(view, event, hands)

    async def _rules(self, view: View, event: LoopEvent, hands: Hands) -> Thought:
        return await self.builtin.decide(view, event, _Pinned(hands, view))

    async def _person(self, view: View, event: LoopEvent, hands: Hands) -> Thought:
        """A person's word is the model's to understand, with all that a loop can do: what a person wants is no share
        of anybody's."""
        try:
            return await self.llm.ask(view, event, hands, patience_s=self.patience_s)
        except RagentError as error:
            return _alone(error, await self._rules(view, event, _Told(hands, _why_alone(error))))

    async def _failure(self, view: View, event: LoopEvent, hands: Hands) -> Thought:
        """A failure of a new kind: rules note it, the model says what it is and mends it where it may."""
        noted = await self._rules(view, event, hands)
        return await self._asked(view, event, _Shared(hands, view, None), noted, only=("stop_run", *_WORDS), must=False)

    async def _next(self, view: View, event: LoopEvent, hands: Hands) -> Thought:
        """What comes next: the rules' plan, with the model's points in the optimiser's batch, its words and edits."""
        rules = _Pinned(hands, view)
        draft = _Draft()
        planned = await self.builtin.decide(view, event, draft)
        batch = draft.batch
        points = batch.action.points if batch is not None and isinstance(batch.action, ProposeSweep) else []
        most = room(view.trials, len(points))
        ideas = bool(points) and (most > 0 or bool(view.loop.setup.may_edit))
        words = event.kind == "analysis" and (view.loop.baseline is not None or _all_failed(view, event))
        if not ideas and not words:
            return await _replay(draft, rules, planned)
        shared = _Shared(hands, view, batch.action if batch is not None else None)
        note = (
            f"The optimiser proposes the next {len(points)} points by itself; you may replace at most {most} of them "
            "with propose_sweep, or say promise CONTINUE"
        )
        only, told = (_IDEAS, note) if ideas else (_WORDS, "Rules say how the loop goes on; you may write and edit")
        thought = await self._asked(view, event, shared, None, only=only, must=False, note=told)
        if shared.asked:
            return thought  # nothing is begun before the person has answered
        if shared.swept and batch is not None:
            draft.said.remove(batch)
        # What the rules had to say besides goes on; their batch too, unless the model's took its place.
        first = _Told(rules, "" if thought.turn_id else thought.reasoning)
        return _joined(thought, await _replay(draft, first, planned))

    async def _asked(
        self,
        view: View,
        event: LoopEvent,
        hands: Hands,
        noted: Thought | None,
        *,
        only: Sequence[str],
        must: bool,
        note: str = "",
    ) -> Thought:
        """The model's thought, or why there is none; `noted` stands before it."""
        try:
            thought = await self.llm.ask(
                view, event, hands, only=only, must=must, patience_s=self.patience_s, note=note
            )
        except RagentError as error:
            thought = _alone(error, Thought(who=noted.who if noted is not None else "rule:alone"))
        return thought if noted is None else _joined(noted, thought)


async def _replay(draft: _Draft, hands: Hands, thought: Thought) -> Thought:
    """What was drafted, for real. After a refusal nothing that builds on it is begun; a note holds nothing up."""
    refused: list[str] = []
    for said in draft.said:
        outcome = await hands.act(said.action, reasoning=said.reasoning, evidence=said.evidence, who=said.who)
        if not outcome.accepted:
            refused.append(outcome.text)
            if not isinstance(said.action, Analyse):
                break
    return msgspec.structs.replace(thought, reasoning="\n".join([thought.reasoning, *refused]).strip())


def _why_alone(error: RagentError) -> str:
    said = "cannot be reached" if isinstance(error, ModelFailed) else "did not decide"
    return f"The model {said} ({error.problem.rstrip('.')}); the optimiser goes on alone."


def _alone(error: RagentError, rest: Thought) -> Thought:
    return msgspec.structs.replace(rest, reasoning=f"{_why_alone(error)}\n{rest.reasoning}".strip())


def _joined(first: Thought, second: Thought) -> Thought:
    """Both thoughts as one; who: the model, where it was asked at all."""
    modelled = next((thought for thought in (first, second) if thought.turn_id), None)
    usages = [thought.usage for thought in (first, second) if thought.turn_id]
    return Thought(
        reasoning="\n".join(text for text in (first.reasoning, second.reasoning) if text),
        who=modelled.who if modelled is not None else second.who or first.who,
        usage=add(usages[0], usages[1]) if len(usages) > 1 else usages[0] if usages else Usage(),
        turn_id=modelled.turn_id if modelled is not None else "",
    )


def new_failure(view: View, event: LoopEvent) -> bool:
    """Whether the run of this event failed in a way that no other run of the loop did before it."""
    mine: Any = next((trial for trial in view.trials if trial.run == event.ref), None)
    if mine is None or not mine.failure or mine.failure in ("stopped", "lost"):
        return False
    kind = failure_kind(mine)
    told = set(view.loop.told)
    others = [trial for trial in view.trials if trial.run != mine.run and trial.failure and trial.run in told]
    return all(failure_kind(trial) != kind for trial in others)


def _all_failed(view: View, event: LoopEvent) -> bool:
    mine = [trial for trial in view.trials if trial.sweep == event.ref]
    return bool(mine) and all(trial.value is None or not math.isfinite(trial.value) for trial in mine)
