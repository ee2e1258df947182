import * as React from 'react';

const PATHS = {
  plus: 'M8 3v10M3 8h10',
  back: 'M10 3 5 8l5 5',
  close: 'm4 4 8 8m0-8-8 8',
  fold: 'm4 6 4 4 4-4',
  unfold: 'm6 4 4 4-4 4',
  stop: 'M4.5 4.5h7v7h-7z',
  retry: 'M12.5 8a4.5 4.5 0 1 1-1.4-3.3M12.5 2.5v3h-3',
  chart: 'M2.5 2.5v11h11M5 10l2.5-3.5L10 9l3-4.5',
  copy: 'M6 6h7v7H6zM10 6V3H3v7h3',
  search: 'M7 11.5a4.5 4.5 0 1 1 0-9 4.5 4.5 0 0 1 0 9zM10.3 10.3 14 14',
  play: 'm5 3.5 7 4.5-7 4.5z',
  edit: 'M3 13l.7-2.8 7-7 2.1 2.1-7 7zM9.5 4.5l2 2',
  archive: 'M2.5 3.5h11v3h-11zM3.5 6.5v6h9v-6M6.5 9h3',
  sort: 'M4.5 3v10m-2-2 2 2 2-2M8.5 4h5M8.5 8h4M8.5 12h2.5',
  group: 'M2.5 3.5h5M5 7h8.5M5 10h8.5M5 13h8.5',
  list: 'M3 4h10M3 8h10M3 12h10',
  chat: 'M2.5 3h11v8H8l-3 2.5V11H2.5z',
  send: 'M8 13V3.5M4 7l4-4 4 4',
  attach:
    'M12.5 7.5 7.8 12.2a2.6 2.6 0 0 1-3.7-3.7l5-5a1.8 1.8 0 0 1 2.5 2.5l-4.8 4.8a.9.9 0 0 1-1.3-1.3L9.8 5.2',
  mic: 'M8 2.5a1.8 1.8 0 0 1 1.8 1.8v3.4a1.8 1.8 0 0 1-3.6 0V4.3A1.8 1.8 0 0 1 8 2.5zM3.8 7.5a4.2 4.2 0 0 0 8.4 0M8 11.7V14',
  up: 'M8 12.5v-9M4.5 7 8 3.5 11.5 7',
  down: 'M8 3.5v9M4.5 9 8 12.5 11.5 9',
  fork: 'M5 3v4.5a3 3 0 0 0 3 3h3.5M9 8l2.5 2.5L9 13M5 7.5V13',
  save: 'M8 2.5v7M5 7l3 3 3-3M3 12.5h10',
  undo: 'M4 6.5h5.5a3 3 0 0 1 0 6H7M6.5 4 4 6.5 6.5 9',
  eye: 'M1.8 8S4 4 8 4s6.2 4 6.2 4S12 12 8 12 1.8 8 1.8 8zM8 9.6a1.6 1.6 0 1 0 0-3.2 1.6 1.6 0 0 0 0 3.2z',
  more: 'M3.5 8h.1M8 8h.1M12.5 8h.1',
  insert: 'M2.5 3.5h11M2.5 6.5h11M8 8.5v5M5.5 11h5',
  wild: 'M3 10.5c0-4 2.2-7 5-7s5 3 5 7M5.5 10.5a2.5 2.5 0 0 1 5 0M1.5 13h13M8 3.5V1.8',
  pause: 'M5.5 3.5v9M10.5 3.5v9',
  person:
    'M8 7.5a2.3 2.3 0 1 0 0-4.6 2.3 2.3 0 0 0 0 4.6zM3.5 13.5a4.5 4.5 0 0 1 9 0',
  rule: 'M3 4h1M6.5 4H13M3 8h1M6.5 8H13M3 12h1M6.5 12H13',
  spark: 'M8 2.5 9.4 6.6 13.5 8 9.4 9.4 8 13.5 6.6 9.4 2.5 8l4.1-1.4z',
  gear: 'M8 10a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM8 2.5v2M8 11.5v2M2.5 8h2M11.5 8h2M4.1 4.1l1.4 1.4M10.5 10.5l1.4 1.4M11.9 4.1l-1.4 1.4M5.5 10.5l-1.4 1.4',
  grip: 'M6 4h.1M10 4h.1M6 8h.1M10 8h.1M6 12h.1M10 12h.1',
  bell: 'M4 11V7.5a4 4 0 0 1 8 0V11l1 1.5H3zM6.8 14h2.4'
} as const;

export type IconName = keyof typeof PATHS;

/** One family, 16 px, drawn in the colour of the text around it. Never the only name of a thing. */
export function Icon({ name }: { name: IconName }): JSX.Element {
  return (
    <svg
      className="rg-icon"
      viewBox="0 0 16 16"
      width="16"
      height="16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.4"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}

/** A button that is an icon to the eye and a sentence to everybody else. */
export function IconButton(props: {
  icon: IconName;
  label: string;
  onClick: (event: React.MouseEvent) => void;
  disabled?: boolean;
  pressed?: boolean;
  tabIndex?: number;
}): JSX.Element {
  return (
    <button
      type="button"
      className="rg-icon-button"
      title={props.label}
      aria-label={props.label}
      aria-pressed={props.pressed}
      disabled={props.disabled}
      tabIndex={props.tabIndex}
      onClick={props.onClick}
    >
      <Icon name={props.icon} />
    </button>
  );
}
