"""Waiting for a condition, with a deadline: no test sleeps in the hope that something has happened."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], timeout: float = 10.0, every: float = 0.02, what: str = "") -> T:
    """The first truthy value of `condition`; raises AssertionError after `timeout` seconds, naming what was awaited."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not so after {timeout} s: {what or condition}")
        time.sleep(every)
