/** The engine's routes, as typed calls. Lab and the page each bring a `Door`, the way to reach them. */
import {
  ALERT_DEFAULTS,
  ESTIMATE_DEFAULTS,
  RUN_DEFAULTS,
  SWEEP_DEFAULTS,
  type Alert,
  type AlertsReply,
  type CreateRun,
  type Envelope,
  type ErrorReply,
  type Interpreter,
  type LogsReply,
  type MetricNames,
  type Run,
  type RunsReply,
  type SeriesReply,
  type StatusReply,
  type Sweep,
  type SweepsReply
} from './wire';
import { plainEnglish, type Trans } from './words';
import { requestId } from './models/once';

export const API = 'ragent/api/v1/';

/** How requests leave: with whose cookies, headers and base address. */
export interface Door {
  fetch(url: string, init: RequestInit): Promise<Response>;
  /** With a slash at the end. */
  baseUrl: string;
  wsUrl: string;
}

/** A refusal: what is wrong and what helps. status 0: no answer came at all. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly type: string,
    readonly problem: string,
    readonly remedy: string
  ) {
    super(`${problem} ${remedy}`.trim());
  }

  /** Everything, for the clipboard. */
  get details(): string {
    return [
      this.problem,
      this.remedy,
      `(${this.status || 'no answer'}, ${this.type})`
    ]
      .filter(Boolean)
      .join('\n');
  }
}

/** Objects travel without the fields that have their default: absent means default. */
export const wholeRun = (raw: Partial<Run>): Run =>
  ({ ...RUN_DEFAULTS, ...raw }) as Run;
export const wholeAlert = (raw: Partial<Alert>): Alert =>
  ({ ...ALERT_DEFAULTS, ...raw }) as Alert;
export const wholeSweep = (raw: Partial<Sweep>): Sweep =>
  ({
    ...SWEEP_DEFAULTS,
    ...raw,
    estimate: raw.estimate ? { ...ESTIMATE_DEFAULTS, ...raw.estimate } : null
  }) as Sweep;

/** Splits a byte stream into JSON lines, whatever the borders of its chunks. */
export async function* ndjson<T>(
  body: ReadableStream<Uint8Array>
): AsyncGenerator<T> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (;;) {
      const { value, done } = await reader.read();
      rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
      const lines = rest.split('\n');
      rest = done ? '' : (lines.pop() ?? '');
      for (const line of lines) {
        if (line.trim()) {
          yield JSON.parse(line) as T;
        }
      }
      if (done) {
        return;
      }
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

export interface SeriesQuery {
  runs: string[];
  names: string[];
  x: 'step' | 'time' | 'relative';
  points: number;
  since?: string[];
}

export interface EventsReply {
  events: Envelope[];
  next: number;
  log_id: string;
}

/** Which folder the server's ragent works on; `candidates` are projects below the server's root. */
export interface ProjectReply {
  root: string;
  project: string | null;
  problem: string;
  remedy: string;
  candidates: string[];
}

/** A list is the same name several times. */
type Query = Record<string, string | number | string[] | undefined>;

export class Api {
  constructor(
    private readonly door: Door,
    private readonly trans: Trans = plainEnglish
  ) {}

  status = (): Promise<StatusReply> => this.get('status');

  async runs(query: Query = {}): Promise<RunsReply> {
    const reply = await this.get<RunsReply>('runs', query);
    return { ...reply, runs: reply.runs.map(wholeRun) };
  }

  async run(id: string): Promise<Run> {
    return wholeRun(await this.get(`runs/${id}`));
  }

  async createRun(body: CreateRun): Promise<Run> {
    return wholeRun(await this.send('POST', 'runs', body));
  }

  async start(id: string): Promise<Run> {
    return wholeRun(await this.send('POST', `runs/${id}/start`, {}));
  }

  async stop(id: string, now = false): Promise<Run> {
    return wholeRun(await this.send('POST', `runs/${id}/stop`, { now }));
  }

  async retry(id: string, set: Record<string, unknown> = {}): Promise<Run> {
    // A browser may send a POST twice: with an id it starts one run.
    const body = { set, request_id: requestId() };
    return wholeRun(await this.send('POST', `runs/${id}/retry`, body));
  }

  async archive(id: string): Promise<Run> {
    return wholeRun(await this.send('POST', `runs/${id}/archive`, {}));
  }

  metricNames = (id: string): Promise<MetricNames> =>
    this.get(`runs/${id}/metrics`);

  logs = (id: string, offset: number, limit: number): Promise<LogsReply> =>
    this.get(`runs/${id}/logs`, { offset, limit });

  async sweeps(): Promise<Sweep[]> {
    return (await this.get<SweepsReply>('sweeps')).sweeps.map(wholeSweep);
  }

  async stopSweep(id: string): Promise<void> {
    await this.send('POST', `sweeps/${id}/stop`, {});
  }

  async alerts(query: Query = {}): Promise<Alert[]> {
    return (await this.get<AlertsReply>('alerts', query)).alerts.map(
      wholeAlert
    );
  }

  async respond(id: string, choice: string): Promise<Alert> {
    return wholeAlert(
      await this.send('POST', `alerts/${id}/respond`, { choice })
    );
  }

  series(query: SeriesQuery, signal?: AbortSignal): Promise<SeriesReply> {
    const { runs, names, x, points, since } = query;
    return this.get(
      'metrics/series',
      {
        runs: runs.join(','),
        // A name may hold a comma.
        name: names,
        x,
        points,
        since: since?.join(',')
      },
      signal
    );
  }

  /** Pythons that a run may use, as they are typed into the form. */
  async interpreters(): Promise<string[]> {
    const reply = await this.get<{ interpreters: Interpreter[] }>(
      'interpreters'
    );
    return reply.interpreters.map(({ kind, name, path }) =>
      kind === 'conda' && name
        ? `conda:${name}`
        : kind === 'kernelspec' && name
          ? `kernel:${name}`
          : path
    );
  }

  /** What a person types to see a live run in its terminal; null where there is none. */
  async attachCommand(id: string): Promise<string | null> {
    const reply = await this.get<{ attach: string | null }>(`runs/${id}/files`);
    return reply.attach;
  }

  project = (): Promise<ProjectReply> => this.get('project');

  chooseProject = (path: string): Promise<ProjectReply> =>
    this.send('PUT', 'project', { path });

  /** No token in the address: the cookie that opened the page opens the socket too. */
  socket(): WebSocket {
    return new WebSocket(`${this.door.wsUrl}${API}events/ws`);
  }

  async eventLines(
    after: number,
    topics: string[],
    signal: AbortSignal
  ): Promise<AsyncGenerator<Envelope>> {
    const response = await this.ask(
      'events',
      { after, topics: topics.join(',') },
      { headers: { Accept: 'application/x-ndjson' }, signal }
    );
    if (!response.body) {
      throw this.noAnswer();
    }
    return ndjson<Envelope>(response.body);
  }

  events = (
    after: number,
    topics: string[],
    wait: number,
    signal: AbortSignal
  ): Promise<EventsReply> =>
    this.get('events', { after, topics: topics.join(','), wait }, signal);

  async get<T>(
    path: string,
    query: Query = {},
    signal?: AbortSignal
  ): Promise<T> {
    return (await this.ask(path, query, { signal })).json() as Promise<T>;
  }

  async send<T>(method: string, path: string, body: unknown): Promise<T> {
    const init = {
      method,
      body: JSON.stringify(body),
      headers: { 'Content-Type': 'application/json' }
    };
    return (await this.ask(path, {}, init)).json() as Promise<T>;
  }

  async getBytes(path: string, query: Query = {}): Promise<Blob> {
    return (await this.ask(path, query, {})).blob();
  }

  async sendBytes<T>(path: string, query: Query, body: Blob): Promise<T> {
    const init = {
      method: 'POST',
      body,
      headers: { 'Content-Type': body.type || 'application/octet-stream' }
    };
    return (await this.ask(path, query, init)).json() as Promise<T>;
  }

  private async ask(
    path: string,
    query: Query,
    init: RequestInit
  ): Promise<Response> {
    const pairs = Object.entries(query).flatMap(([key, value]) =>
      value === undefined
        ? []
        : Array.isArray(value)
          ? value.map(one => [key, one])
          : [[key, String(value)]]
    );
    const search = new URLSearchParams(pairs).toString();
    const url = `${this.door.baseUrl}${API}${path}${search ? `?${search}` : ''}`;
    let response: Response;
    try {
      response = await this.door.fetch(url, init);
    } catch (error) {
      if (init.signal?.aborted) {
        throw error;
      }
      throw this.noAnswer();
    }
    if (!response.ok) {
      throw await this.refusal(response);
    }
    return response;
  }

  private noAnswer(): ApiError {
    return new ApiError(
      0,
      'unreachable',
      this.trans.__('The Jupyter server does not answer.'),
      this.trans.__(
        'Runs go on without it. Start it again where it was started, then press Try again.'
      )
    );
  }

  private async refusal(response: Response): Promise<ApiError> {
    const { trans } = this;
    const { status } = response;
    try {
      const { error } = (await response.json()) as ErrorReply;
      if (error.problem) {
        return new ApiError(status, error.type, error.problem, error.remedy);
      }
    } catch {
      // Not one of our errors: a proxy's page, a login form. The status alone must do.
    }
    if (status === 401 || status === 403) {
      return new ApiError(
        status,
        'not_allowed',
        trans.__(
          'The Jupyter server refuses: you are not signed in, or may not use ragent.'
        ),
        trans.__(
          'Reload the page to sign in again. If that does not help, ask who runs the server.'
        )
      );
    }
    if (status === 404) {
      return new ApiError(
        status,
        'not_found',
        trans.__(
          'The server does not know this address: its part of ragent is not running.'
        ),
        trans.__(
          'Run "jupyter server extension enable ragent_jupyter" and start the server again.'
        )
      );
    }
    if (status >= 502 && status <= 504) {
      return new ApiError(
        status,
        'unreachable',
        trans.__('ragent does not answer at the moment (%1).', status),
        trans.__(
          'Runs go on without it. Run "ragent doctor" in a terminal to see why.'
        )
      );
    }
    return new ApiError(
      status,
      'internal',
      trans.__('The server answered %1.', status),
      trans.__(
        'Run "ragent doctor" in a terminal, or look at the log of the server.'
      )
    );
  }
}
