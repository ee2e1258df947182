/** The lines of the list of runs: filtered, sorted, trials under their sweep. Pure. */
import type { Run, Sweep } from '../wire';
import type { PanelState, Show } from './panel';
import { LIVE } from './project';

export type ListRow =
  /** label: for a trial, what sets it apart from its sisters. */
  | { kind: 'run'; key: string; run: Run; label: string | null }
  | {
      kind: 'sweep';
      key: string;
      sweep: Sweep | null;
      id: string;
      runs: Run[];
      folded: boolean;
    };

const texts = new WeakMap<Run, string>();

function textOf(run: Run): string {
  let text = texts.get(run);
  if (text === undefined) {
    text = [
      run.alias,
      run.name,
      run.id,
      run.command,
      run.status,
      ...run.tags,
      ...Object.entries(run.params).map(([k, v]) => `${k}=${String(v)}`)
    ]
      .join(' ')
      .toLowerCase();
    texts.set(run, text);
  }
  return text;
}

const shows: Record<Show, (run: Run) => boolean> = {
  all: () => true,
  live: run => LIVE.has(run.status),
  waiting: run => run.status === 'ready' || run.status === 'queued',
  finished: run => run.status === 'finished',
  failed: run => run.status === 'failed',
  stopped: run => run.status === 'stopped'
};

const LOSSES = ['val_loss', 'loss', 'train_loss'];

/** The metric a run is judged by: its own choice, else a loss, else its first; null while it has none of them. */
export function judgedBy(run: Run): string | null {
  if (run.primary) {
    return run.primary in run.summary ? run.primary : null;
  }
  const names = Object.keys(run.summary);
  const loss = LOSSES.map(wanted =>
    names.find(name => name.split('/').pop() === wanted)
  ).find(Boolean);
  return loss ?? names[0] ?? null;
}

/** The value a run is judged by: its last while it lives, its best once it has ended. */
export function keyValue(run: Run): number | string | null {
  const name = judgedBy(run);
  if (name === null) {
    return null;
  }
  const summary = run.summary[name];
  if (LIVE.has(run.status)) {
    return summary.last;
  }
  return (run.mode === 'max' ? summary.max : summary.min) ?? summary.last;
}

function byValue(a: Run, b: Run): number {
  const [x, y] = [keyValue(a), keyValue(b)];
  const good = (v: number | string | null) => typeof v === 'number';
  if (!good(x) || !good(y)) {
    return Number(good(y)) - Number(good(x));
  }
  return a.mode === 'max'
    ? (y as number) - (x as number)
    : (x as number) - (y as number);
}

const short = (value: unknown) =>
  typeof value === 'string' ? value : JSON.stringify(value);

/** Of each run, the parameters that are not alike in all of them: "lr 0.1 · seed 3". Its name where nothing differs. */
export function apart(runs: readonly Run[]): (run: Run) => string {
  const seen = new Map<string, Set<string>>();
  for (const run of runs) {
    for (const [name, value] of Object.entries(run.params)) {
      const values = seen.get(name) ?? new Set();
      seen.set(name, values.add(short(value)));
    }
  }
  const names = [...seen].filter(([, values]) => values.size > 1);
  return run =>
    run.alias ||
    names
      .filter(([name]) => name in run.params)
      .map(([name]) => `${name} ${short(run.params[name])}`)
      .join(' · ') ||
    run.name;
}

export type ListWish = Pick<
  PanelState,
  'filter' | 'show' | 'sort' | 'grouped' | 'folded'
>;

export function listRows(
  runs: readonly Run[],
  sweepOf: (id: string) => Sweep | undefined,
  wish: ListWish
): ListRow[] {
  const words = wish.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const kept = runs.filter(
    run =>
      shows[wish.show](run) && words.every(word => textOf(run).includes(word))
  );
  if (wish.sort === 'name') {
    kept.sort((a, b) =>
      (a.alias || a.name).localeCompare(b.alias || b.name, undefined, {
        numeric: true
      })
    );
  } else if (wish.sort === 'metric') {
    kept.sort(byValue);
  } else {
    // What runs now is what one came for, however many were started since.
    kept.sort(
      (a, b) => Number(LIVE.has(b.status)) - Number(LIVE.has(a.status))
    );
  }
  const rows: ListRow[] = [];
  const groups = new Map<string, Run[]>();
  for (const run of kept) {
    const id = wish.grouped ? run.sweep_id : null;
    if (!id) {
      rows.push({ kind: 'run', key: run.id, run, label: null });
      continue;
    }
    const group = groups.get(id);
    if (group) {
      group.push(run);
      continue;
    }
    const first = [run];
    groups.set(id, first);
    rows.push({
      kind: 'sweep',
      key: id,
      id,
      sweep: sweepOf(id) ?? null,
      runs: first,
      folded: wish.folded.includes(id)
    });
  }
  if (!groups.size) {
    return rows;
  }
  return rows.flatMap(row => {
    if (row.kind !== 'sweep' || row.folded) {
      return [row];
    }
    const label = apart(row.runs);
    return [
      row,
      ...row.runs.map<ListRow>(run => ({
        kind: 'run',
        key: run.id,
        run,
        label: label(run)
      }))
    ];
  });
}
