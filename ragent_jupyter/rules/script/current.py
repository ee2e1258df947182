"""What the base command itself sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .found import Found

_TRUE = frozenset({"true", "yes", "on", "1", "y", "t"})
_FALSE = frozenset({"false", "no", "off", "0", "n", "f"})


def settings(found: Sequence[Found], args: Sequence[str]) -> dict[str, Any]:
    """Name → value of the options that these arguments set; the last one counts, as it does for the script.

    `--lr 0.1`, `--lr=0.1`, `lr=0.1`, a switch by its being there, and what argparse takes for short: a beginning that
    only one option has.
    """
    on: dict[str, Found] = {}
    off: dict[str, Found] = {}
    equals: dict[str, Found] = {}
    for one in found:
        for word in one.spellings:
            on.setdefault(word, one)
        for word in one.off:
            off.setdefault(word, one)
        if one.equals:
            equals.setdefault(one.name, one)
    set_: dict[str, Any] = {}
    at = 0
    while at < len(args):
        word = args[at]
        at += 1
        if word == "--":
            break
        head, sign, value = word.partition("=")
        if sign and head.lstrip("+") in equals:
            one = equals[head.lstrip("+")]
            set_[one.name] = typed(one, value)
            continue
        if not word.startswith("-") and (word not in on or on[word].equals):
            continue
        if word in off:
            set_[off[word].name] = False
            continue
        match = on.get(head) or _begun(head, on)
        if match is None:
            continue
        if sign:
            set_[match.name] = typed(match, value)
            continue
        values = []
        while at < len(args) and (not args[at].startswith("-") or _number(args[at])):
            values.append(args[at])
            at += 1
            if not match.many:
                break
        if match.kind == "bool" and (match.off or match.template.endswith("|")):
            at -= len(values)  # a switch takes no value: the word is somebody else's
            set_[match.name] = True
        elif match.kind == "bool" and not values:
            set_[match.name] = True
        elif match.many:
            set_[match.name] = [typed(match, one) for one in values]
        elif values:
            set_[match.name] = typed(match, values[0])
    return set_


def _begun(head: str, on: dict[str, Found]) -> Found | None:
    """The option that a shortened name means, if it can mean but one."""
    if not head.startswith("--") or len(head) < 4:
        return None
    found = {id(one): one for word, one in on.items() if word.startswith(head) and one.style == "argparse"}
    return next(iter(found.values())) if len(found) == 1 else None


def _number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def typed(found: Found, text: str) -> Any:
    """A word of the command line as the option's kind; as it stands where it is none of that kind."""
    try:
        if found.kind == "int":
            return int(text)
        if found.kind == "float":
            return float(text)
    except ValueError:
        return text
    if found.kind == "bool":
        low = text.lower()
        return True if low in _TRUE else False if low in _FALSE or not text else text
    if found.kind == "unknown" and _number(text):
        return float(text) if any(c in text for c in ".einEIN") else int(text)
    return text
