import * as React from 'react';
import { useDoing, useHost } from '../../hooks';
import type { Session, UserMessage } from '../../wire';
import { IconButton } from '../Icon';
import { Notice } from '../Notice';
import { useRoom } from './room';

/** Messages that wait for the answer to end: to read, change, drop and put in order. */
export function Queue({ session }: { session: Session }): JSX.Element | null {
  const { desk, trans } = useHost();
  const { model } = useRoom();
  const doing = useDoing();
  const [editing, setEditing] = React.useState<string | null>(null);
  const { queue } = session;
  const order = queue.map(message => message.id);
  const change = (next: string[], texts: Record<string, string> = {}) =>
    doing.run(async () => {
      await desk.api.queue(session.id, { order: next, texts });
      model?.caughtUp();
    });
  const move = (i: number, by: number) => {
    const next = [...order];
    const [id] = next.splice(i, 1);
    next.splice(Math.max(0, Math.min(order.length - 1, i + by)), 0, id);
    change(next);
  };
  if (!queue.length) {
    return null;
  }
  return (
    <section className="rg-queue" aria-label={trans.__('Queued messages')}>
      <p className="rg-dim">
        {trans._n(
          '%1 message is sent when this answer ends',
          '%1 messages are sent, one by one, when this answer ends',
          queue.length
        )}
      </p>
      <ol>
        {queue.map((message, i) => (
          <li
            key={message.id}
            onKeyDown={event => {
              if (event.altKey && /^Arrow(Up|Down)$/.test(event.key)) {
                event.preventDefault();
                move(i, event.key === 'ArrowUp' ? -1 : 1);
              }
            }}
          >
            {editing === message.id ? (
              <Edit
                message={message}
                onDone={text => {
                  setEditing(null);
                  if (text !== null && text !== message.text) {
                    change(order, { [message.id]: text });
                  }
                }}
              />
            ) : (
              <button
                type="button"
                className="rg-queue-text rg-name"
                title={trans.__('Change this message')}
                onClick={() => setEditing(message.id)}
              >
                {message.shown || message.text}
              </button>
            )}
            <span className="rg-queue-verbs">
              {queue.length > 1 && (
                <>
                  <IconButton
                    icon="up"
                    label={trans.__('Send earlier')}
                    disabled={i === 0 || doing.busy}
                    onClick={() => move(i, -1)}
                  />
                  <IconButton
                    icon="down"
                    label={trans.__('Send later')}
                    disabled={i === queue.length - 1 || doing.busy}
                    onClick={() => move(i, 1)}
                  />
                </>
              )}
              <IconButton
                icon="close"
                label={trans.__('Do not send')}
                disabled={doing.busy}
                onClick={() => change(order.filter(id => id !== message.id))}
              />
            </span>
          </li>
        ))}
      </ol>
      {doing.error && <Notice error={doing.error} onClose={doing.clear} />}
    </section>
  );
}

function Edit(props: {
  message: UserMessage;
  onDone: (text: string | null) => void;
}): JSX.Element {
  const { trans } = useHost();
  const [text, setText] = React.useState(props.message.text);
  return (
    <textarea
      className="rg-input"
      rows={2}
      autoFocus
      aria-label={trans.__('Queued message')}
      value={text}
      onChange={event => setText(event.target.value)}
      onBlur={() => props.onDone(text.trim() || null)}
      onKeyDown={event => {
        if (event.nativeEvent.isComposing || event.keyCode === 229) {
          return;
        }
        if (event.key === 'Enter' && !event.shiftKey) {
          event.preventDefault();
          props.onDone(text.trim() || null);
        } else if (event.key === 'Escape') {
          event.stopPropagation();
          props.onDone(null);
        }
      }}
    />
  );
}
