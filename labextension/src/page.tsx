/** The panel without Lab around it: for a phone, or a tab of its own. Served at `ragent/`. */
import * as React from 'react';
import { createRoot } from 'react-dom/client';
import 'uplot/dist/uPlot.min.css';
import '../style/base.css';
import '../style/chat.css';
import '../style/wild.css';
import '../style/page.css';

import { Api, type Door } from './api';
import { Panel } from './components/Panel';
import { ChatDesk } from './models/chatdesk';
import { PanelModel, type Memory, type PanelState } from './models/panel';
import { Project } from './models/project';
import { WildDesk } from './models/wilddesk';
import { plainEnglish } from './words';

const NAME = 'ragent';
const KEY = 'ragent:panel';

/** This browser's own. Private windows may refuse it: then nothing is kept, and nothing breaks. */
const memory: Memory = {
  async load() {
    try {
      const text = localStorage.getItem(KEY);
      return text ? (JSON.parse(text) as Partial<PanelState>) : null;
    } catch {
      return null;
    }
  },
  async save(state) {
    try {
      localStorage.setItem(KEY, JSON.stringify(state));
    } catch {
      // Full or forbidden: the state lives as long as the page.
    }
  }
};

const xsrf = () => /(?:^|; )_xsrf=([^;]+)/.exec(document.cookie)?.[1] ?? '';

const baseUrl = new URL(
  document.body.dataset.baseUrl ?? '/',
  location.href
).toString();

const door: Door = {
  baseUrl,
  wsUrl: baseUrl.replace(/^http/, 'ws'),
  fetch: (url, init) =>
    fetch(url, {
      ...init,
      credentials: 'same-origin',
      headers: { ...init.headers, 'X-XSRFToken': xsrf() }
    })
};

/** The script that draws formulas lies beside this one; it is large, and most visits show none. */
const mathScript = new URL('pagemath.js', import.meta.url).href;
const typeset = async (node: HTMLElement): Promise<void> => {
  const { draw } = (await import(mathScript)) as typeof import('./pagemath');
  draw(node);
};

const project = new Project(new Api(door));
const panel = new PanelModel(memory);
const desk = new ChatDesk(project);
const wild = new WildDesk(project);
// A thumb's Enter breaks the line: the button beside it sends.
const thumbs = window.matchMedia?.('(pointer: coarse)').matches ?? false;

let looking = false;
const look = () => {
  const seen = document.visibilityState === 'visible';
  if (seen !== looking) {
    looking = seen;
    if (seen) {
      project.hold();
    } else {
      project.release();
    }
  }
};
document.addEventListener('visibilitychange', look);

// A link may name a run or a wild loop: ragent/#run_…, ragent/#wld_…
const named = /^#(run_\w+)$/.exec(location.hash)?.[1];
const namedLoop = /^#(wld_\w+)$/.exec(location.hash)?.[1];

void panel.restore().then(() => {
  if (named) {
    panel.openRun(named);
  } else if (namedLoop) {
    panel.openLoop(namedLoop);
  }
  look();
  createRoot(document.getElementById('app')!).render(
    <>
      <h1 className="rg-unseen">{NAME}</h1>
      <Panel
        host={{
          project,
          panel,
          trans: plainEnglish,
          kernels: async () => [],
          points: () => 600,
          desk,
          wild,
          enterSends: () => !thumbs,
          typeset: node =>
            typeset(node).catch(error =>
              console.warn('ragent: formula not drawn', error)
            )
        }}
      />
    </>
  );
});
