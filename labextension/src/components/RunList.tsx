import * as React from 'react';
import {
  useHost,
  useNow,
  usePanel,
  useRuns,
  useSignal,
  useTheme
} from '../hooks';
import { colourOf } from '../models/colours';
import type { Show, SortBy } from '../models/panel';
import { listRows } from '../models/rows';
import { useCharted } from './charted';
import { Empty } from './Empty';
import { Icon, IconButton } from './Icon';
import { RunRow } from './RunRow';

const RUN_EXAMPLE = 'ragent run -- python train.py';
/** Lines beyond the edge that are drawn already, so that a quick scroll shows no white. */
const OVERSCAN = 8;

function useRowHeight(): number {
  const coarse = '(pointer: coarse)';
  const [high, setHigh] = React.useState(
    () => window.matchMedia?.(coarse).matches ?? false
  );
  React.useEffect(() => {
    const media = window.matchMedia?.(coarse);
    const look = () => setHigh(media.matches);
    media?.addEventListener('change', look);
    return () => media?.removeEventListener('change', look);
  }, []);
  return high ? 44 : 26;
}

export function RunList(): JSX.Element {
  const { project, panel, trans } = useHost();
  const runs = useRuns();
  const sweeps = useSignal(project.sweeps.changed, project.sweeps.all);
  const { filter, show, sort, grouped, folded } = usePanel();
  const loading = useSignal(project.loadingChanged, () => project.loading);
  const search = React.useRef<HTMLInputElement>(null);
  const rows = React.useMemo(
    () =>
      listRows(runs, id => project.sweeps.get(id), {
        filter,
        show,
        sort,
        grouped,
        folded
      }),
    // `sweeps` stands for what project.sweeps.get answers
    [runs, sweeps, filter, show, sort, grouped, folded, project]
  );
  React.useEffect(() => {
    const focus = () => search.current?.focus();
    panel.findAsked.connect(focus);
    return () => void panel.findAsked.disconnect(focus);
  }, [panel]);
  const words: [Show, string][] = [
    ['all', trans.__('All')],
    ['live', trans.__('Running')],
    ['waiting', trans.__('Queued')],
    ['finished', trans.__('Finished')],
    ['failed', trans.__('Failed')],
    ['stopped', trans.__('Stopped')]
  ];
  const sorts: [SortBy, string][] = [
    ['newest', trans.__('Running, then newest')],
    ['metric', trans.__('Best first')],
    ['name', trans.__('By name')]
  ];
  if (!runs.length && loading.phase === 'ready') {
    return (
      <Empty
        title={trans.__('No runs yet')}
        lines={[
          trans.__(
            'A run is one execution of a command. Its log, metrics and charts appear here by themselves.'
          ),
          <>
            {trans.__('Start one here, or in a terminal:')}{' '}
            <code>{RUN_EXAMPLE}</code>
          </>,
          trans.__(
            'It goes on when this tab, JupyterLab or its server is closed.'
          )
        ]}
        action={{ label: trans.__('New run'), run: () => panel.newRun() }}
      />
    );
  }
  return (
    <div className="rg-list">
      <div className="rg-tools">
        <input
          ref={search}
          className="rg-input rg-search"
          type="search"
          placeholder={trans.__('Filter ( / )')}
          aria-label={trans.__(
            'Filter runs by name, command, tag or parameter'
          )}
          value={filter}
          onChange={event => panel.set({ filter: event.target.value })}
          onKeyDown={event => {
            if (event.key === 'Escape' && filter) {
              event.stopPropagation();
              panel.set({ filter: '' });
            }
          }}
        />
        <select
          className="rg-input"
          aria-label={trans.__('Which runs')}
          value={show}
          onChange={event => panel.set({ show: event.target.value as Show })}
        >
          {words.map(([value, word]) => (
            <option key={value} value={value}>
              {word}
            </option>
          ))}
        </select>
        <span className="rg-select-icon" title={trans.__('Order')}>
          <Icon name="sort" />
          <select
            aria-label={trans.__('Order')}
            value={sort}
            onChange={event =>
              panel.set({ sort: event.target.value as SortBy })
            }
          >
            {sorts.map(([value, word]) => (
              <option key={value} value={value}>
                {word}
              </option>
            ))}
          </select>
        </span>
        {sweeps.length > 0 && (
          <IconButton
            icon="group"
            label={trans.__('Trials under their sweep')}
            pressed={grouped}
            onClick={() => panel.set({ grouped: !grouped })}
          />
        )}
      </div>
      {rows.length ? (
        <Lines rows={rows} />
      ) : loading.phase === 'ready' ? (
        <Empty
          title={trans.__('No run fits')}
          lines={[
            filter
              ? trans.__(
                  'None of %1 runs holds "%2" in its name, command, tags or parameters.',
                  runs.length,
                  filter
                )
              : trans.__('None of %1 runs is in this state now.', runs.length)
          ]}
          action={{
            label: trans.__('Show all runs'),
            run: () => panel.set({ filter: '', show: 'all' })
          }}
        />
      ) : (
        <Skeleton />
      )}
    </div>
  );
}

/** Keeps the layout still for the moment before the first answer. */
function Skeleton(): JSX.Element {
  return (
    <div className="rg-skeleton" aria-hidden="true">
      {Array.from({ length: 6 }, (_, i) => (
        <div key={i} />
      ))}
    </div>
  );
}

function Lines({ rows }: { rows: ReturnType<typeof listRows> }): JSX.Element {
  const { panel, trans } = useHost();
  const { run: opened, folded } = usePanel();
  const { dark } = useTheme();
  const now = useNow();
  const charted = useCharted();
  const height = useRowHeight();
  const prefix = React.useId();
  const box = React.useRef<HTMLDivElement>(null);
  const [view, setView] = React.useState({ top: 0, height: 600 });
  const [activeKey, setActiveKey] = React.useState<string | null>(
    opened ?? panel.lastRun
  );
  const active = Math.max(
    0,
    rows.findIndex(row => row.key === activeKey)
  );

  React.useLayoutEffect(() => {
    const element = box.current!;
    const look = () =>
      setView(old =>
        old.top === element.scrollTop && old.height === element.clientHeight
          ? old
          : { top: element.scrollTop, height: element.clientHeight }
      );
    look();
    const seen = new ResizeObserver(look);
    seen.observe(element);
    element.addEventListener('scroll', look, { passive: true });
    return () => {
      seen.disconnect();
      element.removeEventListener('scroll', look);
    };
  }, []);

  const reveal = (index: number) => {
    const element = box.current!;
    const top = index * height;
    if (top < element.scrollTop) {
      element.scrollTop = top;
    } else if (top + height > element.scrollTop + element.clientHeight) {
      element.scrollTop = top + height - element.clientHeight;
    }
  };
  // One comes back to where one was, not to the top.
  React.useLayoutEffect(() => reveal(active), []);
  const rowsNow = React.useRef(rows);
  rowsNow.current = rows;
  const foldedNow = React.useRef(folded);
  foldedNow.current = folded;
  const fold = React.useCallback(
    (id: string, away: boolean) =>
      panel.set({
        folded: away
          ? [...foldedNow.current.filter(x => x !== id), id]
          : foldedNow.current.filter(x => x !== id)
      }),
    [panel]
  );
  const pick = React.useCallback(
    (index: number, open: boolean) => {
      const row = rowsNow.current[index];
      if (!row) {
        return;
      }
      setActiveKey(row.key);
      if (!open) {
        return;
      }
      if (row.kind === 'run') {
        panel.openRun(row.run.id);
      } else {
        fold(row.id, !row.folded);
      }
    },
    [panel, fold]
  );

  const onKeyDown = (event: React.KeyboardEvent) => {
    if (event.target !== box.current) {
      return;
    }
    const page = Math.max(1, Math.floor(view.height / height) - 1);
    const moves: Record<string, number> = {
      ArrowDown: active + 1,
      ArrowUp: active - 1,
      PageDown: active + page,
      PageUp: active - page,
      Home: 0,
      End: rows.length - 1
    };
    const row = rows[active];
    if (event.key in moves) {
      const to = Math.min(rows.length - 1, Math.max(0, moves[event.key]));
      pick(to, false);
      reveal(to);
    } else if (event.key === 'Enter' || event.key === ' ') {
      pick(active, true);
    } else if (event.key === 'ArrowLeft' && row?.kind === 'sweep') {
      fold(row.id, true);
    } else if (event.key === 'ArrowRight' && row?.kind === 'sweep') {
      fold(row.id, false);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  };

  const first = Math.max(0, Math.floor(view.top / height) - OVERSCAN);
  const last = Math.min(
    rows.length,
    Math.ceil((view.top + view.height) / height) + OVERSCAN
  );
  return (
    <div
      ref={box}
      className="rg-lines"
      role="treegrid"
      aria-label={trans.__('Runs')}
      aria-rowcount={rows.length}
      aria-activedescendant={
        rows[active] ? prefix + rows[active].key : undefined
      }
      tabIndex={0}
      onKeyDown={onKeyDown}
    >
      <div role="presentation" style={{ height: rows.length * height }} />
      {rows.slice(first, last).map((row, i) => (
        <RunRow
          key={row.key}
          id={prefix + row.key}
          row={row}
          index={first + i}
          active={first + i === active}
          opened={row.key === opened}
          top={(first + i) * height}
          now={now}
          charted={charted}
          swatch={
            row.kind === 'run' && charted.includes(row.run.id)
              ? colourOf(row.run, dark)
              : null
          }
          onPick={pick}
        />
      ))}
    </div>
  );
}
