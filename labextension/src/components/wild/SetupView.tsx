import * as React from 'react';
import { param } from '../../format';
import { useDoing, useHost } from '../../hooks';
import { isOver } from '../../models/wild';
import { editOf, spaceOf, type KnobEdit } from '../../models/wilddraft';
import type { Loop } from '../../wire';
import { Notice } from '../Notice';
import { AutonomyField } from './fields';
import { KnobRows } from './SpaceTable';

const editsOfLoop = (loop: Loop): Record<string, KnobEdit> =>
  Object.fromEntries(
    Object.entries(loop.setup.space).map(([name, knob]) => [
      name,
      editOf(knob.dim, knob.default, true, knob.why)
    ])
  );

/** What is run and searched; while the loop lives, what may be tried and how free it is can be changed. */
export function SetupView({ loop }: { loop: Loop }): JSX.Element {
  const { wild, trans } = useHost();
  const { setup } = loop;
  const over = isOver(loop);
  const { busy, error, run: doing, clear } = useDoing();
  const [edits, setEdits] = React.useState<Record<string, KnobEdit> | null>(
    null
  );
  const [wrong, setWrong] = React.useState<string | null>(null);
  const save = () => {
    const made = spaceOf(edits!);
    if ('field' in made) {
      setWrong(made.field);
      return;
    }
    doing(async () => {
      wild.put(await wild.api.patch(loop.id, { space: made.body }));
      wild.loops.flush();
      setEdits(null);
    });
  };
  const policies: Record<Loop['policy'], string> = {
    builtin: trans.__('built-in'),
    llm: trans.__('model'),
    hybrid: trans.__('both')
  };
  const rows: [string, React.ReactNode][] = [
    [trans.__('Command'), <code key="c">{setup.command}</code>],
    [trans.__('Folder'), <code key="f">{setup.cwd}</code>],
    [
      trans.__('Judged by'),
      setup.metric &&
        `${setup.metric}, ${setup.mode === 'max' ? trans.__('higher is better') : trans.__('lower is better')}`
    ],
    [
      trans.__('Decides'),
      [policies[loop.policy], loop.model].filter(Boolean).join(', ')
    ],
    [
      trans.__('Seed'),
      setup.seed === ''
        ? trans.__('the script has none: nothing can be confirmed')
        : setup.seed
    ],
    [trans.__('Training length'), setup.fidelity],
    [
      trans.__('Confirms with'),
      trans._n('%1 fresh seed', '%1 fresh seeds', setup.seeds)
    ],
    [
      trans.__('Runs in'),
      setup.isolation === 'tree'
        ? trans.__('a copy of the commit')
        : trans.__('your folder as it is')
    ],
    [trans.__('May change'), setup.may_edit.join(', ')]
  ];
  return (
    <details className="rg-wild-part rg-wild-setup">
      <summary>{trans.__('Set-up')}</summary>
      <dl className="rg-facts">
        {rows
          .filter(([, value]) => value)
          .map(([name, value]) => (
            <React.Fragment key={name}>
              <dt>{name}</dt>
              <dd className="rg-wild-text">{value}</dd>
            </React.Fragment>
          ))}
      </dl>
      {!over && (
        <AutonomyField
          value={loop.autonomy}
          disabled={busy}
          onChange={autonomy =>
            doing(async () => {
              wild.put(await wild.api.patch(loop.id, { autonomy }));
              wild.loops.flush();
            })
          }
        />
      )}
      <h3>{trans.__('Searched')}</h3>
      {edits ? (
        <>
          <KnobRows
            edits={edits}
            names={Object.keys(edits)}
            wrong={wrong}
            onChange={(name, edit) => {
              setWrong(null);
              setEdits({ ...edits, [name]: edit });
            }}
          />
          <div className="rg-buttons">
            <button
              type="button"
              className="rg-button rg-primary"
              disabled={busy}
              onClick={save}
            >
              {trans.__('Save ranges')}
            </button>
            <button
              type="button"
              className="rg-button rg-quiet"
              onClick={() => setEdits(null)}
            >
              {trans.__('Keep as they were')}
            </button>
          </div>
        </>
      ) : (
        <>
          <dl className="rg-facts">
            {Object.entries(setup.space).map(([name, { dim }]) => (
              <React.Fragment key={name}>
                <dt>{name}</dt>
                <dd className="rg-figure">
                  {dim.kind === 'range'
                    ? `${param(dim.low)} … ${param(dim.high)}${dim.log ? `, ${trans.__('log')}` : ''}`
                    : dim.values.map(param).join(', ')}
                </dd>
              </React.Fragment>
            ))}
          </dl>
          {!Object.keys(setup.space).length && (
            <p className="rg-dim">{trans.__('No flag is searched.')}</p>
          )}
          {!over && Object.keys(setup.space).length > 0 && (
            <button
              type="button"
              className="rg-button rg-quiet"
              onClick={() => setEdits(editsOfLoop(loop))}
            >
              {trans.__('Edit ranges')}
            </button>
          )}
        </>
      )}
      {error && <Notice error={error} onClose={clear} />}
    </details>
  );
}
