import { beforeEach, describe, expect, it } from 'vitest';
import {
  ALL_ENTRIES,
  effectSpan,
  elapsedSeconds,
  filtered,
  isBehind,
  joined,
  metersOf,
  NO_JOURNAL,
  queueOf,
  ranked,
  searchHistory,
  stateOf,
  verdictOfBest,
  wholeEntry,
  wholeLoop,
  wholeSetupReply
} from '../models/wild';
import { WildDesk } from '../models/wilddesk';
import {
  asLoop,
  BLANK_LOOP,
  editsOf,
  limitOf,
  spaceOf,
  splitValues,
  withAnswers
} from '../models/wilddraft';
import { Ledger } from '../models/wildledger';
import {
  actionLine,
  amount,
  counted,
  entryLine,
  meterText,
  paramsLine,
  until as inTime
} from '../models/wildwords';
import { wholeRun, wholeSweep } from '../api';
import type { Entry, Loop, Question, SetupReply, Verdict } from '../wire';
import { plainEnglish as trans } from '../words';
import { aRun, event, FakeSocket, makeProject, Played, until } from './fakes';

const aLoop = (more: Partial<Loop> = {}): Loop =>
  wholeLoop({
    id: 'wld_1',
    goal: 'lower loss',
    created_at: 1000,
    setup: { command: 'python train.py', cwd: '/p', metric: 'loss' } as never,
    ...more
  });
const anEntry = (n: number, more: Partial<Entry> = {}): Entry =>
  wholeEntry({
    id: `ent_${n}`,
    loop_id: 'wld_1',
    n,
    at: 1000 + n,
    by: 'rule',
    stage: 'running',
    iteration: 1,
    ...more
  });
const numbers = (entries: readonly Entry[]) => entries.map(e => e.n);

describe('a loop as it stands', () => {
  it('has every field at every depth, however little of it travelled', () => {
    const loop = aLoop({
      queue: [{ id: 'e', kind: 'human', at: 1, order: 1 } as never],
      question: { id: 'q', text: '?', options: [], default: '' } as never
    });
    expect(loop.limits.until).toBe('');
    expect(loop.limits.hours).toBeNull();
    expect(loop.setup.mode).toBe('min');
    expect(loop.queue[0].tries).toBe(0);
    expect(loop.question?.held).toEqual([]);
    expect(loop.spent.runs).toBe(0);
  });

  it('is said in one word: over, then asking, then paused, then waiting, then its stage', () => {
    const question = { id: 'q' } as never;
    const waiting = { until: 1, why: '', tries: 1 };
    expect(stateOf(aLoop())).toBe('exploring');
    expect(stateOf(aLoop({ waiting }))).toBe('waiting');
    expect(stateOf(aLoop({ waiting, paused: true }))).toBe('paused');
    expect(stateOf(aLoop({ question, paused: true }))).toBe('asking');
    expect(stateOf(aLoop({ question, stage: 'ended', end: 'budget' }))).toBe(
      'budget'
    );
  });

  it('counts time without pauses against the limit, and shows true time', () => {
    const loop = aLoop({
      spent: { seconds: 1800, since: 4600 } as never,
      limits: { hours: 1 } as never
    });
    const [time, runs] = metersOf(loop, 6310);
    expect(time.fraction).toBeCloseTo((1800 + 1710) / 3600);
    expect(time.near).toBe(true);
    expect(meterText(time, trans)).toBe('59 min of 1 h');
    expect(runs.fraction).toBeNull();
    expect(meterText(runs, trans)).toBe('0, no limit');
    expect(elapsedSeconds(loop, 6310)).toBe(5310);
    expect(elapsedSeconds(aLoop({ ended_at: 3000 }), 6310)).toBe(2000);
    const paused = aLoop({ spent: { seconds: 1800, since: null } as never });
    expect(metersOf(paused, 99_999)[0].used).toBe(0.5);
  });

  it('says that a price is not known rather than zero, and zero where nothing was asked', () => {
    const limits = { cost_usd: 5 } as never;
    const cost = (spent: unknown) =>
      metersOf(aLoop({ limits, spent: spent as never }), 0).find(
        meter => meter.name === 'cost_usd'
      )!;
    expect(meterText(cost({ model_calls: 3 }), trans)).toBe('– of $5.00');
    expect(meterText(cost({}), trans)).toBe('$0.00 of $5.00');
    expect(meterText(cost({ cost_usd: 0.004 }), trans)).toBe(
      '< $0.01 of $5.00'
    );
  });

  it('draws a limit of zero and one that was passed as full', () => {
    const full = (limit: number, runs: number) =>
      metersOf(
        aLoop({ limits: { runs: limit } as never, spent: { runs } as never }),
        0
      ).find(meter => meter.name === 'runs')!.fraction;
    expect(full(0, 0)).toBe(1);
    expect(full(10, 14)).toBe(1);
  });

  it('writes amounts in their own units', () => {
    expect(counted(1_234_567)).toBe('1.23 M');
    expect(counted(950)).toBe('950');
    expect(amount('disk_gb', 2.4)).toBe('2.4 GB');
    expect(amount('disk_gb', 0.0012)).toBe('1.2 MB');
    expect(amount('gpu_hours', 0)).toBe('0 s');
    expect(inTime(100, 100, trans)).toBe('now');
    expect(inTime(820, 100, trans)).toBe('in 12 min');
  });

  it('puts the queue in order and names the best by its newest verdict', () => {
    const queue = [
      { id: 'b', kind: 'explore', at: 2, order: 9 },
      { id: 'a', kind: 'human', at: 3, order: 1 }
    ] as never;
    expect(queueOf(aLoop({ queue })).map(one => one.id)).toEqual(['a', 'b']);
    const verdict = (word: Verdict['verdict'], lr: number) =>
      ({ params: { lr }, verdict: word, why: '' }) as never;
    const best = { params: { lr: 1 }, runs: [], value: 2 } as never;
    const verdicts = [
      verdict('unconfirmed', 1),
      verdict('confirmed', 1),
      verdict('worse', 2)
    ];
    const loop = aLoop({ best, verdicts });
    expect(verdictOfBest(loop)?.verdict).toBe('confirmed');
    expect(ranked(loop.verdicts).map(one => one.verdict)).toEqual([
      'confirmed',
      'unconfirmed',
      'worse'
    ]);
    expect(verdictOfBest(aLoop({ best }))).toBeNull();
    expect(effectSpan(aLoop({ verdicts }).verdicts)).toBeNull();
  });

  it('draws the search alone: no screens, no confirming runs, nothing without a value', () => {
    const sweep = (id: string, purpose: string, loop_id = 'wld_1') =>
      wholeSweep({ id, purpose, loop_id });
    const run = (id: string, sweep_id: string, last: number | string) =>
      wholeRun(
        aRun(id, {
          sweep_id,
          status: 'finished',
          ended_at: Number(id.slice(1)),
          summary: { loss: { last, min: 0 } as never }
        })
      );
    const sweeps = [
      sweep('s', 'search'),
      sweep('c', 'confirm'),
      sweep('o', 'search', 'wld_2')
    ];
    const runs = [
      run('r3', 's', 0.2),
      run('r1', 's', 0.5),
      run('r2', 's', 0.7),
      run('r4', 'c', 0.1),
      run('r5', 'o', 0.1),
      run('r6', 's', 'nan')
    ];
    const history = searchHistory(aLoop(), sweeps, runs);
    expect(history.map(point => point.value)).toEqual([0.5, 0.7, 0.2]);
    expect(history.map(point => point.best)).toEqual([0.5, 0.5, 0.2]);
  });
});

describe('the ledger', () => {
  const some = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, i) => anEntry(from + i));

  it('joins pages and told entries without a hole, and knows when one is missing', () => {
    let journal = joined(NO_JOURNAL, some(41, 50), 50);
    journal = joined(journal, [anEntry(51)]);
    expect(numbers(journal.entries).slice(-2)).toEqual([50, 51]);
    expect(isBehind(journal)).toBe(false);
    const gap = joined(journal, [anEntry(54)]);
    expect(numbers(gap.entries)).toHaveLength(11);
    expect(isBehind(gap)).toBe(true);
    const older = joined(journal, some(31, 40), 51);
    expect(numbers(older.entries)[0]).toBe(31);
    const apart = joined(journal, some(1, 5), 51);
    expect(numbers(apart.entries)[0]).toBe(41);
  });

  it('takes an entry twice as one, and a later word on it as the word', () => {
    let journal = joined(NO_JOURNAL, some(1, 3), 3);
    journal = joined(journal, [anEntry(2, { outcome: 'outcome_unknown' })]);
    journal = joined(journal, [anEntry(3)]);
    expect(numbers(journal.entries)).toEqual([1, 2, 3]);
    expect(journal.entries[1].outcome).toBe('outcome_unknown');
  });

  it('is filtered by who, by words anywhere in it, and by what went otherwise', () => {
    const all = [
      anEntry(1, { by: 'human', reasoning: 'Keep it small' }),
      anEntry(2, { outcome: 'refused', action: { do: 'launch' } }),
      anEntry(3, { outcome: 'noted' })
    ];
    const fit = (more: object) =>
      numbers(filtered(all, { ...ALL_ENTRIES, ...more }));
    expect(filtered(all, ALL_ENTRIES)).toBe(all);
    expect(fit({ by: 'human' })).toEqual([1]);
    expect(fit({ words: 'SMALL keep' })).toEqual([1]);
    expect(fit({ words: 'launch' })).toEqual([2]);
    expect(fit({ odd: true })).toEqual([2]);
  });

  it('says any action in a line, also one that it does not know or that is no action', () => {
    const line = (action: unknown) => actionLine(action, trans);
    expect(
      line({ do: 'propose_sweep', name: 'wide', points: [1, 2], reason: 'x' })
    ).toBe('Sweep wide: 2 points: x');
    expect(line({ do: 'launch', params: { lr: 0.003 } })).toBe('Run lr 0.003');
    expect(line({ do: 'promise', word: 'COMPLETE', text: 'done' })).toBe(
      'Nothing left to try: done'
    );
    expect(line({ do: 'fly', reason: 'why' })).toBe('fly: why');
    for (const odd of [null, 7, 'text', [], { do: 7 }, { do: 'launch' }]) {
      expect(typeof line(odd)).toBe('string');
    }
    expect(entryLine(anEntry(1, { action: 'odd', result: 'r' }), trans)).toBe(
      'r'
    );
    expect(paramsLine({ lr: 0.0021, width: 100, opt: 'sgd' })).toBe(
      'lr 0.0021 · width 100 · opt sgd'
    );
  });
});

describe('the form', () => {
  it('reads limits as they are typed, and says which is none', () => {
    expect(limitOf('hours', ' 1.5 ')).toBe(1.5);
    expect(limitOf('cost_usd', '$5')).toBe(5);
    expect(limitOf('runs', '1 000')).toBe(1000);
    expect(limitOf('runs', '')).toBeNull();
    for (const [name, typed] of [
      ['runs', '1.5'],
      ['hours', '0'],
      ['hours', '-1'],
      ['hours', 'many'],
      ['hours', '1e999']
    ] as const) {
      expect(limitOf(name, typed)).toBeNaN();
    }
    const bad = { ...BLANK_LOOP, goal: 'g', limits: { runs: 'x' } };
    expect(asLoop(bad)).toEqual({ field: 'runs', line: 'x' });
    expect(asLoop(BLANK_LOOP)).toEqual({ field: 'goal', line: '' });
  });

  const reply: SetupReply = wholeSetupReply({
    setup: {
      command: 'c',
      cwd: '/',
      space: {
        lr: {
          dim: {
            kind: 'range',
            low: 1e-4,
            high: 0.1,
            log: true,
            integer: false,
            step: null,
            num: null
          },
          default: 3e-4
        }
      }
    },
    script: {
      flags: [
        { name: 'lr', role: 'tune', default: 3e-4, kind: 'float' },
        { name: 'bs', role: 'exclude', default: 128, kind: 'int' },
        { name: 'amp', role: 'exclude', default: false, kind: 'bool' }
      ]
    },
    asks: [],
    policy: 'builtin',
    limits: {},
    estimate: null
  } as never);

  it('searches what was proposed, and what a person takes in', () => {
    const edits = editsOf(reply);
    expect(edits.lr.on).toBe(true);
    expect(edits.bs).toMatchObject({ on: false, low: '64', high: '256' });
    const made = spaceOf({
      ...edits,
      lr: { ...edits.lr, high: '0.01' },
      amp: { ...edits.amp, on: true }
    });
    expect('body' in made && made.body).toMatchObject({
      lr: { dim: { low: 1e-4, high: 0.01, log: true }, default: 3e-4 },
      amp: { dim: { kind: 'values', values: [false, true] } }
    });
    expect('body' in made && 'bs' in made.body).toBe(false);
  });

  it('names the first range that is none', () => {
    const { lr } = editsOf(reply);
    for (const wrong of [
      { low: '1', high: '1' },
      { low: '', high: '1' },
      { low: '0', high: '1' },
      { low: 'x', high: '1' },
      { low: '0.5', high: '3', integer: true, log: false }
    ]) {
      expect(spaceOf({ lr: { ...lr, ...wrong } })).toHaveProperty(
        'field',
        'lr'
      );
    }
    expect(
      spaceOf({ lr: { ...lr, kind: 'values', values: ' , ' } })
    ).toHaveProperty('field', 'lr');
  });

  it('parts values at commas, not within brackets or quotes', () => {
    expect(splitValues('1, "a, b", [1, 2], sgd')).toEqual([
      '1',
      '"a, b"',
      '[1, 2]',
      'sgd'
    ]);
  });

  it('puts answers where they belong, the default where nobody said anything', () => {
    const ask = (ref: string, chosen: string) =>
      ({ id: ref, ref, default: chosen, options: [] }) as unknown as Question;
    const body = withAnswers(
      { goal: 'g' },
      [ask('metric', 'acc:max'), ask('inputs', ''), ask('unknown', 'x')],
      { inputs: { choice: '', text: 'data, models' } }
    );
    expect(body).toEqual({
      goal: 'g',
      metric: 'acc',
      mode: 'max',
      inputs: ['data', 'models']
    });
  });
});

describe('what a browser follows', () => {
  beforeEach(() => {
    FakeSocket.all = [];
  });

  async function followed(n: number) {
    const played = new Played();
    const ledger = Array.from({ length: n }, (_, i) => anEntry(i + 1));
    let loop = aLoop({ entries: n });
    played.routes['GET wild'] = () => ({ loops: [loop] });
    played.routes['GET wild/wld_1'] = () => ({
      loop,
      counts: { running: 1 },
      alerts: 0,
      elapsed_s: 1,
      summary: { title: '', tried: [], real: [], cost: [], needs: [] }
    });
    played.routes['GET wild/wld_1/journal'] = url => {
      const after = Number(url.searchParams.get('after'));
      const limit = Number(url.searchParams.get('limit'));
      return {
        entries: ledger.slice(after, after + limit),
        total: ledger.length
      };
    };
    const project = makeProject(played);
    const desk = new WildDesk(project);
    project.hold();
    await until(() => desk.phase().phase === 'ready');
    FakeSocket.last.hello(played.seq);
    const grow = (tell = true) => {
      const entry = anEntry(ledger.length + 1);
      ledger.push(entry);
      loop = { ...loop, entries: ledger.length };
      played.seq += 1;
      if (tell) {
        FakeSocket.last.say(event(played.seq, 'wild_entry', entry, 'wild'));
      }
    };
    return { played, project, desk, ledger, grow };
  }

  it('reads the newest page, then what is told; a hole is read', async () => {
    const { project, desk, grow } = await followed(1250);
    const model = new Ledger(desk, 'wld_1');
    model.start();
    await until(() => model.view().phase === 'ready');
    expect(numbers(model.view().journal.entries)[0]).toBe(1151);
    grow();
    await until(() => model.view().journal.total === 1251);
    grow(false);
    grow();
    await until(() => numbers(model.view().journal.entries).at(-1) === 1253);
    expect(numbers(model.view().journal.entries)).toHaveLength(103);
    await model.older();
    expect(numbers(model.view().journal.entries)[0]).toBe(151);
    model.stop();
    project.release();
  });

  it('asks nothing while nobody looks, and catches up after', async () => {
    const { played, project, desk, grow } = await followed(3);
    const leave = desk.watch('wld_1');
    await until(() => desk.reply('wld_1'));
    project.release();
    const before = played.asked.length;
    grow(false);
    desk.put(aLoop({ entries: 9 })); // the answer to a wish that was on its way
    await new Promise(resolve => setTimeout(resolve, 1700));
    expect(played.asked.length).toBe(before);
    project.hold();
    await until(() => played.asked.length > before);
    leave();
    project.release();
  });

  it('folds created, changed and ended loops; an old answer does not undo what was told', async () => {
    const { played, project, desk } = await followed(3);
    const say = (type: string, loop: Partial<Loop>) =>
      FakeSocket.last.say(event(++played.seq, type, loop, 'wild'));
    const raw = { ...aLoop(), id: 'wld_2', created_at: 2000 };
    say('wild_created', { ...raw, question: { id: 'q' } as never });
    await until(() => desk.waiting() === 1);
    expect(desk.living()?.id).toBe('wld_2');
    say('wild_ended', {
      ...raw,
      stage: 'ended',
      end: 'complete',
      question: { id: 'q' } as never
    });
    await until(() => desk.living()?.id === 'wld_1');
    expect(desk.waiting()).toBe(0);
    expect(desk.loops.all().map(loop => loop.id)).toEqual(['wld_1', 'wld_2']);
    project.release();
  });
});
