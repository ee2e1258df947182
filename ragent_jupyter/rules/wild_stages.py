"""The stages of a wild loop as a table and as a diagram: what stands in the manual is made from here."""

from __future__ import annotations

TRANSITIONS: tuple[tuple[str, str, str], ...] = (
    ("exploring", "a sweep begins", "running"),
    ("exploring", "candidates are put to the test", "confirming"),
    ("exploring", "nothing left to try, or the goal is met and confirmed", "ended: complete"),
    ("exploring", "iterations or runs are used up", "ended: budget"),
    ("running", "all runs have ended and no alert waits", "analyzing"),
    ("confirming", "all runs have ended and no alert waits: verdicts", "analyzing"),
    ("analyzing", "decided: another iteration", "exploring"),
    ("analyzing", "a sweep begins", "running"),
    ("analyzing", "candidates are put to the test", "confirming"),
    ("any", "time, GPU, CPU or disk is used up", "ended: budget"),
    ("any", "a person stops it", "ended: stopped"),
    ("any", "it cannot go on and nobody can help", "ended: failed"),
)


def diagram() -> str:
    """The stages as a Mermaid diagram; the manual's copy is tested against it."""
    lines = ["stateDiagram-v2", "    [*] --> exploring"]
    for start, why, goal in TRANSITIONS:
        end = goal.replace("ended: ", "")
        if start == "any":
            lines += [f"    {stage} --> {end}: {why}" for stage in ("exploring", "running", "analyzing", "confirming")]
        else:
            lines.append(f"    {start} --> {end}: {why}")
    lines += [f"    {end} --> [*]" for end in ("complete", "budget", "stopped", "failed")]
    return "\n".join(lines) + "\n"
