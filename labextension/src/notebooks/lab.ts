/**
 * What we use of Lab's open notebooks, by shape.
 *
 * Lab hands every notebook to extensions of its document registry; its notebook package is not needed for that, which
 * keeps our dependencies few and works in Notebook 7 as well.
 */
import type { ISignal } from '@lumino/signaling';

export interface CellJson {
  cell_type: string;
  id?: string;
  source: string | string[];
  metadata?: unknown;
  outputs?: OutputJson[];
  execution_count?: number | null;
  [more: string]: unknown;
}

export interface OutputJson {
  output_type: string;
  [more: string]: unknown;
}

export interface SharedCell {
  readonly cell_type: string;
  readonly executionState?: string;
  getId(): string;
  getSource(): string;
  updateSource(start: number, end: number, value?: string): void;
  toJSON(): unknown;
}

/** The shared model: what a person types and what we write meet here, character by character. */
export interface SharedNotebook {
  readonly cells: readonly SharedCell[];
  getCell(index: number): SharedCell;
  insertCell(
    index: number,
    cell: { cell_type: string; [more: string]: unknown }
  ): unknown;
  deleteCell(index: number): void;
  transact(change: () => void, undoable?: boolean): void;
}

export interface Message {
  header: { msg_type: string };
  content: Record<string, unknown>;
}

export interface Future {
  done: Promise<Message>;
  registerMessageHook?(hook: (message: Message) => boolean): void;
  dispose(): void;
}

export interface Kernel {
  readonly name: string;
  readonly status: string;
  readonly statusChanged: ISignal<unknown, unknown>;
  readonly info: Promise<{ language_info: { name: string } }>;
  interrupt(): Promise<void>;
  requestExecute(content: Record<string, unknown>): Future;
}

export interface SessionContext {
  readonly session: { readonly kernel: Kernel | null } | null;
  readonly ready: Promise<unknown>;
  readonly isReady: boolean;
  readonly kernelChanged: ISignal<unknown, unknown>;
}

export interface CellWidget {
  readonly node: HTMLElement;
  readonly isDisposed: boolean;
  readonly model: { readonly id: string; readonly type: string };
  readonly outputArea?: { readonly future?: Future };
}

/** Lab's own way to execute one cell is a static of the code cell's class. */
export interface CodeCellClass {
  execute?(
    cell: CellWidget,
    session: SessionContext,
    metadata?: unknown
  ): Promise<Message | undefined | void>;
}

export interface NotebookContext {
  readonly path: string;
  readonly ready: Promise<void>;
  readonly isReady: boolean;
  readonly pathChanged: ISignal<unknown, unknown>;
  readonly contentsModel: { readonly last_modified: string } | null;
  readonly model: {
    readonly dirty: boolean;
    readonly readOnly: boolean;
    readonly sharedModel: SharedNotebook;
    readonly stateChanged: ISignal<unknown, unknown>;
    readonly contentChanged: ISignal<unknown, unknown>;
  };
  save(): Promise<void>;
  revert(): Promise<void>;
}

export interface NotebookPanel {
  readonly isDisposed: boolean;
  readonly disposed: ISignal<unknown, unknown>;
  readonly context: NotebookContext;
  readonly sessionContext: SessionContext;
  readonly content: {
    readonly node: HTMLElement;
    readonly widgets: readonly CellWidget[];
  };
}

export const sourceOf = (cell: CellJson): string =>
  Array.isArray(cell.source) ? cell.source.join('') : (cell.source ?? '');
