"""What `%ragent wild` returns: a loop, its draft, its ledger and its summary, as values with a face."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, overload

from ragent_jupyter.client import wild_said as said
from ragent_jupyter.client.wild_typed import dim_text, limits_text, value_text
from ragent_jupyter.domain.wild import Entry, Loop, LoopEvent
from ragent_jupyter.domain.wire_wild import CreateLoop, Line, LoopReply, SetupReply, Summary

from . import words as w
from .views import View, _Wraps

if TYPE_CHECKING:
    import pandas as pd

    from ragent_jupyter.client import Client

    from .live_wild import LiveWild
    from .wild_panel import WildPanel

_INFO, _GOOD, _BAD, _WARN, _QUIET = (
    "var(--jp-info-color0, #0b6ea8)", "var(--jp-success-color0, #1b6e20)", "var(--jp-error-color0, #b3261e)",
    "var(--jp-warn-color0, #9a5b00)", "var(--jp-ui-font-color2, #616161)",
)  # fmt: skip
GLYPH = {
    "exploring": ("○", _INFO), "running": ("●", _INFO), "analyzing": ("○", _INFO), "confirming": ("●", _INFO),
    "paused": ("■", _QUIET), "asking": ("!", _WARN), "waiting": ("○", _WARN), "complete": ("✓", _GOOD),
    "budget": ("■", _WARN), "stopped": ("■", _QUIET), "failed": ("✕", _BAD),
}  # fmt: skip
_TONE = {"good": _GOOD, "bad": _BAD, "wait": _WARN}
WHERE = "The sidebar answers it, or a terminal"


def state_html(loop: Loop, now: float) -> str:
    glyph, colour = GLYPH.get(said.state_of(loop), ("·", "inherit"))
    text = w.esc(said.state_text(loop, now))
    return f'<span style="color: {colour}"><span aria-hidden="true">{glyph}</span> {text}</span>'


def meters_html(loop: Loop, now: float) -> str:
    """One short bar for each limit, with its figures as words."""
    cells = []
    for meter in said.meters(loop, now):
        bar = ""
        if meter.share is not None:
            colour = _BAD if meter.share >= 0.95 else _WARN if meter.share >= 0.8 else _INFO
            fill = f'<span style="display: block; height: 3px; width: {meter.share:.0%}; background: {colour}"></span>'
            bar = f'<span style="display: block; background: var(--jp-border-color2, #ddd)">{fill}</span>'
        text = f"{w.quiet_html(meter.word)} {w.esc(meter.text)}"
        cells.append(f'<span style="display: inline-block; margin: 0 16px 4px 0">{text}{bar}</span>')
    return f"<div>{''.join(cells)}</div>"


def question_html(loop: Loop, now: float) -> str:
    ask = loop.question
    if ask is None:
        return ""
    lines = "".join(f"<li>{w.esc(line)}</li>" for line in said.option_lines(ask, now))
    how = w.quiet_html(f"{WHERE}: ") + w.code_html(f"ragent wild answer CHOICE --loop {loop.id}")
    mark = f'<span style="color: {_WARN}" aria-hidden="true">!</span>'
    return f'<div style="margin-top: 4px">{mark} <b>{w.esc(ask.text)}</b><ul>{lines}</ul>{how}</div>'


def banner_html(reply: LoopReply, entries: Sequence[Entry], now: float) -> str:
    """Stage, iteration, time, limits, runs, best, the last of the ledger, and what it asks."""
    loop = reply.loop
    alerts = f" · {reply.alerts} alert{'s' if reply.alerts != 1 else ''}" if reply.alerts else ""
    told = f"iteration {loop.iteration} · {w.span(said.elapsed_seconds(loop, now))}"
    lines = [
        f"<div><b>{w.esc(_short(loop.goal))}</b> {w.code_html(loop.id)}</div>",
        f"<div>{state_html(loop, now)} · {w.esc(told)}</div>",
        meters_html(loop, now),
        f"<div>{w.quiet_html('runs')} {w.esc(said.counts_text(reply.counts) or 'none yet')}{w.esc(alerts)}</div>",
    ]
    for name, text in (("baseline", said.baseline_text(loop)), ("best", said.best_text(loop))):
        if text:
            lines.append(f"<div>{w.quiet_html(name)} {w.esc(text)}</div>")
    if loop.reason:
        lines.append(f"<div>{w.esc(loop.reason)}</div>")
    if loop.report:
        lines.append(f"<div>{w.quiet_html('report')} {w.code_html(loop.report)}</div>")
    if entries:
        lines.append(ledger_html(entries))
    lines.append(question_html(loop, now))
    return "".join(lines)


def banner_text(reply: LoopReply, now: float) -> str:
    loop = reply.loop
    glyph = GLYPH.get(said.state_of(loop), ("·", ""))[0]
    head = [f"{glyph} {said.state_text(loop, now)}", loop.id, _short(loop.goal), f"iteration {loop.iteration}"]
    lines = [" · ".join([*head, w.span(said.elapsed_seconds(loop, now))])]
    used = ", ".join(f"{meter.word} {meter.text}" for meter in said.meters(loop, now))
    counts = said.counts_text(reply.counts) or "none yet"
    for name, text in (
        ("used", used), ("runs", counts), ("baseline", said.baseline_text(loop)), ("best", said.best_text(loop)),
        ("why", loop.reason), ("report", loop.report),
    ):  # fmt: skip
        if text:
            lines.append(f"  {name}: {text}")
    if loop.question is not None:
        lines.append(f"  ! {loop.question.text}")
        lines += [f"      {line}" for line in said.option_lines(loop.question, now)]
        lines.append(f"    {WHERE}: ragent wild answer CHOICE --loop {loop.id}")
    return "\n".join(lines)


def ledger_html(entries: Sequence[Entry]) -> str:
    rows = [
        [w.quiet_html(f"{w.clock(one.at)} · {one.n}"), w.esc(said.by_text(one)),
         w.esc(_short(said.entry_text(one), 240))]
        for one in entries
    ]  # fmt: skip
    return w.table_html(["", "who", "what"], rows)


def _short(text: str, most: int = 120) -> str:
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= most else text[: most - 1] + "…"


class LoopView(_Wraps):
    """A wild loop, as it was when it was asked for; `refresh()` asks again. It has the loop's fields, and its verbs.

    What it asks is answered where a person sits, not by code: in the sidebar or a terminal.
    """

    def __init__(self, client: Client, loop: Loop | LoopReply) -> None:
        super().__init__()
        self._client = client
        self._reply = loop if isinstance(loop, LoopReply) else client.loop(loop.id)
        self._struct: Loop = self._reply.loop

    def refresh(self) -> LoopView:
        self._reply = self._client.loop(self._struct.id)
        self._struct = self._reply.loop
        self.at = time.time()
        return self

    @property
    def counts(self) -> Mapping[str, int]:
        """Its runs by status."""
        return self._reply.counts

    @property
    def state(self) -> str:
        """exploring, running, analyzing, confirming, asking, paused, waiting; complete, budget, stopped, failed."""
        return said.state_of(self._struct)

    def pause(self) -> LoopView:
        """Nothing new is decided or started; what runs goes on to its end."""
        return LoopView(self._client, self._client.pause_loop(self._struct.id))

    def resume(self) -> LoopView:
        return LoopView(self._client, self._client.resume_loop(self._struct.id))

    def stop(self, *, runs: bool = True, now: bool = False) -> LoopView:
        """End it, and its runs too unless runs=False; now=True skips their grace. Returns at once."""
        return LoopView(self._client, self._client.stop_loop(self._struct.id, runs=runs, now=now))

    def steer(self, text: str) -> LoopView:
        """Say something that its next decision, and every later one, hears."""
        return LoopView(self._client, self._client.steer_loop(self._struct.id, text))

    def journal(self, last: int | None = 30) -> JournalView:
        """Its ledger; last=None: the whole."""
        return journal_of(self._client, self._client.loop(self._struct.id).loop, last)

    def summary(self) -> SummaryView:
        """What was tried, what of it is real, what it cost, what it needs: now."""
        return SummaryView(self._client.loop(self._struct.id).summary)

    def queue(self) -> QueueView:
        """The events that wait to be decided."""
        return QueueView(self._client.loop(self._struct.id).loop)

    def record(self) -> LiveWild:
        """Its candidates, curves and claims, computed from what is recorded now."""
        from .live_wild import fetch

        return fetch(self._client, self._struct.id)

    def watch(self) -> WildPanel:
        """A live banner below the cell."""
        from .wild_panel import WildPanel

        return WildPanel(self._client, self._struct.id)

    def text(self) -> str:
        return banner_text(self._reply, self.at)

    def html(self) -> str:
        note = w.quiet_html(f"as of {w.clock(self.at)}")
        return banner_html(self._reply, [], self.at) + f"<div>{note}</div>"


class LoopsView(View, Sequence[LoopView]):
    """The project's loops, newest first."""

    def __init__(self, client: Client, loops: Sequence[Loop]) -> None:
        super().__init__()
        self._client = client
        self._loops = list(loops)

    @overload
    def __getitem__(self, at: int) -> LoopView: ...
    @overload
    def __getitem__(self, at: slice) -> list[LoopView]: ...
    def __getitem__(self, at: int | slice) -> LoopView | list[LoopView]:
        if isinstance(at, slice):
            return [LoopView(self._client, loop) for loop in self._loops[at]]
        return LoopView(self._client, self._loops[at])

    def __len__(self) -> int:
        return len(self._loops)

    def _rows(self) -> list[list[str]]:
        return [
            [said.state_text(one, self.at), one.id, _short(one.goal, 60), str(one.iteration), said.best_text(one)]
            for one in self._loops
        ]

    def text(self) -> str:
        return w.columns(self._rows()) or 'No wild loops yet. Start one: %ragent wild "GOAL" -- python train.py'

    def html(self) -> str:
        if not self._loops:
            return f"<div>{w.esc(self.text())}</div>"
        rows = [
            [state_html(loop, self.at), w.code_html(row[1]), *map(w.esc, row[2:])]
            for loop, row in zip(self._loops, self._rows(), strict=True)
        ]
        return w.table_html(["", "loop", "goal", "iteration", "best"], rows, right=(3,))


class SetupView(_Wraps):
    """What would be run and searched; nothing was started. `start()` starts it."""

    def __init__(self, client: Client, body: CreateLoop, reply: SetupReply) -> None:
        super().__init__()
        self._client = client
        self._body = body
        self._struct: SetupReply = reply

    def start(self) -> LoopView:
        """Raises CannotBeDone while something is open."""
        return LoopView(self._client, self._client.create_loop(self._body))

    def _facts(self) -> list[tuple[str, str]]:
        setup, reply = self._struct.setup, self._struct
        less = "less" if setup.mode == "min" else "more"
        seed = setup.seed or ("found out by the first run" if setup.seed is None else "none: nothing can be confirmed")
        return [
            ("goal", _short(self._body.goal)),
            ("command", setup.command or "?"),
            ("metric", f"{setup.metric}, {less} is better" if setup.metric else "found out by the first run"),
            ("seed", seed),
            ("training length", f"{setup.fidelity} {value_text(setup.full)}".strip() if setup.fidelity else ""),
            ("limits", limits_text(reply.limits)),
            ("estimate", reply.estimate.text if reply.estimate is not None else "after the first run"),
        ]

    def _rows(self) -> list[list[str]]:
        space = self._struct.setup.space
        return [[name, value_text(k.default), dim_text(k.dim), _short(k.why, 60)] for name, k in space.items()]

    def text(self) -> str:
        lines = [f"{name}: {text}" for name, text in self._facts() if text]
        lines += ["", w.columns([["TUNED", "NOW", "RANGE", "WHY"], *self._rows()])] if self._rows() else []
        for ask in self._struct.asks:
            lines += ["", f"! {ask.text}", *(f"    {line}" for line in said.option_lines(ask, self.at))]
        return "\n".join([*lines, "", "Nothing was started."])

    def html(self) -> str:
        facts = [[w.quiet_html(name), w.esc(text)] for name, text in self._facts() if text]
        lines = [w.table_html(["", ""], facts)]
        if self._rows():
            rows = [[*map(w.esc, row)] for row in self._rows()]
            lines.append(w.table_html(["tuned", "now", "range", "why"], rows))
        for ask in self._struct.asks:
            options = "".join(f"<li>{w.esc(line)}</li>" for line in said.option_lines(ask, self.at))
            lines.append(f"<div><b>{w.esc(ask.text)}</b><ul>{options}</ul></div>")
        return "".join([*lines, f"<div>{w.quiet_html('Nothing was started.')}</div>"])


class SummaryView(_Wraps):
    """The morning after, on one screen."""

    def __init__(self, summary: Summary) -> None:
        super().__init__()
        self._struct: Summary = summary

    def _parts(self) -> list[tuple[str, list[Line]]]:
        s = self._struct
        parts = [("Tried", s.tried), ("Real", s.real), ("Cost", s.cost), ("Needs", s.needs)]
        return [(head, lines) for head, lines in parts if lines]

    def text(self) -> str:
        lines = [_short(self._struct.title, 240)]
        for head, said_ in self._parts():
            lines += ["", head, *(f"  {_short(line.text, 400)}" for line in said_)]
        return "\n".join(lines)

    def html(self) -> str:
        found = [f"<div><b>{w.esc(self._struct.title)}</b></div>"]
        for head, lines in self._parts():
            said_ = "".join(
                f'<li style="color: {_TONE.get(line.tone, "inherit")}">{w.esc(line.text)}</li>' for line in lines
            )
            found.append(f'<div style="margin-top: 8px"><b>{head}</b></div><ul style="margin: 0">{said_}</ul>')
        return "".join(found)


class JournalView(View, Sequence[Entry]):
    """Entries of a ledger, oldest first; `.df` is a DataFrame of them."""

    def __init__(self, entries: Sequence[Entry], total: int) -> None:
        super().__init__()
        self.entries = list(entries)
        self.total = total

    @overload
    def __getitem__(self, at: int) -> Entry: ...
    @overload
    def __getitem__(self, at: slice) -> list[Entry]: ...
    def __getitem__(self, at: int | slice) -> Entry | list[Entry]:
        return self.entries[at]

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    @property
    def df(self) -> pd.DataFrame:
        """One row an entry: time, who, event, action, outcome, reasoning, result."""
        import pandas as pd

        rows = [
            {"n": one.n, "at": one.at, "by": one.by, "who": one.who, "stage": one.stage, "iteration": one.iteration,
             "event": one.event.kind if one.event is not None else "", "action": said.action_text(one.action),
             "outcome": one.outcome, "reasoning": one.reasoning, "result": one.result}
            for one in self.entries
        ]  # fmt: skip
        table = pd.DataFrame(rows)
        if rows:
            table["at"] = pd.to_datetime(table["at"], unit="s", utc=True)
            table = table.set_index("n")
        return table

    def text(self) -> str:
        rows = [[w.clock(one.at), str(one.n), said.by_text(one), _short(said.entry_text(one), 160)] for one in self]
        more = self.total - len(self)
        return (w.columns(rows) or "Nothing was decided yet.") + (f"\n{more} earlier" if more > 0 else "")

    def html(self) -> str:
        if not self.entries:
            return f"<div>{w.esc(self.text())}</div>"
        return ledger_html(self.entries) + f"<div>{w.quiet_html(f'{len(self)} of {self.total}')}</div>"


def journal_of(client: Client, loop: Loop, last: int | None) -> JournalView:
    n = 0 if last is None else max(0, loop.entries - last)
    found: list[Entry] = []
    while n < loop.entries:
        page = client.journal(loop.id, n).entries
        if not page:
            break
        found += page
        n = page[-1].n
    return JournalView(found, loop.entries)


class QueueView(View, Sequence[LoopEvent]):
    """Events that wait to be decided, first one first."""

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self.current = loop.current
        self.events = sorted(loop.queue, key=lambda e: (e.order, e.at, e.id))

    @overload
    def __getitem__(self, at: int) -> LoopEvent: ...
    @overload
    def __getitem__(self, at: slice) -> list[LoopEvent]: ...
    def __getitem__(self, at: int | slice) -> LoopEvent | list[LoopEvent]:
        return self.events[at]

    def __len__(self) -> int:
        return len(self.events)

    def _rows(self) -> list[list[str]]:
        first = [["now", self.current.id, said.event_text(self.current)]] if self.current is not None else []
        return [*first, *(["", event.id, said.event_text(event)] for event in self.events)]

    def text(self) -> str:
        rows = [[at, _short(id_, 60), _short(text)] for at, id_, text in self._rows()]
        return w.columns(rows) or "Nothing waits to be decided."

    def html(self) -> str:
        rows = [[w.quiet_html(at), w.code_html(id_), w.esc(text)] for at, id_, text in self._rows()]
        return w.table_html(["", "event", "what"], rows) if rows else f"<div>{w.esc(self.text())}</div>"


class DiffView(View):
    """What a merge would change. A person merges, with `ragent wild merge` or in the sidebar."""

    def __init__(self, loop: Loop, diff: str) -> None:
        super().__init__()
        self.loop_id = loop.id
        self.diff = diff

    def text(self) -> str:
        return self.diff or "There is nothing to merge."

    def html(self) -> str:
        style = "margin: 0; font: 12px/1.4 var(--jp-code-font-family, monospace); white-space: pre-wrap"
        how = w.quiet_html("Merge it in the sidebar, or in a terminal: ")
        code = w.code_html(f"ragent wild merge {self.loop_id}")
        return f'<pre style="{style}">{w.esc(self.text())}</pre><div>{how}{code}</div>'
