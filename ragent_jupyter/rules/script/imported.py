"""What the modules of a project take from one another: constants by the names under which a module has them; and what
they do to one another's constants, so that to set one would have no effect."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from .classes import Classes
from .folding import constants, dotted
from .found import Module

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_HELD = re.compile(r"(?i)(config|cfg|conf|args|hyper|hparam|param|setting|option|opt|default)(?!.*group)")
_REPLACING = ("replace", "_replace", "evolve", "model_copy")
_MERGING = ("update", "merge", "merge_from_file", "merge_from_list", "merge_with", "update_from_dict")
_SPAWNED = ("spawn", "forkserver")
_ALL = "*"  # any name: which one is not to be read


class Import(Struct, frozen=True):
    """A local name, and what it stands for: a module, or (attr) something in it; attr "*": all that is in it."""

    local: str
    module: Module
    attr: str = ""


def imports(module: Module, modules: Sequence[Module]) -> Iterator[Import]:
    """The imports of a module that lead to one of the others."""
    known = {one.path: one for one in modules if one is not module}
    roots = list(dict.fromkeys((posixpath.dirname(modules[0].path), "", "src")))
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                found = _find(name.name, roots, known)
                if found is not None:
                    yield Import(name.asname or name.name, found)
        elif isinstance(node, ast.ImportFrom):
            start = roots
            if node.level:
                folder = posixpath.dirname(module.path)
                for _ in range(node.level - 1):
                    folder = posixpath.dirname(folder)
                start = [folder]
            base = node.module or ""
            for name in node.names:
                inner = _find(f"{base}.{name.name}".lstrip("."), start, known) if name.name != "*" else None
                if inner is not None:
                    yield Import(name.asname or name.name, inner)
                elif (outer := _find(base, start, known)) is not None:
                    yield Import(name.asname or name.name, outer, name.name)


def _find(name: str, roots: Sequence[str], known: Mapping[str, Module]) -> Module | None:
    inner = name.replace(".", "/")
    for root in roots:
        for path in (f"{inner}.py", f"{inner}/__init__.py") if inner else ("__init__.py",):
            found = known.get(posixpath.normpath(posixpath.join(root, path)))
            if found is not None:
                return found
    return None


def share(modules: Sequence[Module]) -> None:
    """Let each module know the constants that it imports from the others, also through a package's `__init__`."""
    if len(modules) < 2:
        return
    taken = [(module, list(imports(module, modules))) for module in modules]
    for _ in range(2):  # what is imported may itself be imported
        for module, found in reversed(taken):
            given: dict[str, object] = {}
            for one in found:
                names = one.module.names
                if one.attr == "*":
                    given |= {k: v for k, v in names.items() if not k.startswith("_")}
                elif one.attr:
                    start = one.attr + "."
                    given |= {one.local: names[one.attr]} if one.attr in names else {}
                    given |= {f"{one.local}.{k[len(start) :]}": v for k, v in names.items() if k.startswith(start)}
                else:
                    given |= {f"{one.local}.{k}": v for k, v in names.items() if not k.startswith("_")}
            if given:
                kept = module.names["__name__"]
                module.names.clear()
                module.names.update(constants(module.tree, given))
                module.names["__name__"] = kept


def used_of(module: Module, local: str) -> set[str]:
    """The names that a module takes of one that it imports: of `config.LR` LR."""
    return {
        node.attr for node in ast.walk(module.tree) if isinstance(node, ast.Attribute) and dotted(node.value) == local
    }


def spawns(module: Module) -> bool:
    """Whether a module starts processes that import everything anew."""
    full = {"mp.spawn", "multiprocessing.spawn", "torch.multiprocessing.spawn", "xmp.spawn"}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            full |= {f"{one.asname}.spawn" for one in node.names if one.asname and "multiprocessing" in one.name}
        elif isinstance(node, ast.ImportFrom) and "multiprocessing" in (node.module or ""):
            full |= {one.asname or one.name for one in node.names if one.name == "spawn"}
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        given = [word.value for word in node.keywords if word.arg in ("multiprocessing_context", "start_method")]
        if dotted(node.func).split(".")[-1] in ("get_context", "set_start_method"):
            given += [*node.args[:1], *(word.value for word in node.keywords if word.arg == "method")]
        if dotted(node.func) in full or any(isinstance(v, ast.Constant) and v.value in _SPAWNED for v in given):
            return True
    return False


class Store(Struct, frozen=True):
    """Something that is written after it was made. root: what it is written to (`cfg.model`), dotted.  name: its last
    part, or any.  home: the class whose method writes to its own instance.  top: set with the constant."""

    module: Module
    root: str
    name: str
    home: str = ""
    top: bool = False


class Changes:
    """What the modules do to constants after these were written down."""

    def __init__(self, modules: Sequence[Module], classes: Classes) -> None:
        self.modules, self.classes = modules, classes
        self.stores: list[Store] = []
        self.given: dict[str, set[str]] = {}  # by class, the fields that some call gives
        self.bases = {name: {classes.named(b) for b in node.bases} for name, (node, _) in classes.classes.items()}
        self.written = {name: _fields_of(node) for name, (node, _) in classes.classes.items()}
        self.bound = {module.path: _bound(module.tree) for module in modules}
        self.taken = {module.path: list(imports(module, modules)) for module in modules}
        self.local = {path: {one.local: one for one in found} for path, found in self.taken.items()}
        self.passed = {line for module in modules for line in _passed_on(module)}
        for module in modules:
            for node in module.tree.body:
                self._walk(node, module, "", "", True)

    def overridden(self, module: Module, path: str, line: int) -> bool:
        """Whether to set a constant (`LR`, `Config.lr`, `cfg.model.width`) may have no effect."""
        head, dot, rest = path.partition(".")
        last = rest.rpartition(".")[2]
        if dot and head in self.classes.classes and self.classes.classes[head][1] is module:
            return self._of_class(head, last)
        if self._rebound(module, head, line, inside=bool(dot)):
            return True
        return bool(dot) and self._of_key(module, head, last)

    def unread(self, module: Module, name: str) -> bool:
        """Whether nothing reads a constant of the script, while another module has one of that name."""
        tree = module.tree
        calls = {dotted(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
        if (
            calls & {"globals", "locals", "vars", "dir", "eval", "exec", "getattr"}
            or "import __main__" in module.source
        ):
            return False
        if "modules[__name__]" in module.source or "modules['__main__']" in module.source.replace('"', "'"):
            return False
        for other in self.modules:
            for one in self.taken[other.path]:
                mine = one.module is module
                if mine and (one.attr in (name, _ALL) or (not one.attr and name in used_of(other, one.local))):
                    return False
        if any(_reads(node, name) for node in tree.body):
            return False
        return any(name in self.bound[other.path] for other in self.modules if other is not module)

    def _rebound(self, module: Module, name: str, line: int, *, inside: bool) -> bool:
        bound = self.bound[module.path].get(name, [])
        same = _remade(module.tree, name) if inside else set()  # model = model.cuda()
        if sum(not taken and at not in same for at, taken in bound) > 1 or any(
            taken and at > line for at, taken in bound
        ):
            return True
        later = [node for node in module.tree.body if isinstance(node, ast.ImportFrom) and node.lineno > line]
        if any(one.name == "*" for node in later for one in node.names) and any(
            one.attr == "*" and name in self.bound[one.module.path] for one in self.taken[module.path]
        ):
            return True
        for store in self.stores:
            if store.name in (name, _ALL):
                if store.root == "globals" and store.module is module and not (inside and store.name == _ALL):
                    return True
                one = self.local[store.module.path].get(store.root)
                if one is not None and one.module is module and not one.attr:
                    return True
        return False

    def _of_key(self, module: Module, head: str, last: str) -> bool:
        for store in self.stores:
            if store.name not in (last, _ALL) or store.home or not store.root:
                continue
            first, _, rest = store.root.partition(".")
            one = self.local[store.module.path].get(first)
            mine = store.module is module and first == head
            if one is not None and one.module is module:
                mine = (one.attr or rest.partition(".")[0]) == head or (one.attr == _ALL)
            if mine and store.top and store.module is module:
                continue
            if mine or first in (head, "=") or (_HELD.search(store.root) and store.name != _ALL and one is None):
                return True
        return False

    def _of_class(self, name: str, field: str) -> bool:
        derived = self._family(name)
        if any(field in self.written[one] for one in derived - {name}):
            return True
        if any({field, _ALL} & self.given.get(one, set()) for one in derived):
            return True
        kin = derived | {one for one in self.classes.classes if name in self._family(one)}
        for store in self.stores:
            if store.name not in (field, _ALL) or (store.home and store.home not in kin):
                continue
            one = self.local[store.module.path].get(store.root)
            if store.root == "globals" or (one is not None and not one.attr):
                continue  # of a module, not of an instance
            if store.name == _ALL and not _HELD.search(store.root):
                continue  # progress_bar.update(1), flat[i] = x
            return True
        return False

    def _family(self, name: str) -> set[str]:
        """A class and all that are derived from it."""
        found = {name}
        for _ in range(8):
            found |= {one for one, bases in self.bases.items() if bases & found}
        return found

    def _walk(self, node: ast.AST, module: Module, home: str, me: str, top: bool) -> None:
        """me: what a method calls its instance."""
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets if node.value is not None else ():
                for one in target.elts if isinstance(target, ast.Tuple | ast.List) else [target]:
                    self._store(one, node.value, module, home, me, top)
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.BitOr):
            self._mapping(node.target, [node.value], [], module, home, me)
        elif isinstance(node, ast.For | ast.AsyncFor):
            self._store(node.target, None, module, home, me, False)
        elif isinstance(node, ast.Call):
            self._call(node, module, home, me)
        if isinstance(node, ast.ClassDef):
            home, top = node.name, True
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if home and not me and node.args.args:
                me = node.args.args[0].arg
                top = top and node.name == "__init__"
            else:
                top = False
        elif isinstance(node, ast.For | ast.AsyncFor | ast.While | ast.Lambda):
            top = False
        for child in ast.iter_child_nodes(node):
            self._walk(child, module, home, me, top)

    def _store(self, target: ast.expr, value: ast.expr | None, module: Module, home: str, me: str, top: bool) -> None:
        if isinstance(target, ast.Attribute):
            name, root = target.attr, _root(target.value)
        elif isinstance(target, ast.Subscript):
            name, root = _text(target.slice), _root(target.value)
        else:
            return
        own = home if me and root == me else ""
        if own and top:
            return  # of a constructor: it is set there
        if value is None or not _mentions(value, name):
            self.stores.append(Store(module, root, name, own, top and not me))

    def _mapping(
        self,
        held: ast.expr,
        values: Sequence[ast.expr],
        words: Sequence[ast.keyword],
        module: Module,
        home: str,
        me: str,
    ) -> None:
        root = _root(held)
        names = {word.arg or _ALL for word in words}
        for value in values:
            names |= {_text(key) for key in value.keys} if isinstance(value, ast.Dict) else {_ALL}
        self.stores += [Store(module, root, name, home if me and root == me else "") for name in names]

    def _call(self, call: ast.Call, module: Module, home: str, me: str) -> None:
        full = dotted(call.func)
        last = call.func.attr if isinstance(call.func, ast.Attribute) else full
        if last in ("setattr", "__setattr__") and len(call.args) > 1:
            root, name = _root(call.args[0]), _text(call.args[1])
            given = self._keywords(module, call) if name == _ALL else None
            if given is not None:
                self.stores += [Store(module, root, one, home if me and root == me else "") for one in given]
            elif not (len(call.args) > 2 and name != _ALL and _mentions(call.args[2], name)):
                self.stores.append(Store(module, root, name, home if me and root == me else ""))
        elif last in _MERGING and isinstance(call.func, ast.Attribute):
            self._mapping(call.func.value, call.args, call.keywords, module, home, me)
        elif last in _REPLACING and call.keywords:
            names = {word.arg or _ALL for word in call.keywords}
            self.stores += [Store(module, "=", name) for name in names]
        named = self.classes.named(call) if full else ""
        words = list(call.keywords)
        args: list[ast.expr] = list(call.args)
        if full == "cls" and home:
            named = home
        elif last == "partial" and args and self.classes.named(args[0]):
            named, args = self.classes.named(args[0]), args[1:]
        elif last == "__init__" and isinstance(call.func, ast.Attribute):
            inner = call.func.value
            if isinstance(inner, ast.Call) and dotted(inner.func) == "super":
                for base in self.bases.get(home, set()):
                    self._made(base, args, words)
                return
            named, args = self.classes.named(inner), args[1:]
        self._made(named, args, words)

    def _keywords(self, module: Module, call: ast.Call) -> set[str] | None:
        """What is given by name to the function that sets all that it is given; None of another one."""
        function = next((f for path, line, f in self.passed if (path, line) == (module.path, call.lineno)), None)
        if function is None:
            return None
        calls = [n for one in self.modules for n in ast.walk(one.tree) if isinstance(n, ast.Call)]
        mine = [one for one in calls if dotted(one.func).split(".")[-1] == function]
        return {word.arg or _ALL for one in mine for word in one.keywords}

    def _from_line(self, held: ast.expr) -> bool:
        """Whether a mapping holds what a person typed (`OmegaConf.from_cli()`), which a run of ours does not."""
        if isinstance(held, ast.Call):
            return dotted(held.func).endswith(".from_cli")
        made = [
            node.value
            for module in self.modules
            for node in module.tree.body
            if isinstance(node, ast.Assign) and any(dotted(target) == dotted(held) for target in node.targets)
        ]
        return bool(dotted(held)) and bool(made) and all(isinstance(v, ast.Call) and self._from_line(v) for v in made)

    def _made(self, name: str, args: Sequence[ast.expr], words: Sequence[ast.keyword]) -> None:
        if name in self.classes.classes:
            given = self.given.setdefault(name, set())
            given |= {word.arg or _ALL for word in words if word.arg or not self._from_line(word.value)}
            init = any(getattr(part, "name", "") == "__init__" for part in self.classes.classes[name][0].body)
            if args and not init:  # what a constructor of its own keeps is set in it
                given.add(_ALL)


def _passed_on(module: Module) -> Iterator[tuple[str, int, str]]:
    """(file, line, function) of what stands in a loop over the function's own `**kwargs`."""
    for function in ast.walk(module.tree):
        if isinstance(function, ast.FunctionDef) and function.args.kwarg is not None:
            for loop in ast.walk(function):
                over = loop.iter if isinstance(loop, ast.For) else None
                if isinstance(over, ast.Call) and dotted(over.func) == f"{function.args.kwarg.arg}.items":
                    lines = range(over.lineno, (getattr(loop, "end_lineno", 0) or over.lineno) + 1)
                    yield from ((module.path, line, function.name) for line in lines)


def _remade(tree: ast.Module, name: str) -> set[int]:
    """The lines at which a name is assigned what is made of itself."""
    return {
        node.lineno
        for node in tree.body
        if isinstance(node, ast.Assign) and any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(node.value))
    }


def _root(node: ast.AST) -> str:
    """`cfg.a["b"]` → "cfg.a.b"; "globals" of `globals()`; "cfg" of `vars(cfg)` and `cfg.__dict__`."""
    if isinstance(node, ast.Subscript):
        inner = _root(node.value)
        return f"{inner}.{_text(node.slice)}" if inner else ""
    if isinstance(node, ast.Attribute):
        inner = _root(node.value)
        return inner if node.attr == "__dict__" or not inner else f"{inner}.{node.attr}"
    if isinstance(node, ast.Call):
        if dotted(node.func) == "vars" and node.args:
            return _root(node.args[0])
        return "globals" if dotted(node.func) in ("globals", "vars") else ""
    return dotted(node)


def _text(node: ast.AST | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else _ALL


def _mentions(value: ast.expr, name: str) -> bool:
    """Whether a value is made of what had the name before: then to set that has an effect."""
    for node in ast.walk(value):
        if (isinstance(node, ast.Attribute) and node.attr == name) or (
            isinstance(node, ast.Subscript) and name != _ALL and _text(node.slice) == name
        ):
            return True
    return False


def _fields_of(node: ast.ClassDef) -> set[str]:
    """What a class gives a value: in its body, and to its instance in its methods."""
    found: set[str] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store) and dotted(part.value) == "self":
            found.add(part.attr)
    for one in node.body:
        if not isinstance(one, _SCOPES) and not (isinstance(one, ast.AnnAssign) and one.value is None):
            found |= {n.id for n in ast.walk(one) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return found


def _bound(tree: ast.Module) -> dict[str, list[tuple[int, bool]]]:
    """(line, whether by an import) of all that binds or deletes a name of a module."""
    found: dict[str, list[tuple[int, bool]]] = {}

    def add(name: str | None, line: int, taken: bool = False) -> None:
        if name:
            found.setdefault(name, []).append((line, taken))

    def walk(node: ast.AST, declared: frozenset[str] | None, hidden: frozenset[str]) -> None:
        """declared: within a function, its global names."""
        line = getattr(node, "lineno", 0)
        counts = declared is None
        if isinstance(node, ast.AnnAssign) and node.value is None:
            return
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load) and node.id not in hidden:
            if counts or node.id in (declared or ()):
                add(node.id, line)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and counts:
            add(node.name, line)
        elif isinstance(node, ast.MatchMapping) and counts:
            add(node.rest, line)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for one in node.names:
                local = (one.asname or one.name).partition(".")[0]
                if counts or local in (declared or ()):
                    add(local, line, counts)
        if isinstance(node, _SCOPES):
            if counts and not isinstance(node, ast.Lambda):
                add(node.name, line)
            names = {name for part in ast.walk(node) if isinstance(part, ast.Global) for name in part.names}
            declared = frozenset(names)
        elif isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            inner = [n for part in node.generators for n in ast.walk(part.target) if isinstance(n, ast.Name)]
            hidden = hidden | {n.id for n in inner}
        for child in ast.iter_child_nodes(node):
            walk(child, declared, hidden)

    walk(tree, None, frozenset())
    return found


def _reads(node: ast.AST, name: str) -> bool:
    """Whether a node reads a name of the module, not one of a function that is called alike."""
    if isinstance(node, ast.Name):
        return node.id == name and not isinstance(node.ctx, ast.Store)
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
        return True
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        every = node.args
        outer = [*every.defaults, *(d for d in every.kw_defaults if d), *getattr(node, "decorator_list", [])]
        if any(_reads(one, name) for one in outer):
            return True
        every_arg = [*every.posonlyargs, *every.args, *every.kwonlyargs, every.vararg, every.kwarg]
        if any(one is not None and one.arg == name for one in every_arg):
            return False
    return any(_reads(child, name) for child in ast.iter_child_nodes(node))
