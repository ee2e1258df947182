import { describe, expect, it } from 'vitest';
import { wholeRun } from '../api';
import { colourIndex } from '../models/colours';
import { asRequest, BLANK } from '../models/panel';
import {
  apart,
  judgedBy,
  keyValue,
  listRows,
  type ListWish
} from '../models/rows';
import { aRun } from './fakes';

const wish: ListWish = {
  filter: '',
  show: 'all',
  sort: 'newest',
  grouped: true,
  folded: []
};
const summary = (last: number) => ({
  loss: {
    last,
    step: 1,
    min: last,
    min_step: 1,
    max: last,
    max_step: 1,
    count: 1,
    nonfinite: 0
  }
});
const runs = [
  wholeRun(
    aRun('run_d', { status: 'failed', name: 'b10', params: { lr: 0.3 } })
  ),
  wholeRun(
    aRun('run_c', {
      status: 'finished',
      name: 'b9',
      sweep_id: 'swp_1',
      trial: 1,
      primary: 'loss',
      summary: summary(2)
    })
  ),
  wholeRun(
    aRun('run_b', {
      status: 'running',
      name: 'b2',
      sweep_id: 'swp_1',
      trial: 0,
      primary: 'loss',
      summary: summary(1)
    })
  ),
  wholeRun(aRun('run_a', { status: 'running', name: 'a' }))
];
const keys = (more: Partial<ListWish>) =>
  listRows(runs, () => undefined, { ...wish, ...more }).map(row => row.key);

describe('the list', () => {
  it('puts what runs first, and trials under their sweep', () => {
    expect(keys({})).toEqual(['swp_1', 'run_b', 'run_c', 'run_a', 'run_d']);
    expect(keys({ grouped: false })).toEqual([
      'run_b',
      'run_a',
      'run_d',
      'run_c'
    ]);
  });

  it('folds a sweep away', () => {
    expect(keys({ folded: ['swp_1'] })).toEqual(['swp_1', 'run_a', 'run_d']);
  });

  it('finds by all words, in names, parameters and states', () => {
    expect(keys({ filter: 'LR=0.3 failed' })).toEqual(['run_d']);
    expect(keys({ filter: 'nothing' })).toEqual([]);
  });

  it('shows one state', () => {
    expect(keys({ show: 'live', grouped: false })).toEqual(['run_b', 'run_a']);
  });

  it('sorts by the judged metric, runs without one last', () => {
    expect(keys({ sort: 'metric', grouped: false })).toEqual([
      'run_b',
      'run_c',
      'run_d',
      'run_a'
    ]);
  });

  it('sorts names as people count', () => {
    expect(keys({ sort: 'name', grouped: false })).toEqual([
      'run_a',
      'run_b',
      'run_c',
      'run_d'
    ]);
  });
});

describe('what a run is judged by', () => {
  const with_ = (names: string[], more = {}) =>
    wholeRun(
      aRun('r', {
        summary: Object.fromEntries(
          names.map(name => [
            name,
            { ...summary(1).loss, last: 3, min: 1, max: 9 }
          ])
        ),
        ...more
      })
    );

  it('is its own choice, else a loss, else its first metric', () => {
    expect(judgedBy(with_(['a', 'loss'], { primary: 'a' }))).toBe('a');
    expect(judgedBy(with_(['a', 'train/loss', 'eval/val_loss']))).toBe(
      'eval/val_loss'
    );
    expect(judgedBy(with_(['a', 'b']))).toBe('a');
    expect(judgedBy(with_(['a'], { primary: 'acc' }))).toBeNull();
    expect(judgedBy(with_([]))).toBeNull();
  });

  it('shows its last value while it lives, its best once it has ended', () => {
    expect(keyValue(with_(['loss'], { status: 'running' }))).toBe(3);
    expect(keyValue(with_(['loss'], { status: 'finished' }))).toBe(1);
    expect(
      keyValue(
        with_(['acc'], { status: 'finished', primary: 'acc', mode: 'max' })
      )
    ).toBe(9);
  });
});

describe('a trial', () => {
  it('is named by what sets it apart', () => {
    const trials = [
      wholeRun(aRun('run_1', { params: { lr: 0.1, seed: 1, size: 8 } })),
      wholeRun(aRun('run_2', { params: { lr: 0.2, seed: 1, size: 8 } })),
      wholeRun(
        aRun('run_3', { params: { lr: 0.2, seed: 2, size: 8 }, alias: 'mine' })
      )
    ];
    expect(trials.map(apart(trials))).toEqual([
      'lr 0.1 · seed 1',
      'lr 0.2 · seed 1',
      'mine'
    ]);
    expect(trials.slice(0, 1).map(apart(trials.slice(0, 1)))).toEqual([
      'run_1'
    ]);
  });
});

describe('a colour', () => {
  it("is a run's own for life: of its place in the sweep, else of its id", () => {
    expect(colourIndex({ id: 'run_x', trial: 13 })).toBe(3);
    const index = colourIndex({ id: 'run_66xcjxr00007', trial: null });
    expect(index).toBe(colourIndex({ id: 'run_66xcjxr00007', trial: null }));
    expect(index).toBeGreaterThanOrEqual(0);
    expect(index).toBeLessThan(10);
  });
});

describe('the form', () => {
  it('sends only what was filled in', () => {
    expect(asRequest({ ...BLANK, command: ' python a.py ' }, 'q1')).toEqual({
      body: { command: 'python a.py', kind: 'command', request_id: 'q1' }
    });
  });

  it('takes lines NAME=VALUE, comments and exports', () => {
    const made = asRequest(
      {
        ...BLANK,
        command: 'x',
        env: '# why\nA=1=2\n\nexport B_2= two ',
        gpus: '2',
        primary: 'acc',
        mode: 'max'
      },
      'q'
    );
    expect(made).toMatchObject({
      body: {
        env: { A: '1=2', B_2: ' two ' },
        gpus: 2,
        primary: 'acc',
        mode: 'max'
      }
    });
  });

  it.each([
    [{ command: '  ' }, 'command', ''],
    [{ command: 'x', env: 'A=1\noops' }, 'env', 'oops'],
    [{ command: 'x', gpus: '1.5' }, 'gpus', '1.5']
  ])('names the field that is wrong: %o', (typed, field, line) => {
    expect(asRequest({ ...BLANK, ...typed }, 'q')).toEqual({ field, line });
  });

  it('knows a notebook by its path', () => {
    expect(
      asRequest({ ...BLANK, command: 'notebooks/a.ipynb' }, 'q')
    ).toMatchObject({
      body: { kind: 'notebook' }
    });
    expect(
      asRequest({ ...BLANK, command: 'jupyter execute a.ipynb' }, 'q')
    ).toMatchObject({
      body: { kind: 'command' }
    });
  });
});
