/**
 * Markdown while it is being written: cut into top-level blocks, of which all but the last are finished for good.
 *
 * Only the tail is parsed again as text arrives, so a long answer costs no more per token than a short one, and a
 * finished block is never drawn twice. The parser makes tokens, never HTML: there is nothing to sanitize.
 */
import {
  Marked,
  type Token,
  type TokenizerExtension,
  type Tokens
} from 'marked';

export interface Math extends Tokens.Generic {
  type: 'math';
  tex: string;
  display: boolean;
  /** False while its end has not come: shown as it is written. */
  closed: boolean;
}

export interface Block {
  /** Where it begins in the text: its key, for ever. */
  at: number;
  raw: string;
  token: Token;
}

export interface Blocks {
  text: string;
  done: readonly Block[];
  open: readonly Block[];
  /** Where the open blocks begin. */
  from: number;
}

/** `$$…$$` and `\[…\]` on lines of their own. Not closed yet, they take what is there: it is all one formula. */
const displayMath: TokenizerExtension = {
  name: 'math',
  level: 'block',
  start: src => {
    const found = /(^|\n)[ \t]*(\$\$|\\\[)/.exec(src);
    return found ? found.index + found[1].length : undefined;
  },
  tokenizer(src) {
    const begins = /^[ \t]*(\$\$|\\\[)/.exec(src);
    if (!begins) {
      return undefined;
    }
    const closes = begins[1] === '$$' ? '$$' : '\\]';
    const from = begins[0].length;
    const end = src.indexOf(closes, from);
    const blank = /\n[ \t]*\n/.exec(src);
    if (end < 0 || (blank && blank.index < end)) {
      // A formula holds no blank line: this one was none.
      return blank ? undefined : math(src, src.slice(from), true, false);
    }
    const after = /^[ \t]*(?:\n+|$)/.exec(src.slice(end + 2));
    if (!after) {
      return undefined;
    }
    const raw = src.slice(0, end + 2 + after[0].length);
    return math(raw, src.slice(from, end), true, true);
  }
};

/** `$x$` as Pandoc reads it: no space inside, no digit after, so that "$5 and $6" stays money. Also `\(…\)`. */
const INLINE =
  /^(?:\$\$([^$\n]+?)\$\$|\$(?!\s)((?:\\[^\n]|[^$\\\n])+?)(?<!\s)\$(?!\d)|\\\(([^\n]+?)\\\)|\\\[([^\n]+?)\\\])/;

const inlineMath: TokenizerExtension = {
  name: 'math',
  level: 'inline',
  start: src => {
    const at = src.search(/\$|\\\(|\\\[/);
    return at < 0 ? undefined : at;
  },
  tokenizer(src) {
    const found = INLINE.exec(src);
    if (!found) {
      return undefined;
    }
    const display = found[1] !== undefined || found[4] !== undefined;
    const tex = found[1] ?? found[2] ?? found[3] ?? found[4];
    return math(found[0], tex, display, true);
  }
};

function math(
  raw: string,
  tex: string,
  display: boolean,
  closed: boolean
): Math {
  return { type: 'math', raw, tex: tex.trim(), display, closed };
}

const parser = new Marked({ gfm: true });
parser.use({ extensions: [displayMath, { ...inlineMath }] });

function lex(text: string): Token[] {
  try {
    return parser.lexer(text);
  } catch {
    // A parser that gives up must not take the answer with it.
    return [{ type: 'text', raw: text, text } as Tokens.Text];
  }
}

export const NOTHING: Blocks = { text: '', done: [], open: [], from: 0 };

/** The blocks of `text`, given those of an earlier state of it. `final`: nothing will come after. */
export function grow(before: Blocks, text: string, final: boolean): Blocks {
  if (text === before.text && !(final && before.open.length)) {
    return before;
  }
  const { done, from } = text.startsWith(before.text) ? before : NOTHING;
  const open = blocksOf(text.slice(from), from);
  if (final) {
    return { text, done: [...done, ...open], open: [], from: text.length };
  }
  const last = open[open.length - 1];
  return last && open.length > 1
    ? {
        text,
        done: [...done, ...open.slice(0, -1)],
        open: [last],
        from: last.at
      }
    : { text, done, open, from };
}

function blocksOf(text: string, from: number): Block[] {
  const blocks: Block[] = [];
  let at = from;
  for (const token of lex(text)) {
    if (token.type !== 'space' && token.type !== 'def') {
      blocks.push({ at, raw: token.raw, token });
    }
    at += token.raw.length;
  }
  return blocks;
}

/**
 * The open tail as it will probably look when it is whole: what is half written is completed or held back, so that
 * nothing turns from one thing into another before the reader's eyes.
 */
export function steady(raw: string): Token[] {
  let text = raw;
  if (/^ {0,3}(```|~~~)/.test(text)) {
    return lex(text);
  }
  // A lone marker at the end may become a list, a rule or turn the line above into a heading.
  text = text.replace(
    /(^|\n)[ \t]*(?:[-=+*_#>|]{1,3}|\d{1,3}[.)]?)[ \t]*$/,
    '$1'
  );
  // A link whose address is still coming is its words; an image is nothing yet.
  text = text.replace(/!\[[^\]\n]*(?:\](?:\([^)\n]*)?)?$/, '');
  text = text.replace(/\[([^\]\n]*)(?:\]\([^)\n]*)?$/, '$1');
  const lastBlock = text.slice(text.lastIndexOf('\n\n') + 1);
  const ticks = lastBlock.match(/`+/g)?.filter(run => run.length < 3).length;
  if (ticks && ticks % 2) {
    return lex(`${text}\``);
  }
  const bare = lastBlock.replace(/`[^`]*`/g, '');
  const bold = (bare.match(/\*\*/g) ?? []).length % 2;
  const rest = bare.replace(/\*\*/g, '').replace(/^[ \t]*\* /gm, '');
  const italic = (rest.match(/\*/g) ?? []).length % 2;
  const close = (italic ? '*' : '') + (bold ? '**' : '');
  if (close) {
    const cut = text.replace(/\*+$/, '');
    return lex(cut === text ? text.trimEnd() + close : cut.trimEnd());
  }
  return lex(text);
}
