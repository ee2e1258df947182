"""`/wild` in a chat: start a loop, look at it, and wish something of it."""

from __future__ import annotations

from ragent_jupyter.domain.errors import BadInput, NotAllowed
from ragent_jupyter.domain.wild import Loop
from ragent_jupyter.domain.wire_wild import CreateLoop, Steer, StopLoop

from .commands import Asked, Done, code
from .wild import WildDesk

USAGE = "/wild GOAL -- COMMAND   or   /wild [status | pause | resume | stop | steer TEXT]"
_VERBS = ("status", "pause", "resume", "stop", "steer")


class WildCommand:
    def __init__(self, desk: WildDesk) -> None:
        self.desk = desk

    async def __call__(self, asked: Asked) -> Done:
        verb, _, rest = asked.args.strip().partition(" ")
        if not verb or (verb in _VERBS and " -- " not in asked.args):
            return await self._wish(verb or "status", rest.strip(), asked)
        goal, found, command = asked.args.partition(" -- ")
        if not found or not command.strip():
            raise BadInput("The command to experiment with is missing.", f"Usage: {USAGE}")
        if not asked.person:
            raise NotAllowed("A loop is started by a person.", "Start it in the sidebar or a terminal.")
        body = CreateLoop(goal=goal.strip(), command=command.strip(), request_id=asked.request_id or None)
        loop = await self.desk.create(body, asked.by)
        return Done(markdown=f"Wild Mode works on: {loop.goal}", cards=[_card(loop)])

    async def _wish(self, verb: str, text: str, asked: Asked) -> Done:
        loops = self.desk.all()
        if not loops:
            raise BadInput("There is no wild loop in this project.", f"Usage: {USAGE}")
        loop = next((one for one in loops if not one.over), loops[0])
        match verb:
            case "pause":
                loop = await self.desk.pause(loop.id, asked.by)
            case "resume":
                loop = await self.desk.resume(loop.id, asked.by)
            case "stop":
                loop = await self.desk.stop(loop.id, StopLoop(), asked.by)
            case "steer":
                loop = await self.desk.steer(loop.id, Steer(text=text, request_id=asked.request_id or None), asked.by)
        summary = self.desk.reply(loop.id).summary
        lines = [line.text for part in (summary.real, summary.tried, summary.needs) for line in part]
        said = "".join(f"\n- {line}" for line in lines[:12])
        return Done(markdown=f"**{summary.title}**\n{said}\n\nLoop {code(loop.id)}.", cards=[_card(loop)])


def _card(loop: Loop) -> dict[str, str]:
    return {"card": "wild", "loop": loop.id}
