"""What is proposed to be searched."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.domain.script import Flag, Script
from ragent_jupyter.domain.sweep import Range, SearchSpace, Values
from ragent_jupyter.rules.script import read_script
from ragent_jupyter.rules.script.ranges import dim_of, searched
from ragent_jupyter.rules.search_space import MOST, propose
from ragent_jupyter.rules.sweep_space import _draw, expand

NAMES = [
    "lr", "weight_decay", "batch_size", "hidden_size", "n_layers", "n_heads", "dropout", "momentum", "beta2",
    "gamma", "gae_lambda", "eps", "warmup_steps", "warmup_ratio", "clip_grad", "ent_coef", "label_smoothing",
    "mixup", "temperature", "tau", "subsample", "num_leaves", "ema_decay", "foo", "zeta", "p", "max_seq_len",
    "lr_scheduler", "optimizer", "activation", "bias", "lr_gamma", "min_lr", "l2",
]  # fmt: skip


def flag(name: str, kind: str, default: Any, **more: Any) -> Flag:
    return Flag(
        name=name,
        role="tune",
        why="",
        style="argparse",
        template="--{name} {value}",
        kind=kind,
        default=default,
        **more,
    )  # type: ignore[arg-type]


def holds(dim: Values | Range, value: Any) -> bool:
    if isinstance(dim, Values):
        return value in dim.values
    return dim.low <= value <= dim.high and (not dim.log or dim.low > 0)


_DEFAULTS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(min_value=1e-9, max_value=1e9),
    st.floats(min_value=0, max_value=1),
    st.integers(min_value=-10, max_value=10**7),
    st.booleans(),
    st.none(),
    st.text(max_size=5),
)


@given(st.sampled_from(NAMES), st.sampled_from(["float", "int", "bool", "str", "unknown"]), _DEFAULTS, st.integers())
def test_the_default_is_inside_and_every_draw_too(name: str, kind: str, default: Any, seed: int) -> None:
    dim = dim_of(flag(name, kind, default))
    if dim is None:
        return
    assert holds(dim, default), (name, default, dim)
    rng = random.Random(seed)
    for _ in range(5):
        drawn = _draw(rng, name, dim)
        assert holds(dim, drawn) or (isinstance(dim, Range) and abs(drawn - dim.low) / dim.low < 1e-5)
    if name == "dropout" and kind == "float" and default <= 1:
        assert not isinstance(dim, Range) or dim.high <= max(0.6, default)
    if name in ("momentum", "beta2", "gamma", "gae_lambda", "ema_decay") and kind == "float" and 0 <= default < 1:
        assert isinstance(dim, Range) and dim.high < 1, "one is never reached"


def test_the_usual_ranges() -> None:
    assert dim_of(flag("lr", "float", 3e-4)) == Range(low=1e-5, high=9e-3, log=True)
    assert dim_of(flag("weight_decay", "float", 0.0)) == Values([0.0, 1e-5, 1e-4, 1e-3, 1e-2, 0.1])
    assert dim_of(flag("dropout", "float", 0.1)) == Range(low=0.0, high=0.6)
    assert dim_of(flag("batch_size", "int", 64)) == Values([16, 32, 64, 128, 256])
    assert dim_of(flag("momentum", "float", 0.9)) == Range(low=0.5, high=0.98)
    assert dim_of(flag("n_layers", "int", 4)) == Range(low=2, high=6, integer=True)
    assert dim_of(flag("opt", "str", "b", choices=["a", "b", "c"])) == Values(["b", "a", "c"])
    assert dim_of(flag("opt", "str", "z", choices=["a", "b", "c"])) is None, "the default would be outside"
    assert dim_of(flag("lr", "float", None)) is None, "no default, no scale"
    taken = Flag(name="amp", role="tune", why="", style="argparse", template="--amp|", kind="bool", default=True)
    assert dim_of(taken) is None, "what the command sets cannot be taken back"


SOURCE = """
import argparse
p = argparse.ArgumentParser()
for name, value in [("lr", 0.1), ("wd", 0.0), ("dropout", 0.1), ("momentum", 0.9), ("zeta", 1.5), ("clip", 1.0)]:
    p.add_argument("--" + name, type=float, default=value)
for name, value in [("hidden", 96), ("heads", 16), ("layers", 2), ("batch", 64), ("warmup", 300), ("steps", 1000),
                    ("seed", 0), ("workers", 4), ("kappa", 9)]:
    p.add_argument("--" + name, type=int, default=value)
p.add_argument("--optimizer", choices=["sgd", "adam"], default="sgd")
p.add_argument("--nesterov", action="store_true")
"""


def test_a_proposal_is_short_ordered_and_says_why() -> None:
    space = propose(read_script(SOURCE, "t.py", {}, "python t.py"))
    assert len(space) == MOST and next(iter(space)) == "lr"
    assert not {"seed", "steps", "workers", "heads", "zeta", "kappa"} & set(space)
    assert all(knob.why for knob in space.values())
    assert space["hidden"].dim == Values([48, 96, 192, 384]), "the width stays divisible by the heads"
    assert expand(SearchSpace(method="random", parameters={n: k.dim for n, k in space.items()}), 3)


def test_a_warm_up_does_not_outlast_the_training() -> None:
    source = (
        'from absl import flags\nflags.DEFINE_integer("warmup", 400, "")\nflags.DEFINE_integer("steps", 1000, "")\n'
    )
    dim = propose(read_script(source, "t.py", {}, "python t.py"))["warmup"].dim
    assert isinstance(dim, Range) and dim.high == 500


def test_the_value_in_the_command_is_the_middle() -> None:
    space = propose(read_script(SOURCE, "t.py", {}, "python t.py --lr 0.003"))
    assert space["lr"].default == 0.003 and holds(space["lr"].dim, 0.003)


def test_nothing_known_is_proposed_where_there_is_nothing() -> None:
    assert propose(Script()) == {}
    only = Script(flags=[searched(flag("zeta", "float", 2.0))])
    assert list(propose(only)) == ["zeta"], "better than nothing"
