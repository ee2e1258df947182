"""A constant that something else takes the place of later on is not offered: to set it would change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from ragent_jupyter.rules.script import read_script

from .forms import Form, script_of

SHOWN = "print(LR, SEED, WIDTH)\n"
PLAIN = "LR = 1e-3\nSEED = 0\nWIDTH = 64\n"
READ = "print(config.LR, config.SEED, config.WIDTH)\n"
CLASS = """
from dataclasses import dataclass, replace
@dataclass
class Config:
    lr: float = 1e-3
    seed: int = 0
    width: int = 64
"""
DICT = 'config = {"lr": 1e-3, "seed": 0, "width": 64}\n'
DICT_READ = 'print(config["lr"], config["seed"], config["width"])\n'


class Case(Struct):
    """offered: names, each with what it is set by; whatever else the files hold is not offered."""

    name: str
    files: dict[str, str]
    offered: dict[str, str]


def own(*names: str) -> dict[str, str]:
    return {name: name for name in names}


def of(start: str, *names: str) -> dict[str, str]:
    return {name: start + name for name in names}


def script(text: str) -> dict[str, str]:
    return {"train.py": text}


def both(text: str, config: str = PLAIN) -> dict[str, str]:
    return {"train.py": text, "config.py": config}


CASES = [
    Case("nothing overrides", script(PLAIN + SHOWN), own("LR", "SEED", "WIDTH")),
    Case("for", script(PLAIN + "for LR in [0.02]: pass\n" + SHOWN), own("SEED", "WIDTH")),
    Case("with", script(PLAIN + "with f() as LR: pass\n" + SHOWN), own("SEED", "WIDTH")),
    Case("except", script(PLAIN + "try: f()\nexcept E as LR: pass\n" + SHOWN), own("SEED", "WIDTH")),
    Case("walrus", script(PLAIN + "if (LR := 0.02): pass\n" + SHOWN), own("SEED", "WIDTH")),
    Case("augmented", script(PLAIN + "while f():\n    LR *= 2\n" + SHOWN), own("SEED", "WIDTH")),
    Case("import", script(PLAIN + "from elsewhere import LR\n" + SHOWN), own("SEED", "WIDTH")),
    Case("del", script(PLAIN + "del LR\n" + SHOWN), own("SEED", "WIDTH")),
    Case("in a loop", script(PLAIN + "for i in range(2):\n    LR = 0.1\n" + SHOWN), own("SEED", "WIDTH")),
    Case("global", script(PLAIN + "def main():\n    global LR\n    LR = 0.02\n" + SHOWN), own("SEED", "WIDTH")),
    Case("a function's own", script(PLAIN + "def f():\n    LR = 0.02\n" + SHOWN), own("LR", "SEED", "WIDTH")),
    Case("globals()", script(PLAIN + "globals()['LR'] = 0.02\n" + SHOWN), own("SEED", "WIDTH")),
    Case("module.NAME", both("import config\nconfig.LR = 0.02\n" + READ), of("config.py:", "SEED", "WIDTH")),
    Case(
        "setattr of a module",
        both("import config as C\nsetattr(C, 'LR', 0.02)\nprint(C.LR, C.SEED, C.WIDTH)\n"),
        of("config.py:", "SEED", "WIDTH"),
    ),
    Case("vars of a module", both("import config\nvars(config).update(load())\n" + READ), {}),
    Case(
        "never read, and read by another module",
        both("import config, model\nWIDTH = 16\nprint(config.LR, config.SEED, model.W)\n")
        | {"model.py": "from config import WIDTH\nW = WIDTH\n"},
        of("config.py:", "LR", "SEED", "WIDTH"),
    ),
    Case("derived", both("import config\n" + READ, PLAIN + "LR2 = LR\n"), of("config.py:", "LR", "SEED", "WIDTH")),
    Case("derived of what is not searched", both("import config\n" + READ, "BASE = 1e-3\nLR = BASE * 2\nLR2 = LR\n"),
         {"LR": "config.py:LR", "BASE": "config.py:BASE"}),
    Case("derived, computed", script(PLAIN + "MIN_LR = LR * 0.1\nprint(MIN_LR)\n" + SHOWN), own("LR", "SEED", "WIDTH")),
    Case(
        "a derived class",
        {
            "cfg.py": "class Base:\n    lr = 1e-3\n    seed = 0\n    width = 64\nclass Config(Base):\n    lr = 2e-3\n",
            "train.py": "from cfg import Config\nprint(Config.lr, Config.seed, Config.width)\n",
        },
        {"lr": "cfg.py:Config.lr"} | of("cfg.py:Base.", "seed", "width"),
    ),
    Case(
        "a derived dataclass",
        script(CLASS + "@dataclass\nclass Mine(Config):\n    lr: float = 0.02\nprint(vars(Mine()))\n"),
        {"lr": "Mine.lr"} | of("Config.", "seed", "width"),
    ),
    Case("positional", script(CLASS + "cfg = Config(0.02, 7)\nprint(vars(cfg))\n"), {}),
    Case("**", script(CLASS + "def main():\n    kw = dict(lr=1)\n    print(Config(**kw))\nmain()\n"), {}),
    Case(
        "a keyword within a function",
        script(CLASS + "def main():\n    print(Config(lr=1))\nmain()\n"),
        of("Config.", "seed", "width"),
    ),
    Case(
        "a keyword of a derived class's call",
        script(CLASS + "@dataclass\nclass Mine(Config):\n    depth: int = 2\nprint(f(Mine(lr=1)))\n"),
        of("Config.", "seed", "width") | of("Mine.", "depth"),
    ),
    Case(
        "a keyword at the top",
        script(CLASS + "cfg = Config(lr=2e-3)\nprint(vars(cfg))\n"),
        {"lr": "cfg.lr"} | of("Config.", "seed", "width"),
    ),
    Case(
        "assigned and replaced",
        script(CLASS + "cfg = Config()\ncfg.lr = 0.02\ncfg = replace(cfg, width=32)\nprint(vars(cfg))\n"),
        of("Config.", "seed"),
    ),
    Case("setattr", script(CLASS + "cfg = Config()\nsetattr(cfg, 'lr', 1)\nprint(cfg)\n"),
         of("Config.", "seed", "width")),
    Case("setattr of any", script(CLASS + "cfg = Config()\nfor k in f(): setattr(cfg, k, 1)\nprint(cfg)\n"), {}),
    Case("Class.x", script(CLASS + "def f():\n    Config.lr = 0.1\nf()\nprint(Config())\n"),
         of("Config.", "seed", "width")),
    Case(
        "another class's own",
        script(CLASS + "class T:\n    def __init__(self, lr): self.lr = lr\ncfg = Config()\nT(cfg.lr)\n"),
        of("Config.", "lr", "seed", "width"),
    ),
    Case("__post_init__", script(CLASS + "    def __post_init__(self):\n        self.lr = 1\nprint(Config())\n"),
         of("Config.", "seed", "width")),
    Case("update", script(DICT + 'config.update({"lr": 5e-3})\n' + DICT_READ), of("config.", "seed", "width")),
    Case("update by keyword", script(DICT + "config.update(lr=5e-3)\n" + DICT_READ), of("config.", "seed", "width")),
    Case("update with anything", script(DICT + "config.update(load())\n" + DICT_READ), {}),
    Case("|=", script(DICT + 'config |= {"lr": 5e-3}\n' + DICT_READ), {}),
    Case("[key] at the top", script(DICT + 'config["width"] = 32\n' + DICT_READ), of("config.", "lr", "seed", "width")),
    Case("[key] within", script('def f():\n    config["lr"] = 1\n' + DICT + "f()\n" + DICT_READ),
         of("config.", "seed", "width")),
    Case("[any key]", script(DICT + "for k in f(): config[k] = 1\n" + DICT_READ), {}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_only_what_has_an_effect_is_offered(case: Case, tmp_path: Path) -> None:
    found: dict[str, Any] = {}
    for flag in script_of(Form(case.name, case.files, {}), tmp_path).flags:
        found[flag.name] = flag.template.split()[1].partition("=")[0].replace("{name}", flag.name)
    assert found == case.offered


@pytest.mark.parametrize(
    "start",
    [
        "import multiprocessing as mp\nmp.get_context('spawn')\n",
        "import multiprocessing\nmultiprocessing.set_start_method('spawn', force=True)\n",
        "import torch.multiprocessing as tmp\ntmp.spawn(main, nprocs=2)\n",
        "from torch.multiprocessing import spawn\nspawn(main)\n",
    ],
)
def test_spawned_processes_get_no_constants(start: str, tmp_path: Path) -> None:
    script = script_of(Form("spawn", {"train.py": PLAIN + start + SHOWN}, {}), tmp_path)
    assert not script.flags
    assert any(note.startswith("Constants do not reach processes that are spawned") for note in script.notes)


def test_forked_processes_get_them(tmp_path: Path) -> None:
    start = "import multiprocessing as mp\nmp.get_context('fork')\n"
    script = script_of(Form("fork", {"train.py": PLAIN + start + SHOWN}, {}), tmp_path)
    assert {flag.name for flag in script.flags} == {"LR", "SEED", "WIDTH"}


CONFIG = """
from dataclasses import dataclass
from omegaconf import OmegaConf
@dataclass
class Config:
    lr: float = 0.1
    width: int = 64
"""


@pytest.mark.parametrize(
    "rest",
    [
        "config = Config()\nbar.update(1)\nflat[i] = 2\n",
        "config = Config(**OmegaConf.from_cli())\n",
        "typed = OmegaConf.from_cli()\nconfig = Config(**typed)\n",
    ],
    ids=["other things are written to", "what was typed", "what was typed, by a name"],
)
def test_what_does_not_touch_a_class_leaves_its_fields(rest: str) -> None:
    script = read_script(f"{CONFIG}{rest}print(config.lr, config.width)\n", "train.py", {}, "python train.py")
    assert {flag.name.rpartition(".")[2] for flag in script.flags} >= {"lr", "width"}


def test_a_mapping_from_elsewhere_takes_a_class_its_fields() -> None:
    rest = "import json\nkept = json.load(open('c.json'))\nconfig = Config(**kept)\nprint(config.lr)\n"
    assert read_script(CONFIG + rest, "train.py", {}, "python train.py").flags == []
