"""What a metric is, told by its name alone. Each name is judged once.

Names that say nothing (`x`, `alpha`, `epoch`) are ignored: a rule that does not know which way is up only cries wolf.
"""

from __future__ import annotations

import re
from functools import lru_cache

IGNORE, LOSS, EVAL, GRAD, SPEED, QUALITY, GAME, PERPLEXITY = range(8)
"""LOSS: a training loss, lower is better, ratio rules apply. EVAL: a loss measured on held-out data. GRAD: a gradient
norm. SPEED: throughput, higher is better. QUALITY: accuracy and its like, higher is better. GAME: a loss whose level
means nothing (reinforcement learning, adversarial training): only its being finite is watched. PERPLEXITY: the
exponential of a loss: infinite soon, and no ratio of it means what a ratio of the loss means."""

EVAL_WORDS = frozenset(["eval", "val", "valid", "validation", "test", "dev", "holdout", "heldout", "evaluation", "tel", "vel"])
_LOSS_WORDS = frozenset(
    ["loss", "losses", "nll", "xent", "ce", "bce", "mse", "rmse", "mae", "crossentropy", "cross_entropy", "wer", "cer", "err", "error", "bpb", "bpc", "bpd", "cost", "elbo", "trl", "tel", "vel", "mape", "msle", "smape", "logloss"]
)
_QUALITY_WORDS = frozenset(
    ["acc", "accuracy", "bleu", "map", "f1", "ssim", "psnr", "score", "auc", "auroc", "auprc", "ap", "precision", "recall", "r2", "iou", "miou", "dice", "rouge", "rougel", "rouge1", "rouge2", "ndcg", "mrr", "em", "top1", "top5", "elo", "meteor", "cider", "spice", "pearson", "spearman", "mcc", "kappa", "chrf", "sacrebleu", "hits"]
)
_REWARD_WORDS = frozenset(["reward", "rewards", "rew", "return", "returns", "winrate", "win", "success"])
_GAME_WORDS = frozenset(
    ["actor", "critic", "policy", "pg", "value", "vf", "qf", "q1", "q2", "td", "entropy", "alpha", "temperature", "advantage", "surrogate", "clip", "kl", "approx", "disc", "discriminator", "gen", "generator", "adv", "adversarial", "gan", "dloss", "gloss", "d", "g", "real", "fake", "penalty"]
)
_IGNORE_WORDS = frozenset(
    ["epoch", "epochs", "step", "steps", "iter", "iters", "iteration", "iterations", "time", "times", "timestamp", "sec", "secs", "second", "seconds", "ms", "runtime", "elapsed", "duration", "eta", "num", "number", "count", "examples", "n", "size", "seed", "flops", "scale", "scaler", "lr", "wd", "decay", "momentum", "progress", "mem", "memory", "vram", "rss", "cpu", "gpu", "disk", "temp", "power", "util", "best", "min", "max", "target", "patience", "bad", "std", "var", "variance", "weight", "weights", "coef", "coefficient", "ratio"]
)
_SPEED = re.compile(
    r"(tok(en)?s?|samples?|examples?|images?|imgs?|it(er)?(ation)?s?|steps?|batch(es)?|frames?|sequences?|seqs?|words?"
    r"|rows?)_?(per_?|/|p_?)(s|sec|secs|second)(_|$)|(^|[_/.])(throughput|fps|tps|mfu|tok_s|tokps|wps|ups|samples_s|it_s)($|[_/.])",
)
_GRAD = re.compile(r"grad(ient)?s?[_/.]?(global[_/.]?)?(l2[_/.]?)?norm|(^|[_/.])(gnorm|grad_?norm|norm|gradnorm)$|norm.*grad")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORD = re.compile(r"[a-z0-9]+")


@lru_cache(maxsize=4096)
def classify(name: str) -> int:
    """One of IGNORE … PERPLEXITY for any name whatever.

    >>> [classify(n) for n in ("train/loss", "val_loss", "evalLoss", "eval_g0_loss")] == [LOSS, EVAL, EVAL, EVAL]
    True
    >>> [classify(n) for n in ("grad_norm", "norm", "tok/s", "eval_accuracy", "r")] == [GRAD, GRAD, SPEED, QUALITY, QUALITY]
    True
    >>> [classify(n) for n in ("actor_loss", "loss_scale", "lr", "eval_samples_per_second")] == [GAME, 0, 0, 0]
    True
    """
    if len(name) > 300:
        return IGNORE  # no person named this
    spaced = _CAMEL.sub("_", name).lower()
    words = _WORD.findall(spaced)
    if not words or words[0] in ("system", "_runtime", "_timestamp"):
        return IGNORE
    bag = set(words)
    held_out = bool(bag & EVAL_WORDS) or any(w.startswith(("val", "eval", "test")) and w.endswith("loss") for w in words)
    if _SPEED.search(spaced):
        return IGNORE if held_out else SPEED
    if _GRAD.search(spaced) and not bag & {"clip", "clipped", "max", "coef", "batch", "layer"}:
        return GRAD
    if bag & {"ppl", "perplexity"}:
        return PERPLEXITY
    is_loss = bool(bag & _LOSS_WORDS) or any(w.endswith("loss") for w in words)
    if is_loss and not bag & (_IGNORE_WORDS - {"mem", "memory"}):
        if bag & _GAME_WORDS:
            return GAME
        return EVAL if held_out else LOSS
    if bag & _REWARD_WORDS or name == "r":
        return QUALITY
    if bag & _QUALITY_WORDS and not is_loss and not bag & (_IGNORE_WORDS - {"min", "max", "n", "best"}):
        return QUALITY
    if "mean_average_precision" in spaced:
        return QUALITY
    return IGNORE


def is_eval_name(name: str) -> bool:
    """Whether the name says that it was measured on held-out data.

    >>> [is_eval_name(n) for n in ("validation/accuracy", "train/accuracy")]
    [True, False]
    """
    return bool(set(_WORD.findall(_CAMEL.sub("_", name).lower())) & EVAL_WORDS)


def is_reward(name: str) -> bool:
    """Whether it is what an agent earns rather than how well a model predicts.

    >>> [is_reward(n) for n in ("r", "rollout/ep_rew_mean", "bleu")]
    [True, True, False]
    """
    return name == "r" or bool(set(_WORD.findall(name.lower())) & _REWARD_WORDS)


_LR = re.compile(r"(^|[._/\s-])((max|peak|base|init(ial)?|actor|critic)[_-]?)?(lr|learning[_-]?rate)$", re.IGNORECASE)


def is_learning_rate(name: str) -> bool:
    """Whether a parameter of a run is its learning rate.

    >>> [is_learning_rate(n) for n in ("lr", "optim.learning_rate", "--learning-rate", "lr_decay")]
    [True, True, True, False]
    """
    return bool(_LR.search(name))
