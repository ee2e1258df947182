import * as React from 'react';
import { number, runName } from '../../format';
import { useHost, useRuns, useSignal, useTheme } from '../../hooks';
import {
  searchHistory,
  verdictOfBest,
  type TrialPoint
} from '../../models/wild';
import { paramsLine } from '../../models/wildwords';
import type { Loop, Series } from '../../wire';
import { Plot, type PlotLine } from '../Plot';

const TOP = 10;

const line = (name: string, x: number[], y: number[]): Series => ({
  run: name,
  name,
  x,
  last: y,
  min: [],
  max: [],
  raw: true,
  nonfinite: [],
  nonfinite_kinds: [],
  nonfinite_count: 0,
  total: x.length,
  cursor: '',
  reset: true,
  rewinds: [],
  forks: []
});

/** The search as it went: each run a dot, the best so far a step line, the baseline dashed. */
export function BestChart({ loop }: { loop: Loop }): JSX.Element | null {
  const { project, trans } = useHost();
  const runs = useRuns();
  const sweeps = useSignal(project.sweeps.changed, project.sweeps.all);
  const theme = useTheme();
  const history = React.useMemo(
    () => searchHistory(loop, sweeps, runs),
    // Not the loop's clock and queue: what counts is which runs are its own and what they are judged by.
    [loop.id, loop.setup, sweeps, runs]
  );
  const base = loop.baseline?.mean ?? null;
  const lines = React.useMemo(() => {
    const x = history.map((_, i) => i + 1);
    const ink = theme.dark ? '#a9b4bf' : '#5f6b76';
    const accent = theme.dark ? '#56a8e8' : '#0072b2';
    const made: PlotLine[] = [
      {
        label: trans.__('run'),
        colour: ink,
        best: false,
        fork: false,
        dots: true,
        series: line(
          'run',
          x,
          history.map(point => point.value)
        )
      },
      {
        label: trans.__('best so far'),
        colour: accent,
        best: true,
        fork: false,
        stepped: true,
        series: line(
          'best',
          x,
          history.map(point => point.best)
        )
      }
    ];
    if (base !== null && x.length) {
      made.push({
        label: trans.__('baseline'),
        colour: ink,
        best: false,
        fork: false,
        dash: [5, 4],
        flat: true,
        series: line(
          'baseline',
          x,
          x.map(() => base)
        )
      });
    }
    return made;
  }, [history, base, theme.dark, trans]);
  const { metric } = loop.setup;
  if (!metric) {
    return null;
  }
  const last = history[history.length - 1];
  return (
    <section className="rg-wild-part" aria-label={trans.__('Best so far')}>
      <h3>
        {trans.__('Best so far')}{' '}
        <span className="rg-dim rg-wild-text">{metric}</span>
      </h3>
      {history.length < 2 ? (
        <p className="rg-nodata">
          {history.length
            ? trans.__(
                'One run has a value so far: %1.',
                number(history[0].value)
              )
            : trans.__('No data yet: no finished run has a value.')}
        </p>
      ) : (
        <>
          <Plot
            lines={lines}
            x="step"
            log={false}
            height={150}
            flags={[]}
            theme={theme.name}
            label={trans.__(
              'Best %1 after each of %2 runs: from %3 to %4.',
              metric,
              history.length,
              number(history[0].best),
              number(last.best)
            )}
          />
          <p className="rg-dim">
            {trans.__(
              'Runs in the order of their end. The best of many is partly luck: only a verdict says what is real.'
            )}
          </p>
          <Top loop={loop} history={history} />
        </>
      )}
      <Suspicious loop={loop} />
    </section>
  );
}

function Suspicious({ loop }: { loop: Loop }): JSX.Element | null {
  const { trans } = useHost();
  const doubt = loop.best?.suspicious;
  return doubt && verdictOfBest(loop)?.verdict !== 'confirmed' ? (
    <p className="rg-warn-text rg-wild-text">
      {trans.__('Too good to be believed as it stands: %1', doubt)}
    </p>
  ) : null;
}

/** The picture as a table: for ears, for copying, for opening a run. */
function Top(props: { loop: Loop; history: TrialPoint[] }): JSX.Element {
  const { panel, trans } = useHost();
  const { loop, history } = props;
  const [open, setOpen] = React.useState(false);
  const sign = loop.setup.mode === 'max' ? -1 : 1;
  const best = open
    ? [...history].sort((a, b) => sign * (a.value - b.value)).slice(0, TOP)
    : [];
  return (
    <details
      className="rg-behind"
      onToggle={event => setOpen(event.currentTarget.open)}
    >
      <summary>
        {trans.__(
          'The best %1 of %2',
          Math.min(TOP, history.length),
          history.length
        )}
      </summary>
      <ol className="rg-top">
        {best.map(({ run, value }) => (
          <li key={run.id}>
            <b className="rg-figure">{number(value)}</b>
            <button
              type="button"
              className="rg-link rg-ref"
              onClick={() => panel.openRun(run.id)}
            >
              {paramsLine(run.params) || runName(run)}
            </button>
          </li>
        ))}
      </ol>
    </details>
  );
}
