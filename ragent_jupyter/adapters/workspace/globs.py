"""Globs on relative paths: `*` stays in one folder, `**` crosses them. No pattern makes it slow."""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import translate

from ragent_jupyter.domain.errors import BadInput

_MOST = 300


def globber(glob: str) -> Callable[[str], bool]:
    """A test of paths. A glob without `/` looks at the last name alone; "" takes all. Raises BadInput.

    >>> takes = globber("src/**/*.py")
    >>> takes("src/a.py"), takes("src/x/y/a.py"), takes("a.py")
    (True, True, False)
    """
    if len(glob) > _MOST or "\0" in glob:
        raise BadInput("The glob is too long.", "Use a short one, such as '*.py' or 'src/**'.")
    if not glob:
        return lambda path: True
    if "/" not in glob and glob != "**":
        last = _name(glob)
        return lambda path: last.match(path.rsplit("/", 1)[-1]) is not None
    steps = [None if step == "**" else _name(step) for step in glob.strip("/").split("/") if step not in ("", ".")]
    return lambda path: _walk(steps, path.split("/"))


def _name(glob: str) -> re.Pattern[str]:
    # fnmatch's own translation does not backtrack between its stars.
    return re.compile(translate(glob))


def _walk(steps: list[re.Pattern[str] | None], names: list[str]) -> bool:
    """Which steps may come next, after each name; a `**` keeps its place and lets the next one begin."""

    def opened(places: set[int]) -> set[int]:
        found = set(places)
        for at in sorted(places):
            while at < len(steps) and steps[at] is None:
                at += 1
                found.add(at)
        return found

    now = opened({0})
    for name in names:
        after = set()
        for at in now:
            if at == len(steps):
                continue
            step = steps[at]
            if step is None:
                after.add(at)
            elif step.match(name):
                after.add(at + 1)
        now = opened(after)
        if not now:
            return False
    # `src/**` means what lies in src, and `src` alone is not in it; a trailing `**` has then eaten a name.
    return len(steps) in now
