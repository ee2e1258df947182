/** The ledger of one loop as a panel shows it: its newest page, older ones when asked for, then what is told. */
import type { ApiError } from '../api';
import type { Entry, Envelope } from '../wire';
import { asApiError } from './chatdesk';
import { Living } from './living';
import { isBehind, joined, NO_JOURNAL, wholeEntry, type Journal } from './wild';
import type { WildDesk } from './wilddesk';

export const LEDGER_PAGE = 100;
/** Who goes back goes far back. */
const OLDER_PAGE = 1000;
/** A ledger that grew by more than this while nobody looked is read anew from its end. */
const FAR_BEHIND = 1000;

export interface LedgerView {
  phase: 'loading' | 'ready' | 'failed';
  journal: Journal;
  error: ApiError | null;
  loadingOlder: boolean;
}

export class Ledger extends Living<LedgerView> {
  private reading = false;
  private again = false;

  constructor(
    readonly desk: WildDesk,
    readonly id: string
  ) {
    super(desk.project, {
      phase: 'loading',
      journal: NO_JOURNAL,
      error: null,
      loadingOlder: false
    });
  }

  /** Reads what came after the newest known entry; where nothing is known, the newest page. */
  async load(): Promise<void> {
    if (this.reading) {
      this.again = true;
      return;
    }
    this.reading = true;
    try {
      do {
        this.again = false;
        let { journal } = this.view_;
        const known = this.desk.loops.get(this.id)?.entries ?? journal.total;
        const last = journal.entries[journal.entries.length - 1]?.n ?? 0;
        if (known - last > FAR_BEHIND) {
          journal = NO_JOURNAL;
        }
        const after = journal.entries.length
          ? last
          : Math.max(0, known - LEDGER_PAGE);
        const reply = await this.desk.api.journal(this.id, after, LEDGER_PAGE);
        if (!this.running) {
          return;
        }
        // What was told while this was read is there already.
        const held = journal === NO_JOURNAL ? NO_JOURNAL : this.view_.journal;
        const next = joined(held, reply.entries, reply.total);
        this.set({ phase: 'ready', journal: next, error: null });
        // An answer may hold less than all; one that holds nothing new ends it.
        this.again ||= isBehind(next) && reply.entries.length > 0;
      } while (this.again);
    } catch (error) {
      if (this.running) {
        this.set({ phase: 'failed', error: asApiError(error) });
      }
    } finally {
      this.reading = false;
    }
  }

  async older(): Promise<void> {
    const { journal, loadingOlder } = this.view_;
    const first = journal.entries[0]?.n ?? 1;
    if (first <= 1 || loadingOlder) {
      return;
    }
    this.set({ loadingOlder: true });
    const after = Math.max(0, first - 1 - OLDER_PAGE);
    try {
      const reply = await this.desk.api.journal(
        this.id,
        after,
        first - 1 - after
      );
      this.set({
        journal: joined(
          this.view_.journal,
          reply.entries.filter(entry => entry.n < first),
          reply.total
        ),
        loadingOlder: false
      });
    } catch (error) {
      this.set({ loadingOlder: false, error: asApiError(error) });
    }
  }

  protected hear({ type, data }: Envelope): void {
    if (type !== 'wild_entry' || (data as Partial<Entry>).loop_id !== this.id) {
      return;
    }
    if (this.view_.phase === 'loading') {
      this.again = true;
      return;
    }
    const journal = joined(this.view_.journal, [
      wholeEntry(data as Partial<Entry>)
    ]);
    this.set({ journal });
    if (isBehind(journal)) {
      void this.load();
    }
  }
}
