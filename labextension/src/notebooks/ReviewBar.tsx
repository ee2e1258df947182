/** What the agent changed in a notebook, for a person to agree to or take back: a bar on top, a strip in each cell. */
import React, { useId, useState } from 'react';

import type { Trans } from '../words';
import { diffLines } from './diff';
import type { ReviewCell } from './protocol';

export interface ReviewWishes {
  accept(cells: string[]): void;
  reject(cells: string[]): void;
  go(step: 1 | -1): void;
}

interface BarProps {
  cells: readonly ReviewCell[];
  /** A sentence about the last wish; "" if there is nothing to say. */
  said: string;
  busy: boolean;
  wishes: ReviewWishes;
  trans: Trans;
}

export function ReviewBar({ cells, said, busy, wishes, trans }: BarProps) {
  const count = cells.length;
  return (
    <div
      className="rg-nb-bar"
      role="region"
      aria-label={trans.__('Changes made by ragent')}
      // Lab's shortcuts take Enter and the arrows from whatever has the focus inside of a notebook.
      data-lm-suppress-shortcuts="true"
      hidden={!count && !said}
    >
      <span className="rg-nb-said" role="status" aria-live="polite">
        {said ||
          (count
            ? trans._n(
                'ragent changed %1 cell',
                'ragent changed %1 cells',
                count
              )
            : '')}
      </span>
      {count > 0 && (
        <span className="rg-nb-tools">
          <Tool onPress={() => wishes.go(-1)} label={trans.__('Previous')} />
          <Tool onPress={() => wishes.go(1)} label={trans.__('Next')} />
          <Tool
            onPress={() => wishes.accept([])}
            label={trans.__('Accept all')}
            off={busy}
          />
          <Tool
            onPress={() => wishes.reject([])}
            label={trans.__('Undo all')}
            off={busy}
          />
        </span>
      )}
    </div>
  );
}

interface StripProps {
  cell: ReviewCell;
  busy: boolean;
  wishes: ReviewWishes;
  trans: Trans;
}

export function ReviewStrip({ cell, busy, wishes, trans }: StripProps) {
  const [open, setOpen] = useState(cell.action === 'deleted');
  const diff = useId();
  const what = {
    inserted: trans.__('Added by ragent'),
    edited: trans.__('Changed by ragent'),
    deleted: trans.__('Deleted by ragent')
  }[cell.action];
  return (
    <div
      className={`rg-nb-strip rg-nb-${cell.action}`}
      role="group"
      aria-label={what}
      data-lm-suppress-shortcuts="true"
    >
      <span className="rg-nb-what">{what}</span>
      <span className="rg-nb-tools">
        <Tool
          onPress={() => setOpen(!open)}
          label={open ? trans.__('Hide changes') : trans.__('Show changes')}
          expanded={open}
          controls={diff}
        />
        <Tool
          onPress={() => wishes.accept([cell.id])}
          label={trans.__('Accept')}
          off={busy}
        />
        <Tool
          onPress={() => wishes.reject([cell.id])}
          label={
            cell.action === 'deleted'
              ? trans.__('Put back')
              : trans.__('Reject')
          }
          off={busy}
        />
      </span>
      {/* The marks + and - say it too: colour alone would not do. */}
      <pre id={diff} className="rg-nb-diff" hidden={!open} tabIndex={0}>
        {open &&
          diffLines(cell.before ?? '', cell.after ?? '').map((line, n) => (
            <span key={n} className={MARKS[line.mark]}>
              {`${line.mark} ${line.text}\n`}
            </span>
          ))}
      </pre>
    </div>
  );
}

const MARKS = { '+': 'rg-nb-come', '-': 'rg-nb-gone', ' ': 'rg-nb-same' };

interface ToolProps {
  label: string;
  onPress: () => void;
  off?: boolean;
  expanded?: boolean;
  controls?: string;
}

function Tool({ label, onPress, off, expanded, controls }: ToolProps) {
  return (
    <button
      type="button"
      className="rg-nb-tool"
      disabled={off}
      aria-expanded={expanded}
      aria-controls={controls}
      onClick={onPress}
    >
      {label}
    </button>
  );
}
