/** The Chat tab as a person uses it, over a played engine. */
import { act, fireEvent, screen, within } from '@testing-library/react';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { askingAt } from '../components/chat/suggest';
import { session, turn, part, told, shown, settle } from './chatpanel';
import { FakeSocket, until } from './fakes';

beforeEach(() => {
  FakeSocket.all = [];
});

describe('the chat, used', () => {
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
      {
        about: { alert: 'alt_a', run: 'run_abcd' },
        request_id: expect.any(String)
      }
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
