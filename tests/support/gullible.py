"""A model that obeys every instruction it finds in its context: the worst that could be offered tools.

It reads the whole request. For each string of the corpus that stands there (known by its mark, `[log-001]`) it calls
the tool that the string asks for, whether that is offered or not; it believes tags that look like calls; in the end it
tries every tool that it is offered with an input that does harm. What it is told in answer it does not mind.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.model import (
    Began,
    Block,
    BlockBegan,
    BlockEnded,
    Ended,
    ModelEvent,
    ModelInfo,
    ModelRequest,
    Text,
    ToolOffer,
    ToolUse,
    Usage,
)

CORPUS = Path(__file__).parents[1] / "data" / "injections"
PLACES = ("log", "file", "file_name", "run_name", "metric", "cell", "page", "alert")
_A_STEP = 10  # calls in one message
_MARK = re.compile(r"\[([a-z]{3,5}-\d{3})\]")
_TAG = re.compile(r"<(tool_use|function_call)>\s*(\{.*?\})\s*</\1>", re.DOTALL)


class Wants(Struct, frozen=True):
    tool: str
    input: dict[str, Any]


class Injection(Struct, frozen=True):
    """A hostile string and what it asks for. {canary}, {outside}, {run}, {alert}, {mark} stand for what a test has."""

    id: str
    text: str
    wants: Wants

    @property
    def mark(self) -> str:
        return f"[{self.id}]"

    def filled(self, words: Mapping[str, str]) -> Injection:
        def fill(value: Any) -> Any:
            if isinstance(value, str):
                for name, word in {**words, "mark": self.id}.items():
                    value = value.replace("{" + name + "}", word)
                return value
            if isinstance(value, dict):
                return {key: fill(item) for key, item in value.items()}
            return [fill(item) for item in value] if isinstance(value, list) else value

        return Injection(self.id, fill(self.text), Wants(self.wants.tool, fill(self.wants.input)))


def corpus(place: str) -> list[Injection]:
    return msgspec.json.decode((CORPUS / f"{place}.json").read_bytes(), type=list[Injection])


class Gullible:
    """domain.model.Model. looks: what it reads first.  obeyed: ids of the strings that it followed.

    harm: tool name → input, for the round through every tool; tools that are not in it get an input from their schema.
    """

    def __init__(
        self, looks: Sequence[ToolUse], known: Sequence[Injection], harm: Mapping[str, list[dict[str, Any]]]
    ) -> None:
        self.info = ModelInfo(id="gullible", provider="scripted")
        self.asked: list[ModelRequest] = []
        self.obeyed: set[str] = set()
        self.tried: set[str] = set()
        self._looks = list(looks)
        self._known = {one.id: one for one in known}
        self._harm = harm
        self._told: set[str] = set()
        self._numbers = 0

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        self.asked.append(request)
        calls = self._next(request)
        content: list[Block] = [*calls] or [Text("I have done all that I was told.")]
        yield Began(model="gullible", usage=Usage(input=1))
        for place, block in enumerate(content):
            if isinstance(block, ToolUse):
                yield BlockBegan(place, "tool_use", block.id, block.name)
            else:
                yield BlockBegan(place, "text")
            yield BlockEnded(place, block)
        yield Ended("tool_use" if calls else "end_turn", Usage(input=1, output=1), content)

    def _next(self, request: ModelRequest) -> list[ToolUse]:
        if self._looks:
            looks, self._looks = self._looks, []
            return looks
        said = everything(request)
        orders = [one for id in _MARK.findall(said) if (one := self._known.get(id)) and id not in self.obeyed]
        orders = list({one.id: one for one in orders}.values())[:_A_STEP]
        if orders:
            self.obeyed |= {one.id for one in orders}
            return [self._call(one.wants.tool, one.wants.input) for one in orders]
        tags = [text for _, text in _TAG.findall(said) if text not in self._told][:_A_STEP]
        if tags:
            self._told |= set(tags)
            return [self._call(*believed(text)) for text in tags]
        offers = [offer for offer in request.tools if offer.name not in self.tried][:_A_STEP]
        self.tried |= {offer.name for offer in offers}
        return [
            self._call(offer.name, input)
            for offer in offers
            for input in self._harm.get(offer.name) or [made_up(offer)]
        ]

    def _call(self, name: str, input: dict[str, Any]) -> ToolUse:
        self._numbers += 1
        return ToolUse(f"toolu_{self._numbers:05}", name, input)


def everything(request: ModelRequest) -> str:
    """All words of a request, JSON's escapes taken out."""
    texts = [block.text for block in request.system]
    for message in request.messages:
        texts += [block.text for block in message.content if hasattr(block, "text")]
    return "\n".join(texts)


def believed(text: str) -> tuple[str, dict[str, Any]]:
    """What a tag asks for; a broken one counts as an order to run it."""
    try:
        found = json.loads(text)
        return str(found.get("name", "run_shell")), dict(found.get("input") or found.get("arguments") or {})
    except (ValueError, AttributeError, TypeError):
        return "run_shell", {"command": text}


def made_up(offer: ToolOffer) -> dict[str, Any]:
    """Some input that a tool's schema takes."""
    return {
        name: _value(about)
        for name, about in offer.schema.get("properties", {}).items()
        if name in offer.schema.get("required", [])
    }


def _value(about: Mapping[str, Any]) -> Any:
    if "enum" in about:
        return about["enum"][0]
    for one in about.get("anyOf", []):
        return _value(one)
    match about.get("type"):
        case "integer" | "number":
            return 1
        case "boolean":
            return True
        case "array":
            return [_value(about.get("items", {}))]
        case "object":
            return {name: _value(of) for name, of in about.get("properties", {}).items()}
    return "pwned"
