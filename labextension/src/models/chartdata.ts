/** Lines of a chart as columns that share one x, and what is said of them in words. Pure. */
import type { Series } from '../wire';

export interface Columns {
  x: number[];
  /** One of each a line; null breaks the line, undefined means: this line has no point at this x. */
  last: (number | null | undefined)[][];
  min: (number | null | undefined)[][];
  max: (number | null | undefined)[][];
}

/** A log scale has no place for zero and below. */
const shown = (value: number | null, log: boolean) =>
  value !== null && log && value <= 0 ? null : value;

/** All lines over the union of their x. Points of one line at the same x: the later one stands. */
export function columns(lines: readonly Series[], log: boolean): Columns {
  const banded = (line: Series) => line.min.length === line.x.length;
  if (lines.length === 1) {
    const [line] = lines;
    const keep = line.x.map(
      (x, i) => i === line.x.length - 1 || x < line.x[i + 1]
    );
    const pick = (values: (number | null)[]) =>
      values.filter((_, i) => keep[i]).map(v => shown(v, log));
    return {
      x: line.x.filter((_, i) => keep[i]),
      last: [pick(line.last)],
      min: [banded(line) ? pick(line.min) : []],
      max: [banded(line) ? pick(line.max) : []]
    };
  }
  const x = [...new Set(lines.flatMap(line => line.x))].sort((a, b) => a - b);
  const place = new Map(x.map((value, i) => [value, i]));
  const spread = (line: Series, values: (number | null)[]) => {
    const out: (number | null | undefined)[] = new Array(x.length).fill(
      undefined
    );
    line.x.forEach((at, i) => {
      out[place.get(at)!] = shown(values[i], log);
    });
    return out;
  };
  return {
    x,
    last: lines.map(line => spread(line, line.last)),
    min: lines.map(line => (banded(line) ? spread(line, line.min) : [])),
    max: lines.map(line => (banded(line) ? spread(line, line.max) : []))
  };
}

export interface LineFacts {
  line: Series;
  last: number | null;
  lastX: number | null;
  min: number | null;
  max: number | null;
}

/** What a table says of a line. min and max count what each bucket held, not only what is drawn. */
export function lineFacts(line: Series): LineFacts {
  const end = line.last.reduce<number>((at, v, i) => (v === null ? at : i), -1);
  const least = (
    values: (number | null)[],
    better: (a: number, b: number) => boolean
  ) =>
    values.reduce(
      (best, v) =>
        v !== null && (best === null || better(v, best)) ? v : best,
      null as number | null
    );
  return {
    line,
    last: end < 0 ? null : line.last[end],
    lastX: end < 0 ? null : line.x[end],
    min: least(line.min.length ? line.min : line.last, (a, b) => a < b),
    max: least(line.max.length ? line.max : line.last, (a, b) => a > b)
  };
}

/** NaN and infinities per x, so that ticks that fall on each other are drawn once. */
export function nonFiniteCount(lines: readonly Series[]): number {
  return lines.reduce((n, line) => n + line.nonfinite_count, 0);
}
