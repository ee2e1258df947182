/**
 * The tab's end of the line to the engine: says which notebooks are open here, takes what is asked of them, answers.
 *
 * Requests come as unsaved events, by id alone; only what was taken is done, so a request that comes twice or late does
 * nothing. While the panel is shown they come over its feed, else over a feed of one topic that holds nothing else.
 */
import { Signal, type ISignal } from '@lumino/signaling';
import { ApiError, type Api } from '../api';
import { Feed } from '../models/feed';
import type { Project } from '../models/project';
import type { Envelope } from '../wire';
import { applySteps } from './cells';
import type { NotebookPanel, SharedCell } from './lab';
import { viewOf } from './outputs';
import { insist, Telling, within } from './line';
import { keepingView } from './steady';
import {
  Refusal,
  type OpenNotebook,
  type Review,
  type TabRequest
} from './protocol';
import { CellRun, evaluate, kernelOf, ranCell, readyKernel } from './runs';

const TOPICS = ['engine'];
/** A third of the time after which the engine takes a tab for gone. */
const BEAT_MS = 30_000;
const GATHER_MS = 100;
/** A heartbeat is no activity of a person: it must not keep an idle server from being culled. */
const QUIETLY = '?no_track_activity=1';

/** What the bridge needs of Lab. */
export interface LabDoor {
  /** The path on the server's disk below its root, or null for a drive that is no disk. */
  localPath(path: string): string | null;
  /** When the file was last changed, as the server says; null where it cannot tell. */
  lastModified(path: string): Promise<string | null>;
  /** Sent while the page goes away. */
  leave(path: string, body: unknown): void;
  newId(): string;
}

export class Bridge {
  readonly tab: string;
  private readonly panels = new Set<NotebookPanel>();
  private readonly runs = new Set<CellRun>();
  private readonly ends = new Map<string, (why: string) => void>();
  private readonly feed: Feed;
  private where: Promise<{ root: string; used: boolean } | null> | null = null;
  private announced = false;
  private listening = false;
  private gather: ReturnType<typeof setTimeout> | null = null;
  /** One announcement at a time: an older one that comes later would be taken for the newer. */
  private said: Promise<unknown> = Promise.resolve();
  private beat: ReturnType<typeof setInterval> | null = null;
  private readonly _reviewRang = new Signal<this, string>(this);

  constructor(
    private readonly api: Api,
    private readonly project: Project,
    private readonly lab: LabDoor,
    feed?: Feed
  ) {
    this.tab = `tab_${lab.newId()}`;
    this.feed = feed ?? new Feed(api, undefined, TOPICS);
    this.feed.received.connect((_, envelope) => this.hear(envelope));
    project.feed.received.connect((_, envelope) => this.hear(envelope));
    this.feed.gap.connect(() => void this.listen(true));
    for (const feed of [this.feed, project.feed]) {
      // An engine that was started anew knows of no tab.
      feed.stateChanged.connect(({ state }) => {
        if (state.kind === 'live') {
          this.soon();
        }
      });
    }
    project.awakeChanged.connect(() => {
      this.where = null; // it may be a project only now, or another one
      this.soon();
    });
  }

  /** A notebook's changes have to be read anew; the argument is its file's name. */
  get reviewRang(): ISignal<this, string> {
    return this._reviewRang;
  }

  /** A notebook was opened in this tab. */
  add(panel: NotebookPanel): void {
    const { context, sessionContext } = panel;
    void context.ready.then(() => {
      if (panel.isDisposed) {
        return;
      }
      this.panels.add(panel);
      let dirty = context.model.dirty;
      const onState = () => {
        if (dirty !== context.model.dirty) {
          dirty = context.model.dirty;
          this.soon();
        }
      };
      const onChange = () => this.soon();
      context.model.stateChanged.connect(onState);
      context.pathChanged.connect(onChange);
      sessionContext.kernelChanged.connect(onChange);
      panel.disposed.connect(() => {
        this.panels.delete(panel);
        this.soon();
      });
      this.soon();
    });
  }

  /** The page is looked at again: ragent may have come into use meanwhile. */
  look(): void {
    if (!this.announced && this.panels.size) {
      this.soon();
    }
  }

  /** The page goes away. */
  leave(): void {
    if (this.announced) {
      this.lab.leave('notebooks/open', { tab: this.tab, notebooks: [] });
    }
  }

  /** The absolute path of an open notebook; null where it lies on no disk, or ragent is not used here. */
  async pathOf(panel: NotebookPanel): Promise<string | null> {
    const at = await this.place();
    const local = this.lab.localPath(panel.context.path);
    return at?.used && local !== null ? `${at.root}/${local}` : null;
  }

  async review(panel: NotebookPanel): Promise<Review | null> {
    const path = await this.pathOf(panel);
    if (!path) {
      return null;
    }
    try {
      return whole(
        await this.api.get<Partial<Review>>('notebooks/review', { path })
      );
    } catch (error) {
      if (error instanceof ApiError) {
        return null; // outside of the project, or the engine is away: there is nothing to show
      }
      throw error;
    }
  }

  async decide(
    panel: NotebookPanel,
    verdict: 'accept' | 'reject',
    cells: string[]
  ): Promise<Review> {
    const path = (await this.pathOf(panel)) ?? '';
    return whole(
      await this.api.send<Partial<Review>>('POST', 'notebooks/review', {
        path,
        verdict,
        cells
      })
    );
  }

  // --- saying what is open -----------------------------------------------------------------------------------------
  private soon(): void {
    this.gather ??= setTimeout(() => {
      this.gather = null;
      void this.announce();
    }, GATHER_MS);
  }

  private announce(): Promise<unknown> {
    const say = () => within(this.sayOpen(), BEAT_MS);
    this.said = this.said.then(say, say);
    return this.said;
  }

  private async sayOpen(): Promise<void> {
    if (!this.panels.size && !this.announced) {
      return;
    }
    const notebooks: OpenNotebook[] = [];
    for (const panel of this.panels) {
      const path = await this.pathOf(panel);
      if (path && !panel.isDisposed) {
        notebooks.push({
          path,
          dirty: panel.context.model.dirty,
          kernel: kernelOf(panel)?.name ?? ''
        });
      }
    }
    const open = notebooks.length > 0;
    if (open || this.announced) {
      try {
        await this.api.send('POST', `notebooks/open${QUIETLY}`, {
          tab: this.tab,
          notebooks
        });
        this.announced = open;
      } catch {
        // The engine is away or the project has moved: said again with the next beat.
        this.where = null;
      }
    }
    if (open && !this.beat) {
      this.beat = setInterval(() => void this.announce(), BEAT_MS);
    } else if (!open && this.beat) {
      clearInterval(this.beat);
      this.beat = null;
    }
    await this.listen();
  }

  /** Where the server's files begin, and whether ragent is used there: looking at a notebook starts no engine. */
  private place(): Promise<{ root: string; used: boolean } | null> {
    this.where ??= this.api.project().then(
      ({ root, project, candidates }) => ({
        root: root.replace(/\/$/, ''),
        used:
          this.project.awake ||
          (project !== null && candidates.includes(project))
      }),
      () => null
    );
    const asked = this.where;
    void asked.then(at => {
      if (!at?.used && this.where === asked) {
        this.where = null; // ragent may be used here later
      }
    });
    return asked;
  }

  private async listen(anew = false): Promise<void> {
    const wanted = this.announced && !this.project.awake;
    if (wanted === this.listening && !anew) {
      return;
    }
    this.listening = wanted;
    this.feed.stop();
    if (wanted) {
      try {
        const { seq, log_id } = await this.api.status();
        if (this.listening) {
          this.feed.start(seq, log_id);
        }
      } catch {
        this.listening = false; // tried again with the next beat
      }
    }
  }

  // --- doing what is asked -----------------------------------------------------------------------------------------
  private hear({ type, data }: Envelope): void {
    const told = data as { id: string; tab: string; why: string; path: string };
    if (type === 'notebook_review') {
      this._reviewRang.emit(told.path.split('/').pop() ?? '');
    } else if (told?.tab === this.tab && type === 'notebook_request') {
      void this.serve(told.id);
    } else if (told?.tab === this.tab && type === 'notebook_end') {
      this.ends.get(told.id)?.(told.why);
    }
  }

  private async serve(id: string): Promise<void> {
    if (this.ends.has(id)) {
      return; // rung again while it is being done
    }
    // The end may be told at any moment from here on, also before what is asked has come.
    const ended = new Promise<string>(resolve => this.ends.set(id, resolve));
    try {
      await this.doOnce(id, ended);
    } finally {
      this.ends.delete(id);
    }
  }

  private async doOnce(id: string, ended: Promise<string>): Promise<void> {
    const place = `notebooks/requests/${id}`;
    let request: TabRequest;
    // By its key the engine knows a wish of ours that comes twice from one of a second ring.
    const wish = { tab: this.tab, key: this.lab.newId() };
    try {
      request = await insist(() =>
        this.api.send('POST', `${place}/take${QUIETLY}`, wish)
      );
    } catch {
      return; // taken before, or given up: nothing may be done
    }
    let answer: Record<string, unknown>;
    try {
      const panel = await this.find(request.path);
      answer = { ok: true, result: await this.work(request, panel, ended) };
    } catch (error) {
      answer = { ok: false, error: told(error) };
    }
    const said = { tab: this.tab, ...answer };
    try {
      await insist(() => this.api.send('POST', `${place}${QUIETLY}`, said));
    } catch {
      // Nobody waits any more: the engine has said so to whoever asked.
    }
  }

  private async find(path: string): Promise<NotebookPanel> {
    for (const panel of this.panels) {
      if (!panel.isDisposed && (await this.pathOf(panel)) === path) {
        return panel;
      }
    }
    throw new Refusal(
      'cannot_be_done',
      'The notebook was closed in this tab; nothing was changed.',
      'Try again.'
    );
  }

  private async work(
    { id, action, args = {} }: TabRequest,
    panel: NotebookPanel,
    ended: Promise<string>
  ): Promise<unknown> {
    switch (action) {
      case 'read':
        return this.seen(panel);
      case 'apply': {
        await this.fresh(panel);
        const { model } = panel.context;
        const clean = !model.dirty;
        const done = keepingView(panel, () =>
          applySteps(
            model.sharedModel,
            args.steps ?? [],
            args.strict ?? true,
            this.lab.newId
          )
        );
        await this.tidy(panel, clean);
        return { ...done, ...this.seen(panel) };
      }
      case 'run':
        return this.run(id, args.cell ?? '', panel, ended);
      case 'interrupt': {
        const kernel = kernelOf(panel);
        const busy = kernel?.status === 'busy';
        if (busy) {
          await kernel.interrupt();
        }
        return { interrupted: busy };
      }
      case 'variables': {
        const kernel = await readyKernel(panel);
        const { language_info } = await kernel.info;
        const expressions = /^i?python/i.test(language_info.name)
          ? await evaluate(kernel, args.expressions ?? {})
          : {};
        return { expressions, language: language_info.name };
      }
      default:
        throw new Refusal(
          'cannot_be_done',
          `This tab does not know how to ${String(action)}.`,
          'Reload the page: its ragent is older than the engine.'
        );
    }
  }

  private seen(panel: NotebookPanel): Record<string, unknown> {
    const { model } = panel.context;
    const cells = model.sharedModel.cells;
    return {
      cells: cells.map(viewOf),
      dirty: model.dirty,
      kernel: kernelOf(panel)?.name ?? '',
      running: cells
        .filter(
          cell =>
            this.going(panel, cell.getId()) || cell.executionState === 'running'
        )
        .map(cell => cell.getId())
    };
  }

  private going(panel: NotebookPanel, cell: string): CellRun | undefined {
    return [...this.runs].find(run => run.is(panel, cell));
  }

  private async run(
    id: string,
    cellId: string,
    panel: NotebookPanel,
    ended: Promise<string>
  ): Promise<unknown> {
    const { sharedModel } = panel.context.model;
    const found = (): [SharedCell, number] => {
      const index = sharedModel.cells.findIndex(c => c.getId() === cellId);
      if (index < 0) {
        const ids = sharedModel.cells.map(c => c.getId()).slice(0, 100);
        throw new Refusal(
          'not_found',
          `There is no cell '${cellId}' here.`,
          `The cells are: ${ids.join(', ') || 'none'}.`
        );
      }
      return [sharedModel.getCell(index), index];
    };
    const [cell] = found();
    if (cell.cell_type !== 'code') {
      throw new Refusal(
        'cannot_be_done',
        `The cell '${cellId}' is ${cell.cell_type}, not code.`,
        'Run a code cell.'
      );
    }
    const place = `notebooks/requests/${id}/said${QUIETLY}`;
    const telling = new Telling(word =>
      this.api.send('POST', place, { tab: this.tab, ...word })
    );
    let leave = () => {};
    try {
      const kernel = await readyKernel(panel);
      const run =
        this.going(panel, cellId) ?? this.begin(panel, cellId, kernel);
      leave = run.listen(text => telling.add(text));
      const why = await Promise.race([run.over.then(() => ''), ended]);
      if (why === 'stop') {
        await run.stop();
      }
      return { cell: ranCell(...found(), run.state) };
    } finally {
      leave();
      await telling.end(); // the last words are out before the answer
    }
  }

  private begin(
    panel: NotebookPanel,
    cell: string,
    kernel: ReturnType<typeof kernelOf> & object
  ): CellRun {
    const clean = !panel.context.model.dirty;
    const run = new CellRun(panel, cell, kernel);
    this.runs.add(run);
    void run.over.then(() => {
      this.runs.delete(run);
      return this.tidy(panel, clean);
    });
    return run;
  }

  /** A clean document takes over what was changed on disk before we write into it: Lab would ask a person otherwise. */
  private async fresh({ context }: NotebookPanel): Promise<void> {
    if (context.model.dirty || !context.contentsModel) {
      return;
    }
    const known = Date.parse(context.contentsModel.last_modified);
    const now = await this.lab.lastModified(context.path);
    if (now && Date.parse(now) - known > 500 && !context.model.dirty) {
      await context.revert();
    }
  }

  /** Saves what was clean before; unsaved work stays unsaved: when to save it is a person's choice. */
  private async tidy(panel: NotebookPanel, clean: boolean): Promise<void> {
    const { context } = panel;
    if (clean && context.model.dirty && !context.model.readOnly) {
      try {
        await context.save();
      } catch (error) {
        console.warn('ragent: the notebook was changed but not saved', error);
      }
    }
  }
}

const whole = (review: Partial<Review>): Review => ({
  path: review.path ?? '',
  cells: review.cells ?? [],
  left: review.left ?? []
});

function told(error: unknown): Record<string, string> {
  if (error instanceof Refusal) {
    const { type, problem, remedy } = error;
    return { type, problem, remedy };
  }
  return {
    type: 'cannot_be_done',
    problem: `The tab failed on it: ${String(error)}`,
    remedy: 'Read the notebook again; reload the page if it goes on.'
  };
}
