/** Ten colours that the colour-blind can tell apart, and one place that says which run has which. */
import type { Run } from '../wire';

/** Same hue at the same place in both, so a run keeps its colour when the theme changes. At least 3:1 on its ground. */
const ON_LIGHT = [
  '#0072b2',
  '#b85c00',
  '#008a66',
  '#c2447f',
  '#6a4fb3',
  '#7d5a3c',
  '#2e8bb8',
  '#80780a',
  '#1b3a8a',
  '#5f6b76'
];
const ON_DARK = [
  '#56a8e8',
  '#f0994a',
  '#3fc79e',
  '#f08bbd',
  '#ab97f2',
  '#c9a183',
  '#86d0f5',
  '#d6cb4c',
  '#7f9cf5',
  '#a9b4bf'
];

/** 0..9, the same for a run's whole life: its trial's place in a sweep, else its id. */
export function colourIndex(run: Pick<Run, 'id' | 'trial'>): number {
  if (run.trial !== null) {
    return run.trial % 10;
  }
  let hash = 0;
  for (const c of run.id) {
    hash = (hash * 31 + c.charCodeAt(0)) % 1_000_003;
  }
  return hash % 10;
}

export function colourOf(
  run: Pick<Run, 'id' | 'trial' | 'colour'>,
  dark: boolean
): string {
  return run.colour ?? (dark ? ON_DARK : ON_LIGHT)[colourIndex(run)];
}
