import * as React from 'react';
import { useDoing, useHost, useOffer } from '../../hooks';
import type { ModelsReply, Session } from '../../wire';
import type { Trans } from '../../words';
import { Notice } from '../Notice';
import { dollars, tokens } from './room';

export type Mode = Session['mode'];

function modeWords(mode: Mode, trans: Trans): [string, string] {
  const words: Record<Mode, [string, string]> = {
    ask: [
      trans.__('Ask first'),
      trans.__('Reads freely; asks before it changes or runs anything')
    ],
    accept_edits: [
      trans.__('Accept edits'),
      trans.__('Changes files and cells at once; asks before all else')
    ],
    plan: [
      trans.__('Plan'),
      trans.__('Reads only, and ends in a plan for you to approve')
    ],
    bypass: [
      trans.__('Bypass'),
      trans.__('Asks nothing: everything it wants is done at once')
    ]
  };
  return words[mode];
}

/** How much ragent may do by itself. A plain select: it works with keys, on a phone and for a screen reader. */
export function ModePill(props: {
  mode: Mode;
  onChange: (mode: Mode) => void;
}): JSX.Element {
  const { trans } = useHost();
  const { options } = useOffer();
  const { mode } = props;
  const offered = options?.modes ?? ['ask', 'accept_edits', 'plan'];
  const modes = offered.includes(mode) ? offered : [...offered, mode];
  return (
    <select
      className={`rg-pill rg-mode-${mode === 'accept_edits' ? 'edits' : mode}`}
      aria-label={trans.__('What ragent may do')}
      title={modeWords(mode, trans)[1]}
      value={mode}
      onChange={event => props.onChange(event.target.value as Mode)}
    >
      {modes.map(one => (
        <option key={one} value={one} title={modeWords(one, trans)[1]}>
          {modeWords(one, trans)[0]}
        </option>
      ))}
    </select>
  );
}

/** How full the model's memory of this chat is, and what the chat has cost. */
function Meter({ session }: { session: Session | null }): JSX.Element | null {
  const { trans } = useHost();
  if (!session || (!session.context_tokens && !session.usage.calls)) {
    return null;
  }
  const { context_tokens: now, context_limit: limit, usage } = session;
  const share = limit ? Math.min(1, now / limit) : 0;
  const cost = usage.cost === null ? '' : dollars(usage.cost);
  const sentence = [
    limit
      ? trans.__(
          'The newest prompt was %1 of %2 tokens (%3 %).',
          tokens(now),
          tokens(limit),
          Math.round(share * 100)
        )
      : trans.__('The newest prompt was %1 tokens.', tokens(now)),
    trans.__(
      'So far: %1 tokens in, %2 out, %3 from the cache.',
      tokens(usage.input),
      tokens(usage.output),
      tokens(usage.cache_read)
    ),
    usage.cost === null
      ? trans.__('No price is known for this model.')
      : trans.__('Cost of this chat: %1.', cost)
  ].join(' ');
  return (
    <span className="rg-meter rg-dim rg-figure" title={sentence}>
      {limit > 0 && (
        <span
          className="rg-bar"
          role="meter"
          aria-label={trans.__('Context used')}
          aria-valuemin={0}
          aria-valuemax={limit}
          aria-valuenow={now}
          aria-valuetext={sentence}
        >
          <span
            className={share > 0.8 ? 'rg-full' : undefined}
            style={{ width: `${share * 100}%` }}
          />
        </span>
      )}
      <span className="rg-meter-words">
        {limit ? trans.__('%1 of %2', tokens(now), tokens(limit)) : tokens(now)}
      </span>
      {cost && <span>{cost}</span>}
    </span>
  );
}

/** Which model answers, honestly, and the way to another one. */
export function ModelName({
  session
}: {
  session: Session | null;
}): JSX.Element | null {
  const { trans } = useHost();
  const { options } = useOffer();
  const [choosing, setChoosing] = React.useState(false);
  if (!options) {
    return null;
  }
  const name = session?.model || options.model.title || options.model.id || '?';
  return (
    <div className="rg-model">
      <Meter session={session} />
      <p className="rg-dim">
        {options.builtin
          ? trans.__(
              'The built-in assistant answers: no model is set. It computes its answers from your runs.'
            )
          : name}{' '}
        <button
          type="button"
          className="rg-link"
          aria-expanded={choosing}
          onClick={() => setChoosing(!choosing)}
        >
          {options.builtin
            ? trans.__('Choose a model')
            : trans.__('Change model')}
        </button>
      </p>
      {choosing && (
        <ModelPicker session={session} onDone={() => setChoosing(false)} />
      )}
    </div>
  );
}

function ModelPicker(props: {
  session: Session | null;
  onDone: () => void;
}): JSX.Element {
  const { desk, trans } = useHost();
  const [reply, setReply] = React.useState<ModelsReply | null>(null);
  const doing = useDoing();
  React.useEffect(() => {
    doing.run(async () => setReply(await desk.models()));
  }, [desk]);
  const role = reply?.roles.find(one => one.role === 'chat');
  const choose = (model: string | null) =>
    doing.run(async () => {
      const { session } = props;
      await desk.api.putModels({ roles: { chat: model } });
      if (session?.model) {
        await desk.api.patch(session.id, { model: '' });
      }
      await desk.refreshOptions();
      props.onDone();
    });
  return (
    <div
      className="rg-models"
      role="group"
      aria-label={trans.__('Model for chats')}
      onKeyDown={event => {
        if (event.key === 'Escape') {
          event.stopPropagation();
          props.onDone();
        }
      }}
    >
      {reply?.models.map(model => {
        const id = `${model.provider}:${model.id.replace(`${model.provider}:`, '')}`;
        const mine =
          role?.model.id === model.id && role.model.provider === model.provider;
        return (
          <button
            key={id}
            type="button"
            className="rg-models-one"
            aria-pressed={mine}
            disabled={doing.busy}
            onClick={() => choose(id)}
          >
            <span className="rg-name">{model.title || model.id}</span>
            <span className="rg-dim rg-figure">
              {model.price_input === null
                ? model.provider
                : trans.__(
                    '$%1 in, $%2 out per million',
                    model.price_input,
                    model.price_output ?? '?'
                  )}
            </span>
          </button>
        );
      })}
      {reply && (
        <p className="rg-dim">
          {trans.__(
            'For all chats of this project. Keys are set with "ragent keys set" in a terminal, or in the environment of the Jupyter server.'
          )}{' '}
          <button
            type="button"
            className="rg-link"
            disabled={doing.busy}
            onClick={() => choose(null)}
          >
            {trans.__('Back to the default')}
          </button>
        </p>
      )}
      {doing.error && <Notice error={doing.error} onClose={doing.clear} />}
    </div>
  );
}
