"""hydra: its YAML, groups and structured configs, and the ways of naming them."""

from __future__ import annotations

from pathlib import Path

import pytest

from .forms import Form, wrong

NAMED_ON_THE_LINE = {
    "train.py": """
import hydra
@hydra.main(version_base=None)
def main(config): pass
""",
    "yamls/h/a.yaml": """
lr: 0.1
model:
  width: 4
""",
}

FORMS: list[Form] = [
    Form(
        "hydra cp cn",
        NAMED_ON_THE_LINE,
        {"lr": 0.1, "model.width": 4},
        "python train.py --config-path yamls/h --config-name a.yaml",
    ),
    Form(
        "hydra cp cn short",
        NAMED_ON_THE_LINE,
        {"lr": 3.0, "model.width": 4},
        "python train.py -cp yamls/h -cn a lr=3",
    ),
    Form(
        "hydra cp= cn=",
        NAMED_ON_THE_LINE,
        {"lr": 0.1, "model.width": 4},
        "python train.py --config-path=yamls/h --config-name=a",
    ),
    Form(
        "hydra composer launcher",
        NAMED_ON_THE_LINE,
        {"lr": 0.1, "model.width": 4},
        "composer train.py --config-path yamls/h --config-name a",
    ),
    Form(
        "hydra no main args: @hydra.main()",
        {
            "train.py": """
import hydra
@hydra.main()
def main(config): pass
""",
            "conf/config.yaml": """
lr: 0.1
""",
        },
        {"lr": 0.1},
        "python train.py --config-dir conf --config-name config",
    ),
    Form(
        "hydra deco path name on line",
        {
            "train.py": """
import hydra
@hydra.main(config_path='conf')
def main(config): pass
""",
            "conf/exp.yaml": """
lr: 0.1
""",
        },
        {"lr": 0.1},
        "python train.py --config-name exp",
    ),
    Form(
        "hydra deco from package (as main)",
        {
            "train.py": """
from hydra import main as hydra_entry
@hydra_entry(config_path="conf", config_name="config")
def run(cfg): pass
""",
            "conf/config.yaml": """
lr: 0.1
""",
        },
        {"lr": 0.1},
    ),
    Form(
        "hydra wrapper call",
        {
            "train.py": """
import hydra
def run(cfg): pass
if __name__ == "__main__":
    hydra.main(config_path="conf", config_name="config")(run)()
""",
            "conf/config.yaml": """
lr: 0.1
""",
        },
        {"lr": 0.1},
    ),
    Form(
        "hydra initialize compose",
        {
            "train.py": """
import sys
from hydra import initialize, compose
with initialize(config_path="conf"):
    cfg = compose(config_name="config", overrides=sys.argv[1:])
""",
            "conf/config.yaml": """
lr: 0.1
""",
        },
        {"lr": 0.1},
    ),
    Form(
        "hydra config store with import",
        {
            "train.py": """
import hydra
from hydra.core.config_store import ConfigStore
from conf import Config
cs = ConfigStore.instance()
cs.store(name="config", node=Config)
@hydra.main(config_path=None, config_name="config", version_base=None)
def main(cfg: Config): pass
""",
            "conf.py": """
from dataclasses import dataclass, field
@dataclass
class Opt:
    lr: float = 0.1
@dataclass
class Config:
    opt: Opt = field(default_factory=Opt)
    width: int = 4
""",
        },
        {"opt.lr": 0.1, "width": 4},
    ),
    Form(
        "hydra config store + yaml",
        {
            "train.py": """
import hydra
from hydra.core.config_store import ConfigStore
from dataclasses import dataclass
@dataclass
class Config:
    lr: float = 0.5
    width: int = 4
cs = ConfigStore.instance()
cs.store("base_config", Config)
@hydra.main(config_path="conf", config_name="config", version_base=None)
def main(cfg: Config): pass
""",
            "conf/config.yaml": """
defaults:
  - base_config
  - _self_
lr: 0.1
""",
        },
        {"lr": 0.1, "width": 4},
    ),
    Form(
        "hydra in imported main",
        {
            "train.py": """
from app.run import main
main()
""",
            "app/run.py": """
import hydra
@hydra.main(config_path="../conf", config_name="config")
def main(cfg): pass
""",
            "conf/config.yaml": """
lr: 0.1
""",
        },
        {"lr": 0.1},
    ),
    Form(
        "hydra zen",
        {
            "train.py": """
from hydra_zen import builds, store, zen
def train(lr: float = 0.1, width: int = 4): pass
if __name__ == "__main__":
    store(train, name="train")
    store.add_to_hydra_store()
    zen(train).hydra_main(config_name="train", config_path=None)
""",
        },
        {"lr": 0.1, "width": 4},
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
]


@pytest.mark.parametrize("form", FORMS, ids=[form.name for form in FORMS])
def test_what_is_found(form: Form, tmp_path: Path) -> None:
    assert wrong(form, tmp_path) == {}
