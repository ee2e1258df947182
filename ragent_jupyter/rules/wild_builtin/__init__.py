"""The rules of the built-in policy: which phase a loop is in, what each phase proposes, and how alerts are answered.

`next_steps` when nothing runs, `on_answer` and `on_human` when a person spoke, `rule_on` for an alert, `halving` while
runs live. All of it follows from one View; nothing is kept between calls.
"""

from .alerts import Ruling, rule_on
from .asking import on_answer
from .halving import halving
from .phases import next_steps
from .shares import Shares, runs_left, shares
from .standing import Standing
from .steps import Step
from .talk import hear, on_human

__all__ = [
    "Ruling", "Shares", "Standing", "Step", "halving", "hear", "next_steps", "on_answer", "on_human", "rule_on",
    "runs_left", "shares",
]  # fmt: skip
