import * as React from 'react';
import { moment } from '../../format';
import { useDoing, useHost, useLoopNow } from '../../hooks';
import { actionLine, until } from '../../models/wildwords';
import type { Loop, Question } from '../../wire';
import { Notice } from '../Notice';
import { Ref } from './Ref';

/** What a person is asked: one sentence, the answers, which one is taken if nobody says anything, and free words. */
export function QuestionCard(props: {
  loop: Loop;
  question: Question;
}): JSX.Element {
  const { wild, trans } = useHost();
  const { loop, question } = props;
  const { busy, error, run: doing, clear } = useDoing();
  const [text, setText] = React.useState('');
  const id = React.useId();
  const now = useLoopNow(1000);
  const answer = (choice: string, words: string) =>
    doing(async () => {
      wild.put(
        await wild.api.answer(loop.id, {
          question: question.id,
          choice,
          text: words
        })
      );
      wild.loops.flush();
    });
  const chosen = question.options.find(one => one.id === question.default);
  return (
    <div
      className="rg-wild-asks"
      role="group"
      aria-labelledby={`${id}-q`}
      key={question.id}
    >
      <p id={`${id}-q`} className="rg-strong rg-wild-text">
        {question.text}
      </p>
      {/^(run|swp|alt)_/.test(question.ref) && (
        <p className="rg-dim">
          <Ref id={question.ref} />
        </p>
      )}
      {question.held.length > 0 && (
        <>
          <p className="rg-dim">{trans.__('If you agree, this goes ahead:')}</p>
          <ul className="rg-evidence-list">
            {question.held.slice(0, 20).map((action, i) => (
              <li key={i} className="rg-wild-text">
                {actionLine(action, trans)}
              </li>
            ))}
          </ul>
        </>
      )}
      <div className="rg-buttons">
        {/* What is taken by itself stands first: it is the safe one. */}
        {[...question.options]
          .sort(
            (a, b) =>
              Number(b.id === question.default) -
              Number(a.id === question.default)
          )
          .map(option => (
            <button
              key={option.id}
              type="button"
              className={`rg-button rg-wild-option${option.id === question.default ? ' rg-primary' : ''}`}
              disabled={busy}
              onClick={() => answer(option.id, '')}
            >
              {option.label}
              {option.id === question.default && (
                <span> {trans.__('(default)')}</span>
              )}
            </button>
          ))}
      </div>
      {question.default_at !== null && chosen && (
        <p className="rg-dim rg-wild-text" title={moment(question.default_at)}>
          {trans.__(
            'If nobody answers, "%1" is taken %2.',
            chosen.label,
            until(question.default_at, now, trans)
          )}
        </p>
      )}
      {question.free_text && (
        <form
          className="rg-steer-box"
          onSubmit={event => {
            event.preventDefault();
            if (text.trim()) {
              answer('', text.trim());
            }
          }}
        >
          <input
            className="rg-input"
            aria-label={trans.__('Another answer')}
            placeholder={trans.__('Another answer')}
            value={text}
            onChange={event => setText(event.target.value)}
          />
          <button
            type="submit"
            className="rg-button"
            disabled={busy || !text.trim()}
          >
            {trans.__('Answer')}
          </button>
        </form>
      )}
      {error && <Notice error={error} onClose={clear} />}
    </div>
  );
}
