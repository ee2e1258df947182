"""Curves are what was logged: values under the cursor, gaps, and many points, in a real Lab."""

from __future__ import annotations

import json
import re
import sys
import time

from playwright.sync_api import Page, expect

from .conftest import Lab

# Writes all its rows at once; run B differs from run A everywhere, and has a NaN at every step from 4000 to 4099.
WRITE = """
import json, os, sys
n, offset, odd = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3] == "odd"
with open(os.environ["RAGENT_METRICS_FILE"], "a") as out:
    for step in range(n):
        value = offset + 1000.0 / (step + 100) + step % 7 / 100
        row = {"step": step, "curve": float("nan") if odd and 4000 <= step < 4100 else value}
        out.write(json.dumps(row) + "\\n")
"""


def test_A14_two_runs_show_two_values_under_the_cursor_equal_to_the_file(page: Page, fresh: Lab) -> None:
    p = fresh.project
    (p.folder / "write.py").write_text(WRITE)
    command = f"{sys.executable} write.py 6000"
    a = p.wait(p.run(f"{command} 0.5 plain", name="curve-a", primary="curve"))
    b = p.wait(p.run(f"{command} 2.5 odd", name="curve-b", primary="curve"))
    logged = {}
    for run in (a, b):
        rows = [json.loads(line) for line in (p.run_dir(run) / "metrics.jsonl").read_text().splitlines()]
        logged[run.name] = {row["step"]: row["curve"] for row in rows}
    fresh.open(page)
    page.set_viewport_size({"width": 1400, "height": 900})
    page.locator("#ragent-panel .rg-tab", has_text="Charts").click()
    chart = page.locator("#ragent-panel .rg-chart", has=page.locator("canvas")).first
    over = chart.locator(".u-over")
    expect(over).to_be_visible(timeout=20_000)
    box = over.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 3000 / 5999, box["y"] + box["height"] / 2)
    tip = chart.locator(".rg-tip")
    expect(tip).to_be_visible()
    step = int(re.sub(r"\D", "", tip.locator(".rg-tip-x").inner_text()))
    assert abs(step - 3000) < 60
    shown = {
        row.locator(".rg-name").inner_text(): row.locator(".rg-figure").inner_text()
        for row in tip.locator(":scope > div:not(.rg-tip-x)").all()
    }
    assert set(shown) == {"curve-a", "curve-b"} and len(set(shown.values())) == 2
    for name, text in shown.items():
        # Where the other run's bucket ends is at most a bucket away: the value is one that this run logged near there.
        near = [logged[name][s] for s in range(step - 8, step + 9)]
        assert min(abs(float(text) - value) for value in near) < 0.001, (name, text, step)
    expect(chart.locator("figcaption")).to_contain_text("100")


def test_A14_a_hundred_thousand_points_stay_smooth(page: Page, fresh: Lab) -> None:
    p = fresh.project
    (p.folder / "write.py").write_text(WRITE)
    p.wait(p.run(f"{sys.executable} write.py 100000 0.5 plain", name="long", primary="curve"), timeout=60)
    fresh.open(page)
    page.locator("#ragent-panel .rg-tab", has_text="Charts").click()
    over = page.locator("#ragent-panel .rg-chart .u-over").first
    expect(over).to_be_visible(timeout=20_000)
    box = over.bounding_box()
    assert box
    page.evaluate(
        """() => { window.slow = [];
                   const seen = list => list.getEntries().forEach(entry => window.slow.push(entry.duration));
                   new PerformanceObserver(seen).observe({ entryTypes: ['longtask'] }); }"""
    )
    began = time.monotonic()
    for i in range(60):
        page.mouse.move(box["x"] + box["width"] * i / 60, box["y"] + box["height"] / 2)
    took = time.monotonic() - began
    slow = page.evaluate("() => window.slow")
    print(f"60 moves in {took:.2f} s; long tasks: {[round(s) for s in slow]}")
    # What makes it smooth, also on a machine that is busy: buckets are drawn, not points, and no move freezes the tab.
    drawn = page.locator("#ragent-panel .rg-chart [role=img]").first.get_attribute("data-points")
    assert 100 < int(drawn or 0) < 5000
    assert sum(slow) / 60 < 500
