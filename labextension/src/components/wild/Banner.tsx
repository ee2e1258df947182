import * as React from 'react';
import { duration, moment, number } from '../../format';
import { useDoing, useHost, useLoopNow, useLoopReply } from '../../hooks';
import {
  activeSeconds,
  elapsedSeconds,
  isOver,
  metersOf,
  stateOf,
  verdictOfBest
} from '../../models/wild';
import {
  amount,
  endSentence,
  meterText,
  meterWord,
  money,
  paramsLine,
  stateWord,
  until
} from '../../models/wildwords';
import type { Loop, RunStatus } from '../../wire';
import { statusWord } from '../Glyph';
import { Icon } from '../Icon';
import { Notice } from '../Notice';
import { LimitsForm } from './LimitsForm';
import { LoopGlyph } from './LoopGlyph';
import { QuestionCard } from './QuestionCard';
import { Steer } from './Steer';

/** How it stands: stage, time, limits, counts, what it asks, and what can be done about it. */
export function Banner({ loop }: { loop: Loop }): JSX.Element {
  const { trans } = useHost();
  const state = stateOf(loop);
  const [open, setOpen] = React.useState<'' | 'stop' | 'limits'>('');
  const over = isOver(loop);
  return (
    <section
      className={`rg-wild-banner rg-wild-${state}`}
      aria-label={trans.__('The loop')}
    >
      <header className="rg-wild-state">
        <LoopGlyph state={state} />
        <span className="rg-strong">{capital(stateWord(state, trans))}</span>
        {loop.iteration > 0 && (
          <span className="rg-dim">
            {trans.__('iteration %1', loop.iteration)}
          </span>
        )}
        <Elapsed loop={loop} />
      </header>
      {/* It stands there before the first change, or a screen reader would miss it. */}
      <span className="rg-unseen" role="status">
        {stateWord(state, trans)}
        {loop.question ? `: ${loop.question.text}` : ''}
      </span>
      <Goal text={loop.goal} />
      {!over && loop.question && (
        <QuestionCard loop={loop} question={loop.question} />
      )}
      {over && (
        <p className="rg-wild-why rg-wild-text">{endSentence(loop, trans)}</p>
      )}
      {!over && loop.waiting && <Waits loop={loop} />}
      {!over && loop.paused && (
        <p className="rg-wild-why rg-wild-text">
          {loop.reason ? `${loop.reason} ` : ''}
          {trans.__(
            'Nothing new is decided or started, and no time is counted. Runs that live go on.'
          )}
        </p>
      )}
      <Figures loop={loop} />
      <Meters loop={loop} />
      {loop.limits.until && (
        <p className="rg-dim rg-wild-text">
          {trans.__('Ends when %1', loop.limits.until)}
        </p>
      )}
      <Verbs loop={loop} open={open} setOpen={setOpen} />
      {open === 'stop' && !over && (
        <StopChoice loop={loop} onDone={() => setOpen('')} />
      )}
      {open === 'limits' && (
        <LimitsForm loop={loop} onDone={() => setOpen('')} />
      )}
      {!over && <Steer loop={loop} />}
    </section>
  );
}

const capital = (word: string) => word.charAt(0).toUpperCase() + word.slice(1);

const LONG = 280;

/** The goal as it was given; a long one is cut until somebody wants all of it. */
function Goal({ text }: { text: string }): JSX.Element {
  const { trans } = useHost();
  const [all, setAll] = React.useState(false);
  const cut = text.length > LONG && !all;
  return (
    <>
      <h2 className="rg-wild-goal rg-wild-text">
        {cut ? `${text.slice(0, LONG)}…` : text}
      </h2>
      {cut && (
        <button type="button" className="rg-link" onClick={() => setAll(true)}>
          {trans.__('Show the whole goal')}
        </button>
      )}
    </>
  );
}

/** True time since the start, by the clock on the wall; pauses are named where there were any. */
function Elapsed({ loop }: { loop: Loop }): JSX.Element {
  const { trans } = useHost();
  const now = useLoopNow(1000);
  const all = elapsedSeconds(loop, now);
  const idle = all - activeSeconds(loop, now);
  const paused = idle > 60 ? trans.__('%1 of it paused', duration(idle)) : '';
  return (
    <time
      className="rg-figure rg-wild-elapsed"
      title={[trans.__('since %1', moment(loop.created_at)), paused]
        .filter(Boolean)
        .join(', ')}
    >
      {duration(Math.floor(all))}
    </time>
  );
}

const ORDER: readonly RunStatus[] = [
  'running',
  'launching',
  'stopping',
  'queued',
  'ready',
  'finished',
  'failed',
  'stopped'
];

/** The best so far, runs by state, alerts, money: each a link where there is something to see. */
function Figures({ loop }: { loop: Loop }): JSX.Element {
  const { panel, trans } = useHost();
  const reply = useLoopReply(loop.id);
  const verdict = verdictOfBest(loop);
  const sure = verdict?.verdict === 'confirmed';
  const { best, spent } = loop;
  const counts = reply?.counts ?? {};
  const runs = ORDER.flatMap(status =>
    counts[status] ? [`${counts[status]} ${statusWord(status, trans)}`] : []
  );
  return (
    <div className="rg-wild-figures">
      {best ? (
        <span
          className={sure ? 'rg-wild-sure' : 'rg-wild-unsure'}
          title={paramsLine(best.params)}
        >
          {trans.__('best')}{' '}
          <span className="rg-wild-text">{loop.setup.metric}</span>{' '}
          <b className="rg-figure">
            {number(sure ? (verdict.mean ?? best.value) : best.value)}
          </b>{' '}
          {sure ? trans.__('confirmed') : trans.__('unconfirmed')}
        </span>
      ) : (
        <span className="rg-dim">
          {isOver(loop) ? trans.__('no result') : trans.__('no result yet')}
        </span>
      )}
      {runs.length > 0 && (
        <button
          type="button"
          className="rg-link rg-figure"
          onClick={() => {
            panel.showTab('runs');
            panel.set({ show: 'all', filter: '' });
          }}
        >
          {runs.join(', ')}
        </button>
      )}
      {reply !== undefined && reply.alerts > 0 && (
        <button
          type="button"
          className="rg-link rg-waiting"
          onClick={() => panel.showTab('alerts')}
        >
          {trans._n('%1 alert', '%1 alerts', reply.alerts)}
        </button>
      )}
      {spent.model_calls > 0 && (
        <span className="rg-figure">
          {spent.cost_usd === null
            ? trans._n(
                '%1 call of a model, price not known',
                '%1 calls of a model, price not known',
                spent.model_calls
              )
            : trans.__('spent %1', money(spent.cost_usd))}
        </span>
      )}
    </div>
  );
}

/** What is limited as bars; what was spent besides, in a line. */
function Meters({ loop }: { loop: Loop }): JSX.Element {
  const { trans } = useHost();
  const now = useLoopNow(5000);
  const meters = metersOf(loop, now);
  const bars = meters.filter(meter => meter.fraction !== null);
  const rest = meters.filter(meter => meter.fraction === null);
  return (
    <>
      {bars.length > 0 && (
        <ul className="rg-meters" aria-label={trans.__('Limits')}>
          {bars.map(meter => (
            <li
              key={meter.name}
              className={meter.near ? 'rg-meter-near' : undefined}
            >
              <span className="rg-meter-words">
                <span className="rg-dim">{meterWord(meter.name, trans)}</span>{' '}
                <span className="rg-figure">{meterText(meter, trans)}</span>
              </span>
              <span className="rg-bar" aria-hidden="true">
                <span style={{ width: `${meter.fraction! * 100}%` }} />
              </span>
            </li>
          ))}
        </ul>
      )}
      {rest.length > 0 && (
        <p className="rg-dim rg-figure rg-unlimited">
          {trans.__(
            'without a limit: %1',
            rest
              .map(
                meter =>
                  `${meterWord(meter.name, trans)} ${amount(meter.name, meter.used)}`
              )
              .join(' · ')
          )}
        </p>
      )}
    </>
  );
}

function Waits({ loop }: { loop: Loop }): JSX.Element | null {
  const { trans } = useHost();
  const now = useLoopNow(1000);
  const { waiting } = loop;
  return waiting ? (
    <p className="rg-wild-why rg-wild-text">
      {waiting.why}{' '}
      <span title={moment(waiting.until)}>
        {trans.__('It is asked again %1.', until(waiting.until, now, trans))}
      </span>{' '}
      <span className="rg-dim">
        {trans._n('%1 try so far', '%1 tries so far', waiting.tries)}
      </span>
    </p>
  ) : null;
}

function Verbs(props: {
  loop: Loop;
  open: string;
  setOpen: (open: '' | 'stop' | 'limits') => void;
}): JSX.Element {
  const { wild, panel, trans, openFile } = useHost();
  const { loop, open, setOpen } = props;
  const { busy, error, run: doing, clear } = useDoing();
  const over = isOver(loop);
  const does = (work: () => Promise<Loop>) =>
    doing(async () => {
      wild.put(await work());
      wild.loops.flush();
    });
  const fold = (which: 'stop' | 'limits') =>
    setOpen(open === which ? '' : which);
  return (
    <>
      <div className="rg-buttons">
        {!over && (
          <button
            type="button"
            className={`rg-button${loop.paused ? ' rg-primary' : ''}`}
            disabled={busy}
            onClick={() =>
              does(() =>
                loop.paused ? wild.api.resume(loop.id) : wild.api.pause(loop.id)
              )
            }
          >
            <Icon name={loop.paused ? 'play' : 'pause'} />{' '}
            {loop.paused ? trans.__('Resume') : trans.__('Pause')}
          </button>
        )}
        {!over && (
          <button
            type="button"
            className="rg-button"
            aria-expanded={open === 'stop'}
            onClick={() => fold('stop')}
          >
            <Icon name="stop" /> {trans.__('Stop…')}
          </button>
        )}
        {(!over || loop.end === 'budget') && (
          <button
            type="button"
            className={`rg-button${over ? ' rg-primary' : ''}`}
            aria-expanded={open === 'limits'}
            onClick={() => fold('limits')}
          >
            {over ? trans.__('Raise limits, go on…') : trans.__('Limits…')}
          </button>
        )}
        {loop.session_id && (
          <button
            type="button"
            className="rg-button rg-quiet"
            onClick={() => panel.openChat(loop.session_id)}
          >
            <Icon name="chat" /> {trans.__('Chat')}
          </button>
        )}
        {loop.report && openFile ? (
          <button
            type="button"
            className="rg-button rg-quiet"
            title={loop.report}
            onClick={() => openFile(loop.report)}
          >
            {trans.__('Open report')}
          </button>
        ) : (
          !loop.report && (
            <button
              type="button"
              className="rg-button rg-quiet"
              disabled={busy}
              onClick={() => does(() => wild.api.report(loop.id))}
            >
              {trans.__('Write report')}
            </button>
          )
        )}
      </div>
      {loop.report && !openFile && (
        <p className="rg-dim">
          {trans.__('Report:')}{' '}
          <code className="rg-wild-text">{loop.report}</code>
        </p>
      )}
      {error && <Notice error={error} onClose={clear} />}
    </>
  );
}

function StopChoice(props: { loop: Loop; onDone: () => void }): JSX.Element {
  const { wild, trans } = useHost();
  const { loop, onDone } = props;
  const { busy, error, run: doing, clear } = useDoing();
  const first = React.useRef<HTMLButtonElement>(null);
  React.useEffect(() => first.current?.focus(), []);
  const stop = (runs: boolean) =>
    doing(async () => {
      wild.put(await wild.api.stop(loop.id, { runs }));
      wild.loops.flush();
      onDone();
    });
  return (
    <div
      className="rg-wild-choice"
      role="group"
      aria-label={trans.__('Stop the loop')}
      onKeyDown={event => {
        if (event.key === 'Escape') {
          event.stopPropagation();
          onDone();
        }
      }}
    >
      <p>
        {trans.__(
          'The loop ends and decides nothing more. Its ledger and results stay. What becomes of its runs?'
        )}
      </p>
      <div className="rg-buttons">
        <button
          ref={first}
          type="button"
          className="rg-button rg-primary"
          disabled={busy}
          onClick={() => stop(false)}
        >
          {trans.__('Stop loop, let runs finish')}
        </button>
        <button
          type="button"
          className="rg-button"
          disabled={busy}
          onClick={() => stop(true)}
        >
          {trans.__('Stop loop and its runs')}
        </button>
        <button type="button" className="rg-button rg-quiet" onClick={onDone}>
          {trans.__('Do not stop')}
        </button>
      </div>
      {error && <Notice error={error} onClose={clear} />}
    </div>
  );
}
