"""What a passing answer says of itself: tokens, why it ended, an error. It reads along and changes nothing."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, field

from ragent_jupyter.domain.model import Usage

from .upstreams import Format

_MAX_LINE = 1 << 20
_MAX_BODY = 8 << 20
_BYTES_A_TOKEN = 4  # a rule of thumb, for calls whose provider did not say


class _Error(Struct):
    type: str | None = None
    message: str | None = None
    code: str | int | None = None


class _Inner(Struct):
    """Anthropic's `message` and `delta`."""

    model: str | None = None
    usage: dict[str, Any] | None = None
    stop_reason: str | None = None
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None


class _Choice(Struct):
    finish_reason: str | None = None
    delta: dict[str, Any] | None = None
    message: dict[str, Any] | None = None


class _Said(Struct):
    """An event or a whole answer of either wire; every field may be missing."""

    type: str | None = None
    model: str | None = None
    usage: dict[str, Any] | None = None
    message: _Inner | str | None = None
    delta: _Inner | str | None = None
    stop_reason: str | None = None
    choices: list[_Choice] = field(default_factory=list)
    content: list[dict[str, Any]] | str | None = None
    error: _Error | str | None = None


_decode = msgspec.json.Decoder(_Said, strict=False).decode


class Reader:
    """Fed with an answer's bytes after they were passed on.

    began: the first piece of the model's own words has passed.  whole: the wire's own end was seen.
    """

    def __init__(self, format_: Format, *, streamed: bool) -> None:
        self.format = format_
        self.streamed = streamed
        self.began = False
        self.whole = False
        self.model = ""
        self.stop_reason = ""
        self.error = ""
        self.cost: float | None = None  # where a provider gives it
        self._usage: dict[str, Any] = {}
        self._output_known = False
        self._said = 0  # bytes of the model's words
        self._rest = bytearray()
        self._skipping = False

    def feed(self, chunk: bytes) -> None:
        if not self.streamed:
            if len(self._rest) + len(chunk) <= _MAX_BODY:
                self._rest += chunk
            return
        self._rest += chunk
        *lines, rest = self._rest.split(b"\n")
        self._rest = bytearray(rest)
        for line in lines:
            if not self._skipping:
                self._line(line.rstrip(b"\r"))
            self._skipping = False
        if len(self._rest) > _MAX_LINE:
            self._rest.clear()
            self._skipping = True

    def end(self) -> None:
        """No more bytes come."""
        if self.streamed:
            self._line(bytes(self._rest))
        elif self._rest:
            self._event(bytes(self._rest))
        self._rest.clear()

    def _line(self, line: bytes | bytearray) -> None:
        if line.startswith(b"data:"):
            data = bytes(line[5:]).strip()
            if data == b"[DONE]":
                self.whole = True
            elif data:
                self._event(data)

    def _event(self, data: bytes) -> None:
        try:
            said = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return  # not ours to judge: whoever asked gets the same bytes
        self.model = said.model or self.model
        self.stop_reason = said.stop_reason or self.stop_reason
        if said.type == "message_stop" or (said.type == "message" and not self.streamed):
            self.whole = True
        if said.error is not None:
            self.error = (
                said.error if isinstance(said.error, str) else str(said.error.type or said.error.code or "error")
            )
        if isinstance(said.message, _Inner):
            self.model = said.message.model or self.model
            self._take(said.message.usage, final=False)
        if isinstance(said.delta, _Inner):
            self.stop_reason = said.delta.stop_reason or self.stop_reason
            for words in (said.delta.text, said.delta.thinking, said.delta.partial_json):
                self._words(words)
        for choice in said.choices:
            self.stop_reason = choice.finish_reason or self.stop_reason
            for part in (choice.delta, choice.message):
                for name, value in (part or {}).items():
                    if name != "role":
                        self._words(value)
        if not self.streamed and not isinstance(said.content, str):
            for block in said.content or []:
                self._words(block.get("text") or block.get("thinking") or block.get("input"))
        self._take(said.usage, final=True)

    def _words(self, value: Any) -> None:
        if value:
            self.began = True
            self._said += len(
                value.encode("utf-8", "replace") if isinstance(value, str) else msgspec.json.encode(value)
            )

    def _take(self, usage: dict[str, Any] | None, *, final: bool) -> None:
        if not usage:
            return
        self._usage.update((name, value) for name, value in usage.items() if value is not None)
        # What Anthropic says of the output when it begins is what has been written by then: a token or so.
        self._output_known = self._output_known or final
        for name in ("cost", "estimated_cost"):
            value = usage.get(name)
            if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
                self.cost = float(value)

    def usage(self, sent: int, answered: bool) -> Usage:
        """Tokens of the call. sent: bytes of the request; answered: the provider took it (a 2xx).

        What the provider did not say, because it does not or because the stream was cut, is counted by length, and
        `known` is False.
        """
        if not answered:
            return Usage(calls=1)
        said = self._usage
        known = self._output_known and bool({"output_tokens", "completion_tokens"} & said.keys())
        if self.format == "anthropic":
            read, written = _count(said, "cache_read_input_tokens"), _count(said, "cache_creation_input_tokens")
            input_ = _count(said, "input_tokens") if "input_tokens" in said else sent // _BYTES_A_TOKEN
            output = _count(said, "output_tokens")
        else:
            details = said.get("prompt_tokens_details")
            read, written = _count(details if isinstance(details, dict) else {}, "cached_tokens"), 0
            whole = _count(said, "prompt_tokens") if "prompt_tokens" in said else sent // _BYTES_A_TOKEN
            input_ = max(0, whole - read)
            output = _count(said, "completion_tokens")
        if not known:
            output = max(output, -(-self._said // _BYTES_A_TOKEN))
        return Usage(input=input_, output=output, cache_read=read, cache_write=written, calls=1, known=known)


def _count(usage: dict[str, Any], name: str) -> int:
    value = usage.get(name)
    return max(0, value) if isinstance(value, int) and not isinstance(value, bool) else 0
