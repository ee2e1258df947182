/** What a panel shows of one thing while it is seen: read, then kept up by what is told, at the pace of the screen. */
import { Signal, type ISignal } from '@lumino/signaling';
import type { Envelope } from '../wire';
import { Frame } from './frame';
import type { Project } from './project';

export abstract class Living<View> {
  protected running = false;
  private readonly _changed = new Signal<this, void>(this);
  private readonly frame = new Frame(() => this._changed.emit());

  constructor(
    private readonly project: Project,
    protected view_: View
  ) {}

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  view = (): View => this.view_;

  start(): void {
    this.running = true;
    this.project.feed.received.connect(this.onEvent);
    this.project.feed.gap.connect(this.onGap);
    this.project.awakeChanged.connect(this.onAwake);
    void this.load();
  }

  stop(): void {
    this.running = false;
    this.project.feed.received.disconnect(this.onEvent);
    this.project.feed.gap.disconnect(this.onGap);
    this.project.awakeChanged.disconnect(this.onAwake);
  }

  /** Tells now, not at the next frame. */
  flush(): void {
    this.frame.flush();
  }

  /** Reads what is missing; where all may be missing, anew. */
  abstract load(): Promise<void>;
  protected abstract hear(envelope: Envelope): void;

  /** Somebody looks again. */
  protected wake(): void {
    void this.load();
  }

  protected set(part: Partial<View>): void {
    this.view_ = { ...this.view_, ...part };
    this.frame.ring();
  }

  private onEvent = (_: unknown, envelope: Envelope): void =>
    this.hear(envelope);

  private onGap = (): void => void this.load();

  private onAwake = (_: unknown, awake: boolean): void => {
    if (awake) {
      this.wake();
    }
  };
}
