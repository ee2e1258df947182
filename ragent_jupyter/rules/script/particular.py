"""Pairs of words that mean something of their own, whatever each of them means alone."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet

from .found import Found
from .given import widened
from .sayings import (
    KINDS,
    LEARNT,
    LOW_RANK,
    NO_CHANGE,
    SAID_START,
    SCALED,
    STRONG,
    UPDATED,
    Judged,
    is_text,
    value_of,
)
from .vocabulary import (
    COUNT,
    EVALUATION,
    LOOKING,
    MACHINE,
    METHOD,
    PARTIAL,
    PLACES,
    SIZES,
    WORLD,
)

Bag = AbstractSet[str]


def particular(found: Found, tokens: tuple[str, ...], bag: Bag, others: Bag, plural: bool) -> Judged | None:
    """Pairs of words that mean something of their own."""
    value = value_of(found)
    if "batch" in bag and found.kind == "bool":
        return Judged("exclude", "how the data is laid out") if not bag & METHOD - {"scale"} else None
    if (bag & {"micro", "physical"} and "batch" in bag) or {"micro", "accumulate"} <= bag:
        return Judged("exclude", "how a batch is cut to fit the memory")
    if {"mini", "batch"} <= bag:
        return Judged("tune", "about the batches of an update")
    bare = bag - COUNT - NO_CHANGE == {"batch"} and not plural
    if bare or "minibatch" in bag or {"batch", "size"} <= bag:
        if bag & (EVALUATION | LOOKING | MACHINE) - {"distributed", "device", "worker", "log"}:
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
        measured = {"batch", "init"} <= bag and tokens[-1] == "init"  # a batch by which the weights are set up
        if (
            rest
            and rest <= {"epoch", "iter", "step", "episode", "batch"}
            and not measured
            and not (plural and "step" in rest)
        ):
            return Judged("exclude", "where a run goes on")
        if {"init", "from"} <= bag:
            return Judged("exclude", "what it starts from")
    if tokens and tokens[-1] == "epoch" and len(bag) == 1 and not plural and SAID_START.search(found.help):
        return Judged("exclude", "where a run goes on")
    if {"early", "stop"} <= bag or bag <= {"stop", "after"}:
        return Judged("fidelity", "when training stops")
    if "patience" in bag and (bag & PARTIAL or re.search(r"(?i)\blr\b|learning rate|plateau|schedul", found.help)):
        return Judged("tune", "the patience of the schedule")
    if bag in ({"float"}, {"double"}):
        return Judged("exclude", "the precision of numbers")
    if bag == {"epoch", "step"} and tokens[0] == "epoch" and not found.name.lower().rstrip("0123456789").endswith("s"):
        return Judged("tune", "when the schedule steps")
    if {"update", "epoch"} <= bag and isinstance(value, int) and value >= 100:
        return Judged("fidelity", "how long a part of training is")  # those of one update are few
    if found.kind == "bool" and bag - NO_CHANGE and bag - NO_CHANGE <= {"cond", "conditional", "class"}:
        return Judged("exclude", "about the task, which is given")
    if "cluster" in bag and bag - COUNT == {"cluster"} and bag & COUNT:
        return Judged("tune", "how many there are of a part of the method")
    if {"hash", "bit"} <= bag or {"iter", "size"} == bag or ({"epoch", "optimizer"} <= bag and found.kind == "int"):
        return Judged("tune", "a part of the method")
    if bag & {"n", "num", "nb", "number"} and bag - COUNT in ({"model"}, {"net"}) and found.kind == "int":
        return Judged("tune", "how many there are of a part of the method")
    if tokens[:1] == ("train",) and found.kind == "bool" and bag & {"backbone", "encoder", "decoder", "embed", "bert"}:
        return Judged("tune", "what is learnt and what is shared")
    if (bag == {"max", "sample"} or bag == {"limit"}) and found.kind == "int":
        return Judged("fidelity", "how many training examples are used")
    if bag == {"es", "patience"}:
        return Judged("fidelity", "when training stops")
    if {"local", "epoch"} <= bag and not bag & LOOKING:
        return Judged("fidelity", "how long a client learns between two rounds")
    if "local" in bag and bag & {"step", "iter"} and not bag & (LOOKING | {"rank"}):
        return Judged("tune", "how long a client learns between two rounds")
    if bag & {"untie", "tie"} and found.kind == "bool":
        return Judged("tune", "what is learnt and what is shared")
    if bag - COUNT - {"ratio", "to"} == {"update", "data"} or tokens[-2:] == ("weight", "init"):
        return Judged("tune", "a part of the method")
    if tokens and tokens[-1] in ("epoch", "step", "iter") and bag & {"until", "after", "from"} and bag & UPDATED:
        return Judged("tune", "a moment of the method's schedule")
    if {"initial", "sample"} <= bag and found.kind == "int":
        return Judged("tune", "how much is explored before learning")
    if "pass" in bag and bag & COUNT and bag - COUNT == {"pass"}:
        return Judged("fidelity", "how often the data is gone through")
    if bag == {"ratio"} and found.name.lower().startswith(("percent", "pct")) and found.kind == "int":
        return Judged("fidelity", "how much of the data is used")
    if "input" in bag and bag & {"w", "h"} and len(bag) == 2 and found.kind == "int":
        return Judged("tune", "the resolution of the input")
    if bag & {"clip"} and bag & {"obs", "observation", "action", "state"}:
        return Judged("tune", "how what the agent sees is scaled")
    if {"walk", "per"} <= bag and "node" in bag:
        return Judged("tune", "a part of the method")
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
        ranked = bag & METHOD - {"rank", "size"} - LOW_RANK and found.kind in ("int", "float")
        if ranked:
            return Judged("tune", "a part of the method")
        if bag & LOW_RANK or said:
            return Judged("tune", "the rank of an approximation")
        return Judged("exclude", "the rank of a process")
    if (
        bag - COUNT - NO_CHANGE == set()
        and bag & {"train", "training"}
        and found.kind in ("bool", "int")
        and not bag & COUNT
    ):
        return Judged("exclude", "what the script is to do")
    if found.kind == "bool" and (bag - NO_CHANGE == {"sample"} or "output" in bag or bag - NO_CHANGE == {"half"}):
        return Judged("exclude", "what the script is to do")
    if "keep" in bag and not bag & METHOD - {"k"} and bag & {"last", "best", "n", "k", "checkpoint", "max", "num"}:
        return Judged("exclude", "what is kept on disk")
    if "channel" in bag and bag & {"last", "first"}:
        return Judged("exclude", "where or how fast it is computed")
    if {"optimizer", "level"} <= bag or (found.kind == "bool" and bag - NO_CHANGE == {"ray"}):
        return Judged("exclude", "where or how fast it is computed")
    if bag & {"sample", "ddim"} and bag & {"step", "image"} and (bag & COUNT or found.kind == "int"):
        return Judged("exclude", "how samples are made afterwards")
    if (bag & {"decode", "decoding"} and bag & {"len", "step"}) or {"generator", "len"} <= bag:
        return Judged("exclude", "how much is generated")
    lasting = "episode" in bag and ("len" in bag or (bag & {"step", "timestep"} and bag & {"max", "maximum", "limit"}))
    if lasting or ({"epoch", "len"} <= bag and bag & {"max", "maximum", "limit"}):
        return Judged("exclude", "about the task, which is given")
    if bag - COUNT - NO_CHANGE in ({"agent"}, {"trial"}) and found.kind == "int":
        return Judged("exclude", "about the task or the experiment")
    if "reward" in bag and bag & {"threshold", "solved", "bound", "stop", "goal", "target"}:
        return Judged("exclude", "when the task counts as solved")
    if {"input", "size"} <= bag or {"load", "size"} <= bag:
        return Judged("tune", "the resolution of the input")
    if bag & {"data", "dataset"} and "size" in bag and found.kind in ("int", "float") and "augment" not in bag:
        return Judged("fidelity", "how much of the data is used")
    if bag & WORLD and "per" in bag and found.kind == "int":
        return Judged("tune", "what a batch is made of")
    if {"pad", "multiple"} <= bag:
        return Judged("exclude", "how the data is laid out")
    if bag & {"net", "network"} and bag - {"net", "network"} == {"size"} and found.kind == "int":
        return Judged("tune", "the width of a layer")
    if bag & WORLD and not bag & (STRONG | LEARNT):
        return Judged("exclude", "about the world, which is given")
    if "reward" in bag and (found.kind == "bool" or is_text(found)) and not bag & SCALED:
        return Judged("exclude", "what the task rewards")
    if "tokenizer" in bag or ("scaler" in bag and is_text(found)) or (bag - COUNT - {"size"} == {"chunk"}):
        return Judged("exclude", "how the data is read")
    if bag - KINDS == {"interpolation"} and (is_text(found) or found.choices):
        return Judged("exclude", "how the data is read")
    if {"min", "sample", "split"} <= bag or {"target", "module"} <= bag or {"class", "weight"} <= bag:
        return Judged("tune", "a part of the method")
    if {"train", "on"} <= bag and bag & {"input", "source", "prompt"}:
        return Judged("tune", "what the loss is over")
    spoken = bag & {"repeat", "len"} and bag & {"penalty"}
    if (
        spoken
        or {"repeat", "ngram"} <= bag
        or {"return", "seq"} <= bag
        or (bag & {"decode", "decoding"} and is_text(found))
    ):
        return Judged("exclude", "how samples are made afterwards")
    if tokens[-1:] == ("token",) and bag & {"start", "end", "pad", "bos", "eos", "sos", "unk", "blank", "oov"}:
        return Judged("exclude", "how the data is read")
    counted = found.kind == "int" and bag & COUNT and bag - COUNT and bag - COUNT <= PLACES - METHOD
    if counted or ("instance" in bag and bag <= {"instance", "type", "count", "num"}):
        return Judged("exclude", "a number of files or machines")
    built = bag & {"encoder", "decoder", "backbone", "model", "net", "network", "teacher", "student"}
    if built and is_text(found) and not found.choices and tokens[-1] in ("name", "weight"):
        return Judged("exclude", "which model, which is given")
    if found.kind == "bool" and bag - NO_CHANGE <= {"truncation", "truncate", "pad", "padding"} and bag - NO_CHANGE:
        return Judged("exclude", "how the data is laid out")
    drawn = bag == {"temperature"} or (bag & {"top", "topk"} and bag <= {"top", "k", "topk"})
    if bag == {"top", "p"} or ({"top", "p"} <= others and drawn):
        return Judged("exclude", "how samples are made afterwards")
    ends = len(tokens) == 2 and tokens[1] in ("in", "out") and found.kind == "int"
    if ends and tokens[0] in ("enc", "dec", "c", "n", "d", "encoder", "decoder", "channel", "dim", "feature"):
        return Judged("exclude", "the shape of the data")
    if "encoding" in bag and bag & {"pos", "positional", "position"}:
        return Judged("tune", "a part of the model")
    if bag & {"level", "cluster"} and found.kind == "int" and (plural or bag & COUNT) and not bag & LOOKING:
        return Judged("tune", "how many there are of a part of the method")
    if {"min", "delta"} <= bag and others & {"patience", "early", "stop", "lag"}:
        return Judged("exclude", "when training stops")
    if {"class", "token"} <= bag or {"leaf", "node"} <= bag or {"prediction", "type"} <= bag or {"fan", "out"} <= bag:
        return Judged("tune", "a part of the model")
    if ("cost" in bag and found.kind == "float") or ("memory" in bag and bag & {"size", "capacity", "len"}):
        return Judged("tune", "a part of the method")
    if {"shuffle", "buffer"} <= bag or {"special", "token"} <= bag:
        return Judged("exclude", "how the data is read")
    if "len" in bag and bag & {
        "group",
        "pred",
        "prediction",
        "answer",
        "response",
        "out",
        "output",
        "trial",
        "forecast",
    }:
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
    wide = isinstance(value, int) and value >= 32 and "channel" in bag  # no data has as many; a layer has
    if (wide or widened(found, bag)) and bag & {"out", "output"} and not bag & {"vocab", "class", "length", "len"}:
        return Judged("tune", "the width of a layer")
    if (bag & {"out", "output"} and bag & {"channel", "size", "shape", "class"}) or {"output", "dim"} <= bag:
        return Judged("exclude", "the shape of the data")
    if "channel" in bag and bag & {"image", "color", "data"} and not bag & {"hidden", "base", "augment"}:
        return Judged("exclude", "the channels of the data")
    if (
        bag & {"mean", "std"}
        and bag & {"data", "dataset", "pixel", "rgb", "channel", "image", "target", "obs"}
        and not bag & {"noise"}
    ):
        return Judged("exclude", "the statistics of the data")
    if bag - COUNT == {"channel"} and (value is None or (isinstance(value, int) and value <= 4)):
        return Judged("exclude", "the channels of the data")
    if "image" in bag and bag & SIZES:
        return Judged("tune", "the resolution of the input")
    if "drop" in bag:
        if "last" in bag:
            return Judged("exclude", "how the data is laid out")
        return Judged("tune", "named like a rate of dropping")
    if found.many and re.search(r"(?i)\bindices\b", found.help) and not bag & (UPDATED | {"milestone", "step"}):
        return Judged("exclude", "a list of places")
    if found.kind == "bool" and "pad" in bag:
        return Judged("exclude", "how the data is laid out")
    if bag and bag <= {"mean", "std"} and (found.many or is_text(found)):
        return Judged("exclude", "the statistics of the data")
    led = [word for word in tokens if word not in NO_CHANGE]
    terms = len(led) > 1 and led[0] in ("lambda", "coef", "prob", "ratio", "weight", "cost") and led[1] != "decay"
    if terms and found.kind in ("int", "float") and not bag & (LOOKING | {"split", "train"}):
        return Judged("tune", "a weight of a term")
    if (
        "weight" in bag
        and "loss" not in bag
        and is_text(found)
        and not found.choices
        and (value is None or bag == {"weight"})
    ):
        return Judged("exclude", "names a model's weights")
    if bag & {"new", "generate"} and bag & {"token", "len"}:
        return Judged("exclude", "how much is generated")
    if bag - COUNT - NO_CHANGE == {"env"} and bag & COUNT:
        return Judged("tune", "the number of environments at once")
    if "auto" in bag and bag & {"scale", "select", "resume", "load", "batch"}:
        return Judged("exclude", "a search of its own")
    if bag == {"duration"} or (bag & {"duration"} and bag & {"train", "training", "total"}):
        return Judged("fidelity", "how long it trains")
    if tokens and tokens[0] in ("freeze", "unfreeze", "tie", "share") and not bag & {"file", "path", "dir"}:
        return Judged("tune", "what is learnt and what is shared")
    if is_text(found) and bag and bag - {"name", "type"} <= {"method", "algorithm", "approach", "paradigm"}:
        return Judged("exclude", "which method is run")
    if (
        found.kind == "bool"
        and bag & {"norm", "scale", "clip", "augment", "stack"}
        and bag & {"obs", "action", "reward"}
    ):
        return Judged("tune", "how what the agent sees is scaled")
    if "nstep" in bag or (bag <= {"n", "step"} and len(bag) == 2 and not plural):
        return Judged("tune", "steps of a return")
    return None
