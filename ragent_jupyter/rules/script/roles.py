"""What an option is: searched, training length, a seed, or none of our business; told by its name, then by the rest.

A name is read as English reads a compound: its last word says what kind of thing it is (`model_dim` is a dimension,
`dropout_path` a path), and some words colour all of it (`eval_batch_size` is about evaluation). Only where the name
says nothing the help text, the comment over its group, and the kind of value are asked.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet

from .found import Found
from .given import given
from .helped import as_switch, helped
from .lengths import spent
from .particular import particular
from .sayings import (
    ACTING,
    CHOSEN,
    GROUPS_ASIDE,
    HEADED,
    HOMES_ASIDE,
    INNER,
    KINDS,
    LOGS,
    NO_CHANGE,
    OF_THE_METHOD,
    PATHLIKE,
    ROUGH,
    RUN_TIME,
    SAID_AGAIN,
    SAID_ASIDE,
    SAID_AUGMENT,
    SAID_CHOICE,
    SAID_ENCODING,
    SAID_FAST,
    SAID_HEADING,
    SAID_LOOKING,
    SAID_METHOD,
    SAID_PLACE,
    SAID_SHAPE,
    SAID_SPENT,
    SAID_SWITCH,
    SAID_TASK,
    SAID_TURNED_ON,
    STRONG,
    SYNTHESIS,
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
    PLACES,
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
    if last == "_target_" and nearest & CHOSEN and nearest <= CHOSEN | ROUGH | {"lr", "config"}:
        return Judged("tune", "which way of doing it")
    if last in ("_target_", "_partial_", "_recursive_", "_convert_"):
        return Judged("exclude", "names the code that is built")
    parents = frozenset(words(head)) if head else frozenset()
    own = words(last)
    if head and not set(own) - NO_CHANGE:  # `mixup.enabled`: what is switched stands above
        own = words(head.rpartition(".")[2])
    verdict = _by_name(found, own, companions)
    if parents:
        verdict = _within(verdict, parents, found, words(last))
    elif verdict.weak and verdict.role == "tune" and found.home & {"data", "dataset", "env", "simulator"}:
        verdict = Judged("exclude", "it stands among options of the data or the task", weak=True)
    verdict = _by_use(found, verdict, uses)
    if verdict.role == "tune" and _headed_aside(found):
        return Judged("exclude", f"it stands under “{_heading(found)[:60]}”")
    return verdict


def _heading(found: Found) -> str:
    """The comment over its group without the lines drawn around it; code that was commented out heads nothing."""
    bare = found.section.strip(" \t=-#*_~+/|")
    return "" if _CODE.search(bare) else bare


def _headed_aside(found: Found) -> bool:
    """Whether the comment over its group speaks of nothing but evaluation or logs."""
    heading = _heading(found)
    about = frozenset(words(heading)) - NO_CHANGE - HEADED if len(heading) < 60 else frozenset()
    return bool(about) and about <= EVALUATION | LOOKING | SYNTHESIS


def _by_use(found: Found, verdict: Judged, uses: AbstractSet[str]) -> Judged:
    """Where the name says little, what the code does with the value says more."""
    told = uses - {"look", "said", "set"}
    if "set" in uses and value_of(found) in (None, 0, -1, ""):
        return Judged("exclude", "the script computes it from others")
    switch = found.kind == "bool"
    if is_text(found) and verdict.role == "tune" and "load" in told:
        return Judged("exclude", "the code loads what it names")
    if switch and told == {"data"} and verdict.role == "tune" and not words_of(found) & (STRONG | {"train", "loss"}):
        return Judged("exclude", "a switch of the data or of the environment")
    if not is_text(found) and not switch:
        told -= {"data"}  # how the data is cut or read as features may well be searched
    if verdict.role == "exclude" and verdict.cadence and "update" in told and found.kind != "bool":
        return Judged("tune", "how often the code updates something")
    if bag_of_stop(found) and "method" in told and not told & {"spent", "look"}:
        return Judged("tune", "the patience of the schedule")
    if not verdict.weak:
        return verdict
    if told and told <= {"machine", "data", "load", "place"}:
        return Judged("exclude", "the code gives it to files, data or machines", weak=True)
    number = found.kind in ("int", "float") or isinstance(value_of(found), (int, float))
    if "spent" in told and found.kind == "int":
        return Judged("fidelity", "the code trains that often")
    if told == {"seed"} and number and found.kind != "bool":
        return Judged("seed", "the code seeds its random numbers with it")
    known = number or found.choices or (switch and told <= {"method"})
    if told & {"method", "update"} and not told & {"load", "place", "data"} and known:
        return Judged("tune", "the code builds the model or its training with it")
    if not told and "look" in uses and found.kind == "bool":
        return Judged("exclude", "the code only shows or keeps something by it", weak=True)
    return verdict


def _within(verdict: Judged, parents: AbstractSet[str], found: Found, last: tuple[str, ...]) -> Judged:
    """A dotted name: what the levels above say of it."""
    stops = {"early", "stop"} <= parents and "patience" in last
    if not stops and parents & (
        EVALUATION
        | GROUPS_ASIDE
        | HOMES_ASIDE
        | {"callback", "path", "launcher", "extra", "metric", "slurm", "hardware"}
    ):
        return Judged("exclude", f"it stands under {'.'.join(sorted(parents))}")
    if stops:
        return Judged("fidelity", "when training stops")
    if verdict.role == "fidelity" and parents & {"scheduler", "optimizer", "model", "net", "network", "loss"}:
        return Judged("tune", "a length within the method")
    if "deterministic" in last and parents & ACTING:
        return Judged("tune", "whether the model is deterministic", weak=True)
    if verdict.role == "fidelity" and "env" in parents:
        return Judged("exclude", "how long the task lasts")
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
    for rule in (_seed, _place, _aside, helped, given, _cadence, particular, _strong, _looking, _machine, spent):
        verdict = rule(found, tokens, bag, companions, plural)
        if verdict is not None:
            return verdict
    return _noun(found, tokens) or _by_the_rest(found)


def bag_of_stop(found: Found) -> bool:
    return words_of(found) == {"patience"}


def words_of(found: Found) -> frozenset[str]:
    return frozenset(words(found.name))


# --- the rules, in their order ----------------------------------------------------------------------------------------
# Each gets the option, its words in order and as a set, the words of its companions, and whether the name is a plural.
Bag = AbstractSet[str]
_CODE = re.compile(r"add_argument|\w\(|=['\"\w]|^\w+ = ")
_SILENT = ("a number of which the script says nothing else", "a switch of which the script says nothing else")
_OWN = 6  # networks that a script has of its own; more are a catalogue


def _seed(found: Found, tokens: tuple[str, ...], bag: Bag, _others: Bag, _plural: bool) -> Judged | None:
    if bag == {"random", "number"} and found.kind == "int":
        return Judged("seed", "named like a random seed")
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
    if SAID_AGAIN.search(found.help):
        return Judged("exclude", "how often the whole is repeated")
    if SAID_TASK.search(found.help) and not bag & (STRONG | {"discount", "gamma"}):
        return Judged("exclude", "about the task, which is given")
    if found.home & HOMES_ASIDE:
        return Judged("exclude", "it stands among options that are not about learning")
    return None


def _cadence(found: Found, tokens: tuple[str, ...], bag: Bag, _others: Bag, _plural: bool) -> Judged | None:
    if tokens and tokens[0] == "i" and len(tokens) == 2 and found.kind == "int" and not tokens[1].isdigit():
        value = value_of(found)
        if isinstance(value, int) and value >= 100:  # i_print, i_weights: NeRF's way of saying "every"
            return Judged("exclude", "how often something is logged, saved or evaluated", cadence=not bag & LOOKING)
    if len(tokens) > 1 and tokens[-1] == "gap" and found.kind == "int":
        bag = bag | {"every"}
    if not bag & {"every", "freq"}:
        return None
    if {"min", "freq"} <= bag or {"freq", "cutoff"} == bag:
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
    if found.kind in ("int", "float"):
        seen = seen - {"offline"}  # a phase of training; a switch is about who watches it
    if "anomaly" in seen and found.kind != "bool":
        seen = seen - {"anomaly"}
    if "log" in seen:
        at = tokens.index("log")
        if at + 1 < len(tokens) and tokens[at + 1] in LOGS:
            seen = seen - {"log"}
    if bag & {"find", "finder"}:
        return Judged("exclude", "a search of its own")
    if seen:
        return Judged("exclude", f"about {sorted(seen)[0]}, not about learning")
    kept = bag & KEEPING
    free = is_text(found) and value_of(found) is None and not found.choices
    if found.kind == "bool" and {"random", "init"} <= bag:
        return Judged("exclude", "what a run starts from or keeps")
    if found.kind in ("int", "float") and kept == {"warmstart"} and bag & SPENT:
        return Judged("tune", "how much is explored before learning")
    weights = is_text(found) or re.search(r"(?i)pretrained|\bload", found.help)
    if "pretrain" in bag and found.kind not in ("int", "float") and weights and (not bag & (METHOD - {"use"}) or free):
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
    if bag & MACHINE == {"deterministic"} and (bag & ACTING or re.search(r"(?i)\b(actor|policy|model)\b", found.help)):
        return Judged("tune", "whether the model is deterministic", weak=True)
    measured = found.kind in ("int", "float") and bag & METHOD
    if bag & MACHINE == {"distributed"} and measured and not re.search(r"(?i)distrib|ddp|fsdp", found.name):
        return None  # dp_rate, dist_weight: dropout, privacy, a distance
    if (
        "server" in bag
        and bag & (METHOD | {"epoch", "step", "batch", "iter"})
        and (not is_text(found) or "optimizer" in bag)
    ):
        return None  # what the server of federated learning learns with
    if "bucket" in bag and found.kind == "int" and bag & {"size", "num", "n"}:
        return None if bag <= {"bucket", "size", "num", "n"} else Judged("exclude", "how fast it is computed")
    if "rollout" in bag and bag & COUNT and found.kind == "int":
        return Judged("tune", "how much is seen before an update")
    if bag & MACHINE:
        return Judged("exclude", "where or how fast it is computed")
    rest = bag - COUNT
    if rest and rest <= {"node", "host", "port", "cluster", "local", "per"}:
        return Judged("exclude", "where it is computed")
    return None


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
        said = _by_the_rest(found)
        plain = said.why in _SILENT and found.kind != "bool"
        return Judged("tune", "a letter of a formula", weak=True) if plain else said
    if found.kind == "float" and left[-1] == "experiment" and "exper" not in found.name.lower():
        return Judged("tune", "an exponent", weak=True)
    rough = next((w for w in reversed(tokens) if w not in NO_CHANGE), "")
    if (
        is_text(found)
        and len(left) == 1
        and left[0] in THINGS
        and rough not in KINDS
        and (not found.choices or left[0] in ("feature", "target"))
    ):
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
    heading = _heading(found)
    heading = heading if len(heading.split()) <= 5 else ""
    aside = SAID_LOOKING.search(heading) or re.search(r"(?i)\b(misc|path|data ?set|i/?o|system)", heading)
    if aside and not SAID_METHOD.search(heading):
        return Judged("exclude", f"it stands under “{heading[:60]}”", weak=True)
    if is_text(found) and (SAID_CHOICE.search(text) or SAID_HEADING.search(heading)):
        return Judged("tune", "one of a few ways", weak=True)
    listed = isinstance(value, list) and value and all(isinstance(one, (int, float)) for one in value)
    if (found.kind in ("float", "int") or listed) and not as_switch(found):
        return Judged("tune", _SILENT[0], weak=True)
    if found.choices and found.kind != "bool":
        return Judged("tune", "a choice", weak=True)
    if (
        found.kind == "bool"
        or as_switch(found)
        or value in ("True", "False")
        or (value is None and SAID_SWITCH.search(text))
    ):
        if SAID_HEADING.search(heading):
            return Judged("tune", "a switch of the method, by its heading", weak=True)
        if SAID_TURNED_ON.match(text) or (found.home & OF_THE_METHOD and not found.home & {"data", "argument"}):
            return Judged("tune", "a switch of how it learns, by its help", weak=True)
        # What switches something that nobody names is rarely worth a search: the data, the task, a mode.
        return Judged("exclude", _SILENT[1], weak=True)
    return Judged("exclude", "a text of which the script says nothing else", weak=True)
