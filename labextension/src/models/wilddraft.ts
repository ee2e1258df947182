/** The form that starts a loop, as typed, and what becomes of it. Pure. */
import type {
  CreateLoop,
  Flag,
  Knob,
  Limits,
  Question,
  Range,
  SetupReply,
  Values
} from '../wire';
import { wholeLimits, type MeterName } from './wild';

export interface WildDraft {
  goal: string;
  command: string;
  policy: 'builtin' | 'llm' | 'hybrid' | '';
  autonomy: 'cautious' | 'balanced' | 'full';
  /** As typed; "" is no limit. */
  limits: Partial<Record<MeterName, string>>;
  until: string;
  /** Globs of files that a model may change, with commas between them; "" none. */
  mayEdit: string;
}

export const BLANK_LOOP: WildDraft = {
  goal: '',
  command: '',
  policy: '',
  autonomy: 'balanced',
  limits: { hours: '8', runs: '100' },
  until: '',
  mayEdit: ''
};

export const WHOLE_NUMBERS: ReadonlySet<MeterName> = new Set([
  'runs',
  'iterations',
  'tokens'
]);

/** What is typed for a limit: null for none, NaN for what is no limit. */
export function limitOf(name: MeterName, typed: string): number | null {
  const text = typed.trim().replace(/^\$/, '').replace(/[\s_]/g, '');
  if (!text) {
    return null;
  }
  const value = Number(text);
  const good =
    Number.isFinite(value) &&
    value > 0 &&
    (!WHOLE_NUMBERS.has(name) || Number.isInteger(value));
  return good ? value : NaN;
}

export type Made<T> = { body: T } | { field: string; line: string };

export function asLimits(
  typed: Partial<Record<MeterName, string>>,
  until: string
): Made<Limits> {
  const limits = wholeLimits({ until: until.trim() });
  for (const [name, text] of Object.entries(typed)) {
    const value = limitOf(name as MeterName, text);
    if (Number.isNaN(value)) {
      return { field: name, line: text };
    }
    limits[name as MeterName] = value;
  }
  return { body: limits };
}

export function asLoop(draft: WildDraft): Made<CreateLoop> {
  const goal = draft.goal.trim();
  if (!goal) {
    return { field: 'goal', line: '' };
  }
  const limits = asLimits(draft.limits, draft.until);
  if ('field' in limits) {
    return limits;
  }
  const body: CreateLoop = {
    goal,
    command: draft.command.trim(),
    autonomy: draft.autonomy,
    limits: limits.body
  };
  if (draft.policy) {
    body.policy = draft.policy;
  }
  const globs = splitValues(draft.mayEdit.replace(/\n/g, ','));
  if (globs.length && draft.policy !== 'builtin') {
    body.may_edit = globs;
  }
  return { body };
}

// --- what may be searched, as a table to edit -------------------------------------------------------------------
export interface KnobEdit {
  on: boolean;
  kind: 'range' | 'values';
  low: string;
  high: string;
  log: boolean;
  integer: boolean;
  /** One after the other, as JSON or as plain words. */
  values: string;
  start: unknown;
  why: string;
}

export const plain = (value: unknown): string =>
  typeof value === 'string' ? value : JSON.stringify(value);

/** As a person would type it: words as they are, all else as JSON. */
export function readValue(typed: string): unknown {
  const text = typed.trim();
  try {
    return JSON.parse(text);
  } catch {
    return text === 'True' ? true : text === 'False' ? false : text;
  }
}

/** Commas part values, but not those within brackets or quotes. */
export function splitValues(typed: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let quote = '';
  let part = '';
  for (const c of typed) {
    if (quote) {
      quote = c === quote ? '' : quote;
    } else if (c === '"' || c === "'") {
      quote = c;
    } else if ('[{('.includes(c)) {
      depth += 1;
    } else if (']})'.includes(c)) {
      depth -= 1;
    }
    if (c === ',' && depth <= 0 && !quote) {
      parts.push(part);
      part = '';
    } else {
      part += c;
    }
  }
  return [...parts, part].map(one => one.trim()).filter(Boolean);
}

export function editOf(
  dim: Values | Range | null,
  start: unknown,
  on: boolean,
  why = ''
): KnobEdit {
  return {
    on,
    kind: dim?.kind ?? 'values',
    low: dim?.kind === 'range' ? String(dim.low) : '',
    high: dim?.kind === 'range' ? String(dim.high) : '',
    log: dim?.kind === 'range' && dim.log,
    integer: dim?.kind === 'range' && dim.integer,
    values: dim?.kind === 'values' ? dim.values.map(plain).join(', ') : '',
    start,
    why
  };
}

const valueOfFlag = (flag: Flag): unknown => flag.current ?? flag.default;

/** What would be tried where the script's reader proposes nothing: a person wants this flag searched all the same. */
export function guess(flag: Flag): Values | Range {
  const value = valueOfFlag(flag);
  if (flag.choices.length) {
    return { kind: 'values', values: flag.choices };
  }
  if (flag.kind === 'bool') {
    return { kind: 'values', values: [false, true] };
  }
  if (
    (flag.kind === 'int' || flag.kind === 'float') &&
    typeof value === 'number' &&
    value > 0
  ) {
    const integer = flag.kind === 'int';
    const low = integer ? Math.max(1, Math.floor(value / 2)) : value / 10;
    const high = integer ? Math.max(low + 1, value * 2) : value * 10;
    return {
      kind: 'range',
      low,
      high,
      step: null,
      num: null,
      log: !integer,
      integer
    };
  }
  return { kind: 'values', values: value === null ? [] : [value] };
}

/** Of each flag that is, or could be, searched. The engine's proposal is on, all else off. */
export function editsOf(reply: SetupReply): Record<string, KnobEdit> {
  const { space } = reply.setup;
  const edits: Record<string, KnobEdit> = {};
  for (const flag of reply.script.flags) {
    const knob = space[flag.name];
    edits[flag.name] = editOf(
      knob?.dim ?? flag.dim ?? guess(flag),
      knob?.default ?? valueOfFlag(flag),
      Boolean(knob),
      knob?.why || flag.why
    );
  }
  for (const [name, knob] of Object.entries(space)) {
    edits[name] ??= editOf(knob.dim, knob.default, true, knob.why);
  }
  return edits;
}

/** The table as a space; the first line that cannot be one is named. */
export function spaceOf(
  edits: Record<string, KnobEdit>
): Made<Record<string, Knob>> {
  const space: Record<string, Knob> = {};
  for (const [name, edit] of Object.entries(edits)) {
    if (!edit.on) {
      continue;
    }
    let dim: Values | Range;
    if (edit.kind === 'values') {
      const values = splitValues(edit.values).map(readValue);
      if (!values.length) {
        return { field: name, line: edit.values };
      }
      dim = { kind: 'values', values };
    } else {
      const low = Number(edit.low.trim() || NaN);
      const high = Number(edit.high.trim() || NaN);
      const whole = Number.isInteger(low) && Number.isInteger(high);
      if (
        !Number.isFinite(low) ||
        !Number.isFinite(high) ||
        low >= high ||
        (edit.log && low <= 0) ||
        (edit.integer && !whole)
      ) {
        return { field: name, line: `${edit.low} … ${edit.high}` };
      }
      dim = {
        kind: 'range',
        low,
        high,
        step: null,
        num: null,
        log: edit.log,
        integer: edit.integer
      };
    }
    space[name] = { dim, default: edit.start ?? null, why: edit.why };
  }
  return { body: space };
}

// --- what was asked -----------------------------------------------------------------------------------------------
export interface Answer {
  choice: string;
  text: string;
}

/** What is taken when nobody says anything: the default that the question brings. */
export const answerTo = (
  question: Question,
  answers: Record<string, Answer>
): string => {
  const given = answers[question.id];
  return given?.text.trim() || (given?.choice ?? question.default);
};

const LISTS = new Set(['inputs', 'eval_files', 'may_edit']);
const FIELDS = new Set([
  'command',
  'cwd',
  'python',
  'executor',
  'metric',
  'mode',
  'score',
  'seed_flag',
  'isolation',
  ...LISTS
]);
const SAME: Record<string, string> = { seed: 'seed_flag', objective: 'metric' };

/** Answers put where the question says (`ref`: a field of the set-up). A metric may bring its direction: "acc:max". */
export function withAnswers(
  body: CreateLoop,
  asks: readonly Question[],
  answers: Record<string, Answer>
): CreateLoop {
  const more: Record<string, unknown> = {};
  for (const ask of asks) {
    const field = SAME[ask.ref] ?? ask.ref;
    const said = answerTo(ask, answers);
    if (!said || !FIELDS.has(field)) {
      continue;
    }
    const directed = /^(.+)[:|](min|max)$/.exec(said);
    if (field === 'metric' && directed) {
      more.metric = directed[1];
      more.mode = directed[2];
    } else {
      more[field] = LISTS.has(field)
        ? splitValues(said.replace(/\n/g, ','))
        : said;
    }
  }
  return { ...body, ...more };
}
