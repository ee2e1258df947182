"""What the watch rules remember of one run: small, bounded, and JSON from end to end."""

from __future__ import annotations

from msgspec import Struct

from .watch_facts import Params


class Watch(Struct, kw_only=True, omit_defaults=True):
    """Everything that the rules remember. Start with `Watch(run_id=…, params=…)`; keep it as JSON between processes.

    run_id: whose alerts these are.  params: the run's parameters; a learning rate among them becomes a choice.
    """

    run_id: str = ""
    params: Params = {}
