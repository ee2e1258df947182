"""What an option is: searched, training length, a seed, or none of our business; told by its name, then by the rest.

A name is read as English reads a compound: its last word says what kind of thing it is (`model_dim` is a dimension,
`dropout_path` a path), and some words colour all of it (`eval_batch_size` is about evaluation). Only where the name
says nothing the help text, the comment over its group, and the kind of value are asked.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from typing import Any

from .found import Found
from .particular import particular
from .sayings import (
    CHOSEN,
    HOMES_ASIDE,
    INNER,
    KINDS,
    LOGS,
    NO_CHANGE,
    PATHLIKE,
    PHASES,
    ROUGH,
    RUN_TIME,
    SAID_ASIDE,
    SAID_AUGMENT,
    SAID_DIFFUSION,
    SAID_ENCODING,
    SAID_FAST,
    SAID_LOOKING,
    SAID_METHOD,
    SAID_PLACE,
    SAID_ROLLOUT,
    SAID_SHAPE,
    SAID_SPENT,
    SAID_SWITCH,
    SAID_TRAINED,
    STRONG,
    THINGS,
    UPDATED,
    WAVES,
    Judged,
    is_text,
    value_of,
)
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
    words,
)


def judge(found: Found, companions: AbstractSet[str] = frozenset(), uses: AbstractSet[str] = frozenset()) -> Judged:
    """The role of one option. companions: the words of the script's other options, which tell what it is about.
    uses: what the code does with its value."""
    if found.computed:
        return Judged("exclude", "its value comes from elsewhere")
    if found.positional:
        return Judged("exclude", "a positional argument")
    if RUN_TIME.search(found.help):
        return Judged("exclude", "filled in when it runs")
    head, _, last = found.name.rpartition(".")
    nearest = frozenset(words(head.rpartition(".")[2])) if head else frozenset()
    if is_text(found) and last in ("type", "name", "kind") and nearest & CHOSEN and not nearest & LOOKING:
        return Judged("tune", "which way of doing it")
    if last in ("_target_", "_partial_", "_recursive_", "_convert_"):
        return Judged("exclude", "names the code that is built")
    verdict = _by_name(found, words(last), companions)
    parents = frozenset(words(head)) if head else frozenset()
    if parents:
        verdict = _within(verdict, parents, found, words(last))
    return _by_use(found, verdict, uses)


def _by_use(found: Found, verdict: Judged, uses: AbstractSet[str]) -> Judged:
    """Where the name says little, what the code does with the value says more."""
    told = uses - {"look", "said"}
    if not is_text(found):
        told -= {"data"}  # how the data is cut or read as features may well be searched
    if verdict.role == "exclude" and verdict.cadence and "update" in told and found.kind != "bool":
        return Judged("tune", "how often the code updates something")
    if not verdict.weak:
        return verdict
    if told and told <= {"machine", "data", "load", "place"}:
        return Judged("exclude", "the code gives it to files, data or machines", weak=True)
    number = found.kind in ("int", "float") or isinstance(value_of(found), (int, float))
    if "spent" in told and found.kind == "int":
        return Judged("fidelity", "the code trains that often")
    if told == {"seed"} and number and found.kind != "bool":
        return Judged("seed", "the code seeds its random numbers with it")
    if told & {"method", "update"} and not told & {"load", "place", "data"} and (number or found.choices):
        return Judged("tune", "the code builds the model or its training with it")
    if not told and "look" in uses and found.kind == "bool":
        return Judged("exclude", "the code only shows or keeps something by it", weak=True)
    return verdict


def _within(verdict: Judged, parents: AbstractSet[str], found: Found, last: tuple[str, ...]) -> Judged:
    """A dotted name: what the levels above say of it."""
    stops = {"early", "stop"} <= parents and "patience" in last
    if not stops and parents & (
        EVALUATION | {"log", "callback", "path", "wandb", "profiler", "launcher", "checkpoint", "extra", "viz"}
    ):
        return Judged("exclude", f"it stands under {'.'.join(sorted(parents))}")
    if stops:
        return Judged("fidelity", "when training stops")
    if verdict.role == "fidelity" and parents & {"scheduler", "optimizer", "model", "net", "network", "loss"}:
        return Judged("tune", "a length within the method")
    data = parents & {"data", "dataset", "env", "loader", "datamodule", "task"}
    if verdict.weak and data and not parents & {"augment", "transform"}:
        return Judged("exclude", "it describes the data or the task", weak=True)
    method = parents & {"model", "optimizer", "scheduler", "net", "network", "loss", "encoder", "decoder", "agent"}
    if verdict.weak and verdict.role == "exclude" and method and isinstance(value_of(found), (int, float)):
        return Judged("tune", "a setting of the model or of its training", weak=True)
    return verdict


def _by_name(found: Found, tokens: tuple[str, ...], companions: AbstractSet[str]) -> Judged:
    bag = frozenset(tokens)
    plural = found.name.lower().rstrip("0123456789_").endswith("s")
    for rule in (_seed, _place, _aside, _cadence, particular, _strong, _looking, _machine, _spent):
        verdict = rule(found, tokens, bag, companions, plural)
        if verdict is not None:
            return verdict
    return _noun(found, tokens) or _by_the_rest(found)


# --- the rules, in their order ----------------------------------------------------------------------------------------
# Each gets the option, its words in order and as a set, the words of its companions, and whether the name is a plural.
Bag = AbstractSet[str]
_OWN = 6  # networks that a script has of its own; more are a catalogue


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
    value = value_of(found)
    if isinstance(value, str) and PATHLIKE.search(value):
        return Judged("exclude", "its value is a path")
    return None


def _aside(found: Found, _tokens: tuple[str, ...], bag: Bag, _others: Bag, _plural: bool) -> Judged | None:
    """What its help says to be about evaluation alone, or about speed and memory alone."""
    if SAID_ASIDE.search(found.help) and not re.search(r"(?i)\btrain", found.help) and not bag & STRONG:
        return Judged("exclude", "its help speaks of evaluation alone")
    if found.kind == "bool" and SAID_FAST.search(found.help) and not bag & {"dropout", "augment", "momentum"}:
        return Judged("exclude", "its help speaks of speed or memory")
    if found.home & HOMES_ASIDE:
        return Judged("exclude", "it stands among options that are not about learning")
    return None


def _cadence(found: Found, tokens: tuple[str, ...], bag: Bag, _others: Bag, _plural: bool) -> Judged | None:
    if tokens and tokens[0] == "i" and len(tokens) == 2 and found.kind == "int" and not tokens[1].isdigit():
        value = value_of(found)
        if isinstance(value, int) and value >= 100:  # i_print, i_weights: NeRF's way of saying "every"
            return Judged("exclude", "how often something is logged, saved or evaluated", cadence=not bag & LOOKING)
    if not bag & {"every", "freq"}:
        return None
    if {"min", "freq"} <= bag:
        return Judged("exclude", "how the vocabulary is made")
    if "freq" in bag and "every" not in bag and bag & WAVES and not bag & LOOKING:
        return Judged("tune", "a frequency of the model")
    if bag & (UPDATED | (METHOD - SIZES)) and not bag & LOOKING:
        return Judged("tune", "how often something is updated")
    return Judged("exclude", "how often something is logged, saved or evaluated", cadence=not bag & LOOKING)


def _strong(found: Found, _tokens: tuple[str, ...], bag: Bag, _others: Bag, _plural: bool) -> Judged | None:
    if not bag & STRONG or bag & (EVALUATION | {"log", "print", "save", "plot", "find", "finder", "file"}):
        return None
    word = next(w for w in ("warmup", "lr", "wd", *sorted(STRONG)) if w in bag)
    names = {"lr": "learning rate", "wd": "weight decay", "smoothing": "label smoothing"}
    return Judged("tune", f"named like {names.get(word, word)}")


def _looking(found: Found, tokens: tuple[str, ...], bag: Bag, _others: Bag, _plural: bool) -> Judged | None:
    seen = bag & LOOKING
    if "clip" in bag or "value" in bag:
        seen = seen - {"val"}
    if "predict" in seen and bag & {"eps", "epsilon", "x", "start", "noise", "v", "xstart"}:
        seen = seen - {"predict"}
    if "log" in seen:
        at = tokens.index("log")
        if at + 1 < len(tokens) and tokens[at + 1] in LOGS:
            seen = seen - {"log"}
    if bag & {"find", "finder"}:
        return Judged("exclude", "a search of its own")
    if seen:
        return Judged("exclude", f"about {sorted(seen)[0]}, not about learning")
    kept = bag & KEEPING
    weights = is_text(found) or re.search(r"(?i)pretrained|\bload", found.help)
    if "pretrain" in bag and found.kind not in ("int", "float") and weights and not bag & (METHOD - {"use"}):
        return Judged("exclude", "what a run starts from or keeps")
    if found.kind in ("int", "float") and kept <= {"finetune"} and bag & (SPENT | STRONG):
        kept = frozenset()  # the length or the rate of that part of training
    if (
        kept
        and not ("load" in kept and bag & {"balance", "balancing"})
        and not ("restart" in kept and (bag & {"cosine", "cycle", "sgd", "warm"} or found.kind in ("int", "float")))
    ):
        return Judged("exclude", "what a run starts from or keeps")
    return None


def _machine(found: Found, _tokens: tuple[str, ...], bag: Bag, _others: Bag, _plural: bool) -> Judged | None:
    if bag & MACHINE == {"sync"} and bag & {"target", "actor", "policy", "teacher"}:
        return Judged("tune", "how often something is updated")
    measured = found.kind in ("int", "float") and bag & METHOD
    if bag & MACHINE == {"distributed"} and measured and not re.search(r"(?i)distrib|ddp|fsdp", found.name):
        return None  # dp_rate, dist_weight: dropout, privacy, a distance
    if bag & MACHINE:
        return Judged("exclude", "where or how fast it is computed")
    rest = bag - COUNT
    if rest and rest <= {"node", "host", "port", "cluster", "local", "per"}:
        return Judged("exclude", "where it is computed")
    return None


def _spent(found: Found, tokens: tuple[str, ...], bag: Bag, others: Bag, plural: bool) -> Judged | None:
    value = value_of(found)
    rest = bag - COUNT - NO_CHANGE - {"model", "main", "agent", "env", "real", "base", "run", "size", "opt", "budget"}
    if (
        bag & {"data", "dataset", "subset", "label"}
        and bag & {"ratio"}
        and not bag & {"augment", "weight", "split", "noise"}
    ):
        return Judged("fidelity", "how much of the data is used")
    if "subset" in bag and not is_text(found) and found.kind != "bool":
        return Judged("fidelity", "how much of the data is used")
    if bag & {"train", "training"} and not rest and bag & (COUNT | {"size"}) and not is_text(found):
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
    if is_text(found) and not (isinstance(value, str) and value.replace(".", "").isdigit()) and not plural:
        return None
    if rest and rest <= SPENT:
        return _length(found, tokens, bag, others, plural, value)
    if "budget" in bag and not rest:
        return Judged("fidelity", "a budget of training")
    if "per" in bag and bag & SPENT:
        long = isinstance(value, int) and value >= 100 and bag & {"step", "batch", "update", "iter"}
        if tokens[-1] == "epoch" or (tokens[-1] in ("iter", "round") and long):
            return Judged("fidelity", f"how long a {tokens[-1]} is")
        return Judged("tune", "a rate of the method")
    if tokens[-1] in SPENT:
        if bag & PARTIAL:
            return Judged("tune", "a length within the method's schedule")
        if (plural or bag & COUNT) and rest - SPENT and tokens[-1] in ("step", "iter") and not bag & PHASES:
            return Judged("tune", "a length of a part of the method", weak=True)
        if plural or bag & COUNT:
            if (
                isinstance(value, int)
                and value < 1000
                and tokens[-1] in ("frame", "token", "sample", "example", "tree")
            ):
                return Judged("tune", "a count within the method", weak=True)
            return Judged("fidelity", "how long a part of training is")
        if rest - SPENT <= {"end", "stop", "final"}:
            return Judged("fidelity", "when training ends")
        if bag & METHOD:
            return Judged("tune", "a moment of the method's schedule")
        if isinstance(value, int) and value >= 10 and tokens[-1] in ("iter", "episode"):
            return Judged("fidelity", "named like a length of training", weak=True)
        if isinstance(value, int) and value > 0 and tokens[-1] in ("epoch", "round"):
            if len(others & RL) >= 2 and others & {"timestep", "frame", "step"}:
                return Judged("tune", "a count within the method", weak=True)
            return Judged("fidelity", "named like a length of training", weak=True)
    return None


def _length(found: Found, tokens: tuple[str, ...], bag: Bag, others: Bag, plural: bool, value: Any) -> Judged:
    """A bare count: of epochs, steps, samples. What else the script has tells which count it is."""
    longer = others & {"epoch", "timestep", "episode", "iter", "frame"}
    if (
        bag - COUNT == {"iter"}
        and tokens[0] not in ("max", "total")
        and (longer | others & {"step"}) - bag
        and isinstance(value, int)
        and value <= 32
    ):
        return Judged("tune", "iterations within the model", weak=True)
    if bag & {"step", "timestep", "iter"} and not bag & {"total", "epoch", "env", "train", "training", "global"}:
        if SAID_ROLLOUT.search(found.help) or (
            not (isinstance(value, int) and value >= 100_000)
            and "step" in bag
            and len(others & RL) >= 2
            and longer - bag
        ):
            return Judged("tune", "the length of a rollout")
        if (
            "timestep" in bag
            and (SAID_DIFFUSION.search(found.help) or longer & {"epoch", "iter"})
            and not len(others & RL) >= 2
        ):
            return Judged("tune", "steps of the process that is modelled")
        if SAID_DIFFUSION.search(found.help):
            return Judged("tune", "steps of the process that is modelled")
    if bag & {"frame"} and isinstance(value, int) and value < 1000:
        return Judged("tune", "frames that the model sees")
    if bag & {"sample", "example"} and re.search(r"(?i)\bper\b|\bray|monte|generat|draw|visuali|evaluat", found.help):
        gen = re.search(r"(?i)generat|visuali|evaluat", found.help)
        return Judged("exclude" if gen else "tune", "samples that are drawn")
    small = isinstance(value, int) and value <= 1024 and not bag & {"train", "training", "data", "dataset"}
    if bag & {"sample"} and small and not SAID_TRAINED.search(found.help):
        return Judged("tune", "samples that are drawn", weak=True)
    if bag & {"token"} and (re.search(r"(?i)batch", found.help) or (isinstance(value, int) and value < 100_000)):
        return Judged("tune", "tokens of a batch or of an input")
    if bag == {"example"} or (bag == {"sample"} and not plural):
        return Judged("exclude", "an example", weak=True)
    if bag & {"game"} and (is_text(found) or not plural):
        return Judged("exclude", "the task")
    if bag == {"step"} and not plural and found.kind == "float":
        return Judged("tune", "a step", weak=True)
    unit = next((word for word in reversed(tokens) if word in SPENT), "step")
    return Judged("fidelity", f"named like a number of {unit}s")


def _noun(found: Found, tokens: tuple[str, ...]) -> Judged | None:
    """The last word that says something decides."""
    left = [w for w in tokens if w not in NO_CHANGE and not w.isdigit()]
    if left in (["arch"], ["network", "arch"], ["model", "arch"]) and 2 <= len(found.choices) <= _OWN:
        return Judged("tune", "which of a few networks of its own", weak=True)
    if found.kind in ("int", "float", "bool"):
        left = [w for w in left if w not in IDENTITIES and w not in PLACES] or left
    while len(left) > 1 and left[-1] in ROUGH:
        left.pop()
    left = [w for w in left if w not in ("in", "out")] or left
    if not left:
        return None
    value = value_of(found)
    if SAID_SHAPE.search(found.help) and not set(left) & INNER:
        return Judged("exclude", "the shape of the data")
    if len(left) == 1 and len(left[0]) == 1 and not is_text(found):
        return Judged("tune", "a letter of a formula", weak=True)
    if found.kind == "float" and left[-1] == "experiment" and "exper" not in found.name.lower():
        return Judged("tune", "an exponent", weak=True)
    rough = next((w for w in reversed(tokens) if w not in NO_CHANGE), "")
    if is_text(found) and not found.choices and len(left) == 1 and left[0] in THINGS and rough not in KINDS:
        return Judged("exclude", f"which {left[0]}, which is given", weak=True)
    if is_text(found) and rough in KINDS and len(tokens) > 1 and left[-1] not in BOOKKEEPING | IDENTITIES | PLACES:
        return Judged("tune", "a way of doing it", weak=True)
    for at, word in enumerate(reversed(left)):
        if word in METHOD and not (word == "target" and len(left) == 1):
            free = is_text(found) and not found.choices and isinstance(value, str) and at > 0
            return Judged("tune", f"named like a part of the method ({word})", weak=at > 0 or free)
        if word in BOOKKEEPING or word in IDENTITIES or word in PLACES:
            return Judged("exclude", f"about the {word}, which is given", weak=at > 0)
    return None


def _by_the_rest(found: Found) -> Judged:
    """The name says nothing: its help, the comment over its group, then the kind of value."""
    text = found.help
    value = value_of(found)
    if SAID_AUGMENT.search(text):
        return Judged("tune", "its help speaks of augmentation", weak=True)
    if found.kind in ("int", "float") and SAID_ENCODING.search(text):
        return Judged("tune", "its help speaks of the method", weak=True)
    if SAID_SPENT.search(text):
        return Judged("fidelity", "its help speaks of training length", weak=True)
    if SAID_PLACE.search(text) or (SAID_LOOKING.search(text) and not SAID_METHOD.search(text)):
        return Judged("exclude", "its help speaks of files, machines or logs", weak=True)
    if SAID_METHOD.search(text):
        return Judged("tune", "its help speaks of the method", weak=True)
    heading = found.section if len(found.section.split()) <= 5 else ""
    aside = SAID_LOOKING.search(heading) or re.search(r"(?i)\b(misc|path|data ?set|i/?o|system)", heading)
    if aside and not SAID_METHOD.search(heading):
        return Judged("exclude", f"it stands under “{heading[:60]}”", weak=True)
    listed = isinstance(value, list) and value and all(isinstance(one, (int, float)) for one in value)
    if found.kind in ("float", "int") or listed:
        return Judged("tune", "a number of which the script says nothing else", weak=True)
    if found.choices and found.kind != "bool":
        return Judged("tune", "a choice", weak=True)
    if found.kind == "bool" or value in ("True", "False") or (value is None and SAID_SWITCH.search(text)):
        return Judged("tune", "a switch of which the script says nothing else", weak=True)
    return Judged("exclude", "a text of which the script says nothing else", weak=True)
