import { describe, expect, it } from 'vitest';
import { wholeRun } from '../api';
import { stateSentence } from '../components/RunDetail';
import { ago, duration, number } from '../format';
import { plainEnglish } from '../words';
import { aRun } from './fakes';

describe('numbers', () => {
  it.each([
    [0.142134, '0.1421'],
    [0.2, '0.2000'],
    [1234.567, '1235'],
    [12, '12'],
    [0, '0'],
    [-3, '−3'],
    [3e-5, '3e−5'],
    [1.23456e7, '1.235e7'],
    ['nan', 'NaN'],
    ['-inf', '−∞'],
    [null, '–'],
    [undefined, '–']
  ])('%s is %s', (value, text) => expect(number(value)).toBe(text));
});

describe('times', () => {
  it.each([
    [2.34, '2.3 s'],
    [59.4, '59 s'],
    [59.6, '1 min'],
    [3600, '1 h'],
    [3599, '1 h'],
    [7500, '2 h 5 min'],
    [90000, '1 d 1 h']
  ])('%d s is %s', (seconds, text) => expect(duration(seconds)).toBe(text));

  it('says how long ago in one unit', () => {
    expect(ago(1000, 1000, plainEnglish)).toBe('now');
    expect(ago(1000, 1030, plainEnglish)).toBe('30 s ago');
    expect(ago(1000, 8200, plainEnglish)).toBe('2 h ago');
  });
});

describe('the state of a run', () => {
  const sentence = (waits: string) =>
    stateSentence(
      wholeRun(aRun('run_a', { status: 'queued', queued_at: 970, waits })),
      1000,
      plainEnglish
    );
  it('says what a queued run waits for, where it is known', () => {
    expect(sentence('')).toBe(
      'Queued since 30 s ago. It starts when there is room.'
    );
    expect(sentence('Waits for 2 of 4 GPUs.')).toBe(
      'Queued since 30 s ago. Waits for 2 of 4 GPUs.'
    );
  });
});

describe('words', () => {
  it('fill placeholders in any order, and count', () => {
    expect(plainEnglish.__('%2 of %1, 5 %%', 'a', 'b')).toBe('b of a, 5 %');
    expect(plainEnglish._n('%1 run', '%1 runs', 1)).toBe('1 run');
    expect(plainEnglish._n('%1 run of %2', '%1 runs of %2', 3, 'x')).toBe(
      '3 runs of x'
    );
  });
});
