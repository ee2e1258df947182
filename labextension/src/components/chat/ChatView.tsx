import * as React from 'react';
import {
  useHost,
  useOffer,
  usePanel,
  useSessions,
  useSignal
} from '../../hooks';
import { Room, type RoomView } from '../../models/chatroom';
import type { Session, Turn } from '../../wire';
import { IconButton } from '../Icon';
import { Notice } from '../Notice';
import { Composer } from './Composer';
import { Provenance } from './Provenance';
import { made, RoomContext, type RoomHandle } from './room';
import { Rename, SessionList, SessionMenu, titleOf } from './SessionList';
import { Stream } from './Stream';

/** The Chat tab: the list of chats beside the open one, or, where there is no room for both, in its place. */
export function ChatView({ wide }: { wide: boolean }): JSX.Element {
  const { trans } = useHost();
  const { chats, chat } = usePanel();
  const key = useComposerKey(chat);
  return (
    <div className={`rg-chat${wide ? ' rg-chat-wide' : ''}`}>
      {(wide || chats) && <SessionList />}
      {(wide || !chats) && (
        <section className="rg-room" aria-label={trans.__('Chat')}>
          <OpenChat chat={chat} wide={wide} composerKey={key} />
        </section>
      )}
    </div>
  );
}

/** What is typed and attached stays when a new chat becomes one that is there. */
function useComposerKey(chat: string | null): string {
  const held = React.useRef({ chat, key: 0 });
  const { current } = held;
  if (current.chat !== chat) {
    const born = current.chat === null && chat !== null && made.has(chat);
    held.current = { chat, key: born ? current.key : current.key + 1 };
  }
  return String(held.current.key);
}

const NO_VIEW: RoomView = {
  phase: 'ready',
  chat: null,
  error: null,
  loadingOlder: false
};
const noChange = { connect: () => true, disconnect: () => true };

function useRoomOf(chat: string | null): [Room | null, RoomView] {
  const { desk } = useHost();
  const room = React.useMemo(
    () => (chat === null ? null : new Room(desk, chat)),
    [desk, chat]
  );
  React.useEffect(() => {
    room?.start();
    return () => room?.stop();
  }, [room]);
  const view = useSignal(
    (room?.changed ?? noChange) as Room['changed'],
    React.useCallback(() => room?.view() ?? NO_VIEW, [room])
  );
  return [room, view];
}

function OpenChat(props: {
  chat: string | null;
  wide: boolean;
  composerKey: string;
}): JSX.Element {
  const { panel, trans } = useHost();
  const { chat, wide } = props;
  const [model, view] = useRoomOf(chat);
  const sessions = useSessions();
  const listed = sessions.find(one => one.id === chat) ?? null;
  const session = view.chat?.session ?? listed;
  const [editing, setEditing] = React.useState<Turn | null>(null);
  const [shown, setShown] = React.useState<Turn | null>(null);
  const ask = React.useRef<((text: string, retry: string) => void) | null>(
    null
  );
  React.useEffect(() => {
    setEditing(null);
    setShown(null);
  }, [chat]);
  const handle = React.useMemo<RoomHandle>(
    () => ({
      model,
      editTurn: setEditing,
      retryTurn: turn => ask.current?.(turn.message.text, turn.id),
      showProvenance: setShown
    }),
    [model]
  );
  return (
    <RoomContext.Provider value={handle}>
      <Head session={session} wide={wide} />
      {shown ? (
        <Provenance turn={shown} onClose={() => setShown(null)} />
      ) : chat === null ? (
        <Starters onPick={text => ask.current?.(text, '')} />
      ) : view.phase === 'failed' && !view.chat && view.error ? (
        <div className="rg-stream-box">
          <Notice error={view.error} onRetry={() => void model?.load()} />
          {view.error.status === 404 && (
            <button
              type="button"
              className="rg-button rg-alone"
              onClick={() => panel.openChat(null)}
            >
              {trans.__('New chat')}
            </button>
          )}
        </div>
      ) : view.chat ? (
        view.chat.turns.length ? (
          <>
            {view.error && (
              <Notice
                error={view.error}
                lead={trans.__('What you see is old.')}
                onRetry={() => void model?.load()}
              />
            )}
            <Stream key={chat} view={view} chat={view.chat} />
          </>
        ) : (
          <Starters
            about={view.chat.session}
            onPick={text => ask.current?.(text, '')}
          />
        )
      ) : (
        <div className="rg-stream-box" aria-busy="true" />
      )}
      <Composer
        key={props.composerKey}
        session={chat === null ? null : session}
        chat={chat}
        editing={editing}
        onEdited={() => setEditing(null)}
        asked={ask}
      />
    </RoomContext.Provider>
  );
}

function Head(props: { session: Session | null; wide: boolean }): JSX.Element {
  const { panel, trans } = useHost();
  const { session, wide } = props;
  const [renaming, setRenaming] = React.useState(false);
  return (
    <header className="rg-head rg-chat-head">
      {!wide && (
        <IconButton
          icon="list"
          label={trans.__('All chats')}
          onClick={() => panel.set({ chats: true })}
        />
      )}
      {session && renaming ? (
        <Rename session={session} onDone={() => setRenaming(false)} />
      ) : (
        <h2
          title={session ? titleOf(session, trans) : undefined}
          onDoubleClick={() => setRenaming(session !== null)}
        >
          {session ? titleOf(session, trans) : trans.__('New chat')}
        </h2>
      )}
      {session && (
        <SessionMenu session={session} onRename={() => setRenaming(true)} />
      )}
      {session && (
        <IconButton
          icon="plus"
          label={trans.__('New chat')}
          onClick={() => panel.openChat(null)}
        />
      )}
    </header>
  );
}

/** An empty chat teaches in three lines and offers what most people ask first. */
function Starters(props: {
  about?: Session;
  onPick: (text: string) => void;
}): JSX.Element {
  const { desk, project, trans } = useHost();
  const offer = useOffer();
  const { options } = offer;
  const about = props.about?.about ?? {};
  const run = about.run ? project.runs.get(about.run) : undefined;
  const alert = about.alert ? project.alerts.get(about.alert) : undefined;
  if (offer.phase === 'failed' && offer.error && !options) {
    return (
      <div className="rg-stream-box">
        <Notice error={offer.error} onRetry={() => void desk.load()} />
      </div>
    );
  }
  return (
    <div className="rg-stream-box rg-starters">
      {alert || run ? (
        <p className="rg-empty-title">
          {alert
            ? trans.__('About the alert: %1', alert.title)
            : trans.__('About %1', run!.alias || run!.name || run!.id)}
        </p>
      ) : (
        <p className="rg-empty-title">{trans.__('Ask about your runs')}</p>
      )}
      <p className="rg-dim">
        {alert || run
          ? trans.__(
              'Its figures, its log and what it was started with are attached to what you ask.'
            )
          : trans.__(
              'The answer is computed from what your runs have logged, and says which run a number is from.'
            )}
      </p>
      <p className="rg-dim">
        {trans.__(
          'It asks before it changes a file or runs anything. It goes on when you close this tab.'
        )}
      </p>
      <ul>
        {options?.starters.map(starter => (
          <li key={starter.label}>
            <button
              type="button"
              className="rg-button"
              onClick={() => props.onPick(starter.text)}
            >
              {starter.label}
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
