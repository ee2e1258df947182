import * as React from 'react';
import type { ApiError, ProjectReply } from '../api';
import { useDoing, useHost } from '../hooks';
import { Notice } from './Notice';

const EXAMPLE = 'projects/vision';

/** Which folder ragent works on, where the server cannot tell by itself (its root is the home folder, say). */
export function ProjectPicker(props: { error: ApiError }): JSX.Element {
  const { project, trans } = useHost();
  const { busy, error, run: doing, clear } = useDoing();
  const [asked, setAsked] = React.useState<ProjectReply | null>(null);
  const [path, setPath] = React.useState('');
  const id = React.useId();
  React.useEffect(() => {
    project.api.project().then(setAsked, () => undefined);
  }, [project]);
  if (!asked || asked.project) {
    return <Notice error={props.error} onRetry={() => void project.load()} />;
  }
  const below = (folder: string) =>
    folder.startsWith(`${asked.root}/`)
      ? folder.slice(asked.root.length + 1)
      : folder;
  const choose = (folder: string) =>
    doing(async () => {
      await project.api.chooseProject(folder);
      await project.load();
    });
  return (
    <form
      className="rg-form"
      aria-label={trans.__('Choose the project')}
      onSubmit={event => {
        event.preventDefault();
        if (path.trim()) {
          choose(path.trim());
        }
      }}
    >
      <h2>{trans.__('Which folder is your project?')}</h2>
      <p>
        {asked.problem}{' '}
        {trans.__('ragent keeps what it knows in a folder .ragent inside it.')}
      </p>
      {asked.candidates.length > 0 && (
        <div className="rg-buttons">
          {asked.candidates.map(folder => (
            <button
              key={folder}
              type="button"
              className="rg-button"
              disabled={busy}
              onClick={() => choose(below(folder))}
            >
              {below(folder)}
            </button>
          ))}
        </div>
      )}
      <div className="rg-field">
        <label htmlFor={id}>{trans.__('A folder below %1', asked.root)}</label>
        <input
          id={id}
          className="rg-input"
          value={path}
          spellCheck={false}
          placeholder={EXAMPLE}
          onChange={event => setPath(event.target.value)}
        />
      </div>
      {error && <Notice error={error} onClose={clear} />}
      <div className="rg-buttons">
        <button
          type="submit"
          className="rg-button rg-primary"
          disabled={busy || !path.trim()}
        >
          {trans.__('Use this folder')}
        </button>
      </div>
    </form>
  );
}
