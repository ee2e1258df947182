import * as React from 'react';
import { useHost, useSignal } from '../hooks';
import { AlertCard } from './AlertCard';
import { Empty } from './Empty';

const FIRST = 20;

/** What waits for a person, worst first; what was answered is folded away below. */
export function AlertsView(): JSX.Element {
  const { project, trans } = useHost();
  const all = useSignal(project.alerts.changed, project.alerts.all);
  const open = useSignal(project.alerts.changed, project.open);
  const [more, setMore] = React.useState(FIRST);
  const done = all.filter(alert => alert.status !== 'pending');
  return (
    <div className="rg-alerts">
      {open.length ? (
        <>
          {open.slice(0, more).map(alert => (
            <AlertCard key={alert.id} alert={alert} />
          ))}
          {open.length > more && (
            <button
              type="button"
              className="rg-button rg-quiet"
              onClick={() => setMore(more + FIRST)}
            >
              {trans.__('Show %1 more', Math.min(FIRST, open.length - more))}
            </button>
          )}
        </>
      ) : (
        <Empty
          title={trans.__('No alert waits for you')}
          lines={[
            trans.__(
              'Each run is watched while it trains: NaN, spikes, divergence, a plateau, silence.'
            ),
            trans.__(
              'An alert is a question with answers to choose from. It never stops a run by itself.'
            )
          ]}
        />
      )}
      {done.length > 0 && (
        <details className="rg-behind">
          <summary>
            {trans._n('%1 answered', '%1 answered', done.length)}
          </summary>
          {done.slice(0, 50).map(alert => (
            <AlertCard key={alert.id} alert={alert} />
          ))}
        </details>
      )}
    </div>
  );
}
