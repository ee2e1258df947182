"""Options of argparse and its kin (configargparse, optparse)."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from .abslflags import ABSL
from .classes import Classes
from .folding import UNKNOWN, bound, constants, dotted, fold, updated
from .found import Comments, Found, Kind, Module, Reading, keyword, kind_of, plain, scalars, text_of, usable
from .readable import tree_of
from .tables import Tables
from .vocabulary import EVALUATION, words

_ADD = frozenset({"add_argument", "add_arg", "add_option", "add"})
_MOST = 20_000  # statements looked at; a program that unrolls further is no training script
_DEEP = 4  # calls of helper functions within each other
_NO_OPTIONS = frozenset({"help", "version"})
_TYPES: dict[str, Kind] = {"int": "int", "float": "float", "string": "str", "str": "str", "bool": "bool"}

Names = Mapping[str, Any]


def read_argparse(module: Module, classes: Classes, reading: Reading, tables: Tables) -> None:
    """All `add_argument` calls of a file: also in groups, helper functions and loops over constants."""
    _Argparse(module, classes, reading, tables).read()


class _Argparse:
    def __init__(self, module: Module, classes: Classes, reading: Reading, tables: Tables) -> None:
        self.module = module
        self.tables = tables
        self.classes = classes
        self.reading = reading
        self.comments = Comments(module.source)
        self.found: dict[str, Found] = {}
        self.defaults: dict[str, Any] = {}
        self.unread: dict[int, str] = {}
        self.read_lines: set[int] = set()
        self.renamed: dict[str, str] = {}  # `kind = str2bool`
        self.partial: dict[str, tuple[str, list[ast.keyword]]] = {}  # `add = partial(helper, parser=p)`
        self.within: list[str] = []  # helpers that are being gone through
        self.given: set[str] = set()  # names of options that a call of a helper made
        self.groups: dict[str, str] = {}  # a variable → the subcommand whose parser it is
        self.homes: dict[str, frozenset[str]] = {}  # a variable → the words of the title of its group
        self.adders: set[str] = set()  # `arg = parser.add_argument`
        self.left = _MOST
        self.every = _functions(module.tree)
        self.functions = {function.name: function for function in self.every}
        named = [function.name for function in self.every]
        # Methods of several classes that are called alike are each read on their own; a call does not tell which.
        self.helpers = {
            name for name, f in self.functions.items() if named.count(name) == 1 and any(map(_adds, ast.walk(f)))
        }
        self.homes_of: dict[str, Module] = {}  # of the helpers that are another module's
        for name, (function, home) in classes.functions.items():
            if name not in self.functions and home is not module and any(map(_adds, ast.walk(function))):
                self.functions[name], self.homes_of[name] = function, home
                self.helpers.add(name)

    def read(self) -> None:
        self.block(self.module.tree.body, dict(self.module.names), 0)
        for function in self.every:
            self.block(function.body, {**self.module.names, **_defaults(function, self.module.names)}, 0)
        for line in sorted(set(self.unread) - self.read_lines):
            if (self.module.path, line) in self.reading.read:
                continue
            self.reading.note(f"{self.module.path}:{line}: {self.unread[line]}")
        for found in self.found.values():
            if found.dest in self.defaults:
                found.default = self.defaults[found.dest]
            if found.kind == "bool" and found.template.endswith("|") and found.default is UNKNOWN:
                found.default = False
        self.reading.found += self.found.values()

    # --- walking ----------------------------------------------------------------------------------------------------
    def block(self, body: list[ast.stmt], names: dict[str, Any], depth: int) -> None:
        for node in body:
            self.left -= 1
            if self.left < 0:
                return
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    continue
                case ast.For(target=target, iter=items, body=inner):
                    self.loop(target, items, inner, names, depth)
                case ast.If(test=test, body=inner, orelse=other):
                    sure = fold(test, names)
                    if sure is UNKNOWN or sure:
                        self.block(inner, names, depth)
                    if sure is UNKNOWN or not sure:
                        self.block(other, names, depth)
                case ast.With(body=inner) | ast.While(body=inner):
                    self.block(inner, names, depth)
                case ast.Try(body=inner, handlers=handlers, orelse=other, finalbody=last):
                    for part in (inner, *(h.body for h in handlers), other, last):
                        self.block(part, names, depth)
                case _:
                    self.statement(node, names, depth)

    def loop(self, target: ast.expr, items: ast.expr, body: list[ast.stmt], names: dict[str, Any], depth: int) -> None:
        values = self.tables.items(items, self.module, names)
        if isinstance(values, list) and len(values) <= 300:
            for value in values:
                within = {**names, **bound(target, value)}
                self.block(body, within, depth)
                names |= {name: table for name, table in within.items() if name in names and isinstance(table, dict)}
                if isinstance(value, dict) and isinstance(target, ast.Name):
                    self.block(body, {**names, **{f"{target.id}.{k}": v for k, v in value.items()}}, depth)
            return
        hidden = dict.fromkeys(bound(target, UNKNOWN), UNKNOWN)
        self.block(body, {**names, **hidden}, depth)

    def statement(self, node: ast.stmt, names: dict[str, Any], depth: int) -> None:
        for call in [n for n in ast.walk(node) if isinstance(n, ast.Call)]:
            self.call(call, names, depth)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            more = self.tables.table(node.value.args[0], self.module, names) if node.value.args else None
            updated(node.value, names, more)
        if isinstance(node, ast.Assign) and isinstance(at := node.targets[0], ast.Subscript):
            key = fold(at.slice, names)
            if isinstance(table := names.get(dotted(at.value)), dict) and isinstance(key, str):
                names[dotted(at.value)] = {**table, key: fold(node.value, names)}
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if dotted(node.value).endswith((".add_argument", ".add_option")):
                self.adders.add(name)
            elif isinstance(node.value, ast.Call):
                owner = node.value.func.value if isinstance(node.value.func, ast.Attribute) else None
                if isinstance(node.value.func, ast.Attribute) and node.value.func.attr == "add_parser":
                    sub = fold(node.value.args[0], names) if node.value.args else UNKNOWN
                    if isinstance(sub, str):
                        self.groups[name] = sub
                if isinstance(node.value.func, ast.Attribute) and node.value.func.attr == "add_argument_group":
                    title = fold(node.value.args[0] if node.value.args else keyword(node.value, "title"), names)
                    self.homes[name] = frozenset(words(title)) if isinstance(title, str) else frozenset()
                if owner is not None and dotted(owner) in self.groups:  # train.add_argument_group()
                    self.groups[name] = self.groups[dotted(owner)]
            if isinstance(node.value, ast.Call) and dotted(node.value.func).split(".")[-1] == "partial":
                first = dotted(node.value.args[0]).split(".")[-1] if node.value.args else ""
                self.partial |= {name: (first, node.value.keywords)} if first in self.helpers else {}
            value = self.popped(node.value, names)
            value = fold(node.value, names) if value is UNKNOWN else value
            table = self.tables.table(node.value, self.module, names) if value is UNKNOWN else None
            names[name] = value if table is None else table
            if isinstance(node.value, ast.Name) and value is UNKNOWN:
                self.renamed[name] = node.value.id

    def popped(self, node: ast.expr, names: dict[str, Any]) -> Any:
        """`table.pop("flags")`: the value, and the table is without it."""
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "pop"):
            return UNKNOWN
        owner, key = dotted(node.func.value), fold(node.args[0], names) if node.args else UNKNOWN
        table = names.get(owner)
        if not isinstance(table, dict) or not isinstance(key, str) or key not in table:
            return UNKNOWN
        names[owner] = {name: value for name, value in table.items() if name != key}
        return table[key]

    # --- calls ------------------------------------------------------------------------------------------------------
    def call(self, call: ast.Call, names: dict[str, Any], depth: int) -> None:
        func = call.func
        last = func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
        if isinstance(func, ast.Attribute) and last in _ADD:
            if last != "add" or (call.args and str(fold(call.args[0], names)).startswith("-")):
                self.add(call, names, self.groups.get(dotted(func.value), ""), depth, dotted(func.value))
        elif last in self.partial:
            name, more = self.partial[last]
            func = ast.copy_location(ast.Name(id=name, ctx=ast.Load()), call)
            self.call(ast.copy_location(ast.Call(func, call.args, [*call.keywords, *more]), call), names, depth)
        elif last in self.adders:
            self.add(call, names, "", depth)
        elif last == "set_defaults":
            for word in call.keywords:
                if word.arg is not None:
                    self.defaults[word.arg] = fold(word.value, names)
                elif isinstance(more := fold(word.value, names), dict):
                    self.defaults |= more
        elif last in self.helpers and (passed := _passed_on(self.functions[last], call)) is not None:
            lines = {inner.lineno for inner in _calls(self.functions[last])}
            self.read_lines |= lines if last not in self.homes_of else set()
            self.reading.read |= {(self.homes_of.get(last, self.module).path, line) for line in lines}
            self.add(passed, names, "", depth)
        elif last in self.helpers and last not in self.within and depth < _DEEP:
            function = self.functions[last]
            self.within.append(last)
            given = _given(function, call, names, self.tables, self.module)
            kept = self.module, self.comments, self.read_lines, self.unread
            if last in self.homes_of:
                self.module = self.homes_of[last]
                self.comments, self.read_lines, self.unread = Comments(self.module.source), set(), {}
            own = self.module.names
            self.block(function.body, {**own, **_defaults(function, own), **given}, depth + 1)
            self.reading.read |= {(self.module.path, line) for line in self.read_lines}
            self.module, self.comments, self.read_lines, self.unread = kept
            self.within.pop()

    def add(self, call: ast.Call, names: Names, group: str, depth: int, owner: str = "") -> None:
        line = call.lineno
        args: list[ast.expr] = []
        for arg in call.args:
            rest = fold(arg.value, names) if isinstance(arg, ast.Starred) else UNKNOWN
            args += [ast.Constant(value=one) for one in rest] if isinstance(rest, list) else [arg]
        call = ast.copy_location(ast.Call(call.func, args, call.keywords), call)
        words = [fold(arg, names) for arg in call.args if not isinstance(arg, ast.Starred)]
        if not words or not all(isinstance(word, str) for word in words) or len(words) < len(call.args):
            if not words or not isinstance(words[0], str):
                self.unread[line] = "an option whose name is made at run time was not read."
                return
            words = [word for word in words if isinstance(word, str)]
        self.read_lines.add(line)
        options = {word.arg: word.value for word in call.keywords if word.arg is not None}
        for word in call.keywords:
            if word.arg is None and isinstance(more := fold(word.value, names), dict):
                options |= {k: ast.Constant(value=v) for k, v in more.items() if k not in options and v is not UNKNOWN}
        action = fold(options.get("action"), names) if "action" in options else ""
        if action in _NO_OPTIONS:
            return
        found = self.option(words, options, names, action)
        if found is None:
            self.reading.note(f"{self.module.path}:{line}: {words[0][:60]!r} is spelt as no option can be.")
            return
        found.file, found.line, found.group = self.module.path, line, group
        found.home = self.homes.get(owner, frozenset())
        found.help = text_of(options.get("help"), names) or self.comments.behind(line)
        if not found.positional:
            found.section = self.comments.above(line)
        old = self.found.get(found.name)
        # What a call gave to a helper says more than the helper's own defaults.
        given = depth > 0 and found.name not in self.given
        if old is None or given or (old.default is UNKNOWN and found.default is not UNKNOWN):
            self.found[found.name] = found
        if depth:
            self.given.add(found.name)

    def option(self, words: list[str], options: dict[str, ast.expr], names: Names, action: Any) -> Found | None:
        dashed = [word for word in words if word.startswith("-")]
        long = next((word for word in dashed if word.startswith("--")), dashed[0] if dashed else words[0])
        name = long.lstrip("-")
        if not usable(name) or not all(usable(word.lstrip("-")) for word in words):
            return None
        dest = fold(options.get("dest"), names)
        default = fold(options["default"], names) if "default" in options else UNKNOWN
        node = options.get("default")
        if default is UNKNOWN and isinstance(node, ast.Call) and len(node.args) == 1 and dotted(node.func) in names:
            default = fold(node.args[0], names)  # kind(value), of a kind that was made before
        found = Found(
            name=name,
            style="argparse",
            template=f"{long[: len(long) - len(name)]}{{name}} {{value}}",
            default=default,
            choices=scalars(fold(options.get("choices"), names)),
            spellings=dashed,
            dest=dest if isinstance(dest, str) else name.replace("-", "_"),
            positional=not dashed,
        )
        if found.positional:
            found.template = ""
        self.typed(found, options, names)
        self.acted(found, options, names, action)
        nargs = fold(options.get("nargs"), names) if "nargs" in options else None
        found.many = found.many or (nargs is not None and nargs not in ("?", 1))
        if found.kind == "unknown" and found.choices and "type" not in options:
            found.kind = "str"
        return found

    def typed(self, found: Found, options: dict[str, ast.expr], names: Names) -> None:
        node = options.get("type")
        if node is None:
            # Without a type every value arrives as text, whatever the default looks like.
            found.kind = "str" if found.default is UNKNOWN or isinstance(found.default, str) else "unknown"
            return
        if isinstance(node, ast.Constant) and isinstance(node.value, str):  # optparse: type="int"
            found.kind = _TYPES.get(node.value, "unknown")
            if found.kind != "bool":
                return
        name = dotted(node.func if isinstance(node, ast.Call) else node)
        name = self.renamed.get(name, name)
        said = fold(node, names)
        name = said if isinstance(said, str) and said in _TYPES else name
        function = node if isinstance(node, ast.Lambda) else self.functions.get(name.split(".")[-1])
        kind, yes, no = _type_of(name, function)
        made = (isinstance(node, ast.Call) and function is None) or (isinstance(node, ast.Name) and node.id in names)
        if kind == "unknown" and made:  # args_type(value)
            kind = kind_of(plain(found.default))
            yes, no = ("True", "False") if kind == "bool" else ("", "")
        found.kind = kind
        found.path = name.split(".")[-1] in ("Path", "FileType", "PosixPath") or "path" in name.lower()
        found.many = isinstance(node, ast.Lambda) and kind == "unknown"
        if kind == "bool":
            dashes = found.template[: found.template.index("{")] if found.template else ""
            found.template = f"{dashes}{{name}} {yes}|{dashes}{{name}} {no}" if found.template else ""
            if isinstance(found.default, str | int) and not isinstance(found.default, bool):
                found.default = str(found.default).lower() in ("1", "true", "yes", "y", "t", "on")

    def acted(self, found: Found, options: dict[str, ast.expr], names: Names, action: Any) -> None:
        if action in ("", "store") or found.positional:
            return
        dashes = found.template[: found.template.index("{")]
        name = found.name
        if action in ("store_true", "store_false", "store_const"):
            found.kind = "bool"
            found.template = f"{dashes}{{name}}|"
            # Given or not given is what can be said on a command line; what the script makes of it is its affair.
            fixed = found.default is True if action == "store_true" else found.default is False
            found.default = False
            found.fixed = fixed and action != "store_const"
            return
        last = dotted(options["action"]).split(".")[-1] if "action" in options else ""
        if last in ("BooleanOptionalAction", "StoreBoolean") or (action is UNKNOWN and "oolean" in last):
            found.kind = "bool"
            found.template = f"{dashes}{{name}}|{dashes}no-{{name}}"
            found.off = [f"--no-{name}"]
        elif action in ("append", "extend", "append_const"):
            found.many = True
        elif action == "count":
            found.kind, found.many = "int", True
        elif action is UNKNOWN:
            found.many = found.kind == "unknown" or "type" not in options


def _functions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions of a file, without the methods of classes that hold the options of testing beside those of
    training."""
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    aside = [node for node in classes if set(words(node.name)) & EVALUATION and any(map(_adds, ast.walk(node)))]
    training = [node for node in classes if node not in aside and any(map(_adds, ast.walk(node)))]
    skipped = {id(inner) for node in aside for inner in ast.walk(node)} if training else set()
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and id(node) not in skipped
    ]


def _adds(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in ("add_argument", "add_arg", "add_option")


def _defaults(function: ast.FunctionDef | ast.AsyncFunctionDef, names: Names) -> dict[str, Any]:
    """What the parameters of a function stand for where nobody says otherwise."""
    every = [*function.args.posonlyargs, *function.args.args]
    found: dict[str, Any] = {arg.arg: UNKNOWN for arg in (*every, *function.args.kwonlyargs)}
    for arg, value in zip(reversed(every), reversed(function.args.defaults), strict=False):
        found[arg.arg] = fold(value, names)
    for arg, one in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
        found[arg.arg] = fold(one, names)
    return found


def _given(
    function: ast.FunctionDef | ast.AsyncFunctionDef, call: ast.Call, names: Names, tables: Tables, module: Module
) -> dict[str, Any]:
    def value(node: ast.expr) -> Any:
        known = fold(node, names)
        table = tables.table(node, module, names) if known is UNKNOWN else None
        return known if table is None else table

    every = [arg.arg for arg in (*function.args.posonlyargs, *function.args.args)]
    if every and every[0] in ("self", "cls") and isinstance(call.func, ast.Attribute):
        every = every[1:]
    found = {
        name: value(node) for name, node in zip(every, call.args, strict=False) if not isinstance(node, ast.Starred)
    }
    more = {word.arg: value(word.value) for word in call.keywords if word.arg}
    if function.args.kwarg is not None:
        found[function.args.kwarg.arg] = {k: v for k, v in more.items() if k not in every}
    return found | more


def _passed_on(function: ast.FunctionDef | ast.AsyncFunctionDef, call: ast.Call) -> ast.Call | None:
    """The call of `add_argument` that a helper makes of `helper(parser, "--lr", type=float)` by *args; else None."""
    rest = function.args.vararg.arg if function.args.vararg else ""
    stars = [
        arg
        for inner in _calls(function)
        if isinstance(inner.func, ast.Attribute) and inner.func.attr in _ADD
        for arg in inner.args
        if isinstance(arg, ast.Starred) and rest and dotted(arg.value) == rest
    ]
    if not stars:
        return None
    own = [arg.arg for arg in (*function.args.posonlyargs, *function.args.args)]
    start = len(own) - (1 if own[:1] in (["self"], ["cls"]) and isinstance(call.func, ast.Attribute) else 0)
    keywords = [word for word in call.keywords if word.arg not in own]
    return ast.copy_location(ast.Call(func=call.func, args=call.args[start:], keywords=keywords), call)


def _type_of(name: str, function: ast.AST | None) -> tuple[Kind, str, str]:
    """(kind, the word for true, the word for false) of what is given as type=."""
    last = name.split(".")[-1].lower()
    simple: dict[str, Kind] = {"int": "int", "float": "float", "str": "str", "path": "str", "filetype": "str"}
    if last in simple:
        return simple[last], "", ""
    if last == "bool":
        return "bool", "1", "''"  # bool("False") is true: only the empty text is false
    texts: set[str] = set()
    called: set[str] = set()
    if function is not None:
        for node in ast.walk(function):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
            elif isinstance(node, ast.Call):
                called.add(dotted(node.func).split(".")[-1] or "?")
    boolish = "bool" in last or last in ("strtobool", "boolean") or "bool" in called or "strtobool" in called
    if boolish or (function is not None and texts & {"true", "True", "TRUE"}):
        if "true" in texts or function is None or "strtobool" in called:
            return "bool", "true", "false"
        if "True" in texts:
            return "bool", "True", "False"
        return "bool", *(("1", "0") if "int" in called else ("True", "False"))
    if function is not None:
        if "split" in called or "loads" in called or "literal_eval" in called or "eval" in called:
            return "unknown", "", ""
        for kind in ("int", "float"):
            if kind in called:
                return kind, "", ""
    for word in ("float", "int"):
        if word in last and "list" not in last and "tuple" not in last and "str" not in last:
            return word, "", ""
    return "unknown", "", ""


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def module_of(path: str, source: str, *, main: bool) -> Module:
    """Raises SyntaxError, ValueError, RecursionError, MemoryError where too little of the source is Python.

    main: it is executed, so that what stands under `if __name__ == "__main__"` counts.
    """
    tree, over = tree_of(source, path)
    names = constants(tree)
    names["__name__"] = "__main__" if main else "module"
    return Module(path=path, source=source, tree=tree, names=names, over=over)


def asked_by(module: Module) -> set[str]:
    """Names of the functions that a module calls, and of the classes that its own build on."""
    found = {dotted(call.func).split(".")[-1] for call in _calls(module.tree)}
    marks = [d for node in ast.walk(module.tree) for d in getattr(node, "decorator_list", [])]
    found |= {dotted(mark).split(".")[-1] for mark in marks}
    bases = [base for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef) for base in node.bases]
    return (found | {dotted(base).split(".")[-1] for base in bases}) - {""}


def makes_options(module: Module, called: AbstractSet[str], taken: AbstractSet[str] = frozenset()) -> bool:
    """Whether functions or classes of a module that are called define options, or its top does: flags of absl, or those
    of a parser that is taken from it."""
    for top in module.tree.body:
        if isinstance(top, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.If):
            continue
        for part in ast.walk(top):
            if _is_absl(part) or (_adds(part) and isinstance(part, ast.Attribute) and dotted(part.value) in taken):
                return True
    for node in ast.walk(module.tree):
        named = isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in called
        if named and any(_adds(part) or _is_absl(part) or _is_click(part) for part in ast.walk(node)):
            return True
    return False


def _is_absl(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ABSL.search(dotted(node.func)) is not None


def _is_click(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and dotted(node.func) in ("click.option", "click.argument")
