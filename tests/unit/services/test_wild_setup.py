"""From a goal and a command to what a loop would run."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ragent_jupyter.adapters.executors.fake import FakeExecutor
from ragent_jupyter.adapters.store.memory import MemoryStore
from ragent_jupyter.domain.errors import BadInput, CannotBeDone, RagentError
from ragent_jupyter.domain.ports_wild import Ignored
from ragent_jupyter.domain.sweep import Range, Values
from ragent_jupyter.domain.wild import Knob
from ragent_jupyter.domain.wire_wild import CreateLoop, SetupReply
from ragent_jupyter.rules.sweep_space import command_for
from ragent_jupyter.services.runs import RunsDesk
from ragent_jupyter.services.shell import Shell
from ragent_jupyter.services.wild_setup import SetupDesk, plausible

from .desks import Pythons, StillClock

TRAIN = """
import argparse
from options import more
p = argparse.ArgumentParser()
p.add_argument("--lr", type=float, default=0.1)
p.add_argument("--weight-decay", type=float, default=0.0)
p.add_argument("--epochs", type=int, default=10)
p.add_argument("--seed", type=int, default=0)
p.add_argument("--hub_token", default="hf_abcdefghijklmnopqrstuvwxyz012345")
p.add_argument("--nesterov", action="store_true")
more(p)
"""
OPTIONS = 'def more(parser):\n    parser.add_argument("--dropout", type=float, default=0.1)\n'
CONSTANTS = "LR = 0.1\nEPOCHS = 3\nSEED = 1\nprint(LR, SEED)\n"


class FakeTrees:
    def __init__(self, root: str, ignored: list[Ignored]) -> None:
        self.root, self.found = root, ignored

    def repository(self, cwd: str) -> str:
        return self.root

    def ignored(self, cwd: str) -> list[Ignored]:
        return self.found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "options.py").write_text(OPTIONS)
    (tmp_path / "plain.py").write_text(CONSTANTS)
    return tmp_path


def propose(project: Path, command: str = "python train.py", trees: Any = None, **more: Any) -> SetupReply:
    async def asked() -> SetupReply:
        shell = Shell(MemoryStore(), StillClock())
        runs = RunsDesk(shell, project, {"fake": FakeExecutor()}, Pythons())
        desk = SetupDesk(runs, Pythons(), trees, project, lambda text: text.replace("hf_abc", "[secret]"))
        return await desk.propose(CreateLoop(goal="lower loss", command=command, **more))

    return asyncio.run(asked())


def test_a_setup_out_of_a_script(project: Path) -> None:
    reply = propose(
        project, "python train.py --lr 0.03", caller_env={"SECRET": "x"}, env={"A": "1"}, caller_python="/p"
    )
    setup = reply.setup
    assert (setup.command, setup.cwd, setup.python) == ("python train.py --lr 0.03", str(project), "/p")
    assert setup.seed == "seed" and (setup.fidelity, setup.full) == ("epochs", 10)
    assert set(setup.space) == {"lr", "weight-decay", "dropout", "nesterov"} and setup.space["lr"].default == 0.03
    assert (
        command_for("t", {"nesterov": True, "weight-decay": 0.1}, setup.flag, setup.flags)
        == "t --nesterov --weight-decay 0.1"
    )
    assert setup.env == {"A": "1"}, "the caller's environment stays out of it"
    assert 1 <= setup.parallel <= 4 and setup.isolation == "in_place" and reply.asks == []
    assert reply.script.path == "train.py" and reply.script.notes == []


def test_secrets_that_stand_in_a_script_are_not_shown(project: Path) -> None:
    flag = propose(project).script.flag("hub_token")
    assert flag is not None and "abcdefghij" not in str(flag.default)


def test_constants_are_set_through_the_helper_for_real(project: Path) -> None:
    setup = propose(project, "FOO=1 python plain.py --x 1").setup
    assert "with_constants.py plain.py --x 1" in setup.command and (setup.seed, setup.fidelity) == ("SEED", "EPOCHS")
    command = command_for(setup.command, {"LR": 0.5, "SEED": 9}, setup.flag, setup.flags)
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    ran = subprocess.run(["bash", "-c", command], cwd=project, env=env, capture_output=True, text=True, timeout=60)
    assert ran.stdout == "0.5 9\n", ran.stderr
    assert propose(project, "./plain.py").setup.command.startswith("python ")


def test_constants_of_a_module_cannot_be_set_and_that_is_said(project: Path) -> None:
    reply = propose(project, "python -m plain")
    assert reply.setup.space == {} and "with_constants" not in reply.setup.command
    assert any("-m" in note for note in reply.script.notes)


def test_yaml_beside_the_script_is_read(project: Path) -> None:
    (project / "sub" / "conf").mkdir(parents=True)
    (project / "sub" / "conf" / "config.yaml").write_text("lr: 1e-3\nseed: 1\nmax_epochs: 5\n")
    (project / "sub" / "h.py").write_text(
        'import hydra\n@hydra.main(config_path="conf", config_name="config")\ndef f(c): ...\n'
    )
    setup = propose(project, "cd sub && python h.py").setup
    assert setup.flags["lr"] == "{name}={value}" and (setup.seed, setup.fidelity) == ("seed", "max_epochs")


def test_what_a_person_says_goes_first(project: Path) -> None:
    knob = Knob(dim=Range(low=0.01, high=1.0, log=True))
    setup = propose(project, space={"--weight_decay": knob, "epochs": Knob(dim=Values([1, 2]))}, seed_flag="",
                    seeds=7, top=2, parallel=9, metric="acc", score="best").setup  # fmt: skip
    assert set(setup.space) == {"weight-decay", "epochs"} and setup.space["weight-decay"].default == 0.0
    assert setup.fidelity == "", "what is searched is no measure of training"
    assert (setup.seed, setup.seeds, setup.top, setup.parallel, setup.mode, setup.score) == ("", 7, 2, 9, "max", "best")


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"space": {"lrr": Knob(dim=Values([1]))}}, "lrr.*"),
        ({"space": {"seed": Knob(dim=Values([1]))}}, "seed"),
        ({"space": {"lr": Knob(dim=Range(low=0.0, high=1.0, log=True))}}, "log range"),
        ({"space": {"lr": Knob(dim=Values([]))}}, "no values"),
        ({"seed_flag": "nope"}, "no option"),
        ({"eval_files": ["nope.py"]}, "does not exist"),
        ({"isolation": "tree"}, "no git repository"),
        ({"isolation": "in_place", "may_edit": ["*.py"]}, "trees of their own"),
        ({"may_edit": ["*.py"]}, "trees of their own"),
        ({"executor": "nope"}, "no executor"),
        ({"cwd": "nope"}, "does not exist"),
        ({"parallel": 0}, "parallel"),
        ({"seeds": 0}, "seeds"),
        ({"command": "python nope.py"}, "There is no nope.py"),
        ({"command": "python train.py | tee x"}, "goes on after"),
        ({"command": "python tr\0ain.py"}, "NUL"),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(project: Path, more: dict[str, Any], text: str) -> None:
    with pytest.raises(RagentError, match=text) as refusal:
        propose(project, **more)
    assert refusal.value.remedy


def test_an_unknown_knob_names_the_known_ones(project: Path) -> None:
    with pytest.raises(BadInput) as refusal:
        propose(project, space={"lrr": Knob(dim=Values([1]))})
    assert "lr, weight-decay" in refusal.value.remedy


def test_files_that_are_no_scripts(project: Path) -> None:
    (project / "big.py").write_text("x = 1\n" * 900_000)
    (project / "bin.py").write_bytes(b"\x7fELF\0\0\0")
    os.mkfifo(project / "pipe.py")
    for name in ("big.py", "bin.py", "pipe.py"):
        with pytest.raises(BadInput):
            propose(project, f"python {name}")


def test_a_command_without_a_script_leaves_the_rest_to_the_person(project: Path) -> None:
    reply = propose(project, "bash run.sh", space={"lr": Knob(dim=Values([1, 2]))})
    assert reply.setup.seed is None and reply.script.notes and list(reply.setup.space) == ["lr"]


def test_no_command_asks_which(project: Path) -> None:
    ask = propose(project, "").asks[0]
    assert (ask.ref, ask.default) == ("command", "python train.py")
    with pytest.raises(BadInput, match="missing"):
        (project / "empty").mkdir()
        propose(project, " ", cwd=str(project / "empty"))


def test_a_metric_that_says_no_direction_is_asked_about(project: Path) -> None:
    assert [ask.ref for ask in propose(project, metric="zorp").asks] == ["mode"]
    assert propose(project, metric="zorp", mode="max").asks == []


def test_inputs_that_git_ignores_are_asked_about_once(project: Path) -> None:
    ignored = [
        Ignored("data", 2_000_000, "folder"), Ignored("outputs", 9, "folder"), Ignored(".env", 9, "file"),
        Ignored("vocab.json", 900, "file"), Ignored("x.log", 9, "file"),
    ]  # fmt: skip
    trees = FakeTrees(str(project), ignored)
    reply = propose(project, trees=trees)
    assert reply.setup.isolation == "tree" and reply.setup.inputs == ["data", "vocab.json"]
    (ask,) = reply.asks
    assert (ask.about, ask.ref, ask.default) == ("setup", "inputs", "link_all")
    assert "data/ (2 MB)" in ask.text and "outputs" not in ask.text and ask.held == ["data", "vocab.json"]
    for said, isolation, inputs in (
        (["link_all"], "tree", ["data", "vocab.json"]), (["none"], "tree", []), ([], "tree", []),
        (["data"], "tree", ["data"]), (["in_place"], "in_place", []),
    ):  # fmt: skip
        reply = propose(project, trees=trees, inputs=said)
        assert (reply.setup.isolation, reply.setup.inputs, reply.asks) == (isolation, inputs, [])
    assert propose(project, trees=trees, isolation="in_place").asks == []
    assert propose(project, trees=FakeTrees(str(project), [])).asks == []


def test_what_is_no_input() -> None:
    assert not plausible(Ignored("wandb/run-1", 5, "folder")) and not plausible(Ignored("a/.cache", 5, "folder"))
    assert not plausible(Ignored("empty", 0, "folder")) and plausible(Ignored("data/train.bin", 5, "file"))


def test_a_folder_that_no_interpreter_can_be_found_for(project: Path) -> None:
    with pytest.raises(CannotBeDone):
        propose(project, cwd=str(project / "train.py"))
