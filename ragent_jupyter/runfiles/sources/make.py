"""A source by the name of its format. Only the formats that a run has are imported: a sidecar is to stay small."""

from __future__ import annotations

from typing import Any

from .protocol import Source


def make_source(format: str, path: str, id: str, state: dict[str, Any] | None = None, **options: Any) -> Source:
    """Open a source where `state` left it. options: as its class takes them.

    Raises ValueError for a format that no class reads.
    """
    if format == "metrics_jsonl":
        from .metrics_jsonl import MetricsJsonl

        return MetricsJsonl(path, state, id=id, **options)
    if format == "stdout":
        from .stdout import Stdout

        return Stdout(path, state, id=id, **options)
    if format == "tensorboard":
        from .tensorboard import EventFile

        return EventFile(path, state, id=id, **options)
    if format == "csv":
        from .csv_file import CsvFile

        return CsvFile(path, state, id=id, **options)
    if format == "hf_state":
        from .hf_state import HfState

        return HfState(path, state, id=id, **options)
    if format == "pairs":
        from .pairs import Pairs

        return Pairs(path, state, id=id, **options)
    raise ValueError(f"no source reads the format {format!r}")
