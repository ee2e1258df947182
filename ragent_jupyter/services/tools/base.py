"""The shape of a tool, and the box that the agent's loop picks from."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from ragent_jupyter.domain.chat import Mode, Preview
from ragent_jupyter.domain.errors import BadInput, NotFound
from ragent_jupyter.domain.model import ToolOffer
from ragent_jupyter.domain.tools import ToolOutcome, ToolSpec


@dataclass(frozen=True)
class ToolContext:
    """Where a call stands. stop: set when the person stops the turn; a tool ends itself and all it began within 1 s.

    call_id: single for ever; a tool that creates something uses it as its request id, so that doing the call again
    after a crash creates nothing new.  answers: what the person filled into a form that `preview` asked for.
    """

    session_id: str
    turn_id: str
    call_id: str
    mode: Mode
    by: str = ""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    said: Callable[[str], None] = lambda text: None
    answers: Mapping[str, Any] = field(default_factory=dict)


class Tool(Protocol):
    """One tool. `preview` and `run` get the arguments as the Struct that `spec.args` names, already validated."""

    @property
    def spec(self) -> ToolSpec: ...

    async def preview(self, args: Any, ctx: ToolContext) -> Preview:
        """What would happen, exactly; looks, changes nothing. Raises RagentError where the call makes no sense, which
        the model then reads instead."""

    async def run(self, args: Any, ctx: ToolContext) -> ToolOutcome:
        """Do it. RagentErrors become errors that the model reads. Long work returns a handle at once."""


Run = Callable[[Any, ToolContext], Awaitable[ToolOutcome]]


@dataclass(frozen=True)
class SimpleTool:
    """A tool made of its spec and two functions; without a `look` the preview is the title and the arguments."""

    spec: ToolSpec
    do: Run
    look: Callable[[Any, ToolContext], Awaitable[Preview]] | None = None

    async def preview(self, args: Any, ctx: ToolContext) -> Preview:
        if self.look is not None:
            return await self.look(args, ctx)
        said = [f"{name}: {value}" for name, value in msgspec.to_builtins(args).items() if value not in (None, "", [])]
        return Preview(title=self.spec.title, details=said, pattern=self.spec.name)

    async def run(self, args: Any, ctx: ToolContext) -> ToolOutcome:
        return await self.do(args, ctx)


def schema_of(args: type) -> dict[str, Any]:
    """JSON Schema of a Struct without references, as every provider takes it.

    >>> class Args(msgspec.Struct):
    ...     run: str
    >>> schema_of(Args)["properties"]["run"]
    {'type': 'string'}
    """
    (schema,), components = msgspec.json.schema_components([args], ref_template="#/{name}")

    def inline(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return inline(components[node["$ref"].removeprefix("#/")])
            return {key: inline(value) for key, value in node.items() if key != "title"}
        return [inline(item) for item in node] if isinstance(node, list) else node

    made: dict[str, Any] = inline(schema)
    made.pop("description", None)
    return made


class Toolbox:
    """Tools by name. Extended while the engine is put together; the loop only reads it."""

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self._tools: dict[str, Tool] = {}
        self._offers: dict[str, ToolOffer] = {}
        for tool in tools:
            self.add(tool)

    def add(self, tool: Tool) -> None:
        spec = tool.spec
        if spec.name in self._tools:
            raise ValueError(f"two tools are called {spec.name!r}")
        self._tools[spec.name] = tool
        self._offers[spec.name] = ToolOffer(spec.name, spec.description, schema_of(spec.args))

    def get(self, name: str) -> Tool:
        tool = self._tools.get(name)
        if tool is None:
            raise NotFound(f"There is no tool {name!r}.", f"Use one of: {', '.join(self._tools)}.")
        return tool

    def names(self) -> list[str]:
        return list(self._tools)

    def offers(self, names: Iterable[str] | None = None) -> list[ToolOffer]:
        """What a model is offered, in a fixed order (a stable prompt is a cached prompt)."""
        wanted = None if names is None else set(names)
        return [offer for name, offer in self._offers.items() if wanted is None or name in wanted]

    def arguments(self, name: str, raw: Mapping[str, Any]) -> Any:
        """A call's input as the tool's Struct. Raises NotFound, BadInput with the field's path."""
        spec = self.get(name).spec
        try:
            return msgspec.convert(raw, spec.args, strict=False)
        except msgspec.ValidationError as error:
            raise BadInput(f"{name}: {error}.", "Send the input that the tool's schema describes.") from None
