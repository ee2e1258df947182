import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

const plots: { data: unknown[][]; destroyed: boolean }[] = [];
vi.mock('uplot', () => ({
  default: class {
    static pxRatio = 1;
    width = 600;
    destroyed = false;
    constructor(
      readonly options: unknown,
      public data: unknown[][]
    ) {
      plots.push(this as never);
    }
    setData(data: unknown[][]) {
      this.data = data;
    }
    setSize() {}
    destroy() {
      this.destroyed = true;
    }
  }
}));
vi.mock('uplot/dist/uPlot.min.css', () => ({}));

import widget from '../anywidget';

type Listener = (told: unknown, buffers: DataView[]) => void;

class Kernel {
  sent: unknown[] = [];
  listener: Listener | null = null;
  get = (name: string) => ({ height: 200, x_name: 'step' })[name];
  send = (content: unknown) => this.sent.push(content);
  on = (_: string, f: (...args: never[]) => void) => {
    this.listener = f as unknown as Listener;
  };
  off = () => {
    this.listener = null;
  };
  tell(told: object, ...columns: number[][]) {
    this.listener?.(
      told,
      columns.map(column => new DataView(new Float64Array(column).buffer))
    );
  }
}

let kernel: Kernel;
let el: HTMLElement;
let end: () => void;

beforeEach(() => {
  vi.useFakeTimers();
  plots.length = 0;
  kernel = new Kernel();
  el = document.createElement('div');
  document.body.append(el);
  Object.defineProperty(HTMLElement.prototype, 'clientWidth', {
    configurable: true,
    value: 600
  });
  end = widget.render({ model: kernel, el });
});

afterEach(() => {
  end();
  vi.useRealTimers();
});

const draw = () => vi.advanceTimersByTime(150);
const words = () => el.querySelector('p')?.textContent;

describe("a notebook's live chart", () => {
  it('asks for all, then adds what is new', () => {
    expect(kernel.sent).toEqual([{ kind: 'ready' }]);
    kernel.tell({ kind: 'rows', n: 1, batch: 1 }, [0], [9]);
    kernel.tell(
      { kind: 'all', names: ['loss'], n: 2, batch: 2 },
      [0, 1],
      [9, 8]
    );
    kernel.tell({ kind: 'rows', n: 1, batch: 3 }, [2], [7]);
    draw();
    expect(plots[0].data).toEqual([
      [0, 1, 2],
      [9, 8, 7]
    ]);
    expect(el.dataset.points).toBe('3');
    expect(words()).toBe('step 2 · loss 7');
  });

  it('takes a batch once, and asks again where one is missing', () => {
    kernel.tell({ kind: 'all', names: ['loss'], n: 1, batch: 1 }, [0], [9]);
    kernel.tell({ kind: 'rows', n: 1, batch: 2 }, [1], [8]);
    kernel.tell({ kind: 'rows', n: 1, batch: 2 }, [1], [8]);
    draw();
    expect(plots[0].data[0]).toEqual([0, 1]);
    kernel.tell({ kind: 'rows', n: 1, batch: 4 }, [3], [6]);
    expect(kernel.sent.length).toBe(2);
    kernel.tell({ kind: 'rows', n: 1, batch: 5 }, [4], [5]);
    kernel.tell(
      { kind: 'all', names: ['loss'], n: 4, batch: 6 },
      [0, 1, 2, 3],
      [9, 8, 7, 6]
    );
    draw();
    expect(plots[0].data[0]).toEqual([0, 1, 2, 3]);
  });

  it('counts what is not finite, and knows it from a line that has no point there', () => {
    const absent = Number.MAX_VALUE;
    kernel.tell(
      { kind: 'all', names: ['a', 'b'], n: 3, batch: 1 },
      [0, 1, 2],
      [1, NaN, absent],
      [absent, 2, Infinity]
    );
    draw();
    expect(plots[0].data).toEqual([
      [0, 1, 2],
      [1, null, undefined],
      [undefined, 2, null]
    ]);
    expect(words()).toContain('NaN or ∞ × 2');
    expect(
      el.querySelector('[role=img]')?.getAttribute('aria-label')
    ).toContain('Chart of a, b');
  });

  it('draws at most ten times a second', () => {
    kernel.tell({ kind: 'all', names: ['loss'], n: 0, batch: 1 }, [], []);
    draw();
    expect(words()).toBe('no data yet');
    const drawn = vi.spyOn(
      plots[0] as unknown as { setData: () => void },
      'setData'
    );
    for (let i = 0; i < 100; i++) {
      kernel.tell({ kind: 'rows', n: 1, batch: 2 + i }, [i], [i]);
      vi.advanceTimersByTime(5);
    }
    expect(drawn.mock.calls.length).toBeLessThanOrEqual(6);
    draw();
    expect(el.dataset.points).toBe('100');
  });
});
