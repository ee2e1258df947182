import * as React from 'react';
import { useDoing, useHost } from '../../hooks';
import { queueOf } from '../../models/wild';
import { eventWord } from '../../models/wildwords';
import type { Loop, LoopEvent } from '../../wire';
import { Icon, IconButton } from '../Icon';
import { Notice } from '../Notice';
import { Ref } from './Ref';

const FIRST = 12;

/** What it will decide about, in that order: dragged, or moved with Alt and the arrows; dropped with Delete. */
export function QueueView({ loop }: { loop: Loop }): JSX.Element | null {
  const { wild, trans } = useHost();
  const { busy, error, run: doing, clear } = useDoing();
  const [all, setAll] = React.useState(false);
  const [dragged, setDragged] = React.useState<string | null>(null);
  const [over, setOver] = React.useState<string | null>(null);
  const [said, setSaid] = React.useState('');
  const box = React.useRef<HTMLOListElement>(null);
  const queue = queueOf(loop);
  const order = queue.map(event => event.id);
  const shown = all ? queue : queue.slice(0, FIRST);
  const change = (next: string[], drop: string[] = []) =>
    doing(async () => {
      wild.put(await wild.api.queue(loop.id, { order: next, drop }));
      wild.loops.flush();
    });
  const place = (id: string, to: number) => {
    const at = Math.max(0, Math.min(order.length - 1, to));
    const next = order.filter(one => one !== id);
    next.splice(at, 0, id);
    if (next.join() !== order.join()) {
      setSaid(trans.__('Now number %1 of %2', at + 1, order.length));
      change(next);
    }
  };
  const drop = (event: LoopEvent) => {
    setSaid(trans.__('Dropped'));
    box.current?.focus();
    change(
      order.filter(id => id !== event.id),
      [event.id]
    );
  };
  if (!queue.length && !loop.current) {
    return null;
  }
  return (
    <section
      className="rg-wild-part"
      aria-label={trans.__('Waiting to be decided')}
    >
      <h3>
        {trans.__('Queue')}{' '}
        <span className="rg-dim rg-figure">
          {trans._n('%1 waits', '%1 wait', queue.length)}
        </span>
      </h3>
      {loop.current && (
        <p className="rg-event rg-event-now">
          <span className="rg-tag">{trans.__('now')}</span>
          <EventLine event={loop.current} />
        </p>
      )}
      <ol
        ref={box}
        className="rg-events"
        tabIndex={-1}
        onDragLeave={() => setOver(null)}
      >
        {shown.map((event, i) => (
          <li
            key={event.id}
            className={`rg-event${over === event.id ? ' rg-drop-here' : ''}`}
            draggable={queue.length > 1 && !busy}
            onDragStart={drag => {
              drag.dataTransfer.effectAllowed = 'move';
              drag.dataTransfer.setData('text/plain', event.id);
              setDragged(event.id);
            }}
            onDragEnd={() => {
              setDragged(null);
              setOver(null);
            }}
            onDragOver={drag => {
              if (dragged) {
                drag.preventDefault();
                setOver(event.id);
              }
            }}
            onDrop={drag => {
              drag.preventDefault();
              setOver(null);
              if (dragged && dragged !== event.id) {
                place(dragged, i);
              }
            }}
            onKeyDown={key => {
              if (key.altKey && /^Arrow(Up|Down)$/.test(key.key)) {
                key.preventDefault();
                place(event.id, key.key === 'ArrowUp' ? i - 1 : i + 1);
              } else if (key.key === 'Delete') {
                key.preventDefault();
                drop(event);
              }
            }}
          >
            {queue.length > 1 && (
              <span className="rg-grip" aria-hidden="true">
                <Icon name="grip" />
              </span>
            )}
            <EventLine event={event} />
            <span className="rg-event-verbs">
              {queue.length > 1 && (
                <>
                  <IconButton
                    icon="up"
                    label={trans.__('Decide earlier')}
                    disabled={busy || i === 0}
                    onClick={() => place(event.id, i - 1)}
                  />
                  <IconButton
                    icon="down"
                    label={trans.__('Decide later')}
                    disabled={busy || i === queue.length - 1}
                    onClick={() => place(event.id, i + 1)}
                  />
                </>
              )}
              <IconButton
                icon="close"
                label={trans.__('Do not decide about this')}
                disabled={busy}
                onClick={() => drop(event)}
              />
            </span>
          </li>
        ))}
      </ol>
      {shown.length < queue.length && (
        <button type="button" className="rg-link" onClick={() => setAll(true)}>
          {trans.__('Show %1 more', queue.length - shown.length)}
        </button>
      )}
      <span className="rg-unseen" role="status">
        {said}
      </span>
      {error && <Notice error={error} onClose={clear} />}
    </section>
  );
}

function EventLine({ event }: { event: LoopEvent }): JSX.Element {
  const { trans } = useHost();
  return (
    <span className="rg-event-line rg-wild-text">
      <span className={`rg-dim rg-event-${event.kind}`}>
        {eventWord(event, trans)}
      </span>{' '}
      {event.text || (event.ref && <Ref id={event.ref} />)}
      {event.tries > 0 && (
        <span className="rg-dim">
          {' '}
          {trans._n('%1 try so far', '%1 tries so far', event.tries)}
        </span>
      )}
    </span>
  );
}
