import * as React from 'react';
import type { ApiError } from '../../api';
import { useHost, usePanel } from '../../hooks';
import { Beat } from '../../models/beat';
import { asApiError } from '../../models/chatdesk';
import { requestId } from '../../models/once';
import type { Attachment, Session, Turn } from '../../wire';
import { Icon, IconButton } from '../Icon';
import { Notice } from '../Notice';
import { ModePill, ModelName, type Mode } from './Pills';
import { Queue } from './Queue';
import { made, useRoom } from './room';
import { askingAt, useHits, type Asking } from './suggest';
import { useDictation } from './dictation';

const MOST_LINES = 8;
const MOST_BYTES = 10 * 1024 * 1024;
const isBusy = (session: Session | null) =>
  session !== null && session.turn !== '' && session.status !== 'idle';

/** Where one writes. It sends, queues while an answer is being written, and keeps what is typed until it was taken. */
export function Composer(props: {
  session: Session | null;
  chat: string | null;
  editing: Turn | null;
  onEdited: () => void;
  /** A message that is sent at once: a starter, a retry. */
  asked: React.MutableRefObject<((text: string, retry: string) => void) | null>;
}): JSX.Element {
  const host = useHost();
  const { desk, panel, trans, bench } = host;
  const { model } = useRoom();
  const { session, editing } = props;
  const { chat } = props;
  const area = React.useRef<HTMLTextAreaElement>(null);
  const picker = React.useRef<HTMLInputElement>(null);
  const [text, setText] = React.useState(
    () => panel.state().drafts[chat ?? ''] ?? ''
  );
  const [newMode, setNewMode] = React.useState<Mode>('ask');
  const [files, setFiles] = React.useState<Attachment[]>([]);
  const [uploading, setUploading] = React.useState(0);
  const [sending, setSending] = React.useState(false);
  const [error, setError] = React.useState<ApiError | null>(null);
  const [asking, setAsking] = React.useState<Asking | null>(null);
  const [active, setActive] = React.useState(0);
  const [dropping, setDropping] = React.useState(false);
  const hits = useHits(asking);
  const popId = React.useId();
  const once = React.useRef('');
  const busy = isBusy(session);
  const mode = session?.mode ?? newMode;
  usePanel(); // a draft that a command puts in

  // What is typed is kept, but not at each key.
  const newest = React.useRef(text);
  newest.current = text;
  const keep = React.useMemo(
    () => new Beat(() => panel.setDraft(chat, newest.current), 600),
    [panel, chat]
  );
  React.useEffect(() => () => keep.flush(), [keep]);
  const type = (words: string) => {
    setText(words);
    newest.current = words;
    once.current = '';
    keep.ring();
  };

  React.useLayoutEffect(() => {
    const { current } = area;
    if (current) {
      current.style.height = 'auto';
      const line = parseFloat(getComputedStyle(current).lineHeight) || 18;
      current.style.height = `${Math.min(current.scrollHeight, line * MOST_LINES + 14)}px`;
    }
  }, [text]);

  React.useEffect(() => {
    if (editing) {
      type(editing.message.text);
      area.current?.focus();
    }
  }, [editing]);
  React.useEffect(() => {
    const take = (_: unknown, words: string) => {
      if (words) {
        type(newest.current ? `${newest.current.trimEnd()} ${words}` : words);
      }
      area.current?.focus();
    };
    panel.composeAsked.connect(take);
    return () => void panel.composeAsked.disconnect(take);
  }, [panel]);

  const ensure = async (): Promise<string> => {
    if (chat) {
      return chat;
    }
    const session = await desk.api.create({ mode: newMode });
    desk.put(session);
    made.add(session.id);
    return session.id;
  };

  const say = async (words: string, retry: string, own: boolean) => {
    if (!words.trim() || sending) {
      return;
    }
    setSending(true);
    setError(null);
    // The same words sent again after a failure are one message, not two.
    once.current ||= requestId();
    try {
      const id = await ensure();
      const front = bench?.inFront();
      await desk.api.say(id, {
        text: words,
        attachments: own ? files.map(file => file.id) : [],
        notebook: front?.notebook ?? null,
        cell: front?.cell ?? null,
        retry,
        request_id: once.current
      });
      once.current = '';
      if (own) {
        type('');
        keep.flush();
        setFiles([]);
        props.onEdited();
      }
      if (id !== chat) {
        panel.setDraft(null, '');
        panel.openChat(id);
      }
      model?.caughtUp();
    } catch (refused) {
      setError(asApiError(refused));
    } finally {
      setSending(false);
    }
  };
  const send = () => void say(text, editing?.id ?? '', true);
  props.asked.current = (words, retry) => void say(words, retry, false);

  const stop = () => {
    if (session) {
      desk.api.stop(session.id).then(
        () => model?.caughtUp(),
        refused => setError(asApiError(refused))
      );
    }
  };

  const attach = async (list: readonly File[]) => {
    for (const file of list) {
      if (file.size > MOST_BYTES) {
        setError(
          asApiError(
            trans.__(
              '%1 is larger than 10 MiB and was not attached.',
              file.name
            )
          )
        );
        continue;
      }
      setUploading(n => n + 1);
      try {
        const id = await ensure();
        const sent = await desk.api.attach(id, file);
        setFiles(known => [...known.filter(one => one.id !== sent.id), sent]);
        if (id !== chat) {
          panel.setDraft(id, newest.current);
          panel.openChat(id);
        }
      } catch (refused) {
        setError(asApiError(refused));
      } finally {
        setUploading(n => n - 1);
      }
    }
  };

  const look = () => {
    const { current } = area;
    setAsking(
      current && current.selectionStart === current.selectionEnd
        ? askingAt(current.value, current.selectionStart)
        : null
    );
    setActive(0);
  };
  const open = asking !== null && hits !== null;
  const pick = (i: number) => {
    const hit = hits?.[i];
    const { current } = area;
    if (!hit || !asking || !current) {
      return;
    }
    const caret = current.selectionStart;
    const next = text.slice(0, asking.from) + hit.insert + text.slice(caret);
    type(next);
    setAsking(null);
    const place = asking.from + hit.insert.length;
    requestAnimationFrame(() => {
      current.focus();
      current.setSelectionRange(place, place);
    });
  };

  const onKeyDown = (event: React.KeyboardEvent<HTMLTextAreaElement>) => {
    // Enter that ends a composition belongs to the input method, not to us. Safari tells it by 229 alone.
    if (event.nativeEvent.isComposing || event.keyCode === 229) {
      return;
    }
    const claim = () => {
      event.preventDefault();
      event.stopPropagation();
    };
    if (open) {
      if (event.key === 'Escape') {
        claim();
        setAsking(null);
        return;
      }
      if (hits.length) {
        const last = hits.length - 1;
        switch (event.key) {
          case 'ArrowDown':
            claim();
            setActive(active === last ? 0 : active + 1);
            return;
          case 'ArrowUp':
            claim();
            setActive(active === 0 ? last : active - 1);
            return;
          case 'Enter':
          case 'Tab':
            if (!event.shiftKey) {
              claim();
              pick(active);
              return;
            }
        }
      }
    }
    if (event.key === 'Escape' && (busy || editing)) {
      claim();
      if (editing) {
        type('');
        props.onEdited();
      } else {
        stop();
      }
      return;
    }
    if (event.key === 'Enter') {
      const command = event.ctrlKey || event.metaKey;
      if (command || host.enterSends() !== event.shiftKey) {
        claim();
        send();
      }
    }
  };

  const dictation = useDictation(words =>
    type(newest.current ? `${newest.current.trimEnd()} ${words}` : words)
  );
  const filesOf = (list: DataTransferItemList | null) =>
    [...(list ?? [])].flatMap(item => {
      const file = item.kind === 'file' ? item.getAsFile() : null;
      return file ? [file] : [];
    });

  const verb = /^\s*\/(\w+)\s/.exec(text)?.[1];
  const usage = desk
    .offer()
    .options?.verbs.find(one => one.name.replace(/^\//, '') === verb);

  return (
    <div
      className={`rg-composer${dropping ? ' rg-dropping' : ''}`}
      onDragOver={event => {
        if (event.dataTransfer.types.includes('Files')) {
          event.preventDefault();
          setDropping(true);
        }
      }}
      onDragLeave={() => setDropping(false)}
      onDrop={event => {
        setDropping(false);
        const dropped = filesOf(event.dataTransfer.items);
        if (dropped.length) {
          event.preventDefault();
          void attach(dropped);
        }
      }}
    >
      {session && <Queue session={session} />}
      {error && <Notice error={error} onClose={() => setError(null)} />}
      {editing && (
        <p className="rg-dim rg-editing">
          {trans.__(
            'You change message %1. It is asked anew; what came after it is folded away.',
            editing.n
          )}{' '}
          <button
            type="button"
            className="rg-link"
            onClick={() => {
              type('');
              props.onEdited();
            }}
          >
            {trans.__('Leave it as it is')}
          </button>
        </p>
      )}
      {(files.length > 0 || uploading > 0) && (
        <ul className="rg-files" aria-label={trans.__('Attachments')}>
          {files.map(file => (
            <li key={file.id}>
              <span className="rg-name">{file.name}</span>
              <IconButton
                icon="close"
                label={trans.__('Do not attach %1', file.name)}
                onClick={() =>
                  setFiles(files.filter(one => one.id !== file.id))
                }
              />
            </li>
          ))}
          {uploading > 0 && (
            <li className="rg-dim">{trans.__('Attaching…')}</li>
          )}
        </ul>
      )}
      <div className="rg-compose-box">
        {open && (
          <ul
            id={popId}
            className="rg-hits"
            role="listbox"
            tabIndex={0}
            aria-label={
              asking.kind === '/'
                ? trans.__('Commands')
                : trans.__('What to mention')
            }
          >
            {hits.map((hit, i) => (
              <li
                key={hit.key}
                id={`${popId}-${i}`}
                role="option"
                aria-selected={i === active}
                className={i === active ? 'rg-active' : undefined}
                ref={node => {
                  if (i === active) {
                    node?.scrollIntoView?.({ block: 'nearest' });
                  }
                }}
                // The textarea keeps the keyboard.
                onMouseDown={event => event.preventDefault()}
                onClick={() => pick(i)}
              >
                <span className="rg-name rg-hit-label">{hit.label}</span>
                <span className="rg-dim rg-name rg-hit-detail">
                  {hit.detail}
                </span>
              </li>
            ))}
            {!hits.length && (
              <li
                className="rg-dim"
                role="option"
                aria-selected="false"
                aria-disabled="true"
              >
                {asking.kind === '/'
                  ? trans.__('No such command')
                  : trans.__('Nothing of that name')}
              </li>
            )}
          </ul>
        )}
        <textarea
          ref={area}
          rows={1}
          value={text}
          className="rg-compose"
          aria-label={trans.__('Message to ragent')}
          aria-autocomplete="list"
          aria-controls={open ? popId : undefined}
          aria-activedescendant={
            open && hits.length ? `${popId}-${active}` : undefined
          }
          placeholder={
            busy
              ? trans.__('Write on: it is sent when this answer ends')
              : trans.__('Ask about your runs. @ names a thing, / a command')
          }
          onChange={event => {
            type(event.target.value);
            look();
          }}
          onSelect={look}
          onBlur={() => setAsking(null)}
          onKeyDown={onKeyDown}
          onPaste={event => {
            const pasted = filesOf(event.clipboardData.items);
            if (pasted.length) {
              event.preventDefault();
              void attach(pasted);
            }
          }}
        />
        {usage && (
          <p className="rg-dim rg-usage">
            <span className="rg-code">{usage.usage}</span> {usage.help}
          </p>
        )}
        <div className="rg-compose-tools">
          <ModePill
            mode={mode}
            onChange={next => {
              if (!session) {
                setNewMode(next);
                return;
              }
              desk.api.patch(session.id, { mode: next }).then(
                () => model?.caughtUp(),
                refused => setError(asApiError(refused))
              );
            }}
          />
          <IconButton
            icon="attach"
            label={trans.__('Attach files')}
            onClick={() => picker.current?.click()}
          />
          <input
            ref={picker}
            type="file"
            multiple
            hidden
            onChange={event => {
              void attach([...(event.target.files ?? [])]);
              event.target.value = '';
            }}
          />
          {dictation.toggle && (
            <IconButton
              icon="mic"
              label={
                dictation.listening
                  ? trans.__('Stop dictating')
                  : trans.__('Dictate')
              }
              pressed={dictation.listening}
              onClick={dictation.toggle}
            />
          )}
          <span className="rg-spring" />
          {busy && (
            <button
              type="button"
              className="rg-button rg-stop"
              title={trans.__('Stop this answer (Esc)')}
              onClick={stop}
            >
              <Icon name="stop" /> {trans.__('Stop')}
            </button>
          )}
          {(!busy || text.trim() !== '') && (
            <button
              type="button"
              className="rg-button rg-primary rg-send"
              disabled={!text.trim() || sending || uploading > 0}
              title={
                busy ? trans.__('Send when this answer ends') : trans.__('Send')
              }
              onClick={send}
            >
              <Icon name="send" />
              <span className="rg-send-word">
                {busy ? trans.__('Queue') : trans.__('Send')}
              </span>
            </button>
          )}
        </div>
      </div>
      <ModelName session={session} />
    </div>
  );
}
