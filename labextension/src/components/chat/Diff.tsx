import * as React from 'react';
import { useHost } from '../../hooks';

const MOST_LINES = 400;

/** A unified diff: each line says by its sign, and by its colour, what becomes of it. */
export function Diff({
  diff,
  path
}: {
  diff: string;
  path?: string;
}): JSX.Element {
  const { trans } = useHost();
  const [all, setAll] = React.useState(false);
  const lines = diff.replace(/\n$/, '').split('\n');
  // The caption names the file: its two header lines would say it again.
  if (path && /^--- /.test(lines[0]) && /^\+\+\+ /.test(lines[1] ?? '')) {
    lines.splice(0, 2);
  }
  const shown = all ? lines : lines.slice(0, MOST_LINES);
  const plus = lines.filter(l => l.startsWith('+') && !l.startsWith('+++'));
  const minus = lines.filter(l => l.startsWith('-') && !l.startsWith('---'));
  return (
    <figure className="rg-diff">
      <figcaption className="rg-dim">
        {path && <span className="rg-code rg-name">{path} </span>}
        <span className="rg-diff-plus">+{plus.length}</span>{' '}
        <span className="rg-diff-minus">−{minus.length}</span>
      </figcaption>
      <pre tabIndex={0} role="group" aria-label={trans.__('Changes')}>
        {shown.map((line, i) => {
          const kind = /^(\+\+\+|---|@@|diff |index )/.test(line)
            ? 'head'
            : line.startsWith('+')
              ? 'plus'
              : line.startsWith('-')
                ? 'minus'
                : 'same';
          return (
            <span key={i} className={`rg-diff-${kind}`}>
              {line || ' '}
              {'\n'}
            </span>
          );
        })}
      </pre>
      {shown.length < lines.length && (
        <button type="button" className="rg-link" onClick={() => setAll(true)}>
          {trans.__('Show all %1 lines', lines.length)}
        </button>
      )}
    </figure>
  );
}
