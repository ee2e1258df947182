/** The part of Lab's translation bundle that we use. Placeholders are %1, %2; in `_n`, %1 is the number. */
export interface Trans {
  __(msgid: string, ...args: unknown[]): string;
  _n(one: string, many: string, n: number, ...args: unknown[]): string;
}

function fill(text: string, args: unknown[]): string {
  return text
    .replace(/%(\d+)/g, (_, index: string) => String(args[Number(index) - 1]))
    .replace(/%%/g, '%');
}

/** English as written: for the page outside Lab, and for tests. */
export const plainEnglish: Trans = {
  __: (msgid, ...args) => fill(msgid, args),
  _n: (one, many, n, ...args) => fill(n === 1 ? one : many, [n, ...args])
};
