/** The fold of a chat, and the room that lives by it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  chatOf,
  fold,
  points,
  superseded,
  wholeTurn,
  type Chat
} from '../models/chat';
import { ChatDesk } from '../models/chatdesk';
import { Room } from '../models/chatroom';
import type { Envelope, SessionReply } from '../wire';
import { event, FakeSocket, makeProject, Played, until } from './fakes';

const at = (id = 'ses_a') => ({ id, created_at: 1, updated_at: 1 });
const aTurn = (n: number, more = {}) => ({
  id: `trn_${n}`,
  session_id: 'ses_a',
  n,
  message: { id: `m${n}`, text: `question ${n}`, at: 1 },
  status: 'streaming',
  created_at: 1,
  ...more
});
const aPart = (index: number, more = {}) => ({
  type: 'text',
  id: `prt_${index}`,
  session_id: 'ses_a',
  turn_id: 'trn_1',
  index,
  ...more
});
const piece = (where: number, delta: string, index = 0) => ({
  session_id: 'ses_a',
  turn_id: 'trn_1',
  part_id: `prt_${index}`,
  index,
  step: 1,
  kind: 'text',
  at: where,
  delta
});
const told = (seq: number, type: string, data: unknown): Envelope =>
  event(seq, type, data, 'sessions');

const empty = (): Chat =>
  chatOf({
    session: at(),
    turns: [aTurn(1)],
    parts: [],
    seq: 10,
    more: false
  } as unknown as SessionReply);

const textOf = (chat: Chat, index = 0) => {
  const part = chat.parts.trn_1?.find(one => one.index === index);
  return part && 'text' in part ? part.text : null;
};
const after = (chat: Chat, ...events: Envelope[]) => events.reduce(fold, chat);

describe('a chat', () => {
  it('grows by pieces, of which one that comes twice changes nothing', () => {
    const pieces = [
      told(10, 'part_delta', piece(0, 'Hé 👩‍🔬 ')),
      told(10, 'part_delta', piece(points('Hé 👩‍🔬 '), 'sees 10 runs'))
    ];
    const once = after(empty(), ...pieces);
    expect(textOf(once)).toBe('Hé 👩‍🔬 sees 10 runs');
    expect(after(once, ...pieces)).toBe(once);
    expect(once.gap).toBe(false);
  });

  it('cuts a piece that overlaps to what is new, by code points', () => {
    const chat = after(
      empty(),
      told(10, 'part_delta', piece(0, '🚀🚀ab')),
      told(10, 'part_delta', piece(1, '🚀abcd'))
    );
    expect(textOf(chat)).toBe('🚀🚀abcd');
  });

  it('sees a hole', () => {
    const chat = after(
      empty(),
      told(10, 'part_delta', piece(0, 'ab')),
      told(10, 'part_delta', piece(5, 'fg'))
    );
    expect(chat.gap).toBe(true);
    expect(textOf(chat)).toBe('ab');
    expect(after(empty(), told(10, 'part_delta', piece(3, 'x'))).gap).toBe(
      true
    );
  });

  it('takes a record over its pieces, and a repetition over neither', () => {
    const done = told(
      12,
      'part_update',
      aPart(0, { text: 'abc', status: 'done' })
    );
    const chat = after(
      empty(),
      told(10, 'part_delta', piece(0, 'ab')),
      done,
      told(12, 'part_delta', piece(2, 'c')),
      told(11, 'part_update', aPart(0, { text: 'a' })),
      told(11, 'turn_changed', aTurn(1, { status: 'waiting' }))
    );
    expect(textOf(chat)).toBe('abc');
    expect(chat.parts.trn_1[0]).toMatchObject({ status: 'done' });
    expect(chat.turns[0].status).toBe('streaming');
    expect(after(chat, done).parts.trn_1).toHaveLength(1);
  });

  it('shows the newest lines of a tool while it runs, and no longer', () => {
    const tool = { type: 'tool', call_id: 'c', name: 'shell' };
    const lines = { session_id: 'ses_a', turn_id: 'trn_1', index: 0 };
    const say = (tail: string, part_id = 'prt_0') =>
      told(10, 'tool_progress', { ...lines, part_id, tail });
    const early = after(empty(), say('too early'));
    expect(early.parts.trn_1).toBeUndefined();
    const runs = after(
      early,
      told(11, 'part_update', aPart(0, { ...tool, status: 'running' })),
      say('1 of 3'),
      say('2 of 3'),
      say('of another', 'prt_9')
    );
    expect(runs.parts.trn_1[0]).toMatchObject({ progress: '2 of 3' });
    const ended = told(
      12,
      'part_update',
      aPart(0, { ...tool, status: 'done' })
    );
    const over = after(runs, ended, say('too late'));
    expect(over.parts.trn_1[0]).toMatchObject({ status: 'done', progress: '' });
  });

  it('keeps what did not change, so that it is not drawn again', () => {
    const before = after(
      empty(),
      told(11, 'part_update', aPart(0, { text: 'a', status: 'done' })),
      told(12, 'turn_created', aTurn(2))
    );
    const next = after(
      before,
      told(12, 'part_delta', { ...piece(0, 'x'), turn_id: 'trn_2' })
    );
    expect(next.parts.trn_1).toBe(before.parts.trn_1);
    expect(next.turns).toBe(before.turns);
  });

  it('hears nothing of other chats', () => {
    const chat = empty();
    expect(
      after(
        chat,
        told(11, 'session_changed', at('ses_b')),
        told(12, 'turn_created', { ...aTurn(2), session_id: 'ses_b' }),
        told(12, 'part_delta', { ...piece(0, 'x'), session_id: 'ses_b' }),
        told(13, 'part_update', aPart(0, { session_id: 'ses_b' }))
      )
    ).toBe(chat);
  });

  it('puts absent fields back to their defaults, also inside of an approval', () => {
    const chat = after(
      empty(),
      told(
        11,
        'part_update',
        aPart(0, {
          type: 'tool',
          call_id: 'c',
          name: 'run_shell',
          status: 'waiting',
          approval: {
            id: 'apr',
            hash: 'h',
            asked_at: 1,
            shows: { title: 'Run', form: [{ name: 'a', label: 'A' }] }
          }
        })
      )
    );
    const [part] = chat.parts.trn_1;
    expect(part).toMatchObject({ input: {}, output: '', progress: '' });
    expect(part.type === 'tool' && part.approval).toMatchObject({
      status: 'pending',
      answers: {},
      shows: { diff: '', plan: [], form: [{ kind: 'text', options: [] }] }
    });
  });

  it('folds away what was asked anew, and what came after it', () => {
    const turns = [
      aTurn(1),
      aTurn(2),
      aTurn(3),
      aTurn(4, { retry_of: 'trn_2' })
    ].map(turn => wholeTurn(turn as never));
    expect([...superseded(turns)]).toEqual(['trn_2', 'trn_3']);
  });
});

const GOLDEN = join(__dirname, '../../../tests/golden');
const transcripts = existsSync(GOLDEN)
  ? readdirSync(GOLDEN).filter(
      name =>
        name.endsWith('.jsonl') &&
        existsSync(join(GOLDEN, name.replace('.jsonl', '.folded.json')))
    )
  : [];

describe.runIf(transcripts.length)('a recorded chat', () => {
  const read = (name: string) => readFileSync(join(GOLDEN, name), 'utf8');

  it.each(transcripts)('%s is folded as Python folds it', name => {
    const [first, ...rest] = read(name)
      .split('\n')
      .filter(Boolean)
      .map(line => JSON.parse(line));
    const wanted = JSON.parse(read(name.replace('.jsonl', '.folded.json')));
    const begin = chatOf(first.data as SessionReply);
    const flat = ({ session, turns, parts, gap }: Chat) => ({
      session,
      turns,
      parts: turns.flatMap(({ id }) => parts[id] ?? []),
      gap
    });
    const expected = {
      ...flat(chatOf({ ...wanted, seq: 0 })),
      gap: wanted.gap
    };
    expect(flat(after(begin, ...rest))).toEqual(expected);
    // A reader who reconnects hears some of it twice.
    for (const from of [0, 10, 30, 60]) {
      expect(flat(after(begin, ...rest, ...rest.slice(from)))).toEqual(
        expected
      );
    }
  });
});

describe('a room', () => {
  beforeEach(() => {
    FakeSocket.all = [];
  });

  async function opened(snapshots: object[]) {
    const played = new Played();
    let n = 0;
    played.routes['GET sessions/ses_a'] = () =>
      snapshots[Math.min(n++, snapshots.length - 1)];
    const project = makeProject(played);
    const room = new Room(new ChatDesk(project), 'ses_a');
    project.hold();
    await until(() => project.loading.phase === 'ready');
    FakeSocket.last.hello(played.seq);
    room.start();
    await until(() => room.view().phase === 'ready');
    return { played, project, room, socket: FakeSocket.last };
  }
  const snapshot = (text: string, seq = 10) => ({
    session: at(),
    turns: [aTurn(1)],
    parts: [aPart(0, { text })],
    seq,
    more: false
  });
  const shown = (room: Room) => textOf(room.view().chat!);

  it('goes on from the snapshot, and reads it again where a piece is missing', async () => {
    const { room, socket, played, project } = await opened([
      snapshot('ab'),
      snapshot('abcdef')
    ]);
    socket.say(told(10, 'part_delta', piece(1, 'bc')));
    expect(shown(room)).toBe('abc');
    socket.say(told(10, 'part_delta', piece(5, 'f')));
    await until(() => shown(room) === 'abcdef');
    expect(played.times('GET sessions/ses_a')).toBe(2);
    socket.say(told(10, 'part_delta', piece(6, 'g')));
    expect(shown(room)).toBe('abcdefg');
    room.stop();
    project.release();
  });

  it('keeps what is told while a snapshot is on its way', async () => {
    const { room, socket, played, project } = await opened([snapshot('ab')]);
    let answer: (value: object) => void = () => undefined;
    played.routes['GET sessions/ses_a'] = () =>
      new Response(
        new ReadableStream({
          start(stream) {
            answer = value => {
              stream.enqueue(new TextEncoder().encode(JSON.stringify(value)));
              stream.close();
            };
          }
        })
      );
    const reading = room.load();
    await until(() => played.times('GET sessions/ses_a') === 2);
    socket.say(told(10, 'part_delta', piece(3, 'd')));
    answer(snapshot('abc'));
    await reading;
    expect(shown(room)).toBe('abcd');
    room.stop();
    project.release();
  });

  it('rests while nobody looks, and reads an unfinished answer again after it', async () => {
    const { room, played, project } = await opened([
      snapshot('ab'),
      snapshot('abc')
    ]);
    project.release();
    expect(FakeSocket.last.closed).toBe(true);
    project.hold();
    await until(() => shown(room) === 'abc');
    expect(played.times('GET sessions/ses_a')).toBe(2);
    room.stop();
    project.release();
  });
});
