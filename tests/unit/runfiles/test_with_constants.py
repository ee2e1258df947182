"""A script run with some of its constants set anew."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ragent_jupyter.runfiles import with_constants

SCRIPT = '''# -*- coding: latin-1 -*-
"""Doc: \xe9"""
from __future__ import annotations
import json, os, pickle, sys
import helper

LR = 0.1
STEPS: int = 10
NAME = "a"
TABLE = {"depth": 2, "opt": {"wd": 0.0}}
OTHER = dict(width=3)
class Config:
    dropout: float = 0.5
    class Inner:
        x = 1
if os.environ.get("NOPE"):
    LATE = 1
else:
    LATE = 2
class Point: ...
pickle.loads(pickle.dumps(Point()))
print(json.dumps(dict(lr=LR, steps=STEPS, name=NAME, table=TABLE, other=OTHER, dropout=Config.dropout, x=Config.Inner.x,
    late=LATE, doc=__doc__, file=__file__, main=__name__, argv=sys.argv, helper=helper.X, first=sys.path[0],
    kinds=[type(LR).__name__, type(STEPS).__name__])))
if "--fail" in sys.argv:
    raise RuntimeError("here")
'''


@pytest.fixture
def script(tmp_path: Path) -> Path:
    folder = tmp_path / "my code"
    folder.mkdir()
    (folder / "helper.py").write_text("X = 7\n")
    path = folder / "train.py"
    path.write_text(SCRIPT, encoding="latin-1")
    return path


def run(script: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, with_constants.__file__, str(script), *args]
    return subprocess.run(command, capture_output=True, text=True, cwd=script.parent.parent, timeout=60)


def said(script: Path, *args: str) -> dict[str, object]:
    ran = run(script, *args)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, object] = json.loads(ran.stdout)
    return found


def test_constants_are_set_and_all_else_is_as_it_would_be(script: Path) -> None:
    got = said(script, "--x", "1", "--ragent-set", "LR=0.5", "--ragent-set=STEPS=20.0", "y", "--ragent-set", "NAME=b c",
               "--ragent-set", "TABLE.depth=9", "--ragent-set", "TABLE.opt.wd=0.1", "--ragent-set", "OTHER.width=4",
               "--ragent-set", "Config.dropout=0.1", "--ragent-set", "Config.Inner.x=5",
               "--ragent-set", "LATE=8")  # fmt: skip
    assert got["lr"] == 0.5 and got["steps"] == 20 and got["kinds"] == ["float", "int"]
    assert got["name"] == "b c" and got["table"] == {"depth": 9, "opt": {"wd": 0.1}} and got["other"] == {"width": 4}
    assert (got["dropout"], got["x"], got["late"]) == (0.1, 5, 8)
    assert got["argv"] == [str(script), "--x", "1", "y"] and got["main"] == "__main__" and got["file"] == str(script)
    assert got["helper"] == 7 and got["first"] == str(script.parent) and got["doc"] == "Doc: \xe9"


def test_nothing_to_set_changes_nothing_and_the_last_counts(script: Path) -> None:
    assert said(script)["lr"] == 0.1
    assert said(script, "--ragent-set", "LR=1", "--ragent-set", "LR=2")["lr"] == 2


def test_the_traceback_names_the_script_s_own_line(script: Path) -> None:
    ran = run(script, "--fail", "--ragent-set", "LR=0.5")
    line = SCRIPT.splitlines().index('    raise RuntimeError("here")') + 1
    assert ran.returncode == 1
    assert f'"{script}", line {line}' in ran.stderr and 'raise RuntimeError("here")' in ran.stderr


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--ragent-set", "NOPE=1"], "assigns no NOPE"),
        (["--ragent-set", "Config.nope=1"], "assigns no Config.nope"),
        (["--ragent-set", "LR"], "NAME=VALUE"),
        (["--ragent-set", "a b=1"], "NAME=VALUE"),
        (["--ragent-set"], "last word"),
    ],
)
def test_what_cannot_be_set_ends_with_two(script: Path, args: list[str], text: str) -> None:
    ran = run(script, *args)
    assert ran.returncode == 2 and text in ran.stderr and ran.stdout == ""


def test_a_script_that_is_not_there_ends_with_two(tmp_path: Path) -> None:
    ran = run(tmp_path / "x" / "nope.py", "--ragent-set", "LR=1")
    assert ran.returncode == 2 and "cannot be read" in ran.stderr


def test_values() -> None:
    literal = with_constants.literal
    assert [literal(t) for t in ("1e-3", "true", "None", "[1, 2]", "abc", "'x'", "__import__('os')")] == [
        0.001, True, None, [1, 2], "abc", "x", "__import__('os')",
    ]  # fmt: skip


def test_it_needs_nothing_but_an_old_python() -> None:
    import ast

    tree = ast.parse(Path(with_constants.__file__).read_text(), feature_version=(3, 8))
    names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    assert names == {"ast", "importlib.machinery", "importlib.util", "os", "sys"}


FORMS = """
import json
from types import SimpleNamespace as Bag
from pkg import config
from pkg.config import WIDTH, hp
import pkg.config as again
import settings

lr, depth = 0.1, 2
bag = Bag(wd=0.0, inner=dict(k=1))
cfg = Bag()
cfg.rate = 0.5
cfg.opt = {"name": "sgd"}
class Config:
    def __init__(self, size):
        self.size = size
        self.drop = 0.1
print(json.dumps(dict(lr=lr, depth=depth, wd=bag.wd, k=bag.inner["k"], rate=cfg.rate, name=cfg.opt["name"],
    drop=Config(1).drop, LR=config.LR, width=WIDTH, hp=hp, again=again.LR, main=config.__name__,
    file=settings.__file__, epochs=settings.EPOCHS)))
"""


def test_forms_of_constants_and_those_of_modules_that_it_imports(tmp_path: Path) -> None:
    (tmp_path / "src" / "pkg").mkdir(parents=True)
    script = tmp_path / "src" / "train.py"
    script.write_text(FORMS)
    (tmp_path / "src" / "pkg" / "__init__.py").write_text("")
    (tmp_path / "src" / "pkg" / "config.py").write_text("LR = 0.1\nWIDTH = 64\nhp = {'a': {'b': 1}}\n")
    (tmp_path / "src" / "settings").mkdir()
    (tmp_path / "src" / "settings" / "__init__.py").write_text("EPOCHS = 3\n")
    words = ["lr=0.2", "depth=4", "bag.wd=0.3", "bag.inner.k=5", "cfg.rate=0.6", "cfg.opt.name=adam", "Config.drop=0.4",
             "pkg/config.py:LR=7.0", "pkg/config.py:WIDTH=8", "pkg/config.py:hp.a.b=9",
             "settings/__init__.py:EPOCHS=2"]  # fmt: skip
    got = said(script, *(f"--ragent-set={word}" for word in words))
    file = str(tmp_path / "src" / "settings" / "__init__.py")
    assert got == {
        "lr": 0.2, "depth": 4, "wd": 0.3, "k": 5, "rate": 0.6, "name": "adam", "drop": 0.4, "LR": 7.0, "width": 8,
        "hp": {"a": {"b": 9}}, "again": 7.0, "main": "pkg.config", "file": file, "epochs": 2,
    }  # fmt: skip
    assert said(script)["LR"] == 0.1, "nothing of it was kept on disk"


def test_a_module_that_is_not_there_and_one_that_is_never_imported(script: Path) -> None:
    ran = run(script, "--ragent-set", "nope.py:LR=1")
    assert ran.returncode == 2 and "nope.py cannot be read" in ran.stderr
    (script.parent / "unused.py").write_text("LR = 1\n")
    ran = run(script, "--ragent-set", "unused.py:LR=2")
    assert ran.returncode == 2 and "never imported" in ran.stderr, "its values were not tried"
    script.write_text("import sys\nsys.exit(0)\n")
    assert run(script, "--ragent-set", "unused.py:LR=2").returncode == 2
    script.write_text("raise ValueError('its own')\n")
    ran = run(script, "--ragent-set", "unused.py:LR=2")
    assert ran.returncode == 1 and ran.stderr.endswith("ValueError: its own\n")


@pytest.mark.parametrize(
    ("end", "code", "last"),
    [
        ("sys.exit()", 0, ""),
        ("sys.exit(7)", 7, ""),
        ("sys.exit('no data')", 1, "no data\n"),
        ("raise ValueError('CUDA out of memory')", 1, "ValueError: CUDA out of memory\n"),
    ],
)
def test_a_script_ends_as_it_would_by_itself(script: Path, end: str, code: int, last: str) -> None:
    script.write_text(f"import sys\nLR = 0.1\n{end}\n")
    ran = run(script, "--ragent-set", "LR=0.2")
    assert ran.returncode == code and ran.stderr.endswith(last) and "NameError" not in ran.stderr
    assert bool(ran.stderr) is bool(last)


def test_a_folder_a_link_and_files_with_names_of_the_standard_library(script: Path) -> None:
    folder = script.parent
    (folder / "__main__.py").write_text("import json, sys, config\nprint(json.dumps([config.LR, sys.argv]))\n")
    (folder / "real").mkdir()
    (folder / "real" / "settings.py").write_text("LR = 0.1\n")
    (folder / "config.py").symlink_to("real/settings.py")
    for name in ("token", "tokenize"):
        (folder / f"{name}.py").write_text("raise SystemExit('the wrong one')\n")
    command = [sys.executable, with_constants.__file__, str(folder), "x", "--ragent-set", "config.py:LR=0.2"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, env={"PYTHONPATH": str(folder)})
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == [0.2, [str(folder), "x"]]
