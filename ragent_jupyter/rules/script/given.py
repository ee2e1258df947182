"""What the data, the task and the experiment dictate: settings that nobody searches, since another value would be
another problem."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet

from .found import Found
from .sayings import LEARNT, NO_CHANGE, STRONG, Judged, is_text, value_of
from .vocabulary import COUNT, METHOD, RL, SIZES, word_set

Bag = AbstractSet[str]

# How the data is spoilt or shared out, on purpose, before anybody learns from it.
_DEALT = word_set("iid attacker poison poisoned backdoor malicious imbalance byzantine straggler noniid unseen")
_SAID_DEALT = re.compile(
    r"(?i)dirichlet|data partition|partition(ing|ed)? (of )?(the )?data|non-?iid|imbalanced? (factor|ratio|type)"
    r"|long-?tail|label noise|noisy labels?|noise rate|corrupted labels?|(mislabel|flip)\w* ratio|data heterogeneity"
    r"|non-?i\.i\.d|missing (values|observations)|to (some|each|every) (party|parties|client)|slow devices?"
    r"|stragglers?|drop (out|the)? ?clients?|slow clients?"
)
_NOISY = word_set("sym asym symmetric asymmetric pairflip pair instance human worst clean")
# What a data set has a certain number of.
_HAD = word_set(
    "user item entity relation word character char symbol rating joint keypoint landmark movie product author subject "
    "patient stock asset student sensor station attribute attr tag party"
)
_SEEN = word_set("action act obs observation")
_ACTS = re.compile(r"(?i)(^|[._-])(act|obs)[_-](dim|size|shape|space)s?$")
_GENERATIVE = word_set("generator discriminator gan diffusion ddpm ddim vae fid adversarial latent")
_RECOMMENDS = word_set("user item bpr ndcg recall rating recommend interaction mess recdim ng ctr")


def given(found: Found, tokens: tuple[str, ...], bag: Bag, others: Bag, _plural: bool) -> Judged | None:
    """None where nothing tells that the option is given."""
    value = value_of(found)
    number = found.kind in ("int", "float")
    return (
        _dealt(found, bag, others)
        or _counted(found, tokens, bag, number)
        or _sampled(found, bag, others)
        or _shaped(found, tokens, bag, others, value)
        or _repeated(found)
    )


def _dealt(found: Found, bag: Bag, others: Bag) -> Judged | None:
    """How the data is shared out among clients, thinned out or spoilt: the experiment, not the method."""
    learnt = bag & (STRONG | {"loss", "aware", "sampler", "augment", "balance"})
    if learnt:
        return None
    if bag & _DEALT:
        return Judged("exclude", "how the data is dealt out, which is given")
    if {"dirichlet", "alpha"} <= bag or {"partition", "alpha"} <= bag or {"dir", "alpha"} == bag:
        return Judged("exclude", "how the data is dealt out, which is given")
    if bag & {"client", "party", "device"} and bag & {"drop", "slow"} and found.kind != "bool":
        return Judged("exclude", "how the data is dealt out, which is given")
    if "slow" in bag and "rate" in bag and not bag & {"lr", "decay", "update"}:
        return Judged("exclude", "how the data is dealt out, which is given")
    if _SAID_DEALT.search(found.help) and not re.search(r"(?i)\b(loss|weight|train with)\b", found.help):
        return Judged("exclude", "its help speaks of how the data is dealt out")
    texts = {str(one).lower() for one in (*found.choices, value_of(found)) if isinstance(one, str)}
    if "noise" in bag and texts & _NOISY:
        return Judged("exclude", "how the labels are spoilt, which is given")
    if "attack" in bag and is_text(found) and bag <= {"attack", "type", "name", "method", "mode"}:
        return Judged("exclude", "the attack, which is given")
    if {"noise", "rate"} <= bag and others & {"asym", "sym", "cifar", "forget"}:
        return Judged("exclude", "how the labels are spoilt, which is given")
    return None


def _counted(found: Found, tokens: tuple[str, ...], bag: Bag, number: bool) -> Judged | None:
    """A number of what the data has: of users, of relations."""
    led = {"n", "num", "nb", "number", "count", "total"}
    if number and bag & led and bag - COUNT and bag - COUNT <= _HAD:
        return Judged("exclude", f"how many {tokens[-1] if tokens[-1] in _HAD else tokens[0]}s the data has")
    if bag & {"way", "shot", "spt", "qry", "query"} and bag & {"k", "n"} and len(bag) == 2:
        return Judged("exclude", "the task, which is given")
    if {"class", "order"} <= bag or bag == {"increment"}:
        return Judged("exclude", "the task, which is given")
    if number and bag == {"n", "token"} and (re.search(r"(?i)vocab", found.help) or found.name.endswith("n")):
        return Judged("exclude", "the size of the vocabulary")
    if number and bag & {"core", "host", "chip"} and (bag & COUNT or "per" in bag):
        return Judged("exclude", "where it is computed")
    return None


def _sampled(found: Found, bag: Bag, others: Bag) -> Judged | None:
    """How samples are made once the model is trained, and how recommendations are counted."""
    if (bag & {"guidance", "cfg"} and bag & {"scale", "strength"} and "train" not in bag) or bag == {"config", "scale"}:
        return Judged("exclude", "how samples are made afterwards")
    if "ddim" in bag and bag & {"eta", "step", "discretize", "sampling"}:
        return Judged("exclude", "how samples are made afterwards")
    if bag == {"eta"} and re.search(r"(?i)ddim|sampl", found.help):
        return Judged("exclude", "how samples are made afterwards")
    top = bag - COUNT <= {"top", "k", "topk"} and bag & {"top", "topk"}
    said = re.search(r"(?i)\brecommend|\brank(ing|ed)?\b|recall|ndcg|precision|metric|hit", found.help)
    if (top or found.name == "Ks") and (said or len(others & _RECOMMENDS) >= 2):
        return Judged("exclude", "how recommendations are counted")
    if bag == {"sampling", "temperature"}:
        return Judged("exclude", "how samples are made afterwards")
    if bag in ({"memory", "ratio"}, {"mem", "ratio"}, {"missing", "rate"}, {"missing", "ratio"}):
        return Judged("exclude", "the machine or the data, which are given")
    if "rating" in bag and bag & {"min", "max", "threshold", "thresh"}:
        return Judged("exclude", "how the data is read")
    return None


def _shaped(found: Found, tokens: tuple[str, ...], bag: Bag, others: Bag, value: object) -> Judged | None:
    """The form of what comes in and goes out."""
    if bag in ({"goal"}, {"gnn"}) and is_text(found):
        return Judged("exclude", "the task or the model, which is given")
    if (
        bag & _SEEN
        and bag & {"dim", "size", "shape", "space", "num", "n"}
        and not bag & (LEARNT - {"dim"} | {"latent"})
        and not bag & {"bin", "repeat", "chunk", "stack", "sample", "head"}
    ):
        return Judged("exclude", "the shape of the task")
    if _ACTS.search(found.name):
        return Judged("exclude", "the shape of the task")
    if {"frame", "rate"} == bag or ({"vocab", "len"} <= bag and bag <= COUNT | {"vocab", "len"}):
        return Judged("exclude", "the shape of the data")
    if "horizon" in bag and bag & {"forecast", "prediction", "pred"} and "critic" not in bag:
        return Judged("exclude", "how far is looked ahead, which is given")
    if tokens in (("state", "dim"), ("state", "size"), ("n", "state"), ("num", "state")) and others & (_SEEN | {"env"}):
        return Judged("exclude", "the shape of the task")
    forecasts = others & {"forecast", "series", "window", "seq", "node", "highway", "lookback"}
    if bag == {"horizon"} and forecasts and not others & {"gamma", "discount", "policy", "env", "reward", "agent"}:
        return Judged("exclude", "how far is looked ahead, which is given")
    if bag == {"min", "count"}:
        return Judged("exclude", "how the vocabulary is made")
    enlarged = bag - {"factor", "scale"} == {"upscale"} or re.search(
        r"(?i)super.?resolution (scale|factor)", found.help
    )
    if enlarged and not is_text(found):
        return Judged("exclude", "how much images are enlarged, which is given")
    if found.name.lower() in ("sr", "fs") and isinstance(value, int) and value >= 4000:
        return Judged("exclude", "the data's sampling rate")
    if bag & {"label", "semantic", "mask"} and "channel" in bag and found.name.lower().endswith("nc"):
        return Judged("exclude", "the channels of the data")
    generative = len(others & _GENERATIVE) >= 1 and not others & {"crop"} - bag and not len(others & RL) >= 2
    image = bag - NO_CHANGE in ({"image", "size"}, {"image", "width"}, {"image", "height"}, {"image", "resolution"})
    if (image or bag == {"sample", "size"}) and generative and not is_text(found):
        return Judged("exclude", "the size of the images that are made")
    return None


def _repeated(found: Found) -> Judged | None:
    """How often the whole is done again."""
    name = found.name.lower()
    named = found.kind == "int" and name in (
        "times",
        "repeat_times",
        "n_times",
        "num_times",
        "run_times",
        "itr",
        "prev",
    )
    said = re.search(r"(?i)\b(runs?|running|repeat\w*|experiments?)\b", found.help)
    if named and (said or (not found.help and name not in ("itr", "prev"))):
        return Judged("exclude", "how often the whole is repeated")
    return None


def widened(found: Found, bag: Bag) -> bool:
    """Whether a size is one that no data has, so that it is a layer's: 64, 512."""
    value = value_of(found)
    wide = isinstance(value, int) and value >= 32 and value & (value - 1) == 0
    return wide and bool(bag & (SIZES | {"dim", "channel"})) and not bag & METHOD & {"window", "context"}
