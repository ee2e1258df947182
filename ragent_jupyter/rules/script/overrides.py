"""Settings of a tree in code that the command line overrides: yacs, mmcv's config files, sacred, gin."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from .configdicts import Filled, Tree, flat, flattened
from .current import typed
from .folding import UNKNOWN, dotted, fold
from .found import Comments, Found, Module, Reading, kind_of, plain, usable
from .yamls import Files, named_by

LINES = (".txt", ".cfg", ".conf", ".ini")  # files of `key = value`
_MOST = 1000
_GIN = re.compile(r"^\s*([A-Za-z_][\w./]*\.\w+)\s*=\s*(.+?)\s*(?:#.*)?$")
_GIN_FLAGS = ("gin_param", "gin_params", "gin_binding", "gin_bindings", "gin_bind")

Settings = dict[str, tuple[Any, str, int]]  # by dotted name: the value, its file, its line


def read_yacs(modules: Sequence[Module], files: Files, args: Sequence[str], reading: Reading) -> None:
    """`cfg.merge_from_list(args.opts)`: `SOLVER.LR 0.1` behind the options, over the tree of `_C = CN()` and the YAML
    file that the command names."""
    if not any("merge_from_list" in module.source for module in modules):
        return
    option = _rest(reading)
    settings: Settings = {}
    for module in modules:
        if "CfgNode" not in module.source and "yacs" not in module.source:
            continue
        names = [t.id for n in flat(module.tree.body) if isinstance(n, ast.Assign)
                 for t in n.targets if isinstance(t, ast.Name) and isinstance(n.value, ast.Call)]  # fmt: skip
        for name in dict.fromkeys(names):
            tree = Filled([module]).value(ast.Name(id=name), module, {})
            if tree:
                settings |= {key: value for key, value in _of(tree).items() if key not in settings}
    _yamls(settings, modules[0], files, args)
    if option is None and any("default_argument_parser" in module.source for module in modules):
        _tell(settings, modules, files, reading, "{name} {value}", "argparse")  # detectron2's own
    if settings and option is not None:
        ready = option.positional or any(word in args for word in option.spellings)
        _tell(settings, modules, files, reading, "{name} {value}" if ready else "", "argparse", behind=option)
        if not ready:  # given twice, the second would take the place of the first
            reading.note(f"End the command with {option.spellings[0]}, so that the settings behind it can be set.")


def _rest(reading: Reading) -> Found | None:
    """The option that takes all that is left: `parser.add_argument("opts", nargs=argparse.REMAINDER)`."""
    likely = [found for found in reading.found if found.dest in ("opts", "opt", "options", "set_cfgs", "cfg_options")]
    return next((found for found in likely if found.many or found.positional), None)


def read_mmcv(modules: Sequence[Module], args: Sequence[str], reading: Reading) -> None:
    """`Config.fromfile(args.config)` with `--cfg-options a.b=…`: what the file that the command names assigns, and the
    files of its `_base_`."""
    option = next((f for f in reading.found if f.dest in ("cfg_options", "options", "cfg_option", "opts")), None)
    if option is None or not any("fromfile" in module.source for module in modules) or option.positional:
        return
    known = {module.path: module for module in modules}
    settings: Settings = {}
    chosen = [posixpath.normpath(word) for word in args if posixpath.normpath(word) in known]
    for path in chosen[:1]:
        settings |= _of(_file_of(known[path], known, 0))
    if settings:
        spelt = option.spellings[0] if option.spellings else "--cfg-options"
        _tell(settings, modules, None, reading, spelt + " {name}={value}", "argparse", equals=True)


def _file_of(module: Module, known: Mapping[str, Module], depth: int) -> Tree:
    tree: Tree = {}
    bases = module.names.get("_base_", [])
    for base in bases if isinstance(bases, list) else [bases]:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(module.path), str(base)))
        if path in known and depth < 6:
            tree = _merged(tree, _file_of(known[path], known, depth + 1))
    own: Tree = {}
    filled = Filled([module])
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if not name.startswith("_"):
                inner = filled.value(node.value, module, {})
                own[name] = (node.value, module) if inner is None else inner
    return _merged(tree, own)


def _merged(below: Tree, above: Tree) -> Tree:
    made = dict(below)
    for key, value in above.items():
        old = made.get(key)
        if isinstance(value, dict) and isinstance(old, dict) and "_delete_" not in value:
            made[key] = _merged(old, value)
        else:
            made[key] = value
    return made


def read_sacred(modules: Sequence[Module], files: Files, args: Sequence[str], reading: Reading) -> None:
    """`@ex.config` and `ex.add_config(…)`: `with a.b=…` on the command line."""
    if not any("sacred" in module.source for module in modules):
        return
    settings: Settings = {}
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef) and _decorated(node, "config"):
                settings |= _of(Filled(modules).locals(node, module))
            elif isinstance(node, ast.Call) and dotted(node.func).endswith(".add_config"):
                _added(node, module, modules, files, settings)
    for module in modules:  # those that the command names: `with task_x`
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef) and node.name in args and _decorated(node, "named_config"):
                settings |= _of(Filled(modules).locals(node, module))
    has_with = "with" in args
    _yamls(settings, modules[0], files, args)
    if settings:
        _tell(settings, modules, files, reading, "{name}={value}" if has_with else "", "hydra", equals=True)
        if not has_with:
            reading.note(
                "Sacred takes settings behind `with`: end the command with that word, so that they can be set."
            )


def _decorated(node: ast.FunctionDef, what: str) -> bool:
    marks = [d.func if isinstance(d, ast.Call) else d for d in node.decorator_list]
    return any(isinstance(mark, ast.Attribute) and mark.attr == what for mark in marks)


def _added(call: ast.Call, module: Module, modules: Sequence[Module], files: Files, settings: Settings) -> None:
    for arg in call.args[:1]:
        path = fold(arg, module.names)
        config = files.beside(path, module.path) if isinstance(path, str) else None
        if config is not None:
            settings |= config.leaves
        elif (tree := Filled(modules).value(arg, module, {})) is not None:
            settings |= _of(tree)
    for word in call.keywords:
        if word.arg is not None:
            inner = Filled(modules).value(word.value, module, {})
            settings |= _of({word.arg: (word.value, module) if inner is None else inner})


def read_gin(modules: Sequence[Module], others: Mapping[str, str], args: Sequence[str], reading: Reading) -> None:
    """The bindings of the `.gin` files that the command or the script names, where an option takes further ones."""
    option = next((f for f in reading.found if f.dest in _GIN_FLAGS), None)
    if not any("gin" in module.source for module in modules):
        return
    texts = {path: text for path, text in others.items() if path.endswith(".gin")}
    if option is None:
        for path in texts:
            reading.note(f"The bindings of {path} cannot be set from the command line.")
        return
    spelt = option.spellings[0]
    settings: Settings = {}
    for path, text in texts.items():
        for number, line in enumerate(text.splitlines(), 1):
            match = _GIN.match(line)
            if match is None or match[2].startswith(("@", "%")):
                continue
            try:
                value = fold(ast.parse(match[2], mode="eval").body, {})
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
            settings[match[1]] = (value, path, number)
    template = spelt + "={name}={value}"
    for name, (value, _, _) in settings.items():
        if isinstance(value, str):  # gin wants its quotes, which the shell takes away
            settings[name] = (UNKNOWN, *settings[name][1:])
    _tell(settings, modules, None, reading, template, "argparse", texts=texts)


def read_named(modules: Sequence[Module], files: Files, args: Sequence[str], reading: Reading) -> None:
    """The YAML file that the command gives a command line made of classes: it takes the place of the defaults, and of
    Lightning's it is read whole."""
    have = {found.name.replace("-", "_"): found for found in reading.found if found.style == "dataclass"}
    whole = any("LightningCLI" in module.source for module in modules)
    if not have and not whole:
        return
    settings: Settings = {}
    _yamls(settings, modules[0], files, args)
    for name, (value, _, _) in settings.items():
        found = have.get(name.replace("-", "_"))
        if found is not None and value is not None:
            found.default = value
            found.kind = kind_of(plain(value)) if found.kind == "unknown" else found.kind
    if whole:
        rest = {k: v for k, v in settings.items() if k not in have and not k.endswith("class_path")}
        _tell(rest, modules, files, reading, "--{name} {value}", "dataclass", options=True)


def read_lines(modules: Sequence[Module], others: Mapping[str, str], args: Sequence[str], reading: Reading) -> None:
    """`key = value` of the file that the command gives configargparse: they take the place of the defaults."""
    if not any("configargparse" in module.source for module in modules):
        return
    have = {word: found for found in reading.found for word in (found.name, found.dest, found.name.replace("-", "_"))}
    words = [posixpath.normpath(word.partition("=")[2] or word) for word in args]
    for text in [others[word] for word in words if word in others and word.endswith(LINES)]:
        for line in text.splitlines():
            name, equals, value = line.partition("#")[0].partition("=")
            found = have.get(name.strip().replace("-", "_"))
            if found is not None and equals and not found.many:
                found.default = typed(found, value.strip())


def _of(tree: Tree) -> Settings:
    return {name: (fold(node, of.names), of.path, node.lineno) for name, node, of in flattened(tree)}


def _yamls(settings: Settings, main: Module, files: Files, args: Sequence[str]) -> None:
    for path in named_by(args):
        config = files.beside(path, main.path)
        if config is not None:
            settings |= config.leaves


def _tell(
    settings: Settings,
    modules: Sequence[Module],
    files: Files | None,
    reading: Reading,
    template: str,
    style: Literal["argparse", "hydra", "dataclass"],
    *,
    equals: bool = False,
    behind: Found | None = None,
    texts: Mapping[str, str] | None = None,
    options: bool = False,
) -> None:
    """behind: the option that takes pairs of name and value."""
    sources = {module.path: module.source for module in modules} | (files.texts if files else {}) | dict(texts or {})
    comments: dict[str, Comments] = {}
    have = {found.name for found in reading.found}
    for name, (value, path, line) in list(settings.items())[:_MOST]:
        if not usable(name) or name in have:
            continue
        if path not in comments:
            comments[path] = Comments(sources.get(path, ""))
        said = comments[path]
        kind = kind_of(plain(value))
        switch = template and template.replace("{value}", "True") + "|" + template.replace("{value}", "False")
        reading.found.append(
            Found(
                name=name,
                style=style,
                template=switch if kind == "bool" else template,
                kind=kind,
                default=value,
                help=said.behind(line),
                section=said.above(line),
                spellings=[f"--{name}"] if options else [name] if behind is not None else [],
                dest=name.rpartition(".")[2],
                many=isinstance(value, list | dict),
                computed=value is UNKNOWN,
                equals=equals,
                file=path,
                line=line,
            )
        )
