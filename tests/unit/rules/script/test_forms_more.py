"""Further scripts, of all forms."""

from __future__ import annotations

from pathlib import Path

import pytest

from .forms import Form, wrong

FORMS: list[Form] = [
    Form(
        "argparse within class method main of other module with config default",
        {
            "train.py": """
import argparse
import os
from pathlib import Path
class App:
    def run(self):
        self.parser = argparse.ArgumentParser()
        self._add()
        a = self.parser.parse_args()
    def _add(self):
        self.parser.add_argument("--lr", default=1e-3, type=float)
        grp = self.parser.add_argument_group("g")
        add = grp.add_argument
        add("--wd", default=0.1, type=float)
App().run()
""",
        },
        {"lr": 0.001, "wd": 0.1},
    ),
    Form(
        "argparse kwargs via dict constants",
        {
            "train.py": """
import argparse
FLOAT = dict(type=float)
p = argparse.ArgumentParser()
p.add_argument("--lr", **FLOAT, default=0.1)
p.add_argument("--wd", **dict(type=float, default=0.2))
""",
        },
        {"lr": 0.1, "wd": 0.2},
    ),
    Form(
        "argparse list of dicts with flags",
        {
            "train.py": """
import argparse
ARGS = [
    {"flags": ["--lr"], "type": float, "default": 0.1},
    {"flags": ["-w", "--width"], "type": int, "default": 4},
]
p = argparse.ArgumentParser()
for a in ARGS:
    flags = a.pop("flags")
    p.add_argument(*flags, **a)
""",
        },
        {"lr": 0.1, "width": 4},
    ),
    Form(
        "argparse enumerate names",
        {
            "train.py": """
import argparse
p = argparse.ArgumentParser()
for i, name in enumerate(["alpha", "beta"]):
    p.add_argument(f"--{name}", type=float, default=0.1 * i)
for name, default, typ in [("lr", 0.1, float), ("k", 3, int)]:
    p.add_argument("--" + name, default=default, type=typ)
for name in ("w1", "w2"):
    p.add_argument("--{}".format(name), type=int, default=3)
""",
        },
        {"alpha": 0.0, "beta": 0.1, "lr": 0.1, "k": 3, "w1": 3},
    ),
    Form(
        "HParams lightning save / args Namespace in function",
        {
            "train.py": """
import argparse
def main():
    args = argparse.Namespace(lr=0.1, width=64)
    run(args)
if __name__ == "__main__":
    main()
""",
        },
        {},
    ),
    Form(
        "hydra groups",
        {
            "train.py": """
import hydra
@hydra.main(config_path="conf", config_name="config", version_base="1.2")
def main(cfg): pass
""",
            "conf/config.yaml": """
defaults:
  - _self_
  - model: small
  - optimizer@opt: adam
  - optional local: default
  - override hydra/job_logging: x
seed: 1
""",
            "conf/model/small.yaml": """
width: 4
""",
            "conf/model/big.yaml": """
width: 8
""",
            "conf/optimizer/adam.yaml": """
lr: 0.1
""",
        },
        {"model": "small", "model.width": 4, "opt.lr": 0.1, "seed": 1},
    ),
    Form(
        "hydra experiment override",
        {
            "train.py": """
import hydra, pyrootutils
root = pyrootutils.setup_root(__file__)
@hydra.main(version_base="1.3", config_path="configs", config_name="train.yaml")
def main(cfg): pass
""",
            "configs/train.yaml": """
defaults:
  - _self_
  - model: mnist
  - experiment: null
seed: null
""",
            "configs/model/mnist.yaml": """
optimizer:
  _target_: torch.optim.Adam
  _partial_: true
  lr: 0.001
""",
            "configs/experiment/e.yaml": """
# @package _global_
defaults:
  - override /model: mnist
model:
  optimizer:
    lr: 0.002
seed: 12
""",
        },
        {"model.optimizer.lr": 0.002, "seed": 12},
        "python src/../train.py experiment=e",
    ),
    Form(
        "src layout hydra ../configs",
        {
            "train.py": """
import hydra
@hydra.main(version_base="1.3", config_path="../proj/configs", config_name="train.yaml")
def main(cfg): pass
""",
        },
        {},
    ),
    Form(
        "click default_map & Choice & context",
        {
            "train.py": """
import click
@click.command(context_settings={"show_default": True})
@click.option("--lr", "-l", type=click.FloatRange(0, 1), default=0.1, show_default=True)
@click.option("--opt", type=click.Choice(["adam", "sgd"]), default="adam")
@click.option("--amp/--no-amp", default=True)
@click.argument("data")
def main(**kwargs): pass
""",
        },
        {"lr": 0.1, "opt": "adam", "amp": True},
    ),
    Form(
        "stylegan click",
        {
            "train.py": """
import click
@click.command()
@click.option('--gamma', help='R1', metavar='FLOAT', type=click.FloatRange(min=0), required=True)
@click.option('--glr', help='G lr', metavar='FLOAT', type=click.FloatRange(min=0))
@click.option('--dlr', metavar='FLOAT', type=click.FloatRange(min=0), default=0.002, show_default=True)
def main(**kwargs):
    opts = dnnlib.EasyDict(kwargs)
    c = dnnlib.EasyDict()
""",
        },
        {"gamma": None, "glr": None, "dlr": 0.002},
    ),
    Form(
        "rich typer",
        {
            "train.py": """
import typer
from typing import Optional
def main(data: str, lr: float = typer.Option(0.1, "--lr", "-l", help="x"), use_amp: bool = False,
        k: Optional[int] = None):
    pass
if __name__ == "__main__":
    typer.run(main)
""",
        },
        {"lr": 0.1, "use-amp": False, "k": None},
    ),
    Form(
        "cyclopts",
        {
            "train.py": """
import cyclopts
app = cyclopts.App()
@app.default
def main(lr: float = 0.1, n_layers: int = 3): pass
app()
""",
        },
        {"lr": 0.1, "n-layers": 3},
    ),
    Form(
        "absl with class",
        {
            "train.py": """
from absl import app
from absl import flags as fl
F = fl.FLAGS
LR = fl.DEFINE_float("lr", default=0.1, help="rate")
fl.DEFINE_enum("opt", "adam", ["adam", "sgd"], "o")
fl.DEFINE_list("dims", "64,64", "d")
""",
        },
        {"lr": 0.1, "opt": "adam"},
    ),
    Form(
        "imported cfg class instance",
        {
            "train.py": """
from utils.config import cfg
print(cfg.LR)
""",
            "utils/config.py": """
class _C:
    LR = 0.1
    WIDTH = 64
cfg = _C()
""",
        },
        {"LR": 0.1, "WIDTH": 64},
    ),
]


@pytest.mark.parametrize("form", FORMS, ids=[form.name for form in FORMS])
def test_what_is_found(form: Form, tmp_path: Path) -> None:
    assert wrong(form, tmp_path) == {}
