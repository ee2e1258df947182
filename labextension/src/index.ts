/** Where Lab meets the panel. Only JupyterFrontEnd is required: all else is used where it is there. */
import {
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import {
  ICommandPalette,
  MainAreaWidget,
  WidgetTracker
} from '@jupyterlab/apputils';
import { ILatexTypesetter } from '@jupyterlab/rendermime';
import { ServerConnection } from '@jupyterlab/services';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStateDB } from '@jupyterlab/statedb';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { LabIcon } from '@jupyterlab/ui-components';
import type { ReadonlyJSONObject } from '@lumino/coreutils';

import { Api } from './api';
import { benchOf } from './bench';
import { CommandIDs, NAMESPACE, PANEL_ID, PLUGIN_ID } from './commands';
import type { Host } from './hooks';
import { ChatDesk } from './models/chatdesk';
import { PanelModel, type Memory, type PanelState } from './models/panel';
import { Project } from './models/project';
import { WildDesk } from './models/wilddesk';
import { joinNotebooks } from './notebooks';
import { RagentWidget } from './sidebar';
import { IRagent } from './tokens';

const icon = new LabIcon({
  name: 'ragent-jupyter:mark',
  svgstr:
    '<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 22 22"><g class="jp-icon3" fill="none" stroke="#616161" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round"><path d="M3.5 3.5v15h15"/><path d="M6.5 6.5c1.6 5 3.2 7.6 11.5 8"/></g><circle class="jp-icon3" fill="#616161" cx="18" cy="14.5" r="1.9"/></svg>'
});

/** Whether this visit was asked to forget the layout: /lab?reset. */
const isReset = () =>
  /[?&]reset\b/.test(
    performance.getEntriesByType('navigation')[0]?.name ?? location.href
  );

/**
 * Lab keeps it with the workspace, but writes it a good second after the last change: a reload in the middle of
 * typing would come back to something older. The tab's own memory is at once; it counts until the tab is closed.
 */
function memoryOf(state: IStateDB | null, key: string): Memory {
  const id = `${NAMESPACE}:${key}`;
  const near = (): Partial<PanelState> | null => {
    try {
      const text = isReset() ? null : sessionStorage.getItem(id);
      return text ? (JSON.parse(text) as Partial<PanelState>) : null;
    } catch {
      return null;
    }
  };
  return {
    load: async () =>
      near() ??
      ((await state?.fetch(id)) as Partial<PanelState> | undefined) ??
      null,
    save: async panel => {
      try {
        sessionStorage.setItem(id, JSON.stringify(panel));
      } catch {
        // Full or forbidden: the workspace has it a second later.
      }
      await state?.save(id, panel as unknown as ReadonlyJSONObject);
    }
  };
}

/** For commands that take a run. */
const RUN_ARGS = {
  args: {
    type: 'object',
    properties: {
      run: { type: 'string', description: 'The id of a run' }
    },
    required: ['run']
  }
} as const;
/** For the command that opens a chat about something, with words in its composer. */
const ASK_ARGS = {
  args: {
    type: 'object',
    properties: {
      text: { type: 'string', description: 'Put into the composer, not sent' },
      run: { type: 'string', description: 'The id of a run it is about' },
      alert: { type: 'string', description: 'The id of an alert it is about' }
    }
  }
} as const;
const NO_ARGS = { args: { type: 'object', properties: {} } } as const;

const plugin: JupyterFrontEndPlugin<IRagent> = {
  id: PLUGIN_ID,
  description: 'Chat, runs, live charts and alerts of the project.',
  autoStart: true,
  provides: IRagent,
  optional: [
    ILayoutRestorer,
    ICommandPalette,
    ISettingRegistry,
    IStateDB,
    ITranslator,
    ILatexTypesetter
  ],
  activate: (
    app: JupyterFrontEnd,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    settings: ISettingRegistry | null,
    stateDB: IStateDB | null,
    translator: ITranslator | null,
    latex: ILatexTypesetter | null
  ): IRagent => {
    const trans = (translator ?? nullTranslator).load(NAMESPACE);
    const { serverSettings } = app.serviceManager;
    const api = new Api(
      {
        baseUrl: serverSettings.baseUrl,
        wsUrl: serverSettings.wsUrl,
        fetch: (url, init) =>
          ServerConnection.makeRequest(url, init, serverSettings)
      },
      trans
    );
    const project = new Project(api);
    joinNotebooks(app, project, api, trans);
    const desk = new ChatDesk(project);
    const wild = new WildDesk(project);
    const bench = benchOf(app);
    let points = 600;
    let enterSends = true;
    const openFile = async (path: string): Promise<void> => {
      // A project may be a folder below the one that Jupyter serves.
      const { root, project: folder } = await api.project();
      const below = folder?.startsWith(`${root}/`)
        ? `${folder.slice(root.length + 1)}/`
        : '';
      // A report is named by its whole path.
      const inside = path.startsWith(`${root}/`)
        ? path.slice(root.length + 1)
        : below + path;
      await app.commands.execute('docmanager:open', { path: inside });
    };
    const hostOf = (panel: PanelModel): Host => ({
      project,
      panel,
      trans,
      desk,
      wild,
      bench,
      points: () => points,
      enterSends: () => enterSends,
      openFile: path =>
        void openFile(path).catch(error =>
          console.warn('ragent: file not opened', error)
        ),
      typeset: latex
        ? async node => {
            try {
              await latex.typeset(node);
            } catch (error) {
              // The formula stays readable as it was written.
              console.warn('ragent: formula not drawn', error);
            }
          }
        : undefined,
      kernels: async () => {
        const { kernelspecs } = app.serviceManager;
        await kernelspecs.ready;
        return Object.keys(kernelspecs.specs?.kernelspecs ?? {}).map(
          name => `kernel:${name}`
        );
      }
    });

    const panel = new PanelModel(memoryOf(stateDB, 'sidebar'));
    const sidebar = new RagentWidget(hostOf(panel));
    sidebar.id = PANEL_ID;
    sidebar.title.icon = icon;
    sidebar.title.caption = trans.__(
      'ragent: chat, runs, charts, alerts, wild mode'
    );
    app.shell.add(sidebar, 'left', { rank: 850, type: 'ragent' });
    restorer?.add(sidebar, PANEL_ID);
    // What was open last is known first: a command that shows it must not come before.
    const remembered = panel.restore();
    const restored = Promise.all([remembered, app.restored]);
    restored.catch(error => console.warn('ragent: state not restored', error));

    const { commands } = app;
    const toFront = () => app.shell.activateById(PANEL_ID);
    const tracker = new WidgetTracker<MainAreaWidget<RagentWidget>>({
      namespace: `${NAMESPACE}-wide`
    });
    const add = (
      id: string,
      label: string,
      caption: string,
      execute: () => void | Promise<void>
    ) => {
      commands.addCommand(id, {
        label,
        caption,
        icon: id === CommandIDs.open ? icon : undefined,
        describedBy: NO_ARGS,
        execute
      });
      palette?.addItem({ command: id, category: trans.__('ragent') });
    };
    add(
      CommandIDs.open,
      trans.__('Open ragent'),
      trans.__('Runs, charts and alerts of this project'),
      toFront
    );
    add(
      CommandIDs.showChat,
      trans.__('Show Chat'),
      trans.__('Ask about runs, or have work done'),
      async () => {
        toFront();
        await remembered;
        panel.openChat(panel.state().chat);
      }
    );
    add(
      CommandIDs.newChat,
      trans.__('New Chat'),
      trans.__('Begin a new chat'),
      async () => {
        toFront();
        await remembered;
        panel.openChat(null);
      }
    );
    add(
      CommandIDs.newRun,
      trans.__('New Run…'),
      trans.__('Start a command as a run'),
      () => {
        toFront();
        panel.newRun();
      }
    );
    add(
      CommandIDs.showRuns,
      trans.__('Show Runs'),
      trans.__('The list of runs'),
      () => {
        toFront();
        panel.showTab('runs');
      }
    );
    add(
      CommandIDs.showCharts,
      trans.__('Show Charts'),
      trans.__('Live charts of metrics'),
      () => {
        toFront();
        panel.showTab('charts');
      }
    );
    add(
      CommandIDs.showAlerts,
      trans.__('Show Alerts'),
      trans.__('What waits for an answer'),
      () => {
        toFront();
        panel.showTab('alerts');
      }
    );
    add(
      CommandIDs.showWild,
      trans.__('Show Wild Mode'),
      trans.__('The loop that works towards a goal, and earlier ones'),
      () => {
        toFront();
        panel.showTab('wild');
      }
    );
    add(
      CommandIDs.newLoop,
      trans.__('Start a Wild Loop…'),
      trans.__('Give a goal and limits; runs go on by themselves'),
      () => {
        toFront();
        panel.newLoop();
      }
    );
    add(
      CommandIDs.find,
      trans.__('Find a Run'),
      trans.__('Filter the list of runs'),
      () => {
        toFront();
        panel.find();
      }
    );
    add(
      CommandIDs.reload,
      trans.__('Read Everything Anew'),
      trans.__('Asks the server for all runs and alerts again'),
      () => void project.load()
    );
    add(
      CommandIDs.openWide,
      trans.__('Open ragent in the Main Area'),
      trans.__('List and detail side by side'),
      () => {
        if (tracker.currentWidget) {
          app.shell.activateById(tracker.currentWidget.id);
          return;
        }
        const wide = new PanelModel(memoryOf(stateDB, 'wide'));
        const content = new RagentWidget(hostOf(wide));
        const widget = new MainAreaWidget({ content });
        widget.toolbar.hide(); // the panel has its own line on top
        widget.id = `${PANEL_ID}-wide`;
        widget.title.label = trans.__('ragent');
        widget.title.icon = icon;
        app.shell.add(widget, 'main');
        void tracker.add(widget);
        wide
          .restore()
          .catch(error => console.warn('ragent: state not restored', error));
      }
    );
    void restorer?.restore(tracker, {
      command: CommandIDs.openWide,
      name: () => 'wide'
    });

    commands.addCommand(CommandIDs.showRun, {
      label: trans.__('Show a Run'),
      describedBy: RUN_ARGS,
      execute: args => {
        toFront();
        panel.openRun(String(args.run));
      }
    });
    commands.addCommand(CommandIDs.ask, {
      label: trans.__('Ask ragent'),
      describedBy: ASK_ARGS,
      execute: async args => {
        toFront();
        await remembered;
        const about = Object.fromEntries(
          ['run', 'alert'].flatMap(kind =>
            args[kind] ? [[kind, String(args[kind])]] : []
          )
        );
        if (Object.keys(about).length) {
          const session = await desk.api.create({ about });
          desk.put(session);
          panel.openChat(session.id);
        } else if (panel.state().tab !== 'chat') {
          panel.openChat(panel.state().chat);
        }
        if (args.text) {
          // The composer stands there once the tab is drawn.
          requestAnimationFrame(() => panel.compose(String(args.text)));
        }
      }
    });
    commands.addCommand(CommandIDs.stopRun, {
      label: trans.__('Stop a Run'),
      describedBy: RUN_ARGS,
      execute: async args => project.putRun(await api.stop(String(args.run)))
    });
    commands.addCommand(CommandIDs.retryRun, {
      label: trans.__('Retry a Run'),
      describedBy: RUN_ARGS,
      execute: async args => project.putRun(await api.retry(String(args.run)))
    });

    settings
      ?.load(PLUGIN_ID)
      .then(mine => {
        const read = () => {
          points = mine.get('points').composite as number;
          enterSends = mine.get('enterSends').composite as boolean;
          const side = mine.get('side').composite as string;
          const area = sidebar.parent && shellArea(app, side);
          if (area) {
            app.shell.add(sidebar, area, { rank: 850, type: 'ragent' });
          }
        };
        mine.changed.connect(read);
        read();
      })
      // A broken settings file must not take the panel along: it goes on with what it has.
      .catch(error => console.warn('ragent: settings not read', error));

    return {
      project,
      open: runId => {
        toFront();
        if (runId) {
          panel.openRun(runId);
        }
      }
    };
  }
};

/** Where the panel has to go; null if it is there. */
function shellArea(app: JupyterFrontEnd, side: string): string | null {
  for (const area of ['left', 'right']) {
    for (const widget of app.shell.widgets(area)) {
      if (widget.id === PANEL_ID) {
        return area === side ? null : side;
      }
    }
  }
  return null;
}

export default plugin;
