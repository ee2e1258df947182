"""A model that plays a researcher in a wild loop, over the true wire of the fake provider.

It knows what it is asked about from the words of the request alone, as a model does, and answers each kind of event by
a function of what stands there. A test replaces single kinds:

    model = WildModel(provider)
    model.on["explore"] = lambda asked: sweep([{"lr": 0.1}]) if asked.n == 1 else complete()

`tags=True` plays a model without tools: the same answers, said as signals.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.fake_frames import Call, Reply
from tests.support.fake_provider import FakeProvider, Seen
from tests.support.wait import wait_until

_KIND = re.compile(r"Decide about this event \((\w+)\)")
_ROW = re.compile(r"^(run_\w+) \| (\w+) \| \w* \| ([-\d.e]+) \|[^\n]*?\| ([^|\n]*)$", re.MULTILINE)
_ALERT = re.compile(r"^- (alt_\w+) (critical|warning) on (run_\w+): .*?choices: ([^\n]*)$", re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """A measured trial as it stands in the prompt."""

    run: str
    purpose: str
    value: float
    changed: str


@dataclass(frozen=True)
class Asked:
    """One request. kind: of the event.  n: the how-manieth decision about such an event.  step: calls before it in the
    same decision."""

    kind: str
    n: int
    step: int
    seen: Seen

    @property
    def prompt(self) -> str:
        """All words of the first message: what this decision was given."""
        return words_of(self.seen.messages[0]["content"])

    @property
    def event(self) -> str:
        """The section about the event."""
        return self.prompt.partition("# Event\n")[2].partition("\n# ")[0]

    @property
    def rows(self) -> list[Row]:
        found = {m[1]: Row(m[1], m[2], float(m[3]), m[4].strip()) for m in _ROW.finditer(self.prompt)}
        return list(found.values())

    @property
    def alert(self) -> str:
        found = re.search(r"alt_\w+", self.event)
        return found[0] if found else ""

    @property
    def alerts(self) -> list[tuple[str, str, str, str]]:
        """(id, severity, run, choices) of those that are pending."""
        return [m.groups() for m in _ALERT.finditer(self.prompt)]  # type: ignore[misc]

    @property
    def refused(self) -> str:
        """The guard's word on the last call, "" if it was not refused."""
        return self.seen.last_result if self.seen.last_result.startswith("Refused") else ""


def words_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(block.get("text", "") for block in content if isinstance(block, dict))


# --- answers ----------------------------------------------------------------------------------------------------------
def sweep(points: Sequence[dict[str, Any]], name: str = "rates", **more: Any) -> Reply:
    said = {"name": name, "points": list(points), "reason": "the record speaks for it", **more}
    return Reply(text="I try these.", calls=[Call(name="propose_sweep", input=said)])


def promise(word: str, text: str = "", **more: Any) -> Reply:
    return Reply(text="So it goes on.", calls=[Call(name="promise", input={"word": word, "text": text, **more})])


def complete(text: str = "Nothing is left that is worth its cost.") -> Reply:
    return promise("COMPLETE", text)


def needs_human(text: str, options: Sequence[str] = (), default: str = "") -> Reply:
    return promise("NEEDS_HUMAN", text, options=list(options), default=default)


def calls(*said: tuple[str, dict[str, Any]], text: str = "") -> Reply:
    return Reply(text=text, calls=[Call(name=name, input=input) for name, input in said])


def as_tags(reply: Reply) -> Reply:
    """The same, said by a model without tools; what tags cannot say stays prose."""
    lines = [reply.text] if reply.text else []
    for call in reply.calls:
        match call.name:
            case "propose_sweep":
                lines.append(f"<sweep>{json.dumps(call.input)}</sweep>")
            case "resolve_alert":
                said = {"alert_id": call.input["alert"], "choice": call.input["choice"]}
                lines.append(f"<resolve_alert>{json.dumps(said)}</resolve_alert>")
            case "promise":
                text = call.input.get("text", "")
                word = call.input["word"] + (f": {text}" if text and call.input["word"] == "NEEDS_HUMAN" else "")
                lines.append(f"<promise>{word}</promise>")
            case "confirm":
                lines.append("<promise>COMPLETE</promise>")  # the engine confirms before it ends
            case _:
                lines.append(str(call.input.get("text", "")))
    return Reply(text="\n\n".join(line for line in lines if line), chunk=40)


Answer = Callable[[Asked], Reply | None]


class WildModel:
    """Every answer is made from the request; it keeps nothing but a count of what it was asked.

    points: what it explores, a sweep each; then it says COMPLETE.
    """

    def __init__(
        self, provider: FakeProvider, *, tags: bool = False, points: Sequence[Sequence[dict[str, Any]]] = ()
    ) -> None:
        self.provider = provider
        self.tags = tags
        self.points = points or [[{"lr": 0.1}, {"lr": 0.3}]]
        self.asked: list[Asked] = []
        self._counts: Counter[str] = Counter()
        self.on: dict[str, Answer] = {
            "explore": self.explore, "analysis": self.analysis, "completion": self.ended, "failure": self.ended,
            "critical": self.alert, "warning": self.alert, "human": self.heard, "answer": self.heard,
        }  # fmt: skip
        provider.default = self.answer

    def answer(self, seen: Seen) -> Reply:
        said = words_of(seen.messages[0]["content"]) if seen.messages else ""
        found = _KIND.search(said)
        if found is None:
            return Reply(text="ok")  # a title, a probe: no decision
        kind, step = found[1], sum(message["role"] == "assistant" for message in seen.messages)
        self._counts[kind] += step == 0
        asked = Asked(kind, self._counts[kind], step, seen)
        self.asked.append(asked)
        reply = self.on[kind](asked) or Reply(text="Nothing is to be done.")
        return as_tags(reply) if self.tags else reply

    # --- what it does by itself ---------------------------------------------------------------------------------------
    def explore(self, asked: Asked) -> Reply:
        # How far it is stands in the record: a restart changes nothing.
        found = re.search(r"iteration (\d+)", asked.prompt.partition("# Where the loop stands")[2])
        done = int(found[1]) if found else 0
        return sweep(self.points[done]) if done < len(self.points) else complete()

    def analysis(self, asked: Asked) -> Reply:
        if asked.step:
            return promise("CONTINUE")
        rows = sorted(asked.rows, key=lambda row: row.value)
        text = f"{rows[0].run} reached {rows[0].value:g} with {rows[0].changed}." if rows else "Nothing was measured."
        tasks = [{"id": "tune", "text": "tune the rate", "state": "doing"}, {"id": "tell", "text": "tell"}]
        keep = ("analyse", {"text": text, "findings": [text], "tasks": tasks})
        return calls(keep, ("promise", {"word": "CONTINUE"}))

    def ended(self, asked: Asked) -> Reply:
        return Reply(text="It ended as it should.")

    def alert(self, asked: Asked) -> Reply:
        if asked.step or not asked.alert:
            return Reply(text="It is answered.")
        offered = next((choices for id, _, _, choices in asked.alerts if id == asked.alert), "")
        choice = "stop" if "stop (" in offered else "ignore"
        return calls(("resolve_alert", {"alert": asked.alert, "choice": choice, "reason": "what it shows"}))

    def heard(self, asked: Asked) -> Reply:
        return promise("CONTINUE", "Understood.")

    # --- what it was asked --------------------------------------------------------------------------------------------
    def kinds(self) -> list[str]:
        """Kinds of the decisions, in their order."""
        return [asked.kind for asked in self.asked if not asked.step]

    def wait(self, kind: str, n: int = 1, timeout: float = 60.0) -> Asked:
        """The n-th decision about such an event."""

        def there() -> Asked | None:
            return next((a for a in self.asked if a.kind == kind and a.n >= n), None)

        try:
            found = wait_until(there, timeout, every=0.05, what=f"decision {n} about {kind}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it was asked about {self.kinds()}") from None
        assert found is not None
        return found
