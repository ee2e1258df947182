import * as React from 'react';
import { useDoing, useHost, useOffer, usePanel, useRuns } from '../../hooks';
import type { Checked } from '../../models/wilddesk';
import {
  asLoop,
  BLANK_LOOP,
  editsOf,
  spaceOf,
  withAnswers,
  type WildDraft
} from '../../models/wilddraft';
import { requestId } from '../../models/once';
import type { Loop, ModelInfo } from '../../wire';
import { FormFrame } from '../FormFrame';
import { CheckedView } from './CheckedView';
import { AutonomyField, Choice } from './fields';
import { LimitFields } from './LimitsForm';

/** As they are typed, in any language. */
const EXAMPLE = {
  goal: 'Get val_loss as low as possible',
  command: 'python train.py',
  edit: 'model.py, src/**/*.py'
};

/** What a check depends on: limits and autonomy may change after it. */
const keyOf = (draft: WildDraft): string => {
  const { goal, command, policy, mayEdit } = draft;
  return JSON.stringify([goal.trim(), command.trim(), policy, mayEdit]);
};

/** A goal and its limits; then what would be run and searched, to be seen and changed before anything starts. */
export function WildForm(): JSX.Element {
  const { wild, panel, trans } = useHost();
  const { wild: typed } = usePanel();
  const model = useWildModel();
  const { busy, error, run: doing, clear } = useDoing();
  const [lead, setLead] = React.useState('');
  const [wrong, setWrong] = React.useState<{
    field: string;
    line: string;
  } | null>(null);
  const [checked, keep] = React.useState(wild.checked);
  // Where nobody has chosen, the engine does; what it said at the check is shown, and is sent at the start.
  const policy =
    typed.policy || checked?.reply.policy || (model ? 'llm' : 'builtin');
  const draft = { ...typed, policy };
  const [wrongKnob, setWrongKnob] = React.useState<string | null>(null);
  // One id for one form: pressing twice, or again after a lost answer, starts one loop.
  const request = React.useRef(requestId());
  const goal = React.useRef<HTMLTextAreaElement>(null);
  const found = React.useRef<HTMLHeadingElement>(null);
  const id = React.useId();
  React.useEffect(() => goal.current?.focus(), []);
  // A new answer is read from its start; one that stood there already is not jumped to.
  const seen = React.useRef(checked?.reply);
  React.useEffect(() => {
    if (checked && checked.reply !== seen.current) {
      found.current?.focus();
    }
    seen.current = checked?.reply;
  }, [checked]);

  const setChecked = (next: Checked | null) => {
    wild.checked = next;
    keep(next);
    setWrongKnob(null);
    request.current = requestId();
  };
  const set = (part: Partial<WildDraft>) => {
    setWrong(null);
    request.current = requestId();
    panel.set({ wild: { ...typed, ...part } });
  };
  const fresh = checked !== null && checked.key === keyOf(typed);
  const made = () => {
    const asked = asLoop(draft);
    if ('field' in asked) {
      setWrong(asked);
      document.getElementById(`${id}-${asked.field}`)?.focus();
      return null;
    }
    return asked.body;
  };
  const check = () => {
    const body = made();
    if (!body) {
      return;
    }
    setLead(trans.__('Not checked.'));
    // What a person has said about the metric is not read from the script again.
    const own =
      checked && checked.metric !== checked.reply.setup.metric
        ? { metric: checked.metric.trim(), mode: checked.mode }
        : {};
    doing(async () => {
      const reply = await wild.api.draft({
        ...body,
        ...own,
        policy: typed.policy || null
      });
      const asked = withAnswers({ goal: '' }, reply.asks, {});
      if (asked.command && !body.command) {
        // Which command is to be answered, and then that one is read.
        panel.set({ wild: { ...typed, command: asked.command } });
      }
      setChecked({
        key: keyOf(typed),
        reply,
        edits: editsOf(reply),
        answers: {},
        metric: reply.setup.metric || asked.metric || '',
        mode: asked.mode ?? reply.setup.mode
      });
    });
  };
  const start = () => {
    const body = made();
    if (!body || !checked) {
      return;
    }
    const space = spaceOf(checked.edits);
    if ('field' in space) {
      setWrongKnob(space.field);
      return;
    }
    const { setup, asks } = checked.reply;
    const metric = checked.metric.trim();
    setLead(trans.__('Not started.'));
    doing(async () => {
      const loop = await wild.api.create({
        ...withAnswers(
          {
            ...body,
            command: body.command || setup.command,
            space: space.body,
            seed_flag: setup.seed
          },
          asks,
          checked.answers
        ),
        // An answer has set these fields, and they may have been changed since: what is seen is what is sent.
        ...(metric ? { metric, mode: checked.mode } : {}),
        request_id: request.current
      });
      setChecked(null);
      wild.put(loop);
      wild.loops.flush();
      panel.set({ wild: { ...BLANK_LOOP, limits: draft.limits } });
      panel.openLoop(loop.id);
    });
  };

  return (
    <FormFrame
      title={trans.__('Start a loop')}
      className="rg-wild-form"
      verb={
        fresh
          ? busy
            ? trans.__('Starting…')
            : trans.__('Start loop')
          : busy
            ? trans.__('Checking…')
            : checked
              ? trans.__('Check again')
              : trans.__('Check')
      }
      busy={busy}
      error={error}
      lead={lead}
      onErrorClose={clear}
      onSend={() => (fresh ? start() : check())}
      onClear={() => {
        panel.set({ wild: BLANK_LOOP });
        setChecked(null);
        setWrong(null);
      }}
      hint={
        checked
          ? undefined
          : trans.__(
              'Check reads the script and runs nothing. You see what would be searched first.'
            )
      }
    >
      <div className="rg-field">
        <label htmlFor={`${id}-goal`}>{trans.__('Goal')}</label>
        <textarea
          id={`${id}-goal`}
          ref={goal}
          className="rg-input"
          rows={Math.min(6, Math.max(2, draft.goal.split('\n').length))}
          placeholder={EXAMPLE.goal}
          aria-invalid={wrong?.field === 'goal'}
          aria-describedby={`${id}-goal-hint`}
          value={draft.goal}
          onChange={event => set({ goal: event.target.value })}
        />
        <p
          id={`${id}-goal-hint`}
          className={wrong?.field === 'goal' ? 'rg-bad' : 'rg-dim'}
          role={wrong?.field === 'goal' ? 'alert' : undefined}
        >
          {wrong?.field === 'goal'
            ? trans.__('Say what the loop should work towards.')
            : trans.__('In plain words; name the metric if you can.')}
        </p>
      </div>
      <Command
        id={`${id}-command`}
        value={draft.command}
        onChange={command => set({ command })}
      />
      <Policy
        value={policy}
        model={model}
        onChange={next => set({ policy: next })}
      />
      {policy !== 'builtin' && (
        <MayEdit
          id={`${id}-edit`}
          value={draft.mayEdit}
          onChange={mayEdit => set({ mayEdit })}
        />
      )}
      <AutonomyField
        value={draft.autonomy}
        onChange={autonomy => set({ autonomy })}
      />
      <fieldset className="rg-choices">
        <legend>{trans.__('Limits')}</legend>
        <LimitFields
          typed={draft.limits}
          until={draft.until}
          wrong={wrong}
          onChange={(limits, until) => set({ limits, until })}
        />
      </fieldset>
      {checked && (
        <>
          {!fresh && (
            <p className="rg-warn-text" role="status">
              {trans.__(
                'The goal, the command or who decides has changed since this was read. Check again.'
              )}
            </p>
          )}
          <CheckedView
            head={found}
            checked={checked}
            wrong={wrongKnob}
            onChange={setChecked}
            onCommand={command => set({ command })}
          />
        </>
      )}
    </FormFrame>
  );
}

function Command(props: {
  id: string;
  value: string;
  onChange: (command: string) => void;
}): JSX.Element {
  const { trans } = useHost();
  const { id, value, onChange } = props;
  const runs = useRuns();
  const newest =
    runs.find(run => !run.sweep_id && run.kind === 'command')?.command ??
    runs[0]?.command;
  return (
    <div className="rg-field">
      <label htmlFor={id}>{trans.__('Command')}</label>
      <textarea
        id={id}
        className="rg-input rg-code"
        rows={Math.min(6, Math.max(2, value.split('\n').length))}
        placeholder={EXAMPLE.command}
        spellCheck={false}
        aria-describedby={`${id}-hint`}
        value={value}
        onChange={event => onChange(event.target.value)}
      />
      {newest && newest !== value ? (
        <p id={`${id}-hint`} className="rg-suggest">
          <button
            type="button"
            className="rg-link rg-name"
            title={newest}
            onClick={() => onChange(newest)}
          >
            {trans.__('Use the newest run: %1', newest)}
          </button>
        </p>
      ) : (
        <p id={`${id}-hint`} className="rg-dim">
          {trans.__('One training run, as you would type it.')}
        </p>
      )}
    </div>
  );
}

/** The model that would decide; null: none is set. undefined: not known yet. */
function useWildModel(): ModelInfo | null | undefined {
  const { desk } = useHost();
  const { options } = useOffer();
  const [model, setModel] = React.useState<ModelInfo | null>();
  React.useEffect(() => {
    let here = true;
    desk.models().then(
      ({ roles }) => {
        const role =
          roles.find(one => one.role === 'wild') ??
          roles.find(one => one.role === 'chat');
        const found = role?.model;
        if (here) {
          setModel(found && found.provider !== 'builtin' ? found : null);
        }
      },
      // Not known: the check says what is missing.
      () => undefined
    );
    return () => {
      here = false;
    };
  }, [desk]);
  // A role names a model even where no key would open it: then chats have the built-in assistant.
  return options?.builtin ? null : model;
}

function MayEdit(props: {
  id: string;
  value: string;
  onChange: (globs: string) => void;
}): JSX.Element {
  const { trans } = useHost();
  const { id, value, onChange } = props;
  return (
    <div className="rg-field">
      <label htmlFor={id}>{trans.__('Files the model may change')}</label>
      <input
        id={id}
        className="rg-input rg-code"
        placeholder={EXAMPLE.edit}
        spellCheck={false}
        aria-describedby={`${id}-hint`}
        value={value}
        onChange={event => onChange(event.target.value)}
      />
      <p id={`${id}-hint`} className="rg-dim">
        {trans.__(
          'None if empty. Changes go onto a branch of their own; you merge.'
        )}
      </p>
    </div>
  );
}

function Policy(props: {
  value: Loop['policy'];
  model: ModelInfo | null | undefined;
  onChange: (value: Loop['policy']) => void;
}): JSX.Element {
  const { trans } = useHost();
  const { value, model, onChange } = props;
  return (
    <Choice
      label={trans.__('Who decides')}
      value={value}
      onChange={onChange}
      options={[
        [
          'builtin',
          trans.__('Built-in'),
          trans.__('searches flags by statistics; no key needed')
        ],
        [
          'llm',
          trans.__('Model'),
          model
            ? trans.__('%1 proposes runs and code', model.title || model.id)
            : model === null
              ? trans.__('no model is set: choose one in a chat first')
              : ''
        ],
        [
          'hybrid',
          trans.__('Both'),
          trans.__('statistics choose most runs, the model adds ideas and code')
        ]
      ]}
    />
  );
}
