"""What a metric is, told by its name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.rules.watch_names import (
    EVAL,
    GAME,
    GRAD,
    IGNORE,
    LOSS,
    PERPLEXITY,
    QUALITY,
    SPEED,
    classify,
    is_learning_rate,
    training_names,
)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (LOSS, "loss train/loss train_loss trl total_loss lossTotal mlm_loss train_loss_step train_loss_epoch mse "
               "binary_cross_entropy nll box_loss train/ctc_loss bpb"),
        (EVAL, "val_loss eval_loss validation/loss test/ctc_loss eval_g0_loss valLoss valloss tel dev.nll "
               "val_loss_epoch eval/mse test_wer"),
        (GRAD, "grad_norm norm train/grad_norm gnorm optim/total_norm gradient_norm grad/norm"),
        (SPEED, "tokens_per_sec tok/s it/s samples_per_second throughput time/fps train_steps_per_second"),
        (QUALITY, "acc accuracy val_acc bleu mAP f1 ssim r reward ep_rew_mean validation/mean_average_precision score"),
        (GAME, "actor_loss critic_loss train/policy_loss d_loss gen_loss entropy_loss kl_loss value_loss"),
        (PERPLEXITY, "ppl perplexity val_ppl"),
        (IGNORE, "lr learning_rate epoch step loss_scale x alpha l t param_norm eval_runtime loss_weight best_loss "
                 "eval_samples_per_second num_examples system/gpu_util grad_norm_clip loss_time global_step"),
    ],
)  # fmt: skip
def test_names_from_the_field(kind: int, names: str) -> None:
    assert {name: classify(name) for name in names.split()} == dict.fromkeys(names.split(), kind)


@given(st.text())
def test_any_name_has_a_kind(name: str) -> None:
    assert IGNORE <= classify(name) <= PERPLEXITY
    assert isinstance(training_names(name), tuple)
    assert is_learning_rate(name) in (True, False)
