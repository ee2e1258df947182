"""B4: the engine of a loop is killed with SIGKILL, again and again, and the night must come out as if nobody had.

Per seed one loop runs unbroken and one (or more) is killed: at random moments, at the store's and the effects' kill
points, and, where a model decides, while its call is in flight. Then the two are laid side by side: the decisions of
the ledger in their order, the sweeps with their points, the verdicts, the end; and what the script itself wrote down
each time it was started. The metric of a run is decided by its parameters and seed, and is logged once, at the end:
nothing in a run depends on when it ran, and there is no curve to halve on.
"""

from __future__ import annotations

import json
import os
import random
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from msgspec import Struct, to_builtins

from ragent_jupyter.domain.errors import MissingPart, StoreFailed, Unreachable
from ragent_jupyter.domain.sweep import Sweep
from ragent_jupyter.domain.wild import Entry, Limits, Loop
from ragent_jupyter.domain.wire_wild import CreateLoop
from tests.support.engine import Project, project
from tests.support.fake_frames import Call
from tests.support.fake_provider import FakeProvider, Reply, Seen

from .figures import Figure

SCRIPT = """
import argparse, json, math, os, random, sys, time
p = argparse.ArgumentParser()
p.add_argument("--lr", type=float, default=0.01)
p.add_argument("--wd", type=float, default=0.001)
p.add_argument("--width", type=int, default=64)
p.add_argument("--seed", type=int, default=0)
a = p.parse_args()
truth = os.open(os.environ["BENCH_TRUTH"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
os.write(truth, (json.dumps([os.environ["RAGENT_RUN_ID"], sys.argv[1:]]) + "\\n").encode())
time.sleep(float(os.environ.get("BENCH_S", "0.3")))
noise = random.Random(a.seed * 7919 + a.width).gauss(0, 0.02)
loss = 0.2 + 0.3 * (math.log10(a.lr) + 1) ** 2 + 2 * a.wd + 0.02 * (math.log2(a.width) - 7) ** 2 + noise
with open(os.environ["RAGENT_METRICS_FILE"], "a") as out:
    out.write(json.dumps({"step": 1, "val_loss": loss}) + "\\n")
"""
POINTS = [("store.before_commit", 60), ("store.after_commit", 60), ("store.after_execute", 60), ("effects.*", 12)]
WAIT_S = 600.0
_ID = re.compile(r"\b(?:run|swp|alr|ent|qst|wld|trn|ses|msg|evt)_[A-Za-z0-9_]+")
_TIME = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)? ?(?:ms|s|min|h|seconds?|minutes?|hours?|[kMG]?i?B)\b")


class Night(Struct):
    """What a loop came to, without what may differ between two nights: ids, moments, use of time, marks of a kill."""

    end: str
    decisions: list[str]
    sweeps: list[str]
    verdicts: list[str]
    starts: Counter[str]  # what the script wrote: its arguments -> how often it was started
    doubled: list[str]  # runs that were started more than once, trials with more than one run
    lost: list[str]  # trials without a run or without a value, runs that were lost, gaps in the ledger
    runs: int
    unknown: int  # marks of calls that were in flight
    seconds: float


# --- the scripted model -----------------------------------------------------------------------------------------------
def mind(seen: Seen) -> Reply:
    """Decides by what stands in the prompt and by nothing else: asked twice, it says the same."""
    asked = seen.last_text
    said = seen.system + "\n" + "\n".join(json.dumps(m) for m in seen.messages)
    kind = re.search(r"Decide about this event \((\w+)\)", said)
    refused = "refused" in seen.last_result.lower()
    if (seen.last_result and not refused) or kind is None or kind[1] not in ("explore", "analysis"):
        return Reply(text="Noted." if kind else f"A title {len(asked) % 7}", delay=0.02)
    found = re.search(r"Stage \w+, iteration (\d+)", said)
    turn = int(found[1]) if found else 0
    if "confirm" in seen.tools and turn == 4 and not refused:
        call = Call(name="confirm", input={"reason": "The best so far."})
    elif "propose_sweep" in seen.tools and turn < 4 and not refused:
        lr = [0.03, 0.1, 0.3, 0.05][turn % 4]
        points = [{"lr": lr, "width": 32 * 2**n, "wd": 0.0005 * (turn + 1)} for n in range(3)]
        call = Call(name="propose_sweep", input={"name": f"look {turn}", "points": points, "reason": "a wider look"})
    else:
        call = Call(name="promise", input={"word": "COMPLETE", "text": "Nothing worth trying is left."})
    return Reply(text="I think about it for a while.", calls=[call], delay=0.05)


@contextmanager
def provider() -> Iterator[FakeProvider]:
    """A provider on a socket, and an environment in which engines know no other."""
    names = ("OPENAI_API_KEY", "DEEPINFRA_TOKEN", "MODEL_PROVIDER", "MODEL_ID", "RESEARCH_AGENT_KEY")
    before = dict(os.environ)
    with FakeProvider(default=mind) as made:
        for name in names:
            os.environ.pop(name, None)
        os.environ |= {"ANTHROPIC_API_KEY": "sk-ant-bench-0123456789", "ANTHROPIC_BASE_URL": made.url}
        try:
            yield made
        finally:
            os.environ.clear()
            os.environ.update(before)


# --- a night ----------------------------------------------------------------------------------------------------------
def ask(what: Any, timeout: float = 120.0) -> Any:
    """A door used until it answers: whoever was killed is started again by this alone."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return what()
        except (Unreachable, MissingPart, StoreFailed):
            if time.monotonic() > deadline:
                raise
            threading.Event().wait(0.05)


class Killer:
    """Kills the engine of one project until it has done so `times` times or the loop is over."""

    def __init__(self, p: Project, loop_id: str, times: int, drawn: random.Random, model: FakeProvider | None) -> None:
        self.p, self.loop_id, self.times, self.random, self.model = p, loop_id, times, drawn, model
        self.kills: Counter[str] = Counter()

    @property
    def total(self) -> int:
        return self.kills.total()

    def over(self) -> bool:
        return bool(ask(lambda: self.p.client.loop(self.loop_id)).loop.over)

    def go(self) -> None:
        while self.total < self.times and not self.over():
            way = self.random.random()
            if self.model is not None and way < 0.5:
                self._in_flight(self.model)
            elif way < 0.75:
                threading.Event().wait(self.random.expovariate(1 / 0.5))
                self._kill("at random")
            else:
                self._inside()

    def _kill(self, how: str) -> None:
        ask(self.p.kill_engine)
        self.kills[how] += 1

    def _in_flight(self, model: FakeProvider) -> None:
        """Once a call is being answered, a little later."""
        deadline = time.monotonic() + 25.0  # a new engine has much to read before it first asks
        while time.monotonic() < deadline:
            if self.over():
                return
            if any(s.done_at is None and s.closed_at is None for s in model.calls[-3:]):
                threading.Event().wait(self.random.uniform(0.0, 0.15))
                self._kill("in flight" if any(s.done_at is None for s in model.calls[-3:]) else "at random")
                return
            threading.Event().wait(0.01)
        self._kill("at random")

    def _inside(self) -> None:
        """A new engine that dies in the middle of an operation."""
        pattern, latest = self.random.choice(POINTS)
        marker = self.p.folder / f"hit-{self.total}"
        self._kill("at random")
        os.environ["RAGENT_KILL_AT"] = f"{pattern}:{self.random.randint(1, latest)}:{marker}"
        try:
            deadline = time.monotonic() + 6.0
            while not marker.exists() and time.monotonic() < deadline and not self.over():
                threading.Event().wait(0.02)
        finally:
            del os.environ["RAGENT_KILL_AT"]
        if marker.exists():
            self.kills[pattern] += 1


def begin(p: Project, policy: str, seed: int, runs: int, seconds: float) -> Loop:
    command = p.script("train.py", SCRIPT)
    p.client.put("prefs", {"judge": False})
    body = CreateLoop(
        goal="lower val_loss", command=command, caller_python=sys.executable, executor="process", parallel=2,
        policy=policy, autonomy="full", limits=Limits(runs=runs), seed=seed, request_id=f"bench-{seed}",
        env={"BENCH_TRUTH": str(p.folder / "truth.jsonl"), "BENCH_S": str(seconds)},
    )  # fmt: skip
    made: Loop = ask(lambda: p.client.create_loop(body))
    return made


def night(
    policy: str, seed: int, runs: int, seconds: float, kills: int, model: FakeProvider | None, draw: int = 0
) -> tuple[Night, Counter[str]]:
    """One loop in a project of its own. kills: how many at most; 0: unbroken."""
    with project("process", "rg-b4-") as p:
        loop = begin(p, policy, seed, runs, seconds)
        began = time.monotonic()
        killer = Killer(p, loop.id, kills, random.Random(f"{policy} {seed} {draw}"), model)
        killer.go()
        deadline = began + WAIT_S
        while not (now := ask(lambda: p.client.loop(loop.id)).loop).over and time.monotonic() < deadline:
            if now.question is not None:
                break  # nobody is there to answer: no end
            threading.Event().wait(0.1)
        return told(p, now, time.monotonic() - began), killer.kills


# --- what it came to --------------------------------------------------------------------------------------------------
def told(p: Project, loop: Loop, seconds: float) -> Night:
    entries: list[Entry] = []
    while True:
        page = ask(partial(p.client.journal, loop.id, entries[-1].n if entries else 0))
        entries += page.entries
        if not page.entries or len(entries) >= page.total:
            break
    every: dict[str, Sweep] = {sweep.id: sweep for sweep in ask(p.client.sweeps)}
    runs = {run.id: run for run in ask(p.client.all_runs)}
    sweeps = [every[id] for id in loop.sweeps if id in every]
    names = {loop.id: "LOOP"}
    doubled, lost = [], [f"no sweep {id}" for id in loop.sweeps if id not in every]
    doubled += [f"sweep {id} is in no ledger" for id in every if id not in loop.sweeps]
    for number, sweep in enumerate(sweeps):
        names[sweep.id] = f"SWEEP-{number}"
        for trial in sweep.trials:
            for id in trial.run_ids:
                names[id] = f"RUN-{number}-{trial.index}"
            if len(trial.run_ids) > 1:
                doubled.append(f"trial {number}-{trial.index} has {len(trial.run_ids)} runs")
            elif not trial.run_ids or runs[trial.run_ids[0]].status.value != "finished":
                state = runs[trial.run_ids[0]].status.value if trial.run_ids else "no run"
                lost.append(f"trial {number}-{trial.index}: {state}")
    lost += [f"run {id} is in no sweep" for id in runs if id not in names]
    if [entry.n for entry in entries] != list(range(1, loop.entries + 1)):
        lost.append(f"the ledger's numbers are {[entry.n for entry in entries]}")
    truth = p.folder / "truth.jsonl"
    lines = [json.loads(line) for line in truth.read_text().splitlines()] if truth.exists() else []
    begun = Counter(run for run, _ in lines)
    doubled += [f"{names.get(run, run)} was started {n} times" for run, n in begun.items() if n > 1]
    lost += [f"{names.get(id, id)} never began" for id in runs if id not in begun]
    return Night(
        end=f"{loop.end} {loop.budget}".strip() if loop.over else f"no end: {loop.stage.value}, {loop.question}",
        decisions=ledger(entries, names),
        sweeps=[json.dumps([s.purpose, [t.params for t in s.trials]], sort_keys=True) for s in sweeps],
        verdicts=[json.dumps([v.verdict, v.params, v.values, v.baseline_values, v.effect]) for v in loop.verdicts],
        starts=Counter(json.dumps(words) for _, words in lines),
        doubled=doubled,
        lost=lost,
        runs=len(runs),
        unknown=sum(entry.outcome == "outcome_unknown" for entry in entries),
        seconds=seconds,
    )


def ledger(entries: list[Entry], names: dict[str, str]) -> list[str]:
    """A line a decision, in the ledger's order. Notes about a run's end come in the order in which runs happened to
    end: they are sorted and stand last."""
    lines: list[str] = []
    notes: list[str] = []
    for entry in entries:
        if entry.outcome == "outcome_unknown":
            continue
        event = entry.event
        kind, ref = (event.kind, names.get(event.ref, event.ref)) if event else ("", "")
        said = {
            "by": entry.by, "stage": entry.stage, "iteration": entry.iteration, "who": entry.who, "event": kind,
            "ref": ref, "why": entry.reasoning, "action": entry.action, "outcome": entry.outcome,
            "result": entry.result,
        }  # fmt: skip
        text = json.dumps(to_builtins(said), sort_keys=True)
        text = text.replace(f"{entry.loop_id[-4:]} ", "")  # a sweep's name begins with it
        text = _ID.sub(lambda found: names.get(found[0], "ID"), text)
        text = _TIME.sub("TIME", text)
        text = re.sub(r"An earlier call about this event \(ID\) has an unknown outcome; nothing of it was done\.(\\n)?",
                      "", text)  # fmt: skip
        (notes if kind in ("completion", "failure") else lines).append(text)
    return lines + sorted(notes)


def differences(a: Night, b: Night) -> list[str]:
    """Where the killed night is not the unbroken one."""
    found = []
    if a.end != b.end:
        found.append(f"end: {a.end} / {b.end}")
    for what, one, two in (
        ("decision", a.decisions, b.decisions), ("sweep", a.sweeps, b.sweeps), ("verdict", a.verdicts, b.verdicts),
    ):  # fmt: skip
        if one != two:
            first = next((i for i, (x, y) in enumerate(zip(one, two, strict=False)) if x != y), min(len(one), len(two)))
            left, right = (side[first] if first < len(side) else "nothing" for side in (one, two))
            found.append(f"{what} {first} of {len(one)}/{len(two)}:\n    {left}\n    {right}")
    if a.starts != b.starts:
        found.append(f"starts: only unbroken {a.starts - b.starts}, only killed {b.starts - a.starts}")
    return found


# --- the soak ---------------------------------------------------------------------------------------------------------
def run(short: bool, times: int | None = None) -> list[Figure]:
    goal = times or (6 if short else 200)
    runs, seconds = (10, 0.1) if short else (44, 0.5)
    kills: Counter[str] = Counter()
    same, doubled, lost, planned, unknown, flights = [], 0, 0, 0, 0, 0
    began, draw = time.monotonic(), 0
    unbroken: dict[tuple[str, int], Night] = {}
    while kills.total() < goal and draw < goal:
        for policy in ("builtin", "llm"):
            if kills.total() >= goal:
                break
            share = min(goal - kills.total(), (goal + 1) // 2 if short else 30)
            seed = draw % 3
            with provider() as model:
                if (policy, seed) not in unbroken:
                    unbroken[policy, seed], _ = night(policy, seed, runs, seconds, 0, model)
                broken, hit = night(policy, seed, runs, seconds, share, model if policy == "llm" else None, draw)
            kills += hit
            flights += hit["in flight"]
            found = differences(unbroken[policy, seed], broken)
            same.append(not found)
            doubled, lost = doubled + len(broken.doubled), lost + len(broken.lost)
            planned += sum(len(json.loads(sweep)[1]) for sweep in broken.sweeps)
            unknown += broken.unknown
            took = time.monotonic() - began
            print(f"… b4 {took:.0f} s: {policy} seed {seed}: {hit.total()} kills, {broken.runs} runs in "
                  f"{broken.seconds:.0f} s, all {kills.total()}", file=sys.stderr, flush=True)  # fmt: skip
            for line in [*found, *broken.doubled, *broken.lost]:
                print(f"  {line}", file=sys.stderr, flush=True)
        draw += 1
    ways = ", ".join(f"{n} {how}" for how, n in sorted(kills.items()))
    note = f"{kills.total()} kills ({ways}) in {time.monotonic() - began:.0f} s"
    bench = "b4 kill -9"
    return [
        Figure(bench=bench, what="nights that differ from the unbroken one", hits=same.count(False), of=len(same),
               never=True, note=note),
        Figure(bench=bench, what="runs doubled", hits=doubled, of=max(planned, doubled), never=True),
        Figure(bench=bench, what="runs lost", hits=lost, of=max(planned, lost), never=True),
        Figure(bench=bench, what="calls in flight at a kill that show as unknown", better="more",
               hits=min(unknown, flights), of=flights, note=f"{unknown} marks in the ledgers"),
    ]  # fmt: skip


__all__ = ["Night", "differences", "ledger", "run", "told"]
