"""Who may start now: slots by GPU and by a parallel limit. Pure; the machine's state is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from ragent_jupyter.domain.run import Run


class Gpu(Struct, frozen=True):
    """foreign: a process that no run of ours owns holds it."""

    index: int
    foreign: bool = False


class Placement(Struct, frozen=True):
    run_id: str
    gpu_ids: list[int]


def gpus_from(listing: Sequence[dict[str, Any]], own_pids: frozenset[int]) -> list[Gpu]:
    """The scheduler's view of a GPU listing (see domain.ports.Gpus). own_pids: processes of our live runs."""
    return [Gpu(int(g["index"]), any(int(p["pid"]) not in own_pids for p in g.get("processes", ()))) for g in listing]


def place(queued: Sequence[Run], live: Sequence[Run], gpus: Sequence[Gpu], parallel: int) -> list[Placement]:
    """Placements for now, in queue order.

    queued: in the order in which they shall start.  live: launching, running, stopping.  parallel: how many runs
    without GPUs may live at once; interactive runs take no slot.
    A run that wants more GPUs than are free waits, and later GPU runs wait behind it (or a wide one would starve);
    runs without GPUs go on past it. One that wants more than there are holds up nobody.
    """
    shared = {i for r in live if r.share_gpu for i in r.gpu_ids}
    taken = {i for r in live if not r.share_gpu for i in r.gpu_ids}
    usable = [g.index for g in gpus if not g.foreign or g.index in shared]
    cpu_live = sum(1 for r in live if not r.gpus and r.kind != "interactive")
    placements: list[Placement] = []
    gpu_blocked = False
    for run in queued:
        if not run.gpus:
            if cpu_live < parallel:
                cpu_live += 1
                placements.append(Placement(run.id, []))
            continue
        if gpu_blocked or run.gpus > len(gpus):
            continue
        free = [i for i in usable if i not in taken and (run.share_gpu or i not in shared)]
        if run.share_gpu:
            # Spread those that share before doubling up.
            load = {i: sum(i in r.gpu_ids for r in live) + sum(i in p.gpu_ids for p in placements) for i in free}
            free.sort(key=lambda i: (load[i], i))
        if len(free) < run.gpus:
            gpu_blocked = True
            continue
        ids = free[: run.gpus]
        (shared if run.share_gpu else taken).update(ids)
        placements.append(Placement(run.id, ids))
    return placements


def waits(queued: Sequence[Run], placed: Sequence[Placement], gpus: Sequence[Gpu]) -> dict[str, str]:
    """What queued runs wait for after `place`, where that is more than their turn: one sentence for a run's row.

    Only the first that there is no room for has one, and each that this machine could never start.
    """
    found: dict[str, str] = {}
    started = {placement.run_id for placement in placed}
    first = True
    for run in queued:
        if not run.gpus or run.id in started:
            continue
        if run.gpus > len(gpus):
            found[run.id] = f"Wants {gpus_in_words(run.gpus)}; this machine has {len(gpus) or 'none'}."
        elif first:
            foreign = sum(g.foreign for g in gpus)
            note = f" ({foreign} held by other programs)" if foreign else ""
            found[run.id] = f"Waits for {run.gpus} of {gpus_in_words(len(gpus))}{note}."
            first = False
    return found


def gpus_in_words(count: int) -> str:
    return "1 GPU" if count == 1 else f"{count} GPUs"
