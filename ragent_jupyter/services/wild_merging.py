"""Which of a loop's commits is worth merging, and what is known of it: a person is told before it is theirs."""

from __future__ import annotations

from ragent_jupyter.domain.errors import NotFound
from ragent_jupyter.domain.wild import Loop, Verdict


def chosen(loop: Loop, wanted: str) -> str:
    """The commit that is meant; "": the best confirmed, else the best measured, else the newest. Raises NotFound."""
    if wanted:
        found = [commit for commit in loop.commits if commit.startswith(wanted) and len(wanted) >= 7]
        if len(found) != 1:
            raise NotFound(f"{wanted[:40]!r} is no commit of this loop.", f"Its commits: {', '.join(loop.commits)}.")
        return found[0]
    if winner := best_confirmed(loop):
        return winner.commit or loop.commits[0]
    return loop.best.commit if loop.best is not None and loop.best.commit else loop.commits[-1]


def best_confirmed(loop: Loop) -> Verdict | None:
    """The best of what was confirmed; verdicts stand in the order of the trials, which says nothing."""
    won = [v for v in loop.verdicts if v.verdict == "confirmed" and v.mean is not None]
    sign = 1.0 if loop.setup.mode == "min" else -1.0
    return min(won, key=lambda v: sign * (v.mean or 0.0), default=None)


def of_commit(loop: Loop, commit: str) -> str:
    """What the loop knows of a commit, in one or two sentences."""
    about = [v for v in loop.verdicts if v.commit == commit]
    won = [v for v in about if v.verdict == "confirmed"]
    if won:
        best = best_confirmed(loop)
        one = best if best in won and best is not None else won[-1]
        setting = ", ".join(f"{name} {value}" for name, value in one.params.items())
        said = f"Confirmed with {setting}, which is no part of the code." if setting else "Confirmed."
    elif about:
        said = f"Not confirmed: {about[-1].verdict} on fresh seeds."
    else:
        said = "Not confirmed: it was not put to the test on fresh seeds."
    return said if loop.over else f"{said} The loop still goes on."
