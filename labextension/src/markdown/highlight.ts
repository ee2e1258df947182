/** Colours for code, cheap: five kinds of words by one expression a language family. Not a parser, and need not be. */

export type Kind = 'comment' | 'string' | 'number' | 'keyword' | 'plain';

const KEYWORDS: Record<string, string> = {
  python:
    'False None True and as assert async await break class continue def del elif else except finally for from global if import in is lambda match case nonlocal not or pass raise return try while with yield',
  shell:
    'if then else elif fi for in do done while until case esac function return export local set unset cd echo exit source',
  script:
    'as async await break case catch class const continue debugger default delete do else enum export extends false finally for from function if implements import in instanceof interface let new null of return static super switch this throw true try type typeof undefined var void while with yield',
  c: 'auto bool break case char class const constexpr continue default delete do double else enum extern false float fn for goto if impl inline int let long match mut namespace new nullptr pub return short signed sizeof static struct switch template this throw true try typedef union unsigned use using virtual void volatile while',
  sql: 'select from where group by order having join left right inner outer on as and or not null insert into values update set delete create table drop limit distinct union case when then else end',
  data: 'true false null yes no on off'
};

const FAMILY: Record<string, string> = {
  python: 'python',
  py: 'python',
  python3: 'python',
  ipython: 'python',
  bash: 'shell',
  sh: 'shell',
  shell: 'shell',
  zsh: 'shell',
  console: 'shell',
  js: 'script',
  javascript: 'script',
  jsx: 'script',
  ts: 'script',
  typescript: 'script',
  tsx: 'script',
  c: 'c',
  cpp: 'c',
  'c++': 'c',
  java: 'c',
  go: 'c',
  rust: 'c',
  rs: 'c',
  cuda: 'c',
  sql: 'sql',
  json: 'data',
  yaml: 'data',
  yml: 'data',
  toml: 'data',
  ini: 'data'
};

const WORDS = new Map(
  Object.entries(KEYWORDS).map(([family, words]) => [
    family,
    new Set(words.split(' '))
  ])
);

const HASH = /#[^\n]*/;
const SLASHES = /\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/;
const DASHES = /--[^\n]*/;
const STRINGS =
  /"""[\s\S]*?(?:"""|$)|'''[\s\S]*?(?:'''|$)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?|`(?:\\.|[^`\\])*`?/;
const NUMBERS = /\b\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?\b/;
const NAMES = /[A-Za-z_]\w*/;

const COMMENTS: Record<string, RegExp> = {
  python: HASH,
  shell: HASH,
  data: HASH,
  sql: DASHES,
  script: SLASHES,
  c: SLASHES
};

const SCANNERS = new Map(
  Object.entries(COMMENTS).map(([family, comments]) => [
    family,
    [comments, STRINGS, NUMBERS, NAMES].map(e => `(${e.source})`).join('|')
  ])
);

/** More than this is shown plain: colours are not worth a pause. */
const MOST = 20_000;

export function familyOf(language: string): string | null {
  return (
    FAMILY[
      language
        .trim()
        .split(/[\s{,]/)[0]
        .toLowerCase()
    ] ?? null
  );
}

export function highlight(code: string, language: string): [Kind, string][] {
  const family = familyOf(language);
  if (!family || code.length > MOST) {
    return [['plain', code]];
  }
  const words = WORDS.get(family)!;
  const scan = new RegExp(SCANNERS.get(family)!, 'g');
  const out: [Kind, string][] = [];
  let at = 0;
  const put = (kind: Kind, text: string) => {
    const last = out[out.length - 1];
    if (last?.[0] === kind) {
      last[1] += text;
    } else if (text) {
      out.push([kind, text]);
    }
  };
  for (let found = scan.exec(code); found; found = scan.exec(code)) {
    put('plain', code.slice(at, found.index));
    const [text, comment, string, number] = found;
    const word = family === 'sql' ? text.toLowerCase() : text;
    put(
      comment !== undefined
        ? 'comment'
        : string !== undefined
          ? 'string'
          : number !== undefined
            ? 'number'
            : words.has(word)
              ? 'keyword'
              : 'plain',
      text
    );
    at = found.index + text.length;
    if (!text) {
      scan.lastIndex += 1;
    }
  }
  put('plain', code.slice(at));
  return out;
}
