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
    runs without GPUs go on past it.
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
        if gpu_blocked:
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


def why_waiting(run: Run, live: Sequence[Run], gpus: Sequence[Gpu], parallel: int) -> str:
    """One sentence for a queued run's row."""
    if not run.gpus:
        return f"Waits for one of {parallel} slots."
    if run.gpus > len(gpus):
        return f"Wants {run.gpus} GPUs; this machine has {len(gpus)}."
    foreign = sum(g.foreign for g in gpus)
    note = f" ({foreign} held by other programs)" if foreign else ""
    return f"Waits for {run.gpus} of {len(gpus)} GPUs{note}."
