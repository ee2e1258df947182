/** What is said to the engine over a line that loses answers and carries requests twice. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { ApiError } from '../api';
import { insist, Telling, type Word } from '../notebooks/line';

const refused = (status: number) => new ApiError(status, 'x', 'problem', '');

/** The engine's end: it drops a number that it has taken. */
class Ear {
  came: Word[] = [];
  heard = '';
  last = 0;
  /** What becomes of the next words: an error after it was taken, or before; undefined: acknowledged. */
  fates: ('lost after' | 'lost before' | 'hangs' | number)[] = [];
  delay = 0;

  send = async (word: Word): Promise<void> => {
    const fate = this.fates.shift();
    if (fate === 'lost before') {
      throw refused(0);
    }
    if (typeof fate === 'number') {
      throw refused(fate);
    }
    this.came.push(word);
    if (word.n > this.last) {
      this.last = word.n;
      this.heard += word.text;
    }
    if (fate === 'hangs') {
      return new Promise(() => undefined);
    }
    await new Promise(resolve => setTimeout(resolve, this.delay));
    if (fate === 'lost after') {
      throw refused(0);
    }
  };
}

describe('telling', () => {
  let ear: Ear;
  let telling: Telling;
  beforeEach(() => {
    vi.useFakeTimers();
    ear = new Ear();
    telling = new Telling(ear.send);
  });
  afterEach(() => void vi.useRealTimers());
  const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
  const end = async (ms = 4000) => {
    const over = telling.end();
    await pass(ms);
    await over;
  };

  it('gathers words, numbers them, and has one under way at a time', async () => {
    ear.delay = 1000;
    telling.add('a');
    telling.add('b');
    await pass(200);
    telling.add('c');
    await pass(500);
    telling.add('d');
    expect(ear.came).toEqual([{ n: 1, text: 'ab' }]);
    await end();
    expect(ear.came).toEqual([
      { n: 1, text: 'ab' },
      { n: 2, text: 'cd' }
    ]);
  });

  it('sends what was not acknowledged again, the same with the same number', async () => {
    ear.fates = ['lost after', 'lost before', 502, 'lost after'];
    telling.add('a');
    await pass(200);
    telling.add('b');
    await pass(10_000);
    await end();
    expect(ear.came.map(word => word.n)).toEqual([1, 1, 1, 2]);
    expect(ear.came.every(({ n, text }) => text === ' ab'[n])).toBe(true);
    expect(ear.heard).toBe('ab');
  });

  it('the last words are out at the end, also when a request fails', async () => {
    ear.fates = ['lost before', 'lost after'];
    telling.add('last');
    await end();
    expect(ear.heard).toBe('last');
  });

  it('the end waits for an acknowledgement under way, but not for ever', async () => {
    ear.fates = ['hangs'];
    telling.add('a');
    await pass(200);
    let over = false;
    void telling.end().then(() => (over = true));
    await pass(2900);
    expect(over).toBe(false);
    await pass(200);
    expect(over).toBe(true);
  });

  it('a word whose acknowledgement never comes is sent again', async () => {
    ear.fates = ['hangs'];
    telling.add('a');
    await pass(11_000);
    expect(ear.came.map(word => word.n)).toEqual([1, 1]);
    expect(ear.heard).toBe('a');
  });

  it('asks a line that is down less and less often', async () => {
    const dead = vi.fn(() => Promise.reject(refused(0)));
    const other = new Telling(dead);
    other.add('a');
    await pass(60_000);
    expect(dead.mock.calls.length).toBeGreaterThan(10);
    expect(dead.mock.calls.length).toBeLessThan(20);
    void other.end(0);
  });

  it('says nothing more once nobody waits for it', async () => {
    ear.fates = [404];
    telling.add('a');
    await pass(200);
    telling.add('b');
    await pass(20_000);
    await end(0);
    expect(ear.came).toEqual([]);
  });

  it('a word that is refused is left out, and the next one is told', async () => {
    const warned = vi.spyOn(console, 'warn').mockImplementation(() => {});
    ear.fates = [413];
    telling.add('a');
    await pass(200);
    telling.add('b');
    await end();
    expect(ear.heard).toBe('b');
    expect(warned).toHaveBeenCalledOnce();
    warned.mockRestore();
  });

  it('says now and then that the work goes on', async () => {
    await pass(25_000);
    expect(ear.came.map(word => word.text)).toEqual(['', '']);
    await end(0);
    await pass(25_000);
    expect(ear.came).toHaveLength(2);
  });

  it('parts a flood, and never within a character', async () => {
    const flood = 'x'.repeat(999_999) + '😀' + 'y'.repeat(10);
    telling.add(flood);
    await end();
    expect(ear.came.map(word => word.text.length)).toEqual([999_999, 12]);
    expect(ear.heard).toBe(flood);
  });
});

describe('insisting', () => {
  it('asks again where no answer came, a few times', async () => {
    const ask = vi.fn(() => Promise.reject(refused(503)));
    await expect(insist(ask, [1, 1])).rejects.toThrow('problem');
    expect(ask).toHaveBeenCalledTimes(3);
    ask.mockReset().mockRejectedValueOnce(refused(0));
    ask.mockResolvedValueOnce('here' as never);
    expect(await insist(ask, [1, 1])).toBe('here');
  });

  it('takes a refusal for an answer', async () => {
    const ask = vi.fn(() => Promise.reject(refused(409)));
    await expect(insist(ask, [1, 1])).rejects.toThrow('problem');
    expect(ask).toHaveBeenCalledTimes(1);
  });
});
