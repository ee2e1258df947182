"""The desk of memory: the only writer of rules. What an agent proposes waits for a person."""

from __future__ import annotations

import fnmatch
import hashlib
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec

from ragent_jupyter.domain.chat import MemoryRule
from ragent_jupyter.domain.errors import BadInput, BudgetSpent, CannotBeDone, NotAllowed, NotFound, TooLarge
from ragent_jupyter.domain.ids import make_id
from ragent_jupyter.domain.wire_chat import PutRule
from ragent_jupyter.rules import memory_md
from ragent_jupyter.rules.redact import redact

from .shell import Change, Shell

MAX_TITLE = 200
MAX_TEXT = 4_000
MAX_ACTIVE = 200  # all of them are in every prompt
MAX_PROPOSED = 200
MAX_TAGS = 20
_MAX_FILE = 2_000_000

Source = Literal["user", "agent", "reflection"]


class MemoryDesk:
    """Create, edit, switch, remove; propose, approve, refuse; MEMORY.md in and out."""

    def __init__(self, shell: Shell, redact: Callable[[str], str] = redact) -> None:
        """redact: what knows this project's keys beside what keys look like."""
        self.shell = shell
        self.redact = redact

    def _clean(self, rule: MemoryRule) -> MemoryRule:
        return cleaned(rule, self.redact)

    # --- looking ------------------------------------------------------------------------------------------------
    def get(self, rule_id: str) -> MemoryRule:
        rule = self.shell.rules.get(rule_id)
        if rule is None:
            raise NotFound(f"No memory rule {rule_id!r} in this project.", "List them with `ragent memory`.")
        return rule

    def all(self) -> list[MemoryRule]:
        """Oldest first: an order that stays the same is a prompt that stays cached."""
        return sorted(self.shell.rules.values(), key=lambda rule: (rule.created_at, rule.id))

    def active(self, hints: Iterable[str] | None = None) -> list[MemoryRule]:
        """The rules that an agent must heed, oldest first.

        hints: what the agent works on: paths, ids and names of sweeps and scripts; rules for something else are left
        out. None: all of them, each with its scope, for an agent that may turn to anything.
        """
        given = None if hints is None else [hint for hint in hints if hint]
        return [rule for rule in self.all() if rule.heeded and (given is None or applies(rule.scope, given))]

    # --- a person's wishes --------------------------------------------------------------------------------------
    async def create(self, body: PutRule, *, by: str = "") -> MemoryRule:
        """A rule that counts from now on. Raises BadInput, TooLarge, CannotBeDone (too many are on)."""
        if body.status is not None:
            raise BadInput("A new rule has no status.", "Leave it out: what a person adds counts at once.")
        title, text = body.title, body.text
        if text is None or not text.strip():
            raise BadInput("The rule has no text.", "Say what the agents shall heed.")
        rule = self._new(
            title=title if title and title.strip() else memory_md.title_of(text),
            text=text,
            tags=body.tags or [],
            scope=body.scope or "",
            source=body.source or "user",
            on=body.on is not False,
            by=by,
        )
        self._room_for(rule)
        await self.shell.commit([Change("rule_created", rule)])
        return rule

    async def patch(self, rule_id: str, body: PutRule, *, by: str = "", person: bool = True) -> MemoryRule:
        """Edit, switch on or off, approve or refuse. person: whether somebody who may approve asks.

        Approving twice, or switching on what is on, changes nothing. Raises NotFound, NotAllowed, BadInput, TooLarge,
        CannotBeDone.
        """
        rule = self.get(rule_id)
        fields = {name: getattr(body, name) for name in body.__struct_fields__ if getattr(body, name) is not None}
        if fields.pop("source", rule.source) != rule.source:
            raise BadInput("Who a rule comes from cannot be changed.", "Leave `source` out.")
        if rule.status != "active" and not person:
            raise NotAllowed(
                f"{rule.id} waits for a person's word.", "Approve or refuse it in the sidebar or in a terminal."
            )
        if fields.get("status") == "refused" and rule.status == "active":
            raise BadInput(f"{rule.id} counts already.", "Switch it off, or remove it.")
        if fields.get("title", "x").strip() == "" or fields.get("text", "x").strip() == "":
            raise BadInput("A rule needs a title and a text.", "Remove the rule, or switch it off.")
        changed = self._clean(msgspec.structs.replace(rule, **fields))
        if changed == rule:
            return rule
        changed = msgspec.structs.replace(changed, updated_at=self.shell.clock.now(), by=rule.by or by)
        self._room_for(changed)
        await self.shell.commit([Change("rule_changed", changed)])
        return changed

    async def remove(self, rule_id: str) -> MemoryRule:
        rule = self.get(rule_id)
        await self.shell.commit([Change("rule_removed", rule, forget=True)])
        return rule

    # --- an agent's -----------------------------------------------------------------------------------------------
    async def propose(
        self,
        title: str,
        text: str,
        tags: Sequence[str] = (),
        scope: str = "",
        source: Source = "agent",
        by: str = "",
        request_id: str = "",
    ) -> MemoryRule:
        """A rule that counts once a person agrees. The same request id, or the same words, is the same rule, also if
        it was refused before: the agent reads that in its status.

        Raises BadInput, TooLarge; BudgetSpent if too many wait already.
        """
        if not text.strip() or not title.strip():
            raise BadInput("A rule needs a title and a text.", "Say what to heed, and why.")
        rule_id = _id_of(request_id) if request_id else ""
        if rule_id in self.shell.rules:
            return self.shell.rules[rule_id]
        rule = self._new(title=title, text=text, tags=tags, scope=scope, source=source, on=True, by=by)
        rule = msgspec.structs.replace(rule, id=rule_id or rule.id, status="proposed")
        for known in self.all():
            if (known.text, known.scope) == (rule.text, rule.scope):
                return known
        if sum(known.status == "proposed" for known in self.shell.rules.values()) >= MAX_PROPOSED:
            raise BudgetSpent(
                f"{MAX_PROPOSED} proposed rules wait for a person already.",
                "They are approved or refused in the sidebar, or with `ragent memory`.",
            )
        await self.shell.commit([Change("rule_created", rule)])
        return rule

    # --- MEMORY.md --------------------------------------------------------------------------------------------------
    def export(self) -> str:
        return memory_md.export(self.all())

    async def import_(self, text: str, *, by: str = "", person: bool = True) -> list[MemoryRule]:
        """Take the rules of a MEMORY.md in, all or none; returns those that are new or changed.

        A rule is known by its id, else by its title and scope. What the file does not name stays as it is. Raises
        BadInput for a file without rules, TooLarge, CannotBeDone.
        """
        if len(text) > _MAX_FILE:
            raise TooLarge("The file is larger than 2 MB.", "Memory is for short rules; put long texts into files.")
        drafts = memory_md.parse(text)
        if not drafts:
            raise BadInput(
                "There is no rule in this file.", "Write one as a `## Title` with text below, or as an item of a list."
            )
        now = self.shell.clock.now()
        rules = dict(self.shell.rules)
        changes: dict[str, Change] = {}
        for n, draft in enumerate(drafts):
            known = rules.get(draft.id) or next(
                (r for r in rules.values() if (r.title, r.scope) == (" ".join(draft.title.split()), draft.scope)), None
            )
            fields = {"title": draft.title, "text": draft.text, "tags": draft.tags, "scope": draft.scope}
            if known is None:
                # A millisecond apart, so that they keep the file's order.
                made = self._new(**fields, source=draft.source, on=draft.on, by=by, at=now + n / 1000)  # type: ignore[arg-type]
                ours = draft.id.startswith("mem_") and draft.id[4:].isalnum() and len(draft.id) <= 40
                made = msgspec.structs.replace(made, id=draft.id if ours else made.id, status=draft.status)
                rules[made.id] = made
                changes[made.id] = Change("rule_created", made)
                continue
            # A person who brings a file in which the rule counts has agreed to it; a program cannot.
            status = "active" if draft.status == "active" and person else known.status
            new = self._clean(msgspec.structs.replace(known, **fields, on=draft.on, status=status))
            if new != known:
                new = msgspec.structs.replace(new, updated_at=now)
                rules[new.id] = new
                created = known.id in changes and changes[known.id].type == "rule_created"
                changes[new.id] = Change("rule_created" if created else "rule_changed", new)
        if sum(rule.heeded for rule in rules.values()) > MAX_ACTIVE:
            raise _full()
        if changes:
            await self.shell.commit(list(changes.values()))
        return [change.obj for change in changes.values()]

    # --- inside -----------------------------------------------------------------------------------------------------
    def _new(
        self,
        *,
        title: str,
        text: str,
        tags: Sequence[str],
        scope: str,
        source: Source,
        on: bool,
        by: str,
        at: float | None = None,
    ) -> MemoryRule:
        now = self.shell.clock.now() if at is None else at
        made = MemoryRule(
            id=self._new_id(now),
            title=title,
            text=text,
            created_at=now,
            updated_at=now,
            source=source,
            tags=list(tags),
            scope=scope,
            on=on,
            by=by,
        )
        return self._clean(made)

    def _new_id(self, now: float) -> str:
        while (made := make_id("mem", int(now * 1000), random.getrandbits(20))) in self.shell.rules:
            continue  # as many as fit into a file are made within one millisecond
        return made

    def _room_for(self, rule: MemoryRule) -> None:
        if rule.heeded and sum(r.heeded for r in self.shell.rules.values() if r.id != rule.id) >= MAX_ACTIVE:
            raise _full()


def applies(scope: str, hints: Iterable[str]) -> bool:
    """Whether a rule for `scope` is about one of the things that an agent works on.

    >>> applies("", []), applies("train.py", ["src/train.py"]), applies("src", ["src/train.py"]), applies("a", ["ab"])
    (True, True, True, False)
    """
    scope = scope.strip().rstrip("/").removeprefix("./")
    if not scope:
        return True
    for hint in hints:
        hint = hint.strip().removeprefix("./")
        if hint == scope or hint.startswith(scope + "/") or hint.rsplit("/", 1)[-1] == scope:
            return True
        if any(char in scope for char in "*?[") and fnmatch.fnmatchcase(hint, scope):
            return True
    return False


def cleaned(rule: MemoryRule, redact: Callable[[str], str]) -> MemoryRule:
    """The rule as it is kept: one line of title, no secrets. Raises TooLarge, BadInput."""
    title = " ".join(_printable(redact(rule.title)).split())
    text = _printable(redact(rule.text)).replace("\r\n", "\n").strip()
    scope = " ".join(_printable(redact(rule.scope)).split())
    if not title:
        raise BadInput("A rule needs a title.", "Say in a few words what it is about.")
    if len(title) > MAX_TITLE:
        raise TooLarge(
            f"The title has {len(title)} characters; at most {MAX_TITLE} are kept.", "Put the rest into the text."
        )
    if len(text) > MAX_TEXT:
        raise TooLarge(
            f"The text has {len(text):,} characters; at most {MAX_TEXT:,} are kept.",
            "Make it several rules, or put it into a file and name the file.",
        )
    if len(scope) > 500:
        raise TooLarge("The scope is longer than 500 characters.", "Name one path, sweep or script.")
    tags: list[str] = []
    for tag in rule.tags:
        tag = " ".join(_printable(redact(tag)).split())
        if tag and tag not in tags:
            tags.append(tag)
    if len(tags) > MAX_TAGS or any(len(tag) > 50 for tag in tags):
        raise TooLarge(f"A rule has at most {MAX_TAGS} tags of 50 characters.", "Use fewer, or shorter ones.")
    return msgspec.structs.replace(rule, title=title, text=text, scope=scope, tags=tags)


def _printable(text: str) -> str:
    """Without control characters: a rule is shown in terminals and pages."""
    return "".join(char for char in text if char in "\n\t\r" or (char >= " " and not "\x7f" <= char <= "\x9f"))


def _id_of(request_id: str) -> str:
    """The id of the rule that a request makes: asked again after a crash, it is the same one."""
    return "mem_" + hashlib.sha256(request_id.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def _full() -> CannotBeDone:
    return CannotBeDone(
        f"{MAX_ACTIVE} rules are on already; all of them are in every prompt.",
        "Switch one off or remove one: `ragent memory off RULE`.",
    )
