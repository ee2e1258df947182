import * as React from 'react';
import { useHost, usePanel, useRuns } from '../hooks';
import type { Run } from '../wire';
import { judgedBy } from '../models/rows';
import { Chart } from './Chart';
import { useCharted } from './charted';
import { ChartTools } from './ChartTools';
import { Empty } from './Empty';
import { MetricPicker } from './MetricPicker';

const LOG_EXAMPLE = 'ragent.log({"loss": loss}, step=step)';

/** All metrics of these runs: what they are judged by first, then by name. */
export function metricNames(runs: Run[]): string[] {
  const judged = new Set(runs.flatMap(run => judgedBy(run) ?? []));
  const names = new Set(runs.flatMap(run => Object.keys(run.summary)));
  const rest = [...names]
    .filter(name => !judged.has(name))
    .sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
  return [...judged, ...rest];
}

/** What is drawn when nobody has chosen. */
export function metricsByThemselves(runs: Run[]): string[] {
  return [...new Set(runs.flatMap(run => judgedBy(run) ?? []))].slice(0, 2);
}

export function ChartsView(): JSX.Element {
  const { project, panel, trans } = useHost();
  const all = useRuns();
  const { metrics, charted: chosen } = usePanel();
  const charted = useCharted();
  const runs = React.useMemo(
    () => charted.flatMap(id => project.runs.get(id) ?? []),
    // `all` stands for what project.runs.get answers
    [charted, all, project]
  );
  const names = React.useMemo(() => metricNames(runs), [runs]);
  const picked = metrics ?? metricsByThemselves(runs);
  const ids = React.useMemo(
    () => runs.map(run => run.id),
    [charted, runs.length]
  );
  if (!runs.length) {
    return (
      <Empty
        title={trans.__('Nothing to chart yet')}
        lines={[
          trans.__('Runs that log metrics are drawn here by themselves, live.'),
          <>
            {trans.__('In training code:')} <code>{LOG_EXAMPLE}</code>
          </>,
          trans.__(
            'TensorBoard, Lightning, Keras and Hugging Face logs, and lines like "loss=0.3", are found without it.'
          )
        ]}
        action={{
          label: trans.__('Show runs'),
          run: () => panel.showTab('runs')
        }}
      />
    );
  }
  return (
    <div className="rg-charts">
      <div className="rg-tools">
        <MetricPicker
          names={names}
          picked={picked}
          onChange={next => panel.set({ metrics: next })}
        />
        <ChartTools />
      </div>
      <p className="rg-dim">
        {chosen
          ? trans._n('%1 chosen run', '%1 chosen runs', runs.length)
          : trans._n(
              '%1 run, picked automatically',
              '%1 runs, picked automatically',
              runs.length
            )}
        {chosen && (
          <>
            {' · '}
            <button
              type="button"
              className="rg-link"
              onClick={() => panel.set({ charted: null })}
            >
              {trans.__('let ragent choose')}
            </button>
          </>
        )}
      </p>
      {picked.map(metric => (
        <Chart key={metric} runs={ids} metric={metric} height={200} />
      ))}
      {!picked.length && (
        <p className="rg-nodata">{trans.__('No metric is chosen.')}</p>
      )}
    </div>
  );
}
