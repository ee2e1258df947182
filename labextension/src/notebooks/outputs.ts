/**
 * Outputs as text that a model can read: short, no escape codes, and never an image's bytes.
 *
 * The same as ragent_jupyter/adapters/notebook_hands/outputs.py; tests/golden/notebook_outputs.json holds both to it.
 */
import type { CellJson, OutputJson, SharedCell } from './lab';
import { sourceOf } from './lab';
import type { CellKind, CellView } from './protocol';

const MAX_OUTPUT = 4000;
const MAX_OUTPUTS = 30;
const ESCAPES =
  // eslint-disable-next-line no-control-regex
  /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]/g;
const TEXT = ['text/markdown', 'text/latex', 'application/json', 'text/plain'];
const WIDGET = 'application/vnd.jupyter.widget-view+json';

export const plain = (text: string): string => text.replace(ESCAPES, '');

/** Head and tail of a long text: an error's last lines say most. Counts code points, as Python does. */
export function cut(text: string, limit = MAX_OUTPUT): string {
  if (text.length <= limit) {
    return text;
  }
  const points = Array.from(text);
  if (points.length <= limit) {
    return text;
  }
  const head = Math.floor(limit / 3);
  const tail = points.slice(points.length - (limit - head));
  return `${points.slice(0, head).join('')}\n[… ${points.length - limit} characters …]\n${tail.join('')}`;
}

const joined = (value: unknown): string =>
  Array.isArray(value)
    ? value.map(String).join('')
    : typeof value === 'string'
      ? value
      : '';

const size = (data: string): string =>
  `${Math.max(1, Math.round((data.length * 3) / 4 / 1000))} kB`;

export function digest(output: OutputJson): string {
  if (output.output_type === 'stream') {
    return cut(plain(joined(output.text)));
  }
  if (output.output_type === 'error') {
    const trace = ((output.traceback as string[] | undefined) ?? []).join('\n');
    const said = `${output.ename ?? ''}: ${output.evalue ?? ''}`;
    return cut(plain(trace.trim() ? trace : said));
  }
  const data = (output.data as Record<string, unknown> | undefined) ?? {};
  const mimes = Object.keys(data).sort();
  const told = mimes
    .filter(mime => mime.startsWith('image/'))
    .map(mime => `[${mime}, ${size(joined(data[mime]))}]`);
  if (WIDGET in data) {
    told.push('[a widget]');
  }
  const text = TEXT.find(mime => joined(data[mime]));
  if (text) {
    told.push(cut(plain(joined(data[text]))));
  } else {
    told.push(
      ...mimes
        .filter(m => !m.startsWith('image/') && !m.includes('widget-view'))
        .map(mime => `[${mime}]`)
    );
  }
  return told.join('\n');
}

export function digests(outputs: readonly OutputJson[]): string[] {
  if (outputs.length > MAX_OUTPUTS) {
    const head = MAX_OUTPUTS / 3;
    const tail = outputs.slice(outputs.length - (MAX_OUTPUTS - head));
    return [
      ...outputs.slice(0, head).map(digest),
      `[… ${outputs.length - MAX_OUTPUTS} outputs …]`,
      ...tail.map(digest)
    ];
  }
  return outputs.map(digest).filter(text => text);
}

export const kindOf = (type: string): CellKind =>
  type === 'code' || type === 'markdown' ? type : 'raw';

export function viewOf(cell: SharedCell, index: number): CellView {
  const json = cell.toJSON() as CellJson;
  const view: CellView = {
    id: cell.getId(),
    index,
    kind: kindOf(cell.cell_type),
    source: sourceOf(json)
  };
  return view.kind === 'code'
    ? {
        ...view,
        outputs: digests(json.outputs ?? []),
        execution_count: json.execution_count ?? null
      }
    : view;
}
