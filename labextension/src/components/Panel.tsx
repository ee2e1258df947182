import * as React from 'react';
import { HostContext, useHost, usePanel, useSignal, type Host } from '../hooks';
import type { Tab } from '../models/panel';
import { AlertsView } from './AlertsView';
import { ChatView } from './chat/ChatView';
import { ChartsView } from './ChartsView';
import { Icon, IconButton, type IconName } from './Icon';
import { NewRun } from './NewRun';
import { Notice } from './Notice';
import { ProjectPicker } from './ProjectPicker';
import { RunDetail } from './RunDetail';
import { RunList } from './RunList';
import { StatusStrip } from './StatusStrip';
import { WildLine } from './wild/WildLine';
import { WildView } from './wild/WildView';

/** From here on the list and the detail stand side by side. */
const WIDE_PX = 720;

function useWide(box: React.RefObject<HTMLElement>): boolean {
  const [wide, setWide] = React.useState(false);
  React.useLayoutEffect(() => {
    const look = () => {
      const width = box.current?.clientWidth ?? 0;
      // A hidden panel has no width: it keeps what it was.
      if (width) {
        setWide(width >= WIDE_PX);
      }
    };
    look();
    const seen = new ResizeObserver(look);
    seen.observe(box.current!);
    return () => seen.disconnect();
  }, [box]);
  return wide;
}

/** The whole of ragent's panel: the same in the sidebar, the main area and on the page. */
export function Panel({ host }: { host: Host }): JSX.Element {
  return (
    <HostContext.Provider value={host}>
      <Frame />
    </HostContext.Provider>
  );
}

const typing = (target: EventTarget) =>
  target instanceof HTMLElement &&
  (target.isContentEditable ||
    /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

function Frame(): JSX.Element {
  const { project, panel } = useHost();
  const { tab, run, form, wildForm, loop } = usePanel();
  const loading = useSignal(project.loadingChanged, () => project.loading);
  const box = React.useRef<HTMLDivElement>(null);
  const wide = useWide(box);
  const opened = form
    ? 'form'
    : (run ?? (tab === 'wild' ? `wild ${wildForm} ${loop}` : tab));
  React.useEffect(() => {
    box.current?.querySelector('.rg-body, .rg-right')?.scrollTo?.(0, 0);
  }, [opened]);

  // What was closed had the keyboard: the list takes it, or it would be nowhere.
  const inside = form || run !== null;
  const wasInside = React.useRef(inside);
  React.useEffect(() => {
    const left = wasInside.current && !inside;
    wasInside.current = inside;
    const { activeElement } = document;
    if (left && (!activeElement || activeElement === document.body)) {
      const find = (what: string) =>
        box.current?.querySelector<HTMLElement>(what);
      (find('.rg-lines') ?? find('.rg-tab[data-on]'))?.focus();
    }
  }, [inside]);

  const onKeyDown = (event: React.KeyboardEvent) => {
    if (event.nativeEvent.isComposing) {
      return;
    }
    if (event.key === '/' && !typing(event.target)) {
      event.preventDefault();
      panel.find();
    } else if (event.key === 'Escape' && panel.back()) {
      event.preventDefault();
      event.stopPropagation();
    }
  };

  const body =
    loading.phase === 'failed' && loading.error?.type === 'cannot_be_done' ? (
      <ProjectPicker error={loading.error} />
    ) : loading.phase === 'failed' && loading.error ? (
      <Notice error={loading.error} onRetry={() => void project.load()} />
    ) : form ? (
      <NewRun />
    ) : run !== null ? (
      <RunDetail id={run} />
    ) : tab === 'chat' ? (
      <ChatView wide={wide} />
    ) : tab === 'alerts' ? (
      <AlertsView />
    ) : tab === 'wild' ? (
      <WildView />
    ) : tab === 'charts' || wide ? (
      <ChartsView />
    ) : (
      <RunList />
    );
  const sideBySide =
    wide &&
    tab !== 'alerts' &&
    ((tab !== 'chat' && tab !== 'wild') || run !== null || form) &&
    loading.phase !== 'failed' &&
    project.runs.size > 0;
  return (
    <div
      className={`rg-panel${wide ? ' rg-wide' : ''}`}
      ref={box}
      onKeyDown={onKeyDown}
    >
      <StatusStrip />
      <WildLine />
      <Tabs />
      <Stale />
      {sideBySide ? (
        <div className="rg-sides">
          <div className="rg-left">
            <RunList />
          </div>
          <div className="rg-right">{body}</div>
        </div>
      ) : (
        <div className="rg-body">
          {wide &&
          !form &&
          run === null &&
          tab === 'runs' &&
          loading.phase !== 'failed' ? (
            <RunList />
          ) : (
            body
          )}
        </div>
      )}
    </div>
  );
}

function Tabs(): JSX.Element {
  const { project, panel, desk, wild, trans } = useHost();
  const { tab, run, form } = usePanel();
  const asking = useSignal(desk.sessions.changed, desk.waiting);
  const questions = useSignal(wild.loops.changed, wild.waiting);
  const open = useSignal(project.alerts.changed, project.open);
  const waiting = open.filter(alert => alert.severity !== 'info').length;
  const tabs: [Tab, IconName, string, number][] = [
    ['chat', 'chat', trans.__('Chat'), asking],
    ['runs', 'list', trans.__('Runs'), 0],
    ['charts', 'chart', trans.__('Charts'), 0],
    ['alerts', 'bell', trans.__('Alerts'), waiting],
    ['wild', 'wild', trans.__('Wild'), questions]
  ];
  return (
    <nav className="rg-tabs" aria-label={trans.__('Views')}>
      {tabs.map(([id, icon, word, count]) => (
        <button
          key={id}
          type="button"
          className="rg-tab"
          aria-current={
            tab === id && run === null && !form ? 'page' : undefined
          }
          data-on={tab === id || undefined}
          onClick={() => panel.showTab(id)}
        >
          <Icon name={icon} />
          <span>{word}</span>
          {count > 0 && <span className="rg-badge">{count}</span>}
        </button>
      ))}
      <IconButton
        icon="plus"
        label={trans.__('New run')}
        onClick={() => panel.newRun()}
      />
    </nav>
  );
}

/** The server was there and is not: what is shown is old, and why. */
function Stale(): JSX.Element | null {
  const { project, trans } = useHost();
  const status = useSignal(project.statusChanged, () => project.status);
  const state = useSignal(project.feed.stateChanged, () => project.feed.state);
  if (state.kind !== 'stale' || !state.error) {
    return status?.problem ? (
      <div className="rg-notice" role="alert">
        <p>{status.problem}</p>
      </div>
    ) : null;
  }
  return (
    <Notice
      error={state.error}
      lead={trans.__('What you see is old.')}
      onRetry={() => project.feed.hurry()}
    />
  );
}
