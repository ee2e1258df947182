import * as React from 'react';
import { useHost } from '../hooks';

/** Which metrics are drawn: a list with boxes to tick, under one button. Esc or a click elsewhere closes it. */
export function MetricPicker(props: {
  names: string[];
  picked: string[];
  onChange: (picked: string[]) => void;
}): JSX.Element {
  const { trans } = useHost();
  const { names, picked, onChange } = props;
  const [open, setOpen] = React.useState(false);
  const [filter, setFilter] = React.useState('');
  const root = React.useRef<HTMLDivElement>(null);
  const button = React.useRef<HTMLButtonElement>(null);
  React.useEffect(() => {
    if (!open) {
      return undefined;
    }
    const outside = (event: PointerEvent) => {
      if (!root.current?.contains(event.target as Node)) {
        setOpen(false);
      }
    };
    document.addEventListener('pointerdown', outside);
    return () => document.removeEventListener('pointerdown', outside);
  }, [open]);
  const listed = [...new Set([...names, ...picked])].filter(name =>
    name.toLowerCase().includes(filter.toLowerCase())
  );
  return (
    <div
      ref={root}
      className="rg-picker"
      onKeyDown={event => {
        if (event.key === 'Escape' && open) {
          event.stopPropagation();
          setOpen(false);
          button.current?.focus();
        }
      }}
    >
      <button
        ref={button}
        type="button"
        className="rg-button rg-quiet"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
      >
        {picked.length === 1
          ? picked[0]
          : trans._n('%1 metric', '%1 metrics', picked.length)}
        {' ▾'}
      </button>
      {open && (
        <div className="rg-pop" role="group" aria-label={trans.__('Metrics')}>
          {names.length > 8 && (
            <input
              className="rg-input"
              type="search"
              autoFocus
              placeholder={trans.__('Filter')}
              aria-label={trans.__('Filter metrics')}
              value={filter}
              onChange={event => setFilter(event.target.value)}
            />
          )}
          {listed.map(name => (
            <label key={name}>
              <input
                type="checkbox"
                checked={picked.includes(name)}
                onChange={event =>
                  onChange(
                    event.target.checked
                      ? [...picked, name]
                      : picked.filter(other => other !== name)
                  )
                }
              />
              <span className="rg-name" title={name}>
                {name}
              </span>
            </label>
          ))}
          {!listed.length && (
            <p className="rg-dim">{trans.__('No metric fits.')}</p>
          )}
        </div>
      )}
    </div>
  );
}
