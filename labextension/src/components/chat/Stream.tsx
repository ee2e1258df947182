import * as React from 'react';
import { moment } from '../../format';
import { useDoing, useHost, useNow } from '../../hooks';
import {
  superseded,
  TURN_OVER,
  waitingFor,
  type Chat,
  type Part
} from '../../models/chat';
import type { RoomView } from '../../models/chatroom';
import type { Turn } from '../../wire';
import { Icon } from '../Icon';
import { Notice } from '../Notice';
import { plainName } from './Parts';
import { useRoom } from './room';
import { TurnView } from './TurnView';

/** So many parts are drawn when a chat is opened, and so many more each time one goes up to older ones. */
const FIRST = 100;
const MORE = 200;
const NEAR_PX = 48;
const NONE: readonly Part[] = [];

/** The oldest part that is drawn: its turn's number and its place in it. */
interface Edge {
  n: number;
  from: number;
}

/** Goes back over `count` parts from an edge. */
export function edgeBefore(
  chat: Chat,
  turns: readonly Turn[],
  edge: Edge | null,
  count: number
): Edge {
  let left = count;
  for (let i = turns.length - 1; i >= 0; i--) {
    const { n, id } = turns[i];
    if (edge && n > edge.n) {
      continue;
    }
    const length =
      edge && n === edge.n ? edge.from : (chat.parts[id] ?? NONE).length + 1;
    if (length >= left) {
      return { n, from: Math.max(0, length - left) };
    }
    left -= length;
  }
  return { n: turns[0]?.n ?? 1, from: 0 };
}

/** The conversation. It follows its end only while the reader is there. */
export function Stream(props: { view: RoomView; chat: Chat }): JSX.Element {
  const { trans } = useHost();
  const { model } = useRoom();
  const { chat, view } = props;
  const box = React.useRef<HTMLDivElement>(null);
  const inner = React.useRef<HTMLDivElement>(null);
  const stuck = React.useRef(true);
  const top = React.useRef(0);
  const [away, setAway] = React.useState(false);
  const gone = React.useMemo(() => superseded(chat.turns), [chat.turns]);
  const [openGone, setOpenGone] = React.useState(false);
  const turns = React.useMemo(
    () => (openGone ? chat.turns : chat.turns.filter(t => !gone.has(t.id))),
    [chat.turns, gone, openGone]
  );
  const [edge, setEdge] = React.useState<Edge>(() =>
    edgeBefore(chat, turns, null, FIRST)
  );
  const drawn = turns.filter(turn => turn.n >= edge.n);
  const hidden = turns.length > drawn.length || edge.from > 0 || chat.more;

  // Going up keeps what is being read where it is.
  const below = React.useRef<number | null>(null);
  const earlier = React.useCallback(() => {
    const { current } = box;
    if (current && below.current === null) {
      below.current = current.scrollHeight - current.scrollTop;
    }
    const first = turns[0];
    if (chat.more && first && edge.n <= first.n && edge.from === 0) {
      void model?.older();
    } else {
      setEdge(edgeBefore(chat, turns, edge, MORE));
    }
  }, [chat, turns, edge, model]);
  const oldest = chat.turns[0]?.n ?? 0;
  const before = React.useRef(oldest);
  React.useEffect(() => {
    if (oldest < before.current) {
      setEdge(edgeBefore(chat, turns, edge, MORE));
    }
    before.current = oldest;
  }, [oldest]);
  React.useLayoutEffect(() => {
    const { current } = box;
    if (current && below.current !== null && !view.loadingOlder) {
      current.scrollTop = current.scrollHeight - below.current;
      below.current = null;
    }
  }, [edge, view.loadingOlder]);

  const toEnd = React.useCallback(() => {
    const { current } = box;
    stuck.current = true;
    setAway(false);
    if (current) {
      current.scrollTop = current.scrollHeight;
    }
  }, []);
  React.useLayoutEffect(() => {
    toEnd();
    const seen = new ResizeObserver(() => {
      const { current } = box;
      if (current && stuck.current) {
        current.scrollTop = current.scrollHeight;
      }
    });
    seen.observe(inner.current!);
    seen.observe(box.current!);
    return () => seen.disconnect();
  }, [toEnd]);
  const onScroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = box.current!;
    const near = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    // What grows below moves the end away from a reader who has done nothing: only going up leaves it.
    const up = scrollTop < top.current - 1;
    top.current = scrollTop;
    if (near || up) {
      stuck.current = near;
      setAway(!near);
    }
    if (scrollTop < 80 && hidden && !stuck.current && !view.loadingOlder) {
      earlier();
    }
  };
  // One's own message is what one wants to see.
  const newest = turns[turns.length - 1];
  const last = React.useRef(newest?.id);
  React.useLayoutEffect(() => {
    if (newest && newest.id !== last.current) {
      last.current = newest.id;
      toEnd();
    }
  }, [newest?.id, toEnd]);

  return (
    <div className="rg-stream-box">
      <div
        className="rg-stream"
        ref={box}
        onScroll={onScroll}
        tabIndex={0}
        role="log"
        aria-live="off"
        aria-label={trans.__('Conversation')}
      >
        <div ref={inner} className="rg-stream-in">
          {hidden && (
            <button
              type="button"
              className="rg-link rg-dim rg-earlier"
              onClick={earlier}
            >
              {view.loadingOlder
                ? trans.__('Reading earlier messages…')
                : trans.__('Show earlier messages')}
            </button>
          )}
          {gone.size > 0 && (
            <button
              type="button"
              className="rg-link rg-dim rg-earlier"
              aria-expanded={openGone}
              onClick={() => setOpenGone(!openGone)}
            >
              {openGone
                ? trans.__('Fold away what was asked anew')
                : trans._n(
                    '%1 message was asked anew and is folded away',
                    '%1 messages were asked anew and are folded away',
                    gone.size
                  )}
            </button>
          )}
          {drawn.map(turn => (
            <TurnView
              key={turn.id}
              turn={turn}
              parts={chat.parts[turn.id] ?? NONE}
              from={turn.n === edge.n ? Math.max(0, edge.from - 1) : 0}
              newest={turn === newest}
              now={null}
            />
          ))}
          <Working chat={chat} />
        </div>
      </div>
      {away && (
        <button type="button" className="rg-button rg-to-end" onClick={toEnd}>
          <Icon name="down" /> {trans.__('Jump to latest')}
        </button>
      )}
      <Announcer chat={chat} />
    </div>
  );
}

/** What goes on, at the end of the stream: one line, and what can be done about it. */
function Working({ chat }: { chat: Chat }): JSX.Element | null {
  const { desk, trans } = useHost();
  const { model } = useRoom();
  const { session } = chat;
  const now = useNow(1000);
  const doing = useDoing();
  const turn = chat.turns.find(one => one.id === session.turn);
  if (session.status === 'idle' || session.status === 'failed' || !turn) {
    return null;
  }
  if (session.status === 'waiting_api') {
    const wake = session.wake_at;
    const tryNow = () =>
      doing.run(async () => {
        await desk.api.tryNow(session.id);
        model?.caughtUp();
      });
    return (
      <div className="rg-said rg-said-warning" role="note">
        <p>
          {session.note || trans.__('The model does not answer at the moment.')}{' '}
          {wake !== null && (
            <span title={moment(wake)}>
              {wake > now
                ? trans.__('It is asked again in %1.', countdown(wake - now))
                : trans.__('It is asked again now.')}
            </span>
          )}
        </p>
        <div className="rg-buttons">
          <button
            type="button"
            className="rg-button rg-quiet"
            disabled={doing.busy}
            onClick={tryNow}
          >
            {trans.__('Try now')}
          </button>
        </div>
        {doing.error && <Notice error={doing.error} onClose={doing.clear} />}
      </div>
    );
  }
  if (session.status === 'waiting') {
    const [first] = waitingFor(chat);
    return first ? null : (
      <p className="rg-dim rg-working">{trans.__('Waits for you.')}</p>
    );
  }
  const parts = chat.parts[turn.id] ?? NONE;
  const end = parts[parts.length - 1];
  const writing =
    end &&
    end.type !== 'notice' &&
    (end.status === 'streaming' ||
      end.status === 'running' ||
      end.status === 'writing');
  return writing && !session.note ? null : (
    <p className="rg-dim rg-working">
      <span className="rg-dots" aria-hidden="true" />
      {session.note || trans.__('Working')}
    </p>
  );
}

function countdown(seconds: number): string {
  const s = Math.ceil(seconds);
  return s < 60
    ? `${s} s`
    : s < 3600
      ? `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, '0')} s`
      : `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

/** Says in sentences what a sighted person sees happen: not each word, but that it began, asks, ended. */
function Announcer({ chat }: { chat: Chat }): JSX.Element {
  const { trans } = useHost();
  const turn = chat.turns[chat.turns.length - 1];
  const parts = turn ? (chat.parts[turn.id] ?? NONE) : NONE;
  const [asked] = waitingFor(chat);
  const tool = [...parts]
    .reverse()
    .find(part => part.type === 'tool' && part.status === 'running');
  const key = asked
    ? `ask ${asked.id}`
    : tool
      ? `tool ${tool.id}`
      : `${turn?.id} ${turn?.status}`;
  const first = React.useRef(key);
  const [said, setSaid] = React.useState('');
  React.useEffect(() => {
    if (key === first.current || !turn) {
      return;
    }
    first.current = '';
    setSaid(
      asked?.approval
        ? trans.__('ragent asks: %1', asked.approval.shows.title)
        : tool?.type === 'tool'
          ? trans.__('ragent: %1', tool.title || plainName(tool.name))
          : !TURN_OVER.has(turn.status)
            ? turn.status === 'waiting_api'
              ? trans.__('ragent waits for the model.')
              : trans.__('ragent is answering.')
            : turn.status === 'done'
              ? trans.__('The answer is complete.')
              : turn.status === 'stopped'
                ? trans.__('The answer was stopped.')
                : trans.__(
                    'The answer failed: %1',
                    turn.error?.problem ?? turn.note
                  )
    );
  }, [key]);
  return (
    <span className="rg-unseen" role="status">
      {said}
    </span>
  );
}
