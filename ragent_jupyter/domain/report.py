"""A report: what was recorded (ReportData), and what code concludes from it (Report). Nothing else goes in."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from .alert import Alert
from .metrics import Series
from .run import Run
from .sweep import Sweep


class ReportData(Struct, frozen=True, kw_only=True):
    """Everything a report is computed from, as recorded. GET reports/data gives it; the same data, the same report.

    series: of the primary metric and its companions, at most 1,000 points each, for every run.
    environment: versions and the machine, as name -> text.
    """

    runs: list[Run]
    alerts: list[Alert]
    series: list[Series]
    primary: str
    mode: Literal["min", "max"] = "min"
    sweep: Sweep | None = None
    environment: dict[str, str] = {}
    project: str = ""
    title: str = ""


class Sentence(Struct, frozen=True):
    """One claim. kind: which paragraph it belongs to.  runs: the ids it rests on."""

    kind: Literal["result", "spread", "parameter", "failure", "alert", "caution", "nothing"]
    text: str
    runs: list[str] = []


class Table(Struct, frozen=True):
    """columns and rows of plain values (None is "no data"). align: "l" or "r" for each column."""

    title: str
    columns: list[str]
    rows: list[list[Any]]
    align: list[Literal["l", "r"]] = []


class Curve(Struct, frozen=True, kw_only=True):
    """One line of a figure: what is drawn is what was recorded. flags: x of alerts; nonfinite: x of NaN and Inf.

    group: curves of one group share a colour and one place in the legend, under the group's name.  labels: what each
    point is, for who points at it.
    """

    name: str
    run: str
    x: list[float]
    y: list[float | None]
    low: list[float | None] = []
    high: list[float | None] = []
    best: bool = False
    nonfinite: list[float] = []
    flags: list[float] = []
    group: str = ""
    style: Literal["line", "dashed", "dots"] = "line"
    labels: list[str] = []


class FigureSpec(Struct, frozen=True, kw_only=True):
    """A figure before any library draws it."""

    title: str
    x_title: str
    y_title: str
    curves: list[Curve]
    kind: Literal["lines", "bars", "dots"] = "lines"
    log_y: bool = False


class Effect(Struct, frozen=True, kw_only=True):
    """How much of the variation (of ranks) in the primary metric one parameter explains: 0 to 1.

    p: of a permutation test, how often chance explains as much.  n: trials it rests on.
    """

    parameter: str
    share: float
    p: float
    n: int
    best_value: Any = None


class Report(Struct, frozen=True, kw_only=True):
    title: str
    sentences: list[Sentence]
    trials: Table
    figures: list[FigureSpec]
    effects: list[Effect]
    alerts: Table
    failures: Table
    environment: Table
    best_run: str | None = None
    confirmed: bool = False
