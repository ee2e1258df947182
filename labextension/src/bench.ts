/** The notebook that a person works in, found without depending on Lab's notebook package: Notebook 7 has it too. */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { Widget } from '@lumino/widgets';
import type { Bench } from './hooks';

interface Cell {
  id: string;
}

interface SharedNotebook {
  cells: Cell[];
  insertCell(index: number, cell: Record<string, unknown>): Cell;
  transact?(change: () => void): void;
}

/** As much of a notebook panel as is used here. */
interface NotebookLike extends Widget {
  context: { path: string };
  content: Widget & {
    activeCellIndex: number;
    activeCell: { model: Cell } | null;
    model: { sharedModel: SharedNotebook } | null;
  };
}

function asNotebook(widget: Widget | null | undefined): NotebookLike | null {
  const panel = widget as Partial<NotebookLike> | null | undefined;
  return panel?.context &&
    typeof panel.content?.activeCellIndex === 'number' &&
    typeof panel.content.model?.sharedModel?.insertCell === 'function'
    ? (panel as NotebookLike)
    : null;
}

export function benchOf(app: JupyterFrontEnd): Bench {
  let last: NotebookLike | null = null;
  const find = (): NotebookLike | null => {
    last = asNotebook(app.shell.currentWidget) ?? last;
    if (last && !last.isDisposed && last.content.model) {
      return last;
    }
    const main = [...app.shell.widgets('main')];
    last =
      asNotebook(main.find(one => one.isVisible && asNotebook(one))) ?? null;
    return last;
  };
  return {
    inFront: () => {
      const panel = find();
      return (
        panel && {
          notebook: panel.context.path,
          cell: panel.content.activeCell?.model.id ?? null
        }
      );
    },
    insert: async (source, run) => {
      const panel = find();
      const shared = panel?.content.model?.sharedModel;
      if (!panel || !shared) {
        return false;
      }
      const { content } = panel;
      const at = Math.min(content.activeCellIndex + 1, shared.cells.length);
      shared.insertCell(at, {
        cell_type: 'code',
        source,
        metadata: { trusted: true }
      });
      content.activeCellIndex = at;
      if (run) {
        app.shell.activateById(panel.id);
        await app.commands.execute('notebook:run-cell');
      }
      return true;
    }
  };
}
