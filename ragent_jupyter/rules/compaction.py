"""Making a conversation fit a model's context. The same record and the same room give the same result.

No model is asked to summarise: a summary would be one more place where a number can be invented. What is left out is
said, with how to see it again; the record keeps all of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.chat import Part, TextPart, ThinkingPart, ToolPart, Turn
from ragent_jupyter.domain.model import (
    Block,
    Image,
    Message,
    SystemText,
    Text,
    Thinking,
    ToolOffer,
    ToolResult,
    ToolUse,
)

from .prompt import answered, asked, merged, one_line, standing

CHARS_A_TOKEN = 3.5  # English and code lie between 3 and 4; too small a figure only compacts a little early
IMAGE_TOKENS = 1600
_HEAD, _TAIL = 600, 300  # of an old tool result that is cut
_WIDE = re.compile("[\u2e81-\U0010ffff]+")
_FRESH = 2  # the newest turns keep their results whole


class Fitted(Struct, frozen=True, kw_only=True):
    """tokens: an estimate of the whole prompt.  level: 0 nothing left out … 4.  folded: turns told in one line each."""

    messages: list[Message]
    tokens: int
    level: int = 0
    folded: int = 0


def tokens_of_text(text: str) -> int:
    """An estimate. Scripts without spaces take about a token a character.

    >>> tokens_of_text("seven c")
    2
    """
    wide = 0 if text.isascii() else sum(map(len, _WIDE.findall(text)))
    return int((len(text) - wide) / CHARS_A_TOKEN) + wide


def tokens_of(block: Block) -> int:
    match block:
        case Text(text=text):
            return tokens_of_text(text) + 4
        case Image():
            return IMAGE_TOKENS
        case Thinking(text=text, signature=signature, redacted=redacted):
            return tokens_of_text(text) + tokens_of_text(signature) + tokens_of_text(redacted)
        case ToolUse(input=input):
            return tokens_of_text(msgspec.json.encode(input).decode()) + 20
        case ToolResult(text=text, images=images):
            return tokens_of_text(text) + 10 + IMAGE_TOKENS * len(images)


def tokens_of_messages(messages: Sequence[Message], count: Callable[[Block], int] = tokens_of) -> int:
    return sum(count(block) for message in messages for block in message.content)


def _once() -> Callable[[Block], int]:
    """tokens_of, that counts a block only once: a level leaves most of a long conversation as it was."""
    known: dict[int, tuple[Block, int]] = {}  # with the block itself, so that its id stays its own

    def count(block: Block) -> int:
        found = known.get(id(block))
        if found is None:
            found = known[id(block)] = (block, tokens_of(block))
        return found[1]

    return count


def overhead(system: Sequence[SystemText], tools: Sequence[ToolOffer]) -> int:
    """Tokens of what stands in every prompt."""
    texts = sum(tokens_of_text(text.text) for text in system)
    return texts + sum(tokens_of_text(msgspec.json.encode(tool).decode()) + 10 for tool in tools)


def fit(
    turns: Sequence[Turn],
    parts: Mapping[str, Sequence[Part]],
    current: str,
    media: Mapping[str, Block],
    room: int,
) -> Fitted:
    """The conversation in at most `room` tokens (by estimate), leaving out as little as will do.

    Levels: 1 old tool results are cut to head and tail; 2 to their first line, and old images go; 3 older turns are
    told in one line each, as many as needed; 4 the current turn's own older results are cut too.
    """
    chosen = [turn for turn in standing(turns) if turn.status != "queued"]
    at = next((i for i, turn in enumerate(chosen) if turn.id == current), len(chosen) - 1)
    chosen = chosen[: at + 1]
    said = [
        [
            Message("user", asked(turn, turn.id == current, media)),
            *answered(parts.get(turn.id, []), turn.id == current, turn.steps, media),
        ]
        for turn in chosen
    ]

    count = _once()

    def whole(groups: Sequence[list[Message]], level: int, folded: int = 0) -> Fitted:
        messages = merged([message for group in groups for message in group])
        return Fitted(messages=messages, tokens=tokens_of_messages(messages, count), level=level, folded=folded)

    fitted = whole(said, 0)
    if fitted.tokens <= room:
        return fitted
    old = max(0, len(said) - _FRESH)
    for level, most in ((1, _HEAD + _TAIL), (2, 160)):
        groups = [shortened(group, most, level) if i < old else group for i, group in enumerate(said)]
        fitted = whole(groups, level)
        if fitted.tokens <= room:
            return fitted
    groups = [shortened(group, 160, 2) for group in said[:-1]] + [said[-1]]
    sizes = [tokens_of_messages(group, count) for group in groups]
    left = sum(sizes)
    told = [in_a_line(turn, parts.get(turn.id, [])) for turn in chosen[:-1]]
    for folded in range(1, len(chosen)):
        left -= sizes[folded - 1]
        if left > room:
            continue
        note = Text("Earlier in this conversation, shortened by ragent:\n" + "\n".join(told[:folded]))
        if tokens_of(note) > room:
            break  # it only grows
        fitted = whole([[Message("user", [note])], *groups[folded:]], 3, folded)
        if fitted.tokens <= room:
            return fitted
    last = said[-1]
    keep = max(len(last) - 4, 0)
    earlier = "\n".join(told)[-4000:]
    first = (
        [[Message("user", [Text(f"Earlier in this conversation, shortened by ragent:\n{earlier}")])]] if told else []
    )
    return whole([*first, shortened(last[:keep], 160, 2) + shortened(last[keep:], 6000, 1)], 4, len(chosen) - 1)


def shortened(messages: Sequence[Message], most: int, level: int) -> list[Message]:
    """Tool results cut to `most` characters; from level 2 on without images. What was asked and answered stays."""
    out = []
    for message in messages:
        blocks: list[Block] = []
        for block in message.content:
            match block:
                case ToolResult(text=text) if len(text) > most or (level >= 2 and block.images):
                    blocks.append(ToolResult(block.tool_use_id, cut(text, most), [], block.is_error))
                case Image() if level >= 2:
                    blocks.append(Text("[an image, left out here]"))
                case _:
                    blocks.append(block)
        out.append(Message(message.role, blocks))
    return out


def cut(text: str, most: int) -> str:
    """Head and tail of a text, and how much lay between; the first line alone where there is little room."""
    if len(text) <= most:
        return text
    if most < _HEAD:
        return f"{one_line(text, most)} [shortened; call the tool again to see it]"
    tail = most // 3
    left = len(text) - most
    return f"{text[: most - tail]}\n[… {left:,} characters left out; call the tool again to see them …]\n{text[-tail:]}"


def in_a_line(turn: Turn, parts: Sequence[Part]) -> str:
    """A turn as one line: what was asked, which tools were used, how the answer began."""
    tools: dict[str, int] = {}
    answer = ""
    for part in parts:
        match part:
            case ToolPart() if part.status != "cut":
                tools[part.name] = tools.get(part.name, 0) + 1
            case TextPart(status="done"):
                answer = part.text
            case ThinkingPart() | TextPart() | _:
                pass
    did = ", ".join(f"{name} ×{n}" if n > 1 else name for name, n in tools.items())
    line = f"{turn.n}. asked: {one_line(turn.message.shown or turn.message.text, 200)}"
    if did:
        line += f" | used: {did}"
    return line + (f" | answered: {one_line(answer, 300)}" if answer else f" | {turn.status}")
