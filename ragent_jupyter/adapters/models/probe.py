"""What an endpoint can do, found out by trying: a streamed call of a tool, its result's way back, counted tokens."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from ragent_jupyter.domain.model import (
    Began,
    Block,
    BlockBegan,
    Ended,
    InputDelta,
    Message,
    Model,
    ModelFailed,
    ModelInfo,
    ModelRequest,
    SystemText,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolOffer,
    ToolResult,
    ToolUse,
    Usage,
)
from ragent_jupyter.domain.wire_chat import Probe

_ADD = ToolOffer(
    "add",
    "Adds two whole numbers.",
    {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
)
_SYSTEM = [SystemText("You test a connection. Do exactly what is asked, in as few words as you can.")]
_ASKED = Message("user", [Text("Call the tool add with a=2 and b=3. When you have its result, say the result.")])
_TOKENS = 1024
# Longer than any provider's smallest cacheable prompt, or nothing would be cached and the trial would tell nothing.
_FILLER = "This sentence only makes the prompt long enough to be cached. " * 500


async def probe(model: Model, remake: Callable[[ModelInfo], Model] | None = None) -> Probe:
    """Two short calls, and where `remake` is given two more for what is not sent unasked: thinking and caching.

    remake: the same model with another info. Never raises ModelFailed: a failure is what was found.
    """
    name = f"{model.info.provider}:{model.info.id}"
    found = Probe(model=name, ok=False)
    try:
        first, ms, pieces = await _call(model, ModelRequest(
            system=_SYSTEM, messages=[_ASKED], tools=[_ADD], force="any", max_tokens=_TOKENS
        ))  # fmt: skip
    except ModelFailed as error:
        return msgspec.structs.replace(found, problem=error.problem, remedy=error.remedy)
    found = msgspec.structs.replace(found, streams=pieces > 0, usage=first.usage.known, first_token_ms=ms)
    call = next((b for b in first.content if isinstance(b, ToolUse)), None)
    if call is None or call.name != "add" or call.input.get("a") != 2:
        return msgspec.structs.replace(
            found,
            problem="It answered, but did not call the tool that it was offered.",
            remedy="Choose a model that can call tools (a llama.cpp server needs --jinja).",
        )
    said: list[Block] = [ToolResult(call.id, "5")]
    again = [_ASKED, Message("assistant", first.content), Message("user", said)]
    try:
        second, _, _ = await _call(
            model, ModelRequest(system=_SYSTEM, messages=again, tools=[_ADD], max_tokens=_TOKENS)
        )
    except ModelFailed as error:
        problem = f"It calls tools, but takes no results: {error.problem}"
        return msgspec.structs.replace(found, problem=problem, remedy=error.remedy)
    tools = bool(second.content)
    found = msgspec.structs.replace(
        found,
        ok=tools,
        tools=tools,
        problem="" if tools else "It called the tool, but said nothing about the result.",
        remedy="" if tools else "Choose another model.",
        thinking=model.info.thinking,
        caching=model.info.caching,
    )
    if remake is not None and tools:
        found = await _extras(model.info, remake, found)
    return found


async def _extras(info: ModelInfo, remake: Callable[[ModelInfo], Model], found: Probe) -> Probe:
    """A failure here only says that it cannot."""
    if not info.thinking:
        try:
            thought, _, _ = await _call(
                remake(msgspec.structs.replace(info, thinking=True)),
                ModelRequest(system=_SYSTEM, messages=[_ASKED], thinking=True, max_tokens=2 * _TOKENS),
            )
            thinks = any(isinstance(b, Thinking) for b in thought.content)
            found = msgspec.structs.replace(found, thinking=thinks)
        except ModelFailed:
            pass  # found.thinking stays False, which is the answer
    if not info.caching:
        try:
            request = ModelRequest(
                system=[SystemText(_FILLER, cache=True)], messages=[Message("user", [Text("Say yes.")])], max_tokens=64
            )
            cached, _, _ = await _call(remake(msgspec.structs.replace(info, caching=True)), request)
            found = msgspec.structs.replace(found, caching=moved(cached.usage))
        except ModelFailed:
            pass  # as above
    return found


def moved(usage: Usage) -> bool:
    return usage.cache_read + usage.cache_write > 0


async def _call(model: Model, request: ModelRequest) -> tuple[Ended, float, int]:
    """(its end, milliseconds to the first word, how many pieces came)."""
    began = time.monotonic()
    first: float | None = None
    pieces = 0
    async for event in model.stream(request):
        match event:
            case Began() | BlockBegan():
                continue
            case TextDelta() | ThinkingDelta() | InputDelta():
                pieces += 1
                first = first if first is not None else time.monotonic()
            case Ended():
                return event, ((first or time.monotonic()) - began) * 1000, pieces
    raise ModelFailed("cut", "The answer broke off before its end.")
