import * as React from 'react';
import { duration } from '../../format';
import { useDoing, useHost } from '../../hooks';
import type { Provenance as Call, Turn } from '../../wire';
import { CopyButton } from '../CopyButton';
import { IconButton } from '../Icon';
import { Notice } from '../Notice';
import { dollars, tokens } from './room';

/** What the model saw: for each call its exact prompt, tools and rules, what it cost, and how long it took. */
export function Provenance(props: {
  turn: Turn;
  onClose: () => void;
}): JSX.Element {
  const { desk, trans } = useHost();
  const { turn, onClose } = props;
  const [calls, setCalls] = React.useState<Call[] | null>(null);
  const doing = useDoing();
  const head = React.useRef<HTMLHeadingElement>(null);
  const load = React.useCallback(
    () =>
      doing.run(async () =>
        setCalls(await desk.api.provenance(turn.session_id, turn.id))
      ),
    [desk, turn.session_id, turn.id]
  );
  React.useEffect(() => {
    load();
    head.current?.focus();
  }, [load]);
  return (
    <section
      className="rg-provenance"
      aria-label={trans.__('What the model saw')}
      onKeyDown={event => {
        if (event.key === 'Escape') {
          event.stopPropagation();
          onClose();
        }
      }}
    >
      <header className="rg-head">
        <IconButton
          icon="back"
          label={trans.__('Back to the chat')}
          onClick={onClose}
        />
        <h2 ref={head} tabIndex={-1}>
          {trans.__('What the model saw')}
        </h2>
      </header>
      <div className="rg-provenance-body">
        {turn.context && (
          <Fold title={trans.__('What ragent told it of the project')}>
            <Block text={turn.context} name={trans.__('Context')} />
          </Fold>
        )}
        {doing.error && <Notice error={doing.error} onRetry={load} />}
        {calls?.length === 0 && (
          <p className="rg-dim">
            {trans.__('No model was called for this message.')}
          </p>
        )}
        {calls?.map((call, i) => (
          <CallView key={call.id} call={call} open={i === calls.length - 1} />
        ))}
      </div>
    </section>
  );
}

function CallView({ call, open }: { call: Call; open: boolean }): JSX.Element {
  const { trans } = useHost();
  const { usage } = call;
  const facts: [string, string][] = [
    [
      trans.__('Model'),
      [call.provider, call.model].filter(Boolean).join(' · ')
    ],
    [
      trans.__('Tokens'),
      trans.__(
        '%1 in, %2 out, %3 read from the cache, %4 written to it',
        tokens(usage.input),
        tokens(usage.output),
        tokens(usage.cache_read),
        tokens(usage.cache_write)
      )
    ],
    [
      trans.__('Cost'),
      usage.cost === null ? trans.__('no price known') : dollars(usage.cost)
    ],
    [
      trans.__('Time'),
      [
        call.first_token_ms === null
          ? ''
          : trans.__(
              'first token after %1',
              duration(call.first_token_ms / 1000)
            ),
        call.latency_ms === null
          ? ''
          : trans.__('whole after %1', duration(call.latency_ms / 1000)),
        call.tries > 1 ? trans.__('%1 tries', call.tries) : ''
      ]
        .filter(Boolean)
        .join(', ')
    ],
    [trans.__('Ended by'), call.stop_reason || '–'],
    [trans.__('Memory rules'), call.rules.join(', ') || trans.__('none')],
    [trans.__('Tools offered'), call.tools.join(', ') || trans.__('none')]
  ];
  return (
    <details className="rg-call" open={open}>
      <summary>
        {trans.__('Call %1', call.step)}{' '}
        <span className="rg-dim rg-figure">
          {trans.__('%1 tokens', tokens(usage.input + usage.output))}
        </span>
      </summary>
      <dl className="rg-facts">
        {facts.map(([name, value]) => (
          <React.Fragment key={name}>
            <dt>{name}</dt>
            <dd>{value || '–'}</dd>
          </React.Fragment>
        ))}
      </dl>
      {call.system && (
        <Fold title={trans.__('System prompt')}>
          <Block text={call.system} name={trans.__('System prompt')} />
        </Fold>
      )}
      {call.messages.map((message, i) => (
        <Fold
          key={i}
          title={`${i + 1}. ${String(message.role ?? trans.__('message'))}`}
        >
          <Block text={said(message)} name={trans.__('Message %1', i + 1)} />
        </Fold>
      ))}
    </details>
  );
}

/** A message as text where it is text, as JSON where it is more. */
function said(message: Record<string, unknown>): string {
  const { content } = message;
  return typeof content === 'string'
    ? content
    : JSON.stringify(content ?? message, null, 2);
}

function Fold(props: {
  title: string;
  children: React.ReactNode;
}): JSX.Element {
  const [open, setOpen] = React.useState(false);
  return (
    <details
      className="rg-fold"
      onToggle={event => setOpen(event.currentTarget.open)}
    >
      <summary>{props.title}</summary>
      {open && props.children}
    </details>
  );
}

function Block({ text, name }: { text: string; name: string }): JSX.Element {
  const { trans } = useHost();
  return (
    <div className="rg-quoted">
      <div className="rg-code-head">
        <span className="rg-dim rg-figure">
          {trans.__('%1 characters', text.length)}
        </span>
        <span className="rg-code-verbs">
          <CopyButton text={text} label={trans.__('Copy')} icon />
        </span>
      </div>
      <pre tabIndex={0} role="group" aria-label={name}>
        {text}
      </pre>
    </div>
  );
}
