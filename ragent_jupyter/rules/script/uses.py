"""What a script does with the value of an option: what it is handed to, what it bounds, what it switches.

A name is what somebody called a thing; its use is what the thing is. Only plain uses are read: `args.x`, `cfg["x"]`, a
parameter or a constant `x`, and the local name that it was assigned to. What is not seen says nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Sequence
from typing import Literal

from .folding import dotted
from .found import Module

Use = Literal["said", "look", "place", "machine", "data", "load", "seed", "spent", "method", "update", "set"]
_HOLDERS = re.compile(
    r"(?i)(^|_)(args?|opts?|options?|cfg|config|conf|flags?|params?|hparams|hps?|hyperparameters|settings?|namespace"
    r"|a|c|p|h|parsed|cli|variant|self)$"
)
_MOST = 60_000  # nodes of a file that are looked at


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# The last part of what is called, in small letters, without underscores.
_LOOK = _words(
    "print pprint info debug warning warn log write format echo add_scalar addscalar addscalars addtext addimage "
    "addfigure addhistogram addhparams savefig imshow plot title suptitle summarywriter tqdm trange setdescription "
    "setpostfix wandblogger tensorboardlogger csvlogger loginfo saveimage imsave getlogger filehandler summary "
    "savez savetxt dump savepretrained savemodel savecheckpoint save todisk tojson tocsv topickle modelcheckpoint "
    "tensorboard alert notify logmetrics logmetric logparams logparam setverbosity basicconfig logkv setlevel"
)
_PLACE = _words(
    "join open mkdir makedirs path exists isfile isdir listdir glob rmtree expanduser abspath basename dirname "
    "splitext system run call popen urlopen urlretrieve download readcsv readjson readtable readparquet readexcel "
    "loadtxt genfromtxt realpath copyfile unlink remove chdir saveload safeload"
)
_MACHINE = _words(
    "device setdevice cuda to dataparallel distributeddataparallel initprocessgroup autocast gradscaler compile "
    "setnumthreads usedeterministicalgorithms setfloat32matmulprecision script trace spawn pool threadpoolexecutor "
    "processpoolexecutor getrank accelerator jit pmap setmatmulprecision setnuminteropthreads mirroredstrategy "
    "visibledevices multiprocessing processgroup"
)
_DATA = _words("loaddataset getdataset makeenv gym make makevec loaddata getdata buildenv createdataset getenv")
_LOAD = _words(
    "loadstatedict load frompretrained restore loadmodel loadcheckpoint resume loadweights loadfromcheckpoint"
)
_SEED = _words(
    "manualseed manualseedall seedeverything setseed setrandomseed fixseed seedall prngkey defaultrng randomstate "
    "initseed seed key seedtorch setupseed setglobalseed setglobalseeds seedworker"
)
_OPTIMISER = re.compile(
    r"(?i)(sgd|adam\w*|adamw|rmsprop|adagrad|adadelta|lamb|lars|lion|adafactor|radam|ranger|sophia|muon|optimi[sz]er\w*"
    r"|\w*_?optimi[sz]er|\w*scheduler\w*|\w*_schedule|\w*annealing\w*|steplr|\w+lr|lambdalr|clip_grad_norm_?"
    r"|clip_grad_value_?|\w*warmup\w*|clip_by_\w+|exponentialmovingaverage|ema|modelema)$"
)
_LOSS = re.compile(
    r"(?i)(\w*loss|\w*criterion|cross_entropy|nll_loss|mse_loss|smooth_l1_loss|kl_div|dropout\w*|conv[123]?d?|linear"
    r"|lstm|gru|rnn|embedding|batchnorm\w*|layernorm|transformer\w*|multiheadattention|leaky_?relu|dense)$"
)
_NETWORK = re.compile(r"(?i)\w*(net|network|model|encoder|decoder|generator|discriminator|actor|critic|agent"
                      r"|transformer|policy|mlp|cnn|gcn|gat|gnn|vae|unet|classifier|regressor|learner|head"
                      r"|backbone)$")  # fmt: skip
# A class that is built: a part of the method, unless its name tells that it keeps data, books or settings.
_BUILT = re.compile(r"[A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*\Z")
_KEPT = re.compile(
    r"(?i)(data|dataset|loader|datamodule|env|environment|wrapper|corpus|vocab\w*|dictionary|tokenizer|reader|sampler"
    r"|logger|writer|saver|timer|meter|manager|callback|checkpoint\w*|evaluator|metric\w*|config\w*|args|arguments"
    r"|namespace|path|trainer|runner|experiment|processor|preprocessor|extractor|transform\w*|compose|resize|error"
    r"|exception|counter|queue|process|thread|pool|plugin|strategy|server|client|dict|list|tuple|frame|array|tensor"
    r"|variable|stopping|stopper|monitor|recorder|tracker|visuali[sz]er|renderer|camera|scene|simulator|task|suite"
    r"|flags?|option\w*|parser|profiler|fold|split|bar)$"
)
_AUGMENT = re.compile(
    r"(?i)(random\w+|\w*jitter\w*|\w*flip\w*|\w*cutout\w*|\w*mixup\w*|\w*cutmix\w*|\w*augment\w*|gaussianblur"
    r"|\w*_?noise|specaugment|frequencymasking|timemasking)$"
)
_LOOKS = re.compile(r"(?i)(^|_|\.)(log|print|save|eval|evaluat|test|valid|plot|checkpoint|ckpt|visuali|render|report"
                    r"|writer|wandb|display|sample_images?|snapshot|dump|summary|tqdm|generate|demo)")  # fmt: skip
_LEARNS = re.compile(
    r"(?i)(^|[._])(step|backward|update\w*|zero_grad|soft_update|sync\w*|copy_?|load_state_dict|optimi[sz]e|learn"
    r"|train\w*|fit|minimize|apply_gradients|grow|densify|prune\w*|anneal\w*|decay\w*)$"
)
_STEERS = re.compile(r"(?i)(^|[._])(step|backward|zero_grad|optimi[sz]e|learn|train\w*|fit|minimize"
                     r"|apply_gradients|update\w*)$")  # fmt: skip


# Functions that are there to make the data or the environment: what only they read describes those.
_GIVES = re.compile(
    r"(?i)^_?(make|get|build|create|load|prepare|set_?up|init)_?(\w+_)?(envs?|environments?|data|datasets?|data_?loaders?"
    r"|loaders?|data_?module|task|tokenizer|vocab\w*|corpus|suite)$"
)


class Uses:
    """In which ways each option is used, over all files."""

    def __init__(self, modules: Sequence[Module], names: Collection[str]) -> None:
        """names: as the script keeps them (`batch_size`)."""
        self.names = frozenset(names)
        self.found: dict[str, set[Use]] = {name: set() for name in self.names}
        for module in modules:
            _File(module, self).read()

    def of(self, name: str) -> frozenset[Use]:
        return frozenset(self.found.get(name, ()))


class _File:
    def __init__(self, module: Module, uses: Uses) -> None:
        self.module = module
        self.uses = uses
        self.parents: dict[ast.AST, ast.AST] = {}
        self.bare: dict[ast.AST, set[str]] = {}

    def read(self) -> None:
        nodes = list(ast.walk(self.module.tree))
        if len(nodes) > _MOST:
            return
        for node in nodes:
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node
        aliases = self._aliases(nodes)
        for node in nodes:
            name = self._named(node)
            if not name and isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                name = aliases.get((self._scope(node), node.id), "")
            if name:
                for use in self._use(node) or self._around(node):
                    self.uses.found[name].add(use)
            elif isinstance(node, ast.Assign):
                for name in self._overwritten(node):
                    self.uses.found[name].add("set")

    def _around(self, node: ast.AST) -> list[Use]:
        """Where the use itself says nothing: what the function around it is there for."""
        around = self._scope(node)
        named = isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef) and _GIVES.match(around.name)
        return ["data"] if named else []

    def _overwritten(self, node: ast.Assign) -> list[str]:
        """Options that get a value of the script's own, made of others, whatever was given: `args.x = args.a * 2`."""
        names = [
            target.attr
            for target in node.targets
            if isinstance(target, ast.Attribute) and target.attr in self.uses.names and _held(target)
        ]
        if not names:
            return []
        at: ast.AST | None = self.parents.get(node)
        while at is not None and not isinstance(at, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
            if isinstance(at, ast.If | ast.For | ast.While | ast.Try):
                return []
            at = self.parents.get(at)
        read = {self._named(part) for part in ast.walk(node.value)} - {""}
        return [name for name in names if read and name not in read]

    def _aliases(self, nodes: list[ast.AST]) -> dict[tuple[ast.AST, str], str]:
        """(function, local name) → option: `lr = args.lr`, a parameter or a constant that is called as the option."""
        found: dict[tuple[ast.AST, str], str] = {}
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                args = node.args
                for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs):
                    if arg.arg in self.uses.names:
                        found[node, arg.arg] = arg.arg
            if not isinstance(node, ast.Assign) or len(node.targets) != 1:
                continue
            pairs = [(node.targets[0], node.value)]
            if isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = list(zip(node.targets[0].elts, node.value.elts, strict=False))
            for target, value in pairs:
                if not isinstance(target, ast.Name):
                    continue
                option = self._named(value)
                if option:
                    found[self._scope(node), target.id] = option
                elif target.id in self.uses.names and isinstance(self._scope(node), ast.Module):
                    found[self._scope(node), target.id] = target.id
        # A constant of the module is seen in all its functions.
        shared = {name: option for (scope, name), option in found.items() if isinstance(scope, ast.Module)}
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for name, option in shared.items():
                    found.setdefault((node, name), option)
        return found

    def _scope(self, node: ast.AST) -> ast.AST:
        while node in self.parents:
            node = self.parents[node]
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                return node
        return self.module.tree

    def _named(self, node: ast.AST) -> str:
        """The option that `args.x`, `args.group.x`, `args["x"]` or `FLAGS.x.value` stands for."""
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and node.attr in self.uses.names:
            owner = dotted(node.value)
            if owner and any(_HOLDERS.search(part) for part in owner.split(".")):
                return node.attr
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.ctx, ast.Load):
            key = node.slice.value
            return str(key) if key in self.uses.names and _HOLDERS.search(dotted(node.value).split(".")[-1]) else ""
        return ""

    # --- one use ----------------------------------------------------------------------------------------------------
    def _use(self, node: ast.AST) -> list[Use]:
        below = node
        above = self.parents.get(node)
        for _ in range(12):
            if above is None:
                return []
            match above:
                case ast.JoinedStr() | ast.FormattedValue():
                    return ["said"]
                case ast.BinOp(op=ast.Mod(), left=ast.Constant(value=str())):
                    return ["said"]
                case ast.BinOp(op=ast.Mod(), right=right) if right is below:
                    return self._cadence(above)
                case ast.keyword():
                    call = self.parents.get(above)
                    return self._handed(call, above.arg or "", node) if isinstance(call, ast.Call) else []
                case ast.Call() if below is not above.func:
                    name = dotted(above.func).split(".")[-1]
                    if name in ("int", "float", "str", "bool", "len", "min", "max", "round", "list", "tuple", "abs"):
                        below, above = above, self.parents.get(above)
                        continue
                    return self._handed(above, "", node)
                case ast.If(test=test) if test is below or below is test:
                    return self._switch(above, above.body, above.orelse)
                case ast.While(test=test) if test is below:
                    return ["spent"] if _any(above.body, _STEERS) else []
                case ast.For(iter=items) if items is below:
                    return []
                case ast.Assign() | ast.AugAssign() | ast.Return() | ast.AnnAssign():
                    return self._assigned(above, node)
                case ast.stmt():
                    return []
            below, above = above, self.parents.get(above)
        return []

    def _assigned(self, node: ast.stmt, used: ast.AST) -> list[Use]:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        text = " ".join(ast.dump(t) if not dotted(t) else dotted(t) for t in targets if t is not None).lower()
        if re.search(r"loss|penalty|cost\b", text) and any(isinstance(n, ast.BinOp) for n in ast.walk(node)):
            return ["method"]
        if "cuda_visible_devices" in text or "'environ'" in text or text.endswith("device"):
            return ["machine"]
        if "param_group" in text and "lr" in text:
            return ["method"]
        return []

    def _handed(self, call: ast.Call, word: str, node: ast.AST) -> list[Use]:
        """What a value that is passed to a call is for."""
        full = dotted(call.func)
        if not full and isinstance(call.func, ast.Attribute):
            full = "x." + call.func.attr
        last = full.split(".")[-1]
        low = last.lower().replace("_", "")
        if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Constant):
            return ["said"] if low in ("format", "join") else []
        if word in ("num_workers", "pin_memory", "device", "device_ids", "prefetch_factor", "persistent_workers"):
            return ["machine"]
        if word in ("batch_size",):
            return []
        if last == "range":
            loop = self.parents.get(call)
            while isinstance(loop, ast.Call):  # tqdm(range(…))
                loop = self.parents.get(loop)
            if isinstance(loop, ast.For) and call in ast.walk(loop.iter):
                return self._loop(loop)
            return []
        if full.startswith(("wandb.", "logging.", "logger.", "writer.", "mlflow.")) or low in _LOOK:
            return ["said"]
        for use, table in (("seed", _SEED), ("place", _PLACE), ("load", _LOAD), ("machine", _MACHINE), ("data", _DATA)):
            if low in table:
                return [use]  # type: ignore[list-item]
        if _OPTIMISER.match(last) or _LOSS.match(last) or _AUGMENT.match(last):
            return ["method"]
        if _NETWORK.match(last) and not _LOOKS.search(full) and not low.startswith(("load", "get", "build", "create")):
            return ["method"]
        if _BUILT.match(last) and not _KEPT.search(last) and not _LOOKS.search(full):
            return self._around(node) or ["method"]
        return []

    def _loop(self, loop: ast.For) -> list[Use]:
        """`for … in range(x)`: training, if learning happens within and no longer loop stands around it."""
        around: ast.AST | None = loop
        outer = False
        while around is not None and not isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef):
            around = self.parents.get(around)
            outer = outer or isinstance(around, ast.For | ast.While)
        if not _any(loop.body, _STEERS):
            return []
        return ["update"] if outer else ["spent"]

    def _cadence(self, node: ast.BinOp) -> list[Use]:
        """`if step % x == 0:` — what then happens."""
        at: ast.AST | None = node
        while at is not None and not isinstance(at, ast.stmt):
            at = self.parents.get(at)
        if not isinstance(at, ast.If):
            return []
        names = list(_called(at.body))
        looks = sum(bool(_LOOKS.search(name)) for name in names)
        learns = sum(bool(_LEARNS.search(name)) and not _LOOKS.search(name) for name in names)
        if looks and looks >= learns:
            return ["look"]
        return ["update"] if learns else []

    def _switch(self, node: ast.If, body: list[ast.stmt], orelse: list[ast.stmt]) -> list[Use]:
        """`if x:` — where all that it switches is of one kind."""
        names = [*_called(body), *_called(orelse)]
        if not names:
            return []
        lows = [name.split(".")[-1].lower().replace("_", "") for name in names]
        looking = [bool(_LOOKS.search(n)) or low in _LOOK or low in _PLACE for n, low in zip(names, lows, strict=True)]
        if all(looking):
            return ["look"]
        if all(low in _MACHINE or low in ("isavailable", "devicecount") for low in lows):
            return ["machine"]
        if all(low in _LOAD or low in _PLACE or low in _LOOK for low in lows):
            return ["load"]
        if all(low in _SEED for low in lows):
            return ["seed"]
        return []


def _held(target: ast.Attribute) -> bool:
    owner = dotted(target.value)
    return owner != "self" and _HOLDERS.search(owner.split(".")[-1]) is not None


def _called(body: list[ast.stmt]) -> list[str]:
    found = []
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Call):
                name = dotted(node.func)
                if not name and isinstance(node.func, ast.Attribute):
                    name = "x." + node.func.attr
                if name:
                    found.append(name)
    return found


def _any(body: list[ast.stmt], pattern: re.Pattern[str]) -> bool:
    return any(pattern.search(name) and not _LOOKS.search(name) for name in _called(body))
