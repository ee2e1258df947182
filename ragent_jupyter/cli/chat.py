"""`ragent chat`: a conversation in the terminal, or one question and its answer."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from ragent_jupyter.domain.chat import Session
from ragent_jupyter.domain.errors import BadInput, RagentError, from_wire

from . import approvals
from .chat_view import View, answer_of, harmless, view_for
from .context import Context
from .output import DONE, FAILED, INTERRUPTED, NEEDS_HUMAN, NeedsHuman, Out, ago, short

if TYPE_CHECKING:
    from ragent_jupyter.client import Client
    from ragent_jupyter.client.following import Following
    from ragent_jupyter.domain.wire_chat import SendReply

_NOBODY = "Nobody is at a terminal to be asked."
_WAIT_S = 0.2  # how long a look for news takes; Ctrl-C is heard at once


def chat(context: Context) -> int:
    args, out = context.args, context.out
    if args.list:
        return _list(context)
    text = _text(args.text, out)
    if text is None and not out.asks:
        raise BadInput("There is nothing to send.", 'Say it: ragent chat "why did my last run fail?"')
    client = context.client(create=True)
    session = _session(context, client)
    if text is not None:
        return _once(out, client, session, text, args.mode)
    return _converse(out, client, session)


def _text(words: list[str], out: Out) -> str | None:
    """What was said on the command line, or is piped in; None to converse."""
    if words and words != ["-"]:
        return " ".join(words)
    if words == ["-"] or (sys.stdin is not None and not sys.stdin.isatty()):
        said = sys.stdin.read().strip() if sys.stdin is not None else ""
        if not said and not out.asks:
            raise BadInput("Nothing came on stdin.", 'Say it: ragent chat "why did my last run fail?"')
        return said or None
    return None


def _session(context: Context, client: Client) -> Session:
    args = context.args
    if args.session is None:
        return client.create_session(mode=args.mode or "ask", model=args.model or "")
    session = client.find_session(args.session)
    wanted = {"model": args.model} if args.model is not None and args.model != session.model else {}
    if args.mode is not None and args.mode != session.mode:
        wanted["mode"] = args.mode
    return client.patch_session(session.id, **wanted) if wanted else session


def _list(context: Context) -> int:
    out = context.out
    reply = context.client().sessions(limit=200)
    out.document(reply)
    if not reply.sessions and not out.json:
        out.say("No chats yet. `ragent chat` begins one.")
        return DONE
    rows = [
        [s.id, short(harmless(s.title), 60) or "untitled", s.status if s.turn else "", str(s.turns), ago(s.updated_at)]
        for s in reply.sessions
    ]
    if not out.json:
        out.table(["CHAT", "TITLE", "", "TURNS", "LAST"], rows, right=(3,))
    return DONE


# --- one question -------------------------------------------------------------------------------------------------
def _once(out: Out, client: Client, session: Session, text: str, mode: str | None) -> int:
    reply = client.send(session.id, text, mode=mode)  # type: ignore[arg-type]
    code = Turns(out, client).follow(reply)
    out.note(out.paint(f"{reply.session.id}: `ragent chat --session {reply.session.id}` goes on with it.", "2"))
    return code


class Turns:
    """Follows turns: shows them, asks what they ask, stops them on Ctrl-C."""

    def __init__(self, out: Out, client: Client) -> None:
        self.out = out
        self.client = client

    def follow(self, reply: SendReply) -> int:
        """The turn of a message to its end; the exit code."""
        from ragent_jupyter.client.following import Following

        if reply.turn is None and not reply.queued:
            return DONE
        if reply.queued and not self.out.json:
            self.out.note("Another answer is under way; this one waits for its turn.")
        return self.attend(Following.of(self.client, reply))

    def attend(self, turn: Following) -> int:
        asked: set[tuple[str, str]] = set()  # a call that changed meanwhile (another hash) is asked anew
        refused = stopping = False
        with view_for(self.out) as view:
            while not turn.over:
                try:
                    event = turn.next(_WAIT_S)
                    view.show(turn, event)
                    for call in turn.approvals:
                        assert call.approval is not None
                        if (call.approval.id, call.approval.hash) in asked or stopping:
                            continue
                        asked.add((call.approval.id, call.approval.hash))
                        view.pause()
                        if self.out.asks:
                            approvals.ask(self.out, self.client, call)
                            continue
                        refused = True
                        self.out.note(f"{harmless(call.approval.shows.title)} needs a person's word. {_NOBODY}")
                        approvals.refuse(self.client, call, _NOBODY)
                except KeyboardInterrupt:
                    if stopping:
                        turn.leave()
                        raise
                    stopping = True
                    view.pause()
                    self.out.note("Stopping. Ctrl-C again leaves without waiting.")
                    self.client.stop_turn(turn.session_id)
        return self._verdict(turn, view, refused=refused, stopped=stopping)

    def _verdict(self, turn: Following, view: View, *, refused: bool, stopped: bool) -> int:
        ended = turn.turn
        code = DONE
        if refused:
            code = NEEDS_HUMAN
        elif ended is None:
            code = FAILED
        elif ended.status == "stopped":
            code = INTERRUPTED if stopped else FAILED
        elif ended.status != "done":
            code = FAILED
        if self.out.json and ended is not None:
            said = {"session": turn.session_id, "turn": ended, "text": answer_of(turn.parts), "exit": code}
            self.out.line({"type": "end", "data": said})
        if refused:
            remedy = "Ask again in a terminal, in the sidebar, or with --mode accept_edits for edits of files."
            self.out.problem(NeedsHuman(f"Something needed a person's word and was refused. {_NOBODY}", remedy))
        elif ended is None:
            self.out.note("The message was taken out of the queue.")
        elif ended.error is not None:
            self.out.problem(from_wire(500, ended.error.type, ended.error.problem, ended.error.remedy))
        elif ended.status == "stopped":
            self.out.note("Stopped.")
        return code


# --- a conversation -----------------------------------------------------------------------------------------------
def _converse(out: Out, client: Client, session: Session) -> int:
    _greet(out, client, session)
    turns = Turns(out, client)
    if session.turns:
        turns.attend(_newest(client, session))  # what was said last; if it is under way, its end
    while True:
        try:
            text = _read(out)
        except EOFError:
            out.say()
            break
        except KeyboardInterrupt:
            out.say("\nCtrl-D leaves.")
            continue
        if text in ("/quit", "/exit"):
            break
        if not text:
            continue
        try:
            reply = client.send(session.id, text)
            if reply.session.id != session.id:
                out.say(out.paint(f"A new chat: {reply.session.id}", "2"))
                session = reply.session
            turns.follow(reply)
        except RagentError as error:
            out.problem(error)
    out.note(out.paint(f"`ragent chat --session {session.id}` goes on with it.", "2"))
    return DONE


def _newest(client: Client, session: Session) -> Following:
    from ragent_jupyter.client.following import Following

    return Following(client, session.id)


def _greet(out: Out, client: Client, session: Session) -> None:
    options = client.chat_options()
    if session.model:
        model = session.model
    elif options.builtin:
        model = "the built-in assistant; `ragent keys set ANTHROPIC_API_KEY` gives it a mind"
    else:
        model = options.model.title or options.model.id
    out.say(f"{out.paint(harmless(session.title) or 'A new chat', '1')}  {model}  {out.paint(session.mode, '2')}")
    out.say(out.paint("/help lists commands, @run:… names things, Ctrl-C stops an answer, Ctrl-D leaves.", "2"))


def _read(out: Out) -> str:
    """One message; a backslash at the end of a line goes on with the next one."""
    with contextlib.suppress(ImportError):  # a Python without it reads plain lines
        import readline  # noqa: F401  (input() then edits and remembers lines)
    lines = [input("\n› " if out.unicode else "\n> ")]
    while lines[-1].endswith("\\"):
        lines[-1] = lines[-1][:-1]
        lines.append(input("  "))
    return "\n".join(lines).strip()
