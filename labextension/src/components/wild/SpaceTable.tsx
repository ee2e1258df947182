import * as React from 'react';
import { param } from '../../format';
import { useHost } from '../../hooks';
import type { KnobEdit } from '../../models/wilddraft';
import type { Flag, SetupReply } from '../../wire';

const VALUES_EXAMPLE = '0.0, 0.1, 0.2';

/** What the script exposes: what is searched, with ranges to edit; what is not, folded, to be taken in. */
export function SpaceTable(props: {
  reply: SetupReply;
  edits: Record<string, KnobEdit>;
  wrong: string | null;
  onChange: (name: string, edit: KnobEdit) => void;
}): JSX.Element {
  const { trans } = useHost();
  const { reply, edits, wrong, onChange } = props;
  const { flags, notes } = reply.script;
  const byName = new Map(flags.map(flag => [flag.name, flag]));
  const of = (role: Flag['role']) =>
    flags.filter(flag => flag.role === role).map(flag => flag.name);
  const known = new Set(flags.map(flag => flag.name));
  // What is proposed stays where it is when it is switched off: nothing jumps.
  const tune = [
    ...of('tune'),
    ...Object.keys(edits).filter(name => !known.has(name))
  ];
  const rest = of('exclude');
  const on = Object.values(edits).filter(edit => edit.on).length;
  const fixed = flags.filter(
    flag => flag.role === 'fidelity' || flag.role === 'seed'
  );
  return (
    <section
      className="rg-space"
      aria-label={trans.__('What the script exposes')}
    >
      <h3>
        {trans.__('Searched')}{' '}
        <span className="rg-dim rg-figure">
          {trans._n('%1 flag', '%1 flags', on)}
        </span>
      </h3>
      {tune.length ? (
        <KnobRows
          edits={edits}
          names={tune}
          flags={byName}
          wrong={wrong}
          onChange={onChange}
        />
      ) : (
        <p className="rg-dim">
          {trans.__(
            'No flag looks as if it changed the result. Take one in below, or let a model propose changes.'
          )}
        </p>
      )}
      {fixed.length > 0 && (
        <ul className="rg-evidence-list rg-fixed-flags">
          {fixed.map(flag => (
            <li key={flag.name} className="rg-wild-text">
              <code>{flag.name}</code>{' '}
              <span className="rg-tag">
                {flag.role === 'seed' ? trans.__('seed') : trans.__('length')}
              </span>{' '}
              <span className="rg-dim">
                {flag.role === 'seed'
                  ? trans.__('repeats and the confirm stage set it')
                  : trans.__(
                      'never searched; %1 is its full value',
                      param(flag.current ?? flag.default)
                    )}
              </span>
            </li>
          ))}
        </ul>
      )}
      {reply.setup.seed === '' && (
        <p className="rg-warn-text">
          {trans.__(
            'The script has no seed flag: results will be labelled unconfirmed.'
          )}
        </p>
      )}
      {rest.length > 0 && (
        <details className="rg-behind">
          <summary>
            {trans._n(
              '%1 flag is left alone',
              '%1 flags are left alone',
              rest.length
            )}
          </summary>
          <KnobRows
            edits={edits}
            names={rest}
            flags={byName}
            wrong={wrong}
            onChange={onChange}
          />
        </details>
      )}
      {notes.length > 0 && (
        <ul className="rg-evidence-list rg-dim">
          {notes.map((note, i) => (
            <li key={i} className="rg-wild-text">
              {note}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

export function KnobRows(props: {
  edits: Record<string, KnobEdit>;
  names: string[];
  flags?: Map<string, Flag>;
  wrong: string | null;
  onChange: (name: string, edit: KnobEdit) => void;
}): JSX.Element {
  const { edits, names, flags, wrong, onChange } = props;
  return (
    <ul className="rg-knobs">
      {names.map(
        name =>
          edits[name] && (
            <KnobRow
              key={name}
              name={name}
              edit={edits[name]}
              flag={flags?.get(name)}
              wrong={wrong === name}
              onChange={edit => onChange(name, edit)}
            />
          )
      )}
    </ul>
  );
}

function KnobRow(props: {
  name: string;
  edit: KnobEdit;
  flag?: Flag;
  wrong: boolean;
  onChange: (edit: KnobEdit) => void;
}): JSX.Element {
  const { trans } = useHost();
  const { name, edit, flag, wrong, onChange } = props;
  const id = React.useId();
  const why = edit.why || flag?.why || '';
  const where = flag?.file ? `${flag.file}:${flag.line}` : '';
  const common = {
    className: 'rg-input rg-figure',
    spellCheck: false,
    'aria-invalid': wrong,
    'aria-describedby': wrong ? `${id}-wrong` : undefined
  };
  return (
    <li className={`rg-knob${edit.on ? '' : ' rg-knob-off'}`}>
      <label
        className="rg-knob-name"
        title={[why, where].filter(Boolean).join(' · ')}
      >
        <input
          type="checkbox"
          checked={edit.on}
          onChange={event => onChange({ ...edit, on: event.target.checked })}
        />
        <code className="rg-wild-text">{name}</code>
        <span className="rg-dim rg-figure rg-knob-now">
          {edit.start === null || edit.start === undefined
            ? ''
            : trans.__('now %1', param(edit.start))}
        </span>
      </label>
      {edit.on &&
        (edit.kind === 'range' ? (
          <span className="rg-knob-range">
            <input
              {...common}
              aria-label={trans.__('%1, from', name)}
              inputMode="decimal"
              value={edit.low}
              onChange={event => onChange({ ...edit, low: event.target.value })}
            />
            <span aria-hidden="true">…</span>
            <input
              {...common}
              aria-label={trans.__('%1, to', name)}
              inputMode="decimal"
              value={edit.high}
              onChange={event =>
                onChange({ ...edit, high: event.target.value })
              }
            />
            <label className="rg-knob-log">
              <input
                type="checkbox"
                checked={edit.log}
                onChange={event =>
                  onChange({ ...edit, log: event.target.checked })
                }
              />
              {trans.__('log')}
            </label>
          </span>
        ) : (
          <input
            {...common}
            aria-label={trans.__('%1, values', name)}
            placeholder={VALUES_EXAMPLE}
            value={edit.values}
            onChange={event =>
              onChange({ ...edit, values: event.target.value })
            }
          />
        ))}
      {wrong && (
        <p id={`${id}-wrong`} className="rg-bad" role="alert">
          {edit.kind === 'range'
            ? trans.__(
                'From a smaller number to a larger one; above 0 on a log scale, whole where the flag is.'
              )
            : trans.__('Values with commas between them.')}
        </p>
      )}
      {!wrong && !edit.on && why && (
        <span className="rg-dim rg-wild-text rg-knob-why">{why}</span>
      )}
    </li>
  );
}
