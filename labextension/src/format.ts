/** Numbers and times as every surface of ragent shows them. */
import type { Run } from './wire';
import type { Trans } from './words';

const NON_FINITE: Record<string, string> = {
  nan: 'NaN',
  inf: '∞',
  '-inf': '−∞'
};

/** Four significant digits; "nan", "inf", "-inf" (what JSON cannot say) as signs; nothing known is a dash. */
export function number(value: number | string | null | undefined): string {
  if (value === null || value === undefined) {
    return '–';
  }
  if (typeof value === 'string') {
    return NON_FINITE[value] ?? value;
  }
  if (!Number.isFinite(value)) {
    return Number.isNaN(value) ? 'NaN' : value > 0 ? '∞' : '−∞';
  }
  if (value === 0) {
    return '0';
  }
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e6) {
    return String(value).replace('-', '−');
  }
  const text =
    size >= 1e6 || size < 1e-3
      ? value
          .toExponential(3)
          .replace(/\.?0+e/, 'e')
          .replace('e+', 'e')
      : value.toPrecision(4);
  return text.replace(/-/g, '−');
}

/** A duration in at most two units: 42 s, 3 min, 2 h 5 min, 4 d 3 h. */
export function duration(seconds: number): string {
  const s = Math.max(0, seconds);
  if (s < 10 && s % 1 >= 0.05) {
    return `${s.toFixed(1)} s`;
  }
  if (s < 59.5) {
    return `${Math.round(s)} s`;
  }
  const minutes = Math.round(s / 60);
  if (minutes < 60) {
    return `${minutes} min`;
  }
  const hours = Math.floor(minutes / 60);
  if (hours < 24) {
    return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  }
  const days = Math.floor(hours / 24);
  return hours % 24 ? `${days} d ${hours % 24} h` : `${days} d`;
}

/** How long ago, in one unit, for the end of a line. */
export function ago(at: number, now: number, trans: Trans): string {
  const s = now - at;
  if (s < 5) {
    return trans.__('now');
  }
  if (s < 60) {
    return trans.__('%1 s ago', Math.round(s));
  }
  if (s < 3600) {
    return trans.__('%1 min ago', Math.round(s / 60));
  }
  if (s < 86400) {
    return trans.__('%1 h ago', Math.round(s / 3600));
  }
  return trans.__('%1 d ago', Math.round(s / 86400));
}

const MOMENT = new Intl.DateTimeFormat(undefined, {
  dateStyle: 'medium',
  timeStyle: 'medium'
});

/** The moment in full, for a title; unix seconds. */
export function moment(at: number): string {
  return MOMENT.format(at * 1000);
}

export function bytes(n: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let size = n;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? size : size.toPrecision(3)} ${units[unit]}`;
}

/** A parameter's value as one would type it. */
export function param(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** The name a person gave it, else its own. */
export function runName(run: Run): string {
  return run.alias || run.name || run.id;
}
