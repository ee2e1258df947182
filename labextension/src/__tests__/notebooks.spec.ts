/** Steps on Lab's real shared model, and what a cell is told as. */
import { readFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';

import { applySteps, difference } from '../notebooks/cells';
import { diffLines } from '../notebooks/diff';
import type { CellJson, OutputJson } from '../notebooks/lab';
import { digests, viewOf } from '../notebooks/outputs';
import { Refusal, type CellStep } from '../notebooks/protocol';
import {
  aModel,
  CELLS,
  forgetIds,
  newId,
  shared,
  sources
} from './notebookfakes';

const apply = (
  model: ReturnType<typeof aModel>,
  steps: CellStep[],
  strict = true
) => applySteps(shared(model), steps, strict, newId);

beforeEach(forgetIds);

describe('steps on the shared model', () => {
  it('are one transaction, in order, by id', () => {
    const model = aModel();
    let changes = 0;
    model.ydoc.on('update', () => (changes += 1));
    const { changes: told } = apply(model, [
      { action: 'insert', id: 'cell1', kind: 'markdown', source: 'above' },
      { action: 'edit', id: 'cell1', source: 'a = 2', expect: 'a = 1' },
      { action: 'edit', id: 'new0', source: 'above 2' },
      { action: 'insert', source: 'last' },
      { action: 'delete', id: 'cell2' }
    ]);
    expect(sources(model)).toEqual(['# Title', 'above 2', 'a = 2', 'last']);
    expect(changes).toBe(1);
    expect(told.map(c => [c.id, c.action, c.after, c.place])).toEqual([
      ['new0', 'inserted', 'above', ['cell0']],
      ['cell1', 'edited', 'a = 2', ['new0', 'cell0']],
      ['new0', 'edited', 'above 2', ['cell0']],
      ['new1', 'inserted', 'last', ['cell2', 'cell1', 'new0', 'cell0']],
      ['cell2', 'deleted', undefined, ['cell1', 'new0', 'cell0']]
    ]);
    expect(told[1].before).toMatchObject({ source: 'a = 1' });
  });

  it('do nothing at all where one of them does not fit', () => {
    const model = aModel();
    const wrong: CellStep[] = [
      { action: 'edit', id: 'cell1', source: 'x', expect: 'other' },
      { action: 'edit', id: 'gone', source: 'x' },
      { action: 'delete', id: 'gone' },
      { action: 'insert', id: 'gone', source: 'x' },
      { action: 'insert', id: 'cell1', cell: { cell_type: 'code', source: '' } }
    ];
    for (const step of wrong) {
      expect(() =>
        apply(model, [{ action: 'insert', source: 'good' }, step])
      ).toThrow(Refusal);
      expect(sources(model)).toEqual(CELLS);
    }
  });

  it('leave what does not fit where they may, and name it', () => {
    const model = aModel();
    const { left } = apply(
      model,
      [
        { action: 'edit', id: 'cell1', source: 'old', expect: 'not this' },
        { action: 'edit', id: 'cell2', source: 'old', expect: 'b = 2' }
      ],
      false
    );
    expect(left).toEqual(['cell1']);
    expect(sources(model)).toEqual(['# Title', 'a = 1', 'old']);
  });

  it('put a cell back with its id, its outputs and its place', () => {
    const model = aModel();
    const [change] = apply(model, [{ action: 'delete', id: 'cell1' }]).changes;
    apply(model, [
      {
        action: 'insert',
        id: 'cell1',
        cell: change.before,
        place: ['gone', 'cell0']
      }
    ]);
    expect(model.cells.map(c => c.getId())).toEqual([
      'cell0',
      'cell1',
      'cell2'
    ]);
  });

  it('replace only what differs, so that a caret stays', () => {
    expect(difference('abcdef', 'abXdef')).toEqual([2, 3, 'X']);
    expect(difference('aa', 'aaa')).toEqual([2, 2, 'a']);
    expect(difference('same', 'same')).toEqual([4, 4, '']);
    for (const [a, b] of [
      ['', 'x'],
      ['x', ''],
      ['abab', 'ab'],
      ['ab', 'abab']
    ]) {
      const [start, end, value] = difference(a, b);
      expect(a.slice(0, start) + value + a.slice(end)).toBe(b);
    }
  });
});

describe('outputs', () => {
  const golden = JSON.parse(
    readFileSync('../tests/golden/notebook_outputs.json', 'utf8')
  ) as { outputs: OutputJson[]; digests: string[] }[];
  it.each(golden)('are told as the engine tells them: $digests', one => {
    expect(digests(one.outputs)).toEqual(one.digests);
  });
});

describe('the difference of two cells', () => {
  const marks = (a: string, b: string) =>
    diffLines(a, b).map(({ mark, text }) => mark + text);
  it('keeps the longest common lines', () => {
    expect(marks('a\nb\nc', 'a\nx\nc')).toEqual([' a', '-b', '+x', ' c']);
    expect(marks('', 'a')).toEqual(['+a']);
    expect(marks('a', '')).toEqual(['-a']);
    expect(marks('a\nb\nc\nd', 'b\nd\ne')).toEqual([
      '-a',
      ' b',
      '-c',
      ' d',
      '+e'
    ]);
  });
  it('does not hang on large cells', () => {
    const many = (from: number) =>
      Array.from({ length: 5000 }, (_, n) => `${n + from}`).join('\n');
    expect(marks(many(0), many(9000))).toHaveLength(10000);
  });
});

it('a cell is told with its outputs', () => {
  const cell = {
    cell_type: 'code',
    getId: () => 'k',
    toJSON: (): CellJson => ({
      cell_type: 'code',
      source: ['a', 'b'],
      outputs: [{ output_type: 'stream', text: 'x' }],
      execution_count: 2
    })
  };
  expect(viewOf(cell as never, 3)).toEqual({
    id: 'k',
    index: 3,
    kind: 'code',
    source: 'ab',
    outputs: ['x'],
    execution_count: 2
  });
});
