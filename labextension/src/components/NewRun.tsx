import * as React from 'react';
import { useDoing, useHost, usePanel } from '../hooks';
import { requestId } from '../models/once';
import { asRequest, BLANK, type Draft } from '../models/panel';
import { FormFrame } from './FormFrame';

/** As they are typed, in any language. */
const EXAMPLE = {
  command: 'python train.py --lr 3e-4',
  primary: 'val_loss',
  env: 'NAME=VALUE'
};

/** A run to start. What is typed survives closing, reloads and refusals. */
export function NewRun(): JSX.Element {
  const { project, panel, trans, kernels } = useHost();
  const { draft } = usePanel();
  const { busy, error, run: doing, clear } = useDoing();
  const [wrong, setWrong] = React.useState<{
    field: keyof Draft;
    line: string;
  } | null>(null);
  const [known, setKnown] = React.useState<string[]>([]);
  // One id for one form: pressing twice, or again after a lost answer, starts one run.
  const request = React.useRef(requestId());
  const command = React.useRef<HTMLTextAreaElement>(null);
  const id = React.useId();

  React.useEffect(() => {
    command.current?.focus();
    let here = true;
    void Promise.allSettled([project.api.interpreters(), kernels()]).then(
      found => {
        const names = found.flatMap(part =>
          part.status === 'fulfilled' ? part.value : []
        );
        const used = project.runs
          .all()
          .flatMap(run => run.interpreter?.path ?? []);
        if (here) {
          setKnown([...new Set([...names, ...used])].slice(0, 50));
        }
      }
    );
    return () => {
      here = false;
    };
  }, [project, kernels]);

  const set = (part: Partial<Draft>) => {
    setWrong(null);
    request.current = requestId();
    panel.set({ draft: { ...draft, ...part } });
  };
  const start = () => {
    const made = asRequest(draft, request.current);
    if ('field' in made) {
      setWrong(made);
      document.getElementById(`${id}-${made.field}`)?.focus();
      return;
    }
    doing(async () => {
      const run = await project.api.createRun(made.body);
      project.putRun(run);
      panel.set({ draft: { ...draft, command: '', name: '' } });
      panel.openRun(run.id);
    });
  };
  const sayWrong: Partial<Record<keyof Draft, string>> = {
    command: trans.__('Type the command to run.'),
    env: trans.__('"%1" is not NAME=VALUE.', wrong?.line ?? ''),
    gpus: trans.__('A whole number, 0 for none.')
  };
  const field = (
    name: keyof Draft,
    label: string,
    control: (common: {
      id: string;
      className: string;
      value: string;
      'aria-invalid': boolean;
      'aria-describedby': string | undefined;
      onChange: (event: { target: { value: string } }) => void;
    }) => JSX.Element,
    hint?: string
  ) => (
    <div className="rg-field">
      <label htmlFor={`${id}-${name}`}>{label}</label>
      {control({
        id: `${id}-${name}`,
        className: 'rg-input',
        value: draft[name],
        'aria-invalid': wrong?.field === name,
        'aria-describedby':
          hint || wrong?.field === name ? `${id}-${name}-hint` : undefined,
        onChange: event => set({ [name]: event.target.value })
      })}
      {(hint || wrong?.field === name) && (
        <p
          id={`${id}-${name}-hint`}
          className={wrong?.field === name ? 'rg-bad' : 'rg-dim'}
          role={wrong?.field === name ? 'alert' : undefined}
        >
          {wrong?.field === name ? sayWrong[name] : hint}
        </p>
      )}
    </div>
  );

  return (
    <FormFrame
      title={trans.__('New run')}
      verb={busy ? trans.__('Starting…') : trans.__('Start run')}
      busy={busy}
      error={error}
      lead={trans.__('Not started.')}
      onErrorClose={clear}
      onSend={start}
      onClear={() => {
        panel.set({ draft: BLANK });
        setWrong(null);
      }}
    >
      {field(
        'command',
        trans.__('Command'),
        common => (
          <textarea
            {...common}
            ref={command}
            className="rg-input rg-code"
            rows={Math.min(10, Math.max(3, draft.command.split('\n').length))}
            placeholder={EXAMPLE.command}
            spellCheck={false}
            required
          />
        ),
        trans.__(
          'As in a shell; several lines run as one script. A notebook: its path.'
        )
      )}
      {field('cwd', trans.__('Folder'), common => (
        <input
          {...common}
          placeholder={
            project.status?.project ?? trans.__("the project's folder")
          }
          spellCheck={false}
        />
      ))}
      {field(
        'python',
        trans.__('Python'),
        common => (
          <input
            {...common}
            list={`${id}-known`}
            placeholder={trans.__("the server's own")}
            spellCheck={false}
          />
        ),
        trans.__('A path, a venv folder, conda:NAME or kernel:NAME')
      )}
      <datalist id={`${id}-known`}>
        {known.map(name => (
          <option key={name} value={name} />
        ))}
      </datalist>
      <div className="rg-fields">
        {field('name', trans.__('Name'), common => (
          <input {...common} placeholder={trans.__('from the command')} />
        ))}
        {field('gpus', trans.__('GPUs'), common => (
          <input {...common} type="number" min="0" max="64" step="1" />
        ))}
      </div>
      <div className="rg-fields">
        {field('primary', trans.__('Judged by metric'), common => (
          <input {...common} placeholder={EXAMPLE.primary} spellCheck={false} />
        ))}
        {field('mode', trans.__('Better is'), common => (
          <select {...common}>
            <option value="min">{trans.__('lower')}</option>
            <option value="max">{trans.__('higher')}</option>
          </select>
        ))}
      </div>
      {field(
        'env',
        trans.__('Environment'),
        common => (
          <textarea
            {...common}
            className="rg-input rg-code"
            rows={2}
            placeholder={EXAMPLE.env}
            spellCheck={false}
          />
        ),
        trans.__(
          'One NAME=VALUE a line. Tokens of Jupyter and keys of models are never passed on.'
        )
      )}
    </FormFrame>
  );
}
