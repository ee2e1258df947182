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
  waits: string;
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
  tree: string;
  void: string;
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
  "waits": "",
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
  "tree": "",
  "void": "",
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
 * flags: the same for single parameters, by name; "ON|OFF" says what true and false add to the command ("--amp|" adds
 * --amp or nothing).
 */
export interface SearchSpace {
  method: "grid" | "list" | "random";
  parameters: Record<string, Values | Range>;
  points: (Record<string, unknown>)[];
  seed: number;
  flag: string;
  flags: Record<string, string>;
}

/**
 * One point of the space. `run_ids`: its executions, oldest first; a retried trial has several.
 */
export interface Trial {
  index: number;
  params: Record<string, unknown>;
  run_ids: string[];
  tree: string;
}

/**
 * What the rest of a sweep or loop will take, from runs that were measured.
 *
 * of: the run it was measured on.  seconds: of one run; wall_seconds: of all with `parallel` at a time.
 * runs: how many are left (of a loop: how many still fit its limits).  disk_bytes: of their run folders.
 * cost_usd: where a price is known (of a loop: the model's; of a sweep: the GPUs').
 */
export interface Estimate {
  of: string;
  seconds: number;
  runs: number;
  parallel: number;
  wall_seconds: number;
  gpu_hours: number;
  cpu_hours: number;
  disk_bytes: number;
  cost_usd: number | null;
  text: string;
}

export const ESTIMATE_DEFAULTS: Partial<Estimate> = {
  "gpu_hours": 0.0,
  "cpu_hours": 0.0,
  "disk_bytes": 0,
  "cost_usd": null,
  "text": ""
};

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
  loop_id: string;
  purpose: string;
  tree: string;
  by: string[];
  estimate: Estimate | null;
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
  "request_id": null,
  "loop_id": "",
  "purpose": "",
  "tree": "",
  "by": [],
  "estimate": null
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
 * Tokens and money of one call or of many. cost: US dollars; None where no price is known.
 *
 * input counts what was neither read from nor written to the cache.  known: False where the server did not say.
 */
export interface Usage {
  input: number;
  output: number;
  cache_read: number;
  cache_write: number;
  cost: number | null;
  calls: number;
  known: boolean;
}

/**
 * What is known of a model at an endpoint.
 *
 * provider: "anthropic", "openai", "deepinfra", "gateway", "compatible", "scripted", "builtin".
 * context, max_output: tokens.  prices: US dollars per million tokens; None where unknown.
 * tools, images, thinking, caching: what a probe or the provider's word says it can do.
 */
export interface ModelInfo {
  id: string;
  provider: string;
  title: string;
  context: number;
  max_output: number;
  price_input: number | null;
  price_output: number | null;
  price_cache_read: number | null;
  price_cache_write: number | null;
  tools: boolean;
  images: boolean;
  thinking: boolean;
  caching: boolean;
}

/**
 * A file or a pasted image; its bytes lie under `.ragent/attachments/SHA256`. size: bytes.
 */
export interface Attachment {
  id: string;
  name: string;
  media_type: string;
  size: number;
}

export const ATTACHMENT_DEFAULTS: Partial<Attachment> = {};

/**
 * `@kind:id` in a message, as the engine understood it. problem: why it could not be resolved.
 */
export interface Mention {
  kind: string;
  id: string;
  label: string;
  problem: string;
}

export const MENTION_DEFAULTS: Partial<Mention> = {
  "label": "",
  "problem": ""
};

/**
 * What a person asked. shown: what the chat shows where it differs from what the model gets (`/analyze …`).
 */
export interface UserMessage {
  id: string;
  text: string;
  at: number;
  by: string;
  shown: string;
  attachments: Attachment[];
  mentions: Mention[];
  mode: "accept_edits" | "ask" | "bypass" | "plan" | null;
  cell: string;
  variables: string[];
}

export const USERMESSAGE_DEFAULTS: Partial<UserMessage> = {
  "by": "",
  "shown": "",
  "attachments": [],
  "mentions": [],
  "mode": null,
  "cell": "",
  "variables": []
};

/**
 * One chat. turn: the id of the turn under way.  queue: messages that wait for it to end.
 *
 * titled_by: "" no title yet, "auto", "user".  wake_at: when the model is asked again (waiting_api), unix seconds.
 * context_tokens: size of the newest prompt, of at most context_limit.
 */
export interface Session {
  id: string;
  created_at: number;
  updated_at: number;
  title: string;
  titled_by: string;
  archived: boolean;
  mode: "accept_edits" | "ask" | "bypass" | "plan";
  model: string;
  notebook: string;
  forked_from: string;
  about: Record<string, string>;
  queue: UserMessage[];
  status: "failed" | "idle" | "streaming" | "waiting" | "waiting_api";
  note: string;
  wake_at: number | null;
  turn: string;
  turns: number;
  usage: Usage;
  context_tokens: number;
  context_limit: number;
  by: string;
}

export const SESSION_DEFAULTS: Partial<Session> = {
  "title": "",
  "titled_by": "",
  "archived": false,
  "mode": "ask",
  "model": "",
  "notebook": "",
  "forked_from": "",
  "about": {},
  "queue": [],
  "status": "idle",
  "note": "",
  "wake_at": null,
  "turn": "",
  "turns": 0,
  "usage": {
    "input": 0,
    "output": 0,
    "cache_read": 0,
    "cache_write": 0,
    "cost": null,
    "calls": 0,
    "known": true
  },
  "context_tokens": 0,
  "context_limit": 0,
  "by": ""
};

export interface Problem {
  type: string;
  problem: string;
  remedy: string;
}

/**
 * One message and the work for it. context: what the engine told the model of the project at its start.
 *
 * n: place in the session, from 1.  rules: ids of the memory rules that were in the prompt.  parts: how many.
 */
export interface Turn {
  id: string;
  session_id: string;
  n: number;
  message: UserMessage;
  status: "done" | "failed" | "queued" | "stopped" | "streaming" | "waiting" | "waiting_api";
  created_at: number;
  mode: "accept_edits" | "ask" | "bypass" | "plan";
  model: string;
  started_at: number | null;
  ended_at: number | null;
  context: string;
  rules: string[];
  error: Problem | null;
  note: string;
  steps: number;
  parts: number;
  usage: Usage;
  undo: string;
  retry_of: string;
}

export const TURN_DEFAULTS: Partial<Turn> = {
  "mode": "ask",
  "model": "",
  "started_at": null,
  "ended_at": null,
  "context": "",
  "rules": [],
  "error": null,
  "note": "",
  "steps": 0,
  "parts": 0,
  "usage": {
    "input": 0,
    "output": 0,
    "cache_read": 0,
    "cache_write": 0,
    "cost": null,
    "calls": 0,
    "known": true
  },
  "undo": "",
  "retry_of": ""
};

/**
 * A file that a call will change, as it was when the approval was asked. sha256: "" where there is none yet.
 */
export interface Touched {
  path: string;
  sha256: string;
}

/**
 * kind: "text", "choice" (options), "number", "yes_no".
 */
export interface FormField {
  name: string;
  label: string;
  kind: "choice" | "choices" | "number" | "text" | "yes_no";
  options: string[];
  default: unknown;
}

export const FORMFIELD_DEFAULTS: Partial<FormField> = {
  "kind": "text",
  "options": [],
  "default": null
};

/**
 * What exactly will happen, for a person to read before it does.
 *
 * title: a sentence, "Run a shell command".  pattern: what "always" would allow, in the words of
 * rules/permissions.py; "" where it cannot be allowed for good.  danger: the button says so in red.
 */
export interface Preview {
  title: string;
  command: string;
  cwd: string;
  diff: string;
  cost: string;
  details: string[];
  touches: Touched[];
  pattern: string;
  danger: boolean;
  plan: string[];
  form: FormField[];
}

export const PREVIEW_DEFAULTS: Partial<Preview> = {
  "command": "",
  "cwd": "",
  "diff": "",
  "cost": "",
  "details": [],
  "touches": [],
  "pattern": "",
  "danger": false,
  "plan": [],
  "form": []
};

/**
 * A question that only a person answers; the first answer wins. hash: of the exact call and what it touches.
 */
export interface Approval {
  id: string;
  shows: Preview;
  hash: string;
  asked_at: number;
  status: "approved" | "pending" | "refused" | "void";
  scope: "always" | "no" | "once" | "session" | null;
  answered_by: string;
  answered_at: number | null;
  note: string;
  answers: Record<string, unknown>;
}

export const APPROVAL_DEFAULTS: Partial<Approval> = {
  "status": "pending",
  "scope": null,
  "answered_by": "",
  "answered_at": null,
  "note": "",
  "answers": {}
};

/**
 * What is allowed from now on. session_id: "" for always.
 */
export interface Grant {
  id: string;
  pattern: string;
  created_at: number;
  session_id: string;
  by: string;
}

export const GRANT_DEFAULTS: Partial<Grant> = {
  "session_id": "",
  "by": ""
};

/**
 * status "cut": the stream broke or the engine ended here; asked again, its text is not the model's word.
 */
export interface TextPart {
  type: "text";
  id: string;
  session_id: string;
  turn_id: string;
  index: number;
  step: number;
  text: string;
  status: "cut" | "done" | "streaming";
}

export const TEXTPART_DEFAULTS: Partial<TextPart> = {
  "step": 0,
  "text": "",
  "status": "streaming"
};

export interface ThinkingPart {
  type: "thinking";
  id: string;
  session_id: string;
  turn_id: string;
  index: number;
  step: number;
  text: string;
  signature: string;
  redacted: string;
  status: "cut" | "done" | "streaming";
}

export const THINKINGPART_DEFAULTS: Partial<ThinkingPart> = {
  "step": 0,
  "text": "",
  "signature": "",
  "redacted": "",
  "status": "streaming"
};

/**
 * A call of a tool. title: what it does in plain words.  output: what the model reads.
 *
 * data: what a card draws, {"card": "run" | "chart" | "diff" | "plan" | …, …}.  progress: newest lines while it runs.
 */
export interface ToolPart {
  type: "tool";
  id: string;
  session_id: string;
  turn_id: string;
  index: number;
  step: number;
  call_id: string;
  name: string;
  title: string;
  input: Record<string, unknown>;
  bad_input: string;
  status: "cut" | "done" | "error" | "outcome_unknown" | "refused" | "running" | "stopped" | "waiting" | "writing";
  output: string;
  images: string[];
  data: Record<string, unknown>;
  progress: string;
  approval: Approval | null;
  started_at: number | null;
  ended_at: number | null;
}

export const TOOLPART_DEFAULTS: Partial<ToolPart> = {
  "step": 0,
  "title": "",
  "input": {},
  "bad_input": "",
  "status": "writing",
  "output": "",
  "images": [],
  "data": {},
  "progress": "",
  "approval": null,
  "started_at": null,
  "ended_at": null
};

/**
 * A word of ragent itself, between the model's: a retry, a compaction, a restart, a budget.
 */
export interface NoticePart {
  type: "notice";
  id: string;
  session_id: string;
  turn_id: string;
  index: number;
  step: number;
  text: string;
  level: "error" | "info" | "warning";
}

export const NOTICEPART_DEFAULTS: Partial<NoticePart> = {
  "step": 0,
  "level": "info"
};

/**
 * Unsaved: a piece of a text or thinking part. at: characters (Unicode code points) that stand before it.
 *
 * A reader whose text is shorter than `at` has missed something and reads the session again; one whose text is longer
 * has it already.
 */
export interface PartDelta {
  session_id: string;
  turn_id: string;
  part_id: string;
  index: number;
  step: number;
  kind: "text" | "thinking";
  at: number;
  delta: string;
}

/**
 * Unsaved: what a tool that runs has said last. tail: its newest lines, in place of those told before.
 */
export interface ToolProgress {
  session_id: string;
  turn_id: string;
  part_id: string;
  index: number;
  tail: string;
}

/**
 * What one model call was given and what came of it; secrets are out of it. messages: JSON of the request.
 *
 * kept: how many messages are those of the call before (stored once, whole again in a reply); images are named only.
 */
export interface Provenance {
  id: string;
  session_id: string;
  turn_id: string;
  step: number;
  at: number;
  model: string;
  provider: string;
  system: string;
  messages: (Record<string, unknown>)[];
  kept: number;
  tools: string[];
  rules: string[];
  usage: Usage;
  stop_reason: string;
  first_token_ms: number | null;
  latency_ms: number | null;
  tries: number;
}

export const PROVENANCE_DEFAULTS: Partial<Provenance> = {
  "provider": "",
  "system": "",
  "messages": [],
  "kept": 0,
  "tools": [],
  "rules": [],
  "usage": {
    "input": 0,
    "output": 0,
    "cache_read": 0,
    "cache_write": 0,
    "cost": null,
    "calls": 0,
    "known": true
  },
  "stop_reason": "",
  "first_token_ms": null,
  "latency_ms": null,
  "tries": 1
};

export interface Task {
  title: string;
  status: "done" | "failed" | "pending" | "running" | "skipped";
  note: string;
}

export const TASK_DEFAULTS: Partial<Task> = {
  "status": "pending",
  "note": ""
};

/**
 * Tasks that a person approved, or is asked to.
 */
export interface Plan {
  id: string;
  session_id: string;
  title: string;
  created_at: number;
  status: "approved" | "done" | "executing" | "proposed" | "refused";
  tasks: Task[];
  by: string;
}

export const PLAN_DEFAULTS: Partial<Plan> = {
  "status": "proposed",
  "tasks": [],
  "by": ""
};

/**
 * A heuristic that every agent must heed. scope: "" the whole project, else a path, a sweep's or a script's name.
 *
 * status "proposed": an agent wrote it and a person has not agreed yet; it is in no prompt.
 */
export interface MemoryRule {
  id: string;
  title: string;
  text: string;
  created_at: number;
  updated_at: number;
  source: "agent" | "reflection" | "user";
  tags: string[];
  scope: string;
  on: boolean;
  status: "active" | "proposed" | "refused";
  by: string;
}

export const MEMORYRULE_DEFAULTS: Partial<MemoryRule> = {
  "source": "user",
  "tags": [],
  "scope": "",
  "on": true,
  "status": "active",
  "by": ""
};

/**
 * outputs: as text, images as "[image/png, 12 kB]".  dirty: the user has unsaved changes in it.
 */
export interface CellView {
  id: string;
  index: number;
  kind: "code" | "markdown" | "raw";
  source: string;
  outputs: string[];
  execution_count: number | null;
}

export const CELLVIEW_DEFAULTS: Partial<CellView> = {
  "outputs": [],
  "execution_count": null
};

/**
 * open: a tab has it open, so edits go to the shared model. dirty: it holds unsaved changes.
 */
export interface NotebookView {
  path: string;
  cells: CellView[];
  open: boolean;
  dirty: boolean;
  kernel: string;
}

export const NOTEBOOKVIEW_DEFAULTS: Partial<NotebookView> = {
  "open": false,
  "dirty": false,
  "kernel": ""
};

/**
 * action: insert (before cell `id`, "" = at the end), edit, delete.  expect: the source the edit was made for.
 */
export interface CellEdit {
  action: "delete" | "edit" | "insert";
  id: string;
  kind: "code" | "markdown" | "raw";
  source: string;
  expect: string | null;
}

export const CELLEDIT_DEFAULTS: Partial<CellEdit> = {
  "id": "",
  "kind": "code",
  "source": "",
  "expect": null
};

/**
 * hint: "ends in 1234"; the key itself never leaves this machine's keeping. source: env, keyring, file, "" none.
 */
export interface KeyState {
  name: string;
  set: boolean;
  source: string;
  hint: string;
}

/**
 * One event. `seq` grows by one per record and project and is never reused. What is no record (a doorbell, a piece
 * of a text, a word of the frame) carries the seq that its listener has reached, so that the highest seq that came is
 * always the place from which to go on.
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

/**
 * One thing that can be set from outside.
 *
 * name: as a person types it, without leading dashes ("weight-decay", "optim.lr", "LEARNING_RATE").
 * template: how it reaches the command, see `SearchSpace.flags`.  dim: the range that would be searched (tune only).
 * current: its value in the base command where the user set it there, else None: `default` counts then.
 */
export interface Flag {
  name: string;
  role: "exclude" | "fidelity" | "seed" | "tune";
  why: string;
  style: "argparse" | "click" | "constants" | "dataclass" | "hydra" | "typer";
  template: string;
  kind: "bool" | "float" | "int" | "str" | "unknown";
  default: unknown;
  current: unknown;
  choices: unknown[];
  dim: Values | Range | null;
  file: string;
  line: number;
}

export const FLAG_DEFAULTS: Partial<Flag> = {
  "kind": "unknown",
  "default": null,
  "current": null,
  "choices": [],
  "dim": null,
  "file": "",
  "line": 0
};

/**
 * path: relative to the cwd; "" where the command names no Python script.  notes: what could not be read, and
 * why.
 */
export interface Script {
  path: string;
  flags: Flag[];
  notes: string[];
}

export const SCRIPT_DEFAULTS: Partial<Script> = {
  "path": "",
  "flags": [],
  "notes": []
};

export type Stage = "exploring" | "running" | "analyzing" | "confirming" | "ended";

/**
 * All hard; None: no such limit. hours: wall clock, pauses excluded.  until: "val/acc > 0.95", a goal on a
 * metric.
 */
export interface Limits {
  iterations: number | null;
  hours: number | null;
  tokens: number | null;
  cost_usd: number | null;
  gpu_hours: number | null;
  cpu_hours: number | null;
  disk_gb: number | null;
  runs: number | null;
  until: string;
}

export const LIMITS_DEFAULTS: Partial<Limits> = {
  "iterations": null,
  "hours": null,
  "tokens": null,
  "cost_usd": null,
  "gpu_hours": null,
  "cpu_hours": null,
  "disk_gb": null,
  "runs": null,
  "until": ""
};

/**
 * cost_usd: None while no call had a known price. since: wall clock of the last look, None while paused or over.
 */
export interface Spent {
  iterations: number;
  seconds: number;
  tokens: number;
  cost_usd: number | null;
  gpu_seconds: number;
  cpu_seconds: number;
  disk_bytes: number;
  runs: number;
  model_calls: number;
  since: number | null;
}

export const SPENT_DEFAULTS: Partial<Spent> = {
  "iterations": 0,
  "seconds": 0.0,
  "tokens": 0,
  "cost_usd": null,
  "gpu_seconds": 0.0,
  "cpu_seconds": 0.0,
  "disk_bytes": 0,
  "runs": 0,
  "model_calls": 0,
  "since": null
};

/**
 * A parameter that may be searched. default: its value in the baseline.
 */
export interface Knob {
  dim: Values | Range;
  default: unknown;
  why: string;
}

export const KNOB_DEFAULTS: Partial<Knob> = {
  "default": null,
  "why": ""
};

/**
 * A sealed hold-out: labels that no run is given; the engine scores a run's predictions.
 *
 * id: of the sealed copy.  predictions: the file that a run writes, relative to its output folder.
 * score: accuracy | log_loss | mse | mae.  level: "sealed" (outside the project, this user could still read it).
 */
export interface Holdout {
  id: string;
  predictions: string;
  score: string;
  mode: "max" | "min";
  sha256: string;
  level: string;
}

export const HOLDOUT_DEFAULTS: Partial<Holdout> = {
  "sha256": "",
  "level": "sealed"
};

/**
 * What is run and what may be changed about it. Edited by the person before and during the loop.
 *
 * command: the base command as the user typed it; a trial adds its parameters (`flag`, `flags`: see SearchSpace).
 * space: what may be searched.  fidelity: the flag of training length and its full value.  seed: the seed's flag, ""
 * where the script has none, None where it is not known yet.  score: which value of the metric counts: a run's last
 * or best.
 * isolation: "tree" (an immutable copy of a commit), "in_place" (the user's folder as it is).
 * inputs: ignored files and folders that trees link, relative to the project.  eval_files: hashed before and after
 * each run.
 */
export interface Setup {
  command: string;
  cwd: string;
  python: string | null;
  env: Record<string, string>;
  executor: string | null;
  gpus: number;
  share_gpu: boolean;
  parallel: number;
  metric: string;
  mode: "max" | "min";
  score: "best" | "last";
  space: Record<string, Knob>;
  flag: string;
  flags: Record<string, string>;
  fidelity: string;
  full: unknown;
  seed: string | null;
  seed_base: number;
  seeds: number;
  top: number;
  isolation: "in_place" | "tree";
  inputs: string[];
  eval_files: string[];
  holdout: Holdout | null;
  may_edit: string[];
}

export const SETUP_DEFAULTS: Partial<Setup> = {
  "python": null,
  "env": {},
  "executor": null,
  "gpus": 0,
  "share_gpu": false,
  "parallel": 1,
  "metric": "",
  "mode": "min",
  "score": "last",
  "space": {},
  "flag": "--{name} {value}",
  "flags": {},
  "fidelity": "",
  "full": null,
  "seed": null,
  "seed_base": 1000,
  "seeds": 5,
  "top": 3,
  "isolation": "in_place",
  "inputs": [],
  "eval_files": [],
  "holdout": null,
  "may_edit": []
};

export interface Option {
  id: string;
  label: string;
}

/**
 * What a person is asked, in one sentence. about: what the answer decides.
 *
 * held: the actions that go ahead when the answer is "yes".  default_at: when `default` is taken if nobody answers.
 */
export interface Question {
  id: string;
  text: string;
  options: Option[];
  default: string;
  asked_at: number;
  about: "alert" | "approval" | "blocked" | "model" | "need" | "setup";
  default_at: number | null;
  free_text: boolean;
  held: unknown[];
  ref: string;
}

export const QUESTION_DEFAULTS: Partial<Question> = {
  "about": "need",
  "default_at": null,
  "free_text": true,
  "held": [],
  "ref": ""
};

export interface LoopTask {
  id: string;
  text: string;
  state: "doing" | "done" | "dropped" | "todo";
}

export const LOOPTASK_DEFAULTS: Partial<LoopTask> = {
  "state": "todo"
};

/**
 * Something to decide about. ref: the alert's, run's or sweep's id.  order: its place, smaller first.
 */
export interface LoopEvent {
  id: string;
  kind: "analysis" | "answer" | "completion" | "critical" | "explore" | "failure" | "human" | "warning";
  at: number;
  order: number;
  ref: string;
  text: string;
  tries: number;
}

export const LOOPEVENT_DEFAULTS: Partial<LoopEvent> = {
  "ref": "",
  "text": "",
  "tries": 0
};

/**
 * The model cannot be reached; it is asked again at `until`.
 */
export interface Waiting {
  until: number;
  why: string;
  tries: number;
}

/**
 * The default configuration, measured. sigma: standard deviation over seeds; None where it cannot be told.
 *
 * deterministic: repeats with different seeds were bit-identical: noise is not measurable.
 * diff: whether it holds changes that the user had not committed.
 */
export interface Baseline {
  runs: string[];
  values: number[];
  mean: number;
  sigma: number | null;
  n: number;
  deterministic: boolean;
  seconds: number;
  rss_bytes: number;
  commit: string;
  diff: boolean;
}

export const BASELINE_DEFAULTS: Partial<Baseline> = {
  "sigma": null,
  "n": 0,
  "deterministic": false,
  "seconds": 0.0,
  "rss_bytes": 0,
  "commit": "",
  "diff": false
};

/**
 * A configuration that looks better in one run or some. params: without the seed.  value: mean of `runs`.
 */
export interface Candidate {
  params: Record<string, unknown>;
  runs: string[];
  value: number;
  commit: string;
  suspicious: string;
}

export const CANDIDATE_DEFAULTS: Partial<Candidate> = {
  "commit": "",
  "suspicious": ""
};

/**
 * A candidate against the baseline on the same fresh seeds. effect: candidate - baseline, in the metric's unit.
 *
 * ci: 95 % bootstrap interval of the effect; p: of a paired t test; p_holm: adjusted over the candidates that were
 * tested.
 * claimed: the value it was chosen for; mean: its mean on the fresh seeds.  why: one sentence for people.
 */
export interface Verdict {
  params: Record<string, unknown>;
  verdict: "confirmed" | "not distinguishable" | "unconfirmed" | "void" | "worse";
  why: string;
  metric: string;
  seeds: number[];
  runs: string[];
  baseline_runs: string[];
  values: number[];
  baseline_values: number[];
  mean: number | null;
  baseline_mean: number | null;
  effect: number | null;
  ci: [number, number] | null;
  p: number | null;
  p_holm: number | null;
  claimed: number | null;
  commit: string;
  holdout: number | null;
  sweep: string;
}

export const VERDICT_DEFAULTS: Partial<Verdict> = {
  "metric": "",
  "seeds": [],
  "runs": [],
  "baseline_runs": [],
  "values": [],
  "baseline_values": [],
  "mean": null,
  "baseline_mean": null,
  "effect": null,
  "ci": null,
  "p": null,
  "p_holm": null,
  "claimed": null,
  "commit": "",
  "holdout": null,
  "sweep": ""
};

/**
 * Evidence: what the decision looked at. kind: run, metric, alert, sweep, baseline, limit, text.
 */
export interface Seen {
  kind: string;
  ref: string;
  value: unknown;
  text: string;
}

export const SEEN_DEFAULTS: Partial<Seen> = {
  "ref": "",
  "value": null,
  "text": ""
};

/**
 * One line of the ledger: event → evidence → reasoning → action → result. n counts from 1 within the loop.
 *
 * by: who decided.  who: "alice", "rule:nan_lowers_lr", "anthropic:claude-…".  outcome: what became of the action.
 */
export interface Entry {
  id: string;
  loop_id: string;
  n: number;
  at: number;
  by: "engine" | "human" | "model" | "rule";
  stage: string;
  iteration: number;
  who: string;
  event: LoopEvent | null;
  evidence: Seen[];
  reasoning: string;
  action: unknown;
  outcome: "asked" | "done" | "noted" | "outcome_unknown" | "refused";
  result: string;
  usage: Usage | null;
  turn_id: string;
}

export const ENTRY_DEFAULTS: Partial<Entry> = {
  "who": "",
  "event": null,
  "evidence": [],
  "reasoning": "",
  "action": null,
  "outcome": "done",
  "result": "",
  "usage": null,
  "turn_id": ""
};

/**
 * One wild loop. current: the event that is being decided; queue: those that wait, in no particular order.
 *
 * sweeps: ids, oldest first; sweep: the one under way.  told: ids of runs whose end was decided about.
 * owed: accepted actions that are not yet carried out, in order.  steer: what a person said, for the next prompts.
 */
export interface Loop {
  id: string;
  goal: string;
  created_at: number;
  setup: Setup;
  policy: "builtin" | "hybrid" | "llm";
  autonomy: "balanced" | "cautious" | "full";
  limits: Limits;
  spent: Spent;
  stage: Stage;
  paused: boolean;
  waiting: Waiting | null;
  question: Question | null;
  end: "budget" | "complete" | "failed" | "stopped" | null;
  reason: string;
  budget: string;
  ended_at: number | null;
  iteration: number;
  queue: LoopEvent[];
  current: LoopEvent | null;
  sweeps: string[];
  sweep: string;
  purpose: string;
  told: string[];
  owed: unknown[];
  plan: LoopTask[];
  steer: string[];
  answers: ([string, string])[];
  baseline: Baseline | null;
  best: Candidate | null;
  estimate: Estimate | null;
  verdicts: Verdict[];
  findings: string[];
  promised: string;
  strikes: number;
  strike: string;
  entries: number;
  commits: string[];
  branch: string;
  session_id: string;
  report: string;
  model: string;
  seed: number;
  by: string;
  request_id: string | null;
}

export const LOOP_DEFAULTS: Partial<Loop> = {
  "policy": "builtin",
  "autonomy": "balanced",
  "limits": {
    "iterations": null,
    "hours": null,
    "tokens": null,
    "cost_usd": null,
    "gpu_hours": null,
    "cpu_hours": null,
    "disk_gb": null,
    "runs": null,
    "until": ""
  },
  "spent": {
    "iterations": 0,
    "seconds": 0.0,
    "tokens": 0,
    "cost_usd": null,
    "gpu_seconds": 0.0,
    "cpu_seconds": 0.0,
    "disk_bytes": 0,
    "runs": 0,
    "model_calls": 0,
    "since": null
  },
  "stage": "exploring",
  "paused": false,
  "waiting": null,
  "question": null,
  "end": null,
  "reason": "",
  "budget": "",
  "ended_at": null,
  "iteration": 0,
  "queue": [],
  "current": null,
  "sweeps": [],
  "sweep": "",
  "purpose": "",
  "told": [],
  "owed": [],
  "plan": [],
  "steer": [],
  "answers": [],
  "baseline": null,
  "best": null,
  "estimate": null,
  "verdicts": [],
  "findings": [],
  "promised": "",
  "strikes": 0,
  "strike": "",
  "entries": 0,
  "commits": [],
  "branch": "",
  "session_id": "",
  "report": "",
  "model": "",
  "seed": 0,
  "by": "",
  "request_id": null
};

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
  loops: number;
  loops_waiting: number;
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

/**
 * POST sessions. fork: id of a session to copy, up to and with turn `fork_turn` ("" = all of it).
 */
export interface CreateSession {
  title?: string;
  mode?: "accept_edits" | "ask" | "bypass" | "plan";
  model?: string;
  notebook?: string;
  about?: Record<string, string>;
  fork?: string;
  fork_turn?: string;
  request_id?: string | null;
}

/**
 * PATCH sessions/ID. None leaves as it is.
 */
export interface PatchSession {
  title?: string | null;
  mode?: "accept_edits" | "ask" | "bypass" | "plan" | null;
  model?: string | null;
  notebook?: string | null;
  archived?: boolean | null;
}

/**
 * GET sessions?q=&archived=&limit=: newest first, without their turns.
 */
export interface SessionsReply {
  sessions: Session[];
  more: boolean;
}

/**
 * GET sessions/ID?turns=&before=: its newest turns with all their parts, texts as far as they are.
 *
 * seq: the event up to which this is the truth; read events after it.  more: there are older turns than `turns`.
 */
export interface SessionReply {
  session: Session;
  turns: Turn[];
  parts: (TextPart | ThinkingPart | ToolPart | NoticePart)[];
  seq: number;
  more: boolean;
}

/**
 * POST sessions/ID/messages → 202 {"session", "turn" | "queued"}. The same request_id twice is one message.
 *
 * attachments: ids from POST …/attachments.  retry: id of a turn that this one asks anew (edited or not); what came
 * from that turn on is left out of the prompt and folded away.
 */
export interface SendMessage {
  text: string;
  attachments?: string[];
  mode?: "accept_edits" | "ask" | "bypass" | "plan" | null;
  notebook?: string | null;
  cell?: string | null;
  variables?: string[];
  retry?: string;
  request_id?: string | null;
}

/**
 * Either a turn began or the message waits in the queue.
 */
export interface SendReply {
  session: Session;
  turn: Turn | null;
  queued: string;
}

export const SENDREPLY_DEFAULTS: Partial<SendReply> = {
  "turn": null,
  "queued": ""
};

/**
 * PUT sessions/ID/queue. order: ids of all that shall stay, in order. texts: new texts by id.
 */
export interface ChangeQueue {
  order: string[];
  texts?: Record<string, string>;
}

/**
 * POST sessions/ID/approvals/AID → the ToolPart. 409 with who decided, if somebody else was first.
 */
export interface AnswerApproval {
  choice: "always" | "no" | "once" | "session";
  note?: string;
  answers?: Record<string, unknown>;
  hash?: string;
}

/**
 * POST sessions/ID/attachments?name=…, the bytes as body.
 */
export interface AttachmentReply {
  attachment: Attachment;
}

export interface GrantsReply {
  grants: Grant[];
}

/**
 * GET sessions/ID/turns/TID/provenance: a line a model call.
 */
export interface ProvenanceReply {
  calls: Provenance[];
}

/**
 * A suggestion of an empty chat. text: what is sent.
 */
export interface Starter {
  label: string;
  text: string;
}

/**
 * A slash command that is there. usage: "/compare RUN RUN …".
 */
export interface Verb {
  name: string;
  usage: string;
  help: string;
}

/**
 * A hit of the `@` pop-up. insert: what goes into the text, "@run:run_…".
 */
export interface Suggestion {
  kind: string;
  id: string;
  label: string;
  detail: string;
  insert: string;
}

/**
 * GET sessions/options: what the composer offers. builtin: no model is set, the built-in assistant answers.
 */
export interface ChatOptions {
  verbs: Verb[];
  starters: Starter[];
  modes: ("accept_edits" | "ask" | "bypass" | "plan")[];
  model: ModelInfo;
  builtin: boolean;
  web_search: boolean;
}

/**
 * GET sessions/suggest?q=run:lr&kind=&notebook=: at most 20, best first.
 */
export interface SuggestReply {
  suggestions: Suggestion[];
}

/**
 * POST memory (title and text needed), PATCH memory/ID. None leaves as it is.
 */
export interface PutRule {
  title?: string | null;
  text?: string | null;
  tags?: string[] | null;
  scope?: string | null;
  on?: boolean | null;
  status?: "active" | "refused" | null;
  source?: "agent" | "reflection" | "user" | null;
}

export interface RulesReply {
  rules: MemoryRule[];
}

/**
 * POST memory/import: text of a MEMORY.md. GET memory/export gives one.
 */
export interface ImportRules {
  text: string;
}

export interface KeysReply {
  keys: KeyState[];
}

/**
 * PUT keys: value null forgets it.
 */
export interface PutKey {
  name: string;
  value: string | null;
}

/**
 * Which model a role uses, and why: "set", "default", "environment", "no key".
 *
 * A role that cannot ask anybody has no model (its id is ""); remedy: what helps then.
 */
export interface RoleModel {
  role: "chat" | "judge" | "research.executor" | "research.orchestrator" | "wild";
  model: ModelInfo;
  why: string;
  remedy: string;
}

/**
 * GET models. PUT models {"roles": {"chat": "anthropic:claude-…"}, "prices": {…}} sets; null resets.
 */
export interface ModelsReply {
  roles: RoleModel[];
  models: ModelInfo[];
}

/**
 * prices: model id → {"input", "output", "cache_read", "cache_write"} in US dollars per million tokens.
 */
export interface PutModels {
  roles?: Record<string, string | null>;
  prices?: Record<string, Record<string, number> | null>;
}

/**
 * POST models/test → Probe. model: "provider:id"; "" the chat role's.
 */
export interface TestModel {
  model?: string;
}

/**
 * What an endpoint could do when it was tried.
 */
export interface Probe {
  model: string;
  ok: boolean;
  streams: boolean;
  tools: boolean;
  usage: boolean;
  thinking: boolean;
  caching: boolean;
  first_token_ms: number | null;
  problem: string;
  remedy: string;
}

/**
 * day: YYYY-MM-DD (UTC).
 */
export interface UsageLine {
  day: string;
  role: string;
  model: string;
  usage: Usage;
}

/**
 * GET usage?days=30. today and month: totals. limit_day: US dollars, None no limit.
 */
export interface UsageReply {
  lines: UsageLine[];
  today: Usage;
  month: Usage;
  limit_day: number | null;
}

export interface PlansReply {
  plans: Plan[];
}

/**
 * POST wild. command: "" lets the engine ask.  setup fields that are None are found out by reading the script.
 *
 * holdout: its `id` is the file of the labels, which the engine seals away.
 * draft: answer with the loop as it would be (a `SetupReply`) and start nothing.
 */
export interface CreateLoop {
  goal: string;
  command?: string;
  cwd?: string | null;
  python?: string | null;
  caller_python?: string | null;
  caller_env?: Record<string, string> | null;
  env?: Record<string, string>;
  executor?: string | null;
  policy?: "builtin" | "hybrid" | "llm" | null;
  model?: string;
  autonomy?: "balanced" | "cautious" | "full";
  limits?: Limits;
  metric?: string;
  mode?: "max" | "min" | null;
  score?: "best" | "last" | null;
  space?: Record<string, Knob> | null;
  seed_flag?: string | null;
  seeds?: number | null;
  top?: number | null;
  gpus?: number;
  share_gpu?: boolean;
  parallel?: number | null;
  isolation?: "in_place" | "tree" | null;
  inputs?: string[] | null;
  eval_files?: string[] | null;
  may_edit?: string[];
  holdout?: Holdout | null;
  seed?: number;
  draft?: boolean;
  request_id?: string | null;
}

/**
 * What would be run and searched, before anything is. asks: what must be answered first.
 */
export interface SetupReply {
  setup: Setup;
  script: Script;
  asks: Question[];
  policy: "builtin" | "hybrid" | "llm";
  limits: Limits;
  estimate: Estimate | null;
}

/**
 * PATCH wild/ID: only what is given changes. space replaces the whole space.
 */
export interface PatchLoop {
  autonomy?: "balanced" | "cautious" | "full" | null;
  policy?: "builtin" | "hybrid" | "llm" | null;
  model?: string | null;
  space?: Record<string, Knob> | null;
  goal?: string | null;
}

/**
 * PUT wild/ID/limits: names and new values; null removes a limit. resume: go on, where a budget had ended it.
 */
export interface ChangeLimits {
  limits: Record<string, unknown>;
  resume?: boolean;
}

export interface Steer {
  text: string;
  request_id?: string | null;
}

/**
 * POST wild/ID/answer. choice: an option's id, or "" with a text.
 */
export interface AnswerLoop {
  question: string;
  choice?: string;
  text?: string;
}

/**
 * PUT wild/ID/queue. order: ids in the wanted order; drop: those to forget (never an alert of a living run).
 */
export interface ReorderEvents {
  order?: string[];
  drop?: string[];
}

export interface StopLoop {
  runs?: boolean;
  now?: boolean;
}

/**
 * A line of the summary. tone: good, bad, plain, wait.
 */
export interface Line {
  text: string;
  tone: "bad" | "good" | "plain" | "wait";
  refs: string[];
}

/**
 * The morning after, on one screen: tried, real, cost, needs.
 */
export interface Summary {
  title: string;
  tried: Line[];
  real: Line[];
  cost: Line[];
  needs: Line[];
}

/**
 * GET wild/ID. counts: runs of the loop by status.  elapsed_s: since its start, pauses included.
 */
export interface LoopReply {
  loop: Loop;
  counts: Record<string, number>;
  alerts: number;
  elapsed_s: number;
  summary: Summary;
}

export interface LoopsReply {
  loops: Loop[];
}

/**
 * GET wild/ID/journal?after=N (JSON), or application/x-ndjson by Accept: the whole ledger, one entry a line.
 */
export interface JournalReply {
  entries: Entry[];
  total: number;
}

/**
 * POST wild/ID/merge. commit: "" the confirmed candidate's, else the newest accepted one.
 */
export interface MergeLoop {
  commit?: string;
}

export interface MergeReply {
  text: string;
  diff: string;
}

/**
 * POST reports/reproduce. report: path of the notebook; claim: its id in there.
 */
export interface Reproduce {
  report: string;
  claim: string;
}

/**
 * The claim as it was and as it came out again. runs: the new ones, in the order of `was`.
 */
export interface ReproduceReply {
  claim: string;
  metric: string;
  was: number[];
  now: (number | null)[];
  runs: string[];
  done: boolean;
  text: string;
  verdict: Verdict | null;
}

/**
 * A prompt template as a file with front matter. source: shipped | project | installed.  edited: differs from
 * shipped.
 */
export interface Skill {
  name: string;
  title: string;
  description: string;
  text: string;
  variables: string[];
  source: "installed" | "project" | "shipped";
  edited: boolean;
  path: string;
  version: string;
}

export const SKILL_DEFAULTS: Partial<Skill> = {
  "variables": [],
  "source": "shipped",
  "edited": false,
  "path": "",
  "version": ""
};

export interface SkillsReply {
  skills: Skill[];
}

export interface PutSkill {
  text: string;
}

/**
 * POST skills/install. source: a folder of this machine or a git URL.
 */
export interface InstallSkill {
  source: string;
}
