"""Whether what judges a run was the same before and after it. Pure; the hashes are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


def put_back(
    before: Mapping[str, str],
    after: Mapping[str, str],
    was: Mapping[str, Sequence[int]],
    now: Mapping[str, Sequence[int]],
) -> str:
    """Why a run's numbers do not count although every file is what it was: one was written or moved meanwhile.

    was, now: path -> times of the last change, as the file system keeps them. What judged the run in between is not
    known: it may have been another file.
    >>> put_back({"evaluate.py": "1f"}, {"evaluate.py": "1f"}, {"evaluate.py": [5]}, {"evaluate.py": [9]})
    'evaluate.py was written or moved while it ran, and is what it was again.'
    """
    said = [
        path for path in sorted(was) if before.get(path) == after.get(path) and now.get(path, was[path]) != was[path]
    ]
    if not said:
        return ""
    more = f" and {len(said) - 3} more" if len(said) > 3 else ""
    verbs = ("was", "is what it was") if len(said) == 1 else ("were", "are what they were")
    return f"{', '.join(said[:3])}{more} {verbs[0]} written or moved while it ran, and {verbs[1]} again."


def drifted(first: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Like `voided`, for the hashes of the loop's first run and those of a later one: both were judged alike or not.

    >>> drifted({"evaluate.py": "1f"}, {"evaluate.py": "99"})
    'evaluate.py changed since the first run of the loop.'
    """
    return voided(first, now).replace(" while it ran.", " since the first run of the loop.")
