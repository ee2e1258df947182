"""Waiting for a condition without stopping the loop that brings it about."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any


async def until(condition: Callable[[], Any], timeout: float = 10.0) -> Any:
    """The first truthy value of `condition`; AssertionError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not so after {timeout} s"
        await asyncio.sleep(0.01)
    return value
