"""Steps on a list of cells (nbformat's dicts): all or none, or cell by cell; what undoes them. No I/O."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotFound, RagentError, WrongMoment
from ragent_jupyter.domain.notebooks import CellChange, CellStep

MAX_SOURCE = 1_000_000  # characters of one cell
MAX_STEPS = 200
_SHOWN = 4_000  # characters of the current source that a refusal tells

Cell = dict[str, Any]


def source_of(cell: Cell) -> str:
    source = cell.get("source", "")
    return "".join(source) if isinstance(source, list) else str(source)


def content_ids(cells: Sequence[Cell]) -> list[str]:
    """Ids of cells; those of files older than format 4.5, which have none, are made of the content.

    >>> content_ids([{"source": "a"}, {"source": "a"}, {"id": "k", "source": "b"}])
    ['x86f7e437', 'x86f7e437-2', 'k']
    """
    seen: dict[str, int] = {}
    ids: list[str] = []
    for cell in cells:
        if cell.get("id"):
            ids.append(str(cell["id"]))
            continue
        made = "x" + hashlib.sha1(source_of(cell).encode("utf-8", "surrogatepass")).hexdigest()[:8]
        seen[made] = seen.get(made, 0) + 1
        ids.append(made if seen[made] == 1 else f"{made}-{seen[made]}")
    return ids


def apply_steps(
    cells: Sequence[Cell], steps: Sequence[CellStep], *, new_id: Callable[[], str], strict: bool = True
) -> tuple[list[Cell], list[CellChange], list[str]]:
    """(cells afterwards, what changed, ids left alone). Edited code cells lose their outputs; the given list stays.

    strict: raise NotFound, WrongMoment or BadInput where a step does not fit, and change nothing; else such a step is
    left out and its cell named.
    """
    if len(steps) > MAX_STEPS:
        raise BadInput(f"{len(steps)} edits in one call.", f"Send at most {MAX_STEPS}.")
    after = [copy.deepcopy(cell) for cell in cells]
    ids = content_ids(after)
    changes: list[CellChange] = []
    left: list[str] = []
    for step in steps:
        try:
            change = _apply(after, ids, step, new_id)
        except RagentError:
            if strict:
                raise
            left.append(step.id)
        else:
            if change is not None:
                changes.append(change)
    # Where ids are made of content, a change's id is the one that its cell has now.
    now = content_ids(after)
    renamed = dict(zip(ids, now, strict=True))
    return after, [_renamed(c, renamed) for c in merge([], changes)], left


def _renamed(change: CellChange, now: dict[str, str]) -> CellChange:
    from msgspec.structs import replace

    place = [now.get(one, one) for one in change.place]
    return replace(change, id=now.get(change.id, change.id), place=place)


def _apply(cells: list[Cell], ids: list[str], step: CellStep, new_id: Callable[[], str]) -> CellChange | None:
    if len(step.source) > MAX_SOURCE:
        raise BadInput(f"A cell of {len(step.source)} characters.", f"A cell may have {MAX_SOURCE}.")
    if step.action == "insert":
        return _insert(cells, ids, step, new_id)
    if step.id not in ids:
        raise NotFound(f"There is no cell {step.id!r} here.", f"The cells are: {', '.join(ids[:100]) or 'none'}.")
    at = ids.index(step.id)
    before = cells[at]
    source = source_of(before)
    if step.expect is not None and source != step.expect:
        raise changed_meanwhile(step.id, source)
    place = ids[:at][::-1]
    kind = before.get("cell_type", "raw")
    if step.action == "delete":
        del cells[at], ids[at]
        return CellChange(id=step.id, action="deleted", kind=kind, before=before, place=place)
    if source == step.source:
        return None
    edited = {**copy.deepcopy(before), "source": step.source}
    if kind == "code":
        edited |= {"outputs": [], "execution_count": None}
        if step.cell is not None:  # put back as it was, outputs too
            edited |= {"outputs": step.cell.get("outputs", []), "execution_count": step.cell.get("execution_count")}
    cells[at] = edited
    return CellChange(id=step.id, action="edited", kind=kind, before=before, after=step.source, place=place)


def _insert(cells: list[Cell], ids: list[str], step: CellStep, new_id: Callable[[], str]) -> CellChange:
    if step.cell is not None:
        made = copy.deepcopy(step.cell)
        if step.id in ids:
            raise CannotBeDone(f"The cell {step.id!r} is there already.")
        at = next((ids.index(one) + 1 for one in step.place if one in ids), 0)
        own = step.id
    else:
        if step.id and step.id not in ids:
            raise NotFound(
                f"There is no cell {step.id!r} to insert before.",
                f'Give "" for the end, or one of: {", ".join(ids[:100]) or "none"}.',
            )
        at = ids.index(step.id) if step.id else len(cells)
        own = new_id()
        made = {"cell_type": step.kind, "id": own, "metadata": {}, "source": step.source}
        if step.kind == "code":
            made |= {"outputs": [], "execution_count": None}
    place = ids[:at][::-1]
    cells.insert(at, made)
    ids.insert(at, own)
    kind = made.get("cell_type", "raw")
    return CellChange(id=own, action="inserted", kind=kind, after=source_of(made), place=place)


def changed_meanwhile(cell_id: str, source: str) -> WrongMoment:
    shown = source if len(source) <= _SHOWN else source[:_SHOWN] + f"\n[… {len(source) - _SHOWN} more characters]"
    return WrongMoment(
        f"The cell {cell_id!r} is not what it was; nothing was changed.",
        f"Make the edit for what it holds now:\n{shown}",
    )


def merge(kept: Sequence[CellChange], new: Sequence[CellChange]) -> list[CellChange]:
    """Changes of one turn, cell by cell: what a cell was before the first of them, and what the last one left.

    Where a person changed a cell in between, it is their version that an undo goes back to.
    """
    from msgspec.structs import replace

    found = {change.id: change for change in kept}
    for change in new:
        old = found.pop(change.id, None)
        # Ids made of content change with it: the cell's earlier change stands under what it was called then.
        if old is None and change.before is not None and not change.before.get("id"):
            source = source_of(change.before)
            old = next((c for c in found.values() if c.after == source and c.kind == change.kind), None)
            if old is not None:
                del found[old.id]
                now = {old.id: change.id}
                found = {k: replace(c, place=[now.get(one, one) for one in c.place]) for k, c in found.items()}
        if old is not None and old.accepted:
            old = None  # a person agreed to that one: an undo goes no further back
        if old is None or change.before is None or source_of(change.before) != (old.after or ""):
            if old is not None and old.action == "deleted" and change.action == "inserted":
                # The cell that was taken away is back: nothing is left of it but a change of its source, if any.
                if old.before is not None and source_of(old.before) == change.after:
                    continue
                change = replace(change, action="edited", before=old.before, place=old.place)
            found[change.id] = change
        elif old.action == "inserted":
            if change.action != "deleted":
                found[change.id] = replace(change, action="inserted", before=None, place=old.place)
        elif old.before is not None and change.after == source_of(old.before):
            continue  # back to what it was
        else:
            found[change.id] = replace(change, before=old.before, place=old.place)
    return list(found.values())


def undo_steps(changes: Sequence[CellChange]) -> list[CellStep]:
    """What takes changes back, last one first; each step expects what the agent left."""
    steps = []
    for change in reversed(changes):
        match change.action:
            case "inserted":
                steps.append(CellStep(action="delete", id=change.id, expect=change.after))
            case "edited":
                assert change.before is not None
                steps.append(
                    CellStep(
                        action="edit",
                        id=change.id,
                        source=source_of(change.before),
                        expect=change.after,
                        cell=change.before,
                    )
                )
            case "deleted":
                steps.append(
                    CellStep(action="insert", id=change.id, cell=change.before, place=change.place, kind=change.kind)
                )
    return steps


def already_undone(cells: Sequence[Cell], change: CellChange) -> bool:
    """Whether nothing of a change is left to take back."""
    now = dict(zip(content_ids(cells), cells, strict=True))
    cell = now.get(change.id)
    if change.action == "inserted":
        return cell is None
    if change.before is None:
        return True
    return cell is not None and source_of(cell) == source_of(change.before)
