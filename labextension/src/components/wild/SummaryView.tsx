import * as React from 'react';
import { useHost, useLoopReply } from '../../hooks';
import type { Line, Loop } from '../../wire';
import { Refs } from './Ref';

/** The morning after, on one screen: what was tried, what of it is real, what it cost, what it needs. */
export function SummaryView({ loop }: { loop: Loop }): JSX.Element | null {
  const { trans } = useHost();
  const reply = useLoopReply(loop.id);
  if (!reply) {
    return (
      <div className="rg-skeleton" aria-hidden="true">
        <div />
        <div />
        <div />
      </div>
    );
  }
  const { summary } = reply;
  const parts: [string, Line[]][] = [
    [trans.__('Needs you'), summary.needs],
    [trans.__('Real'), summary.real],
    [trans.__('Tried'), summary.tried],
    [trans.__('Cost'), summary.cost]
  ];
  const told = parts.filter(([, lines]) => lines.length);
  return told.length || summary.title ? (
    <section className="rg-wild-part" aria-label={trans.__('Summary')}>
      {summary.title && <h3 className="rg-wild-text">{summary.title}</h3>}
      <dl className="rg-summary">
        {told.map(([name, lines]) => (
          <React.Fragment key={name}>
            <dt>{name}</dt>
            {lines.map((line, i) => (
              <dd key={i} className={`rg-wild-text rg-tone-${line.tone}`}>
                {line.text} <Refs ids={line.refs} />
              </dd>
            ))}
          </React.Fragment>
        ))}
      </dl>
    </section>
  ) : null;
}
