"""Secrets out of what leaves a kernel. The engine knows the keys that it holds; those of this kernel it never saw."""

from __future__ import annotations

import os

from ragent_jupyter.rules.environment import secrets_of
from ragent_jupyter.rules.redact import redact

# Of more than this the rest is left out unread. A cut leaves half a secret, which nothing recognises, so it is made
# far from what is kept.
_READ = 1_000_000


def hidden(text: str) -> str:
    """The text without secrets: those of this kernel's environment, and what looks like one."""
    return redact(text, secrets_of(os.environ))


def head(text: str, most: int) -> str:
    """The first `most` characters at most, hidden before they are cut."""
    return hidden(text[:_READ])[:most]


def tail(text: str, most: int) -> str:
    """The last `most` characters at most, hidden before they are cut."""
    return hidden(text[-_READ:])[-most:]
