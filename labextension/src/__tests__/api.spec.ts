import { describe, expect, it } from 'vitest';
import { Api, ApiError, ndjson, wholeRun } from '../api';
import { aRun, Played } from './fakes';

function body(...parts: (string | Uint8Array)[]): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream({
    start(controller) {
      parts.forEach(part =>
        controller.enqueue(
          typeof part === 'string' ? encoder.encode(part) : part
        )
      );
      controller.close();
    }
  });
}

async function all<T>(lines: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = [];
  for await (const line of lines) {
    out.push(line);
  }
  return out;
}

describe('ndjson', () => {
  it('gives the same lines wherever the stream is cut', async () => {
    const text = '{"a":"é"}\n{"a":2}\n\n{"a":3}';
    const bytes = new TextEncoder().encode(text);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const lines = await all(
        ndjson(body(bytes.slice(0, cut), bytes.slice(cut)))
      );
      expect(lines).toEqual([{ a: 'é' }, { a: 2 }, { a: 3 }]);
    }
  });

  it('closes the stream when its reader has had enough', async () => {
    let cancelled = false;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.enqueue(new TextEncoder().encode('{"n":1}\n'));
      },
      cancel() {
        cancelled = true;
      }
    });
    for await (const line of ndjson<{ n: number }>(endless)) {
      expect(line.n).toBe(1);
      break;
    }
    expect(cancelled).toBe(true);
  });
});

describe('a reply', () => {
  it('has every field: what is absent has its default', () => {
    const run = wholeRun(aRun('run_a'));
    expect(run.status).toBe('ready');
    expect(run.params).toEqual({});
    expect(run.reason).toBeNull();
  });
});

describe('a request', () => {
  it('repeats the name of a metric, for a name may hold a comma', async () => {
    const played = new Played();
    let search = '';
    played.routes['GET metrics/series'] = url => {
      search = url.search;
      return { x: 'step', series: [] };
    };
    await new Api(played.door).series({
      runs: ['run_a', 'run_b'],
      names: ['acc, top 5', 'loss'],
      x: 'step',
      points: 9,
      since: ['c1', '', '', 'c4']
    });
    const query = new URLSearchParams(search);
    expect(query.getAll('name')).toEqual(['acc, top 5', 'loss']);
    expect(query.get('since')).toBe('c1,,,c4');
  });
});

describe('a refusal', () => {
  const refused = async (answer: () => Response) => {
    const played = new Played();
    played.routes['GET status'] = answer;
    return new Api(played.door).status().catch(error => error as ApiError);
  };

  it('of ours brings its own problem and remedy', async () => {
    const error = await refused(
      () =>
        new Response(
          JSON.stringify({
            error: { type: 'held', problem: 'P.', remedy: 'R.' }
          }),
          { status: 423 }
        )
    );
    expect(error).toMatchObject({ status: 423, problem: 'P.', remedy: 'R.' });
    expect((error as ApiError).details).toBe('P.\nR.\n(423, held)');
  });

  it.each([
    [401, /sign/],
    [403, /sign/],
    [404, /enable ragent_jupyter/],
    [503, /ragent doctor/],
    [500, /ragent doctor/]
  ])('%i of a proxy says what helps', async (status, remedy) => {
    const error = await refused(() => new Response('<html>', { status }));
    expect((error as ApiError).status).toBe(status);
    expect((error as ApiError).remedy).toMatch(remedy);
  });

  it('by a server that is away is one too', async () => {
    const error = await refused(() => {
      throw new TypeError('Failed to fetch');
    });
    expect(error).toMatchObject({ status: 0, type: 'unreachable' });
  });
});
