"""Options whose help text, value or heading says more than their name."""

from __future__ import annotations

import pytest

from ragent_jupyter.rules.script.folding import UNKNOWN
from ragent_jupyter.rules.script.found import Found, Kind
from ragent_jupyter.rules.script.roles import judge
from ragent_jupyter.rules.script.vocabulary import words


def found(name: str, kind: Kind = "float", default: object = UNKNOWN, help: str = "", section: str = "") -> Found:
    return Found(
        name=name, style="argparse", template="--{name} {value}", kind=kind, default=default, help=help, section=section
    )


@pytest.mark.parametrize(
    ("one", "role"),
    [
        (found("drop_state", "bool", False, "do not save the optimizer's state"), "exclude"),
        (found("only_gcn", "bool", False, "test the performance of the graph network alone"), "exclude"),
        (found("decay_all", "bool", False, "decay the weights of all layers"), "tune"),
        (found("bs", "int", 128, "test batch size"), "exclude"),
        (found("bs", "int", 128, "train and test batch size"), "tune"),
        (found("width", "int", 512, "of the generated image"), "exclude"),
        (found("sample_length", "int", 1023, "Sample this many tokens"), "exclude"),
        (found("max_rollouts", "int", 500, "Stop after N rollouts"), "fidelity"),
        (found("decay_end", "float", 0.0, "Terminate training if the learning rate gets below this"), "fidelity"),
        (found("batch_chunk", "int", 1, "split a batch into chunks"), "exclude"),
        (found("gpu0_bsz", "int", 4), "exclude"),
        (found("per_gpu_bsz", "int", 4), "tune"),
        (found("pretrain", "int", 0), "exclude"),
        (found("sparse", "bool", False), "exclude"),
        (found("sparse", "float", 0.1), "tune"),
        (found("run_group", "str", "debug"), "exclude"),
        (found("data_group_name", "str", None), "exclude"),
        (found("from_weight", "str", "none"), "exclude"),
        (found("target_delta", "float", 1e-5), "exclude"),
        (found("delta", "float", 1.0), "tune"),
        (found("visual", "int", 0), "exclude"),
        (found("zorp", "str", "a", "label to predict: a | b | c"), "exclude"),
        (found("randjit", "float", 0.1), "tune"),
        (found("zorp", "int", 1, "use stable targets"), "tune"),
        (found("zorp", "int", 1, "is it a debug build"), "exclude"),
        (found("zorp", "int", 7, "is it a debug build"), "exclude"),
        (found("zorp", "int", 7, "the deltas of it"), "tune"),
    ],
)
def test_what_the_help_begins_with_is_heard(one: Found, role: str) -> None:
    assert judge(one).role == role


@pytest.mark.parametrize(
    ("name", "value", "role"),
    [
        ("module", "gru", "tune"),
        ("output_fun", "sigmoid", "tune"),
        ("model", "gru", "exclude"),
        ("t_dist", "uniform", "tune"),
        ("t_dist", "nccl", "exclude"),
        ("objective", "binary", "exclude"),
        ("policy_arch", "256-256", "tune"),
        ("policy_arch", "small", "exclude"),
        ("trainer.max_duration", "10ep", "fidelity"),
        ("trainer.max_duration", "long", "exclude"),
        ("objective", "huber", "tune"),
        ("features", ["UserTag", "Answer"], "exclude"),
        ("features", [16, 32], "tune"),
        ("hidden_activations", ["relu", "tanh"], "tune"),
    ],
)
def test_a_value_may_name_what_is_chosen(name: str, value: object, role: str) -> None:
    assert judge(found(name, "str" if isinstance(value, str) else "unknown", value)).role == role


def test_a_letter_is_what_its_help_says() -> None:
    assert judge(found("r", "int", 1)).role == "tune"
    assert judge(found("r", "bool", False, "resume the checkpoint or not")).role == "exclude"
    assert judge(found("r", "bool", False)).role == "exclude"
    assert judge(found("E", "int", 5, "number of training epochs")).role == "fidelity"


@pytest.mark.parametrize(
    ("section", "role"),
    [
        ("======== Evaluation parameters ========", "exclude"),
        ("Synthesis/Sampling hyperparameters:", "exclude"),
        ("Network parameters", "tune"),
        ("parser.add_argument('--eval')", "tune"),
    ],
)
def test_a_heading_is_read_without_its_ornaments(section: str, role: str) -> None:
    assert judge(found("zorp_cost", "float", 1.0, section=section), uses=frozenset({"method"})).role == role


@pytest.mark.parametrize(
    ("help", "role"),
    [
        ("Use deltas in training", "tune"),
        ("Has visual features.", "tune"),
        ("Turn on for the second kind", "tune"),
        ("for sensitive mode", "exclude"),
        ("use an efficient correlation implementation", "exclude"),
    ],
)
def test_what_is_used_or_added_when_it_is_on_is_a_part_of_the_method(help: str, role: str) -> None:
    assert judge(found("zorp", "bool", False, help)).role == role


def test_a_switch_in_a_class_of_the_model_s_settings_is_one_of_the_method() -> None:
    one = found("reversible", "bool", False)
    assert judge(one).role == "exclude"
    one.home = frozenset(words("ModelSettings"))
    assert judge(one).role == "tune"
    one.home = frozenset(words("ModelArguments"))  # which weights are loaded, and how
    assert judge(one).role == "exclude"


def test_what_the_code_loads_is_given() -> None:
    one = found("prompt_encoder", "str")
    assert judge(one, uses=frozenset({"method"})).role == "tune"
    assert judge(one, uses=frozenset({"method", "load"})).role == "exclude"


@pytest.mark.parametrize(
    ("name", "kind", "default", "role"),
    [
        ("hard_rank", "int", 10, "tune"),
        ("rank_weight", "float", 0.01, "tune"),
        ("node_rank", "int", 0, "exclude"),
        ("n_speakers_per_batch", "int", 8, "tune"),
        ("n_speakers", "int", 8, "exclude"),
        ("net_size", "int", 300, "tune"),
        ("pad_to_multiple_of", "int", 2, "exclude"),
        ("stdout_interval", "int", 5, "exclude"),
        ("future_steps", "int", 60, "exclude"),
        ("local_epochs", "int", 5, "fidelity"),
        ("local_steps", "int", 5, "tune"),
        ("dataset.random_subset", "unknown", None, "exclude"),
        ("subset", "float", 0.5, "fidelity"),
        ("data_overlap_ratio", "float", 0.1, "tune"),
        ("aug_data_size", "int", 2, "tune"),
        ("data_size", "int", 2, "fidelity"),
        ("num_train_timesteps", "int", 1000, "tune"),
        ("num_train_timesteps", "int", 100_000, "fidelity"),
        ("train_guidance_scale", "float", 1.0, "tune"),
        ("guidance_scale", "float", 1.0, "exclude"),
        ("cut_freq", "int", 8, "tune"),
        ("act_dim", "int", 6, "exclude"),
        ("act_fn_dim", "int", 6, "tune"),
        ("frame_rate", "int", 50, "exclude"),
        ("vocab_len", "int", 50, "exclude"),
        ("forecast_horizon", "int", 96, "exclude"),
        ("n_parties", "int", 10, "exclude"),
        ("early_stop", "bool", False, "exclude"),
        ("early_stop", "int", 10, "fidelity"),
        ("cache_latents", "bool", False, "exclude"),
        ("sampling_temperature", "float", 1.0, "exclude"),
        ("mem_fraction", "float", 0.9, "exclude"),
        ("missing_rate", "float", 0.2, "exclude"),
        ("n_offline_steps", "int", 1000, "fidelity"),
        ("offline", "bool", False, "exclude"),
        ("max_online_env_steps", "float", 1e6, "fidelity"),
        ("n_online_traj_per_epoch", "int", 1, "tune"),
        ("n_train_steps_per_epoch_offline", "int", 1000, "fidelity"),
        ("online_utd_ratio", "int", 1, "tune"),
        ("zero_init", "bool", False, "tune"),
        ("sigma_data", "float", 0.5, "tune"),
        ("n_batch_init", "int", 256, "tune"),
        ("init_batch", "int", 0, "exclude"),
    ],
)
def test_pairs_of_words(name: str, kind: Kind, default: object, role: str) -> None:
    assert judge(found(name, kind, default)).role == role


@pytest.mark.parametrize(
    ("one", "role"),
    [
        (found("unequal", "float", 0.1, "how unequal the non-i.i.d. splits are"), "exclude"),
        (found("irregular", "float", 0.0, "The ratio of missing observations"), "exclude"),
        (found("drop_percent", "float", 0.1, "percentage of slow devices"), "exclude"),
        (found("data_ratio", "float", 0.1, "Ratio to combine two sources"), "tune"),
        (found("data_ratio", "float", 0.1, "share that is used"), "fidelity"),
        (found("edge_dim", "int", 6, "Number of edge features"), "exclude"),
    ],
)
def test_what_the_help_says_of_the_data(one: Found, role: str) -> None:
    assert judge(one).role == role


def test_top_p_beside_it_makes_a_bare_k_no_matter_of_sampling() -> None:
    beside = frozenset({"top", "p", "k"})
    assert judge(found("K", "int", 5), beside).role == "tune"
    assert judge(found("top_k", "int", 5), beside).role == "exclude"


def test_an_agent_sees_images_and_makes_none() -> None:
    agents = frozenset({"latent", "replay", "actor", "critic"})
    assert judge(found("image_size", "int", 84), agents).role == "tune"
    assert judge(found("image_size", "int", 84), frozenset({"gan"})).role == "exclude"
