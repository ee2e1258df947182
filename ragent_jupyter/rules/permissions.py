"""What a call of a tool may do without a person.

Looks at the mode, the tool's effect and what was allowed; nothing that a model, a log or a file says counts here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from ragent_jupyter.domain.chat import Approval, Grant, Mode, Preview
from ragent_jupyter.domain.tools import Allow, Ask, Permission, Refuse, ToolEffect, ToolSpec

_LOOKS: frozenset[str] = frozenset({"read", "note"})
_PLAN_ONLY: frozenset[str] = frozenset({"read", "note", "ask"})


def offered(mode: Mode, specs: Iterable[ToolSpec]) -> list[str]:
    """Names of the tools that a model is shown in a mode: in plan mode those that change nothing."""
    return [spec.name for spec in specs if mode != "plan" or spec.effect in _PLAN_ONLY]


def permit(mode: Mode, effect: ToolEffect, preview: Preview, grants: Iterable[Grant] = ()) -> Permission:
    """Whether a call goes ahead, is asked for, or is refused. grants: those of this session and those for always.

    >>> permit("ask", "read", Preview(title="Read a file"))
    Allow(why='only looks')
    """
    if effect in _LOOKS:
        return Allow(why="only looks")
    if effect == "ask":
        return Ask(preview=preview)  # a question to the person is one in every mode
    if mode == "plan":
        return Refuse(
            reason="Plan mode only looks. Propose a plan with propose_plan; it is executed once the person approves."
        )
    if mode == "bypass":
        return Allow(why="bypass mode")
    if mode == "accept_edits" and effect == "edit":
        return Allow(why="accept edits mode")
    if preview.pattern and not preview.danger:
        for grant in grants:
            if covers(grant.pattern, preview.pattern):
                return Allow(why=f"allowed by {grant.id}")
    return Ask(preview=preview)


def covers(granted: str, pattern: str) -> bool:
    """Whether what was granted includes a call's own pattern.

    A pattern is a tool's name, or `tool:GLOB`. A grant without a glob covers only calls without one: "always allow
    edit_file" was never offered for a path.
    >>> covers("run_shell:git status*", "run_shell:git status -s")
    True
    >>> covers("run_shell", "run_shell:rm -rf /")
    False
    """
    tool, colon, glob = granted.partition(":")
    other, other_colon, what = pattern.partition(":")
    if tool != other or colon != other_colon:
        return False
    # A line break could hide a second command behind the first.
    return not colon or ("\n" not in what and "\r" not in what and fnmatchcase(what, glob))


def call_hash(tool: str, input: Mapping[str, Any], preview: Preview) -> str:
    """What an approval is bound to: the exact call, and the files it touches as they were when it was asked."""
    touched = [(touch.path, touch.sha256) for touch in preview.touches]
    told = [preview.command, preview.cwd, preview.diff, touched, preview.plan]
    text = json.dumps([tool, input, told], sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def mode_after_plan(approval: Approval) -> Mode:
    """How an approved plan is executed: call by call with the person's word, or with edits going ahead."""
    return "accept_edits" if approval.scope in ("session", "always") else "ask"


def grant_of(approval: Approval, session_id: str, id: str, at: float) -> Grant | None:
    """What an answer allows from now on; None for "once" and "no", and where nothing can be allowed for good."""
    pattern = approval.shows.pattern
    if approval.status != "approved" or not pattern or approval.shows.danger:
        return None
    if approval.scope == "session":
        return Grant(id=id, pattern=pattern, created_at=at, session_id=session_id, by=approval.answered_by)
    if approval.scope == "always":
        return Grant(id=id, pattern=pattern, created_at=at, by=approval.answered_by)
    return None
