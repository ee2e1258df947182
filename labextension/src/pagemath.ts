/**
 * Formulas where there is no Lab: TeX to MathML, which browsers draw themselves. A script of its own, fetched when the
 * first formula is shown; most visits have none.
 */
import temml from 'temml';

/** Draws a node that holds `\(…\)` or `\[…\]`. What cannot be read as TeX stays as it was written. */
export function draw(node: HTMLElement): void {
  const text = node.textContent ?? '';
  const written = document.createTextNode(text);
  try {
    temml.render(text.slice(2, -2), node, {
      displayMode: text.startsWith('\\['),
      throwOnError: true,
      trust: false
    });
  } catch {
    node.replaceChildren(written);
  }
}
