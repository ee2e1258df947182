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


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


EVAL_WORDS = _words("eval val valid validation test dev holdout heldout evaluation tel vel")
_LOSS_WORDS = _words(
    "loss losses nll xent ce bce mse rmse mae mape smape msle logloss crossentropy wer cer err error bpb bpc bpd cost "
    "elbo trl tel vel"
)
_QUALITY_WORDS = _words(
    "acc accuracy bleu sacrebleu chrf map f1 ssim psnr score auc auroc auprc ap precision recall r2 iou miou dice "
    "rouge rouge1 rouge2 rougel meteor cider spice ndcg mrr hits em top1 top5 elo pearson spearman mcc kappa"
)
_REWARD_WORDS = _words("reward rewards rew return returns winrate win success")
_GAME_WORDS = _words(
    "actor critic policy pg value vf qf q1 q2 td entropy alpha temperature advantage surrogate clip kl approx disc "
    "discriminator gen generator adv adversarial gan dloss gloss d g real fake penalty"
)
_NOT_A_LOSS = _words(
    "scale scaler lr time times runtime sec secs second seconds ms elapsed duration num count counts target patience "
    "bad best std var variance stddev weight weights coef coefficient ratio memory util temp power limit"
)
_EVAL_GLUED = ("val", "eval", "test")  # "valloss"
_SPEED = re.compile(
    r"(tok(en)?s?|samples?|examples?|images?|imgs?|it(er)?(ation)?s?|steps?|batch(es)?|frames?|sequences?|seqs?|words?"
    r"|rows?)_?(per_?|/|p_?)(s|sec|secs|second)(_|$)"
    r"|(^|[_/.])(throughput|fps|tps|mfu|tok_s|tokps|wps|ups|samples_s|it_s)($|[_/.])"
)
_GRAD = re.compile(
    r"grad(ient)?s?[_/.]?(global[_/.]?)?(l2[_/.]?)?norm|(^|[_/.])(gnorm|total_norm|global_norm)$"
    r"|(^|[/.])norm$|norm_of_grad"
)
_TEST = re.compile(r"(^|[/_.-])test(?=[/_.-])|^tel$")
_EVAL_PART = re.compile(r"(^|[/_.-])(eval|valid|validation|val|test|dev)(?=[/_.-])")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORD = re.compile(r"[a-z0-9]+")


@lru_cache(maxsize=4096)
def classify(name: str) -> int:
    """One of IGNORE … PERPLEXITY for any name whatever.

    >>> [classify(n) for n in ("train/loss", "val_loss", "evalLoss", "eval_g0_loss")] == [LOSS, EVAL, EVAL, EVAL]
    True
    >>> [classify(n) for n in ("grad_norm", "norm", "tok/s", "eval_acc", "r")] == [GRAD, GRAD, SPEED, QUALITY, QUALITY]
    True
    >>> [classify(n) for n in ("actor_loss", "loss_scale", "lr", "eval_samples_per_second")] == [GAME, 0, 0, 0]
    True
    >>> [classify(n) for n in ("train_loss_step", "binary_cross_entropy", "param_norm")] == [LOSS, LOSS, IGNORE]
    True
    """
    if len(name) > 300:
        return IGNORE  # no person named this
    spaced = _CAMEL.sub("_", name).lower().replace("cross_entropy", "crossentropy")
    words = _WORD.findall(spaced)
    if not words or words[0] == "system":
        return IGNORE
    bag = set(words)
    held_out = bool(bag & EVAL_WORDS) or any(w.startswith(_EVAL_GLUED) and w.endswith("loss") for w in words)
    if _SPEED.search(spaced):
        return IGNORE if held_out else SPEED  # HF's eval_samples_per_second says nothing about training
    if _GRAD.search(spaced) and not bag & {"clip", "clipped", "max", "coef", "batch", "layer"}:
        return GRAD
    if bag & {"ppl", "perplexity"}:
        return PERPLEXITY
    if bag & _NOT_A_LOSS and not bag & _REWARD_WORDS:
        return IGNORE
    if bag & _LOSS_WORDS or any(w.endswith(("loss", "crossentropy")) for w in words):
        if bag & _GAME_WORDS:
            return GAME
        return EVAL if held_out else LOSS
    if bag & _REWARD_WORDS or bag & _QUALITY_WORDS or name == "r" or "mean_average_precision" in spaced:
        return QUALITY
    return IGNORE


def is_eval_name(name: str) -> bool:
    """Whether the name says that it was measured on held-out data.

    >>> [is_eval_name(n) for n in ("validation/accuracy", "train/accuracy")]
    [True, False]
    """
    return bool(set(_WORD.findall(_CAMEL.sub("_", name).lower())) & EVAL_WORDS)


def is_test_name(name: str) -> bool:
    """Whether it was measured on a test set, which is not for decisions while there is a validation set.

    >>> [is_test_name(n) for n in ("test/loss", "validation/loss", "latest_loss")]
    [True, False, False]
    """
    return bool(_TEST.search(name))


@lru_cache(maxsize=1024)
def training_names(name: str) -> tuple[str, ...]:
    """What the same loss on training data may be called, the likeliest first.

    >>> training_names("validation/ctc_loss")
    ('train/ctc_loss', 'training/ctc_loss', 'ctc_loss')
    >>> training_names("val_loss")
    ('train_loss', 'training_loss', 'loss')
    """
    found = _EVAL_PART.search(name)
    if found is None:
        return ()
    head, tail = name[: found.start(2)], name[found.end(2) :]
    return (f"{head}train{tail}", f"{head}training{tail}", (head + tail.lstrip("/_.-")) or name)


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
