"""Classes that hold settings: their fields, and the libraries that make a command line of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct

from .folding import UNKNOWN, dotted, fold
from .found import Comments, Found, Kind, Module, Reading, annotated, keyword, kind_of, plain, scalars, usable
from .spellings import CONF, DRACCUS, ENTRIES, HF, TAP, WRAPPERS, Spelling
from .vocabulary import EVALUATION, words

_DEEP = 6  # settings within settings
_MOST = 1000  # fields in all
_FIELDS = frozenset(
    {"field", "Field", "choice", "flag", "HfArg", "mutable_field", "list_field", "helptext", "arg", "ib"}
)
_SKIPPED = frozenset({"ClassVar", "InitVar", "KW_ONLY"})

Parameter = ast.arg
Function = ast.FunctionDef | ast.AsyncFunctionDef


# Fields of transformers.TrainingArguments that are worth a look, with their defaults (transformers 4.40 and later).
# A script that takes this class takes them all; its own source does not list them.
_TRAINER: dict[str, Any] = {
    "learning_rate": 5e-5,
    "weight_decay": 0.0,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "max_grad_norm": 1.0,
    "num_train_epochs": 3.0,
    "max_steps": -1,
    "warmup_ratio": 0.0,
    "warmup_steps": 0,
    "per_device_train_batch_size": 8,
    "gradient_accumulation_steps": 1,
    "lr_scheduler_type": "linear",
    "label_smoothing_factor": 0.0,
    "seed": 42,
    "output_dir": UNKNOWN,
    "logging_steps": 500,
    "save_steps": 500,
    "eval_steps": UNKNOWN,
    "per_device_eval_batch_size": 8,
}

# Of Lightning's Trainer.
_LIGHTNING: tuple[tuple[str, Kind, Any], ...] = (
    ("trainer.max_epochs", "int", UNKNOWN),
    ("trainer.max_steps", "int", -1),
    ("trainer.gradient_clip_val", "float", UNKNOWN),
    ("trainer.accumulate_grad_batches", "int", 1),
)


class Field(Struct, kw_only=True):
    """One field of a class, or one parameter of a function. inner: the class that it holds."""

    name: str
    kind: Kind = "unknown"
    default: Any = UNKNOWN
    choices: list[Any] = []
    help: str = ""
    section: str = ""
    many: bool = False
    path: bool = False
    positional: bool = False
    inner: str = ""
    given: dict[str, Any] = {}  # what the class that it holds is made with
    home: frozenset[str] = frozenset()  # the words of its class's name
    file: str = ""
    line: int = 0


class Classes:
    """The classes and functions of all files that were given."""

    def __init__(self, modules: Sequence[Module]) -> None:
        self.modules = modules
        self.classes: dict[str, tuple[ast.ClassDef, Module]] = {}
        self.functions: dict[str, tuple[Function, Module]] = {}
        self.aliases: dict[str, str] = {}
        self.values: dict[str, ast.expr] = {}  # what names of a module's top are bound to
        for module in reversed(modules):  # the script's own come last, and win
            for node in module.tree.body:
                if isinstance(node, ast.ClassDef):
                    self.classes[node.name] = (node, module)
                elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    self.functions[node.name] = (node, module)
                elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    self.aliases[node.targets[0].id] = dotted(node.value)
                    self.values[node.targets[0].id] = node.value

    def named(self, node: ast.AST | None) -> str:
        """The name of a class or function of ours that an expression stands for, else ""."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value
        elif isinstance(node, ast.Subscript):  # Annotated[X, …], Optional[X]
            inside = node.slice.elts[0] if isinstance(node.slice, ast.Tuple) and node.slice.elts else node.slice
            return self.named(inside)
        elif isinstance(node, ast.BinOp):
            return self.named(node.left) or self.named(node.right)
        else:
            name = dotted(node.func if isinstance(node, ast.Call) else node) if node is not None else ""
        for _ in range(4):
            last = name.split(".")[-1]
            if last in self.classes or last in self.functions:
                return last
            name = self.aliases.get(last, "")
        return ""

    def union(self, node: ast.AST, depth: int = 0) -> list[tuple[str, str]]:
        """(name of the subcommand, class) of `Union[A, B]`, as tyro makes subcommands of it; [] where it is none."""
        if isinstance(node, ast.Name) and node.id in self.values and depth < 4:
            return self.union(self.values[node.id], depth + 1)
        if not isinstance(node, ast.Subscript) or dotted(node.value).split(".")[-1] != "Union":
            return []
        found = []
        for one in node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]:
            inside = self.values.get(one.id, one) if isinstance(one, ast.Name) and one.id not in self.classes else one
            name = self.named(inside)
            texts = [fold(keyword(call, "name"), {}) for call in ast.walk(inside) if isinstance(call, ast.Call)]
            spelt = next(
                (text for text in texts if isinstance(text, str)), re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
            )
            if name in self.classes:
                found.append((spelt, name))
        return found

    def fields(self, name: str, seen: frozenset[str] = frozenset()) -> list[Field]:
        """A class's own fields and those of its bases, bases first; of a function its parameters."""
        if name in self.functions:
            function, module = self.functions[name]
            return parameters(function, module, self)
        if name not in self.classes or name in seen:
            return []
        node, module = self.classes[name]
        found: dict[str, Field] = {}
        for base in node.bases:
            for one in self.fields(self.named(base), seen | {name}):
                found[one.name] = one
            if dotted(base).split(".")[-1].endswith(("TrainingArguments", "SFTConfig")) and not self.named(base):
                found |= {field.name: field for field in trainer_fields()}
        comments = Comments(module.source)
        body = node.body
        for at, part in enumerate(body):
            own = self._field(part, module)
            if own is None:
                continue
            if not own.help:
                after = body[at + 1] if at + 1 < len(body) else None
                if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                    own.help = " ".join(str(after.value.value).split())[:400]
                else:
                    own.help = comments.behind(own.line) or comments.over(own.line, part.end_lineno or own.line)
            own.section = comments.above(own.line)
            own.home = frozenset(words(name))
            found[own.name] = own
        init = next((f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"), None)
        if init is not None and not found:
            return parameters(init, module, self)
        return list(found.values())

    def _field(self, part: ast.stmt, module: Module) -> Field | None:
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            name, node, value = part.target.id, part.annotation, part.value
            if isinstance(node, ast.Subscript) and dotted(node.value).split(".")[-1] in _SKIPPED:
                return None
            if dotted(node).split(".")[-1] in _SKIPPED:
                return None
        elif isinstance(part, ast.Assign) and isinstance(part.targets[0], ast.Name):
            name, node, value = part.targets[0].id, None, part.value
        else:
            return None
        if (name.startswith("_") and name != "_target_") or not usable(name):
            return None
        return self.described(name, node, value, module, part.lineno)

    def described(self, name: str, node: ast.expr | None, value: ast.expr | None, module: Module, line: int) -> Field:
        kind, choices, many, path = annotated(node, module.names)
        found = Field(name=name, kind=kind, choices=choices, many=many, path=path, file=module.path, line=line)
        found.inner = self.named(node) if node is not None else ""
        if isinstance(value, ast.Call) and dotted(value.func).split(".")[-1] in _FIELDS:
            self._from_field(found, value, module)
        elif value is not None:
            found.default = fold(value, module.names)
            found.given = _made_with(value, module)
            if found.default is UNKNOWN and not found.inner and isinstance(value, ast.Call):
                found.inner = self.named(value)
        if found.inner and found.inner not in self.classes:
            found.inner = ""
        if found.inner and found.choices:
            found.inner = ""  # an enum
        if found.kind == "unknown":
            found.kind = kind_of(plain(found.default)) if found.default is not UNKNOWN else "unknown"
        found.many = found.many or isinstance(found.default, list | dict)
        return found

    def _from_field(self, found: Field, call: ast.Call, module: Module) -> None:
        last = dotted(call.func).split(".")[-1]
        names = module.names
        value = keyword(call, "default")
        if value is not None:
            found.default = fold(value, names)
        elif call.args and last != "choice":
            found.default = fold(call.args[0], names)
        factory = keyword(call, "default_factory", "factory")
        if isinstance(factory, ast.Lambda):
            found.default = fold(factory.body, names)
            found.inner = found.inner or self.named(factory.body)
            found.given = _made_with(factory.body, module)
        elif factory is not None:
            found.inner = found.inner or self.named(factory)
            found.many = found.many or dotted(factory) in ("list", "dict", "tuple", "set")
        if last == "list_field":
            found.many = True
        if last == "choice":
            found.choices = scalars([fold(arg, names) for arg in call.args])
        meta = keyword(call, "metadata")
        known = fold(meta, names) if meta is not None else {}
        text = known.get("help", UNKNOWN) if isinstance(known, dict) else UNKNOWN
        for word in ("help", "description", "desc"):
            if text is UNKNOWN and (node := keyword(call, word)) is not None:
                text = fold(node, names)
        if isinstance(text, str):
            found.help = " ".join(text.split())[:400]
        found.positional = fold(keyword(call, "positional"), names) is True


def _made_with(node: ast.expr, module: Module) -> dict[str, Any]:
    words = node.keywords if isinstance(node, ast.Call) else []
    return {word.arg: fold(word.value, module.names) for word in words if word.arg}


def trainer_fields() -> list[Field]:
    return [
        Field(name=name, default=value, kind=kind_of(plain(value)), help="of transformers.TrainingArguments")
        for name, value in _TRAINER.items()
    ]


def parameters(function: Function, module: Module, classes: Classes) -> list[Field]:
    """The parameters of a function as settings; self, *args and **kwargs are none."""
    args = function.args
    every = [*args.posonlyargs, *args.args]
    defaults: list[ast.expr | None] = [*[None] * (len(every) - len(args.defaults)), *args.defaults]
    pairs = [*zip(every, defaults, strict=True), *zip(args.kwonlyargs, args.kw_defaults, strict=True)]
    comments = Comments(module.source)
    found = []
    for arg, value in pairs:
        if arg.arg in ("self", "cls", "ctx") or not usable(arg.arg):
            continue
        one = classes.described(arg.arg, arg.annotation, value, module, arg.lineno)
        one.positional = value is None and arg not in args.kwonlyargs
        one.help = one.help or comments.behind(arg.lineno)
        found.append(one)
    return found


def read_classes(classes: Classes, reading: Reading) -> None:
    """Options of the settings classes that the script's library turns into a command line."""
    _stored(classes, reading)
    for module in classes.modules:
        imported = _imports(module.tree)
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call):
                _entry(node, module, imported, classes, reading)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                _wrapped(node, imported, classes, reading)
            elif isinstance(node, ast.ClassDef) and any(dotted(b).split(".")[-1] == "Tap" for b in node.bases):
                add(classes.fields(node.name), TAP, classes, reading)


def _imports(tree: ast.Module) -> dict[str, str]:
    """Local name → full name, of what is imported by `from x import y`."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
        elif isinstance(node, ast.Import):
            found |= {one.asname: one.name for one in node.names if one.asname}
    return found


def _full(node: ast.expr, imported: dict[str, str]) -> str:
    head, dot, rest = dotted(node).partition(".")
    return imported.get(head, head) + dot + rest


def _spelling(full: str, table: dict[str, Spelling]) -> Spelling | None:
    parts = full.split(".")
    return table.get(".".join(parts[-2:])) or table.get(parts[-1]) or table.get(full)


def _entry(call: ast.Call, module: Module, imported: dict[str, str], classes: Classes, reading: Reading) -> None:
    full = _full(call.func, imported)
    last = full.split(".")[-1]
    if last == "" and isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Call):
        inner = call.func.value  # hydra_zen: zen(train).hydra_main(…)
        if call.func.attr == "hydra_main" and inner.args:
            add(classes.fields(classes.named(inner.args[0])), CONF, classes, reading, style="hydra")
        return
    if last == "add_argparse_args" and "Trainer" in full:
        add([Field(name=n.removeprefix("trainer."), kind=k, default=d) for n, k, d in _LIGHTNING], HF, classes, reading)
        return
    cli = classes.classes.get(last)
    if cli is not None and any(dotted(base).split(".")[-1] == "LightningCLI" for base in cli[0].bases):
        last, full = "LightningCLI", "LightningCLI"
    spelling = _spelling(full, ENTRIES)
    if spelling is None:
        return
    if last == "LightningCLI":
        _lightning(call, classes, reading)
        return
    if last == "structured" and not _from_cli(classes.modules):
        return
    nodes = [
        *call.args,
        *(w.value for w in call.keywords if w.arg in ("f", "config_class", "dataclass_types", "theclass")),
    ]
    prefix = ""
    if last in ("add_class_arguments", "add_dataclass_arguments") and len(call.args) > 1:
        nested = fold(call.args[1], module.names)
        prefix = f"{nested}." if isinstance(nested, str) else ""
    if last == "overridable_config_cli" and nodes and isinstance(nodes[0], ast.Name):
        table = next(
            (
                n.value
                for n in ast.walk(module.tree)
                if isinstance(n, ast.Assign) and dotted(n.targets[0]) == nodes[0].id
            ),
            None,
        )  # {"default": ("as is", Config(lr=0.1)), …}: the first is read
        first = table.values[0] if isinstance(table, ast.Dict) and table.values else None
        made = first.elts[-1] if isinstance(first, ast.Tuple) and first.elts else first
        if isinstance(made, ast.Call):
            fields = classes.fields(classes.named(made))
            for field in fields:
                field.default = _made_with(made, module).get(field.name, field.default)
            add(fields, spelling, classes, reading)
            return
    for node in nodes:
        for one in node.elts if isinstance(node, ast.Tuple | ast.List) else [node]:
            name = classes.named(one)
            if not name and (group := classes.union(one)):
                _subcommands(group, spelling, classes, reading)
            elif name in classes.functions and last == "nested_entrypoint":
                held = classes.functions[name][0].args.args[:1]
                add(classes.fields(classes.named(held[0].annotation)) if held else [], spelling, classes, reading)
            elif name:
                add(classes.fields(name), spelling, classes, reading, prefix)
            elif spelling is HF and dotted(one).split(".")[-1].endswith(("TrainingArguments", "SFTConfig")):
                add(trainer_fields(), spelling, classes, reading)
    if not nodes and last in ("CLI", "auto_cli"):
        for name, (_, home) in classes.functions.items():
            if home is module and not name.startswith("_"):
                add(classes.fields(name), spelling, classes, reading)


def _subcommands(group: list[tuple[str, str]], spelling: Spelling, classes: Classes, reading: Reading) -> None:
    """The options of each subcommand; those of testing alone only where there is nothing else."""
    training = [pair for pair in group if not set(words(pair[1])) & EVALUATION] or group
    for spelt, name in training:
        inner = Reading([], reading.notes)
        add(classes.fields(name), spelling, classes, inner)
        have = {found.name for found in reading.found}
        for found in inner.found:
            found.group = spelt
        reading.found += [found for found in inner.found if found.name not in have]


def _stored(classes: Classes, reading: Reading) -> None:
    """Classes in hydra's ConfigStore: those of no group are composed, and their `defaults` choose from the groups."""
    primary: list[str] = []
    groups: dict[tuple[str, str], str] = {}
    for module in classes.modules:
        for call in ast.walk(module.tree):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "store"):
                continue
            given = dict(zip(("name", "node", "group"), call.args, strict=False))
            held = classes.named(given.get("node") or keyword(call, "node"))
            group, name = (fold(given.get(word) or keyword(call, word), module.names) for word in ("group", "name"))
            if held and isinstance(group, str) and isinstance(name, str):
                groups[group, name] = held
            elif held and group is UNKNOWN:
                primary.append(held)
    for held in primary:
        fields = classes.fields(held)
        add([one for one in fields if one.name != "defaults"], CONF, classes, reading, style="hydra")
        listed: Any = next((one.default for one in fields if one.name == "defaults"), [])
        for entry in listed if isinstance(listed, list) else []:
            for group, name in entry.items() if isinstance(entry, dict) else ():
                chosen = groups.get((str(group), str(name)), "")
                prefix = f"{group}.".replace("/", ".")
                add(classes.fields(chosen), CONF, classes, reading, prefix, style="hydra")


def _from_cli(modules: Sequence[Module]) -> bool:
    return any("from_cli" in module.source or "from_dotlist" in module.source for module in modules)


def _lightning(call: ast.Call, classes: Classes, reading: Reading) -> None:
    for node, prefix in zip(call.args, ("model.", "data."), strict=False):
        name = classes.named(node)
        if name:
            add(classes.fields(name), DRACCUS, classes, reading, prefix)
    for name, kind, default in (("seed_everything", "int", UNKNOWN), *_LIGHTNING):
        add([Field(name=name, kind=kind, default=default)], DRACCUS, classes, reading)


def _wrapped(node: Function, imported: dict[str, str], classes: Classes, reading: Reading) -> None:
    for decorator in node.decorator_list:
        func = decorator.func if isinstance(decorator, ast.Call) else decorator
        spelling = _spelling(_full(func, imported), WRAPPERS)
        if spelling is not None and node.args.args:
            add(classes.fields(classes.named(node.args.args[0].annotation)), spelling, classes, reading)


def add(
    fields: Sequence[Field],
    spelling: Spelling,
    classes: Classes,
    reading: Reading,
    prefix: str = "",
    *,
    style: Literal["dataclass", "hydra", "typer"] = "dataclass",
    depth: int = 0,
) -> None:
    """The options that a library makes of fields, those of inner classes included."""
    have = {found.name: found for found in reading.found}
    for field in fields:
        if len(reading.found) > _MOST:
            return
        own = field.name.replace("_", "-") if spelling.kebab else field.name
        if field.inner and depth < _DEEP:
            inside = prefix if spelling.nested == "flat" else f"{prefix}{own}."
            held = classes.fields(field.inner)
            for one in held:
                one.default = field.given.get(one.name, one.default)
            add(held, spelling, classes, reading, inside, style=style, depth=depth + 1)
            continue
        name = prefix + own
        if name in have:
            if have[name].default is UNKNOWN and field.default is not UNKNOWN:  # Tap's own, spelt in configure()
                have[name].default, have[name].kind = field.default, field.kind
            continue
        negated = f"{prefix}no-{own}" if spelling.kebab else f"{prefix}no_{own}"
        switch = field.kind == "bool" and not field.positional
        given = name if spelling.equals else f"--{name}"
        reading.found.append(
            Found(
                name=name,
                style=style,
                template=""
                if field.positional and spelling.kebab
                else spelling.boolean.replace("{no}", negated)
                if switch
                else spelling.template,
                kind=field.kind,
                default=field.default,
                choices=field.choices,
                help=field.help,
                section=field.section,
                home=field.home,
                spellings=[given, given.replace("-", "_").replace("__", "--", 1), f"--{prefix}{field.name}"],
                off=[f"--{negated}", f"--{prefix}no_{field.name}"] if switch else [],
                dest=field.name,
                many=field.many,
                path=field.path,
                positional=field.positional and spelling.kebab and style == "typer",
                equals=spelling.equals,
                file=field.file,
                line=field.line,
            )
        )
        have[name] = reading.found[-1]
