"""What an option needs to be offered to a search: a word of the method, a use in it, or a heading that says so."""

from __future__ import annotations

from typing import Any

import pytest

from ragent_jupyter.rules.script import read_script
from ragent_jupyter.rules.script.found import Found
from ragent_jupyter.rules.script.roles import judge
from ragent_jupyter.rules.script.vocabulary import words


def found(name: str, kind: Any = "float", default: Any = 0.5, help: str = "", **more: Any) -> Found:
    return Found(
        name=name, style="argparse", template="--{name} {value}", kind=kind, default=default, help=help, **more
    )


def role(one: Found, *beside: str) -> str:
    return judge(one, frozenset(word for name in (one.name, *beside) for word in words(name))).role


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (found("blorb", "bool", False), "exclude"),
        (found("blorb", "bool", False, "whether to use adam"), "tune"),
        (found("blorb", "bool", False, section="Generator options"), "tune"),
        (found("blorb", "bool", False, section="Paths"), "exclude"),
        (found("blorb", "float", 0.5), "tune"),
        (found("blorb", "str", "x", "kind of blorb: none|soft|hard"), "tune"),
        (found("blorb", "str", "x", "kind of blorb"), "exclude"),
        (found("bonus_reward", "bool", False), "exclude"),
        (found("reward_scaling", "bool", False), "tune"),
        (found("dropoff_scale", "float", 1.0, section="Evaluation settings"), "exclude"),
        (found("dropoff_scale", "float", 1.0, section="Training settings"), "tune"),
    ],
)
def test_a_switch_needs_evidence_and_a_number_does_not(one: Found, expected: str) -> None:
    assert role(one) == expected


@pytest.mark.parametrize(
    ("name", "kind", "default", "expected"),
    [
        ("gravity", "float", -9.8, "exclude"),
        ("joint_friction", "float", 0.3, "exclude"),
        ("speaker_embed", "int", 64, "tune"),
        ("episode_length", "int", 200, "exclude"),
        ("forecast_length", "int", 24, "exclude"),
        ("history_length", "int", 24, "tune"),
        ("n_levels", "int", 4, "tune"),
        ("level", "int", 4, "exclude"),
        ("cluster_count", "int", 8, "tune"),
        ("lambda_class", "float", 1.0, "tune"),
        ("set_cost_class", "float", 1.0, "tune"),
        ("pos_encoding", "str", "rope", "tune"),
        ("encoding", "str", "utf-8", "exclude"),
        ("warm_start", "str", None, "exclude"),
        ("warm_start_steps", "int", 500, "tune"),
        ("pretrain_adapter", "str", None, "exclude"),
        ("out_channels", "int", 3, "exclude"),
        ("out_channels", "int", 256, "tune"),
        ("max_files", "int", 100, "exclude"),
        ("max_bins", "int", 100, "tune"),
        ("repetition_penalty", "float", 1.1, "exclude"),
        ("num_updates", "int", 4, "tune"),
        ("num_updates", "int", 4000, "fidelity"),
        ("critic_update_epochs", "int", 4, "tune"),
        ("critic_update_epochs", "int", 400, "fidelity"),
        ("n_epochs_pretrain", "int", 10, "fidelity"),
        ("anomaly_neighbors", "int", 5, "tune"),
        ("detect_anomaly", "bool", False, "exclude"),
        ("special_tokens", "int", 2, "exclude"),
        ("encoder_name", "str", "resnet34", "exclude"),
        ("train_on_prompt", "bool", False, "tune"),
        ("cond", "bool", False, "exclude"),
        ("min_samples_split", "int", 2, "tune"),
        ("attn_impl", "str", "fast", "exclude"),
        ("interpolation", "str", "", "exclude"),
    ],
)
def test_a_pair_of_words_says_more_than_its_last(name: str, kind: str, default: Any, expected: str) -> None:
    assert role(found(name, kind, default)) == expected


def test_sampling_is_told_by_what_stands_beside_it() -> None:
    assert role(found("temperature")) == "tune"
    assert role(found("temperature"), "top_k", "top_p") == "exclude"
    assert role(found("top_p"), "temperature") == "exclude"


@pytest.mark.parametrize(
    ("help", "expected"),
    [
        ("the forecast horizon", "exclude"),
        ("experiments times", "exclude"),
        ("crop for the birds dataset", "exclude"),
        ("scores are saved", "exclude"),
        ("dimension of the class labels", "exclude"),
        ("dimension of the hidden state", "tune"),
    ],
)
def test_a_help_that_speaks_of_the_task(help: str, expected: str) -> None:
    assert role(found("blorb", "int", 8, help)) == expected


@pytest.mark.parametrize(
    ("name", "default", "expected"),
    [
        ("sampling.steps", 50, "exclude"),
        ("data.filtering.max_len", 512, "exclude"),
        ("data.max_len", 512, "tune"),
        ("env.num_train_steps", 500, "exclude"),
        ("metrics.threshold", 0.5, "exclude"),
        ("mixup.enabled", False, "tune"),
        ("optimizer._target_", "torch.optim.SGD", "tune"),
        ("action_optimizer._target_", "plan.Cem", "exclude"),
        ("dynamics_model.deterministic", False, "tune"),
        ("trainer.deterministic", False, "exclude"),
    ],
)
def test_the_path_in_a_tree(name: str, default: Any, expected: str) -> None:
    kind = "bool" if isinstance(default, bool) else "str" if isinstance(default, str) else "float"
    assert role(found(name, kind, default)) == expected


def roles(options: str, body: str) -> list[str]:
    source = f"import argparse\np = argparse.ArgumentParser()\n{options}\nargs = p.parse_args()\n{body}\n"
    return [flag.role for flag in read_script(source, "train.py", {}, "python train.py").flags]


def test_what_only_makes_the_environment_is_no_switch_of_the_method() -> None:
    option = "p.add_argument('--clip', action='store_true')"
    assert roles(option, "def make_env(args):\n    return Wrapped(limit=args.clip)") == ["exclude"]
    assert roles(option, "def build_head(args):\n    return Wrapped(limit=args.clip)") == ["tune"]


def test_what_the_script_overwrites_cannot_be_searched() -> None:
    options = "p.add_argument('--n', type=int, default=4)\np.add_argument('--batch_size', type=int)"
    assert roles(options, "args.batch_size = args.n * 8")[1] == "exclude"
    assert roles(options, "args.batch_size = args.batch_size * 8")[1] == "tune"
    assert roles(options, "if args.batch_size is None:\n    args.batch_size = args.n * 8")[1] == "tune"
    assert roles(options.replace("type=int)", "type=int, default=64)"), "args.batch_size = args.n * 8")[1] == "tune"


def test_hydra_groups_of_which_several_files_are_chosen() -> None:
    script = read_script(
        "import hydra\n@hydra.main(config_path='conf', config_name='top')\ndef main(cfg):\n    pass\nmain()\n",
        "train.py",
        {
            "conf/top.yaml": "defaults:\n  - _self_\n  - /hooks: [saver, meter]\nlr: 0.1\n",
            "conf/hooks/saver.yaml": "callbacks:\n  saver:\n    top: 3\n",
            "conf/hooks/meter.yaml": "callbacks:\n  meter:\n    unit: step\n",
        },
        "python train.py",
    )
    names = {flag.name for flag in script.flags}
    assert {"lr", "hooks.callbacks.saver.top", "hooks.callbacks.meter.unit"} <= names
