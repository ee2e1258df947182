/** What engine and tab say to each other about notebooks; as in ragent_jupyter/domain/notebooks.py. */
import type { CellJson } from './lab';

export type CellKind = 'code' | 'markdown' | 'raw';

export interface CellView {
  id: string;
  index: number;
  kind: CellKind;
  source: string;
  outputs?: string[];
  execution_count?: number | null;
}

export interface RanCell extends CellView {
  state: 'done' | 'error' | 'stopped' | 'running';
}

export interface CellStep {
  action: 'insert' | 'edit' | 'delete';
  id?: string;
  kind?: CellKind;
  source?: string;
  expect?: string | null;
  cell?: CellJson;
  place?: string[];
}

export interface CellChange {
  id: string;
  action: 'inserted' | 'edited' | 'deleted';
  kind: CellKind;
  before?: CellJson;
  after?: string;
  place: string[];
}

export interface TabRequest {
  id: string;
  path: string;
  action: 'read' | 'apply' | 'run' | 'interrupt' | 'variables';
  args?: {
    steps?: CellStep[];
    strict?: boolean;
    cell?: string;
    expressions?: Record<string, string>;
  };
}

export interface OpenNotebook {
  path: string;
  dirty: boolean;
  kernel: string;
}

export interface ReviewCell {
  id: string;
  checkpoint: string;
  action: CellChange['action'];
  kind: CellKind;
  before?: string;
  after?: string;
  place?: string[];
}

export interface Review {
  path: string;
  cells: ReviewCell[];
  left: string[];
}

/** A refusal that the engine hands on: its type decides the status. */
export class Refusal extends Error {
  constructor(
    readonly type: 'not_found' | 'wrong_moment' | 'cannot_be_done',
    readonly problem: string,
    readonly remedy = ''
  ) {
    super(problem);
  }
}
