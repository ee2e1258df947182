/** A chat panel over a played engine, for the tests of the Chat tab. */
import { act, render, screen } from '@testing-library/react';
import * as React from 'react';
import { Panel } from '../components/Panel';
import type { Bench } from '../hooks';
import {
  anAlert,
  aRun,
  event,
  FakeSocket,
  InMind,
  makeHost,
  makeProject,
  Played,
  until
} from './fakes';

export const session = (more = {}) => ({
  id: 'ses_a',
  created_at: 1,
  updated_at: 2,
  title: 'Late spike',
  ...more
});
export const turn = (n: number, more = {}) => ({
  id: `trn_${n}`,
  session_id: 'ses_a',
  n,
  message: { id: `m${n}`, text: `question ${n}`, at: 1 },
  status: 'done',
  created_at: 1,
  ...more
});
export const part = (index: number, type: string, more = {}) => ({
  type,
  id: `prt_${index}`,
  session_id: 'ses_a',
  turn_id: 'trn_1',
  index,
  ...(type === 'text' ? { status: 'done' } : {}),
  ...more
});
export const told = (seq: number, type: string, data: unknown) =>
  event(seq, type, data, 'sessions');

const OPTIONS = {
  verbs: [{ name: 'analyze', usage: '/analyze RUN', help: 'What happened' }],
  starters: [{ label: 'Analyze my latest run', text: 'Analyze my latest run' }],
  modes: ['ask', 'plan'],
  model: { id: 'm', provider: 'anthropic', title: 'Model M' },
  builtin: false,
  web_search: false
};

interface Snapshot {
  session?: object;
  turns?: object[];
  parts?: object[];
  more?: boolean;
}

export async function shown(
  snapshot: Snapshot | null = {},
  prepare: (played: Played) => void = () => undefined,
  bench?: Bench
) {
  const played = new Played([aRun('run_abcd')], [anAlert('alt_a', 'run_abcd')]);
  const whole = snapshot && {
    session: session(snapshot.session),
    turns: snapshot.turns ?? [],
    parts: snapshot.parts ?? [],
    seq: 5,
    more: snapshot.more ?? false
  };
  const sent: [string, unknown][] = [];
  const keep = (what: string, answer: unknown) => (_: URL, body: unknown) => {
    sent.push([what, body]);
    return answer;
  };
  Object.assign(played.routes, {
    'GET sessions': () => ({ sessions: whole ? [whole.session] : [] }),
    'GET sessions/options': () => OPTIONS,
    'GET plans': () => ({ plans: [] }),
    'GET sessions/ses_a': () => whole,
    'POST sessions': keep('create', session()),
    'POST sessions/ses_a/messages': keep('say', { session: session() }),
    'POST sessions/ses_a/stop': keep('stop', session()),
    'PUT sessions/ses_a/queue': keep('queue', session())
  });
  prepare(played);
  const project = makeProject(played);
  const memory = new InMind();
  const host = { ...makeHost(project, memory), bench };
  host.panel.set({ tab: 'chat', chat: whole ? 'ses_a' : null });
  const view = render(<Panel host={host} />);
  await act(async () => {
    project.hold();
    await until(() => project.loading.phase === 'ready');
    FakeSocket.last.hello(5);
    await until(() => host.desk.offer().phase !== 'loading');
    host.desk.sessions.flush();
    project.runs.flush();
    project.alerts.flush();
    await new Promise(resolve => setTimeout(resolve, 60));
  });
  const say = (...events: ReturnType<typeof told>[]) =>
    act(async () => {
      FakeSocket.last.say(...events);
      await new Promise(resolve => setTimeout(resolve, 40));
    });
  const field = () =>
    screen.getByLabelText('Message to ragent') as HTMLTextAreaElement;
  return { played, project, host, sent, say, field, memory, view };
}

export const settle = () =>
  act(() => new Promise(resolve => setTimeout(resolve, 60)));
