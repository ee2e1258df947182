"""Signals of a model that has no tools: `<sweep>{json}</sweep>`, `<resolve_alert>{json}</resolve_alert>`,
`<promise>CONTINUE|COMPLETE|NEEDS_HUMAN</promise>` (also as `<signal>`), read from its words.

A tag counts only where the model itself says it. In a code fence, in `inline code`, in indented code, in a > quotation,
in a comment, in quoted data, between quotation marks or in its thinking it is a tag that is talked about. The time
grows with the length of the text and with nothing else: every look ahead is either bounded or remembered.
"""

from __future__ import annotations

import itertools
import math
import re
from bisect import bisect_left, bisect_right
from typing import Any

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.wild import Action, Promise, ProposeSweep, ResolveAlert

MAX_TEXT = 400_000
MAX_POINTS = 200
_MAX_JSON = 100_000
_MAX_PROMISE = 2_000
_MAX_PROBLEMS = 5
_MAX_ALERTS = 20
_RUNS = 10  # of a sweep that does not say how many


class Tags(Struct, frozen=True, kw_only=True):
    """actions: in the text's order.  problems: what was meant as a signal and is none, for the model.

    prose: the text without its signals.
    """

    actions: list[Action]
    problems: list[str]
    prose: str


_OPEN = re.compile(r"<(sweep|resolve_alert|promise|signal)[ \t]{0,8}>", re.IGNORECASE)
_WORD = re.compile(r"\s{0,50}([A-Za-z_ -]{1,30}?)\s{0,50}(?:[:.–-]\s{0,50}(.*))?", re.DOTALL)
_WORDS = {"CONTINUE": "CONTINUE", "COMPLETE": "COMPLETE", "NEEDS_HUMAN": "NEEDS_HUMAN"}
_FENCED_JSON = re.compile(
    r"\s{0,200}(?:(`{3,20}|~{3,20})[ \t]{0,8}(?:json)?[ \t]{0,8}\r?\n\s{0,200})?(?=\{)", re.IGNORECASE
)
_END_FENCE = re.compile(r"\s*(?:`{3,20}|~{3,20})?\s*\Z")
# What hides the tags in it; closing: what ends it, needed: whether it hides nothing without its end.
_HIDING = {
    "<!--": ("-->", False),
    "<data": ("</data", False),
    "<think": ("</think", False),
    "<pre": ("</pre", True),
    "<code": ("</code", True),
    "<blockquote": ("</blockquote", True),
    "<samp": ("</samp", True),
    "<kbd": ("</kbd", True),
    "<xmp": ("</xmp", True),
    "<q": ("</q", True),
    "<log": ("</log", True),
    "<output": ("</output", True),
    "<tool_result": ("</tool_result", True),
}
_HIDES = re.compile(
    r"<(?:!--|(?:data|think|thinking|pre|code|blockquote|samp|kbd|xmp|q|log|output|tool_result)(?=[\s>/]))",
    re.IGNORECASE,
)
_MARKS = (("“", "”"), ("„", "“"), ("«", "»"), ("‘", "’"))
_AROUND = 2_000  # characters before and behind a tag in which quotation marks are looked for
_LIST = r"[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+){0,3}"
_FENCE = re.compile(rf"{_LIST}(?:(`{{3,}})(?=[^`\n]*(?:\n|\Z))|(~{{3,}}))")
_QUOTE = re.compile(rf"{_LIST}>")
_INDENTED = re.compile(r"(?: {4}|[ \t]{0,3}\t)")
_BLANK = re.compile(r"[ \t\r]*(?:\n|\Z)")
_BLANKS = re.compile(r"(?:[ \t\r]*\n)+|[ \t\r]*\Z")
_SPECIAL = re.compile(r"\\|`+|<(?=[A-Za-z!])|\n")
_RUNS_OF_TICKS = re.compile(r"`+")


def parse(text: str, command: str) -> Tags:
    """The signals in a model's words. command: the loop's; a sweep of another one is refused.

    >>> parse("`<promise>COMPLETE</promise>` would end it.\\n<promise>CONTINUE</promise>", "").actions
    [Promise(word='CONTINUE', text='', options=[], default='')]
    """
    if len(text) > MAX_TEXT:
        told = f"The answer has {len(text):,} characters; at most {MAX_TEXT:,} are read. Say it shorter."
        return Tags(actions=[], problems=[told], prose=text[:4000])
    return _Reader(text, command).read()


class _Reader:
    def __init__(self, text: str, command: str) -> None:
        self.text = text
        self.lower = text.lower() if len(text.lower()) == len(text) else text
        self.command = " ".join(command.split())
        self.actions: list[Action] = []
        self.problems: list[str] = []
        self.mentioned: list[str] = []  # tags in prose: a problem only if nothing else was said
        self.prose: list[str] = []
        self.kept = 0  # up to where the prose is taken
        self.found: dict[str, tuple[int, int]] = {}  # needle -> (looked for from here, where it stands: -1 nowhere)
        self.ticks: dict[int, list[int]] = {}
        for run in _RUNS_OF_TICKS.finditer(text):
            self.ticks.setdefault(len(run[0]), []).append(run.start())
        self.breaks = self._breaks()

    def _breaks(self) -> list[int]:
        """Starts of the lines that end a paragraph: inline code does not reach across them."""
        found, at = [], 0
        while at < len(self.text):
            blank = _BLANKS.match(self.text, at)
            if blank or _FENCE.match(self.text, at) or _QUOTE.match(self.text, at):
                found.append(at)
            if blank:
                at = blank.end()
                continue
            end = self.text.find("\n", at)
            at = len(self.text) if end < 0 else end + 1
        return found

    def _find(self, needle: str, at: int) -> int:
        """Where it next stands, -1 if nowhere; a stretch that was looked through is not looked through again."""
        since, place = self.found.get(needle, (0, -2))
        if place == -2 or at < since or -1 < place < at:
            place = self.lower.find(needle, at)
            self.found[needle] = (at, place)
        return place

    def read(self) -> Tags:
        at, begins, blank_before = 0, True, True
        while at < len(self.text):
            if begins:
                after = self._block(at, blank_before)
                if after != at:
                    blank_before = bool(_BLANK.match(self.text, at))
                    at = after
                    continue
                begins = blank_before = False
            special = _SPECIAL.search(self.text, at)
            if special is None:
                break
            at, mark = special.start(), special[0]
            if mark == "\n":
                at, begins = at + 1, True
            elif mark == "\\":
                at += 1 if self.text[at + 1 : at + 2] == "\n" else 2
            elif mark == "<":
                at = self._angle(at)
            else:
                at = self._code(at, len(mark))
        self.prose.append(self.text[self.kept :])
        if not self.actions and not self.problems:
            self.problems = self.mentioned
        return Tags(actions=self._settled(), problems=self.problems[:_MAX_PROBLEMS], prose="".join(self.prose).strip())

    # --- what hides tags ----------------------------------------------------------------------------------------------
    def _line_end(self, at: int) -> int:
        end = self.text.find("\n", at)
        return len(self.text) if end < 0 else end + 1

    def _block(self, at: int, blank_before: bool) -> int:
        """The start of the line behind the block that begins here; `at` where an ordinary line does."""
        blank = _BLANKS.match(self.text, at)
        if blank is not None:
            return blank.end()
        fence = _FENCE.match(self.text, at)
        if fence is not None:
            mark = fence[1] or fence[2]
            line = self._line_end(at)
            while line < len(self.text):
                end = self._line_end(line)
                said = self.text[line:end].strip()
                line = end
                if len(said) >= len(mark) and said == mark[0] * len(said):
                    break
            return line
        if _QUOTE.match(self.text, at):
            # A line without the > goes on with the quotation, up to an empty one.
            line = self._line_end(at)
            while line < len(self.text) and not _BLANK.match(self.text, line) and not _FENCE.match(self.text, line):
                line = self._line_end(line)
            return line
        if blank_before and _INDENTED.match(self.text, at):
            line = self._line_end(at)
            while line < len(self.text) and _INDENTED.match(self.text, line) and not _BLANK.match(self.text, line):
                line = self._line_end(line)
            return line
        return at

    def _code(self, at: int, length: int) -> int:
        starts = self.ticks.get(length, [])  # none: a run that begins behind a backslash is shorter than it was
        nth = bisect_right(starts, at)
        if nth >= len(starts):
            return at + length
        ends = bisect_left(self.breaks, at + length)
        border = self.breaks[ends] if ends < len(self.breaks) else len(self.text)
        return starts[nth] + length if starts[nth] < border else at + length

    def _angle(self, at: int) -> int:
        opened = _OPEN.match(self.text, at)
        if opened is not None:
            return self._tag(opened)
        hides = _HIDES.match(self.text, at)
        if hides is None:
            return at + 1
        start = hides[0].lower()
        closing, needed = next(about for key, about in _HIDING.items() if start.startswith(key))
        end = self._find(closing, hides.end())
        if end < 0:
            return at + 1 if needed else len(self.text)
        return end + len(closing)

    # --- tags ---------------------------------------------------------------------------------------------------------
    def _tag(self, opened: re.Match[str]) -> int:
        name, inside = opened[1].lower(), opened.end()
        if self._quoted(opened.start(), self._find(f"</{name}", inside)):
            self.mentioned.append(f"<{name}> stands in quotation marks, so it is talked about. Write it without them.")
            return inside
        if name in ("promise", "signal"):
            close = self._find(f"</{name}", inside)
            if close < 0 or close - inside > _MAX_PROMISE:
                self.mentioned.append(f"<{name}> has no end. Write <{name}>CONTINUE</{name}> on a line of its own.")
                return inside
            self._promise(name, self.text[inside:close])
            return self._taken(opened.start(), close)
        json = _FENCED_JSON.match(self.text, inside)
        if json is None:
            self.mentioned.append(f"<{name}> holds no JSON object. Write <{name}>{{…}}</{name}>.")
            return inside
        close = self._find(f"</{name}", inside)
        if close < 0 or close - inside > _MAX_JSON:
            self.problems.append(f"<{name}> has no end </{name}>, or more than {_MAX_JSON:,} characters.")
            return inside
        said = self.text[json.end() : close]
        if json[1]:
            said = said[: said.rfind("}") + 1] if _END_FENCE.search(said[said.rfind("}") + 1 :]) else said
        held = self._object(name, said)
        if held is not None and name == "sweep":
            self._sweep(held)
        elif held is not None:
            self._alert(held)
        return self._taken(opened.start(), close)

    def _quoted(self, start: int, close: int) -> bool:
        """Whether quotation marks of one line enclose a tag: a model that repeats what it read does not say it."""
        end = self.text.find(">", close, close + 40) + 1 if close >= 0 else 0
        if not end:
            return False
        before = self.text[max(self.kept, start - _AROUND) : start].rpartition("\n")[2]
        after = self.text[end : end + _AROUND].partition("\n")[0]
        if before.count('"') % 2 and '"' in after:
            return True
        if before[-1:] == "'" and after[:1] == "'":
            return True
        return any(before.rfind(a) > before.rfind(b) and b in after for a, b in _MARKS)

    def _taken(self, start: int, close: int) -> int:
        """Behind a closing tag; what stands before the opening one is prose."""
        end = self.text.find(">", close, close + 40)
        self.prose.append(self.text[self.kept : start])
        self.kept = close if end < 0 else end + 1
        return self.kept

    def _object(self, name: str, said: str) -> dict[str, Any] | None:
        try:
            held = msgspec.json.decode(said)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
            why = " ".join(str(error).split())[:160] if isinstance(error, msgspec.DecodeError) else "nested too deeply"
            self.problems.append(f"The JSON in <{name}> cannot be read: {why}.")
            return None
        if not isinstance(held, dict):
            self.problems.append(f"<{name}> holds no JSON object.")
            return None
        return held

    def _promise(self, name: str, said: str) -> None:
        found = _WORD.fullmatch(said.strip())
        word = _WORDS.get(re.sub(r"[ -]+", "_", found[1].strip().upper())) if found else None
        if found is None or word is None:
            self.problems.append(
                f"<{name}>{' '.join(said.split())[:40]}</{name}> is none of CONTINUE, COMPLETE, NEEDS_HUMAN."
            )
            return
        text = " ".join((found[2] or "").split())
        self.actions.append(Promise(word=word, text=text))  # type: ignore[arg-type]

    def _alert(self, held: dict[str, Any]) -> None:
        alert, choice = held.get("alert_id", held.get("alert")), held.get("choice")
        if not (isinstance(alert, str) and alert and isinstance(choice, str) and choice):
            self.problems.append('<resolve_alert> needs {"alert_id": "…", "choice": "…"}, both texts.')
            return
        self.actions.append(ResolveAlert(alert=alert[:200], choice=choice[:200], reason=_text(held.get("reason"))))

    def _sweep(self, held: dict[str, Any]) -> None:
        command = held.get("base_command")
        if command is not None and (not isinstance(command, str) or " ".join(command.split()) != self.command):
            self.problems.append(
                f"<sweep> runs another command. This loop's is: {self.command[:300]} (leave base_command out)."
            )
            return
        try:
            points = points_of(held.get("points"), held.get("parameters"), _most(held.get("max_runs")))
        except ValueError as error:
            self.problems.append(f"<sweep>: {error}")
            return
        purpose = held.get("purpose", "search")
        if purpose not in ("baseline", "screen", "search", "explain"):
            self.problems.append("<sweep>: purpose is one of baseline, screen, search, explain.")
            return
        if not points and purpose != "baseline":
            self.problems.append('<sweep> needs "parameters": {"name": [values]} or "points": [{"name": value}].')
            return
        self.actions.append(
            ProposeSweep(
                name=_text(held.get("name"))[:100] or "sweep",
                points=points,
                purpose=purpose,
                reason=_text(held.get("reason")),
                replicate=held.get("replicate") is True,
            )
        )

    def _settled(self) -> list[Action]:
        """The first sweep, each alert's first answer, and one promise: two that differ are none."""
        kept: list[Action] = []
        alerts: set[str] = set()
        words = {action.word for action in self.actions if isinstance(action, Promise)}
        if len(words) > 1:
            self.problems.append(f"You said {' and '.join(sorted(words))}; say one.")
        seen: set[str] = set()
        for action in self.actions:
            match action:
                case ProposeSweep() if "sweep" not in seen:
                    seen.add("sweep")
                    kept.append(action)
                case ResolveAlert(alert=alert) if alert not in alerts and len(alerts) < _MAX_ALERTS:
                    alerts.add(alert)
                    kept.append(action)
                case Promise() if len(words) == 1 and "promise" not in seen:
                    seen.add("promise")
                    kept.append(action)
        return kept


def _text(value: Any) -> str:
    return " ".join(value.split())[:1000] if isinstance(value, str) else ""


def _most(value: Any) -> int:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return max(1, min(int(value), MAX_POINTS))
    return _RUNS


def points_of(points: Any, parameters: Any, most: int) -> list[dict[str, Any]]:
    """Points as they are given, or all combinations of the parameters' values in the order of their names; at most
    `most`. Raises ValueError, for the model.

    >>> points_of(None, {"lr": [0.1, 0.2], "seed": [1]}, 10)
    [{'lr': 0.1, 'seed': 1}, {'lr': 0.2, 'seed': 1}]
    """
    if points not in (None, []) and parameters not in (None, {}):
        raise ValueError("give points or a grid of parameters, not both.")
    if points not in (None, []):
        if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
            raise ValueError('points is a list of {"name": value}.')
        made = [{_name(key): _value(key, value) for key, value in point.items()} for point in points[:most]]
        return made
    if parameters in (None, {}):
        return []
    if not isinstance(parameters, dict) or len(parameters) > 50:
        raise ValueError('the grid is {"name": [values]}, of at most 50 names.')
    names = [_name(key) for key in parameters]
    choices = []
    for key, values in parameters.items():
        listed = values if isinstance(values, list) else [values]
        if not listed:
            raise ValueError(f"{str(key)[:60]!r} has no values.")
        choices.append([_value(key, value) for value in listed[:MAX_POINTS]])
    return [dict(zip(names, chosen, strict=True)) for chosen in itertools.islice(itertools.product(*choices), most)]


def _name(key: Any) -> str:
    if not isinstance(key, str) or not key.strip() or len(key) > 200:
        raise ValueError(f"{str(key)[:60]!r} is no name of a parameter.")
    return key.strip().lstrip("-") or key.strip()


def _value(key: Any, value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{str(key)[:60]!r} has a value that is not finite.")
    if isinstance(value, str) and len(value) > 1000:
        raise ValueError(f"{str(key)[:60]!r} has a value of {len(value):,} characters.")
    if value is not None and not isinstance(value, (bool, int, float, str)):
        raise ValueError(f"{str(key)[:60]!r} has a value that is no number, text, true, false or null.")
    return value
