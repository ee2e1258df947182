"""Options that come in classes, groups, unions and helpers."""

from __future__ import annotations

import textwrap

from .test_styles import added, flag, read, roles


def test_options_of_several_classes_whose_methods_are_called_alike() -> None:
    script = read(
        """
        import argparse

        class Options:
            def __init__(self):
                self.parser = argparse.ArgumentParser()
            def fill(self):
                self.parser.add_argument("--root", default="x")

        class TrainOptions(Options):
            def fill(self):
                Options.fill(self)
                self.parser.add_argument("--lr", type=float, default=0.1)

        class TestOptions(Options):
            def fill(self):
                Options.fill(self)
                self.parser.add_argument("--crops", type=int, default=5)

        opt = TrainOptions().parse()
        """
    )
    assert roles(script) == {"root": "exclude", "lr": "tune"}


def test_a_comment_over_a_single_field_is_its_help() -> None:
    script = read(
        """
        from dataclasses import dataclass
        import tyro

        @dataclass
        class Config:
            # Multiplies the number of training steps
            zorp: float = 1.0
            # Folder of the pictures
            place: str = "x"

            # Number of training steps
            zirp: int = 3
            zarp: int = 4

        cfg = tyro.cli(Config)
        """
    )
    assert roles(script) == {"zorp": "fidelity", "place": "exclude", "zirp": "tune", "zarp": "tune"}


def test_subcommands_of_a_union() -> None:
    source = """
        from dataclasses import dataclass
        from typing import Union
        from typing_extensions import Annotated
        import tyro

        @dataclass
        class TrainArgs:
            lr: float = 0.1

        @dataclass
        class EvalArgs:
            shots: int = 5

        Train = Annotated[TrainArgs, tyro.conf.subcommand(name="fit")]
        Both = Union[Train, EvalArgs]
        args = tyro.cli(Both)
        """
    assert roles(read(source, "python train.py fit --lr 0.2")) == {"lr": "tune"}
    assert flag(read(source, "python train.py fit --lr 0.2"), "lr").current == 0.2
    assert roles(read(source)) == {"lr": "tune"}


def test_groups_of_hydras_store_are_chosen_by_the_defaults() -> None:
    script = read(
        """
        from dataclasses import dataclass, field
        from typing import Any
        import hydra
        from hydra.core.config_store import ConfigStore
        from omegaconf import MISSING

        chosen = [{"optim": "plain"}]

        @dataclass
        class Plain:
            lr: float = 0.1

        @dataclass
        class Fancy:
            wd: float = 0.1

        @dataclass
        class Config:
            defaults: list = field(default_factory=lambda: chosen)
            optim: Any = MISSING
            seed: int = 1

        store = ConfigStore.instance()
        store.store(name="config", node=Config)
        store.store(group="optim", name="plain", node=Plain)
        store.store(group="optim", name="fancy", node=Fancy)

        @hydra.main(config_path=".", config_name="config")
        def main(cfg): ...
        """
    )
    assert roles(script)["optim.lr"] == "tune"
    assert "optim.wd" not in roles(script)
    assert "defaults" not in roles(script)


def test_constants_beside_options_are_told_where_the_script_keeps_its_settings_so() -> None:
    few = """
        import argparse
        PLACE = "x"
        GAMMA = 0.9
        p = argparse.ArgumentParser()
        p.add_argument("--cuda", action="store_true")
        """
    assert roles(read(few)) == {"cuda": "exclude", "GAMMA": "tune"}
    many = few.replace("GAMMA = 0.9", "GAMMA = 0.9\n        BATCH_SIZE = 8\n        LEARNING_RATE = 0.1")
    assert roles(read(many)) == {
        "cuda": "exclude", "PLACE": "exclude", "GAMMA": "tune", "BATCH_SIZE": "tune", "LEARNING_RATE": "tune",
    }  # fmt: skip


def test_a_switch_that_is_on_already_has_its_role_but_no_range() -> None:
    script = read(
        """
        import argparse
        p = argparse.ArgumentParser()
        p.add_argument("--nesterov", action="store_true", default=True)
        p.add_argument("--amsgrad", action="store_true")
        """
    )
    assert roles(script) == {"nesterov": "tune", "amsgrad": "tune"}
    assert flag(script, "nesterov").dim is None
    assert flag(script, "amsgrad").dim is not None


def test_titles_of_groups_tell_what_their_options_are_about() -> None:
    script = read(
        """
        import argparse
        p = argparse.ArgumentParser()
        g = p.add_argument_group("Visualization")
        g.add_argument("--zorp", type=int, default=3)
        h = p.add_argument_group("Model")
        h.add_argument("--zarp", type=int, default=3)
        """
    )
    assert roles(script) == {"zorp": "exclude", "zarp": "tune"}


CONFIG_DICT = """
import ml_collections

def get_config():
    config = ml_collections.ConfigDict()
    config.learning_rate = 0.1
    config.num_epochs = 5
    config.optim = ml_collections.ConfigDict()
    opt = config.optim
    opt.weight_decay = 1e-4
    config.data = ml_collections.ConfigDict({"folder": "x", "batch_size": 8})
    config.later = config.num_epochs * 2
    return config
"""


def test_a_config_dict_is_set_leaf_by_leaf() -> None:
    main = """
        from absl import app
        from ml_collections import config_flags
        config_flags.DEFINE_config_file("config", "./configs/small.py", "settings")
        """
    script = read(main, others={"configs/small.py": CONFIG_DICT, "configs/other.py": CONFIG_DICT.replace("0.1", "0.2")})
    assert flag(script, "config.learning_rate").default == 0.1
    assert roles(script) == {
        "config": "exclude", "config.learning_rate": "tune", "config.num_epochs": "fidelity",
        "config.optim.weight_decay": "tune", "config.data.folder": "exclude", "config.data.batch_size": "tune",
        "config.later": "exclude",
    }  # fmt: skip
    assert added(script, config__learning_rate=0.3) == "--config.learning_rate=0.3"
    assert [f.name for f in read(main).flags] == ["config"]


def test_a_helper_that_passes_on_what_it_is_given() -> None:
    script = read(
        """
        import argparse

        def put(parser, *args, **kwargs):
            parser.add_argument(*args, **kwargs)

        p = argparse.ArgumentParser()
        put(p, "--lr", "-l", type=float, default=0.1)
        put(p, "--epochs", type=int, default=3)
        args = p.parse_args()
        """,
        "python train.py -l 0.2",
    )
    assert roles(script) == {"lr": "tune", "epochs": "fidelity"}
    assert flag(script, "lr").current == 0.2
    assert script.notes == []


def test_config_dicts_of_variables_functions_and_classes() -> None:
    main = """
        import ml_collections
        from ml_collections import config_flags
        from agent import Agent
        from logs import default_logs, SHARED
        model = ml_collections.ConfigDict({"lr": 1e-4, "net": {"depth": 2}})
        model["dropout"] = 0.1
        logs = default_logs()
        logs.update({"project": "x"})
        far = unseen()
        far.update(dict(entity="y"))
        config_flags.DEFINE_config_dict("model", model, lock_config=False)
        config_flags.DEFINE_config_dict("logs", logs)
        config_flags.DEFINE_config_dict("far", far)
        config_flags.DEFINE_config_dict("shared", SHARED)
        config_flags.DEFINE_config_dict("agent", config=Agent.get_default_config())
        """
    logs = """
        def default_logs():
            config = ConfigDict()
            config.entity = config_dict.placeholder(str)
            return config
        SHARED = ConfigDict(dict(seed=3))
        """
    agent = """
        class Agent:
            def get_default_config():
                config = base()
                config.net = net = ConfigDict()
                net.width = 8
                return config
        def base():
            return ConfigDict(dict(tau=0.005))
        """
    script = read(main, others={"logs.py": textwrap.dedent(logs), "agent.py": textwrap.dedent(agent)})
    assert {name: role for name, role in roles(script).items() if "." in name} == {
        "model.lr": "tune", "model.net.depth": "tune", "model.dropout": "tune", "logs.entity": "exclude",
        "logs.project": "exclude", "far.entity": "exclude", "shared.seed": "seed", "agent.tau": "tune",
        "agent.net.width": "tune",
    }  # fmt: skip
    assert flag(script, "logs.entity").kind == "str"
    assert added(script, model__lr=0.3) == "--model.lr=0.3"


def test_a_config_dict_that_makes_itself_ends() -> None:
    main = """
        from ml_collections import config_flags
        def one():
            config = two()
            config.me = config
            config.lr = 0.1
            return config
        def two():
            return one()
        config_flags.DEFINE_config_dict("c", one())
        """
    assert "c" in roles(read(main))
