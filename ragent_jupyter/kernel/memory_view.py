"""`%ragent memory`: the rules that agents heed, as a value with a face."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from ragent_jupyter.client import Client
from ragent_jupyter.domain.chat import MemoryRule
from ragent_jupyter.domain.errors import BadInput

from . import words as w
from .views import View

USAGE = "%ragent memory [add TEXT | on RULE | off RULE | remove RULE]"


class RulesView(View, Sequence[MemoryRule]):
    """Rules, oldest first; those that wait for a person's word say so."""

    def __init__(self, rules: list[MemoryRule]) -> None:
        super().__init__()
        self.rules = [rule for rule in rules if rule.status != "refused"]

    def __len__(self) -> int:
        return len(self.rules)

    @overload
    def __getitem__(self, index: int) -> MemoryRule: ...
    @overload
    def __getitem__(self, index: slice) -> list[MemoryRule]: ...
    def __getitem__(self, index: int | slice) -> MemoryRule | list[MemoryRule]:
        return self.rules[index]

    def __iter__(self) -> Iterator[MemoryRule]:
        return iter(self.rules)

    def text(self) -> str:
        if not self.rules:
            return "No rules. %ragent memory add TEXT adds one; agents propose others."
        return w.columns([[_state(r), r.id, _plain(r.title), r.source, _plain(r.scope)] for r in self.rules])

    def html(self) -> str:
        if not self.rules:
            return w.esc(self.text())
        rows = [
            [w.esc(_state(r)), w.code_html(r.id), f'<b>{w.esc(r.title)}</b><br/>{w.quiet_html(r.text[:300])}',
             w.esc(r.source), w.esc(r.scope or "everything"), w.esc(", ".join(r.tags))]
            for r in self.rules
        ]  # fmt: skip
        table = w.table_html(["", "", "rule", "from", "for", "tags"], rows)
        waits = any(r.status == "proposed" for r in self.rules)
        note = "Proposed rules are approved in the sidebar or with `ragent memory approve RULE`." if waits else ""
        return table + (w.quiet_html(note) if note else "")


def memory(rest: str) -> RulesView:
    """Do what the line says and show the rules as they then are. Approving is for a person, not for a cell."""
    client = Client(door="kernel")
    action, _, words = rest.partition(" ")
    words = words.strip()
    if action in ("", "list"):
        return RulesView(client.memory())
    if action == "add":
        if not words:
            raise BadInput("There is nothing to remember.", f"Usage: {USAGE}")
        client.add_rule(words)
    elif action in ("on", "off"):
        client.patch_rule(client.find_rule(words).id, on=action == "on")
    elif action == "remove":
        client.remove_rule(client.find_rule(words).id)
    elif action in ("approve", "refuse"):
        raise BadInput(
            "A proposal waits for a person's word, and a cell is none.",
            f"Use the sidebar, or a terminal: ragent memory {action} {words or 'RULE'}",
        )
    else:
        raise BadInput(f"%ragent memory cannot {action[:40]!r}.", f"Usage: {USAGE}")
    return RulesView(client.memory())


def _state(rule: MemoryRule) -> str:
    return "? proposed" if rule.status == "proposed" else "✓ on" if rule.on else "○ off"


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
