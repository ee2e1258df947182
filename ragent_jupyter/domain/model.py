"""One vocabulary for every language model: what is asked, and the one stream of events that answers.

Providers' objects end in their adapter. A message's content is ours; thinking and its signature travel back to the
provider as they came.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Literal, Protocol

from msgspec import Struct

from .errors import RagentError

Role = Literal["chat", "wild", "research.orchestrator", "research.executor", "judge"]
ROLES: tuple[str, ...] = Role.__args__  # type: ignore[attr-defined]


# --- what is asked ------------------------------------------------------------------------------------------------
class Text(Struct, frozen=True, tag="text"):
    text: str


class Image(Struct, frozen=True, tag="image"):
    """media_type: image/png, image/jpeg, image/gif or image/webp.  data: base64."""

    media_type: str
    data: str


class Thinking(Struct, frozen=True, tag="thinking"):
    """Goes back unchanged within a turn. redacted: the provider's opaque data instead of a text."""

    text: str
    signature: str = ""
    redacted: str = ""


class ToolUse(Struct, frozen=True, tag="tool_use"):
    id: str
    name: str
    input: dict[str, Any]


class ToolResult(Struct, frozen=True, tag="tool_result"):
    tool_use_id: str
    text: str
    images: list[Image] = []
    is_error: bool = False


Block = Text | Image | Thinking | ToolUse | ToolResult


class Message(Struct, frozen=True):
    role: Literal["user", "assistant"]
    content: list[Block]


class SystemText(Struct, frozen=True):
    """A block of the system prompt. cache: all up to here stays the same from call to call."""

    text: str
    cache: bool = False


class ToolOffer(Struct, frozen=True):
    """A tool as a model sees it. schema: JSON Schema of its input."""

    name: str
    description: str
    schema: dict[str, Any]


class ModelRequest(Struct, frozen=True, kw_only=True):
    """One call. force: None the model chooses, "any" some tool, else the name of the one it must call."""

    system: list[SystemText]
    messages: list[Message]
    tools: list[ToolOffer] = []
    force: str | None = None
    max_tokens: int = 8192
    thinking: bool = False
    temperature: float | None = None


# --- what answers ---------------------------------------------------------------------------------------------------
class Usage(Struct, frozen=True, kw_only=True):
    """Tokens and money of one call or of many. cost: US dollars; None where no price is known.

    input counts what was neither read from nor written to the cache.  known: False where the server did not say.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cost: float | None = None
    calls: int = 0
    known: bool = True

    @property
    def prompt(self) -> int:
        return self.input + self.cache_read + self.cache_write


class Began(Struct, frozen=True, tag="began"):
    """The provider accepted the call. model: the name it gives itself."""

    model: str
    usage: Usage


class BlockBegan(Struct, frozen=True, tag="block_began"):
    """index: place in the message, from 0.  id, name: of a tool_use."""

    index: int
    kind: Literal["text", "thinking", "tool_use"]
    id: str = ""
    name: str = ""


class TextDelta(Struct, frozen=True, tag="text_delta"):
    index: int
    text: str


class ThinkingDelta(Struct, frozen=True, tag="thinking_delta"):
    index: int
    text: str


class InputDelta(Struct, frozen=True, tag="input_delta"):
    """A piece of a tool call's JSON. Never acted upon: only the finished block counts."""

    index: int
    json: str


class BlockEnded(Struct, frozen=True, tag="block_ended"):
    """bad_input: the tool call's JSON as it came, where it was none; `block.input` is {} then."""

    index: int
    block: Block
    bad_input: str = ""


class Alive(Struct, frozen=True, tag="alive"):
    """A byte came that says nothing: a ping, an event of a kind that we do not know."""


StopReason = Literal[
    "end_turn", "tool_use", "max_tokens", "stop_sequence", "pause_turn", "refusal", "context_exceeded", "other"
]


class Ended(Struct, frozen=True, tag="ended"):
    """The message is whole. Only this makes its tool calls runnable; a stream that ends without it raises "cut"."""

    stop_reason: StopReason
    usage: Usage
    content: list[Block]
    request_id: str = ""


ModelEvent = Began | BlockBegan | TextDelta | ThinkingDelta | InputDelta | BlockEnded | Alive | Ended

FailureKind = Literal[
    "rate_limited",  # 429: wait as told
    "overloaded",  # 529, 503, an SSE error of that type
    "server",  # other 5xx
    "network",  # no connection, or it broke
    "cut",  # the stream ended before the message did
    "stalled",  # no byte for too long
    "auth",  # 401, 403: a person
    "spend_limit",  # 402, a spend limit: a person
    "not_found",  # no such model
    "too_large",  # 413, context exceeded: shrink once
    "bad_request",  # 400: our fault or the endpoint's
    "bad_reply",  # answered, but not what the wire says
    "missing",  # no key, no such package
]
RETRIED: frozenset[str] = frozenset({"rate_limited", "overloaded", "server", "network", "cut", "stalled"})
FOR_A_PERSON: frozenset[str] = frozenset({"auth", "spend_limit", "missing", "not_found"})


class ModelFailed(RagentError):
    """A call that gave no whole message. retry_after: seconds that the provider asked for."""

    status = 503
    type = "model_failed"

    def __init__(self, kind: FailureKind, problem: str, remedy: str = "", retry_after: float | None = None) -> None:
        super().__init__(problem, remedy)
        self.kind: FailureKind = kind
        self.retry_after = retry_after


class ModelInfo(Struct, frozen=True, kw_only=True):
    """What is known of a model at an endpoint.

    provider: "anthropic", "openai", "deepinfra", "gateway", "compatible", "scripted", "builtin".
    context, max_output: tokens.  prices: US dollars per million tokens; None where unknown.
    tools, images, thinking, caching: what a probe or the provider's word says it can do.
    """

    id: str
    provider: str
    title: str = ""
    context: int = 200_000
    max_output: int = 8192
    price_input: float | None = None
    price_output: float | None = None
    price_cache_read: float | None = None
    price_cache_write: float | None = None
    tools: bool = True
    images: bool = False
    thinking: bool = False
    caching: bool = False


class Model(Protocol):
    """One model at one endpoint. Has one contract suite, which the scripted one passes too."""

    info: ModelInfo

    def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        """The events of one call; the last one is Ended. Raises ModelFailed.

        Closing the iterator (or cancelling the task) closes the provider's connection at once. It neither retries nor
        waits: that is the caller's, and visible.
        """
        ...
