import { act, fireEvent, render, screen, within } from '@testing-library/react';
import * as React from 'react';
import { beforeEach, describe, expect, it } from 'vitest';
import { wholeRun, wholeSweep } from '../api';
import { Panel } from '../components/Panel';
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

async function shown(played: Played, memory = new InMind()) {
  const project = makeProject(played);
  const host = makeHost(project, memory);
  const view = render(<Panel host={host} />);
  await act(async () => {
    project.hold();
    await until(() => project.loading.phase !== 'loading');
    FakeSocket.all[0]?.hello(played.seq);
    project.runs.flush();
    project.alerts.flush();
  });
  return { project, host, view };
}

describe('the panel', () => {
  it('teaches when there is nothing', async () => {
    const { project } = await shown(new Played());
    expect(screen.getByText('No runs yet')).toBeTruthy();
    fireEvent.click(screen.getAllByRole('button', { name: 'New run' })[0]);
    expect(screen.getByRole('form', { name: 'New run' })).toBeTruthy();
    project.release();
  });

  it('draws of 3,000 runs only the lines in sight', async () => {
    const runs = Array.from({ length: 3000 }, (_, i) =>
      aRun(`run_${i}`, { created_at: i })
    );
    const { project } = await shown(new Played(runs));
    const grid = screen.getByRole('treegrid', { name: 'Runs' });
    expect(grid.getAttribute('aria-rowcount')).toBe('3000');
    expect(within(grid).getAllByRole('row').length).toBeLessThan(60);
    project.release();
  });

  it('is worked with keys alone: arrows, Enter, Esc, slash', async () => {
    const { project } = await shown(
      new Played([
        aRun('run_b', { created_at: 2 }),
        aRun('run_a', { created_at: 1 })
      ])
    );
    const grid = screen.getByRole('treegrid');
    const activeRow = () =>
      document.getElementById(grid.getAttribute('aria-activedescendant')!);
    expect(activeRow()?.textContent).toContain('run_b');
    fireEvent.keyDown(grid, { key: 'ArrowDown' });
    expect(activeRow()?.textContent).toContain('run_a');
    fireEvent.keyDown(grid, { key: 'Enter' });
    expect(screen.getByRole('heading', { name: 'run_a' })).toBeTruthy();
    expect(document.activeElement?.textContent).toBe('run_a');
    fireEvent.keyDown(document.activeElement!, { key: 'Escape' });
    expect(screen.getByRole('treegrid')).toBe(document.activeElement);
    fireEvent.keyDown(screen.getByRole('treegrid'), { key: '/' });
    expect(document.activeElement).toBe(screen.getByRole('searchbox'));
    project.release();
  });

  it('says what the rest of a sweep takes, and that a trial failed before that', async () => {
    const trial = (id: string, status: 'finished' | 'failed') =>
      aRun(id, { status, sweep_id: 'swp_a', trial: 0 });
    const played = new Played([trial('run_a', 'finished')]);
    const estimate = {
      of: 'run_a',
      seconds: 60,
      runs: 4,
      parallel: 2,
      wall_seconds: 120,
      text: 'One run takes ~60 s.'
    };
    const sweep = { id: 'swp_a', name: 'lr', status: 'running', estimate };
    played.routes['GET sweeps'] = () => ({ sweeps: [sweep] });
    const { project } = await shown(played);
    const cell = screen.getByText('~2 min left');
    expect(cell.getAttribute('title')).toBe('One run takes ~60 s.');
    expect(project.sweeps.get('swp_a')?.estimate?.cost_usd).toBeNull();
    act(() => {
      project.runs.put(wholeRun(trial('run_b', 'failed')));
      project.runs.flush();
    });
    expect(screen.getByText('1 failed').getAttribute('title')).toBe(
      'One run takes ~60 s.'
    );
    act(() => {
      const { estimate: _, ...over } = sweep;
      project.sweeps.put(wholeSweep({ ...over, status: 'finished' }));
      project.runs.put(wholeRun(trial('run_b', 'finished')));
      project.runs.flush();
      project.sweeps.flush();
    });
    expect(screen.queryByText(/left$/)).toBeNull();
    project.release();
  });

  it('says what a run that failed has died of', async () => {
    const { project } = await shown(
      new Played([
        aRun('run_a', {
          status: 'failed',
          exit_code: 1,
          started_at: 10,
          ended_at: 70,
          reason: {
            kind: 'exit_code',
            text: 'It ended with exit code 1.',
            log_line: 'KeyError: lr'
          }
        })
      ])
    );
    fireEvent.click(screen.getByText('run_a'));
    expect(
      screen.getByText(/Failed after 1 min\. It ended with exit code 1\./)
    ).toBeTruthy();
    expect(screen.getByText('KeyError: lr')).toBeTruthy();
    expect(
      screen.getByText('No data: this run logged no metric.')
    ).toBeTruthy();
    project.release();
  });

  it('retries, and shows the new run', async () => {
    const played = new Played([
      aRun('run_a', { status: 'failed', ended_at: 5 })
    ]);
    played.routes['POST runs/run_a/retry'] = () =>
      aRun('run_n', { retry_of: 'run_a' });
    const { project } = await shown(played);
    fireEvent.click(screen.getByText('run_a'));
    await act(async () => {
      fireEvent.click(screen.getByRole('button', { name: 'Retry run' }));
      await until(() => project.runs.get('run_n'));
      project.runs.flush();
    });
    expect(screen.getByRole('heading', { name: 'run_n' })).toBeTruthy();
    project.release();
  });

  it('shows a refusal with its remedy beside the button that caused it', async () => {
    const played = new Played([aRun('run_a', { status: 'running' })]);
    played.routes['POST runs/run_a/stop'] = () =>
      new Response(
        JSON.stringify({
          error: {
            type: 'wrong_moment',
            problem: 'It has ended.',
            remedy: 'Look again.'
          }
        }),
        { status: 409 }
      );
    const { project } = await shown(played);
    fireEvent.click(screen.getByText('run_a'));
    await act(async () => {
      fireEvent.click(screen.getByRole('button', { name: 'Stop run' }));
      await until(() => played.times('POST runs/run_a/stop'));
      await new Promise(resolve => setTimeout(resolve, 10));
    });
    const said = screen.getByText('It has ended.').closest('[role=alert]');
    expect(said?.textContent).toContain('Look again.');
    project.release();
  });

  it('answers an alert with the id of the choice whose words were pressed, safe one first', async () => {
    const answers: unknown[] = [];
    const played = new Played(
      [aRun('run_a', { status: 'running' })],
      [anAlert('alt_a', 'run_a')]
    );
    played.routes['POST alerts/alt_a/respond'] = (_, body) => {
      answers.push(body);
      return anAlert('alt_a', 'run_a', {
        status: 'resolved',
        choice: 'stop',
        answered_by: 'user'
      });
    };
    const { project } = await shown(played);
    fireEvent.click(screen.getByRole('button', { name: /^Alerts/ }));
    const card = screen.getByRole('article', { name: /NaN/ });
    expect(
      within(card)
        .getAllByRole('button')
        .map(b => b.textContent)
    ).toEqual(['run_a', 'Ignore', 'Lower lr', 'Stop run', 'Chat']);
    await act(async () => {
      fireEvent.click(within(card).getByRole('button', { name: 'Stop run' }));
      await until(() => project.open().length === 0);
    });
    expect(answers).toEqual([{ choice: 'stop' }]);
    expect(screen.getByText('No alert waits for you')).toBeTruthy();
    expect(screen.getByText('Answered: Stop run (user)')).toBeTruthy();
    project.release();
  });

  it('announces alerts in a region that was there before', async () => {
    const { project } = await shown(new Played([aRun('run_a')]));
    const regions = () =>
      screen.getAllByRole('status').map(region => region.textContent);
    const before = regions().length;
    expect(regions()).not.toContain('1 alert waits for an answer');
    await act(async () => {
      FakeSocket.last.say(
        event(6, 'alert_raised', anAlert('alt_a', 'run_a'), 'alerts')
      );
      project.alerts.flush();
    });
    expect(regions()).toContain('1 alert waits for an answer');
    expect(regions().length).toBe(before);
    project.release();
  });

  it.each([401, 403, 503])(
    'shows %i with what helps, and a way to try again',
    async status => {
      const played = new Played([aRun('run_a')]);
      const good = played.routes['GET status'];
      played.routes['GET status'] = () => new Response('', { status });
      const { project } = await shown(played);
      expect(screen.getByRole('alert').textContent).not.toBe('');
      played.routes['GET status'] = good;
      await act(async () => {
        fireEvent.click(screen.getByRole('button', { name: 'Try again' }));
        await until(() => project.loading.phase === 'ready');
        project.runs.flush();
      });
      expect(screen.getByText('run_a')).toBeTruthy();
      project.release();
    }
  );

  it('starts one run for one form, however often it is sent', async () => {
    const sent: { request_id: string }[] = [];
    const played = new Played([aRun('run_a')]);
    played.routes['POST runs'] = (_, body) => {
      sent.push(body as { request_id: string });
      return sent.length === 1
        ? new Response('<html>', { status: 502 })
        : new Response(JSON.stringify(aRun('run_n')), { status: 201 });
    };
    const { project, host } = await shown(played);
    act(() => host.panel.newRun({ command: 'python t.py' }));
    const start = () => screen.getByRole('button', { name: 'Start run' });
    await act(async () => {
      fireEvent.click(start());
      await until(() => sent.length === 1);
      await new Promise(resolve => setTimeout(resolve, 10));
    });
    await act(async () => {
      fireEvent.click(start());
      await until(() => sent.length === 2);
      await until(() => project.runs.get('run_n'));
      project.runs.flush();
    });
    expect(sent[0].request_id).toBe(sent[1].request_id);
    project.release();
  });

  it('is as it was left', async () => {
    const memory = new InMind();
    const first = await shown(new Played([aRun('run_a')]), memory);
    fireEvent.change(screen.getByRole('searchbox'), {
      target: { value: 'typed' }
    });
    await until(() => memory.kept);
    first.view.unmount();
    first.project.release();
    const second = makeHost(makeProject(new Played([aRun('run_a')])), memory);
    await second.panel.restore();
    expect(second.panel.state().filter).toBe('typed');
  });
});
