/** What one panel shows: which tab, which run, what is typed. Kept between visits; commands drive it too. */
import { Signal, type ISignal } from '@lumino/signaling';
import type { CreateRun, Run } from '../wire';
import { Beat } from './beat';
import type { XAxis } from './series';
import { BLANK_LOOP, type WildDraft } from './wilddraft';

export type Tab = 'chat' | 'runs' | 'charts' | 'alerts' | 'wild';
export type Show =
  'all' | 'live' | 'waiting' | 'finished' | 'failed' | 'stopped';
export type SortBy = 'newest' | 'name' | 'metric';

/** The New run form as typed; nothing is checked here. */
export interface Draft {
  command: string;
  cwd: string;
  python: string;
  env: string;
  gpus: string;
  name: string;
  primary: string;
  mode: 'min' | 'max';
}

export const BLANK: Draft = {
  command: '',
  cwd: '',
  python: '',
  env: '',
  gpus: '0',
  name: '',
  primary: '',
  mode: 'min'
};

export interface PanelState {
  tab: Tab;
  /** The run whose detail is open. */
  run: string | null;
  form: boolean;
  draft: Draft;
  filter: string;
  show: Show;
  sort: SortBy;
  grouped: boolean;
  /** Sweeps whose trials are folded away. */
  folded: string[];
  /** Runs that a person has put into the chart; null: the newest ones, chosen by itself. */
  charted: string[] | null;
  /** Metrics chosen in Charts; null: what the runs are judged by. */
  metrics: string[] | null;
  x: XAxis;
  log: boolean;
  /** The chat that is open; null: a new one. */
  chat: string | null;
  /** The list of chats stands before the open one (where there is no room for both). */
  chats: boolean;
  /** What is typed and not sent, by chat; "" is the new one. */
  drafts: Record<string, string>;
  /** The wild loop that is open; null: the one that lives, else the newest. */
  loop: string | null;
  /** The form that starts a loop stands open in the Wild tab. */
  wildForm: boolean;
  wild: WildDraft;
}

export const START: PanelState = {
  tab: 'runs',
  run: null,
  form: false,
  draft: BLANK,
  filter: '',
  show: 'all',
  sort: 'newest',
  grouped: true,
  folded: [],
  charted: null,
  metrics: null,
  x: 'step',
  log: false,
  chat: null,
  chats: false,
  drafts: {},
  loop: null,
  wildForm: false,
  wild: BLANK_LOOP
};

/** Where a panel's state outlives a reload. */
export interface Memory {
  load(): Promise<Partial<PanelState> | null>;
  save(state: PanelState): Promise<void>;
}

export class PanelModel {
  private _state: PanelState = START;
  private touched = false;
  /** The run that was open last: where the list stands when one comes back to it. */
  lastRun: string | null = null;
  private readonly _changed = new Signal<this, void>(this);
  private readonly _findAsked = new Signal<this, void>(this);
  private readonly _composeAsked = new Signal<this, string>(this);
  private readonly keep = new Beat(() => void this.save(), 500);

  constructor(private readonly memory: Memory) {}

  get changed(): ISignal<this, void> {
    return this._changed;
  }
  /** The filter box should take the keyboard. */
  get findAsked(): ISignal<this, void> {
    return this._findAsked;
  }

  get composeAsked(): ISignal<this, string> {
    return this._composeAsked;
  }

  state = (): PanelState => this._state;

  async restore(): Promise<void> {
    const kept = await this.memory.load();
    if (kept && !this.touched) {
      this._state = {
        ...START,
        ...kept,
        draft: { ...BLANK, ...kept.draft },
        wild: { ...BLANK_LOOP, ...kept.wild }
      };
      this._changed.emit();
    }
  }

  set(part: Partial<PanelState>): void {
    this.touched = true;
    this._state = { ...this._state, ...part };
    this._changed.emit();
    this.keep.ring();
  }

  showTab(tab: Tab): void {
    this.set({ tab, run: null, form: false });
  }

  openRun(run: string): void {
    this.lastRun = run;
    this.set({ run, form: false });
  }

  openChat(chat: string | null): void {
    this.set({ tab: 'chat', chat, chats: false, run: null, form: false });
    this.keep.flush(); // a reload at once comes back to it
    this._composeAsked.emit('');
  }

  /** A wild loop; null: the one that lives, else the newest. */
  openLoop(loop: string | null): void {
    this.set({ tab: 'wild', loop, wildForm: false, run: null, form: false });
    this.keep.flush();
  }

  /** The form that starts a loop, with these fields filled in. */
  newLoop(part: Partial<WildDraft> = {}): void {
    const wild = { ...this._state.wild, ...part };
    this.set({ tab: 'wild', wildForm: true, wild, run: null, form: false });
  }

  /** The composer takes the keyboard, and these words after what is typed. */
  compose(words: string): void {
    this._composeAsked.emit(words);
  }

  setDraft(chat: string | null, text: string): void {
    const drafts = { ...this._state.drafts };
    delete drafts[chat ?? ''];
    if (text) {
      drafts[chat ?? ''] = text;
    }
    // Those of long ago fall off: what is kept is read at each start.
    this.set({ drafts: Object.fromEntries(Object.entries(drafts).slice(-20)) });
  }

  /** One step back: the form or the detail closes. False if nothing was open. */
  back(): boolean {
    const { form, run, tab, wildForm } = this._state;
    if (form) {
      this.set({ form: false });
    } else if (run !== null) {
      this.set({ run: null });
    } else if (tab === 'wild' && wildForm) {
      this.set({ wildForm: false });
    } else {
      return false;
    }
    return true;
  }

  newRun(draft?: Partial<Draft>): void {
    this.set({
      form: true,
      draft: draft ? { ...BLANK, ...draft } : this._state.draft
    });
  }

  find(): void {
    this.showTab('runs');
    this._findAsked.emit();
  }

  /** Into the chart, or out of it. `shown` is what the chart shows now. */
  toggleCharted(run: string, shown: string[]): void {
    this.set({
      charted: shown.includes(run)
        ? shown.filter(id => id !== run)
        : [...shown, run]
    });
  }

  private async save(): Promise<void> {
    await this.memory.save(this._state);
  }
}

/** What is typed, as a request. Lines of `env` are NAME=VALUE; the first that is not is named in the error. */
export function asRequest(
  draft: Draft,
  requestId: string
): { body: CreateRun } | { field: keyof Draft; line: string } {
  const command = draft.command.trim();
  if (!command) {
    return { field: 'command', line: '' };
  }
  const env: Record<string, string> = {};
  for (const line of draft.env.split('\n')) {
    if (!line.trim() || line.trim().startsWith('#')) {
      continue;
    }
    const found = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$/.exec(line);
    if (!found) {
      return { field: 'env', line: line.trim() };
    }
    env[found[1]] = found[2];
  }
  const gpus = Number(draft.gpus || '0');
  if (!Number.isInteger(gpus) || gpus < 0) {
    return { field: 'gpus', line: draft.gpus };
  }
  const notebook = /\.ipynb$/.test(command) && !/\s/.test(command);
  const body: CreateRun = {
    command,
    kind: notebook ? 'notebook' : 'command',
    request_id: requestId
  };
  if (draft.cwd.trim()) {
    body.cwd = draft.cwd.trim();
  }
  if (draft.python.trim()) {
    body.python = draft.python.trim();
  }
  if (draft.name.trim()) {
    body.name = draft.name.trim();
  }
  if (draft.primary.trim()) {
    body.primary = draft.primary.trim();
    body.mode = draft.mode;
  }
  if (Object.keys(env).length) {
    body.env = env;
  }
  if (gpus) {
    body.gpus = gpus;
  }
  return { body };
}

/** The form filled in as this run was made. */
export function draftOf(run: Run): Partial<Draft> {
  return {
    command: run.command,
    cwd: run.cwd,
    python: run.interpreter?.path ?? '',
    env: Object.entries(run.env)
      .map(([name, value]) => `${name}=${value}`)
      .join('\n'),
    gpus: String(run.gpus),
    name: run.name,
    primary: run.primary ?? '',
    mode: run.mode
  };
}
