from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

import ragent_jupyter as ragent
from ragent_jupyter.domain.errors import NotFound
from tests.support.fake_engine import FakeEngine

from .conftest import Curves

ROOT = Path(__file__).resolve().parents[3]


def test_metrics_are_a_frame_of_all_points_with_their_nans_in_place(engine: FakeEngine, curves: Curves):
    curves.points = {
        ("run_a1", "loss"): [(0, 1.0), (1, "nan"), (2, "inf"), (3, 0.5), (3, 0.4)],
        ("run_a1", "acc"): [(2, 0.7)],
        ("run_a1", "system/rss_bytes"): [(12.5, 1e9)],
    }
    table = ragent.metrics("run_a1")
    assert list(table.columns) == ["loss", "acc"]  # the machine's own only when named
    assert list(table.index) == [0, 1, 2, 3] and table.index.dtype == "int64" and table.index.name == "step"
    assert table["loss"].tolist()[0] == 1.0 and math.isnan(table["loss"][1]) and table["loss"][2] == math.inf
    assert table["loss"][3] == 0.4  # logged twice: the later value
    assert table["acc"].dropna().to_dict() == {2: 0.7}
    assert [query["points"] for m, p, query, _ in engine.asked if p == "metrics/series"] == ["0"]
    assert list(ragent.metrics("train 1", "system/rss_bytes").index) == [12.5]


def test_a_metric_that_was_never_logged_is_no_empty_column(engine: FakeEngine, curves: Curves):
    with pytest.raises(NotFound, match=r"no metric 'los'.*loss, acc"):
        ragent.metrics("run_a1", "los")


def test_a_metric_without_points_yet_is_an_empty_column(engine: FakeEngine, curves: Curves):
    curves.points = {("run_a1", "loss"): [(0, 1.0)]}
    table = ragent.metrics("run_a1")
    assert table["acc"].isna().all() and len(table) == 1


def test_runs_can_be_asked_for_from_elsewhere(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, tmp_path_factory):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert len(ragent.runs(project=engine.project)) == 2


def test_the_package_imports_nothing_until_it_is_used():
    """`import ragent_jupyter` stands at the top of training code."""
    code = (
        "import sys; import ragent_jupyter as ragent\n"
        "ours = {m for m in sys.modules if 'ragent' in m}\n"
        "assert ours == {'ragent_jupyter', 'ragent_jupyter._version'}, ours\n"
        "ragent.log; heavy = {'numpy', 'pandas', 'tornado', 'IPython', 'ipywidgets', 'traitlets', 'http', 'asyncio'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "assert set(ragent.__all__) <= set(dir(ragent))\n"
        "try: ragent.nonsense\n"
        "except AttributeError as e: assert 'nonsense' in str(e)\n"
        "else: raise SystemExit('no error')"
    )
    subprocess.run([sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"], check=True)


def test_no_module_takes_the_name_of_a_public_function():
    import ragent_jupyter

    folder = Path(ragent_jupyter.__file__).parent
    for name in ragent_jupyter._HOME:
        assert not (folder / f"{name}.py").exists() and not (folder / name).exists()
        assert callable(getattr(ragent_jupyter, name))
