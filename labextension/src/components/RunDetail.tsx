import * as React from 'react';
import {
  ago,
  bytes,
  duration,
  moment,
  number,
  param,
  runName
} from '../format';
import { useHost, useNow, useRun, useSignal } from '../hooks';
import { LIVE } from '../models/project';
import type { Run } from '../wire';
import type { Trans } from '../words';
import { AlertCard } from './AlertCard';
import { Chart } from './Chart';
import { useCharted } from './charted';
import { metricNames, metricsByThemselves } from './ChartsView';
import { ChartTools } from './ChartTools';
import { CopyButton } from './CopyButton';
import { Empty } from './Empty';
import { Glyph, statusWord } from './Glyph';
import { Icon, IconButton } from './Icon';
import { LogTail } from './LogTail';
import { MetricPicker } from './MetricPicker';
import { Notice } from './Notice';
import { LoopLink } from './wild/WildLine';
import { useVerbs } from './verbs';

/** The state in words: what it is, since when, and why. */
export function stateSentence(run: Run, now: number, trans: Trans): string {
  const word = statusWord(run.status, trans);
  const took =
    run.started_at && run.ended_at
      ? duration(run.ended_at - run.started_at)
      : null;
  switch (run.status) {
    case 'ready':
      return trans.__('Ready. It starts when you start it.');
    case 'queued':
      return run.waits
        ? trans.__(
            'Queued since %1. %2',
            ago(run.queued_at ?? run.created_at, now, trans),
            run.waits
          )
        : trans.__(
            'Queued since %1. It starts when there is room.',
            ago(run.queued_at ?? run.created_at, now, trans)
          );
    case 'launching':
      return trans.__('Launching.');
    case 'running':
      return run.unreachable_since
        ? trans.__(
            'Running as far as known: no contact since %1.',
            ago(run.unreachable_since, now, trans)
          )
        : trans.__(
            'Running for %1.',
            duration(now - (run.started_at ?? run.created_at))
          );
    case 'stopping':
      return trans.__(
        'Stopping: it was asked to end and has its grace. "Stop now" skips it.'
      );
    default:
      return took
        ? trans.__('%1 after %2.', capital(word), took)
        : `${capital(word)}.`;
  }
}

const capital = (word: string) => word.charAt(0).toUpperCase() + word.slice(1);

export function RunDetail({ id }: { id: string }): JSX.Element {
  const { project, panel, trans } = useHost();
  const loading = useSignal(project.loadingChanged, () => project.loading);
  const run = useRun(id);
  const [missing, setMissing] = React.useState(false);
  React.useEffect(() => {
    // A link may name a run that is archived or on a page not read yet.
    if (!run && loading.phase === 'ready') {
      project.api.run(id).then(
        found => project.runs.put(found),
        () => setMissing(true)
      );
    }
  }, [run, id, project, loading.phase]);
  if (!run) {
    return (
      <section className="rg-detail" aria-label={trans.__('Run')}>
        <header className="rg-head">
          <IconButton
            icon="back"
            label={trans.__('Back')}
            onClick={() => panel.back()}
          />
          <h2>{id}</h2>
        </header>
        {missing && (
          <Empty
            title={trans.__('No such run')}
            lines={[
              trans.__(
                'It may be of another project, or its folder was removed.'
              )
            ]}
          />
        )}
      </section>
    );
  }
  return <Detail run={run} key={id} />;
}

function Detail({ run }: { run: Run }): JSX.Element {
  const { project, panel, trans } = useHost();
  const now = useNow(1000);
  const charted = useCharted();
  const { verbs, busy, error, clear } = useVerbs(run, charted);
  const alerts = useSignal(project.alerts.changed, project.alerts.all).filter(
    alert => alert.run_id === run.id
  );
  const open = alerts.filter(alert => alert.status === 'pending');
  const head = React.useRef<HTMLHeadingElement>(null);
  React.useEffect(() => head.current?.focus({ preventScroll: true }), []);
  const names = metricNames([run]);
  const [picked, setPicked] = React.useState<string[] | null>(null);
  const metrics = picked ?? metricsByThemselves([run]);
  const ids = React.useMemo(() => [run.id], [run.id]);
  const { progress } = run;
  return (
    <section
      className="rg-detail"
      aria-label={trans.__('Run %1', runName(run))}
    >
      <header className="rg-head">
        <IconButton
          icon="back"
          label={trans.__('Back')}
          onClick={() => panel.back()}
        />
        <Glyph status={run.status} />
        <h2 ref={head} tabIndex={-1} title={runName(run)}>
          {runName(run)}
        </h2>
      </header>
      <div className="rg-buttons rg-verbs">
        {verbs.map(verb => (
          <button
            key={verb.id}
            type="button"
            className="rg-button rg-quiet"
            disabled={busy}
            aria-pressed={verb.pressed}
            aria-label={verb.label}
            title={verb.label}
            onClick={verb.do}
          >
            <Icon name={verb.icon} />
            <span className="rg-verb-word"> {verb.label}</span>
          </button>
        ))}
      </div>
      {error && <Notice error={error} onClose={clear} />}
      <p className="rg-state">
        {stateSentence(run, now, trans)} {run.reason?.text}
      </p>
      {run.reason?.log_line && (
        <pre className="rg-quote">{run.reason.log_line}</pre>
      )}
      {run.health && <p className="rg-warn-text">{run.health}</p>}
      {run.status === 'running' && progress && (
        <div className="rg-progress">
          {progress.fraction !== null && (
            <span
              className="rg-bar"
              role="progressbar"
              aria-label={trans.__('Progress')}
              aria-valuemin={0}
              aria-valuemax={100}
              aria-valuenow={Math.round(progress.fraction * 100)}
            >
              <span style={{ width: `${progress.fraction * 100}%` }} />
            </span>
          )}
          <span className="rg-dim">
            {[
              progress.fraction !== null &&
                `${Math.floor(progress.fraction * 100)} %`,
              progress.step !== null &&
                (progress.total !== null
                  ? trans.__('step %1 of %2', progress.step, progress.total)
                  : trans.__('step %1', progress.step)),
              progress.eta_s !== null &&
                trans.__('~%1 left', duration(progress.eta_s))
            ]
              .filter(Boolean)
              .join(' · ')}
          </span>
        </div>
      )}
      {open.map(alert => (
        <AlertCard key={alert.id} alert={alert} bare />
      ))}
      {names.length ? (
        <>
          <div className="rg-tools">
            <MetricPicker names={names} picked={metrics} onChange={setPicked} />
            <ChartTools />
          </div>
          {metrics.map(metric => (
            <Chart key={metric} runs={ids} metric={metric} height={170} />
          ))}
        </>
      ) : (
        <p className="rg-nodata">
          {LIVE.has(run.status)
            ? trans.__('No data yet: no metric was seen so far.')
            : trans.__('No data: this run logged no metric.')}
        </p>
      )}
      <Params run={run} />
      <h3>{trans.__('Log')}</h3>
      <LogTail run={run.id} />
      <Facts run={run} now={now} />
      {alerts.length > open.length && (
        <details className="rg-behind">
          <summary>
            {trans._n(
              '%1 answered alert',
              '%1 answered alerts',
              alerts.length - open.length
            )}
          </summary>
          {alerts
            .filter(alert => alert.status !== 'pending')
            .map(alert => (
              <AlertCard key={alert.id} alert={alert} bare />
            ))}
        </details>
      )}
    </section>
  );
}

function Params({ run }: { run: Run }): JSX.Element | null {
  const { trans } = useHost();
  const entries = Object.entries(run.params);
  const figures = Object.entries(run.summary);
  if (!entries.length && !figures.length) {
    return null;
  }
  return (
    <>
      {entries.length > 0 && (
        <>
          <h3>{trans.__('Parameters')}</h3>
          <dl className="rg-facts">
            {entries.map(([name, value]) => (
              <React.Fragment key={name}>
                <dt>{name}</dt>
                <dd className="rg-figure">{param(value)}</dd>
              </React.Fragment>
            ))}
          </dl>
        </>
      )}
      {figures.length > 0 && (
        <details className="rg-behind">
          <summary>
            {trans._n('%1 metric', '%1 metrics', figures.length)}
          </summary>
          <dl className="rg-facts">
            {figures.map(([name, summary]) => (
              <React.Fragment key={name}>
                <dt>{name}</dt>
                <dd
                  className="rg-figure"
                  title={trans.__(
                    'lowest %1 at step %2, highest %3 at step %4',
                    number(summary.min),
                    number(summary.min_step),
                    number(summary.max),
                    number(summary.max_step)
                  )}
                >
                  {number(summary.last)}
                  {summary.nonfinite > 0 && (
                    <span className="rg-bad">
                      {' '}
                      {trans.__('NaN or ∞ × %1', summary.nonfinite)}
                    </span>
                  )}
                </dd>
              </React.Fragment>
            ))}
          </dl>
        </details>
      )}
    </>
  );
}

function Facts({ run, now }: { run: Run; now: number }): JSX.Element {
  const { project, panel, trans } = useHost();
  const loop = useSignal(
    project.sweeps.changed,
    () => project.sweeps.get(run.sweep_id ?? '')?.loop_id ?? ''
  );
  const when = (at: number | null) =>
    at === null ? null : <time title={moment(at)}>{ago(at, now, trans)}</time>;
  const attach = useAttachCommand(run);
  const rows: [string, React.ReactNode][] = [
    [trans.__('Folder'), <code key="c">{run.cwd}</code>],
    [
      trans.__('Python'),
      run.interpreter && (
        <code key="p">
          {run.interpreter.name || run.interpreter.path}{' '}
          {run.interpreter.version}
        </code>
      )
    ],
    [
      trans.__('Environment'),
      Object.keys(run.env).length > 0 && (
        <code key="e">
          {Object.entries(run.env)
            .map(([name, value]) => `${name}=${value}`)
            .join('\n')}
        </code>
      )
    ],
    [
      trans.__('GPUs'),
      run.gpus > 0 &&
        (run.gpu_ids.length ? run.gpu_ids.join(', ') : String(run.gpus))
    ],
    [trans.__('Wild loop'), loop && <LoopLink key="w" id={loop} />],
    [trans.__('Seed'), run.seed],
    [
      trans.__('Git'),
      run.git && (
        <code key="g">
          {run.git.branch} {run.git.commit.slice(0, 10)}
          {run.git.dirty ? ` ${trans.__('with changes')}` : ''}
        </code>
      )
    ],
    [trans.__('Created'), when(run.created_at)],
    [trans.__('Started'), when(run.started_at)],
    [trans.__('Ended'), when(run.ended_at)],
    [
      trans.__('Exit'),
      run.exit_code !== null
        ? String(run.exit_code)
        : run.signal !== null && trans.__('signal %1', run.signal)
    ],
    [trans.__('Stopped by'), run.stop_by],
    [
      trans.__('Memory'),
      run.max_rss_bytes !== null && bytes(run.max_rss_bytes)
    ],
    [trans.__('CPU'), run.cpu_s !== null && duration(run.cpu_s)],
    [
      trans.__('Retry of'),
      run.retry_of && (
        <button
          key="r"
          type="button"
          className="rg-link"
          onClick={() => panel.openRun(run.retry_of!)}
        >
          {run.retry_of}
        </button>
      )
    ],
    [trans.__('Runs in'), run.executor],
    [trans.__('Notes'), run.notes],
    [
      trans.__('Id'),
      <span key="i">
        <code>{run.id}</code>{' '}
        <CopyButton icon text={run.id} label={trans.__('Copy the id')} />
      </span>
    ]
  ];
  return (
    <>
      <h3>{trans.__('Command')}</h3>
      <div className="rg-command">
        <pre>{run.command}</pre>
        <CopyButton
          icon
          text={run.command}
          label={trans.__('Copy the command')}
        />
      </div>
      {attach && (
        <>
          <p className="rg-dim">{trans.__('To follow it in a terminal:')}</p>
          <div className="rg-command">
            <pre>{attach}</pre>
            <CopyButton
              icon
              text={attach}
              label={trans.__('Copy the command that follows this run')}
            />
          </div>
        </>
      )}
      <dl className="rg-facts">
        {rows.map(([name, value]) =>
          value === null ||
          value === undefined ||
          value === false ||
          value === '' ? null : (
            <React.Fragment key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </React.Fragment>
          )
        )}
      </dl>
    </>
  );
}

/** What a person types to see the run as it writes: its terminal where it has one, else its log. */
function useAttachCommand(run: Run): string | null {
  const { project } = useHost();
  const live = LIVE.has(run.status);
  const [command, setCommand] = React.useState<string | null>(null);
  React.useEffect(() => {
    let here = true;
    const log = `ragent logs ${run.id} -f`;
    if (live) {
      project.api.attachCommand(run.id).then(
        attach => here && setCommand(attach ?? log),
        () => here && setCommand(log)
      );
    }
    return () => {
      here = false;
    };
  }, [live, run.id, project]);
  return live ? command : null;
}
