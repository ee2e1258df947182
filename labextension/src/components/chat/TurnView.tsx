import * as React from 'react';
import { ApiError } from '../../api';
import { duration, moment } from '../../format';
import { useDoing, useHost } from '../../hooks';
import { TURN_OVER, type Part } from '../../models/chat';
import type { Turn, UserMessage } from '../../wire';
import { CopyButton } from '../CopyButton';
import { IconButton } from '../Icon';
import { Notice } from '../Notice';
import { PartsView } from './Parts';
import { Picture } from './Picture';
import { dollars, tokens, useRoom } from './room';

/** One message and what was done for it. `from`: parts before this one are not drawn (yet). */
export const TurnView = React.memo(function TurnView(props: {
  turn: Turn;
  parts: readonly Part[];
  from: number;
  newest: boolean;
  now: number | null;
}): JSX.Element {
  const { trans } = useHost();
  const { turn, parts, from, newest } = props;
  const over = TURN_OVER.has(turn.status);
  return (
    <section
      className="rg-turn"
      aria-label={trans.__('Message %1', turn.n)}
      data-turn={turn.id}
    >
      <Asked message={turn.message} turn={turn} over={over} />
      <div className="rg-answer-box">
        <PartsView parts={from ? parts.slice(from) : parts} over={over} />
        {turn.error && turn.status === 'failed' && <Failed turn={turn} />}
        {turn.status === 'stopped' && (
          <p className="rg-said">
            {turn.note || trans.__('Stopped. What was written so far is kept.')}
          </p>
        )}
      </div>
      {over && <Foot turn={turn} parts={parts} newest={newest} />}
    </section>
  );
});

const MENTION =
  /(@(?:run|sweep|metric|alert|chart|file|cell|notebook|var|report|session):[^\s,;)]+)/;

/** What the person wrote, as written; what it names stands out by the name it has. */
export function Words({ message }: { message: UserMessage }): JSX.Element {
  const text = message.shown || message.text;
  const known = new Map(
    message.mentions.map(one => [`@${one.kind}:${one.id}`, one])
  );
  return (
    <>
      {text.split(MENTION).map((piece, i) => {
        const mention = known.get(piece);
        return i % 2 ? (
          <span
            key={i}
            className={`rg-mention${mention?.problem ? ' rg-mention-bad' : ''}`}
            title={mention?.problem || piece}
          >
            {mention?.label ? `@${mention.label}` : piece}
          </span>
        ) : (
          piece
        );
      })}
    </>
  );
}

const FOLD_CHARS = 1200;

function Asked(props: {
  message: UserMessage;
  turn: Turn;
  over: boolean;
}): JSX.Element {
  const { trans } = useHost();
  const room = useRoom();
  const { message, turn } = props;
  const long = message.text.length > FOLD_CHARS;
  const [all, setAll] = React.useState(false);
  const problems = message.mentions.filter(one => one.problem);
  return (
    <div className="rg-asked">
      <h3 className="rg-unseen">
        {message.by ? trans.__('%1 asked', message.by) : trans.__('You asked')}
      </h3>
      <div className={`rg-asked-text${long && !all ? ' rg-asked-folded' : ''}`}>
        <Words message={message} />
      </div>
      {long && (
        <button
          type="button"
          className="rg-link rg-dim"
          onClick={() => setAll(!all)}
        >
          {all ? trans.__('Show less') : trans.__('Show all of it')}
        </button>
      )}
      {message.attachments.map(one =>
        one.media_type.startsWith('image/') ? (
          <Picture key={one.id} id={one.id} name={one.name} />
        ) : (
          <p key={one.id} className="rg-dim rg-code">
            {one.name}
          </p>
        )
      )}
      {problems.map(one => (
        <p key={one.id} className="rg-warn-text">
          {one.problem}
        </p>
      ))}
      <div className="rg-asked-verbs">
        <CopyButton
          text={message.shown || message.text}
          label={trans.__('Copy message')}
          icon
        />
        {props.over && (
          <IconButton
            icon="edit"
            label={trans.__('Edit and send again')}
            onClick={() => room.editTurn(turn)}
          />
        )}
      </div>
    </div>
  );
}

function Failed({ turn }: { turn: Turn }): JSX.Element {
  const room = useRoom();
  const { type, problem, remedy } = turn.error!;
  return (
    <Notice
      error={new ApiError(0, type, problem, remedy)}
      onRetry={() => room.retryTurn(turn)}
    />
  );
}

/** All that was said, for the clipboard. */
export const answerText = (parts: readonly Part[]): string =>
  parts
    .flatMap(part =>
      part.type === 'text' && part.status !== 'cut' ? [part.text.trim()] : []
    )
    .join('\n\n');

function Foot(props: {
  turn: Turn;
  parts: readonly Part[];
  newest: boolean;
}): JSX.Element {
  const { desk, trans } = useHost();
  const room = useRoom();
  const { turn } = props;
  const doing = useDoing();
  const [undone, setUndone] = React.useState<string[] | null>(null);
  const answer = answerText(props.parts);
  const { usage } = turn;
  const facts = [
    turn.started_at && turn.ended_at
      ? duration(turn.ended_at - turn.started_at)
      : '',
    usage.calls
      ? trans.__('%1 tokens', tokens(usage.input + usage.output))
      : '',
    usage.cost ? dollars(usage.cost) : ''
  ].filter(Boolean);
  return (
    <>
      <div className="rg-foot">
        {answer && (
          <CopyButton text={answer} label={trans.__('Copy answer')} icon />
        )}
        <IconButton
          icon="retry"
          label={trans.__('Ask again')}
          onClick={() => room.retryTurn(turn)}
        />
        <IconButton
          icon="eye"
          label={trans.__('What the model saw')}
          onClick={() => room.showProvenance(turn)}
        />
        {turn.undo && (
          <button
            type="button"
            className="rg-button rg-quiet rg-small"
            disabled={doing.busy || undone !== null}
            onClick={() =>
              doing.run(async () =>
                setUndone(await desk.api.undo(turn.session_id, turn.id))
              )
            }
          >
            {trans.__('Undo its edits')}
          </button>
        )}
        <span
          className="rg-dim rg-figure rg-foot-facts"
          title={[
            turn.ended_at ? moment(turn.ended_at) : '',
            turn.model,
            trans.__(
              '%1 tokens in, %2 out, %3 from the cache',
              usage.input,
              usage.output,
              usage.cache_read
            )
          ]
            .filter(Boolean)
            .join('\n')}
        >
          {facts.join(' · ')}
        </span>
      </div>
      {undone && (
        <p className="rg-said" role="status">
          {undone.length
            ? trans.__('Taken back: %1', undone.join(', '))
            : trans.__('There was nothing to take back.')}
        </p>
      )}
      {doing.error && <Notice error={doing.error} onClose={doing.clear} />}
    </>
  );
}
