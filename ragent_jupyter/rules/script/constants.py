"""Settings without a command line: constants of the module, of settings classes and dicts; nanoGPT's configurator."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import Any

from .classes import Classes
from .configdicts import Filled, flattened
from .folding import UNKNOWN, dotted, fold
from .found import Comments, Found, Module, Reading, kind_of, plain, usable
from .imported import Changes, imports, spawns, used_of
from .roles import judge
from .vocabulary import word_set, words

_CAPITALS = re.compile(r"[A-Z][A-Z0-9_]*\Z")
_SETTINGS = re.compile(r"(?i)(config|cfg|conf|args|hyper|hparam|param|setting|option|opt|default)")
# Words of the name of a module that holds settings.
_MODULES = word_set(
    "config cfg conf arg hyper hparam hyperparam hyperparameter param parameter setting option opt default constant "
    "const global"
)
_CONFIGURATOR = re.compile(r"exec\s*\(\s*open\s*\(\s*['\"][^'\"]*configurator[^'\"]*['\"]")
_VALUE = "--ragent-set {name}={value}"
_SWITCH = "--ragent-set {name}=True|--ragent-set {name}=False"


def read_constants(modules: Sequence[Module], classes: Classes, reading: Reading, alone: bool) -> None:
    """alone: the script has no command line, so that every plain constant that is set once may be a setting; else only
    those in capitals that no option has for its default. One that may have no effect, as something is put in its place
    later on, is not offered.

    The script's own, then those of the modules that it imports: of one that is named for settings all, of others those
    that the script takes.
    """
    used = set() if alone else {name for module in modules for name in _defaults_of_options(module.tree)}
    before = len(reading.found)
    changes = Changes(modules, classes)
    _of_module(modules[0], changes, classes, reading, alone, used, None)
    for module, names in _taken(modules, classes, alone):
        _of_module(module, changes, classes, reading, alone, used, names)
    starting = next((module for module in modules if spawns(module)), None)
    if starting is not None and len(reading.found) > before:
        del reading.found[before:]
        reading.note(
            f"Constants do not reach processes that are spawned, as {starting.path} starts them: none is offered."
        )


def _taken(modules: Sequence[Module], classes: Classes, alone: bool) -> list[tuple[Module, set[str] | None]]:
    """The imported modules that hold constants of the script, and which; None: all."""
    found: dict[str, tuple[Module, set[str] | None]] = {}
    for module in modules:
        for one in imports(module, modules):
            if one.module is modules[0]:
                continue
            stem = posixpath.basename(one.module.path).removesuffix(".py").replace("__init__", "")
            stem = stem or posixpath.basename(posixpath.dirname(one.module.path))
            if _MODULES & set(words(stem)):
                found[one.module.path] = (one.module, None)
            elif module is modules[0]:
                names = {one.attr} if one.attr else used_of(module, one.local)
                for name in list(names):  # an instance of a class of settings
                    names.add(classes.named(classes.values.get(name)) or name)
                if alone:  # a script that only calls another module's function has its constants there
                    names |= {name for name in one.module.names if _CAPITALS.match(name) and len(name) > 1}
                old = found.get(one.module.path, (one.module, set()))[1]
                found[one.module.path] = (one.module, None if one.attr == "*" or old is None else old | names)
    return list(found.values())


def _of_module(
    module: Module,
    changes: Changes,
    classes: Classes,
    reading: Reading,
    alone: bool,
    used: set[str],
    only: set[str] | None,
) -> None:
    """only: names that count; None: all."""
    modules = changes.modules
    main = modules[0] is module
    file = "" if main else posixpath.relpath(module.path, posixpath.dirname(modules[0].path) or ".") + ":"
    if not usable(file.replace(":", "x")) and file:
        return
    counts: dict[str, int] = {}
    for name, _, _ in _assigned(module.tree.body):
        counts[name] = counts.get(name, 0) + 1
    filled = Filled(modules)
    for name, value, line in _assigned(module.tree.body):
        capitals = bool(_CAPITALS.match(name)) and len(name) > 1
        for word in _given(value, classes) if alone and (only is None or name in only) else ():
            one = fold(word.value, module.names)  # what it is made with wins over the class
            if one is not UNKNOWN:
                _add(module, changes, reading, str(word.arg), f"{file}{name}.", one, word.value.lineno, sure=True)
        if (
            name.startswith("_")
            or counts[name] > 1
            or not (capitals or alone)
            or (only is not None and name not in only)
        ):
            continue
        folded = fold(value, module.names)
        bag = alone and (_SETTINGS.search(name) or (isinstance(value, ast.Call) and folded is UNKNOWN))
        tree = filled.value(ast.Name(id=name), module, {}) if bag else None
        if tree:
            for key, node, home in flattened(tree):
                if home is module and usable(key):
                    one = fold(node, module.names)
                    _add(module, changes, reading, key, f"{file}{name}.", one, node.lineno, sure=True)
        elif (alone and capitals) or (folded is not UNKNOWN and (_literal(value) or capitals)):
            if (main and changes.unread(module, name)) or _derived(value, module, reading):
                continue
            at = len(reading.found)
            _add(module, changes, reading, name, file, folded, line, sure=alone and capitals and (main or only is None))
            for found in reading.found[at:]:
                found.computed = found.computed or name in used  # set by the option that has it for its default
    if alone:
        _settings_classes(module, changes, classes, reading, file, only)


def _given(value: ast.expr, classes: Classes) -> list[ast.keyword]:
    """What an instance of a class of settings is made with, also within another call: `GPT(GPTConfig(n_layer=12))`."""
    inner = value.args[0] if isinstance(value, ast.Call) and value.args else value
    for call in (value, inner):
        name = classes.named(call) if isinstance(call, ast.Call) else ""
        if isinstance(call, ast.Call) and name in classes.classes and _is_settings(classes.classes[name][0]):
            return [word for word in call.keywords if word.arg and usable(word.arg)]
    return []


def _is_settings(node: ast.ClassDef) -> bool:
    marked = any("dataclass" in dotted(d.func if isinstance(d, ast.Call) else d) for d in node.decorator_list)
    return marked or bool(_SETTINGS.search(node.name))


def _assigned(body: list[ast.stmt], depth: int = 0) -> Iterator[tuple[str, ast.expr, int]]:
    """(name, value, line) of the assignments at the module's top, those in `if` and `try` included."""
    for node in body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.value, node.lineno
                elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    for one, value in zip(target.elts, node.value.elts, strict=False):
                        if isinstance(one, ast.Name) and len(target.elts) == len(node.value.elts):
                            yield one.id, value, node.lineno
        elif isinstance(node, ast.AnnAssign | ast.AugAssign) and isinstance(node.target, ast.Name):
            if node.value is not None:
                yield node.target.id, node.value, node.lineno
        elif isinstance(node, ast.If | ast.Try | ast.With) and depth < 8:
            yield from _assigned(node.body, depth + 1)
            if isinstance(node, ast.If | ast.Try):
                yield from _assigned(node.orelse, depth + 1)


def _literal(node: ast.expr) -> bool:
    """Whether a value is written down rather than derived from others."""
    return not any(isinstance(n, ast.Name) and n.id not in ("int", "float", "True", "False") for n in ast.walk(node))


def _defaults_of_options(tree: ast.Module) -> set[str]:
    """Names that stand within calls that define options: to set the option is to set them."""
    found: set[str] = set()
    for call in ast.walk(tree):
        if isinstance(call, ast.Call):
            last = dotted(call.func).split(".")[-1]
            if last in ("add_argument", "add_arg", "option", "Option", "set_defaults") or last.startswith("DEFINE_"):
                found |= {n.id for n in ast.walk(call) if isinstance(n, ast.Name)}
                found |= {n.attr for n in ast.walk(call) if isinstance(n, ast.Attribute)}  # config.LR
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            found |= {n.id for d in (*function.args.defaults, *function.args.kw_defaults) if d for n in ast.walk(d)
                      if isinstance(n, ast.Name)}  # fmt: skip
    return found


def _derived(value: ast.expr, module: Module, reading: Reading) -> bool:
    """Whether a value is another constant that is offered, or is made of one that is searched."""
    names = {dotted(n) for n in ast.walk(value) if isinstance(n, ast.Name | ast.Attribute)}
    for one in reading.found:
        if one.style == "constants" and one.file == module.path and one.name in names:
            verdict = judge(one)
            if one.name == dotted(value) or (verdict.role != "exclude" and not verdict.weak):
                return True
    return False


def _add(
    module: Module,
    changes: Changes,
    reading: Reading,
    name: str,
    owner: str,
    value: Any,
    line: int,
    *,
    sure: bool,
    section: str = "",
) -> None:
    if changes.overridden(module, owner.rpartition(":")[2] + name, line):
        return
    if isinstance(value, dict) or any(one.name == name for one in reading.found):
        return
    comments = Comments(module.source)
    kind = kind_of(plain(value))
    reading.found.append(
        Found(
            name=name,
            style="constants",
            template=(_SWITCH if kind == "bool" else _VALUE).replace("{name}", owner + "{name}"),
            kind=kind,
            default=value,
            help=comments.behind(line),
            section=section or comments.above(line),
            many=isinstance(value, list),
            computed=value is UNKNOWN,
            group="" if sure else "?",
            file=module.path,
            line=line,
        )
    )


def _settings_classes(
    module: Module, changes: Changes, classes: Classes, reading: Reading, file: str, only: set[str] | None
) -> None:
    held = {
        classes.named(value)
        for name, value, _ in _assigned(module.tree.body)
        if isinstance(value, ast.Call) and (name == "opt" or _MODULES & set(words(name)))
    }
    nodes = [node for node in module.tree.body if isinstance(node, ast.ClassDef) and node.name in classes.classes]
    for node in reversed(nodes):
        bases = [classes.classes[one][0] for one in map(classes.named, node.bases) if one in classes.classes]
        if _is_settings(node) or node.name in held or any(map(_is_settings, bases)):
            held |= {node.name, *map(dotted, node.bases)}
    for node in nodes:
        if node.name not in held or (only is not None and node.name not in only):
            continue
        owner = f"{file}{node.name}."
        init = next((f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"), None)
        own = dict(_of_self(init)) if init is not None else {}
        written = {name for name, _, _ in _assigned(node.body)}
        for field in classes.fields(node.name):
            if field.name not in own and field.name not in written:
                continue
            if field.file == module.path and not field.inner:
                at = len(reading.found)
                _add(module, changes, reading, field.name, owner, field.default, field.line, sure=True)
                for found in reading.found[at:]:
                    found.help, found.section = field.help or found.help, field.section or found.section
                    found.choices = field.choices
                    if found.kind == "int" and field.kind == "float":
                        found.kind = "float"
        for name, value in own.items():
            folded = fold(value, module.names)
            if not name.startswith("_") and (folded is not UNKNOWN or _literal(value)):
                _add(module, changes, reading, name, owner, folded, value.lineno, sure=True)


def _of_self(init: ast.FunctionDef) -> Iterator[tuple[str, ast.expr]]:
    """What a constructor keeps: (name, value) of `self.name = value`."""
    me = init.args.args[0].arg if init.args.args else ""
    for node in init.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if isinstance(target, ast.Attribute) and dotted(target.value) == me and value is not None:
            yield target.attr, value


def read_configurator(module: Module, reading: Reading) -> bool:
    """A script that executes nanoGPT's configurator.py: each global that is a plain value is `--name=value`."""
    match = _CONFIGURATOR.search(module.source)
    if match is None:
        return False
    until = module.source.count("\n", 0, match.start()) + 1
    comments = Comments(module.source)
    have: set[str] = set()
    for name, value, line in _assigned(module.tree.body):
        folded = fold(value, module.names)
        if line >= until or name.startswith("_") or name in have or isinstance(folded, list | dict | type(None)):
            continue
        kind = kind_of(plain(folded))
        if kind == "unknown" and not isinstance(value, ast.IfExp | ast.Call | ast.JoinedStr | ast.BinOp):
            continue
        have.add(name)
        reading.found.append(
            Found(
                name=name,
                style="constants",
                # It wants the very type that the value has: True and False as Python spells them.
                template="--{name}=True|--{name}=False" if kind == "bool" else "--{name}={value}",
                kind=kind,
                default=folded,
                help=comments.behind(line),
                section=comments.above(line),
                spellings=[f"--{name}"],
                computed=folded is UNKNOWN,
                file=module.path,
                line=line,
            )
        )
    return True
