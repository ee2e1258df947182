"""The routes of memory: rules, and MEMORY.md in and out."""

from __future__ import annotations

from urllib.parse import unquote

from ragent_jupyter.domain.wire_chat import ImportRules, PutRule, RulesReply
from ragent_jupyter.services.approvals import PEOPLE
from ragent_jupyter.services.memory import MemoryDesk

from .base import EngineHandler


class _Memory(EngineHandler):
    @property
    def memory(self) -> MemoryDesk:
        return self.engine.mind.memory

    @property
    def person(self) -> bool:
        """What an agent proposed is approved where a person sits; code in a cell or a script may be the agent's own."""
        return self.request.headers.get("X-Ragent-Door", "") in PEOPLE

    @property
    def by(self) -> str:
        return unquote(self.request.headers.get("X-Ragent-User", ""))[:200]


class Memory(_Memory):
    def get(self) -> None:
        self.reply(200, RulesReply(rules=self.memory.all()))

    async def post(self) -> None:
        self.reply(201, await self.memory.create(self.body(PutRule), by=self.by))


class OneRule(_Memory):
    def get(self, rule_id: str) -> None:
        self.reply(200, self.memory.get(rule_id))

    async def patch(self, rule_id: str) -> None:
        body = self.body(PutRule)
        self.reply(200, await self.memory.patch(rule_id, body, by=self.by, person=self.person))

    async def delete(self, rule_id: str) -> None:
        self.reply(200, await self.memory.remove(rule_id))


class ImportMemory(_Memory):
    async def post(self) -> None:
        text = self.body(ImportRules).text
        rules = await self.memory.import_(text, by=self.by, person=self.person)
        self.reply(200, RulesReply(rules=rules))


class ExportMemory(_Memory):
    def get(self) -> None:
        self.set_header("Content-Type", "text/markdown; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        self.finish(self.memory.export())


ROUTES: list[tuple[str, type[EngineHandler]]] = [
    (r"memory", Memory),
    (r"memory/import", ImportMemory),
    (r"memory/export", ExportMemory),
    (r"memory/([^/]+)", OneRule),
]
