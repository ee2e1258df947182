"""absl, ml_collections, gin, sacred and docopt."""

from __future__ import annotations

from pathlib import Path

import pytest

from .forms import Form, wrong

FORMS: list[Form] = [
    Form(
        "docopt",
        {
            "train.py": '''
"""Train it.

Usage:
  train.py [options] <data>
  train.py (-h | --help)

Options:
  -h --help            Show this.
  --lr=<lr>            Learning rate [default: 0.1].
  -b, --batch-size N   Batch size [default: 32]
  --nesterov           Use it.
"""
from docopt import docopt
args = docopt(__doc__)
lr = float(args["--lr"])
bs = int(args["--batch-size"])
''',
        },
        {"lr": 0.1, "batch-size": 32, "nesterov": False},
    ),
    Form(
        "docopt var",
        {
            "train.py": '''
import docopt
USAGE = """
Usage: train.py [options]

Options:
  --lr LR    rate [default: 1e-3]
"""
args = docopt.docopt(USAGE)
''',
        },
        {"lr": 0.001},
    ),
    Form(
        "absl",
        {
            "train.py": """
from absl import app, flags
FLAGS = flags.FLAGS
_LR = flags.DEFINE_float('lr', 0.1, 'rate')
flags.DEFINE_integer('width', 64, 'w')
flags.DEFINE_bool('bn', True, '')
""",
        },
        {"lr": 0.1, "width": 64, "bn": True},
    ),
    Form(
        "absl direct import",
        {
            "train.py": """
from absl.flags import DEFINE_float, FLAGS
DEFINE_float('lr', 0.1, 'rate')
""",
        },
        {"lr": 0.1},
    ),
    Form(
        "tf.app.flags",
        {
            "train.py": """
import tensorflow as tf
flags = tf.app.flags
flags.DEFINE_float('lr', 0.1, 'rate')
tf.compat.v1.flags.DEFINE_integer('k', 3, '')
tf.flags.DEFINE_boolean('b', False, '')
""",
        },
        {"lr": 0.1, "k": 3, "b": False},
    ),
    Form(
        "absl imported module flags",
        {
            "train.py": """
from absl import app, flags
import model
FLAGS = flags.FLAGS
flags.DEFINE_float('lr', 0.1, 'rate')
def main(_):
    model.build(FLAGS.width)
""",
            "model.py": """
from absl import flags
flags.DEFINE_integer('width', 64, 'w')
def build(w): pass
""",
        },
        {"lr": 0.1, "width": 64},
    ),
    Form(
        "absl flags in imported file at top, not called",
        {
            "train.py": """
from absl import app
from config import FLAGS
def main(_):
    print(FLAGS.lr)
app.run(main)
""",
            "config.py": """
from absl import flags
FLAGS = flags.FLAGS
flags.DEFINE_float('lr', 0.1, 'rate')
""",
        },
        {"lr": 0.1},
    ),
    Form(
        "absl define_flags_with_default",
        {
            "train.py": """
import absl.app, absl.flags
from .utils import define_flags_with_default, WandBLogger
from .sac import SAC
FLAGS_DEF = define_flags_with_default(
    env='x', seed=42, save=False, lr=1e-3, note=absl_placeholder,
    sac=SAC.get_default_config(),
)
def main(argv): pass
""",
            "utils.py": """
import absl.flags
from ml_collections import ConfigDict
from ml_collections.config_flags import config_flags
def define_flags_with_default(**kwargs):
    for key, val in kwargs.items():
        if isinstance(val, ConfigDict):
            config_flags.DEFINE_config_dict(key, val)
        elif isinstance(val, bool):
            absl.flags.DEFINE_bool(key, val, 'automatically defined flag')
        elif isinstance(val, int):
            absl.flags.DEFINE_integer(key, val, 'automatically defined flag')
        elif isinstance(val, float):
            absl.flags.DEFINE_float(key, val, 'automatically defined flag')
        elif isinstance(val, str):
            absl.flags.DEFINE_string(key, val, 'automatically defined flag')
    return kwargs
""",
            "sac.py": """
from ml_collections import ConfigDict
class SAC(object):
    @staticmethod
    def get_default_config(updates=None):
        config = ConfigDict()
        config.discount = 0.99
        config.policy_lr = 1e-4
        if updates is not None:
            config.update(ConfigDict(updates).copy_and_resolve_references())
        return config
""",
        },
        {"env": "x", "seed": 42, "save": False, "lr": 0.001, "sac.discount": 0.99, "sac.policy_lr": 0.0001},
    ),
    Form(
        "mlxu define_flags_with_default",
        {
            "train.py": """
import mlxu
from llama import LLaMAConfigurator
FLAGS, FLAGS_DEF = mlxu.define_flags_with_default(
    seed=42,
    mesh_dim='1,-1,1',
    total_steps=10000,
    llama=LLaMAConfigurator.get_default_config(),
    optimizer=dict(lr=0.1),
)
def main(argv): pass
if __name__ == "__main__":
    mlxu.run(main)
""",
            "llama.py": """
import mlxu
class LLaMAConfigurator(object):
    @staticmethod
    def get_default_config(updates=None):
        config = mlxu.config_dict()
        config.base_model = '7b'
        config.dropout = 0.1
        return mlxu.update_config_dict(config, updates)
""",
        },
        {"seed": 42, "total_steps": 10000, "llama.dropout": 0.1, "optimizer.lr": 0.1},
    ),
    Form(
        "gin",
        {
            "train.py": """
import gin
@gin.configurable
def train(lr=0.1, width=64): pass
gin.parse_config_file('config.gin')
""",
            "config.gin": """
train.lr = 0.01
train.width = 32
""",
        },
        {},
    ),
    Form(
        "gin with absl",
        {
            "train.py": """
import gin
from absl import app, flags
flags.DEFINE_multi_string('gin_file', None, '')
flags.DEFINE_multi_string('gin_param', None, '')
FLAGS = flags.FLAGS
@gin.configurable
def train(lr=0.1, width=64): pass
def main(_):
    gin.parse_config_files_and_bindings(FLAGS.gin_file, FLAGS.gin_param)
""",
            "c.gin": """
# comment
BASE = 3
train.lr = 0.01
Model.width = 32
scope/Adam.beta = 0.9
train.optimizer = @Adam()
""",
        },
        {"train.lr": 0.01, "Model.width": 32},
        "python train.py --gin_file=c.gin",
    ),
    Form(
        "sacred",
        {
            "train.py": """
from sacred import Experiment
ex = Experiment('x')
@ex.config
def cfg():
    lr = 0.1  # the rate
    width = 64
    half = width // 2
    optim = {"name": "adam", "wd": 0.01}
@ex.named_config
def big():
    width = 256
@ex.automain
def main(lr, width): pass
""",
        },
        {"lr": 0.1, "width": 64, "optim.wd": 0.01},
        "python train.py with lr=0.1",
    ),
    Form(
        "sacred add_config",
        {
            "train.py": """
from sacred import Experiment
ex = Experiment('x')
ex.add_config({"lr": 0.1, "net": {"width": 64}})
ex.add_config(k=3)
ex.add_config("c.yaml")
@ex.automain
def main(_config): pass
""",
            "c.yaml": """
wd: 0.2
""",
        },
        {"lr": 0.1, "net.width": 64, "k": 3, "wd": 0.2},
    ),
    Form(
        "sacred imported ingredient config",
        {
            "train.py": """
from vilt.config import ex
@ex.automain
def main(_config): pass
""",
            "vilt/config.py": """
from sacred import Experiment
ex = Experiment("ViLT")
def _loss_names(d):
    ret = {"itm": 0}
    ret.update(d)
    return ret
@ex.config
def config():
    exp_name = "vilt"
    seed = 0
    learning_rate = 1e-4
    loss_names = _loss_names({"itm": 1})
@ex.named_config
def task():
    learning_rate = 2
""",
        },
        {"learning_rate": 2, "seed": 0},
        "python train.py with data_root=/x task",
    ),
    Form(
        "ml_collections config file",
        {
            "train.py": """
from absl import app, flags
from ml_collections import config_flags
_CONFIG = config_flags.DEFINE_config_file('config', None, 'x')
def main(_): pass
""",
            "configs/default.py": """
import ml_collections
def get_config():
    c = ml_collections.ConfigDict()
    c.lr = 0.1
    return c
""",
            "configs/b.py": """
from configs.default import get_config as base
import ml_collections
def get_config():
    c = base()
    c.lr = 0.2
    c.width = 4
    return c
""",
        },
        {"config.lr": 0.2, "config.width": 3},
        "python train.py --config=configs/b.py --config.width=3",
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
]


@pytest.mark.parametrize("form", FORMS, ids=[form.name for form in FORMS])
def test_what_is_found(form: Form, tmp_path: Path) -> None:
    assert wrong(form, tmp_path) == {}
