"""A turn of a chat below a cell: it streams into the output, and what it came to is a value."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ragent_jupyter.client import Client
from ragent_jupyter.client.following import Following
from ragent_jupyter.domain.chat import Mode, NoticePart, Part, Session, TextPart, ThinkingPart, ToolPart
from ragent_jupyter.domain.errors import BadInput, NotFound, RagentError, from_wire

from .chat_text import code_of, code_span, safe_markdown

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

FORMATS = ("markdown", "code", "json", "text")
_REDRAW_S = 0.1  # at most ten pictures a second
_STOPPED_S = 5.0  # how long an interrupted cell waits for the turn's end
_ASKS = {
    "code": "Answer with one fenced block of Python code that can run as it is, and nothing else.",
    "json": "Answer with one JSON document and nothing else.",
    "text": "Answer in plain text, without Markdown.",
}
_GLYPH = {"done": "✓", "error": "✕", "refused": "–", "stopped": "■", "outcome_unknown": "?"}

# One chat a notebook: %%ragent goes on where the cell above left off, also after a restart of the kernel.
_chats: dict[tuple[str, str], str] = {}


class ChatValue:
    """What a turn came to. `text`, `code` (of its blocks of Python), `data` (of `-f json`), `parts`, `session`, `turn`.

    `status`: "done", "stopped", "failed"; while it streams "streaming" or "waiting".
    """

    def __init__(self, session: str, format: str = "markdown") -> None:
        self.session = session
        self.format = format
        self.turn = ""
        self.status = "queued"
        self.parts: list[Part] = []
        self.note = ""
        self.error: RagentError | None = None
        self._drawn_at: int | None = None  # the execution whose output shows it already

    @property
    def text(self) -> str:
        return "\n\n".join(p.text.strip() for p in self.parts if isinstance(p, TextPart) and p.text.strip())

    @property
    def code(self) -> str:
        return code_of(self.text)

    @property
    def data(self) -> Any:
        """The answer as JSON; None where it is none."""
        text = self.text.strip()
        for candidate in (text, code_of(text)):
            try:
                return json.loads(candidate)
            except ValueError:
                continue
        return None

    def take(self, following: Following) -> None:
        turn = following.turn
        self.parts = following.parts
        if turn is not None:
            self.turn, self.status = turn.id, turn.status
            if turn.error is not None:
                self.error = from_wire(500, turn.error.type, turn.error.problem, turn.error.remedy)
        session = following.chat.session if following.chat is not None else None
        self.note = session.note if session is not None and session.status == "waiting_api" else ""

    # --- its faces ---------------------------------------------------------------------------------------------
    def markdown(self) -> str:
        pieces: list[str] = []
        tools: list[str] = []
        for part in self.parts:
            if isinstance(part, TextPart) and part.text.strip():
                pieces += _listed(tools)
                pieces.append(safe_markdown(part.text.strip()))
            elif not isinstance(part, TextPart):
                tools += _line(part, self.session)
        pieces += _listed(tools)
        if self.note:
            pieces.append(f"*… waiting for the model: {code_span(self.note)}*")
        elif self.status in ("queued", "streaming") and not pieces:
            pieces.append("*…*" if self.status == "streaming" else "*waits for its turn …*")
        elif self.status == "stopped":
            pieces.append("*Stopped.*")
        if self.error is not None:
            pieces.append(f"**{code_span(self.error.problem)}** {code_span(self.error.remedy or '-')}")
        return "\n\n".join(pieces) or "*no answer*"

    def __repr__(self) -> str:
        said = self.text or (str(self.error) if self.error else "")
        return said if self.status == "done" else f"{said}\n[{self.status}]".strip()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        # Plain text is shown as it is by whoever cannot show more: without what a terminal would obey.
        plain = "".join(c for c in repr(self) if c in "\n\t" or c.isprintable())
        if self.status == "done" and self.format == "text":
            return {"text/plain": plain}
        if self.status == "done" and self.format == "json" and self.data is not None:
            return {"text/plain": plain, "application/json": self.data}
        return {"text/plain": plain, "text/markdown": self.markdown()}

    def _ipython_display_(self) -> None:
        """As the last value of a cell it is shown, unless this very cell streamed it."""
        from IPython import get_ipython

        shell = get_ipython()
        if shell is None or shell.execution_count != self._drawn_at:
            _display(self._repr_mimebundle_())


def _listed(tools: list[str]) -> list[str]:
    """The lines of what was done, as one block; the list is empty afterwards."""
    said = ["  \n".join(tools)] if tools else []
    tools.clear()
    return said


def _line(part: Part, session: str) -> list[str]:
    if isinstance(part, NoticePart):
        return [f"*! {code_span(part.text)}*"]
    if isinstance(part, ThinkingPart):
        return ["*… thinking*"] if part.status == "streaming" else []
    if not isinstance(part, ToolPart) or part.name == "card":
        return []
    title = code_span(part.title or part.name)
    if part.approval is not None and part.approval.status == "pending":
        what = part.approval.shows.command or part.approval.shows.title
        return [
            f"**Waits for you:** {code_span(what[:300])}. Answer in the ragent sidebar, or in a terminal with "
            f"`ragent chat --session {session}`; a cell cannot."
        ]
    if part.status in ("writing", "waiting", "running"):
        return [f"● {title} …"]
    more = f": {code_span(part.output[:200])}" if part.status in ("error", "refused") and part.output else ""
    return [f"{_GLYPH.get(part.status, '·')} {title}{more}"]


# --- which chat ---------------------------------------------------------------------------------------------------
def notebook_path(client: Client, namespace: dict[str, Any]) -> str:
    """The notebook of this kernel, relative to the project where it lies in it; "" where nobody says."""
    # Jupyter names it in the environment, VS Code in the namespace.
    path = os.environ.get("JPY_SESSION_NAME", "") or str(namespace.get("__vsc_ipynb_file__", ""))
    if not path.endswith(".ipynb"):
        return ""
    absolute = os.path.realpath(path)
    root = os.path.realpath(client.project)
    return os.path.relpath(absolute, root) if absolute.startswith(root + os.sep) else path


def chat_of(client: Client, notebook: str, wanted: str | None = None) -> str:
    """The id of the session to go on with. wanted: a session, "new" for another one, None for the notebook's own."""
    key = (os.fspath(client.project), notebook)
    if wanted not in (None, "new"):
        _chats[key] = client.find_session(str(wanted)).id
    elif wanted == "new" or key not in _chats:
        own = None if wanted == "new" or not notebook else _newest(client, notebook)
        _chats[key] = (own or client.create_session(notebook=notebook)).id
    return _chats[key]


def _newest(client: Client, notebook: str) -> Session | None:
    return next((s for s in client.sessions(limit=500).sessions if s.notebook == notebook), None)


# --- a turn ---------------------------------------------------------------------------------------------------------
def ask(
    shell: InteractiveShell,
    text: str,
    *,
    format: str = "markdown",
    session: str | None = None,
    mode: Mode | None = None,
) -> ChatValue:
    """Send a question and stream the answer below the cell; its value. An interrupt stops the turn, within a second.

    Raises the engine's refusal; a turn that fails is a value with its error.
    """
    if format not in FORMATS:
        raise BadInput(f"-f {format!r} is not known.", f"One of: {', '.join(FORMATS)}.")
    if not text.strip():
        raise BadInput("There is nothing to ask.", "Write the question below %%ragent.")
    client = Client(door="kernel")
    notebook = notebook_path(client, shell.user_ns)
    asked = f"{text.strip()}\n\n{_ASKS[format]}" if format in _ASKS and not text.startswith("/") else text.strip()
    chat = chat_of(client, notebook, session)
    try:
        reply = client.send(chat, asked, mode=mode, notebook=notebook or None)
    except NotFound:
        # The project was begun anew while this kernel lived.
        _chats.clear()
        chat = chat_of(client, notebook, session)
        reply = client.send(chat, asked, mode=mode, notebook=notebook or None)
    if reply.session.id != chat:
        _chats[os.fspath(client.project), notebook] = reply.session.id
    value = ChatValue(reply.session.id, format)
    picture = Picture(shell, value)
    if reply.turn is None and not reply.queued:
        value.status = "done"
        picture.draw()
        return value
    _follow(client, Following.of(client, reply), value, picture)
    return value


def _follow(client: Client, following: Following, value: ChatValue, picture: Picture) -> None:
    stopped_at: float | None = None
    while not following.over:
        try:
            event = following.next(_REDRAW_S)
            if event is not None or following.over:
                value.take(following)
                picture.changed = True
            picture.draw_if_due()
            if stopped_at is not None and time.monotonic() - stopped_at > _STOPPED_S:
                break
        except KeyboardInterrupt:
            if stopped_at is not None:
                break
            stopped_at = time.monotonic()
            client.stop_turn(value.session)
    following.leave()
    picture.draw()
    if stopped_at is not None:
        # The cell was interrupted: those below it must not run.
        interrupt = KeyboardInterrupt()
        interrupt._render_traceback_ = lambda: ["ragent: stopped."]  # type: ignore[attr-defined]
        raise interrupt


class Picture:
    """The output of a cell that is drawn anew, at most ten times a second.

    Without a kernel (IPython in a terminal) nothing can be drawn anew: the value is shown as the cell's result.
    """

    def __init__(self, shell: InteractiveShell, value: ChatValue, clock: Callable[[], float] = time.monotonic) -> None:
        self.value = value
        self.clock = clock
        self.live = hasattr(shell, "kernel")
        self.changed = True
        self.drawn = 0
        self._at = -1e9
        self._handle: Any = None
        if self.live:
            value._drawn_at = shell.execution_count

    def draw_if_due(self) -> None:
        if self.live and self.changed and self.clock() - self._at >= _REDRAW_S:
            self.draw()

    def draw(self) -> None:
        if not self.live:
            return
        self._at = self.clock()
        self.changed = False
        self.drawn += 1
        bundle = self.value._repr_mimebundle_()
        if self._handle is None:
            self._handle = _display(bundle, display_id=True)
        else:
            self._handle.update(bundle, raw=True)


def _display(bundle: dict[str, Any], **more: Any) -> Any:
    from IPython.display import display

    show: Any = display  # IPython has no types for it
    return show(bundle, raw=True, **more)


def keep(shell: InteractiveShell, value: ChatValue, name: str | None) -> ChatValue:
    """The value where it can be reached: under its name, and its code in the next cell if that was asked for."""
    if name:
        shell.user_ns[name] = value
    if value.format == "code" and value.status == "done" and value.code:
        shell.set_next_input(value.code, replace=False)
    return value
