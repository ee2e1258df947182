"""What somebody means by "17", "resnet", "run_65j" or "latest": ids, from names as people say them. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from msgspec import Struct

_ORDINAL = re.compile(r"(?:(?:run|sweep|alert)\s*)?#?\s*(\d{1,9})\Z", re.IGNORECASE)
_NEWEST = frozenset({"latest", "last", "newest", "the latest", "latest run", "last run", "latest sweep", "last sweep"})
_LONGEST = 300  # characters of a reference or a name that are compared
_COMPARED = 2000  # names that are looked through for a similar one


class Named(Struct, frozen=True):
    """Something that can be meant. names: what it is called beside its id."""

    id: str
    names: tuple[str, ...] = ()


def lookup(ref: str | int, things: Sequence[Named]) -> list[str]:
    """The ids that `ref` may mean, oldest first: one if it is clear, [] for none, several if it is ambiguous.

    things: oldest first.  In this order: an id; a name; "latest"; the how-manieth (from 1); the beginning of an id,
    with or without its prefix; a name in other case; the beginning of a name; all words somewhere in a name.

    >>> things = [Named("run_ab12", ("train 1",)), Named("run_ab34", ("train 2",)), Named("run_cd56", ("eval 3",))]
    >>> lookup("run_ab12", things), lookup("2", things), lookup("cd", things), lookup("EVAL", things)
    (['run_ab12'], ['run_ab34'], ['run_cd56'], ['run_cd56'])
    >>> lookup("ab", things), lookup("train", things), lookup("nothing", things), lookup("latest", things)
    (['run_ab12', 'run_ab34'], ['run_ab12', 'run_ab34'], [], ['run_cd56'])
    """
    text = str(ref).strip()
    if not text or not things:
        return []
    exact = [t.id for t in things if t.id == text] or [t.id for t in things if text in t.names]
    if exact:
        return exact
    if len(text) > _LONGEST:
        return []
    if text.lower() in _NEWEST:
        return [things[-1].id]
    ordinal = _ORDINAL.match(text)
    if ordinal and 1 <= int(ordinal[1]) <= len(things):
        return [things[int(ordinal[1]) - 1].id]
    begun = [t.id for t in things if t.id.startswith(text) or t.id.partition("_")[2].startswith(text)]
    if begun:
        return begun
    low = text.casefold()
    folded = [(t.id, [name[:_LONGEST].casefold() for name in t.names]) for t in things]
    for fits in (
        lambda name: name == low,
        lambda name: name.startswith(low),
        lambda name: all(part in name for part in low.split()),
    ):
        found = [id_ for id_, names in folded if any(fits(name) for name in names)]
        if found:
            return found
    return []


def nearest(ref: str | int, things: Sequence[Named], most: int = 5) -> list[str]:
    """Ids of the things whose id or name is most like `ref`, best first; the newest ones where none is like it.

    >>> nearest("run_ab21", [Named("run_ab12"), Named("run_zz99")], 1)
    ['run_ab12']
    >>> nearest("loss_val", [Named("loss"), Named("val_loss"), Named("lr")], 1)
    ['loss']
    """
    text = str(ref).strip()[:60].casefold()
    spelled: dict[str, str] = {}
    for thing in reversed(things[-_COMPARED:]):
        for name in (thing.id, *thing.names):
            spelled.setdefault(name[:60].casefold(), thing.id)
    close = difflib.get_close_matches(text, list(spelled), n=most, cutoff=0.55) if text else []
    found = list(dict.fromkeys(spelled[name] for name in close))
    return found[:most] or [thing.id for thing in reversed(things[-most:])]
