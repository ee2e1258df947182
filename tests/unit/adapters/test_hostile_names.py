"""Names and quoted lines in reports are data: they show as text, whatever they spell."""

from __future__ import annotations

import json

from ragent_jupyter.adapters.figures import plotly_json
from ragent_jupyter.adapters.notebooks import report_cells
from ragent_jupyter.adapters.tables import markdown
from ragent_jupyter.domain.report import Curve, FigureSpec, ReportData, Sentence
from ragent_jupyter.rules.report import compose

EVIL = "<img src=http://x/y.png> $x$ [l](javascript:alert(1))\n# head &lt;b&gt; <a href='https://x'>go</a>"
ESCAPED = (
    r"\<img src=http://x/y.png\> \$x\$ \[l\](javascript:alert(1)) \# head "
    r"\&lt;b\&gt; \<a href='https://x'\>go\</a\>"
)


def test_a_sentence_that_quotes_a_log_is_text() -> None:
    assert markdown([Sentence("failure", EVIL)]) == f"### What failed and why\n\n- {ESCAPED}"


def test_a_figure_takes_no_tags_from_names() -> None:
    curve = Curve(name=EVIL, run="run_a", x=[1.0], y=[1.0], low=[], high=[], nonfinite=[2.0])
    told = json.dumps(plotly_json(FigureSpec(title=EVIL, x_title="step", y_title=EVIL, curves=[curve])))
    assert "<" not in told and "&lt;img" in told


def test_a_report_s_title_is_text() -> None:
    data = ReportData(runs=[], alerts=[], series=[], primary="loss", title=EVIL)
    kind, source, _ = report_cells(compose(data), data)[0]
    assert (kind, source) == ("markdown", f"# {ESCAPED}")
