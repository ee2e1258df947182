/** The Chat tab as a person uses it, over a played engine. */
import { act, fireEvent, render, screen, within } from '@testing-library/react';
import * as React from 'react';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Panel } from '../components/Panel';
import { askingAt } from '../components/chat/suggest';
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

beforeEach(() => {
  FakeSocket.all = [];
});

const session = (more = {}) => ({
  id: 'ses_a',
  created_at: 1,
  updated_at: 2,
  title: 'Late spike',
  ...more
});
const turn = (n: number, more = {}) => ({
  id: `trn_${n}`,
  session_id: 'ses_a',
  n,
  message: { id: `m${n}`, text: `question ${n}`, at: 1 },
  status: 'done',
  created_at: 1,
  ...more
});
const part = (index: number, type: string, more = {}) => ({
  type,
  id: `prt_${index}`,
  session_id: 'ses_a',
  turn_id: 'trn_1',
  index,
  ...(type === 'text' ? { status: 'done' } : {}),
  ...more
});
const told = (seq: number, type: string, data: unknown) =>
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

async function shown(
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

const settle = () => act(() => new Promise(resolve => setTimeout(resolve, 60)));

describe('the chat', () => {
  it('offers what the engine offers, and a starter begins a chat', async () => {
    const { sent, project } = await shown(null);
    fireEvent.click(
      screen.getByRole('button', { name: 'Analyze my latest run' })
    );
    await settle();
    expect(sent.map(([what]) => what)).toEqual(['create', 'say']);
    expect(sent[1][1]).toMatchObject({ text: 'Analyze my latest run' });
    project.release();
  });

  it('is first among the tabs and counts the chats that wait for a person', async () => {
    const { project } = await shown({ session: { status: 'waiting' } });
    const tabs = within(
      screen.getByRole('navigation', { name: 'Views' })
    ).getAllByRole('button');
    expect(tabs.map(tab => tab.textContent)).toEqual([
      'Chat1',
      'Runs',
      'Charts',
      'Alerts1',
      ''
    ]);
    project.release();
  });

  it('draws an answer as it comes, without HTML, remote pictures or dead links', async () => {
    const { say, project, view } = await shown({
      session: { turn: 'trn_1', status: 'streaming' },
      turns: [turn(1, { status: 'streaming' })]
    });
    const text =
      '# Head\n\n<img src=x onerror=alert(1)> <script>1</script>\n\n![p](https://t.example/x.png?k=1) ' +
      '[bad](javascript:alert(1)) [good](https://a.example/)\n\nSee `run_abcd`.';
    for (let i = 0; i < text.length; i += 9) {
      await say(
        told(5, 'part_delta', {
          session_id: 'ses_a',
          turn_id: 'trn_1',
          part_id: 'prt_0',
          index: 0,
          step: 1,
          kind: 'text',
          at: i,
          delta: text.slice(i, i + 9)
        })
      );
      expect(view.container.querySelector('.rg-md img, script')).toBeNull();
    }
    await say(told(6, 'part_update', part(0, 'text', { text })));
    const answer = view.container.querySelector('.rg-md')!;
    expect(answer.textContent).toContain('<script>1</script>');
    const links = [...answer.querySelectorAll('a')];
    expect(links.map(a => [a.textContent, a.rel, a.target])).toEqual([
      ['image: t.example/x.png (p)', 'noopener noreferrer', '_blank'],
      ['good', 'noopener noreferrer', '_blank']
    ]);
    fireEvent.click(within(answer as HTMLElement).getByText('run_abcd'));
    expect(screen.getByRole('heading', { name: 'run_abcd' })).toBeTruthy();
    project.release();
  });

  it('draws finished blocks once and never again', async () => {
    const { say, project, view } = await shown({
      session: { turn: 'trn_1', status: 'streaming' },
      turns: [turn(1, { status: 'streaming' })],
      parts: [part(0, 'text', { text: 'First.\n\nSec', status: 'streaming' })]
    });
    const first = view.container.querySelector('.rg-md p')!;
    const seen = new MutationObserver(() => undefined);
    seen.observe(first, {
      childList: true,
      characterData: true,
      subtree: true
    });
    await say(
      told(5, 'part_delta', {
        session_id: 'ses_a',
        turn_id: 'trn_1',
        part_id: 'prt_0',
        index: 0,
        step: 1,
        kind: 'text',
        at: 11,
        delta: 'ond.\n\nThird.'
      })
    );
    expect(view.container.querySelectorAll('.rg-md p')).toHaveLength(3);
    expect(view.container.querySelector('.rg-md p')).toBe(first);
    expect(seen.takeRecords()).toEqual([]);
    project.release();
  });

  it('opens a tool call to its input and output', async () => {
    const { project } = await shown({
      turns: [turn(1)],
      parts: [
        part(0, 'tool', {
          call_id: 'c',
          name: 'list_runs',
          title: 'List the runs',
          status: 'done',
          input: { limit: 3 },
          output: 'run_abcd finished',
          started_at: 1,
          ended_at: 3.2,
          data: { card: 'run', run: 'run_abcd' }
        })
      ]
    });
    const line = screen.getByText('List the runs');
    expect(screen.getByText('2.2 s')).toBeTruthy();
    expect(screen.queryByText('run_abcd finished')).toBeNull();
    const details = line.closest('details')!;
    await act(async () => {
      details.open = true;
      fireEvent(details, new Event('toggle'));
    });
    expect(screen.getByText('run_abcd finished')).toBeTruthy();
    expect(screen.getByText(/"limit": 3/)).toBeTruthy();
    project.release();
  });

  const asking = (shows = {}) => ({
    session: { turn: 'trn_1', status: 'waiting' },
    turns: [turn(1, { status: 'waiting' })],
    parts: [
      part(0, 'tool', {
        call_id: 'c',
        name: 'run_shell',
        title: 'Run rm -r out',
        status: 'waiting',
        approval: {
          id: 'apr_1',
          hash: 'abc',
          asked_at: 1,
          shows: {
            title: 'Run a shell command',
            command: 'rm -r out',
            cwd: '/p',
            pattern: 'run_shell:rm*',
            cost: '$0',
            danger: true,
            ...shows
          }
        }
      })
    ]
  });

  it('says exactly what would happen, and sends what was shown', async () => {
    const answers: unknown[] = [];
    const { project } = await shown(asking(), played => {
      played.routes['POST sessions/ses_a/approvals/apr_1'] = (_, body) => {
        answers.push(body);
        return part(0, 'tool', { status: 'running' });
      };
    });
    const box = screen.getByRole('region', { name: /May ragent do this/ });
    expect(within(box).getByText('rm -r out')).toBeTruthy();
    expect(box.textContent).toContain('/p');
    expect(
      within(box)
        .getAllByRole('button')
        .map(b => b.textContent)
    ).toEqual([
      'Don’t',
      'Allow once',
      'Allow in this session',
      'Always allow run_shell:rm*',
      'Say what to do instead'
    ]);
    fireEvent.click(within(box).getByText('Allow once'));
    await settle();
    expect(answers).toEqual([
      { choice: 'once', note: '', answers: {}, hash: 'abc' }
    ]);
    project.release();
  });

  it('does not offer for ever what has no pattern', async () => {
    const { project } = await shown(asking({ pattern: '' }));
    expect(screen.queryByText(/Always allow/)).toBeNull();
    project.release();
  });

  it('lists what is allowed without asking, and takes it back', async () => {
    let grants = [{ id: 'grt', pattern: 'launch_run', created_at: 1 }];
    const { host, project } = await shown({ turns: [turn(1)] }, played => {
      played.routes['GET grants'] = () => ({ grants });
      played.routes['DELETE grants/grt'] = () => {
        grants = [];
        return {};
      };
    });
    act(() => host.panel.set({ chats: true }));
    const fold = screen.getByText('Allowed without asking').closest('details')!;
    await act(async () => {
      fold.open = true;
      fireEvent(fold, new Event('toggle'));
    });
    await settle();
    fireEvent.click(
      screen.getByRole('button', { name: 'Ask again before launch_run' })
    );
    await settle();
    expect(screen.getByText(/ragent asks before each change/)).toBeTruthy();
    project.release();
  });

  it('shows who was first', async () => {
    const { project } = await shown(asking(), played => {
      played.routes['POST sessions/ses_a/approvals/apr_1'] = () =>
        new Response(
          JSON.stringify({
            error: {
              type: 'already_answered',
              problem: 'grace refused it.',
              remedy: ''
            }
          }),
          { status: 409 }
        );
    });
    fireEvent.click(screen.getByText('Allow once'));
    await settle();
    expect(
      screen.getByText(/Already decided\. grace refused it\./)
    ).toBeTruthy();
    project.release();
  });

  it('asks with a form, and sends its answers', async () => {
    const answers: unknown[] = [];
    const { project } = await shown(
      asking({
        title: 'Before the sweep',
        command: '',
        form: [
          {
            name: 'lr',
            label: 'Which lr?',
            kind: 'choice',
            options: ['1', '2']
          },
          { name: 'n', label: 'How many?', kind: 'number', default: 3 }
        ]
      }),
      played => {
        played.routes['POST sessions/ses_a/approvals/apr_1'] = (_, body) => {
          answers.push(body);
          return part(0, 'tool', {});
        };
      }
    );
    const send = screen.getByText('Send answer') as HTMLButtonElement;
    expect(send.disabled).toBe(true);
    fireEvent.click(screen.getByLabelText('2'));
    fireEvent.change(screen.getByLabelText('How many?'), {
      target: { value: '5' }
    });
    expect(send.disabled).toBe(false);
    fireEvent.click(send);
    await settle();
    expect(answers).toMatchObject([
      { choice: 'once', answers: { lr: '2', n: 5 } }
    ]);
    project.release();
  });

  it.each([
    [{ key: 'Enter' }, 1],
    [{ key: 'Enter', shiftKey: true }, 0],
    [{ key: 'Enter', isComposing: true }, 0],
    [{ key: 'Enter', keyCode: 229 }, 0],
    [{ key: 'Enter', shiftKey: true, ctrlKey: true }, 1]
  ])('%j sends %i messages', async (keys, times) => {
    const { sent, field, project } = await shown({ turns: [turn(1)] });
    fireEvent.change(field(), { target: { value: 'にほん' } });
    fireEvent.keyDown(field(), keys);
    await settle();
    expect(sent).toHaveLength(times);
    project.release();
  });

  it('keeps what was typed until it was taken, and sends it once', async () => {
    const ids: unknown[] = [];
    const { field, project } = await shown({ turns: [turn(1)] }, played => {
      played.routes['POST sessions/ses_a/messages'] = (_, body) => {
        ids.push((body as { request_id: string }).request_id);
        return ids.length === 1
          ? new Response('', { status: 502 })
          : { session: session() };
      };
    });
    fireEvent.change(field(), { target: { value: 'hello' } });
    fireEvent.keyDown(field(), { key: 'Enter' });
    await settle();
    expect(field().value).toBe('hello');
    fireEvent.keyDown(field(), { key: 'Enter' });
    await settle();
    expect(field().value).toBe('');
    expect(ids[0]).toBe(ids[1]);
    project.release();
  });

  it('stops by Esc, queues while busy, and orders the queue', async () => {
    const queue = ['a', 'b'].map(id => ({ id, text: `text ${id}`, at: 1 }));
    const { sent, field, project } = await shown({
      session: { turn: 'trn_1', status: 'streaming', queue },
      turns: [turn(1, { status: 'streaming' })]
    });
    fireEvent.keyDown(field(), { key: 'Escape' });
    fireEvent.click(screen.getAllByRole('button', { name: 'Send later' })[0]);
    await settle();
    fireEvent.click(screen.getByText('text a'));
    const edit = screen.getByLabelText('Queued message');
    fireEvent.change(edit, { target: { value: 'other' } });
    fireEvent.keyDown(edit, { key: 'Enter' });
    await settle();
    fireEvent.click(screen.getAllByRole('button', { name: 'Do not send' })[0]);
    await settle();
    expect(sent).toEqual([
      ['stop', {}],
      ['queue', { order: ['b', 'a'], texts: {} }],
      ['queue', { order: ['a', 'b'], texts: { a: 'other' } }],
      ['queue', { order: ['b'], texts: {} }]
    ]);
    project.release();
  });

  it('offers commands that are there, by keys', async () => {
    const { field, project } = await shown({ turns: [turn(1)] });
    fireEvent.change(field(), { target: { value: '/a', selectionStart: 2 } });
    await settle();
    expect(
      screen.getAllByRole('option', { selected: true }).map(o => o.textContent)
    ).toContain('/analyze RUNWhat happened');
    fireEvent.keyDown(field(), { key: 'Enter' });
    expect(field().value).toBe('/analyze ');
    project.release();
  });

  it('folds a row of quiet steps into one line, once something came of it', async () => {
    const steps = (n: number) =>
      Array.from({ length: n }, (_, i) =>
        part(i, 'tool', {
          call_id: `c${i}`,
          name: 'read_file',
          title: `Read file ${i}`,
          status: 'done'
        })
      );
    const { say, project } = await shown({
      session: { turn: 'trn_1', status: 'streaming' },
      turns: [turn(1, { status: 'streaming' })],
      parts: steps(6)
    });
    expect(screen.getByText('Read file 0')).toBeTruthy();
    await say(told(6, 'part_update', part(6, 'text', { text: 'So it is.' })));
    expect(screen.queryByText('Read file 0')).toBeNull();
    const row = screen.getByText('6 steps').closest('details')!;
    await act(async () => {
      row.open = true;
      fireEvent(row, new Event('toggle'));
    });
    expect(screen.getByText('Read file 0')).toBeTruthy();
    project.release();
  });

  it('shows a plan with the state of each task', async () => {
    const plan = {
      id: 'pln',
      session_id: 'ses_a',
      title: 'Stabilise',
      created_at: 1,
      tasks: [{ title: 'Clip' }]
    };
    const { say, project } = await shown(
      {
        turns: [turn(1)],
        parts: [
          part(0, 'tool', {
            call_id: 'c',
            name: 'make_plan',
            status: 'done',
            data: { card: 'plan', plan: 'pln' }
          })
        ]
      },
      played => {
        played.routes['GET plans'] = () => ({ plans: [plan] });
      }
    );
    await settle();
    await settle();
    expect(screen.getByText('(to do)')).toBeTruthy();
    await say(
      told(6, 'plan_changed', {
        ...plan,
        status: 'executing',
        tasks: [{ title: 'Clip', status: 'done' }]
      })
    );
    await act(() => new Promise(resolve => setTimeout(resolve, 150)));
    expect(screen.getByText('(done)')).toBeTruthy();
    project.release();
  });

  it('puts code into the notebook in front', async () => {
    const inserted: unknown[] = [];
    const { project } = await shown(
      {
        turns: [turn(1)],
        parts: [part(0, 'text', { text: '```sh\nls\n```' })]
      },
      undefined,
      {
        inFront: () => ({ notebook: 'a.ipynb', cell: null }),
        insert: async (source, run) => inserted.push([source, run]) > 0
      }
    );
    fireEvent.click(screen.getByRole('button', { name: 'Insert and run' }));
    await settle();
    expect(inserted).toEqual([['%%bash\nls', true]]);
    project.release();
  });

  it('asks again, and sends an edited message as another try', async () => {
    const { sent, field, project } = await shown({
      turns: [turn(1)],
      parts: [part(0, 'text', { text: 'answer' })]
    });
    fireEvent.click(screen.getByRole('button', { name: 'Ask again' }));
    await settle();
    fireEvent.click(
      screen.getByRole('button', { name: 'Edit and send again' })
    );
    expect(field().value).toBe('question 1');
    fireEvent.change(field(), { target: { value: 'better' } });
    fireEvent.keyDown(field(), { key: 'Enter' });
    await settle();
    expect(sent.map(([, body]) => body)).toMatchObject([
      { text: 'question 1', retry: 'trn_1' },
      { text: 'better', retry: 'trn_1' }
    ]);
    project.release();
  });

  it('opens about an alert, with it attached', async () => {
    const { sent, host, project } = await shown(null);
    act(() => host.panel.showTab('alerts'));
    fireEvent.click(
      within(screen.getByRole('article', { name: /NaN/ })).getByRole('button', {
        name: 'Chat'
      })
    );
    await settle();
    expect(sent[0]).toEqual([
      'create',
      { about: { alert: 'alt_a', run: 'run_abcd' } }
    ]);
    expect(host.panel.state()).toMatchObject({ tab: 'chat', chat: 'ses_a' });
    project.release();
  });

  it('says when the model is asked again, and asks it now', async () => {
    const now = vi.fn(() => session());
    const { project, view } = await shown(
      {
        session: {
          turn: 'trn_1',
          status: 'waiting_api',
          note: 'The provider is overloaded.',
          wake_at: Date.now() / 1000 + 90
        },
        turns: [turn(1, { status: 'waiting_api' })]
      },
      played => {
        played.routes['POST sessions/ses_a/try_now'] = now;
      }
    );
    expect(view.container.querySelector('.rg-said')?.textContent).toMatch(
      /overloaded\. It is asked again in 1 min [23]\d s/
    );
    fireEvent.click(screen.getByRole('button', { name: 'Try now' }));
    await settle();
    expect(now).toHaveBeenCalledTimes(1);
    project.release();
  });

  it('draws of 5,000 parts only the newest, until one goes up', async () => {
    const parts = Array.from({ length: 5000 }, (_, i) =>
      part(i, 'tool', {
        call_id: `c${i}`,
        name: 'x',
        title: `call ${i}`,
        status: i % 2 ? 'done' : 'error'
      })
    );
    const { project, view } = await shown({ turns: [turn(1)], parts });
    const lines = () => view.container.querySelectorAll('.rg-tool').length;
    expect(lines()).toBeLessThanOrEqual(100);
    expect(screen.getByText('call 4999')).toBeTruthy();
    const before = lines();
    fireEvent.click(screen.getByText('Show earlier messages'));
    expect(lines()).toBeGreaterThan(before);
    expect(lines()).toBeLessThan(400);
    project.release();
  });

  it('announces in sentences, in a region that was there before', async () => {
    const { say, project } = await shown({ turns: [turn(1)] });
    const said = () =>
      screen.getAllByRole('status').map(region => region.textContent);
    await say(
      told(6, 'turn_created', turn(2, { status: 'streaming' })),
      told(7, 'session_status', session({ status: 'streaming', turn: 'trn_2' }))
    );
    expect(said()).toContain('ragent is answering.');
    await say(told(8, 'turn_changed', turn(2, { status: 'done' })));
    expect(said()).toContain('The answer is complete.');
    project.release();
  });

  it('is quiet about routes that are not there', async () => {
    const { project } = await shown(null, played => {
      delete played.routes['GET sessions'];
    });
    expect(screen.getByRole('alert').textContent).toContain('does not know');
    project.release();
  });
});

describe('what is typed', () => {
  it.each([
    ['compare @res', 12, { kind: '@', q: 'res', from: 8 }],
    ['@run:lr=0.1', 11, { kind: '@', q: 'run:lr=0.1', from: 0 }],
    ['mail a@b', 8, null],
    ['/ana', 4, { kind: '/', q: 'ana', from: 0 }],
    ['see /ana', 8, null],
    ['@res done', 9, null]
  ])('%j at %i asks for %j', (text, caret, wanted) =>
    expect(askingAt(text, caret)).toEqual(wanted)
  );
});
