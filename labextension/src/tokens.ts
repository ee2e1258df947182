import { Token } from '@lumino/coreutils';
import type { Project } from './models/project';

/** What other extensions may ask of ragent: the project's runs, sweeps and alerts, live while somebody looks. */
export interface IRagent {
  readonly project: Project;
  /** Brings the panel to the front, with a run opened if one is named. */
  open(runId?: string): void;
}

export const IRagent = new Token<IRagent>(
  'ragent-jupyter:IRagent',
  'The runs, sweeps and alerts of the project that Jupyter serves.'
);
