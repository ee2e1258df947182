"""Anthropic's messages: our request as its JSON, its events as ours. No input, no output."""

from __future__ import annotations

import re
from typing import Any

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

BINDING_BETA = "thinking-binding-controls-2026-08-01"
_CACHE = {"type": "ephemeral"}
_VERSION = re.compile(r"claude-[a-z]+-(\d+)(?:-(\d{1,2}))?(?:-\d{8})?$")


def version(model: str) -> tuple[int, int]:
    """A Claude model's generation; (0, 0) for names of another make.

    >>> version("claude-sonnet-5-5"), version("claude-opus-5"), version("claude-haiku-4-5-20251001"), version("llama")
    ((5, 5), (5, 0), (4, 5), (0, 0))
    """
    found = _VERSION.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


# --- what is asked --------------------------------------------------------------------------------------------------
def body(request: ModelRequest, info: ModelInfo, official: bool) -> dict[str, Any]:
    """Arguments of `messages.create`. What an endpoint is not known to take is left out."""
    forced = request.force is not None and bool(request.tools)
    # From Claude 5 on a forced call is refused with 400; the model is told in words, and the caller checks.
    forcible = not (official and version(info.id) >= (5, 0))
    said = messages(request.messages, info)
    sent: dict[str, Any] = {
        "model": info.id,
        "max_tokens": min(request.max_tokens, info.max_output),
        "messages": said,
    }
    if request.system:
        sent["system"] = system(request, info)
    if request.tools:
        sent["tools"] = [
            {"name": t.name, "description": t.description, "input_schema": t.schema} for t in request.tools
        ]
    if forced and forcible:
        sent["tool_choice"] = {"type": "any"} if request.force == "any" else {"type": "tool", "name": request.force}
    elif forced:
        which = "one of your tools" if request.force == "any" else f"the tool `{request.force}`"
        append_text(said, f"Answer this by calling {which}, not in words.")
    going_on = any(b["type"] in ("thinking", "redacted_thinking") for m in said for b in m["content"])
    if info.thinking and (request.thinking or going_on) and not (forced and forcible):
        sent["thinking"] = {"type": "adaptive"}
        if official:
            # Its default leaves the words out, also those between calls.
            sent["thinking"]["display"] = "summarized"
            if version(info.id) >= (5, 1):
                # Signatures are bound to everything before them; where that changed, drop the block, not the call.
                sent["thinking"]["block_binding"] = {"prefix_mismatch_behavior": "drop_block"}
                sent["extra_headers"] = {"anthropic-beta": BINDING_BETA}
    if request.temperature is not None and not official:
        sent["extra_body"] = {"temperature": request.temperature}
    if info.caching:
        mark_last(said)
    return sent


def system(request: ModelRequest, info: ModelInfo) -> list[dict[str, Any]]:
    marked = [i for i, s in enumerate(request.system) if s.cache][-2:] if info.caching else []
    return [
        {"type": "text", "text": s.text, **({"cache_control": _CACHE} if i in marked else {})}
        for i, s in enumerate(request.system)
        if s.text
    ]


def messages(said: list[Message], info: ModelInfo) -> list[dict[str, Any]]:
    """Thinking of earlier turns is left out: its signature holds for the conversation as it was then."""
    turn = max((i for i, m in enumerate(said) if m.role == "user" and not _results(m)), default=0)
    made = []
    for i, message in enumerate(said):
        content = [blocks for b in message.content if (blocks := block(b, info, thinking=i > turn and info.thinking))]
        if content:
            made.append({"role": message.role, "content": content})
    return made


def _results(message: Message) -> bool:
    return any(isinstance(b, ToolResult) for b in message.content)


def block(b: Block, info: ModelInfo, thinking: bool) -> dict[str, Any] | None:
    match b:
        case Text(text):
            return {"type": "text", "text": text} if text.strip() else None  # an empty one is refused with 400
        case Image():
            return image(b, info)
        case Thinking(text, signature, redacted):
            if not thinking or not (signature or redacted):
                return None
            if redacted:
                return {"type": "redacted_thinking", "data": redacted}
            return {"type": "thinking", "thinking": text, "signature": signature}
        case ToolUse(id, name, input):
            return {"type": "tool_use", "id": id, "name": name, "input": input}
        case ToolResult():
            content: list[dict[str, Any]] = [{"type": "text", "text": b.text}] if b.text.strip() else []
            content += [image(i, info) for i in b.images]
            return {"type": "tool_result", "tool_use_id": b.tool_use_id, "content": content, "is_error": b.is_error}


def image(b: Image, info: ModelInfo) -> dict[str, Any]:
    if not info.images:
        return {"type": "text", "text": f"[{b.media_type} left out: this model reads no images]"}
    return {"type": "image", "source": {"type": "base64", "media_type": b.media_type, "data": b.data}}


def append_text(said: list[dict[str, Any]], text: str) -> None:
    """Words of ours after all else, in the user's last message (after the results of calls, never before)."""
    if not said or said[-1]["role"] != "user":
        said.append({"role": "user", "content": []})
    said[-1]["content"].append({"type": "text", "text": text})


def mark_last(said: list[dict[str, Any]]) -> None:
    """The conversation so far is what the next call begins with: cache it. Thinking cannot be marked."""
    if said and said[-1]["content"][-1]["type"] not in ("thinking", "redacted_thinking"):
        said[-1]["content"][-1]["cache_control"] = _CACHE


# --- what answers ---------------------------------------------------------------------------------------------------
_STOPS: dict[str, StopReason] = {
    "end_turn": "end_turn", "tool_use": "tool_use", "max_tokens": "max_tokens", "stop_sequence": "stop_sequence",
    "pause_turn": "pause_turn", "refusal": "refusal", "model_context_window_exceeded": "context_exceeded",
}  # fmt: skip


class _Open:
    """A block that is being sent."""

    def __init__(self, index: int, kind: str, start: dict[str, Any]) -> None:
        self.index = index
        self.kind = kind
        self.start = start
        self.texts: list[str] = []
        self.signature = ""

    def whole(self, message_id: str) -> tuple[Block, str]:
        text = "".join(self.texts)
        match self.kind:
            case "text":
                return Text(text), ""
            case "thinking":
                return Thinking(text, self.signature), ""
            case "redacted_thinking":
                return Thinking("", redacted=str(self.start.get("data") or "")), ""
            case _:
                input, bad = tool_input(text)
                given = self.start.get("input")
                if not text.strip() and isinstance(given, dict):
                    input = given  # servers that do not stream a call's input send it whole at its start
                return ToolUse(self.call_id(message_id), self.name, input), bad

    def call_id(self, message_id: str) -> str:
        return str(self.start.get("id") or f"toolu_{message_id}_{self.index}")

    @property
    def name(self) -> str:
        return str(self.start.get("name") or "")


class AnthropicFold:
    """Its events in, ours out. Tolerant of what is missing or unknown, strict about the end.

    Blocks of kinds that we do not know are skipped, so `index` counts ours.
    """

    def __init__(self, endpoint: Endpoint, model: str, request_id: str = "") -> None:
        self.endpoint = endpoint
        self.model = model
        self.request_id = request_id
        self.heard = False  # of any event that the wire knows
        self.ended = False
        self._id = ""
        self._stop: str | None = None
        self._tokens: dict[str, int] = {}
        self._open: dict[Any, _Open] = {}
        self._content: list[Block | None] = []
        self._began = False

    def feed(self, type_: str, data: str) -> list[ModelEvent]:
        """Raises ModelFailed for an error event and for what is no event."""
        if self.ended or type_ == "ping":
            return [Alive()]
        if data == "[DONE]":  # a habit of the other wire that some compatible servers keep
            return [Alive()]
        event = decoded_object(data, self.endpoint)
        match event.get("type") or type_:
            case "message_start":
                message = _dict(event.get("message"))
                self.heard = True
                self._id = str(message.get("id") or "")
                self.model = str(message.get("model") or self.model)
                self._count(message.get("usage"))
                return self._begin()
            case "content_block_start":
                return self._begin() + self._start(event)
            case "content_block_delta":
                return self._delta(event)
            case "content_block_stop":
                return self._end_block(_place(event))
            case "message_delta":
                self._count(event.get("usage"))
                self._stop = _dict(event.get("delta")).get("stop_reason") or self._stop
                return [Alive()]
            case "message_stop":
                return self._end()
            case "error":
                raise refused(self.endpoint, 200, {}, event)
        return [Alive()]

    def check_ended(self) -> None:
        """Called when no more bytes come. Raises ModelFailed."""
        if not self.ended:
            raise cut(self.endpoint)

    @property
    def usage(self) -> Usage:
        t = self._tokens
        return Usage(
            input=t.get("input_tokens", 0),
            output=t.get("output_tokens", 0),
            cache_read=t.get("cache_read_input_tokens", 0),
            cache_write=t.get("cache_creation_input_tokens", 0),
            calls=1,
            known="input_tokens" in t and "output_tokens" in t,
        )

    def _count(self, usage: Any) -> None:
        """Counts are running totals: what comes later and is there replaces what came before."""
        for name in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
            value = count(_dict(usage), name)
            if value is not None:
                self._tokens[name] = value

    def _begin(self) -> list[ModelEvent]:
        if self._began:
            return []
        self._began = True
        return [Began(self.model, self.usage)]

    def _start(self, event: dict[str, Any]) -> list[ModelEvent]:
        start = _dict(event.get("content_block"))
        kind = start.get("type")
        if kind not in ("text", "thinking", "redacted_thinking", "tool_use"):
            return [Alive()]
        one = _Open(len(self._content), str(kind), start)
        self._content.append(None)
        self._open[_place(event)] = one
        made: list[ModelEvent] = []
        if kind == "tool_use":
            made.append(BlockBegan(one.index, "tool_use", one.call_id(self._id), one.name))
        else:
            made.append(BlockBegan(one.index, "text" if kind == "text" else "thinking"))
        first = start.get("text") or start.get("thinking")
        if isinstance(first, str) and first and kind != "tool_use":
            made += self._piece(one, first)
        return made

    def _delta(self, event: dict[str, Any]) -> list[ModelEvent]:
        one = self._open.get(_place(event))
        delta = _dict(event.get("delta"))
        if one is None:
            if self._began:
                return [Alive()]  # of a block that we do not know
            raise failed("bad_reply", self.endpoint, f"{self.endpoint.name} sent a piece of a block that never began.")
        match delta.get("type"):
            case "text_delta":
                return self._piece(one, delta.get("text"))
            case "thinking_delta":
                return self._piece(one, delta.get("thinking"))
            case "input_json_delta":
                return self._piece(one, delta.get("partial_json"))
            case "signature_delta":
                one.signature += str(delta.get("signature") or "")
        return [Alive()]

    def _piece(self, one: _Open, text: Any) -> list[ModelEvent]:
        if not isinstance(text, str) or not text:
            return [Alive()]
        one.texts.append(text)
        match one.kind:
            case "text":
                return [TextDelta(one.index, text)]
            case "tool_use":
                return [InputDelta(one.index, text)]
        return [ThinkingDelta(one.index, text)]

    def _end_block(self, index: Any) -> list[ModelEvent]:
        one = self._open.pop(index, None)
        if one is None:
            return [Alive()]
        whole, bad = one.whole(self._id)
        self._content[one.index] = whole
        return [BlockEnded(one.index, whole, bad)]

    def _end(self) -> list[ModelEvent]:
        if self._stop is None:
            raise cut(self.endpoint)
        made = [event for index in list(self._open) for event in self._end_block(index)]
        self.ended = True
        content = [b for b in self._content if b is not None]
        return [*self._begin(), *made, Ended(_STOPS.get(self._stop, "other"), self.usage, content, self.request_id)]


def _place(event: dict[str, Any]) -> int | None:
    """Which block of the message an event is of; None where a server says nothing that could be one."""
    index = event.get("index")
    return index if isinstance(index, int) else None


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
