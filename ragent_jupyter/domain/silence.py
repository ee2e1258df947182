"""How long runs are usually silent: what a sidecar learnt of finished ones and the next one is told."""

from __future__ import annotations

from msgspec import Struct


class Usual(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How silent finished runs of the same command were. All in seconds, by their witnesses' clocks.

    runs: how many.  start_s: the longest silence before a first row.  gap_s: and after it.  pace_s: the usual time from
    row to row.  whole_s: the longest run.
    """

    runs: int = 0
    start_s: float = 0.0
    gap_s: float = 0.0
    pace_s: float = 0.0
    whole_s: float = 0.0
