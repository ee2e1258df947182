"""A source by the name of its format."""

from __future__ import annotations

from typing import Any

from .protocol import Source


def make_source(format: str, path: str, id: str, state: dict[str, Any] | None = None) -> Source:
    """Open a source where `state` left it. Raises ValueError for a format that there is none for."""
    if format == "metrics_jsonl":
        from .metrics_jsonl import MetricsJsonl

        return MetricsJsonl(path, state, id=id)
    if format == "stdout":
        from .stdout import Stdout

        return Stdout(path, state, id=id)
    raise ValueError(f"no source reads the format {format!r}")
