import * as React from 'react';
import { useHost, useLoops, usePanel, useSignal } from '../../hooks';
import { stateOf } from '../../models/wild';
import type { Loop } from '../../wire';
import { Empty } from '../Empty';
import { Icon } from '../Icon';
import { Notice } from '../Notice';
import { Banner } from './Banner';
import { BestChart } from './BestChart';
import { CodeView } from './CodeView';
import { LoopList } from './LoopList';
import { PlanView } from './PlanView';
import { QueueView } from './QueueView';
import { SetupView } from './SetupView';
import { SummaryView } from './SummaryView';
import { Timeline } from './Timeline';
import { Verdicts } from './Verdicts';
import { WildForm } from './WildForm';

/** The Wild tab: the loop that lives or the last one, earlier ones below; or the form that starts one. */
export function WildView(): JSX.Element {
  const { wild, panel, trans } = useHost();
  const { wildForm, loop: chosen } = usePanel();
  const loops = useLoops();
  const { phase, error } = useSignal(wild.phaseChanged, wild.phase);
  if (wildForm) {
    return <WildForm />;
  }
  const loop = loops.find(one => one.id === chosen) ?? loops[0];
  if (!loop) {
    return phase === 'failed' && error ? (
      <div className="rg-wild">
        <Notice error={error} onRetry={() => void wild.load()} />
      </div>
    ) : phase === 'ready' ? (
      <Empty
        title={trans.__('No loop yet')}
        lines={[
          trans.__(
            'Give a goal and limits. ragent tries changes to your training command, run after run, and decides what comes next.'
          ),
          trans.__(
            'It goes on when this tab, JupyterLab or its server is closed, and keeps a reason for every decision.'
          ),
          trans.__(
            'What looks better is run again on fresh seeds before it is called better.'
          )
        ]}
        action={{ label: trans.__('Start a loop'), run: () => panel.newLoop() }}
      />
    ) : (
      <div className="rg-skeleton" aria-hidden="true">
        {Array.from({ length: 6 }, (_, i) => (
          <div key={i} />
        ))}
      </div>
    );
  }
  return <LoopView loop={loop} key={loop.id} />;
}

function LoopView({ loop }: { loop: Loop }): JSX.Element {
  const { panel, trans } = useHost();
  return (
    <div className={`rg-wild rg-wild-is-${stateOf(loop)}`}>
      <Banner loop={loop} />
      <div className="rg-wild-columns">
        <div className="rg-wild-main">
          <SummaryView loop={loop} />
          <BestChart loop={loop} />
          <Verdicts loop={loop} />
          <CodeView loop={loop} />
        </div>
        <div className="rg-wild-side">
          <PlanView loop={loop} />
          <QueueView loop={loop} />
          <Timeline loop={loop} />
        </div>
        <div className="rg-wild-foot">
          <SetupView loop={loop} />
          <LoopList but={loop.id} />
          <div className="rg-wild-part">
            <button
              type="button"
              className="rg-button"
              onClick={() => panel.newLoop()}
            >
              <Icon name="plus" /> {trans.__('Start another loop')}
            </button>
          </div>
        </div>
      </div>
    </div>
  );
}
