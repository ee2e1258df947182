/** What can be done with a run now. The same words and order in the list, the detail and the palette. */
import * as React from 'react';
import type { ApiError } from '../api';
import { useDoing, useHost } from '../hooks';
import { draftOf } from '../models/panel';
import { ENDED } from '../models/project';
import type { Run } from '../wire';
import type { IconName } from './Icon';

export interface Verb {
  id: string;
  icon: IconName;
  label: string;
  do: () => void;
  /** Also in the list's line, not only in the detail. */
  near: boolean;
  pressed?: boolean;
}

export function useVerbs(
  run: Run,
  charted: string[]
): { verbs: Verb[]; busy: boolean; error: ApiError | null; clear: () => void } {
  const { project, panel, desk, trans } = useHost();
  const { busy, error, run: doing, clear } = useDoing();
  const verbs = React.useMemo(() => {
    const list: Verb[] = [];
    const { id, status } = run;
    const { api } = project;
    const told = (work: Promise<Run>) =>
      doing(async () => project.putRun(await work));
    if (status === 'ready') {
      list.push({
        id: 'start',
        icon: 'play',
        label: trans.__('Start run'),
        near: true,
        do: () => told(api.start(id))
      });
    }
    if (status === 'stopping') {
      list.push({
        id: 'stop-now',
        icon: 'stop',
        label: trans.__('Stop now, without grace'),
        near: true,
        do: () => told(api.stop(id, true))
      });
    } else if (!ENDED.has(status)) {
      list.push({
        id: 'stop',
        icon: 'stop',
        label: trans.__('Stop run'),
        near: true,
        do: () => told(api.stop(id))
      });
    }
    if (ENDED.has(status)) {
      list.push({
        id: 'retry',
        icon: 'retry',
        label: trans.__('Retry run'),
        near: true,
        do: () =>
          doing(async () => {
            const next = await api.retry(id);
            project.putRun(next);
            panel.openRun(next.id);
          })
      });
    }
    const shown = charted.includes(id);
    list.push({
      id: 'chart',
      icon: 'chart',
      label: shown
        ? trans.__('Take out of charts')
        : trans.__('Put into charts'),
      near: true,
      pressed: shown,
      do: () => panel.toggleCharted(id, charted)
    });
    list.push({
      id: 'ask',
      icon: 'chat',
      label: trans.__('Ask about this run'),
      near: false,
      do: () =>
        doing(async () => {
          const session = await desk.api.create({ about: { run: id } });
          desk.put(session);
          panel.openChat(session.id);
        })
    });
    list.push({
      id: 'edit',
      icon: 'edit',
      label: trans.__('Edit and run again'),
      near: false,
      do: () => panel.newRun(draftOf(run))
    });
    if (ENDED.has(status)) {
      list.push({
        id: 'archive',
        icon: 'archive',
        label: trans.__('Archive run'),
        near: false,
        do: () =>
          doing(async () => {
            await api.archive(id);
            project.runs.remove(id);
            panel.back();
          })
      });
    }
    return list;
  }, [run, charted, project, panel, desk, trans, doing]);
  return { verbs, busy, error, clear };
}
