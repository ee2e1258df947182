import { Signal, type ISignal } from '@lumino/signaling';
import { ApiError } from '../api';
import { ENDED, type Project } from './project';

const TAIL_BYTES = 64 * 1024;
const KEEP_CHARACTERS = 256 * 1024;
const EVERY_MS = 1000;

export interface LogText {
  text: string;
  /** Whether something stands before what is shown. */
  cut: boolean;
  size: number;
  phase: 'loading' | 'ready' | 'failed';
  error: ApiError | null;
}

/** The end of one run's log, growing while the run lives and somebody looks. */
export class LogModel {
  private next = -TAIL_BYTES;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private busy = false;
  private running = false;
  private settled = false;
  private _log: LogText = {
    text: '',
    cut: false,
    size: 0,
    phase: 'loading',
    error: null
  };
  private readonly _changed = new Signal<this, void>(this);

  constructor(
    private readonly project: Project,
    private readonly run: string
  ) {}

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  log = (): LogText => this._log;

  start(): void {
    this.running = true;
    this.project.awakeChanged.connect(this.look, this);
    void this.read();
  }

  stop(): void {
    this.running = false;
    this.project.awakeChanged.disconnect(this.look, this);
    if (this.timer !== null) {
      clearTimeout(this.timer);
      this.timer = null;
    }
  }

  private look(): void {
    if (this.project.awake) {
      void this.read();
    } else if (this.timer !== null) {
      clearTimeout(this.timer);
      this.timer = null;
    }
  }

  private async read(): Promise<void> {
    if (this.busy || !this.running || !this.project.awake || this.settled) {
      return;
    }
    this.busy = true;
    try {
      // Asked before the log is: what the run wrote last is in the answer that follows.
      const status = this.project.runs.get(this.run)?.status;
      const reply = await this.project.api.logs(
        this.run,
        this.next,
        TAIL_BYTES
      );
      const first = this.next < 0;
      this.next = reply.next;
      this.settled =
        status !== undefined && ENDED.has(status) && reply.next >= reply.size;
      if (reply.text || first) {
        const text = this._log.text + reply.text;
        const cut = text.length > KEEP_CHARACTERS;
        this.set({
          text: cut
            ? text.slice(text.indexOf('\n', text.length - KEEP_CHARACTERS) + 1)
            : text,
          cut: this._log.cut || cut || (first && reply.offset > 0),
          size: reply.size,
          phase: 'ready',
          error: null
        });
      }
    } catch (error) {
      if (error instanceof ApiError) {
        this.set({ phase: 'failed', error });
      } else {
        throw error;
      }
    } finally {
      this.busy = false;
    }
    if (this.running && this.project.awake && !this.settled) {
      this.timer = setTimeout(() => void this.read(), EVERY_MS);
    }
  }

  private set(part: Partial<LogText>): void {
    this._log = { ...this._log, ...part };
    this._changed.emit();
  }
}
