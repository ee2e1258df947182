"""A sweep in a notebook: what its rest takes, while it has not ended."""

from __future__ import annotations

from typing import Any

from ragent_jupyter.domain.sweep import Estimate, SearchSpace, Sweep, SweepStatus, Trial
from ragent_jupyter.kernel.views import SweepsView, SweepView

CLIENT: Any = None
SWEEP = Sweep(
    id="swp_1", name="lr", command="c", cwd="/", created_at=0.0, space=SearchSpace(), status=SweepStatus.RUNNING,
    trials=[Trial(index=0, params={})],
    estimate=Estimate(of="run_0", seconds=9.0, runs=3, parallel=1, wall_seconds=27.0, text="One run takes ~9 s. <b>"),
)  # fmt: skip


def test_a_sweep_shows_its_estimate_and_one_without_shows_none() -> None:
    view = SweepView(CLIENT, SWEEP)
    assert view.text().endswith("estimate: One run takes ~9 s. <b>")
    assert "estimate: One run takes ~9 s. &lt;b&gt;" in view.html()
    assert view.estimate.wall_seconds == 27.0
    assert "estimate: One run" in SweepsView(CLIENT, [SWEEP]).text()
    bare = Sweep(id="swp_2", name="lr", command="c", cwd="/", created_at=0.0, space=SearchSpace())
    assert "estimate" not in SweepView(CLIENT, bare).text() + SweepView(CLIENT, bare).html()
