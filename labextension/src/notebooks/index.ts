/** Joins the notebooks that Lab opens to the engine, and shows what was changed in them. */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import { ServerConnection } from '@jupyterlab/services';
import { UUID } from '@lumino/coreutils';

import { API, type Api } from '../api';
import type { Project } from '../models/project';
import type { Trans } from '../words';
import { Bridge, type LabDoor } from './bridge';
import type { NotebookPanel } from './lab';
import { NotebookReview } from './review';

/** Real-time collaboration's drive is the server's disk under another name; other drives lie elsewhere. */
const DISKS = new Set(['', 'RTC']);

export function joinNotebooks(
  app: JupyterFrontEnd,
  project: Project,
  api: Api,
  trans: Trans
): Bridge {
  const { contents, serverSettings } = app.serviceManager;
  const door: LabDoor = {
    localPath: path =>
      DISKS.has(contents.driveName(path)) ? contents.localPath(path) : null,
    lastModified: async path => {
      try {
        return (await contents.get(path, { content: false })).last_modified;
      } catch {
        return null;
      }
    },
    leave: (path, body) => {
      const url = `${serverSettings.baseUrl}${API}${path}?no_track_activity=1`;
      const init = {
        method: 'POST',
        body: JSON.stringify(body),
        keepalive: true
      };
      ServerConnection.makeRequest(url, init, serverSettings).catch(
        () => undefined
      );
    },
    newId: () => UUID.uuid4()
  };
  const bridge = new Bridge(api, project, door);
  app.docRegistry.addWidgetExtension('Notebook', {
    createNew: widget => {
      const panel = widget as unknown as NotebookPanel;
      bridge.add(panel);
      new NotebookReview(panel, bridge, trans);
      return undefined;
    }
  });
  window.addEventListener('pagehide', () => bridge.leave());
  window.addEventListener('focus', () => bridge.look());
  return bridge;
}
