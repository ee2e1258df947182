import * as React from 'react';
import { useHost } from '../../hooks';
import { isOver } from '../../models/wild';
import type { Loop, LoopTask } from '../../wire';

const SIGNS: Record<LoopTask['state'], string> = {
  todo: '○',
  doing: '●',
  done: '✓',
  dropped: '–'
};

/** What it means to do, as it stands. */
export function PlanView({ loop }: { loop: Loop }): JSX.Element | null {
  const { trans } = useHost();
  const words: Record<LoopTask['state'], string> = {
    todo: trans.__('to do'),
    doing: trans.__('under way'),
    done: trans.__('done'),
    dropped: trans.__('dropped')
  };
  if (!loop.plan.length && !loop.findings.length) {
    return null;
  }
  const done = loop.plan.filter(task => task.state === 'done').length;
  return (
    <section className="rg-wild-part" aria-label={trans.__('Plan')}>
      {loop.plan.length > 0 && (
        <>
          <h3>
            {trans.__('Plan')}{' '}
            <span className="rg-dim rg-figure">
              {trans.__('%1 of %2 done', done, loop.plan.length)}
            </span>
          </h3>
          <ul className="rg-tasks">
            {loop.plan.map(({ id, text, state: said }) => {
              // Of a loop that is over nothing is under way, whatever was left standing.
              const state = isOver(loop) && said === 'doing' ? 'todo' : said;
              return (
                <li key={id} className={`rg-task-${state}`}>
                  <span aria-hidden="true">{SIGNS[state] ?? '○'}</span>
                  <span className="rg-unseen">{words[state] ?? state}:</span>
                  <span className="rg-wild-text">{text}</span>
                </li>
              );
            })}
          </ul>
        </>
      )}
      {loop.findings.length > 0 && (
        <details className="rg-behind">
          <summary>
            {trans._n(
              '%1 thing was learnt',
              '%1 things were learnt',
              loop.findings.length
            )}
          </summary>
          <ul className="rg-evidence-list">
            {[...loop.findings]
              .reverse()
              .slice(0, 100)
              .map((finding, i) => (
                <li key={i} className="rg-wild-text">
                  {finding}
                </li>
              ))}
          </ul>
        </details>
      )}
    </section>
  );
}
