import * as React from 'react';
import { duration, moment, number, runName } from '../format';
import type { ApiError } from '../api';
import { useDoing, useHost } from '../hooks';
import { ENDED } from '../models/project';
import { judgedBy, keyValue, type ListRow } from '../models/rows';
import type { Run } from '../wire';
import type { Trans } from '../words';
import { Glyph } from './Glyph';
import { Icon, IconButton } from './Icon';
import { useVerbs } from './verbs';

/** What stands at the end of the line: how long it still takes, or how it ended. */
export function trail(run: Run, now: number, trans: Trans): string {
  if (run.unreachable_since !== null) {
    return trans.__('no contact');
  }
  if (ENDED.has(run.status)) {
    if (run.status === 'failed' && run.reason) {
      switch (run.reason.kind) {
        case 'exit_code':
          return trans.__('exit %1', run.exit_code ?? '?');
        case 'oom':
          return trans.__('no memory');
        case 'nan':
          return 'NaN';
        case 'lost':
          return trans.__('lost');
        case 'launch_error':
          return trans.__('not started');
        case 'signal':
          return trans.__('signal %1', run.signal ?? '?');
        case 'walltime':
          return trans.__('time limit');
      }
    }
    return run.ended_at ? duration(now - run.ended_at) : '';
  }
  const { progress } = run;
  if (run.status === 'running') {
    if (progress?.eta_s !== null && progress?.eta_s !== undefined) {
      return `~${duration(progress.eta_s)}`;
    }
    if (progress?.fraction !== null && progress?.fraction !== undefined) {
      return `${Math.floor(progress.fraction * 100)} %`;
    }
    return run.started_at ? duration(now - run.started_at) : '';
  }
  return run.status === 'stopping'
    ? trans.__('stopping')
    : run.status === 'launching'
      ? trans.__('launching')
      : run.status === 'queued'
        ? trans.__('queued')
        : trans.__('ready');
}

/** Runs of one experiment differ at the end of their names: what does not fit is left out before it. */
const KEPT = 8;

function Ends({ text }: { text: string }): JSX.Element {
  if (text.length <= KEPT + 6) {
    return <>{text}</>;
  }
  return (
    <>
      <span>{text.slice(0, -KEPT)}</span>
      <span>{text.slice(-KEPT)}</span>
    </>
  );
}

/** "ago" only where there is room for it. */
function Trail({ run, now }: { run: Run; now: number }): JSX.Element {
  const { trans } = useHost();
  const text = trail(run, now, trans);
  const past =
    ENDED.has(run.status) &&
    run.ended_at !== null &&
    text === duration(now - run.ended_at);
  return past ? (
    <>
      <span className="rg-roomy">{trans.__('%1 ago', text)}</span>
      <span className="rg-tight">{text}</span>
    </>
  ) : (
    <>{text}</>
  );
}

export interface RowProps {
  row: ListRow;
  /** Unique in the document: two panels may show the same run. */
  id: string;
  index: number;
  active: boolean;
  opened: boolean;
  top: number;
  now: number;
  charted: string[];
  swatch: string | null;
  onPick: (index: number, open: boolean) => void;
}

function RunLine(
  props: RowProps & { run: Run; label: string | null; near: boolean }
): JSX.Element {
  const { trans } = useHost();
  const { run, active, near, charted, now } = props;
  const [error, setError] = React.useState<ApiError | null>(null);
  const fraction =
    run.status === 'running' ? (run.progress?.fraction ?? null) : null;
  const value = number(keyValue(run));
  const metric = judgedBy(run);
  const summary = metric === null ? undefined : run.summary[metric];
  const bad = typeof summary?.last === 'string';
  return (
    <>
      <span className="rg-cell rg-cell-name" role="gridcell">
        <Glyph status={run.status} />
        <span className="rg-name" title={`${runName(run)}\n${run.command}`}>
          <Ends text={props.label ?? runName(run)} />
        </span>
      </span>
      <span
        className={`rg-cell rg-cell-value${bad ? ' rg-bad' : ''}`}
        role="gridcell"
        title={
          summary &&
          trans.__(
            '%1: last %2, lowest %3, highest %4',
            metric,
            number(summary.last),
            number(summary.min),
            number(summary.max)
          )
        }
      >
        {summary && value !== '–' ? value : ''}
      </span>
      <span
        className={`rg-cell rg-cell-trail${run.status === 'failed' ? ' rg-bad' : ''}`}
        role="gridcell"
        title={
          error
            ? `${error.problem} ${error.remedy}`
            : (run.reason?.text ??
              (run.ended_at ? moment(run.ended_at) : undefined))
        }
      >
        {error ? trans.__('refused') : <Trail run={run} now={now} />}
        {fraction !== null && (
          <span className="rg-bar" aria-hidden="true">
            <span style={{ width: `${fraction * 100}%` }} />
          </span>
        )}
      </span>
      <span className="rg-cell rg-cell-verbs" role="gridcell">
        {(near || active) && (
          <Verbs
            run={run}
            charted={charted}
            reached={active}
            onError={setError}
          />
        )}
      </span>
    </>
  );
}

/** What can be done with the run of this line. Only where the pointer or the keyboard is: a scroll makes many lines. */
function Verbs(props: {
  run: Run;
  charted: string[];
  reached: boolean;
  onError: (error: ApiError | null) => void;
}): JSX.Element {
  const { run, charted, reached, onError } = props;
  const { verbs, busy, error } = useVerbs(run, charted);
  React.useEffect(() => onError(error), [error, onError]);
  return (
    <>
      {verbs
        .filter(verb => verb.near)
        .map(verb => (
          <IconButton
            key={verb.id}
            icon={verb.icon}
            label={`${verb.label}: ${runName(run)}`}
            pressed={verb.pressed}
            disabled={busy}
            tabIndex={reached ? 0 : -1}
            onClick={event => {
              event.stopPropagation();
              verb.do();
            }}
          />
        ))}
    </>
  );
}

function SweepLine(props: {
  row: ListRow & { kind: 'sweep' };
  near: boolean;
  reached: boolean;
}): JSX.Element {
  const { project, panel, trans } = useHost();
  const { busy, error, run: doing } = useDoing();
  const { sweep, runs, folded } = props.row;
  const name = sweep?.name || trans.__('sweep %1', props.row.id);
  const ended = runs.filter(run => ENDED.has(run.status)).length;
  const failed = runs.filter(run => run.status === 'failed').length;
  const all = sweep?.trials.length || runs.length;
  return (
    <>
      <span className="rg-cell rg-cell-name" role="gridcell">
        <Icon name={folded ? 'unfold' : 'fold'} />
        <span className="rg-name rg-strong" title={sweep?.command}>
          {name}
        </span>
        {sweep?.loop_id && (
          <span className="rg-dim" title={trans.__('Of a wild loop')}>
            <Icon name="wild" />
            <span className="rg-unseen">{trans.__('Of a wild loop')}</span>
          </span>
        )}
      </span>
      <span
        className={`rg-cell rg-cell-value ${failed ? 'rg-bad' : 'rg-dim'}`}
        role="gridcell"
        title={sweep?.estimate?.text}
      >
        {failed
          ? trans._n('%1 failed', '%1 failed', failed)
          : sweep?.estimate
            ? trans.__('~%1 left', duration(sweep.estimate.wall_seconds))
            : ''}
      </span>
      <span className="rg-cell rg-cell-trail" role="gridcell">
        {error ? (
          <span className="rg-bad" title={`${error.problem} ${error.remedy}`}>
            {trans.__('refused')}
          </span>
        ) : (
          trans.__('%1 of %2', ended, all)
        )}
        {sweep && !['finished', 'failed', 'stopped'].includes(sweep.status) && (
          <span className="rg-bar" aria-hidden="true">
            <span style={{ width: `${(100 * ended) / Math.max(1, all)}%` }} />
          </span>
        )}
      </span>
      <span role="gridcell" className="rg-cell rg-cell-verbs">
        {(props.near || props.reached) && (
          <>
            {sweep &&
              (sweep.status === 'running' || sweep.status === 'ready') && (
                <IconButton
                  icon="stop"
                  label={`${trans.__('Stop sweep')}: ${name}`}
                  disabled={busy}
                  tabIndex={props.reached ? 0 : -1}
                  onClick={event => {
                    event.stopPropagation();
                    doing(() => project.api.stopSweep(sweep.id));
                  }}
                />
              )}
            {sweep?.loop_id && (
              <IconButton
                icon="wild"
                label={`${trans.__('Show its wild loop')}: ${name}`}
                tabIndex={props.reached ? 0 : -1}
                onClick={event => {
                  event.stopPropagation();
                  panel.openLoop(sweep.loop_id);
                }}
              />
            )}
            <IconButton
              icon="chart"
              label={`${trans.__('Chart all trials')}: ${name}`}
              tabIndex={props.reached ? 0 : -1}
              onClick={event => {
                event.stopPropagation();
                panel.showTab('charts');
                panel.set({ charted: runs.map(run => run.id) });
              }}
            />
          </>
        )}
      </span>
    </>
  );
}

/** One line of the list. Placed by `top`, since only the lines in sight exist. */
export const RunRow = React.memo(function RunRow(props: RowProps): JSX.Element {
  const { row, index, active, opened, top, onPick } = props;
  const [near, setNear] = React.useState(false);
  const kind =
    row.kind === 'sweep'
      ? 'rg-row-sweep'
      : row.label !== null
        ? 'rg-row-trial'
        : '';
  return (
    <div
      role="row"
      id={props.id}
      aria-level={row.kind === 'run' && row.label !== null ? 2 : 1}
      aria-rowindex={index + 1}
      aria-selected={opened}
      aria-expanded={row.kind === 'sweep' ? !row.folded : undefined}
      className={`rg-row ${kind}${active ? ' rg-active' : ''}${opened ? ' rg-opened' : ''}`}
      style={{ transform: `translateY(${top}px)` }}
      onClick={() => onPick(index, true)}
      onPointerEnter={() => setNear(true)}
      onPointerLeave={() => setNear(false)}
    >
      {props.swatch && (
        <span
          className="rg-row-colour"
          style={{ background: props.swatch }}
          aria-hidden="true"
        />
      )}
      {row.kind === 'run' ? (
        <RunLine {...props} run={row.run} label={row.label} near={near} />
      ) : (
        <SweepLine row={row} near={near} reached={active} />
      )}
    </div>
  );
});
