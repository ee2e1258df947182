"""Options that other modules, tables and files declare."""

from __future__ import annotations

from pathlib import Path

import pytest

from .forms import Form, wrong

FORMS: list[Form] = [
    Form(
        "custom add_arg(name, default) helper",
        {
            "train.py": """
import argparse
parser = argparse.ArgumentParser()
def arg(name, default, help=""):
    parser.add_argument(f"--{name}", type=type(default), default=default, help=help)
arg("lr", 0.1)
arg("width", 64)
""",
        },
        {"lr": 0.1, "width": 64},
    ),
    Form(
        "functools.partial add_argument",
        {
            "train.py": """
import argparse, functools
from utils import add_arguments
parser = argparse.ArgumentParser()
add_arg = functools.partial(add_arguments, argparser=parser)
add_arg('batch_size', int, 32, "Minibatch size.")
add_arg('learning_rate', float, 1e-3, "lr")
""",
            "utils.py": """
def add_arguments(argname, type, default, help, argparser, **kwargs):
    type = strtobool if type == bool else type
    argparser.add_argument("--" + argname, default=default, type=type, help=help, **kwargs)
""",
        },
        {"batch_size": 32, "learning_rate": 0.001},
    ),
    Form(
        "argparse shorthand",
        {
            "train.py": """
from argparse import ArgumentParser as AP
def build(p=None):
    p = p or AP()
    a = p.add_argument
    a("--lr", type=float, default=0.1)
    return p
build().parse_args()
""",
        },
        {"lr": 0.1},
    ),
    Form(
        "argparse walrus / try",
        {
            "train.py": """
import argparse
if __name__ == "__main__":
    with open("x") as fh:
        (p := argparse.ArgumentParser()).add_argument("--lr", type=float, default=0.1)
    match 1:
        case 1:
            p.add_argument("--wd", type=float, default=0.2)
""",
        },
        {"lr": 0.1, "wd": 0.2},
    ),
    Form(
        "vars over config class to argparse",
        {
            "train.py": """
import argparse
from config import Config
parser = argparse.ArgumentParser()
for k, v in vars(Config).items():
    if not k.startswith('_'):
        parser.add_argument(f'--{k}', type=type(v), default=v)
""",
            "config.py": """
class Config:
    lr = 0.1
    width = 64
""",
        },
        {"lr": 0.1, "width": 64},
    ),
    Form(
        "Config().__dict__ loop",
        {
            "train.py": """
import argparse
class Config:
    def __init__(self):
        self.lr = 0.1
        self.width = 64
parser = argparse.ArgumentParser()
cfg = Config()
for k, v in cfg.__dict__.items():
    parser.add_argument('--' + k, type=type(v), default=v)
""",
        },
        {"lr": 0.1, "width": 64},
    ),
    Form(
        "dict loop with DEFAULTS and update",
        {
            "train.py": """
import argparse
DEFAULTS = {"lr": 0.1}
DEFAULTS.update(width=64)
DEFAULTS["wd"] = 0.2
parser = argparse.ArgumentParser()
for key in DEFAULTS:
    parser.add_argument('--%s' % key, type=type(DEFAULTS[key]), default=DEFAULTS[key])
""",
        },
        {"lr": 0.1, "width": 64, "wd": 0.2},
    ),
    Form(
        "argparse yaml defaults -> args",
        {
            "train.py": """
import argparse, yaml
parser = argparse.ArgumentParser()
with open('configs/base.yaml') as f:
    defaults = yaml.safe_load(f)
for k, v in defaults.items():
    parser.add_argument(f'--{k}', type=type(v), default=v)
args = parser.parse_args()
""",
            "configs/base.yaml": """
lr: 0.1
width: 64
""",
        },
        {"lr": 0.1, "width": 64},
    ),
    Form(
        "dreamer yaml defaults",
        {
            "train.py": """
import argparse, yaml, pathlib, sys
import tools
parser = argparse.ArgumentParser()
parser.add_argument("--configs", nargs="+")
args, remaining = parser.parse_known_args()
configs = yaml.safe_load((pathlib.Path(sys.argv[0]).parent / "configs.yaml").read_text())
defaults = {}
for name in ["defaults", *(args.configs or [])]:
    defaults.update(configs[name])
parser = argparse.ArgumentParser()
for key, value in sorted(defaults.items(), key=lambda x: x[0]):
    arg_type = tools.args_type(value)
    parser.add_argument(f"--{key}", type=arg_type, default=arg_type(value))
""",
            "configs.yaml": """
defaults:
  lr: 0.1
  model: {width: 64}
""",
        },
        {"lr": 0.1},
    ),
    Form(
        "set_defaults from dict",
        {
            "train.py": """
import argparse
p = argparse.ArgumentParser()
p.add_argument('--lr', type=float)
p.set_defaults(**{"lr": 0.4})
""",
        },
        {"lr": 0.4},
    ),
    Form(
        "method-of-class parser in same file",
        {
            "train.py": """
import argparse
class Trainer:
    @classmethod
    def add_args(cls, parser):
        parser.add_argument('--lr', type=float, default=0.1)
    @property
    def parser(self):
        p = argparse.ArgumentParser()
        p.add_argument('--wd', type=float, default=0.3)
        return p
Trainer.add_args(argparse.ArgumentParser())
""",
        },
        {"lr": 0.1, "wd": 0.3},
    ),
    Form(
        "two-level import of arguments",
        {
            "train.py": """
from core.engine import run
run()
""",
            "core/engine.py": """
from core.options import make_parser
def run():
    args = make_parser().parse_args()
""",
            "core/options.py": """
import argparse
def make_parser():
    p = argparse.ArgumentParser()
    p.add_argument('--lr', type=float, default=0.1)
    return p
""",
        },
        {"lr": 0.1},
    ),
    Form(
        "main from other module (cli shim)",
        {
            "train.py": """
from pkg.cli import main
if __name__ == '__main__':
    main()
""",
            "pkg/cli.py": """
import argparse
def main():
    p = argparse.ArgumentParser()
    p.add_argument('--lr', type=float, default=0.1)
    p.parse_args()
""",
        },
        {"lr": 0.1},
    ),
    Form(
        "cli shim click",
        {
            "train.py": """
from pkg.cli import main
if __name__ == '__main__':
    main()
""",
            "pkg/cli.py": """
import click
@click.command()
@click.option('--lr', default=0.1)
def main(lr):
    pass
""",
        },
        {"lr": 0.1},
    ),
    Form(
        "cli shim fire/typer/tyro/hydra",
        {
            "train.py": """
from pkg.cli import main
if __name__ == '__main__':
    main()
""",
            "pkg/cli.py": """
import fire
def train(lr=0.1, width: int = 64):
    pass
def main():
    fire.Fire(train)
""",
        },
        {"lr": 0.1, "width": 64},
    ),
    Form(
        "cli shim typer",
        {
            "train.py": """
from pkg.cli import app
if __name__ == '__main__':
    app()
""",
            "pkg/cli.py": """
import typer
app = typer.Typer()
@app.command()
def train(lr: float = 0.1, width: int = 64):
    pass
""",
        },
        {"lr": 0.1, "width": 64},
    ),
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
]


@pytest.mark.parametrize("form", FORMS, ids=[form.name for form in FORMS])
def test_what_is_found(form: Form, tmp_path: Path) -> None:
    assert wrong(form, tmp_path) == {}
