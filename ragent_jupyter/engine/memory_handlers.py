"""The routes of memory: rules, and MEMORY.md in and out."""

from __future__ import annotations

from ragent_jupyter.domain.wire_chat import ImportRules, PutRule, RulesReply

from .base import EngineHandler

# Doors behind which a person is: what an agent proposed is approved there and nowhere else. Code in a cell or a script
# may be the agent's own.
_PERSONS = frozenset({"browser", "terminal"})


class _Memory(EngineHandler):
    @property
    def person(self) -> bool:
        return self.request.headers.get("X-Ragent-Door", "") in _PERSONS

    @property
    def by(self) -> str:
        return self.request.headers.get("X-Ragent-User", "")


class Memory(_Memory):
    def get(self) -> None:
        self.reply(200, RulesReply(rules=self.engine.memory.all()))

    async def post(self) -> None:
        self.reply(201, await self.engine.memory.create(self.body(PutRule), by=self.by))


class OneRule(_Memory):
    def get(self, rule_id: str) -> None:
        self.reply(200, self.engine.memory.get(rule_id))

    async def patch(self, rule_id: str) -> None:
        body = self.body(PutRule)
        self.reply(200, await self.engine.memory.patch(rule_id, body, by=self.by, person=self.person))

    async def delete(self, rule_id: str) -> None:
        self.reply(200, await self.engine.memory.remove(rule_id))


class ImportMemory(_Memory):
    async def post(self) -> None:
        text = self.body(ImportRules).text
        rules = await self.engine.memory.import_(text, by=self.by, person=self.person)
        self.reply(200, RulesReply(rules=rules))


class ExportMemory(_Memory):
    def get(self) -> None:
        self.set_header("Content-Type", "text/markdown; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        self.finish(self.engine.memory.export())
