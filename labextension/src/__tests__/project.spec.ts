import { beforeEach, describe, expect, it } from 'vitest';
import type { Run } from '../wire';
import {
  anAlert,
  aRun,
  event,
  FakeSocket,
  makeProject,
  Played,
  until
} from './fakes';

beforeEach(() => {
  FakeSocket.all = [];
});

async function awake(played: Played) {
  const project = makeProject(played);
  project.hold();
  await until(() => FakeSocket.all.length > 0);
  FakeSocket.last.hello(played.seq);
  return project;
}

describe('the project', () => {
  it('listens from before its snapshot, so that nothing falls between', async () => {
    const played = new Played([aRun('run_a')]);
    const project = await awake(played);
    expect(JSON.parse(FakeSocket.last.sent[0]).after).toBe(5);
    expect(project.runs.all().map(run => run.id)).toEqual(['run_a']);
    project.release();
  });

  it('folds events: the same ones again change nothing', async () => {
    const project = await awake(
      new Played([aRun('run_a', { status: 'running' })])
    );
    const events = [
      event(6, 'run_created', aRun('run_b', { created_at: 2000 })),
      event(
        7,
        'run_changed',
        aRun('run_a', { status: 'finished', ended_at: 3 })
      ),
      event(8, 'alert_raised', anAlert('alt_a', 'run_b'), 'alerts')
    ];
    FakeSocket.last.say(...events);
    const runs = JSON.stringify(project.runs.all());
    const alerts = JSON.stringify(project.alerts.all());
    expect(project.runs.all().map(run => `${run.id} ${run.status}`)).toEqual([
      'run_b ready',
      'run_a finished'
    ]);
    FakeSocket.last.say(...events);
    expect(JSON.stringify(project.runs.all())).toBe(runs);
    expect(JSON.stringify(project.alerts.all())).toBe(alerts);
    project.release();
  });

  it('adds progress to a live run, and not to one that has ended', async () => {
    const project = await awake(
      new Played([
        aRun('run_a', { status: 'running' }),
        aRun('run_z', { status: 'finished' })
      ])
    );
    const told = (run: string) =>
      event(5, 'run_progress', {
        run,
        progress: { fraction: 0.5, step: 5, total: 10, eta_s: 60, text: '' },
        summary: { loss: { last: 0.25, count: 5 } }
      });
    FakeSocket.last.say(told('run_a'), told('run_z'), told('run_unknown'));
    expect(project.runs.get('run_a')?.progress?.fraction).toBe(0.5);
    expect(project.runs.get('run_a')?.summary.loss.last).toBe(0.25);
    expect(project.runs.get('run_z')?.progress).toBeNull();
    // A record of the run is older than what its sidecar has said since.
    FakeSocket.last.say(
      event(6, 'run_changed', aRun('run_a', { status: 'running', tags: ['x'] }))
    );
    expect(project.runs.get('run_a')?.summary.loss.last).toBe(0.25);
    project.release();
  });

  it('reads all pages, and keeps what an event has told meanwhile', async () => {
    const played = new Played();
    const page = (runs: Partial<Run>[], next: string | null) => ({
      runs,
      total: 2,
      counts: {},
      next
    });
    played.routes['GET runs'] = url => {
      if (!url.searchParams.get('after')) {
        return page([aRun('run_new', { created_at: 9 })], 'p2');
      }
      FakeSocket.last.hello(5);
      FakeSocket.last.say(
        event(6, 'run_changed', aRun('run_old', { status: 'failed' }))
      );
      return page([aRun('run_old', { status: 'running' })], null);
    };
    const project = makeProject(played);
    project.hold();
    await until(() => project.runs.size === 2);
    await until(() => played.times('GET runs') === 2);
    expect(project.runs.get('run_old')?.status).toBe('failed');
    project.release();
  });

  it('rests while nobody looks, then goes on from where it was', async () => {
    const played = new Played([aRun('run_a')]);
    const project = await awake(played);
    FakeSocket.last.say(event(6, 'run_changed', aRun('run_a')));
    project.hold();
    project.release();
    expect(FakeSocket.last.closed).toBe(false);
    project.release();
    expect(FakeSocket.last.closed).toBe(true);
    const asked = played.asked.length;
    await new Promise(resolve => setTimeout(resolve, 50));
    expect(played.asked.length).toBe(asked);
    expect(FakeSocket.all.length).toBe(1);
    project.hold();
    await until(() => FakeSocket.all.length === 2);
    FakeSocket.last.hello(6);
    expect(JSON.parse(FakeSocket.last.sent[0]).after).toBe(6);
    expect(played.times('GET runs')).toBe(1);
    project.release();
  });

  it('says why it cannot begin, and begins when it can', async () => {
    const played = new Played([aRun('run_a')]);
    const status = played.routes['GET status'];
    played.routes['GET status'] = () => new Response('', { status: 403 });
    const project = makeProject(played);
    project.hold();
    await until(() => project.loading.phase === 'failed');
    expect(project.loading.error?.status).toBe(403);
    played.routes['GET status'] = status;
    await project.load();
    expect(project.loading.phase).toBe('ready');
    project.release();
  });

  it('tells views at most ten times a second', async () => {
    const project = await awake(new Played([aRun('run_a')]));
    await new Promise(resolve => setTimeout(resolve, 120));
    let told = 0;
    project.runs.changed.connect(() => (told += 1));
    for (let i = 0; i < 500; i++) {
      FakeSocket.last.say(
        event(6 + i, 'run_changed', aRun('run_a', { order: i }))
      );
    }
    await new Promise(resolve => setTimeout(resolve, 250));
    expect(told).toBeGreaterThan(0);
    expect(told).toBeLessThanOrEqual(3);
    expect(project.runs.get('run_a')?.order).toBe(499);
    project.release();
  });
});
