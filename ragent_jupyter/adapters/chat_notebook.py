"""A chat as a notebook file, by nbformat."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal


def notebook_of(cells: Sequence[tuple[Literal["markdown", "code"], str]]) -> str:
    """The text of a valid .ipynb with these cells, code without outputs. The same cells give the same file."""
    import nbformat
    from nbformat import v4

    notebook = v4.new_notebook()
    for number, (kind, source) in enumerate(cells):
        id = hashlib.sha256(f"{number}:{source}".encode()).hexdigest()[:12]
        if kind == "markdown":
            notebook.cells.append(v4.new_markdown_cell(source, id=id))
        else:
            notebook.cells.append(v4.new_code_cell(source, id=id))
    nbformat.validate(notebook)
    return str(nbformat.writes(notebook))
