/** What the browser knows of a project: a snapshot, then the events after it. It rests while nobody looks. */
import { Signal, type ISignal } from '@lumino/signaling';
import { ApiError, wholeAlert, wholeRun, wholeSweep, type Api } from '../api';
import type {
  Alert,
  Envelope,
  MetricSummary,
  Progress,
  Run,
  RunStatus,
  StatusReply,
  Sweep
} from '../wire';
import { Beat } from './beat';
import { Collection } from './collection';
import { Feed } from './feed';

export const LIVE: ReadonlySet<RunStatus> = new Set([
  'launching',
  'running',
  'stopping'
]);
export const ENDED: ReadonlySet<RunStatus> = new Set([
  'finished',
  'failed',
  'stopped'
]);
const PAGE = 500;
const RANK = { critical: 0, warning: 1, info: 2 };

export interface Loading {
  phase: 'idle' | 'loading' | 'ready' | 'failed';
  error: ApiError | null;
}

export class Project {
  readonly runs = new Collection<Run>(
    (a, b) => b.created_at - a.created_at || (a.id < b.id ? 1 : -1)
  );
  readonly sweeps = new Collection<Sweep>(
    (a, b) => b.created_at - a.created_at
  );
  readonly alerts = new Collection<Alert>(
    (a, b) =>
      RANK[a.severity] - RANK[b.severity] ||
      b.raised_at - a.raised_at ||
      (a.id < b.id ? 1 : -1)
  );
  readonly feed: Feed;

  private viewers = 0;
  private attempt = 0;
  private complete = false;
  private _status: StatusReply | null = null;
  private _loading: Loading = { phase: 'idle', error: null };
  private openCache: { from: readonly Alert[]; open: readonly Alert[] } | null =
    null;
  private readonly _statusChanged = new Signal<this, void>(this);
  private readonly _loadingChanged = new Signal<this, void>(this);
  private readonly _awakeChanged = new Signal<this, boolean>(this);
  private readonly _metricsRang = new Signal<this, string>(this);
  /** The engine says what is best; it is asked again after something that may have changed it. */
  private readonly askStatus = new Beat(() => void this.refreshStatus(), 2000);

  constructor(
    readonly api: Api,
    feed?: Feed
  ) {
    this.feed = feed ?? new Feed(api);
    this.feed.received.connect((_, envelope) => this.fold(envelope));
    this.feed.gap.connect(() => void this.load());
  }

  get statusChanged(): ISignal<this, void> {
    return this._statusChanged;
  }
  get loadingChanged(): ISignal<this, void> {
    return this._loadingChanged;
  }
  get awakeChanged(): ISignal<this, boolean> {
    return this._awakeChanged;
  }
  /** A run's metrics have grown; the argument is its id. */
  get metricsRang(): ISignal<this, string> {
    return this._metricsRang;
  }
  get status(): StatusReply | null {
    return this._status;
  }
  get loading(): Loading {
    return this._loading;
  }
  get awake(): boolean {
    return this.viewers > 0;
  }

  /** A view is shown. Each call wants one `release` when it is hidden. */
  hold(): void {
    this.viewers += 1;
    if (this.viewers > 1) {
      return;
    }
    if (this.complete) {
      this.feed.resume();
    } else {
      void this.load();
    }
    this._awakeChanged.emit(true);
  }

  release(): void {
    this.viewers -= 1;
    if (this.viewers > 0) {
      return;
    }
    this.attempt += 1;
    this.feed.stop();
    this.askStatus.cancel();
    if (this._loading.phase === 'loading') {
      this.setLoading({ phase: 'idle', error: null });
    }
    this._awakeChanged.emit(false);
  }

  /** Reads everything anew, then follows what comes after. Safe to call at any time. */
  async load(): Promise<void> {
    const attempt = ++this.attempt;
    const current = () => attempt === this.attempt && this.awake;
    this.complete = false;
    this.feed.stop();
    if (this._loading.phase !== 'ready') {
      this.setLoading({ phase: 'loading', error: null });
    }
    try {
      const status = await this.api.status();
      if (!current()) {
        return;
      }
      // The cursor is older than what is read next: an event that comes twice changes nothing.
      this.setStatus(status);
      const [first, sweeps, alerts] = await Promise.all([
        this.api.runs({ limit: PAGE }),
        this.api.sweeps(),
        this.api.alerts()
      ]);
      if (!current()) {
        return;
      }
      this.runs.replaceAll(first.runs);
      this.sweeps.replaceAll(sweeps);
      this.alerts.replaceAll(alerts);
      this.setLoading({ phase: 'ready', error: null });
      this.feed.start(status.seq, status.log_id);
      for (let next = first.next; next;) {
        const page = await this.api.runs({ limit: PAGE, after: next });
        if (!current()) {
          return;
        }
        // What an event has brought meanwhile is newer than the page.
        this.runs.put(...page.runs.filter(run => !this.runs.get(run.id)));
        next = page.next;
      }
      this.complete = true;
    } catch (error) {
      if (current()) {
        this.setLoading({
          phase: 'failed',
          error:
            error instanceof ApiError
              ? error
              : new ApiError(0, 'internal', String(error), '')
        });
      }
    }
  }

  /** Alerts that wait for an answer, worst first. */
  open = (): readonly Alert[] => {
    const from = this.alerts.all();
    if (this.openCache?.from !== from) {
      const open = from.filter(alert => alert.status === 'pending');
      this.openCache = { from, open };
    }
    return this.openCache!.open;
  };

  private fold({ type, data }: Envelope): void {
    switch (type) {
      case 'run_created':
      case 'run_changed':
      case 'run_ended':
        this.putRun(wholeRun(data as Partial<Run>));
        this.askStatus.ring();
        break;
      case 'run_progress': {
        const told = data as {
          run: string;
          progress?: Progress | null;
          summary?: Record<string, MetricSummary>;
        };
        const run = this.runs.get(told.run);
        if (run && !ENDED.has(run.status)) {
          this.runs.put({
            ...run,
            progress: told.progress ?? run.progress,
            summary: { ...run.summary, ...told.summary }
          });
          this.askStatus.ring();
        }
        break;
      }
      case 'metrics_changed':
        this._metricsRang.emit((data as { run: string }).run);
        break;
      case 'sweep_created':
      case 'sweep_changed':
      case 'sweep_ended':
        this.sweeps.put(wholeSweep(data as Partial<Sweep>));
        break;
      case 'alert_raised':
      case 'alert_changed':
        this.alerts.put(wholeAlert(data as Partial<Alert>));
        break;
    }
  }

  /** A run as the engine has just told it. A live run's record may be older than its newest progress. */
  putRun(run: Run): void {
    const known = this.runs.get(run.id);
    if (run.archived) {
      this.runs.remove(run.id);
      return;
    }
    const live = known && !ENDED.has(run.status);
    this.runs.put(
      live
        ? {
            ...run,
            progress: run.progress ?? known.progress,
            summary: { ...known.summary, ...run.summary }
          }
        : run
    );
  }

  private async refreshStatus(): Promise<void> {
    try {
      const status = await this.api.status();
      if (this.awake) {
        this.setStatus(status);
      }
    } catch {
      // The feed says that the server is away; the strip keeps its last figures, with their age.
    }
  }

  private setStatus(status: StatusReply): void {
    this._status = status;
    this._statusChanged.emit();
  }

  private setLoading(loading: Loading): void {
    this._loading = loading;
    this._loadingChanged.emit();
  }
}
