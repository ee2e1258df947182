"""The built-in assistant: answers where no language model is set. It is a Model like any other, and says what it is.

It picks a tool by plain rules on the words of the last message, and in the next step passes on what the tool worked
out. It knows nothing by itself, so it cannot make anything up.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence

import msgspec

from ragent_jupyter.domain.model import (
    Began,
    Block,
    BlockBegan,
    BlockEnded,
    Ended,
    InputDelta,
    Message,
    ModelEvent,
    ModelFailed,
    ModelInfo,
    ModelRequest,
    Text,
    TextDelta,
    ToolResult,
    ToolUse,
    Usage,
)

from .builtin_words import Call, Say, answer, understand

_NAME = "builtin:assistant"
_FREE = Usage(cost=0.0, calls=1)


class BuiltinModel:
    """`builtin:assistant`. No key, no network, no cost, no tokens."""

    def __init__(self) -> None:
        self.info = ModelInfo(
            id="assistant",
            provider="builtin",
            title="Built-in assistant (no language model)",
            price_input=0.0,
            price_output=0.0,
            price_cache_read=0.0,
            price_cache_write=0.0,
        )

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        """The events of one call. Raises ModelFailed "bad_request" where a certain tool must be called: that needs a
        mind."""
        if request.force is not None:
            raise ModelFailed(
                "bad_request",
                "The built-in assistant cannot fill in a form for a program.",
                "Set a model and its key for this role.",
            )
        yield Began(_NAME, Usage(cost=0.0))
        block = _next(request)
        if isinstance(block, Text):
            yield BlockBegan(0, "text")
            for piece in _pieces(block.text):
                yield TextDelta(0, piece)
            yield BlockEnded(0, block)
            yield Ended("end_turn", _FREE, [block])
            return
        yield BlockBegan(0, "tool_use", block.id, block.name)
        yield InputDelta(0, msgspec.json.encode(block.input).decode())
        yield BlockEnded(0, block)
        yield Ended("tool_use", _FREE, [block])


def _next(request: ModelRequest) -> Text | ToolUse:
    """What to say or do now: a tool for a question, an answer for its results."""
    offered = [offer.name for offer in request.tools]
    asked, at = _question(request.messages)
    results = _results(request.messages[at + 1 :])
    if results:
        return Text(answer(results, offered))
    wish = understand(asked, offered)
    match wish:
        case Say(text=text):
            return Text(text)
        case Call(name=name, input=input):
            return ToolUse(f"toolu_{secrets.token_hex(10)}", name, input)


def _question(messages: Sequence[Message]) -> tuple[str, int]:
    """The person's newest words, and the message that they stand in. What the engine tells of the project stands in
    text blocks before them."""
    for at in range(len(messages) - 1, -1, -1):
        if messages[at].role != "user":
            continue
        texts = [block.text for block in messages[at].content if isinstance(block, Text)]
        if texts:
            return texts[-1], at
    return "", -1


def _results(messages: Sequence[Message]) -> list[tuple[str, str, bool]]:
    """(tool, text, is_error) of the calls that were made for the question, in order."""
    blocks: list[Block] = [block for message in messages for block in message.content]
    names = {block.id: block.name for block in blocks if isinstance(block, ToolUse)}
    return [
        (names.get(block.tool_use_id, ""), block.text, block.is_error)
        for block in blocks
        if isinstance(block, ToolResult)
    ]


def _pieces(text: str) -> list[str]:
    """Line by line: the screen fills as it does with any model."""
    return [piece for piece in text.splitlines(keepends=True) if piece] or [""]
