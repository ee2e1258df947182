/**
 * The live chart of a notebook. Python keeps the data; this view asks for all of it (`ready`), gets `all`, then `rows`.
 *
 * Batches are numbered. One that is missing (the server drops messages of a kernel that talks too fast) is noticed by
 * its number, and everything is asked for again. Rows that come before the answer to `ready` are in that answer.
 */
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

interface Model {
  get(name: string): unknown;
  send(content: unknown): void;
  on(event: string, f: (...args: never[]) => void): void;
  off(event: string, f: (...args: never[]) => void): void;
}

interface Told {
  kind: 'all' | 'rows';
  names?: string[];
  n: number;
  batch: number;
}

const COLOURS_LIGHT = [
  '#0072b2',
  '#b85c00',
  '#008a66',
  '#c2447f',
  '#6a4fb3',
  '#7d5a3c',
  '#2e8bb8',
  '#80780a',
  '#1b3a8a',
  '#5f6b76'
];
const COLOURS_DARK = [
  '#56a8e8',
  '#f0994a',
  '#3fc79e',
  '#f08bbd',
  '#ab97f2',
  '#c9a183',
  '#86d0f5',
  '#d6cb4c',
  '#7f9cf5',
  '#a9b4bf'
];
const FRAME_MS = 100;
/** "This line has no point at this x", where lines of several runs share one x column. NaN means that it has one. */
const ABSENT = Number.MAX_VALUE;
const NAN_TICK_PX = 7;

const column = (view: DataView): Float64Array =>
  new Float64Array(
    view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength)
  );

const short = (value: number | null | undefined): string =>
  value === null || value === undefined
    ? '–'
    : Number.isInteger(value) && Math.abs(value) < 1e6
      ? String(value)
      : Number(value.toPrecision(4)).toString();

/** The newest value of a line; it may have none at the newest x, where several runs share one. */
function newest(values: (number | null | undefined)[]): number | null {
  for (let i = values.length - 1; i >= 0; i--) {
    const value = values[i];
    if (value !== undefined) {
      return value;
    }
  }
  return null;
}

function render({ model, el }: { model: Model; el: HTMLElement }): () => void {
  const height = () => Number(model.get('height') ?? 240);
  const xName = String(model.get('x_name') ?? 'step');
  const subject = () => String(model.get('title') ?? '');
  let names: string[] = [];
  let data: (number | null | undefined)[][] = [[]];
  /** x of each value that is not finite: drawn as red ticks, never as a gap alone. */
  let bad: number[] = [];
  let badFrom = Infinity;
  let badTo = -Infinity;
  let batch = -1;
  let plot: uPlot | null = null;
  let timer: ReturnType<typeof setTimeout> | null = null;
  let drawn = -Infinity;

  el.classList.add('ragent-live-chart');
  const picture = document.createElement('div');
  picture.setAttribute('role', 'img');
  const words = document.createElement('p');
  words.style.cssText =
    'margin:2px 0;font:12px var(--jp-ui-font-family,system-ui,sans-serif);color:var(--jp-ui-font-color2,#555);font-variant-numeric:tabular-nums';
  el.replaceChildren(picture, words);

  const isDark = () => document.body.dataset.jpThemeLight === 'false';

  const make = () => {
    plot?.destroy();
    plot = null;
    const width = picture.clientWidth;
    if (!width || !names.length) {
      return;
    }
    const colours = isDark() ? COLOURS_DARK : COLOURS_LIGHT;
    const ink = getComputedStyle(words).color;
    const axis = { stroke: ink, ticks: { show: false } };
    plot = new uPlot(
      {
        width,
        height: height(),
        scales: {
          x: {
            time: false,
            range: (_, min, max) => {
              const low = Math.min(min ?? Infinity, badFrom);
              const high = Math.max(max ?? -Infinity, badTo);
              return Number.isFinite(low) && low < high
                ? [low, high]
                : [
                    Number.isFinite(low) ? low - 0.5 : 0,
                    Number.isFinite(low) ? low + 0.5 : 1
                  ];
            }
          }
        },
        legend: { live: true },
        cursor: { y: false },
        axes: [
          { ...axis, grid: { show: false } },
          { ...axis, grid: { stroke: '#8883', width: 1 }, size: 56 }
        ],
        series: [
          { label: xName },
          ...names.map((label, i) => ({
            label,
            stroke: colours[i % colours.length],
            width: 1.5,
            value: (_: uPlot, value: number | null) => short(value)
          }))
        ],
        hooks: {
          draw: [
            u => {
              if (!bad.length) {
                return;
              }
              const { ctx, bbox } = u;
              const bottom = bbox.top + bbox.height;
              ctx.save();
              ctx.strokeStyle = '#d32f2f';
              ctx.lineWidth = uPlot.pxRatio;
              ctx.beginPath();
              for (const x of bad) {
                const at = u.valToPos(x, 'x', true);
                if (at >= bbox.left && at <= bbox.left + bbox.width) {
                  ctx.moveTo(at, bottom);
                  ctx.lineTo(at, bottom - NAN_TICK_PX * uPlot.pxRatio);
                }
              }
              ctx.stroke();
              ctx.restore();
            }
          ]
        }
      },
      data as uPlot.AlignedData,
      picture
    );
  };

  const draw = () => {
    timer = null;
    drawn = performance.now();
    const rows = data[0].length;
    el.dataset.points = String(rows);
    const last = names
      .map((name, i) => `${name} ${short(newest(data[i + 1]))}`)
      .join(' · ');
    const told = rows
      ? `${xName} ${short(data[0][rows - 1])} · ${last}${bad.length ? ` · NaN or ∞ × ${bad.length}` : ''}`
      : 'no data yet';
    words.textContent = told;
    const lines = [subject(), names.join(', ')].filter(Boolean).join(', ');
    picture.setAttribute('aria-label', `Chart of ${lines}: ${told}`);
    if (plot) {
      plot.setData(data as uPlot.AlignedData);
    } else {
      make();
    }
  };
  const ring = () => {
    timer ??= setTimeout(
      draw,
      Math.max(0, drawn + FRAME_MS - performance.now())
    );
  };

  const take = (buffers: DataView[]) => {
    const columns = buffers.map(column);
    const [x] = columns;
    columns.forEach((values, i) => {
      values.forEach((value, row) => {
        if (value === ABSENT) {
          data[i].push(undefined);
        } else if (Number.isFinite(value)) {
          data[i].push(value);
        } else {
          data[i].push(null);
          if (i > 0) {
            bad.push(x[row]);
            badFrom = Math.min(badFrom, x[row]);
            badTo = Math.max(badTo, x[row]);
          }
        }
      });
    });
  };
  const onMessage = (told: Told, buffers: DataView[]) => {
    if (told.kind === 'all') {
      const same = names.join('\n') === (told.names ?? names).join('\n');
      names = told.names ?? names;
      data = [[], ...names.map(() => [])];
      bad = [];
      badFrom = Infinity;
      badTo = -Infinity;
      batch = told.batch;
      if (!same) {
        plot?.destroy();
        plot = null;
      }
    } else if (batch < 0 || told.batch <= batch) {
      return; // the answer to `ready` holds it, or it was seen
    } else if (told.batch > batch + 1) {
      batch = -1;
      model.send({ kind: 'ready' });
      return;
    } else {
      batch = told.batch;
    }
    take(buffers);
    ring();
  };
  model.on('msg:custom', onMessage);
  model.send({ kind: 'ready' });

  const seen = new ResizeObserver(() => {
    const width = picture.clientWidth;
    if (plot && width && plot.width !== width) {
      plot.setSize({ width, height: height() });
    } else if (!plot && width) {
      make();
    }
  });
  seen.observe(picture);
  const theme = new MutationObserver(make);
  theme.observe(document.body, {
    attributes: true,
    attributeFilter: ['data-jp-theme-name']
  });
  return () => {
    model.off('msg:custom', onMessage);
    seen.disconnect();
    theme.disconnect();
    if (timer !== null) {
      clearTimeout(timer);
    }
    plot?.destroy();
  };
}

export default { render };
