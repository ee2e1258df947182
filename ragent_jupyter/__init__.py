"""ragent: a research assistant for machine learning inside JupyterLab.

    import ragent_jupyter as ragent

    ragent.log({"loss": loss}, step=step)      # from training code, or from a notebook
    ragent.runs()                              # the project's runs, newest first
    ragent.metrics("run_…")                    # a DataFrame, one row a step
    ragent.chart("loss", ["run_…", "run_…"])   # a plotly figure
    ragent.panel()                             # runs and a live chart, below a cell
    ragent.report("swp_…")                     # a notebook that re-derives its numbers
    ragent.wild("wld_…")                       # what a wild loop found, and what it rests on
    %load_ext ragent_jupyter                   # %ragent runs | run CMD | show RUN | chart METRIC | …

Nothing is imported until one of them is used.
"""

from __future__ import annotations

from ._version import __version__

# Not typing's: this stands at the top of training code, and importing typing costs more than all the rest here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._log import finish as finish
    from ._log import log as log
    from .kernel.surface import chart as chart
    from .kernel.surface import metrics as metrics
    from .kernel.surface import panel as panel
    from .kernel.surface import report as report
    from .kernel.surface import runs as runs
    from .kernel.surface import wild as wild

__all__ = [
    "__version__",
    "chart",
    "finish",
    "load_ipython_extension",
    "log",
    "metrics",
    "panel",
    "report",
    "runs",
    "wild",
]

# No module of this package may be named like one of these: importing it would take the function's place.
_HOME = {
    "log": "_log",
    "finish": "_log",
    "runs": "kernel.surface",
    "metrics": "kernel.surface",
    "chart": "kernel.surface",
    "panel": "kernel.surface",
    "report": "kernel.surface",
    "wild": "kernel.surface",
}


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value  # from now on an ordinary attribute: log() is called in inner loops
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "ragent-jupyter"}]


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from .server.app import RagentApp

    return [{"module": "ragent_jupyter.server.app", "app": RagentApp}]


def load_ipython_extension(ipython: Any) -> None:
    """`%load_ext ragent_jupyter`: registers `%ragent` and does nothing else."""
    from .kernel.magics import RagentMagics

    ipython.register_magics(RagentMagics)
