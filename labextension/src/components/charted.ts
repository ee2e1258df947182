import * as React from 'react';
import { usePanel, useRuns } from '../hooks';
import { LIVE } from '../models/project';
import type { Run } from '../wire';

const BY_ITSELF = 5;

/** Which runs a chart shows when nobody has chosen: those that run, else the newest that have something to show. */
export function chartedByItself(runs: readonly Run[]): string[] {
  const withMetrics = runs.filter(run => Object.keys(run.summary).length);
  const live = withMetrics.filter(run => LIVE.has(run.status));
  return (live.length ? live : withMetrics)
    .slice(0, BY_ITSELF)
    .map(run => run.id);
}

/** Ids of the runs in the charts; the same array while it holds the same runs. */
export function useCharted(): string[] {
  const runs = useRuns();
  const { charted } = usePanel();
  const ids = charted ?? chartedByItself(runs);
  const key = ids.join(' ');
  return React.useMemo(() => ids, [key]);
}
