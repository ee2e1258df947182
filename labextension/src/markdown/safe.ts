/** Where an answer's links may lead. The text may come from a log or a file: it is never trusted. */

/** An address that may be opened in a tab of its own; null: it stays words. */
export function openable(href: string): string | null {
  const text = href.trim();
  // An address has no blanks; a browser would leave out some of them, and read what then stands there.
  if (/\s|\p{Cc}/u.test(text)) {
    return null;
  }
  try {
    const url = new URL(text);
    return ['http:', 'https:', 'mailto:'].includes(url.protocol)
      ? url.href
      : null;
  } catch {
    // Not a whole address: a file, a run, an anchor. Those who draw it may know it.
    return null;
  }
}

/** An id of one of ours, if the address is one: `run_…`, `#run_…`, `run:run_…`. */
export function ours(
  href: string
): { kind: 'run' | 'alert'; id: string } | null {
  const found = /^(?:#|@?run:|@?alert:)?((run|alt)_\w+)$/.exec(href.trim());
  return found
    ? { kind: found[2] === 'run' ? 'run' : 'alert', id: found[1] }
    : null;
}

/** What a remote image is shown as: where it lies, without asking for it. */
export function imageWords(href: string): string {
  try {
    const url = new URL(href);
    return url.protocol === 'http:' || url.protocol === 'https:'
      ? `${url.host}${url.pathname}`.slice(0, 80)
      : url.protocol;
  } catch {
    return href.slice(0, 80);
  }
}

/** TeX that draws and does nothing else: no addresses, classes, styles or loading of more. */
export function harmless(tex: string): boolean {
  return !/\\(?:href|url|class|cssId|style|require|includegraphics|data|html\w*|texttip|mmlToken|unicode|def|newcommand|renewcommand|let|newenvironment|renewenvironment)(?![a-z])/i.test(
    tex
  );
}
