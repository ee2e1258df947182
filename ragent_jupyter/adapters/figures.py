"""Drawing: a FigureSpec as plotly's JSON, as an SVG from the same numbers, and as text. No kaleido, no FigureWidget.

The plotly bundle is plain JSON, so nothing here imports plotly; `figure()` does, for whoever wants the object.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from msgspec import structs

from ragent_jupyter.domain.metrics import Series
from ragent_jupyter.domain.report import Curve, FigureSpec

# Okabe and Ito's colours, which colour-blind eyes tell apart, and two greys' worth of room.
COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1", "#A6761D", "#1B9E9E", "#666666",
)  # fmt: skip
PLOTLY = "application/vnd.plotly.v1+json"
_BAD = "#C62828"


def colour_of(run: str, order: Sequence[str]) -> str:
    """A run's colour: stable for its place among `order`."""
    return COLOURS[(order.index(run) if run in order else 0) % len(COLOURS)]


def of_series(series: Sequence[Series], names: Mapping[str, str], title: str, x: str = "step") -> FigureSpec:
    """Series as the chart API gives them, as a figure. names: run id -> what a person calls it."""
    curves = [
        Curve(
            name=names.get(s.run, s.run) + ("" if len({o.name for o in series}) == 1 else f" {s.name}"),
            run=s.run,
            x=s.x,
            y=s.last,
            low=s.min,
            high=s.max,
            nonfinite=s.nonfinite,
        )
        for s in series
    ]
    unit = {"step": "step", "time": "time (unix s)", "relative": "seconds since the run's first point"}[x]
    return FigureSpec(title=title, x_title=unit, y_title=title, curves=curves)


def _group(curve: Curve) -> str:
    return curve.group or curve.run


def _order(spec: FigureSpec) -> list[str]:
    """Who has a colour of their own, in the order in which they come."""
    return list(dict.fromkeys(map(_group, spec.curves)))


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _words(text: str) -> str:
    """A name as plotly shows it: it would take tags in there for its own, links too."""
    return escape(text, quote=False)


def plotly_json(spec: FigureSpec) -> dict[str, Any]:
    """The figure as plotly's JSON: {"data": traces, "layout": …}."""
    order = _order(spec)
    floor = min((v for c in spec.curves for v in map(_number, [*c.y, *c.low]) if v is not None), default=0.0)
    traces: list[dict[str, Any]] = []
    told: set[str] = set()
    for curve in spec.curves:
        colour = colour_of(_group(curve), order)
        if curve.low and curve.high:
            traces.append(_band(curve, colour))
        trace: dict[str, Any] = {
            "type": "scatter",
            "mode": "lines" if len(curve.x) > 1 and curve.style != "dots" else "markers",
            "name": _words(curve.name) + (" (best)" if curve.best and not curve.group else ""),
            "legendgroup": _group(curve),
            "x": list(curve.x),
            "y": [_number(v) for v in curve.y],
            "connectgaps": False,
            "line": {"color": colour, "width": 3 if curve.best and not curve.group else 1.5},
        }
        if curve.style == "dots":
            trace["marker"] = {"color": colour, "size": 7}
        elif curve.style == "dashed":
            trace["line"]["dash"] = "dash"
        if curve.labels:
            trace["text"] = [_words(label) for label in curve.labels]
        if curve.group:
            trace["showlegend"] = False
            if curve.group not in told:
                # One line of the legend for all of them, under their common name; a curve says its own where one
                # points at it.
                told.add(curve.group)
                key = {**trace, "name": _words(curve.group), "x": [None], "y": [None], "showlegend": True}
                traces.append({**key, "hoverinfo": "skip"})
        if curve.x:
            traces.append(trace)
        for marks, symbol, what in ((curve.nonfinite, "x", "NaN or Inf"), (curve.flags, "triangle-down", "alert")):
            if marks:
                traces.append(_marks(curve, marks, symbol, what, colour, floor))
    layout = {
        "title": {"text": _words(spec.title)},
        "xaxis": {"title": {"text": _words(spec.x_title)}},
        "yaxis": {"title": {"text": _words(spec.y_title)}, "type": "log" if spec.log_y else "linear"},
        "template": {},
        "margin": {"l": 60, "r": 20, "t": 40, "b": 50},
        "hovermode": "x unified",
        "height": 360,
    }
    if not spec.curves:
        layout["annotations"] = [
            {"text": "no data", "xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5, "showarrow": False}
        ]
    return {"data": traces, "layout": layout}


def _band(curve: Curve, colour: str) -> dict[str, Any]:
    """The range between a bucket's smallest and largest value, faint behind the line: no spike is smoothed away."""
    low, high = [_number(v) for v in curve.low], [_number(v) for v in curve.high]
    keep = [i for i in range(len(curve.x)) if low[i] is not None and high[i] is not None]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [curve.x[i] for i in keep] + [curve.x[i] for i in reversed(keep)],
        "y": [high[i] for i in keep] + [low[i] for i in reversed(keep)],
        "fill": "toself",
        "fillcolor": colour + "22",
        "line": {"width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
        "legendgroup": _group(curve),
    }


def _marks(curve: Curve, xs: Sequence[float], symbol: str, what: str, colour: str, floor: float) -> dict[str, Any]:
    """Marks on a curve: what has no height stands at the bottom of the figure, an alert on the last finite value."""
    finite = [(x, v) for x, v in zip(curve.x, curve.y, strict=True) if _number(v) is not None]

    def height(x: float) -> float:
        before = [v for at, v in finite if at <= x and v is not None]
        return before[-1] if before and symbol != "x" else floor

    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"{_words(curve.name)}: {what} ({len(xs)})",
        "legendgroup": curve.run,
        "x": list(xs),
        "y": [height(x) for x in xs],
        "marker": {"symbol": symbol, "size": 9, "color": _BAD if symbol == "x" else colour},
    }


# --- SVG -------------------------------------------------------------------------------------------------------------
_W, _H, _L, _R, _T, _B = 720, 320, 64, 16, 32, 44


def _ticks(low: float, high: float, n: int = 5) -> list[float]:
    """At most n round numbers within low..high.

    >>> _ticks(0.0, 1.0)
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    if high <= low:
        return [low]
    rough = (high - low) / (n - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round((first + i) * step, 12) for i in range(n + 1) if (first + i) * step <= high + step * 1e-9]


def svg(spec: FigureSpec) -> str:
    """The figure as an SVG picture of the same numbers; what it cannot draw it says in words."""
    order = _order(spec)
    ys = [v for c in spec.curves for part in (c.y, c.low, c.high) for v in map(_number, part) if v is not None]
    if spec.log_y:
        ys = [v for v in ys if v > 0]
    xs = [x for c in spec.curves for x in [*c.x, *c.nonfinite]]
    tall = _H + (10 + 14 * ((min(len(order), 12) + 1) // 2) if _below(spec) else 0)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_W} {tall}" width="{_W}" role="img" '
        f'aria-label="{escape(spec.title)}" font-family="sans-serif" font-size="11" fill="#555">',
        f'<rect width="{_W}" height="{tall}" fill="#fff"/>',
        f'<text x="{_L}" y="18" font-size="13" fill="#222">{escape(spec.title)}</text>',
    ]
    if not xs or not ys:
        out.append(f'<text x="{_W / 2}" y="{_H / 2}" text-anchor="middle">no data</text></svg>')
        return "".join(out)
    scale = (lambda v: math.log10(v)) if spec.log_y else (lambda v: v)
    x0, x1 = min(xs), max(xs)
    y0, y1 = scale(min(ys)), scale(max(ys))
    y0, y1 = (y0, y1) if y1 > y0 else (y0 - 0.5, y1 + 0.5)

    def px(x: float) -> float:
        return _L + (x - x0) / ((x1 - x0) or 1.0) * (_W - _L - _R)

    def py(y: float) -> float:
        return _H - _B - (scale(y) - y0) / (y1 - y0) * (_H - _T - _B)

    for tick in _ticks(x0, x1):
        out.append(f'<text x="{px(tick):.1f}" y="{_H - _B + 16}" text-anchor="middle">{tick:g}</text>')
    for tick in _ticks(y0, y1):
        value = 10**tick if spec.log_y else tick
        out.append(f'<path d="M{_L} {py(value):.1f}H{_W - _R}" stroke="#eee"/>')
        out.append(f'<text x="{_L - 6}" y="{py(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    out.append(f'<text x="{(_L + _W - _R) / 2}" y="{_H - 8}" text-anchor="middle">{escape(spec.x_title)}</text>')
    for curve in spec.curves:
        colour = colour_of(_group(curve), order)
        out += _shade(curve, px, py, spec.log_y, colour)
        if curve.style == "dots":
            out += _dots(curve, px, py, spec.log_y, colour)
        else:
            wide = 2.5 if curve.best and not curve.group else 1.2
            dash = ' stroke-dasharray="5 4"' if curve.style == "dashed" else ""
            out.append(
                f'<path d="{_path(curve, px, py, spec.log_y)}" fill="none" stroke="{colour}" '
                f'stroke-width="{wide}"{dash}><title>{escape(curve.name)}</title></path>'
            )
        for x in curve.nonfinite[:200]:
            out.append(f'<path d="M{px(x):.1f} {_H - _B}v-8" stroke="{_BAD}" stroke-width="1.5"/>')
    out += _legend(spec, order)
    return "".join(out) + "</svg>"


def _below(spec: FigureSpec) -> bool:
    """Whether the legend stands under the figure: dots lie anywhere, so there is no free corner."""
    return spec.kind == "dots" or any(curve.group for curve in spec.curves)


def _legend(spec: FigureSpec, order: Sequence[str]) -> list[str]:
    first = {_group(curve): curve for curve in reversed(spec.curves)}
    out = []
    for i, group in enumerate(order[:12]):
        curve = first[group]
        name = curve.group or curve.name + (" (best)" if curve.best and spec.kind != "dots" else "")
        colour = colour_of(group, order) if curve.x else _BAD
        if _below(spec):
            x, y, most = _L + (i % 2) * 330, _H + 10 + 14 * (i // 2), 50
        else:
            x, y, most = _W - 190, _T + 8 + 14 * i, 28
        out.append(f'<rect x="{x}" y="{y - 8}" width="10" height="3" fill="{colour}"/>')
        out.append(f'<text x="{x + 16}" y="{y - 3}">{escape(name[:most])}</text>')
    return out


def _shade(curve: Curve, px: Any, py: Any, log: bool, colour: str) -> list[str]:
    """The range behind a line, faint."""
    low, high = [_number(v) for v in curve.low], [_number(v) for v in curve.high]
    corners = [
        (x, a, b)
        for x, a, b in zip(curve.x, low, high, strict=False)
        if a is not None and b is not None and (a > 0 or not log)
    ]
    if len(corners) < 2:
        return []
    there = "L".join(f"{px(x):.1f} {py(b):.1f}" for x, _, b in corners)
    back = "L".join(f"{px(x):.1f} {py(a):.1f}" for x, a, _ in reversed(corners))
    return [f'<path d="M{there}L{back}Z" fill="{colour}" fill-opacity="0.13" stroke="none"/>']


def _dots(curve: Curve, px: Any, py: Any, log: bool, colour: str) -> list[str]:
    labels = curve.labels or [curve.name] * len(curve.x)
    out = []
    for x, y, label in zip(curve.x, curve.y, labels, strict=False):
        value = _number(y)
        if value is not None and (value > 0 or not log):
            out.append(
                f'<circle cx="{px(x):.1f}" cy="{py(value):.1f}" r="3" fill="{colour}">'
                f"<title>{escape(label)}: {value:.4g}</title></circle>"
            )
    return out


def _path(curve: Curve, px: Any, py: Any, log: bool) -> str:
    parts: list[str] = []
    pen = "M"
    for x, y in zip(curve.x, curve.y, strict=True):
        value = _number(y)
        if value is None or (log and value <= 0):
            pen = "M"  # a gap stays a gap
            continue
        parts.append(f"{pen}{px(x):.1f} {py(value):.1f}")
        pen = "L"
    return "".join(parts)


def text(spec: FigureSpec) -> str:
    """The figure in words, for screen readers and plain terminals."""
    lines = [f"{spec.title} by {spec.x_title}:"]
    for curve in spec.curves:
        values = [v for v in map(_number, curve.y) if v is not None]
        if not values:
            lines.append(f"  {curve.name}: no data")
            continue
        odd = f", {len(curve.nonfinite)} NaN or Inf" if curve.nonfinite else ""
        lines.append(
            f"  {curve.name}: first {values[0]:.4g}, last {values[-1]:.4g}, "
            f"min {min(values):.4g}, max {max(values):.4g}{odd}"
        )
    return "\n".join(lines if spec.curves else [*lines, "  no data"])


def bundle(spec: FigureSpec) -> dict[str, Any]:
    """The MIME bundle that a notebook keeps: complete without a kernel."""
    return {PLOTLY: plotly_json(spec), "image/svg+xml": svg(spec), "text/plain": text(spec)}


def figure(spec: FigureSpec) -> Any:
    """A plotly Figure of the spec."""
    import plotly.graph_objects as go

    return go.Figure(plotly_json(spec))


def series_figure(series: Sequence[Series], *, title: str, labels: Sequence[str], x: str = "step") -> Any:
    """A plotly Figure of series as the chart API gives them; labels: what to call each, shape (n,)."""
    spec = of_series(series, {}, title, x)
    named = [structs.replace(curve, name=label) for curve, label in zip(spec.curves, labels, strict=True)]
    return figure(structs.replace(spec, curves=named))
