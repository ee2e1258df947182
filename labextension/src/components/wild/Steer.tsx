import * as React from 'react';
import { useDoing, useHost } from '../../hooks';
import { saidAndWaiting } from '../../models/wild';
import type { Loop } from '../../wire';
import { IconButton } from '../Icon';
import { Notice } from '../Notice';

const EXAMPLE = 'Keep batch_size at 128';

/** Words for the loop, at any time. What was said and is not yet decided about stands below. */
export function Steer({ loop }: { loop: Loop }): JSX.Element {
  const { wild, trans, enterSends } = useHost();
  const { busy, error, run: doing, clear } = useDoing();
  const [text, setText] = React.useState('');
  // One id for one text: sent again after a lost answer it is heard once.
  const request = React.useRef('');
  const id = React.useId();
  const queued = saidAndWaiting(loop);
  const now = loop.current?.kind === 'human' ? loop.current : null;
  const send = () => {
    const said = text.trim();
    if (!said || busy) {
      return;
    }
    request.current ||=
      crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
    doing(async () => {
      wild.put(await wild.api.steer(loop.id, said, request.current));
      wild.loops.flush();
      request.current = '';
      setText('');
    });
  };
  return (
    <form
      className="rg-steer"
      onSubmit={event => {
        event.preventDefault();
        send();
      }}
    >
      <label htmlFor={id}>{trans.__('Steer')}</label>
      <div className="rg-steer-box">
        <textarea
          id={id}
          className="rg-input"
          rows={Math.min(6, Math.max(1, text.split('\n').length))}
          placeholder={EXAMPLE}
          value={text}
          onChange={event => {
            request.current = '';
            setText(event.target.value);
          }}
          onKeyDown={event => {
            const composing =
              event.nativeEvent.isComposing || event.keyCode === 229;
            const plain = !event.shiftKey && enterSends();
            const held = event.ctrlKey || event.metaKey;
            if (event.key === 'Enter' && !composing && (plain || held)) {
              event.preventDefault();
              send();
            }
          }}
        />
        <IconButton
          icon="send"
          label={trans.__('Say it to the loop')}
          disabled={busy || !text.trim()}
          onClick={send}
        />
      </div>
      {(queued.length > 0 || now) && (
        <ul className="rg-said" aria-label={trans.__('Said, not yet decided')}>
          {now && (
            <li>
              <span className="rg-tag">{trans.__('being decided')}</span>{' '}
              <span className="rg-wild-text">{now.text}</span>
            </li>
          )}
          {queued.map(event => (
            <li key={event.id}>
              <span className="rg-tag">{trans.__('waits its turn')}</span>{' '}
              <span className="rg-wild-text">{event.text}</span>
            </li>
          ))}
        </ul>
      )}
      {error && <Notice error={error} onClose={clear} />}
    </form>
  );
}
