"""The routes of Wild Mode."""

from __future__ import annotations

import asyncio
import sys
from typing import Any
from urllib.parse import unquote

import msgspec

from ragent_jupyter.domain.errors import BadInput, NotAllowed
from ragent_jupyter.domain.wild import Holdout, Loop
from ragent_jupyter.domain.wire_wild import (
    AnswerLoop,
    ChangeLimits,
    CreateLoop,
    JournalReply,
    LoopReply,
    LoopsReply,
    MergeLoop,
    MergeReply,
    PatchLoop,
    ReorderEvents,
    Steer,
    StopLoop,
)
from ragent_jupyter.services.approvals import PEOPLE
from ragent_jupyter.services.wild import PAGE, WildDesk

from .base import EngineHandler


class _Wild(EngineHandler):
    @property
    def wild(self) -> WildDesk:
        return self.engine.wild.desk

    @property
    def by(self) -> str:
        return unquote(self.request.headers.get("X-Ragent-User", ""))[:200]

    def person(self, what: str) -> None:
        """Raises NotAllowed unless a person sits there: code in a cell or a script may be the agent's own."""
        if self.request.headers.get("X-Ragent-Door", "") not in PEOPLE:
            raise NotAllowed(f"{what} is a person's.", "Do it in the sidebar, or with `ragent wild` in a terminal.")


class Loops(_Wild):
    def get(self) -> None:
        self.reply(200, LoopsReply(loops=[self.wild.counted(loop) for loop in self.wild.all()]))

    async def post(self) -> None:
        body = self.body(CreateLoop)
        if body.draft:
            self.reply(200, await self.wild.draft(body))
            return
        if body.may_edit:
            self.person("Permission to change code")
        advice, labels = "", None
        if body.holdout is not None:
            self.person("A hold-out")
            labels = self.engine.project / body.holdout.id
            body, advice = await self._sealed(body, body.holdout)
        self.reply(201, await self.wild.create(body, self.by, advice, labels))

    async def _sealed(self, body: CreateLoop, wanted: Holdout) -> tuple[CreateLoop, str]:
        """(the wish with its labels sealed away, what the person should do with the file)."""
        holdouts, path = self.engine.wild.holdouts, self.engine.project / wanted.id
        sealed = await asyncio.to_thread(holdouts.seal, path, wanted.predictions, wanted.score, wanted.mode)
        return msgspec.structs.replace(body, holdout=sealed), holdouts.advice(
            path, self.engine.project, sealed.predictions
        )


class OneLoop(_Wild):
    def get(self, loop_id: str) -> None:
        self.reply(200, self.wild.reply(loop_id))

    async def patch(self, loop_id: str) -> None:
        body = self.body(PatchLoop)
        if body.autonomy is not None:
            self.person("How much a loop may do by itself")
        self.reply(200, await self.wild.patch(loop_id, body, self.by))


class LoopVerb(_Wild):
    async def post(self, loop_id: str, verb: str) -> None:
        wild = self.wild
        match verb:
            case "pause":
                done = await wild.pause(loop_id, self.by)
            case "resume":
                done = await wild.resume(loop_id, self.by)
            case "stop":
                done = await wild.stop(loop_id, self.body(StopLoop), self.by)
            case "steer":
                done = await wild.steer(loop_id, self.body(Steer), self.by)
            case "answer":
                self.person("An answer to a loop")
                done = await wild.answer(loop_id, self.body(AnswerLoop), self.by)
            case _:
                done = await wild.report(loop_id)
        self.reply(202, done)


class LoopLimits(_Wild):
    async def put(self, loop_id: str) -> None:
        self.person("A limit")
        self.reply(200, await self.wild.limits(loop_id, self.body(ChangeLimits), self.by))


class LoopQueue(_Wild):
    async def put(self, loop_id: str) -> None:
        self.reply(200, await self.wild.reorder(loop_id, self.body(ReorderEvents), self.by))


class LoopJournal(_Wild):
    async def get(self, loop_id: str) -> None:
        after, limit = self.int_arg("after", 0), self.int_arg("limit", sys.maxsize)
        if limit < 1:
            raise BadInput(f"limit={limit} shows nothing.", "Give how many lines at most, or leave it out.")
        if "ndjson" not in self.request.headers.get("Accept", ""):
            # A page is a page, however many are asked for: JournalReply.total says what is left.
            self.reply(200, self.wild.journal(loop_id, after, min(limit, PAGE)))
            return
        self.set_header("Content-Type", "application/x-ndjson")
        self.set_header("Cache-Control", "no-store")
        while limit:
            page = self.wild.journal(loop_id, after, min(limit, PAGE))
            if not page.entries:
                break
            limit -= len(page.entries)
            self.write(b"".join(msgspec.json.encode(entry) + b"\n" for entry in page.entries))
            await self.flush()
            after = page.entries[-1].n
        self.finish()


class LoopMerge(_Wild):
    async def post(self, loop_id: str) -> None:
        self.person("A merge")
        self.reply(200, await self.wild.merge(loop_id, self.body(MergeLoop), self.by))


class LoopDiff(_Wild):
    async def get(self, loop_id: str) -> None:
        text = await self.wild.diff(loop_id, self.arg("commit", "") or "")
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        self.finish(text)


ROUTES: list[tuple[str, type[EngineHandler]]] = [
    (r"wild", Loops),
    (r"wild/([^/]+)", OneLoop),
    (r"wild/([^/]+)/(pause|resume|stop|steer|answer|report)", LoopVerb),
    (r"wild/([^/]+)/limits", LoopLimits),
    (r"wild/([^/]+)/queue", LoopQueue),
    (r"wild/([^/]+)/journal", LoopJournal),
    (r"wild/([^/]+)/merge", LoopMerge),
    (r"wild/([^/]+)/diff", LoopDiff),
]

ROWS: list[tuple[str, str, str, Any, int, Any]] = [
    ("get", "wild", "Wild loops, newest first.", None, 200, LoopsReply),
    ("post", "wild", "Start a loop; draft: say what would be run, and start nothing.", CreateLoop, 201, Loop),
    ("get", "wild/{loop}", "A loop, its runs counted, and the summary.", None, 200, LoopReply),
    ("patch", "wild/{loop}", "Goal, autonomy, policy, model, space.", PatchLoop, 200, Loop),
    ("post", "wild/{loop}/pause", "Decide and start nothing for now.", None, 202, Loop),
    ("post", "wild/{loop}/resume", "Go on.", None, 202, Loop),
    ("post", "wild/{loop}/stop", "End it; runs: its runs too; now: without grace.", StopLoop, 202, Loop),
    ("post", "wild/{loop}/steer", "Say something that the next decision hears.", Steer, 202, Loop),
    ("post", "wild/{loop}/answer", "A person's answer to what it asks.", AnswerLoop, 202, Loop),
    ("post", "wild/{loop}/report", "Write its report as it stands.", None, 202, Loop),
    ("put", "wild/{loop}/limits", "Set limits anew; null removes one.", ChangeLimits, 200, Loop),
    ("put", "wild/{loop}/queue", "Reorder or drop what waits to be decided.", ReorderEvents, 200, Loop),
    (
        "get",
        "wild/{loop}/journal",
        "Its ledger after a number, at most limit lines; all of it as NDJSON by Accept.",
        None,
        200,
        JournalReply,
    ),
    ("post", "wild/{loop}/merge", "Put its code on your branch.", MergeLoop, 200, MergeReply),
    ("get", "wild/{loop}/diff", "What a merge would change, as text.", None, 200, None),
]
