"""The range over which an option would be searched: around its default, on the scale that its kind is thought of in."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import msgspec

from ragent_jupyter.domain.script import Flag
from ragent_jupyter.domain.sweep import Range, Values

from .vocabulary import words

Dim = Values | Range
_MOST_CHOICES = 8  # more of them are a catalogue, which a night cannot go through


class Concept(NamedTuple):
    """What an option is. weight: how much it usually matters, 0..100; 0 is not proposed."""

    name: str
    weight: int
    why: str


_OTHER = Concept("other", 5, "its default is the middle of the range")


def concept(flag: Flag) -> Concept:
    """What an option is, by the words of its name's last part.

    >>> concept(Flag(name="optim.lr", role="tune", why="", style="hydra", template="")).name
    'lr'
    """
    tokens = words(flag.name.rpartition(".")[2])
    bag = frozenset(tokens)
    lr = "lr" in bag
    text = flag.kind == "str"
    if "warmup" in bag:
        return Concept("warmup", 55, "a short warm-up steadies the start")
    if lr and bag & {"scheduler", "schedule", "policy", "type", "mode"} and text:
        return Concept("choice", 45, "the course of the learning rate")
    if lr and bag & {"decay", "step", "iter", "epoch", "patience", "every"}:
        return Concept("schedule", 25, "the course of the learning rate")
    if lr and bag & {"min", "minimum", "end", "final", "warm"}:
        return Concept("small", 20, "where the learning rate ends")
    if lr and bag & {"mult", "multiplier", "mul", "factor", "ratio", "scale", "gamma", "power"}:
        return Concept("scale", 50, "scales the learning rate")
    if lr:
        return Concept("lr", 100, "the learning rate usually matters most; it is searched on a log scale")
    if bag & {"wd"} or {"weight", "decay"} <= bag or bag == {"l2"} or {"l2", "reg"} <= bag:
        return Concept("decay", 80, "weight decay, on a log scale")
    if bag & {"dropout"} or {"drop", "path"} <= bag or bag == {"drop"} or {"drop", "connect"} <= bag:
        return Concept("dropout", 72, "dropout, from none to a lot")
    if "smoothing" in bag:
        return Concept("share", 30, "label smoothing, from none to much")
    if {"batch", "size"} <= bag or bag == {"batch"} or {"minibatch", "size"} <= bag:
        return Concept("batch", 76, "the batch size, in powers of two")
    if "momentum" in bag and flag.kind == "float":
        return Concept("near_one", 60, "momentum: what it is short of one is scaled")
    if ("beta" in bag and flag.kind == "float") or (bag & {"b"} and bag <= {"b", "1", "2", "adam"}):
        second = "2" in bag
        return Concept("near_one", 36 if second else 38, "a decay rate of the optimizer's averages")
    if bag & {"gamma", "discount", "gae", "ema", "tau", "polyak"} and flag.kind == "float":
        weight = 58 if bag & {"gae", "gamma", "discount"} else 30
        return Concept("near_one_or_small", weight, "a rate close to nought or one: its distance is scaled")
    if bag & {"clip"} and flag.kind == "float":
        return Concept("clip", 42, "where gradients or ratios are cut")
    if bag & {"ent", "entropy", "vf"} or (bag & {"coef", "lambda", "penalty", "reg", "l1"} and flag.kind == "float"):
        return Concept("coef", 48, "the weight of a term, on a log scale")
    if bag & {"eps", "epsilon"} and flag.kind == "float":
        return Concept("eps", 8, "a small constant, on a log scale")
    if bag & {"head"}:
        return Concept("head", 10, "the number of heads")
    if (
        bag & {"hidden", "embed", "dim", "width", "channel", "filter", "latent", "unit", "ffn", "mlp"}
        and flag.kind == "int"
    ):
        if "layer" in bag or {"num", "block"} <= bag:
            return Concept("depth", 62, "the number of layers")
        return Concept("width", 68, "the width of the model, halved and doubled")
    if (bag & {"layer", "depth", "block"}) and flag.kind == "int" and not bag & {"size"}:
        return Concept("depth", 62, "the number of layers")
    if bag & {"optimizer"} and text:
        return Concept("choice", 64, "each of the script's optimizers")
    if bag & {"scheduler", "schedule"} and text:
        return Concept("choice", 45, "each of the script's schedules")
    if bag & {"activation", "norm", "pool", "pooler", "loss"} and (text or flag.kind == "bool"):
        return Concept("choice", 34, "each of the script's choices")
    if bag & {"mixup", "cutmix", "cutout", "augment", "jitter", "erasing", "mosaic"}:
        return Concept("share" if flag.kind == "float" else "other", 40, "how much the data is augmented")
    if bag & {"leaf", "tree"} or bag & {"leaf"}:
        return Concept("width", 66, "the size of a tree")
    if bag & {"subsample", "colsample", "bagging"} or {"feature", "ratio"} <= bag:
        return Concept("part", 50, "the share of rows or columns that is drawn")
    if bag & {"context", "seq", "window", "patch"} and flag.kind == "int":
        return Concept("width", 28, "how much is seen at once, halved and doubled")
    if bag & {"prob", "ratio"} and flag.kind == "float":
        return Concept("share", 24, "a share between nought and one")
    if bag & {"temperature", "margin", "weight", "scale", "alpha", "std", "noise", "init"} and flag.kind == "float":
        return Concept("scale", 26, "around its default, on a log scale")
    if bag & {"accumulate"}:
        return Concept("other", 6, "how many batches make a step")
    if flag.kind == "bool":
        return Concept("choice", 12, "on and off")
    if flag.choices:
        return Concept("choice", 14, "each of the script's choices")
    return _OTHER


def searched(flag: Flag, *, many: bool = False, weak: bool = False) -> Flag:
    """The flag with the range in which it would be searched, where it has one."""
    if flag.role != "tune" or many or not flag.template:
        return flag
    dim = dim_of(flag)
    return flag if dim is None else msgspec.structs.replace(flag, dim=dim)


def dim_of(flag: Flag) -> Dim | None:
    """None where the default gives no scale, or the option cannot be set to another value."""
    value = flag.value
    if flag.kind == "bool":
        if not isinstance(value, bool) or (value and flag.template.endswith("|")):
            return None  # a switch that the command sets cannot be taken back by adding to it
        return Values([value, not value])
    if flag.choices:
        return _choices(flag.choices, value)
    if flag.kind not in ("float", "int") or isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if not math.isfinite(value) or value < 0 or abs(value) > 1e15:
        return None
    kind = concept(flag).name
    return _whole(kind, int(value)) if flag.kind == "int" and float(value).is_integer() else _real(kind, float(value))


def _choices(choices: list[Any], value: Any) -> Dim | None:
    if value not in choices or not 2 <= len(choices) <= _MOST_CHOICES:
        return None
    return Values([value, *(choice for choice in choices if choice != value)])


def _real(kind: str, d: float) -> Dim | None:
    if kind == "decay" and d == 0:
        return Values([0.0, 1e-5, 1e-4, 1e-3, 1e-2, 0.1])
    if kind in ("lr", "decay", "eps", "small"):
        return _log(d, 30.0) if d > 0 else None
    if kind == "dropout":
        return Range(low=0.0, high=max(0.6, d))
    if kind == "near_one" and 0 <= d < 1:
        return _near_one(d)
    if kind == "near_one_or_small" and 0 < d < 1:
        return _near_one(d) if d >= 0.5 else _log(d, 10.0)
    if kind == "clip":
        return _log(d, 10.0) if d > 0 else Values([0.0, 0.5, 1.0, 5.0])
    if kind == "coef":
        return _log(d, 10.0) if d > 0 else Values([0.0, 0.001, 0.01, 0.1])
    if kind == "part" and 0 < d <= 1:
        return Range(low=min(0.4, d), high=1.0)
    if kind == "warmup":
        return Range(low=0.0, high=max(0.2, d)) if d < 1 else _log(d, 4.0)
    if kind == "share" and d <= 1:
        return Range(low=0.0, high=max(0.3, min(1.0, 2 * d), d))
    if d == 0:
        return None
    return _log(d, 10.0)


def _whole(kind: str, d: int) -> Dim | None:
    if d == 0:
        if kind == "decay":
            return Values([0, 1e-5, 1e-4, 1e-3, 1e-2, 0.1])
        return None
    if kind in ("batch", "width") or (kind == "head" and d > 1):
        steps = (d // 4, d // 2, d, d * 2, d * 4) if kind != "head" else (d // 2, d, d * 2)
        return Values(sorted({step for step in steps if step >= 1 and (step >= d or d % step == 0)}))
    if kind == "depth" or d < 8:
        spread = max(1, d // 2)
        return Range(low=max(1, d - spread), high=d + spread, integer=True)
    return Range(low=max(1, d // 4), high=d * 4, log=True, integer=True)


def _log(d: float, times: float) -> Range:
    """From d/times to d·times; the ends are rounded outwards, so that d lies inside."""
    low, high = float(f"{d / times:.3g}"), float(f"{d * times:.3g}")
    return Range(low=low if 0 < low <= d else d, high=high if d <= high < math.inf else d, log=True)


def _near_one(d: float) -> Range:
    """What is short of one, five times more and five times less; never one itself."""
    if d == 0:
        return Range(low=0.0, high=0.95)
    low, high = max(0.0, 1 - (1 - d) * 5), 1 - (1 - d) / 5
    low, high = float(f"{low:.6g}"), float(f"{high:.9g}")
    return Range(low=min(low, d), high=high if d <= high < 1 else d)
