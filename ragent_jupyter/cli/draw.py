"""Curves in a terminal: braille dots in colour, letters where there is no colour or no Unicode. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

# Bit of each dot in a braille cell, by (column, row).
_DOT = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
LETTERS = "abcdefghijklmnopqrstuvwxyz"
# Told apart by people who see colours otherwise, and on light and dark grounds: the terminal's own palette of 256.
COLOURS = ("38;5;33", "38;5;208", "38;5;35", "38;5;169", "38;5;178", "38;5;75", "38;5;137", "38;5;245")


class Curve(NamedTuple):
    """x, y: equally long; y is None where there is a gap. nonfinite: x of NaNs and infinities."""

    x: Sequence[float]
    y: Sequence[float | None]
    nonfinite: Sequence[float] = ()


def plot(curves: Sequence[Curve], *, width: int, height: int, log: bool = False, braille: bool, colour: bool) -> str:
    """The curves in `height` lines of `width` characters, axes and labels included; "" where nothing is finite.

    log: logarithmic y; what is not above 0 is left out.
    """

    def up(value: float) -> float:
        return math.log10(value) if log else value

    points = [
        [(x, up(y)) if y is not None and math.isfinite(y) and (y > 0 or not log) else None
         for x, y in zip(curve.x, curve.y, strict=True)]
        for curve in curves
    ]  # fmt: skip
    known = [point for curve in points for point in curve if point is not None]
    if not known:
        return ""
    xs = [x for x, _ in known] + [x for curve in curves for x in curve.nonfinite]
    x0, x1 = min(xs), max(xs)
    y0, y1 = min(y for _, y in known), max(y for _, y in known)
    if y0 == y1:
        margin = abs(y0) * 0.1 or 1.0
        y0, y1 = y0 - margin, y1 + margin
    rows = max(3, height - 2)
    labels = {row: _label(y1 - (y1 - y0) * row / (rows - 1), log) for row in sorted({0, rows // 2, rows - 1})}
    gutter = max(map(len, labels.values()))
    columns = max(8, width - gutter - 2)
    canvas = _Canvas(columns, rows, braille and colour)
    sx = (canvas.dots_x - 1) / ((x1 - x0) or 1.0)
    sy = (canvas.dots_y - 1) / (y1 - y0)
    for number, dots in enumerate(points):
        last: tuple[int, int] | None = None
        for point in dots:
            if point is None:
                last = None
                continue
            here = round((point[0] - x0) * sx), round((y1 - point[1]) * sy)
            canvas.line(last or here, here, number)
            last = here
    lines = [f"{labels.get(row, ''):>{gutter}} │{canvas.row(row, colour)}" for row in range(rows)]
    axis = ["─"] * columns
    cells = (columns - 1) / ((x1 - x0) or 1.0)
    for number, curve in enumerate(curves):
        for x in curve.nonfinite:
            axis[round((x - x0) * cells)] = _paint("×", COLOURS[number % len(COLOURS)], colour)
    left, right = _plain(x0), _plain(x1)
    lines.append(" " * gutter + " └" + "".join(axis))
    lines.append(" " * (gutter + 2) + left + right.rjust(max(1, columns - len(left))))
    return "\n".join(lines)


class _Canvas:
    def __init__(self, columns: int, rows: int, braille: bool) -> None:
        self.braille = braille
        self.columns = columns
        self.dots_x = columns * (2 if braille else 1)
        self.dots_y = rows * (4 if braille else 1)
        self.cells: dict[tuple[int, int], tuple[int, int]] = {}  # (row, column) -> (bits, curve)

    def line(self, a: tuple[int, int], b: tuple[int, int], number: int) -> None:
        steps = max(abs(b[0] - a[0]), abs(b[1] - a[1]), 1)
        for i in range(steps + 1):
            x = a[0] + round((b[0] - a[0]) * i / steps)
            y = a[1] + round((b[1] - a[1]) * i / steps)
            if self.braille:
                place = y // 4, x // 2
                bits = self.cells.get(place, (0, 0))[0] | _DOT[x % 2][y % 4]
            else:
                place, bits = (y, x), 0
            self.cells[place] = bits, number

    def row(self, row: int, colour: bool) -> str:
        text = ""
        for column in range(self.columns):
            if (row, column) not in self.cells:
                text += " "
                continue
            bits, number = self.cells[row, column]
            mark = chr(0x2800 + bits) if self.braille else LETTERS[number % 26]
            text += _paint(mark, COLOURS[number % len(COLOURS)], colour)
        return text.rstrip() if not colour else text


def _paint(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text


def _label(value: float, log: bool) -> str:
    return f"{10**value if log else value:.4g}"


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e12 else f"{value:.4g}"
