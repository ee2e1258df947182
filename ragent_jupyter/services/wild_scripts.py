"""The files that tell what a script lets one set: the script, the modules it imports, the YAML beside it. Read only."""

from __future__ import annotations

import ast
import io
import os
import re
import stat
import tokenize
from collections.abc import Iterator
from pathlib import Path

from ragent_jupyter.domain.errors import BadInput, CannotBeDone
from ragent_jupyter.rules.script import Where
from ragent_jupyter.rules.script.readable import tree_of

MOST_BYTES = 1_000_000  # of the script; a longer one was generated
_MODULES = 40
_MODULE_BYTES = 300_000
_YAMLS = 300
_YAML_BYTES = 200_000
_LIKELY = ("train", "main", "run", "fit", "finetune", "pretrain", "learn", "experiment")
_SKIPPED = frozenset({"node_modules", "__pycache__", "site-packages", "build", "dist", "tests", "test", "docs"})
_READERS = frozenset({"hydra", "omegaconf", "yaml", "yacs", "sacred"})
_ENTRIES = 3000  # looked at in search of scripts


def find(where: Where, cwd: Path) -> Path | None:
    """The file of the script that a command runs; None where it names none, or a module that is not of the project.

    Raises CannotBeDone where the file is not there.
    """
    base = cwd / os.path.expanduser(where.folder) if where.folder else cwd
    if where.script:
        path = base / os.path.expanduser(where.script)
        if path.is_dir():
            path = path / "__main__.py"
        if not path.exists():
            near = ", ".join(likely(base)[:4])
            raise CannotBeDone(
                f"There is no {where.script} in {base}.",
                f"There are: {near}." if near else "Name the script relative to that folder, or give another --cwd.",
            )
        return path
    if where.module and all(part.isidentifier() for part in where.module.split(".")):
        inner = Path(*where.module.split("."))
        for root in (base, base / "src"):
            for path in ((root / inner).with_suffix(".py"), root / inner / "__main__.py"):
                if path.is_file():
                    return path
    return None


def text_of(path: Path) -> str:
    """A Python source, decoded as Python decodes it. Raises BadInput, CannotBeDone."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise BadInput(f"{path} is no file.", "Name the script that trains.")
        if about.st_size > MOST_BYTES:
            raise BadInput(
                f"{path} has {about.st_size / 1e6:.1f} MB: no script is that long.", "Name the script itself."
            )
        data = path.read_bytes()
    except OSError as error:
        raise CannotBeDone(f"{path} cannot be read: {error.strerror}.", "See that it may be read.") from None
    if b"\0" in data[:8192]:
        raise BadInput(f"{path} is a binary file.", "Name the Python script that it was made of.")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding)
    except (SyntaxError, LookupError, UnicodeDecodeError):
        return data.decode("utf-8", "replace")


def others(source: str, path: Path, cwd: Path, args: list[str]) -> dict[str, str]:
    """Further files, by path relative to cwd: modules that the script imports, and the YAML that it names."""
    try:
        tree, _ = tree_of(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    found: dict[str, str] = {}
    waiting, seen = [(path, tree, 0)], {path.resolve()}
    parsed = [(path, tree)]
    for module in _configs(tree, path, cwd, args):
        text = _small(module, _MODULE_BYTES)
        if text is None or module.resolve() in seen:
            continue
        seen.add(module.resolve())
        found[_relative(module, cwd)] = text
        if module.suffix == ".py":
            try:
                waiting.append((module, tree_of(text)[0], 1))
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
    while waiting and len(found) < _MODULES:
        file, inside, depth = waiting.pop(0)
        for module in _imported(inside, file, (path.parent, cwd)):
            if module.resolve() in seen or len(found) >= _MODULES:
                continue
            seen.add(module.resolve())
            text = _small(module, _MODULE_BYTES)
            if text is None:
                continue
            found[_relative(module, cwd)] = text
            try:
                if depth < 2:
                    inner, _ = tree_of(text)
                    waiting.append((module, inner, depth + 1))
                    parsed.append((module, inner))
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
    for at, inside in parsed:
        if at is path or any(part in _READERS for name in _modules(inside) for part in name.split(".")):
            for file in _yamls(inside, at, cwd, args):
                text = _small(file, _YAML_BYTES)
                if text is not None:
                    found[_relative(file, cwd)] = text
    return found


def _configs(tree: ast.Module, path: Path, cwd: Path, args: list[str]) -> Iterator[Path]:
    """Files of settings in Python or gin that the command or the script names, and those on which they build."""
    texts = [word.partition("=")[2] or word for word in args]
    for text in texts:
        if text.endswith((".txt", ".cfg", ".conf", ".ini")) and "configargparse" in _modules(tree):
            yield cwd / text
    texts += [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    waiting = [
        root / text.partition(":")[0]
        for text in texts
        for root in (cwd, path.parent)
        if text.partition(":")[0].endswith((".py", ".gin")) and len(text) < 200 and "\0" not in text
    ]
    seen: set[Path] = set()
    while waiting and len(seen) < _MODULES // 2:
        file = waiting.pop(0)
        if file in seen or not file.is_file() or file == path:
            continue
        seen.add(file)
        yield file
        text = _small(file, _MODULE_BYTES) or ""
        if file.suffix == ".gin":
            waiting += [file.parent / name for name in re.findall(r"include\s+['\"]([^'\"]+)['\"]", text)]
        elif "_base_" in text:  # of mmcv
            waiting += [file.parent / name for name in re.findall(r"['\"]([^'\"\n]+\.py)['\"]", text)]


def _relative(path: Path, cwd: Path) -> str:
    return Path(os.path.relpath(path, cwd)).as_posix()


def _small(path: Path, most: int) -> str | None:
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode) or about.st_size > most:
            return None
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _imported(tree: ast.Module, file: Path, roots: tuple[Path, ...]) -> Iterator[Path]:
    """Files of modules that an import takes from the project, relative imports included."""
    for node in ast.walk(tree):
        names: list[tuple[tuple[Path, ...], str]] = []
        if isinstance(node, ast.Import):
            names = [(roots, one.name) for one in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = roots if not node.level else (file.parents[min(node.level, len(file.parents)) - 1],)
            base = node.module or ""
            names = [(start, base)] if base else []
            names += [(start, f"{base}.{one.name}" if base else one.name) for one in node.names]
        for start, name in names:
            parts = name.split(".")
            if not all(part.isidentifier() for part in parts):
                continue
            for root in start:
                for one in (root.joinpath(*parts).with_suffix(".py"), root.joinpath(*parts, "__init__.py")):
                    if one.is_file():
                        yield one
                        break


def _yamls(tree: ast.Module, path: Path, cwd: Path, args: list[str]) -> Iterator[Path]:
    """YAML files that a text of the source or an argument names, and all in folders that they name."""
    texts = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    hydra = any("hydra" in part for part in _modules(tree))
    words = {word.partition("=")[2] or word for word in args}
    number = 0
    for text in sorted(texts | words):
        if not text or len(text) > 200 or "\n" in text or "\0" in text:
            continue
        for root in (path.parent, cwd):
            one = root / text
            if text.endswith((".yaml", ".yml")) and one.is_file():
                yield one
                one = one.parent
                if not hydra:
                    continue
            if hydra and text not in (".", "/") and one.is_dir() and not one.samefile(root.anchor):
                for file in _below(one):
                    number += 1
                    if number > _YAMLS:
                        return
                    yield file


def _below(folder: Path) -> Iterator[Path]:
    left = _ENTRIES
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            left -= 1
            if left < 0:
                return
            if name.endswith((".yaml", ".yml")):
                yield Path(place, name)


def _modules(tree: ast.Module) -> set[str]:
    found = {one.name for n in ast.walk(tree) if isinstance(n, ast.Import) for one in n.names}
    return found | {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}


def likely(folder: Path) -> list[str]:
    """Scripts that may be the one that trains, the likeliest first, relative to the folder; at most 8."""
    ranked: list[tuple[int, str]] = []
    left = _ENTRIES
    for place, folders, names in os.walk(folder):
        depth = len(Path(place).relative_to(folder).parts)
        folders[:] = sorted(n for n in folders if depth < 2 and not n.startswith(".") and n not in _SKIPPED)
        for name in sorted(names):
            left -= 1
            if left < 0:
                return [path for _, path in sorted(ranked)[:8]]
            if not name.endswith(".py") or name.startswith(("test_", "_", "setup.")):
                continue
            stem = name.removesuffix(".py").lower()
            rank = next((i for i, word in enumerate(_LIKELY) if stem.startswith(word) or stem.endswith(word)), None)
            if rank is None:
                text = _small(Path(place, name), _MODULE_BYTES) or ""
                if "__main__" not in text or not any(w in text for w in ("argparse", "click", "hydra", "loss", "fit(")):
                    continue
                rank = len(_LIKELY)
            ranked.append((rank * 10 + depth, Path(os.path.relpath(Path(place, name), folder)).as_posix()))
    return [path for _, path in sorted(ranked)[:8]]
