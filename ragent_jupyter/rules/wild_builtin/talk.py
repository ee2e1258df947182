"""A few plain commands, understood without a model. What is not understood is said, never guessed."""

from __future__ import annotations

import math
import re
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from ragent_jupyter.domain.sweep import Range, Values
from ragent_jupyter.domain.wild import ChangeSetup, Confirm, Knob, Promise, ProposeSweep, Seen, View

from .space import space_fields
from .standing import Standing, said_range
from .steps import Step, note

KNOWN = (
    "only tune NAME, NAME · freeze NAME · NAME between A and B · try NAME=VALUE NAME=VALUE · more seeds · "
    "use N seeds · minimise METRIC · maximise METRIC · confirm now · stop after this"
)
_NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
_NAME = r"([A-Za-z_][\w./-]*)"
_SPLIT = re.compile(r"\s*(?:[;\n]|\.\s+|\.$|\bthen\b)\s*", re.IGNORECASE)
_FILLER = re.compile(r"^(?:please|and|also|now|ok(?:ay)?|,)\b[\s,]*", re.IGNORECASE)
_LOG_RATIO = 20.0


class Heard(Struct, frozen=True):
    """What was made of a message. fields: of the setup."""

    fields: dict[str, Any]
    said: list[str]
    unknown: list[str]
    points: list[dict[str, Any]]
    stop: bool = False
    confirm: bool = False


def on_human(view: View, text: str) -> list[Step]:
    """What a person's message leads to: changes, and one honest sentence about what was and was not understood."""
    at = Standing(view)
    heard = hear(at, text)
    evidence = [Seen(kind="text", text=text[:300])]
    steps: list[Step] = []
    why = " ".join(heard.said)
    if heard.fields:
        steps.append(Step(ChangeSetup(fields=heard.fields, reason=why), why, evidence, "rule:steer"))
    if heard.points:
        flagged = [at.point(point, None if at.anchor is None else at.anchor.seed) for point in heard.points]
        sweep = ProposeSweep(
            name="asked for", points=flagged, purpose="search", reason=f"A person asked for it: {text[:200]}",
            by=["human"] * len(flagged),
        )  # fmt: skip
        steps.append(Step(sweep, why, evidence, "rule:steer"))
    if heard.confirm:
        steps.append(Step(Confirm(reason="A person asked for it."), why, evidence, "rule:steer"))
    if heard.stop:
        steps.append(
            Step(Promise(word="COMPLETE", text="A person asked to stop after this."), why, evidence, "rule:steer")
        )
    answer = f"Understood: {why}" if heard.said else "Nothing was understood."
    if heard.unknown:
        parts = "; ".join(f"“{part[:80]}”" for part in heard.unknown)
        answer += f" Not understood without a model: {parts}. What is understood: {KNOWN}."
    doing = next((t.id for t in at.loop.plan if t.state == "doing"), "baseline" if not at.base else "search")
    steps.append(note(at, doing, answer, evidence, "rule:steer"))
    return steps


def hear(at: Standing, text: str) -> Heard:
    space = dict(at.setup.space)
    fields: dict[str, Any] = {}
    said: list[str] = []
    unknown: list[str] = []
    points: list[dict[str, Any]] = []
    stop = confirm = False
    for part in filter(None, _SPLIT.split(text[:2000].strip())):
        part = re.sub(r"[\s,]+please$", "", _FILLER.sub("", part).strip(" .!,"), flags=re.IGNORECASE)
        if not part:
            continue
        if re.fullmatch(r"(stop|finish|end)( it)?( after (this|it|that)( (sweep|batch|one))?)?|stop here", part, re.I):
            stop = True
            said.append("It ends after this.")
        elif re.fullmatch(r"confirm( now| it| the best)?", part, re.I):
            confirm = True
            said.append("The best is put to the test now.")
        elif (count := _seeds(at, part)) is not None:
            fields["seeds"] = count
            said.append(f"Confirming takes {count} seeds.")
        elif found := re.fullmatch(rf"(mini|maxi)mi[sz]e {_NAME}", part, re.I):
            mode = "min" if found[1].lower() == "mini" else "max"
            fields |= {"metric": found[2], "mode": mode}
            said.append(f"{found[2]} decides, {'lower' if mode == 'min' else 'higher'} is better.")
        elif (point := _point(at, part)) is not None:
            points.append(point)
            said.append("That point runs next.")
        elif (changed := _space(space, part)) is not None:
            space, sentence = changed
            fields |= space_fields(space)
            said.append(sentence)
        else:
            unknown.append(part)
    return Heard(fields, said, unknown, points, stop, confirm)


def _seeds(at: Standing, part: str) -> int | None:
    found = re.fullmatch(r"(?:use |take |with )?(\d{1,3}) (?:fresh )?seeds", part, re.I)
    if found is not None:
        return max(2, min(100, int(found[1])))
    return min(100, at.setup.seeds + 3) if re.fullmatch(r"(use |take )?more (fresh )?seeds", part, re.I) else None


def _point(at: Standing, part: str) -> dict[str, Any] | None:
    """`try lr=0.1 dropout=0.2`; None where it is no such thing or names what is not searched."""
    found = re.fullmatch(r"(?:try|run) (.+)", part, re.I)
    if found is None:
        return None
    point: dict[str, Any] = {}
    for pair in re.split(r"\s*,\s*|\s+(?:and\s+)?", found[1].replace(" = ", "=")):
        name, sign, value = pair.partition("=")
        known = _known(at.setup.space, name)
        if not sign or known is None:
            return None
        point[known] = _value(at.setup.space[known], value)
        if point[known] is None:
            return None
    return point


def _space(space: dict[str, Knob], part: str) -> tuple[dict[str, Knob], str] | None:
    only = re.fullmatch(r"(?:only|just) (?:tune|search|vary|change) (.+)", part, re.I)
    if only is not None:
        names = _names(space, only[1])
        return ({n: space[n] for n in names}, f"Only {', '.join(names)} is searched.") if names else None
    frozen = re.fullmatch(
        r"(?:freeze|fix|keep|leave|don'?t (?:tune|change|touch)|do not (?:tune|change|touch)) (.+)", part
    )
    if frozen is not None:
        names = _names(space, re.sub(r" (?:as it is|alone|fixed|constant)$", "", frozen[1]))
        if not names or len(names) == len(space):
            return None
        return {n: k for n, k in space.items() if n not in names}, f"{', '.join(names)} stays at its default."
    joint = r"(?:is |stays |should be |must be )?(?:between|from|in|within)"
    ranged = re.fullmatch(rf"{_NAME}:? {joint} ?[\[(]?{_NUMBER} ?(?:and|to|,|-|…|\.\.) ?{_NUMBER}[\])]?", part, re.I)
    if ranged is not None:
        name = _known(space, ranged[1]) or ranged[1]
        low, high = sorted((float(ranged[2]), float(ranged[3])))
        if not (math.isfinite(low) and math.isfinite(high)) or low == high:
            return None
        knob = _ranged(space.get(name), low, high)
        return {**space, name: knob}, f"{name} is searched from {said_range(knob).replace(' to ', ' to ')}."
    return None


def _ranged(old: Knob | None, low: float, high: float) -> Knob:
    dim = None if old is None else old.dim
    if isinstance(dim, Range):
        log = low > 0 and (dim.log or high / low >= _LOG_RATIO)
        new = Range(low, high, step=None if log else dim.step, log=log, integer=dim.integer)
    elif isinstance(dim, Values) and dim.values and all(type(v) is int for v in dim.values):
        kept = [v for v in dim.values if low <= v <= high]
        return replace(old, dim=Values(kept)) if old is not None and kept else Knob(
            dim=Range(low, high, integer=True), default=None if old is None else old.default
        )  # fmt: skip
    else:
        new = Range(low, high, log=low > 0 and high / low >= _LOG_RATIO)
    return Knob(dim=new, default=None if old is None else old.default, why="a person said so")


def _names(space: dict[str, Knob], text: str) -> list[str]:
    """The parameters that are named; [] where one of the words is none."""
    found = [_known(space, word) for word in re.split(r"\s*(?:,|\band\b|&|\+|\s)\s*", text.strip()) if word]
    return [name for name in dict.fromkeys(found) if name] if all(found) else []


def _known(space: dict[str, Knob], word: str) -> str | None:
    plain = _plain(word)
    aliases = {"learningrate": "lr", "lr": "learningrate", "wd": "weightdecay", "weightdecay": "wd", "bs": "batchsize"}
    for wanted in (plain, aliases.get(plain, plain)):
        for name in space:
            if wanted and wanted in (_plain(name), _plain(name.rpartition(".")[2])):
                return name
    return None


def _plain(word: str) -> str:
    return re.sub(r"[^a-z0-9.]", "", word.casefold())


def _value(knob: Knob, text: str) -> Any:
    """A value as the parameter takes it; None where it is none."""
    if isinstance(knob.dim, Values):
        found = next((v for v in knob.dim.values if str(v).casefold() == text.casefold()), None)
        if found is not None:
            return found
    try:
        number = float(text)
    except ValueError:
        return text if isinstance(knob.dim, Values) and re.fullmatch(r"[\w.+-]{1,60}", text) else None
    if not math.isfinite(number):
        return None
    whole = isinstance(knob.default, int) or (isinstance(knob.dim, Range) and knob.dim.integer)
    return int(number) if whole and number.is_integer() else number
