"""ragent: a research assistant for machine learning inside JupyterLab.

`import ragent_jupyter as ragent` gives `ragent.log(...)`, `.finish()`, `.runs()`, `.metrics(run)`, `.chart(...)`,
`.panel()` and `.report(sweep)`. Nothing heavy is imported until one of them is used.
"""

from __future__ import annotations

from typing import Any

from ._version import __version__

__all__ = ["__version__"]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "ragent-jupyter"}]


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from .server.app import RagentApp

    return [{"module": "ragent_jupyter.server.app", "app": RagentApp}]
