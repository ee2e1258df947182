/** Turns many rings into one call at the next frame of the screen; where nothing is drawn, a little later. */
export class Frame {
  private asked = false;

  constructor(private readonly call: () => void) {}

  ring(): void {
    if (this.asked) {
      return;
    }
    this.asked = true;
    // A hidden page gets no frames, and a test may have none at all.
    if (
      typeof requestAnimationFrame === 'function' &&
      document.visibilityState === 'visible'
    ) {
      requestAnimationFrame(() => this.flush());
    } else {
      setTimeout(() => this.flush(), 100);
    }
  }

  flush(): void {
    if (this.asked) {
      this.asked = false;
      this.call();
    }
  }
}
