"""A wild loop's live banner below a cell. A thread listens to the engine; nothing is asked for while nothing happens.

Nothing here stops or answers: a widget's button is served only when the kernel is idle, and an answer is a person's, so
both go through the sidebar, a terminal or `%ragent wild stop`.
"""

from __future__ import annotations

import threading
import time
import weakref

import ipywidgets

from ragent_jupyter.client import Client
from ragent_jupyter.client.wild_following import LoopFollowing
from ragent_jupyter.domain.errors import RagentError
from ragent_jupyter.domain.wild import Entry

from . import words as w
from .wild_views import LoopView, banner_html, banner_text

ENTRIES = 6
_WAIT_S = 1.0  # between two looks at whether anybody still shows it
_CLOCK_S = 10.0  # between two pictures of which only the time is new
_AGAIN_S = 2.0


class WildPanel(ipywidgets.VBox):  # type: ignore[misc]
    """The widget. `.loop` is the loop as it is now, `.close()` ends the following; so does the loop's or the kernel's
    end."""

    def __init__(self, client: Client, loop_id: str) -> None:
        self._client = client
        self._id = loop_id
        self._banner = ipywidgets.HTML()
        self._note = ipywidgets.HTML()
        self._stop = threading.Event()
        super().__init__([self._banner, self._note])
        self._reply = client.loop(loop_id)
        self._entries: list[Entry] = client.journal(loop_id, max(0, self._reply.loop.entries - ENTRIES)).entries
        self.draw()  # so that the first picture is there with the cell, even with no thread
        # The thread holds the banner weakly: one that nobody can see any more is let go of.
        me = weakref.ref(self)
        threading.Thread(
            target=_follow, args=(me, client, loop_id, self._stop), name="ragent-wild", daemon=True
        ).start()

    @property
    def loop(self) -> LoopView:
        """The loop as it is now, with its verbs."""
        return LoopView(self._client, self._client.loop(self._id))

    def close(self) -> None:
        self._stop.set()
        super().close()

    def draw(self) -> None:
        """Show what is known. Safe from any thread."""
        self._banner.value = w.frame_html(banner_html(self._reply, self._entries[-ENTRIES:], time.time()))

    def take(self, going: LoopFollowing) -> None:
        self._reply, self._entries = going.reply, going.entries
        self._note.value = ""
        self.draw()

    def trouble(self, error: RagentError) -> None:
        """A stale banner says how old it is; the loop itself does not need this kernel."""
        self._note.value = w.frame_html(
            f"<div>{w.esc(error.problem)} {w.esc(error.remedy)}</div>"
            f"<div>{w.quiet_html(f'What is shown is older than {w.clock(time.time())}.')}</div>"
        )

    def __repr__(self) -> str:
        return banner_text(self._reply, time.time())


def _follow(me: weakref.ref[WildPanel], client: Client, loop_id: str, stop: threading.Event) -> None:
    while not stop.is_set() and me() is not None:
        going: LoopFollowing | None = None
        try:
            going = LoopFollowing(client, loop_id, entries=ENTRIES)
            drawn_at = -_CLOCK_S
            while not stop.is_set():
                changed = going.next(_WAIT_S)
                panel = me()
                if panel is None:
                    return
                if changed or time.monotonic() - drawn_at >= _CLOCK_S:
                    drawn_at = time.monotonic()
                    panel.take(going)
                if going.loop.over and going.loop.report:
                    return
                del panel  # not held while we wait
        except RagentError as error:
            panel = me()
            if panel is None:
                return
            panel.trouble(error)
            del panel
            stop.wait(_AGAIN_S)
        finally:
            if going is not None:
                going.leave()
