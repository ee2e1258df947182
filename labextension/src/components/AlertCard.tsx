import * as React from 'react';
import { ago, moment, number, runName } from '../format';
import { useDoing, useHost, useNow, useRun, useTheme } from '../hooks';
import { colourOf } from '../models/colours';
import type { Alert, Choice, Evidence } from '../wire';
import { SeverityGlyph } from './Glyph';
import { Notice } from './Notice';
import { Plot } from './Plot';

/** One alert: what happened, what it means, what was seen, and what can be done, in words that say it. */
export function AlertCard({
  alert,
  bare
}: {
  alert: Alert;
  bare?: boolean;
}): JSX.Element {
  const { project, panel, desk, trans } = useHost();
  const run = useRun(alert.run_id);
  const now = useNow();
  const { busy, error, run: doing, clear } = useDoing();
  const answered = alert.status !== 'pending';
  const answer = (choice: Choice) =>
    doing(async () => {
      project.alerts.put(await project.api.respond(alert.id, choice.id));
      project.alerts.flush();
    });
  const ask = () =>
    doing(async () => {
      const about = { alert: alert.id, run: alert.run_id };
      const session = await desk.api.create({ about });
      desk.put(session);
      panel.openChat(session.id);
    });
  const chosen = alert.choices.find(choice => choice.id === alert.choice);
  return (
    <article
      className={`rg-alert rg-is-${alert.severity}${answered ? ' rg-answered' : ''}`}
      aria-label={alert.title}
    >
      <header>
        <SeverityGlyph severity={alert.severity} />
        <h3>{alert.title}</h3>
      </header>
      <p className="rg-dim">
        {!bare && (
          <>
            <button
              type="button"
              className="rg-link"
              onClick={() => panel.openRun(alert.run_id)}
            >
              {run ? runName(run) : alert.run_id}
            </button>
            {' · '}
          </>
        )}
        <time
          dateTime={new Date(alert.raised_at * 1000).toISOString()}
          title={moment(alert.raised_at)}
        >
          {ago(alert.raised_at, now, trans)}
        </time>
      </p>
      {alert.text && <p>{alert.text}</p>}
      {!answered && <EvidenceView alert={alert} />}
      {answered && alert.status === 'resolved' && alert.note && (
        <p>{alert.note}</p>
      )}
      {answered ? (
        <p className="rg-dim">
          {alert.status === 'resolved'
            ? trans.__(
                'Answered: %1 (%2)',
                chosen?.label ?? alert.choice ?? '',
                alert.answered_by ?? ''
              )
            : alert.status === 'dismissed'
              ? trans.__('Dismissed')
              : trans.__(
                  'Expired: %1',
                  alert.note || trans.__('the run has ended')
                )}
        </p>
      ) : (
        <div className="rg-buttons">
          {/* The safe answer stands first and is the one that Enter presses. */}
          {[...alert.choices]
            .sort(
              (a, b) =>
                Number(b.id === alert.default) - Number(a.id === alert.default)
            )
            .map(choice => (
              <button
                key={choice.id}
                type="button"
                className={`rg-button${choice.id === alert.default ? ' rg-primary' : ''}`}
                disabled={busy}
                onClick={() => answer(choice)}
              >
                {choice.label}
              </button>
            ))}
          <button
            type="button"
            className="rg-button rg-quiet"
            disabled={busy}
            onClick={ask}
          >
            {trans.__('Chat')}
          </button>
        </div>
      )}
      {error && <Notice error={error} onClose={clear} />}
    </article>
  );
}

/** The window that the rule saw, and the figures it compared. */
function EvidenceView({ alert }: { alert: Alert }): JSX.Element | null {
  const { trans } = useHost();
  const { name: theme, dark } = useTheme();
  const run = useRun(alert.run_id);
  const { evidence } = alert;
  const figures = [
    evidence.value !== null && trans.__('value %1', number(evidence.value)),
    evidence.baseline !== null &&
      trans.__('usual %1', number(evidence.baseline)),
    evidence.threshold !== null &&
      trans.__('limit %1', number(evidence.threshold))
  ].filter(Boolean);
  const lines = React.useMemo(() => {
    const colour = colourOf(
      run ?? { id: alert.run_id, trial: null, colour: null },
      dark
    );
    return [
      {
        label: evidence.metric,
        colour,
        best: false,
        fork: false,
        series: windowSeries(evidence, alert.run_id)
      }
    ];
  }, [evidence, alert.run_id, run?.colour, run?.trial, dark]);
  if (!figures.length && evidence.window.length < 2 && !evidence.log_line) {
    return null;
  }
  return (
    <div className="rg-evidence">
      {evidence.window.length > 1 && (
        <Plot
          lines={lines}
          x="step"
          log={false}
          height={84}
          flags={[]}
          compact
          theme={theme}
          label={trans.__(
            'What the rule saw: %1 from step %2 to %3, last value %4.',
            evidence.metric,
            evidence.window[0][0],
            evidence.window[evidence.window.length - 1][0],
            number(evidence.window[evidence.window.length - 1][1])
          )}
        />
      )}
      {figures.length > 0 && (
        <p className="rg-dim rg-figures">
          {evidence.metric}
          {evidence.step !== null && ` · ${trans.__('step %1', evidence.step)}`}
          {' · '}
          {figures.join(' · ')}
        </p>
      )}
      {evidence.log_line && <pre className="rg-quote">{evidence.log_line}</pre>}
    </div>
  );
}

function windowSeries(evidence: Evidence, run: string) {
  const bad = evidence.window.filter(([, value]) => typeof value !== 'number');
  return {
    run,
    name: evidence.metric,
    x: evidence.window.map(([step]) => step),
    last: evidence.window.map(([, value]) =>
      typeof value === 'number' ? value : null
    ),
    min: [],
    max: [],
    raw: true,
    nonfinite: bad.map(([step]) => step),
    nonfinite_kinds: bad.map(([, value]) => String(value)),
    nonfinite_count: bad.length,
    total: evidence.window.length,
    cursor: '',
    reset: true,
    rewinds: [],
    forks: []
  };
}
