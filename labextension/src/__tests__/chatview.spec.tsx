/** The Chat tab as a person reads it, over a played engine. */
import { act, fireEvent, screen, within } from '@testing-library/react';
import { beforeEach, describe, expect, it } from 'vitest';
import { session, turn, part, told, shown, settle } from './chatpanel';
import { FakeSocket } from './fakes';

beforeEach(() => {
  FakeSocket.all = [];
});

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
      'Wild',
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
});
