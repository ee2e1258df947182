import * as React from 'react';
import { useHost, usePanel } from '../hooks';
import type { XAxis } from '../models/series';

/** What x counts, and whether y is logarithmic: each one click, the same for all charts of the panel. */
export function ChartTools(): JSX.Element {
  const { panel, trans } = useHost();
  const { x, log } = usePanel();
  const axes: [XAxis, string, string][] = [
    ['step', trans.__('Step'), trans.__('x counts training steps')],
    [
      'relative',
      trans.__('Since start'),
      trans.__('x is the time since the first point of each run')
    ],
    ['time', trans.__('Time'), trans.__('x is the time of day')]
  ];
  return (
    <div className="rg-chart-tools">
      <div className="rg-segments" role="group" aria-label={trans.__('x axis')}>
        {axes.map(([value, word, title]) => (
          <button
            key={value}
            type="button"
            title={title}
            aria-pressed={x === value}
            onClick={() => panel.set({ x: value })}
          >
            {word}
          </button>
        ))}
      </div>
      <div className="rg-segments" role="group" aria-label={trans.__('y axis')}>
        <button
          type="button"
          title={trans.__(
            'Logarithmic y axis; zero and below have no place on it'
          )}
          aria-pressed={log}
          onClick={() => panel.set({ log: !log })}
        >
          {trans.__('Log')}
        </button>
      </div>
    </div>
  );
}
