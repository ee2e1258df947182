"""Short, sortable, prefixed ids: `run_06fk2v9xw7q2`. Pure: the caller brings the time and the randomness."""

from __future__ import annotations

# Crockford's base 32 in lower case: no i, l, o, u, so that an id can be read out over a call.
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_EPOCH_MS = 1_577_836_800_000  # 2020-01-01T00:00:00Z; 40 bits of milliseconds last until 2054

PREFIXES = (
    "run", "swp", "alt", "ord", "rep", "ses", "wld", "rsc",
    "msg", "trn", "prt", "apr", "grt", "prv", "pln", "mem", "cal", "tok", "ent", "qst", "evt", "hld",
)  # fmt: skip


def _base32(number: int, digits: int) -> str:
    text = ""
    for _ in range(digits):
        number, rest = divmod(number, 32)
        text = _DIGITS[rest] + text
    return text


def make_id(prefix: str, unix_ms: int, randomness: int) -> str:
    """An id that sorts by time, then by chance.

    unix_ms: wall clock in milliseconds since 1970.  randomness: any int, 20 bits of it are used.
    Raises ValueError for a prefix that is not one of PREFIXES.
    >>> make_id("run", 1_790_000_000_000, 7)
    'run_65jyk1000007'
    """
    if prefix not in PREFIXES:
        raise ValueError(f"unknown id prefix {prefix!r}")
    stamp = max(0, unix_ms - _EPOCH_MS) & ((1 << 40) - 1)
    return f"{prefix}_{_base32(stamp, 8)}{_base32(randomness & 0xFFFFF, 4)}"


def alert_id(run_id: str, rule: str, metric: str, source: str, offset: int) -> str:
    """The id of an alert: the same trouble at the same place has the same id, however often it is seen.

    source: the source's id.  offset: where in the source the row that raised it begins, in bytes.
    >>> alert_id("run_a", "non_finite", "loss", "metrics.jsonl", 120)[:4]
    'alt_'
    """
    import hashlib  # here: it loads OpenSSL, 4 MB that a sidecar without alerts has no use for

    key = "\0".join((run_id, rule, metric, source, str(offset)))
    digest = int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()[:10], "big")
    return "alt_" + _base32(digest, 12)
