/** What a wild loop is, whole, and how its events change what is known of it. Pure. */
import {
  BASELINE_DEFAULTS,
  CANDIDATE_DEFAULTS,
  ENTRY_DEFAULTS,
  ESTIMATE_DEFAULTS,
  FLAG_DEFAULTS,
  KNOB_DEFAULTS,
  LIMITS_DEFAULTS,
  LOOPEVENT_DEFAULTS,
  LOOPTASK_DEFAULTS,
  LOOP_DEFAULTS,
  QUESTION_DEFAULTS,
  SCRIPT_DEFAULTS,
  SEEN_DEFAULTS,
  SETUP_DEFAULTS,
  SPENT_DEFAULTS,
  VERDICT_DEFAULTS,
  type Entry,
  type Knob,
  type Limits,
  type Loop,
  type LoopEvent,
  type LoopReply,
  type Question,
  type Run,
  type Setup,
  type SetupReply,
  type Spent,
  type Sweep,
  type Verdict
} from '../wire';

// --- whole: absent means default, at every depth --------------------------------------------------------------
const fill = <T>(defaults: Partial<T>, raw: Partial<T>): T =>
  ({ ...defaults, ...raw }) as T;
const maybe = <T>(defaults: Partial<T>, raw: T | null | undefined): T | null =>
  raw ? fill(defaults, raw) : null;

export const wholeEvent = (raw: Partial<LoopEvent>): LoopEvent =>
  fill(LOOPEVENT_DEFAULTS, raw);
export const wholeQuestion = (raw: Partial<Question>): Question =>
  fill(QUESTION_DEFAULTS, raw);
export const wholeLimits = (raw: Partial<Limits>): Limits =>
  fill(LIMITS_DEFAULTS, raw);

export function wholeSetup(raw: Partial<Setup>): Setup {
  const setup = fill(SETUP_DEFAULTS, raw);
  const space = Object.fromEntries(
    Object.entries(setup.space).map(([name, knob]) => [
      name,
      fill<Knob>(KNOB_DEFAULTS, knob)
    ])
  );
  return { ...setup, space };
}

export function wholeLoop(raw: Partial<Loop>): Loop {
  const loop = fill(LOOP_DEFAULTS, raw);
  return {
    ...loop,
    setup: wholeSetup(loop.setup),
    limits: wholeLimits(loop.limits),
    spent: fill<Spent>(SPENT_DEFAULTS, loop.spent),
    queue: loop.queue.map(wholeEvent),
    current: maybe(LOOPEVENT_DEFAULTS, loop.current),
    question: maybe(QUESTION_DEFAULTS, loop.question),
    baseline: maybe(BASELINE_DEFAULTS, loop.baseline),
    best: maybe(CANDIDATE_DEFAULTS, loop.best),
    estimate: maybe(ESTIMATE_DEFAULTS, loop.estimate),
    plan: loop.plan.map(task => fill(LOOPTASK_DEFAULTS, task)),
    verdicts: loop.verdicts.map(one => fill(VERDICT_DEFAULTS, one))
  };
}

export function wholeEntry(raw: Partial<Entry>): Entry {
  const entry = fill(ENTRY_DEFAULTS, raw);
  return {
    ...entry,
    event: maybe(LOOPEVENT_DEFAULTS, entry.event),
    evidence: entry.evidence.map(seen => fill(SEEN_DEFAULTS, seen))
  };
}

export const wholeReply = (raw: LoopReply): LoopReply => ({
  ...raw,
  loop: wholeLoop(raw.loop)
});

export function wholeSetupReply(raw: SetupReply): SetupReply {
  const script = fill(SCRIPT_DEFAULTS, raw.script);
  return {
    ...raw,
    setup: wholeSetup(raw.setup),
    script: {
      ...script,
      flags: script.flags.map(flag => fill(FLAG_DEFAULTS, flag))
    },
    asks: raw.asks.map(wholeQuestion),
    limits: wholeLimits(raw.limits),
    estimate: maybe(ESTIMATE_DEFAULTS, raw.estimate)
  };
}

// --- what it does now ---------------------------------------------------------------------------------------
export type LoopState =
  | 'exploring'
  | 'running'
  | 'analyzing'
  | 'confirming'
  | 'paused'
  | 'asking'
  | 'waiting'
  | 'complete'
  | 'budget'
  | 'stopped'
  | 'failed';

export const isOver = (loop: Loop): boolean => loop.stage === 'ended';

/** One word for a loop: that it waits for a person comes before its stage, that it is over before all. */
export function stateOf(loop: Loop): LoopState {
  if (loop.stage === 'ended') {
    return loop.end ?? 'stopped';
  }
  return loop.question
    ? 'asking'
    : loop.paused
      ? 'paused'
      : loop.waiting
        ? 'waiting'
        : loop.stage;
}

/** Seconds that count against the limit of time: pauses excluded, what has passed since the last look included. */
export function activeSeconds(loop: Loop, now: number): number {
  const { seconds, since } = loop.spent;
  return seconds + (since === null ? 0 : Math.max(0, now - since));
}

/** Since its start, pauses included; what it was in the end once it is over. */
export function elapsedSeconds(loop: Loop, now: number): number {
  return Math.max(0, (loop.ended_at ?? now) - loop.created_at);
}

// --- limits -------------------------------------------------------------------------------------------------
export type MeterName = Exclude<keyof Limits, 'until'>;
export const METERS: readonly MeterName[] = [
  'hours',
  'runs',
  'iterations',
  'cost_usd',
  'tokens',
  'gpu_hours',
  'cpu_hours',
  'disk_gb'
];

export interface Meter {
  name: MeterName;
  /** In the limit's own unit; null: not known (no call had a price). */
  used: number | null;
  limit: number | null;
  /** 0..1; null where there is no limit. */
  fraction: number | null;
  /** 90 % of it is gone. */
  near: boolean;
}

export const NEAR = 0.9;

export function usedOf(
  name: MeterName,
  loop: Loop,
  now: number
): number | null {
  const { spent } = loop;
  switch (name) {
    case 'hours':
      return activeSeconds(loop, now) / 3600;
    case 'runs':
      return spent.runs;
    case 'iterations':
      return spent.iterations;
    case 'cost_usd':
      // Where no model was asked, nothing was paid.
      return spent.cost_usd ?? (spent.model_calls ? null : 0);
    case 'tokens':
      return spent.tokens;
    case 'gpu_hours':
      return spent.gpu_seconds / 3600;
    case 'cpu_hours':
      return spent.cpu_seconds / 3600;
    case 'disk_gb':
      return spent.disk_bytes / 1e9;
  }
}

/** What is limited, and what was spent of what is not. Time and runs always; the rest where there is something to say. */
export function metersOf(loop: Loop, now: number): Meter[] {
  return METERS.flatMap(name => {
    const used = usedOf(name, loop, now);
    const limit = loop.limits[name];
    const always = name === 'hours' || name === 'runs';
    if (limit === null && !always && !used) {
      return [];
    }
    const fraction =
      limit === null ? null : limit > 0 ? Math.min(1, (used ?? 0) / limit) : 1;
    return [
      {
        name,
        used,
        limit,
        fraction,
        near:
          fraction !== null &&
          fraction >= NEAR &&
          // Once it is over, only the limit that ended it is worth a look.
          (!isOver(loop) || loop.budget === name)
      }
    ];
  });
}

// --- the ledger ---------------------------------------------------------------------------------------------
/** Entries that are known, by n without a hole, oldest first; `total` is how many there are. */
export interface Journal {
  entries: readonly Entry[];
  total: number;
}

export const NO_JOURNAL: Journal = { entries: [], total: 0 };

/**
 * A page or a told entry joined to what is known. One that is known already is replaced: a call in flight at a kill is
 * found out later. What would leave a hole is not taken; `total` then says that something is missing.
 */
export function joined(
  journal: Journal,
  more: readonly Entry[],
  total = 0
): Journal {
  const sorted = [...more].sort((a, b) => a.n - b.n);
  let entries = journal.entries;
  const before: Entry[] = [];
  const after: Entry[] = [];
  const changed = new Map<number, Entry>();
  const first = entries[0]?.n;
  let last = entries.length ? entries[entries.length - 1].n : undefined;
  for (const entry of sorted) {
    if (first !== undefined && entry.n < first) {
      before.push(entry);
    } else if (last === undefined || entry.n === last + 1) {
      after.push(entry);
      last = entry.n;
    } else if (entry.n <= last) {
      changed.set(entry.n, entry);
    }
  }
  if (changed.size) {
    entries = entries.map(entry => changed.get(entry.n) ?? entry);
  }
  // An older page counts as far as it joins.
  let from = before.length;
  for (let n = first ?? 0; from > 0 && before[from - 1].n === n - 1; n--) {
    from--;
  }
  const newest = sorted.length ? sorted[sorted.length - 1].n : 0;
  return {
    entries: [...before.slice(from), ...entries, ...after],
    total: Math.max(journal.total, total, newest)
  };
}

/** Whether newer entries are missing, as they are after a gap in what was told. */
export const isBehind = ({ entries, total }: Journal): boolean =>
  entries.length > 0 ? entries[entries.length - 1].n < total : total > 0;

export interface EntryFilter {
  by: '' | Entry['by'];
  words: string;
  /** Only what did not go as it was decided: refused, asked, unknown. */
  odd: boolean;
}

export const ALL_ENTRIES: EntryFilter = { by: '', words: '', odd: false };

const texts = new WeakMap<Entry, string>();

function textOf(entry: Entry): string {
  let text = texts.get(entry);
  if (text === undefined) {
    text = JSON.stringify([
      entry.who,
      entry.event,
      entry.evidence,
      entry.reasoning,
      entry.action,
      entry.result
    ]).toLowerCase();
    texts.set(entry, text);
  }
  return text;
}

export function filtered(
  entries: readonly Entry[],
  { by, words, odd }: EntryFilter
): readonly Entry[] {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  if (!by && !wanted.length && !odd) {
    return entries;
  }
  return entries.filter(
    entry =>
      (!by || entry.by === by) &&
      (!odd || (entry.outcome !== 'done' && entry.outcome !== 'noted')) &&
      wanted.every(word => textOf(entry).includes(word))
  );
}

// --- results ------------------------------------------------------------------------------------------------
export interface TrialPoint {
  run: Run;
  value: number;
  best: number;
}

const SEARCHED = new Set(['baseline', 'search', '']);

/** The value of a run that decides, as the loop reads it; null where there is none. */
export function valueOf(run: Run, setup: Setup): number | null {
  const summary = run.summary[setup.metric];
  if (!summary) {
    return null;
  }
  const value =
    setup.score === 'best'
      ? setup.mode === 'max'
        ? summary.max
        : summary.min
      : summary.last;
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

/**
 * The search as it went: finished runs of the baseline and of searches in the order of their end, each with the best
 * so far. Screening runs train shorter and confirming ones use other seeds: they would not be comparable.
 */
export function searchHistory(
  loop: Loop,
  sweeps: readonly Sweep[],
  runs: readonly Run[]
): TrialPoint[] {
  const mine = new Set(
    sweeps
      .filter(sweep => sweep.loop_id === loop.id && SEARCHED.has(sweep.purpose))
      .map(sweep => sweep.id)
  );
  const { mode } = loop.setup;
  let best: number | null = null;
  return runs
    .filter(
      run =>
        run.sweep_id !== null &&
        mine.has(run.sweep_id) &&
        run.status === 'finished'
    )
    .sort(
      (a, b) => (a.ended_at ?? 0) - (b.ended_at ?? 0) || (a.id < b.id ? -1 : 1)
    )
    .flatMap(run => {
      const value = valueOf(run, loop.setup);
      if (value === null) {
        return [];
      }
      best =
        best === null
          ? value
          : mode === 'max'
            ? Math.max(best, value)
            : Math.min(best, value);
      return [{ run, value, best }];
    });
}

export const sameParams = (
  a: Record<string, unknown>,
  b: Record<string, unknown>
): boolean => {
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every(name => JSON.stringify(a[name]) === JSON.stringify(b[name]))
  );
};

/** The verdict on the best so far; null while it has none: then it is unconfirmed. */
export function verdictOfBest(loop: Loop): Verdict | null {
  const { best } = loop;
  if (!best) {
    return null;
  }
  for (let i = loop.verdicts.length - 1; i >= 0; i--) {
    const verdict = loop.verdicts[i];
    if (
      verdict.commit === best.commit &&
      sameParams(verdict.params, best.params)
    ) {
      return verdict;
    }
  }
  return null;
}

const RANKS: Record<Verdict['verdict'], number> = {
  confirmed: 0,
  unconfirmed: 1,
  'not distinguishable': 2,
  worse: 3,
  void: 4
};

/** What is real first; within a kind the newest first. */
export const ranked = (verdicts: readonly Verdict[]): Verdict[] =>
  [...verdicts]
    .reverse()
    .sort((a, b) => (RANKS[a.verdict] ?? 5) - (RANKS[b.verdict] ?? 5));

/** The span that all effects fit in, zero included; null where no verdict has one. */
export function effectSpan(
  verdicts: readonly Verdict[]
): [number, number] | null {
  const ends = verdicts
    .flatMap(verdict => [verdict.effect, ...(verdict.ci ?? [])])
    .filter(
      (end): end is number => typeof end === 'number' && Number.isFinite(end)
    );
  if (!ends.length) {
    return null;
  }
  const low = Math.min(0, ...ends);
  const high = Math.max(0, ...ends);
  const room = (high - low || 1) * 0.06;
  return [low - room, high + room];
}

/** Events in the order in which they will be decided. */
export const queueOf = (loop: Loop): LoopEvent[] =>
  [...loop.queue].sort((a, b) => a.order - b.order || a.at - b.at);

/** What a person has said and nobody has decided about yet. */
export const saidAndWaiting = (loop: Loop): LoopEvent[] =>
  queueOf(loop).filter(event => event.kind === 'human');
