"""A skill: a prompt template as Markdown with front matter. Reading, checking and filling it in; pure.

    ---
    name: short-report
    title: A short report
    description: Three sentences about one run
    variables: run, metric
    ---
    Say in three sentences how {{run}} did on {{metric}}.

What stands between the doubled braces is a variable's name. A value is put in as it is and never looked at again: a
`{{…}}` within a value stays text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from typing import Any

from msgspec import Struct

from ragent_jupyter.domain.errors import BadInput, TooLarge

from .compaction import tokens_of_text

MAX_TEXT = 40_000  # characters of a whole file
MAX_TOKENS = 3_000  # of the body: the rest of a prompt is what a decision is made from
_MAX_HEAD = 8_000
_MAX_VARIABLES = 60
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?")
_VARIABLE = re.compile(r"[a-z][a-z0-9_]{0,39}")
_HOLE = re.compile(r"\{\{([^{}\n]{0,80})\}\}")
_FENCE = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*$\r?\n?", re.DOTALL | re.MULTILINE)


class SkillText(Struct, frozen=True, kw_only=True):
    """A file, read. variables: what may stand in it; needs: what must, or the template is of no use.

    version: sha256 of the file's text, the first 12 digits.
    """

    name: str
    title: str
    description: str
    body: str
    variables: tuple[str, ...]
    needs: tuple[str, ...]
    version: str


def version_of(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def check_name(name: str) -> str:
    """A name that is a file's name on every system. Raises BadInput."""
    if not _NAME.fullmatch(name) or name in ("con", "prn", "aux", "nul"):
        raise BadInput(
            f"{name[:80]!r} is no name for a skill.", "Use small letters, digits and hyphens, at most 60 of them."
        )
    return name


def parse(text: str, stem: str = "") -> SkillText:
    """A file's text as a skill. stem: the name where the front matter has none. Raises BadInput, TooLarge."""
    if len(text) > MAX_TEXT:
        raise TooLarge(f"The skill has {len(text):,} characters.", f"Write at most {MAX_TEXT:,}.")
    found = _FENCE.match(text)
    if found is None:
        raise BadInput(
            "The file does not begin with front matter.",
            "Begin it with a line ---, then name:, title:, description:, variables:, and a line ---.",
        )
    head = _head(found[1])
    name = check_name(_word(head, "name") or stem)
    body = text[found.end() :].strip()
    if not body:
        raise BadInput("The skill has no text below its front matter.", "Write what the model shall be told.")
    tokens = tokens_of_text(body)
    if tokens > MAX_TOKENS:
        raise TooLarge(f"The skill is about {tokens:,} tokens long.", f"Write at most {MAX_TOKENS:,}.")
    made = SkillText(
        name=name,
        title=_word(head, "title") or name,
        description=_word(head, "description"),
        body=body,
        variables=_names(head, "variables"),
        needs=_names(head, "needs"),
        version=version_of(text),
    )
    check_holes(made, made.variables)
    return made


def _head(text: str) -> dict[str, Any]:
    if len(text) > _MAX_HEAD:
        raise TooLarge("The front matter is longer than 8,000 characters.", "Put the text below it.")
    if sum(map(text.count, "[{")) > 100:  # reading nested brackets takes ever longer
        raise BadInput(
            "The front matter is not what YAML allows: too many brackets.", "Write `key: value`, one a line."
        )
    import yaml  # type: ignore[import-untyped]

    try:
        held = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        why = " ".join(str(getattr(error, "problem", "") or type(error).__name__).split())[:200]
        raise BadInput(
            f"The front matter is not what YAML allows: {why}.", "Write `key: value`, one a line; quote odd values."
        ) from None
    if held is None:
        return {}
    if not isinstance(held, dict):
        raise BadInput("The front matter is no list of `key: value`.", "Write `key: value`, one a line.")
    return {str(key): value for key, value in held.items()}


def _word(head: Mapping[str, Any], key: str) -> str:
    value = head.get(key)
    if value is None:
        return ""
    if isinstance(value, (dict, list)):
        raise BadInput(f"`{key}` is no text.", f"Write `{key}: some words`.")
    return " ".join(str(value).split())[:400]


def _names(head: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = head.get(key)
    if value is None or value == "":
        return ()
    items = value if isinstance(value, list) else str(value).split(",")
    names = [str(item).strip() for item in items[: _MAX_VARIABLES + 1]]
    names = [name for name in names if name]
    if len(names) > _MAX_VARIABLES:
        raise BadInput(f"`{key}` has more than {_MAX_VARIABLES} names.", "Use fewer.")
    for name in names:
        if not _VARIABLE.fullmatch(name):
            raise BadInput(f"{name[:60]!r} is no name of a variable.", "Use small letters, digits and underscores.")
    return tuple(dict.fromkeys(names))


def check_holes(skill: SkillText, known: Collection[str]) -> None:
    """Every `{{…}}` is a variable that there is, and what the template needs is in it. Raises BadInput."""
    used = holes(skill.body)
    for name in used:
        if name not in known:
            told = ", ".join(known) or "none"
            raise BadInput(f"{{{{{name[:60]}}}}} is not a variable of this skill.", f"Known are: {told}.")
    for name in skill.needs:
        if name not in used:
            raise BadInput(f"The skill does not say {{{{{name}}}}}.", "Without it a decision has nothing to rest on.")


def holes(body: str) -> dict[str, int]:
    """Names of variables in a body, in order, and how often each stands there."""
    found: dict[str, int] = {}
    for hole in _HOLE.finditer(body):
        name = hole[1].strip()
        found[name] = found.get(name, 0) + 1
    return found


def render(body: str, values: Mapping[str, str]) -> str:
    """The body with its variables filled in, in one pass. Raises BadInput for a variable without a value.

    >>> render("{{a}} and {{ b }}", {"a": "{{b}}", "b": "2"})
    '{{b}} and 2'
    """

    def value(hole: re.Match[str]) -> str:
        name = hole[1].strip()
        if name not in values:
            raise BadInput(f"{{{{{name[:60]}}}}} has no value here.", f"Known are: {', '.join(values) or 'none'}.")
        return values[name]

    return _HOLE.sub(value, body)


def score(skill: SkillText, words: Collection[str]) -> int:
    """How well a skill fits words that are looked for, in small letters; 0 where one of them is nowhere."""
    total = 0
    name, about, body = skill.name, f"{skill.title} {skill.description}".casefold(), skill.body.casefold()
    for word in words:
        found = 100 * (word == name) + 60 * (word in name) + 30 * (word in about) + 10 * (word in body)
        if not found:
            return 0
        total += found
    return total
