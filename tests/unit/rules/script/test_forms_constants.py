"""Settings without a command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from .forms import Form, wrong

FORMS: list[Form] = [
    Form(
        "nanogpt",
        {
            "train.py": """
lr = 0.1
n_layer = 4
compile = True
config_keys = [k for k,v in globals().items()]
exec(open('configurator.py').read())
""",
        },
        {"lr": 0.1, "n_layer": 4, "compile": True},
    ),
    Form(
        "import config; config.LR",
        {
            "train.py": """
import config
def run():
    print(config.LR, config.BATCH_SIZE)
run()
""",
            "config.py": """
LR = 1e-3
BATCH_SIZE = 32
EPOCHS = 5
UNUSED_PATH = "x"
""",
        },
        {"LR": 0.001, "BATCH_SIZE": 32, "EPOCHS": 5},
    ),
    Form(
        "from config import *",
        {
            "train.py": """
from config import *
print(LR, BATCH_SIZE)
""",
            "config.py": """
LR = 1e-3
BATCH_SIZE = 32
""",
        },
        {"LR": 0.001, "BATCH_SIZE": 32},
    ),
    Form(
        "from src import config / src.config",
        {
            "train.py": """
from src import config
import src.settings as st
print(config.LR, st.WIDTH)
""",
            "src/config.py": """
LR = 1e-3
""",
            "src/settings.py": """
WIDTH = 64
""",
        },
        {"LR": 0.001, "WIDTH": 64},
    ),
    Form(
        "from config import LR, BATCH_SIZE",
        {
            "train.py": """
from config import LR, BATCH_SIZE
print(LR)
""",
            "config.py": """
LR = 1e-3
BATCH_SIZE = 32
OTHER_LR = 4
""",
        },
        {"LR": 0.001, "BATCH_SIZE": 32},
    ),
    Form(
        "from config import Config (class)",
        {
            "train.py": """
from config import Config
cfg = Config()
print(cfg.lr)
""",
            "config.py": """
class Config:
    lr = 1e-3
    width = 64
""",
        },
        {"lr": 0.001, "width": 64},
    ),
    Form(
        "from config import cfg (edict)",
        {
            "train.py": """
from config import cfg
print(cfg.lr, cfg.train.epochs)
""",
            "config.py": """
from easydict import EasyDict as edict
cfg = edict()
cfg.lr = 1e-3
cfg.train = edict()
cfg.train.epochs = 3
""",
        },
        {"lr": 0.001},
    ),
    Form(
        "config class with __init__ self.x",
        {
            "train.py": """
class Config(object):
    def __init__(self):
        self.lr = 1e-3
        self.width = 64
cfg = Config()
""",
        },
        {"lr": 0.001, "width": 64},
    ),
    Form(
        "config class from models module (chinese text classification)",
        {
            "train.py": """
from models import Config
config = Config()
""",
            "models/__init__.py": """
class Config(object):
    def __init__(self):
        self.learning_rate = 1e-3
        self.hidden = 64
""",
        },
        {"learning_rate": 0.001, "hidden": 64},
    ),
    Form(
        "SimpleNamespace",
        {
            "train.py": """
from types import SimpleNamespace
cfg = SimpleNamespace(lr=0.1, width=64)
""",
        },
        {"lr": 0.1, "width": 64},
    ),
    Form(
        "EasyDict",
        {
            "train.py": """
from easydict import EasyDict
hp = EasyDict({"lr": 0.1, "width": 64})
""",
        },
        {"lr": 0.1, "width": 64},
    ),
    Form(
        "AttrDict kw",
        {
            "train.py": """
class AttrDict(dict): pass
hparams = AttrDict(lr=0.1, width=64)
""",
        },
        {"lr": 0.1, "width": 64},
    ),
    Form(
        "CFG class kaggle",
        {
            "train.py": """
class CFG:
    lr = 1e-4
    n_fold = 5
    model_name = "resnet"
    scheduler_params = {"T_max": 10}
""",
        },
        {"lr": 0.0001, "n_fold": 5},
    ),
    Form(
        "dict nested config",
        {
            "train.py": """
config = {"lr": 0.1, "model": {"width": 64}}
""",
        },
        {"lr": 0.1, "model.width": 64},
    ),
    Form(
        "dict hyperparameters function local",
        {
            "train.py": """
def main():
    config = {"lr": 0.1, "width": 64}
    train(config)
main()
""",
        },
        {},
    ),
    Form(
        "wandb.config = dict var",
        {
            "train.py": """
import wandb
hyperparameter_defaults = dict(lr=0.1, width=64)
wandb.init(config=hyperparameter_defaults)
""",
        },
        {"lr": 0.1, "width": 64},
    ),
    Form(
        "dataclass instance no cli",
        {
            "train.py": """
from dataclasses import dataclass
@dataclass
class TrainCfg:
    lr: float = 0.1
cfg = TrainCfg()
""",
        },
        {"lr": 0.1},
    ),
    Form(
        "dataclass imported no cli",
        {
            "train.py": """
from cfg import TrainCfg
cfg = TrainCfg()
print(cfg.lr)
""",
            "cfg.py": """
from dataclasses import dataclass
@dataclass
class TrainCfg:
    lr: float = 0.1
""",
        },
        {"lr": 0.1},
    ),
    Form(
        "lower-case globals",
        {
            "train.py": """
batch_size = 64
learning_rate = 3e-4
max_iters = 5000
device = 'cuda'
""",
        },
        {"batch_size": 64, "learning_rate": 0.0003, "max_iters": 5000},
    ),
    Form(
        "globals in if main",
        {
            "train.py": """
if __name__ == "__main__":
    lr = 0.1
    hidden = 64
    epochs = 3
""",
        },
        {"lr": 0.1, "hidden": 64},
    ),
    Form(
        "sys.argv only",
        {
            "train.py": """
import sys
lr = float(sys.argv[1])
hidden = 64
epochs = 10
""",
        },
        {"hidden": 64, "epochs": 10},
    ),
    Form(
        "tuple assignment",
        {
            "train.py": """
lr, hidden = 0.1, 64
""",
        },
        {"lr": 0.1, "hidden": 64},
    ),
    Form(
        "lightning trainer constants in imported module used under package",
        {
            "train.py": """
import config
from model import Net
print(config.NUM_EPOCHS)
""",
            "config.py": """
LEARNING_RATE = 0.001
NUM_EPOCHS = 3
""",
            "model.py": """
x = 1
""",
        },
        {"LEARNING_RATE": 0.001, "NUM_EPOCHS": 3},
    ),
    Form(
        "keras main() keyword defaults",
        {
            "train.py": """
def main(lr=0.1, hidden=64):
    pass
if __name__ == "__main__":
    main()
""",
        },
        {},
    ),
    Form(
        "settings with argparse and config both",
        {
            "train.py": """
import argparse
import config
p = argparse.ArgumentParser()
p.add_argument("--fold", type=int)
p.add_argument("--model", type=str)
args = p.parse_args()
print(config.LEARNING_RATE, config.BATCH_SIZE, config.EPOCHS)
""",
            "config.py": """
LEARNING_RATE = 0.001
BATCH_SIZE = 32
EPOCHS = 3
DROPOUT = 0.3
""",
        },
        {"fold": None, "LEARNING_RATE": 0.001, "BATCH_SIZE": 32, "EPOCHS": 3},
    ),
    Form(
        "parser via HParams tf.contrib",
        {
            "train.py": """
from hparams import hparams
import argparse
p = argparse.ArgumentParser()
p.add_argument('--hparams', default='')
args = p.parse_args()
hparams.parse(args.hparams)
""",
            "hparams.py": """
import tensorflow as tf
hparams = tf.contrib.training.HParams(
    lr=0.1,
    width=64,
)
""",
        },
        {"hparams": ""},
    ),
    Form(
        "tacotron2 create_hparams + argparse --hparams",
        {
            "train.py": """
from hparams import create_hparams
import argparse
p = argparse.ArgumentParser()
p.add_argument('--hparams', default='')
p.add_argument('--n_gpus', type=int, default=1)
args = p.parse_args()
hparams = create_hparams(args.hparams)
""",
            "hparams.py": """
def create_hparams(s=None):
    hparams = HParams(lr=0.1, width=64)
""",
        },
        {"n_gpus": 1},
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
]


@pytest.mark.parametrize("form", FORMS, ids=[form.name for form in FORMS])
def test_what_is_found(form: Form, tmp_path: Path) -> None:
    assert wrong(form, tmp_path) == {}
