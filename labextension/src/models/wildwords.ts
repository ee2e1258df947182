/** How a loop is spoken of: the same words in the banner, the strip, the ledger and on the phone. */
import { duration, number, param } from '../format';
import type { Entry, Loop, LoopEvent, Verdict } from '../wire';
import type { Trans } from '../words';
import type { LoopState, Meter, MeterName } from './wild';

export function stateWord(state: LoopState, trans: Trans): string {
  const words: Record<LoopState, string> = {
    exploring: trans.__('deciding what to run next'),
    running: trans.__('running'),
    analyzing: trans.__('reading results'),
    confirming: trans.__('confirming on fresh seeds'),
    paused: trans.__('paused'),
    asking: trans.__('waits for you'),
    waiting: trans.__('waits for the model'),
    complete: trans.__('complete'),
    budget: trans.__('ended at a limit'),
    stopped: trans.__('stopped'),
    failed: trans.__('failed')
  };
  return words[state];
}

export function meterWord(name: MeterName, trans: Trans): string {
  const words: Record<MeterName, string> = {
    hours: trans.__('time'),
    runs: trans.__('runs'),
    iterations: trans.__('iterations'),
    cost_usd: trans.__('cost'),
    tokens: trans.__('tokens'),
    gpu_hours: trans.__('GPU time'),
    cpu_hours: trans.__('CPU time'),
    disk_gb: trans.__('disk')
  };
  return words[name];
}

export const money = (usd: number): string =>
  usd > 0 && usd < 0.01 ? '< $0.01' : `$${usd.toFixed(2)}`;

const THOUSANDS: [number, string][] = [
  [1e9, 'G'],
  [1e6, 'M'],
  [1e3, 'k']
];

/** 1 234 567 as 1.23 M: for what nobody counts one by one. */
export function counted(n: number): string {
  for (const [size, sign] of THOUSANDS) {
    if (n >= size) {
      return `${Number((n / size).toPrecision(3))} ${sign}`;
    }
  }
  return String(Math.round(n));
}

/** Thousands, as disks are sold and as the limit counts. */
function size(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB'];
  let left = bytes;
  let unit = 0;
  while (left >= 1000 && unit < units.length - 1) {
    left /= 1000;
    unit += 1;
  }
  return `${left >= 100 ? Math.round(left) : Number(left.toPrecision(3))} ${units[unit]}`;
}

/** A limit's figure in its own unit. */
export function amount(name: MeterName, value: number | null): string {
  if (value === null) {
    return '–';
  }
  switch (name) {
    case 'hours':
    case 'gpu_hours':
    case 'cpu_hours':
      return value === 0 ? '0 s' : duration(value * 3600);
    case 'cost_usd':
      return money(value);
    case 'tokens':
      return counted(value);
    case 'disk_gb':
      return size(value * 1e9);
    default:
      return String(Math.round(value));
  }
}

/** "12 of 40", "2 h 5 min, no limit", for an eye or an ear. */
export function meterText(meter: Meter, trans: Trans): string {
  const used = amount(meter.name, meter.used);
  return meter.limit === null
    ? trans.__('%1, no limit', used)
    : trans.__('%1 of %2', used, amount(meter.name, meter.limit));
}

/** In how long, in words: "in 12 min"; what is past is due now. */
export function until(at: number, now: number, trans: Trans): string {
  const s = at - now;
  return s < 1 ? trans.__('now') : trans.__('in %1', duration(s));
}

export function eventWord(event: LoopEvent, trans: Trans): string {
  const words: Record<LoopEvent['kind'], string> = {
    human: trans.__('you said'),
    answer: trans.__('your answer'),
    critical: trans.__('critical alert'),
    warning: trans.__('warning'),
    failure: trans.__('a run failed'),
    completion: trans.__('a run finished'),
    analysis: trans.__('a sweep is over'),
    explore: trans.__('what next')
  };
  return words[event.kind] ?? event.kind;
}

export function verdictWord(word: Verdict['verdict'], trans: Trans): string {
  const words: Record<Verdict['verdict'], string> = {
    confirmed: trans.__('confirmed'),
    'not distinguishable': trans.__('not distinguishable'),
    worse: trans.__('worse'),
    unconfirmed: trans.__('unconfirmed'),
    void: trans.__('void')
  };
  return words[word] ?? word;
}

export function outcomeWord(outcome: Entry['outcome'], trans: Trans): string {
  const words: Record<Entry['outcome'], string> = {
    done: '',
    noted: '',
    refused: trans.__('refused'),
    asked: trans.__('asked first'),
    outcome_unknown: trans.__('outcome unknown')
  };
  return words[outcome] ?? outcome;
}

export function byWord(by: Entry['by'], trans: Trans): string {
  const words: Record<Entry['by'], string> = {
    human: trans.__('a person'),
    rule: trans.__('a rule'),
    model: trans.__('the model'),
    engine: trans.__('the engine')
  };
  return words[by] ?? by;
}

const record = (value: unknown): Record<string, unknown> =>
  value && typeof value === 'object' && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
const text = (value: unknown): string =>
  typeof value === 'string' ? value : '';
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

/** A setting, not a measurement: no zeros for show. */
const short = (value: number): string =>
  number(value)
    .replace(/(\.\d*?)0+$/, '$1')
    .replace(/\.$/, '');

export const paramsLine = (params: Record<string, unknown>): string =>
  Object.entries(params)
    .map(
      ([name, value]) =>
        `${name} ${typeof value === 'number' ? short(value) : param(value)}`
    )
    .join(' · ');

/** An action in plain words. What is not known here is named as it names itself: a newer engine may know more. */
export function actionLine(raw: unknown, trans: Trans): string {
  const action = record(raw);
  const reason = text(action.reason);
  const why = reason ? `: ${reason}` : '';
  switch (action.do) {
    case 'propose_sweep':
      return (
        trans._n(
          'Sweep %2: %1 point',
          'Sweep %2: %1 points',
          list(action.points).length,
          text(action.name) || text(action.purpose)
        ) + why
      );
    case 'launch':
      return trans.__('Run %1', paramsLine(record(action.params))) + why;
    case 'stop_run':
      return trans.__('Stop %1', text(action.run)) + why;
    case 'resolve_alert':
      return trans.__('Answer an alert: %1', text(action.choice)) + why;
    case 'edit_code':
      return trans.__('Change code: %1', text(action.summary));
    case 'analyse':
      return trans.__('Learnt: %1', text(action.text));
    case 'confirm':
      return trans.__('Put the best to the test on fresh seeds') + why;
    case 'promise': {
      const said = text(action.text);
      const after = said ? `: ${said}` : '';
      return action.word === 'COMPLETE'
        ? trans.__('Nothing left to try') + after
        : action.word === 'NEEDS_HUMAN'
          ? trans.__('Ask a person') + after
          : trans.__('Go on') + after;
    }
    case 'change_setup':
      return (
        trans.__(
          'Change the set-up: %1',
          Object.keys(record(action.fields)).join(', ')
        ) + why
      );
    case 'wish': {
      const wish = text(action.wish) || text(action.what) || text(action.kind);
      const said = text(action.text);
      return [trans.__('Asked for: %1', wish || '…'), said]
        .filter(Boolean)
        .join(': ');
    }
    default:
      return [text(action.do), reason].filter(Boolean).join(': ');
  }
}

/** One line of the ledger. */
export function entryLine(entry: Entry, trans: Trans): string {
  // What a person asked for is best said by what came of it.
  const wished = record(entry.action).do === 'wish' && entry.result;
  const action = entry.action && !wished ? actionLine(entry.action, trans) : '';
  if (action) {
    return action;
  }
  const event = entry.event
    ? [eventWord(entry.event, trans), entry.event.text]
        .filter(Boolean)
        .join(': ')
    : '';
  return (
    entry.result || entry.reasoning || event || trans.__('decided nothing')
  );
}

/** Why it ended or rests, in one sentence. */
export function endSentence(loop: Loop, trans: Trans): string {
  if (loop.reason) {
    return loop.reason;
  }
  switch (loop.end) {
    case 'budget':
      return loop.budget
        ? trans.__(
            'It ended at its limit of %1.',
            limitWord(loop.budget, trans)
          )
        : trans.__('It ended at a limit.');
    case 'complete':
      return trans.__('Nothing was left to try.');
    case 'failed':
      return trans.__('It could not go on.');
    default:
      return trans.__('A person stopped it.');
  }
}

export function limitWord(name: string, trans: Trans): string {
  const known: Record<string, string> = {
    hours: meterWord('hours', trans),
    runs: meterWord('runs', trans),
    iterations: meterWord('iterations', trans),
    cost_usd: meterWord('cost_usd', trans),
    tokens: meterWord('tokens', trans),
    gpu_hours: meterWord('gpu_hours', trans),
    cpu_hours: meterWord('cpu_hours', trans),
    disk_gb: meterWord('disk_gb', trans),
    until: trans.__('the goal')
  };
  return known[name] ?? name;
}
