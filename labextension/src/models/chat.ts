/**
 * A chat as its events make it: a pure fold, the twin of ragent_jupyter/rules/chat_fold.py.
 *
 * The engine is the truth: nothing is shown that it has not said. A saved event whose seq was seen changes nothing; a
 * piece of text says where it belongs, so one that comes twice is cut to what is new, and a hole is a gap.
 */
import {
  APPROVAL_DEFAULTS,
  NOTICEPART_DEFAULTS,
  PLAN_DEFAULTS,
  PREVIEW_DEFAULTS,
  SESSION_DEFAULTS,
  TASK_DEFAULTS,
  TEXTPART_DEFAULTS,
  THINKINGPART_DEFAULTS,
  TOOLPART_DEFAULTS,
  TURN_DEFAULTS,
  USERMESSAGE_DEFAULTS,
  FORMFIELD_DEFAULTS,
  type Approval,
  type Envelope,
  type NoticePart,
  type PartDelta,
  type ToolProgress,
  type Plan,
  type Session,
  type SessionReply,
  type TextPart,
  type ThinkingPart,
  type ToolPart,
  type Turn,
  type UserMessage
} from '../wire';

export type Part = TextPart | ThinkingPart | ToolPart | NoticePart;

export interface Chat {
  session: Session;
  /** Oldest first. */
  turns: readonly Turn[];
  /** By turn, ordered by index. */
  parts: Readonly<Record<string, readonly Part[]>>;
  /** The newest saved event that is in it. */
  seq: number;
  /** A piece of text is missing: read the session again. */
  gap: boolean;
  /** There are older turns than these. */
  more: boolean;
}

export const TURN_OVER: ReadonlySet<Turn['status']> = new Set([
  'done',
  'stopped',
  'failed'
]);

const wholeUsage = (raw: Partial<Session['usage']> | undefined) => ({
  ...SESSION_DEFAULTS.usage!,
  ...raw
});

export const wholeMessage = (raw: Partial<UserMessage>): UserMessage =>
  ({ ...USERMESSAGE_DEFAULTS, ...raw }) as UserMessage;

export const wholeSession = (raw: Partial<Session>): Session =>
  ({
    ...SESSION_DEFAULTS,
    ...raw,
    queue: (raw.queue ?? []).map(wholeMessage),
    usage: wholeUsage(raw.usage)
  }) as Session;

export const wholeTurn = (raw: Partial<Turn>): Turn =>
  ({
    ...TURN_DEFAULTS,
    ...raw,
    message: wholeMessage(raw.message ?? {}),
    usage: wholeUsage(raw.usage)
  }) as Turn;

export const wholePlan = (raw: Partial<Plan>): Plan =>
  ({
    ...PLAN_DEFAULTS,
    ...raw,
    tasks: (raw.tasks ?? []).map(task => ({ ...TASK_DEFAULTS, ...task }))
  }) as Plan;

const wholeApproval = (raw: Approval): Approval => ({
  ...APPROVAL_DEFAULTS,
  ...raw,
  shows: {
    ...PREVIEW_DEFAULTS,
    ...raw.shows,
    form: (raw.shows.form ?? []).map(field => ({
      ...FORMFIELD_DEFAULTS,
      ...field
    }))
  }
});

const DEFAULTS = {
  text: TEXTPART_DEFAULTS,
  thinking: THINKINGPART_DEFAULTS,
  tool: TOOLPART_DEFAULTS,
  notice: NOTICEPART_DEFAULTS
};

export function wholePart(raw: Partial<Part>): Part {
  const part = { ...DEFAULTS[raw.type ?? 'text'], ...raw } as Part;
  return part.type === 'tool' && part.approval
    ? { ...part, approval: wholeApproval(part.approval) }
    : part;
}

/** The reply of GET sessions/ID as a chat. */
export function chatOf(reply: SessionReply): Chat {
  const parts: Record<string, Part[]> = {};
  for (const raw of reply.parts) {
    (parts[raw.turn_id] ??= []).push(wholePart(raw));
  }
  Object.values(parts).forEach(list => list.sort((a, b) => a.index - b.index));
  return {
    session: wholeSession(reply.session),
    turns: reply.turns.map(wholeTurn).sort((a, b) => a.n - b.n),
    parts,
    seq: reply.seq,
    gap: false,
    more: reply.more ?? false
  };
}

/** Older turns, put before what is there. */
export function withOlder(chat: Chat, reply: SessionReply): Chat {
  const older = chatOf(reply);
  const known = new Set(chat.turns.map(turn => turn.id));
  return {
    ...chat,
    turns: [...older.turns.filter(turn => !known.has(turn.id)), ...chat.turns],
    parts: { ...older.parts, ...chat.parts },
    more: older.more
  };
}

const PAIRS = /[\uD800-\uDBFF][\uDC00-\uDFFF]/g;

/** How many Unicode code points: JavaScript counts some of them twice. */
export function points(text: string): number {
  return text.length - (text.match(PAIRS)?.length ?? 0);
}

function withoutFirst(text: string, count: number): string {
  let at = 0;
  for (let i = 0; i < count && at < text.length; i++) {
    at += text.codePointAt(at)! > 0xffff ? 2 : 1;
  }
  return text.slice(at);
}

/** Counting a long text anew for each token would be slow: what was counted is remembered beside it. */
const counted = new WeakMap<Part, number>();

function lengthOf(part: TextPart | ThinkingPart): number {
  let n = counted.get(part);
  if (n === undefined) {
    n = points(part.text);
    counted.set(part, n);
  }
  return n;
}

function putPart(chat: Chat, part: Part): Chat {
  const list = chat.parts[part.turn_id] ?? [];
  const at = list.findIndex(known => known.index >= part.index);
  const next =
    at < 0
      ? [...list, part]
      : list[at].index === part.index
        ? [...list.slice(0, at), part, ...list.slice(at + 1)]
        : [...list.slice(0, at), part, ...list.slice(at)];
  return { ...chat, parts: { ...chat.parts, [part.turn_id]: next } };
}

function putTurn(chat: Chat, turn: Turn): Chat {
  const at = chat.turns.findIndex(known => known.id === turn.id);
  const turns =
    at < 0
      ? [...chat.turns, turn].sort((a, b) => a.n - b.n)
      : chat.turns.map((known, i) => (i === at ? turn : known));
  return { ...chat, turns };
}

function heldAt(chat: Chat, turn: string, index: number): Part | undefined {
  return chat.parts[turn]?.find(part => part.index === index);
}

const RANKS: Partial<Record<string, number>> = {
  streaming: 0,
  writing: 0,
  waiting: 1,
  running: 2
};
const rank = (part: Part) => ('status' in part ? (RANKS[part.status] ?? 3) : 3);

/** Whether a later picture of this part is held: parts only go forward, so an older one is a repetition. */
function behind(chat: Chat, part: Part): boolean {
  const held = heldAt(chat, part.turn_id, part.index);
  if (!held || held.id !== part.id) {
    return false;
  }
  if (rank(part) !== rank(held)) {
    return rank(part) < rank(held);
  }
  return (
    (part.type === 'text' || part.type === 'thinking') &&
    (held.type === 'text' || held.type === 'thinking') &&
    lengthOf(part) < lengthOf(held)
  );
}

function takeDelta(chat: Chat, told: PartDelta): Chat {
  const { session_id, turn_id, index, step, kind } = told;
  const held = heldAt(chat, turn_id, index);
  if (held && held.id !== told.part_id) {
    return chat;
  }
  const text = held?.type === 'text' || held?.type === 'thinking' ? held : null;
  if (held && text?.status !== 'streaming') {
    return chat;
  }
  const have = text ? lengthOf(text) : 0;
  if (told.at > have) {
    return chat.gap ? chat : { ...chat, gap: true };
  }
  const fresh =
    told.at < have ? withoutFirst(told.delta, have - told.at) : told.delta;
  if (!fresh) {
    return chat;
  }
  const before =
    text ??
    (wholePart({
      type: kind,
      id: told.part_id,
      session_id,
      turn_id,
      index,
      step
    }) as TextPart | ThinkingPart);
  const part = { ...before, text: before.text + fresh };
  counted.set(part, have + points(fresh));
  return putPart(chat, part);
}

/** What is told of a call that has ended, or was never seen, comes too late or too early. */
function takeProgress(chat: Chat, told: ToolProgress): Chat {
  const held = heldAt(chat, told.turn_id, told.index);
  return held?.type === 'tool' &&
    held.id === told.part_id &&
    held.status === 'running'
    ? putPart(chat, { ...held, progress: told.tail })
    : chat;
}

/** The chat after one event. What is of another session, or was seen, gives back the same object. */
export function fold(chat: Chat, { seq, type, data }: Envelope): Chat {
  const mine = (id: unknown) => id === chat.session.id;
  if (type === 'part_delta') {
    const told = data as PartDelta;
    return mine(told.session_id) ? takeDelta(chat, told) : chat;
  }
  if (type === 'tool_progress') {
    const told = data as ToolProgress;
    return mine(told.session_id) ? takeProgress(chat, told) : chat;
  }
  if (type === 'part_update') {
    const raw = data as Partial<Part>;
    if (!mine(raw.session_id)) {
      return chat;
    }
    const part = wholePart(raw);
    const seen = seq > chat.seq ? { ...chat, seq } : chat;
    return behind(chat, part) ? chat : putPart(seen, part);
  }
  if (seq <= chat.seq) {
    return chat;
  }
  const seen = { ...chat, seq };
  switch (type) {
    case 'session_created':
    case 'session_changed':
    case 'session_status':
      return mine((data as Session).id)
        ? { ...seen, session: wholeSession(data as Partial<Session>) }
        : chat;
    case 'turn_created':
    case 'turn_changed':
    case 'error':
      return mine((data as Turn).session_id)
        ? putTurn(seen, wholeTurn(data as Partial<Turn>))
        : chat;
    default:
      return chat;
  }
}

/** Turns that a later one asks anew: they are folded away. */
export function superseded(turns: readonly Turn[]): ReadonlySet<string> {
  const gone = new Set<string>();
  for (const turn of turns) {
    const from = turn.retry_of
      ? turns.find(known => known.id === turn.retry_of)?.n
      : undefined;
    if (from !== undefined) {
      for (const earlier of turns) {
        if (earlier.n >= from && earlier.n < turn.n) {
          gone.add(earlier.id);
        }
      }
    }
  }
  return gone;
}

/** What a person has to decide now, in the order in which it was asked. */
export function waitingFor(chat: Chat): readonly ToolPart[] {
  const turn = chat.turns.find(one => one.id === chat.session.turn);
  return (turn ? (chat.parts[turn.id] ?? []) : []).filter(
    (part): part is ToolPart =>
      part.type === 'tool' &&
      part.status === 'waiting' &&
      part.approval?.status === 'pending'
  );
}
