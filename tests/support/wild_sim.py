"""A whole night of Wild Mode in milliseconds: the loop's true rules over runs that are calls of a function.

    sim = Sim(space, lambda params, seed: loss, limits=Limits(runs=20), slots=2)
    result = sim.run(BuiltinPolicy(OptunaOptimiser()))
    result.loop.end, result.claimed, len(result.trials)

What is true here: the state machine (`rules/wild_loop`), the guard, the confirm stage (`rules/confirm`), the policy.
What is played: time, the queue (slots, the smoke run, three equal failures), launching, and a person who answers. Runs
end in the order in which a real queue would end them, and the clock is theirs: nothing sleeps.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ragent_jupyter.domain.alert import Alert
from ragent_jupyter.domain.ports_wild import Policy, Thought
from ragent_jupyter.domain.wild import (
    Action,
    Analyse,
    Candidate,
    Confirm,
    Entry,
    Knob,
    Launch,
    Limits,
    Loop,
    LoopEvent,
    ProposeSweep,
    Question,
    ResolveAlert,
    Seen,
    Setup,
    Spent,
    StopRun,
    TrialView,
    Verdict,
    View,
)
from ragent_jupyter.rules import confirm, noise, wild_limits, wild_loop
from ragent_jupyter.rules.wild_confirming import paired_seeds
from ragent_jupyter.services.wild_hands import DecisionHands

TERMINAL = ("finished", "failed", "stopped")
TICKS = 8  # looks at a live run
_EQUAL = 3  # equal failures that end a sweep of which nothing finished


class Failed(Struct, frozen=True):
    """What an objective returns instead of a value. kind: oom, nan, exit, signal, lost, launch."""

    kind: str = "exit"
    line: str = ""
    share: float = 1.0  # of the usual length, until it fails


Objective = Callable[[dict[str, Any], int], "float | Failed"]
Curve = Callable[[dict[str, Any], int, float], list[tuple[float, float]]]


class SimResult(Struct, frozen=True, kw_only=True):
    """best: what the loop holds to be the best, tested or not.  claimed: the confirmed verdict it ends with, or None.

    refused: actions that the guard did not let pass, with why.  moves: decisions and deeds it took.
    """

    loop: Loop
    trials: list[TrialView]
    entries: list[Entry]
    best: Candidate | None
    claimed: Verdict | None
    seconds: float
    refused: list[tuple[Action, str]]
    moves: int

    def of(self, purpose: str) -> list[TrialView]:
        return [trial for trial in self.trials if trial.purpose == purpose]

    @property
    def said(self) -> list[str]:
        """What it told, oldest first."""
        return [e.action["text"] for e in self.entries if e.action["do"] in ("analyse", "promise")]


class _Run(Struct):
    view: TrialView
    outcome: float | Failed
    full: list[tuple[float, float]]
    began: float
    length: float
    ends: float


class Sim:
    """One loop. objective: (parameters with defaults filled in, seed) → value, or `Failed`; NaN is a failure as well.

    curve: (parameters, seed, value) → the metric's (step, value) while it runs; None: nothing streams.
    seconds: of one run, or a function of its parameters.  metric_known: False lets the policy find `metric` among
    `logged`.
    person: (question) → the answer's option id or words; None: nobody answers, and the loop rests there.
    says: what a person says, by the number of sweeps after which it is said.  alerts: (run) → alerts raised in it.
    autonomy: full asks nobody before it acts.
    """

    def __init__(
        self,
        space: Mapping[str, Knob],
        objective: Objective,
        *,
        curve: Curve | None = None,
        limits: Limits | None = None,
        slots: int = 2,
        mode: str = "min",
        metric: str = "val_loss",
        metric_known: bool = True,
        logged: Sequence[str] = (),
        goal: str = "make it better",
        seed_flag: str = "seed",
        seconds: float | Callable[[dict[str, Any]], float] = 10.0,
        seed: int = 0,
        setup: Mapping[str, Any] | None = None,
        person: Callable[[Question], str] | None = None,
        says: Mapping[int, str] | None = None,
        alerts: Callable[[TrialView], list[Alert]] | None = None,
        autonomy: str = "full",
    ) -> None:
        self.objective, self.curve, self.slots, self.seconds = objective, curve, slots, seconds
        self.metric, self.logged, self.person = metric, [metric, *logged], person
        self.says, self.raise_alerts = dict(says or {}), alerts
        made = Setup(
            command="python train.py",
            cwd="/",
            metric=metric if metric_known else "",
            mode=mode if metric_known else "min",  # type: ignore[arg-type]
            space=dict(space),
            seed=seed_flag,
            **dict(setup or {}),
        )
        limits = limits or Limits(runs=40)
        self.defaults = {name: knob.default for name, knob in space.items()}
        self.loop = Loop(
            id="wld_sim", goal=goal, created_at=0.0, setup=made, limits=limits, seed=seed, autonomy=autonomy  # type: ignore[arg-type]
        )  # fmt: skip
        self.trials: dict[str, TrialView] = {}
        self.alerts: dict[str, Alert] = {}
        self.entries: list[Entry] = []
        self.refused: list[tuple[Action, str]] = []
        self.pending: list[tuple[str, dict[str, Any], str]] = []  # run, point, purpose
        self.live: dict[str, _Run] = {}
        self.now = 0.0
        self.moves = 0

    # --- what is seen ---
    def view(self) -> View:
        left = wild_limits.left(self.loop.limits, self.loop.spent).runs
        done = [t for t in self.trials.values() if t.status == "finished"]
        trials = list(self.trials.values())
        if self.loop.setup.metric != self.metric:  # what the runs are judged by is not known, or not logged
            trials = [replace(t, value=None, curve=[]) for t in trials]
        return View(
            loop=self.loop,
            trials=trials,
            alerts=[a for a in self.alerts.values() if a.status.value == "pending"],
            now=self.now,
            slots=self.slots,
            metrics={name: len(done) for name in self.logged} if done else {},
            runs_left=None if left is None else max(0, left - len(self.pending)),
            entries=self.entries[-50:],
        )

    def world(self) -> wild_loop.World:
        view = self.view()
        met = wild_limits.reached(self.loop.limits, view.trials, self.loop.setup.metric)
        hit = wild_limits.hit(self.loop.limits, self.loop.spent)
        ends = bool(self.loop.promised or met or hit) and not self.pending and not self.live
        return wild_loop.World(
            now=self.now,
            runs=[
                wild_loop.RunSeen(t.run, t.status, t.status in TERMINAL, t.failure)
                for t in view.trials
                if not any(t.run == run for run, _, _ in self.pending)
            ],
            alerts=[wild_loop.AlertSeen(a.id, a.run_id, a.severity.value, a.title) for a in view.alerts],
            sweep_over=not self.pending and not self.live,
            hit=hit,
            goal="" if met is None else "The goal is met.",
            to_confirm=ends and confirm.needs_confirm(view),
        )

    # --- the loop ---
    def run(self, policy: Policy, *, most: int = 5000) -> SimResult:
        """Until the loop ends or rests for good. Raises AssertionError after `most` moves: a loop must end."""
        asyncio.run(self._run(policy, most))
        winner = [v for v in self.loop.verdicts if v.verdict == "confirmed" and v.mean is not None]
        sign = 1.0 if self.loop.setup.mode == "min" else -1.0
        found = confirm.candidates(self.view(), 1)
        return SimResult(
            loop=self.loop,
            trials=list(self.trials.values()),
            entries=self.entries,
            best=found[0] if found else None,
            claimed=min(winner, key=lambda v: sign * (v.mean or 0.0), default=None),
            seconds=self.now,
            refused=self.refused,
            moves=self.moves,
        )

    async def _run(self, policy: Policy, most: int) -> None:
        while not self.loop.over:
            self.moves += 1
            assert self.moves < most, f"no end after {most} moves: {self.loop.stage}, {self.entries[-3:]}"
            text = self.says.pop(len(self.loop.sweeps), None)
            if text is not None:
                self.loop = wild_loop.steered(self.loop, f"human:{self.moves}", text, self.now)
            self.loop = wild_loop.sync(self.loop, self.world())
            if self.loop.question is None and wild_loop.blocked(self.loop):
                return  # a person would be asked by the loop itself
            move = wild_loop.next_move(self.loop, self.world())
            match move:
                case wild_loop.Decide(event=event):
                    await self._decide(policy, event)
                case wild_loop.Perform(action=action):
                    self._perform(action)
                case wild_loop.Analyze():
                    view = self.view()
                    best = next(iter(confirm.candidates(view, 1)), None)
                    self.loop = wild_loop.to_analysis(self.loop, self.now, noise.baseline(view), best)
                case wild_loop.Judge():
                    view = self.view()
                    found = confirm.verdicts(view, self.loop.sweep)
                    self.loop = wild_loop.judged(self.loop, self.now, found, self.loop.best)
                case wild_loop.ConfirmFirst():
                    owed = wild_loop.encode_actions([Confirm()])
                    self.loop = replace(self.loop, owed=[*self.loop.owed, *owed])
                case wild_loop.EndLoop():
                    self.loop = wild_loop.ended(self.loop, move, self.now)
                case wild_loop.Explore():
                    self.loop = wild_loop.explored(self.loop)
                case _:
                    if not self._time_passes(policy):
                        return

    async def _decide(self, policy: Policy, event: LoopEvent) -> None:
        self.loop = wild_loop.taken(self.loop, event)
        hands = DecisionHands(self.view(), event, None, self.now)
        thought = await policy.decide(hands.view, event, hands)
        hands.close()
        assert isinstance(thought, Thought)
        moves = [*hands.accepted, *(action for action, _ in hands.asked)]
        empty = event.kind == "explore" and all(isinstance(action, (Analyse, ResolveAlert)) for action in moves)
        for said in hands.said:
            self.note(event, said.action, said.reasoning, said.evidence, said.who, said.outcome, said.result)
            if said.outcome == "refused":
                self.refused.append((said.action, said.result))
        self.loop = wild_loop.decided(self.loop, hands.accepted, hands.question, empty=empty, refusal=hands.refusal)

    def note(
        self, event: LoopEvent, action: Action, why: str, evidence: Sequence[Seen], who: str, outcome: Any, text: str
    ) -> None:
        n = len(self.entries) + 1
        # The ledger is JSON: what is none is found out here.
        plain = msgspec.json.decode(msgspec.json.encode(action))
        self.entries.append(
            Entry(
                id=f"ent_{n}", loop_id=self.loop.id, n=n, at=self.now, by="rule", stage=self.loop.stage.value,
                iteration=self.loop.iteration, who=who, event=event, evidence=list(evidence), reasoning=why,
                action=plain, outcome=outcome, result=text,
            )
        )  # fmt: skip
        self.loop = replace(self.loop, entries=n)

    # --- deeds ---
    def _perform(self, action: Action) -> None:
        match action:
            case ProposeSweep():
                self._sweep(action.points, action.purpose, list(action.by))
            case Launch():
                self._sweep([action.params], "search", [])
            case Confirm():
                self._confirm(action)
            case StopRun(run=run):
                self._stop(run, action.reason)
                self.loop = wild_loop.carried_out(self.loop)
            case ResolveAlert(alert=id, choice=choice):
                self._resolve(id, choice)
                self.loop = wild_loop.carried_out(self.loop)
            case _:
                self.loop = wild_loop.carried_out(self.loop)

    def _confirm(self, action: Confirm) -> None:
        view = self.view()
        found = confirm.candidates(view, self.loop.setup.top, untested=True)
        if action.runs:
            wanted = confirm.candidates(view, 10_000)
            found = [c for c in wanted if set(c.runs) & set(action.runs)]
        view = replace(view, loop=replace(view.loop, owed=view.loop.owed[1:]))  # what is carried out waits no more
        while len(found) > 1 and len(paired_seeds(view, len(found), action.beside)) < self.loop.setup.seeds:
            found = found[:-1]
        seeds = paired_seeds(view, len(found), action.beside)
        flag = self.loop.setup.seed
        default: list[dict[str, Any]] = [] if action.beside else [{}]
        points = (
            [{**params, flag: s} for s in seeds for params in (*default, *(c.params for c in found))] if flag else []
        )
        self._sweep(points, "confirm", [])

    def _sweep(self, points: Sequence[dict[str, Any]], purpose: str, by: list[str]) -> None:
        sweep = f"swp_{len(self.loop.sweeps) + 1:03d}"
        for index, point in enumerate(points):
            run = f"run_{len(self.trials) + 1:04d}"
            seed = point.get(self.loop.setup.seed or "")
            params = {name: value for name, value in point.items() if name != self.loop.setup.seed}
            self.trials[run] = TrialView(
                run=run, sweep=sweep, purpose=purpose, index=index, params=params, status="ready", seed=seed,
                by=by[index] if index < len(by) else "rule",
            )  # fmt: skip
            self.pending.append((run, dict(point), purpose))
        self.loop = wild_loop.began_sweep(self.loop, sweep, purpose)

    def _stop(self, run: str, why: str) -> None:
        if run in self.live:
            view = self.live.pop(run).view
            self._ended(replace(view, status="stopped", failure="stopped", reason=why))

    def _resolve(self, id: str, choice: str) -> None:
        alert = self.alerts[id]
        chosen = next(c for c in alert.choices if c.id == choice)
        self.alerts[id] = replace(alert, status=type(alert.status)("resolved"), choice=choice)
        if chosen.action in ("stop", "stop_now"):
            self._stop(alert.run_id, alert.title)

    # --- time ---
    def _time_passes(self, policy: Policy) -> bool:
        """Launch what fits, then on to the next thing that happens. False: nothing can happen any more."""
        question = self.loop.question
        if question is not None and not self.live and not self.pending:
            if self.person is None:
                return False
            said = self.person(question)
            choice = said if any(o.id == said for o in question.options) else ""
            text = "" if choice else said
            self.loop, _, _ = wild_loop.answered(self.loop, question.id, choice, text, self.now)
            return True
        before, alerts = len(self.pending), len(self.alerts)
        self._launch()
        if len(self.alerts) > alerts:
            return True  # decided about at once, while the run lives
        if not self.live:
            return len(self.pending) < before  # what is given up, too, is something that happened
        streams = self.curve is not None
        step = min(run.length for run in self.live.values()) / TICKS if streams else math.inf
        until = min([self.now + step, *(run.ends for run in self.live.values())])
        self._spend(until)
        for id, run in list(self.live.items()):
            self._look(id, run)
        if streams and self.live:
            for action, why in policy.watch(self.view()):
                assert isinstance(action, StopRun)
                event = LoopEvent(id="watch", kind="completion", at=self.now, order=0.0)
                self.note(event, action, why, [], "rule:halving", "done", "")
                self._stop(action.run, why)
        return True

    def _launch(self) -> None:
        if self.pending:
            sweep = self.trials[self.pending[0][0]].sweep
            mine = [t for t in self.trials.values() if t.sweep == sweep]
            proven = any(t.status == "finished" for t in mine)
            failed = [t.failure for t in mine if t.status == "failed"]
            if not proven and any(failed.count(kind) >= _EQUAL for kind in set(failed)):
                for run, _, _ in self.pending:
                    del self.trials[run]
                self.pending = []
                return
            # The first run of the first sweep goes alone, until it has ended well.
            width = self.slots if proven or self.trials[self.pending[0][0]].purpose != "baseline" else 1
            while self.pending and len(self.live) < width:
                self._start(*self.pending.pop(0))

    def _start(self, id: str, point: dict[str, Any], purpose: str) -> None:
        setup = self.loop.setup
        params = self.defaults | point
        seed = params.pop(setup.seed, None) if setup.seed else None
        outcome = self.objective(params, self.moves if seed is None else seed)
        if isinstance(outcome, float) and not math.isfinite(outcome):
            outcome = Failed("nan", "loss became NaN", 0.2)
        length = self.seconds(params) if callable(self.seconds) else self.seconds
        if isinstance(outcome, Failed):
            length = max(1e-3, length * outcome.share)
        full = self.curve(params, seed or 0, outcome) if self.curve and not isinstance(outcome, Failed) else []
        view = replace(self.trials[id], status="running")
        self.trials[id] = view
        self.live[id] = _Run(view, outcome, full, self.now, length, self.now + length)
        spent = self.loop.spent
        self.loop = replace(self.loop, spent=replace(spent, runs=spent.runs + 1))
        for alert in self.raise_alerts(view) if self.raise_alerts else []:
            self.alerts[alert.id] = alert

    def _spend(self, until: float) -> None:
        spent: Spent = self.loop.spent
        self.loop = replace(self.loop, spent=replace(spent, seconds=spent.seconds + until - self.now))
        self.now = until

    def _look(self, id: str, run: _Run) -> None:
        share = min(1.0, (self.now - run.began) / run.length)
        shown = run.full[: round(share * len(run.full))]
        value = shown[-1][1] if shown else None
        view = replace(run.view, curve=shown, value=value, seconds=self.now - run.began)
        run.view = view
        if self.now < run.ends - 1e-9:
            self.trials[id] = view
            return
        del self.live[id]
        if isinstance(run.outcome, Failed):
            failure, line = run.outcome.kind, run.outcome.line
            view = replace(view, status="failed", failure=failure, value=None, log_line=line, reason=failure)
        else:
            view = replace(view, status="finished", value=run.outcome)
        self._ended(view)

    def _ended(self, view: TrialView) -> None:
        self.trials[view.run] = view
        for alert in list(self.alerts.values()):
            if alert.run_id == view.run and alert.status.value == "pending":
                self.alerts[alert.id] = replace(alert, status=type(alert.status)("expired"))
