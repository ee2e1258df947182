import * as React from 'react';
import { bytes, duration } from '../../format';
import { useHost } from '../../hooks';
import type { Checked } from '../../models/wilddesk';
import { withAnswers, type Answer } from '../../models/wilddraft';
import { money } from '../../models/wildwords';
import type { Estimate, Question } from '../../wire';
import { SpaceTable } from './SpaceTable';

/** What a check has found: questions to answer first, what is searched, what decides, what it may take. */
export function CheckedView(props: {
  head: React.RefObject<HTMLHeadingElement>;
  checked: Checked;
  wrong: string | null;
  onChange: (next: Checked) => void;
  /** A question about the command was answered: that one is to be read. */
  onCommand: (command: string) => void;
}): JSX.Element {
  const { trans } = useHost();
  const { checked, head, wrong, onChange, onCommand } = props;
  const { reply } = checked;
  const id = React.useId();
  return (
    <section className="rg-checked" aria-labelledby={`${id}-h`}>
      <h2 id={`${id}-h`} ref={head} tabIndex={-1}>
        {trans.__('What would be run')}
      </h2>
      {reply.asks.map(ask => (
        <Ask
          key={ask.id}
          ask={ask}
          checked={checked}
          onChange={onChange}
          onCommand={onCommand}
        />
      ))}
      <div className="rg-command">
        <pre>{reply.setup.command || trans.__('no command yet')}</pre>
      </div>
      {reply.script.path && (
        <p className="rg-dim rg-wild-text">
          {trans.__('Read: %1', reply.script.path)}
        </p>
      )}
      <div className="rg-fields">
        <div className="rg-field">
          <label htmlFor={`${id}-metric`}>{trans.__('Judged by metric')}</label>
          <input
            id={`${id}-metric`}
            className="rg-input"
            placeholder={trans.__('found in the first run')}
            spellCheck={false}
            value={checked.metric}
            onChange={event =>
              onChange({ ...checked, metric: event.target.value })
            }
          />
        </div>
        <div className="rg-field">
          <label htmlFor={`${id}-mode`}>{trans.__('Better is')}</label>
          <select
            id={`${id}-mode`}
            className="rg-input"
            value={checked.mode}
            onChange={event =>
              onChange({
                ...checked,
                mode: event.target.value as Checked['mode']
              })
            }
          >
            <option value="min">{trans.__('lower')}</option>
            <option value="max">{trans.__('higher')}</option>
          </select>
        </div>
      </div>
      <SpaceTable
        reply={reply}
        edits={checked.edits}
        wrong={wrong}
        onChange={(name, edit) =>
          onChange({ ...checked, edits: { ...checked.edits, [name]: edit } })
        }
      />
      <EstimateLine estimate={reply.estimate} />
    </section>
  );
}

function Ask(props: {
  ask: Question;
  checked: Checked;
  onChange: (next: Checked) => void;
  onCommand: (command: string) => void;
}): JSX.Element {
  const { trans } = useHost();
  const { ask, checked, onChange, onCommand } = props;
  const id = React.useId();
  const given = checked.answers[ask.id];
  const choice = given?.choice ?? ask.default;
  const text = given?.text ?? '';
  const set = (next: Answer) => {
    const answers = { ...checked.answers, [ask.id]: next };
    const said = withAnswers({ goal: '' }, [ask], answers);
    if (said.command) {
      onCommand(said.command);
    }
    onChange({
      ...checked,
      answers,
      metric: said.metric ?? checked.metric,
      mode: said.mode ?? checked.mode
    });
  };
  return (
    <fieldset className="rg-wild-asks rg-choices">
      <legend className="rg-unseen">{ask.text}</legend>
      <p className="rg-strong rg-wild-text" aria-hidden="true">
        {ask.text}
      </p>
      {ask.options.map(option => (
        <label key={option.id} className="rg-choice">
          <input
            type="radio"
            name={id}
            checked={!text && choice === option.id}
            onChange={() => set({ choice: option.id, text: '' })}
          />
          <span className="rg-wild-text">
            {option.label}
            {option.id === ask.default && (
              <span className="rg-dim"> {trans.__('(default)')}</span>
            )}
          </span>
        </label>
      ))}
      {(ask.free_text || !ask.options.length) && (
        <input
          className="rg-input"
          aria-label={trans.__('Another answer: %1', ask.text)}
          placeholder={trans.__('Another answer')}
          value={text}
          onChange={event => set({ choice, text: event.target.value })}
        />
      )}
    </fieldset>
  );
}

function EstimateLine({
  estimate
}: {
  estimate: Estimate | null;
}): JSX.Element {
  const { trans } = useHost();
  if (!estimate) {
    return (
      <p className="rg-dim">
        {trans.__(
          'How long it takes is told after the first run, which is measured.'
        )}
      </p>
    );
  }
  const parts = [
    trans._n('~%1 run', '~%1 runs', estimate.runs),
    trans.__('%1 each', duration(estimate.seconds)),
    trans.__('~%1 in all', duration(estimate.wall_seconds)),
    estimate.gpu_hours > 0 &&
      trans.__('~%1 of GPU', duration(estimate.gpu_hours * 3600)),
    estimate.disk_bytes > 0 &&
      trans.__('~%1 of disk', bytes(estimate.disk_bytes)),
    estimate.cost_usd !== null && `~${money(estimate.cost_usd)}`
  ].filter(Boolean);
  return (
    <p className="rg-figure rg-wild-text">
      {trans.__('Estimate:')} {estimate.text || parts.join(' · ')}
    </p>
  );
}
