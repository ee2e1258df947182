"""The desk of chats: sessions, their queue, and the turn under way. The engine owns turns; doors come and go."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import msgspec

from ragent_jupyter.domain.chat import (
    TURN_OVER,
    Attachment,
    Mention,
    Part,
    Session,
    Turn,
    UserMessage,
)
from ragent_jupyter.domain.errors import (
    BadInput,
    CannotBeDone,
    NotFound,
    RagentError,
    TooLarge,
    WrongMoment,
)
from ragent_jupyter.domain.wire_chat import (
    ChangeQueue,
    CreateSession,
    SendMessage,
    SendReply,
)
from ragent_jupyter.rules.permissions import offered
from ragent_jupyter.rules.prompt import one_line, system_prompt
from ragent_jupyter.rules.turn import Finish, Limits

from .agent import TurnRunner
from .commands import Done, Expanded, NewSession, Prompt
from .context import Context
from .mentions import Quoted
from .sessions import SessionsDesk, stable_id
from .shell import Change
from .turn_record import told_parts
from .turn_seat import Kit, Prepared

log = logging.getLogger("ragent.engine")

MAX_TEXT = 200_000
MAX_QUEUE = 50
MAX_ATTACHMENTS = 20
_TITLE = 60
_AGAIN_S = 2.0  # between two tries to write down what a full disk refused


class Memory(Protocol):
    def active(self, hints: Any = None) -> list[Any]: ...


class Finds(Protocol):
    """services/mentions.py."""

    async def resolve(
        self, text: str, *, notebook: str = "", cell: str = "", variables: Sequence[str] = ()
    ) -> tuple[list[Mention], list[Quoted]]: ...


class Verbs(Protocol):
    """services/commands.py."""

    async def expand(
        self, session: Session, text: str, *, by: str = "", person: bool = True, request_id: str = ""
    ) -> Expanded: ...


class ChatDesk:
    def __init__(
        self,
        kit: Kit,
        context: Context,
        memory: Memory,
        sessions: SessionsDesk,
        *,
        mentions: Finds | None = None,
        commands: Verbs | None = None,
        attachment: Callable[[str], Attachment | None] = lambda id: None,
        limits: Callable[[], Limits] = Limits,
    ) -> None:
        self.kit = kit
        self.shell = kit.shell
        self.context = context
        self.memory = memory
        self.mentions = mentions
        self.commands = commands
        self.attachment = attachment
        self.limits = limits
        self.sessions = sessions
        # What a person says in the chat of a wild loop: (loop id, text). It steers the loop and begins no turn.
        self.steer: Callable[[str, str], Awaitable[Any]] | None = None
        sessions.live = self._live
        self._runners: dict[str, TurnRunner] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._broken: set[str] = set()  # sessions whose turn broke off, which the record does not say yet
        self._held: set[str] = set()  # sessions whose queue waits for the person, after a stop or a failure

    # --- life -------------------------------------------------------------------------------------------------------
    def begin(self) -> None:
        """Go on with every turn that a crash or a restart interrupted."""
        for session in list(self.shell.sessions.values()):
            turn = None
            if session.turn:
                self.shell.open_session(session.id)
                turn = self.shell.turns[session.id].get(session.turn)
            turn = self._no_bypass(session, turn)
            # A loop's decision is never gone on with: it is made anew (services/policies/llm.py).
            if turn is not None and turn.status not in TURN_OVER and not session.about.get("wild"):
                self._run(turn)

    def _no_bypass(self, session: Session, turn: Turn | None) -> Turn | None:
        """Bypass is never kept, by the chat, its turn or what waits in it: whoever wants it says so again."""
        changes = []
        if session.mode == "bypass" or any(message.mode == "bypass" for message in session.queue):
            queue = [msgspec.structs.replace(m, mode="ask") if m.mode == "bypass" else m for m in session.queue]
            mode = "ask" if session.mode == "bypass" else session.mode
            changes.append(Change("session_changed", msgspec.structs.replace(session, mode=mode, queue=queue)))
        if turn is not None and turn.mode == "bypass":
            turn = msgspec.structs.replace(turn, mode="ask")
            changes.append(Change("turn_changed", turn))
        if changes:
            self._soon(changes)
        return turn

    async def end(self) -> None:
        """The engine ends: turns stay as they are, to be gone on with."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def busy(self) -> bool:
        """Whether a turn needs the engine. One that waits for a person does too: the person may answer any moment."""
        return bool(self._tasks)

    def _live(self, session_id: str) -> list[Part]:
        runner = self._runners.get(session_id)
        return runner.record.live() if runner is not None else []

    def _soon(self, changes: list[Change]) -> None:
        task = asyncio.ensure_future(self.shell.commit(changes))
        task.add_done_callback(lambda t: t.cancelled() or t.exception())

    # --- messages -----------------------------------------------------------------------------------------------------
    async def send(self, session_id: str, wish: SendMessage, by: str = "", person: bool = True) -> SendReply:
        """Begin a turn, or put the message into the queue. An empty text lets a held queue go on."""
        session = self.sessions.get(session_id)
        if session.archived:
            raise WrongMoment("This chat is archived.", "Take it out of the archive first.")
        said = wish.text.strip()
        if len(said) > MAX_TEXT:  # first: looking through megabytes for secrets takes seconds
            raise TooLarge(f"The message has {len(said):,} characters.", f"Send at most {MAX_TEXT:,}; attach a file.")
        text = self.kit.redact(said)
        if not text and not wish.attachments:
            if session.queue:
                self._held.discard(session_id)
                return SendReply(session=self.sessions.get(session_id), turn=await self._next(session_id))
            raise BadInput("The message is empty.", "Say what you want.")
        if wish.mode == "bypass":
            self.sessions.may_bypass()
        id = stable_id("msg", f"{session_id}:{wish.request_id}") if wish.request_id else self.kit.make_id("msg")
        again = self._sent(session_id, id)
        if again is not None:
            return again
        message = UserMessage(
            id=id,
            text=text,
            at=self.shell.clock.now(),
            by=by,
            attachments=self._attached(wish.attachments),
            mode=wish.mode,
            cell=(wish.cell or "")[:200],
            variables=[name[:200] for name in wish.variables[:50]],
        )
        if session.about.get("wild"):
            return await self._steered(session, message)
        if wish.notebook is not None and wish.notebook != session.notebook:
            session = msgspec.structs.replace(session, notebook=wish.notebook[:1000])
            await self.shell.commit([Change("session_changed", session)])
        retry = self.sessions.finished(session_id, wish.retry).id if wish.retry else ""
        if text.startswith("/") and self.commands is not None and not retry:
            match await self.commands.expand(self.sessions.get(session_id), text, by=by, person=person, request_id=id):
                case Done() as done:
                    return await self._carried_out(session_id, message, done)
                case NewSession(text=first):
                    # Of the message's id, so that the same one twice is one chat; and said by whoever said it.
                    new = CreateSession(mode=session.mode, notebook=session.notebook, request_id=id)
                    fresh = await self.sessions.create(new, by)
                    told = SendMessage(text=first, request_id=id)
                    return await self.send(fresh.id, told, by, person) if first else SendReply(session=fresh)
                case Prompt(text=full, mode=mode):
                    message = msgspec.structs.replace(message, text=full, shown=text, mode=mode or message.mode)
        message = await self._mentioned(session_id, message)
        again = self._sent(session_id, id)  # the same message may have come twice while mentions were looked up
        if again is not None:
            return again
        session = self.sessions.get(session_id)
        if session.turn or (session.queue and session_id in self._tasks):
            if len(session.queue) >= MAX_QUEUE:
                raise CannotBeDone(f"{MAX_QUEUE} messages wait already.", "Remove some, or stop the turn.")
            session = msgspec.structs.replace(
                session, queue=[*session.queue, message], updated_at=self.shell.clock.now()
            )
            await self.shell.commit([Change("session_changed", session)])
            return SendReply(session=session, queued=id)
        if session.queue:
            # After a stop, a failure or a restart the queue waited for a person: here is the word, and it comes last.
            self._held.discard(session_id)
            session = msgspec.structs.replace(session, queue=[*session.queue, message])
            await self.shell.commit([Change("session_changed", session)])
            await self._next(session_id)
            return SendReply(session=self.sessions.get(session_id), queued=id)
        turn = await self._start(session_id, message, retry)
        return SendReply(session=self.sessions.get(session_id), turn=turn)

    async def _steered(self, session: Session, message: UserMessage) -> SendReply:
        if self.steer is None:
            raise WrongMoment("This is the chat of a wild loop, which does not run here.", "Begin a chat of your own.")
        if not message.text:
            raise BadInput("A loop is steered with words.", "Say what it should do; name files with @file:….")
        await self.steer(session.about["wild"], message.text)
        return await self._carried_out(
            session.id, message, Done(markdown="The loop hears this before its next decision.")
        )

    def _sent(self, session_id: str, message_id: str) -> SendReply | None:
        session = self.sessions.get(session_id)
        self.shell.open_session(session_id)
        if any(message.id == message_id for message in session.queue):
            return SendReply(session=session, queued=message_id)
        turn = next((t for t in self.shell.turns[session_id].values() if t.message.id == message_id), None)
        return SendReply(session=session, turn=turn) if turn is not None else None

    def _attached(self, ids: Sequence[str]) -> list[Attachment]:
        if len(ids) > MAX_ATTACHMENTS:
            raise BadInput(f"{len(ids)} attachments.", f"Attach at most {MAX_ATTACHMENTS}.")
        found = []
        for id in ids:
            attachment = self.attachment(id)
            if attachment is None:
                raise NotFound(f"There is no attachment {id[:80]!r}.", "Upload it again.")
            found.append(attachment)
        return found

    async def _mentioned(self, session_id: str, message: UserMessage) -> UserMessage:
        """What the message names, for the chat to show. What the model is told of it is read when the turn begins."""
        if self.mentions is None or "@" not in message.text:
            return message
        notebook = self.sessions.get(session_id).notebook
        found, _ = await self.mentions.resolve(message.text, notebook=notebook, cell=message.cell)
        # Names are words of others, and may hold a key.
        named = [msgspec.structs.replace(m, label=self.kit.redact(m.label)) for m in found]
        return msgspec.structs.replace(message, mentions=named)

    async def _carried_out(self, session_id: str, message: UserMessage, done: Done) -> SendReply:
        """A command that ragent itself carried out, as a turn of its own."""
        again = self._sent(session_id, message.id)  # the same message may have come twice while it was carried out
        if again is not None:
            return again
        now = self.shell.clock.now()
        session = self.sessions.get(session_id)
        turn = Turn(
            id=self.kit.make_id("trn"),
            session_id=session_id,
            n=session.turns + 1,
            message=message,
            status="done",
            created_at=now,
            started_at=now,
            ended_at=now,
            mode=session.mode,
            model="ragent",
            steps=1,
            parts=1,
        )
        session = self._titled(msgspec.structs.replace(session, turns=turn.n, updated_at=now), message)
        parts = told_parts(turn, self.kit.redact(done.markdown), done.cards, self.kit.make_id)
        changes = [Change("part_update", made) for made in parts]
        await self.shell.commit([Change("turn_created", turn), *changes, Change("session_changed", session)])
        return SendReply(session=session, turn=turn)

    def _titled(self, session: Session, message: UserMessage) -> Session:
        if session.titled_by:
            return session
        return msgspec.structs.replace(session, title=title_of(message), titled_by="auto")

    async def _start(
        self, session_id: str, message: UserMessage, retry: str = "", keep: list[UserMessage] | None = None
    ) -> Turn:
        """The next turn. No await before it is in memory: of two that start at once the second one queues."""
        now = self.shell.clock.now()
        session = self.sessions.get(session_id)
        self.shell.open_session(session_id)
        n = 1 + max((t.n for t in self.shell.turns[session_id].values()), default=0)
        turn = Turn(
            id=self.kit.make_id("trn"),
            session_id=session_id,
            n=n,
            message=message,
            status="streaming",
            created_at=now,
            started_at=now,
            mode=message.mode or session.mode,
            model=session.model,
            rules=[rule.id for rule in self.memory.active()],
            retry_of=retry,
        )
        session = self._titled(
            msgspec.structs.replace(
                session,
                turn=turn.id,
                turns=n,
                status="streaming",
                note="",
                updated_at=now,
                queue=session.queue if keep is None else keep,
            ),
            message,
        )
        await self.shell.commit([Change("turn_created", turn), Change("session_status", session)])
        self._run(turn)
        return turn

    def _run(self, turn: Turn) -> None:
        session_id = turn.session_id
        runner = TurnRunner(self.kit, turn, self.prepared, limits=self.limits())
        self._runners[session_id] = runner
        task = asyncio.get_running_loop().create_task(self._through(runner))
        self._tasks[session_id] = task

    def carry(self, runner: TurnRunner, task: asyncio.Task[None]) -> None:
        """A turn that a wild loop began: it is shown, woken and stopped as any other, until it ends."""
        self._runners[runner.session_id], self._tasks[runner.session_id] = runner, task
        task.add_done_callback(lambda _: self._ended(runner))

    def _ended(self, runner: TurnRunner) -> None:
        if self._runners.get(runner.session_id) is runner:
            del self._runners[runner.session_id]
            self._tasks.pop(runner.session_id, None)

    async def _through(self, runner: TurnRunner) -> None:
        session_id = runner.session_id
        try:
            await self._tell_context(runner)
            await runner.run()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # The store refused, or we are wrong. What is in the record must say so, as soon as it can be written again.
            log.exception("turn %s of %s broke off", runner.turn_id, session_id)
            await self._say_broken(runner, error)
        finally:
            self._ended(runner)
        turn = self.shell.turns.get(session_id, {}).get(runner.turn_id)
        if turn is not None and turn.status in ("stopped", "failed") and self.sessions.get(session_id).queue:
            self._held.add(session_id)
        else:
            await self._next(session_id)

    async def _say_broken(self, runner: TurnRunner, error: Exception) -> None:
        self._broken.add(runner.session_id)
        news = self.shell.subscribe()  # something was written: there may be room again
        try:
            while runner.session_id in self._broken and not await self._broke_off(runner, error):
                news.clear()
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(news.wait(), _AGAIN_S)
        finally:
            self.shell.unsubscribe(news)
            self._broken.discard(runner.session_id)

    async def _broke_off(self, runner: TurnRunner, error: Exception | None = None) -> bool:
        """Whether the record could be made to say that the turn failed."""
        problem, remedy = "ragent failed in the middle of this turn.", "See .ragent/engine.log, then press Retry."
        if isinstance(error, RagentError):
            problem, remedy = f"This turn broke off: {error.problem}", f"{error.remedy} Then press Retry."
        try:
            self.shell.open_session(runner.session_id)  # it was read back from the store, without its chats
            if runner.turn.status not in TURN_OVER:
                await runner.finish(Finish(status="failed", reason=problem, remedy=remedy, type="internal"))
        except RagentError as again:
            log.error("and could not say so: %s", again)
            return False
        self._broken.discard(runner.session_id)
        return True

    async def _tell_context(self, runner: TurnRunner) -> None:
        """What the model is told of the project: once a turn, so that the turn's record alone gives its prompts."""
        turn = runner.turn
        if turn.context:
            return
        session = self.sessions.get(turn.session_id)
        quoted: list[tuple[str, str]] = []
        said = turn.message
        # What the chat was opened about comes along with every message, as if it had been named in it.
        about = " ".join(
            f"@{kind}:{id}" for kind, id in sorted(session.about.items()) if f"@{kind}:{id}" not in said.text
        )
        if self.mentions is not None and (said.mentions or said.variables or about):
            try:
                _, found = await self.mentions.resolve(
                    f"{said.text}\n\n{about}", notebook=session.notebook, cell=said.cell, variables=said.variables
                )
                quoted = [(f"@{one.kind}:{one.id}", self.kit.redact(one.text)) for one in found]
            except RagentError as error:
                log.warning("mentions of %s: %s", turn.id, error)
        text = self.kit.redact(self.context.text(session, quoted))
        await self.shell.commit([Change("turn_changed", msgspec.structs.replace(turn, context=text))])

    async def _next(self, session_id: str) -> Turn | None:
        """Begin the next message of the queue, if there is one and nothing is under way."""
        session = self.shell.sessions.get(session_id)
        if session is None or session.turn or not session.queue or session_id in self._held:
            return None
        message, *rest = session.queue
        return await self._start(session_id, message, keep=rest)

    def prepared(self, session: Session, turn: Turn, step: int) -> Prepared:
        """What a step of a chat is given: everything that the turn's mode offers."""
        specs = [self.kit.tools.get(name).spec for name in self.kit.tools.names()]
        heeded = [rule for rule in self.memory.active() if rule.id in turn.rules]
        return Prepared(system_prompt(turn.mode, heeded), offered(turn.mode, specs))

    # --- what a person does meanwhile -------------------------------------------------------------------------------
    async def queue(self, session_id: str, wish: ChangeQueue) -> Session:
        """Edit, remove, reorder. A message that has begun meanwhile is left out silently: it is no longer waiting."""
        session = self.sessions.get(session_id)
        waiting = {message.id: message for message in session.queue}
        queue = []
        for id in dict.fromkeys(wish.order):
            message = waiting.get(id)
            if message is None:
                continue
            if id in wish.texts:
                said = wish.texts[id].strip()
                if not said or len(said) > MAX_TEXT:
                    raise BadInput(
                        "A queued message needs a text.", f"Give 1 to {MAX_TEXT:,} characters, or remove it."
                    )
                message = msgspec.structs.replace(message, text=self.kit.redact(said), shown="")
            queue.append(message)
        session = msgspec.structs.replace(session, queue=queue, updated_at=self.shell.clock.now())
        await self.shell.commit([Change("session_changed", session)])
        return session

    async def stop(self, session_id: str) -> Session:
        """Stop the turn under way; resolves when it has stopped. Nothing under way is no error."""
        session = self.sessions.get(session_id)
        runner, task = self._runners.get(session_id), self._tasks.get(session_id)
        if runner is not None and task is not None and session_id not in self._broken:
            runner.stop()
            await asyncio.wait({task}, timeout=5.0)
        elif session.turn:
            # Nobody carries this turn (it broke off with the disk): say so in the record now.
            self.shell.open_session(session_id)
            turn = self.shell.turns[session_id].get(session.turn)
            if turn is not None:
                await self._broke_off(TurnRunner(self.kit, turn, self.prepared))
        return self.sessions.get(session_id)

    def starting(self, session_id: str) -> bool:
        """Whether a turn is under way or about to be."""
        return session_id in self._tasks

    def try_now(self, session_id: str) -> Session:
        self.sessions.get(session_id)
        runner = self._runners.get(session_id)
        if runner is not None:
            runner.try_now()
        return self.sessions.get(session_id)


def title_of(message: UserMessage) -> str:
    """A title from a first message: its first sentence, at most 60 characters."""
    text = one_line(message.shown or message.text, 400)
    for mark in (". ", "? ", "! "):
        head, found, _ = text.partition(mark)
        if found and len(head) >= 12:
            text = head + mark.strip()
            break
    text = text.rstrip(".")
    if len(text) <= _TITLE:
        return text or "Chat"
    shorter = text[: _TITLE - 1].rsplit(" ", 1)[0]
    return (shorter if len(shorter) > 20 else text[: _TITLE - 1]) + "…"
