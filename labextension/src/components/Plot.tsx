import * as React from 'react';
import uPlot from 'uplot';
import { duration, number } from '../format';
import { columns } from '../models/chartdata';
import type { XAxis } from '../models/series';
import type { Series } from '../wire';

export interface PlotLine {
  series: Series;
  label: string;
  colour: string;
  /** The best run is thicker. */
  best: boolean;
  /** An older tail that a restart has left behind: faint and dashed. */
  fork: boolean;
  dash?: number[];
  /** Points alone, not joined. */
  dots?: boolean;
  /** Each value holds until the next. */
  stepped?: boolean;
  /** No points on it, however few they are. */
  flat?: boolean;
}

export interface Flag {
  id: string;
  at: number;
  severity: string;
  label: string;
  onClick: () => void;
}

export interface PlotProps {
  lines: PlotLine[];
  x: XAxis;
  log: boolean;
  height: number;
  flags: Flag[];
  /** What the picture shows, in a sentence. */
  label: string;
  theme: string;
  compact?: boolean;
}

const TICKS = 5;
const NAN_TICK_PX = 7;
/** A line of so few points shows each of them. */
const FEW = 24;
/** How far back a line's last point may lie and still be named at the cursor. */
const LOOK_BACK = 4000;

interface Skin {
  ink: string;
  grid: string;
  bad: string;
  font: string;
}

function skinOf(element: HTMLElement): Skin {
  const style = getComputedStyle(element);
  const read = (name: string, fallback: string) =>
    style.getPropertyValue(name).trim() || fallback;
  return {
    ink: style.color,
    grid: read('--rg-grid', '#8883'),
    bad: read('--rg-failed', '#c62828'),
    font: `11px ${style.fontFamily || 'sans-serif'}`
  };
}

function fade(colour: string, alpha: number): string {
  const hex = /^#([0-9a-f]{6})$/i.exec(colour);
  return hex
    ? `${colour}${Math.round(alpha * 255)
        .toString(16)
        .padStart(2, '0')}`
    : `color-mix(in srgb, ${colour} ${alpha * 100}%, transparent)`;
}

/** x to words, by what the axis counts. */
export function xWord(value: number, x: XAxis): string {
  return x === 'step'
    ? number(value)
    : x === 'time'
      ? new Date(value * 1000).toLocaleTimeString()
      : duration(value);
}

/** A figure on an axis: short, with no zeros for show. */
function tick(value: number): string {
  const size = Math.abs(value);
  const text =
    value !== 0 && (size >= 1e6 || size < 1e-3)
      ? value.toExponential().replace('e+', 'e')
      : String(Number(value.toPrecision(6)));
  return text.replace(/-/g, '−');
}

interface Built {
  data: uPlot.AlignedData;
  series: uPlot.Series[];
  bands: uPlot.Band[];
  /** Place of each line's own column. */
  at: number[];
}

function build(lines: PlotLine[], log: boolean): Built {
  const cols = columns(
    lines.map(line => line.series),
    log
  );
  const data: (number | null | undefined)[][] = [cols.x];
  const series: uPlot.Series[] = [{}];
  const bands: uPlot.Band[] = [];
  const at: number[] = [];
  lines.forEach((line, i) => {
    if (cols.min[i].length && !line.fork) {
      data.push(cols.max[i], cols.min[i]);
      const edge = { width: 0, points: { show: false }, spanGaps: false };
      series.push(
        { ...edge, stroke: 'transparent' },
        { ...edge, stroke: 'transparent' }
      );
      bands.push({
        series: [data.length - 2, data.length - 1],
        fill: fade(line.colour, 0.16)
      });
    }
    at.push(data.length);
    data.push(cols.last[i]);
    series.push({
      label: line.label,
      stroke: line.fork ? fade(line.colour, 0.45) : line.colour,
      width: line.best ? 2.4 : line.fork ? 1 : 1.4,
      dash: line.fork ? [4, 4] : line.dash,
      points: {
        show:
          line.dots ||
          (line.series.x.length <= FEW && !line.stepped && !line.flat),
        size: line.dots ? 5 : 4,
        ...(line.dots ? { fill: fade(line.colour, 0.7), width: 0 } : {})
      },
      spanGaps: false,
      ...(line.dots ? { paths: () => null } : {}),
      ...(line.stepped && uPlot.paths.stepped
        ? { paths: uPlot.paths.stepped({ align: 1 }) }
        : {})
    });
  });
  return { data: data as uPlot.AlignedData, series, bands, at };
}

/** What has to be made anew when it changes; all else is new data in the same plot. */
function shape(props: PlotProps): string {
  return JSON.stringify([
    props.x,
    props.log,
    props.height,
    props.theme,
    props.compact,
    props.lines.map(l => [
      l.series.run,
      l.series.name,
      l.colour,
      l.best,
      l.fork,
      l.dash,
      l.dots,
      l.stepped,
      l.label,
      l.series.min.length > 0,
      l.series.x.length <= FEW
    ])
  ]);
}

/** The value of column `column` at place `index`, or the one before it, if the line has not ended there. */
function valueNear(
  column: ArrayLike<number | null | undefined>,
  index: number
): { value: number; index: number } | null {
  for (let i = index; i >= 0 && index - i < LOOK_BACK; i--) {
    const value = column[i];
    if (value !== undefined) {
      return value === null ? null : { value, index: i };
    }
  }
  return null;
}

class Drawing {
  private plot: uPlot | null = null;
  private built: Built | null = null;
  private zoomed = false;
  private key = '';
  private readonly seen: ResizeObserver;

  constructor(
    private readonly root: HTMLElement,
    private readonly mount: HTMLElement,
    private readonly tip: HTMLElement,
    private props: PlotProps,
    private readonly placed: (u: uPlot) => void
  ) {
    this.seen = new ResizeObserver(() => this.fit());
    this.seen.observe(root);
  }

  update(props: PlotProps): void {
    this.props = props;
    const key = shape(props);
    if (key !== this.key || !this.plot) {
      this.key = key;
      this.make();
      return;
    }
    this.built = build(props.lines, props.log);
    if (this.zoomed) {
      const { min, max } = this.plot.scales.x;
      this.plot.setData(this.built.data, false);
      this.plot.setScale('x', { min: min!, max: max! });
    } else {
      this.plot.setData(this.built.data);
    }
  }

  destroy(): void {
    this.seen.disconnect();
    this.plot?.destroy();
  }

  private fit(): void {
    const width = this.root.clientWidth;
    if (!width) {
      return;
    }
    if (!this.plot) {
      this.make();
    } else if (this.plot.width !== width) {
      this.plot.setSize({ width, height: this.props.height });
    }
  }

  private make(): void {
    const width = this.root.clientWidth;
    this.plot?.destroy();
    this.plot = null;
    this.zoomed = false;
    // A plot made at width 0 (a hidden panel) would stay empty: it is made when there is room.
    if (!width || !this.props.lines.length) {
      return;
    }
    const { props } = this;
    const skin = skinOf(this.root);
    this.built = build(props.lines, props.log);
    const few = (
      _: uPlot,
      __: number,
      ___: number,
      ____: number,
      size: number
    ) => Math.max(40, size / TICKS);
    const axis = {
      stroke: skin.ink,
      font: skin.font,
      space: few,
      ticks: { show: false }
    };
    this.plot = new uPlot(
      {
        width,
        height: props.height,
        padding: [8, 8, 0, 0],
        legend: { show: false },
        scales: {
          x: { time: props.x === 'time', range: this.xRange },
          y: { distr: props.log ? 3 : 1 }
        },
        axes: [
          {
            ...axis,
            size: 24,
            gap: 3,
            grid: { show: false },
            ...(props.x === 'time'
              ? {}
              : {
                  values: (_: uPlot, splits: number[]) =>
                    splits.map(v => xWord(v, props.x))
                })
          },
          {
            ...axis,
            size: 46,
            gap: 4,
            grid: { stroke: skin.grid, width: 1 },
            values: (_: uPlot, splits: (number | null)[]) =>
              splits.map(v => (v === null ? '' : tick(v)))
          }
        ],
        series: this.built.series,
        bands: this.built.bands,
        cursor: {
          y: false,
          points: { size: 6 },
          drag: { x: true, y: false, uni: 8 },
          sync: { key: `ragent-${props.x}` }
        },
        hooks: {
          draw: [u => this.drawNonFinite(u, skin.bad), u => this.placed(u)],
          setCursor: [u => this.tell(u)],
          setSelect: [
            u => {
              this.zoomed ||= u.select.width > 0;
            }
          ]
        }
      },
      this.built.data,
      this.mount
    );
    this.plot.over.addEventListener('dblclick', () => {
      this.zoomed = false;
    });
  }

  /** From the first to the last thing to show, NaN included: a run that is all NaN at its end has not ended early. */
  private xRange = (_: uPlot, min: number, max: number): [number, number] => {
    const marks = this.props.lines.flatMap(line => line.series.nonfinite);
    let low = min ?? Infinity;
    let high = max ?? -Infinity;
    for (const mark of marks) {
      low = Math.min(low, mark);
      high = Math.max(high, mark);
    }
    if (!Number.isFinite(low) || !Number.isFinite(high)) {
      return [0, 1];
    }
    return low === high ? [low - 0.5, high + 0.5] : [low, high];
  };

  private drawNonFinite(u: uPlot, colour: string): void {
    const { ctx, bbox } = u;
    const ratio = uPlot.pxRatio;
    const marks = new Set(
      this.props.lines.flatMap(line => line.series.nonfinite)
    );
    if (!marks.size) {
      return;
    }
    ctx.save();
    ctx.strokeStyle = colour;
    ctx.lineWidth = Math.max(1, Math.round(1.5 * ratio));
    ctx.beginPath();
    const bottom = bbox.top + bbox.height;
    for (const mark of marks) {
      const x = u.valToPos(mark, 'x', true);
      if (x >= bbox.left - 1 && x <= bbox.left + bbox.width + 1) {
        ctx.moveTo(x, bottom);
        ctx.lineTo(x, bottom - NAN_TICK_PX * ratio);
      }
    }
    ctx.stroke();
    ctx.restore();
  }

  /** The tooltip: who has which value at the line under the cursor, largest first. */
  private tell(u: uPlot): void {
    const { tip, built, props } = this;
    const { idx, left } = u.cursor;
    if (
      idx === null ||
      idx === undefined ||
      left === undefined ||
      left < 0 ||
      !built
    ) {
      tip.hidden = true;
      return;
    }
    const told = props.lines
      .map((line, i) => ({ line, found: valueNear(u.data[built.at[i]], idx) }))
      .filter(({ line, found }) => found && !line.fork)
      .sort((a, b) => b.found!.value - a.found!.value)
      .slice(0, 12);
    if (!told.length) {
      tip.hidden = true;
      return;
    }
    const head = document.createElement('div');
    head.className = 'rg-tip-x';
    head.textContent = xWord(u.data[0][idx], props.x);
    tip.replaceChildren(
      head,
      ...told.map(({ line, found }) => {
        const row = document.createElement('div');
        const swatch = document.createElement('span');
        swatch.className = 'rg-swatch';
        swatch.style.background = line.colour;
        const name = document.createElement('span');
        name.className = 'rg-name';
        name.textContent = line.label;
        const value = document.createElement('span');
        value.className = 'rg-figure';
        value.textContent = number(found!.value);
        row.replaceChildren(swatch, name, value);
        return row;
      })
    );
    tip.hidden = false;
    const room = this.root.clientWidth;
    const at = left + u.bbox.left / uPlot.pxRatio;
    const wide = tip.offsetWidth;
    tip.style.left = `${Math.max(0, at + 12 + wide > room ? at - 12 - wide : at + 12)}px`;
  }
}

/** A uPlot that follows its lines. To a screen reader it is one picture with a sentence; the table stands beside it. */
export function Plot(props: PlotProps): JSX.Element {
  const root = React.useRef<HTMLDivElement>(null);
  const mount = React.useRef<HTMLDivElement>(null);
  const tip = React.useRef<HTMLDivElement>(null);
  const drawing = React.useRef<Drawing | null>(null);
  const flags = React.useRef(new Map<string, HTMLButtonElement>());
  const latest = React.useRef(props);
  latest.current = props;

  React.useEffect(() => {
    const place = (u: uPlot) => {
      for (const flag of latest.current.flags) {
        const button = flags.current.get(flag.id);
        if (button) {
          const at = u.valToPos(flag.at, 'x') + u.bbox.left / uPlot.pxRatio;
          const inside =
            at >= u.bbox.left / uPlot.pxRatio - 1 &&
            at <= (u.bbox.left + u.bbox.width) / uPlot.pxRatio + 1;
          button.hidden = !inside;
          button.style.left = `${at}px`;
        }
      }
    };
    const made = new Drawing(
      root.current!,
      mount.current!,
      tip.current!,
      latest.current,
      place
    );
    drawing.current = made;
    return () => {
      drawing.current = null;
      made.destroy();
    };
  }, []);
  React.useEffect(() => {
    drawing.current?.update(props);
  });

  return (
    <div ref={root} className="rg-plot" style={{ minHeight: props.height }}>
      <div
        ref={mount}
        role="img"
        aria-label={props.label}
        data-points={props.lines.reduce(
          (n, line) => n + line.series.x.length,
          0
        )}
      />
      <div ref={tip} className="rg-tip" hidden aria-hidden="true" />
      {props.flags.map(flag => (
        <button
          key={flag.id}
          type="button"
          hidden
          className={`rg-flag rg-is-${flag.severity}`}
          title={flag.label}
          aria-label={flag.label}
          onClick={flag.onClick}
          ref={element => {
            if (element) {
              flags.current.set(flag.id, element);
            } else {
              flags.current.delete(flag.id);
            }
          }}
        >
          <span aria-hidden="true">⚑</span>
        </button>
      ))}
    </div>
  );
}
