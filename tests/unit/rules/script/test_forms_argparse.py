"""argparse in the shapes in which scripts declare options."""

from __future__ import annotations

from pathlib import Path

import pytest

from .forms import Form, wrong

FORMS: list[Form] = [
    Form(
        "argparse class hierarchy",
        {
            "train.py": """
from options.train_options import TrainOptions
if __name__ == "__main__":
    opt = TrainOptions().parse()
""",
            "options/train_options.py": """
from .base_options import BaseOptions
class TrainOptions(BaseOptions):
    def initialize(self, parser):
        parser = BaseOptions.initialize(self, parser)
        parser.add_argument('--lr', type=float, default=0.0002)
        parser.add_argument('--n_epochs', type=int, default=100)
        self.isTrain = True
        return parser
""",
            "options/base_options.py": """
import argparse
class BaseOptions():
    def initialize(self, parser):
        parser.add_argument('--ngf', type=int, default=64)
        parser.set_defaults(dropout=0.5)
        parser.add_argument('--dropout', type=float, default=0.1)
        return parser
    def gather_options(self):
        parser = argparse.ArgumentParser()
        parser = self.initialize(parser)
        return parser.parse_args()
""",
        },
        {"lr": 0.0002, "n_epochs": 100, "ngf": 64, "dropout": 0.5},
    ),
    Form(
        "argparse old style self.parser",
        {
            "train.py": """
from options import Options
opt = Options().parse()
""",
            "options.py": """
import argparse
class Options:
    def __init__(self):
        self.parser = argparse.ArgumentParser()
        self.parser.add_argument('--lr', type=float, default=0.0002)
        self.initialize()
    def initialize(self):
        g = self.parser.add_argument_group('a')
        g.add_argument('--ngf', type=int, default=64)
    def parse(self):
        return self.parser.parse_args()
""",
        },
        {"lr": 0.0002, "ngf": 64},
    ),
    Form(
        "argparse module-level parser imported",
        {
            "train.py": """
from opts import parser
args = parser.parse_args()
""",
            "opts.py": """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument('--lr', type=float, default=0.1)
""",
        },
        {"lr": 0.1},
    ),
    Form(
        "argparse module-level parser imported, and own",
        {
            "train.py": """
from opts import parser
parser.add_argument('--wd', type=float, default=0.01)
args = parser.parse_args()
""",
            "opts.py": """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument('--lr', type=float, default=0.1)
""",
        },
        {"lr": 0.1, "wd": 0.01},
    ),
    Form(
        "argparse module-level args imported",
        {
            "train.py": """
from opts import args
print(args.lr)
""",
            "opts.py": """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument('--lr', type=float, default=0.1)
args = parser.parse_args()
""",
        },
        {"lr": 0.1},
    ),
    Form(
        "argparse import module .args",
        {
            "train.py": """
import opts
args = opts.parser.parse_args()
import argparse
q = argparse.ArgumentParser()
q.add_argument('--k', type=int, default=3)
""",
            "opts.py": """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument('--lr', type=float, default=0.1)
""",
        },
        {"lr": 0.1, "k": 3},
    ),
    Form(
        "argparse loop over dict of dicts",
        {
            "train.py": """
import argparse
OPTS = {"lr": dict(type=float, default=0.1), "width": {"type": int, "default": 64}}
p = argparse.ArgumentParser()
for name, kw in OPTS.items():
    p.add_argument("--" + name, **kw)
""",
        },
        {"lr": 0.1, "width": 64},
    ),
    Form(
        "argparse loop over list of tuples",
        {
            "train.py": """
import argparse
ARGS = [(("--lr",), {"type": float, "default": 0.1}), (("-w", "--width"), {"type": int, "default": 64})]
p = argparse.ArgumentParser()
for names, kw in ARGS:
    p.add_argument(*names, **kw)
""",
        },
        {"lr": 0.1, "width": 64},
    ),
    Form(
        "argparse loop over defaults dict (guided diffusion)",
        {
            "train.py": """
import argparse
from su import model_defaults, add_dict_to_argparser
def create_argparser():
    defaults = dict(lr=1e-4, batch_size=8, use_fp16=False)
    defaults.update(model_defaults())
    parser = argparse.ArgumentParser()
    add_dict_to_argparser(parser, defaults)
    return parser
args = create_argparser().parse_args()
""",
            "su.py": """
import argparse
def diffusion_defaults():
    return dict(steps=1000, noise_schedule="linear")
def model_defaults():
    res = dict(width=64, dropout=0.0)
    res.update(diffusion_defaults())
    return res
def add_dict_to_argparser(parser, default_dict):
    for k, v in default_dict.items():
        v_type = type(v)
        if v is None:
            v_type = str
        elif isinstance(v, bool):
            v_type = str2bool
        parser.add_argument(f"--{k}", default=v, type=v_type)
def str2bool(v):
    if v.lower() in ("yes", "true"): return True
""",
        },
        {"lr": 0.0001, "batch_size": 8, "width": 64, "dropout": 0.0, "steps": 1000, "use_fp16": False},
    ),
    Form(
        "argparse parents",
        {
            "train.py": """
import argparse
common = argparse.ArgumentParser(add_help=False)
common.add_argument('--lr', type=float, default=0.1)
p = argparse.ArgumentParser(parents=[common])
g = p.add_mutually_exclusive_group()
g.add_argument('--adam', action='store_true')
g.add_argument('--sgd', action='store_true')
""",
        },
        {"lr": 0.1, "adam": False, "sgd": False},
    ),
    Form(
        "argparse parents in a function of other module",
        {
            "train.py": """
import argparse
from common import common_parser
p = argparse.ArgumentParser(parents=[common_parser()])
p.add_argument('--wd', type=float, default=0.1)
""",
            "common.py": """
import argparse
def common_parser():
    p = argparse.ArgumentParser(add_help=False)
    p.add_argument('--lr', type=float, default=0.1)
    return p
""",
        },
        {"lr": 0.1, "wd": 0.1},
    ),
    Form(
        "lightning add_model_specific_args",
        {
            "train.py": """
from argparse import ArgumentParser
import pytorch_lightning as pl
from model import LitModel
parser = ArgumentParser()
parser.add_argument('--batch_size', default=32, type=int)
parser = pl.Trainer.add_argparse_args(parser)
parser = LitModel.add_model_specific_args(parser)
args = parser.parse_args()
""",
            "model.py": """
from argparse import ArgumentParser
import pytorch_lightning as pl
class LitModel(pl.LightningModule):
    @staticmethod
    def add_model_specific_args(parent_parser):
        parser = ArgumentParser(parents=[parent_parser], add_help=False)
        parser.add_argument('--lr', type=float, default=1e-3)
        return parser
""",
        },
        {"batch_size": 32, "lr": 0.001, "max_epochs": None},
    ),
    Form(
        "optparse",
        {
            "train.py": """
from optparse import OptionParser
parser = OptionParser()
parser.add_option("-e", "--epochs", dest="epochs", default=5, type="int")
parser.add_option("--lr", dest="lr", default=0.1, type="float")
(options, args) = parser.parse_args()
""",
        },
        {"epochs": 5, "lr": 0.1},
    ),
    Form(
        "configargparse",
        {
            "train.py": """
import configargparse
p = configargparse.ArgParser(default_config_files=['c.txt'])
p.add('-c', '--config', is_config_file=True)
p.add('--lrate', type=float, default=5e-4)
p.add_argument('--N_rand', type=int, default=1024)
""",
        },
        {"lrate": 0.0005, "N_rand": 1024},
    ),
    Form(
        "argparse Namespace only",
        {
            "train.py": """
import argparse
args = argparse.Namespace(lr=0.1, hidden=64, dropout=0.5)
print(args.lr)
""",
        },
        {"lr": 0.1, "hidden": 64, "dropout": 0.5},
    ),
    Form(
        "argparse with dict2namespace yaml",
        {
            "train.py": """
import argparse, yaml
def dict2namespace(d): ...
p = argparse.ArgumentParser()
p.add_argument('--config', type=str, default='config.yml')
p.add_argument('--seed', type=int, default=1)
args = p.parse_args()
with open(args.config) as f:
    config = dict2namespace(yaml.safe_load(f))
print(config.optim.lr)
""",
            "config.yml": """
optim:
  lr: 0.1
""",
        },
        {"seed": 1},
    ),
    Form(
        "get_args from utils",
        {
            "train.py": """
from utils import get_args
args = get_args()
""",
            "utils/__init__.py": """
from .args import get_args
""",
            "utils/args.py": """
import argparse
def get_args():
    parser = argparse.ArgumentParser()
    parser.add_argument('--lr', type=float, default=0.1)
    return parser.parse_args()
""",
        },
        {"lr": 0.1},
    ),
    Form(
        "Tap",
        {
            "train.py": '''
from tap import Tap
class Args(Tap):
    lr: float = 0.1
    """the rate"""
    width: int = 64
    def configure(self):
        self.add_argument("-l", "--lr")
args = Args().parse_args()
''',
        },
        {"lr": 0.1, "width": 64},
    ),
    Form(
        "argparse subparsers set in function",
        {
            "train.py": """
import argparse
def add_train(sub):
    p = sub.add_parser("train")
    p.add_argument("--lr", type=float, default=0.1)
    return p
def main():
    parser = argparse.ArgumentParser()
    sub = parser.add_subparsers(dest="cmd")
    add_train(sub)
    e = sub.add_parser("eval")
    e.add_argument("--k", type=int, default=2)
""",
        },
        {"lr": 0.1},
        "python train.py train",
    ),
    Form(
        "argparse aliased add",
        {
            "train.py": """
import argparse
p = argparse.ArgumentParser()
arg = p.add_argument
arg('--lr', type=float, default=0.1)
""",
        },
        {"lr": 0.1},
    ),
    Form(
        "argparse chained",
        {
            "train.py": """
import argparse
p = argparse.ArgumentParser()
g = p.add_argument_group("x"); g.add_argument('--lr', type=float, default=0.1)
p.add_argument_group("y").add_argument('--wd', type=float, default=0.2)
""",
        },
        {"lr": 0.1, "wd": 0.2},
    ),
    Form(
        "argparse locals of a class attr default",
        {
            "train.py": """
import argparse
from defaults import LR, Defaults, CFG
p = argparse.ArgumentParser()
p.add_argument('--lr', type=float, default=LR)
p.add_argument('--wd', type=float, default=Defaults.wd)
p.add_argument('--k', type=int, default=CFG["k"])
""",
            "defaults.py": """
LR = 0.3
CFG = {"k": 4}
class Defaults:
    wd = 0.05
""",
        },
        {"lr": 0.3, "wd": 0.05, "k": 4},
    ),
    Form(
        "argparse default from import module",
        {
            "train.py": """
import argparse
import defaults as d
p = argparse.ArgumentParser()
p.add_argument('--lr', type=float, default=d.LR)
""",
            "defaults.py": """
LR = 0.3
""",
        },
        {"lr": 0.3},
    ),
    Form(
        "fairseq style register",
        {
            "train.py": """
from fairseq_options import get_training_parser
p = get_training_parser()
""",
            "fairseq_options.py": """
import argparse
def get_parser(desc):
    parser = argparse.ArgumentParser()
    parser.add_argument('--seed', default=1, type=int)
    return parser
def get_training_parser(default_task="t"):
    parser = get_parser("Trainer")
    add_dataset_args(parser, train=True)
    add_optimization_args(parser)
    return parser
def add_dataset_args(parser, train=False):
    group = parser.add_argument_group("d")
    if train:
        group.add_argument('--max-tokens', type=int, default=100)
def add_optimization_args(parser):
    group = parser.add_argument_group("o")
    group.add_argument('--lr', default=0.25, type=float)
""",
        },
        {"seed": 1, "max-tokens": 100, "lr": 0.25},
    ),
    Form(
        "vars(args).update / parse_known_args",
        {
            "train.py": """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument('--lr', type=float, default=0.1)
args, unknown = parser.parse_known_args()
if args.lr > 1:
    parser.add_argument('--wd', type=float, default=0.2)
""",
        },
        {"lr": 0.1, "wd": 0.2},
    ),
]


@pytest.mark.parametrize("form", FORMS, ids=[form.name for form in FORMS])
def test_what_is_found(form: Form, tmp_path: Path) -> None:
    assert wrong(form, tmp_path) == {}
