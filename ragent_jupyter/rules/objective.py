"""The one metric that decides, and which way is up: from what the goal says and what the runs have logged.

A guess is only made where the names leave no doubt; else a person chooses from what was found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal

from ragent_jupyter.domain.script import Ambiguous, Objective

from .script.vocabulary import word_set
from .watch_names import EVAL_WORDS, GAME, GRAD, IGNORE, QUALITY, SPEED, classify, is_eval_name, is_reward, is_test_name

Mode = Literal["min", "max"]

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORD = re.compile(r"[a-z0-9]+")
# What people write in a sentence → what names hold.
_SAME: dict[str, str] = {
    "accuracy": "acc",
    "accuracies": "acc",
    "perplexity": "ppl",
    "losses": "loss",
    "validation": "val",
    "valid": "val",
    "eval": "val",
    "evaluation": "val",
    "evaluated": "val",
    "dev": "val",
    "heldout": "val",
    "holdout": "val",
    "training": "train",
    "tr": "train",
    "testing": "test",
    "error": "err",
    "errors": "err",
    "rewards": "reward",
    "rew": "reward",
    "returns": "return",
    "scores": "score",
    "bits": "bpb",
    "auroc": "auc",
    "rocauc": "auc",
    "miou": "iou",
    "crossentropy": "ce",
    "xent": "ce",
    "r2": "r2",
    "top1": "acc",
    "steps": "step",
}
_DOWN = word_set(
    "loss nll ce bce mse rmse mae mape smape msle logloss wer cer err ppl bpb bpc bpd cost elbo fid kid lpips "
    "regret distance brier ece perplexity divergence deviance"
)
_UP = word_set(
    "acc auc auprc ap map f1 f2 score reward return iou dice bleu rouge rougel rouge1 rouge2 meteor cider chrf ssim "
    "psnr precision recall r2 ndcg mrr hits em mcc kappa pearson spearman success win winrate elo accuracy correct "
    "jaccard sharpe likelihood"
)
_NEVER = word_set(
    "lr time sec secs second seconds ms epoch step iter iteration iterations grad norm gnorm throughput tok tokens "
    "fps mfu tps memory mem gpu cpu util temp power wd momentum eta elapsed runtime duration samples params scale "
    "batch"
)
_TURNED = re.compile(
    r"(?i)\b(?P<down>minimi[sz]\w*|reduc\w*|lower\w*|decreas\w*|smallest|less|below|under|lowest)\b"
    r"|\b(?P<up>maximi[sz]\w*|increas\w*|rais\w*|higher|highest|improv\w*|best|above|over|better|more)\b"
)
_PLAIN_WORDS = word_set("the a an of to in on for and or with by per at is it as best low high get make model")
_MOST = 12  # of the options that a person is shown
_LONGEST = 300  # characters of a metric's name


def find(metrics: Mapping[str, int], goal: str, names_hint: str = "") -> Objective | Ambiguous | None:
    """The metric that decides.

    metrics: name → in how many runs it was logged.  goal: what a person wrote.  names_hint: what the script prints or
    documents, only asked where several metrics are equally likely.  None: nothing was logged that could decide.

    >>> find({"train_loss": 3, "val_loss": 3, "lr": 3}, "make it better")
    Objective(metric='val_loss', mode='min', why='the only validation loss')
    >>> find({"val_loss": 1, "val_acc": 1}, "val acc above 0.9").metric
    'val_acc'
    """
    usable = {name: runs for name, runs in metrics.items() if _may_decide(name) and runs > 0}
    if not usable:
        return None
    verbatim = [name for name in usable if _verbatim(name, goal) and not _in_general(name, usable)]
    if verbatim:
        longest = max(len(name) for name in verbatim)
        named = [name for name in verbatim if len(name) == longest]
        if len(named) == 1:
            return _decided(named[0], "the goal names it", goal)
    named = _meant(usable, goal)
    if named:
        return _among(named, usable, goal, names_hint, named=True)
    # The losses of actors, critics and discriminators say nothing about how well it goes.
    open_ = [name for name in usable if classify(name) != GAME] or list(usable)
    held = [name for name in open_ if _held_out(name)]
    earned = [name for name in open_ if is_reward(name)]
    for group in (held, earned, [n for n in open_ if not is_eval_name(n)], open_):
        known = [name for name in group if direction(name) is not None]
        if known:
            return _among(known, usable, goal, names_hint, named=False)
    return _ask(sorted(usable), "It cannot be told which way these metrics are better.", usable)


def direction(name: str) -> Mode | None:
    """Which way a metric is better, by its name; None where that says nothing.

    >>> [direction(n) for n in ("val/acc", "rmse", "rollout/ep_rew_mean", "x")]
    ['max', 'min', 'max', None]
    """
    words = _words(name)
    down, up = bool(words & _DOWN), bool(words & _UP)
    if down and not up:
        return "min"
    if up and not down:
        return "max"
    if down and up:  # "accuracy_loss", "reward_loss": the last word is the noun
        last = [w for w in _ordered(name) if w in _DOWN | _UP][-1]
        return "min" if last in _DOWN else "max"
    kind = classify(name)
    if kind == QUALITY or is_reward(name):
        return "max"
    return None if kind in (IGNORE, GRAD, SPEED, GAME) else "min"


def _held_out(name: str) -> bool:
    return (is_eval_name(name) or "val" in _words(name)) and not is_test_name(name)


def _in_general(name: str, usable: Mapping[str, int]) -> bool:
    """Whether a name is only the word for what another metric is on held-out data: "loss" beside "val_loss"."""
    words = _words(name)
    return words <= _DOWN | _UP and any(_held_out(other) and words <= _words(other) for other in usable)


def _ordered(name: str) -> list[str]:
    spaced = _CAMEL.sub("_", name).lower().replace("cross_entropy", "crossentropy").replace("roc_auc", "auc")
    return [_SAME.get(word, word) for word in _WORD.findall(spaced)]


def _words(name: str) -> frozenset[str]:
    found: set[str] = set()
    for word in _ordered(name):
        found.add(word)
        bare = _SAME.get(word.rstrip("0123456789"), word.rstrip("0123456789"))
        if bare in _DOWN | _UP:  # mAP50, acc1
            found.add(bare)
        for head in ("val", "train", "test", "eval"):  # valloss, testacc
            rest = _SAME.get(word[len(head) :], word[len(head) :])
            if word.startswith(head) and rest in _DOWN | _UP:
                found |= {_SAME.get(head, head), rest}
    return frozenset(found)


def _may_decide(name: str) -> bool:
    """Whether a metric could be a goal at all: not the machine's, not the schedule's, not a gradient's."""
    if not name or len(name) > _LONGEST or name.startswith(("system/", "system.")):
        return False
    if classify(name) in (GRAD, SPEED):
        return False
    words = _words(name)
    aims = words & (_DOWN | _UP)
    return bool(aims) or not words & _NEVER


def _verbatim(name: str, goal: str) -> bool:
    """Whether the goal holds the very name, as a word of its own."""
    if len(name) < 2 or (name.lower() in _PLAIN_WORDS):
        return False
    plain = name.isalpha() and name.islower()
    if plain and len(name) < 3:
        return False
    return re.search(rf"(?<![\w/.-]){re.escape(name)}(?![\w/-]|\.\w)", goal, re.IGNORECASE) is not None


def _meant(usable: Mapping[str, int], goal: str) -> list[str]:
    """The metrics that the goal's words fit best; [] where it names none."""
    said = _words(goal.replace("bits per char", "bpc").replace("bits per byte", "bpb").replace("bits per dim", "bpd"))
    said = said | ({"f1"} if re.search(r"(?i)\bf-?1\b", goal) else frozenset())
    aims = said & (_DOWN | _UP)
    if not aims:
        return []
    best: list[str] = []
    most = 0
    for name in usable:
        words = _words(name)
        hit = words & aims
        if not hit:
            continue
        # A split that the goal names must be the metric's; one that it does not name costs nothing.
        splits = {"val", "train", "test"}
        wanted, has = said & splits, words & splits
        score = (
            10 * len(hit) + (5 if wanted and wanted & has else 0) - (5 if wanted and has and not wanted & has else 0)
        )
        score += len((words & said) - aims - splits)
        if score > most:
            best, most = [name], score
        elif score == most:
            best.append(name)
    return best


def _among(names: list[str], usable: Mapping[str, int], goal: str, hint: str, *, named: bool) -> Objective | Ambiguous:
    """One of several: held-out data before training data, what more runs logged, a loss before what is derived."""
    why = "the goal names it" if named else ""
    said = _words(goal)
    steps: list[Callable[[str], bool]] = [
        lambda n: not is_test_name(n) or "test" in said,
        lambda n: _held_out(n) or "train" in said,
    ]
    left = names
    for keep in steps:
        left = [name for name in left if keep(name)] or left
    most = max(usable[name] for name in left)
    left = [name for name in left if usable[name] == most]
    if len(left) > 1 and hint:
        printed = [name for name in left if _verbatim(name, hint)]
        left = printed if len(printed) == 1 else left
    if len(left) == 1:
        return _decided(left[0], why or _only(left[0]), goal)
    plain = [name for name in left if _words(name) - EVAL_WORDS - {"val", "train", "test"} <= {"loss"}]
    if len(plain) == 1 and not named and all(direction(name) == "min" for name in left):
        return _decided(plain[0], "the plain loss", goal)
    kind = "fit the goal" if named else "could decide"
    return _ask(left, f"{len(left)} metrics {kind}.", usable)


def _only(name: str) -> str:
    where = "validation" if _held_out(name) else "test" if is_test_name(name) else ""
    what = "loss" if direction(name) == "min" else "score"
    return f"the only {where} {what}".replace("  ", " ")


def _decided(name: str, why: str, goal: str) -> Objective | Ambiguous:
    mode = direction(name)
    if mode is None:
        ways = {"min" if match["down"] else "max" for match in _TURNED.finditer(goal)}
        if len(ways) == 1:
            mode = "min" if ways == {"min"} else "max"
            return Objective(metric=name, mode=mode, why=f"{why}, and the direction with it")
        options = [Objective(metric=name, mode="min"), Objective(metric=name, mode="max")]
        return Ambiguous(problem=f"It cannot be told whether a lower or a higher {name} is better.", options=options)
    return Objective(metric=name, mode=mode, why=why)


def _ask(names: list[str], problem: str, usable: Mapping[str, int]) -> Ambiguous:
    ranked = sorted(
        names, key=lambda n: (direction(n) is None, is_test_name(n), not is_eval_name(n), -usable.get(n, 0), len(n), n)
    )
    options: list[Objective] = []
    for name in ranked[:_MOST]:
        mode = direction(name)
        if mode is not None:
            options.append(Objective(metric=name, mode=mode))
        else:
            options += [Objective(metric=name, mode="min"), Objective(metric=name, mode="max")]
    return Ambiguous(problem=problem, options=options[:_MOST])
