"""Says where a Python would take modules from, without importing them.

    python prove_modules.py < question.json

One file, standard library only, any Python from 3.8 on: the interpreter of a run executes it, with the run's
environment and in its folder. The question: {"first": folder that stands for the script's, "names": [module, …],
"root": folder}. The answer is the last line on stdout, after a mark: {"found": {module: [file, whose word it is]},
"inside": entries of the module path that lie in root, "path": the module path}.

Packages are not executed: each finder is asked, level by level, as import would. What a package does to its own
__path__ when it is imported stays unseen.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Answer = tuple[Any, str]  # the spec, or None; who found it

MARK = "RAGENT-PROOF "


def begin(first: str) -> None:
    """Put on the path what Python would have put there for the run's own script."""
    own = __file__.replace("\\", "/").rpartition("/")[0]
    if sys.path and sys.path[0].replace("\\", "/").rstrip("/") == own.rstrip("/"):
        del sys.path[0]
    if first and not getattr(sys.flags, "safe_path", False):
        sys.path.insert(0, first)


def ask(name: str, path: list[str] | None) -> Answer:
    """(spec, who found it) for one level; (None, "") where nobody knows it."""
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    if spec is not None:
        return spec, "imported at start"
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        if find is None:
            continue
        spec = find(name, path, None)
        if spec is not None:
            kind = finder if isinstance(finder, type) else type(finder)
            return spec, f"{kind.__module__}.{kind.__name__}"
    return None, ""


def locate(name: str, known: dict[str, Answer]) -> Answer:
    """The same for a dotted name."""
    if name in known:
        return known[name]
    parent, _, _ = name.rpartition(".")
    path = None
    if parent:
        spec, _ = locate(parent, known)
        path = getattr(spec, "submodule_search_locations", None)
    if parent and path is None:
        known[name] = (None, "")
    else:
        try:
            known[name] = ask(name, None if path is None else list(path))
        except Exception as error:  # a finder of the environment's is broken: the import would fail as well
            known[name] = (None, f"{type(error).__name__}: {error}")
    return known[name]


def main() -> None:
    import json  # after begin(): what shadows it for the run shadows it here
    import os

    question = json.loads(sys.stdin.buffer.read().decode("utf-8"))
    begin(question["first"])
    known: dict[str, Answer] = {}
    found = {}
    for name in question["names"]:
        spec, _ = locate(name, known)
        origin = getattr(spec, "origin", None)
        if spec is not None and isinstance(origin, str) and os.path.isabs(origin):
            found[name] = [os.path.realpath(origin), known[name.partition(".")[0]][1]]  # the package decides
    root = os.path.realpath(question["root"])
    inside = []
    for entry in sys.path:
        real = os.path.realpath(entry or ".")
        if real == root or real.startswith(root + os.sep):
            inside.append(real)
    answer = {"found": found, "inside": inside, "path": [os.path.realpath(entry or ".") for entry in sys.path]}
    sys.stdout.write("\n" + MARK + json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
