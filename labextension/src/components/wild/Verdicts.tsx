import * as React from 'react';
import { number } from '../../format';
import { useHost } from '../../hooks';
import { effectSpan, ranked } from '../../models/wild';
import { paramsLine, verdictWord } from '../../models/wildwords';
import type { Loop, Verdict } from '../../wire';
import { VerdictGlyph } from './LoopGlyph';
import { Refs } from './Ref';

const WIDTH = 120;
const FIRST = 8;

/** Candidates against the baseline on fresh paired seeds. Only what is confirmed looks as if it were. */
export function Verdicts({ loop }: { loop: Loop }): JSX.Element | null {
  const { trans } = useHost();
  const [all, setAll] = React.useState(false);
  if (!loop.verdicts.length) {
    return null;
  }
  const newest = ranked(loop.verdicts);
  const shown = all ? newest : newest.slice(0, FIRST);
  const span = effectSpan(shown);
  const better =
    loop.setup.mode === 'max' ? trans.__('higher') : trans.__('lower');
  return (
    <section className="rg-wild-part" aria-label={trans.__('Verdicts')}>
      <h3>{trans.__('Verdicts')}</h3>
      <p className="rg-dim rg-wild-text">
        {trans.__(
          'Difference to the baseline in %1 on fresh seeds, with its 95 % interval; %2 is better.',
          loop.setup.metric,
          better
        )}
      </p>
      <table className="rg-verdicts">
        <thead className="rg-unseen">
          <tr>
            <th scope="col">{trans.__('Change')}</th>
            <th scope="col">{trans.__('Effect')}</th>
          </tr>
        </thead>
        <tbody>
          {shown.map((verdict, i) => (
            <Row key={i} verdict={verdict} span={span} />
          ))}
        </tbody>
      </table>
      {shown.length < newest.length && (
        <button type="button" className="rg-link" onClick={() => setAll(true)}>
          {trans.__('Show %1 more', newest.length - shown.length)}
        </button>
      )}
    </section>
  );
}

const signed = (value: number) =>
  value > 0 ? `+${number(value)}` : number(value);

function Row(props: {
  verdict: Verdict;
  span: [number, number] | null;
}): JSX.Element {
  const { trans } = useHost();
  const { verdict, span } = props;
  const { effect, ci } = verdict;
  const word = verdict.verdict;
  const seeds = verdict.seeds.length;
  return (
    <tr className={`rg-verdict rg-verdict-${word.split(' ')[0]}`}>
      <td>
        <span className="rg-verdict-word">
          <VerdictGlyph word={word} />
          <span aria-hidden="true">{verdictWord(word, trans)}</span>
        </span>
        <span className="rg-wild-text rg-verdict-params">
          {paramsLine(verdict.params) || trans.__('code change')}
          {verdict.commit && (
            <>
              {' '}
              <code>{verdict.commit.slice(0, 8)}</code>
            </>
          )}
        </span>
        <details className="rg-behind">
          <summary className="rg-wild-text">{verdict.why}</summary>
          <dl className="rg-facts">
            {facts(verdict, trans.__.bind(trans)).map(([name, value]) => (
              <React.Fragment key={name}>
                <dt>{name}</dt>
                <dd className="rg-figure">{value}</dd>
              </React.Fragment>
            ))}
          </dl>
          <Refs ids={verdict.runs} />
        </details>
      </td>
      <td>
        {effect === null ? (
          <span className="rg-dim">{trans.__('No data')}</span>
        ) : (
          <>
            {span && <Interval verdict={verdict} span={span} />}
            <span className="rg-figure rg-verdict-effect">
              {signed(effect)}
            </span>
            {ci && (
              <span className="rg-figure rg-dim rg-verdict-ci">
                {signed(ci[0])} … {signed(ci[1])}
              </span>
            )}
          </>
        )}
        <span className="rg-figure rg-dim rg-verdict-ci">
          {trans._n('%1 seed', '%1 seeds', seeds)}
        </span>
      </td>
    </tr>
  );
}

function facts(
  verdict: Verdict,
  say: (text: string, ...more: unknown[]) => string
): [string, string][] {
  const rows: [string, number | null][] = [
    [say('mean'), verdict.mean],
    [say('baseline'), verdict.baseline_mean],
    [say('chosen for'), verdict.claimed],
    [say('p'), verdict.p],
    [say('p, Holm'), verdict.p_holm],
    [say('hold-out'), verdict.holdout]
  ];
  return rows.flatMap(([name, value]): [string, string][] =>
    value === null ? [] : [[name, number(value)]]
  );
}

/** Zero is the baseline; the bar is where the effect lies with 95 %. All rows share one scale. */
function Interval(props: {
  verdict: Verdict;
  span: [number, number];
}): JSX.Element {
  const { verdict, span } = props;
  const at = (value: number) =>
    Math.max(
      0,
      Math.min(WIDTH, ((value - span[0]) / (span[1] - span[0])) * WIDTH)
    );
  const { effect, ci } = verdict;
  return (
    <svg
      className="rg-interval"
      viewBox={`0 0 ${WIDTH} 14`}
      preserveAspectRatio="none"
      aria-hidden="true"
      focusable="false"
    >
      <line className="rg-interval-zero" x1={at(0)} x2={at(0)} y1="0" y2="14" />
      {ci && (
        <rect
          className="rg-interval-bar"
          x={at(ci[0])}
          width={Math.max(1, at(ci[1]) - at(ci[0]))}
          y="5"
          height="4"
        />
      )}
      {effect !== null && (
        <rect
          className="rg-interval-mid"
          x={at(effect) - 1.25}
          width="2.5"
          y="2"
          height="10"
        />
      )}
    </svg>
  );
}
