"""What a fake provider says, byte by byte, on both wires: Anthropic messages and OpenAI chat completions."""

from __future__ import annotations

import json
from typing import Any, Literal

import msgspec

Fault = Literal[
    "",
    "http",  # an HTTP error: `status`, `error_type`, `error_code`, `retry_after`
    "sse_error",  # an error inside the stream, of `error_type`
    "cut",  # the body ends as it should, the message does not
    "cut_tcp",  # the connection is closed in the middle of the body
    "rst",  # … and rudely
    "stall",  # `seconds` without a byte, then it goes on
    "silent",  # `seconds` without even the status line, then it goes on
    "html",  # 200 and a page of some proxy
    "empty",  # 200 and nothing
]
_PLACED = frozenset({"sse_error", "cut", "cut_tcp", "rst", "stall"})  # happen at a piece of the reply


class Call(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A tool call. raw: what is sent in place of the input's JSON, sound or not."""

    name: str
    input: dict[str, Any] = {}
    raw: str | None = None
    id: str = ""

    @property
    def json(self) -> str:
        return json.dumps(self.input) if self.raw is None else self.raw


class Reply(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One answer: thinking, then text, then tool calls, in pieces of `chunk` characters.

    delay: seconds before each piece.  at: the number of pieces that go out before the fault; None is the middle.
    in_call: count `at` from the first piece of the first call's JSON.  stop: the stop reason in Anthropic's words; ""
    is the fitting one.  usage: None leaves it out.  pings, unknown: how many pings and events of an unknown kind are
    strewn in.  message_stop=False leaves the last event out while the stop reason was said.
    """

    text: str = ""
    thinking: str = ""
    calls: list[Call] = []
    stop: str = ""
    chunk: int = 12
    delay: float = 0.0
    usage: dict[str, int] | None = {}
    pings: int = 0
    unknown: int = 0
    message_stop: bool = True
    fault: Fault = ""
    at: int | None = None
    in_call: bool = False
    seconds: float = 0.0
    status: int = 0
    error_type: str = ""
    error_code: str = ""
    message: str = ""
    retry_after: str = ""
    location: str = ""  # of a redirect

    @property
    def stop_reason(self) -> str:
        return self.stop or ("tool_use" if self.calls else "end_turn")

    @property
    def counted(self) -> dict[str, int]:
        spoken = len(self.text) + len(self.thinking) + sum(len(c.json) for c in self.calls)
        return {"input_tokens": 25, "output_tokens": max(1, spoken // 4), **(self.usage or {})}


class Frame(msgspec.Struct):
    """Bytes to send. piece: it is one of the pieces that delays and faults count; call: it belongs to a call's JSON."""

    data: bytes
    piece: bool = False
    call: bool = False


ERROR_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 500: "api_error",
    502: "api_error", 503: "overloaded_error", 504: "timeout_error", 529: "overloaded_error",
}  # fmt: skip


def place_of_fault(reply: Reply, frames: list[Frame]) -> int:
    """Index of the frame before which the fault happens; -1 where there is none of that sort."""
    if reply.fault not in _PLACED:
        return -1
    pieces = [i for i, f in enumerate(frames) if f.piece and (f.call or not reply.in_call)]
    if not pieces:
        return len(frames) - 1
    at = len(pieces) // 2 if reply.at is None else reply.at
    return pieces[at] if at < len(pieces) else len(frames) - 1


def pieces(text: str, size: int) -> list[str]:
    return [text[i : i + size] for i in range(0, len(text), max(1, size))]


def strewn(reply: Reply, frames: list[Frame], ping: bytes, unknown: bytes) -> list[Frame]:
    """Pings and unknown events in front of the first pieces."""
    extra = [Frame(ping)] * reply.pings + [Frame(unknown)] * reply.unknown
    first = next((i for i, f in enumerate(frames) if f.piece), len(frames) - 1)
    return frames[:first] + extra + frames[first:]


# --- Anthropic ------------------------------------------------------------------------------------------------------
def sse(type_: str, **data: Any) -> bytes:
    return f"event: {type_}\ndata: {json.dumps({'type': type_, **data})}\n\n".encode()


def anthropic_content(reply: Reply, n: int) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = []
    if reply.thinking:
        content.append({"type": "thinking", "thinking": reply.thinking, "signature": f"sig_{n}"})
    if reply.text:
        content.append({"type": "text", "text": reply.text})
    for k, call in enumerate(reply.calls):
        content.append({"type": "tool_use", "id": call.id or f"toolu_{n}_{k}", "name": call.name, "input": call.input})
    return content


def anthropic_message(reply: Reply, n: int, model: str) -> dict[str, Any]:
    message = {
        "id": f"msg_{n}", "type": "message", "role": "assistant", "model": model,
        "content": anthropic_content(reply, n), "stop_reason": reply.stop_reason, "stop_sequence": None,
    }  # fmt: skip
    if reply.usage is not None:
        message["usage"] = reply.counted
    return message


def anthropic_frames(reply: Reply, n: int, model: str) -> list[Frame]:
    """The stream of one message."""
    head = {**anthropic_message(reply, n, model), "content": [], "stop_reason": None}
    if reply.usage is not None:
        head["usage"] = {**reply.counted, "output_tokens": 1}
    frames = [Frame(sse("message_start", message=head))]

    def delta(index: int, kind: str, field: str, text: str, call: bool = False) -> None:
        for piece in pieces(text, reply.chunk):
            data = sse("content_block_delta", index=index, delta={"type": kind, field: piece})
            frames.append(Frame(data, piece=True, call=call))

    calls = iter(reply.calls)
    for index, block in enumerate(anthropic_content(reply, n)):
        empty = {**block, **{k: v for k, v in {"thinking": "", "signature": "", "text": ""}.items() if k in block}}
        if block["type"] == "tool_use":
            empty["input"] = {}
        frames.append(Frame(sse("content_block_start", index=index, content_block=empty)))
        match block["type"]:
            case "thinking":
                delta(index, "thinking_delta", "thinking", block["thinking"])
                signed = {"type": "signature_delta", "signature": block["signature"]}
                frames.append(Frame(sse("content_block_delta", index=index, delta=signed)))
            case "text":
                delta(index, "text_delta", "text", block["text"])
            case _:
                delta(index, "input_json_delta", "partial_json", next(calls).json, call=True)
        frames.append(Frame(sse("content_block_stop", index=index)))
    ended: dict[str, Any] = {"delta": {"stop_reason": reply.stop_reason, "stop_sequence": None}}
    if reply.usage is not None:
        ended["usage"] = {"output_tokens": reply.counted["output_tokens"]}
    frames.append(Frame(sse("message_delta", **ended)))
    if reply.message_stop:
        frames.append(Frame(sse("message_stop")))
    return strewn(reply, frames, sse("ping"), sse("content_block_mystery", index=0, mystery={"deep": [1]}))


def anthropic_error(reply: Reply, request_id: str) -> dict[str, Any]:
    error: dict[str, Any] = {
        "type": reply.error_type or ERROR_TYPES.get(reply.status, "api_error"),
        "message": reply.message or "as the scenario has it",
    }
    if reply.error_code:
        error["details"] = {"error_code": reply.error_code}
    return {"type": "error", "error": error, "request_id": request_id}


# --- OpenAI -----------------------------------------------------------------------------------------------------------
_FINISH = {
    "end_turn": "stop", "tool_use": "tool_calls", "max_tokens": "length", "refusal": "content_filter",
    "model_context_window_exceeded": "length",
}  # fmt: skip


def openai_usage(reply: Reply) -> dict[str, Any]:
    counted = reply.counted
    cached = counted.get("cache_read_input_tokens", 0)
    prompt = counted["input_tokens"] + cached
    return {
        "prompt_tokens": prompt,
        "completion_tokens": counted["output_tokens"],
        "total_tokens": prompt + counted["output_tokens"],
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def openai_calls(reply: Reply, n: int) -> list[dict[str, Any]]:
    return [
        {"id": c.id or f"call_{n}_{k}", "type": "function", "function": {"name": c.name, "arguments": c.json}}
        for k, c in enumerate(reply.calls)
    ]


def openai_message(reply: Reply, n: int, model: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.thinking:
        message["reasoning_content"] = reply.thinking
    if reply.calls:
        message["tool_calls"] = openai_calls(reply, n)
    choice = {"index": 0, "message": message, "finish_reason": _FINISH.get(reply.stop_reason, "stop")}
    body = {"id": f"chatcmpl-{n}", "object": "chat.completion", "created": 1, "model": model, "choices": [choice]}
    if reply.usage is not None:
        body["usage"] = openai_usage(reply)
    return body


def openai_frames(reply: Reply, n: int, model: str, with_usage: bool) -> list[Frame]:
    """The stream of one completion. with_usage: the request asked for the last chunk."""
    common = {"id": f"chatcmpl-{n}", "object": "chat.completion.chunk", "created": 1, "model": model}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return f"data: {json.dumps({**common, 'choices': [choice]})}\n\n".encode()

    frames = [Frame(chunk({"role": "assistant", "content": ""}))]
    frames += [Frame(chunk({"reasoning_content": p}), piece=True) for p in pieces(reply.thinking, reply.chunk)]
    frames += [Frame(chunk({"content": p}), piece=True) for p in pieces(reply.text, reply.chunk)]
    for k, call in enumerate(openai_calls(reply, n)):
        opened = {**call, "index": k, "function": {**call["function"], "arguments": ""}}
        frames.append(Frame(chunk({"tool_calls": [opened]})))
        for piece in pieces(call["function"]["arguments"], reply.chunk):
            part = {"index": k, "function": {"arguments": piece}}
            frames.append(Frame(chunk({"tool_calls": [part]}), piece=True, call=True))
    frames.append(Frame(chunk({}, _FINISH.get(reply.stop_reason, "stop"))))
    if with_usage and reply.usage is not None:
        last = {**common, "choices": [], "usage": openai_usage(reply)}
        frames.append(Frame(f"data: {json.dumps(last)}\n\n".encode()))
    if reply.message_stop:
        frames.append(Frame(b"data: [DONE]\n\n"))
    return strewn(reply, frames, b": ping\n\n", b'data: {"object": "mystery", "deep": [1]}\n\n')


def openai_error(reply: Reply) -> dict[str, Any]:
    kind = reply.error_type or ERROR_TYPES.get(reply.status, "server_error")
    return {
        "error": {"message": reply.message or "as the scenario has it", "type": kind, "code": reply.error_code or None}
    }
