import * as React from 'react';
import type { ApiError } from '../api';
import { useHost } from '../hooks';
import { CopyButton } from './CopyButton';

/** A refusal: the problem, then what helps, then a way to copy both. */
export function Notice(props: {
  error: ApiError;
  onRetry?: () => void;
  onClose?: () => void;
  /** What stands before the problem: what was wanted, how old the picture is. */
  lead?: string;
}): JSX.Element {
  const { trans } = useHost();
  const { error, lead, onRetry, onClose } = props;
  return (
    <div className="rg-notice" role="alert">
      <p className="rg-notice-problem">
        {lead ? `${lead} ` : ''}
        {error.problem}
      </p>
      {error.remedy && <p>{error.remedy}</p>}
      <div className="rg-buttons">
        {onRetry && (
          <button type="button" className="rg-button" onClick={onRetry}>
            {trans.__('Try again')}
          </button>
        )}
        <CopyButton text={error.details} label={trans.__('Copy details')} />
        {onClose && (
          <button
            type="button"
            className="rg-button rg-quiet"
            onClick={onClose}
          >
            {trans.__('Close')}
          </button>
        )}
      </div>
    </div>
  );
}
