import * as React from 'react';
import { number, runName } from '../../format';
import { useHost, useRun, useSignal } from '../../hooks';
import { money, counted } from '../../models/wildwords';
import type { Entry, Seen } from '../../wire';

/** A name that leads to the thing itself. What is not known here stands as it is written. */
export function Ref({ id }: { id: string }): JSX.Element {
  return id.startsWith('run_') ? (
    <RunRef id={id} />
  ) : id.startsWith('swp_') ? (
    <SweepRef id={id} />
  ) : id.startsWith('alt_') ? (
    <AlertRef id={id} />
  ) : (
    <code className="rg-wild-text">{id}</code>
  );
}

function RunRef({ id }: { id: string }): JSX.Element {
  const { panel } = useHost();
  const run = useRun(id);
  const name = run ? runName(run) : id;
  return (
    <button
      type="button"
      className="rg-link rg-ref"
      title={name}
      onClick={() => panel.openRun(id)}
    >
      {name}
    </button>
  );
}

function SweepRef({ id }: { id: string }): JSX.Element {
  const { project, panel, trans } = useHost();
  const sweep = useSignal(
    project.sweeps.changed,
    React.useCallback(() => project.sweeps.get(id), [project, id])
  );
  return (
    <button
      type="button"
      className="rg-link rg-ref"
      title={trans.__('Chart its runs')}
      disabled={!sweep}
      onClick={() => {
        panel.showTab('charts');
        panel.set({
          charted: sweep?.trials.flatMap(trial => trial.run_ids.slice(-1)) ?? []
        });
      }}
    >
      {sweep?.name || id}
    </button>
  );
}

function AlertRef({ id }: { id: string }): JSX.Element {
  const { project, panel } = useHost();
  const alert = useSignal(
    project.alerts.changed,
    React.useCallback(() => project.alerts.get(id), [project, id])
  );
  return (
    <button
      type="button"
      className="rg-link rg-ref"
      title={alert?.title}
      onClick={() => panel.showTab('alerts')}
    >
      {alert?.title ?? id}
    </button>
  );
}

export function Refs({ ids }: { ids: readonly string[] }): JSX.Element | null {
  const { trans } = useHost();
  const [all, setAll] = React.useState(false);
  const some = all ? ids : ids.slice(0, 5);
  return ids.length ? (
    <span className="rg-refs">
      {some.map((id, i) => (
        <Ref key={`${i} ${id}`} id={id} />
      ))}
      {some.length < ids.length && (
        <button type="button" className="rg-link" onClick={() => setAll(true)}>
          {trans.__('%1 more', ids.length - some.length)}
        </button>
      )}
    </span>
  ) : null;
}

const shown = (value: unknown): string =>
  typeof value === 'number' || typeof value === 'string' || value === null
    ? number(value)
    : JSON.stringify(value);

/** What a decision looked at, one thing a line. */
export function Evidence({
  evidence
}: {
  evidence: readonly Seen[];
}): JSX.Element {
  return (
    <ul className="rg-evidence-list">
      {evidence.map((seen, i) => (
        <li key={i} className="rg-wild-text">
          <span className="rg-dim">{seen.kind}</span>{' '}
          {seen.ref && <Ref id={seen.ref} />} {seen.text}{' '}
          {seen.value !== null && (
            <span className="rg-figure">{shown(seen.value)}</span>
          )}
        </li>
      ))}
    </ul>
  );
}

/** What an answer of a model has cost. */
export function Cost({ entry }: { entry: Entry }): JSX.Element | null {
  const { trans } = useHost();
  const { usage } = entry;
  if (!usage) {
    return null;
  }
  const tokens = (usage.input ?? 0) + (usage.output ?? 0);
  return (
    <span className="rg-figure">
      {trans.__('%1 tokens', counted(tokens))}
      {typeof usage.cost === 'number' && ` · ${money(usage.cost)}`}
    </span>
  );
}
