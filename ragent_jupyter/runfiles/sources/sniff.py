"""Which format a file has, by its name and its first lines."""

from __future__ import annotations

import os
import re

from .csv_file import looks_like_metrics
from .metrics_jsonl import decode_line
from .pairs import looks_like_pairs

_HEAD = 1 << 16
_TEXT = re.compile(r"\.(?:log|txt|out|err|jsonl|ndjson|json|csv|tsv)$", re.IGNORECASE)


def sniff(path: str) -> str | None:
    """A key of `protocol.RANKS`; None for what is no metric file or cannot be read.

    A log that reports nothing is still "stdout": whether it says anything is found out by reading it.
    """
    name = os.path.basename(path)
    if not os.path.isfile(path):
        return None  # to open a pipe would wait for its writer
    if ".tfevents." in name:
        return "tensorboard"
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return None
    if not head or (b"\0" in head[:512] and head.lstrip(b"\0")[:1] != b"{"):
        return None
    lines = [line.strip() for line in head.decode("utf-8", "replace").split("\n")]
    if len(head) == _HEAD:
        lines.pop()  # torn by our own limit
    lines = [line for line in lines if line.strip("\0 \r\t")]
    if not lines:
        return None
    if name == "trainer_state.json" or (lines[0] == "{" and '"log_history"' in head.decode("utf-8", "replace")):
        return "hf_state"
    if name.endswith((".jsonl", ".ndjson")):
        return "metrics_jsonl"
    if name.endswith((".csv", ".tsv")):
        return "csv"
    if name.endswith((".json", ".ipynb")):
        return None
    if decode_line(lines[0].encode()) is not None:
        return "metrics_jsonl"
    if looks_like_pairs(lines[:50]):
        return "pairs"
    if looks_like_metrics(next((line for line in lines if not line.startswith("#")), "")):
        return "csv"
    return "stdout" if _TEXT.search(name) or "." not in name else None
