"""What a person wants of the built-in assistant, by plain rules on their words. Pure; nothing here guesses a number."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from msgspec import Struct

WHO = "Built-in assistant, no language model"


class Call(Struct, frozen=True):
    """A tool to use. ready: its result is Markdown for a person, to be passed on as it is."""

    name: str
    input: dict[str, Any]
    ready: bool = False


class Say(Struct, frozen=True):
    text: str


Wish = Call | Say

READY = frozenset({"analyze_run", "diagnose_run", "compare_models"})
_RUN = re.compile(r"@run:([\w.\-]{1,80})|\b(run_[0-9a-z]{4,40})\b", re.IGNORECASE)
_ALERT = re.compile(r"@alert:([\w.\-]{1,80})|\b(alt_[0-9a-z]{4,40})\b", re.IGNORECASE)
_SWEEP = re.compile(r"@sweep:([\w.\-]{1,80})|\b(swp_[0-9a-z]{4,40})\b", re.IGNORECASE)
_NUMBERED = re.compile(r"\b(?:run|trial)\s*#?\s*(\d{1,6})\b", re.IGNORECASE)
_QUOTED = re.compile(r"(?<!\w)[\"“'‘`]([^\"”'’`\n]{1,120})[\"”'’`](?!\w)")
_METRIC = re.compile(
    r"@metric:([\w./\-]{1,120})|\bby ([\w./\-]*(?:loss|acc|accuracy|bleu|f1|reward|score|ppl)[\w./\-]*)\b",
    re.IGNORECASE,
)
_SLASH = re.compile(r"^/([a-z_-]{1,30})\b\s*(.*)$", re.IGNORECASE | re.DOTALL)


def _any(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


_POLITE = r"^\W*(?:please |can you |could you )*"
_HELLO = _any(
    r"^\W*(?:hi|hello|hey|good (?:morning|evening)|thanks?|thank you)\b\W*$",
    r"\b(?:who|what) are you\b",
    r"\bwhat can you do\b",
    r"\bhow do (?:i|you) (?:use|work)\b",
    r"^\W*help\W*$",
    r"are you (?:an? )?(?:ai|llm|model|gpt|claude)",
)
_COMPARE = _any(
    r"\bcompar\w*",
    r"\bversus\b|\bvs\.?\b|\bside by side\b",
    r"\bdiffer\w*",
    r"\bleaderboard\b|\brank\b|\bbest\b|\bwinner\b",
    r"\bwhich (?:\w+ )?(?:run|model|config\w*|setting|trial)s? (?:is|was|did|won|has)",
)
_BROKEN = _any(
    r"\bfail\w*|\bcrash\w*|\bbroke\w*|\berror\w*|\bexception\w*|\btraceback\w*|\bwrong\b|\bdiagnos\w*|\bdebug\w*",
    r"\bdied?\b|\bdead\b|\bkilled\b|\boom\b|\bout of memory\b|\bstuck\b|\bhang\w*|\bhung\b|\bstalled?\b",
    r"\bnan\b|\bdiverg\w*|\bexit code\b",
    r"\bnot (?:work|learn|train|converg)\w*|\bdoes ?n.?t (?:work|learn|train|start)",
    r"\bwhy\b.*\b(?:stop|end)\w*",
)
_ANALYZE = _any(
    r"\banaly[sz]\w*|\bsummar\w*|\bexplain\b|\bcurves?\b|\bprogress\b|\breview\b|\blook at\b|\btell me about\b",
    r"\bhow (?:did|does|do|is|are|was|well|far)\b.*\b(?:runs?|it|go|going|went|training|model|experiment|loss)\b",
    r"\boverfit\w*|\bplateau\w*|\bconverg\w*|\bloss\b|\baccuracy\b|\bmetrics?\b|\bresults?\b",
    r"\b(?:latest|last|newest|current) (?:run|training|experiment)\b",
)
_LIST = _any(
    r"\b(?:list|show|which|what)\b.*\bruns?\b",
    r"\bwhat(?:'s| is)? running\b",
    r"\bmy (?:runs|experiments|trainings)\b",
    r"^\W*(?:runs|status)\W*$",
    r"\b(?:all|recent) (?:runs|experiments)\b",
)
_SWEEPS = _any(r"\bsweeps?\b")
_ALERTS = _any(r"\balerts?\b|\bwarnings?\b")
_LOG = _any(r"\b(?:log|logs|output|stdout|stderr|console)\b")
_STOP = _any(_POLITE + r"(?:stop|cancel|kill|abort|terminate)\b")
_LAUNCH = re.compile(
    r"^\W*(?:please )?(?:launch|start|run|execute)\s+"
    r"(?:`([^`\n]{1,2000})`|((?:python3?|bash|sh|torchrun|accelerate)\s.{1,2000}))\s*$",
    re.IGNORECASE,
)
# What asks for something to be made needs a mind, whatever else it names.
_MAKE = _any(
    _POLITE
    + r"(?:write|create|make|build|set up|edit|change|fix|implement|add|delete|remove|rename|install|train|tune|"
    r"optimi[sz]e|plan|search|research|find|download|translate|refactor|generate|draw|plot)\b"
)


def understand(text: str, offered: Collection[str]) -> Wish:
    """What to do about a message. offered: names of the tools that there are.

    >>> understand("Why did training fail?", {"diagnose_run"})
    Call(name='diagnose_run', input={}, ready=True)
    >>> understand("analyse @run:run_ab12, please", {"analyze_run"})
    Call(name='analyze_run', input={'run': 'run_ab12'}, ready=True)
    >>> understand("what is the meaning of life?", {"analyze_run"}).text.startswith("*Built-in assistant")
    True
    """
    text = text.strip()
    wish = _slash(text, offered) or _leading(text, offered) or _within(text, offered)
    if isinstance(wish, Call) and wish.name not in offered:
        return Say(cannot(offered, "The part of ragent that could do this is not here."))
    return wish or Say(cannot(offered))


def _call(name: str, input: dict[str, Any] | None = None) -> Call:
    return Call(name, {k: v for k, v in (input or {}).items() if v not in ("", [], None)}, name in READY)


def _slash(text: str, offered: Collection[str]) -> Wish | None:
    """`/analyze RUN` and the like, where they arrive as they were typed."""
    found = _SLASH.match(text)
    if found is None:
        return None
    verb, rest = found[1].lower(), found[2].strip()
    words = [w.removeprefix("@run:") for w in rest.split()]
    match verb:
        case "analyze" | "analyse":
            return _call("analyze_run", {"run": words[0] if words else ""})
        case "why" | "diagnose":
            return _call("diagnose_run", {"run": words[0] if words else ""})
        case "compare":
            return _call("compare_models", {"runs": words})
        case "stop" if words and words[0] != "turn":
            sweep = words[0].startswith("swp_")
            return _call("stop_sweep", {"sweep": words[0]}) if sweep else _call("stop_run", {"run": words[0]})
        case "launch" if rest:
            return _call("launch_run", {"command": rest})
        case "runs":
            return _call("list_runs")
        case "help":
            return Say(about(offered))
    return None


def _leading(text: str, offered: Collection[str]) -> Wish | None:
    """Messages whose first words say it all, whatever follows them."""
    low = re.sub(r"^\W+", "", text.lower())
    low = re.sub(r"^(?:please|can you|could you|would you|hey|ok|okay|now)[\s,]+", "", low)
    if _HELLO.search(text) and len(text) < 200:
        return Say(about(offered))
    launch = _LAUNCH.match(text)
    if launch:
        return _call("launch_run", {"command": (launch[1] or launch[2]).strip()})
    if _STOP.match(text):
        sweep = _refs(_SWEEP, text)
        runs = runs_in(text)
        if sweep:
            return _call("stop_sweep", {"sweep": sweep[0]})
        if runs:
            return _call("stop_run", {"run": runs[0]})
        return Say(f"*{WHO}.* Which run? Name it, for example `stop run_…`; I stop nothing that was not named.")
    if re.match(r"analy[sz]\w*\b", low):
        if re.match(r"analy[sz]\w*\s+(?:why|what went wrong|the (?:failure|crash|error))", low):
            return _diagnose(text)
        return _call("analyze_run", {"run": _one(text)})
    if re.match(r"compare\b", low):
        return _compare(text)
    if re.match(r"(?:why|diagnose|debug)\b", low) and (_BROKEN.search(text) or runs_in(text)):
        return _diagnose(text)
    return None


def _within(text: str, offered: Collection[str]) -> Wish | None:
    """Messages with a word that says what they are about. What asks for something to be made is not answered."""
    if len(text) > 1000 or _MAKE.match(text):
        return None
    runs = runs_in(text)
    if _COMPARE.search(text) and (len(runs) != 1 or "compar" in text.lower()):
        return _compare(text)
    if _ALERTS.search(text):
        status = "pending" if "pending" in text.lower() else "all"
        return _call("list_alerts", {"run": runs[0] if runs else "", "status": status})
    if _LOG.search(text) and not _BROKEN.search(text):
        return _call("read_log", {"run": runs[0] if runs else "latest", "lines": 60})
    if _BROKEN.search(text):
        return _diagnose(text)
    if _SWEEPS.search(text) and not runs:
        named = _refs(_SWEEP, text)
        return _call("show_sweep", {"sweep": named[0]}) if named else _call("list_sweeps")
    if _LIST.search(text) and not runs:
        running = re.search(r"\brunning\b|\blive\b", text, re.I)
        return _call("list_runs", {"status": ["running"] if running else [], "limit": 20})
    if _ANALYZE.search(text) or runs:
        return _call("analyze_run", {"run": _one(text)})
    return None


def _diagnose(text: str) -> Call:
    return _call("diagnose_run", {"run": _one(text)})


def _compare(text: str) -> Call:
    metric = _METRIC.search(text)
    runs = runs_in(text)
    return _call(
        "compare_models",
        {"runs": runs if len(runs) > 1 else [], "metric": (metric[1] or metric[2]) if metric else ""},
    )


def _refs(pattern: re.Pattern[str], text: str) -> list[str]:
    return list(dict.fromkeys(a or b for a, b in pattern.findall(text)))


def runs_in(text: str) -> list[str]:
    """The runs that a message names, each once: by mention, by id, by number, by a quoted name.

    >>> runs_in('compare @run:run_ab12 with run 3 and "resnet wide"')
    ['run_ab12', '3', 'resnet wide']
    """
    found = [(m.start(), m[1] or m[2]) for m in _RUN.finditer(text)]
    found += [(m.start(), m[1]) for m in _NUMBERED.finditer(text)]
    taken = {ref for _, ref in found}
    found += [(m.start(), m[1]) for m in _QUOTED.finditer(text) if not any(ref in m[1] for ref in taken)]
    return list(dict.fromkeys(ref for _, ref in sorted(found)))


def _one(text: str) -> str:
    runs = runs_in(text)
    if runs:
        return runs[0]
    newest = re.search(r"\b(?:latest|last|newest|most recent)\b", text, re.IGNORECASE)
    return "latest" if newest and not _BROKEN.search(text) else ""


# --- answers ----------------------------------------------------------------------------------------------------------
_CAN: list[tuple[str, str]] = [
    ("analyze_run", "**Analyze a run**: “Analyze my latest run”, or name one (`@run:…`)"),
    ("diagnose_run", "**Find out why a run failed**: “Why did training fail?”"),
    ("compare_models", "**Compare runs and their settings**: “Compare model configs”"),
    ("list_runs", "**List your runs**: “What is running?”"),
    ("list_alerts", "**Show alerts**: “Show the alerts”"),
    ("read_log", "**Show the end of a log**: “Show the log of run_…”"),
]


def three(offered: Collection[str]) -> list[str]:
    """Three things that can be done here."""
    found = [f"- {words}" for name, words in _CAN if name in offered]
    return found[:3]


def cannot(offered: Collection[str], why: str = "") -> str:
    lines = [f"*{WHO}.* I cannot answer this. {why}".rstrip()]
    can = three(offered)
    if can:
        lines += ["", "What I can do:", *can]
    lines += ["", "For anything else, set a model and its key (Settings → Models, or `ragent keys set`)."]
    return "\n".join(lines)


def about(offered: Collection[str]) -> str:
    can = [f"- {words}" for name, words in _CAN if name in offered]
    return "\n".join(
        [
            f"*{WHO}.* I work out answers from what your runs recorded: curves, alerts, logs, settings. I do not "
            "understand free text, write code, or use the memory rules.",
            *(["", "What I can do:", *can] if can else []),
            "",
            "With a model's key (or any compatible server) this chat gets a mind.",
        ]
    )


_QUOTATION = re.compile(r'^<data from="[^"\n]*">\n(.*)\n</data>\s*$', re.DOTALL)


def unquoted(text: str) -> str:
    """A tool's words without the marks that tell a model that they are data.

    >>> unquoted('<data from="job.log">\\n### Why\\n</data>')
    '### Why'
    """
    found = _QUOTATION.match(text)
    return found[1] if found else text


def fenced(text: str) -> str:
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def answer(results: Sequence[tuple[str, str, bool]], offered: Collection[str]) -> str:
    """What is said of the tools' results. results: (tool, text, is_error). Every number in it is one that a "
    "tool gave."""
    lines = [f"*{WHO}: this is worked out by code from what was recorded.*"]
    for name, text, bad in results:
        said = unquoted(text).strip()
        lines.append("")
        if bad:
            lines += ["That did not work:", "", fenced(said)]
            can = three(offered)
            lines += ["", "What I can do:", *can] if can else []
        else:
            lines.append(said if name in READY else fenced(said))
    return "\n".join(lines)
