/** What the `@` and `/` pop-ups offer, and where what is picked goes. */
import * as React from 'react';
import { useHost, useOffer } from '../../hooks';

export interface Hit {
  key: string;
  label: string;
  detail: string;
  /** Takes the place of what was typed from `from` to the caret. */
  insert: string;
}

export interface Asking {
  kind: '@' | '/';
  q: string;
  from: number;
}

/** What is being typed at the caret, if it calls for a pop-up. */
export function askingAt(text: string, caret: number): Asking | null {
  const before = text.slice(0, caret);
  const slash = /^\s*\/(\w*)$/.exec(before);
  if (slash) {
    return { kind: '/', q: slash[1], from: caret - slash[1].length - 1 };
  }
  const at = /(?:^|[\s(,])@([\w:./*=-]*)$/.exec(before);
  return at ? { kind: '@', q: at[1], from: caret - at[1].length - 1 } : null;
}

const WAIT_MS = 120;

/** Hits for what is asked; null while nothing is. Those of an older question are never shown. */
export function useHits(asking: Asking | null): readonly Hit[] | null {
  const { desk, bench } = useHost();
  const { options } = useOffer();
  const [hits, setHits] = React.useState<readonly Hit[] | null>(null);
  const kind = asking?.kind;
  const q = asking?.q;
  React.useEffect(() => {
    if (kind === undefined || q === undefined) {
      setHits(null);
      return undefined;
    }
    if (kind === '/') {
      const verbs = (options?.verbs ?? []).filter(verb =>
        verb.name.replace(/^\//, '').startsWith(q.toLowerCase())
      );
      setHits(
        verbs.map(verb => ({
          key: verb.name,
          label: verb.usage || `/${verb.name.replace(/^\//, '')}`,
          detail: verb.help,
          insert: `/${verb.name.replace(/^\//, '')} `
        }))
      );
      return undefined;
    }
    const stop = new AbortController();
    const timer = setTimeout(() => {
      desk.api.suggest(q, bench?.inFront()?.notebook, stop.signal).then(
        found =>
          setHits(
            found.map(one => ({
              key: `${one.kind}:${one.id}`,
              label: one.label || one.id,
              detail: [one.kind, one.detail].filter(Boolean).join(' · '),
              insert: `${one.insert || `@${one.kind}:${one.id}`} `
            }))
          ),
        () => {
          if (!stop.signal.aborted) {
            setHits([]);
          }
        }
      );
    }, WAIT_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [kind, q, options, desk, bench]);
  return hits;
}
