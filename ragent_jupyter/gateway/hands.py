"""Where the gateway's hands come from when it stands alone. Loaded when it starts, not before."""

from __future__ import annotations

import os

from ragent_jupyter.rules import redact as rules_redact

from .core import KeyHolder, Price, Redact, no_price


class EnvKeys:
    """The environment alone."""

    def get(self, name: str) -> str | None:
        return os.environ.get(name) or None


def keys() -> KeyHolder:
    return EnvKeys()


def price() -> Price:
    return no_price


def redact() -> Redact:
    return rules_redact.redact
