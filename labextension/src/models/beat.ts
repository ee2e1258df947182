/** Turns many rings into one call, at most one each `gap` milliseconds: views are told at 10 Hz, not per event. */
export class Beat {
  private timer: ReturnType<typeof setTimeout> | null = null;
  private last = -Infinity;

  constructor(
    private readonly call: () => void,
    private readonly gap = 100
  ) {}

  ring(): void {
    if (this.timer === null) {
      const wait = Math.max(0, this.last + this.gap - performance.now());
      this.timer = setTimeout(() => this.flush(), wait);
    }
  }

  /** Calls now if somebody has rung. */
  flush(): void {
    if (this.timer !== null) {
      clearTimeout(this.timer);
      this.timer = null;
      this.last = performance.now();
      this.call();
    }
  }

  cancel(): void {
    if (this.timer !== null) {
      clearTimeout(this.timer);
      this.timer = null;
    }
  }
}
