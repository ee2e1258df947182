import * as React from 'react';
import { useDoing, useHost } from '../../hooks';
import { verdictWord } from '../../models/wildwords';
import type { Loop } from '../../wire';
import { Diff } from '../chat/Diff';
import { Notice } from '../Notice';
import { VerdictGlyph } from './LoopGlyph';

/** Code that it has changed, on its own branch: each commit with its diff. A person merges. */
export function CodeView({ loop }: { loop: Loop }): JSX.Element | null {
  const { trans } = useHost();
  const commits = loop.commits.slice(1).reverse();
  if (!commits.length) {
    return null;
  }
  return (
    <section className="rg-wild-part" aria-label={trans.__('Code changes')}>
      <h3>
        {trans.__('Code changes')}{' '}
        <span className="rg-dim">
          {trans._n('%1 commit', '%1 commits', commits.length)}
        </span>
      </h3>
      {loop.branch && (
        <p className="rg-dim rg-wild-text">
          {trans.__('On the branch')} <code>{loop.branch}</code>.{' '}
          {trans.__('Your files and your branch are as they were.')}
        </p>
      )}
      <ul className="rg-commits">
        {commits.map(commit => (
          <Commit key={commit} loop={loop} commit={commit} />
        ))}
      </ul>
    </section>
  );
}

function Commit(props: { loop: Loop; commit: string }): JSX.Element {
  const { wild, trans } = useHost();
  const { loop, commit } = props;
  const { busy, error, run: doing, clear } = useDoing();
  const [diff, setDiff] = React.useState<string | null>(null);
  const [open, setOpen] = React.useState<'' | 'diff' | 'merge'>('');
  const [merged, setMerged] = React.useState('');
  const verdict = [...loop.verdicts]
    .reverse()
    .find(one => one.commit === commit);
  const word = verdict?.verdict ?? 'unconfirmed';
  const show = (what: 'diff' | 'merge') => {
    if (open === what) {
      setOpen('');
      return;
    }
    doing(async () => {
      if (diff === null) {
        setDiff(await wild.api.diff(loop.id, commit));
      }
      setOpen(what);
    });
  };
  const merge = () =>
    doing(async () => {
      const reply = await wild.api.merge(loop.id, commit);
      setMerged(reply.text || trans.__('Merged into your branch.'));
      setOpen('');
    });
  return (
    <li>
      <div className="rg-commit">
        <VerdictGlyph word={word} />
        <code>{commit.slice(0, 10)}</code>
        <span className="rg-dim">{verdictWord(word, trans)}</span>
        <span className="rg-commit-verbs">
          <button
            type="button"
            className="rg-button rg-quiet"
            aria-expanded={open === 'diff'}
            disabled={busy}
            onClick={() => show('diff')}
          >
            {trans.__('Diff')}
          </button>
          <button
            type="button"
            className="rg-button rg-quiet"
            aria-expanded={open === 'merge'}
            disabled={busy || Boolean(merged)}
            onClick={() => show('merge')}
          >
            {trans.__('Merge…')}
          </button>
        </span>
      </div>
      {open && diff !== null && (
        <>
          {diff.trim() ? (
            <Diff diff={diff} />
          ) : (
            <p className="rg-nodata">
              {trans.__('This commit changes nothing.')}
            </p>
          )}
          {open === 'merge' && (
            <div className="rg-wild-choice">
              <p>
                {word === 'confirmed'
                  ? trans.__(
                      'These changes are put onto the branch you have checked out.'
                    )
                  : trans.__(
                      'These changes are put onto the branch you have checked out. No gain of theirs is confirmed.'
                    )}
              </p>
              <div className="rg-buttons">
                <button
                  type="button"
                  className="rg-button"
                  onClick={() => setOpen('')}
                >
                  {trans.__('Do not merge')}
                </button>
                <button
                  type="button"
                  className="rg-button rg-primary"
                  disabled={busy}
                  onClick={merge}
                >
                  {trans.__('Merge into my branch')}
                </button>
              </div>
            </div>
          )}
        </>
      )}
      <p role="status" className="rg-wild-text">
        {merged}
      </p>
      {error && <Notice error={error} onClose={clear} />}
    </li>
  );
}
