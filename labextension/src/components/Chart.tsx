import * as React from 'react';
import { number, runName } from '../format';
import {
  useHost,
  useLiving,
  usePanel,
  useRuns,
  useSignal,
  useTheme
} from '../hooks';
import { lineFacts, nonFiniteCount } from '../models/chartdata';
import { colourOf } from '../models/colours';
import { keyValue } from '../models/rows';
import { SeriesModel, type XAxis } from '../models/series';
import type { Alert, Run, Series } from '../wire';
import { Notice } from './Notice';
import { Plot, xWord, type Flag, type PlotLine } from './Plot';

/** More lines than this cannot be told apart; the table has them all. */
const MOST_LINES = 30;
const DASHES = [undefined, [7, 3], [2, 3], [9, 3, 2, 3]];

function bestOf(runs: Run[]): string | null {
  let best: Run | null = null;
  for (const run of runs) {
    const value = keyValue(run);
    if (typeof value !== 'number') {
      continue;
    }
    const known = best ? (keyValue(best) as number) : null;
    if (
      known === null ||
      (run.mode === 'max' ? value > known : value < known)
    ) {
      best = run;
    }
  }
  return runs.length > 1 ? (best?.id ?? null) : null;
}

function plotLines(
  lines: readonly Series[],
  runs: Map<string, Run>,
  dark: boolean
): PlotLine[] {
  const best = bestOf([...runs.values()]);
  const worn = new Map<string, number>();
  return lines.flatMap(series => {
    const run = runs.get(series.run);
    if (!run) {
      return [];
    }
    const colour = colourOf(run, dark);
    // Two runs of one colour in one chart differ by their dashes.
    const before = worn.get(colour) ?? 0;
    worn.set(colour, before + 1);
    const common = {
      label: runName(run),
      colour,
      best: run.id === best,
      dash: DASHES[before % DASHES.length]
    };
    const forks = series.forks.map(fork => ({
      ...common,
      best: false,
      fork: true,
      series: {
        ...series,
        x: (fork.x as number[]) ?? [],
        last: (fork.last as (number | null)[]) ?? [],
        min: [],
        max: [],
        nonfinite: [],
        forks: []
      }
    }));
    return [...forks, { ...common, fork: false, series }];
  });
}

/** Where on the x axis an alert stands; null if the axis cannot say. */
function flagAt(alert: Alert, run: Run, x: XAxis): number | null {
  if (x === 'step') {
    return alert.evidence.step;
  }
  if (x === 'time') {
    return alert.raised_at;
  }
  return run.started_at === null ? null : alert.raised_at - run.started_at;
}

/** One metric of some runs: the picture, its flags, and the table behind it. */
export function Chart(props: {
  runs: string[];
  metric: string;
  height?: number;
  title?: boolean;
}): JSX.Element {
  const host = useHost();
  const { project, panel, trans } = host;
  const { x, log } = usePanel();
  const { name: theme, dark } = useTheme();
  const known = useRuns();
  const alerts = useSignal(project.alerts.changed, project.alerts.all);
  const shown = props.runs.slice(0, MOST_LINES);
  const { metric } = props;
  const key = JSON.stringify([shown, metric, x]);
  const model = useLiving(
    () =>
      new SeriesModel(project, {
        runs: shown,
        names: [metric],
        x,
        points: host.points()
      }),
    key
  );
  const { lines, phase, error } = useSignal(model.changed, model.chart);
  const runs = React.useMemo(
    () =>
      new Map(
        shown.flatMap(id => {
          const run = project.runs.get(id);
          return run ? [[id, run] as const] : [];
        })
      ),
    // `known` stands for what project.runs.get answers
    [key, known, project]
  );
  const drawn = React.useMemo(
    () =>
      plotLines(
        lines.filter(l => l.x.length || l.nonfinite.length),
        runs,
        dark
      ),
    [lines, runs, dark]
  );
  const flags: Flag[] = alerts.flatMap(alert => {
    const run = runs.get(alert.run_id);
    const at =
      run && alert.evidence.metric === metric ? flagAt(alert, run, x) : null;
    return run && at !== null && alert.status !== 'expired'
      ? [
          {
            id: alert.id,
            at,
            severity: alert.severity,
            label: `${alert.title} (${runName(run)})`,
            onClick: () => panel.openRun(run.id)
          }
        ]
      : [];
  });
  const bad = nonFiniteCount(lines);
  const facts = lines.filter(line => runs.has(line.run)).map(lineFacts);
  const sentence = trans._n(
    '%2 of %1 run by %3.',
    '%2 of %1 runs by %3.',
    drawn.length,
    metric,
    axisWord(x, trans.__.bind(trans))
  );
  const summary = facts
    .slice(0, 8)
    .map(fact =>
      trans.__(
        '%1: last %2, lowest %3, highest %4.',
        runName(runs.get(fact.line.run)!),
        number(fact.last),
        number(fact.min),
        number(fact.max)
      )
    )
    .join(' ');

  return (
    <figure className="rg-chart">
      {props.title !== false && (
        <figcaption>
          <span className="rg-name rg-strong" title={metric}>
            {metric}
          </span>
          {bad > 0 && (
            <span
              className="rg-bad"
              title={trans.__(
                'Values that are not finite: red ticks on the axis'
              )}
            >
              {trans.__('NaN or ∞ × %1', bad)}
            </span>
          )}
        </figcaption>
      )}
      {error && <Notice error={error} />}
      {drawn.length ? (
        <>
          <Plot
            lines={drawn}
            x={x}
            log={log}
            height={props.height ?? 180}
            flags={flags}
            label={`${sentence} ${summary}${bad ? ` ${trans.__('%1 values are not finite.', bad)}` : ''}`}
            theme={theme}
          />
          <Behind facts={facts} runs={runs} x={x} drawn={drawn} />
        </>
      ) : phase === 'ready' ? (
        <p className="rg-nodata">
          {trans._n(
            'No data: this run has not logged %2.',
            'No data: none of these runs has logged %2.',
            shown.length,
            metric
          )}
        </p>
      ) : (
        !error && (
          <div className="rg-plot" style={{ minHeight: props.height ?? 180 }} />
        )
      )}
    </figure>
  );
}

export function axisWord(x: XAxis, __: (text: string) => string): string {
  return x === 'step'
    ? __('step')
    : x === 'time'
      ? __('time')
      : __('time since its start');
}

/** The legend, and the figures as a table. */
function Behind(props: {
  facts: ReturnType<typeof lineFacts>[];
  runs: Map<string, Run>;
  x: XAxis;
  drawn: PlotLine[];
}): JSX.Element {
  const { panel, trans } = useHost();
  const { facts, runs, x, drawn } = props;
  const look = new Map(drawn.filter(l => !l.fork).map(l => [l.series.run, l]));
  return (
    <>
      {drawn.length > 1 && (
        <ul className="rg-legend">
          {[...look.values()].slice(0, 10).map(line => (
            <li key={line.series.run}>
              <button
                type="button"
                className="rg-link"
                title={line.label}
                onClick={() => panel.openRun(line.series.run)}
              >
                <span
                  className={`rg-swatch${line.dash ? ' rg-dashed' : ''}`}
                  style={{ background: line.colour, color: line.colour }}
                  aria-hidden="true"
                />
                <span className={`rg-name${line.best ? ' rg-strong' : ''}`}>
                  {line.label}
                </span>
              </button>
            </li>
          ))}
          {look.size > 10 && (
            <li className="rg-dim">
              {trans.__('and %1 more', look.size - 10)}
            </li>
          )}
        </ul>
      )}
      <details className="rg-behind">
        <summary>{trans.__('Table')}</summary>
        <div
          className="rg-table-box"
          tabIndex={0}
          role="group"
          aria-label={trans.__('Table')}
        >
          <table>
            <thead>
              <tr>
                <th scope="col">{trans.__('Run')}</th>
                <th scope="col">{trans.__('Last')}</th>
                <th scope="col">{trans.__('At')}</th>
                <th scope="col">{trans.__('Lowest')}</th>
                <th scope="col">{trans.__('Highest')}</th>
                <th scope="col">{trans.__('Points')}</th>
                <th scope="col">{trans.__('NaN, ∞')}</th>
              </tr>
            </thead>
            <tbody>
              {facts.map(({ line, last, lastX, min, max }) => (
                <tr key={line.run}>
                  <th scope="row">{runName(runs.get(line.run)!)}</th>
                  <td>{number(last)}</td>
                  <td>{lastX === null ? '–' : xWord(lastX, x)}</td>
                  <td>{number(min)}</td>
                  <td>{number(max)}</td>
                  <td>{line.total || line.x.length}</td>
                  <td>{line.nonfinite_count}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </>
  );
}
