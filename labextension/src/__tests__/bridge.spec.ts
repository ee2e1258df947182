/** The tab's side of notebooks: it takes what the engine asks of it, and does it in the open document. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { NotebookPanel } from '../notebooks/lab';
import { FakeSocket, until } from './fakes';
import { CELLS, FakeCell, forgetIds, Given, sources } from './notebookfakes';

beforeEach(forgetIds);

describe('the bridge', () => {
  let given: Given;
  beforeEach(async () => {
    FakeSocket.all = [];
    FakeCell.ran = [];
    given = new Given();
    await given.open();
  });
  afterEach(() => {
    given.panel.close();
    vi.useRealTimers();
  });

  it('says what is open, and when that changes', async () => {
    expect(given.announced[0].notebooks).toEqual([
      { path: '/srv/nb.ipynb', dirty: false, kernel: 'python3' }
    ]);
    given.panel.context.model.dirty = true;
    given.panel.context.model.stateChanged.emit();
    await until(
      () => given.announced[given.announced.length - 1].notebooks[0].dirty
    );
    given.bridge.leave();
    expect(given.left).toHaveLength(1);
    given.panel.close();
    await until(
      () => !given.announced[given.announced.length - 1].notebooks.length
    );
    await until(() => FakeSocket.last.closed);
  });

  it('says it again to an engine that was started anew', async () => {
    await until(() => given.announced.length === 2); // the socket has come up
    FakeSocket.last.close();
    await until(() => FakeSocket.all.length === 2 && FakeSocket.last.onopen);
    FakeSocket.last.hello(5);
    await until(() => given.announced.length === 3);
    expect(given.announced[2].notebooks).toHaveLength(1);
  });

  it('does what it takes, once, and only what is for this tab', async () => {
    const steps = [{ action: 'edit', id: 'cell1', source: 'a = 2' }];
    given.ring('r0', { action: 'apply', args: { steps } }, 'another');
    const reply = await given.ask('r1', {
      action: 'apply',
      args: { steps, strict: true }
    });
    given.ring('r1', {}); // told again: nothing happens
    expect(reply.ok).toBe(true);
    expect(reply.result.cells.map(c => c.source)).toEqual([
      '# Title',
      'a = 2',
      'b = 2'
    ]);
    expect(given.taken).toEqual(['r1']);
  });

  it('saves what was clean, and leaves unsaved work unsaved', async () => {
    const args = { steps: [{ action: 'insert', source: 'x' }], strict: true };
    await given.ask('r1', { action: 'apply', args });
    expect(given.panel.saves).toBe(1);
    given.panel.context.model.dirty = true;
    await given.ask('r2', { action: 'apply', args });
    expect(given.panel.saves).toBe(1);
  });

  it('takes over what a clean document misses of its file', async () => {
    given.lastModified = '2026-01-01T00:01:00Z';
    const args = { steps: [{ action: 'insert', source: 'x' }], strict: true };
    await given.ask('r1', { action: 'apply', args });
    expect(given.panel.reverts).toBe(1);
    given.panel.context.model.dirty = true;
    await given.ask('r2', { action: 'apply', args });
    expect(given.panel.reverts).toBe(1);
  });

  it('answers with a refusal, and has changed nothing', async () => {
    const steps = [
      { action: 'insert', source: 'x' },
      { action: 'edit', id: 'cell1', source: 'y', expect: 'z' }
    ];
    const { ok, error } = await given.ask('r1', {
      action: 'apply',
      args: { steps, strict: true }
    });
    expect([ok, error.type]).toEqual([false, 'wrong_moment']);
    expect(sources(given.panel.model)).toEqual(CELLS);
    expect(given.panel.saves).toBe(0);
    const other = await given.ask('r2', { action: 'read', path: '/srv/no' });
    expect(other.error.problem).toContain('closed in this tab');
    const odd = await given.ask('r3', { action: 'dance' });
    expect(odd.error.type).toBe('cannot_be_done');
  });

  it('runs a cell and tells what it says', async () => {
    const asked = given.ask('r1', { action: 'run', args: { cell: 'cell1' } });
    await until(() => FakeCell.ran.length);
    const text = 'one\u001b[31mtwo\n';
    given.prints(text);
    given.panel.kernel.finish('ok');
    const { result } = await asked;
    expect(result.cell.state).toBe('done');
    expect(given.said).toBe('onetwo\n');
  });

  it('tells the last words once, however long that takes', async () => {
    given.slow = 400;
    const asked = given.ask('r1', { action: 'run', args: { cell: 'cell1' } });
    await until(() => FakeCell.ran.length);
    given.prints('once\n');
    given.panel.kernel.finish('ok');
    await asked;
    expect(given.said).toBe('once\n');
  });

  it('takes, tells and answers once over a line that loses answers', async () => {
    given.loses = 2;
    const asked = given.ask('r1', { action: 'run', args: { cell: 'cell1' } });
    await until(() => FakeCell.ran.length);
    given.prints('once\n');
    given.panel.kernel.finish('ok');
    expect((await asked).result.cell.state).toBe('done');
    expect(given.said).toBe('once\n');
    expect(FakeCell.ran).toEqual(['cell1']);
    expect(given.played.times('POST notebooks/requests/r1/take')).toBe(2);
    expect(given.played.times('POST notebooks/requests/r1/said')).toBe(2);
    await until(() => given.played.times('POST notebooks/requests/r1') === 2);
  });

  it('two who wait for one cell both hear it', async () => {
    given.ring('r1', { action: 'run', args: { cell: 'cell1' } });
    await until(() => FakeCell.ran.length);
    given.ring('r2', { action: 'run', args: { cell: 'cell1' } });
    await until(() => given.taken.includes('r2'));
    await new Promise(resolve => setTimeout(resolve, 10));
    const { hook } = given.panel.content.widgets[1];
    const content = { text: 'both\n' };
    hook({ header: { msg_type: 'stream' }, content });
    given.end('r1', 'leave');
    await until(() => given.answers.r1);
    hook({ header: { msg_type: 'stream' }, content });
    given.panel.kernel.finish('ok');
    await until(() => given.answers.r2);
    expect(FakeCell.ran).toEqual(['cell1']);
    expect(given.words).toEqual({ r1: 'both\n', r2: 'both\nboth\n' });
  });

  it('a cell of the same id in another notebook is another cell', async () => {
    const other = given.another('copy.ipynb');
    await until(
      () => given.announced[given.announced.length - 1].notebooks.length === 2
    );
    given.ring('r1', { action: 'run', args: { cell: 'cell1' } });
    await until(() => FakeCell.ran.length === 1);
    const run = { action: 'run', args: { cell: 'cell1' } };
    given.ring('r2', { ...run, path: '/srv/copy.ipynb' });
    await until(() => FakeCell.ran.length === 2);
    other.kernel.finish('ok');
    await until(() => given.answers.r2);
    expect(given.answers.r2.result).toMatchObject({ cell: { state: 'done' } });
    expect(given.answers.r1).toBeUndefined();
    given.panel.kernel.finish('ok');
    await until(() => given.answers.r1);
  });

  it('says what is open one word after the other', async () => {
    const before = given.announced.length;
    given.slow = 300;
    for (const dirty of [true, false, true]) {
      given.panel.context.model.dirty = dirty;
      given.panel.context.model.stateChanged.emit();
      await new Promise(resolve => setTimeout(resolve, 150));
    }
    await until(
      () =>
        given.announced.length >= before + 2 &&
        given.announced[given.announced.length - 1].notebooks[0].dirty
    );
    expect(given.together).toBe(1);
  });

  it('interrupts what it began, and leaves it when told to', async () => {
    given.ring('r1', { action: 'run', args: { cell: 'cell1' } });
    await until(() => FakeCell.ran.length);
    given.end('r1', 'leave');
    await until(() => given.answers.r1);
    expect(given.answers.r1.result).toMatchObject({
      cell: { state: 'running' }
    });
    // The same cell again is waited for, not begun anew.
    given.ring('r2', { action: 'run', args: { cell: 'cell1' } });
    await until(() => given.taken.includes('r2'));
    await new Promise(resolve => setTimeout(resolve, 10));
    given.end('r2', 'stop');
    await until(() => given.answers.r2);
    expect(given.answers.r2.result).toMatchObject({
      cell: { state: 'stopped' }
    });
    expect(FakeCell.ran).toEqual(['cell1']);
    expect(given.panel.kernel.interrupts).toBe(1);
  });

  it('hears an end that is told before it knows what to do', async () => {
    given.slow = 100;
    given.ring('r1', { action: 'run', args: { cell: 'cell1' } });
    await until(() => given.taken.length);
    expect(FakeCell.ran).toEqual([]);
    given.end('r1', 'stop');
    given.panel.kernel.finish('ok');
    await until(() => given.answers.r1);
    expect(given.answers.r1.result).toMatchObject({
      cell: { state: 'stopped' }
    });
  });

  it('does not interrupt a cell that a person runs', async () => {
    given.panel.kernel.status = 'busy';
    given.ring('r1', { action: 'run', args: { cell: 'cell1' } });
    await until(() => given.taken.length);
    await new Promise(resolve => setTimeout(resolve, 10));
    given.end('r1', 'stop');
    await until(() => given.answers.r1);
    expect(given.answers.r1.result).toMatchObject({
      cell: { state: 'stopped' }
    });
    expect(given.panel.kernel.interrupts).toBe(0);
    expect(FakeCell.ran).toEqual([]);
  });

  it('refuses what is no code, or not there', async () => {
    const markdown = { action: 'run', args: { cell: 'cell0' } };
    expect((await given.ask('r1', markdown)).error.type).toBe('cannot_be_done');
    const gone = { action: 'run', args: { cell: 'gone' } };
    expect((await given.ask('r2', gone)).error.type).toBe('not_found');
  });
});

it('looking at a notebook starts no engine where ragent is not used', async () => {
  FakeSocket.all = [];
  const given = new Given(false);
  given.bridge.add(given.panel as unknown as NotebookPanel);
  await until(() => given.played.times('GET project'));
  await new Promise(resolve => setTimeout(resolve, 150));
  expect(given.played.asked).toEqual(['GET project']);
  expect(FakeSocket.all).toEqual([]);
  // It comes into use, and somebody looks at the page again.
  given.played.routes['GET project'] = () => ({
    root: '/srv',
    project: '/srv',
    candidates: ['/srv']
  });
  given.bridge.look();
  await until(() => given.announced.length);
});
