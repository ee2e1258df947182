/** What a browser knows of a project's wild loops: the list, and of those that live the figures around them. */
import { Signal, type ISignal } from '@lumino/signaling';
import type { ApiError } from '../api';
import type { Envelope, Loop, LoopReply, SetupReply } from '../wire';
import { Beat } from './beat';
import { asApiError } from './chatdesk';
import { Collection } from './collection';
import type { Project } from './project';
import { isOver, wholeLoop } from './wild';
import { WildApi } from './wildapi';
import type { Answer, KnobEdit } from './wilddraft';

const LOOP_EVENTS = new Set(['wild_created', 'wild_changed', 'wild_ended']);
/** Counts and the summary come with a loop's own page; they are asked for at most this often. */
const ASK_MS = 1500;

/** What a check has found, and what a person has changed about it. key: of the form that was checked. */
export interface Checked {
  key: string;
  reply: SetupReply;
  edits: Record<string, KnobEdit>;
  answers: Record<string, Answer>;
  metric: string;
  mode: 'min' | 'max';
}

export interface WildPhase {
  phase: 'idle' | 'loading' | 'ready' | 'failed';
  error: ApiError | null;
}

export class WildDesk {
  readonly loops = new Collection<Loop>(
    (a, b) =>
      Number(isOver(a)) - Number(isOver(b)) ||
      b.created_at - a.created_at ||
      (a.id < b.id ? 1 : -1)
  );
  readonly api: WildApi;
  /** What a check has found, until the loop is started: it outlives a look at another tab. */
  checked: Checked | null = null;
  private readonly replies = new Map<string, LoopReply>();
  private readonly watched = new Map<string, number>();
  private readonly stale = new Set<string>();
  private _phase: WildPhase = { phase: 'idle', error: null };
  private waitingCache: { from: readonly Loop[]; n: number } | null = null;
  private livingCache: { from: readonly Loop[]; found: Loop | null } | null =
    null;
  private readonly _phaseChanged = new Signal<this, void>(this);
  private readonly _repliesChanged = new Signal<this, void>(this);
  private readonly beat = new Beat(() => void this.refresh(), ASK_MS);

  constructor(readonly project: Project) {
    this.api = new WildApi(project.api);
    project.feed.received.connect((_, envelope) => this.take(envelope));
    project.loadingChanged.connect(() => {
      if (project.loading.phase === 'ready') {
        void this.load();
      }
    });
    project.feed.gap.connect(() => void this.load());
    project.awakeChanged.connect((_, awake) => {
      if (awake) {
        this.ask(...this.watched.keys());
      } else {
        this.beat.cancel();
      }
    });
  }

  get phaseChanged(): ISignal<this, void> {
    return this._phaseChanged;
  }
  get repliesChanged(): ISignal<this, void> {
    return this._repliesChanged;
  }

  phase = (): WildPhase => this._phase;
  reply = (id: string): LoopReply | undefined => this.replies.get(id);

  /** Loops that wait for a person. */
  waiting = (): number => {
    const from = this.loops.all();
    if (this.waitingCache?.from !== from) {
      const n = from.filter(loop => loop.question && !isOver(loop)).length;
      this.waitingCache = { from, n };
    }
    return this.waitingCache!.n;
  };

  /** The loop that lives: one that waits for a person before others, else the newest. */
  living = (): Loop | null => {
    const from = this.loops.all();
    if (this.livingCache?.from !== from) {
      const alive = from.filter(loop => !isOver(loop));
      const found = alive.find(loop => loop.question) ?? alive[0] ?? null;
      this.livingCache = { from, found };
    }
    return this.livingCache!.found;
  };

  async load(): Promise<void> {
    if (this._phase.phase === 'loading') {
      return;
    }
    this.setPhase({ phase: 'loading', error: null });
    try {
      this.loops.replaceAll(await this.api.loops());
      this.loops.flush();
      this.setPhase({ phase: 'ready', error: null });
      this.ask(...this.watched.keys());
    } catch (error) {
      this.setPhase({ phase: 'failed', error: asApiError(error) });
    }
  }

  put(loop: Loop): void {
    this.loops.put(loop);
    this.ask(loop.id);
  }

  /** The figures of this loop are kept fresh until the returned call. */
  watch(id: string): () => void {
    this.watched.set(id, (this.watched.get(id) ?? 0) + 1);
    if (!this.replies.has(id)) {
      this.stale.add(id);
      void this.refresh();
    }
    return () => {
      const left = (this.watched.get(id) ?? 1) - 1;
      if (left > 0) {
        this.watched.set(id, left);
      } else {
        this.watched.delete(id);
      }
    };
  }

  private ask(...ids: string[]): void {
    for (const id of ids) {
      this.stale.add(id);
    }
    if (this.project.awake && this.stale.size) {
      this.beat.ring();
    }
  }

  private async refresh(): Promise<void> {
    const ids = [...this.stale].filter(id => this.watched.has(id));
    this.stale.clear();
    for (const id of ids) {
      try {
        const reply = await this.api.loop(id);
        this.replies.set(id, reply);
        // What was told meanwhile may be newer than this answer.
        const known = this.loops.get(id);
        if (!known || known.entries <= reply.loop.entries) {
          this.loops.put(reply.loop);
        }
        this._repliesChanged.emit();
      } catch {
        // The feed says that the server is away; the last figures stay, with their age in the strip.
      }
    }
  }

  private take({ topic, type, data }: Envelope): void {
    if (topic === 'wild' && LOOP_EVENTS.has(type)) {
      this.put(wholeLoop(data as Partial<Loop>));
    } else if (
      topic === 'runs' &&
      (type === 'run_created' || type === 'run_ended')
    ) {
      const sweep = this.project.sweeps.get(
        (data as { sweep_id?: string }).sweep_id ?? ''
      );
      if (sweep?.loop_id && this.watched.has(sweep.loop_id)) {
        this.ask(sweep.loop_id);
      }
    } else if (topic === 'alerts') {
      this.ask(...this.watched.keys());
    }
  }

  private setPhase(phase: WildPhase): void {
    this._phase = phase;
    this._phaseChanged.emit();
  }
}
