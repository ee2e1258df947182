"""Runs a notebook again in the environment that it is given, and says whether each output came out as it stood.

python re_execute.py NOTEBOOK
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient


def outputs(notebook: nbformat.NotebookNode) -> list[dict[str, Any]]:
    return [o["data"] for c in notebook.cells if c.cell_type == "code" for o in c.outputs if "data" in o]


def main() -> None:
    path = Path(sys.argv[1])
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    before = outputs(notebook)
    NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    after = outputs(notebook)
    kinds = sorted({kind for data in before for kind in data})
    print(json.dumps({"outputs": len(before), "kinds": kinds, "same": after == before, "text": str(before[0])}))


if __name__ == "__main__":
    main()
