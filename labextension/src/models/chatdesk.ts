/** What all chats of a project share: the list of sessions, plans, and what the composer offers. */
import { Signal, type ISignal } from '@lumino/signaling';
import { ApiError } from '../api';
import {
  type ChatOptions,
  type Envelope,
  type ModelsReply,
  type Plan,
  type Session
} from '../wire';
import { wholePlan, wholeSession } from './chat';
import { ChatApi } from './chatapi';
import { Collection } from './collection';
import type { Project } from './project';

export type Offer = {
  phase: 'idle' | 'loading' | 'ready' | 'failed';
  options: ChatOptions | null;
  error: ApiError | null;
};

export const asApiError = (error: unknown): ApiError =>
  error instanceof ApiError
    ? error
    : new ApiError(0, 'internal', String(error), '');

export class ChatDesk {
  readonly sessions = new Collection<Session>(
    (a, b) => b.updated_at - a.updated_at || (a.id < b.id ? 1 : -1)
  );
  readonly plans = new Collection<Plan>((a, b) => b.created_at - a.created_at);
  readonly api: ChatApi;
  private _offer: Offer = { phase: 'idle', options: null, error: null };
  private waitingCache: { from: readonly Session[]; n: number } | null = null;
  private readonly _offerChanged = new Signal<this, void>(this);

  constructor(readonly project: Project) {
    this.api = new ChatApi(project.api);
    project.feed.received.connect((_, envelope) => this.take(envelope));
    // Everything is read anew when the cursor was of no use, and when the project is looked at first.
    project.loadingChanged.connect(() => {
      if (project.loading.phase === 'ready') {
        void this.load();
      }
    });
    project.feed.gap.connect(() => void this.load());
  }

  get offerChanged(): ISignal<this, void> {
    return this._offerChanged;
  }

  offer = (): Offer => this._offer;

  /** Chats that wait for a person. */
  waiting = (): number => {
    const from = this.sessions.all();
    if (this.waitingCache?.from !== from) {
      const n = from.filter(one => one.status === 'waiting').length;
      this.waitingCache = { from, n };
    }
    return this.waitingCache!.n;
  };

  async load(): Promise<void> {
    if (this._offer.phase === 'loading') {
      return;
    }
    this.setOffer({ ...this._offer, phase: 'loading' });
    try {
      const [list, options] = await Promise.all([
        this.api.sessions(),
        this.api.options()
      ]);
      this.sessions.replaceAll(list.sessions);
      this.setOffer({ phase: 'ready', options, error: null });
    } catch (error) {
      this.setOffer({
        ...this._offer,
        phase: 'failed',
        error: asApiError(error)
      });
      return;
    }
    try {
      this.plans.replaceAll(await this.api.plans());
    } catch {
      // Plans are drawn where a chat names one; its card then says that it is not known.
    }
  }

  /** After a model was chosen or a key set: other verbs, another limit. */
  async refreshOptions(): Promise<void> {
    const options = await this.api.options();
    this.setOffer({ phase: 'ready', options, error: null });
  }

  models = (): Promise<ModelsReply> => this.api.models();

  put(session: Session): void {
    if (session.archived) {
      this.sessions.remove(session.id);
    } else {
      this.sessions.put(session);
    }
  }

  private take({ type, data }: Envelope): void {
    switch (type) {
      case 'session_created':
      case 'session_changed':
      case 'session_status':
        this.put(wholeSession(data as Partial<Session>));
        break;
      case 'plan_changed':
        this.plans.put(wholePlan(data as Partial<Plan>));
        break;
    }
  }

  private setOffer(offer: Offer): void {
    this._offer = offer;
    this._offerChanged.emit();
  }
}
