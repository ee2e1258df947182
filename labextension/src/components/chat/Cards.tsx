import * as React from 'react';
import { duration, number, runName } from '../../format';
import { useHost, useNow, useRun, useSignal } from '../../hooks';
import { judgedBy, keyValue } from '../../models/rows';
import { openable } from '../../markdown/safe';
import type { Plan, Sweep, ToolPart } from '../../wire';
import { AlertCard } from '../AlertCard';
import { Chart } from '../Chart';
import { Glyph } from '../Glyph';
import { trail } from '../RunRow';
import { LoopLink } from '../wild/WildLine';
import { Diff } from './Diff';

const text = (value: unknown): string =>
  typeof value === 'string' ? value : '';
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const ids = (value: unknown): string[] =>
  list(value).filter((id): id is string => typeof id === 'string');

/** What a tool has made, as the live thing itself. Null: it made none, or one that is not known here. */
export function Card({ part }: { part: ToolPart }): JSX.Element | null {
  const { data } = part;
  switch (data.card) {
    case 'run':
      return <Runs runs={[text(data.run)]} />;
    case 'runs':
      return <Runs runs={ids(data.runs)} />;
    case 'sweep':
      return <SweepCard id={text(data.sweep)} />;
    case 'chart':
      return (
        <div className="rg-card">
          <Chart
            runs={ids(data.runs)}
            metric={text(data.metric)}
            height={140}
          />
        </div>
      );
    case 'alert':
      return <AlertOf id={text(data.alert)} />;
    case 'diff':
      return <Diff diff={text(data.diff)} path={text(data.path)} />;
    case 'plan':
      return <PlanCard id={text(data.plan)} />;
    case 'notebook':
      return <FileLink path={text(data.path)} cells={ids(data.cells).length} />;
    case 'report':
      return <FileLink path={text(data.path)} />;
    case 'table':
      return <TableCard columns={list(data.columns)} rows={list(data.rows)} />;
    case 'sources':
      return <Sources items={list(data.items)} />;
    default:
      return null;
  }
}

const MOST_RUNS = 8;

function Runs({ runs }: { runs: string[] }): JSX.Element | null {
  const { trans } = useHost();
  const [all, setAll] = React.useState(false);
  if (!runs.length) {
    return null;
  }
  const shown = all ? runs : runs.slice(0, MOST_RUNS);
  return (
    <ul className="rg-card rg-card-runs">
      {shown.map(id => (
        <RunLine key={id} id={id} />
      ))}
      {runs.length > shown.length && (
        <li>
          <button
            type="button"
            className="rg-link rg-dim"
            onClick={() => setAll(true)}
          >
            {trans.__('and %1 more', runs.length - shown.length)}
          </button>
        </li>
      )}
    </ul>
  );
}

function RunLine({ id }: { id: string }): JSX.Element {
  const { project, panel, trans } = useHost();
  const run = useRun(id);
  const now = useNow();
  const [missing, setMissing] = React.useState(false);
  React.useEffect(() => {
    if (!run && id) {
      project.api.run(id).then(
        found => project.runs.put(found),
        () => setMissing(true)
      );
    }
  }, [run, id, project]);
  if (!run) {
    return (
      <li className="rg-dim">
        {id} {missing && trans.__('(not known any more)')}
      </li>
    );
  }
  const metric = judgedBy(run);
  const fraction =
    run.status === 'running' ? (run.progress?.fraction ?? null) : null;
  return (
    <li>
      <Glyph status={run.status} />
      <button
        type="button"
        className="rg-link rg-name"
        title={run.id}
        onClick={() => panel.openRun(run.id)}
      >
        {runName(run)}
      </button>
      {metric !== null && (
        <span className="rg-figure" title={metric}>
          {number(keyValue(run))}
        </span>
      )}
      <span className="rg-dim rg-figure rg-card-trail">
        {fraction !== null && (
          <span className="rg-bar" aria-hidden="true">
            <span style={{ width: `${fraction * 100}%` }} />
          </span>
        )}
        {trail(run, now, trans)}
      </span>
    </li>
  );
}

function SweepCard({ id }: { id: string }): JSX.Element {
  const { project, panel, trans } = useHost();
  const sweep = useSignal(
    project.sweeps.changed,
    React.useCallback(() => project.sweeps.get(id), [project, id])
  );
  if (!sweep) {
    return (
      <p className="rg-card rg-dim">{trans.__('Sweep %1 is not known.', id)}</p>
    );
  }
  const done = trialsDone(sweep);
  return (
    <div className="rg-card">
      <p className="rg-card-line">
        <Glyph status={sweep.status} />
        <button
          type="button"
          className="rg-link rg-name"
          onClick={() => {
            panel.showTab('runs');
            panel.set({ filter: '', show: 'all' });
          }}
        >
          {sweep.name || sweep.id}
        </button>
        <span className="rg-dim rg-figure rg-card-trail">
          {trans.__('%1 of %2 trials', done, sweep.trials.length)}
        </span>
      </p>
      <span
        className="rg-bar"
        role="progressbar"
        aria-label={trans.__('Trials that have run')}
        aria-valuemin={0}
        aria-valuemax={sweep.trials.length}
        aria-valuenow={done}
      >
        <span
          style={{
            width: `${(100 * done) / Math.max(1, sweep.trials.length)}%`
          }}
        />
      </span>
      {sweep.estimate && (
        <p className="rg-dim rg-card-line">
          {trans.__('Estimate:')} {sweep.estimate.text}
        </p>
      )}
      {sweep.loop_id && (
        <p className="rg-dim rg-card-line">
          {trans.__('Wild loop:')}&nbsp;
          <LoopLink id={sweep.loop_id} />
        </p>
      )}
    </div>
  );
}

const trialsDone = (sweep: Sweep) =>
  sweep.trials.filter(trial => trial.run_ids.length > 0).length;

function AlertOf({ id }: { id: string }): JSX.Element {
  const { project, trans } = useHost();
  const alert = useSignal(
    project.alerts.changed,
    React.useCallback(() => project.alerts.get(id), [project, id])
  );
  return alert ? (
    <AlertCard alert={alert} />
  ) : (
    <p className="rg-card rg-dim">{trans.__('Alert %1 is not known.', id)}</p>
  );
}

const TASK_SIGNS = {
  pending: '○',
  running: '●',
  done: '✓',
  failed: '✕',
  skipped: '–'
};

function PlanCard({ id }: { id: string }): JSX.Element {
  const { desk, trans } = useHost();
  const plan = useSignal(
    desk.plans.changed,
    React.useCallback(() => desk.plans.get(id), [desk, id])
  );
  if (!plan) {
    return (
      <p className="rg-card rg-dim">{trans.__('Plan %1 is not known.', id)}</p>
    );
  }
  const words: Record<Plan['status'], string> = {
    proposed: trans.__('proposed'),
    approved: trans.__('approved'),
    refused: trans.__('refused'),
    executing: trans.__('under way'),
    done: trans.__('done')
  };
  const tasks = {
    pending: trans.__('to do'),
    running: trans.__('under way'),
    done: trans.__('done'),
    failed: trans.__('failed'),
    skipped: trans.__('skipped')
  };
  return (
    <div className="rg-card">
      <p className="rg-card-line">
        <span className="rg-strong rg-name">{plan.title}</span>
        <span className="rg-dim rg-card-trail">{words[plan.status]}</span>
      </p>
      <ol className="rg-tasks">
        {plan.tasks.map((task, i) => (
          <li key={i} className={`rg-task-${task.status}`}>
            <span
              className="rg-task-sign"
              title={tasks[task.status]}
              aria-hidden="true"
            >
              {TASK_SIGNS[task.status]}
            </span>
            <span>
              {task.title}
              <span className="rg-unseen"> ({tasks[task.status]})</span>
              {task.note && <span className="rg-dim"> {task.note}</span>}
            </span>
          </li>
        ))}
      </ol>
    </div>
  );
}

function FileLink({
  path,
  cells = 0
}: {
  path: string;
  cells?: number;
}): JSX.Element {
  const { openFile, trans } = useHost();
  return (
    <p className="rg-card rg-card-line">
      {openFile ? (
        <button
          type="button"
          className="rg-link rg-code rg-name"
          onClick={() => openFile(path)}
        >
          {path}
        </button>
      ) : (
        <span className="rg-code rg-name">{path}</span>
      )}
      {cells > 0 && (
        <span className="rg-dim rg-card-trail">
          {trans._n('%1 cell', '%1 cells', cells)}
        </span>
      )}
    </p>
  );
}

const shown = (value: unknown): string =>
  typeof value === 'number' || value === null || value === undefined
    ? number(value as number | null)
    : typeof value === 'string'
      ? value
      : JSON.stringify(value);

const MOST_ROWS = 50;

function TableCard(props: {
  columns: unknown[];
  rows: unknown[];
}): JSX.Element {
  const { trans } = useHost();
  const rows = props.rows.slice(0, MOST_ROWS);
  return (
    <div
      className="rg-md-table rg-card"
      tabIndex={0}
      role="group"
      aria-label={trans.__('Table')}
    >
      <table>
        <thead>
          <tr>
            {props.columns.map((column, i) => (
              <th key={i} scope="col">
                {shown(column)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, r) => (
            <tr key={r}>
              {list(row).map((cell, i) => (
                <td
                  key={i}
                  className={typeof cell === 'number' ? 'rg-figure' : undefined}
                >
                  {shown(cell)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {props.rows.length > rows.length && (
        <p className="rg-dim">
          {trans.__('and %1 more', props.rows.length - rows.length)}
        </p>
      )}
    </div>
  );
}

function Sources({ items }: { items: unknown[] }): JSX.Element | null {
  const { trans } = useHost();
  return items.length ? (
    <ul className="rg-card rg-sources" aria-label={trans.__('Sources')}>
      {items.slice(0, 30).map((item, i) => {
        const { title, url } = (item ?? {}) as Record<string, unknown>;
        const href = openable(text(url));
        const label = text(title) || text(url) || shown(item);
        return (
          <li key={i}>
            {href ? (
              <a href={href} target="_blank" rel="noopener noreferrer">
                {label}
              </a>
            ) : (
              label
            )}
          </li>
        );
      })}
    </ul>
  ) : null;
}

/** How long a call took, or takes. */
export function took(part: ToolPart, now: number): string {
  return part.started_at === null
    ? ''
    : duration((part.ended_at ?? now) - part.started_at);
}
