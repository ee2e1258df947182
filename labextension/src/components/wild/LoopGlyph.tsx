import * as React from 'react';
import { useHost } from '../../hooks';
import type { LoopState } from '../../models/wild';
import { byWord, stateWord, verdictWord } from '../../models/wildwords';
import type { Entry, Verdict } from '../../wire';
import { Icon, type IconName } from '../Icon';

const line = (d: string, width = 1.8) => (
  <path d={d} fill="none" stroke="currentColor" strokeWidth={width} />
);
const ring = (dash?: string) => (
  <circle
    cx="6"
    cy="6"
    r="4"
    fill="none"
    stroke="currentColor"
    strokeWidth="1.4"
    strokeDasharray={dash}
  />
);
const CHECK = 'm2 6.4 2.7 2.7L10 3.4';
const CROSS = 'm2.8 2.8 6.4 6.4m0-6.4-6.4 6.4';
const BLOCK = <rect x="2.5" y="2.5" width="7" height="7" fill="currentColor" />;

/** Shape and colour both say it: nobody has to tell red from green. */
const SHAPES: Record<LoopState, [JSX.Element, string]> = {
  exploring: [ring('2.1 2.1'), 'running'],
  running: [
    <circle key="r" cx="6" cy="6" r="4" fill="currentColor" />,
    'running'
  ],
  analyzing: [
    <React.Fragment key="a">
      {ring()}
      <path d="M6 2a4 4 0 0 1 0 8z" fill="currentColor" />
    </React.Fragment>,
    'running'
  ],
  confirming: [
    <React.Fragment key="c">
      {ring()}
      {line('m4 6.2 1.5 1.5L8.2 4.6', 1.3)}
    </React.Fragment>,
    'running'
  ],
  paused: [line('M4 2.5v7M8 2.5v7', 2), 'paused'],
  asking: [
    <React.Fragment key="q">
      <path d="M6 1 11.5 11h-11z" fill="currentColor" />
      <path className="rg-glyph-mark" d="M6 4v2.8M6 8.7v.2" />
    </React.Fragment>,
    'warning'
  ],
  waiting: [
    <React.Fragment key="w">
      {ring()}
      {line('M6 3.6V6l1.8 1', 1.2)}
    </React.Fragment>,
    'warning'
  ],
  complete: [line(CHECK), 'finished'],
  budget: [
    <React.Fragment key="b">
      {BLOCK}
      <path d="M11 1.5v9" stroke="currentColor" strokeWidth="1.3" />
    </React.Fragment>,
    'stopped'
  ],
  stopped: [BLOCK, 'stopped'],
  failed: [line(CROSS), 'failed']
};

function Drawn(props: {
  shape: JSX.Element;
  colour: string;
  word: string;
}): JSX.Element {
  return (
    <span className={`rg-glyph rg-is-${props.colour}`} title={props.word}>
      <svg
        viewBox="0 0 12 12"
        width="12"
        height="12"
        aria-hidden="true"
        focusable="false"
      >
        {props.shape}
      </svg>
      <span className="rg-unseen">{props.word}</span>
    </span>
  );
}

export function LoopGlyph({ state }: { state: LoopState }): JSX.Element {
  const { trans } = useHost();
  const [shape, colour] = SHAPES[state];
  return <Drawn shape={shape} colour={colour} word={stateWord(state, trans)} />;
}

const VERDICTS: Record<Verdict['verdict'], [JSX.Element, string]> = {
  confirmed: [line(CHECK), 'finished'],
  'not distinguishable': [
    line('M2 6c1.3-2 2.7-2 4 0s2.7 2 4 0', 1.5),
    'stopped'
  ],
  worse: [line('M6 2v7.5M2.8 6.4 6 9.6l3.2-3.2', 1.6), 'failed'],
  unconfirmed: [ring('2.1 2.1'), 'stopped'],
  void: [line(CROSS), 'stopped']
};

export function VerdictGlyph({
  word
}: {
  word: Verdict['verdict'];
}): JSX.Element {
  const { trans } = useHost();
  const [shape, colour] = VERDICTS[word] ?? VERDICTS.unconfirmed;
  return (
    <Drawn shape={shape} colour={colour} word={verdictWord(word, trans)} />
  );
}

const WHO: Record<Entry['by'], IconName> = {
  human: 'person',
  rule: 'rule',
  model: 'spark',
  engine: 'gear'
};

export function ByGlyph({ by }: { by: Entry['by'] }): JSX.Element {
  const { trans } = useHost();
  const word = byWord(by, trans);
  return (
    <span className={`rg-glyph rg-by-${by}`} title={word}>
      <Icon name={WHO[by] ?? 'gear'} />
      <span className="rg-unseen">{word}</span>
    </span>
  );
}
