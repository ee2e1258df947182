/** Made by make_wire.py from ragent_jupyter/domain; change it there. */

export type RunStatus = "ready" | "queued" | "launching" | "running" | "stopping" | "finished" | "failed" | "stopped";

/**
 * Why a run ended as it did. `text` is a sentence for a person; `log_line` a quoted line that shows it.
 */
export interface Reason {
  kind: "cancelled" | "exit_code" | "launch_error" | "lost" | "nan" | "oom" | "signal" | "stop" | "walltime";
  text: string;
  log_line: string | null;
}

/**
 * How far a run is, as its sidecar read it (tqdm, step/max_steps, epoch/epochs). `eta_s` is an estimate.
 */
export interface Progress {
  fraction: number | null;
  step: number | null;
  total: number | null;
  eta_s: number | null;
  text: string;
}

/**
 * What is known of one metric of one run without reading its points. min and max are of finite values.
 */
export interface MetricSummary {
  last: number | string | null;
  step: number | null;
  min: number | null;
  min_step: number | null;
  max: number | null;
  max_step: number | null;
  count: number;
  nonfinite: number;
}

/**
 * The Python that a run sees first on its PATH.
 */
export interface Interpreter {
  path: string;
  kind: "caller" | "conda" | "kernelspec" | "path" | "venv";
  name: string;
  version: string;
}

export interface GitState {
  commit: string;
  branch: string;
  dirty: boolean;
  diff_file: string | null;
}

/**
 * One execution. Times are unix seconds (wall clock, for showing); terminal is terminal.
 */
export interface Run {
  id: string;
  name: string;
  command: string;
  argv: string[];
  cwd: string;
  created_at: number;
  kind: "command" | "interactive" | "notebook";
  status: RunStatus;
  reason: Reason | null;
  interpreter: Interpreter | null;
  env: Record<string, string>;
  executor: string;
  executor_handle: string | null;
  gpus: number;
  gpu_ids: number[];
  share_gpu: boolean;
  sweep_id: string | null;
  trial: number | null;
  params: Record<string, unknown>;
  seed: number | null;
  retry_of: string | null;
  git: GitState | null;
  primary: string | null;
  mode: "max" | "min";
  order: number;
  stop_order: string | null;
  stop_by: string | null;
  queued_at: number | null;
  launched_at: number | null;
  started_at: number | null;
  ended_at: number | null;
  exit_code: number | null;
  signal: number | null;
  max_rss_bytes: number | null;
  cpu_s: number | null;
  unreachable_since: number | null;
  health: string;
  summary: Record<string, MetricSummary>;
  progress: Progress | null;
  archived: boolean;
  favourite: boolean;
  alias: string;
  tags: string[];
  notes: string;
  colour: string | null;
  settled: boolean;
  request_id: string | null;
  pid: number | null;
  kernel: string | null;
}

export const RUN_DEFAULTS: Partial<Run> = {
  "kind": "command",
  "status": "ready",
  "reason": null,
  "interpreter": null,
  "env": {},
  "executor": "tmux",
  "executor_handle": null,
  "gpus": 0,
  "gpu_ids": [],
  "share_gpu": false,
  "sweep_id": null,
  "trial": null,
  "params": {},
  "seed": null,
  "retry_of": null,
  "git": null,
  "primary": null,
  "mode": "min",
  "order": 0.0,
  "stop_order": null,
  "stop_by": null,
  "queued_at": null,
  "launched_at": null,
  "started_at": null,
  "ended_at": null,
  "exit_code": null,
  "signal": null,
  "max_rss_bytes": null,
  "cpu_s": null,
  "unreachable_since": null,
  "health": "",
  "summary": {},
  "progress": null,
  "archived": false,
  "favourite": false,
  "alias": "",
  "tags": [],
  "notes": "",
  "colour": null,
  "settled": false,
  "request_id": null,
  "pid": null,
  "kernel": null
};

export type SweepStatus = "draft" | "ready" | "running" | "finished" | "failed" | "stopped";

/**
 * Each of these, in this order.
 */
export interface Values {
  kind: "values";
  values: unknown[];
}

/**
 * low..high inclusive. With `step` or `num` it can stand in a grid; without, only in a random sweep.
 */
export interface Range {
  kind: "range";
  low: number;
  high: number;
  step: number | null;
  num: number | null;
  log: boolean;
  integer: boolean;
}

/**
 * `parameters` for grid and random; `points` for list. `flag` is how a parameter reaches the command.
 *
 * flag: "--{name} {value}" | "--{name}={value}" | "{name}={value}" (hydra) | "" where the command holds {name} itself.
 */
export interface SearchSpace {
  method: "grid" | "list" | "random";
  parameters: Record<string, Values | Range>;
  points: (Record<string, unknown>)[];
  seed: number;
  flag: string;
}

/**
 * One point of the space. `run_ids`: its executions, oldest first; a retried trial has several.
 */
export interface Trial {
  index: number;
  params: Record<string, unknown>;
  run_ids: string[];
}

export interface Sweep {
  id: string;
  name: string;
  command: string;
  cwd: string;
  created_at: number;
  space: SearchSpace;
  status: SweepStatus;
  reason: string;
  trials: Trial[];
  max_runs: number;
  parallel: number;
  smoke: boolean;
  max_equal_failures: number;
  primary: string;
  mode: "max" | "min";
  gpus: number;
  share_gpu: boolean;
  executor: string | null;
  interpreter: string | null;
  env: Record<string, string>;
  goal: string;
  started_at: number | null;
  ended_at: number | null;
  archived: boolean;
  request_id: string | null;
}

export const SWEEP_DEFAULTS: Partial<Sweep> = {
  "status": "draft",
  "reason": "",
  "trials": [],
  "max_runs": 100,
  "parallel": 1,
  "smoke": true,
  "max_equal_failures": 3,
  "primary": "loss",
  "mode": "min",
  "gpus": 0,
  "share_gpu": false,
  "executor": null,
  "interpreter": null,
  "env": {},
  "goal": "",
  "started_at": null,
  "ended_at": null,
  "archived": false,
  "request_id": null
};

export type Severity = "info" | "warning" | "critical";

export type AlertStatus = "pending" | "resolved" | "dismissed" | "expired";

/**
 * A typed action with words that say what it does. Matched by `id`, never by its words.
 */
export interface Choice {
  id: string;
  action: "acknowledge" | "ignore" | "retry_with" | "stop" | "stop_now";
  label: string;
  set: Record<string, unknown>;
}

/**
 * What a rule saw. Non-finite values are the strings "nan", "inf", "-inf".
 */
export interface Evidence {
  metric: string;
  step: number | null;
  value: number | string | null;
  baseline: number | null;
  threshold: number | null;
  window: ([number, number | string])[];
  source: string;
  offset: number;
  log_line: string | null;
}

export interface Alert {
  id: string;
  run_id: string;
  rule: string;
  severity: Severity;
  title: string;
  raised_at: number;
  text: string;
  evidence: Evidence;
  choices: Choice[];
  default: string | null;
  status: AlertStatus;
  choice: string | null;
  answered_by: string | null;
  answered_at: number | null;
  note: string;
}

export const ALERT_DEFAULTS: Partial<Alert> = {
  "text": "",
  "evidence": {
    "metric": "",
    "step": null,
    "value": null,
    "baseline": null,
    "threshold": null,
    "window": [],
    "source": "",
    "offset": 0,
    "log_line": null
  },
  "choices": [],
  "default": null,
  "status": "pending",
  "choice": null,
  "answered_by": null,
  "answered_at": null,
  "note": ""
};

/**
 * One metric of one run, cut to at most `points` buckets, columnar. Lists are of equal length.
 *
 * x: the x of each bucket's last point (step; unix seconds; seconds since the run's first point).
 * last, min, max: of the bucket's finite values; null where a bucket holds none. `raw` means one point a bucket:
 * min and max are then left empty.
 * nonfinite: x of each NaN or infinity (the first 1,000), nonfinite_count: how many in all, kinds beside them.
 * total: committed points.  cursor: opaque; give it back as `since` for what came after.
 * reset: a delta could not be given (rewind, too many points): this is the whole series anew.
 * rewinds: x values where a later segment took over (the run was restarted from an older step).
 */
export interface Series {
  run: string;
  name: string;
  x: number[];
  last: (number | null)[];
  min: (number | null)[];
  max: (number | null)[];
  raw: boolean;
  nonfinite: number[];
  nonfinite_kinds: string[];
  nonfinite_count: number;
  total: number;
  cursor: string;
  reset: boolean;
  rewinds: number[];
  forks: (Record<string, unknown>)[];
}

/**
 * One event. `seq` grows by one per record and project and is never reused; a doorbell carries the newest seq.
 *
 * type: "run_created", "run_changed", "alert_raised", … ; for doorbells "metrics_changed", for the frame itself
 * "hello", "ping", "snapshot_needed".  data: the object after the change, whole (a Run, Sweep, Alert …).
 */
export interface Envelope {
  seq: number;
  time: number;
  topic: string;
  type: string;
  data: unknown;
}

export interface ErrorBody {
  type: string;
  problem: string;
  remedy: string;
}

export interface ErrorReply {
  error: ErrorBody;
}

/**
 * POST runs. command: a list is executed as it is; a text goes to `sh -c` (kind notebook: it is a path).
 */
export interface CreateRun {
  command: string | string[];
  name?: string | null;
  cwd?: string | null;
  python?: string | null;
  caller_python?: string | null;
  caller_env?: Record<string, string> | null;
  env?: Record<string, string>;
  executor?: string | null;
  gpus?: number;
  share_gpu?: boolean;
  primary?: string | null;
  mode?: "max" | "min";
  params?: Record<string, unknown>;
  start?: boolean;
  tags?: string[];
  notes?: string;
  kind?: "command" | "interactive" | "notebook";
  pid?: number | null;
  kernel?: string | null;
  request_id?: string | null;
}

export interface StopRun {
  now?: boolean;
}

export interface RetryRun {
  set?: Record<string, unknown>;
  request_id?: string | null;
}

/**
 * PATCH runs/ID: how a person sees it, and its place in the queue.
 */
export interface PatchRun {
  alias?: string | null;
  tags?: string[] | null;
  notes?: string | null;
  favourite?: boolean | null;
  archived?: boolean | null;
  colour?: string | null;
  before?: string | null;
}

export interface RunsReply {
  runs: Run[];
  total: number;
  counts: Record<string, number>;
  next: string | null;
}

export interface CreateSweep {
  command: string;
  space: SearchSpace;
  name?: string | null;
  cwd?: string | null;
  python?: string | null;
  caller_python?: string | null;
  caller_env?: Record<string, string> | null;
  env?: Record<string, string>;
  executor?: string | null;
  gpus?: number;
  share_gpu?: boolean;
  max_runs?: number;
  parallel?: number;
  smoke?: boolean;
  max_equal_failures?: number;
  primary?: string;
  mode?: "max" | "min";
  goal?: string;
  start?: boolean;
  request_id?: string | null;
}

export interface SweepsReply {
  sweeps: Sweep[];
}

export interface AlertsReply {
  alerts: Alert[];
  pending: number;
}

/**
 * POST alerts/ID/respond. choice: a choice's id.  by: who decides ("user", "rule:quickstart").
 */
export interface Respond {
  choice: string;
  by?: string;
}

export interface SeriesReply {
  x: "relative" | "step" | "time";
  series: Series[];
}

/**
 * GET runs/ID/metrics.
 */
export interface MetricNames {
  run: string;
  names: string[];
}

/**
 * GET runs/ID/logs?offset=&limit=. Offsets are bytes; a negative offset counts from the end. text: decoded with
 * replacement, terminal control sequences stripped, carriage-return progress folded to its last state.
 */
export interface LogsReply {
  text: string;
  offset: number;
  next: number;
  size: number;
  holes: ([number, number])[];
}

export interface ExecutorInfo {
  name: string;
  available: boolean;
  detail: string;
  default: boolean;
}

export interface ExecutorsReply {
  executors: ExecutorInfo[];
  gpus: (Record<string, unknown>)[];
  parallel: number;
}

/**
 * GET status: the one line on top of every surface.
 */
export interface StatusReply {
  project: string;
  version: string;
  log_id: string;
  seq: number;
  pid: number;
  started_at: number;
  counts: Record<string, number>;
  live: number;
  queued: number;
  alerts: number;
  best: Record<string, unknown> | null;
  draining: boolean;
  problem: string | null;
}

export interface Check {
  name: string;
  ok: boolean;
  detail: string;
  remedy: string;
}

export interface DoctorReply {
  checks: Check[];
}

/**
 * POST reports. One of sweep or runs. path: where to write, inside the project; default reports/NAME.ipynb.
 */
export interface CreateReport {
  sweep?: string | null;
  runs?: string[];
  path?: string | null;
  title?: string | null;
}

export interface ReportReply {
  id: string;
  path: string;
  title: string;
  sweep: string | null;
  created_at: number;
  findings: string[];
  created: boolean;
}

export interface Prefs {
  prefs: Record<string, unknown>;
}
