"""What a training script exposes, as read from its source without executing anything."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from .sweep import Range, Values

# tune      searched: changes the result at an equal training budget (lr, dropout, width …)
# fidelity  how much training is spent (epochs, steps); never searched, may be lowered for screening
# seed      never searched; repeats and the confirm stage set it
# exclude   all the rest: paths, devices, workers, logging
Role = Literal["tune", "fidelity", "seed", "exclude"]
Style = Literal["argparse", "click", "typer", "hydra", "dataclass", "constants"]


class Flag(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that can be set from outside.

    name: as a person types it, without leading dashes ("weight-decay", "optim.lr", "LEARNING_RATE").
    template: how it reaches the command, see `SearchSpace.flags`.  dim: the range that would be searched (tune only).
    current: its value in the base command where the user set it there, else None: `default` counts then.
    """

    name: str
    role: Role
    why: str  # "named like a learning rate", "a path"
    style: Style
    template: str
    kind: Literal["float", "int", "bool", "str", "unknown"] = "unknown"
    default: Any = None
    current: Any = None
    choices: list[Any] = []
    dim: Values | Range | None = None
    file: str = ""  # relative to the cwd
    line: int = 0

    @property
    def value(self) -> Any:
        """What a run of the base command would use."""
        return self.default if self.current is None else self.current


class Script(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """path: relative to the cwd; "" where the command names no Python script.  notes: what could not be read, and
    why."""

    path: str = ""
    flags: list[Flag] = []
    notes: list[str] = []

    def flag(self, name: str) -> Flag | None:
        return next((flag for flag in self.flags if flag.name == name), None)


class Objective(Struct, frozen=True, kw_only=True):
    """The one metric that decides. why: "the goal names it", "the only validation loss"."""

    metric: str
    mode: Literal["min", "max"]
    why: str = ""


class Ambiguous(Struct, frozen=True, kw_only=True):
    """Which metric, or which direction, cannot be told: a person says. options: likeliest first."""

    problem: str
    options: list[Objective]
