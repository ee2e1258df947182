import * as React from 'react';
import { useDoing, useHost } from '../../hooks';
import { isOver, METERS, type MeterName } from '../../models/wild';
import { asLimits } from '../../models/wilddraft';
import { limitWord } from '../../models/wildwords';
import type { Loop } from '../../wire';
import type { Trans } from '../../words';
import { Notice } from '../Notice';

const GOAL_EXAMPLE = 'val/acc > 0.95';

export function limitLabel(name: MeterName, trans: Trans): string {
  const labels: Record<MeterName, string> = {
    hours: trans.__('Hours'),
    runs: trans.__('Runs'),
    iterations: trans.__('Iterations'),
    cost_usd: trans.__('Cost in $'),
    tokens: trans.__('Tokens'),
    gpu_hours: trans.__('GPU-hours'),
    cpu_hours: trans.__('CPU-hours'),
    disk_gb: trans.__('Disk in GB')
  };
  return labels[name];
}

/** Fields for all limits; what is left empty is not limited. */
export function LimitFields(props: {
  typed: Partial<Record<MeterName, string>>;
  until: string;
  wrong: { field: string; line: string } | null;
  onChange: (typed: Partial<Record<MeterName, string>>, until: string) => void;
}): JSX.Element {
  const { trans } = useHost();
  const { typed, until, wrong, onChange } = props;
  const id = React.useId();
  return (
    <>
      <div className="rg-limits">
        {METERS.map(name => (
          <div key={name} className="rg-field">
            <label htmlFor={`${id}-${name}`}>{limitLabel(name, trans)}</label>
            <input
              id={`${id}-${name}`}
              className="rg-input rg-figure"
              inputMode="decimal"
              placeholder={trans.__('no limit')}
              aria-invalid={wrong?.field === name}
              aria-describedby={
                wrong?.field === name ? `${id}-wrong` : undefined
              }
              value={typed[name] ?? ''}
              onChange={event =>
                onChange({ ...typed, [name]: event.target.value }, until)
              }
            />
          </div>
        ))}
      </div>
      {wrong && METERS.includes(wrong.field as MeterName) && (
        <p id={`${id}-wrong`} className="rg-bad" role="alert">
          {trans.__(
            '"%1" is no limit of %2: a number above 0, or nothing for no limit.',
            wrong.line,
            limitWord(wrong.field, trans)
          )}
        </p>
      )}
      <div className="rg-field">
        <label htmlFor={`${id}-until`}>{trans.__('Until')}</label>
        <input
          id={`${id}-until`}
          className="rg-input rg-code"
          placeholder={GOAL_EXAMPLE}
          spellCheck={false}
          aria-describedby={`${id}-until-hint`}
          value={until}
          onChange={event => onChange(typed, event.target.value)}
        />
        <p id={`${id}-until-hint`} className="rg-dim">
          {trans.__('A goal on a metric; the loop ends when it is reached.')}
        </p>
      </div>
    </>
  );
}

const asTyped = (loop: Loop): Partial<Record<MeterName, string>> =>
  Object.fromEntries(
    METERS.flatMap(name =>
      loop.limits[name] === null ? [] : [[name, String(loop.limits[name])]]
    )
  );

/** New limits for a loop that lives, or that a limit has ended. Only what was changed is sent. */
export function LimitsForm(props: {
  loop: Loop;
  onDone: () => void;
}): JSX.Element {
  const { wild, trans } = useHost();
  const { loop, onDone } = props;
  const [typed, setTyped] = React.useState(() => asTyped(loop));
  const [goal, setGoal] = React.useState(loop.limits.until);
  const [wrong, setWrong] = React.useState<{
    field: string;
    line: string;
  } | null>(null);
  const { busy, error, run: doing, clear } = useDoing();
  const before = React.useRef(loop.limits);
  const over = isOver(loop);
  const save = () => {
    const made = asLimits(typed, goal);
    if ('field' in made) {
      setWrong(made);
      return;
    }
    const changed: Record<string, unknown> = {};
    for (const name of METERS) {
      if (made.body[name] !== before.current[name]) {
        changed[name] = made.body[name];
      }
    }
    if (made.body.until !== before.current.until) {
      changed.until = made.body.until;
    }
    doing(async () => {
      if (Object.keys(changed).length || over) {
        wild.put(
          await wild.api.limits(loop.id, { limits: changed, resume: true })
        );
        wild.loops.flush();
      }
      onDone();
    });
  };
  return (
    <form
      className="rg-wild-choice"
      aria-label={trans.__('Limits')}
      onSubmit={event => {
        event.preventDefault();
        save();
      }}
      onKeyDown={event => {
        if (event.key === 'Escape') {
          event.stopPropagation();
          onDone();
        }
      }}
    >
      <LimitFields
        typed={typed}
        until={goal}
        wrong={wrong}
        onChange={(next, text) => {
          setWrong(null);
          setTyped(next);
          setGoal(text);
        }}
      />
      <div className="rg-buttons">
        <button type="submit" className="rg-button rg-primary" disabled={busy}>
          {over ? trans.__('Save limits and go on') : trans.__('Save limits')}
        </button>
        <button type="button" className="rg-button rg-quiet" onClick={onDone}>
          {trans.__('Close')}
        </button>
      </div>
      {error && <Notice error={error} onClose={clear} />}
    </form>
  );
}
