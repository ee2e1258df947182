"""Further scripts, of all forms: constants, configuration files and classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from .forms import Form, wrong

FORMS: list[Form] = [
    Form(
        "dataclass config, function default instance",
        {
            "train.py": """
from dataclasses import dataclass
@dataclass
class GPTConfig:
    n_layer: int = 4
    dropout: float = 0.1
@dataclass
class TrainingArgs:
    lr: float = 0.1
def main():
    c = GPTConfig()
    train(TrainingArgs(), c)
main()
""",
        },
        {"n_layer": 4, "lr": 0.1},
    ),
    Form(
        "dataclass instance with given values",
        {
            "train.py": """
from dataclasses import dataclass
@dataclass
class Config:
    lr: float = 0.1
    k: int = 3
cfg = Config(lr=0.5)
""",
        },
        {"lr": 0.5, "k": 3},
    ),
    Form(
        "yaml into argparse set_defaults",
        {
            "train.py": """
import argparse, yaml
p = argparse.ArgumentParser()
p.add_argument('-c', '--config', default='')
p.add_argument('--lr', type=float, default=0.1)
def _parse():
    args_config, remaining = p.parse_known_args()
    if args_config.config:
        with open(args_config.config) as f:
            cfg = yaml.safe_load(f)
            p.set_defaults(**cfg)
    return p.parse_args(remaining)
""",
            "c.yaml": """
lr: 0.5
""",
        },
        {"lr": 0.5},
        "python train.py -c c.yaml",
    ),
    Form(
        "configargparse file on line",
        {
            "train.py": """
import configargparse
def config_parser():
    parser = configargparse.ArgumentParser()
    parser.add_argument('--config', is_config_file=True, help='config file path')
    parser.add_argument("--lrate", type=float, default=5e-4)
    parser.add_argument("--N_samples", type=int, default=64)
    return parser
""",
            "configs/lego.txt": """
lrate = 0.001
N_samples=32
""",
        },
        {"lrate": 0.001, "N_samples": 32},
        "python train.py --config configs/lego.txt",
    ),
    Form(
        "json hparams on the line (not settable)",
        {
            "train.py": """
import argparse, json
p = argparse.ArgumentParser()
p.add_argument('-c', '--config', type=str, default="c.json")
p.add_argument('--rank', type=int, default=0)
a = p.parse_args()
config = json.load(open(a.config))
""",
            "c.json": """
{"train": {"lr": 0.1}}
""",
        },
        {"rank": 0},
    ),
    Form(
        "python -m style relative",
        {
            "train.py": """
from .args import parse
parse()
""",
            "args.py": """
import argparse
def parse():
    p = argparse.ArgumentParser()
    p.add_argument("--lr", type=float, default=0.1)
""",
        },
        {"lr": 0.1},
    ),
    Form(
        "hydra @hydra.main + struct via dataclass nested _target_",
        {
            "train.py": """
import hydra
from dataclasses import dataclass, field
from typing import Any
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING
@dataclass
class Adam:
    lr: float = 0.1
@dataclass
class SGD:
    lr: float = 0.3
@dataclass
class Config:
    defaults: list = field(default_factory=lambda: [{"optim": "adam"}])
    optim: Any = MISSING
    width: int = 4
cs = ConfigStore.instance()
cs.store(group="optim", name="adam", node=Adam)
cs.store(group="optim", name="sgd", node=SGD)
cs.store(name="config", node=Config)
@hydra.main(version_base=None, config_name="config")
def main(cfg): pass
""",
        },
        {"width": 4, "optim.lr": 0.1},
    ),
    Form(
        "detectron2 default_argument_parser opts",
        {
            "train.py": """
from detectron2.config import get_cfg
from detectron2.engine import default_argument_parser
def setup(args):
    cfg = get_cfg()
    cfg.merge_from_file(args.config_file)
    cfg.merge_from_list(args.opts)
args = default_argument_parser().parse_args()
""",
            "c.yaml": """
SOLVER:
  BASE_LR: 0.01
""",
        },
        {"SOLVER.BASE_LR": 0.01},
        "python train.py --config-file c.yaml",
    ),
    Form(
        "accelerate hps in main dict",
        {
            "train.py": """
import argparse
def training_function(config, args):
    lr = config["lr"]
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cpu", action="store_true")
    args = parser.parse_args()
    config = {"lr": 2e-5, "num_epochs": 3}
    training_function(config, args)
if __name__ == "__main__":
    main()
""",
        },
        {"cpu": False},
    ),
    Form(
        "nested function main with constants at if main",
        {
            "train.py": """
def train(lr, hidden): pass
if __name__ == '__main__':
    LR = 0.1
    params = {'lr': 0.1, 'hidden': 64}
    train(**params)
""",
        },
        {"LR": 0.1, "hidden": 64},
    ),
    Form(
        "a class of settings over another",
        {
            "train.py": """
class Base:
    lr = 0.1
class Config(Base):
    k = 3
""",
        },
        {"lr": 0.1, "k": 3},
    ),
    Form(
        "an optimizer is no class of settings",
        {
            "train.py": """
class Muon:
    def __init__(self, params, backend_steps=5): pass
optimizer = Muon(None)
LR = 0.1
""",
        },
        {"LR": 0.1},
    ),
    Form(
        "tyro overridable configs",
        {
            "train.py": """
import tyro
from dataclasses import dataclass
@dataclass
class Config:
    lr: float = 0.1
    k_max: int = 3
configs = {"default": ("as it is", Config(lr=0.2)), "other": ("else", Config(lr=0.4))}
cfg = tyro.extras.overridable_config_cli(configs)
""",
        },
        {"lr": 0.2, "k-max": 3},
        "python train.py default",
    ),
    Form(
        "an instance within a call",
        {
            "train.py": """
from dataclasses import dataclass
@dataclass
class GPTConfig:
    n_layer: int = 4
    dropout: float = 0.1
class GPT:
    def __init__(self, config): pass
model = GPT(GPTConfig(n_layer=12))
model = model.cuda()
""",
        },
        {"n_layer": 12, "dropout": 0.1},
    ),
]


@pytest.mark.parametrize("form", FORMS, ids=[form.name for form in FORMS])
def test_what_is_found(form: Form, tmp_path: Path) -> None:
    assert wrong(form, tmp_path) == {}
