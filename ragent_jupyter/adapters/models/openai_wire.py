"""OpenAI's chat completions: our request as its JSON, its chunks as our events. No input, no output."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ragent_jupyter.domain.model import (
    Alive,
    Began,
    Block,
    BlockBegan,
    BlockEnded,
    Ended,
    Image,
    InputDelta,
    Message,
    ModelEvent,
    ModelInfo,
    ModelRequest,
    StopReason,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolResult,
    ToolUse,
    Usage,
)

from .wire import Endpoint, count, cut, decoded_object, failed, refused, tool_input

# Reasoning models of OpenAI's own; on this wire they take calls only when they do not reason.
_REASONS = re.compile(r"^(gpt-[5-9]|o\d)")
_ALWAYS_REASONS = re.compile(r"^(gpt-5(-|$)|gpt-6-astra|gpt-6\.1-sol|o\d)")


# --- what is asked --------------------------------------------------------------------------------------------------
def body(request: ModelRequest, info: ModelInfo, official: bool) -> dict[str, Any]:
    """Arguments of `chat.completions.create`."""
    limit = "max_completion_tokens" if official else "max_tokens"
    sent: dict[str, Any] = {
        "model": info.id,
        "messages": messages(request, info),
        limit: min(request.max_tokens, info.max_output),
        "stream_options": {"include_usage": True},
    }
    if request.tools:
        sent["tools"] = [
            {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": t.schema}}
            for t in request.tools
        ]
        if request.force is not None:
            one = {"type": "function", "function": {"name": request.force}}
            sent["tool_choice"] = "required" if request.force == "any" else one
    reasons = official and _REASONS.match(info.id)
    if reasons and request.tools and not _ALWAYS_REASONS.match(info.id):
        sent["reasoning_effort"] = "none"
    if request.temperature is not None and not reasons:
        sent["temperature"] = request.temperature
    return sent


def messages(request: ModelRequest, info: ModelInfo) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    system = "\n\n".join(s.text for s in request.system if s.text)
    if system:
        made.append({"role": "system", "content": system})
    for message in request.messages:
        made += assistant(message) if message.role == "assistant" else user(message, info)
    return made


def assistant(message: Message) -> list[dict[str, Any]]:
    text = "\n\n".join(b.text for b in message.content if isinstance(b, Text) and b.text)
    calls = [
        {
            "id": b.id,
            "type": "function",
            "function": {"name": b.name, "arguments": msgspec.json.encode(b.input).decode()},
        }
        for b in message.content
        if isinstance(b, ToolUse)
    ]
    if not text and not calls:
        return []
    return [{"role": "assistant", "content": text or None, **({"tool_calls": calls} if calls else {})}]


def user(message: Message, info: ModelInfo) -> list[dict[str, Any]]:
    """Results become messages of their own, right behind the calls; they hold text alone, so images follow them."""
    results: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    for block in message.content:
        match block:
            case ToolResult():
                text = f"Error: {block.text}" if block.is_error else block.text
                results.append({"role": "tool", "tool_call_id": block.tool_use_id, "content": text or "(nothing)"})
                parts += [image(one, info) for one in block.images]
            case Image():
                parts.append(image(block, info))
            case Text(text) if text:
                parts.append({"type": "text", "text": text})
            case _:
                pass
    if parts and all(p["type"] == "text" for p in parts):
        # Servers of other makes know a list of parts less often than a text.
        return [*results, {"role": "user", "content": "\n\n".join(p["text"] for p in parts)}]
    return [*results, {"role": "user", "content": parts}] if parts else results


def image(block: Image, info: ModelInfo) -> dict[str, Any]:
    if not info.images:
        return {"type": "text", "text": f"[{block.media_type} left out: this model reads no images]"}
    return {"type": "image_url", "image_url": {"url": f"data:{block.media_type};base64,{block.data}"}}


# --- what answers ---------------------------------------------------------------------------------------------------
_STOPS: dict[str, StopReason] = {
    "stop": "end_turn", "tool_calls": "tool_use", "function_call": "tool_use", "length": "max_tokens",
    "content_filter": "refusal",
}  # fmt: skip


class _Open:
    def __init__(self, index: int, kind: str, id: str = "", name: str = "") -> None:
        self.index = index
        self.kind = kind
        self.id = id
        self.name = name
        self.texts: list[str] = []

    def whole(self) -> tuple[Block, str]:
        text = "".join(self.texts)
        if self.kind == "text":
            return Text(text), ""
        if self.kind == "thinking":
            return Thinking(text), ""
        input, bad = tool_input(text)
        return ToolUse(self.id, self.name, input), bad


class OpenAIFold:
    """Its chunks in, our events out. The end is the finish reason and then `[DONE]` or the end of the body."""

    def __init__(self, endpoint: Endpoint, model: str, request_id: str = "") -> None:
        self.endpoint = endpoint
        self.model = model
        self.request_id = request_id
        self.heard = False
        self.ended = False
        self._id = ""
        self._finish: str | None = None
        self._refused = False
        self._usage: dict[str, Any] | None = None
        self._began = False
        self._content: list[Block | None] = []
        self._words: _Open | None = None  # the text or the thinking that is being sent
        self._calls: dict[Any, _Open] = {}

    def feed(self, type_: str, data: str) -> list[ModelEvent]:
        """Raises ModelFailed for an error and for what is no chunk."""
        if self.ended:
            return [Alive()]
        if data.strip() == "[DONE]":
            return self._end()
        chunk = decoded_object(data, self.endpoint)
        if chunk.get("error"):
            raise refused(self.endpoint, 200, {}, chunk)
        choices = chunk.get("choices")
        if isinstance(chunk.get("usage"), dict):
            self._usage = chunk["usage"]
        if not isinstance(choices, list):
            return [Alive()]
        self.heard = True
        made: list[ModelEvent] = []
        if not self._began:
            self._began = True
            self._id = str(chunk.get("id") or "")
            self.model = str(chunk.get("model") or self.model)
            made.append(Began(self.model, Usage(calls=1, known=False)))
        for choice in choices:
            if isinstance(choice, dict) and choice.get("index", 0) == 0:
                made += self._delta(choice.get("delta"))
                self._finish = choice.get("finish_reason") or self._finish
        return made or [Alive()]

    def check_ended(self) -> None:
        """Called when no more bytes come. Raises ModelFailed."""
        if not self.ended and self._finish is None:
            raise cut(self.endpoint)

    @property
    def usage(self) -> Usage:
        told = self._usage or {}
        prompt, output = count(told, "prompt_tokens"), count(told, "completion_tokens")
        details = told.get("prompt_tokens_details")
        details = details if isinstance(details, dict) else {}
        read = min(count(details, "cached_tokens") or 0, prompt or 0)
        written = min(count(details, "cache_write_tokens") or 0, (prompt or 0) - read)
        cost = next((told[n] for n in ("estimated_cost", "cost") if isinstance(told.get(n), (int, float))), None)
        return Usage(
            input=(prompt or 0) - read - written,
            output=output or 0,
            cache_read=read,
            cache_write=written,
            cost=float(cost) if cost is not None else None,
            calls=1,
            known=prompt is not None and output is not None,
        )

    def _delta(self, delta: Any) -> list[ModelEvent]:
        if not isinstance(delta, dict):
            return []
        made: list[ModelEvent] = []
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(thought, str) and thought:
            made += self._say("thinking", thought)
        for name in ("content", "refusal"):
            text = delta.get(name)
            if isinstance(text, str) and text:
                self._refused = self._refused or name == "refusal"
                made += self._say("text", text)
        for call in delta.get("tool_calls") or []:
            if isinstance(call, dict):
                made += self._call(call)
        return made

    def _say(self, kind: str, text: str) -> list[ModelEvent]:
        made: list[ModelEvent] = []
        if self._words is None or self._words.kind != kind:
            made += self._end_words()
            self._words = self._open(kind)
            made.append(BlockBegan(self._words.index, "text" if kind == "text" else "thinking"))
        self._words.texts.append(text)
        index = self._words.index
        made.append(TextDelta(index, text) if kind == "text" else ThinkingDelta(index, text))
        return made

    def _call(self, call: dict[str, Any]) -> list[ModelEvent]:
        function = call.get("function")
        function = function if isinstance(function, dict) else {}
        name, id = str(function.get("name") or ""), str(call.get("id") or "")
        place: int | str | None = call.get("index")
        if not isinstance(place, int):  # some servers send each call whole and count none
            place = f"call {len(self._calls)}" if name else next(reversed(self._calls), None)
        one = self._calls.get(place)
        made: list[ModelEvent] = []
        if one is not None and id and name and id != one.id:
            made += self._end_block(self._calls.pop(place))  # a new call at the place of an old one
            one = None
        if one is None:
            if not name:
                raise failed("bad_reply", self.endpoint, f"{self.endpoint.name} sent a piece of no call.")
            made += self._end_words()
            one = self._calls[place] = self._open("tool_use", id or f"call_{self._id}_{len(self._content)}", name)
            made.append(BlockBegan(one.index, "tool_use", one.id, one.name))
        piece = function.get("arguments")
        if isinstance(piece, dict):  # and some send an object, not its JSON
            piece = msgspec.json.encode(piece).decode()
        if isinstance(piece, str) and piece:
            one.texts.append(piece)
            made.append(InputDelta(one.index, piece))
        return made

    def _open(self, kind: str, id: str = "", name: str = "") -> _Open:
        self._content.append(None)
        return _Open(len(self._content) - 1, kind, id, name)

    def _end_words(self) -> list[ModelEvent]:
        one, self._words = self._words, None
        return self._end_block(one) if one is not None else []

    def _end_block(self, one: _Open) -> list[ModelEvent]:
        whole, bad = one.whole()
        self._content[one.index] = whole
        return [BlockEnded(one.index, whole, bad)]

    def _end(self) -> list[ModelEvent]:
        if self._finish is None:
            raise cut(self.endpoint)
        made = self._end_words()
        for one in self._calls.values():
            made += self._end_block(one)
        self.ended = True
        content = [b for b in self._content if b is not None]
        stop = _STOPS.get(self._finish, "other")
        if stop == "end_turn" and any(isinstance(b, ToolUse) for b in content):
            stop = "tool_use"  # some servers say "stop" whatever they send
        if stop == "end_turn" and self._refused:
            stop = "refusal"
        return [*made, Ended(stop, self.usage, content, self.request_id)]
