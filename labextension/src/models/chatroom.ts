/** One chat as a panel shows it: a snapshot, then its events, told at the pace of the screen. */
import type { ApiError } from '../api';
import type { Envelope } from '../wire';
import { chatOf, fold, TURN_OVER, withOlder, type Chat } from './chat';
import { asApiError, type ChatDesk } from './chatdesk';
import { Living } from './living';

const PAGE = 20;

export interface RoomView {
  phase: 'loading' | 'ready' | 'failed';
  chat: Chat | null;
  error: ApiError | null;
  loadingOlder: boolean;
}

export class Room extends Living<RoomView> {
  private attempt = 0;
  /** What is told while a snapshot is on its way; null when none is. */
  private pending: Envelope[] | null = null;

  constructor(
    readonly desk: ChatDesk,
    readonly id: string
  ) {
    super(desk.project, {
      phase: 'loading',
      chat: null,
      error: null,
      loadingOlder: false
    });
  }

  stop(): void {
    super.stop();
    this.attempt += 1;
  }

  /** Reads the newest turns again. Older ones that were read stay. */
  async load(): Promise<void> {
    const attempt = ++this.attempt;
    const current = () => this.running && attempt === this.attempt;
    this.pending = [];
    try {
      const reply = await this.desk.api.session(this.id, PAGE);
      if (!current()) {
        return;
      }
      const fresh = chatOf(reply);
      const held = this.view_.chat;
      const first = fresh.turns[0]?.n ?? 1;
      const older = held?.turns.filter(turn => turn.n < first) ?? [];
      // A hole between what was held and what is new would be a lie: then only what is new is shown.
      const joined =
        held && older.length && older[older.length - 1].n === first - 1;
      let chat: Chat = joined
        ? {
            ...fresh,
            turns: [...older, ...fresh.turns],
            parts: { ...held.parts, ...fresh.parts },
            more: held.more
          }
        : fresh;
      const waiting = this.pending ?? [];
      this.pending = null;
      for (const envelope of waiting) {
        chat = fold(chat, envelope);
      }
      this.set({ phase: 'ready', chat, error: null });
      if (chat.gap) {
        void this.load();
      }
    } catch (error) {
      if (current()) {
        this.pending = null;
        this.set({ phase: 'failed', error: asApiError(error) });
      }
    }
  }

  async older(): Promise<void> {
    const { chat, loadingOlder } = this.view_;
    if (!chat?.more || loadingOlder || !chat.turns.length) {
      return;
    }
    this.set({ loadingOlder: true });
    try {
      const reply = await this.desk.api.session(
        this.id,
        PAGE,
        chat.turns[0].id
      );
      const now = this.view_.chat;
      this.set({
        chat: now && withOlder(now, reply),
        loadingOlder: false
      });
    } catch (error) {
      this.set({ loadingOlder: false, error: asApiError(error) });
    }
  }

  /** What a request has changed is told by an event; where none can come, it is read. */
  caughtUp(): void {
    if (this.desk.project.feed.state.kind !== 'live') {
      void this.load();
    }
  }

  protected wake(): void {
    // What was written while nobody looked is not told again: saved events are, pieces of text are not.
    const { chat } = this.view_;
    const turn = chat?.turns[chat.turns.length - 1];
    if (!chat || !turn || !TURN_OVER.has(turn.status)) {
      void this.load();
    }
  }

  protected hear(envelope: Envelope): void {
    if (envelope.topic !== 'sessions') {
      return;
    }
    if (this.pending) {
      this.pending.push(envelope);
    }
    const { chat } = this.view_;
    if (!chat) {
      return;
    }
    const next = fold(chat, envelope);
    if (next !== chat) {
      this.set({ chat: next });
      if (next.gap && !chat.gap && !this.pending) {
        void this.load();
      }
    }
  }
}
