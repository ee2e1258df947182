"""Settings classes and the libraries that make a command line of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from .forms import Form, wrong

FORMS: list[Form] = [
    Form(
        "tyro nested",
        {
            "train.py": """
import tyro
from dataclasses import dataclass, field
@dataclass
class Optim:
    lr: float = 0.1
    betas: tuple[float, float] = (0.9, 0.99)
@dataclass
class Config:
    optim: Optim = field(default_factory=lambda: Optim(lr=0.2))
    width: int = 64
if __name__ == "__main__":
    args = tyro.cli(Config)
""",
        },
        {"optim.lr": 0.2, "width": 64},
    ),
    Form(
        "tyro imported config",
        {
            "train.py": """
import tyro
from cfg import Config
config = tyro.cli(Config)
""",
            "cfg.py": """
from dataclasses import dataclass
@dataclass
class Config:
    lr: float = 0.1
    use_ema: bool = True
""",
        },
        {"lr": 0.1, "use-ema": True},
    ),
    Form(
        "tyro function",
        {
            "train.py": """
import tyro
def main(lr: float = 0.1, width: int = 4): pass
tyro.cli(main)
""",
        },
        {"lr": 0.1, "width": 4},
    ),
    Form(
        "tyro var annotation",
        {
            "train.py": """
import tyro
from dataclasses import dataclass
@dataclass
class Args:
    lr: float = 0.1
def main(args: Args): pass
if __name__ == "__main__":
    tyro.cli(main)
""",
        },
        {"args.lr": 0.1},
    ),
    Form(
        "simple parsing",
        {
            "train.py": """
from dataclasses import dataclass
from simple_parsing import ArgumentParser, field
@dataclass
class HParams:
    lr: float = field(default=0.1)
parser = ArgumentParser()
parser.add_argument("--k", type=int, default=3)
parser.add_arguments(HParams, dest="hp")
""",
        },
        {"lr": 0.1, "k": 3},
    ),
    Form(
        "HfArgumentParser",
        {
            "train.py": """
from transformers import HfArgumentParser, TrainingArguments
from dataclasses import dataclass, field
@dataclass
class ModelArguments:
    model_name: str = field(default="x", metadata={"help": "m"})
    dropout: float = field(default=0.1)
@dataclass
class MyTA(TrainingArguments):
    warm: float = field(default=0.2)
parser = HfArgumentParser((ModelArguments, MyTA))
""",
        },
        {"model_name": "x", "dropout": 0.1, "warm": 0.2, "learning_rate": 5e-05},
    ),
    Form(
        "pydantic settings",
        {
            "train.py": """
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic import Field
class Settings(BaseSettings, cli_parse_args=True):
    lr: float = 0.1
    width: int = Field(64, description="w")
s = Settings()
""",
        },
        {"lr": 0.1, "width": 64},
    ),
    Form(
        "pydantic settings config dict",
        {
            "train.py": """
from pydantic_settings import BaseSettings, SettingsConfigDict
class Settings(BaseSettings):
    model_config = SettingsConfigDict(cli_parse_args=True)
    lr: float = 0.1
s = Settings()
""",
        },
        {"lr": 0.1},
    ),
    Form(
        "pydantic-cli / argparse from BaseModel",
        {
            "train.py": """
from pydantic import BaseModel
import pydantic_argparse
class Config(BaseModel):
    lr: float = 0.1
parser = pydantic_argparse.ArgumentParser(model=Config)
""",
        },
        {"lr": 0.1},
    ),
    Form(
        "chz",
        {
            "train.py": """
import chz
@chz.chz
class Config:
    lr: float = 0.1
    width: int = chz.field(default=64)
def main(config: Config): pass
if __name__ == "__main__":
    chz.nested_entrypoint(main)
""",
        },
        {"lr": 0.1, "width": 64},
    ),
    Form(
        "chz2",
        {
            "train.py": """
import chz
@chz.chz
class Config:
    lr: float = 0.1
def main(config: Config): pass
if __name__ == "__main__":
    chz.entrypoint(Config)
""",
        },
        {"lr": 0.1},
    ),
    Form(
        "draccus/pyrallis",
        {
            "train.py": """
import pyrallis
from dataclasses import dataclass, field
@dataclass
class TrainConfig:
    lr: float = 0.1
    def __post_init__(self): pass
@pyrallis.wrap()
def train(config: TrainConfig): pass
""",
        },
        {"lr": 0.1},
    ),
    Form(
        "pyrallis.argparsing / parse with kw",
        {
            "train.py": """
import pyrallis
from dataclasses import dataclass
@dataclass
class TrainConfig:
    lr: float = 0.1
cfg = pyrallis.parse(config_class=TrainConfig, config_path="x.yaml")
""",
        },
        {"lr": 0.1},
    ),
    Form(
        "jsonargparse CLI",
        {
            "train.py": """
from jsonargparse import CLI
def main(lr: float = 0.1, width: int = 64): pass
CLI(main)
""",
        },
        {"lr": 0.1, "width": 64},
    ),
    Form(
        "jsonargparse ArgumentParser",
        {
            "train.py": """
from jsonargparse import ArgumentParser, ActionConfigFile
class Model:
    def __init__(self, width: int = 64): pass
parser = ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_class_arguments(Model, "model")
""",
        },
        {"lr": 0.1, "model.width": 64},
    ),
    Form(
        "LightningCLI yaml",
        {
            "train.py": """
from lightning.pytorch.cli import LightningCLI
from model import Lit, Data
def cli_main():
    cli = LightningCLI(Lit, Data)
if __name__ == "__main__":
    cli_main()
""",
            "model.py": """
class Lit:
    def __init__(self, lr: float = 0.1, width: int = 64): pass
class Data:
    def __init__(self, batch_size: int = 32): pass
""",
            "configs/c.yaml": """
seed_everything: 7
trainer:
  max_epochs: 20
  gradient_clip_val: 0.5
model:
  lr: 0.01
""",
        },
        {
            "model.lr": 0.01,
            "model.width": 64,
            "data.batch_size": 32,
            "trainer.max_epochs": 20,
            "trainer.gradient_clip_val": 0.5,
        },
        "python train.py fit --config configs/c.yaml",
    ),
    Form(
        "LightningCLI yaml no classes (class_path)",
        {
            "train.py": """
from lightning.pytorch.cli import LightningCLI
LightningCLI(save_config_callback=None)
""",
            "configs/c.yaml": """
trainer:
  max_epochs: 20
model:
  class_path: m.Lit
  init_args:
    lr: 0.01
""",
        },
        {"model.init_args.lr": 0.01, "trainer.max_epochs": 20},
        "python train.py fit -c configs/c.yaml",
    ),
    Form(
        "LightningCLI subclass",
        {
            "train.py": """
from pytorch_lightning.utilities.cli import LightningCLI
class Lit:
    def __init__(self, lr: float = 0.1): pass
class MyCLI(LightningCLI):
    def add_arguments_to_parser(self, parser):
        parser.add_argument("--tag", default="x")
cli = MyCLI(Lit)
""",
        },
        {"model.lr": 0.1, "tag": "x"},
        "python train.py fit",
    ),
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
