"""Routes of the chats. Each decodes, calls one desk, replies."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import unquote

import msgspec
from tornado.iostream import StreamClosedError

from ragent_jupyter.domain.errors import BadInput, NotAllowed
from ragent_jupyter.domain.wire_chat import (
    AnswerApproval,
    AttachmentReply,
    ChangeQueue,
    CreateSession,
    GrantsReply,
    PatchSession,
    PlansReply,
    ProvenanceReply,
    SendMessage,
    SuggestReply,
)
from ragent_jupyter.services.approvals import PEOPLE

from .base import EngineHandler
from .events import PING_S, Cursor

if TYPE_CHECKING:
    from .mind import Mind

_encode = msgspec.json.Encoder().encode


class ChatHandler(EngineHandler):
    @property
    def mind(self) -> Mind:
        return self.engine.mind

    @property
    def by(self) -> str:
        """Who asks: the name that Jupyter vouches for; on the socket, whoever may open it."""
        return unquote(self.request.headers.get("X-Ragent-User", ""))[:200]

    @property
    def door(self) -> str:
        return self.request.headers.get("X-Ragent-Door", "script")

    def check_mode(self, mode: str | None) -> None:
        """A mode that asks less is chosen where a person sits: code that an agent runs must not choose it for itself.

        Raises NotAllowed.
        """
        if mode in ("accept_edits", "bypass") and self.door not in PEOPLE:
            raise NotAllowed(
                f"Code in a notebook or a script cannot choose the mode {mode!r}.",
                "Choose it in the sidebar, on the phone page, or in a terminal with `ragent chat --mode`.",
            )


class Sessions(ChatHandler):
    def get(self) -> None:
        limit = max(1, min(self.int_arg("limit", 100), 1000))
        self.reply(200, self.mind.sessions.page(self.arg("q") or "", self.flag("archived"), limit))

    async def post(self) -> None:
        wish = self.body(CreateSession)
        self.check_mode(wish.mode)
        self.reply(201, await self.mind.sessions.create(wish, self.by))


class SessionOptions(ChatHandler):
    def get(self) -> None:
        self.reply(200, self.mind.options())


class SessionSuggest(ChatHandler):
    async def get(self) -> None:
        q, kind, notebook = (self.arg(name) or "" for name in ("q", "kind", "notebook"))
        self.reply(200, SuggestReply(suggestions=(await self.mind.suggest(q[:200], kind, notebook))[:20]))


class OneSession(ChatHandler):
    def get(self, session: str) -> None:
        self.reply(200, self.mind.sessions.read(session, self.int_arg("turns", 20), self.arg("before") or ""))

    async def patch(self, session: str) -> None:
        wish = self.body(PatchSession)
        self.check_mode(wish.mode)
        self.reply(200, await self.mind.sessions.patch(session, wish))

    async def delete(self, session: str) -> None:
        self.reply(200, await self.mind.sessions.patch(session, PatchSession(archived=True)))


class Messages(ChatHandler):
    async def post(self, session: str) -> None:
        wish = self.body(SendMessage)
        self.check_mode(wish.mode)
        self.reply(202, await self.mind.chat.send(session, wish, self.by, self.door in PEOPLE))


class Queue(ChatHandler):
    async def put(self, session: str) -> None:
        self.reply(200, await self.mind.chat.queue(session, self.body(ChangeQueue)))


class SessionVerb(ChatHandler):
    async def post(self, session: str, verb: str) -> None:
        if verb == "try_now":
            self.reply(200, self.mind.chat.try_now(session))
        else:
            self.reply(200, await self.mind.chat.stop(session))


class Approval(ChatHandler):
    async def post(self, session: str, approval: str) -> None:
        self.mind.sessions.get(session)
        said = self.body(AnswerApproval)
        self.reply(200, await self.mind.approvals.answer(session, approval, said, self.by, self.door))


class Attachments(ChatHandler):
    async def post(self, session: str) -> None:
        self.mind.sessions.get(session)
        name = self.arg("name")
        if not name:
            raise BadInput("The attachment has no name.", "Say attachments?name=FILE, with the bytes as body.")
        loop = asyncio.get_running_loop()
        kept = await loop.run_in_executor(None, self.mind.attachments.put, name, self.request.body)
        self.reply(201, AttachmentReply(attachment=kept))


class OneAttachment(ChatHandler):
    async def get(self, attachment: str) -> None:
        loop = asyncio.get_running_loop()
        data = await loop.run_in_executor(None, self.mind.attachments.data, attachment)
        about = self.mind.attachments.get(attachment)
        shown = about is not None and about.media_type in ("image/png", "image/jpeg", "image/gif", "image/webp")
        # Anything but a plain image comes as a download: a page among attachments must not run as one of ours.
        self.set_header("Content-Type", about.media_type if about and shown else "application/octet-stream")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Content-Disposition", "inline" if shown else "attachment")
        self.set_header("Content-Security-Policy", "sandbox; default-src 'none'")
        self.finish(data)


class SessionStream(ChatHandler):
    """What happens in one chat until its turn is over, for doors that hold no socket: NDJSON, a snapshot first."""

    async def get(self, session: str) -> None:
        shell = self.engine.shell
        news = shell.subscribe()
        try:
            cursor = Cursor(self.engine, None, frozenset({"sessions"}))
            snapshot = self.mind.sessions.read(session, self.int_arg("turns", 1))
            self.set_header("Content-Type", "application/x-ndjson")
            self.set_header("Cache-Control", "no-store")
            self.set_header("X-Accel-Buffering", "no")
            self.write(cursor.frame("snapshot", msgspec.to_builtins(snapshot)) + b"\n")
            await self.flush()
            wanted = session.encode()
            while True:
                over = not self.mind.sessions.get(session).turn and not self.mind.chat.starting(session)
                lines = [line for line in cursor.read() if wanted in line]
                if lines:
                    self.engine.touch()
                    self.write(b"".join(line + b"\n" for line in lines))
                    await self.flush()
                if over:
                    break
                news.clear()
                try:
                    await asyncio.wait_for(news.wait(), PING_S)
                except asyncio.TimeoutError:
                    self.write(cursor.frame("ping", cursor.hello()) + b"\n")
                    await self.flush()
        except StreamClosedError:
            return
        finally:
            shell.unsubscribe(news)
        self.finish()


class TurnProvenance(ChatHandler):
    async def get(self, session: str, turn: str) -> None:
        self.reply(200, ProvenanceReply(calls=await self.mind.sessions.provenance(session, turn)))


class TurnUndo(ChatHandler):
    async def post(self, session: str, turn: str) -> None:
        self.reply(200, {"paths": await self.mind.sessions.take_back(session, turn)})


class SessionExport(ChatHandler):
    def get(self, session: str) -> None:
        kind = self.arg("format", "md")
        if kind not in ("md", "ipynb"):
            raise BadInput(f"format={kind!r} is not known.", "Choose md or ipynb.")
        name, text = self.mind.export(session, str(kind))
        self.set_header("Content-Type", "text/markdown; charset=utf-8" if kind == "md" else "application/json")
        self.set_header("Content-Disposition", f'attachment; filename="{name}"')
        self.finish(text)


class Grants(ChatHandler):
    def get(self) -> None:
        self.reply(200, GrantsReply(grants=sorted(self.engine.shell.grants.values(), key=lambda g: g.created_at)))


class OneGrant(ChatHandler):
    async def delete(self, grant: str) -> None:
        await self.mind.approvals.revoke(grant)
        self.reply(200, {})


class Plans(ChatHandler):
    def get(self) -> None:
        wanted = self.arg("session")
        plans = [p for p in self.engine.shell.plans.values() if wanted in (None, p.session_id)]
        self.reply(200, PlansReply(plans=sorted(plans, key=lambda p: -p.created_at)))


ROUTES = [
    (r"sessions", Sessions),
    (r"sessions/options", SessionOptions),
    (r"sessions/suggest", SessionSuggest),
    (r"sessions/([^/]+)", OneSession),
    (r"sessions/([^/]+)/messages", Messages),
    (r"sessions/([^/]+)/queue", Queue),
    (r"sessions/([^/]+)/(stop|try_now)", SessionVerb),
    (r"sessions/([^/]+)/approvals/([^/]+)", Approval),
    (r"sessions/([^/]+)/attachments", Attachments),
    (r"sessions/([^/]+)/stream", SessionStream),
    (r"sessions/([^/]+)/export", SessionExport),
    (r"sessions/([^/]+)/turns/([^/]+)/provenance", TurnProvenance),
    (r"sessions/([^/]+)/turns/([^/]+)/undo", TurnUndo),
    (r"attachments/([^/]+)", OneAttachment),
    (r"grants", Grants),
    (r"grants/([^/]+)", OneGrant),
    (r"plans", Plans),
]
