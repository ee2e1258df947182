"""Options that stand at functions: click, typer, cyclopts, fire."""

from __future__ import annotations

import ast
from typing import Any

from .classes import Classes, Field, Function, add, parameters
from .folding import UNKNOWN, dotted, fold
from .found import Comments, Found, Kind, Module, Reading, annotated, keyword, kind_of, plain, scalars, usable
from .spellings import Spelling

_TYPER = Spelling(kebab=True, boolean="--{name}|--{no}")
_FIRE = Spelling(template="--{name}={value}", nested="flat", boolean="--{name}=True|--{name}=False")
_CLICK_KINDS: dict[str, Kind] = {
    "int": "int",
    "INT": "int",
    "IntRange": "int",
    "float": "float",
    "FLOAT": "float",
    "FloatRange": "float",
    "bool": "bool",
    "BOOL": "bool",
    "str": "str",
    "STRING": "str",
    "Choice": "str",
    "Path": "str",
    "File": "str",
}


def read_click(module: Module, reading: Reading) -> None:
    """`@click.option("--lr", …)`, also where options are kept in lists to be shared."""
    groups: dict[int, str] = {}
    for function in ast.walk(module.tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            name = _command(function, module)
            for decorator in function.decorator_list:
                groups[id(decorator)] = name
    direct = {
        one.asname or one.name
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").split(".")[0] in ("click", "rich_click", "asyncclick")
        for one in node.names
    }
    comments = Comments(module.source)
    for call in ast.walk(module.tree):
        if not isinstance(call, ast.Call):
            continue
        last = dotted(call.func).split(".")[-1]
        if last not in ("option", "argument") or not (isinstance(call.func, ast.Attribute) or last in direct):
            continue
        found = _option(call, module, last == "argument")
        if found is not None:
            found.group = groups.get(id(call), "")
            found.help = found.help or comments.behind(call.lineno)
            reading.found.append(found)


def _command(function: Function, module: Module) -> str:
    """The name of the subcommand that a function is, "" where it is none or the only one."""
    for decorator in function.decorator_list:
        func = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(func, ast.Attribute) and func.attr == "command" and dotted(func.value) != "click":
            if isinstance(decorator, ast.Call):
                node = decorator.args[0] if decorator.args else keyword(decorator, "name")
                name = fold(node, module.names)
                if isinstance(name, str):
                    return name
            return function.name.lower().replace("_", "-")
    return ""


def _option(call: ast.Call, module: Module, argument: bool) -> Found | None:
    names = module.names
    words = [word for arg in call.args if isinstance(word := fold(arg, names), str)]
    dashed = [part for word in words if word.startswith("-") for part in word.split("/") if part.strip()]
    dashed = [part.strip() for part in dashed]
    if argument:
        if not words or not usable(words[0]):
            return None
        return Found(
            name=words[0],
            style="click",
            template="",
            positional=True,
            dest=words[0],
            file=module.path,
            line=call.lineno,
        )
    if not dashed:
        return None
    pair = next((word for word in words if "/" in word and word.startswith("-")), "")
    off = pair.split("/")[1].strip() if pair else ""
    on = [word for word in dashed if word != off]
    long = next((word for word in on if word.startswith("--")), on[0])
    name = long.lstrip("-")
    if not all(usable(word.lstrip("-")) for word in dashed):
        return None
    dashes = long[: len(long) - len(name)]
    value = keyword(call, "default")
    default = fold(value, names) if value is not None else UNKNOWN
    text = fold(keyword(call, "help"), names)
    nargs = fold(keyword(call, "nargs"), names)
    found = Found(
        name=name,
        style="click",
        template=dashes + "{name} {value}",
        default=default,
        help=" ".join(text.split())[:400] if isinstance(text, str) else "",
        spellings=on,
        off=[off] if off else [],
        dest=next((word for word in words if not word.startswith("-")), name.replace("-", "_")),
        many=fold(keyword(call, "multiple"), names) is True or (isinstance(nargs, int) and nargs != 1),
        file=module.path,
        line=call.lineno,
    )
    node = keyword(call, "type")
    kind = dotted(node.func if isinstance(node, ast.Call) else node).split(".")[-1] if node is not None else ""
    found.kind = _CLICK_KINDS.get(kind, "unknown" if node is not None else kind_of(plain(default)))
    if node is None and default is UNKNOWN:
        found.kind = "str"
    found.path = kind in ("Path", "File")
    if kind == "Choice" and isinstance(node, ast.Call) and node.args:
        found.choices = scalars(fold(node.args[0], names))
    if isinstance(node, ast.Tuple | ast.List):
        found.many = isinstance(node, ast.Tuple)
        found.choices = scalars(fold(node, names))
    flag = fold(keyword(call, "is_flag"), names)
    if off or flag is True:
        found.kind = "bool"
        found.template = f"{dashes}{{name}}|{off}"
        found.default = default if default is not UNKNOWN and default is not None else False
        found.fixed = not off and default is True
    elif found.kind == "bool":
        found.template = f"{dashes}{{name}} true|{dashes}{{name}} false"
    return found


def read_typer(module: Module, classes: Classes, reading: Reading) -> None:
    """Functions that typer or cyclopts makes commands of."""
    if not any(word in module.source for word in ("typer", "Typer", "cyclopts")):
        return
    run = {
        classes.named(node.args[0])
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and dotted(node.func) in ("typer.run", "cyclopts.run", "run") and node.args
    }
    functions = [node for node in ast.walk(module.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    commands = [function for function in functions if function.name in run or _marked(function)]
    # Where none is made a command here, another file does it with those whose parameters are written as options.
    for function in commands or [f for f in functions if _written(f, module, classes)]:
        start = len(reading.found)
        fields = [_typed(field, arg, value, module) for field, arg, value in _parameters(function, module, classes)]
        inner = Reading([], reading.notes)
        add([field for field in fields if field.name], _TYPER, classes, inner, style="typer")
        reading.found += inner.found
        group = _command(function, module)
        for found in reading.found[start:]:
            found.group = group
            _respell(found, function, module)


def _written(function: Function, module: Module, classes: Classes) -> bool:
    return any(_marker(arg, value) is not None for _, arg, value in _parameters(function, module, classes))


def _marked(function: Function) -> bool:
    marks = [dotted(d.func if isinstance(d, ast.Call) else d).split(".")[-1] for d in function.decorator_list]
    return any(mark in ("command", "callback", "default") for mark in marks)


def _parameters(function: Function, module: Module, classes: Classes) -> list[tuple[Field, ast.arg, ast.expr | None]]:
    args = function.args
    every = [*args.posonlyargs, *args.args]
    defaults: list[ast.expr | None] = [*[None] * (len(every) - len(args.defaults)), *args.defaults]
    values = {
        a.arg: v for a, v in [*zip(every, defaults, strict=True), *zip(args.kwonlyargs, args.kw_defaults, strict=True)]
    }
    by_name = {a.arg: a for a in (*every, *args.kwonlyargs)}
    return [(field, by_name[field.name], values[field.name]) for field in parameters(function, module, classes)]


def _marker(arg: ast.arg, value: ast.expr | None) -> ast.Call | None:
    """The `typer.Option(…)` or `typer.Argument(…)` of a parameter."""
    nodes: list[ast.expr | None] = [value]
    if isinstance(arg.annotation, ast.Subscript) and isinstance(arg.annotation.slice, ast.Tuple):
        nodes += arg.annotation.slice.elts[1:]
    for node in nodes:
        if isinstance(node, ast.Call) and dotted(node.func).split(".")[-1] in ("Option", "Argument", "Parameter"):
            return node
    return None


def _typed(field: Field, arg: ast.arg, value: ast.expr | None, module: Module) -> Field:
    call = _marker(arg, value)
    if call is None:
        return field
    field.positional = dotted(call.func).endswith("Argument")
    field.inner = ""
    text = fold(keyword(call, "help"), module.names)
    if isinstance(text, str):
        field.help = " ".join(text.split())[:400]
    if call is value:
        node = call.args[0] if call.args else keyword(call, "default")
        field.default = fold(node, module.names)
        if isinstance(node, ast.Constant) and node.value is Ellipsis:
            field.default = UNKNOWN
    if field.kind == "unknown":
        field.kind = annotated(arg.annotation, module.names)[0]
    if field.kind == "unknown":
        field.kind = kind_of(plain(field.default))
    return field


def _respell(found: Found, function: Function, module: Module) -> None:
    """Names that are given in `typer.Option(…, "--lr")` take the place of the parameter's own."""
    args = function.args
    every = [*args.posonlyargs, *args.args]
    values: dict[str, Any] = dict(
        zip([a.arg for a in every][len(every) - len(args.defaults) :], args.defaults, strict=True)
    )
    values |= {a.arg: v for a, v in zip(args.kwonlyargs, args.kw_defaults, strict=True)}
    arg = next((a for a in (*every, *args.kwonlyargs) if a.arg == found.dest), None)
    call = _marker(arg, values.get(found.dest)) if arg is not None else None
    if call is None or found.positional:
        return
    words = [w for node in call.args if isinstance(w := fold(node, module.names), str) and w.startswith("-")]
    words = [w for w in words if all(usable(part.strip().lstrip("-")) for part in w.split("/"))]
    if not words:
        return
    on = [word.split("/")[0].strip() for word in words]
    off = [word.split("/")[1].strip() for word in words if "/" in word]
    long = next((word for word in on if word.startswith("--")), on[0])
    found.name = long.lstrip("-")
    dashes = long[: len(long) - len(found.name)]
    found.spellings, found.off = on, off
    if found.kind == "bool":
        found.template = f"{dashes}{{name}}|{off[0] if off else ''}"
    else:
        found.template = f"{dashes}{{name}} {{value}}"


def read_fire(module: Module, classes: Classes, reading: Reading) -> None:
    """`fire.Fire(main)`: the function's parameters."""
    for call in ast.walk(module.tree):
        if not (isinstance(call, ast.Call) and dotted(call.func) in ("fire.Fire", "Fire")):
            continue
        node = call.args[0] if call.args else keyword(call, "component")
        pairs: list[tuple[str, str]] = []
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                sub = fold(key, module.names)
                pairs.append((sub if isinstance(sub, str) else "", classes.named(value)))
        elif node is None:
            pairs = [(name, name) for name, (_, home) in classes.functions.items() if home is module]
        elif (name := classes.named(node)) in classes.classes:
            _methods(name, classes, reading)
            continue
        else:
            pairs = [("", classes.named(node))]
        for group, name in pairs:
            if name:
                _fire(classes.fields(name), group, classes, reading)


def _methods(name: str, classes: Classes, reading: Reading) -> None:
    node, module = classes.classes[name]
    for function in node.body:
        if isinstance(function, ast.FunctionDef) and (function.name == "__init__" or not function.name.startswith("_")):
            group = "" if function.name == "__init__" else function.name
            _fire(parameters(function, module, classes), group, classes, reading)


def _fire(fields: list[Field], group: str, classes: Classes, reading: Reading) -> None:
    inner = Reading([], reading.notes)
    add(fields, _FIRE, classes, inner, style="typer")
    for found in inner.found:
        found.group = group
        found.positional = False
    have = {found.name for found in reading.found}
    reading.found += [found for found in inner.found if found.name not in have]
