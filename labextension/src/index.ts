import { JupyterFrontEndPlugin } from '@jupyterlab/application';
const plugin: JupyterFrontEndPlugin<void> = { id: 'ragent-jupyter:plugin', autoStart: true, activate: () => undefined };
export default plugin;
