"""The routes of skills. What the agents are told is changed where a person sits."""

from __future__ import annotations

from ragent_jupyter.domain.errors import NotAllowed
from ragent_jupyter.domain.wire_wild import InstallSkill, PutSkill, SkillsReply
from ragent_jupyter.services.approvals import PEOPLE
from ragent_jupyter.services.skills import SkillsDesk

from .base import EngineHandler


class _Skills(EngineHandler):
    @property
    def skills(self) -> SkillsDesk:
        return self.engine.mind.skills

    def person(self) -> None:
        """Code in a cell or a script may be the agent's own, and must not rewrite what the agent is told."""
        if self.request.headers.get("X-Ragent-Door", "") not in PEOPLE:
            raise NotAllowed(
                "Skills are what agents are told: only a person may change them.",
                "Use the sidebar, or `ragent skills` in a terminal.",
            )


class Skills(_Skills):
    def get(self) -> None:
        self.reply(200, SkillsReply(skills=self.skills.all(self.arg("q") or "")))

    async def post(self) -> None:
        self.person()
        self.reply(201, await self.skills.create(self.body(PutSkill).text))


class OneSkill(_Skills):
    def get(self, name: str) -> None:
        self.reply(200, self.skills.get(name))

    async def put(self, name: str) -> None:
        self.person()
        self.reply(200, await self.skills.put(name, self.body(PutSkill).text))

    async def delete(self, name: str) -> None:
        """The shipped skill comes back; one that ragent does not ship is gone."""
        self.person()
        left = await self.skills.reset(name)
        self.reply(200, SkillsReply(skills=[left] if left is not None else []))


class InstallSkills(_Skills):
    async def post(self) -> None:
        self.person()
        self.reply(201, SkillsReply(skills=await self.skills.install(self.body(InstallSkill).source)))


ROUTES: list[tuple[str, type[EngineHandler]]] = [
    (r"skills", Skills),
    (r"skills/install", InstallSkills),
    (r"skills/([^/]+)", OneSkill),
]
