"""Tables of labels and of predictions, and how far they agree. Pure; no error of it repeats a label."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from ragent_jupyter.domain.errors import BadInput, CannotBeDone

SCORES = ("accuracy", "log_loss", "mse", "mae")
MOST_ROWS = 10_000_000
_LABELS = ("label", "labels", "target", "y", "class")
_PREDICTED = ("prediction", "predictions", "predicted", "pred", "y_pred", *_LABELS)
_BESIDE = ("id", "index", "row", "")
_LEAST = 1e-15  # a probability of 0 for what was true costs -log of this


class Table(Struct, frozen=True):
    """header: [] where the file has none.  rows: as they stand, all of the same width."""

    header: list[str]
    rows: list[list[str]]


def mode_of(score: str) -> Literal["min", "max"]:
    """Raises BadInput for a score that is not known."""
    if score not in SCORES:
        raise BadInput(f"{score[:40]!r} is no score of a hold-out.", f"Choose one of: {', '.join(SCORES)}.")
    return "max" if score == "accuracy" else "min"


def table(text: str, what: str) -> Table:
    """A CSV file, or one value a line. Raises BadInput where rows differ in width or there are none.

    A first row is a header if one of its cells is a known name or none of it is a number while the next row has one.
    """
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text)) if any(c.strip() for c in row)]
    except csv.Error as error:
        raise BadInput(f"The {what} are no table: {error}.", "Write a CSV file, or one value a line.") from None
    if not rows:
        raise BadInput(f"The {what} are empty.", "Write a CSV file, or one value a line.")
    if len(rows) > MOST_ROWS:
        raise BadInput(f"The {what} have more than {MOST_ROWS:,} rows.", "Take a part of them.")
    first = [cell.lower() for cell in rows[0]]
    known = {*_LABELS, *_PREDICTED, *_BESIDE} - {""}
    numbers = len(rows) > 1 and not any(_is_number(c) for c in rows[0]) and any(_is_number(c) for c in rows[1])
    header, body = (rows[0], rows[1:]) if known & set(first) or numbers else ([], rows)
    width = len(rows[0])
    odd = next((i for i, row in enumerate(body) if len(row) != width), None)
    if odd is not None:
        raise BadInput(f"Row {odd + 1} of the {what} has {len(body[odd])} cells, not {width}.", "Mend that row.")
    if not body:
        raise BadInput(f"The {what} have a header and no rows.", "Write one row an example.")
    return Table(header, body)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def column(found: Table, names: Sequence[str], what: str) -> list[str]:
    """The one column that is meant: by its name, or the only one beside an id. Raises BadInput."""
    lower = [name.lower() for name in found.header]
    place = next((lower.index(name) for name in names if name in lower), None)
    if place is None:
        left = [i for i in range(len(found.rows[0])) if not lower or lower[i] not in _BESIDE]
        if len(left) != 1:
            raise BadInput(
                f"The {what} have {len(left)} columns, and none is called {names[0]!r}.",
                f"Name the column {names[0]!r} in the first row.",
            )
        place = left[0]
    return [row[place] for row in found.rows]


def labels_of(text: str) -> list[str]:
    found = column(table(text, "labels"), _LABELS, "labels")
    if any(not cell for cell in found):
        raise BadInput("A label is empty.", "Give each row a label.")
    return found


def scored(score: str, labels: Sequence[str], predictions: Table) -> float:
    """How far the predictions agree with the labels, row by row. Raises CannotBeDone with the reason, without a label.

    accuracy: share of equal labels.  log_loss: mean of -log p of what was true, in nats; columns are probabilities of
    the classes, named by the header or in the sorted order of the labels; one column: of the second of two classes.
    mse, mae: mean squared and absolute error.
    """
    if len(predictions.rows) != len(labels):
        raise CannotBeDone(
            f"There are {len(predictions.rows):,} predictions for {len(labels):,} hold-out rows.",
            "Write one prediction for each row, in its order.",
        )
    if score == "log_loss":
        return _log_loss(labels, predictions)
    try:
        cells = column(predictions, _PREDICTED, "predictions")
    except BadInput as error:
        raise CannotBeDone(error.problem, error.remedy) from None
    if score == "accuracy":
        return sum(_plain(a) == _plain(b) for a, b in zip(labels, cells, strict=True)) / len(labels)
    truth, said = _numbers(labels, "hold-out"), _numbers(cells, "predictions")
    try:
        errors = [a - b for a, b in zip(truth, said, strict=True)]
        total = math.fsum(e * e for e in errors) if score == "mse" else math.fsum(abs(e) for e in errors)
    except OverflowError:
        total = math.inf
    if not math.isfinite(total):
        raise CannotBeDone("The predictions are so far off that their error has no number.", "Look at their scale.")
    return total / len(labels)


def _plain(cell: str) -> str:
    """1, 1.0 and " 1" are one label."""
    try:
        number = float(cell)
    except ValueError:
        return cell
    return repr(int(number)) if math.isfinite(number) and number.is_integer() else repr(number)


def _numbers(cells: Sequence[str], what: str) -> list[float]:
    found = []
    for row, cell in enumerate(cells):
        try:
            number = float(cell)
        except ValueError:
            raise CannotBeDone(f"Row {row + 1} of the {what} is no number.", "This score compares numbers.") from None
        if not math.isfinite(number):
            raise CannotBeDone(f"Row {row + 1} of the {what} is not finite.", "NaN cannot be scored.")
        found.append(number)
    return found


def _log_loss(labels: Sequence[str], predictions: Table) -> float:
    plain = [_plain(label) for label in labels]
    header = [_plain(name) for name in predictions.header]
    keep = [i for i in range(len(predictions.rows[0])) if not header or header[i].lower() not in _BESIDE]
    rows = [[row[i] for i in keep] for row in predictions.rows]
    names = [header[i] for i in keep] if header else []
    known = sorted(set(plain), key=lambda name: (not _is_number(name), float(name) if _is_number(name) else 0, name))
    columns = _classes(known, names, len(keep))
    total: list[float] = []
    for number, (label, row) in enumerate(zip(plain, rows, strict=True)):
        shares = _numbers(row, "predictions")
        if any(not -1e-6 <= p <= 1 + 1e-6 for p in shares) or (len(shares) > 1 and abs(sum(shares) - 1) > 1e-2):
            raise CannotBeDone(f"Row {number + 1} of the predictions is no distribution.", "Write probabilities.")
        if len(shares) == 1:
            shares = [1.0 - shares[0], shares[0]]
        place = columns.get(label)
        total.append(-math.log(max(_LEAST, min(1.0, shares[place]))) if place is not None else -math.log(_LEAST))
    return math.fsum(total) / len(total)


def _classes(known: Sequence[str], names: Sequence[str], width: int) -> dict[str, int]:
    """Which column is which class."""
    if width > 1 and names and set(known) <= set(names):
        return {name: i for i, name in enumerate(names)}
    if all(_is_number(k) and float(k).is_integer() and 0 <= float(k) < max(2, width) for k in known):
        return {k: int(float(k)) for k in known}
    if len(known) != max(2, width):
        raise CannotBeDone(
            f"The predictions have {width} columns of probabilities for {len(known)} classes.",
            "Write a column for each class, with its name in the first row.",
        )
    return {name: i for i, name in enumerate(known)}
