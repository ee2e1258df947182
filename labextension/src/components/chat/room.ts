/** What the parts of one open chat share. */
import { createContext, useContext } from 'react';
import type { Room } from '../../models/chatroom';
import type { Turn } from '../../wire';

export interface RoomHandle {
  model: Room | null;
  /** Puts a message back into the composer, to be asked anew. */
  editTurn(turn: Turn): void;
  /** Asks the same again; what came from that turn on is folded away. */
  retryTurn(turn: Turn): void;
  showProvenance(turn: Turn): void;
}

export const RoomContext = createContext<RoomHandle>({
  model: null,
  editTurn: () => undefined,
  retryTurn: () => undefined,
  showProvenance: () => undefined
});

export const useRoom = (): RoomHandle => useContext(RoomContext);

/** Chats that a composer of this page has made by sending its first message. */
export const made = new Set<string>();

/** Tokens as one says them: 950, 12.4k, 1.2M. */
export function tokens(n: number): string {
  if (n < 1000) {
    return String(n);
  }
  const [size, unit] = n < 999_500 ? [n / 1000, 'k'] : [n / 1e6, 'M'];
  return `${size < 10 ? size.toFixed(1).replace(/\.0$/, '') : Math.round(size)}${unit}`;
}

/** Dollars, with as many digits as say something. */
export function dollars(n: number): string {
  return n === 0
    ? '$0'
    : n < 0.01
      ? `<$0.01`
      : `$${n.toFixed(n < 10 ? 2 : n < 100 ? 1 : 0)}`;
}
