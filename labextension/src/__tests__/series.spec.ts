import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiError } from '../api';
import { columns, lineFacts } from '../models/chartdata';
import { extended, SeriesModel } from '../models/series';
import {
  aRun,
  aSeries,
  event,
  FakeSocket,
  makeProject,
  Played,
  until
} from './fakes';

beforeEach(() => {
  FakeSocket.all = [];
});
afterEach(() => {
  vi.useRealTimers();
});

async function charting(answer: (since: string | null, n: number) => unknown) {
  const played = new Played([aRun('run_a', { status: 'running' })]);
  let n = 0;
  const since: (string | null)[] = [];
  played.routes['GET metrics/series'] = url => {
    since.push(url.searchParams.get('since'));
    return { x: 'step', series: answer(url.searchParams.get('since'), n++) };
  };
  const project = makeProject(played);
  project.hold();
  await until(() => FakeSocket.all.length > 0);
  FakeSocket.last.hello(5);
  const model = new SeriesModel(project, {
    runs: ['run_a'],
    names: ['loss'],
    x: 'step',
    points: 100
  });
  const ring = () =>
    FakeSocket.last.say(
      event(5, 'metrics_changed', { run: 'run_a' }, 'metrics')
    );
  return { played, project, model, since, ring };
}

describe('a chart', () => {
  it('reads all once, then only what came after', async () => {
    const { model, since, ring, project } = await charting((_, n) => [
      n === 0
        ? aSeries('run_a', 'loss', { x: [1, 2], last: [5, 4], cursor: 'c2' })
        : aSeries('run_a', 'loss', {
            x: n === 1 ? [3] : [],
            last: n === 1 ? [3] : [],
            cursor: 'c3',
            reset: false
          })
    ]);
    model.start();
    await until(() => model.chart().phase === 'ready');
    ring();
    await until(() => model.chart().lines[0].x.length === 3);
    expect(model.chart().lines[0].last).toEqual([5, 4, 3]);
    expect(since[0]).toBeNull();
    expect(since[1]).toBe('c2');
    const before = model.chart();
    ring();
    await until(() => since.length === 3);
    await new Promise(resolve => setTimeout(resolve, 20));
    // Nothing new: views are not told, the object stays the same.
    expect(model.chart()).toBe(before);
    model.stop();
    project.release();
  });

  it('takes a refusal away with the next answer, also one that brings nothing new', async () => {
    const { played, model, since, ring, project } = await charting((_, n) => [
      aSeries('run_a', 'loss', {
        x: n === 0 ? [1] : [],
        last: n === 0 ? [5] : [],
        cursor: 'c1',
        reset: false
      })
    ]);
    model.start();
    await until(() => model.chart().phase === 'ready');
    const answers = played.routes['GET metrics/series'];
    played.routes['GET metrics/series'] = () => {
      throw new ApiError(503, 'missing_part', 'No engine.', 'Wait.');
    };
    ring();
    await until(() => model.chart().error !== null);
    const asked = since.length;
    played.routes['GET metrics/series'] = answers;
    ring();
    await until(() => since.length > asked && model.chart().error === null);
    expect(model.chart().lines[0].last).toEqual([5]);
    model.stop();
    project.release();
  });

  it('asks at most ten times a second, however often it rings', async () => {
    vi.useFakeTimers({
      toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance']
    });
    const made = charting(() => [
      aSeries('run_a', 'loss', { x: [1], last: [1] })
    ]);
    await vi.advanceTimersByTimeAsync(100);
    const { model, since, ring, project } = await made;
    model.start();
    await vi.advanceTimersByTimeAsync(200);
    const first = since.length;
    expect(first).toBeGreaterThan(0);
    for (let ms = 0; ms < 420; ms += 4) {
      ring();
      await vi.advanceTimersByTimeAsync(4);
    }
    expect(since.length - first).toBeGreaterThanOrEqual(4);
    expect(since.length - first).toBeLessThanOrEqual(5);
    model.stop();
    project.release();
  });

  it('does no work while the panel is hidden, and catches up when it is seen', async () => {
    const { model, since, ring, project } = await charting(() => [
      aSeries('run_a', 'loss', { x: [1], last: [1] })
    ]);
    model.start();
    await until(() => since.length > 0);
    await new Promise(resolve => setTimeout(resolve, 150));
    project.release();
    const asked = since.length;
    // As if a last doorbell were still on its way.
    (project.metricsRang as unknown as { emit: (run: string) => void }).emit(
      'run_a'
    );
    await new Promise(resolve => setTimeout(resolve, 200));
    expect(since.length).toBe(asked);
    project.hold();
    await until(() => since.length > asked);
    model.stop();
    project.release();
  });

  it('keeps the place of a metric that a run has not logged yet', async () => {
    const { model, since, ring, project } = await charting((_, n) =>
      n === 0 ? [] : [aSeries('run_a', 'loss', { x: [1], last: [1] })]
    );
    model.start();
    await until(() => model.chart().phase === 'ready');
    expect(model.chart().lines).toEqual([]);
    ring();
    await until(() => model.chart().lines.length === 1);
    expect(since[1]).toBe('');
    model.stop();
    project.release();
  });

  it('reads anew what has grown to twice what was asked for', async () => {
    const many = Array.from({ length: 201 }, (_, i) => i);
    const { model, since, ring, project } = await charting(() => [
      aSeries('run_a', 'loss', { x: many, last: many })
    ]);
    model.start();
    await until(() => model.chart().phase === 'ready');
    ring();
    await until(() => since.length >= 2);
    expect(since[1]).toBeNull();
    model.stop();
    project.release();
  });
});

describe('a line', () => {
  it('goes on with raw points after buckets: their band is their value', () => {
    const line = aSeries('r', 'l', {
      x: [10],
      last: [5],
      min: [4],
      max: [6],
      raw: false
    });
    const more = aSeries('r', 'l', { x: [11], last: [3], reset: false });
    expect(extended(line, more)).toMatchObject({
      x: [10, 11],
      last: [5, 3],
      min: [4, 3],
      max: [6, 3]
    });
  });

  it('is replaced after a rewind', () => {
    const line = aSeries('r', 'l', { x: [1, 2], last: [1, 2] });
    const anew = aSeries('r', 'l', { x: [1], last: [9], rewinds: [1] });
    expect(extended(line, anew)).toBe(anew);
  });

  it('keeps steps and count of what is not finite', () => {
    const line = aSeries('r', 'l', { nonfinite: [4], nonfinite_count: 1 });
    const more = aSeries('r', 'l', {
      nonfinite: [5],
      nonfinite_count: 2,
      reset: false
    });
    expect(extended(line, more)).toMatchObject({
      nonfinite: [4, 5],
      nonfinite_count: 2
    });
  });
});

describe('columns', () => {
  it('of several lines share one x; a line that has no point there is undefined, one that breaks is null', () => {
    const made = columns(
      [
        aSeries('a', 'l', { x: [1, 3], last: [10, null] }),
        aSeries('b', 'l', { x: [2], last: [20] })
      ],
      false
    );
    expect(made.x).toEqual([1, 2, 3]);
    expect(made.last).toEqual([
      [10, undefined, null],
      [undefined, 20, undefined]
    ]);
  });

  it('leave out what a log scale has no place for', () => {
    const made = columns(
      [aSeries('a', 'l', { x: [1, 2], last: [0, 1] })],
      true
    );
    expect(made.last).toEqual([[null, 1]]);
  });

  it('of one line keep the later point where two stand at one x', () => {
    const made = columns(
      [aSeries('a', 'l', { x: [1, 1, 2], last: [7, 8, 9] })],
      false
    );
    expect(made.x).toEqual([1, 2]);
    expect(made.last).toEqual([[8, 9]]);
  });
});

describe('the table', () => {
  it('counts what the buckets held, not only what is drawn', () => {
    expect(
      lineFacts(
        aSeries('a', 'l', {
          x: [1, 2],
          last: [5, null],
          min: [1, null],
          max: [9, null]
        })
      )
    ).toMatchObject({ last: 5, lastX: 1, min: 1, max: 9 });
  });
});
