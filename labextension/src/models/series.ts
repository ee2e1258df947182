/** The lines of one chart: read once, then only what came after, at most ten times a second and while it is seen. */
import { Signal, type ISignal } from '@lumino/signaling';
import { ApiError } from '../api';
import type { Series } from '../wire';
import { Beat } from './beat';
import type { Project } from './project';

export type XAxis = 'step' | 'time' | 'relative';

export interface ChartSpec {
  runs: string[];
  names: string[];
  x: XAxis;
  points: number;
}

export interface ChartLines {
  lines: readonly Series[];
  phase: 'loading' | 'ready' | 'failed';
  error: ApiError | null;
}

/** What came after is told point by point: a line that has doubled is better read anew, cut to buckets again. */
const GROWN = 2;

const filled = (column: (number | null)[], last: (number | null)[]) =>
  column.length === last.length ? column : last;

/** `more` at the end of `line`; a reset replaces it. */
export function extended(line: Series, more: Series): Series {
  if (more.reset) {
    return more;
  }
  const raw = line.raw && more.raw;
  return {
    ...more,
    raw,
    x: line.x.concat(more.x),
    last: line.last.concat(more.last),
    min: raw
      ? []
      : filled(line.min, line.last).concat(filled(more.min, more.last)),
    max: raw
      ? []
      : filled(line.max, line.last).concat(filled(more.max, more.last)),
    nonfinite: line.nonfinite.concat(more.nonfinite),
    nonfinite_kinds: line.nonfinite_kinds.concat(more.nonfinite_kinds),
    rewinds: line.rewinds.concat(more.rewinds),
    forks: more.forks.length ? more.forks : line.forks,
    reset: false
  };
}

export class SeriesModel {
  private cursors: string[] | null = null;
  private busy: AbortController | null = null;
  private again = false;
  private running = false;
  private poll: ReturnType<typeof setInterval> | null = null;
  private _chart: ChartLines = { lines: [], phase: 'loading', error: null };
  private readonly _changed = new Signal<this, void>(this);
  private readonly beat = new Beat(() => void this.read());

  constructor(
    private readonly project: Project,
    readonly spec: ChartSpec
  ) {}

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  chart = (): ChartLines => this._chart;

  start(): void {
    this.running = true;
    this.project.metricsRang.connect(this.rung, this);
    this.project.awakeChanged.connect(this.look, this);
    this.project.feed.stateChanged.connect(this.fed, this);
    this.beat.ring();
    this.fed();
  }

  stop(): void {
    this.running = false;
    this.project.metricsRang.disconnect(this.rung, this);
    this.project.awakeChanged.disconnect(this.look, this);
    this.project.feed.stateChanged.disconnect(this.fed, this);
    this.rest();
  }

  private rung(_: Project, run: string): void {
    if (this.spec.runs.includes(run)) {
      this.beat.ring();
    }
  }

  private look(): void {
    if (this.project.awake) {
      this.beat.ring();
    } else {
      this.rest();
    }
  }

  /** A long poll brings no doorbells, and a feed that was away may have missed some. */
  private fed(): void {
    const { kind, frame } = this.project.feed.state;
    if (this.poll !== null) {
      clearInterval(this.poll);
      this.poll = null;
    }
    if (kind === 'live') {
      this.beat.ring();
      if (frame === 'poll') {
        this.poll = setInterval(() => this.beat.ring(), 2000);
      }
    }
  }

  private rest(): void {
    this.beat.cancel();
    this.busy?.abort();
    if (this.poll !== null) {
      clearInterval(this.poll);
      this.poll = null;
    }
  }

  private async read(): Promise<void> {
    if (!this.running || !this.project.awake || !this.spec.runs.length) {
      return;
    }
    if (this.busy) {
      this.again = true;
      return;
    }
    const busy = new AbortController();
    this.busy = busy;
    try {
      const since = this.cursors ?? undefined;
      const reply = await this.project.api.series(
        { ...this.spec, since },
        busy.signal
      );
      this.take(reply.series, since !== undefined);
    } catch (error) {
      if (error instanceof ApiError) {
        this.set({
          phase: this._chart.lines.length ? 'ready' : 'failed',
          error
        });
      } else if (!busy.signal.aborted) {
        throw error;
      }
    } finally {
      this.busy = null;
    }
    if (this.again) {
      this.again = false;
      this.beat.ring();
    }
  }

  /** A run that has not logged a metric is not in the reply: its place among the cursors stays empty. */
  private take(told: Series[], delta: boolean): void {
    const keyOf = (run: string, name: string) => `${run}\n${name}`;
    const lines = new Map(
      this._chart.lines.map(line => [keyOf(line.run, line.name), line])
    );
    // An answer takes a refusal away, also where it brings nothing new.
    const { phase, error } = this._chart;
    let changed = !delta || phase !== 'ready' || error !== null;
    for (const more of told) {
      const key = keyOf(more.run, more.name);
      const line = lines.get(key);
      if (!line || !delta || more.reset) {
        changed = true;
        lines.set(key, more);
      } else if (more.x.length || more.nonfinite.length) {
        changed = true;
        lines.set(key, extended(line, more));
      }
    }
    const next = [...lines.values()];
    const grown = next.some(line => line.x.length > GROWN * this.spec.points);
    const cursors = new Map(told.map(t => [keyOf(t.run, t.name), t.cursor]));
    this.cursors = grown
      ? null
      : this.spec.runs.flatMap(run =>
          this.spec.names.map(name => cursors.get(keyOf(run, name)) ?? '')
        );
    if (changed) {
      this.set({ lines: next, phase: 'ready', error: null });
    }
  }

  private set(part: Partial<ChartLines>): void {
    this._chart = { ...this._chart, ...part };
    this._changed.emit();
  }
}
