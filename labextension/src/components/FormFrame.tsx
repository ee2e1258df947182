import * as React from 'react';
import type { ApiError } from '../api';
import { useHost } from '../hooks';
import { IconButton } from './Icon';
import { Notice } from './Notice';

/** A whole view that is filled in and sent: by its button, or Ctrl+Enter anywhere in it. */
export function FormFrame(props: {
  title: string;
  className?: string;
  /** What the button says. */
  verb: string;
  busy: boolean;
  error: ApiError | null;
  /** What a refusal means for the reader: "Not started." */
  lead: string;
  onErrorClose: () => void;
  onSend: () => void;
  onClear: () => void;
  /** Below the buttons. */
  hint?: string;
  children: React.ReactNode;
}): JSX.Element {
  const { panel, trans } = useHost();
  const { title, className, verb, busy, error, lead, hint, onSend } = props;
  return (
    <form
      className={className ? `rg-form ${className}` : 'rg-form'}
      aria-label={title}
      onSubmit={event => {
        event.preventDefault();
        onSend();
      }}
      onKeyDown={event => {
        if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
          event.preventDefault();
          onSend();
        }
      }}
    >
      <header className="rg-head">
        <IconButton
          icon="back"
          label={trans.__('Back')}
          onClick={() => panel.back()}
        />
        <h2>{title}</h2>
      </header>
      {props.children}
      {error && (
        <Notice error={error} lead={lead} onClose={props.onErrorClose} />
      )}
      <div className="rg-buttons rg-form-end">
        <button
          type="submit"
          className="rg-button rg-primary"
          disabled={busy}
          title={trans.__('Ctrl+Enter')}
        >
          {verb}
        </button>
        <button
          type="button"
          className="rg-button rg-quiet"
          onClick={props.onClear}
        >
          {trans.__('Clear form')}
        </button>
      </div>
      {hint && <p className="rg-dim">{hint}</p>}
    </form>
  );
}
