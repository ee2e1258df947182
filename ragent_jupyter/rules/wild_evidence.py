"""Whether what judges a run was the same before and after it. Pure; the hashes are given."""

from __future__ import annotations

from collections.abc import Mapping

MISSING = "missing"
UNREADABLE = "unreadable"
TOO_MANY = "too many files"


def voided(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Why a run's numbers do not count, one sentence that names the files; "" where nothing changed.

    before, after: path -> what `services/eval_files.py` saw there.
    >>> voided({"evaluate.py": "1f", "data/val.csv": "2e"}, {"evaluate.py": "99", "data/val.csv": "2e"})
    'evaluate.py changed while it ran.'
    >>> voided({"a.py": "1f"}, {"a.py": "1f"})
    ''
    """
    said = []
    for path in sorted({*before, *after}):
        was, now = before.get(path, MISSING), after.get(path, MISSING)
        if was == now:
            continue
        if now == MISSING:
            said.append(f"{path} went away")
        elif was == MISSING:
            said.append(f"{path} appeared")
        elif UNREADABLE in (was, now):
            said.append(f"{path} could not be read")
        else:
            said.append(f"{path} changed")
    if not said:
        return ""
    more = f" and {len(said) - 3} more" if len(said) > 3 else ""
    return f"{', '.join(said[:3])}{more} while it ran."


def drifted(first: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Like `voided`, for the hashes of the loop's first run and those of a later one: both were judged alike or not.

    >>> drifted({"evaluate.py": "1f"}, {"evaluate.py": "99"})
    'evaluate.py changed since the first run of the loop.'
    """
    return voided(first, now).replace(" while it ran.", " since the first run of the loop.")
