import * as React from 'react';
import { ApiError } from '../../api';
import { useHost } from '../../hooks';
import { asApiError } from '../../models/chatdesk';
import type {
  AnswerApproval,
  Approval as Asked,
  FormField,
  ToolPart
} from '../../wire';
import { Notice } from '../Notice';
import { Diff } from './Diff';
import { useRoom } from './room';

/** The question whether something may happen: what exactly, where, and what it costs. The safe answer comes first. */
export function Approval(props: {
  part: ToolPart;
  approval: Asked;
}): JSX.Element {
  const { trans } = useHost();
  const { part, approval } = props;
  if (approval.status === 'pending' && part.status === 'waiting') {
    return <Question part={part} approval={approval} />;
  }
  const who = approval.answered_by || trans.__('nobody');
  const answers = Object.entries(approval.answers);
  const decided =
    approval.status === 'void'
      ? trans.__('Not asked any more: what it was about has changed.')
      : approval.status === 'refused'
        ? trans.__('Not allowed (%1).', who)
        : approval.shows.form.length
          ? ''
          : approval.scope === 'always'
            ? trans.__(
                'Always allowed from now on: %1 (%2).',
                approval.shows.pattern,
                who
              )
            : approval.scope === 'session'
              ? trans.__('Allowed in this chat (%1).', who)
              : trans.__('Allowed once (%1).', who);
  return (
    <div className="rg-decided rg-dim">
      {decided && <p>{decided}</p>}
      {answers.map(([name, value]) => (
        <p key={name}>
          {approval.shows.form.find(field => field.name === name)?.label ??
            name}
          : <span className="rg-answer">{String(value)}</span>
        </p>
      ))}
      {approval.note && <p>“{approval.note}”</p>}
    </div>
  );
}

function Question(props: { part: ToolPart; approval: Asked }): JSX.Element {
  const { desk, trans } = useHost();
  const room = useRoom();
  const { part, approval } = props;
  const { shows } = approval;
  const [busy, setBusy] = React.useState('');
  const [error, setError] = React.useState<ApiError | null>(null);
  const [note, setNote] = React.useState('');
  const [noting, setNoting] = React.useState(false);
  const [answers, setAnswers] = React.useState(() => defaultsOf(shows.form));
  const form = shows.form.length > 0;
  const plan = shows.plan.length > 0;
  const ready = shows.form.every(
    ({ name, kind }) => kind === 'text' || filled(answers[name])
  );
  const titleId = `rg-ask-${approval.id}`;

  const answer = async (choice: AnswerApproval['choice']) => {
    setBusy(choice);
    setError(null);
    try {
      await desk.api.answer(part.session_id, approval.id, {
        choice,
        note: choice === 'no' ? note.trim() : '',
        answers: choice === 'no' ? {} : answers,
        hash: approval.hash
      });
      room.model?.caughtUp();
    } catch (refused) {
      const told = asApiError(refused);
      setError(told);
      setBusy('');
      if (told.status === 409) {
        // Somebody was first, or what it is about has changed: the stream says which.
        void room.model?.load();
      }
    }
  };

  const safe = React.useRef<HTMLButtonElement>(null);
  React.useEffect(() => {
    // It takes the keyboard only from somebody who is in this chat and not in the middle of a word.
    const { activeElement } = document;
    const box = safe.current?.closest('.rg-room');
    const typing =
      activeElement instanceof HTMLTextAreaElement &&
      activeElement.value !== '';
    if (box && !typing && activeElement && box.contains(activeElement)) {
      safe.current?.focus({ preventScroll: true });
    }
  }, []);

  const allow = `rg-button${shows.danger ? ' rg-danger' : ''}`;
  return (
    <section
      className={`rg-ask${shows.danger ? ' rg-ask-danger' : ''}`}
      aria-labelledby={titleId}
    >
      <h4 id={titleId}>
        {form || plan
          ? shows.title
          : trans.__('May ragent do this? %1', shows.title)}
      </h4>
      {shows.command && (
        <pre
          className="rg-ask-command"
          tabIndex={0}
          role="group"
          aria-label={trans.__('Command')}
        >
          {shows.command}
        </pre>
      )}
      {shows.cwd && (
        <p className="rg-dim">
          {trans.__('in')} <span className="rg-code">{shows.cwd}</span>
        </p>
      )}
      {shows.diff && <Diff diff={shows.diff} />}
      {shows.details.map((detail, i) => (
        <p key={i} className="rg-ask-detail">
          {detail}
        </p>
      ))}
      {plan && (
        <ol className="rg-ask-plan">
          {shows.plan.map((step, i) => (
            <li key={i}>{step}</li>
          ))}
        </ol>
      )}
      {shows.cost && <p>{trans.__('Cost: %1', shows.cost)}</p>}
      {form && (
        <Fields
          id={approval.id}
          form={shows.form}
          answers={answers}
          onChange={setAnswers}
        />
      )}
      {noting && (
        <input
          className="rg-input"
          aria-label={trans.__('What ragent should do instead')}
          placeholder={trans.__('What should it do instead? (optional)')}
          value={note}
          autoFocus
          onChange={event => setNote(event.target.value)}
          onKeyDown={event => {
            if (event.key === 'Enter' && !event.nativeEvent.isComposing) {
              void answer('no');
            }
          }}
        />
      )}
      <div className="rg-buttons">
        <button
          ref={safe}
          type="button"
          className="rg-button rg-primary"
          disabled={busy !== ''}
          onClick={() => void answer('no')}
        >
          {form
            ? trans.__('Do not answer')
            : plan
              ? trans.__('Keep planning')
              : trans.__('Don’t')}
        </button>
        <button
          type="button"
          className={allow}
          disabled={busy !== '' || !ready}
          onClick={() => void answer('once')}
        >
          {form
            ? trans.__('Send answer')
            : plan
              ? trans.__('Carry out this plan')
              : trans.__('Allow once')}
        </button>
        {!form && !plan && (
          <button
            type="button"
            className={allow}
            disabled={busy !== ''}
            onClick={() => void answer('session')}
          >
            {trans.__('Allow in this session')}
          </button>
        )}
        {!form && !plan && shows.pattern && (
          <button
            type="button"
            className={allow}
            disabled={busy !== ''}
            onClick={() => void answer('always')}
          >
            {trans.__('Always allow')} <code>{shows.pattern}</code>
          </button>
        )}
        {!noting && !form && (
          <button
            type="button"
            className="rg-link rg-dim"
            onClick={() => setNoting(true)}
          >
            {trans.__('Say what to do instead')}
          </button>
        )}
      </div>
      {error && (
        <Notice
          error={error}
          lead={error.status === 409 ? trans.__('Already decided.') : undefined}
          onClose={() => setError(null)}
        />
      )}
    </section>
  );
}

type Answers = Record<string, unknown>;

const defaultsOf = (form: FormField[]): Answers =>
  Object.fromEntries(
    form.map(field => [
      field.name,
      field.default ??
        (field.kind === 'choices' ? [] : field.kind === 'yes_no' ? null : '')
    ])
  );

const filled = (value: unknown) =>
  Array.isArray(value) ||
  (value !== '' && value !== null && value !== undefined);

function Fields(props: {
  id: string;
  form: FormField[];
  answers: Answers;
  onChange: (answers: Answers) => void;
}): JSX.Element {
  const { trans } = useHost();
  const { form, answers } = props;
  const put = (name: string, value: unknown) =>
    props.onChange({ ...answers, [name]: value });
  return (
    <>
      {form.map(field => {
        const id = `rg-field-${props.id}-${field.name}`;
        const value = answers[field.name];
        switch (field.kind) {
          case 'choice':
          case 'choices':
          case 'yes_no': {
            const options: [unknown, string][] =
              field.kind === 'yes_no'
                ? [
                    [true, trans.__('Yes')],
                    [false, trans.__('No')]
                  ]
                : field.options.map(option => [option, option]);
            const chosen = (option: unknown) =>
              field.kind === 'choices'
                ? (value as unknown[]).includes(option)
                : value === option;
            return (
              <fieldset key={id} className="rg-ask-field">
                <legend>{field.label}</legend>
                {options.map(([option, label]) => (
                  <label key={label}>
                    <input
                      type={field.kind === 'choices' ? 'checkbox' : 'radio'}
                      name={id}
                      checked={chosen(option)}
                      onChange={() =>
                        put(
                          field.name,
                          field.kind !== 'choices'
                            ? option
                            : chosen(option)
                              ? (value as unknown[]).filter(o => o !== option)
                              : [...(value as unknown[]), option]
                        )
                      }
                    />
                    {label}
                  </label>
                ))}
              </fieldset>
            );
          }
          default:
            return (
              <div key={id} className="rg-field">
                <label htmlFor={id}>{field.label}</label>
                <input
                  id={id}
                  className="rg-input"
                  type={field.kind === 'number' ? 'number' : 'text'}
                  step="any"
                  value={String(value ?? '')}
                  onChange={event =>
                    put(
                      field.name,
                      field.kind === 'number' && event.target.value !== ''
                        ? Number(event.target.value)
                        : event.target.value
                    )
                  }
                />
              </div>
            );
        }
      })}
    </>
  );
}
