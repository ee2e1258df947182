"""The single real logs as rows, read ad hoc: what is tested with them is the rules, not the product's readers."""

from __future__ import annotations

import csv
import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path

from ragent_jupyter.domain.metrics import Row

T0 = 1.7e9  # unix seconds; logs without times get one second a row


def _table(path: Path, step: str | None) -> list[Row]:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    rows = []
    for number, cells in enumerate(csv.DictReader(lines)):
        values = {name: float(cell) for name, cell in cells.items() if cell and name != step}
        at = int(float(cells[step])) if step else None
        rows.append(Row(at, T0 + number, values, number))
    return rows


def criteo(path: Path) -> list[Row]:
    return _table(path / "algoperf-criteo-nan.csv", "global_step")


def ogbg(path: Path) -> list[Row]:
    return _table(path / "algoperf-ogbg-overfit.csv", "global_step")


def wmt(path: Path) -> list[Row]:
    return _table(path / "algoperf-wmt-healthy.csv", "global_step")


def sb3(path: Path) -> list[Row]:
    return _table(path / "sb3-td3-walker-monitor.csv", None)


def torchtitan(path: Path) -> list[Row]:
    pairs = [line.split() for line in (path / "torchtitan-llama3-losses.txt").read_text().splitlines()]
    return [Row(int(p[0]), T0 + n, {"loss": float(p[1])}, n) for n, p in enumerate(pairs) if len(p) == 2]


def llmc(path: Path) -> list[Row]:
    rows = []
    for number, line in enumerate((path / "llmc-gpt2-124M-main.log").read_text().splitlines()):
        pairs = dict(re.findall(r"(\w+):(\S+)", line))
        step = int(pairs.pop("s"))
        rows.append(Row(step, T0 + number, {name: float(value) for name, value in pairs.items()}, number))
    return rows


def huggingface(path: Path) -> list[Row]:
    rows = []
    for number, entry in enumerate(json.loads((path / "hf-trainer_state.json").read_text())["log_history"]):
        step = entry.pop("step")
        values = {name: float(value) for name, value in entry.items() if isinstance(value, (int, float))}
        rows.append(Row(step, T0 + number, values, number))
    return rows


def _fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """The fields of a protobuf message, as numbers or bytes."""

    def varint(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            byte = data[at]
            value |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if byte < 128:
                return value, at

    at = 0
    while at < len(data):
        key, at = varint(at)
        kind = key & 7
        if kind == 0:
            value, at = varint(at)
            yield key >> 3, value
            continue
        size = {1: 8, 5: 4}.get(kind)
        if size is None:
            size, at = varint(at)
        yield key >> 3, data[at : at + size]
        at += size


def events(path: Path) -> list[Row]:
    """Scalars of a TensorBoard event file: rows of one step and moment together."""
    data = path.read_bytes()
    at, found = 0, []
    while at + 12 <= len(data):
        (size,) = struct.unpack("<Q", data[at : at + 8])
        event = dict(_fields(data[at + 12 : at + 12 + size]))
        wall, step, summary = event.get(1), event.get(2, 0), event.get(5)
        if isinstance(summary, bytes) and isinstance(wall, bytes):
            for _, value in _fields(summary):
                parts = dict(_fields(value)) if isinstance(value, bytes) else {}
                name, number = parts.get(1), parts.get(2)
                tensor = parts.get(8)
                if number is None and isinstance(tensor, bytes):
                    number = next((v for k, v in _fields(tensor) if k in (4, 5)), None)
                if isinstance(name, bytes) and isinstance(number, bytes) and len(number) in (4, 8):
                    form = "<f" if len(number) == 4 else "<d"
                    scalar = struct.unpack(form, number)[0]
                    found.append(Row(int(step), struct.unpack("<d", wall)[0], {name.decode(): scalar}, at))  # type: ignore[arg-type]
        at += 16 + size
    return found


def deepspeech(path: Path) -> list[Row]:
    return events(path / "events.out.tfevents.algoperf-deepspeech-nan")


def vit(path: Path) -> list[Row]:
    return events(path / "events.out.tfevents.algoperf-vit-healthy")


LOGS = {
    "criteo-nan": criteo, "deepspeech-nan": deepspeech, "ogbg-overfit": ogbg, "wmt": wmt, "vit": vit, "llmc": llmc,
    "torchtitan": torchtitan, "hf": huggingface, "sb3": sb3,
}  # fmt: skip
