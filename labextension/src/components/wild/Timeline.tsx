import * as React from 'react';
import { ago, moment } from '../../format';
import { useHost, useLiving, useLoopNow, useSignal } from '../../hooks';
import { ALL_ENTRIES, filtered, type EntryFilter } from '../../models/wild';
import { Ledger } from '../../models/wildledger';
import {
  byWord,
  entryLine,
  eventWord,
  outcomeWord
} from '../../models/wildwords';
import type { Entry, Loop } from '../../wire';
import { CopyButton } from '../CopyButton';
import { Notice } from '../Notice';
import { ByGlyph } from './LoopGlyph';
import { Cost, Evidence, Ref } from './Ref';

/** So many lines are drawn or not drawn together. */
const BLOCK = 50;
/** Of a line that was never drawn, px. */
const LINE = 34;

/** Told by the browser of what has `content-visibility: auto`, when it comes near the screen or leaves it. */
const SKIPS = 'contentvisibilityautostatechange';
const TELLS = `on${SKIPS}` in document.documentElement;

interface Placed {
  entry: Entry;
  /** The first of its iteration. */
  first: boolean;
}

/** Blocks by number, so that a new entry changes the newest block alone. */
function inBlocks(entries: readonly Entry[]): Placed[][] {
  const blocks: Placed[][] = [];
  entries.forEach((entry, i) => {
    const before = entries[i - 1];
    const placed = { entry, first: before?.iteration !== entry.iteration };
    const block = Math.floor(entry.n / BLOCK);
    if (before && Math.floor(before.n / BLOCK) === block) {
      blocks[blocks.length - 1].push(placed);
    } else {
      blocks.push([placed]);
    }
  });
  return blocks;
}

/** Every decision, newest first: who, what, what became of it; each opens to what it saw and why. */
export function Timeline({ loop }: { loop: Loop }): JSX.Element {
  const { wild, trans } = useHost();
  const ledger = useLiving(
    React.useCallback(() => new Ledger(wild, loop.id), [wild, loop.id]),
    loop.id
  );
  const view = useSignal(ledger.changed, ledger.view);
  const [filter, setFilter] = React.useState<EntryFilter>(ALL_ENTRIES);
  const now = useLoopNow(10_000);
  const { entries, total } = view.journal;
  const newest = React.useMemo(
    () => [...filtered(entries, filter)].reverse(),
    [entries, filter]
  );
  const blocks = React.useMemo(() => inBlocks(newest), [newest]);
  const first = entries[0]?.n ?? 1;
  const people: Entry['by'][] = ['human', 'rule', 'model', 'engine'];
  const isFiltered = filter !== ALL_ENTRIES;
  return (
    <section
      className="rg-wild-part rg-timeline"
      aria-label={trans.__('Ledger')}
    >
      <h3>
        {trans.__('Ledger')}{' '}
        <span className="rg-dim rg-figure">
          {trans._n('%1 entry', '%1 entries', Math.max(total, loop.entries))}
        </span>
      </h3>
      {view.phase === 'failed' && view.error ? (
        <Notice error={view.error} onRetry={() => void ledger.load()} />
      ) : view.phase === 'ready' && !entries.length ? (
        <p className="rg-nodata">
          {trans.__(
            'No decision yet. Each one leaves a line here, with its reasons.'
          )}
        </p>
      ) : (
        <div className="rg-tools">
          <input
            className="rg-input rg-search"
            type="search"
            placeholder={trans.__('Filter')}
            aria-label={trans.__('Filter the ledger by words')}
            value={filter.words}
            onChange={event =>
              setFilter({ ...filter, words: event.target.value })
            }
            onKeyDown={event => {
              if (event.key === 'Escape' && filter.words) {
                event.stopPropagation();
                setFilter({ ...filter, words: '' });
              }
            }}
          />
          <select
            className="rg-input rg-by"
            aria-label={trans.__('Decided by')}
            value={filter.odd ? 'odd' : filter.by}
            onChange={event => {
              const { value } = event.target;
              setFilter({
                ...filter,
                odd: value === 'odd',
                by: value === 'odd' ? '' : (value as EntryFilter['by'])
              });
            }}
          >
            <option value="">{trans.__('by all')}</option>
            {people.map(by => (
              <option key={by} value={by}>
                {trans.__('by %1', byWord(by, trans))}
              </option>
            ))}
            <option value="odd">{trans.__('refused or unknown')}</option>
          </select>
        </div>
      )}
      {blocks.map((block, i) => (
        <Block
          key={Math.floor(block[0].entry.n / BLOCK)}
          lines={block}
          now={now}
          always={i === 0}
        />
      ))}
      {isFiltered && entries.length > 0 && (
        <p className="rg-dim" role="status">
          {trans.__(
            '%1 of the newest %2 entries fit; %3 in all.',
            newest.length,
            entries.length,
            total
          )}
        </p>
      )}
      {first > 1 && (
        <button
          type="button"
          className="rg-button rg-quiet"
          disabled={view.loadingOlder}
          onClick={() => void ledger.older()}
        >
          {trans.__('Show older entries')}
        </button>
      )}
      {view.phase === 'ready' && view.error && <Notice error={view.error} />}
    </section>
  );
}

/** Lines that are there only while somebody looks near them; where the browser does not tell when, always. */
function Block(props: {
  lines: Placed[];
  now: number;
  always: boolean;
}): JSX.Element {
  const { lines, now, always } = props;
  const { trans } = useHost();
  const box = React.useRef<HTMLOListElement>(null);
  const [near, setNear] = React.useState(!TELLS);
  const [height, setHeight] = React.useState(lines.length * LINE);
  const drawn = always || near;
  React.useEffect(() => {
    const element = box.current!;
    const look = (event: Event) => {
      const { skipped } = event as Event & { skipped: boolean };
      if (event.target !== element) {
        return;
      }
      if (skipped) {
        setHeight(element.offsetHeight);
      }
      // What a person has opened stays open.
      setNear(!skipped || !!element.querySelector('details[open]'));
    };
    element.addEventListener(SKIPS, look);
    return () => element.removeEventListener(SKIPS, look);
  }, []);
  return (
    <ol
      ref={box}
      className="rg-entries"
      style={{
        containIntrinsicHeight: `auto ${height}px`,
        minHeight: drawn ? undefined : height
      }}
    >
      {drawn &&
        lines.map(({ entry, first }) => (
          <React.Fragment key={entry.n}>
            {first && (
              <li className="rg-entry-break rg-dim">
                {entry.iteration > 0
                  ? trans.__('iteration %1', entry.iteration)
                  : trans.__('before the first iteration')}
              </li>
            )}
            <EntryRow entry={entry} now={now} />
          </React.Fragment>
        ))}
    </ol>
  );
}

/** Drawn again only when the entry has changed or its age reads otherwise. */
const EntryRow = React.memo(
  function EntryRow({
    entry,
    now
  }: {
    entry: Entry;
    now: number;
  }): JSX.Element {
    const { trans } = useHost();
    const [open, setOpen] = React.useState(false);
    const outcome = outcomeWord(entry.outcome, trans);
    return (
      <li
        className={`rg-entry rg-outcome-${entry.outcome.replace('outcome_', '')}`}
      >
        <details onToggle={event => setOpen(event.currentTarget.open)}>
          <summary>
            <ByGlyph by={entry.by} />
            <span className="rg-entry-line rg-wild-text">
              {outcome && <span className="rg-tag">{outcome}</span>}{' '}
              {entryLine(entry, trans)}
            </span>
            <time className="rg-dim rg-figure" title={moment(entry.at)}>
              {ago(entry.at, now, trans)}
            </time>
          </summary>
          {open && <Opened entry={entry} />}
        </details>
      </li>
    );
  },
  (a, b) =>
    a.entry === b.entry && Math.floor(a.now / 60) === Math.floor(b.now / 60)
);

function Opened({ entry }: { entry: Entry }): JSX.Element {
  const { trans } = useHost();
  const { event, action } = entry;
  const json = action ? JSON.stringify(action, null, 2) : '';
  const rows: [string, React.ReactNode][] = [
    [
      trans.__('Event'),
      event && (
        <>
          {eventWord(event, trans)}
          {event.text && `: ${event.text}`}{' '}
          {event.ref && <Ref id={event.ref} />}
        </>
      )
    ],
    [
      trans.__('Saw'),
      entry.evidence.length > 0 && <Evidence evidence={entry.evidence} />
    ],
    [trans.__('Because'), entry.reasoning],
    [trans.__('Result'), entry.result],
    [
      trans.__('By'),
      [byWord(entry.by, trans), entry.who].filter(Boolean).join(', ')
    ],
    [trans.__('Cost'), entry.usage && <Cost entry={entry} />],
    [trans.__('When'), `${moment(entry.at)} · #${entry.n} · ${entry.stage}`]
  ];
  return (
    <div className="rg-entry-open">
      <dl className="rg-facts">
        {rows
          .filter(([, value]) => value)
          .map(([name, value]) => (
            <React.Fragment key={name}>
              <dt>{name}</dt>
              <dd className="rg-wild-text">{value}</dd>
            </React.Fragment>
          ))}
      </dl>
      {json && (
        <details className="rg-behind">
          <summary>{trans.__('Action as it was decided')}</summary>
          <div className="rg-command">
            <pre tabIndex={0} role="group" aria-label={trans.__('Action')}>
              {json}
            </pre>
            <CopyButton icon text={json} label={trans.__('Copy')} />
          </div>
        </details>
      )}
    </div>
  );
}
