import * as React from 'react';
import { ago, number } from '../format';
import { useHost, useNow, useRun, useRuns, useSignal } from '../hooks';
import { LIVE } from '../models/project';

/** One line on top of every tab: what runs, what is best, what waits for a person; each part a link. */
export function StatusStrip(): JSX.Element {
  const { project, panel, trans } = useHost();
  const runs = useRuns();
  const open = useSignal(project.alerts.changed, project.open);
  const status = useSignal(project.statusChanged, () => project.status);
  const loading = useSignal(project.loadingChanged, () => project.loading);
  const waiting = open.filter(alert => alert.severity !== 'info').length;
  const running = runs.filter(run => LIVE.has(run.status)).length;
  const queued = runs.filter(run => run.status === 'queued').length;
  const best = status?.best as BestRun | null | undefined;
  const parts: JSX.Element[] = [];
  if (running || runs.length) {
    parts.push(
      <button
        key="running"
        type="button"
        className="rg-link"
        onClick={() => {
          panel.showTab('runs');
          panel.set({ show: running ? 'live' : 'all', filter: '' });
        }}
      >
        {running
          ? trans._n('%1 running', '%1 running', running)
          : trans._n('%1 run', '%1 runs', runs.length)}
      </button>
    );
  }
  if (queued) {
    parts.push(
      <button
        key="queued"
        type="button"
        className="rg-link rg-spare"
        onClick={() => {
          panel.showTab('runs');
          panel.set({ show: 'waiting', filter: '' });
        }}
      >
        {trans._n('%1 queued', '%1 queued', queued)}
      </button>
    );
  }
  if (best) {
    parts.push(<Best key="best" {...best} />);
  }
  if (waiting) {
    parts.push(
      <button
        key="alerts"
        type="button"
        className="rg-link rg-waiting"
        onClick={() => panel.showTab('alerts')}
      >
        {trans._n('%1 alert', '%1 alerts', waiting)}
      </button>
    );
  }
  return (
    <div className="rg-strip" role="group" aria-label={trans.__('Status')}>
      {parts.length ? (
        parts
      ) : (
        <span className="rg-dim">
          {loading.phase === 'ready' ? trans.__('nothing runs') : '…'}
        </span>
      )}
      <Age />
      {/* It stands there before the first alert, or a screen reader would miss the change. */}
      <span className="rg-unseen" role="status">
        {waiting
          ? trans._n(
              '%1 alert waits for an answer',
              '%1 alerts wait for an answer',
              waiting
            )
          : ''}
      </span>
    </div>
  );
}

interface BestRun {
  run: string;
  name: string;
  metric: string;
  value: number;
  confirmed: boolean;
}

/** Which run is best. One that was not run again on fresh seeds is said to be unconfirmed, and looks it. */
function Best(props: BestRun): JSX.Element {
  const { panel, trans } = useHost();
  const known = useRun(props.run);
  const name = known?.alias || props.name;
  const value = number(props.value);
  const whole = props.confirmed
    ? trans.__('Best %1: %2, by %3, confirmed', props.metric, value, name)
    : trans.__('Best %1: %2, by %3, unconfirmed', props.metric, value, name);
  return (
    <button
      type="button"
      className={`rg-link rg-strip-best${props.confirmed ? '' : ' rg-unconfirmed'}`}
      title={whole}
      aria-label={whole}
      onClick={() => panel.openRun(props.run)}
    >
      <span className="rg-roomy">{trans.__('best')}&nbsp;</span>
      <span className="rg-name">{props.metric}</span>
      <span className="rg-fixed rg-figure">&nbsp;{value}</span>
      <span className="rg-name rg-roomiest">
        &nbsp;
        {props.confirmed ? `(${name})` : trans.__('(%1, unconfirmed)', name)}
      </span>
    </button>
  );
}

/** A picture that is not live says how old it is. */
function Age(): JSX.Element | null {
  const { project, trans } = useHost();
  const state = useSignal(project.feed.stateChanged, () => project.feed.state);
  const now = useNow(5000);
  if (state.kind !== 'stale' || state.freshAt === null) {
    return null;
  }
  return (
    <span className="rg-stale" role="status">
      {trans.__('not connected, as of %1', ago(state.freshAt, now, trans))}
    </span>
  );
}
