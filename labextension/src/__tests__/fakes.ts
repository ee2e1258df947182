/** A played engine for models and components: in memory, answers at once, tells events when a test says so. */
import { Api, type Door } from '../api';
import { ChatDesk } from '../models/chatdesk';
import { Feed, type FeedSource } from '../models/feed';
import { PanelModel, type Memory } from '../models/panel';
import { Project } from '../models/project';
import { WildDesk } from '../models/wilddesk';
import type { Host } from '../hooks';
import type { Alert, Envelope, Run, Series } from '../wire';
import { plainEnglish } from '../words';

export const aRun = (id: string, more: Partial<Run> = {}): Partial<Run> => ({
  id,
  name: id,
  command: `python ${id}.py`,
  argv: ['python'],
  cwd: '/p',
  created_at: 1000,
  ...more
});

export const anAlert = (
  id: string,
  run: string,
  more: Partial<Alert> = {}
): Partial<Alert> => ({
  id,
  run_id: run,
  rule: 'non_finite',
  severity: 'critical',
  title: 'loss became NaN at step 4',
  raised_at: 1000,
  choices: [
    { id: 'lower', action: 'retry_with', label: 'Lower lr', set: { lr: 1 } },
    { id: 'stop', action: 'stop', label: 'Stop run', set: {} },
    { id: 'ignore', action: 'ignore', label: 'Ignore', set: {} }
  ],
  default: 'ignore',
  ...more
});

export const aSeries = (
  run: string,
  name: string,
  more: Partial<Series> = {}
): Series => ({
  run,
  name,
  x: [],
  last: [],
  min: [],
  max: [],
  raw: true,
  nonfinite: [],
  nonfinite_kinds: [],
  nonfinite_count: 0,
  total: 0,
  cursor: 'c0',
  reset: true,
  rewinds: [],
  forks: [],
  ...more
});

export const event = (
  seq: number,
  type: string,
  data: unknown,
  topic = 'runs'
): Envelope => ({ seq, time: 0, topic, type, data });

/** A socket whose other end is the test. */
export class FakeSocket {
  static all: FakeSocket[] = [];
  sent: string[] = [];
  closed = false;
  onopen: (() => void) | null = null;
  onmessage: ((message: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;
  onerror: (() => void) | null = null;

  constructor() {
    FakeSocket.all.push(this);
  }

  static get last(): FakeSocket {
    return FakeSocket.all[FakeSocket.all.length - 1];
  }

  send(text: string): void {
    this.sent.push(text);
  }

  close(): void {
    if (!this.closed) {
      this.closed = true;
      this.onclose?.();
    }
  }

  /** The other end opens, and says hello. */
  hello(seq: number, log = 'log_a'): void {
    this.onopen?.();
    this.say(event(seq, 'hello', { seq, log_id: log }, 'engine'));
  }

  say(...envelopes: Envelope[]): void {
    this.onmessage?.({
      data: envelopes.map(e => JSON.stringify(e)).join('\n')
    });
  }
}

export type Answer = (url: URL, body: unknown, method: string) => unknown;

/** Routes by "METHOD path"; an answer that is a Response goes out as it is. */
export class Played {
  asked: string[] = [];
  routes: Record<string, Answer> = {};
  seq = 5;

  constructor(runs: Partial<Run>[] = [], alerts: Partial<Alert>[] = []) {
    this.routes = {
      'GET status': () => ({
        project: '/p',
        version: '0',
        log_id: 'log_a',
        seq: this.seq,
        pid: 1,
        started_at: 0,
        counts: {},
        live: 0,
        queued: 0,
        alerts: 0,
        best: null,
        draining: false,
        problem: null
      }),
      'GET runs': () => ({
        runs,
        total: runs.length,
        counts: {},
        next: null
      }),
      'GET sweeps': () => ({ sweeps: [] }),
      'GET alerts': () => ({ alerts, pending: alerts.length }),
      'GET interpreters': () => ({ interpreters: [] })
    };
  }

  door: Door = {
    baseUrl: 'http://lab.test/',
    wsUrl: 'ws://lab.test/',
    fetch: async (address, init) => {
      const url = new URL(address);
      const path = url.pathname.replace('/ragent/api/v1/', '');
      const method = init.method ?? 'GET';
      this.asked.push(`${method} ${path}`);
      const answer = this.routes[`${method} ${path}`];
      if (!answer) {
        return new Response('<html>', { status: 404 });
      }
      const reply = await answer(
        url,
        init.body ? JSON.parse(String(init.body)) : null,
        method
      );
      return reply instanceof Response
        ? reply
        : new Response(JSON.stringify(reply));
    }
  };

  times(what: string): number {
    return this.asked.filter(asked => asked === what).length;
  }
}

export function makeProject(played: Played): Project {
  const api = new Api(played.door);
  api.socket = () => new FakeSocket() as unknown as WebSocket;
  return new Project(api, new Feed(api as FeedSource, () => 1));
}

export class InMind implements Memory {
  kept: unknown = null;
  load = async () => this.kept as null;
  save = async (state: unknown) => {
    this.kept = state;
  };
}

export function makeHost(
  project: Project,
  memory: Memory = new InMind()
): Host {
  return {
    project,
    panel: new PanelModel(memory),
    trans: plainEnglish,
    kernels: async () => ['kernel:python3'],
    points: () => 500,
    desk: new ChatDesk(project),
    wild: new WildDesk(project),
    enterSends: () => true
  };
}

/** Waits for a condition with a deadline. */
export async function until(
  condition: () => unknown,
  ms = 10_000
): Promise<void> {
  const end = Date.now() + ms;
  while (!condition()) {
    if (Date.now() > end) {
      throw new Error(`not so after ${ms} ms: ${condition}`);
    }
    await new Promise(resolve => setTimeout(resolve, 5));
  }
}
