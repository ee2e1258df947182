"""The routes of keys, models and what they cost."""

from __future__ import annotations

from ragent_jupyter.domain.errors import NotAllowed
from ragent_jupyter.domain.wire_chat import PutKey, PutModels, TestModel
from ragent_jupyter.services.approvals import PEOPLE
from ragent_jupyter.services.models import ModelsDesk

from .base import EngineHandler


class _Models(EngineHandler):
    @property
    def models(self) -> ModelsDesk:
        return self.engine.mind.models


class Keys(_Models):
    def get(self) -> None:
        self.reply(200, self.models.keys_reply())

    async def put(self) -> None:
        if self.request.headers.get("X-Ragent-Door", "") not in PEOPLE:
            raise NotAllowed(
                "Only a person sets keys.",
                "Use `ragent keys set` in a terminal, or set it in the environment of the engine.",
            )
        await self.models.put_key(self.body(PutKey))
        self.reply(200, self.models.keys_reply())


class Models(_Models):
    def get(self) -> None:
        self.reply(200, self.models.reply())

    async def put(self) -> None:
        self.reply(200, await self.models.put(self.body(PutModels)))


class ModelTest(_Models):
    async def post(self) -> None:
        self.reply(200, await self.models.test(self.body(TestModel).model))


class UsageOf(_Models):
    def get(self) -> None:
        self.reply(200, self.models.usage(max(1, min(self.int_arg("days", 30), 366))))


ROUTES = [
    (r"keys", Keys),
    (r"models", Models),
    (r"models/test", ModelTest),
    (r"usage", UsageOf),
]
