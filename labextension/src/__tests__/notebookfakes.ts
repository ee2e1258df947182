/** A notebook of Lab as the bridge meets it: the real shared model, and what stands around it played. */
import { YNotebook } from '@jupyter/ydoc';
import { Signal } from '@lumino/signaling';

import { Api } from '../api';
import { Bridge, type LabDoor } from '../notebooks/bridge';
import type { Message, NotebookPanel, SharedNotebook } from '../notebooks/lab';
import { Feed, type FeedSource } from '../models/feed';
import { Project } from '../models/project';
import { event, FakeSocket, Played, until } from './fakes';

export const CELLS = ['# Title', 'a = 1', 'b = 2'];

export function aModel(sources = CELLS): YNotebook {
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

export const shared = (model: YNotebook) => model as unknown as SharedNotebook;
export const sources = (model: YNotebook) =>
  model.cells.map(c => c.getSource());
let made = 0;
export const newId = () => `new${made++}`;
/** Ids count from 0 again. */
export const forgetIds = () => {
  made = 0;
};

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
export class FakeCell {
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

export class Given {
  played = new Played();
  panel = new FakePanel();
  requests: Record<string, unknown> = {};
  answers: Record<string, Record<string, unknown>> = {};
  announced: { notebooks: { path: string; dirty: boolean }[] }[] = [];
  said = '';
  words: Record<string, string> = {};
  /** So long does an acknowledgement take, ms. */
  slow = 0;
  /** Of each request so many are done, and their answer is lost but for the last. */
  loses = 1;
  /** So many announcements were under way at once. */
  together = 0;
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
    let open = 0;
    routes['POST notebooks/open'] = async (_, body) => {
      open += 1;
      this.together = Math.max(this.together, open);
      await this.pause();
      open -= 1;
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

  /** A second notebook, made as a copy of the first. */
  another(path: string): FakePanel {
    const panel = new FakePanel();
    panel.context.path = path;
    this.bridge.add(panel as unknown as NotebookPanel);
    return panel;
  }

  private pause = () => new Promise(resolve => setTimeout(resolve, this.slow));

  private lost: Record<string, number> = {};

  private lose(what: string): void {
    this.lost[what] = (this.lost[what] ?? 0) + 1;
    if (this.lost[what] < this.loses) {
      throw new TypeError('Failed to fetch');
    }
  }

  /** What the second cell's code prints in the kernel. */
  prints(text: string) {
    this.panel.content.widgets[1].hook({
      header: { msg_type: 'stream' },
      content: { text }
    });
  }

  ring(id: string, request: Record<string, unknown>, tab = this.bridge.tab) {
    const keys: Record<string, string> = {};
    let last = 0;
    this.played.routes[`POST notebooks/requests/${id}/take`] = async (
      _,
      body
    ) => {
      const { key } = body as { key: string };
      if (this.taken.includes(id) && keys[id] !== key) {
        return new Response('{"error": {"problem": "taken"}}', { status: 409 });
      }
      keys[id] = key;
      this.taken.push(id);
      await this.pause();
      this.lose('take');
      return { id, path: '/srv/nb.ipynb', ...request };
    };
    this.played.routes[`POST notebooks/requests/${id}/said`] = async (
      _,
      body
    ) => {
      const { n, text } = body as { n: number; text: string };
      if (n > last) {
        last = n;
        this.said += text;
        this.words[id] = (this.words[id] ?? '') + text;
      }
      await this.pause();
      this.lose('said');
      return {};
    };
    this.played.routes[`POST notebooks/requests/${id}`] = (_, body) => {
      this.answers[id] = body as never;
      this.lose('answer');
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
