"""The routes of running a report's claim again."""

from __future__ import annotations

from ragent_jupyter.domain.wire_wild import Reproduce

from .base import EngineHandler


class Reproductions(EngineHandler):
    async def post(self) -> None:
        self.reply(202, await self.engine.wild.reproductions.start(self.body(Reproduce)))


class OneReproduction(EngineHandler):
    def get(self, id: str) -> None:
        self.reply(200, self.engine.wild.reproductions.get(id))


# Before `reports/ID`, which would take the first one for a report of that name.
ROUTES: list[tuple[str, type[EngineHandler]]] = [
    (r"reports/reproduce", Reproductions),
    (r"reproductions/([^/]+)", OneReproduction),
]
