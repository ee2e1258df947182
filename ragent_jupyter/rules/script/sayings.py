"""What names, help texts and titles speak of: the patterns and small vocabularies by which options are judged."""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from ragent_jupyter.domain.script import Role

from .folding import UNKNOWN
from .found import Found
from .vocabulary import word_set


class Judged(Struct, frozen=True):
    """weak: the name itself said little.  cadence: how often something happens, which may be an update."""

    role: Role
    why: str
    weak: bool = False
    cadence: bool = False


PATHLIKE = re.compile(
    r"(^|[\w.~])/\w|^[./~]+/|^\w+://|\.(csv|tsv|json|jsonl|ya?ml|txt|pkl|npz?|h5|pth?|ckpt|bin|log|png|wav|parquet|py|tar|gz)$"
)
RUN_TIME = re.compile(
    r"(?i)\b(at|in|during) run\s?time|\bcomputed (at|in|from|later)\b|\bfilled in\b|do(n't| not) set\b"
)
SAID_LOOKING = re.compile(
    r"(?i)\b(log(s|ged|ging|ger)?|print(s|ed|ing)?|sav(e[sd]?|ing)|evaluat\w+|validat\w+|test(ing)?|checkpoint\w*|resum\w+"
    r"|wandb|tensorboard|visuali[sz]\w+|plot\w*|debug\w*|verbose|download\w*|upload\w*|profil\w+|display\w*|report\w*"
    r"|render\w*|inference|metrics?)\b"
)
SAID_PLACE = re.compile(
    r"(?i)\b(path|folder|(sub-?)?director(y|ies)|dir|file(name)?s?|location|url|checkpoint|names? of|gpus?"
    r"|cuda|cpu|devices?|workers?|threads?|process(es)?|distributed|datasets?|data ?loading|token|username|columns?"
    r"|indices|start(ing)? epoch|mixed precision|fp16|faster|speed ?up|out of memory"
    r"|subfolder|confirm\w*|prompt(ed)?|tags?|browser|viewer|gui)\b"
)
SAID_METHOD = re.compile(
    r"(?i)\b(learning.rate|lr|weight decay|dropout|regulari[sz]\w+|momentum|optimi[sz]er|hidden|layers?|dimension\w*"
    r"|size|weight(s|ing)? (of|for)|loss|coefficient|augment\w+|temperature|kernel|channels?|embedding\w*|attention"
    r"|heads?|rate|probability|ratio|threshold|penalty|scale"
    r"|number of (units|features|filters|blocks|neighbou?rs|samples per)|discount|entropy|exploration"
    r"|noise|warm ?up|schedule\w*|activation|normali[sz]ation|initiali[sz]\w+"
    r"|adam\w*|sgd|rmsprop|curriculum|bootstrap\w*|weight averag\w+|returns|q-learning|critic|distill\w*|contrastive"
    r"|adversarial|residual|pooling|lora|peft|fine.?tuning|uncondition\w*|conditioning)\b"
)
SAID_SPENT = re.compile(
    r"(?i)\b(training (duration|time|length|budget)|duration of training|number of training steps"
    r"|(number|amount|count|#) of (training |total )?(epochs|steps|iterations|updates|episodes|timesteps|rounds"
    r"|training (examples|samples))|total (number of )?(training )?(steps|epochs|iterations|timesteps)|epochs to train"
    r"|how (many|long) .{0,20}(epochs|steps|train))\b"
)
SAID_ROLLOUT = re.compile(r"(?i)roll-?outs?|n-step|forward steps|per (env|environment|policy|update|actor)|bootstrap")
SAID_TRAINED = re.compile(r"(?i)\b(train|dataset|data set|subset|debug)")
SAID_DIFFUSION = re.compile(r"(?i)diffusion|nois|denois|spik|ode\b|sde\b|simulat")
SAID_ASIDE = re.compile(
    r"(?i)\b(validation|eval(uation)?|test(ing)?|inference|prediction)[ -](only|set|split|dataset|samples|time)\b"
    r"|\bonly .{0,20}(evaluat|validation|test)|\b(during|for|at|in) (the )?(evaluation|validation|testing|inference)\b"
    r"|\b(at|during) (sampling|generation|decoding|test)[ -]time\b|\b(during|for|at) sampling$"
    r"|\b(is|are) (saved|written|logged|printed|plotted|stored)\b|\bfor (the |this )?(\w+ )?data ?set$"
    r"|\bto evaluate\b|\bpredictions are\b|\b(during|for) (generation|decoding)\b"
)
SAID_AGAIN = re.compile(
    r"(?i)\b((experiments?|running) times|number of (independent )?(runs|experiments|repetitions)\b)"
)
SAID_TASK = re.compile(
    r"(?i)\b((forecast(ing)?|prediction) (horizon|length|window|steps)|steps? ahead"
    r"|steps (per|in an?|of an?) episode)\b"
)
SAID_FAST = re.compile(
    r"(?i)\b((less|more|saves?|saving|reduce[sd]?|low|lower|gpu) memory|memory[- ](efficient|usage|footprint)"
    r"|effici?ent \w+ implementation|faster|slower|speed ?up|speed|throughput|cached? )\b"
)
SAID_ENCODING = re.compile(r"(?i)\b(positional|fourier|encod(ing|er)|latent|network|convolution\w*|neurons?)\b")
SAID_SHAPE = re.compile(
    r"(?i)^((the|num(ber)?|size|dim(ension)?|count|of|model'?s?|data|encoder|decoder|network|total) )*"
    r"((in|out)put (size|dim(ension)?s?|channels?|features?|shape)|classes|categories|vocab(ulary)? size|(in|out)put$)"
    r"|^(number|#) of (node|edge|input|raw|data) (features|attributes)\b"
    r"|^(the )?(dim(ension\w*)?|size|number|#) of (the )?(domain |class |agent )?(actions?|observations?|labels?)\b"
)
SAID_SWITCH = re.compile(r"(?i)^(if|whether|use|enable|apply|do)\b|\bor not\b|\btrue\b|\bfalse\b")
# What is used, learnt or added when something is switched on: as a rule, a part of the method.
SAID_TURNED_ON = re.compile(
    r"(?i)^(if (set|true)[,:]? |whether (to |or not to )?)?(uses?|learn|apply|append|includes?|has|have|adds?|adding"
    r"|enables?|turns? on)\b"
)
SAID_AUGMENT = re.compile(
    r"(?i)\b(augment\w*|(\w-)?flip(s|ped|ping)?|crop(s|ped|ping)?|jitter\w*|mirror\w*|rotat\w+)\b"
)
# Groups of options, by the title of the group or the name of their class, that say nothing of learning.
HOMES_ASIDE = word_set(
    "eval test inference generate generation predict log wandb tensorboard checkpoint visualize visualization viz "
    "viewer debug profile profiler save distributed device hub display report monitor render video"
)
SAID_START = re.compile(r"(?i)\b(start|resum|load|from|continue|restor|which|current)\w*")
# A heading under which a bare switch is one of the method.
SAID_HEADING = re.compile(
    r"(?i)\b(models?|network|architecture|generator|discriminator|encoder|decoder|actor|critic|loss(es)?|optimi[sz]\w+"
    r"|planning|method|algorithm|augment\w*|regulari[sz]\w+|hyper-?param\w*|tricks?)\b"
)
OF_THE_METHOD = word_set("model network loss optimizer")  # a class or a group that holds settings of the method
# Headings over what happens after training.
SYNTHESIS = word_set("synthesis synthesize synthesizing generating generation sampling")
# What a heading says besides what it is about.
HEADED = word_set(
    "arg args argument option setting parameter param config group related all default flag other hyperparameter"
)
# `A|B|C` or `(A | B)`: a text that is one of these.
SAID_CHOICE = re.compile(r"(?:^|[\s(\[{:])[\w-]+ ?(?:\| ?[\w-]+)+")
# Groups of settings of a tree that are not about learning: how samples are made afterwards, what data is let in.
GROUPS_ASIDE = word_set(
    "sampling generation decoding decode filtering preprocess preprocessing tokenizer export serving"
)
NO_CHANGE = word_set(
    "use with enable enabled disable do is no not without if should apply add set have has to and or for by on off "
    "train training only custom new"
)
ROUGH = word_set(
    "type name mode fn func function kind method algorithm strategy size num n number value param arg kwarg option "
    "shape version variant level list"
)
# What is chosen by a name that stands under it: `optimizer.type`.
CHOSEN = word_set("optimizer scheduler schedule loss activation norm init pool sampler regularizer augment")
# Parts of a training, one after another: their lengths are training lengths.
PHASES = word_set("pretrain finetune stage phase main train training first second adapt search total end stop whole")
# Parts of a network: their sizes are its own, whatever they take in.
INNER = word_set("hidden dropout norm embed layer head latent kernel depth width filter")
# Nouns of the method that name no way of doing something when they are set to a text: a column, a policy's name.
THINGS = word_set("feature group policy component neighbor view instance target label position context char word frame")
KINDS = word_set("strategy method algorithm kind fn func function variant type")
# What is done to a reward within the method; what else is said of one is the task.
SCALED = word_set(
    "scale rescale norm clip whiten shaping penalty coef weight discount center std intrinsic curiosity model sum"
)
UPDATED = word_set(
    "target update policy actor critic discriminator generator ema learn learning sde reg decay accumulate grad anneal "
    "restart precond preconditioner polyak rollout augment mask resample copy sync train training network optim "
    "optimizer lr hessian swa average mixup teacher flush replay explore sigma warmup freeze kl attention "
    "attn global densify refine reset prune"
)
WAVES = word_set(
    "num n max min rope pos positive base embed mask cutoff cut band fourier encoding mel theta multires low high "
    "scale dim"
)
LOW_RANK = word_set("lora low adapter dim approx kernel galore decomposition tensor r svd tucker")
LOGS = word_set("std alpha variance var scale prob likelihood space snr temperature mel spectrogram eps epsilon lr")
ACTING = word_set("actor policy model dynamic agent critic encoder decoder")
# What is learnt of the world, or weighed in learning it: `speaker_embed`, `camera_loss`.
LEARNT = word_set("embed weight coef loss dropout prob noise norm dim channel hidden layer feature augment random")
STRONG = word_set("lr wd dropout momentum nesterov smoothing mixup cutmix cutout warmup augment")


def value_of(found: Found) -> Any:
    return None if found.default is UNKNOWN else found.default


def is_text(found: Found) -> bool:
    return found.kind == "str" or isinstance(value_of(found), str)
