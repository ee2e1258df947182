"""Which script a command line runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.rules.script import locate


@pytest.mark.parametrize(
    ("command", "script", "args"),
    [
        ("python train.py --lr 0.1", "train.py", ["--lr", "0.1"]),
        ("FOO=1 CUDA_VISIBLE_DEVICES=0 python3.11 -u -W ignore src/train.py -b 4", "src/train.py", ["-b", "4"]),
        ("torchrun --nproc_per_node=2 train.py --lr=0.1", "train.py", ["--lr=0.1"]),
        ("accelerate launch --config_file a.yaml train.py x=1", "train.py", ["x=1"]),
        ("python -m torch.distributed.launch --nproc 2 train.py --a 1", "train.py", ["--a", "1"]),
        ("uv run --with numpy train.py --lr 1", "train.py", ["--lr", "1"]),
        ("conda run -n env python train.py", "train.py", []),
        ("python prep.py && python train.py --x 1", "train.py", ["--x", "1"]),
        ("python prep.py; python train.py \\\n  --x 1 \\\n  --y 2", "train.py", ["--x", "1", "--y", "2"]),
        ("python 'my script.py' 'a b'", "my script.py", ["a b"]),
        ("./train.py --fast", "./train.py", ["--fast"]),
        ("nohup python train.py --lr 1 > log.txt 2>&1", "train.py", ["--lr", "1"]),
        ("xvfb-run -a python train.py", "train.py", []),
    ],
)
def test_the_last_script_is_found(command: str, script: str, args: list[str]) -> None:
    where = locate(command)
    assert (where.script, where.args, where.problem) == (script, args, "")
    assert script in command[where.start : where.end]


@pytest.mark.parametrize(
    ("command", "module"),
    [
        ("python -m pkg.train --lr 1", "pkg.train"),
        ("python -um pkg.train", "pkg.train"),
        ("torchrun --nproc_per_node 2 -m pkg.train", "pkg.train"),
        ("python -m torch.distributed.run -m pkg.train", "pkg.train"),
        ("uv run -m pkg.train", "pkg.train"),
    ],
)
def test_a_module_is_told_from_a_script(command: str, module: str) -> None:
    assert (locate(command).module, locate(command).script) == (module, "")


@pytest.mark.parametrize(
    "command",
    ["", "bash run.sh", "cat train.py", "python -c 'print(1)'", "python", "python 'open", "python - < train.py"],
)
def test_what_runs_no_script_says_so(command: str) -> None:
    where = locate(command)
    assert where.problem
    assert not where.script and not where.module


@pytest.mark.parametrize(
    ("command", "tail"),
    [
        ("python train.py | tee log", "| tee log"),
        ("python train.py && echo done", "&& echo done"),
        ("python train.py;", ";"),
        ("python train.py &", "&"),
        ("(cd a; python train.py)", ")"),
        ("python train.py # note", "# note"),
        ("python train.py > log 2>&1", ""),
        ("python train.py\n", ""),
        ("cd a && python train.py --x 1", ""),
    ],
)
def test_what_follows_the_arguments_is_told(command: str, tail: str) -> None:
    assert locate(command).tail == tail


def test_a_folder_that_is_gone_to_first_counts() -> None:
    assert locate("cd a && cd b && python t.py").folder == "a/b"


@given(st.text(max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    where = locate(text)
    assert 0 <= where.start <= where.end <= len(text)
