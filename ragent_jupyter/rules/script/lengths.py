"""How much training is spent: which counts of epochs, steps and samples are lengths of training, and which are not."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from itertools import pairwise
from typing import Any

from .found import Found
from .sayings import (
    NO_CHANGE,
    PHASES,
    SAID_DIFFUSION,
    SAID_ROLLOUT,
    SAID_TRAINED,
    Judged,
    is_text,
    value_of,
)
from .vocabulary import COUNT, METHOD, PARTIAL, RL, SPENT

Bag = AbstractSet[str]
_DIFFUSED = 1000  # steps of diffusion, as nearly everybody has them
_FEW = 32  # updates: so few are those of one step, not of a training


def spent(found: Found, tokens: tuple[str, ...], bag: Bag, others: Bag, plural: bool) -> Judged | None:
    """Named like an amount of training; None where the name says nothing of one."""
    value = value_of(found)
    seen = bag & {"future", "historical", "history", "forecast"}
    if seen and bag & {"step", "frame", "timestep"} and bag - COUNT - seen <= {"step", "frame", "timestep"}:
        return Judged("exclude", "how far is looked back and ahead, which is given")
    rest = bag - COUNT - NO_CHANGE - {"model", "main", "agent", "env", "real", "base", "run", "size", "opt", "budget"}
    rest -= {"online", "offline"}
    if (
        bag & {"data", "dataset", "subset", "label"}
        and bag & {"ratio"}
        and "update" not in bag
        and not re.search(r"(?i)\b(combin|mix)", found.help)
        and not bag & {"overlap", "augment", "weight", "split", "noise", "random", "len", "mask"}
    ):
        return Judged("fidelity", "how much of the data is used")
    if {"train", "timestep"} <= bag and value == _DIFFUSED:
        return Judged("tune", "steps of the process that is modelled")
    if "subset" in bag and found.kind in ("int", "float"):
        return Judged("fidelity", "how much of the data is used")
    if bag & {"train", "training"} and not rest and bag & (COUNT | {"size"}) and not is_text(found):
        return Judged("fidelity", "how many training examples are used")
    if (
        bag & {"train", "training"}
        and found.kind == "int"
        and isinstance(value, int)
        and value >= 10_000
        and not bag & METHOD
    ):
        return Judged("fidelity", "how much is trained on")
    part = bag & {"epoch", "step", "iter"} and bag & {"pretrain", "finetune"} and not rest - SPENT - PHASES
    if part and not is_text(found) and found.kind != "bool":
        return Judged("fidelity", "how long a part of training is")
    if not bag & SPENT or found.kind == "bool" or found.many:
        return None
    if is_text(found) and not (isinstance(value, str) and value.replace(".", "").isdigit()) and not plural:
        return None
    if rest and rest <= SPENT:
        return _length(found, tokens, bag, others, plural, value)
    if "budget" in bag and not rest:
        return Judged("fidelity", "a budget of training")
    if "per" in bag and bag & SPENT:
        long = isinstance(value, int) and value >= 100 and bag & {"step", "batch", "update", "iter"}
        epoch = ("per", "epoch") in pairwise(tokens) and bag & (SPENT - {"epoch"})
        if epoch or (tokens[-1] in ("iter", "round") and long):
            return Judged("fidelity", f"how long a {'epoch' if epoch else tokens[-1]} is")
        return Judged("tune", "a rate of the method")
    if tokens[-1] in SPENT:
        if bag & PARTIAL:
            return Judged("tune", "a length within the method's schedule")
        if (plural or bag & COUNT) and rest - SPENT and tokens[-1] in ("step", "iter") and not bag & PHASES:
            return Judged("tune", "a length of a part of the method", weak=True)
        if plural or bag & COUNT:
            if (
                isinstance(value, int)
                and value < 1000
                and tokens[-1] in ("frame", "token", "sample", "example", "tree")
            ):
                return Judged("tune", "a count within the method", weak=True)
            return Judged("fidelity", "how long a part of training is")
        if rest - SPENT <= {"end", "stop", "final"}:
            return Judged("fidelity", "when training ends")
        if bag & METHOD:
            return Judged("tune", "a moment of the method's schedule")
        if isinstance(value, int) and value >= 10 and tokens[-1] in ("iter", "episode"):
            return Judged("fidelity", "named like a length of training", weak=True)
        if isinstance(value, int) and value > 0 and tokens[-1] in ("epoch", "round"):
            if len(others & RL) >= 2 and others & {"timestep", "frame", "step"}:
                return Judged("tune", "a count within the method", weak=True)
            return Judged("fidelity", "named like a length of training", weak=True)
    return None


def _length(found: Found, tokens: tuple[str, ...], bag: Bag, others: Bag, plural: bool, value: Any) -> Judged:
    """A bare count: of epochs, steps, samples. What else the script has tells which count it is."""
    longer = others & {"epoch", "timestep", "episode", "iter", "frame"}
    if (
        bag - COUNT == {"iter"}
        and tokens[0] not in ("max", "total")
        and (longer | others & {"step"}) - bag
        and isinstance(value, int)
        and value <= 32
    ):
        return Judged("tune", "iterations within the model", weak=True)
    if bag & {"step", "timestep", "iter"} and not bag & {"total", "epoch", "env", "train", "training", "global"}:
        if SAID_ROLLOUT.search(found.help) or (
            not (isinstance(value, int) and value >= 100_000)
            and "step" in bag
            and len(others & RL) >= 2
            and longer - bag
        ):
            return Judged("tune", "the length of a rollout")
        if (
            "timestep" in bag
            and (SAID_DIFFUSION.search(found.help) or longer & {"epoch", "iter"} or others & {"ddim", "diffusion"})
            and not len(others & RL) >= 2
        ):
            return Judged("tune", "steps of the process that is modelled")
        if SAID_DIFFUSION.search(found.help):
            return Judged("tune", "steps of the process that is modelled")
    if bag & {"update"} and isinstance(value, int) and value <= _FEW:
        return Judged("tune", "updates per step", weak=True)
    if (
        bag - COUNT == {"step"}
        and isinstance(value, int)
        and 0 < value <= _FEW * 2
        and others & {"epoch", "attack", "pgd", "epsilon", "meta", "perturb"} - bag
        and not others & RL & {"policy", "env"}
    ):
        return Judged("tune", "steps within the method", weak=True)
    if bag & {"interaction"} and isinstance(value, int) and value < 1000:
        return Judged("tune", "interactions within the model")
    if bag & {"generation"} and others & {"prompt", "completion", "lora", "llm", "grpo"}:
        return Judged("tune", "samples that are drawn")
    if bag & {"frame"} and isinstance(value, int) and value < 1000:
        return Judged("tune", "frames that the model sees")
    if bag & {"sample", "example"} and re.search(r"(?i)\bper\b|\bray|monte|generat|draw|visuali|evaluat", found.help):
        gen = re.search(r"(?i)generat|visuali|evaluat", found.help)
        return Judged("exclude" if gen else "tune", "samples that are drawn")
    small = isinstance(value, int) and value <= 1024 and not bag & {"train", "training", "data", "dataset"}
    if bag & {"sample"} and small and not SAID_TRAINED.search(found.help):
        return Judged("tune", "samples that are drawn", weak=True)
    if bag & {"token"} and (re.search(r"(?i)batch", found.help) or (isinstance(value, int) and value < 100_000)):
        return Judged("tune", "tokens of a batch or of an input")
    if bag == {"example"} or (bag == {"sample"} and not plural):
        return Judged("exclude", "an example", weak=True)
    if bag & {"game"} and (is_text(found) or not plural):
        return Judged("exclude", "the task")
    if bag == {"step"} and not plural and found.kind == "float":
        return Judged("tune", "a step", weak=True)
    unit = next((word for word in reversed(tokens) if word in SPENT), "step")
    return Judged("fidelity", f"named like a number of {unit}s")
