"""What an option is: searched, training length, a seed, or none of our business; told by its name, then by the rest.

A name is read as English reads a compound: its last word says what kind of thing it is (`model_dim` is a dimension,
`dropout_path` a path), and some words colour all of it (`eval_batch_size` is about evaluation). Only where the name
says nothing the help text, the comment over its group, and the kind of value are asked.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from typing import Any

from msgspec import Struct

from ragent_jupyter.domain.script import Role

from .folding import UNKNOWN
from .found import Found
from .vocabulary import (
    BOOKKEEPING,
    COUNT,
    EVALUATION,
    IDENTITIES,
    KEEPING,
    LOOKING,
    MACHINE,
    METHOD,
    PARTIAL,
    PLACES,
    RL,
    SIZES,
    SPENT,
    word_set,
    words,
)


class Judged(Struct, frozen=True):
    """weak: the name itself said little."""

    role: Role
    why: str
    weak: bool = False


_PATHLIKE = re.compile(
    r"(^|[\w.~])/\w|^[./~]+/|^\w+://|\.(csv|tsv|json|jsonl|ya?ml|txt|pkl|npz?|h5|pth?|ckpt|bin|log|png|wav|parquet|py|tar|gz)$"
)
_RUN_TIME = re.compile(
    r"(?i)\b(at|in|during) run\s?time|\bcomputed (at|in|from|later)\b|\bfilled in\b|do(n't| not) set\b"
)
_SAID_LOOKING = re.compile(
    r"(?i)\b(log(s|ged|ging|ger)?|print(s|ed|ing)?|sav(e[sd]?|ing)|evaluat\w+|validat\w+|test(ing)?|checkpoint\w*|resum\w+"
    r"|wandb|tensorboard|visuali[sz]\w+|plot\w*|debug\w*|verbose|download\w*|upload\w*|profil\w+|display\w*|report\w*"
    r"|render\w*|inference|metrics?)\b"
)
_SAID_PLACE = re.compile(
    r"(?i)\b(path|folder|directory|dir|file(name)?s?|location|url|checkpoint|name of|names of|gpus?|cuda|cpu|devices?"
    r"|workers?|threads?|process(es)?|distributed|datasets?|data ?loading|token|username|column|indices|columns"
    r"|start(ing)? epoch|mixed precision|fp16|faster|speed ?up)\b"
)
_SAID_METHOD = re.compile(
    r"(?i)\b(learning.rate|lr|weight decay|dropout|regulari[sz]\w+|momentum|optimi[sz]er|hidden|layers?|dimension\w*"
    r"|size|weight(s|ing)? (of|for)|loss|coefficient|augment\w+|temperature|kernel|channels?|embedding\w*|attention"
    r"|heads?|rate|probability|ratio|threshold|penalty|scale"
    r"|number of (units|features|filters|blocks|neighbou?rs|samples per)|discount|entropy|exploration"
    r"|noise|warm ?up|schedule\w*|activation|normali[sz]ation|initiali[sz]\w+)\b"
)
_SAID_SPENT = re.compile(
    r"(?i)\b((number|amount|count|#) of (training |total )?(epochs|steps|iterations|updates|episodes|timesteps|rounds"
    r"|training (examples|samples))|total (number of )?(training )?(steps|epochs|iterations|timesteps)|epochs to train"
    r"|how (many|long) .{0,20}(epochs|steps|train))\b"
)
_SAID_ROLLOUT = re.compile(r"(?i)roll-?outs?|n-step|forward steps|per (env|environment|policy|update|actor)|bootstrap")
_SAID_DIFFUSION = re.compile(r"(?i)diffusion|nois|denois|spik|ode\b|sde\b|simulat")
_SAID_START = re.compile(r"(?i)\b(start|resum|load|from|continue|restor|which|current)\w*")
_NO_CHANGE = word_set(
    "use with enable disable do is no not without if should apply add set have has to and or for by on off train "
    "training only custom new"
)
_ROUGH = word_set(
    "type name mode fn func function kind method algorithm strategy size num n number value param arg kwarg option "
    "shape version variant level"
)
_UPDATED = word_set(
    "target update policy actor critic discriminator generator ema learn learning reg decay accumulate grad anneal "
    "restart precond preconditioner polyak rollout augment mask resample train training network optim optimizer lr "
    "hessian swa average mixup teacher flush replay explore sigma warmup freeze kl attention attn global"
)
_WAVES = word_set(
    "num n max min rope pos positive base embed mask cutoff band fourier encoding mel theta multires low high scale dim"
)
_LOW_RANK = word_set("lora low adapter dim approx kernel galore decomposition tensor r svd tucker")
_LOGS = word_set("std alpha variance var scale prob likelihood space snr temperature mel spectrogram eps epsilon lr")
_STRONG = word_set("lr wd dropout momentum nesterov smoothing mixup cutmix cutout warmup augment")


def judge(found: Found, companions: AbstractSet[str] = frozenset()) -> Judged:
    """The role of one option. companions: the words of the script's other options, which tell what it is about."""
    if found.computed:
        return Judged("exclude", "its value comes from elsewhere")
    if found.positional:
        return Judged("exclude", "a positional argument")
    if _RUN_TIME.search(found.help):
        return Judged("exclude", "filled in when it runs")
    head, _, last = found.name.rpartition(".")
    if last in ("_target_", "_partial_", "_recursive_", "_convert_"):
        return Judged("exclude", "names the code that is built")
    verdict = _by_name(found, words(last), companions)
    parents = frozenset(words(head)) if head else frozenset()
    if parents:
        verdict = _within(verdict, parents, found, words(last))
    return verdict


def _within(verdict: Judged, parents: AbstractSet[str], found: Found, last: tuple[str, ...]) -> Judged:
    """A dotted name: what the levels above say of it."""
    if parents & (
        EVALUATION | {"log", "callback", "path", "wandb", "profiler", "launcher", "checkpoint", "extra", "viz"}
    ):
        return Judged("exclude", f"it stands under {'.'.join(sorted(parents))}")
    if verdict.weak and parents & {"data", "dataset", "env", "loader", "datamodule", "task"}:
        return Judged("exclude", "it describes the data or the task", weak=True)
    method = parents & {"model", "optimizer", "scheduler", "net", "network", "loss", "encoder", "decoder", "agent"}
    if verdict.weak and verdict.role == "exclude" and method and isinstance(_value(found), (int, float)):
        return Judged("tune", "a setting of the model or of its training", weak=True)
    return verdict


def _value(found: Found) -> Any:
    return None if found.default is UNKNOWN else found.default


def _is_text(found: Found) -> bool:
    return found.kind == "str" or isinstance(_value(found), str)


def _by_name(found: Found, tokens: tuple[str, ...], companions: AbstractSet[str]) -> Judged:
    bag = frozenset(tokens)
    plural = found.name.lower().rstrip("0123456789_").endswith("s")
    for rule in (_seed, _place, _cadence, _particular, _strong, _looking, _machine, _spent):
        verdict = rule(found, tokens, bag, companions, plural)
        if verdict is not None:
            return verdict
    return _noun(found, tokens) or _by_the_rest(found)


# --- the rules, in their order ----------------------------------------------------------------------------------------
# Each gets the option, its words in order and as a set, the words of its companions, and whether the name is a plural.
Bag = AbstractSet[str]


def _seed(found: Found, tokens: tuple[str, ...], bag: Bag, _others: Bag, _plural: bool) -> Judged | None:
    if not bag & {"seed", "rng"} and not {"random", "state"} <= bag:
        return None
    if bag & {"frame", "step", "episode", "iter", "timestep", "transition"}:
        return Judged("tune", "how much is explored before learning")
    if found.kind == "bool":
        return Judged("exclude", "whether a seed is set")
    if (bag & COUNT and "random" not in bag) or tokens[-1] in PLACES:
        return Judged("exclude", "about seeds, but none itself")
    return Judged("seed", "named like a random seed")


def _place(found: Found, tokens: tuple[str, ...], bag: Bag, _others: Bag, _plural: bool) -> Judged | None:
    if not tokens:
        return None
    stochastic = bag & {"drop", "stochastic", "reg", "penalty", "prob", "len", "decay", "rate", "depth"}
    if tokens[-1] in PLACES and found.kind not in ("bool", "int", "float") and not stochastic:
        return Judged("exclude", "a path or a part of one")
    if bag & {"path", "dir", "url"} and not stochastic and found.kind not in ("int", "float", "bool"):
        return Judged("exclude", "a path")
    if found.path:
        return Judged("exclude", "takes a path")
    measured = found.kind in ("int", "float") and bag & METHOD  # lambda_id: the weight of a term that is called so
    if tokens[-1] in IDENTITIES - {"name", "version", "key"} and found.kind != "bool" and not measured:
        return Judged("exclude", "a name or an address")
    value = _value(found)
    if isinstance(value, str) and _PATHLIKE.search(value):
        return Judged("exclude", "its value is a path")
    return None


def _cadence(found: Found, tokens: tuple[str, ...], bag: Bag, _others: Bag, _plural: bool) -> Judged | None:
    if tokens and tokens[0] == "i" and len(tokens) == 2 and found.kind == "int" and not tokens[1].isdigit():
        value = _value(found)
        if isinstance(value, int) and value >= 100:  # i_print, i_weights: NeRF's way of saying "every"
            return Judged("exclude", "how often something is logged, saved or evaluated")
    if not bag & {"every", "freq"}:
        return None
    if {"min", "freq"} <= bag:
        return Judged("exclude", "how the vocabulary is made")
    if "freq" in bag and "every" not in bag and bag & _WAVES and not bag & LOOKING:
        return Judged("tune", "a frequency of the model")
    if bag & _UPDATED and not bag & LOOKING:
        return Judged("tune", "how often something is updated")
    return Judged("exclude", "how often something is logged, saved or evaluated")


def _particular(found: Found, tokens: tuple[str, ...], bag: Bag, others: Bag, plural: bool) -> Judged | None:
    """Pairs of words that mean something of their own."""
    value = _value(found)
    if "batch" in bag and found.kind == "bool":
        return Judged("exclude", "how the data is laid out") if not bag & METHOD - {"scale"} else None
    if {"mini", "batch"} <= bag:
        return Judged("tune", "about the batches of an update")
    bare = bag - COUNT - _NO_CHANGE == {"batch"} and not plural
    if bare or "minibatch" in bag or {"batch", "size"} <= bag:
        if bag & EVALUATION:
            return Judged("exclude", "the batch size of evaluation")
        return Judged("tune", "named like a batch size")
    if bag & {"start", "begin", "initial", "resume", "last", "current", "cur", "init", "from", "previous"}:
        rest = bag - {
            "start",
            "begin",
            "initial",
            "resume",
            "last",
            "current",
            "cur",
            "at",
            "from",
            "global",
            "init",
            "n",
            "num",
        }
        if rest and rest <= {"epoch", "iter", "step", "episode", "batch"} and not (plural and "step" in rest):
            return Judged("exclude", "where a run goes on")
        if {"init", "from"} <= bag:
            return Judged("exclude", "what it starts from")
    if tokens and tokens[-1] == "epoch" and len(bag) == 1 and not plural and _SAID_START.search(found.help):
        return Judged("exclude", "where a run goes on")
    if {"early", "stop"} <= bag or bag <= {"stop", "after"}:
        return Judged("fidelity", "when training stops")
    if "patience" in bag and (bag & PARTIAL or re.search(r"(?i)\blr\b|learning rate|plateau|schedul", found.help)):
        return Judged("tune", "the patience of the schedule")
    if {"update", "epoch"} <= bag or {"epoch", "ppo"} <= bag or {"step", "size"} <= bag or {"d", "model"} <= bag:
        return Judged("tune", "a part of the method")
    timed = "time" in bag and bag & {"max", "limit", "budget", "total"} and found.kind != "bool"
    if timed or (bag & {"hour", "minute"} and not bag & LOOKING):
        return Judged("fidelity", "how long it trains")
    sampled = bag & {"sample", "sampling"} and "rate" in bag
    if sampled and (not isinstance(value, float) or value > 1):
        return Judged("exclude", "the data's sampling rate")
    if {"loss", "scale"} == bag - {"static", "dynamic", "init"}:
        return Judged("exclude", "the scale of mixed precision")
    if "rank" in bag:
        said = re.search(r"(?i)lora|low.rank|update matri|dimension", found.help)
        if bag & _LOW_RANK or said:
            return Judged("tune", "the rank of an approximation")
        return Judged("exclude", "the rank of a process")
    if (
        bag - COUNT - _NO_CHANGE == set()
        and bag & {"train", "training"}
        and found.kind in ("bool", "int")
        and not bag & COUNT
    ):
        return Judged("exclude", "what the script is to do")
    if found.kind == "bool" and (bag - _NO_CHANGE == {"sample"} or "output" in bag or bag - _NO_CHANGE == {"half"}):
        return Judged("exclude", "what the script is to do")
    if {"fine", "tune"} <= bag:
        return Judged("exclude", "what a run starts from or keeps")
    if "keep" in bag and bag & {"last", "best", "n", "k", "checkpoint", "max", "num"}:
        return Judged("exclude", "what is kept on disk")
    if {"channel", "last"} <= bag:
        return Judged("exclude", "where or how fast it is computed")
    if {"input", "size"} <= bag or {"load", "size"} <= bag:
        return Judged("tune", "the resolution of the input")
    if bag & {"data", "dataset"} and "size" in bag and found.kind in ("int", "float"):
        return Judged("fidelity", "how much of the data is used")
    if {"class", "token"} <= bag or {"leaf", "node"} <= bag or {"prediction", "type"} <= bag or {"fan", "out"} <= bag:
        return Judged("tune", "a part of the model")
    if ("cost" in bag and found.kind == "float") or ("memory" in bag and bag & {"size", "capacity", "len"}):
        return Judged("tune", "a part of the method")
    if "len" in bag and bag & {"group", "pred", "answer"}:
        return Judged("exclude", "about the task, which is given")
    if bag & {"threshold", "thres", "thresh"} and bag & {"iou", "config", "score", "nms", "confidence", "null"}:
        return Judged("exclude", "about evaluation")
    if bag <= {"train", "training", "ratio", "split"} and "ratio" in bag and len(bag) > 1:
        return Judged("exclude", "how the data is split")
    if "sampling" in bag and bag & {"step", "timestep", "iter"}:
        return Judged("exclude", "how samples are made afterwards")
    if {"update", "step"} <= bag and not plural and not bag & (COUNT | EVALUATION):
        return Judged("tune", "a part of the method")
    if (
        bag & {"in", "input"}
        and bag & {"channel", "dim", "feature", "shape"}
        and not bag & {"dropout", "norm", "embed"}
    ):
        return Judged("exclude", "the shape of the data")
    if (bag & {"out", "output"} and bag & {"channel", "size", "shape", "class"}) or {"output", "dim"} <= bag:
        return Judged("exclude", "the shape of the data")
    if bag - COUNT == {"channel"} and (value is None or (isinstance(value, int) and value <= 4)):
        return Judged("exclude", "the channels of the data")
    if "image" in bag and bag & SIZES:
        return Judged("tune", "the resolution of the input")
    if "drop" in bag:
        if "last" in bag:
            return Judged("exclude", "how the data is laid out")
        return Judged("tune", "named like a rate of dropping")
    if found.many and re.search(r"(?i)\bindices\b", found.help):
        return Judged("exclude", "a list of places")
    if found.kind == "bool" and "pad" in bag:
        return Judged("exclude", "how the data is laid out")
    if bag and bag <= {"mean", "std"} and (found.many or _is_text(found)):
        return Judged("exclude", "the statistics of the data")
    if "weight" in bag and _is_text(found) and not found.choices and (value is None or bag == {"weight"}):
        return Judged("exclude", "names a model's weights")
    if bag & {"new", "generate"} and bag & {"token", "len"}:
        return Judged("exclude", "how much is generated")
    if bag - COUNT - _NO_CHANGE == {"env"} and bag & COUNT:
        return Judged("tune", "the number of environments at once")
    if "nstep" in bag or (bag <= {"n", "step"} and len(bag) == 2 and not plural):
        return Judged("tune", "steps of a return")
    return None


def _strong(found: Found, _tokens: tuple[str, ...], bag: Bag, _others: Bag, _plural: bool) -> Judged | None:
    if not bag & _STRONG or bag & (EVALUATION | {"log", "print", "save", "plot", "find", "finder", "file"}):
        return None
    word = next(w for w in ("warmup", "lr", "wd", *sorted(_STRONG)) if w in bag)
    names = {"lr": "learning rate", "wd": "weight decay", "smoothing": "label smoothing"}
    return Judged("tune", f"named like {names.get(word, word)}")


def _looking(_found: Found, tokens: tuple[str, ...], bag: Bag, _others: Bag, _plural: bool) -> Judged | None:
    seen = bag & LOOKING
    if "clip" in bag or "value" in bag:
        seen = seen - {"val"}
    if "predict" in seen and bag & {"eps", "epsilon", "x", "start", "noise", "v", "xstart"}:
        seen = seen - {"predict"}
    if "log" in seen:
        at = tokens.index("log")
        if at + 1 < len(tokens) and tokens[at + 1] in _LOGS:
            seen = seen - {"log"}
    if bag & {"find", "finder"}:
        return Judged("exclude", "a search of its own")
    if seen:
        return Judged("exclude", f"about {sorted(seen)[0]}, not about learning")
    kept = bag & KEEPING
    if (
        kept
        and not ("load" in kept and bag & {"balance", "balancing"})
        and not ("restart" in kept and bag & {"cosine", "cycle"})
    ):
        return Judged("exclude", "what a run starts from or keeps")
    return None


def _machine(_found: Found, _tokens: tuple[str, ...], bag: Bag, _others: Bag, _plural: bool) -> Judged | None:
    if bag & MACHINE:
        return Judged("exclude", "where or how fast it is computed")
    rest = bag - COUNT
    if rest and rest <= {"node", "host", "port", "cluster", "local", "per"}:
        return Judged("exclude", "where it is computed")
    return None


def _spent(found: Found, tokens: tuple[str, ...], bag: Bag, others: Bag, plural: bool) -> Judged | None:
    value = _value(found)
    rest = bag - COUNT - _NO_CHANGE - {"model", "main", "agent", "env", "real", "base", "run", "size", "opt", "budget"}
    if (
        bag & {"data", "dataset", "subset", "label"}
        and bag & {"ratio"}
        and not bag & {"augment", "weight", "split", "noise"}
    ):
        return Judged("fidelity", "how much of the data is used")
    if "subset" in bag and not _is_text(found) and found.kind != "bool":
        return Judged("fidelity", "how much of the data is used")
    if bag & {"train", "training"} and not rest and bag & (COUNT | {"size"}) and not _is_text(found):
        return Judged("fidelity", "how many training examples are used")
    if (
        bag & {"train", "training"}
        and found.kind == "int"
        and isinstance(value, int)
        and value >= 10_000
        and not bag & METHOD
    ):
        return Judged("fidelity", "how much is trained on")
    if not bag & SPENT or found.kind == "bool" or found.many:
        return None
    if _is_text(found) and not (isinstance(value, str) and value.replace(".", "").isdigit()) and not plural:
        return None
    if rest and rest <= SPENT:
        return _length(found, tokens, bag, others, plural, value)
    if "budget" in bag and not rest:
        return Judged("fidelity", "a budget of training")
    if "per" in bag and bag & SPENT:
        if tokens[-1] == "epoch":
            return Judged("fidelity", "how long an epoch is")
        return Judged("tune", "a rate of the method")
    if tokens[-1] in SPENT:
        if bag & PARTIAL:
            return Judged("tune", "a length within the method's schedule")
        if plural or bag & COUNT:
            if (
                isinstance(value, int)
                and value < 1000
                and tokens[-1] in ("frame", "token", "sample", "example", "tree")
            ):
                return Judged("tune", "a count within the method", weak=True)
            return Judged("fidelity", "how long a part of training is")
        if bag & METHOD:
            return Judged("tune", "a moment of the method's schedule")
    return None


def _length(found: Found, tokens: tuple[str, ...], bag: Bag, others: Bag, plural: bool, value: Any) -> Judged:
    """A bare count: of epochs, steps, samples. What else the script has tells which count it is."""
    longer = others & {"epoch", "timestep", "episode", "iter", "frame"}
    if found.name.lower() in ("iter", "iters") and longer - bag and isinstance(value, int) and value <= 32:
        return Judged("tune", "iterations within the model", weak=True)
    if bag & {"step", "timestep", "iter"} and not bag & {"total", "epoch", "env", "train", "training", "global"}:
        if _SAID_ROLLOUT.search(found.help) or ("step" in bag and len(others & RL) >= 2 and longer - bag):
            return Judged("tune", "the length of a rollout")
        if (
            "timestep" in bag
            and (_SAID_DIFFUSION.search(found.help) or longer & {"epoch", "iter"})
            and not len(others & RL) >= 2
        ):
            return Judged("tune", "steps of the process that is modelled")
        if _SAID_DIFFUSION.search(found.help):
            return Judged("tune", "steps of the process that is modelled")
    small = isinstance(value, int) and value < 1000
    if bag & {"frame"} and small:
        return Judged("tune", "frames that the model sees")
    if bag & {"sample", "example"} and re.search(r"(?i)\bper\b|\bray|monte|generat|draw|visuali|evaluat", found.help):
        gen = re.search(r"(?i)generat|visuali|evaluat", found.help)
        return Judged("exclude" if gen else "tune", "samples that are drawn")
    if bag & {"token"} and (re.search(r"(?i)batch", found.help) or (isinstance(value, int) and value < 100_000)):
        return Judged("tune", "tokens of a batch or of an input")
    if bag == {"example"} or (bag == {"sample"} and not plural):
        return Judged("exclude", "an example", weak=True)
    if bag & {"game"} and (_is_text(found) or not plural):
        return Judged("exclude", "the task")
    if bag == {"step"} and not plural and found.kind == "float":
        return Judged("tune", "a step", weak=True)
    unit = next((word for word in reversed(tokens) if word in SPENT), "step")
    return Judged("fidelity", f"named like a number of {unit}s")


def _noun(found: Found, tokens: tuple[str, ...]) -> Judged | None:
    """The last word that says something decides."""
    left = [w for w in tokens if w not in _NO_CHANGE and not w.isdigit()]
    if found.kind in ("int", "float", "bool"):
        left = [w for w in left if w not in IDENTITIES and w not in PLACES] or left
    while len(left) > 1 and left[-1] in _ROUGH:
        left.pop()
    left = [w for w in left if w not in ("in", "out")] or left
    if not left:
        return None
    value = _value(found)
    if len(left) == 1 and len(left[0]) == 1 and not _is_text(found):
        return Judged("tune", "a letter of a formula", weak=True)
    for at, word in enumerate(reversed(left)):
        if word in METHOD and not (word == "target" and len(left) == 1):
            free = _is_text(found) and not found.choices and isinstance(value, str) and at > 0
            return Judged("tune", f"named like a part of the method ({word})", weak=at > 0 or free)
        if word in BOOKKEEPING or word in IDENTITIES or word in PLACES:
            return Judged("exclude", f"about the {word}, which is given", weak=at > 0)
    return None


def _by_the_rest(found: Found) -> Judged:
    """The name says nothing: its help, the comment over its group, then the kind of value."""
    text = found.help
    if _SAID_SPENT.search(text):
        return Judged("fidelity", "its help speaks of training length", weak=True)
    if _SAID_PLACE.search(text) or (_SAID_LOOKING.search(text) and not _SAID_METHOD.search(text)):
        return Judged("exclude", "its help speaks of files, machines or logs", weak=True)
    if _SAID_METHOD.search(text):
        return Judged("tune", "its help speaks of the method", weak=True)
    aside = _SAID_LOOKING.search(found.section) or re.search(r"(?i)\b(misc|path|data ?set|i/?o|system)", found.section)
    if aside and not _SAID_METHOD.search(found.section):
        return Judged("exclude", f"it stands under “{found.section[:60]}”", weak=True)
    if found.kind in ("float", "int"):
        return Judged("tune", "a number of which the script says nothing else", weak=True)
    if found.choices and found.kind != "bool":
        return Judged("tune", "a choice", weak=True)
    if found.kind == "bool":
        return Judged("tune", "a switch of which the script says nothing else", weak=True)
    return Judged("exclude", "a text of which the script says nothing else", weak=True)
