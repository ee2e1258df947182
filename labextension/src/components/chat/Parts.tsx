import * as React from 'react';
import { useHost, useNow } from '../../hooks';
import type { Part } from '../../models/chat';
import type { NoticePart, ThinkingPart, ToolPart } from '../../wire';
import type { Trans } from '../../words';
import { CopyButton } from '../CopyButton';
import { Approval } from './Approval';
import { Card, took } from './Cards';
import { Diff } from './Diff';
import { Markdown } from './Markdown';
import { Picture } from './Picture';

/** One part of an answer. What the stream broke off is not the model's word: it stands folded away. */
export const PartView = React.memo(function PartView(props: {
  part: Part;
}): JSX.Element | null {
  const { trans } = useHost();
  const { part } = props;
  if (part.type !== 'notice' && part.status === 'cut') {
    const text = part.type === 'tool' ? '' : part.text.trim();
    return text ? (
      <details className="rg-cut rg-dim">
        <summary>{trans.__('An answer that broke off')}</summary>
        <pre>{text}</pre>
      </details>
    ) : null;
  }
  switch (part.type) {
    case 'text':
      return part.text ? (
        <Markdown text={part.text} streaming={part.status === 'streaming'} />
      ) : null;
    case 'thinking':
      return <Thinking part={part} />;
    case 'tool':
      return <Tool part={part} />;
    case 'notice':
      return <NoticeLine part={part} />;
  }
});

/** What only led to the answer: no card, no question, nothing that went wrong. */
const quiet = (part: Part): boolean =>
  part.type === 'thinking'
    ? part.status === 'done'
    : part.type === 'tool' &&
      part.status === 'done' &&
      part.approval === null &&
      part.images.length === 0 &&
      (part.data.card === undefined || part.data.card === 'shell');

const MOST_STEPS = 4;

/** Parts in order; a long row of quiet steps stands as one line, once something came of it. */
export function PartsView(props: {
  parts: readonly Part[];
  over: boolean;
}): JSX.Element {
  const { parts, over } = props;
  const drawn: JSX.Element[] = [];
  for (let i = 0; i < parts.length;) {
    let end = i;
    while (end < parts.length && quiet(parts[end])) {
      end += 1;
    }
    if (end - i > MOST_STEPS && (end < parts.length || over)) {
      drawn.push(
        <Steps key={`steps ${parts[i].index}`} parts={parts.slice(i, end)} />
      );
      i = end;
    } else {
      const stop = Math.max(end, i + 1);
      for (; i < stop; i++) {
        drawn.push(<PartView key={parts[i].index} part={parts[i]} />);
      }
    }
  }
  return <>{drawn}</>;
}

function Steps({ parts }: { parts: readonly Part[] }): JSX.Element {
  const { trans } = useHost();
  const [open, setOpen] = React.useState(false);
  const tools = parts.filter((p): p is ToolPart => p.type === 'tool');
  const last = tools[tools.length - 1];
  return (
    <details
      className="rg-step rg-steps rg-tool-done"
      onToggle={event => {
        if (event.target === event.currentTarget) {
          setOpen(event.currentTarget.open);
        }
      }}
    >
      <summary>
        <span className="rg-step-sign" aria-hidden="true">
          ✓
        </span>
        <span className="rg-step-title">
          {trans._n('%1 step', '%1 steps', parts.length)}
        </span>
        {last && !open && (
          <span className="rg-dim rg-name">
            {last.title || plainName(last.name)}
          </span>
        )}
      </summary>
      {open && (
        <div className="rg-steps-in">
          {parts.map(part => (
            <PartView key={part.index} part={part} />
          ))}
        </div>
      )}
    </details>
  );
}

function NoticeLine({ part }: { part: NoticePart }): JSX.Element {
  return (
    <p className={`rg-said rg-said-${part.level}`} role="note">
      {part.text}
    </p>
  );
}

function Thinking({ part }: { part: ThinkingPart }): JSX.Element | null {
  const { trans } = useHost();
  const live = part.status === 'streaming';
  const body = part.text.trim();
  if (!body) {
    return live || part.redacted ? (
      <p className="rg-step rg-dim">
        <span className="rg-step-sign" aria-hidden="true">
          ◦
        </span>
        {live
          ? trans.__('Thinking')
          : trans.__('Thought, not shown by the provider')}
      </p>
    ) : null;
  }
  return (
    <details className="rg-step rg-thinking">
      <summary>
        <span className="rg-step-sign" aria-hidden="true">
          ◦
        </span>
        <span className="rg-step-title">
          {live ? trans.__('Thinking') : trans.__('Thought')}
        </span>
        {/* The newest words say that it goes on, without taking more than a line. */}
        <span className="rg-dim rg-name rg-thinking-tail">
          {live ? lastWords(body) : ''}
        </span>
      </summary>
      <p className="rg-thinking-text">{body}</p>
    </details>
  );
}

const lastWords = (text: string) => {
  const line = text.slice(text.lastIndexOf('\n') + 1);
  return line.length > 90 ? `…${line.slice(-88)}` : line;
};

const SIGNS: Record<ToolPart['status'], string> = {
  writing: '○',
  waiting: '!',
  running: '●',
  done: '✓',
  error: '✕',
  refused: '–',
  stopped: '■',
  outcome_unknown: '?',
  cut: '–'
};

export function toolWord(status: ToolPart['status'], trans: Trans): string {
  const words: Record<ToolPart['status'], string> = {
    writing: trans.__('being written'),
    waiting: trans.__('waits for you'),
    running: trans.__('under way'),
    done: trans.__('done'),
    error: trans.__('failed'),
    refused: trans.__('not allowed'),
    stopped: trans.__('stopped'),
    outcome_unknown: trans.__('nobody knows how it ended'),
    cut: trans.__('broken off')
  };
  return words[status];
}

/** `read_file` as a person would say it, until the engine has said it better. */
export const plainName = (name: string) => {
  const text = name.replace(/_/g, ' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
};

/** One line: what is done, to what, for how long. Opened, it shows all of it; a card stands below as itself. */
function Tool({ part }: { part: ToolPart }): JSX.Element {
  const { trans } = useHost();
  const live = part.status === 'running' || part.status === 'writing';
  const now = useNow(live ? 1000 : 60_000);
  const [open, setOpen] = React.useState(false);
  const word = toolWord(part.status, trans);
  const time = took(part, now);
  const waits =
    part.approval?.status === 'pending' && part.status === 'waiting';
  if (waits) {
    // The question says all that the line would.
    return <Approval part={part} approval={part.approval!} />;
  }
  return (
    <>
      <details
        className={`rg-step rg-tool rg-tool-${part.status === 'outcome_unknown' ? 'unknown' : part.status}`}
        onToggle={event => setOpen(event.currentTarget.open)}
      >
        <summary>
          <span className="rg-step-sign" title={word} aria-hidden="true">
            {SIGNS[part.status]}
          </span>
          <span className="rg-step-title rg-name">
            {part.title || plainName(part.name)}
          </span>
          <span className="rg-unseen">, {word}</span>
          {(part.status === 'refused' ||
            part.status === 'outcome_unknown' ||
            part.status === 'error') && (
            <span className="rg-dim rg-step-word">{word}</span>
          )}
          {time && part.status !== 'waiting' && (
            <span className="rg-dim rg-figure rg-step-time">{time}</span>
          )}
        </summary>
        {open && <Inside part={part} />}
      </details>
      {live && part.progress && (
        <pre className="rg-progress-lines">{part.progress}</pre>
      )}
      {part.status === 'outcome_unknown' && (
        <p className="rg-said rg-said-warning">
          {trans.__(
            'ragent was stopped while this was under way and cannot tell whether it was done. Look before you ask for it again.'
          )}
        </p>
      )}
      {part.approval && <Approval part={part} approval={part.approval} />}
      <Card part={part} />
      {part.images.map(id => (
        <Picture key={id} id={id} name={trans.__('Picture of the output')} />
      ))}
    </>
  );
}

/** All that went in and came out. */
function Inside({ part }: { part: ToolPart }): JSX.Element {
  const { trans } = useHost();
  const given = part.bad_input || JSON.stringify(part.input, null, 2);
  const diff =
    part.data.card !== 'diff' && typeof part.data.diff === 'string'
      ? part.data.diff
      : part.approval?.shows.diff && part.data.card !== 'diff'
        ? part.approval.shows.diff
        : '';
  const command =
    part.data.card === 'shell' && typeof part.data.command === 'string'
      ? part.data.command
      : '';
  return (
    <div className="rg-inside">
      <Quoted
        title={
          part.bad_input
            ? trans.__('Input, not valid')
            : `${trans.__('Input')} · ${part.name}`
        }
        text={command || given}
      />
      {diff && <Diff diff={diff} />}
      {part.output && (
        <Quoted
          title={
            part.data.card === 'shell' && part.data.exit_code !== undefined
              ? trans.__('Output, exit code %1', String(part.data.exit_code))
              : trans.__('Output')
          }
          text={part.output}
        />
      )}
    </div>
  );
}

function Quoted(props: { title: string; text: string }): JSX.Element {
  const { trans } = useHost();
  return (
    <div className="rg-quoted">
      <div className="rg-code-head">
        <span className="rg-dim">{props.title}</span>
        <span className="rg-code-verbs">
          <CopyButton
            text={props.text}
            label={trans.__('Copy %1', props.title)}
            icon
          />
        </span>
      </div>
      <pre tabIndex={0} role="group" aria-label={props.title}>
        {props.text}
      </pre>
    </div>
  );
}
