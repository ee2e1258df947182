"""Client of ragent's own wire, for doors outside the engine: the command line, kernels, the Jupyter extension.

    client = Client()                      # the project of the current folder; its engine is started if need be
    for run in client.runs().runs: print(run.id, run.status.value)

Standard library and msgspec only, synchronous, one connection a call: it may be used from any thread.
"""

from __future__ import annotations

from .api import Client
from .start import engine_status, ensure_engine, is_newer
from .transport import API, request, stream

__all__ = ["API", "Client", "engine_status", "ensure_engine", "is_newer", "request", "stream"]
