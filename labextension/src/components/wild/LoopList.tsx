import * as React from 'react';
import { ago, duration, moment } from '../../format';
import { useHost, useLoops, useNow } from '../../hooks';
import { elapsedSeconds, isOver, stateOf } from '../../models/wild';
import { stateWord } from '../../models/wildwords';
import { LoopGlyph } from './LoopGlyph';

const FIRST = 10;

/** Other loops: those that live first, then those of before. */
export function LoopList({ but }: { but: string }): JSX.Element | null {
  const { panel, trans } = useHost();
  const loops = useLoops().filter(loop => loop.id !== but);
  const [room, setRoom] = React.useState(FIRST);
  const now = useNow();
  if (!loops.length) {
    return null;
  }
  return (
    <section className="rg-wild-part" aria-label={trans.__('Other loops')}>
      <h3>{trans.__('Other loops')}</h3>
      <ul className="rg-loops">
        {loops.slice(0, room).map(loop => {
          const state = stateOf(loop);
          const at = loop.ended_at ?? loop.created_at;
          return (
            <li key={loop.id}>
              <button
                type="button"
                className="rg-loop"
                title={loop.goal}
                onClick={() => panel.openLoop(loop.id)}
              >
                <LoopGlyph state={state} />
                <span className="rg-name">{loop.goal}</span>
                <span className="rg-dim rg-loop-word">
                  {isOver(loop)
                    ? trans.__('after %1', duration(elapsedSeconds(loop, now)))
                    : stateWord(state, trans)}
                </span>
                <time className="rg-dim rg-figure" title={moment(at)}>
                  {ago(at, now, trans)}
                </time>
              </button>
            </li>
          );
        })}
      </ul>
      {loops.length > room && (
        <button
          type="button"
          className="rg-link"
          onClick={() => setRoom(room + 50)}
        >
          {trans.__('Show %1 more', Math.min(50, loops.length - room))}
        </button>
      )}
    </section>
  );
}
