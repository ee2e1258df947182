/**
 * A line to the engine that may lose an answer, or carry a request twice.
 *
 * A browser sends a POST again by itself when the connection that it reused was closed before an answer came; so what
 * is said here can be recognised by the engine when it comes again.
 */
import { ApiError } from '../api';

const SAID_MS = 150;
const STILL_MS = 10_000;
/** An acknowledgement that takes longer is taken for lost. */
const LOST_MS = 10_000;
const AGAIN_MS = 300;
const AGAIN_MOST_MS = 5000;
const LAST_MS = 3000;
/** UTF-16 units; a request may hold 10 MB. */
const MOST = 1_000_000;

/** Waits for whatever comes first; the time alone gives `undefined`. */
export async function within<T>(
  promise: Promise<T>,
  ms: number
): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>(resolve => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

const pause = (ms: number): Promise<void> =>
  new Promise(resolve => setTimeout(resolve, ms));

/** Whether the same request may be answered a moment later. */
const passes = (error: unknown): boolean =>
  !(error instanceof ApiError) ||
  [0, 401, 403, 408, 429].includes(error.status) ||
  error.status >= 500;

/** Asks again where no answer came; only for what the engine recognises when it comes twice. */
export async function insist<T>(
  ask: () => Promise<T>,
  pauses: readonly number[] = [AGAIN_MS, 1000, 3000]
): Promise<T> {
  for (const ms of pauses) {
    try {
      return await ask();
    } catch (error) {
      if (!passes(error)) {
        throw error;
      }
      await pause(ms);
    }
  }
  return ask();
}

export interface Word {
  /** From 1, without a hole. */
  n: number;
  text: string;
}

/**
 * What a cell says, told to the engine in order and each once.
 *
 * One word is under way at a time. Until it is acknowledged it is sent again with the same number and text; the engine
 * drops a number that it has taken. Without output a word says now and then that the work goes on.
 */
export class Telling {
  private waiting = '';
  private word: Word | null = null;
  private n = 0;
  private wanted = true;
  private heard = Date.now();
  private failures = 0;
  private notBefore = 0;
  private sending: Promise<void> | null = null;
  private readonly timer: ReturnType<typeof setInterval>;

  constructor(private readonly send: (word: Word) => Promise<unknown>) {
    this.timer = setInterval(() => {
      if (Date.now() >= this.notBefore) {
        void this.tell();
      }
    }, SAID_MS);
  }

  add(text: string): void {
    if (this.wanted) {
      this.waiting += text;
    }
  }

  /** Resolves when the last word was acknowledged, or is not wanted any more; at the latest after `ms`. */
  async end(ms = LAST_MS): Promise<void> {
    clearInterval(this.timer);
    const late = Date.now() + ms;
    while (this.wanted && (this.word || this.waiting)) {
      const left = late - Date.now();
      if (left <= 0) {
        break;
      }
      const before = this.failures;
      await within(this.tell(), left);
      if (this.failures > before) {
        await pause(Math.min(AGAIN_MS, Math.max(0, late - Date.now())));
      }
    }
    this.wanted = false;
  }

  private tell(): Promise<void> {
    this.sending ??= this.post().finally(() => (this.sending = null));
    return this.sending;
  }

  private async post(): Promise<void> {
    if (!this.word) {
      if (!this.waiting && Date.now() - this.heard <= STILL_MS) {
        return;
      }
      const text = head(this.waiting);
      this.waiting = this.waiting.slice(text.length);
      this.word = { n: ++this.n, text };
    }
    try {
      const sent = this.send(this.word).then(() => true);
      if (!(await within(sent, LOST_MS))) {
        throw new Error('no acknowledgement');
      }
      this.told();
    } catch (error) {
      if (passes(error)) {
        const longer = AGAIN_MS * 2 ** Math.min(this.failures, 10);
        this.notBefore = Date.now() + Math.min(AGAIN_MOST_MS, longer);
        this.failures += 1;
      } else if ((error as ApiError).status === 404) {
        this.wanted = false; // nobody waits for it any more
        clearInterval(this.timer);
      } else {
        // This word is refused, whatever it holds; the next ones are not.
        console.warn('ragent: output was not passed on', error);
        this.told();
      }
    }
  }

  private told(): void {
    this.word = null;
    this.heard = Date.now();
    this.failures = 0;
  }
}

/** As much as one word may hold; a pair of units that stands for one character is not cut. */
function head(text: string): string {
  const last = text.charCodeAt(MOST - 1);
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? MOST - 1 : MOST);
}
