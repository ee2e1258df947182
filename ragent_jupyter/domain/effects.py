"""What the engine owes the world. An effect is remembered in the outbox with the record that caused it.

Class of an effect, for settling after a crash: by_id effects are repeated (their id makes that harmless); checkable
ones look first; once ones are never blindly repeated. Everything in this part of ragent is by_id.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

EffectClass = Literal["by_id", "checkable", "once"]


class Launch(Struct, frozen=True, kw_only=True, tag="launch"):
    run_id: str
    effect_class: EffectClass = "by_id"


class SendStop(Struct, frozen=True, kw_only=True, tag="send_stop"):
    run_id: str
    order_id: str
    by: str
    now: bool = False
    effect_class: EffectClass = "by_id"


class SendAnswer(Struct, frozen=True, kw_only=True, tag="send_answer"):
    run_id: str
    order_id: str
    alert_id: str
    choice: str
    action: str
    effect_class: EffectClass = "by_id"


class SendFinish(Struct, frozen=True, kw_only=True, tag="send_finish"):
    run_id: str
    order_id: str
    effect_class: EffectClass = "by_id"


Effect = Launch | SendStop | SendAnswer | SendFinish


class Owed(Struct, frozen=True, kw_only=True):
    """An outbox row. key: what makes doing it twice the same as once, e.g. "launch:run_…"."""

    key: str
    stream: str
    effect: Effect
