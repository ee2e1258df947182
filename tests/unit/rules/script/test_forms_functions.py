"""click, typer and fire."""

from __future__ import annotations

from pathlib import Path

import pytest

from .forms import Form, wrong

FORMS: list[Form] = [
    Form(
        "click groups",
        {
            "train.py": """
import click
@click.group()
def cli(): pass
@cli.command()
@click.option('--lr', default=0.1)
def train(lr): pass
@cli.command("eval")
@click.option('--k', default=1)
def evaluate(k): pass
""",
        },
        {"lr": 0.1},
        "python train.py train",
    ),
    Form(
        "click shared decorator function",
        {
            "train.py": """
import click
def common(f):
    f = click.option('--lr', type=float, default=0.1)(f)
    f = click.option('--wd', type=float, default=0.2)(f)
    return f
OPTS = [click.option('--k', default=3)]
@click.command()
@common
def main(**kw): pass
""",
        },
        {"lr": 0.1, "wd": 0.2, "k": 3},
    ),
    Form(
        "click shared decorator in other module",
        {
            "train.py": """
import click
from opts import common
@click.command()
@common
@click.option('--k', default=3)
def main(**kw): pass
""",
            "opts.py": """
import click
def common(f):
    f = click.option('--lr', type=float, default=0.1)(f)
    return f
""",
        },
        {"lr": 0.1, "k": 3},
    ),
    Form(
        "typer annotated callback",
        {
            "train.py": """
import typer
from typing_extensions import Annotated
app = typer.Typer()
@app.callback()
def common(seed: int = 1): pass
@app.command()
def main(lr: Annotated[float, typer.Option(help="x")] = 0.1, n_layers: int = typer.Option(4, "--layers")): pass
""",
        },
        {"lr": 0.1, "layers": 4, "seed": 1},
    ),
    Form(
        "fire class",
        {
            "train.py": """
import fire
class Trainer:
    def __init__(self, lr=0.1): pass
    def train(self, epochs=3): pass
fire.Fire(Trainer)
""",
        },
        {"lr": 0.1, "epochs": 3},
        "python train.py train",
    ),
    Form(
        "fire kwargs to config class",
        {
            "train.py": """
import fire
from config import Config
opt = Config()
def train(**kwargs):
    opt._parse(kwargs)
fire.Fire()
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
        "fire kwargs (pytorch-book)",
        {
            "train.py": """
import fire
from config import opt
def train(**kwargs):
    for k, v in kwargs.items():
        setattr(opt, k, v)
if __name__ == '__main__':
    fire.Fire()
""",
            "config.py": """
class DefaultConfig(object):
    lr = 1e-3
    batch_size = 64
    def parse(self, kw): pass
opt = DefaultConfig()
""",
        },
        {"lr": 0.001, "batch_size": 64},
        "python train.py train",
    ),
    Form(
        "fire lambda / method",
        {
            "train.py": """
import fire
def main(lr: float = 0.1): pass
if __name__ == "__main__":
    fire.Fire({"train": main})
""",
        },
        {"lr": 0.1},
        "python train.py train",
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
]


@pytest.mark.parametrize("form", FORMS, ids=[form.name for form in FORMS])
def test_what_is_found(form: Form, tmp_path: Path) -> None:
    assert wrong(form, tmp_path) == {}
