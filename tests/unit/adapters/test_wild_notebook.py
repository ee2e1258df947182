"""A loop's report as a file: valid, complete as it opens, and nothing in it can become anything but text."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import pytest
from msgspec.structs import replace

from ragent_jupyter.adapters import figures
from ragent_jupyter.adapters.wild_notebook import WildNotebooks, changes_bundle, lines_bundle
from ragent_jupyter.domain.report import Curve, FigureSpec
from ragent_jupyter.domain.wild_report import CodeChange, WildData
from ragent_jupyter.domain.wire_wild import Line
from ragent_jupyter.rules.wild_claims import as_metadata
from ragent_jupyter.rules.wild_report import compose
from tests.support.wild_made import Night, data_of, loop_of, night_with_gain

HOSTILE = "</td><script>alert(1)</script>[x](javascript:y) `````` *b* $z$"


def written(data: WildData, path: Path) -> nbformat.NotebookNode:
    report = compose(data)
    claims = {c.claim.id: as_metadata(c.claim) for c in report.claims}
    WildNotebooks().write(path, "reports/it's here.ipynb", report, data, claims)
    notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def outputs(notebook: nbformat.NotebookNode) -> dict[str, dict[str, Any]]:
    return {c["id"]: c.outputs[0]["data"] for c in notebook.cells if c.cell_type == "code" and c.outputs}


def test_it_is_valid_whole_and_the_answer_comes_first(tmp_path: Path) -> None:
    notebook = written(data_of(*night_with_gain()), tmp_path / "r.ipynb")
    ids = [cell["id"] for cell in notebook.cells]
    assert ids[:4] == ["title", "begin", "summary", "claims"] and len(set(ids)) == len(ids)
    shown = outputs(notebook)
    assert [c["id"] for c in notebook.cells if c.cell_type == "code" and c["id"] not in shown] == ["begin"]
    markdown = shown["summary"]["text/markdown"]
    assert markdown.index("### Real") < markdown.index("### Needs") < markdown.index("### Tried")
    for name in ("curves", "history"):
        assert set(shown[name]) == {"application/vnd.plotly.v1+json", "image/svg+xml", "text/plain"}
    assert "widgets" not in notebook.metadata and notebook.metadata.ragent.confirmed is True


def test_a_claims_cell_carries_what_reproducing_needs(tmp_path: Path) -> None:
    notebook = written(data_of(*night_with_gain()), tmp_path / "r.ipynb")
    (cell,) = [c for c in notebook.cells if c["id"] == "claim-1"]
    claim = cell.metadata.ragent.claim
    assert claim.runs == ["run_13", "run_14", "run_15", "run_16", "run_17"]
    assert claim.params == {"lr": 0.3, "wd": 0.01} and claim.seeds == [1000, 1001, 1002, 1003, 1004]
    assert claim.verdict == "confirmed" and len(claim["values"]) == 5 and claim.metric == "val_loss"
    assert claim.commit == "ba5e" * 10
    last = notebook.cells[-1].source
    assert "ragent reproduce 'reports/it'\\''s here.ipynb'#claim-1" in last


def test_the_same_data_gives_the_same_file(tmp_path: Path) -> None:
    data = data_of(*night_with_gain())
    written(data, tmp_path / "a.ipynb")
    written(data, tmp_path / "b.ipynb")
    assert (tmp_path / "a.ipynb").read_bytes() == (tmp_path / "b.ipynb").read_bytes()


def test_a_loop_without_a_run_gives_a_valid_notebook_and_no_empty_cell(tmp_path: Path) -> None:
    night = Night()
    notebook = written(data_of(loop_of(night), night, ledger=[], entries=0), tmp_path / "r.ipynb")
    assert "The loop was not over when this was written." in notebook.cells[0].source
    assert "Nothing was claimed" in notebook.cells[-1].source
    assert all(data["text/plain"].strip() for data in outputs(notebook).values())
    assert {"curves", "history", "candidates", "runs"} & {c["id"] for c in notebook.cells} == set()


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    loop, night = night_with_gain()
    night.trials = [replace(t, reason=HOSTILE, log_line=HOSTILE) if t.failure else t for t in night.trials]
    change = replace(
        data_of(loop, night).ledger[3],
        action={"do": "edit_code", "summary": HOSTILE, "edits": [{"path": HOSTILE, "old": "```", "new": HOSTILE}]},
    )
    data = data_of(replace(loop, goal=HOSTILE, findings=[HOSTILE]), night, ledger=[change], entries=1)
    notebook = written(data, tmp_path / "r.ipynb")
    for name, shown in outputs(notebook).items():
        tags = Tags()
        tags.feed(shown.get("text/html", ""))
        assert tags.seen <= {"table", "caption", "thead", "tbody", "tr", "th", "td", "p", "strong", "br"}, name
        if name != "changes":
            assert "<script" not in shown.get("text/markdown", "").replace("\\<", ""), name
        assert "<script" not in shown.get("image/svg+xml", "")
        assert "<script" not in json.dumps(shown.get("application/vnd.plotly.v1+json", {}))
    assert "<script" not in notebook.cells[0].source.replace("\\<", "")


def test_a_diff_cannot_end_its_own_fence() -> None:
    change = CodeChange(n=1, summary="s", diff="a\n``````\n# heading\n```")
    text = changes_bundle([change])["text/markdown"]
    fences = [line for line in text.splitlines() if line.startswith("`" * 7)]
    assert fences == ["```````diff", "```````"]


def test_sentences_name_their_runs() -> None:
    lines = [Line(text="one", refs=[f"run_{n}" for n in range(10)]), Line(text="two")]
    shown = lines_bundle(lines)
    assert shown["text/markdown"].splitlines()[0].endswith("run\\_7 and 2 more)")
    assert shown["text/plain"].splitlines()[1] == "two"


# --- figures ----------------------------------------------------------------------------------------------------------
def test_curves_of_a_group_share_colour_and_one_place_in_the_legend() -> None:
    curves = [
        Curve(name=f"{g} {i}", run=f"run_{g}{i}", x=[0.0, 1.0], y=[1.0, 2.0], group=g, style="dashed")
        for g in "ab"
        for i in range(3)
    ]
    spec = FigureSpec(title="t", x_title="x", y_title="y", curves=curves)
    traces = figures.plotly_json(spec)["data"]
    assert [t["name"] for t in traces if t["showlegend"]] == ["a", "b"]
    assert len({t["line"]["color"] for t in traces}) == 2 and {t["line"]["dash"] for t in traces} == {"dash"}
    assert figures.svg(spec).count("stroke-dasharray") == 6


def test_dots_are_dots_and_say_what_they_are() -> None:
    dots = Curve(name="search", run="s", x=[1.0, 2.0], y=[0.5, None], style="dots", labels=["run_1: <lr>", "run_2"])
    failed = Curve(name="failed", run="f", x=[], y=[], nonfinite=[3.0])
    spec = FigureSpec(title="t", x_title="x", y_title="y", curves=[dots, failed], kind="dots")
    trace = figures.plotly_json(spec)["data"][0]
    assert trace["mode"] == "markers" and trace["text"] == ["run_1: &lt;lr&gt;", "run_2"]
    drawn = figures.svg(spec)
    assert drawn.count("<circle") == 1 and "run_1: &lt;lr&gt;: 0.5" in drawn


@pytest.mark.parametrize("log", [False, True])
def test_the_noise_is_drawn_as_a_band(log: bool) -> None:
    base = Curve(name="b", run="b", x=[1.0, 9.0], y=[0.3, 0.3], low=[0.2, 0.2], high=[0.4, 0.4])
    drawn = figures.svg(FigureSpec(title="t", x_title="x", y_title="y", curves=[base], log_y=log))
    assert 'fill-opacity="0.13"' in drawn
