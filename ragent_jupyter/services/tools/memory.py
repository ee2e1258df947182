"""Tools about memory: see the rules that count, propose one. A proposal counts once a person agrees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

from ragent_jupyter.domain.chat import MemoryRule
from ragent_jupyter.domain.errors import BadInput
from ragent_jupyter.domain.tools import MAX_TOOL_TEXT, ToolOutcome, ToolSpec
from ragent_jupyter.rules.tool_text import fit, one_line, word

from .base import SimpleTool, Tool, ToolContext
from .refs import who

_TITLE = 200
_TEXT = 4000


class Memory(Protocol):
    """What these tools need of the desk of memory."""

    async def propose(
        self,
        title: str,
        text: str,
        tags: Sequence[str] = (),
        scope: str = "",
        source: Literal["user", "agent", "reflection"] = "agent",
        by: str = "",
        request_id: str = "",
    ) -> MemoryRule:
        """A rule with status "proposed"; the same request id twice is one rule."""

    def active(self) -> list[MemoryRule]:
        """The rules that are heeded."""


class ListRules(Struct, frozen=True, forbid_unknown_fields=True):
    text: str = ""


class ProposeRule(Struct, frozen=True, forbid_unknown_fields=True):
    title: str
    text: str
    tags: list[str] = []
    scope: str = ""


def memory_tools(memory: Memory) -> list[Tool]:
    """list_rules, propose_rule."""

    async def list_rules(args: ListRules, ctx: ToolContext) -> ToolOutcome:
        parts = args.text.casefold().split()
        rules = [
            r
            for r in memory.active()
            if all(part in f"{r.title} {r.text} {' '.join(r.tags)} {r.scope}".casefold() for part in parts)
        ]
        if not rules:
            return ToolOutcome(text="No rule of memory that counts fits." if parts else "No rule of memory counts yet.")
        lines = [f"{len(rules)} rules of memory count."]
        for rule in rules:
            scope = f" | only for {word(rule.scope, 100)}" if rule.scope else ""
            tags = f" | {', '.join(word(t, 40) for t in rule.tags)}" if rule.tags else ""
            lines.append(f"{rule.id} | {rule.source} | {word(rule.title)}{scope}{tags}")
            lines.append(f"  {one_line(rule.text, _TEXT)}")
        return ToolOutcome(text=fit("\n".join(lines), MAX_TOOL_TEXT, "Filter with text."))

    async def propose_rule(args: ProposeRule, ctx: ToolContext) -> ToolOutcome:
        title, text = one_line(args.title, _TITLE), args.text.strip()
        if not title or not text:
            raise BadInput("The rule has no title or no text.", "Give a short title, and what to heed and why.")
        if len(text) > _TEXT:
            raise BadInput(
                f"The rule is {len(text)} characters long.", f"Say it in at most {_TEXT}: it is in each prompt."
            )
        rule = await memory.propose(title, text, args.tags, args.scope, "agent", who(ctx), ctx.call_id)
        state = {
            "proposed": "It waits for a person's agreement and counts for nobody until then.",
            "active": "It counts already.",
            "refused": "A person refused it before; it does not count.",
        }[rule.status]
        return ToolOutcome(text=f"{rule.id}: {word(rule.title)}. {state}", data={"card": "rule", "rule": rule.id})

    return [
        SimpleTool(
            ToolSpec(
                name="list_rules",
                title="List memory rules",
                description="The rules of the project's memory that every agent must heed. text: words that they hold.",
                args=ListRules,
                effect="read",
                repeat="again",
            ),
            list_rules,
        ),
        SimpleTool(
            ToolSpec(
                name="propose_rule",
                title="Propose a memory rule",
                description=(
                    "Propose a rule for the project's memory: something learned that later work must heed. It waits "
                    "for a person's agreement. title: short. text: what to heed and why, with the run ids it rests on. "
                    "scope: empty for the whole project, else a path, a sweep's or a script's name."
                ),
                args=ProposeRule,
                effect="note",
                repeat="again",  # the call's id makes it single
            ),
            propose_rule,
        ),
    ]
