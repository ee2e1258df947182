/** A notebook that changes above what a person looks at does not move under their eyes. */
import type { CellWidget, NotebookPanel } from './lab';

/** A notebook draws its cells bit by bit: its heights are right only after some frames. */
const SETTLE_MS = 600;
/** A person who scrolls, types or points wants to be where they go. */
const HANDS = ['wheel', 'keydown', 'pointerdown', 'touchmove'] as const;

interface Scroller {
  scrollToItem?(index: number, align?: string): unknown;
}

/** Makes a change; the cell at the top of what is seen, or the one with the focus, stays where it is on the screen. */
export function keepingView<T>(panel: NotebookPanel, change: () => T): T {
  const { content } = panel;
  const scroller = scrollerOf(content.node);
  const mark = scroller && markOf(content.widgets, scroller);
  const before = mark ? topOf(mark) : 0;
  const result = change();
  if (!scroller || !mark) {
    return result;
  }
  const end = performance.now() + SETTLE_MS;
  const hands = new AbortController();
  const letGo = () => hands.abort();
  for (const hand of HANDS) {
    window.addEventListener(hand, letGo, {
      capture: true,
      passive: true,
      signal: hands.signal
    });
  }
  const settle = () => {
    if (hands.signal.aborted || mark.isDisposed || performance.now() > end) {
      hands.abort();
      return;
    }
    if (mark.node.isConnected) {
      const moved = topOf(mark) - before;
      if (Math.abs(moved) > 1) {
        scroller.scrollTop += moved;
      }
    } else {
      // Far away now, and so not drawn at all.
      const index = content.widgets.indexOf(mark);
      void (content as Scroller).scrollToItem?.(index, 'start');
    }
    requestAnimationFrame(settle);
  };
  requestAnimationFrame(settle);
  return result;
}

const topOf = (cell: CellWidget): number =>
  cell.node.getBoundingClientRect().top;

function markOf(
  cells: readonly CellWidget[],
  scroller: HTMLElement
): CellWidget | undefined {
  const { top, bottom } = scroller.getBoundingClientRect();
  const seen = cells.filter(({ node }) => {
    if (!node.isConnected) {
      return false;
    }
    const box = node.getBoundingClientRect();
    return box.bottom > top && box.top < bottom;
  });
  return (
    seen.find(({ node }) => node.contains(document.activeElement)) ?? seen[0]
  );
}

/** Lab draws only what is seen, in a pane of its own, or everything in the notebook itself. */
function scrollerOf(node: HTMLElement): HTMLElement | null {
  return (
    node.querySelector<HTMLElement>('.jp-WindowedPanel-outer') ??
    (node.scrollHeight > node.clientHeight ? node : null)
  );
}
