"""Names that training scripts really use, and what they are."""

from __future__ import annotations

import pytest

from ragent_jupyter.rules.script.folding import UNKNOWN
from ragent_jupyter.rules.script.found import Found, Kind
from ragent_jupyter.rules.script.roles import judge
from ragent_jupyter.rules.script.vocabulary import words

TUNE = """
lr learning-rate base_lr min_lr lr0 weight_decay wd wdecay batch-size bs per_device_train_batch_size momentum beta1 b2
adam_epsilon dropout drop_path_rate attn-drop hidden_size nhid n_layer nlayers num_heads d_model embedding_dim
warmup_steps num_warmup_steps warmup_ratio lr_decay_steps step_size grad_clip max_grad_norm clip_coef label_smoothing
mixup cutmix gamma gae_lambda ent_coef vf_coef tau target_update_interval train_frequency learning_starts
update_epochs num_minibatches buffer_size exploration_fraction start_e log_std_init temperature margin n_critic
lambda_gp latent_dim ema_decay mask_ratio patch_size img-size max_seq_length block_size gradient_accumulation_steps
GRADIENT_ACCUMULATE_EVERY num_leaves max_depth subsample feature_fraction n_neighbors reg_alpha lora_r num_seed_frames
seed_steps d_reg_every pos_freq batch_frac lambda_id
"""
FIDELITY = """
epochs n_epochs num_train_epochs max_steps total_timesteps max_iters niter num_iterations num_train_frames kimg
n_estimators num_boost_round max_train_samples NUM_BATCHES train_steps total_env_steps steps_per_epoch patience
early_stopping_rounds dataset_size limit_train_batches max_time num_episodes
"""
EXCLUDE = """
data_dir output-dir root checkpoint resume start_epoch log_interval save_every eval_freq save_steps eval_steps
print-freq num_workers workers gpu gpus device local_rank world-size dist-url master_port fp16 amp compile use_wandb
wandb_project exp_name run_name tag dataset dataset_name model arch model_name_or_path num_classes vocab_size
eval_batch_size test-batch-size val_split validation_split_percentage max_eval_samples debug verbose track
capture_video env_id task_name cudnn_deterministic pin-memory hub_token cache_dir config tokenizer_name mode
n_gpu save_total_limit report_to sample_rate in_channels rank generate_length max_new_tokens bbox_interval
"""
SEED = "seed manualSeed random_seed random_state rng_seed shuffle_seed init-seed"

CASES = [(name, role) for text, role in ((TUNE, "tune"), (FIDELITY, "fidelity"), (EXCLUDE, "exclude"), (SEED, "seed"))
         for name in text.split()]  # fmt: skip


def found(name: str, kind: Kind = "float", default: object = UNKNOWN, help: str = "") -> Found:
    return Found(name=name, style="argparse", template="--{name} {value}", kind=kind, default=default, help=help)


@pytest.mark.parametrize(("name", "role"), CASES)
def test_names(name: str, role: str) -> None:
    texts = "dir root url name project model arch data token config tag mode task env dataset to id"
    text = role == "exclude" and bool(set(words(name)) & set(texts.split()))
    kind: Kind = "str" if text else "int" if role != "tune" else "float"
    assert judge(found(name, kind)).role == role


@pytest.mark.parametrize(
    ("one", "role"),
    [
        (found("num_steps", "int", 128, "the number of steps to run in each environment per policy rollout"), "tune"),
        (found("timesteps", "int", 1000, "number of diffusion steps"), "tune"),
        (found("epoch", "int", 0, "epoch to start training from"), "exclude"),
        (found("rank", "int", 4, "The dimension of the LoRA update matrices."), "tune"),
        (found("patience", "int", 10, "patience of the LR schedule (ReduceLROnPlateau)"), "tune"),
        (found("batch_size", "int", 0, "the batch size (computed in runtime)"), "exclude"),
        (found("zeta", "str", "facebook/bart-base"), "exclude"),
        (found("zorp", "float", 0.1, "weight of the auxiliary loss"), "tune"),
        (found("zorp", "int", 10, "how many images to visualize"), "exclude"),
        (found("zorp", "int", 10, "total number of training steps"), "fidelity"),
        (found("fix_seed", "bool", True), "exclude"),
        (found("num_frames", "int", 16), "tune"),
        (found("num_frames", "int", 10_000_000), "fidelity"),
        (found("n_rounds", "int", 4, "only used for evaluation"), "exclude"),
        (found("temperature", "float", 1.0, "used at inference time"), "exclude"),
        (found("temperature", "float", 1.0, "used in training and at inference time"), "tune"),
        (found("fused_kernel", "bool", False, "needs less memory but is slower"), "exclude"),
        (found("zorp", "int", 7, "output size"), "exclude"),
        (found("hidden", "int", 7, "output size"), "tune"),
        (found("zorp", "bool", False, "apply random flips"), "tune"),
        (found("zorp", "unknown", "False", "smoother targets"), "exclude"),
        (found("zorp", "unknown", "False", "if weight averaging"), "tune"),
        (found("zorp", "unknown", [4, 4, 2]), "tune"),
        (found("method", "str", "A"), "exclude"),
        (found("pooling_method", "str", "A"), "tune"),
        (found("features", "str", "A"), "exclude"),
        (found("features", "int", 8), "tune"),
        (found("pretrain_epochs", "int", 8), "fidelity"),
        (found("finetune_lr", "float", 0.1), "tune"),
        (found("pre_trained", "bool", False), "exclude"),
        (found("warm_up", "int", 5), "tune"),
        (found("dp_rate", "float", 0.5), "tune"),
        (found("dp", "bool", False), "exclude"),
        (found("steps_per_iter", "int", 1000), "fidelity"),
        (found("steps_per_update", "int", 4), "tune"),
        (found("micro_batch_size", "int", 4), "exclude"),
        (found("onnx_batch_size", "int", 4), "exclude"),
        (found("image_channels", "int", 3), "exclude"),
        (found("pixel_mean", "float", 0.4), "exclude"),
        (found("freeze_backbone", "int", 0), "tune"),
        (found("end_epoch", "int", 90), "fidelity"),
        (found("prune_interval", "int", 90), "tune"),
        (found("image_interval", "int", 90), "exclude"),
        (found("optim.type", "str", "sgd"), "tune"),
        (found("logger.type", "str", "a"), "exclude"),
        (found("dataset.type", "str", "small"), "exclude"),
        (found("zorp_steps", "int", 50), "tune"),
        (found("epoch_step", "int", 30), "tune"),
        (found("epoch_steps", "int", 30), "fidelity"),
        (found("double", "bool", False), "exclude"),
        (found("sync_bn", "bool", False), "exclude"),
        (found("lr_restart", "int", 5), "tune"),
        (found("restart", "bool", False), "exclude"),
        (found("stage2_steps", "int", 50), "fidelity"),
        (found("channel_means", "unknown", [0.5, 0.5]), "exclude"),
        (found("zorp", "int", 4, "log2 of the highest frequency of the positional encoding (location)"), "tune"),
    ],
)
def test_where_the_name_is_not_enough_the_rest_is_read(one: Found, role: str) -> None:
    assert judge(one).role == role


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("trainer.max_epochs", "fidelity"),
        ("model.optimizer.lr", "tune"),
        ("logger.wandb.lr", "exclude"),
        ("eval.batch_size", "exclude"),
        ("data.batch_size", "tune"),
        ("callbacks.early_stopping.patience", "fidelity"),
        ("callbacks.progress.refresh", "exclude"),
        ("model.scheduler.patience", "tune"),
        ("model.refresh_steps", "tune"),
        ("data.augmentation.noise_max", "tune"),
        ("model._target_", "exclude"),
        ("paths.size", "exclude"),
    ],
)
def test_dotted_names_are_read_within_what_they_stand(name: str, role: str) -> None:
    assert judge(found(name, "int", 3)).role == role


def test_few_networks_of_its_own_may_be_tried() -> None:
    one = found("arch", "str", "a")
    one.choices = ["a", "b"]
    assert judge(one).role == "tune"
    one.choices = list("abcdefghijk")
    assert judge(one).role == "exclude"


def test_what_stands_among_options_of_something_else_belongs_to_it() -> None:
    one = found("top_k", "int", 50)
    assert judge(one).role == "tune"
    one.home = frozenset(words("GenerationArguments"))
    assert judge(one).role == "exclude"


def test_companions_tell_what_a_count_of_steps_is() -> None:
    rl = frozenset(word for name in ("total_timesteps", "gamma", "gae_lambda", "env_id") for word in words(name))
    assert judge(found("num_steps", "int", 128), rl).role == "tune"
    assert judge(found("num_steps", "int", 5_000_000), rl).role == "fidelity"
    assert judge(found("num_steps", "int", 128), frozenset({"lr"})).role == "fidelity"


def test_a_value_that_comes_from_elsewhere_is_nobody_s_to_search() -> None:
    one = found("agent.lr", "str", "${lr}")
    one.computed = True
    assert judge(one).role == "exclude"
