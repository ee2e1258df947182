"""Where the gateway's hands come from when it stands alone. Loaded when it starts, not before."""

from __future__ import annotations

import os

from .core import KeyHolder, Price, Redact, black_out, no_price


class EnvKeys:
    """The environment alone."""

    def get(self, name: str) -> str | None:
        return os.environ.get(name) or None


def keys() -> KeyHolder:
    return EnvKeys()


def price() -> Price:
    return no_price


def redact() -> Redact:
    return black_out
