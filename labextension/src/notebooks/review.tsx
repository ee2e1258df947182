/** Keeps the review of one open notebook on the screen: read from the engine, so that a reload shows it again. */
import { Widget } from '@lumino/widgets';
import React from 'react';
import { createRoot, type Root } from 'react-dom/client';

import { ApiError } from '../api';
import type { Trans } from '../words';
import type { Bridge } from './bridge';
import type { CellWidget, NotebookPanel } from './lab';
import type { Review, ReviewCell } from './protocol';
import { ReviewBar, ReviewStrip, type ReviewWishes } from './ReviewBar';

const SAID_MS = 8000;

/** Where a strip goes: into its own cell, or below the cell that a deleted one followed. */
interface Anchor {
  widget: CellWidget;
  end: boolean;
}

interface Strip {
  box: HTMLElement;
  root: Root;
}

/** The panel's place above the notebook, where Lab lets extensions put something. */
interface Header {
  addWidget(widget: Widget): void;
}

export class NotebookReview {
  private readonly bar = new Widget();
  private readonly root: Root;
  private readonly strips = new Map<string, Strip>();
  private review: Review = { path: '', cells: [], left: [] };
  private said = '';
  private busy = false;
  private at = -1;
  private frame = 0;
  private asked = 0;
  private quiet: ReturnType<typeof setTimeout> | null = null;

  constructor(
    private readonly panel: NotebookPanel,
    private readonly bridge: Bridge,
    private readonly trans: Trans
  ) {
    this.bar.addClass('rg-nb-header');
    this.root = createRoot(this.bar.node);
    const header = (panel as unknown as { contentHeader?: Header })
      .contentHeader;
    if (header) {
      this.bar.hide();
      header.addWidget(this.bar);
    }
    bridge.reviewRang.connect(this.onRing);
    panel.disposed.connect(() => this.dispose());
    void panel.context.ready.then(() => {
      if (!panel.isDisposed) {
        panel.context.model.contentChanged.connect(this.place);
        void this.load();
      }
    });
  }

  /** The cells that wait, in the order of the notebook. */
  get cells(): readonly ReviewCell[] {
    return this.review.cells;
  }

  async load(): Promise<void> {
    const asked = ++this.asked;
    const review = await this.bridge.review(this.panel);
    // Of two answers the younger question's counts.
    if (review && asked === this.asked && !this.panel.isDisposed) {
      this.take(review);
    }
  }

  private readonly onRing = (_: unknown, name: string): void => {
    if (this.panel.context.path.split('/').pop() === name) {
      void this.load();
    }
  };

  private readonly wishes: ReviewWishes = {
    accept: cells => void this.decide('accept', cells),
    reject: cells => void this.decide('reject', cells),
    go: step => this.go(step)
  };

  private async decide(
    verdict: 'accept' | 'reject',
    cells: string[]
  ): Promise<void> {
    this.busy = true;
    this.draw();
    try {
      const after = await this.bridge.decide(this.panel, verdict, cells);
      this.asked += 1;
      this.busy = false;
      this.take(after);
      const left = after.left.length;
      if (left) {
        this.say(
          this.trans._n(
            '%1 cell was changed since and stays as it is',
            '%1 cells were changed since and stay as they are',
            left
          )
        );
      } else if (!after.cells.length) {
        this.say(
          verdict === 'accept'
            ? this.trans.__('All changes are accepted')
            : this.trans.__('The changes are taken back')
        );
      }
      if (
        this.bar.isHidden ||
        !this.bar.node.contains(document.activeElement)
      ) {
        this.focusNext(cells);
      }
    } catch (error) {
      this.busy = false;
      this.say(error instanceof ApiError ? error.problem : String(error));
      await this.load();
    }
  }

  /** The strip that had the focus is gone: the next one gets it, so that the keyboard is not lost. */
  private focusNext(decided: string[]): void {
    const [next] = this.ordered();
    if (decided.length && next && document.activeElement === document.body) {
      next.box.querySelector<HTMLElement>('button')?.focus();
    }
  }

  private go(step: 1 | -1): void {
    const shown = this.ordered();
    if (!shown.length) {
      return;
    }
    this.at = (this.at + step + shown.length) % shown.length;
    if (this.at < 0) {
      this.at = 0;
    }
    const { box } = shown[this.at];
    box.scrollIntoView({ block: 'nearest' });
    box.querySelector<HTMLElement>('button')?.focus({ preventScroll: true });
  }

  private ordered(): Strip[] {
    return [...this.strips.values()].sort((a, b) =>
      a.box.compareDocumentPosition(b.box) & Node.DOCUMENT_POSITION_FOLLOWING
        ? -1
        : 1
    );
  }

  private say(text: string): void {
    this.said = text;
    if (this.quiet) {
      clearTimeout(this.quiet);
    }
    this.quiet = setTimeout(() => {
      this.said = '';
      this.draw();
    }, SAID_MS);
    this.draw();
  }

  private take(review: Review): void {
    this.review = review;
    this.draw();
    this.place();
  }

  private draw(): void {
    if (this.panel.isDisposed) {
      return;
    }
    const { cells } = this.review;
    this.root.render(
      <ReviewBar
        cells={cells}
        said={this.said}
        busy={this.busy}
        wishes={this.wishes}
        trans={this.trans}
      />
    );
    this.bar.setHidden(!cells.length && !this.said);
    for (const cell of cells) {
      const strip = this.strips.get(cell.id);
      if (strip) {
        this.drawStrip(strip, cell);
      }
    }
  }

  private drawStrip({ root }: Strip, cell: ReviewCell): void {
    root.render(
      <ReviewStrip
        cell={cell}
        busy={this.busy}
        wishes={this.wishes}
        trans={this.trans}
      />
    );
  }

  /** Cells come, go and are drawn anew: every strip is put where its cell is now. */
  private readonly place = (): void => {
    if (!this.frame && (this.review.cells.length || this.strips.size)) {
      this.frame = requestAnimationFrame(() => {
        this.frame = 0;
        this.placeNow();
      });
    }
  };

  private placeNow(): void {
    const widgets = new Map(
      this.panel.content.widgets.map(widget => [widget.model.id, widget])
    );
    const wanted = new Set<string>();
    for (const cell of this.review.cells) {
      const anchor = this.anchorOf(cell, widgets);
      if (!anchor) {
        continue;
      }
      wanted.add(cell.id);
      let strip = this.strips.get(cell.id);
      if (!strip) {
        const box = document.createElement('div');
        box.className = 'rg-nb-box';
        strip = { box, root: createRoot(box) };
        this.strips.set(cell.id, strip);
        this.drawStrip(strip, cell);
      }
      const { node } = anchor.widget;
      if (strip.box.parentElement !== node) {
        if (anchor.end) {
          node.append(strip.box);
        } else {
          node.prepend(strip.box);
        }
      }
    }
    for (const [id, { box, root }] of this.strips) {
      if (!wanted.has(id)) {
        this.strips.delete(id);
        root.unmount();
        box.remove();
      }
    }
  }

  private anchorOf(
    cell: ReviewCell,
    widgets: Map<string, CellWidget>
  ): Anchor | null {
    const own = widgets.get(cell.id);
    if (own) {
      return { widget: own, end: false };
    }
    if (cell.action !== 'deleted') {
      return null;
    }
    const near = (cell.place ?? []).find(id => widgets.has(id));
    const widget = near
      ? widgets.get(near)
      : this.panel.content.widgets.find(one => !one.isDisposed);
    return widget ? { widget, end: Boolean(near) } : null;
  }

  private dispose(): void {
    this.bridge.reviewRang.disconnect(this.onRing);
    cancelAnimationFrame(this.frame);
    if (this.quiet) {
      clearTimeout(this.quiet);
    }
    // React refuses to unmount while it renders; the panel may be closed by one of our own buttons.
    setTimeout(() => {
      this.root.unmount();
      this.strips.forEach(({ root }) => root.unmount());
      this.strips.clear();
    });
  }
}
