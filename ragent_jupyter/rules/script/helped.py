"""What the help text of an option, or its value, says so plainly that the name does not matter any more.

A help text begins with what the option does: `do not save …`, `test batch size`. What it mentions later on may be
anything. A value that names a layer's cell or an activation tells that a way of learning is chosen.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet

from .found import Found
from .sayings import STRONG, Judged, is_text, value_of
from .vocabulary import LOOKING, METHOD, word_set, words

Bag = AbstractSet[str]
# What a switch does that changes nothing that is learnt.
_DOES = re.compile(
    r"(?i)^(do(n't| not) |if (set|true|given)[,:]? (then )?|whether (to |or not to )?|(flag|option) to |to |enables? )?"
    r"(sav(e|ing)|print|log|resume|load|reload|evaluate|visuali[sz]e|plot|download|test|cache|report|show|display"
    r"|render|record|dump|upload|push|overwrite|delete|remove)\b(?! (input|feature|transform|mel|magnitude|scale)\w*)"
)
# What a help text begins with when the option is about something else than training.
_BEGINS = re.compile(
    r"(?i)^(the |number of )?(test(ing)?|eval|validation|val|inference|generation|pre-?processing) "
    r"(batch|set|split|data\w*|max\w*|min\w*|len\w*|size|samples?|ratio|time|steps?)\b|\bgifs?\b"
    r"|\b(if|when|while) sampling\b(?! (from|batch|mini))|\bgeneration (max|min|length)|\bfinal evaluation\b"
    r"|\b(to be|being) (generated|synthesi[sz]ed)\b|\b(audio )?generation (ends|stops)\b"
    r"|\bof the \w+ encoding pre-?processing\b|\bgenerated (image|sample|text)s?\b|^number of sampling steps\b"
    r"|^(sample|generate|draw|synthesi[sz]e) (this|that|how|so|every|after|\d)"
    r"|^(frequen\w+|how often|how many \w+) (of |to )(show|print|log|save|report)"
)
_ENDS = re.compile(r"(?i)\b(terminate|stop|end|finish) (the )?(training )?(after|if|when|once)\b|\bdo not early.stop\b")
_EPISODE = re.compile(r"(?i)\b(episode|game|simulat\w+|generat\w+|evaluat\w+|sampling|decoding|dens\w+)\b")
_SWITCHED = re.compile(r"(?i)^(whether|if|use|enable|do|is|0:|1:)\b")
# Cells, activations, optimisers and losses, as they are written where one is chosen.
_WAYS = word_set(
    "relu gelu elu selu silu swish mish tanh sigmoid softplus leakyrelu prelu adam adamw sgd rmsprop adagrad adadelta "
    "lamb lion gru lstm rnn bilstm mse mae smoothl1 huber bce crossentropy xavier kaiming xavieruniform kaimingnormal "
    "batchnorm layernorm instancenorm groupnorm cosineannealing steplr lstmln"
)
_SPREAD = word_set("uniform gaussian normal lognormal logitnormal exponential beta laplace")
_WHOLE = word_set(
    "model arch net network backbone encoder decoder dataset env task algorithm algo name teacher student base"
)
_TOLD = re.compile(r"(?i)^(the )?(label|target|property|column|variable|attribute)s? to (predict|forecast|use)\b")
_WIDTHS = re.compile(r"\d+([-,x_ ]+\d+)+$")  # 256-256
_LASTING = re.compile(r"\d+ ?(ep|ba|tok|sp|iter|h|d)$")  # 10ep
# What a boosted tree is to predict: told by the data.
_PREDICTED = re.compile(r"(?i)^(binary|multiclass|regression\w*|(reg|binary|multi|rank|survival):\w+)$")


def helped(found: Found, tokens: tuple[str, ...], bag: Bag, _others: Bag, _plural: bool) -> Judged | None:
    """None where neither the help text nor the value is that plain."""
    value = value_of(found)
    said = found.help
    switch = found.kind == "bool"
    if switch and _DOES.match(said) and not bag & (STRONG | {"rehearsal", "replay"}):
        return Judged("exclude", "its help begins with what it does, which is no learning")
    if _BEGINS.search(said) and not re.search(r"(?i)\btrain", said):
        return Judged("exclude", "its help speaks of evaluation, or of making samples")
    if found.kind in ("int", "float") and _ENDS.search(said) and not _EPISODE.search(said) and not bag & {"lr", "wd"}:
        return Judged("fidelity", "when training stops")
    if found.kind == "int" and "batch" in bag and "chunk" in bag:
        return Judged("exclude", "how a batch is cut to fit the memory")
    if found.kind == "int" and bag == {"pretrain"} and value in (0, 1, -1):
        return Judged("exclude", "what a run starts from or keeps")
    if isinstance(value, str) and _WIDTHS.match(value) and bag & {"arch", "net", "network", "hidden", "layer", "mlp"}:
        return Judged("tune", "its value lists the widths of layers")
    if isinstance(value, str) and {"max", "duration"} == bag and _LASTING.match(value):
        return Judged("fidelity", "how long it trains")
    if switch and bag == {"sparse"}:
        return Judged("exclude", "how fast it is computed")
    if switch and {"early", "stop"} <= bag:
        return Judged("exclude", "whether training may stop early")
    if switch and {"zero", "init"} <= bag:
        return Judged("tune", "a part of the method")
    if switch and tokens[:1] == ("cache",):
        return Judged("exclude", "where or how fast it is computed")
    if found.name.lower() == "sigma_data":  # the spread that the method takes the data to have
        return Judged("tune", "a part of the method")
    if is_text(found) and not bag & (_WHOLE | LOOKING):
        named = [one for one in (*found.choices, value) if isinstance(one, str) and one]
        ways = sum(re.sub(r"[^a-z0-9]", "", one.lower()) in _WAYS for one in named)
        if ways and 2 * ways >= len(named):
            return Judged("tune", "its value names a way of learning")
    drawn = found.name.lower().endswith("dist") and isinstance(value, str)
    if drawn and re.sub(r"[^a-z]", "", str(value).lower()) in _SPREAD:
        return Judged("tune", "its value names a distribution")
    if bag == {"loss"} and tokens and isinstance(value, str) and _PREDICTED.match(value):
        return Judged("exclude", "what is predicted, which is given")
    if (
        isinstance(value, list)
        and len(value) > 1
        and not bag & {"module", "target", "lora", "augment", "layer", "loss"}
    ):
        ends = [words(one)[-1:] if isinstance(one, str) else ("num",) for one in value]
        if not any(end and (end[0] in METHOD or end[0] == "num") for end in ends):
            return Judged("exclude", "a list of names")
    grouped = is_text(found) and tokens[-1:] == ("group",)
    if grouped or (tokens[-1:] == ("name",) and bag & {"group", "project"}):
        return Judged("exclude", "a name")
    if {"batch", "device"} <= bag and "per" not in bag and found.kind == "int":
        return Judged("exclude", "how a batch is cut to fit the memory")
    if found.kind == "float" and bag - {"target"} == {"delta"} and isinstance(value, float) and 0 < value <= 1e-4:
        return Judged("exclude", "the privacy that is promised, which is given")
    if bag - {"use"} == {"visual"}:
        return Judged("exclude", "about pictures of the results")
    if is_text(found) and _TOLD.match(said):
        return Judged("exclude", "what is predicted, which is given")
    if {"jit", "random"} <= bag and found.kind != "bool":
        return Judged("tune", "a part of the augmentation")
    if is_text(found) and {"from", "weight"} <= bag:
        return Judged("exclude", "what it starts from")
    return None


def as_switch(found: Found) -> bool:
    """A number of which its help says that it switches something: 0 or 1."""
    return found.kind == "int" and value_of(found) in (0, 1) and bool(_SWITCHED.search(found.help))
