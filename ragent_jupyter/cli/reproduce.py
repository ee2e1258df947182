"""`ragent reproduce REPORT#CLAIM`: runs a report's claim again and shows what it was beside what it is.

Exit code 0: reproduced, to the last bit or within its own noise; 1: not.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ragent_jupyter.domain.wild_report import Pair, Reproduction
from ragent_jupyter.domain.wire_wild import Reproduce
from ragent_jupyter.rules.reproduce import split_ref

from .context import Context
from .output import DONE, FAILED, INTERRUPTED, number, short

if TYPE_CHECKING:
    from ragent_jupyter.client import Client

_LOOK_S = 0.5  # between two looks, however many events come


def reproduce(context: Context) -> int:
    args, out = context.args, context.out
    report, claim = split_ref(args.claim)
    if report and not report.startswith("rep_"):
        report = str(context.workdir / report)
    client = context.client()
    after = client.status().seq
    made: Reproduction = client.post("reports/reproduce", Reproduce(report=report, claim=claim), type=Reproduction)
    out.note(f"{made.id}: {len(made.was)} runs of {made.claim} again; they go on without this terminal.")
    ended = _follow(context, client, made, after)
    if ended is None:
        out.note(f"\n{made.id} goes on. The same command shows it again.")
        return INTERRUPTED
    out.document(ended)
    _show(context, ended)
    return DONE if ended.reproduced else FAILED


def _follow(context: Context, client: Client, made: Reproduction, after: int) -> Reproduction | None:
    """The reproduction once it is over; None if the person pressed Ctrl-C."""
    told = ""
    try:
        looked = 0.0
        if made.done:
            return made
        # A ping comes every 15 s, so what an event does not tell is seen then.
        for event in client.events(after=after, topics=("runs", "sweeps")):
            quiet = event.type != "ping" and not event.type.endswith(("_ended", "_settled"))
            if quiet and time.monotonic() - looked < _LOOK_S:
                continue
            made, looked = client.get(f"reproductions/{made.id}", type=Reproduction), time.monotonic()
            if made.done:
                return made
            if made.text != told:
                told = made.text
                context.out.note(told)
    except KeyboardInterrupt:
        return None
    return made


def _show(context: Context, ended: Reproduction) -> None:
    out = context.out
    seeds = any(pair.seed is not None for pair in ended.pairs)
    head = [*(["seed"] if seeds else []), "side", "run was", "was", "run is", "is", "difference"]
    rows = [[*([_seed(pair)] if seeds else []), *_row(pair)] for pair in ended.pairs]
    first = 3 if seeds else 2
    out.table(head, rows, right=(first, first + 2, first + 3))
    out.say()
    out.say(out.paint(ended.text, "32" if ended.reproduced else "31"))
    for note in ended.notes:
        out.say(f"· {short(note, 300)}")


def _seed(pair: Pair) -> str:
    return "" if pair.seed is None else str(pair.seed)


def _row(pair: Pair) -> list[str]:
    now = pair.status if pair.now is None else number(pair.now)
    if pair.now is None:
        difference = "no value"
    elif pair.now == pair.was:
        difference = "the same"
    else:
        difference = f"{pair.now - pair.was:+.4g}"
    return [pair.side, pair.was_run, number(pair.was), pair.now_run, now or "not started", difference]
