import * as React from 'react';
import { duration } from '../../format';
import {
  useHost,
  useLoopNow,
  useLoopReply,
  usePanel,
  useSignal
} from '../../hooks';
import { elapsedSeconds, metersOf, stateOf } from '../../models/wild';
import { amount, meterWord, money, stateWord } from '../../models/wildwords';
import type { Loop } from '../../wire';
import { LoopGlyph } from './LoopGlyph';

/** The banner in one line, on every tab but its own, while a loop lives. */
export function WildLine(): JSX.Element | null {
  const { wild } = useHost();
  const { tab, run, form } = usePanel();
  const loop = useSignal(wild.loops.changed, wild.living);
  const itself = tab === 'wild' && run === null && !form;
  return loop && !itself ? <Line loop={loop} /> : null;
}

function Line({ loop }: { loop: Loop }): JSX.Element {
  const { panel, trans } = useHost();
  const reply = useLoopReply(loop.id);
  const now = useLoopNow(1000);
  const state = stateOf(loop);
  const meters = metersOf(loop, now).filter(meter => meter.name !== 'hours');
  const runs = meters.find(meter => meter.name === 'runs');
  const tight = meters.find(meter => meter.near && meter.name !== 'runs');
  const parts = loop.question
    ? []
    : [
        loop.iteration > 0 && trans.__('iteration %1', loop.iteration),
        runs &&
          (runs.limit === null
            ? trans._n('%1 run', '%1 runs', runs.used ?? 0)
            : trans.__(
                '%1 of %2 runs',
                amount('runs', runs.used),
                amount('runs', runs.limit)
              )),
        loop.spent.cost_usd !== null && money(loop.spent.cost_usd),
        tight &&
          trans.__(
            '%1: %2 of %3',
            meterWord(tight.name, trans),
            amount(tight.name, tight.used),
            amount(tight.name, tight.limit)
          ),
        reply !== undefined &&
          reply.alerts > 0 &&
          trans._n('%1 alert', '%1 alerts', reply.alerts)
      ].filter(Boolean);
  return (
    <button
      type="button"
      className={`rg-wild-line rg-wild-${state}`}
      title={loop.goal}
      onClick={() => panel.openLoop(loop.id)}
    >
      <LoopGlyph state={state} />
      <span className="rg-strong rg-fixed">{trans.__('Wild')}</span>
      <span className="rg-name">
        {[loop.question?.text ?? stateWord(state, trans), ...parts].join(' · ')}
      </span>
      <span className="rg-figure rg-fixed rg-wild-elapsed">
        {duration(Math.floor(elapsedSeconds(loop, now)))}
      </span>
    </button>
  );
}

/** From a run or a sweep to the loop it belongs to. */
export function LoopLink({ id }: { id: string }): JSX.Element {
  const { wild, panel } = useHost();
  const loop = useSignal(
    wild.loops.changed,
    React.useCallback(() => wild.loops.get(id), [wild, id])
  );
  return (
    <button
      type="button"
      className="rg-link rg-ref"
      title={loop?.goal}
      onClick={() => panel.openLoop(id)}
    >
      {loop?.goal ?? id}
    </button>
  );
}
