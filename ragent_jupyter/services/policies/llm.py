"""A model decides: one decision is one turn of the loop's chat, carried by the loop of every agent.

The prompt is made anew from the view for each decision; what was said before is no part of it. What the model wants
done it says through typed tools, or through tags where it has none, and each of them goes through the loop's guard.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Protocol, get_args

import msgspec

from ragent_jupyter.domain.chat import Session, TextPart, ToolPart, Turn
from ragent_jupyter.domain.errors import CannotBeDone, RagentError, WrongMoment
from ragent_jupyter.domain.model import FailureKind, ModelFailed, ModelInfo, SystemText, Usage
from ragent_jupyter.domain.ports_wild import Hands, Outcome, Policy, Thought
from ragent_jupyter.domain.wild import Action, Analyse, Launch, Loop, LoopEvent, ProposeSweep, Seen, View
from ragent_jupyter.rules import skill_text, wild_prompt
from ragent_jupyter.rules.compaction import overhead, tokens_of_text
from ragent_jupyter.rules.prompt import one_line, quote
from ragent_jupyter.rules.turn import Limits, add
from ragent_jupyter.rules.wild_seeds import seeded
from ragent_jupyter.rules.wild_tags import parse

from ..agent import TurnRunner
from ..skills import Used
from ..tools.base import Toolbox
from ..tools.wild import wild_tools
from ..turn_seat import Kit, Prepared
from .wild_turns import Carrier, OnWaiting, TooLong, WildTurns

log = logging.getLogger("ragent.engine")

STEPS = 30  # model calls of one decision
_REASONING = 4_000
_ANSWER = 6_000  # of an answer that is quoted back
_EVIDENCE = 12
_RESULTS = 1_000  # tokens that are kept free for what the tools find
_KINDS = frozenset(get_args(FailureKind))


class Skills(Protocol):
    """services/skills.py."""

    def use(self, name: str) -> Used: ...


class Memory(Protocol):
    def active(self, hints: Any = None) -> list[Any]: ...


@dataclass
class Deciding:
    """A decision under way. kept: actions that were accepted or that a person is asked about."""

    view: View
    event: LoopEvent
    hands: Hands
    runner: TurnRunner | None = None
    kept: list[Action] = field(default_factory=list)

    @property
    def who(self) -> str:
        return self.runner.turn.model if self.runner is not None else ""

    async def act(self, action: Action, reasoning: str) -> Outcome:
        if isinstance(action, (ProposeSweep, Launch)):
            action = seeded(self.view, action)
        evidence = self._evidence(reasoning)
        why = reasoning or self._words() or str(getattr(action, "text", ""))[:_REASONING]
        outcome = await self.hands.act(action, reasoning=why, evidence=evidence, who=self.who)
        if outcome.accepted or outcome.asked:
            self.kept.append(action)
        return outcome

    def _parts(self) -> list[Any]:
        return self.runner.record.parts() if self.runner is not None else []

    def _words(self) -> str:
        said = [part.text for part in self._parts() if isinstance(part, TextPart) and part.status == "done"]
        return said[-1].strip()[:_REASONING] if said else ""

    def _evidence(self, reasoning: str) -> list[Seen]:
        """What the decision looked at: the event, the runs that it read about, and those that its reason names."""
        seen = [Seen(kind="event", ref=self.event.ref or self.event.id, text=one_line(self.event.text, 200))]
        looked = [part for part in self._parts() if isinstance(part, ToolPart) and part.status == "done"]
        words = " ".join([reasoning, *(str(value) for part in looked for value in part.input.values())])
        for trial in self.view.trials:
            if trial.run in words and len(seen) < _EVIDENCE:
                seen.append(Seen(kind="run", ref=trial.run, value=trial.value, text=one_line(trial.failure, 80)))
        for alert in self.view.alerts:
            if alert.id in words or alert.id == self.event.ref:
                seen.append(Seen(kind="alert", ref=alert.id, text=one_line(alert.title, 200)))
        return seen[: _EVIDENCE + 4]


class LLMPolicy(Policy):
    """One for all loops of an engine. log_tail: the end of a run's log, without control codes; "" where none is."""

    def __init__(
        self,
        kit: Kit,
        skills: Skills,
        memory: Memory | None = None,
        *,
        log_tail: Callable[[str], Awaitable[str]] | None = None,
        chat: Carrier | None = None,
        steps: int = STEPS,
    ) -> None:
        reads = [kit.tools.get(name) for name in wild_prompt.READS if name in kit.tools.names()]
        # A box of its own: what a loop's mind may do is neither offered in chats, nor the other way round.
        box = Toolbox([*(tool for tool in reads if tool.spec.effect == "read"), *wild_tools(self)])
        self.kit = dataclasses.replace(kit, tools=box)
        self.reads = [tool.spec.name for tool in reads if tool.spec.effect == "read"]
        self.turns = WildTurns(self.kit, chat)
        self.skills = skills
        self.memory = memory
        self.log_tail = log_tail
        self.steps = steps
        self._deciding: dict[str, Deciding] = {}  # by session

    # --- what the loop's driver asks ----------------------------------------------------------------------------------
    async def begin(self) -> None:
        await self.turns.begin()

    async def session(self, loop: Loop) -> Session:
        return await self.turns.session(loop)

    def tell_waiting(self, told: OnWaiting) -> None:
        """told(loop id, wake time, why) when a provider is waited for; with None once it goes on."""
        self.turns.on_waiting = told

    async def interrupted(self, loop: Loop, event: LoopEvent) -> str:
        session = await self.turns.session(loop)
        return await self.turns.interrupted(session.id, loop, event)

    def watch(self, view: View) -> list[tuple[Action, str]]:
        return []

    async def act_in_session(self, session_id: str, action: Action, reasoning: str) -> Outcome:
        """What the tools of services/tools/wild.py call. Raises WrongMoment."""
        deciding = self._deciding.get(session_id)
        if deciding is None:
            raise WrongMoment("No wild loop decides in this chat.", "These tools are a loop's own; use a chat's.")
        return await deciding.act(action, reasoning)

    async def decide(self, view: View, event: LoopEvent, hands: Hands) -> Thought:
        return await self.ask(view, event, hands)

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
    ) -> Thought:
        """only: tools that may act, of those that fit.  must: whether a decision without an action is asked for again.
        patience_s: how long the provider is waited for before ModelFailed; None: as long as the rules of a turn say.

        Raises ModelFailed; WrongMoment where a person stopped it; CannotBeDone where the model would not decide.
        """
        session = await self.turns.session(view.loop)
        if session.id in self._deciding:
            raise WrongMoment("The loop's model decides already.", "One event at a time.")
        deciding = self._deciding[session.id] = Deciding(view, event, hands)
        try:
            lost = await self.turns.interrupted(session.id, view.loop, event)
            model = self.kit.models.model_for("wild", session.model)
            names = [name for name in wild_prompt.tools_for(view, event) if only is None or name in only]
            must = event.kind in wild_prompt.MUST_ACT if must is None else must
            tail = await self._tail(view, event)
            room = self._room(model.info, names)
            one = _One(self, session, deciding, names, must, patience_s, room, tail, note)
            thought = await (one.with_tools() if model.info.tools else one.with_tags())
            return msgspec.structs.replace(thought, reasoning=f"{lost}\n{thought.reasoning}".strip())
        finally:
            self._deciding.pop(session.id, None)

    def _room(self, info: ModelInfo, names: list[str]) -> int:
        """Tokens that the prompt may take: less than usual where the model's context is small."""
        tools = self.kit.tools.offers([*self.reads, *names]) if info.tools else []
        left = int(info.context * 0.9) - min(info.max_output, 16_384) - overhead([], tools) - _RESULTS
        return min(wild_prompt.ROOM, left)

    async def _tail(self, view: View, event: LoopEvent) -> str:
        alert = next((a for a in view.alerts if a.id == event.ref), None)
        run = alert.run_id if alert is not None else event.ref
        if self.log_tail is None or not any(trial.run == run for trial in view.trials):
            return ""
        try:
            return self.kit.redact(await self.log_tail(run))
        except (RagentError, OSError) as error:
            log.warning("the log of %s could not be read for a decision: %s", run, error)
            return ""


@dataclass
class _One:
    """One decision: its prompts, its turn, and what came of it."""

    policy: LLMPolicy
    session: Session
    deciding: Deciding
    names: list[str]
    must: bool
    patience_s: float | None
    room: int
    tail: str
    note: str
    prose: str = ""  # of a model without tools: what it said beside its signals

    # --- prompts ------------------------------------------------------------------------------------------------------
    def _prompt(self, tags: bool) -> tuple[list[SystemText], str]:
        """(system prompt, context). The context's first line says which templates they were made from."""
        view, event = self.deciding.view, self.deciding.event
        used = [self.policy.skills.use(wild_prompt.SYSTEM), self.policy.skills.use(wild_prompt.SKILL_OF[event.kind])]
        if tags:
            used.append(self.policy.skills.use(wild_prompt.TAGS))
        texts = [one.skill.body for one in used]
        lengths = wild_prompt.sections(view, event, self.tail)
        both = "\n".join(texts[:2])
        chosen = wild_prompt.fitted(lengths, skill_text.holes(both), sum(map(tokens_of_text, texts)), self.room)
        system = [SystemText(skill_text.render(texts[0], chosen), cache=True)]
        if tags:
            system.append(SystemText(skill_text.render(texts[2], {"command": one_line(view.loop.setup.command, 600)})))
        told = f"[Asked with {', '.join(one.told for one in used)}; made from the record for this decision alone]"
        notes = [told, *(f"[{one.note}]" for one in used if one.note), *([f"[{self.note}]"] if self.note else [])]
        redact = self.policy.kit.redact
        system = [msgspec.structs.replace(text, text=redact(text.text)) for text in system]
        return system, "\n".join(notes) + "\n\n" + skill_text.render(texts[1], chosen)

    async def _turn(self, system: list[SystemText], context: str, names: list[str], text: str, must: bool) -> Turn:
        """One turn, to its end. Raises ModelFailed, WrongMoment, CannotBeDone."""
        policy, view, event = self.policy, self.deciding.view, self.deciding.event
        rules = [rule.id for rule in policy.memory.active()] if policy.memory is not None else []
        turn = await policy.turns.new(
            self.session, view.loop, event, text=text, shown=_shown(event), context=context, rules=rules
        )
        limits = view.loop.limits
        left = Limits(
            steps=policy.steps,
            tokens=None if limits.tokens is None else max(1, limits.tokens - view.loop.spent.tokens),
            cost=None if limits.cost_usd is None else max(0.01, limits.cost_usd - (view.loop.spent.cost_usd or 0.0)),
            must_call=must,
        )
        prepared = Prepared(system, names)
        runner = TurnRunner(policy.kit, turn, lambda session, turn, step: prepared, role="wild", limits=left)
        self.deciding.runner = runner
        try:
            await policy.turns.through(runner, view.loop.id, self.patience_s)
        except TooLong as error:
            raise ModelFailed("network", str(error), "The model is asked again at the next decision.") from None
        return self._came(runner.turn)

    def _came(self, turn: Turn) -> Turn:
        error = turn.error
        if turn.status == "stopped":
            raise WrongMoment("The decision was stopped.", "The loop decides anew; pause it if it should not.")
        if turn.status == "failed" and error is not None and error.type != "no_tool":
            if error.type in _KINDS:
                raise ModelFailed(error.type, error.problem, error.remedy)  # type: ignore[arg-type]
            raise CannotBeDone(error.problem, error.remedy)
        return turn

    def _words(self, turn: Turn) -> str:
        assert self.deciding.runner is not None
        parts = [p for p in self.deciding.runner.record.parts() if isinstance(p, TextPart) and p.status == "done"]
        return "\n".join(part.text for part in parts).strip()

    def _thought(self, turn: Turn, words: str, usage: Usage) -> Thought:
        said = words[-_REASONING:]
        if turn.error is not None:
            said = f"{said}\n{turn.error.problem}".strip()
        return Thought(reasoning=said, who=turn.model, usage=usage, turn_id=turn.id)

    # --- a model with tools -------------------------------------------------------------------------------------------
    async def with_tools(self) -> Thought:
        system, context = self._prompt(tags=False)
        text = f"Decide about this event ({self.deciding.event.kind})."
        turn = await self._turn(system, context, [*self.policy.reads, *self.names], text, self.must)
        return self._thought(turn, self._words(turn), turn.usage)

    # --- a model without ----------------------------------------------------------------------------------------------
    async def with_tags(self) -> Thought:
        system, context = self._prompt(tags=True)
        text = f"Decide about this event ({self.deciding.event.kind}). Act by signals."
        turn = await self._turn(system, context, [], text, False)
        words, usage = self._words(turn), turn.usage
        problems = await self._heed(words)
        if problems and all(isinstance(action, Analyse) for action in self.deciding.kept):
            again = self.policy.skills.use(wild_prompt.AGAIN)
            told = {
                "answer": quote(words[-_ANSWER:] or "(nothing)", "your own answer"),
                "problems": "\n".join(f"- {problem}" for problem in problems),
            }
            more = f"{context}\n\n[Asked once more with {again.told}]\n{skill_text.render(again.skill.body, told)}"
            turn = await self._turn(system, more, [], "Answer once more, with valid signals.", False)
            words, usage = self._words(turn), add(usage, turn.usage)
            problems = await self._heed(words)
        thought = self._thought(turn, words, usage)
        if problems:
            said = f"{thought.reasoning}\n" + " ".join(problems)
            thought = msgspec.structs.replace(thought, reasoning=said.strip())
        return thought

    async def _heed(self, words: str) -> list[str]:
        """Carry the signals to the guard; what was wrong with them."""
        event, setup = self.deciding.event, self.deciding.view.loop.setup
        tags = parse(words, setup.command)
        problems = list(tags.problems)
        actions: list[Action] = []
        for action in tags.actions:
            name = str(action.__struct_config__.tag)
            if name in self.names:
                actions.append(action)
            else:
                problems.append(f"{name} does not fit this moment.")
        self.prose = self.prose or tags.prose
        if event.kind == "analysis" and self.prose and actions and "analyse" in self.names:
            actions.insert(0, Analyse(text=self.prose[:_REASONING]))
        for action in actions:
            outcome = await self.deciding.act(action, getattr(action, "reason", "") or tags.prose[:_REASONING])
            if not outcome.accepted and not outcome.asked and not isinstance(action, Analyse):
                problems.append(f"{action.__struct_config__.tag} was refused. {outcome.text}")
        if self.must and not problems and not actions:
            problems.append("No signal says how it goes on.")
        return problems


def _shown(event: LoopEvent) -> str:
    about = f" {event.ref}" if event.ref else ""
    return f"{event.kind}{about}" + (f": {one_line(event.text, 160)}" if event.text else "")
