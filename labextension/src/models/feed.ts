/**
 * The project's events, read from a cursor: over one WebSocket a tab, else as NDJSON, else by long poll.
 *
 * A frame that brings nothing although the server answers is given up for the next one. Whatever the frame, an
 * event whose seq was seen changes nothing, so reading again from an older cursor is harmless.
 */
import { Signal, type ISignal } from '@lumino/signaling';
import { ApiError, type EventsReply } from '../api';
import type { Envelope } from '../wire';

/** Unsaved: they carry the newest seq of the log, which says nothing about what this reader has seen. */
const DOORBELLS = new Set([
  'metrics_changed',
  'run_progress',
  'part_delta',
  'tool_progress',
  'notebook_request',
  'notebook_end',
  'notebook_review'
]);
const TOPICS = [
  'runs',
  'sweeps',
  'alerts',
  'metrics',
  'prefs',
  'engine',
  'sessions',
  'memory',
  'wild'
];
/** The engine pings every 15 s. */
const SILENCE_MS = 40_000;
const FIRST_BYTE_MS = 10_000;
const POLL_WAIT_S = 20;

export type Frame = 'socket' | 'ndjson' | 'poll';
const FRAMES: readonly Frame[] = ['socket', 'ndjson', 'poll'];

export interface FeedSource {
  socket(): WebSocket;
  eventLines(
    after: number,
    topics: string[],
    signal: AbortSignal
  ): Promise<AsyncGenerator<Envelope>>;
  events(
    after: number,
    topics: string[],
    wait: number,
    signal: AbortSignal
  ): Promise<EventsReply>;
  status(): Promise<unknown>;
}

export interface FeedState {
  /** asleep: nobody looks; connecting: never live yet; stale: was live, is not; refused: the server says no. */
  kind: 'asleep' | 'connecting' | 'live' | 'stale';
  frame: Frame;
  /** When the picture was last known to be right, unix seconds. */
  freshAt: number | null;
  error: ApiError | null;
}

export class Feed {
  private after = 0;
  private logId = '';
  private rank = 0;
  /** A socket that has worked on this page is worth another try; one that never has is not, before the others failed. */
  private socketWorks = false;
  private stopping: AbortController | null = null;
  private retryNow: () => void = () => undefined;
  private _state: FeedState = {
    kind: 'asleep',
    frame: 'socket',
    freshAt: null,
    error: null
  };
  private readonly _received = new Signal<this, Envelope>(this);
  private readonly _stateChanged = new Signal<this, void>(this);
  private readonly _gap = new Signal<this, void>(this);

  constructor(
    private readonly source: FeedSource,
    private readonly backoff = (failures: number) =>
      Math.min(15_000, 300 * 2 ** failures) * (0.75 + Math.random() / 2),
    private readonly topics: readonly string[] = TOPICS
  ) {}

  get received(): ISignal<this, Envelope> {
    return this._received;
  }
  get stateChanged(): ISignal<this, void> {
    return this._stateChanged;
  }
  /** The cursor is of no use any more (another log, or too old): read everything anew, then `start` again. */
  get gap(): ISignal<this, void> {
    return this._gap;
  }
  get state(): FeedState {
    return this._state;
  }
  get seq(): number {
    return this.after;
  }

  /** Reads what came after `seq` of the log `logId`, until `stop`. */
  start(seq: number, logId: string): void {
    this.stop();
    this.after = seq;
    this.logId = logId;
    if (this.socketWorks) {
      this.rank = 0;
    }
    this.stopping = new AbortController();
    this.set({ kind: 'connecting', error: null });
    void this.loop(this.stopping.signal);
  }

  /** Reads on from where it was. */
  resume(): void {
    this.start(this.after, this.logId);
  }

  stop(): void {
    this.stopping?.abort();
    this.stopping = null;
    this.set({ kind: 'asleep' });
  }

  /** Does not wait for the back-off to end. */
  hurry(): void {
    this.retryNow();
  }

  private async loop(stop: AbortSignal): Promise<void> {
    let failures = 0;
    while (!stop.aborted) {
      const frame = FRAMES[this.rank % FRAMES.length];
      let heard = false;
      const once = new AbortController();
      const end = () => once.abort();
      stop.addEventListener('abort', end);
      let silence = setTimeout(end, FIRST_BYTE_MS);
      const hear = (envelopes: Envelope[]) => {
        if (once.signal.aborted) {
          return;
        }
        clearTimeout(silence);
        silence = setTimeout(end, SILENCE_MS);
        heard = true;
        failures = 0;
        this.socketWorks ||= frame === 'socket';
        this.set({
          kind: 'live',
          frame,
          error: null,
          freshAt: Date.now() / 1000
        });
        envelopes.forEach(e => this.take(e));
      };
      try {
        await this.read(frame, once.signal, hear);
      } catch {
        // Why it failed is asked of `status` below: a socket cannot say.
      }
      clearTimeout(silence);
      once.abort();
      stop.removeEventListener('abort', end);
      if (stop.aborted) {
        return;
      }
      const error = await this.whatIsWrong();
      if (stop.aborted) {
        return;
      }
      this.set({ kind: this._state.freshAt ? 'stale' : 'connecting', error });
      if (!heard && !error) {
        this.rank += 1;
      }
      await this.pause(this.backoff(failures++), stop);
    }
  }

  private async read(
    frame: Frame,
    end: AbortSignal,
    hear: (envelopes: Envelope[]) => void
  ): Promise<void> {
    if (frame === 'socket') {
      return this.readSocket(end, hear);
    }
    if (frame === 'ndjson') {
      const lines = await this.source.eventLines(
        this.after,
        [...this.topics],
        end
      );
      for await (const envelope of lines) {
        hear([envelope]);
      }
      return;
    }
    for (let wait = 0; !end.aborted; wait = POLL_WAIT_S) {
      const reply = await this.source.events(
        this.after,
        [...this.topics],
        wait,
        end
      );
      if (this.logId && reply.log_id !== this.logId) {
        this._gap.emit();
        return;
      }
      hear(reply.events);
      this.after = Math.max(this.after, reply.next);
    }
  }

  private readSocket(
    end: AbortSignal,
    hear: (envelopes: Envelope[]) => void
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = this.source.socket();
      const close = () => socket.close();
      end.addEventListener('abort', close);
      socket.onopen = () =>
        socket.send(JSON.stringify({ after: this.after, topics: this.topics }));
      socket.onmessage = message =>
        // One frame holds one or more envelopes, a line each.
        hear(
          String(message.data)
            .split('\n')
            .map(line => JSON.parse(line) as Envelope)
        );
      socket.onclose = () => {
        end.removeEventListener('abort', close);
        resolve();
      };
      socket.onerror = () => reject(new Error('socket'));
      if (end.aborted) {
        close();
      }
    });
  }

  private take(envelope: Envelope): void {
    const { type, seq } = envelope;
    if (type === 'ping') {
      return;
    }
    if (type === 'hello') {
      const hello = envelope.data as { log_id?: string; seq?: number };
      const other = hello.log_id && this.logId && hello.log_id !== this.logId;
      if (other || (hello.seq ?? this.after) < this.after) {
        this._gap.emit();
      }
      return;
    }
    if (type === 'snapshot_needed') {
      this._gap.emit();
      return;
    }
    // A part may be told without being saved, between two records; its reader knows whether it is old.
    if (DOORBELLS.has(type) || (type === 'part_update' && seq <= this.after)) {
      this._received.emit(envelope);
      return;
    }
    if (seq > this.after) {
      this.after = seq;
      this._received.emit(envelope);
    }
  }

  private async whatIsWrong(): Promise<ApiError | null> {
    try {
      await this.source.status();
      return null;
    } catch (error) {
      return error instanceof ApiError
        ? error
        : new ApiError(0, 'unreachable', String(error), '');
    }
  }

  private pause(ms: number, stop: AbortSignal): Promise<void> {
    return new Promise(resolve => {
      const go = () => {
        clearTimeout(timer);
        this.retryNow = () => undefined;
        stop.removeEventListener('abort', go);
        resolve();
      };
      const timer = setTimeout(go, ms);
      this.retryNow = go;
      stop.addEventListener('abort', go);
    });
  }

  private set(part: Partial<FeedState>): void {
    const next = { ...this._state, ...part };
    const same =
      next.kind === this._state.kind &&
      next.frame === this._state.frame &&
      next.error === this._state.error;
    this._state = next;
    if (!same) {
      this._stateChanged.emit();
    }
  }
}
