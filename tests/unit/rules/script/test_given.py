"""What the data, the task and the experiment dictate, and the words of parts of training that look alike."""

from __future__ import annotations

from typing import Any

import pytest

from ragent_jupyter.rules.script.found import Found, Kind
from ragent_jupyter.rules.script.roles import judge
from ragent_jupyter.rules.script.vocabulary import words


def role(name: str, kind: Kind, default: Any, help: str = "", others: str = "", choices: tuple[str, ...] = ()) -> str:
    one = Found(name=name, style="argparse", template="--{name} {value}", kind=kind, default=default, help=help)
    one.choices = list(choices)
    companions = frozenset(word for other in (name, *others.split()) for word in words(other))
    return judge(one, companions).role


@pytest.mark.parametrize(
    ("name", "kind", "default", "help"),
    [
        ("dirichlet_alpha", "float", 0.5, ""),
        ("zorp", "float", 0.5, "The parameter for the dirichlet distribution for data partitioning"),
        ("imb_factor", "float", 0.01, ""),
        ("num_byzantine", "int", 0, ""),
        ("client_drop_rate", "float", 0.0, ""),
        ("send_slow_rate", "float", 0.0, ""),
        ("attack_type", "str", "zorp", ""),
        ("user_num", "int", 1000, ""),
        ("nrelation", "int", 0, ""),
        ("k_query", "int", 15, ""),
        ("class_order", "str", None, ""),
        ("increment", "int", 10, ""),
        ("n_token", "int", 100, "Vocab size"),
        ("num_core_per_host", "int", 8, ""),
        ("guidance_scale", "float", 7.5, ""),
        ("cfg_scale", "float", 4.0, ""),
        ("ddim_sampling_eta", "float", 0.0, ""),
        ("eta", "float", 0.0, "eta of ddim"),
        ("topk", "int", 20, "for recall and ndcg"),
        ("min_rating", "int", 4, ""),
        ("action_dim", "int", 10, ""),
        ("num_actions", "int", 10, ""),
        ("sr", "int", 44100, ""),
        ("label_nc", "int", 35, ""),
        ("upscale_factor", "int", 4, ""),
        ("min_count", "int", 5, ""),
        ("times", "int", 1, "running times"),
        ("des", "str", "zorp", "exp description"),
        ("goal", "str", "test", "The goal for this experiment"),
        ("dlg_gap", "int", 100, ""),
        ("freq_cutoff", "int", 2, ""),
        ("bucket_cap_mb", "int", 25, ""),
        ("noisy_valset", "bool", False, ""),
    ],
)
def test_what_is_given(name: str, kind: Kind, default: Any, help: str) -> None:
    assert role(name, kind, default, help) == "exclude"


@pytest.mark.parametrize(
    ("name", "kind", "default", "help"),
    [
        ("imbalance_loss_weight", "float", 0.5, ""),
        ("relation_dim", "int", 64, ""),
        ("action_embed_dim", "int", 64, ""),
        ("eta", "float", 0.1, ""),
        ("top_k", "int", 2, ""),
        ("server_learning_rate", "float", 1.0, ""),
        ("server_optimizer", "str", "sgd", ""),
        ("local_steps", "int", 5, ""),
        ("bucket_size", "int", 4, ""),
        ("num_rollouts_per_mpi", "int", 2, ""),
        ("untie_embeddings_and_output_weights", "bool", False, ""),
        ("update_to_data", "float", 1.0, ""),
        ("weight_init", "str", None, ""),
        ("densify_until_iter", "int", 15_000, ""),
        ("n_initial_samples", "int", 1000, ""),
        ("input_w", "int", 96, ""),
        ("clip_obs", "float", 200.0, ""),
        ("walks_per_node", "int", 10, ""),
        ("out_dim", "int", 256, ""),
        ("num_interactions", "int", 6, ""),
        ("num_clusters", "int", 10, ""),
        ("hash_bit", "int", 64, ""),
        ("iter_size", "int", 1, ""),
        ("noptepochs", "int", 4, ""),
        ("num_models", "int", 5, ""),
        ("train_backbone", "bool", False, ""),
        ("conv_dim_list", "str", "[64, 32, 16]", ""),
        ("milestones", "str", "1,2", ""),
        ("sn", "bool", False, ""),
        ("use_dora", "bool", False, ""),
    ],
)
def test_what_is_of_the_method(name: str, kind: Kind, default: Any, help: str) -> None:
    assert role(name, kind, default, help) == "tune"


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("fine_tuning_epochs", 5),
        ("num_passes", 1),
        ("percent", 100),
        ("max_samples", 500),
        ("es_patience", 10),
        ("stage1_epochs", 10),
    ],
)
def test_what_is_spent(name: str, default: int) -> None:
    assert role(name, "int", default) == "fidelity"


def test_a_random_number_of_its_own_is_a_seed() -> None:
    assert role("rand_number", "int", 0) == "seed"


def test_companions_tell_what_a_script_is_about() -> None:
    assert role("image_size", "int", 64) == "tune"
    assert role("image_size", "int", 64, others="latent_dim") == "exclude"
    assert role("topK", "int", 20, others="num_user num_item") == "exclude"
    assert role("num_steps", "int", 10) == "fidelity"
    assert role("num_steps", "int", 10, others="epochs") == "tune"
    assert role("num_generations", "int", 8) == "fidelity"
    assert role("num_generations", "int", 8, others="max_prompt_length") == "tune"
    assert role("horizon", "int", 12, others="gamma") == "tune"
    assert role("horizon", "int", 12, others="window") == "exclude"
    assert role("noise_type", "str", "x", choices=("sym", "asym")) == "exclude"
    assert role("noise_type", "str", "x", choices=("ou", "normal")) == "tune"
