import * as React from 'react';
import { bytes } from '../format';
import { useHost, useLiving, useSignal } from '../hooks';
import { LogModel } from '../models/log';
import { CopyButton } from './CopyButton';
import { Notice } from './Notice';

/** Within so many pixels of the end the reader is taken to be at it. */
const NEAR_END_PX = 24;

/** The end of a log. It follows only if the reader is at the end. */
export function LogTail({ run }: { run: string }): JSX.Element {
  const { project, trans } = useHost();
  const model = useLiving(() => new LogModel(project, run), run);
  const log = useSignal(model.changed, model.log);
  const box = React.useRef<HTMLPreElement>(null);
  const [atEnd, setAtEnd] = React.useState(true);
  const toEnd = React.useCallback(() => {
    const element = box.current;
    if (element) {
      element.scrollTop = element.scrollHeight;
    }
  }, []);
  React.useLayoutEffect(() => {
    if (atEnd) {
      toEnd();
    }
  }, [log.text, atEnd, toEnd]);
  if (log.phase === 'failed' && log.error) {
    return <Notice error={log.error} />;
  }
  return (
    <div className="rg-log">
      {log.cut && (
        <p className="rg-dim">
          {trans.__(
            'The last part of %1. All of it: ragent logs %2',
            bytes(log.size),
            run
          )}
        </p>
      )}
      <pre
        ref={box}
        tabIndex={0}
        aria-label={trans.__('Log')}
        onScroll={event => {
          const { scrollHeight, scrollTop, clientHeight } = event.currentTarget;
          setAtEnd(scrollHeight - scrollTop - clientHeight < NEAR_END_PX);
        }}
      >
        {log.text ||
          (log.phase === 'loading'
            ? ''
            : trans.__('The log is empty: nothing was written so far.'))}
      </pre>
      <div className="rg-log-tools">
        {!atEnd && (
          <button
            type="button"
            className="rg-button rg-quiet"
            onClick={() => {
              toEnd();
              setAtEnd(true);
            }}
          >
            {trans.__('Jump to latest')}
          </button>
        )}
        {log.text && (
          <CopyButton
            icon
            text={log.text}
            label={trans.__('Copy what is shown of the log')}
          />
        )}
      </div>
    </div>
  );
}
