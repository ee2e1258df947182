"""The value of an expression that holds nothing but constants. Nothing is executed, nothing can grow without bound."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

_DEEP = 40  # of nested expressions
_WIDE = 2000  # items of a list
_LONG = 20_000  # characters of a text
_BITS = 256  # of a whole number


class _Unknown:
    """What cannot be told without running the program."""

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __bool__(self) -> bool:
        return False


UNKNOWN: Final = _Unknown()

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitOr: operator.or_,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: lambda a, b: a is b,
    ast.IsNot: lambda a, b: a is not b,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_CALLS: dict[str, Callable[..., Any]] = {
    "float": float,
    "int": int,
    "str": str,
    "bool": bool,
    "len": len,
    "min": min,
    "max": max,
    "abs": abs,
    "round": round,
    "sum": sum,
    "sorted": sorted,
    "dict": dict,
    "list": list,
    "tuple": tuple,
    "set": lambda items=(): list(dict.fromkeys(items)),
    "enumerate": lambda items, start=0: [list(pair) for pair in enumerate(items, start)],
    "zip": lambda *many: [list(items) for items in zip(*many, strict=False)],
    "Path": lambda *parts: "/".join(map(str, parts)),
    "pathlib.Path": lambda *parts: "/".join(map(str, parts)),
    "os.path.join": lambda *parts: "/".join(map(str, parts)),
    "os.path.expanduser": str,
    "os.path.abspath": str,
    "math.sqrt": math.sqrt,
    "math.log": math.log,
    "math.log2": math.log2,
    "math.exp": math.exp,
    "np.log": math.log,
    "np.sqrt": math.sqrt,
}
_METHODS: dict[str, Callable[..., Any]] = {
    "items": lambda d: [list(pair) for pair in d.items()],
    "keys": lambda d: list(d.keys()),
    "values": lambda d: list(d.values()),
    "get": lambda d, key, other=None: d.get(key, other),
    "copy": lambda d: d.copy(),
    "split": lambda s, *a: s.split(*a),
    "replace": lambda s, a, b: s.replace(a, b) if isinstance(a, str) and a else s,
    "lower": lambda s: s.lower(),
    "upper": lambda s: s.upper(),
    "strip": lambda s, *a: s.strip(*a),
    "lstrip": lambda s, *a: s.lstrip(*a),
    "join": lambda s, items: s.join(items),
    "format": lambda s, *a: s if "{" not in s else s.format(*map(str, a)) if s.count("{}") == s.count("{") else None,
}
_CONSTANTS: dict[str, Any] = {
    "math.pi": math.pi,
    "math.e": math.e,
    "math.inf": math.inf,
    "np.inf": math.inf,
    "numpy.inf": math.inf,
    "np.pi": math.pi,
    "torch.inf": math.inf,
    "True": True,
    "False": False,
    "None": None,
    # A type stands for its name: of an option's type only that is asked.
    "int": "int",
    "float": "float",
    "str": "str",
    "bool": "bool",
}


def dotted(node: ast.AST) -> str:
    """`a.b.c` of an expression that is one, else "".

    >>> dotted(ast.parse("os.path.join", mode="eval").body)
    'os.path.join'
    """
    parts: list[str] = []
    while isinstance(node, ast.Attribute) and len(parts) < 20:
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([node.id, *reversed(parts)])


def fold(node: ast.AST | None, names: Mapping[str, Any], depth: int = 0) -> Any:
    """The value of a constant expression, UNKNOWN where there is none. names: what names stand for.

    >>> [fold(ast.parse(text, mode="eval").body, {"N": 4}) for text in ("1e-3 * N", "2**10", "[N, 'a']", "f(N)")]
    [0.004, 1024, [4, 'a'], UNKNOWN]
    """
    if node is None or depth > _DEEP:
        return UNKNOWN
    try:
        value = _fold(node, names, depth + 1)
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError, MemoryError):
        return UNKNOWN
    return value if _small(value) else UNKNOWN


def _small(value: Any) -> bool:
    if isinstance(value, int):
        return value.bit_length() <= _BITS
    if isinstance(value, str):
        return len(value) <= _LONG
    if isinstance(value, (list, dict)):
        return len(value) <= _WIDE
    return value is None or isinstance(value, float) or value is UNKNOWN


def _all(nodes: list[ast.expr], names: Mapping[str, Any], depth: int) -> Any:
    if len(nodes) > _WIDE:
        return UNKNOWN
    values: list[Any] = []
    for node in nodes:
        value = fold(node.value if isinstance(node, ast.Starred) else node, names, depth)
        if value is UNKNOWN:
            return UNKNOWN
        if isinstance(node, ast.Starred):
            values += value
        else:
            values.append(value)
    return values


def _fold(node: ast.AST, names: Mapping[str, Any], depth: int) -> Any:
    match node:
        case ast.Constant(value=value):
            return value if value is None or isinstance(value, (str, int, float)) else UNKNOWN
        case ast.Name() | ast.Attribute():
            name = dotted(node)
            if name in names:
                return names[name]
            if name.endswith(".value") and name[:-6] in names:  # a member of an enum, bound by a loop
                return names[name[:-6]]
            return _CONSTANTS.get(name, UNKNOWN)
        case ast.UnaryOp(op=op, operand=operand):
            value = fold(operand, names, depth)
            if value is UNKNOWN:
                return UNKNOWN
            if isinstance(op, ast.Not):
                return not value
            return -value if isinstance(op, ast.USub) else +value if isinstance(op, ast.UAdd) else ~value
        case ast.BinOp(left=left, op=op, right=right):
            return _binary(op, fold(left, names, depth), fold(right, names, depth))
        case ast.BoolOp(op=op, values=values):
            last: Any = UNKNOWN
            for one in values:
                last = fold(one, names, depth)
                if last is UNKNOWN or bool(last) is isinstance(op, ast.Or):
                    return last
            return last
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
            a, b = fold(left, names, depth), fold(right, names, depth)
            return UNKNOWN if a is UNKNOWN or b is UNKNOWN else _COMPARE[type(op)](a, b)
        case ast.IfExp(test=test, body=body, orelse=other):
            sure = fold(test, names, depth)
            return UNKNOWN if sure is UNKNOWN else fold(body if sure else other, names, depth)
        case ast.Tuple(elts=elts) | ast.List(elts=elts) | ast.Set(elts=elts):
            return _all(elts, names, depth)
        case ast.Dict(keys=keys, values=values):
            if any(key is None for key in keys):
                return UNKNOWN
            found = _all([key for key in keys if key is not None], names, depth)
            # A value that is not known does not spoil the others.
            return (
                UNKNOWN if found is UNKNOWN else dict(zip(found, [fold(v, names, depth) for v in values], strict=True))
            )
        case ast.Subscript(value=value, slice=index):
            return fold(value, names, depth)[_index(index, names, depth)]
        case ast.JoinedStr(values=values):
            parts = [_piece(part, names, depth) for part in values]
            return UNKNOWN if UNKNOWN in parts else "".join(parts)
        case ast.ListComp(elt=elt, generators=[one]) | ast.GeneratorExp(elt=elt, generators=[one]) if not one.ifs:
            items = fold(one.iter, names, depth)
            if items is UNKNOWN or len(items) > 200:
                return UNKNOWN
            made = [fold(elt, {**names, **bound(one.target, item)}, depth) for item in items]
            return UNKNOWN if UNKNOWN in made else made
        case ast.Call():
            return _call(node, names, depth)
    return UNKNOWN


def _piece(part: ast.expr, names: Mapping[str, Any], depth: int) -> Any:
    if isinstance(part, ast.FormattedValue):
        value = UNKNOWN if part.format_spec is not None else fold(part.value, names, depth)
        return value if value is UNKNOWN else str(value)
    return fold(part, names, depth)


def _index(node: ast.expr, names: Mapping[str, Any], depth: int) -> Any:
    if isinstance(node, ast.Slice):
        ends = [None if end is None else fold(end, names, depth) for end in (node.lower, node.upper, node.step)]
        return slice(*ends)
    return fold(node, names, depth)


def _binary(op: ast.operator, a: Any, b: Any) -> Any:
    if a is UNKNOWN or b is UNKNOWN or type(op) not in _BINARY:
        return UNKNOWN
    if isinstance(op, ast.Pow) and (abs(b) > 400 or (isinstance(a, int) and isinstance(b, int) and _huge(a, b))):
        return UNKNOWN
    if isinstance(op, (ast.LShift, ast.RShift)) and b > _BITS:
        return UNKNOWN
    if isinstance(op, ast.Mult):
        for items, times in ((a, b), (b, a)):
            if isinstance(items, (str, list)) and len(items) * max(0, times) > _WIDE:
                return UNKNOWN
    if isinstance(op, ast.Mod) and isinstance(a, str):
        return UNKNOWN if "%" in a.replace("%s", "").replace("%d", "") else a % (tuple(b) if isinstance(b, list) else b)
    if isinstance(op, ast.BitOr) and not isinstance(a, (int, dict)):
        return UNKNOWN
    return _BINARY[type(op)](a, b)


def _huge(a: int, b: int) -> bool:
    return b > 0 and a.bit_length() * b > 2 * _BITS


def _name_of_type(value: Any) -> Any:
    return next((kind.__name__ for kind in (bool, int, float, str) if type(value) is kind), UNKNOWN)


def _call(node: ast.Call, names: Mapping[str, Any], depth: int) -> Any:
    name = dotted(node.func)
    if name in ("os.environ.get", "os.getenv", "environ.get"):
        # What the environment says is the machine's; what is written for its absence is the script's.
        return fold(node.args[1], names, depth) if len(node.args) > 1 else UNKNOWN
    args = _all(node.args, names, depth)
    if args is UNKNOWN:
        return UNKNOWN
    options = {word.arg: fold(word.value, names, depth) for word in node.keywords if word.arg}
    if len(options) < len(node.keywords):
        return UNKNOWN
    if name == "type" and len(args) == 1:
        return _name_of_type(args[0])
    if name == "isinstance" and len(args) == 2:
        kind = _name_of_type(args[0])
        return UNKNOWN if kind is UNKNOWN else kind in args[1] if isinstance(args[1], list) else kind == args[1]
    if name == "dict":
        return {**dict(*args), **options}
    if UNKNOWN in options.values():
        return UNKNOWN
    if name == "range":
        items = range(*args)
        return list(items) if len(items) <= 200 else UNKNOWN
    if name in _CALLS and name not in names:
        return _CALLS[name](*args, **options)
    if isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
        target = fold(node.func.value, names, depth)
        if isinstance(target, (str, dict, list)):
            value = _METHODS[node.func.attr](target, *args, **options)
            return UNKNOWN if value is None and node.func.attr == "format" else value
    return UNKNOWN


def bound(target: ast.expr, value: Any) -> dict[str, Any]:
    """What `for target in …` binds for one item.

    >>> bound(ast.parse("(a, b)", mode="eval").body, [1, 2])
    {'a': 1, 'b': 2}
    """
    if isinstance(target, ast.Name):
        return {target.id: value}
    if isinstance(target, (ast.Tuple, ast.List)):
        items = value if isinstance(value, list) and len(value) == len(target.elts) else [UNKNOWN] * len(target.elts)
        return {name: v for one, item in zip(target.elts, items, strict=True) for name, v in bound(one, item).items()}
    return {}


def updated(call: ast.Call, names: dict[str, Any], more: Any = None) -> None:
    """`table.update(…)` of a dict that is known. more: what it is updated with, where that is known."""
    if not (isinstance(call.func, ast.Attribute) and call.func.attr == "update"):
        return
    name = dotted(call.func.value)
    if isinstance(names.get(name), dict):
        given = more if isinstance(more, dict) else fold(call.args[0], names) if call.args else {}
        own = {word.arg: fold(word.value, names) for word in call.keywords if word.arg}
        names[name] = {**names[name], **(given if isinstance(given, dict) else {}), **own}


def constants(tree: ast.Module, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What the names of a module stand for: its constants, those of its classes as `Class.name`, the members of enums.

    A name that is bound to something unknown afterwards is unknown. given: what it imports.
    """
    names: dict[str, Any] = dict(given or {})
    _collect(tree.body, names, "")
    return names


def _collect(body: list[ast.stmt], names: dict[str, Any], prefix: str, depth: int = 0) -> None:
    if depth > 8:
        return
    for node in body:
        if isinstance(node, ast.Assign):
            value = fold(node.value, names)
            for target in node.targets:
                if isinstance(target, ast.Name):
                    names[prefix + target.id] = value
                elif isinstance(target, (ast.Tuple, ast.List)):
                    names |= {prefix + name: v for name, v in bound(target, value).items()}
                elif isinstance(target, ast.Subscript) and isinstance(known := names.get(dotted(target.value)), dict):
                    key = fold(target.slice, names)
                    if isinstance(key, str):
                        names[dotted(target.value)] = {**known, key: value}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            names[prefix + node.target.id] = fold(node.value, names)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            names[prefix + node.target.id] = UNKNOWN
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            updated(node.value, names)
        elif isinstance(node, ast.ClassDef):
            inner = f"{prefix}{node.name}."
            _collect(node.body, names, inner, depth + 1)
            if any(dotted(base).split(".")[-1] in ("Enum", "StrEnum", "IntEnum") for base in node.bases):
                members = {k[len(inner) :]: v for k, v in names.items() if k.startswith(inner)}
                names[prefix + node.name] = [v for member, v in members.items() if "." not in member]
                for member, value in members.items():
                    if "." not in member:
                        names[f"{inner}{member}.value"] = value
                        names[f"{inner}{member}.name"] = member
        elif isinstance(node, (ast.If, ast.Try, ast.With)):
            _collect(node.body, names, prefix, depth + 1)
