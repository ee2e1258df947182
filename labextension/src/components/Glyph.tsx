import * as React from 'react';
import { useHost } from '../hooks';
import type { RunStatus, Severity, SweepStatus } from '../wire';
import type { Trans } from '../words';

type AnyStatus = RunStatus | SweepStatus;

export function statusWord(status: AnyStatus, trans: Trans): string {
  const words: Record<AnyStatus, string> = {
    draft: trans.__('draft'),
    ready: trans.__('ready'),
    queued: trans.__('queued'),
    launching: trans.__('launching'),
    running: trans.__('running'),
    stopping: trans.__('stopping'),
    finished: trans.__('finished'),
    failed: trans.__('failed'),
    stopped: trans.__('stopped')
  };
  return words[status];
}

const DISC = <circle cx="6" cy="6" r="4" fill="currentColor" />;
const RING = (
  <circle
    cx="6"
    cy="6"
    r="3.4"
    fill="none"
    stroke="currentColor"
    strokeWidth="1.3"
  />
);
const SQUARE = (
  <rect x="2.5" y="2.5" width="7" height="7" fill="currentColor" />
);

/** Shape and colour both say it: nobody has to tell red from green. */
const SHAPES: Record<AnyStatus, JSX.Element> = {
  draft: RING,
  ready: RING,
  queued: RING,
  launching: (
    <>
      {RING}
      <circle cx="6" cy="6" r="1.6" fill="currentColor" />
    </>
  ),
  running: DISC,
  stopping: SQUARE,
  finished: (
    <path
      d="m2 6.4 2.7 2.7L10 3.4"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.8"
    />
  ),
  failed: (
    <path
      d="m2.8 2.8 6.4 6.4m0-6.4-6.4 6.4"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.8"
    />
  ),
  stopped: SQUARE
};

export function Glyph({ status }: { status: AnyStatus }): JSX.Element {
  const { trans } = useHost();
  const word = statusWord(status, trans);
  return (
    <span className={`rg-glyph rg-is-${status}`} title={word}>
      <svg
        viewBox="0 0 12 12"
        width="12"
        height="12"
        aria-hidden="true"
        focusable="false"
      >
        {SHAPES[status]}
      </svg>
      <span className="rg-unseen">{word}</span>
    </span>
  );
}

export function severityWord(severity: Severity, trans: Trans): string {
  return severity === 'critical'
    ? trans.__('critical')
    : severity === 'warning'
      ? trans.__('warning')
      : trans.__('info');
}

export function SeverityGlyph({
  severity
}: {
  severity: Severity;
}): JSX.Element {
  const { trans } = useHost();
  const shape =
    severity === 'critical' ? (
      <path d="M4 1h4l3 3v4l-3 3H4L1 8V4z" fill="currentColor" />
    ) : severity === 'warning' ? (
      <path d="M6 1 11.5 11h-11z" fill="currentColor" />
    ) : (
      <circle cx="6" cy="6" r="5" fill="currentColor" />
    );
  const mark = severity === 'info' ? 'M6 5.5v3M6 3.4v.2' : 'M6 4v2.8M6 8.7v.2';
  return (
    <span
      className={`rg-glyph rg-is-${severity}`}
      title={severityWord(severity, trans)}
    >
      <svg
        viewBox="0 0 12 12"
        width="14"
        height="14"
        aria-hidden="true"
        focusable="false"
      >
        {shape}
        <path className="rg-glyph-mark" d={mark} />
      </svg>
      <span className="rg-unseen">{severityWord(severity, trans)}</span>
    </span>
  );
}
