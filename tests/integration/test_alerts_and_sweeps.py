"""Alerts and sweeps through the real engine and the real sidecar."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ragent_jupyter.domain.errors import BadInput, CannotBeDone, WrongMoment
from ragent_jupyter.domain.sweep import Range, SearchSpace, Values
from ragent_jupyter.domain.wire import CreateSweep
from tests.support.engine import Project
from tests.support.wait import wait_until

# Logs rows of its own making: argv[1] names the trouble, the rest is healthy. All are logged, and a file `hold` in the
# project's folder keeps it from ending.
ROWS = """
import json, os, sys, time
what, n = sys.argv[1], int(sys.argv[2])
pause = float(sys.argv[3]) if len(sys.argv) > 3 else 0.02
out = open(os.environ["RAGENT_METRICS_FILE"], "a")
for step in range(n):
    row = {"step": step, "loss": 10.8 / (1 + step) ** 0.3, "eval_loss": 3.0 - 0.001 * step}
    if what == "nan" and step >= 50: row["loss"] = float("nan")
    if what == "nan-string" and step == 50: row["loss"] = "nan"
    if what == "eval-nan" and step == 50: row["eval_loss"] = float("nan")
    if what == "two" and step == 50: row["loss"] = float("nan")
    if what == "two" and step == 80: row["eval_loss"] = float("inf")
    if what == "spike" and step == 60: row["loss"] *= 3.5
    out.write(json.dumps(row) + "\\n"); out.flush()
    time.sleep(pause)
    while step == n - 1 and os.path.exists("hold"): time.sleep(0.02)
print("done", flush=True)
"""


def raised(p: Project, run_id: str, severity: str | None = None) -> list[tuple[str, str]]:
    return sorted((a.rule, a.evidence.metric) for a in p.alerts(run=run_id) if severity in (None, a.severity.value))


@pytest.mark.parametrize(("what", "metric"), [("nan", "loss"), ("nan-string", "loss"), ("eval-nan", "eval_loss")])
def test_A9_a_nan_is_one_critical_alert_and_training_goes_on(one: Project, what: str, metric: str) -> None:
    (one.folder / "hold").touch()
    run = one.run(one.script("t.py", ROWS) + f" {what} 120")
    alert = one.until(lambda: one.alerts(run=run.id, severity="critical"), 20)[0]
    assert (alert.evidence.metric, alert.evidence.step, alert.evidence.value) == (metric, 50, "nan")
    assert one.client.run(run.id).status.value == "running"
    (one.folder / "hold").unlink()
    run = one.wait(run)
    assert run.status.value == "finished"
    assert len([a for a in one.alerts(run=run.id) if a.severity.value == "critical"]) == 1


def test_A9_within_5_s_and_a_second_trouble_is_still_told(one: Project) -> None:
    run = one.run(one.script("t.py", ROWS) + " two 200")
    found = one.until(lambda: (a := one.alerts(run=run.id, severity="critical")) and len(a) >= 2 and a, 30)
    for alert in found:
        row = one.client.series([run.id], [alert.evidence.metric], x="time", points=0).series[0]
        logged_at = row.nonfinite[0]
        assert alert.raised_at - logged_at < 5.0
    assert {a.evidence.metric for a in found} == {"loss", "eval_loss"}
    assert all(a.status.value == "pending" for a in found)


def test_A10_a_spike_that_recovers_is_caught_and_a_warm_up_raises_nothing(one: Project) -> None:
    spike = one.wait(one.run(one.script("t.py", ROWS) + " spike 120 0.005"))
    found = [a for a in one.alerts(run=spike.id) if a.evidence.step == 60]
    assert found and found[0].severity.value == "info" and found[0].evidence.window and found[0].evidence.threshold
    healthy = one.wait(one.run(one.script("t.py", ROWS) + " none 120 0.005"))
    assert [a for a in one.alerts(run=healthy.id) if a.severity.value != "info"] == []


def test_A12_stop_from_an_alert_stops_and_says_why(p: Project) -> None:
    run = p.run(p.script("t.py", ROWS) + " nan 4000")
    alert = p.until(lambda: p.alerts(run=run.id, severity="critical"), 20)[0]
    with pytest.raises(BadInput):
        p.client.respond(alert.id, "Keep going, don't stop")
    assert p.client.run(run.id).status.value == "running"
    answered = p.client.respond(alert.id, "stop")
    assert answered.status.value == "resolved"
    assert p.client.respond(alert.id, "stop") == answered
    with pytest.raises(WrongMoment, match="user"):
        p.client.respond(alert.id, "ignore")
    run = p.wait(run, timeout=40)
    assert run.status.value == "stopped" and run.stop_by == f"alert:{alert.id}"
    assert run.reason is not None and run.reason.kind == "nan" and "NaN" in run.reason.text


def test_A12_ignore_leaves_the_job_alone(one: Project) -> None:
    run = one.run(one.script("t.py", ROWS) + " nan 150")
    alert = one.until(lambda: one.alerts(run=run.id, severity="critical"), 20)[0]
    assert one.client.respond(alert.id, "ignore").status.value == "dismissed"
    assert one.wait(run).status.value == "finished"


def test_A13_a_job_that_ends_expires_its_alert_with_it(p: Project) -> None:
    """Within 3 s, on a machine that has nothing else to do."""
    (p.folder / "hold").touch()
    run = p.run(p.script("t.py", ROWS) + " nan 120")
    alert = p.until(lambda: p.alerts(run=run.id, severity="critical"), 20)[0]
    assert alert.status.value == "pending"
    (p.folder / "hold").unlink()
    p.until(lambda: "done" in p.client.logs(run.id).text, 30)
    began = time.monotonic()
    p.wait(run, "finished")
    assert time.monotonic() - began < 10.0
    alert = next(a for a in p.alerts(run=run.id) if a.id == alert.id)
    assert alert.status.value == "expired" and "finished" in alert.note


def test_two_answers_at_once_one_wins(one: Project) -> None:
    run = one.run(one.script("t.py", ROWS) + " nan 4000")
    alert = one.until(lambda: one.alerts(run=run.id, severity="critical"), 20)[0]

    def answer(choice: str) -> str:
        try:
            one.client.respond(alert.id, choice, by=choice)
        except WrongMoment:
            return "refused"
        return choice

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(answer, ["ignore", "stop"]))
    assert answers.count("refused") == 1


def test_the_engine_may_be_dead_while_the_sidecar_works(p: Project) -> None:
    run = p.run(p.script("t.py", ROWS) + " nan 100 0.1")
    p.wait(run, "running")
    p.kill_engine()
    wait_until(lambda: (p.run_dir(run) / "exit.json").exists(), 30)
    wait_until(lambda: b"watch_ended" in (p.run_dir(run) / "facts.jsonl").read_bytes(), 30)
    run = p.wait(run)
    assert len(p.points(run, "loss")) + 50 >= 100
    assert [a.rule for a in p.alerts(run=run.id) if a.severity.value == "critical"] != []


# --- sweeps -----------------------------------------------------------------------------------------------------------
def sweep(command: str, n: int = 9, **fields: object) -> CreateSweep:
    base: dict[str, object] = {
        "space": SearchSpace(parameters={"i": Values(list(range(n)))}),
        "executor": "process",
        "caller_python": sys.executable,
        "smoke": False,
        "parallel": 2,
    }
    return CreateSweep(command=command, **{**base, **fields})  # type: ignore[arg-type]


def ended(p: Project, sweep_id: str, timeout: float = 90) -> object:
    return wait_until(lambda: (s := p.client.sweep(sweep_id)).status.terminal and s, timeout, every=0.1)


def test_A7_nine_runs_never_more_than_two_at_once(p: Project) -> None:
    p.client.put("prefs", {"parallel": 4})
    script = """
import json, os, sys, time
with open("truth", "a") as f: f.write(f"start {time.time()}\\n")
i = int(sys.argv[2])
with open(os.environ["RAGENT_METRICS_FILE"], "a") as f:
    f.write(json.dumps({"step": 0, "loss": abs(i - 4) + 0.5}) + "\\n")
time.sleep(0.3)
with open("truth", "a") as f: f.write(f"end {time.time()}\\n")
"""
    made = p.client.create_sweep(sweep(p.script("t.py", script), executor=p.executor))
    done = ended(p, made.id)
    assert done.status.value == "finished"  # type: ignore[attr-defined]
    live = most = 0
    events = sorted((float(t), kind) for kind, t in (x.split() for x in (p.folder / "truth").read_text().splitlines()))
    for _, kind in events:
        live += 1 if kind == "start" else -1
        most = max(most, live)
    assert (len(events), most) == (18, 2)
    best = p.until(lambda: (b := p.client.status().best) and b["value"] == 0.5 and b, what="the best run to be told")
    assert best["confirmed"] is False
    assert best["run"] == done.trials[4].run_ids[0]  # type: ignore[attr-defined]


def test_after_its_smoke_run_a_sweep_says_what_the_rest_takes_and_the_next_one_knows_before(p: Project) -> None:
    script = """
import json, os, sys, time
time.sleep(0.1)
with open(os.environ["RAGENT_METRICS_FILE"], "a") as f:
    f.write(json.dumps({"step": 0, "loss": 0.5}) + "\\n")
while sys.argv[2] != "0" and not os.path.exists("go"):
    time.sleep(0.05)
"""
    command = p.script("t.py", script)
    made = p.client.create_sweep(sweep(command, n=4, executor=p.executor, smoke=True))
    assert made.estimate is None  # nothing of this command was measured before
    told = p.until(lambda: p.client.sweep(made.id).estimate, 30)
    first = p.client.sweep(made.id).trials[0].run_ids[0]
    assert (told.of, told.runs, told.parallel) == (first, 3, 2) and 0.1 <= told.seconds < 20
    assert told.disk_bytes > 0 and told.cost_usd is None and told.text.startswith("One run takes ~")
    p.kill_engine()
    assert p.client.sweep(made.id).estimate is not None
    (p.folder / "go").touch()
    assert ended(p, made.id).estimate is None  # type: ignore[attr-defined]
    draft = p.client.create_sweep(sweep(command, n=6, executor=p.executor, start=False))
    assert draft.status.value == "ready" and draft.estimate is not None
    assert draft.estimate.runs == 6 and draft.estimate.text.startswith("One run of this command took ~")
    failing = p.client.create_sweep(sweep(p.script("u.py", "raise KeyError"), n=2, smoke=True, executor=p.executor))
    assert ended(p, failing.id).estimate is None  # type: ignore[attr-defined]


def test_W12_a_sweep_whose_runs_all_fail_alike_stops_after_three(one: Project) -> None:
    made = one.client.create_sweep(sweep(one.script("t.py", "raise KeyError('lr')"), smoke=True))
    done = ended(one, made.id)
    assert done.status.value == "failed" and "KeyError: 'lr'" in done.reason  # type: ignore[attr-defined]
    assert one.client.runs(sweep=made.id).total == 3


def test_A4_an_engine_killed_mid_sweep_goes_on_with_it(p: Project) -> None:
    command = p.script("t.py", "import sys, time\nopen('count','a').write(sys.argv[2] + '\\n')\ntime.sleep(0.4)\n")
    made = p.client.create_sweep(sweep(command, n=8, executor=p.executor))
    for _ in range(2):
        before = len((p.folder / "count").read_text().split()) if (p.folder / "count").exists() else 0
        p.until(lambda b=before: (p.folder / "count").exists() and len((p.folder / "count").read_text().split()) > b)
        p.kill_engine()
        assert p.client.status().live >= 0  # any door starts it again
    done = ended(p, made.id)
    assert done.status.value == "finished"  # type: ignore[attr-defined]
    assert sorted((p.folder / "count").read_text().split()) == [str(i) for i in range(8)]


def test_a_stopped_sweep_stops_its_trials_and_starts_no_more(one: Project) -> None:
    made = one.client.create_sweep(sweep("sleep 60 #"))
    one.until(lambda: one.client.runs(sweep=made.id, status="running").total == 2)
    one.client.stop_sweep(made.id)
    one.until(lambda: not one.client.runs(sweep=made.id, status=["running", "stopping", "queued"]).total, 40)
    assert one.client.runs(sweep=made.id).total == 2
    assert one.client.sweep(made.id).status.value == "stopped"


def test_a_sweep_waits_for_the_retry_that_an_answer_promised(one: Project) -> None:
    command = one.script("t.py", ROWS.replace("sys.argv[1], int(sys.argv[2])", "'nan', 4000"))
    space = SearchSpace(parameters={"lr": Values([0.5])})
    made = one.client.create_sweep(sweep(command, space=space, executor=one.executor))
    alert = one.until(lambda: one.alerts(severity="critical"), 20)[0]
    one.client.respond(alert.id, "retry_lower_lr")
    runs = one.until(lambda: (r := one.client.sweep(made.id).trials[0].run_ids) and len(r) == 2 and r, 40)
    assert one.client.sweep(made.id).status.value == "running"
    retry = one.client.run(runs[1])
    assert retry.retry_of == alert.run_id and retry.params["lr"] < 0.5
    one.client.stop_sweep(made.id, now=True)


@pytest.mark.parametrize(
    "space", [SearchSpace(), SearchSpace(parameters={"lr": Range(low=0.1, high=1.0)}), SearchSpace(method="list")]
)
def test_an_impossible_sweep_is_refused_and_leaves_nothing(one: Project, space: SearchSpace) -> None:
    with pytest.raises(CannotBeDone):
        one.client.create_sweep(sweep("true", space=space))
    assert one.client.sweeps() == []
