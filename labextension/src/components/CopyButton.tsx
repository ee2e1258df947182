import * as React from 'react';
import { useHost } from '../hooks';
import { IconButton } from './Icon';

/** Copies, and says so for two seconds. */
export function CopyButton(props: {
  text: string;
  label: string;
  icon?: boolean;
}): JSX.Element {
  const { trans } = useHost();
  const [said, setSaid] = React.useState<string | null>(null);
  React.useEffect(() => {
    if (said) {
      const timer = setTimeout(() => setSaid(null), 2000);
      return () => clearTimeout(timer);
    }
    return undefined;
  }, [said]);
  const copy = () => {
    const done = navigator.clipboard?.writeText(props.text);
    if (!done) {
      // Only pages on https or localhost have a clipboard.
      setSaid(trans.__('No clipboard here'));
      return;
    }
    done.then(
      () => setSaid(trans.__('Copied')),
      () => setSaid(trans.__('Not copied'))
    );
  };
  return (
    <>
      {props.icon ? (
        <IconButton icon="copy" label={said ?? props.label} onClick={copy} />
      ) : (
        <button type="button" className="rg-button rg-quiet" onClick={copy}>
          {said ?? props.label}
        </button>
      )}
      <span className="rg-unseen" role="status">
        {said}
      </span>
    </>
  );
}
