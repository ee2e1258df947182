/** Wild Mode's routes, as typed calls. */
import type { Api } from '../api';
import type {
  AnswerLoop,
  ChangeLimits,
  CreateLoop,
  Entry,
  JournalReply,
  Loop,
  LoopReply,
  LoopsReply,
  MergeReply,
  PatchLoop,
  ReorderEvents,
  SetupReply,
  StopLoop
} from '../wire';
import { wholeEntry, wholeLoop, wholeReply, wholeSetupReply } from './wild';

export class WildApi {
  constructor(private readonly api: Api) {}

  async loops(): Promise<Loop[]> {
    return (await this.api.get<LoopsReply>('wild')).loops.map(wholeLoop);
  }

  async loop(id: string): Promise<LoopReply> {
    return wholeReply(await this.api.get<LoopReply>(`wild/${id}`));
  }

  async draft(body: CreateLoop): Promise<SetupReply> {
    return wholeSetupReply(
      await this.api.send<SetupReply>('POST', 'wild', { ...body, draft: true })
    );
  }

  create = (body: CreateLoop): Promise<Loop> => this.changed('', body);
  patch = (id: string, body: PatchLoop): Promise<Loop> =>
    this.changed(`/${id}`, body, 'PATCH');
  pause = (id: string): Promise<Loop> => this.changed(`/${id}/pause`, {});
  resume = (id: string): Promise<Loop> => this.changed(`/${id}/resume`, {});
  stop = (id: string, body: StopLoop): Promise<Loop> =>
    this.changed(`/${id}/stop`, body);
  steer = (id: string, text: string, request: string): Promise<Loop> =>
    this.changed(`/${id}/steer`, { text, request_id: request });
  answer = (id: string, body: AnswerLoop): Promise<Loop> =>
    this.changed(`/${id}/answer`, body);
  limits = (id: string, body: ChangeLimits): Promise<Loop> =>
    this.changed(`/${id}/limits`, body, 'PUT');
  queue = (id: string, body: ReorderEvents): Promise<Loop> =>
    this.changed(`/${id}/queue`, body, 'PUT');
  report = (id: string): Promise<Loop> => this.changed(`/${id}/report`, {});

  async merge(id: string, commit: string): Promise<MergeReply> {
    return this.api.send('POST', `wild/${id}/merge`, { commit });
  }

  async diff(id: string, commit: string): Promise<string> {
    return (await this.api.getBytes(`wild/${id}/diff`, { commit })).text();
  }

  /** Entries with n > after, oldest first; `total` is how many there are in all. */
  async journal(
    id: string,
    after: number,
    limit: number
  ): Promise<{ entries: Entry[]; total: number }> {
    const reply = await this.api.get<JournalReply>(`wild/${id}/journal`, {
      after,
      limit
    });
    return { entries: reply.entries.map(wholeEntry), total: reply.total };
  }

  private async changed(
    path: string,
    body: unknown,
    method = 'POST'
  ): Promise<Loop> {
    return wholeLoop(
      await this.api.send<Partial<Loop>>(method, `wild${path}`, body)
    );
  }
}
