import { Signal, type ISignal } from '@lumino/signaling';
import { Beat } from './beat';

/** Objects by id in a fixed order. Reading gives the same array until `changed` fires, at most ten times a second. */
export class Collection<T extends { id: string }> {
  private readonly byId = new Map<string, T>();
  private list: readonly T[] = [];
  private dirty = false;
  private readonly _changed = new Signal<this, void>(this);
  private readonly beat = new Beat(() => this._changed.emit());

  constructor(private readonly compare: (a: T, b: T) => number) {}

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get(id: string): T | undefined {
    return this.byId.get(id);
  }

  get size(): number {
    return this.byId.size;
  }

  all = (): readonly T[] => {
    if (this.dirty) {
      this.dirty = false;
      this.list = Object.freeze([...this.byId.values()].sort(this.compare));
    }
    return this.list;
  };

  put(...items: T[]): void {
    for (const item of items) {
      this.byId.set(item.id, item);
    }
    this.ring();
  }

  remove(id: string): void {
    if (this.byId.delete(id)) {
      this.ring();
    }
  }

  /** Only these: what is not named is gone. */
  replaceAll(items: T[]): void {
    this.byId.clear();
    this.put(...items);
  }

  /** Tells now, not at the next beat. */
  flush(): void {
    this.beat.flush();
  }

  private ring(): void {
    this.dirty = true;
    this.beat.ring();
  }
}
