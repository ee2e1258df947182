import type { Token, Tokens } from 'marked';
import * as React from 'react';
import { useHost } from '../../hooks';
import {
  grow,
  NOTHING,
  steady,
  type Block,
  type Math
} from '../../markdown/blocks';
import { harmless, imageWords, openable, ours } from '../../markdown/safe';
import { CodeBlock } from './CodeBlock';

/**
 * An answer as it is written. Finished blocks are drawn once and never again; the open one is drawn as it will
 * probably look when it is whole. Tokens become elements one by one: no HTML of the answer's ever reaches the page.
 */
export const Markdown = React.memo(function Markdown(props: {
  text: string;
  streaming?: boolean;
}): JSX.Element {
  const held = React.useRef(NOTHING);
  const blocks = grow(held.current, props.text, !props.streaming);
  held.current = blocks;
  return (
    <div className="rg-md">
      {blocks.done.map(block => (
        <Finished key={block.at} block={block} />
      ))}
      {blocks.open.map(block => (
        <Open key={block.at} raw={block.raw} />
      ))}
    </div>
  );
});

const Finished = React.memo(function Finished({ block }: { block: Block }) {
  return <>{one(block.token, 0)}</>;
});

function Open({ raw }: { raw: string }): JSX.Element {
  return <>{many(steady(raw), true)}</>;
}

const many = (tokens: Token[] | undefined, open = false) =>
  (tokens ?? []).map((token, i) => one(token, i, open));

/** Ids of runs and alerts in running words become links to them. */
const NAMED = /\b((?:run|alt)_[A-Za-z0-9_]{4,})\b/;

function words(text: string, key: number): React.ReactNode {
  const pieces = text.split(NAMED);
  return pieces.length === 1 ? (
    text
  ) : (
    <React.Fragment key={key}>
      {pieces.map((piece, i) =>
        i % 2 ? (
          <Named key={i} id={piece}>
            {piece}
          </Named>
        ) : (
          piece
        )
      )}
    </React.Fragment>
  );
}

/** The token types that marked makes of GFM; what is none of them is shown as it was written. */
function one(token: Token, key: number, open = false): React.ReactNode {
  switch (token.type) {
    case 'space':
    case 'def':
      return null;
    case 'paragraph':
      return <p key={key}>{many(token.tokens)}</p>;
    case 'heading':
      return (
        <h4 key={key} className={`rg-md-h${(token as Tokens.Heading).depth}`}>
          {many(token.tokens)}
        </h4>
      );
    case 'text':
    case 'escape': {
      const { tokens, text } = token as Tokens.Text;
      return tokens?.length ? (
        <React.Fragment key={key}>{many(tokens)}</React.Fragment>
      ) : (
        words(text, key)
      );
    }
    case 'strong':
      return <strong key={key}>{many(token.tokens)}</strong>;
    case 'em':
      return <em key={key}>{many(token.tokens)}</em>;
    case 'del':
      return <del key={key}>{many(token.tokens)}</del>;
    case 'br':
      return <br key={key} />;
    case 'hr':
      return <hr key={key} />;
    case 'codespan': {
      const { text } = token as Tokens.Codespan;
      const mine = ours(text);
      return mine ? (
        <Named key={key} id={mine.id}>
          <code>{text}</code>
        </Named>
      ) : (
        <code key={key}>{text}</code>
      );
    }
    case 'code': {
      const { text, lang } = token as Tokens.Code;
      return (
        <CodeBlock key={key} code={text} language={lang ?? ''} open={open} />
      );
    }
    case 'math': {
      const { tex, display, closed, raw } = token as Math;
      return <Tex key={key} {...{ tex, display, closed, raw }} />;
    }
    case 'blockquote':
      return <blockquote key={key}>{many(token.tokens)}</blockquote>;
    case 'list':
      return <List key={key} list={token as Tokens.List} />;
    case 'checkbox':
      return (
        <span key={key} className="rg-md-check" aria-hidden="true">
          {(token as { checked?: boolean }).checked ? '☑ ' : '☐ '}
        </span>
      );
    case 'table':
      return <Table key={key} table={token as Tokens.Table} />;
    case 'link': {
      const { href, tokens } = token as Tokens.Link;
      return (
        <Link key={key} href={href}>
          {many(tokens)}
        </Link>
      );
    }
    case 'image': {
      const { href, text } = token as Tokens.Image;
      return (
        <Link key={key} href={href}>
          {`image: ${imageWords(href)}`}
          {text ? ` (${text})` : ''}
        </Link>
      );
    }
    default:
      return <React.Fragment key={key}>{token.raw}</React.Fragment>;
  }
}

function List({ list }: { list: Tokens.List }): JSX.Element {
  const items = list.items.map((item, i) => (
    <li key={i} className={item.task ? 'rg-md-task' : undefined}>
      {many(item.tokens)}
    </li>
  ));
  return list.ordered ? (
    <ol start={Number(list.start) || 1}>{items}</ol>
  ) : (
    <ul>{items}</ul>
  );
}

function Table({ table }: { table: Tokens.Table }): JSX.Element {
  const { trans } = useHost();
  const align = (i: number) => ({
    textAlign: table.align[i] ?? ('left' as const)
  });
  return (
    <div
      className="rg-md-table"
      tabIndex={0}
      role="group"
      aria-label={trans.__('Table')}
    >
      <table>
        <thead>
          <tr>
            {table.header.map((cell, i) => (
              <th key={i} scope="col" style={align(i)}>
                {many(cell.tokens)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {table.rows.map((row, r) => (
            <tr key={r}>
              {row.map((cell, i) => (
                <td key={i} style={align(i)}>
                  {many(cell.tokens)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Opens apart, tells nobody where from; an address of another kind than the web's stays words. */
function Link(props: { href: string; children: React.ReactNode }): JSX.Element {
  const mine = ours(props.href);
  const href = openable(props.href);
  if (mine) {
    return <Named id={mine.id}>{props.children}</Named>;
  }
  return href ? (
    <a href={href} target="_blank" rel="noopener noreferrer" title={href}>
      {props.children}
    </a>
  ) : (
    <span title={props.href}>{props.children}</span>
  );
}

/** A run or an alert that we know is a link to it; one that we do not know stays words. */
function Named(props: { id: string; children: React.ReactNode }): JSX.Element {
  const { project, panel } = useHost();
  const run = props.id.startsWith('run_')
    ? project.runs.get(props.id)
    : undefined;
  const alert = project.alerts.get(props.id);
  if (!run && !alert) {
    return <>{props.children}</>;
  }
  return (
    <button
      type="button"
      className="rg-link"
      title={run ? run.alias || run.name : alert!.title}
      onClick={() => panel.openRun(run?.id ?? alert!.run_id)}
    >
      {props.children}
    </button>
  );
}

/** A formula. Whoever draws it owns the node's inside: React does not look into it. */
const Tex = React.memo(function Tex(props: {
  tex: string;
  display: boolean;
  closed: boolean;
  raw: string;
}): JSX.Element {
  const { typeset } = useHost();
  const { tex, display, closed, raw } = props;
  const node = React.useRef<HTMLElement>(null);
  const drawn = closed && typeset !== undefined && harmless(tex);
  React.useLayoutEffect(() => {
    const { current } = node;
    if (!current) {
      return;
    }
    current.textContent = !drawn
      ? raw.trim()
      : display
        ? `\\[${tex}\\]`
        : `\\(${tex}\\)`;
    if (drawn) {
      void typeset(current);
    }
  }, [drawn, tex, display, raw, typeset]);
  const className = `rg-md-math${display ? ' rg-md-display' : ''}${drawn ? '' : ' rg-code'}`;
  return display ? (
    <div
      ref={node as React.RefObject<HTMLDivElement>}
      className={className}
      tabIndex={0}
      role="group"
      aria-label={tex}
    />
  ) : (
    <span
      ref={node as React.RefObject<HTMLSpanElement>}
      className={className}
    />
  );
});
