"""Short words about variables, asked of a kernel as expressions: they change nothing and never bring whole frames."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any

from ragent_jupyter.domain.errors import BadInput, CannotBeDone

MAX_NAMES = 50
_NAME = re.compile(r"[^\W\d]\w*")
# One expression, no statement: it leaves no name behind in the user's kernel. What has a shape is told by its shape,
# for the repr of a frame or a tensor may be huge, or slow, or wait for a GPU.
_ASK = (
    "(lambda v: ' · '.join(str(p) for p in ("
    "type(v).__module__.replace('builtins', '') + '.' * (type(v).__module__ != 'builtins') + type(v).__qualname__,"
    " 'shape ' + str(tuple(v.shape)) if hasattr(type(v), 'shape') else '',"
    " 'dtype ' + str(v.dtype) if hasattr(type(v), 'dtype') else '',"
    " 'columns ' + ', '.join(f'{{c}}: {{t}}' for c, t in list(v.dtypes.items())[:20])"
    " if hasattr(type(v), 'dtypes') and hasattr(type(v), 'columns') else '',"
    " 'len ' + str(len(v)) if hasattr(type(v), '__len__') and not hasattr(type(v), 'shape') else '',"
    " '' if getattr(v, 'shape', ()) != () else __import__('reprlib').repr(v)[:200]"
    ") if p)[:600])({name})"
)


def expressions(names: Sequence[str]) -> dict[str, str]:
    """What to ask for each name. Raises BadInput for what is no plain name: an expression could do anything."""
    if len(names) > MAX_NAMES:
        raise BadInput(f"{len(names)} names at once.", f"Ask for at most {MAX_NAMES}.")
    for name in names:
        if not _NAME.fullmatch(name) or len(name) > 200:
            raise BadInput(f"{name[:60]!r} is not the name of a variable.", "Give plain names.")
    return {name: _ASK.format(name=name) for name in names}


def read_back(answers: dict[str, Any]) -> dict[str, str]:
    """The kernel's user_expressions as words."""
    told: dict[str, str] = {}
    for name, answer in answers.items():
        if not isinstance(answer, dict) or answer.get("status") != "ok":
            ename = str((answer or {}).get("ename", "")) if isinstance(answer, dict) else ""
            told[name] = "not defined" if ename == "NameError" else f"cannot be told ({ename[:60] or 'no answer'})"
            continue
        text = str((answer.get("data") or {}).get("text/plain", ""))
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            value = text
        told[name] = str(value)[:600]
    return told


def needs_python(language: str) -> None:
    if language and not language.lower().startswith(("python", "ipython")):
        raise CannotBeDone(f"Variables of a {language} kernel cannot be summarised yet.", "Print them in a cell.")
