import * as React from 'react';

/** Nothing here: three lines that teach, and one button. */
export function Empty(props: {
  title: string;
  lines: React.ReactNode[];
  action?: { label: string; run: () => void };
}): JSX.Element {
  return (
    <div className="rg-empty">
      <p className="rg-empty-title">{props.title}</p>
      {props.lines.map((line, i) => (
        <p key={i}>{line}</p>
      ))}
      {props.action && (
        <button
          type="button"
          className="rg-button rg-primary"
          onClick={props.action.run}
        >
          {props.action.label}
        </button>
      )}
    </div>
  );
}
