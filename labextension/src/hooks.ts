/** How a picture follows a model. */
import type { ISignal } from '@lumino/signaling';
import {
  createContext,
  useCallback,
  useContext,
  useEffect,
  useState,
  useSyncExternalStore
} from 'react';
import type { ChatDesk, Offer } from './models/chatdesk';
import type { PanelModel, PanelState } from './models/panel';
import type { Project } from './models/project';
import type { WildDesk } from './models/wilddesk';
import type { ApiError } from './api';
import type { Loop, LoopReply, Run, Session } from './wire';
import type { Trans } from './words';

/** What a panel needs of the place it stands in; Lab and the page each give one. */
export interface Host {
  project: Project;
  panel: PanelModel;
  trans: Trans;
  /** Names of kernels whose interpreters a run may use. */
  kernels(): Promise<string[]>;
  /** Points a chart asks for. */
  points(): number;
  desk: ChatDesk;
  wild: WildDesk;
  /** Enter sends and Shift+Enter breaks the line; else it is the other way round. */
  enterSends(): boolean;
  /** Draws the TeX that stands in a node between \( and \), or \[ and \]. */
  typeset?(node: HTMLElement): void | Promise<void>;
  /** The notebook in front, where there can be one. */
  bench?: Bench;
  /** Opens a file of the project; the path is relative to it. */
  openFile?(path: string): void;
}

/** The notebook that a person works in, as far as a chat needs it. */
export interface Bench {
  inFront(): { notebook: string; cell: string | null } | null;
  /** A new code cell below the active one, run at once if wished. False: no notebook is in front. */
  insert(source: string, run: boolean): Promise<boolean>;
}

export const HostContext = createContext<Host | null>(null);

export function useHost(): Host {
  const host = useContext(HostContext);
  if (!host) {
    throw new Error('a part of the panel stands outside of it');
  }
  return host;
}

/** `read` must hand back the same object until `changed` fires. */
export function useSignal<T>(
  changed: ISignal<unknown, unknown>,
  read: () => T
): T {
  const subscribe = useCallback(
    (wake: () => void) => {
      changed.connect(wake);
      return () => void changed.disconnect(wake);
    },
    [changed]
  );
  return useSyncExternalStore(subscribe, read);
}

export function usePanel(): PanelState {
  const { panel } = useHost();
  return useSignal(panel.changed, panel.state);
}

export function useSessions(): readonly Session[] {
  const { desk } = useHost();
  return useSignal(desk.sessions.changed, desk.sessions.all);
}

export function useOffer(): Offer {
  const { desk } = useHost();
  return useSignal(desk.offerChanged, desk.offer);
}

export function useLoops(): readonly Loop[] {
  const { wild } = useHost();
  return useSignal(wild.loops.changed, wild.loops.all);
}

/** What a loop's own page says beside the loop: counts and the summary; kept fresh while this is drawn. */
export function useLoopReply(id: string): LoopReply | undefined {
  const { wild } = useHost();
  useEffect(() => wild.watch(id), [wild, id]);
  return useSignal(
    wild.repliesChanged,
    useCallback(() => wild.reply(id), [wild, id])
  );
}

/** `useNow`, but standing still while the picture is old: a clock that runs would say that all is well. */
export function useLoopNow(everyMs = 1000): number {
  const { project } = useHost();
  const now = useNow(everyMs);
  const state = useSignal(project.feed.stateChanged, () => project.feed.state);
  return state.kind === 'stale' && state.freshAt !== null ? state.freshAt : now;
}

export function useRuns(): readonly Run[] {
  const { project } = useHost();
  return useSignal(project.runs.changed, project.runs.all);
}

export function useRun(id: string): Run | undefined {
  const { project } = useHost();
  return useSignal(
    project.runs.changed,
    useCallback(() => project.runs.get(id), [project, id])
  );
}

/** Something with a start and a stop that lives as long as the picture of it. */
export function useLiving<T extends { start(): void; stop(): void }>(
  make: () => T,
  key: string
): T {
  const [held, setHeld] = useState(() => ({ key, thing: make() }));
  let { thing } = held;
  if (held.key !== key) {
    thing = make();
    setHeld({ key, thing });
  }
  useEffect(() => {
    thing.start();
    return () => thing.stop();
  }, [thing]);
  return thing;
}

/** Unix seconds, renewed each `everyMs` while the panel is awake: for "3 min ago". */
export function useNow(everyMs = 10_000): number {
  const { project } = useHost();
  const [now, setNow] = useState(() => Date.now() / 1000);
  useEffect(() => {
    let timer: ReturnType<typeof setInterval> | undefined;
    const tick = () => setNow(Date.now() / 1000);
    const look = () => {
      clearInterval(timer);
      if (project.awake) {
        tick();
        timer = setInterval(tick, everyMs);
      }
    };
    look();
    project.awakeChanged.connect(look);
    return () => {
      clearInterval(timer);
      project.awakeChanged.disconnect(look);
    };
  }, [project, everyMs]);
  return now;
}

/** Does one thing at a time and keeps its refusal for showing. */
export function useDoing(): {
  busy: boolean;
  error: ApiError | null;
  run: (work: () => Promise<void>) => void;
  clear: () => void;
} {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const run = useCallback((work: () => Promise<void>) => {
    setBusy(true);
    setError(null);
    work()
      .catch((refused: ApiError) => setError(refused))
      .finally(() => setBusy(false));
  }, []);
  const clear = useCallback(() => setError(null), []);
  return { busy, error, run, clear };
}

const isDark = () => {
  const { dataset } = document.body;
  return dataset.jpThemeLight
    ? dataset.jpThemeLight === 'false'
    : (window.matchMedia?.('(prefers-color-scheme: dark)').matches ?? false);
};

/** Changes when the theme does; `dark` picks the chart's colours. */
export function useTheme(): { name: string; dark: boolean } {
  const read = () => ({
    name: document.body.dataset.jpThemeName ?? '',
    dark: isDark()
  });
  const [theme, setTheme] = useState(read);
  useEffect(() => {
    const look = () => setTheme(read());
    const seen = new MutationObserver(look);
    seen.observe(document.body, {
      attributes: true,
      attributeFilter: ['data-jp-theme-name', 'data-jp-theme-light', 'class']
    });
    const media = window.matchMedia?.('(prefers-color-scheme: dark)');
    media?.addEventListener('change', look);
    return () => {
      seen.disconnect();
      media?.removeEventListener('change', look);
    };
  }, []);
  return theme;
}
