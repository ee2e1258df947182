/** Choices of one among few, with what each means in a line. */
import * as React from 'react';
import { useHost } from '../../hooks';
import type { Loop } from '../../wire';

export function Choice<T extends string>(props: {
  label: string;
  value: T;
  options: [T, string, string][];
  disabled?: boolean;
  onChange: (value: T) => void;
}): JSX.Element {
  const { label, value, options, disabled, onChange } = props;
  const id = React.useId();
  return (
    <fieldset className="rg-choices" disabled={disabled}>
      <legend>{label}</legend>
      {options.map(([one, word, line]) => (
        <label key={one} className="rg-choice">
          <input
            type="radio"
            name={id}
            checked={value === one}
            onChange={() => onChange(one)}
          />
          <span>
            {word} <span className="rg-dim rg-choice-line">{line}</span>
          </span>
        </label>
      ))}
    </fieldset>
  );
}

export function AutonomyField(props: {
  value: Loop['autonomy'];
  disabled?: boolean;
  onChange: (value: Loop['autonomy']) => void;
}): JSX.Element {
  const { trans } = useHost();
  return (
    <Choice
      label={trans.__('Autonomy')}
      {...props}
      options={[
        [
          'cautious',
          trans.__('Cautious'),
          trans.__('asks before each sweep, stop and code change')
        ],
        [
          'balanced',
          trans.__('Balanced'),
          trans.__('runs by itself; asks before code changes and dear steps')
        ],
        ['full', trans.__('Full'), trans.__('asks only when it cannot go on')]
      ]}
    />
  );
}
