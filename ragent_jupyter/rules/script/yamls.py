"""Settings that stand in YAML files: hydra's composed configuration, and OmegaConf with `from_cli`."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .configdicts import Filled, flattened
from .folding import UNKNOWN, dotted, fold
from .found import Comments, Found, Module, Reading, keyword, kind_of, plain, usable

_LONGEST = 500_000  # characters of one file
_MOST = 2000  # values in all
_DEEP = 12
_FLOAT = re.compile(r"[-+]?(\d[\d_]*\.[\d_]*([eE][-+]?\d+)?|\.\d[\d_]*([eE][-+]?\d+)?|\d[\d_]*[eE][-+]?\d+)\Z")
_PACKAGE = re.compile(r"^\s*#\s*@package\s+(\S+)", re.MULTILINE)
_TEMPLATES = {"bool": "{name}=true|{name}=false"}

Leaf = tuple[Any, str, int]  # the value, its file, its line


class _Bad(Exception):
    pass


class Yaml:
    """One file as leaves by dotted name, and its defaults list."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.leaves: dict[str, Leaf] = {}
        self.defaults: list[Any] = []
        found = _PACKAGE.search(text[:2000])
        self.package = found[1] if found else ""
        if len(text) > _LONGEST:
            raise _Bad(f"it is longer than {_LONGEST // 1000} kB")
        import yaml  # type: ignore[import-untyped]  # 20 ms, and most scripts have none

        class Loader(yaml.SafeLoader):  # type: ignore[misc]
            pass

        # YAML 1.1 takes 1e-3 for a text; OmegaConf and everybody who writes it mean a number.
        Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
        try:
            loader = Loader(text)
            root = loader.get_single_node()
            if isinstance(root, yaml.MappingNode):
                self._walk(loader, root, "", 0)
        except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
            raise _Bad(" ".join(str(error).split())[:200]) from error

    def holds(self, group: str) -> bool:
        """Whether all of it stands under the group's own name already."""
        start = group.rpartition("/")[2] + "."
        return bool(self.leaves) and all(name.startswith(start) for name in self.leaves)

    def _walk(self, loader: Any, node: Any, prefix: str, depth: int) -> None:
        if depth > _DEEP:
            return
        for key, value in node.value:
            if len(self.leaves) > _MOST:
                return
            name = prefix + str(key.value)
            if not prefix and name == "defaults" and value.id == "sequence":
                self.defaults = [_simple(loader, one) for one in value.value]
            elif value.id == "mapping" and value.value:
                self._walk(loader, value, name + ".", depth + 1)
            else:
                self.leaves[name] = (_simple(loader, value), self.path, key.start_mark.line + 1)


def _simple(loader: Any, node: Any) -> Any:
    """A scalar, a list of scalars, or a mapping of scalars as it stands in a defaults list; else UNKNOWN."""
    if node.id == "scalar":
        value = loader.construct_object(node)
        return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
    if node.id == "sequence" and len(node.value) <= 200:
        return [_simple(loader, one) if one.id == "scalar" else UNKNOWN for one in node.value]
    if node.id == "mapping" and len(node.value) <= 20:
        return {str(k.value): UNKNOWN if v.id == "mapping" else _simple(loader, v) for k, v in node.value}
    return UNKNOWN


class Files:
    """The YAML files that were given, by path relative to the working folder."""

    def __init__(self, others: Mapping[str, str], reading: Reading) -> None:
        self.texts = {posixpath.normpath(p): t for p, t in others.items() if p.endswith((".yaml", ".yml"))}
        self.reading = reading
        self.read: dict[str, Yaml | None] = {}

    def find(self, path: str) -> str:
        """The path under which a file is known: as it stands, with an extension, or by its last parts; "" if none."""
        for one in (path, path + ".yaml", path + ".yml"):
            if posixpath.normpath(one) in self.texts:
                return posixpath.normpath(one)
        return ""

    def get(self, path: str) -> Yaml | None:
        known = self.find(path)
        if not known:
            return None
        if known not in self.read:
            try:
                self.read[known] = Yaml(known, self.texts[known])
            except _Bad as error:
                self.reading.note(f"{known} could not be read: {error}.")
                self.read[known] = None
        return self.read[known]

    def beside(self, path: str, module: str) -> Yaml | None:
        """The file that a module means by a path: relative to where it runs, or to its own folder."""
        return self.get(path) or self.get(posixpath.join(posixpath.dirname(module), path))

    def choices(self, folder: str) -> list[str]:
        """What a group may be: the names of the files in its folder."""
        return sorted(
            posixpath.splitext(posixpath.basename(p))[0] for p in self.texts if posixpath.dirname(p) == folder
        )


def named_by(args: Sequence[str]) -> list[str]:
    """YAML files that the command names."""
    words = [word.partition("=")[2] or word for word in args]
    return [word for word in words if word.endswith((".yaml", ".yml"))]


def read_hydra(module: Module, files: Files, args: Sequence[str], reading: Reading) -> bool:
    """The configuration that `@hydra.main` composes. args: the script's own, which may choose other files.

    False where the script has no hydra.
    """
    call = next(_mains(module.tree), None)
    if call is None:
        return False
    start = next((c for c in ast.walk(module.tree) if isinstance(c, ast.Call) and _starts(c)), None)
    values = [fold(arg, module.names) for arg in call.args]
    folder = fold(keyword(call, "config_path"), module.names)
    name: Any = UNKNOWN
    if dotted(call.func).endswith("compose"):
        node = start and (keyword(start, "config_path", "config_dir") or next(iter(start.args), None))
        folder, name = fold(node, module.names), values[0] if values else UNKNOWN
        values = []
    named = fold(keyword(call, "config_name"), module.names)
    name = named if isinstance(named, str) else name
    folder = folder if isinstance(folder, str) else values[0] if values and isinstance(values[0], str) else ""
    name = name if isinstance(name, str) else values[1] if len(values) > 1 and isinstance(values[1], str) else ""
    legacy = folder.endswith((".yaml", ".yml"))
    if legacy:  # hydra 0.11: config_path was the file
        folder, name = posixpath.dirname(folder), posixpath.basename(folder)
    folder = _option(args, "--config-path", "-cp") or folder
    name = _option(args, "--config-name", "-cn") or name or "config"
    root = posixpath.normpath(posixpath.join(posixpath.dirname(module.path), folder))
    aside = _option(args, "--config-dir", "-cd")
    for other in (aside, folder):  # relative to where it runs
        if files.get(posixpath.join(root, name)) is None and files.get(posixpath.join(other, name)) is not None:
            root = posixpath.normpath(other)
    composed = _Composed(files, root, args, legacy)
    if files.get(posixpath.join(root, name)) is None:
        if any(found.style == "hydra" for found in reading.found):
            return True  # of classes alone
        reading.note(f"{module.path}: the configuration {posixpath.join(root, name)} was not there to be read.")
        return True
    composed.load(name, "", 0)
    _tell(composed.leaves, files, reading)
    for group, (chosen, package) in composed.groups.items():
        choices = files.choices(posixpath.normpath(posixpath.join(root, group)))
        if usable(group) and isinstance(chosen, str):
            reading.found.append(
                Found(
                    name=group + (f"@{package}" if package else ""),
                    style="hydra",
                    template="{name}={value}",
                    kind="str",
                    default=chosen,
                    choices=list(choices),
                    help="a group of configuration files",
                    equals=True,
                    file=module.path,
                    line=call.lineno,
                )
            )
    return True


def _mains(tree: ast.Module) -> Iterator[ast.Call]:
    """`@hydra.main(…)`, under whatever name it was imported, and calls of it."""
    known = {"hydra.main", "hydra_main", "hydra.compose"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "") in ("hydra", "hydra.experimental"):
            known |= {one.asname or one.name for one in node.names if one.name in ("main", "compose")}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    decorators = [
        one
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for one in node.decorator_list
        if isinstance(one, ast.Call)
    ]
    yield from (one for one in decorators if dotted(one.func) in known | {"main"})
    yield from (one for one in calls if dotted(one.func) in known)


def _starts(call: ast.Call) -> bool:
    return dotted(call.func).split(".")[-1] in ("initialize", "initialize_config_dir", "initialize_config_module")


def _option(args: Sequence[str], *names: str) -> str:
    for at, word in enumerate(args):
        head, equals, value = word.partition("=")
        if head in names:
            return value if equals else args[at + 1] if at + 1 < len(args) else ""
    return ""


class _Composed:
    """What hydra makes of a primary file and its defaults list: https://hydra.cc/docs/advanced/defaults_list/."""

    def __init__(self, files: Files, root: str, args: Sequence[str], legacy: bool) -> None:
        self.files = files
        self.root = root
        self.leaves: dict[str, Leaf] = {}
        self.groups: dict[str, tuple[Any, str]] = {}
        self.chosen = dict(word.lstrip("+~").partition("=")[::2] for word in args if "=" in word)
        self.extra = [w[1:].partition("=")[::2] for w in args if w.startswith("+") and "=" in w]
        self.overrides: dict[str, Any] = {}
        self.seen: set[tuple[str, str]] = set()
        self.legacy = legacy  # before hydra 1.1 a group's file stood at the root unless it said otherwise

    def load(self, name: str, package: str, depth: int, group: str = "") -> None:
        path = posixpath.normpath(posixpath.join(self.root, group, name))
        config = self.files.get(path)
        if config is None or depth > _DEEP or (path, package) in self.seen:
            return
        self.seen.add((path, package))
        if config.package == "_global_":
            package = ""
        elif config.package and config.package != "_group_":
            package = config.package + "."
        elif group and not config.package and (self.legacy or config.holds(group)):
            package = ""
        for entry in config.defaults:
            for key, value in entry.items() if isinstance(entry, dict) else ():
                if key.startswith("override "):
                    self.overrides[key.removeprefix("override ").lstrip("/")] = value
        own = False
        for entry in config.defaults:
            if entry == "_self_":
                own = True
                self._keep(config, package)
            elif isinstance(entry, str):
                at = entry.lstrip("/")
                self.load(at, package, depth + 1, "" if entry.startswith("/") else group)
            elif isinstance(entry, dict):
                for key, value in entry.items():
                    self._group(key, value, package, depth, group)
        if not own:
            self._keep(config, package)
        if depth == 0:
            for key, value in self.extra:
                if self.files.get(posixpath.join(self.root, key, value)) is not None:
                    self._group(key, value, package, depth, "")

    def _keep(self, config: Yaml, package: str) -> None:
        self.leaves |= {package + name: leaf for name, leaf in config.leaves.items() if len(self.leaves) < _MOST}

    def _group(self, key: str, value: Any, package: str, depth: int, within: str) -> None:
        key = key.removeprefix("optional ").strip()
        if key.startswith("override ") or key.lstrip("/").startswith("hydra/"):
            return
        group, _, where = key.partition("@")
        path = group.lstrip("/") if group.startswith("/") or not within else posixpath.join(within, group)
        value = self.chosen.get(path, self.overrides.get(path, value))
        inner = f"{path.replace('/', '.')}."
        if where:
            inner = "" if where == "_global_" else package if where == "_here_" else f"{package}{where}."
        self.groups[path] = (value, where if where not in ("_global_", "_here_") else "")
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str) and one:
                self.load(one, inner, depth + 1, path)


def read_omegaconf(
    module: Module, modules: Sequence[Module], files: Files, args: Sequence[str], reading: Reading
) -> None:
    """`OmegaConf.load("x.yaml")` merged with `OmegaConf.from_cli()`: every value is `a.b=…` on the command line.

    Where the code does not say which file, those that the command names are meant.
    """
    if "omegaconf" not in module.source.lower():
        return
    words = ("from_cli", "from_dotlist", "merge_with_cli", "merge_with_dotlist")
    from_cli = any(word in one.source for one in modules for word in words)
    local = {"OmegaConf"} | {
        one.asname or one.name
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom) and node.module == "omegaconf"
        for one in node.names
        if one.name == "OmegaConf"
    }
    for call in [node for node in ast.walk(module.tree) if isinstance(node, ast.Call) and node.args]:
        owner, _, last = dotted(call.func).rpartition(".")
        if owner.split(".")[-1] not in local or last not in ("load", "create"):
            continue
        if last == "create":
            made = Filled(modules).value(call.args[0], module, {}) if from_cli else None
            tree = {name: (fold(node, of.names), of.path, node.lineno) for name, node, of in flattened(made or {})}
            _tell(tree, files, reading, {one.path: one.source for one in modules})
            continue
        path = fold(call.args[0], module.names)
        paths = [path] if isinstance(path, str) else named_by(args)
        if not paths:
            reading.note(f"{module.path}:{call.lineno}: which YAML file is loaded is only known when it runs.")
        for one in paths:
            config = files.beside(one, module.path)
            if config is None:
                reading.note(f"{module.path}:{call.lineno}: {one[:100]} was not there to be read.")
            elif not from_cli:
                reading.note(f"The values in {one[:100]} cannot be set from the command line.")
            else:
                _tell(config.leaves, files, reading)


def _tell(leaves: Mapping[str, Leaf], files: Files, reading: Reading, texts: Mapping[str, str] | None = None) -> None:
    comments: dict[str, Comments] = {}
    have = {found.name: found for found in reading.found if found.style == "hydra"}
    for name, (value, path, line) in leaves.items():
        if name.startswith("hydra.") or not usable(name):
            continue
        if path not in comments:
            comments[path] = Comments((texts or files.texts)[path])
        said = comments[path]
        text = isinstance(value, str)
        kind = kind_of(plain(value))
        if name in have:  # a later file, or a file over a structured configuration
            have[name].default, have[name].computed = value, text and ("${" in value or value == "???")
            have[name].kind = kind if have[name].kind == "unknown" else have[name].kind
            continue
        reading.found.append(
            Found(
                name=name,
                style="hydra",
                template=_TEMPLATES.get(kind, "{name}={value}"),
                kind=kind,
                default=value,
                help=said.behind(line),
                section=said.above(line),
                many=isinstance(value, list | dict),
                computed=text and ("${" in value or value == "???"),
                equals=True,
                file=path,
                line=line,
            )
        )
