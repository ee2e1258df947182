import { beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiError } from '../api';
import { Feed, type FeedSource } from '../models/feed';
import type { Envelope } from '../wire';
import { aRun, event, FakeSocket, until } from './fakes';

class Source implements FeedSource {
  lines: Envelope[][] = [];
  linesAsked: number[] = [];
  polls: number[] = [];
  error: ApiError | null = null;
  socket = () => new FakeSocket() as unknown as WebSocket;

  async eventLines(after: number, _: string[], signal: AbortSignal) {
    this.linesAsked.push(after);
    const batch = this.lines.shift();
    if (!batch) {
      throw new Error('no stream here');
    }
    return (async function* () {
      yield* batch;
      await new Promise(resolve => signal.addEventListener('abort', resolve));
    })();
  }

  async events(
    after: number,
    _topics: string[],
    _wait: number,
    signal: AbortSignal
  ) {
    this.polls.push(after);
    if (this.polls.length > 1) {
      await new Promise((_resolve, reject) =>
        signal.addEventListener('abort', reject)
      );
    }
    return {
      events: [event(after + 1, 'run_changed', aRun('run_p'))],
      next: after + 1,
      log_id: 'log_a'
    };
  }

  async status() {
    if (this.error) {
      throw this.error;
    }
    return {};
  }
}

function listening(source: Source): { feed: Feed; heard: string[] } {
  const feed = new Feed(source, () => 1);
  const heard: string[] = [];
  feed.received.connect((_, e) => heard.push(`${e.type} ${e.seq}`));
  return { feed, heard };
}

beforeEach(() => {
  FakeSocket.all = [];
});

describe('the feed', () => {
  it('says where it is, and tells each event once', async () => {
    const { feed, heard } = listening(new Source());
    feed.start(7, 'log_a');
    const socket = FakeSocket.last;
    socket.hello(9);
    expect(JSON.parse(socket.sent[0]).after).toBe(7);
    socket.say(event(8, 'run_changed', {}), event(9, 'run_changed', {}));
    socket.say(event(8, 'run_changed', {}), event(9, 'run_changed', {}));
    expect(heard).toEqual(['run_changed 8', 'run_changed 9']);
    expect(feed.state.kind).toBe('live');
    feed.stop();
  });

  it('goes on after a broken socket from where it was', async () => {
    const { feed, heard } = listening(new Source());
    feed.start(7, 'log_a');
    FakeSocket.last.hello(8);
    FakeSocket.last.say(event(8, 'run_changed', {}));
    FakeSocket.last.close();
    await until(() => FakeSocket.all.length === 2);
    FakeSocket.last.hello(9);
    expect(JSON.parse(FakeSocket.last.sent[0]).after).toBe(8);
    FakeSocket.last.say(event(8, 'run_changed', {}), event(9, 'run_ended', {}));
    expect(heard).toEqual(['run_changed 8', 'run_ended 9']);
    feed.stop();
  });

  it('lets doorbells through without moving: they carry a seq that was not read yet', () => {
    const { feed, heard } = listening(new Source());
    feed.start(7, 'log_a');
    FakeSocket.last.hello(9);
    FakeSocket.last.say(event(9, 'metrics_changed', { run: 'r' }, 'metrics'));
    FakeSocket.last.say(event(8, 'run_changed', {}));
    FakeSocket.last.say(event(8, 'tool_progress', { tail: 'x' }, 'sessions'));
    expect(heard).toEqual([
      'metrics_changed 9',
      'run_changed 8',
      'tool_progress 8'
    ]);
    expect(feed.seq).toBe(8);
    feed.stop();
  });

  it('asks for everything anew when the log is another one, or was cut off', () => {
    const { feed } = listening(new Source());
    const gap = vi.fn();
    feed.gap.connect(gap);
    feed.start(7, 'log_a');
    FakeSocket.last.hello(9, 'log_b');
    expect(gap).toHaveBeenCalledTimes(1);
    feed.start(7, 'log_a');
    FakeSocket.last.hello(9);
    FakeSocket.last.say(event(9, 'snapshot_needed', {}, 'engine'));
    expect(gap).toHaveBeenCalledTimes(2);
    feed.stop();
  });

  it('falls back to lines, then to polls, where the server answers but the frame brings nothing', async () => {
    const source = new Source();
    const { feed, heard } = listening(source);
    feed.start(3, 'log_a');
    FakeSocket.last.close();
    await until(() => source.polls.length > 1);
    expect(source.linesAsked).toEqual([3]);
    expect(source.polls).toEqual([3, 4]);
    expect(heard).toEqual(['run_changed 4']);
    expect(feed.state).toMatchObject({ kind: 'live', frame: 'poll' });
    feed.stop();
  });

  it('reads lines where there is no socket', async () => {
    const source = new Source();
    source.lines = [
      [
        event(4, 'hello', { seq: 4, log_id: 'log_a' }),
        event(4, 'run_changed', {})
      ]
    ];
    const { feed, heard } = listening(source);
    feed.start(3, 'log_a');
    FakeSocket.last.close();
    await until(() => heard.length === 1);
    expect(feed.state).toMatchObject({ kind: 'live', frame: 'ndjson' });
    feed.stop();
  });

  it('stays with its frame and says why while the server is away', async () => {
    const source = new Source();
    const { feed } = listening(source);
    feed.start(3, 'log_a');
    FakeSocket.last.hello(3);
    source.error = new ApiError(
      503,
      'missing_part',
      'The engine is gone.',
      'Wait.'
    );
    FakeSocket.last.close();
    await until(() => feed.state.kind === 'stale');
    expect(feed.state.error?.problem).toBe('The engine is gone.');
    expect(feed.state.freshAt).not.toBeNull();
    await until(() => FakeSocket.all.length >= 2);
    expect(source.linesAsked).toEqual([]);
    feed.stop();
  });

  it('does nothing any more once it is stopped', async () => {
    const { feed, heard } = listening(new Source());
    feed.start(3, 'log_a');
    const socket = FakeSocket.last;
    socket.hello(3);
    feed.stop();
    expect(socket.closed).toBe(true);
    socket.say(event(4, 'run_changed', {}));
    await new Promise(resolve => setTimeout(resolve, 20));
    expect(heard).toEqual([]);
    expect(FakeSocket.all.length).toBe(1);
  });
});
