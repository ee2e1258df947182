/** The assistant's routes, as typed calls. */
import type { Api } from '../api';
import {
  ATTACHMENT_DEFAULTS,
  GRANT_DEFAULTS,
  PROVENANCE_DEFAULTS,
  type AnswerApproval,
  type Attachment,
  type AttachmentReply,
  type ChangeQueue,
  type ChatOptions,
  type CreateSession,
  type Grant,
  type GrantsReply,
  type ModelsReply,
  type PatchSession,
  type Plan,
  type PlansReply,
  type Provenance,
  type ProvenanceReply,
  type PutModels,
  type SendMessage,
  type SendReply,
  type Session,
  type SessionReply,
  type SessionsReply,
  type Suggestion,
  type SuggestReply,
  type ToolPart
} from '../wire';
import { wholePart, wholePlan, wholeSession } from './chat';
import { requestId } from './once';

export class ChatApi {
  constructor(private readonly api: Api) {}

  async sessions(
    q = '',
    archived = false,
    limit = 100
  ): Promise<{ sessions: Session[]; more: boolean }> {
    const reply = await this.api.get<SessionsReply>('sessions', {
      q: q || undefined,
      archived: archived ? 1 : undefined,
      limit
    });
    return {
      sessions: reply.sessions.map(wholeSession),
      more: reply.more ?? false
    };
  }

  async create(body: CreateSession): Promise<Session> {
    const once = { request_id: requestId(), ...body };
    return wholeSession(await this.api.send('POST', 'sessions', once));
  }

  session = (
    id: string,
    turns: number,
    before?: string
  ): Promise<SessionReply> => this.api.get(`sessions/${id}`, { turns, before });

  async patch(id: string, body: PatchSession): Promise<Session> {
    return wholeSession(await this.api.send('PATCH', `sessions/${id}`, body));
  }

  async archive(id: string): Promise<void> {
    await this.api.send('DELETE', `sessions/${id}`, {});
  }

  say = (id: string, body: SendMessage): Promise<SendReply> =>
    this.api.send('POST', `sessions/${id}/messages`, body);

  async queue(id: string, body: ChangeQueue): Promise<Session> {
    return wholeSession(
      await this.api.send('PUT', `sessions/${id}/queue`, body)
    );
  }

  async stop(id: string): Promise<Session> {
    return wholeSession(await this.api.send('POST', `sessions/${id}/stop`, {}));
  }

  /** The model is asked again now, without waiting for its time. */
  async tryNow(id: string): Promise<Session> {
    return wholeSession(
      await this.api.send('POST', `sessions/${id}/try_now`, {})
    );
  }

  async answer(
    id: string,
    approval: string,
    body: AnswerApproval
  ): Promise<ToolPart> {
    return wholePart(
      await this.api.send('POST', `sessions/${id}/approvals/${approval}`, body)
    ) as ToolPart;
  }

  async attach(id: string, file: File): Promise<Attachment> {
    const reply = await this.api.sendBytes<AttachmentReply>(
      `sessions/${id}/attachments`,
      { name: file.name },
      file
    );
    return { ...ATTACHMENT_DEFAULTS, ...reply.attachment };
  }

  attachment = (id: string): Promise<Blob> =>
    this.api.getBytes(`attachments/${id}`);

  options = (): Promise<ChatOptions> => this.api.get('sessions/options');

  async suggest(
    q: string,
    notebook: string | undefined,
    signal: AbortSignal
  ): Promise<Suggestion[]> {
    const reply = await this.api.get<SuggestReply>(
      'sessions/suggest',
      { q, notebook },
      signal
    );
    return reply.suggestions;
  }

  async provenance(id: string, turn: string): Promise<Provenance[]> {
    const reply = await this.api.get<ProvenanceReply>(
      `sessions/${id}/turns/${turn}/provenance`
    );
    return reply.calls.map(call => ({ ...PROVENANCE_DEFAULTS, ...call }));
  }

  async undo(id: string, turn: string): Promise<string[]> {
    const reply = await this.api.send<{ paths: string[] }>(
      'POST',
      `sessions/${id}/turns/${turn}/undo`,
      {}
    );
    return reply.paths ?? [];
  }

  exported = (id: string, format: 'md' | 'ipynb'): Promise<Blob> =>
    this.api.getBytes(`sessions/${id}/export`, { format });

  async grants(): Promise<Grant[]> {
    const reply = await this.api.get<GrantsReply>('grants');
    return reply.grants.map(grant => ({ ...GRANT_DEFAULTS, ...grant }));
  }

  async revoke(id: string): Promise<void> {
    await this.api.send('DELETE', `grants/${id}`, {});
  }

  models = (): Promise<ModelsReply> => this.api.get('models');

  putModels = (body: PutModels): Promise<ModelsReply> =>
    this.api.send('PUT', 'models', body);

  async plans(): Promise<Plan[]> {
    const reply = await this.api.get<PlansReply>('plans');
    return reply.plans.map(wholePlan);
  }
}
