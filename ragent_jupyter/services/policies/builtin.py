"""The policy that needs no key: rules and an optimiser. It keeps nothing; the same view and event, the same actions."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from ragent_jupyter.domain.ports_wild import Hands, Optimiser, Policy, Thought
from ragent_jupyter.domain.wild import Action, Analyse, LoopEvent, View
from ragent_jupyter.rules.stats import short
from ragent_jupyter.rules.wild_builtin import Step, halving, next_steps, on_answer, on_human, rule_on


class BuiltinPolicy(Policy):
    def __init__(self, optimiser: Optimiser) -> None:
        self.optimiser = optimiser

    async def decide(self, view: View, event: LoopEvent, hands: Hands) -> Thought:
        match event.kind:
            case "critical" | "warning":
                return await self._alert(view, event, hands)
            case "completion" | "failure":
                return Thought(reasoning=_ended(view, event), who="rule:note")
            case "human":
                return await _answer(on_human(view, event.text), hands)
            case "answer":
                answered = on_answer(view, event.text)
                # An answer to nothing that is open changes nothing: what is true says how it goes on.
                steps = answered if answered is not None else next_steps(view, event, self.optimiser)
            case _:
                steps = next_steps(view, event, self.optimiser)
        return await _do(steps, hands)

    def watch(self, view: View) -> list[tuple[Action, str]]:
        return list(halving(view))

    async def _alert(self, view: View, event: LoopEvent, hands: Hands) -> Thought:
        alert = next((a for a in view.alerts if a.id == event.ref), None)
        if alert is None or alert.status.value != "pending":
            return Thought(reasoning="The alert is no longer open.", who="rule:note")
        ruling = rule_on(view, alert)
        if ruling is None:
            return Thought(reasoning=f"{alert.title}: it offers nothing a rule may choose.", who="rule:note")
        await hands.act(ruling.action, reasoning=ruling.reasoning, evidence=ruling.evidence, who=ruling.who)
        return Thought(reasoning=ruling.reasoning, who=ruling.who)


async def _do(steps: Sequence[Step], hands: Hands) -> Thought:
    """All steps in order. After one that is refused or waits for a person, nothing that builds on it is begun."""
    said: list[str] = []
    for step in steps:
        outcome = await hands.act(step.action, reasoning=step.reasoning, evidence=step.evidence, who=step.who)
        said.append(step.reasoning if outcome.accepted else f"{step.reasoning} {outcome.text}")
        if not outcome.accepted and not _only_words(step):
            break
    return Thought(reasoning="\n".join(said), who=steps[-1].who if steps else "rule:note")


async def _answer(steps: Sequence[Step], hands: Hands) -> Thought:
    """What a person asked for, each part on its own; the last step tells them, with what was refused and why."""
    refused: list[str] = []
    for step in steps[:-1]:
        outcome = await hands.act(step.action, reasoning=step.reasoning, evidence=step.evidence, who=step.who)
        if not outcome.accepted:
            refused.append(outcome.text)
    last = steps[-1]
    if refused and isinstance(last.action, Analyse):
        text = f"{last.action.text} Not done: {' '.join(refused)}"
        last = replace(last, action=replace(last.action, text=text), reasoning=text)
    await hands.act(last.action, reasoning=last.reasoning, evidence=last.evidence, who=last.who)
    return Thought(reasoning=last.reasoning, who=last.who)


def _only_words(step: Step) -> bool:
    """A note that is refused (a number in it that is not on record) holds nothing up."""
    return isinstance(step.action, Analyse)


def _ended(view: View, event: LoopEvent) -> str:
    trial = next((t for t in view.trials if t.run == event.ref), None)
    if trial is None:
        return event.text or "A run ended."
    value = "no value" if trial.value is None else short(trial.value)
    if event.kind == "completion":
        return (
            f"{trial.run} ended with {view.loop.setup.metric or 'its metric'} {value}; its batch is judged as a whole."
        )
    what = {
        "oom": "out of memory: infeasible, not bad; once more with half the batch where that is searched",
        "nan": "not finite: the search keeps away from it, and from higher learning rates if it happens again",
    }.get(trial.failure, trial.log_line or trial.reason or event.text or trial.failure)
    return f"{trial.run} failed ({trial.failure or trial.status}): {' '.join(what.split())[:300]}"
