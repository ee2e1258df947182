"""One call of the model: the request made from the record, the message told piece by piece, the account of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from typing import Any

import msgspec

from ragent_jupyter.domain.chat import Provenance, ToolPart
from ragent_jupyter.domain.errors import RagentError
from ragent_jupyter.domain.model import (
    Block,
    Ended,
    Image,
    Message,
    Model,
    ModelEvent,
    ModelFailed,
    ModelRequest,
    Text,
    TextDelta,
    ThinkingDelta,
    Usage,
)
from ragent_jupyter.domain.ports import RowPut, Tx
from ragent_jupyter.rules import turn as rules
from ragent_jupyter.rules.compaction import fit, overhead

from .shell import Change
from .turn_seat import Prepared, Seat

log = logging.getLogger("ragent.engine")

_FREE = frozenset({"builtin", "scripted"})  # they cost nothing, so no budget ends them


class ModelCalls:
    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self._prompted: list[dict[str, Any]] = []

    async def call(self, effect: rules.CallModel) -> rules.TurnEvent:
        self.seat.record.begin(effect.step)
        began = self.seat.shell.clock.mono()
        try:
            model = self.seat.kit.models.model_for(self.seat.role, self.seat.session.model)
            over = self.seat.kit.models.over_budget()
            if over and model.info.provider not in _FREE:
                raise ModelFailed("spend_limit", over, "Raise the daily limit in the settings, or wait until tomorrow.")
            prepared = self.seat.prepare(self.seat.session, self.seat.turn, effect.step)
            request, tokens = await self._request(model, prepared, effect)
            await self.seat.shell.commit(self.seat.status("streaming"))
            ended, first_ms = await self._listen(model, request, began)
        except ModelFailed as failed:
            await self.seat.shell.commit([*self.seat.record.cut(), *self.seat.status("streaming")])
            return rules.Failed(
                at=self.seat.shell.clock.now(),
                kind=failed.kind,
                problem=failed.problem,
                remedy=failed.remedy,
                retry_after=failed.retry_after,
                chance=random.random(),
            )
        except RagentError as error:
            await self.seat.shell.commit(self.seat.record.cut())
            return rules.Failed(
                at=self.seat.shell.clock.now(), kind="bad_request", problem=error.problem, remedy=error.remedy
            )
        usage = msgspec.structs.replace(self.seat.kit.models.price(model.info.id, ended.usage), calls=1)
        calls_cut = ended.stop_reason in ("max_tokens", "refusal", "context_exceeded")
        changes = self.seat.record.whole(calls_cut=calls_cut)
        now = self.seat.shell.clock.now()
        turn = msgspec.structs.replace(
            self.seat.turn,
            steps=effect.step,
            usage=rules.add(self.seat.turn.usage, usage),
            parts=len(self.seat.record.parts()) + len(changes),
            model=f"{model.info.provider}:{model.info.id}",
        )
        session = msgspec.structs.replace(
            self.seat.session,
            usage=rules.add(self.seat.session.usage, usage),
            context_tokens=ended.usage.prompt or tokens,
            context_limit=model.info.context,
            updated_at=now,
        )
        await self.seat.shell.commit([*changes, Change("turn_changed", turn), Change("session_changed", session)])
        await self._account(request, prepared, ended, usage, model, effect, first_ms, began)
        # As the record has them, not as they were sent: a provider may use an id twice.
        calls = tuple(
            rules.Call(id=part.call_id, name=part.name, input=part.input, bad_input=part.bad_input)
            for part in self.seat.record.calls(effect.step)
        )
        return rules.Answered(at=now, stop_reason=ended.stop_reason, calls=calls, usage=usage)

    async def _request(self, model: Model, prepared: Prepared, effect: rules.CallModel) -> tuple[ModelRequest, int]:
        info = model.info
        tools = self.seat.kit.tools.offers(prepared.tools) if info.tools else []
        most = min(info.max_output, 16_384)
        room = int(info.context * 0.9) - most - overhead(prepared.system, tools)
        if effect.shrink:
            room //= 2
        parts: dict[str, list[Any]] = {}
        for part in sorted(self.seat.shell.parts[self.seat.session_id].values(), key=lambda p: p.index):
            parts.setdefault(part.turn_id, []).append(part)
        turns = list(self.seat.shell.turns[self.seat.session_id].values())
        if self.seat.session.about.get("wild"):
            # A loop's decision rests on the record alone, which its context holds: what was said before is no part.
            turns = [turn for turn in turns if turn.id == self.seat.turn_id]
        wanted = {a.id for turn in turns for a in turn.message.attachments}
        wanted |= {id for of in parts.values() for part in of if isinstance(part, ToolPart) for id in part.images}
        media = await self.seat.kit.media(sorted(wanted)) if wanted else {}
        if not info.images:
            media = {id: _no_image(block) for id, block in media.items()}
        fitted = fit(turns, parts, self.seat.turn_id, media, max(room, 2000))
        messages = list(fitted.messages)
        if effect.note:
            note = Text(f"[ragent: {effect.note}]")
            if messages and messages[-1].role == "user":
                messages[-1] = Message("user", [*messages[-1].content, note])
            else:
                messages.append(Message("user", [note]))
        force = prepared.force or ("any" if effect.must_call and tools else None)
        request = ModelRequest(
            system=prepared.system,
            messages=messages,
            tools=tools,
            force=force,
            max_tokens=most,
            thinking=info.thinking and force is None,
        )
        return request, fitted.tokens + overhead(prepared.system, tools)

    async def _listen(self, model: Model, request: ModelRequest, began: float) -> tuple[Ended, float | None]:
        """The whole message, told piece by piece. Raises ModelFailed."""
        first_ms: float | None = None
        stream = model.stream(request)
        try:
            while True:
                try:
                    event = await self._next(stream)
                except StopAsyncIteration:
                    raise ModelFailed("cut", "The model's answer broke off before its end.") from None
                match event:
                    case Ended():
                        return event, first_ms
                    case TextDelta() | ThinkingDelta() if first_ms is None:
                        first_ms = (self.seat.shell.clock.mono() - began) * 1000
                self.seat.record.hear(event)
        finally:
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()

    async def _next(self, stream: Any) -> ModelEvent:
        """The next event; after a minute of silence says so, after two ends the try."""
        task = asyncio.ensure_future(anext(stream))
        try:
            done, _ = await asyncio.wait({task}, timeout=self.seat.kit.quiet_s)
            if not done:
                note = f"Still waiting: nothing from the model for {self.seat.kit.quiet_s:.0f} s."
                await self.seat.shell.commit(self.seat.status("streaming", note))
                done, _ = await asyncio.wait({task}, timeout=self.seat.kit.stalled_s - self.seat.kit.quiet_s)
                if not done:
                    raise ModelFailed("stalled", f"Nothing came from the model for {self.seat.kit.stalled_s:.0f} s.")
                await self.seat.shell.commit(self.seat.status("streaming"))
            event: ModelEvent = task.result()
            return event
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

    async def _account(
        self,
        request: ModelRequest,
        prepared: Prepared,
        ended: Ended,
        usage: Usage,
        model: Model,
        effect: rules.CallModel,
        first_ms: float | None,
        began: float,
    ) -> None:
        """What the call was given and cost. Not part of the event log: it is read only when somebody asks."""
        messages = [_plain(message) for message in request.messages]
        kept = 0
        while kept < min(len(messages), len(self._prompted)) and messages[kept] == self._prompted[kept]:
            kept += 1
        self._prompted = messages
        told = Provenance(
            id=self.seat.kit.make_id("prv"),
            session_id=self.seat.session_id,
            turn_id=self.seat.turn_id,
            step=effect.step,
            at=self.seat.shell.clock.now(),
            model=model.info.id,
            provider=model.info.provider,
            system="\n\n".join(text.text for text in prepared.system),
            messages=messages[kept:],
            kept=kept,
            tools=[tool.name for tool in request.tools],
            rules=self.seat.turn.rules,
            usage=usage,
            stop_reason=ended.stop_reason,
            first_token_ms=first_ms,
            latency_ms=(self.seat.shell.clock.mono() - began) * 1000,
            tries=effect.tries,
        )
        data = msgspec.json.encode(told)
        put = RowPut(kind="provenance", id=told.id, data=data, parent=self.seat.turn_id, sort=told.at)
        try:
            await self.seat.shell.store.commit(Tx(puts=[put]))
            await self.seat.kit.models.spent(self.seat.role, usage, model.info.id, self.seat.session_id)
        except RagentError as error:
            log.warning("the account of a model call was not kept: %s", error)

    async def wait(self, effect: rules.WaitApi) -> rules.TurnEvent:
        wake_at = self.seat.shell.clock.now() + effect.seconds
        await self.seat.shell.commit(self.seat.status("waiting_api", effect.why, wake_at))
        self.seat.wake.clear()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.seat.wake.wait(), effect.seconds)
        return rules.Woken(at=self.seat.shell.clock.now())


def _no_image(block: Block) -> Block:
    return Text("[an image; this model sees no images]") if isinstance(block, Image) else block


def _plain(message: Message) -> dict[str, Any]:
    """A message for the eyes of a person: images by their size only."""
    made: dict[str, Any] = msgspec.to_builtins(message)
    for block in made["content"]:
        if block.get("type") == "image":
            block["data"] = f"[{len(block['data']) * 3 // 4:,} bytes]"
    return made
