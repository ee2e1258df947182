/** The tab's side of notebooks, on Lab's real shared model. */
import { readFileSync } from 'node:fs';
import { YNotebook } from '@jupyter/ydoc';
import { Signal } from '@lumino/signaling';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { Api } from '../api';
import { Bridge, type LabDoor } from '../notebooks/bridge';
import { applySteps, difference } from '../notebooks/cells';
import { diffLines } from '../notebooks/diff';
import type {
  CellJson,
  Message,
  NotebookPanel,
  OutputJson,
  SharedNotebook
} from '../notebooks/lab';
import { digests, viewOf } from '../notebooks/outputs';
import { Refusal, type CellStep } from '../notebooks/protocol';
import { Feed, type FeedSource } from '../models/feed';
import { Project } from '../models/project';
import { event, FakeSocket, Played, until } from './fakes';

const CELLS = ['# Title', 'a = 1', 'b = 2'];

function aModel(sources = CELLS): YNotebook {
  const model = new YNotebook();
  model.insertCells(
    0,
    sources.map((source, n) => ({
      cell_type: source.startsWith('#') ? 'markdown' : 'code',
      id: `cell${n}`,
      source
    }))
  );
  return model;
}

const shared = (model: YNotebook) => model as unknown as SharedNotebook;
const sources = (model: YNotebook) => model.cells.map(c => c.getSource());
let made = 0;
const newId = () => `new${made++}`;
const apply = (model: YNotebook, steps: CellStep[], strict = true) =>
  applySteps(shared(model), steps, strict, newId);

beforeEach(() => {
  made = 0;
});

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

// --- the bridge --------------------------------------------------------------------------------------------------
class FakeKernel {
  name = 'python3';
  status = 'idle';
  statusChanged = new Signal<this, void>(this);
  info = Promise.resolve({ language_info: { name: 'python' } });
  interrupts = 0;
  finish: (status: string) => void = () => undefined;
  async interrupt() {
    this.interrupts += 1;
    this.finish('error');
  }
  requestExecute() {
    const content = { user_expressions: { a: { status: 'ok' } } };
    const done = Promise.resolve({ header: { msg_type: '' }, content });
    return { done, dispose: () => undefined };
  }
}

/** A code cell whose class executes as Lab's does. */
class FakeCell {
  static ran: string[] = [];
  node = document.createElement('div');
  isDisposed = false;
  hook: (message: Message) => boolean = () => true;
  outputArea = {
    future: {
      done: Promise.resolve() as never,
      registerMessageHook: (hook: (message: Message) => boolean) => {
        this.hook = hook;
      },
      dispose: () => undefined
    }
  };
  constructor(
    readonly model: { id: string; type: string },
    readonly kernel: FakeKernel
  ) {}
  static execute(cell: FakeCell): Promise<Message> {
    FakeCell.ran.push(cell.model.id);
    return new Promise(resolve => {
      cell.kernel.finish = status =>
        resolve({ header: { msg_type: 'execute_reply' }, content: { status } });
    });
  }
}

class FakePanel {
  isDisposed = false;
  disposed = new Signal<this, void>(this);
  kernel = new FakeKernel();
  saves = 0;
  reverts = 0;
  model = aModel();
  context = {
    path: 'nb.ipynb',
    ready: Promise.resolve(),
    isReady: true,
    pathChanged: new Signal<this, void>(this),
    contentsModel: { last_modified: '2026-01-01T00:00:00Z' },
    model: {
      dirty: false,
      readOnly: false,
      sharedModel: shared(this.model),
      stateChanged: new Signal<this, void>(this),
      contentChanged: new Signal<this, void>(this)
    },
    save: async () => {
      this.saves += 1;
      this.context.model.dirty = false;
    },
    revert: async () => {
      this.reverts += 1;
    }
  };
  sessionContext = {
    session: { kernel: this.kernel },
    ready: Promise.resolve(),
    isReady: true,
    kernelChanged: new Signal<this, void>(this)
  };
  content = {
    node: document.createElement('div'),
    widgets: CELLS.map(
      (_, n) =>
        new FakeCell(
          { id: `cell${n}`, type: n ? 'code' : 'markdown' },
          this.kernel
        )
    )
  };
  constructor() {
    this.model.changed.connect(() => {
      this.context.model.dirty = true;
    });
  }
  close() {
    this.isDisposed = true;
    this.disposed.emit();
  }
}

class Given {
  played = new Played();
  panel = new FakePanel();
  requests: Record<string, unknown> = {};
  answers: Record<string, Record<string, unknown>> = {};
  announced: { notebooks: { path: string; dirty: boolean }[] }[] = [];
  said = '';
  taken: string[] = [];
  lastModified: string | null = null;
  left: unknown[] = [];
  project: Project;
  bridge: Bridge;

  constructor(used = true) {
    const { routes } = this.played;
    routes['GET project'] = () => ({
      root: '/srv',
      project: '/srv',
      candidates: used ? ['/srv'] : []
    });
    routes['POST notebooks/open'] = (_, body) => {
      this.announced.push(body as never);
      return { expires_s: 150 };
    };
    const door: LabDoor = {
      localPath: path => (path.includes(':') ? null : path),
      lastModified: async () => this.lastModified,
      leave: (path, body) => this.left.push([path, body]),
      newId
    };
    const api = new Api(this.played.door);
    api.socket = () => new FakeSocket() as unknown as WebSocket;
    this.project = new Project(api, new Feed(api as FeedSource, () => 1));
    this.bridge = new Bridge(
      api,
      this.project,
      door,
      new Feed(api as FeedSource, () => 1, ['engine'])
    );
  }

  async open(): Promise<void> {
    this.bridge.add(this.panel as unknown as NotebookPanel);
    await until(() => FakeSocket.all.length && FakeSocket.last.onopen);
    FakeSocket.last.hello(5);
  }

  ring(id: string, request: Record<string, unknown>, tab = this.bridge.tab) {
    this.played.routes[`POST notebooks/requests/${id}/take`] = () => {
      if (this.taken.includes(id)) {
        return new Response('{"error": {"problem": "taken"}}', { status: 409 });
      }
      this.taken.push(id);
      return { id, path: '/srv/nb.ipynb', ...request };
    };
    this.played.routes[`POST notebooks/requests/${id}/said`] = (_, body) => {
      this.said += (body as { text: string }).text;
      return {};
    };
    this.played.routes[`POST notebooks/requests/${id}`] = (_, body) => {
      this.answers[id] = body as never;
      return {};
    };
    FakeSocket.last.say(event(5, 'notebook_request', { id, tab }, 'engine'));
  }

  end(id: string, why: string) {
    const { tab } = this.bridge;
    FakeSocket.last.say(event(5, 'notebook_end', { id, tab, why }, 'engine'));
  }

  async ask(id: string, request: Record<string, unknown>) {
    this.ring(id, request);
    await until(() => this.answers[id]);
    return this.answers[id] as {
      ok: boolean;
      result: { cells: { source: string }[]; cell: { state: string } };
      error: { type: string; problem: string };
    };
  }
}

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
    given.panel.content.widgets[1].hook({
      header: { msg_type: 'stream' },
      content: { text }
    });
    given.panel.kernel.finish('ok');
    const { result } = await asked;
    expect(result.cell.state).toBe('done');
    expect(given.said).toBe('onetwo\n');
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
