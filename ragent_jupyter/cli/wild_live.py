"""A wild loop while it goes: a banner that moves in a terminal, one line for each thing that happens in a pipe.

Ctrl-C leaves it alone. A question is asked where a person sits; where none does, the exit code says that one is needed.
"""

from __future__ import annotations

import os
import select
import sys
import time
from typing import TYPE_CHECKING, Any

from ragent_jupyter.client import wild_said as said
from ragent_jupyter.client.wild_following import LoopFollowing
from ragent_jupyter.domain.errors import NotAllowed, NotFound, WrongMoment
from ragent_jupyter.domain.wild import Entry, Loop, Question
from ragent_jupyter.domain.wire_wild import LoopReply

from . import wild_view as view
from .output import Out, duration
from .picture import Picture

if TYPE_CHECKING:
    from ragent_jupyter.client import Client

_WAIT_S = 0.25  # how long a look for news takes; Ctrl-C is heard at once
_ENTRIES = 6


class Followed:
    """How it was left: `reply` as it is now; `left`: by Ctrl-C; `asked`: a question that nobody here can answer."""

    def __init__(self, reply: LoopReply, *, left: bool = False, asked: Question | None = None) -> None:
        self.reply = reply
        self.left = left
        self.asked = asked


def follow(out: Out, client: Client, loop_id: str, *, earlier: int = 0) -> Followed:
    """Show a loop until it has ended, is left, or needs somebody who is not here. earlier: lines of its ledger."""
    going = LoopFollowing(client, loop_id, entries=max(earlier, _ENTRIES))
    asked: set[str] = set()
    try:
        with show(out, going, earlier) as shown:
            while not going.loop.over:
                shown.draw()
                question = going.loop.question
                if question is None or question.id in asked or going.loop.paused:
                    going.next(_WAIT_S)
                    continue
                asked.add(question.id)
                if not out.asks:
                    return Followed(client.loop(loop_id), asked=question)
                shown.pause()
                ask(out, client, going, question)
                shown.go_on()
            going.look()  # its last lines may come behind its end
            shown.draw()
        return Followed(going.reply)
    except KeyboardInterrupt:
        return Followed(going.reply, left=True)
    finally:
        going.leave()


# --- a question at the terminal -----------------------------------------------------------------------------------
def ask(out: Out, client: Client, going: LoopFollowing, question: Question) -> None:
    """Show a question and send what the person types. It may be answered elsewhere meanwhile, or by its default.

    Ctrl-D leaves it open.
    """
    view.question(out, question)
    prompt = "  Number or words, Enter for the default: " if question.default else "  Number or words: "
    while True:
        out.raw(prompt)
        typed = _typed(going, question)
        if typed is None:
            out.say("\n  It was answered elsewhere.")
            return
        if typed == "":
            out.say("\n  Left open.")
            return
        try:
            choice, text = said.chosen(question, typed)
        except ValueError as error:
            out.say(f"  {error}")
            continue
        try:
            client.answer_loop(going.id, question.id, choice, text)
        except (WrongMoment, NotFound, NotAllowed) as error:
            out.note(f"  {error.problem} {error.remedy}".rstrip())
        going.look()
        return


def _typed(going: LoopFollowing, question: Question) -> str | None:
    """A line with its end, "" at the end of input, None once the question is no longer open."""
    while True:
        ready, _, _ = select.select([sys.stdin], [], [], _WAIT_S)
        if ready:
            return sys.stdin.readline()
        going.next(0.01)
        now = going.loop.question
        if now is None or now.id != question.id:
            return None


# --- the ways to show it --------------------------------------------------------------------------------------------
class Shown:
    def __init__(self, out: Out, going: LoopFollowing) -> None:
        self.out = out
        self.going = going

    def __enter__(self) -> Shown:
        return self

    def __exit__(self, *exc: object) -> None: ...
    def draw(self) -> None:
        """Something may have changed."""

    def pause(self) -> None:
        """Something else writes to the terminal now."""

    def go_on(self) -> None: ...


class Lines(Shown):
    """For pipes and logs; nothing with --json."""

    def __init__(self, out: Out, going: LoopFollowing, earlier: int) -> None:
        super().__init__(out, going)
        self.n = max(0, going.loop.entries - earlier)
        self.state = self.best = ""

    def draw(self) -> None:
        loop = self.going.loop
        for entry in self.going.entries:
            if entry.n > self.n:
                self.n = entry.n
                if not _small(entry):
                    self.out.say(view.entry(self.out, entry))
        state = said.STATES.get(said.state_of(loop), "")
        if state != self.state:
            self.state = state
            head = f"{view.glyph(self.out, loop)} {state}"
            self.out.say("  ".join(filter(None, [head, f"iteration {loop.iteration}", self._counts()])))
        best = said.best_text(loop)
        if best != self.best:
            self.best = best
            self.out.say(f"best: {view.clean(best)}")

    def _counts(self) -> str:
        return said.counts_text(self.going.reply.counts)


def _small(entry: Entry) -> bool:
    """That a run has ended as expected; the count of them says it too."""
    return (
        entry.action is None
        and entry.outcome == "noted"
        and entry.event is not None
        and (entry.event.kind == "completion")
    )


class Banner(Shown):
    """rich draws it again four times a second from what is known; time goes on without asking anybody."""

    def __init__(self, out: Out, going: LoopFollowing) -> None:
        super().__init__(out, going)
        self.shown = Picture(out, self.picture)

    def __enter__(self) -> Banner:
        self.go_on()
        return self

    def __exit__(self, *exc: object) -> None:
        self.pause()

    def pause(self) -> None:
        self.shown.end()

    def go_on(self) -> None:
        self.shown.begin()

    def picture(self) -> Any:
        from rich.console import Group
        from rich.text import Text

        def line(text: str) -> Text:
            return Text.from_ansi(text, no_wrap=True, overflow="ellipsis")

        reply, out, now = self.going.reply, self.out, time.time()
        loop = reply.loop
        head = [view.state(out, loop, now), f"iteration {loop.iteration}", duration(said.elapsed_seconds(loop, now))]
        lines = [line(out.paint(view.clean(loop.goal, 100), "1")), line("  ".join(head))]
        bars = [self._meter(meter) for meter in said.meters(loop, now)]
        lines.append(line("  ".join(bars)))
        counts = said.counts_text(reply.counts) or "no runs yet"
        alerts = out.paint(f"  ! {reply.alerts} alert{'s' if reply.alerts != 1 else ''}", "33") if reply.alerts else ""
        lines.append(line(f"runs      {counts}{alerts}"))
        for name, text in (("baseline", said.baseline_text(loop)), ("best", said.best_text(loop))):
            if text:
                lines.append(line(f"{name.ljust(9)} {view.clean(text)}"))
        if loop.estimate is not None and loop.estimate.text:
            lines.append(line(out.paint(f"estimate  {view.clean(loop.estimate.text)}", "2")))
        room = max(1, min(_ENTRIES, self.shown.console.size.height - len(lines) - 3))
        lines.append(line(""))
        lines += [line(view.entry(out, entry)) for entry in self.going.entries[-room:]]
        return Group(*lines)

    def _meter(self, meter: said.Meter) -> str:
        text = f"{meter.word} {meter.text}"
        if meter.share is None:
            return text
        return self.out.paint(text, "31" if meter.share >= 0.95 else "33" if meter.share >= 0.8 else "")


def show(out: Out, going: LoopFollowing, earlier: int = 0) -> Shown:
    if out.json:
        return Shown(out, going)
    return Banner(out, going) if out.terminal else Lines(out, going, earlier)


def how_to_come_back(loop: Loop, folder: str) -> str:
    """What a person who leaves should know."""
    where = "" if folder == os.getcwd() else f" -C {folder}"
    return (
        f"{loop.id} goes on without this terminal. `ragent wild follow{where}` comes back to it, "
        f"`ragent wild stop{where}` ends it."
    )
