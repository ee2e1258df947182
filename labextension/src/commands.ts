/** Ids of commands and plugins. They stand on the ground floor, so that nothing has to import the top to name one. */
export const PLUGIN_ID = 'ragent-jupyter:plugin';
export const PANEL_ID = 'ragent-panel';
export const NAMESPACE = 'ragent';

export const CommandIDs = {
  open: 'ragent:open',
  openWide: 'ragent:open-wide',
  showChat: 'ragent:show-chat',
  newChat: 'ragent:new-chat',
  ask: 'ragent:ask',
  newRun: 'ragent:new-run',
  showRuns: 'ragent:show-runs',
  showCharts: 'ragent:show-charts',
  showAlerts: 'ragent:show-alerts',
  showWild: 'ragent:show-wild',
  newLoop: 'ragent:start-wild',
  showRun: 'ragent:show-run',
  stopRun: 'ragent:stop-run',
  retryRun: 'ragent:retry-run',
  find: 'ragent:find-run',
  reload: 'ragent:reload'
} as const;
