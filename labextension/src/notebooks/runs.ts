/** One cell executed in the kernel of the notebook that holds it, told as it goes. */
import type {
  CodeCellClass,
  Kernel,
  Message,
  NotebookPanel,
  SharedCell
} from './lab';
import { within } from './line';
import { plain, viewOf } from './outputs';
import { Refusal, type RanCell } from './protocol';

/** Of the second that a stop may take. */
const STOP_MS = 800;
const START_MS = 30_000;

/** A cell under way. It goes on whether or not somebody waits. */
export class CellRun {
  state: RanCell['state'] = 'running';
  readonly over: Promise<void>;
  private begun = false;
  private stopped = false;
  private readonly ears = new Set<(text: string) => void>();
  private readonly stopping: Promise<void>;
  private stopNow: () => void = () => undefined;

  constructor(
    private readonly panel: NotebookPanel,
    private readonly cell: string,
    private readonly kernel: Kernel
  ) {
    this.stopping = new Promise(resolve => (this.stopNow = resolve));
    this.over = this.go();
  }

  /** Whether this is that cell of that document, and goes on: a copied notebook has the same ids. */
  is({ context }: NotebookPanel, cell: string): boolean {
    return (
      this.state === 'running' &&
      this.cell === cell &&
      this.panel.context === context
    );
  }

  /** Several may wait for one cell; each hears what it says from now on, until the function given back is called. */
  listen(ear: (text: string) => void): () => void {
    this.ears.add(ear);
    return () => void this.ears.delete(ear);
  }

  /** Interrupts the kernel, but only if it is this cell that runs. Resolves when it is over, or within a second. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.stopNow();
    if (this.begun && this.state === 'running') {
      const over = this.kernel.interrupt().then(() => this.over);
      await within(over, STOP_MS);
    }
    if (this.state === 'running') {
      this.state = 'stopped';
    }
  }

  private async go(): Promise<void> {
    const mine = () => this.kernel === kernelOf(this.panel);
    // What is queued behind another cell cannot be stopped without stopping that one: so it is not queued.
    await this.idle();
    if (this.stopped || !mine()) {
      this.state = 'stopped';
      return;
    }
    const widget = this.panel.content.widgets.find(
      one => one.model.id === this.cell && !one.isDisposed
    );
    const execute = (widget?.constructor as CodeCellClass | undefined)?.execute;
    if (!widget || !execute) {
      this.state = 'error';
      return;
    }
    this.begun = true;
    try {
      const reply = execute.call(
        widget.constructor,
        widget,
        this.panel.sessionContext
      );
      widget.outputArea?.future?.registerMessageHook?.(message => {
        this.hear(message);
        return true;
      });
      const message = await reply;
      const ok = message?.content.status === 'ok';
      this.state = ok ? 'done' : this.stopped ? 'stopped' : 'error';
    } catch {
      // The kernel was restarted or is gone: Lab shows it, and the cell's outputs tell what there was.
      this.state = this.stopped ? 'stopped' : 'error';
    }
  }

  private hear({ header, content }: Message): void {
    if (header.msg_type === 'stream') {
      this.say(plain(String(content.text ?? '')));
    } else if (header.msg_type === 'error') {
      const trace = (content.traceback as string[] | undefined) ?? [];
      this.say(plain(trace.join('\n')).slice(-2000));
    }
  }

  private say(text: string): void {
    this.ears.forEach(ear => ear(text));
  }

  private idle(): Promise<void> {
    if (this.kernel.status !== 'busy') {
      return Promise.resolve();
    }
    return new Promise(resolve => {
      const look = () => {
        if (this.kernel.status !== 'busy') {
          this.kernel.statusChanged.disconnect(look);
          resolve();
        }
      };
      this.kernel.statusChanged.connect(look);
      void this.stopping.then(() => {
        this.kernel.statusChanged.disconnect(look);
        resolve();
      });
    });
  }
}

export const kernelOf = (panel: NotebookPanel): Kernel | null =>
  panel.sessionContext.session?.kernel ?? null;

/** Waits for a notebook's kernel that is being started; refuses where there is none. */
export async function readyKernel(panel: NotebookPanel): Promise<Kernel> {
  if (!kernelOf(panel)) {
    await within(panel.sessionContext.ready, START_MS);
  }
  const kernel = kernelOf(panel);
  if (!kernel) {
    throw new Refusal(
      'cannot_be_done',
      'The notebook is open in JupyterLab, but has no kernel.',
      'Ask the person to choose a kernel for it in JupyterLab.'
    );
  }
  return kernel;
}

export const ranCell = (
  cell: SharedCell,
  index: number,
  state: RanCell['state']
): RanCell => ({ ...viewOf(cell, index), state });

/** The kernel's answer to expressions, asked silently: nothing is shown, counted or kept. */
export async function evaluate(
  kernel: Kernel,
  expressions: Record<string, string>
): Promise<Record<string, unknown>> {
  if (kernel.status === 'busy') {
    throw new Refusal(
      'wrong_moment',
      'The kernel is busy with a cell.',
      'Ask again when it is over.'
    );
  }
  const future = kernel.requestExecute({
    code: '',
    silent: true,
    store_history: false,
    allow_stdin: false,
    user_expressions: expressions
  });
  const reply = await within(future.done, 5000);
  if (!reply) {
    future.dispose();
    throw new Refusal(
      'cannot_be_done',
      'The kernel did not tell within 5 s.',
      'Ask again.'
    );
  }
  return (reply.content.user_expressions ?? {}) as Record<string, unknown>;
}
