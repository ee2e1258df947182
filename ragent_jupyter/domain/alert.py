"""An alert: a question with choices, raised from evidence."""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal

from msgspec import Struct


class Severity(str, Enum):
    INFO = "info"  # interrupts nobody
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return ("info", "warning", "critical").index(self.value)


class AlertStatus(str, Enum):
    PENDING = "pending"
    RESOLVED = "resolved"
    DISMISSED = "dismissed"
    EXPIRED = "expired"


Action = Literal["ignore", "stop", "stop_now", "retry_with", "acknowledge"]


class Choice(Struct, frozen=True):
    """A typed action with words that say what it does. Matched by `id`, never by its words."""

    id: str
    action: Action
    label: str
    set: dict[str, Any] = {}  # for retry_with: the parameters to change


class Evidence(Struct, frozen=True, kw_only=True):
    """What a rule saw. Non-finite values are the strings "nan", "inf", "-inf"."""

    metric: str = ""
    step: int | None = None
    value: float | str | None = None
    baseline: float | None = None
    threshold: float | None = None
    window: list[tuple[float, float | str]] = []  # (step, value), oldest first, at most 64
    source: str = ""
    offset: int = 0
    log_line: str | None = None


class Alert(Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    run_id: str
    rule: str
    severity: Severity
    title: str  # "loss became NaN at step 412"
    raised_at: float
    text: str = ""  # what it means
    evidence: Evidence = Evidence()
    choices: list[Choice] = []
    default: str | None = None  # the safe choice's id
    status: AlertStatus = AlertStatus.PENDING
    choice: str | None = None
    answered_by: str | None = None
    answered_at: float | None = None
    note: str = ""  # why it expired, what the answer led to
