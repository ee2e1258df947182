"""One message and its turn, as it happens. A thread reads, so that whoever shows it keeps time and can be stopped."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any

import msgspec

from ragent_jupyter.domain.chat import TURN_OVER, Part, ToolPart, Turn
from ragent_jupyter.domain.errors import RagentError
from ragent_jupyter.domain.wire_chat import SendReply, SessionReply
from ragent_jupyter.rules.chat_fold import Chat, begin, fold

if TYPE_CHECKING:
    from .api import Client

_AGAIN_S = 0.2  # between two streams, while the message waits behind others


class Following:
    """Events of a session from now on, until the turn of one message has ended.

    `chat` is the fold of what `next` has returned so far. message_id: "" for the turn that is under way.
    """

    def __init__(self, client: Client, session_id: str, message_id: str = "") -> None:
        self.client = client
        self.session_id = session_id
        self.message_id = message_id
        self.chat: Chat | None = None
        self.over = False
        self._events: queue.SimpleQueue[dict[str, Any] | RagentError | None] = queue.SimpleQueue()
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._read, name="ragent-chat", daemon=True)
        self._thread.start()

    @classmethod
    def of(cls, client: Client, reply: SendReply) -> Following:
        """Of a message that was just sent."""
        message = reply.turn.message.id if reply.turn is not None else reply.queued
        return cls(client, reply.session.id, message)

    # --- the reader's side -------------------------------------------------------------------------------------
    def next(self, timeout: float) -> dict[str, Any] | None:
        """The next event, folded into `chat`; None if none came in time (seconds), or at the end (`over` is set then).

        Raises what the engine refused with, or Unreachable.
        """
        if self.over:
            return None
        try:
            event = self._events.get(timeout=timeout)
        except queue.Empty:
            return None
        if event is None:
            self.over = True
            return None
        if isinstance(event, RagentError):
            self.over = True
            raise event
        if event["type"] == "snapshot":
            self.chat = begin(msgspec.convert(event["data"], SessionReply))
        elif self.chat is not None:
            self.chat = fold(self.chat, event)
        return event

    @property
    def turn(self) -> Turn | None:
        """The message's turn; None while it waits."""
        return None if self.chat is None else _turn_of(self.chat, self.message_id)

    @property
    def parts(self) -> list[Part]:
        """The turn's parts in order, without what was cut off and asked anew."""
        return [part for part in self._own() if getattr(part, "status", "") != "cut"]

    @property
    def cut(self) -> list[Part]:
        """What was cut off: a stream that broke, an engine that ended. Its words are not the model's."""
        return [part for part in self._own() if getattr(part, "status", "") == "cut"]

    def _own(self) -> list[Part]:
        turn = self.turn
        own = self.chat.parts.get(turn.id, {}) if turn is not None and self.chat is not None else {}
        return [own[index] for index in sorted(own)]

    @property
    def approvals(self) -> list[ToolPart]:
        """Calls that wait for a person."""
        return [p for p in self.parts if isinstance(p, ToolPart) and p.approval and p.approval.status == "pending"]

    def leave(self) -> None:
        """Nobody listens any more; the turn goes on."""
        self._left.set()

    # --- the thread --------------------------------------------------------------------------------------------
    def _read(self) -> None:
        try:
            chat: Chat | None = None
            while not self._left.is_set():
                for event in self.client.stream(self.session_id):
                    if self._left.is_set():
                        return
                    if event["type"] == "snapshot":
                        chat = begin(msgspec.convert(event["data"], SessionReply))
                    elif chat is not None and "data" in event and event.get("topic") == "sessions":
                        chat = fold(chat, event)
                    else:
                        continue
                    if chat.gap:  # a piece was missed: the whole, as it is now, instead of guessing
                        chat, event = self._look()
                    self._events.put(event)
                    if self._is_over(chat):
                        return
                # The stream ended with a turn, which need not be ours: it may wait still, or be older than the
                # snapshot reached.
                chat, event = self._look()
                self._events.put(event)
                if not self.message_id or self._is_over(chat) or not self._still_waits(chat):
                    return
                self._left.wait(_AGAIN_S)
        except RagentError as error:
            self._events.put(error)
        finally:
            self._events.put(None)

    def _look(self) -> tuple[Chat, dict[str, Any]]:
        """The session as it is now, and as the event that says so."""
        reply = self.client.session(self.session_id)
        return begin(reply), {"type": "snapshot", "seq": reply.seq, "data": msgspec.to_builtins(reply)}

    def _is_over(self, chat: Chat) -> bool:
        turn = _turn_of(chat, self.message_id)
        return turn is not None and turn.status in TURN_OVER

    def _still_waits(self, chat: Chat) -> bool:
        """Whether the message is somewhere yet: in the queue, or under way. Somebody may have taken it out."""
        return _turn_of(chat, self.message_id) is not None or any(m.id == self.message_id for m in chat.session.queue)


def _turn_of(chat: Chat, message_id: str) -> Turn | None:
    if not message_id:
        return chat.turns.get(chat.session.turn) or max(chat.turns.values(), key=lambda t: t.n, default=None)
    return next((turn for turn in chat.turns.values() if turn.message.id == message_id), None)
