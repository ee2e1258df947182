"""The vocabulary by which a printed name is taken for a metric's, or is not. Judgement, kept in one place."""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# The last word of a name that makes it a metric's. Only these stand for themselves; others need an anchor.
METRIC_WORDS = _words("""
    loss losses acc accuracy acc1 acc5 top1 top5 err error ppl perplexity reward rewards return returns score f1
    auc auroc map bleu rouge wer cer iou miou dice psnr ssim fid mse mae rmse nll bpb bpc bits kl entropy
    precision recall mrr ndcg r2 norm gnorm grad lr rate mfu tps tflops throughput trl tel crossentropy elbo
""")
METRIC_TAIL = re.compile(r"(?:loss|acc|accuracy|ppl|reward|error|score|norm)\d*$", re.IGNORECASE)
# Words that may stand before a metric's word in a name of several words: "mean train loss", not "failed with error".
QUALIFIERS = _words("""
    train training val valid validation test testing eval dev avg average mean running ema smoothed grad gradient
    learning cross ce l1 l2 policy value critic actor q g d gen disc generator discriminator total top final best
    episode ep rec recon reconstruction aux token tokens step batch epoch global set balanced macro micro
""")
# Alone on a line without an anchor these are more often a setting or an error than a measurement.
WEAK_WORDS = _words("""
    lr rate norm grad err error mfu tps tflops throughput entropy precision kl bits fid
""")
SETTING_WORDS = _words("""
    max min target weight weights coef coeff scale smoothing threshold clip clipping type fn func factor alpha
    beta eps initial init budget limit patience delta num n total per size
""")
NO_METRIC = _words("""
    pid port seed rank local_rank world_size gpu gpus device devices batch_size bs workers num_workers eta version
    v_num line code status http id exit errno error_code year date time_left remaining elapsed total host
""")
STEP_NAMES = {
    "step", "steps", "global_step", "globalstep", "iter", "iters", "iteration", "iterations", "it", "update", "updates",
    "batch", "s", "train_step", "training_step", "total_timesteps", "timestep",
}  # fmt: skip
EPOCH_NAMES = {"epoch", "epochs", "ep", "episode", "round"}
RENAMED = {"trl": "train_loss", "tel": "val_loss"}  # llm.c's short words


def is_metric_name(name: str) -> bool:
    """Whether a name alone shows that it is measured: "val_loss", "train/acc", "grad norm"; not "loss_weight".

    >>> [is_metric_name(n) for n in ("val_loss", "Train Loss", "Acc@1", "max_grad_norm", "loss_weight", "failed")]
    [True, True, True, False, False, False]
    """
    words = words_of(name)
    if not words or any(w in SETTING_WORDS for w in words):
        return False
    return words[-1] in METRIC_WORDS or bool(METRIC_TAIL.search(words[-1]))


def words_of(name: str) -> list[str]:
    """A name's words in lower case, without a number at the end (acc@1)."""
    words = [w for w in re.split(r"[^a-z0-9]+", name.lower()) if w]
    while len(words) > 1 and words[-1].isdigit():  # acc@1
        words.pop()
    return words


def tidy(name: str, unit: str = "") -> str:
    """A metric's name from a printed one: "Train Loss" is "train_loss"; what has its own case keeps it.

    >>> tidy("Train Loss"), tidy("time", "ms"), tidy("val/Top1"), tidy("trl")
    ('train_loss', 'time_ms', 'val/Top1', 'train_loss')
    """
    name = "_".join(name.split())
    if name.istitle() or name.isupper() or "_" in name:
        name = name.lower()
    name = RENAMED.get(name, name)
    if name in ("time", "dt", "step_time", "step_avg", "train_time") and unit in ("ms", "us", "s"):
        name = f"{name}_{unit}"
    return name.strip("_-./") or name
