"""A model that says what a script has it say: for tests, demos and working without a network.

    ScriptedModel([Say(text="Hello"), Say(calls=[CallOf(name="list_runs")]), lambda request: Say(text=last(request))])
    ScriptedModel.named("echo")           # as `scripted:echo`
    ScriptedModel.named("/tmp/talk.json") # as `scripted:/tmp/talk.json`

The JSON of a script is `{"replies": […], "when": [{"contains", "result", "tool", "system", "reply"}], "default": {…},
"repeat": false}` with replies in the fields of Say. `when` is asked first and not consumed; then the replies in order,
then the default. {last_text} and {last_result} in a text stand for words of the request. The same script and the same
requests give the same events.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Iterable
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
    FailureKind,
    InputDelta,
    ModelEvent,
    ModelFailed,
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

from .wire import tool_input


class CallOf(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool call. raw: what is sent in place of the input's JSON, sound or not."""

    name: str
    input: dict[str, Any] = {}
    raw: str | None = None
    id: str = ""


class Fail(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """after: pieces that still arrive."""

    kind: FailureKind
    after: int = 0
    problem: str = "The script has the model fail here."
    retry_after: float | None = None


class Say(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer: thinking, text, tool calls, in pieces of `chunk` characters, `delay` seconds before each.

    usage: tokens; by default a quarter of the characters.  stop: by default the fitting one.
    """

    text: str = ""
    thinking: str = ""
    calls: list[CallOf] = []
    stop: StopReason | None = None
    chunk: int = 24
    delay: float = 0.0
    usage: Usage | None = None
    fail: Fail | None = None


class When(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """True where all that is given is found: in the user's last words, in the last results, among the tools offered,
    in the system prompt."""

    reply: Say
    contains: str = ""
    result: str = ""
    tool: str = ""
    system: str = ""

    def fits(self, request: ModelRequest) -> bool:
        return (
            self.contains in last_text(request)
            and self.result in last_result(request)
            and (not self.tool or any(t.name == self.tool for t in request.tools))
            and (not self.system or any(self.system in s.text for s in request.system))
        )


class Script(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    replies: list[Say] = []
    when: list[When] = []
    default: Say = Say(text="The script has no more to say.")
    repeat: bool = False


Step = Say | Callable[[ModelRequest], "Say | None"]


def last_text(request: ModelRequest) -> str:
    """The user's last words; the engine's own context stands before them in the same message."""
    for message in reversed(request.messages):
        texts = [b.text for b in message.content if isinstance(b, Text)]
        if message.role == "user" and texts:
            return texts[-1]
    return ""


def last_result(request: ModelRequest) -> str:
    """The results of the calls just made, "" if none were."""
    if not request.messages:
        return ""
    return "\n".join(b.text for b in request.messages[-1].content if isinstance(b, ToolResult))


def echo(request: ModelRequest) -> Say:
    return Say(text=f"You said: {last_text(request)}")


def demo(request: ModelRequest) -> Say:
    """Looks at the runs once, and tells what it saw."""
    seen = last_result(request)
    if seen:
        return Say(thinking="That is all I need.", text=f"This is what I found:\n\n{seen[:2000]}", delay=0.02)
    if any(tool.name == "list_runs" for tool in request.tools):
        return Say(thinking="Look at the runs first.", text="I look.", calls=[CallOf(name="list_runs")], delay=0.02)
    return Say(text="I am a script, not a model. I can say this sentence and list your runs.", delay=0.02)


NAMED: dict[str, Step] = {"echo": echo, "demo": demo}


class ScriptedModel:
    """See the module's words. Its info can be changed by the caller, say to give it a price."""

    def __init__(
        self,
        script: Iterable[Step] | Callable[[ModelRequest], Say | None] | Script = (),
        *,
        name: str = "test",
        default: Step | None = None,
        info: ModelInfo | None = None,
    ) -> None:
        self.info = info or ModelInfo(
            id=name,
            provider="scripted",
            title=f"Script {name}",
            price_input=0.0,
            price_output=0.0,
            price_cache_read=0.0,
            price_cache_write=0.0,
            images=True,
            thinking=True,
        )
        self.requests: list[ModelRequest] = []
        self._when: list[When] = []
        self._repeat = False
        self.default: Step = default or Script().default
        if isinstance(script, Script):
            self._when, self._repeat = script.when, script.repeat
            self.default = default or script.default
            self.queue: list[Step] = list(script.replies)
        elif callable(script):
            self.queue, self.default = [], script
        else:
            self.queue = list(script)

    @classmethod
    def named(cls, name: str) -> ScriptedModel:
        """A script of ours, or one from a JSON file. Raises ModelFailed "missing" or "bad_request"."""
        if name in NAMED:
            return cls(default=NAMED[name], name=name)
        path = Path(name).expanduser()
        try:
            script = msgspec.json.decode(path.read_bytes(), type=Script)
        except OSError as error:
            known = ", ".join(NAMED)
            raise ModelFailed(
                "missing", f"There is no script {name!r} ({error.strerror}).", f"Name a JSON file, or one of: {known}."
            ) from None
        except msgspec.DecodeError as error:
            raise ModelFailed(
                "bad_request", f"The script {name!r} cannot be read: {error}.", "Mend the file."
            ) from None
        return cls(script, name=name)

    def choose(self, request: ModelRequest) -> Say:
        for rule in self._when:
            if rule.fits(request):
                return rule.reply
        while self.queue:
            step = self.queue.pop(0)
            if self._repeat:
                self.queue.append(step)
            found = step if isinstance(step, Say) else step(request)
            if found is not None:
                return found
        found = self.default if isinstance(self.default, Say) else self.default(request)
        return found or Script().default

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        self.requests.append(request)
        say = self.choose(request)
        left = say.fail.after if say.fail else -1
        if say.fail and left <= 0:
            raise failure(say.fail)
        usage = say.usage or guessed(request, say)
        yield Began(self.info.id, msgspec.structs.replace(usage, output=0))
        content: list[Block] = []
        for index, (opened, pieces, whole, bad) in enumerate(blocks(request, say, len(self.requests))):
            yield BlockBegan(index, *opened)
            for piece in pieces:
                if left == 0 and say.fail:
                    raise failure(say.fail)
                left -= 1
                await asyncio.sleep(say.delay)  # with 0 it still lets a stop in between
                match opened[0]:
                    case "text":
                        yield TextDelta(index, piece)
                    case "thinking":
                        yield ThinkingDelta(index, piece)
                    case _:
                        yield InputDelta(index, piece)
            content.append(whole)
            yield BlockEnded(index, whole, bad)
        if say.fail:
            raise failure(say.fail)
        stop = say.stop or ("tool_use" if say.calls else "end_turn")
        yield Ended(stop, usage, content, f"script_{len(self.requests)}")


def failure(fail: Fail) -> ModelFailed:
    return ModelFailed(fail.kind, fail.problem, "Change the script.", fail.retry_after)


def guessed(request: ModelRequest, say: Say) -> Usage:
    asked = sum(len(s.text) for s in request.system) + len(msgspec.json.encode(request.messages))
    spoken = len(say.text) + len(say.thinking) + sum(len(encoded(c)) for c in say.calls)
    return Usage(input=asked // 4, output=max(1, spoken // 4), calls=1)


def encoded(call: CallOf) -> str:
    return msgspec.json.encode(call.input).decode() if call.raw is None else call.raw


Opened = tuple[Any, ...]


def blocks(request: ModelRequest, say: Say, n: int) -> list[tuple[Opened, list[str], Block, str]]:
    """(kind, id, name), its pieces, the whole block, and the input that is none."""

    def cut(text: str) -> list[str]:
        return [text[i : i + say.chunk] for i in range(0, len(text), max(1, say.chunk))]

    made: list[tuple[Opened, list[str], Block, str]] = []
    thinking, text = filled(say.thinking, request), filled(say.text, request)
    if thinking:
        made.append((("thinking",), cut(thinking), Thinking(thinking, f"script_{n}"), ""))
    if text:
        made.append((("text",), cut(text), Text(text), ""))
    # Alike for the same conversation, different within it: ids of calls are looked up in the record.
    seed = hashlib.sha1(msgspec.json.encode(request.messages), usedforsecurity=False).hexdigest()[:8]
    for k, call in enumerate(say.calls):
        input, bad = tool_input(encoded(call))
        id = call.id or f"call_{seed}_{n}_{k}"
        made.append((("tool_use", id, call.name), cut(encoded(call)), ToolUse(id, call.name, input), bad))
    return made


def filled(text: str, request: ModelRequest) -> str:
    if "{last_" not in text:
        return text
    return text.replace("{last_text}", last_text(request)).replace("{last_result}", last_result(request))
