import { ReactWidget } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import * as React from 'react';
import { Panel } from './components/Panel';
import type { Host } from './hooks';

/** The panel as a Lab widget. It tells the project when it is looked at; hidden, it does no work. */
export class RagentWidget extends ReactWidget {
  private holding = false;

  constructor(readonly host: Host) {
    super();
    this.addClass('rg-widget');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', host.trans.__('ragent'));
    document.addEventListener('visibilitychange', this.look);
  }

  dispose(): void {
    document.removeEventListener('visibilitychange', this.look);
    this.hold(false);
    super.dispose();
  }

  protected render(): JSX.Element {
    return <Panel host={this.host} />;
  }

  protected onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    this.look();
  }

  protected onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this.look();
  }

  protected onAfterHide(message: Message): void {
    super.onAfterHide(message);
    this.look();
  }

  protected onBeforeDetach(message: Message): void {
    this.hold(false);
    super.onBeforeDetach(message);
  }

  protected onActivateRequest(message: Message): void {
    super.onActivateRequest(message);
    if (!this.node.contains(document.activeElement)) {
      const find = (what: string) => this.node.querySelector<HTMLElement>(what);
      (find('.rg-lines') ?? find('.rg-tab[data-on]'))?.focus();
    }
  }

  private look = (): void => {
    this.hold(this.isVisible && document.visibilityState === 'visible');
  };

  private hold(seen: boolean): void {
    if (seen !== this.holding) {
      this.holding = seen;
      if (seen) {
        this.host.project.hold();
      } else {
        this.host.project.release();
      }
    }
  }
}
