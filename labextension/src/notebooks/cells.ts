/** Steps on a notebook's shared model: planned whole, then done in one transaction, or not at all. */
import type { CellJson, SharedCell, SharedNotebook } from './lab';
import { kindOf } from './outputs';
import { Refusal, type CellChange, type CellStep } from './protocol';

/** A cell that was taken away is told with its outputs up to this size; it comes back without larger ones. */
const MAX_KEPT = 2_000_000;
const MAX_SHOWN = 4000;

interface Slot {
  id: string;
  type: string;
  source: string;
  /** The cell in the model; for one that this call adds, what is going to be added. */
  cell: SharedCell | CellJson;
}

type Move =
  | { do: 'insert'; at: number; cell: CellJson }
  | { do: 'delete'; at: number }
  // By the cell, not its index: inside of a transaction the model still counts cells as they were before.
  | { do: 'write'; cell: SharedCell; source: string };

export interface Applied {
  changes: CellChange[];
  left: string[];
}

/**
 * Applies steps in order. strict: a step that does not fit refuses them all; else it is left out and its cell named.
 * The caller sees one change of the model, undone by one Ctrl+Z where Lab undoes over all cells.
 */
export function applySteps(
  model: SharedNotebook,
  steps: readonly CellStep[],
  strict: boolean,
  newId: () => string
): Applied {
  const slots: Slot[] = model.cells.map(cell => ({
    id: cell.getId(),
    type: cell.cell_type,
    source: cell.getSource(),
    cell
  }));
  const moves: Move[] = [];
  const changes: CellChange[] = [];
  const left: string[] = [];
  for (const step of steps) {
    try {
      const change = plan(slots, moves, step, newId);
      if (change) {
        changes.push(change);
      }
    } catch (error) {
      if (strict || !(error instanceof Refusal)) {
        throw error;
      }
      left.push(step.id ?? '');
    }
  }
  if (moves.length) {
    model.transact(() => moves.forEach(move => make(model, move)));
  }
  return { changes, left };
}

function plan(
  slots: Slot[],
  moves: Move[],
  step: CellStep,
  newId: () => string
): CellChange | null {
  const ids = slots.map(slot => slot.id);
  const above = (at: number) => ids.slice(0, at).reverse();
  const source = step.source ?? '';
  if (step.action === 'insert') {
    return planInsert(slots, moves, step, ids, newId);
  }
  const at = ids.indexOf(step.id ?? '');
  if (at < 0) {
    throw new Refusal(
      'not_found',
      `There is no cell '${step.id}' here.`,
      `The cells are: ${ids.slice(0, 100).join(', ') || 'none'}.`
    );
  }
  const slot = slots[at];
  const place = above(at);
  const kind = kindOf(slot.type);
  if (typeof step.expect === 'string' && step.expect !== slot.source) {
    const shown = slot.source.slice(0, MAX_SHOWN);
    throw new Refusal(
      'wrong_moment',
      `The cell '${slot.id}' is not what it was; nothing was changed.`,
      `Make the edit for what it holds now:\n${shown}`
    );
  }
  if (step.action === 'delete') {
    slots.splice(at, 1);
    moves.push({ do: 'delete', at });
    return { id: slot.id, action: 'deleted', kind, before: kept(slot), place };
  }
  if (slot.source === source) {
    return null;
  }
  // An edit leaves outputs where they are, as typing does: they are a person's until the cell runs again.
  const before = { ...kept(slot), outputs: undefined };
  if (isShared(slot.cell)) {
    moves.push({ do: 'write', cell: slot.cell, source });
  } else {
    slot.cell.source = source;
  }
  slots[at] = { ...slot, source };
  return { id: slot.id, action: 'edited', kind, before, after: source, place };
}

function planInsert(
  slots: Slot[],
  moves: Move[],
  step: CellStep,
  ids: string[],
  newId: () => string
): CellChange {
  let at: number;
  let cell: CellJson;
  if (step.cell) {
    if (ids.includes(step.id ?? '')) {
      throw new Refusal(
        'cannot_be_done',
        `The cell '${step.id}' is there already.`
      );
    }
    const near = (step.place ?? []).find(id => ids.includes(id));
    at = near === undefined ? 0 : ids.indexOf(near) + 1;
    cell = { ...step.cell, id: step.id };
  } else {
    at = step.id ? ids.indexOf(step.id) : ids.length;
    if (at < 0) {
      throw new Refusal(
        'not_found',
        `There is no cell '${step.id}' to insert before.`,
        `Give "" for the end, or one of: ${ids.slice(0, 100).join(', ') || 'none'}.`
      );
    }
    const type = step.kind ?? 'code';
    cell = {
      cell_type: type,
      id: newId(),
      metadata: {},
      source: step.source ?? ''
    };
    if (type === 'code') {
      cell = { ...cell, outputs: [], execution_count: null };
    }
  }
  const source = Array.isArray(cell.source)
    ? cell.source.join('')
    : cell.source;
  const id = cell.id ?? '';
  slots.splice(at, 0, { id, type: cell.cell_type, source, cell });
  moves.push({ do: 'insert', at, cell });
  return {
    id,
    action: 'inserted',
    kind: kindOf(cell.cell_type),
    after: source,
    place: ids.slice(0, at).reverse()
  };
}

const isShared = (cell: SharedCell | CellJson): cell is SharedCell =>
  typeof (cell as SharedCell).updateSource === 'function';

function kept(slot: Slot): CellJson {
  const { cell, source } = slot;
  const now = isShared(cell) ? (cell.toJSON() as CellJson) : cell;
  const json = { ...now, source };
  return json.outputs && JSON.stringify(json.outputs).length > MAX_KEPT
    ? { ...json, outputs: [], execution_count: null }
    : json;
}

function make(model: SharedNotebook, move: Move): void {
  switch (move.do) {
    case 'insert':
      model.insertCell(move.at, move.cell);
      break;
    case 'delete':
      model.deleteCell(move.at);
      break;
    case 'write': {
      // Only what differs is replaced: a caret elsewhere in the cell stays where it was.
      const { cell, source } = move;
      const [start, end, value] = difference(cell.getSource(), source);
      cell.updateSource(start, end, value);
    }
  }
}

/** [start, end, value]: replacing start..end of `before` by value gives `after`. */
export function difference(
  before: string,
  after: string
): [number, number, string] {
  const most = Math.min(before.length, after.length);
  let head = 0;
  while (head < most && before[head] === after[head]) {
    head += 1;
  }
  let tail = 0;
  while (
    tail < most - head &&
    before[before.length - 1 - tail] === after[after.length - 1 - tail]
  ) {
    tail += 1;
  }
  return [head, before.length - tail, after.slice(head, after.length - tail)];
}
