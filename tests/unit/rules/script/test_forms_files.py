"""OmegaConf, yacs, mmcv and the like: settings in files."""

from __future__ import annotations

from pathlib import Path

import pytest

from .forms import Form, wrong

FORMS: list[Form] = [
    Form(
        "omegaconf load sys.argv path & cli",
        {
            "train.py": """
import sys
from omegaconf import OmegaConf
cli = OmegaConf.from_cli()
cfg = OmegaConf.merge(OmegaConf.load(cli.config), cli)
""",
            "c/x.yaml": """
lr: 0.1
m:
  w: 3
""",
        },
        {"lr": 0.1, "m.w": 3},
        "python train.py config=c/x.yaml",
    ),
    Form(
        "omegaconf load from argparse config + unknown dotlist",
        {
            "train.py": """
import argparse
from omegaconf import OmegaConf
p = argparse.ArgumentParser()
p.add_argument('--config', required=True)
p.add_argument('--seed', type=int, default=1)
args, unknown = p.parse_known_args()
cfg = OmegaConf.merge(OmegaConf.load(args.config), OmegaConf.from_dotlist(unknown))
""",
            "c/x.yaml": """
lr: 0.1
m:
  w: 3
""",
        },
        {"lr": 0.1, "m.w": 3, "seed": 1},
        "python train.py --config c/x.yaml",
    ),
    Form(
        "omegaconf llm-foundry",
        {
            "train.py": """
import sys
from omegaconf import OmegaConf as om
if __name__ == '__main__':
    yaml_path, args_list = sys.argv[1], sys.argv[2:]
    with open(yaml_path) as f:
        yaml_cfg = om.load(f)
    cli_cfg = om.from_cli(args_list)
    cfg = om.merge(yaml_cfg, cli_cfg)
""",
            "c/x.yaml": """
lr: 0.1
m:
  w: 3
""",
        },
        {"lr": 2.0, "m.w": 3},
        "python train.py c/x.yaml lr=2",
    ),
    Form(
        "ldm: base configs -b + unknown",
        {
            "train.py": """
import argparse, sys
from omegaconf import OmegaConf
def get_parser(**k):
    parser = argparse.ArgumentParser(**k)
    parser.add_argument("-b", "--base", nargs="*", metavar="base_config.yaml", default=list())
    parser.add_argument("-s", "--seed", type=int, default=23)
    return parser
opt, unknown = get_parser().parse_known_args()
configs = [OmegaConf.load(cfg) for cfg in opt.base]
cli = OmegaConf.from_dotlist(unknown)
config = OmegaConf.merge(*configs, cli)
""",
            "c/x.yaml": """
model:
  base_learning_rate: 0.1
""",
        },
        {"model.base_learning_rate": 0.1, "seed": 23},
        "python train.py --base c/x.yaml -t",
    ),
    Form(
        "omegaconf structured from_cli",
        {
            "train.py": """
from omegaconf import OmegaConf
from dataclasses import dataclass
@dataclass
class C:
    lr: float = 0.1
cfg = OmegaConf.merge(OmegaConf.structured(C), OmegaConf.from_cli())
""",
        },
        {"lr": 0.1},
    ),
    Form(
        "omegaconf create dict + from_cli",
        {
            "train.py": """
from omegaconf import OmegaConf
cfg = OmegaConf.create({"lr": 0.1, "m": {"w": 3}})
cfg.merge_with_cli()
""",
        },
        {"lr": 0.1, "m.w": 3},
    ),
    Form(
        "omegaconf default config in code via argparse --config + opts (dassl/detectron yacs)",
        {
            "train.py": """
import argparse
from config import get_cfg_defaults
p = argparse.ArgumentParser()
p.add_argument("--config-file", default="")
p.add_argument("opts", default=None, nargs=argparse.REMAINDER)
args = p.parse_args()
cfg = get_cfg_defaults()
cfg.merge_from_file(args.config_file)
cfg.merge_from_list(args.opts)
""",
            "config.py": """
from yacs.config import CfgNode as CN
_C = CN()
_C.SOLVER = CN()
_C.SOLVER.BASE_LR = 0.001
_C.SOLVER.IMS_PER_BATCH = 16
_C.MODEL = CN(new_allowed=True)
_C.MODEL.WIDTH = 64
_C.SEED = 1
def get_cfg_defaults():
    return _C.clone()
""",
            "c.yaml": """
SOLVER:
  BASE_LR: 0.01
""",
        },
        {"SOLVER.BASE_LR": 0.01, "SOLVER.IMS_PER_BATCH": 16, "MODEL.WIDTH": 64, "SEED": 1},
        "python train.py --config-file c.yaml",
    ),
    Form(
        "mmcv config py --cfg-options",
        {
            "train.py": """
import argparse
from mmengine.config import Config, DictAction
p = argparse.ArgumentParser()
p.add_argument('config')
p.add_argument('--cfg-options', nargs='+', action=DictAction)
p.add_argument('--seed', type=int, default=None)
args = p.parse_args()
cfg = Config.fromfile(args.config)
cfg.merge_from_dict(args.cfg_options)
""",
            "configs/a.py": """
_base_ = ['./base.py']
optimizer = dict(type='SGD', lr=0.02, momentum=0.9)
model = dict(backbone=dict(depth=50))
""",
            "configs/base.py": """
total_epochs = 12
data = dict(samples_per_gpu=2)
""",
        },
        {"optimizer.lr": 0.02, "seed": None, "total_epochs": 12, "data.samples_per_gpu": 2, "model.backbone.depth": 50},
        "python train.py configs/a.py",
    ),
    Form(
        "yaml.safe_load constant name (not settable)",
        {
            "train.py": """
import yaml
with open('config.yaml') as f:
    cfg = yaml.safe_load(f)
lr = cfg['lr']
""",
            "config.yaml": """
lr: 0.1
""",
        },
        {},
    ),
    Form(
        "yaml.load with argparse config path (not settable)",
        {
            "train.py": """
import yaml, argparse
p = argparse.ArgumentParser()
p.add_argument('--config', default='config.yaml')
cfg = yaml.safe_load(open(p.parse_args().config))
""",
            "config.yaml": """
lr: 0.1
""",
        },
        {"config": "config.yaml"},
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
]


@pytest.mark.parametrize("form", FORMS, ids=[form.name for form in FORMS])
def test_what_is_found(form: Form, tmp_path: Path) -> None:
    assert wrong(form, tmp_path) == {}
