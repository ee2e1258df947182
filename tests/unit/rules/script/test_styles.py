"""One short script of each style, as people write them."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from ragent_jupyter.domain.script import Flag, Script
from ragent_jupyter.rules.script import read_script
from ragent_jupyter.rules.sweep_space import command_for


def read(source: str, command: str = "python train.py", others: dict[str, str] | None = None) -> Script:
    return read_script(textwrap.dedent(source), "train.py", others or {}, command)


def flag(script: Script, name: str) -> Flag:
    found = script.flag(name)
    assert found is not None, (name, [f.name for f in script.flags], script.notes)
    return found


def roles(script: Script) -> dict[str, str]:
    return {f.name: f.role for f in script.flags}


def added(script: Script, **params: Any) -> str:
    params = {name.replace("__", "."): value for name, value in params.items()}
    flags = {f.name: f.template for f in script.flags}
    return command_for("x", params, "--{name} {value}", flags).removeprefix("x").strip()


ARGPARSE = """
import argparse

SCALE = 4

def str2bool(v):
    return v.lower() in ("yes", "true", "1")

def common(parser, width=64):
    group = parser.add_argument_group("model")
    group.add_argument("--width", type=int, default=width, help="units of each layer")
    for name, value in [("dropout", 0.1), ("attn-drop", 0.0)]:
        group.add_argument(f"--{name}", type=float, default=value)

def main():
    p = argparse.ArgumentParser()
    p.add_argument("data", help="folder")
    p.add_argument("-b", "--batch-size", dest="bs", type=int, default=2**5)
    p.add_argument("--lr", "--learning-rate", type=float, default=1e-3 * SCALE)
    p.add_argument("--optimizer", choices=["sgd", "adam"], default="adam")
    p.add_argument("--betas", type=float, nargs=2, default=(0.9, 0.99))
    p.add_argument("--nesterov", action="store_true")
    p.add_argument("--no-bias", dest="bias", action="store_false")
    p.add_argument("--ema", action=argparse.BooleanOptionalAction, default=True)
    p.add_argument("--tied", type=str2bool, default=False)
    p.add_argument("--raw", type=bool, default=False)
    p.add_argument("--flip", type=lambda s: s == "True", default=True)
    p.add_argument("--epochs", type=int, default=10)
    p.add_argument("--seed", type=int)
    p.add_argument("--log-every", type=int, default=50)
    p.add_argument("--clip", type=float, default=None)
    common(p, width=96)
    p.set_defaults(epochs=30)
    args = p.parse_args()
"""


def test_argparse() -> None:
    script = read(ARGPARSE, "python train.py data/ -b 8 --lr=0.01 --nesterov --batch 16")
    assert script.notes == []
    assert flag(script, "batch-size").default == 32 and flag(script, "batch-size").current == 16
    assert flag(script, "lr").default == pytest.approx(0.004) and flag(script, "lr").value == 0.01
    assert flag(script, "epochs").default == 30, "set_defaults wins"
    assert flag(script, "width").default == 96, "what a helper was given"
    assert (flag(script, "dropout").default, flag(script, "attn-drop").default) == (0.1, 0.0)
    assert flag(script, "optimizer").choices == ["sgd", "adam"]
    assert flag(script, "nesterov").value is True and flag(script, "data").template == ""
    assert flag(script, "betas").dim is None, "several values are no knob"
    got = roles(script)
    assert got["epochs"] == "fidelity" and got["seed"] == "seed" and got["log-every"] == got["data"] == "exclude"
    assert {n for n, r in got.items() if r == "tune"} >= {"lr", "batch-size", "dropout", "width", "optimizer", "ema"}


def test_argparse_switches_say_what_their_type_understands() -> None:
    script = read(ARGPARSE)
    assert added(script, nesterov=True, ema=False) == "--nesterov --no-ema"
    assert added(script, nesterov=False) == ""
    assert added(script, tied=False) == "--tied false"
    assert added(script, raw=False) == "--raw ''", 'bool("False") is true'
    assert added(script, flip=False) == "--flip False"
    assert added(script, **{"no-bias": True}) == "--no-bias"


def test_argparse_of_a_class_s_fields() -> None:
    script = read("""
        import argparse
        from dataclasses import dataclass, fields
        @dataclass
        class Config:
            lr: float = 0.1
            hidden: int = 32
        p = argparse.ArgumentParser()
        for f in fields(Config):
            p.add_argument(f"--{f.name}", type=type(f.default), default=f.default)
    """)
    assert {f.name: f.default for f in script.flags} == {"lr": 0.1, "hidden": 32}


def test_a_subcommand_s_options_are_those_of_the_one_that_is_called() -> None:
    source = """
        import argparse
        p = argparse.ArgumentParser()
        sub = p.add_subparsers()
        train = sub.add_parser("train")
        train.add_argument("--lr", type=float, default=0.1)
        export = sub.add_parser("export")
        export.add_argument("--format", default="onnx")
    """
    assert set(roles(read(source, "python train.py train"))) == {"lr"}
    assert set(roles(read(source))) == {"lr", "format"}


def test_absl_and_fire() -> None:
    script = read("""
        from absl import app, flags
        flags.DEFINE_float("learning_rate", 0.1, "The learning rate.")
        flags.DEFINE_integer("num_epochs", 10, "Epochs.")
        flags.DEFINE_bool("use_bn", True, "Normalise.")
        flags.DEFINE_enum("act", "relu", ["relu", "tanh"], "Which.")
        flags.DEFINE_string("workdir", None, "Where to write.")
    """, "python train.py --learning_rate=0.5 --nouse_bn")  # fmt: skip
    assert flag(script, "learning_rate").value == 0.5 and flag(script, "use_bn").value is False
    assert added(script, use_bn=False, act="tanh") == "--nouse_bn --act=tanh"
    assert roles(script)["workdir"] == "exclude"

    script = read("""
        import fire
        def train(lr: float = 0.1, amp=False, epochs=3):
            pass
        if __name__ == "__main__":
            fire.Fire(train)
    """)
    assert added(script, lr=0.2, amp=False) == "--lr=0.2 --amp=False"


def test_click() -> None:
    script = read("""
        import click
        @click.command()
        @click.option("-lr", "--learning-rate", default=0.1, type=float, show_default=True)
        @click.option("--depth", type=click.IntRange(1, 9), default=3)
        @click.option("--act", type=click.Choice(["relu", "gelu"]), default="relu")
        @click.option("--residual/--no-residual", default=True)
        @click.option("--nesterov", is_flag=True)
        @click.option("--out-dir", type=click.Path(), default="x")
        @click.argument("data")
        def main(**kw): ...
    """, "python train.py d --no-residual -lr 0.3")  # fmt: skip
    assert flag(script, "learning-rate").value == 0.3 and flag(script, "residual").value is False
    assert added(script, residual=True, nesterov=False, depth=4) == "--residual --depth 4"
    assert flag(script, "act").choices == ["relu", "gelu"]
    assert roles(script)["out-dir"] == roles(script)["data"] == "exclude"


def test_typer() -> None:
    script = read("""
        import typer
        from typing import Annotated, Optional
        app = typer.Typer()
        @app.command()
        def main(
            data: str,
            learning_rate: float = 0.1,
            weight_decay: Annotated[float, typer.Option("--wd", help="weight decay")] = 0.0,
            layers: int = typer.Option(2, help="how many"),
            amp: bool = False,
            seed: Optional[int] = None,
        ): ...
        app()
    """)
    assert added(script, wd=0.1, amp=True) == "--wd 0.1 --amp"
    assert flag(script, "learning-rate").default == 0.1 and flag(script, "layers").default == 2
    assert flag(script, "data").template == "" and roles(script)["seed"] == "seed"


def test_a_typer_command_that_another_file_makes_one() -> None:
    script = read("""
        import typer
        def helper(rate: float = 0.5): ...
        def train(lr: float = typer.Option(0.1, help="learning rate"), width: int = 8): ...
    """)
    assert {one.name: one.default for one in script.flags} == {"lr": 0.1, "width": 8}


CONF = {
    "conf/config.yaml": """
defaults:
  - model: small
  - optim: adam
  - _self_
seed: 1
trainer:
  max_epochs: 10
  devices: 1
data:
  batch_size: 64
  path: data/x
""",
    "conf/model/small.yaml": "hidden: 64\ndropout: 0.1\n",
    "conf/model/large.yaml": "hidden: 512\ndropout: 0.3\n",
    "conf/optim/adam.yaml": "# @package optim\n_target_: torch.optim.Adam\nlr: 1e-3\nweight_decay: ${data.wd}\n",
}
HYDRA = """
import hydra
@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg): ...
"""


def test_hydra() -> None:
    script = read(HYDRA, "python train.py model=large optim.lr=0.01", CONF)
    assert script.notes == []
    assert flag(script, "optim.lr").default == 0.001, "1e-3 is a number"
    assert flag(script, "optim.lr").value == 0.01 and flag(script, "optim.lr").template == "{name}={value}"
    assert flag(script, "model.hidden").default == 512, "the command chose the group's other file"
    assert flag(script, "model").choices == ["large", "small"] and flag(script, "model").current == "large"
    got = roles(script)
    assert got["trainer.max_epochs"] == "fidelity" and got["seed"] == "seed" and got["data.batch_size"] == "tune"
    assert got["optim._target_"] == "tune", "which optimizer is a choice of the method"
    assert got["optim.weight_decay"] == got["data.path"] == got["trainer.devices"] == "exclude"
    assert flag(script, "optim.lr").file == "conf/optim/adam.yaml" and flag(script, "optim.lr").line == 3


def test_a_configuration_that_is_not_there_is_said() -> None:
    assert "conf/config" in read(HYDRA).notes[0]


def test_omegaconf() -> None:
    source = 'from omegaconf import OmegaConf\ncfg = OmegaConf.merge(OmegaConf.load("c.yaml"), OmegaConf.from_cli())\n'
    script = read(source, "python train.py opt.lr=0.3", {"c.yaml": "opt: {lr: 0.1, nesterov: false}\n"})
    assert flag(script, "opt.lr").value == 0.3
    assert added(script, opt__nesterov=True) == "opt.nesterov=true"


DATACLASSES = """
from dataclasses import dataclass, field
from typing import Literal, Optional

@dataclass
class Optim:
    lr: float = 0.1
    kind: Literal["sgd", "adam"] = "sgd"

@dataclass
class Config:
    batch_size: int = field(default=32, metadata={"help": "how many at once"})
    use_bias: bool = False
    seed: Optional[int] = None
    optim: Optim = field(default_factory=Optim)
"""


@pytest.mark.parametrize(
    ("entry", "name", "switch"),
    [
        ("import tyro\nargs = tyro.cli(Config)", "optim.lr", "--use-bias"),
        ("import draccus\n@draccus.wrap()\ndef main(cfg: Config): ...", "optim.lr", "--use_bias true"),
        ("from simple_parsing import parse\nargs = parse(Config)", "lr", "--use_bias true"),
        ("from transformers import HfArgumentParser\nHfArgumentParser((Config, Optim))", "lr", "--use_bias true"),
        ("import jsonargparse\nargs = jsonargparse.CLI(Config)", "optim.lr", "--use_bias true"),
        ("import chz\nchz.entrypoint(Config)", "optim.lr", "use_bias=True"),
    ],
)
def test_settings_classes(entry: str, name: str, switch: str) -> None:
    script = read(DATACLASSES + entry + "\n")
    assert flag(script, name).default == 0.1 and flag(script, name).role == "tune"
    boolean = next(f for f in script.flags if f.name.replace("-", "_") == "use_bias")
    assert added(script, **{boolean.name: True}) == switch
    assert [f.role for f in script.flags if f.name == "seed"] == ["seed"]


def test_constants_and_classes_without_a_command_line() -> None:
    script = read("""
        BATCH_SIZE = 64
        LEARNING_RATE = 1e-3  # Adam
        EPOCHS = 5
        DATA_DIR = "data/"
        SEED = 7
        n_layer = 4
        CONFIG = {"dropout": 0.1, "width": 128}
        class Hyperparameters:
            warmup_steps: int = 100
        total = BATCH_SIZE * 4
        DEVICE = torch.device("cuda")
    """)
    assert roles(script).items() >= {
        "BATCH_SIZE": "tune", "LEARNING_RATE": "tune", "EPOCHS": "fidelity", "SEED": "seed", "DATA_DIR": "exclude",
        "n_layer": "tune", "DEVICE": "exclude", "dropout": "tune", "warmup_steps": "tune",
    }.items()  # fmt: skip
    assert "total" not in roles(script), "it is made of others"
    assert added(script, LEARNING_RATE=0.01) == "--ragent-set LEARNING_RATE=0.01"
    assert added(script, dropout=0.2, warmup_steps=5) == (
        "--ragent-set CONFIG.dropout=0.2 --ragent-set Hyperparameters.warmup_steps=5"
    )


def test_a_constant_that_is_an_option_s_default_is_the_option() -> None:
    script = read("""
        import argparse
        LR = 0.1
        MOMENTUM = 0.9
        p = argparse.ArgumentParser()
        p.add_argument("--lr", type=float, default=LR)
    """)
    assert set(roles(script)) == {"lr", "MOMENTUM"} and flag(script, "lr").default == 0.1


def test_the_configurator() -> None:
    script = read("""
        learning_rate = 6e-4 # max
        max_iters = 600000
        compile = True
        block_size = 1024
        device = "cuda"
        exec(open("configurator.py").read())
        config = {}
        later = 3
    """, "python train.py config/x.py --max_iters=50 --compile=False")  # fmt: skip
    assert flag(script, "max_iters").value == 50 and flag(script, "compile").value is False
    assert added(script, learning_rate=0.001) == "--learning_rate=0.001"
    assert script.flag("later") is None


def test_options_of_a_module_that_the_script_asks() -> None:
    others = {"options.py": ARGPARSE.replace("def main():", "def get_args():"), "unused.py": ARGPARSE}
    script = read("from options import get_args\nargs = get_args()\n", others=others)
    assert flag(script, "lr").file == "options.py"
    inherited = {
        "opts.py": "from base import Base\nclass Opts(Base):\n    def init(self, p):\n        p.add_argument('--lr')\n",
        "base.py": "class Base:\n    def init(self, p):\n        p.add_argument('--epochs', type=int)\n",
        "other.py": "def f(p):\n    p.add_argument('--foreign')\n",
    }
    script = read("from opts import Opts\nopt = Opts().parse()\n", others=inherited)
    assert set(roles(script)) == {"lr", "epochs"}
    own = read(ARGPARSE + "import unused\n", others={"unused.py": 'p.add_argument("--foreign")\n'})
    assert own.flag("foreign") is None, "what a module asks when it is executed itself"
