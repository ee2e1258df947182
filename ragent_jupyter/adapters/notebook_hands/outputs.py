"""Outputs as text that a model can read: short, no escape codes, and never an image's bytes.

The tab does the same in labextension/src/notebooks/outputs.ts; tests/golden/notebook_outputs.json holds both to it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

MAX_OUTPUT = 4_000  # characters of one output
MAX_OUTPUTS = 30
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]"
)
_TEXT = ("text/markdown", "text/latex", "application/json", "text/plain")


def plain(text: str) -> str:
    """Without terminal escapes and control characters.

    >>> plain("\\x1b[31mred\\x1b[0m")
    'red'
    """
    return _ESCAPES.sub("", text)


def cut(text: str, limit: int = MAX_OUTPUT) -> str:
    """Head and tail of a long text: an error's last lines say most.

    >>> cut("a" * 10 + "b" * 10, 10)
    'aaa\\n[… 10 characters …]\\nbbbbbbb'
    """
    if len(text) <= limit:
        return text
    head = limit // 3
    return f"{text[:head]}\n[… {len(text) - limit} characters …]\n{text[len(text) - (limit - head) :]}"


def _joined(value: Any) -> str:
    if isinstance(value, list):
        return "".join(map(str, value))
    return value if isinstance(value, str) else ""


def _size(data: str) -> str:
    """Of base64 text, as a person says it. Decimal kB, at least 1."""
    return f"{max(1, round(len(data) * 3 / 4 / 1000))} kB"


def digest(output: dict[str, Any]) -> str:
    """One output of a cell. Its richest readable form, and a name for each picture in it."""
    kind = output.get("output_type")
    if kind == "stream":
        return cut(plain(_joined(output.get("text"))))
    if kind == "error":
        trace = "\n".join(map(str, output.get("traceback") or []))
        said = f"{output.get('ename', '')}: {output.get('evalue', '')}"
        return cut(plain(trace if trace.strip() else said))
    data = output.get("data") or {}
    told = [f"[{mime}, {_size(_joined(data[mime]))}]" for mime in sorted(data) if mime.startswith("image/")]
    if "application/vnd.jupyter.widget-view+json" in data:
        told.append("[a widget]")
    for mime in _TEXT:
        if _joined(data.get(mime)):
            told.append(cut(plain(_joined(data[mime]))))
            break
    else:
        told += [f"[{mime}]" for mime in sorted(data) if not mime.startswith("image/") and "widget-view" not in mime]
    return "\n".join(told)


def digests(outputs: Sequence[dict[str, Any]]) -> list[str]:
    """All outputs of a cell, the first and the last of very many."""
    if len(outputs) > MAX_OUTPUTS:
        head = [digest(o) for o in outputs[: MAX_OUTPUTS // 3]]
        tail = [digest(o) for o in outputs[len(outputs) - (MAX_OUTPUTS - MAX_OUTPUTS // 3) :]]
        return [*head, f"[… {len(outputs) - MAX_OUTPUTS} outputs …]", *tail]
    return [text for text in map(digest, outputs) if text]
