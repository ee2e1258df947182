import * as React from 'react';
import { ago, moment } from '../../format';
import {
  useDoing,
  useHost,
  useNow,
  useOffer,
  usePanel,
  useSessions
} from '../../hooks';
import { Beat } from '../../models/beat';
import { asApiError } from '../../models/chatdesk';
import type { Grant, Session } from '../../wire';
import type { Trans } from '../../words';
import { Icon, IconButton } from '../Icon';
import { Notice } from '../Notice';

export function sessionWord(status: Session['status'], trans: Trans): string {
  const words: Record<Session['status'], string> = {
    idle: '',
    streaming: trans.__('answering'),
    waiting: trans.__('waits for you'),
    waiting_api: trans.__('waits for the model'),
    failed: trans.__('failed')
  };
  return words[status];
}

const SIGNS: Record<Session['status'], string> = {
  idle: '',
  streaming: '●',
  waiting: '!',
  waiting_api: '◌',
  failed: '✕'
};

export const titleOf = (session: Session, trans: Trans) =>
  session.title || trans.__('New chat');

/** All chats, newest first: search them, open one, and what else can be done with each. */
export function SessionList(): JSX.Element {
  const { desk, panel, trans } = useHost();
  const { chat } = usePanel();
  const known = useSessions();
  const offer = useOffer();
  const now = useNow();
  const [q, setQ] = React.useState('');
  const [archived, setArchived] = React.useState(false);
  const [found, setFound] = React.useState<Session[] | null>(null);
  const doing = useDoing();

  // Without a wish the list is the live one; with one, the engine looks through the texts too.
  const asked = React.useRef({ q, archived });
  asked.current = { q, archived };
  const search = React.useMemo(
    () =>
      new Beat(() => {
        const wish = asked.current;
        if (!wish.q && !wish.archived) {
          setFound(null);
          return;
        }
        doing.run(async () => {
          const reply = await desk.api.sessions(wish.q, wish.archived);
          if (asked.current === wish) {
            setFound(reply.sessions);
          }
        });
      }, 250),
    [desk]
  );
  React.useEffect(() => {
    search.ring();
    return () => search.cancel();
  }, [q, archived, search]);

  const sessions = found ?? known;
  return (
    <section className="rg-sessions" aria-label={trans.__('Chats')}>
      <div className="rg-tools rg-sessions-tools">
        <input
          type="search"
          className="rg-input rg-search"
          placeholder={trans.__('Search chats')}
          aria-label={trans.__('Search chats')}
          value={q}
          onChange={event => setQ(event.target.value)}
        />
        <IconButton
          icon="archive"
          label={trans.__('Show archived chats')}
          pressed={archived}
          onClick={() => setArchived(!archived)}
        />
        <IconButton
          icon="plus"
          label={trans.__('New chat')}
          onClick={() => panel.openChat(null)}
        />
      </div>
      {doing.error && <Notice error={doing.error} onClose={doing.clear} />}
      {offer.phase === 'failed' && offer.error && (
        <Notice error={offer.error} onRetry={() => void desk.load()} />
      )}
      {sessions.length ? (
        <ul className="rg-session-lines">
          {sessions.map(session => (
            <Line
              key={session.id}
              session={session}
              open={session.id === chat}
              now={now}
            />
          ))}
        </ul>
      ) : (
        offer.phase !== 'failed' &&
        offer.phase !== 'loading' && (
          <p className="rg-empty rg-dim">
            {q
              ? trans.__('No chat holds these words.')
              : archived
                ? trans.__('No chat is archived.')
                : trans.__('No chats yet.')}
          </p>
        )
      )}
      <Grants />
    </section>
  );
}

/** What was allowed for good, or for a chat: to read, and to take back. */
function Grants(): JSX.Element {
  const { desk, trans } = useHost();
  const sessions = useSessions();
  const [grants, setGrants] = React.useState<Grant[] | null>(null);
  const doing = useDoing();
  const load = () => doing.run(async () => setGrants(await desk.api.grants()));
  return (
    <details
      className="rg-grants"
      onToggle={event => {
        if (event.currentTarget.open) {
          load();
        }
      }}
    >
      <summary className="rg-dim">{trans.__('Allowed without asking')}</summary>
      {doing.error && <Notice error={doing.error} onRetry={load} />}
      {grants?.length === 0 && (
        <p className="rg-dim">
          {trans.__('Nothing. ragent asks before each change.')}
        </p>
      )}
      <ul>
        {grants?.map(grant => {
          const chat = sessions.find(one => one.id === grant.session_id);
          return (
            <li key={grant.id}>
              <code className="rg-name" title={grant.pattern}>
                {grant.pattern}
              </code>
              <span className="rg-dim rg-name">
                {grant.session_id
                  ? trans.__(
                      'in %1',
                      chat ? titleOf(chat, trans) : grant.session_id
                    )
                  : trans.__('always')}
              </span>
              <button
                type="button"
                className="rg-button rg-quiet rg-small"
                disabled={doing.busy}
                aria-label={trans.__('Ask again before %1', grant.pattern)}
                onClick={() =>
                  doing.run(async () => {
                    await desk.api.revoke(grant.id);
                    setGrants(await desk.api.grants());
                  })
                }
              >
                {trans.__('Take back')}
              </button>
            </li>
          );
        })}
      </ul>
    </details>
  );
}

function Line(props: {
  session: Session;
  open: boolean;
  now: number;
}): JSX.Element {
  const { panel, trans } = useHost();
  const { session, open, now } = props;
  const word = sessionWord(session.status, trans);
  const [renaming, setRenaming] = React.useState(false);
  return (
    <li className={`rg-session${open ? ' rg-opened' : ''}`}>
      {renaming ? (
        <Rename session={session} onDone={() => setRenaming(false)} />
      ) : (
        <button
          type="button"
          className="rg-session-open"
          aria-current={open ? 'true' : undefined}
          onClick={() => panel.openChat(session.id)}
        >
          <span
            className={`rg-session-sign rg-session-${session.status.replace('_', '-')}`}
            title={word || undefined}
            aria-hidden="true"
          >
            {SIGNS[session.status]}
          </span>
          <span className="rg-name">{titleOf(session, trans)}</span>
          {word && <span className="rg-unseen">, {word}</span>}
          <time
            className="rg-dim rg-figure"
            dateTime={new Date(session.updated_at * 1000).toISOString()}
            title={moment(session.updated_at)}
          >
            {ago(session.updated_at, now, trans)}
          </time>
        </button>
      )}
      <SessionMenu session={session} onRename={() => setRenaming(true)} />
    </li>
  );
}

export function Rename(props: {
  session: Session;
  onDone: () => void;
}): JSX.Element {
  const { desk, trans } = useHost();
  const { session, onDone } = props;
  const [title, setTitle] = React.useState(session.title);
  const doing = useDoing();
  const left = React.useRef(false);
  const save = () => {
    if (left.current) {
      return;
    }
    left.current = true;
    const next = title.trim();
    if (!next || next === session.title) {
      onDone();
      return;
    }
    doing.run(async () => {
      desk.put(await desk.api.patch(session.id, { title: next }));
      desk.sessions.flush();
      onDone();
    });
  };
  return (
    <>
      <input
        className="rg-input"
        aria-label={trans.__('Title of the chat')}
        autoFocus
        maxLength={200}
        value={title}
        onChange={event => setTitle(event.target.value)}
        onBlur={save}
        onKeyDown={event => {
          if (event.nativeEvent.isComposing || event.keyCode === 229) {
            return;
          }
          if (event.key === 'Enter') {
            save();
          } else if (event.key === 'Escape') {
            event.stopPropagation();
            left.current = true;
            onDone();
          }
        }}
      />
      {doing.error && <Notice error={doing.error} onClose={onDone} />}
    </>
  );
}

/** What can be done with a chat: the same in the list and above the open one. */
export function SessionMenu(props: {
  session: Session;
  onRename: () => void;
}): JSX.Element {
  const { desk, panel, trans } = useHost();
  const { session, onRename } = props;
  const [open, setOpen] = React.useState(false);
  const [error, setError] = React.useState<ReturnType<
    typeof asApiError
  > | null>(null);
  const box = React.useRef<HTMLSpanElement>(null);
  const button = React.useRef<HTMLButtonElement>(null);
  const doing = (work: () => Promise<void>) => () => {
    setOpen(false);
    work().catch(refused => setError(asApiError(refused)));
  };
  React.useEffect(() => {
    if (!open) {
      return undefined;
    }
    box.current?.querySelector<HTMLElement>('.rg-pop button')?.focus();
    const away = (event: Event) => {
      if (!box.current?.contains(event.target as Node)) {
        setOpen(false);
      }
    };
    document.addEventListener('pointerdown', away, true);
    return () => document.removeEventListener('pointerdown', away, true);
  }, [open]);
  const give = (format: 'md' | 'ipynb') =>
    doing(async () => {
      const blob = await desk.api.exported(session.id, format);
      download(blob, `${fileName(titleOf(session, trans))}.${format}`);
    });
  const verbs: [string, () => void][] = [
    [
      trans.__('Rename'),
      () => {
        setOpen(false);
        onRename();
      }
    ],
    [
      trans.__('Fork'),
      doing(async () => {
        const made = await desk.api.create({ fork: session.id });
        desk.put(made);
        panel.openChat(made.id);
      })
    ],
    [trans.__('Export as Markdown'), give('md')],
    [trans.__('Export as notebook'), give('ipynb')],
    session.archived
      ? [
          trans.__('Bring back'),
          doing(async () => {
            desk.put(await desk.api.patch(session.id, { archived: false }));
          })
        ]
      : [
          trans.__('Archive'),
          doing(async () => {
            await desk.api.archive(session.id);
            desk.sessions.remove(session.id);
            if (panel.state().chat === session.id) {
              panel.openChat(null);
            }
          })
        ]
  ];
  return (
    <span
      ref={box}
      className="rg-menu"
      onKeyDown={event => {
        const items = [
          ...(box.current?.querySelectorAll<HTMLElement>('.rg-pop button') ??
            [])
        ];
        const at = items.indexOf(document.activeElement as HTMLElement);
        if (event.key === 'Escape' && open) {
          event.stopPropagation();
          setOpen(false);
          button.current?.focus();
        } else if (open && /^Arrow(Up|Down)$/.test(event.key)) {
          event.preventDefault();
          const by = event.key === 'ArrowDown' ? 1 : -1;
          items[(at + by + items.length) % items.length]?.focus();
        }
      }}
    >
      <button
        ref={button}
        type="button"
        className="rg-icon-button"
        aria-label={trans.__('More for %1', titleOf(session, trans))}
        title={trans.__('More')}
        aria-haspopup="menu"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
      >
        <Icon name="more" />
      </button>
      {open && (
        <span className="rg-pop rg-menu-pop" role="menu">
          {verbs.map(([word, act]) => (
            <button key={word} type="button" role="menuitem" onClick={act}>
              {word}
            </button>
          ))}
        </span>
      )}
      {error && <Notice error={error} onClose={() => setError(null)} />}
    </span>
  );
}

const fileName = (title: string) =>
  title
    .replace(/[^\p{L}\p{N} ._-]+/gu, ' ')
    .trim()
    .slice(0, 80) || 'chat';

function download(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
