"""The judge's desk: asks a model how live runs are doing, and records what it says.

A verdict becomes durable first, under the run and the row where its range begins; then what it changes (an alert, a
lowered warning) is committed together with the cursor. An engine killed in between finds the verdict again and asks
nobody twice; the alert's id comes of the same two, so it is never there twice either.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import math
from collections.abc import Callable, Iterable

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.alert import Alert, Severity
from ragent_jupyter.domain.errors import RagentError
from ragent_jupyter.domain.model import (
    BlockEnded,
    Ended,
    Message,
    Model,
    ModelFailed,
    ModelRequest,
    SystemText,
    Text,
    ToolOffer,
    ToolUse,
    Usage,
)
from ragent_jupyter.domain.ports import MetricReader, RowPut, Tx
from ragent_jupyter.domain.run import Run, RunStatus
from ragent_jupyter.domain.wire import Check
from ragent_jupyter.rules import judge as rules
from ragent_jupyter.rules import run_life
from ragent_jupyter.rules.digest import Curve, Direction, digests, direction_of
from ragent_jupyter.rules.prompt import quote
from ragent_jupyter.rules.redact import redact
from ragent_jupyter.rules.tool_text import settings, word
from ragent_jupyter.rules.watch_raise import spelled

from .alerts import AlertsDesk
from .logs import tail
from .runs import RunsDesk
from .shell import Change, Shell
from .tools.metrics import CurveReader
from .tools.refs import ranked_names
from .turn_seat import Models

log = logging.getLogger("ragent.judge")

LOOK_S = 1.0
ANSWER_S = 120.0  # one verdict may take so long
BUDGET_USD = 1.0  # a day, unless the pref `judge_budget_usd_day` says otherwise
_BLIND_CALLS = 500  # a day, of a model without a known price
_AT_ONCE = 2
_MODEL_S = 10.0
_TOMORROW = "It goes on tomorrow (UTC) where it ended; a higher limit lets it go on now."
_METRICS = 6
_LINES = 34  # of curves; the head, the alerts and what is new take the rest of the 40
_TAIL = 3000  # bytes of the log
_RECENT_S = 86400.0  # runs that ended longer ago are not taken up again after a restart


class Judged(Struct, frozen=True, kw_only=True):
    """A durable verdict (objects of kind "verdict", of its run). step: the last one that it saw.  cost: US dollars."""

    run_id: str
    start: int
    end: int
    verdict: rules.Verdict
    model: str
    at: float
    step: int | None = None
    cost: float | None = None
    usage: Usage = Usage()


class JudgeDesk:
    """`run()` is its task; `health` says why nothing is judged, "" where something is."""

    def __init__(
        self,
        shell: Shell,
        runs: RunsDesk,
        metrics: MetricReader,
        models: Models,
        alerts: AlertsDesk,
        redact: Callable[[str], str] = redact,
    ) -> None:
        """redact: what knows this project's keys beside what keys look like."""
        self.shell = shell
        self.redact = redact
        self.runs = runs
        self.metrics = metrics
        self.models = models
        self.alerts = alerts
        self.reader = CurveReader(runs, metrics)
        self.states: dict[str, rules.Judge] = {}
        self.health = ""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._stopping = False
        self._has_model = False
        self._next_model = 0.0
        self._taken: set[str] = set()  # runs of before, looked at once
        shell.listeners.append(self._changed)

    # --- life ------------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Watch for rows, ask when it is time; until `stop`."""
        try:
            while not self._stopping:
                try:
                    await self.look_once()
                except RagentError as error:
                    log.error("what the judge knows could not be remembered yet: %s", error)
                except Exception:
                    log.exception("a look of the judge failed; the next one follows")
                await asyncio.sleep(LOOK_S)
        finally:
            for task in self._tasks.values():
                task.cancel()

    def stop(self) -> None:
        self._stopping = True

    def verdicts(self, run_id: str) -> list[Judged]:
        """The verdicts of a run, by their rows."""
        found = [msgspec.json.decode(d, type=Judged) for d in self.shell.store.load("verdict", parent=run_id)]
        return sorted(found, key=lambda j: j.start)

    def _changed(self, change: Change) -> None:
        alert = change.obj
        if not isinstance(alert, Alert) or change.type != "alert_raised" or alert.evidence.source == "judge":
            return
        if alert.severity is not Severity.INFO or alert.rule == "plateau":
            self._feed(alert.run_id, rules.Hurry(self.shell.clock.now()))

    def model(self) -> Model | None:
        """The judge's model; None where there is none, and `health` says so."""
        if self.shell.prefs.get("judge") is False:
            self.health = "off"
            return None
        try:
            model = self.models.model_for("judge")
        except ModelFailed as error:
            self.health = f"no model: {error.problem}"
            return None
        if model.info.provider == "builtin":
            self.health = "no model"
            return None
        self.health = ""
        return model

    def check(self) -> Check:
        """For the doctor: who judges, or why nobody does. That is no fault: the rules watch without a model."""
        model = self.model()
        if model is not None:
            over = self._too_dear(model)
            return Check(name="judge", ok=not over, detail=over or model.info.id, remedy=_TOMORROW if over else "")
        said = "switched off" if self.health == "off" else self.health.rstrip(".")
        return Check(name="judge", ok=True, detail=f"{said}; the rules alone watch runs")

    def _there(self) -> bool:
        """Whether there is a model, asked for at most every few seconds: a keyring may be slow."""
        now = self.shell.clock.mono()
        if now >= self._next_model:
            self._next_model = now + _MODEL_S
            self._has_model = self.model() is not None
        return self._has_model

    # --- looking ---------------------------------------------------------------------------------------------------
    async def look_once(self) -> None:
        """Count the rows of the runs that are judged, and begin what is due."""
        runs = self._wanted()
        if not runs or not self._there():
            return
        counted = await asyncio.get_running_loop().run_in_executor(None, self._count, [run.id for run in runs])
        now = self.shell.clock.now()
        for run in runs:
            if run.id not in self.states:
                await self._begin(run)
            self._feed(run.id, rules.Rows(now, counted[run.id]))
            if run.status.terminal and run.settled:
                self._feed(run.id, rules.Ended(now))
            self._feed(run.id, rules.Tick(now))
            if self.states[run.id].done:
                self._taken.add(run.id)
                del self.states[run.id]

    def _wanted(self) -> list[Run]:
        now = self.shell.clock.now()
        found = []
        for run in self.shell.runs.values():
            if run.status in (RunStatus.RUNNING, RunStatus.STOPPING) or run.id in self.states:
                found.append(run)
            elif run.status.terminal and run.id not in self._taken:
                begun = f"{run.id}/judged" in self.shell.offsets
                if not run.settled or (begun and now - (run.ended_at or 0.0) < _RECENT_S):
                    found.append(run)
                else:
                    self._taken.add(run.id)
        return found

    def _count(self, run_ids: Iterable[str]) -> dict[str, int]:
        return {id: int(self.metrics.totals(str(self.runs.folder(id)))["rows"]) for id in run_ids}

    async def _begin(self, run: Run) -> None:
        """Take a run up where the last verdict ended; a verdict that was not carried out yet is carried out first."""
        cursor = self.shell.offsets.get(f"{run.id}/judged", 0)
        state = rules.Judge(cursor=cursor)
        found = self.shell.store.load("verdict", ids=[_key(run.id, cursor)])
        if found:
            judged = msgspec.json.decode(found[0], type=Judged)
            await self._carry_out(run, judged)
            state = rules.Judge(cursor=judged.end)
        elif f"{run.id}/judged" not in self.shell.offsets:
            await self.shell.commit([], offsets={f"{run.id}/judged": 0})
        self.states.setdefault(run.id, state)

    def _feed(self, run_id: str, event: rules.Event) -> None:
        state = self.states.get(run_id)
        if state is None:
            return
        self.states[run_id], effects = rules.judge(state, event)
        for effect in effects:
            if isinstance(effect, rules.Ask):
                self._start(run_id, self._ask(run_id, effect.range))
            else:
                self._start(f"{run_id} health", self._say(run_id, effect.text))

    def _start(self, name: str, work: object) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)  # type: ignore[arg-type]
        self._tasks[name] = task
        task.add_done_callback(lambda done: self._tasks.pop(name, None) if self._tasks.get(name) is done else None)

    async def _say(self, run_id: str, text: str) -> None:
        """Show the judge's health as the run's, unless the run has a graver one of its own."""
        run = self.shell.runs.get(run_id)
        if run is None or (run.health and not run.health.startswith("judge:")) or run.health == text:
            return
        try:
            await self.runs.feed(run_id, run_life.Seen(health=text, unreachable_since=run.unreachable_since))
        except RagentError as error:
            log.error("the judge's health of %s could not be remembered: %s", run_id, error)

    # --- asking ----------------------------------------------------------------------------------------------------
    async def _ask(self, run_id: str, range: rules.Range) -> None:
        now = self.shell.clock.now
        try:
            async with self._gate:
                event = await self._verdict(run_id, range)
        except ModelFailed as error:
            event = rules.Failed(now(), range, error.problem, error.retry_after or 0.0)
        except asyncio.TimeoutError:
            event = rules.Failed(now(), range, f"no verdict within {ANSWER_S:.0f} s")
        except RagentError as error:
            event = rules.Failed(now(), range, error.problem)
        except Exception as error:
            log.exception("judging %s failed", run_id)
            event = rules.Failed(now(), range, f"an error in ragent: {type(error).__name__}")
        self._feed(run_id, event)

    async def _verdict(self, run_id: str, range: rules.Range) -> rules.Event:
        run = self.runs.shown(self.runs.get(run_id))
        model = self.model()
        if model is None:
            return rules.Failed(self.shell.clock.now(), range, self.health, patient=True)
        spent = self._too_dear(model)
        if spent:
            return rules.Failed(self.shell.clock.now(), range, spent, wait_s=rules.LONGEST_S, patient=True)
        asked, step = await self._question(run, range)
        request = ModelRequest(
            system=[SystemText(rules.SYSTEM, cache=True)],
            messages=[Message("user", [Text(rules.corrected(asked.text, range))])],
            tools=[ToolOffer("verdict", "Say how the run is doing.", dict(rules.schema()))],
            force="verdict",
            max_tokens=1024,
        )
        raw, bad, usage = await asyncio.wait_for(_called(model, request), ANSWER_S)
        usage = msgspec.structs.replace(self.models.price(model.info.id, usage), calls=1)
        await self.models.spent("judge", usage, model.info.id, run_id)
        await self._count_cost(usage)
        verdict = f"it was no JSON: {bad[:80]}" if bad else rules.verdict_of(raw, asked)
        now = self.shell.clock.now()
        if isinstance(verdict, str):
            return rules.Bad(now, range, verdict)
        judged = Judged(
            run_id=run_id,
            start=range.start,
            end=range.end,
            verdict=verdict,
            model=model.info.id,
            at=now,
            step=step,
            cost=usage.cost,
            usage=usage,
        )
        put = RowPut(
            kind="verdict",
            id=_key(run_id, range.start),
            data=msgspec.json.encode(judged),
            parent=run_id,
            status=verdict.state,
            sort=now,
        )
        await self.shell.store.commit(Tx(puts=[put]))
        await self._carry_out(run, judged)
        return rules.Recorded(self.shell.clock.now(), range, verdict.state)

    async def _question(self, run: Run, range: rules.Range) -> tuple[rules.Asked, int | None]:
        """The digest of a run, what an answer is checked against, and the last step that the digest saw."""
        names = [n for n in ranked_names(await self.reader.names(run), run.primary) if not n.startswith("system/")]
        curves: list[tuple[Curve, Direction]] = []
        for name in names[:_METRICS]:
            curve = await self.reader.curve(run, name)
            if curve is not None and curve.x:
                curves.append((curve, direction_of(name, run.primary, run.mode)))
        since = self.shell.offsets.get(f"{run.id}/judged_step")
        lines = digests(curves, lines=_LINES - (8 if since is not None else 0))
        if since is not None and curves:
            fresh = await self.reader.curve(run, curves[0][0].name, float(since) + 1.0)
            if fresh is not None and fresh.x:
                lines += [f"since step {since}:", *digests([(fresh, curves[0][1])], lines=7)]
        head = f"{run.id}, {run.status.value}, settings: {settings(run.params, 20) or 'none recorded'}"
        if run.primary:
            head += f"; judged by {word(run.primary, 60)} ({run.mode})"
        folder = self.runs.folder(run.id)
        end = await asyncio.get_running_loop().run_in_executor(None, tail, folder / "job.log", _TAIL)
        pending = self.shell.pending_alerts(run.id)
        text = rules.question(
            head, range, since, lines, pending, quote("\n".join(self.redact(end).splitlines()[-30:]), "job.log")
        )
        asked = rules.Asked(
            text=self.redact(text),  # titles of alerts quote logs, settings are the user's
            steps={curve.name: (curve.x[0], curve.x[-1]) for curve, _ in curves},
            warnings=frozenset(a.id for a in pending if a.severity is Severity.WARNING),
        )
        return asked, int(max((curve.x[-1] for curve, _ in curves), default=0)) if curves else None

    # --- carrying out ----------------------------------------------------------------------------------------------
    async def _carry_out(self, run: Run, judged: Judged) -> None:
        """What a verdict changes, and the cursor, in one transaction."""
        verdict = judged.verdict
        cost = f"${judged.cost:.4f}" if judged.cost is not None else "an unknown cost"
        by = f"{word(judged.model, 80)} for {cost}"
        point = await self._point(run, verdict)
        range = rules.Range(judged.start, judged.end)
        now = self.shell.clock.now()
        # From here on nothing waits: what is decided is what is committed.
        run = self.shell.runs.get(run.id, run)
        changes = []
        alert = rules.raised(run.id, range, verdict, point, by, now, run.status.terminal)
        if alert is not None and alert.id not in self.shell.alerts:
            changes.append(Change("alert_raised", alert))
        for id in verdict.lower:
            old = self.shell.alerts.get(id)
            less = rules.lowered(old, verdict, f"judge {by}") if old is not None and old.run_id == run.id else None
            if less is not None:
                changes.append(Change("alert_changed", less))
        offsets = {f"{run.id}/judged": judged.end}
        if judged.step is not None:
            offsets[f"{run.id}/judged_step"] = judged.step
        await self.shell.commit(changes, offsets=offsets)
        told = {"run": run.id, "state": verdict.state, "start": judged.start, "end": judged.end, "model": judged.model}
        self.shell.ring_bell("runs", "run_judged", run.id, {**told, "why": verdict.why, "cost": judged.cost})

    async def _point(self, run: Run, verdict: rules.Verdict) -> rules.Point:
        """The recorded values around the step that the verdict names; they are the evidence, not its words."""
        if not verdict.severity or not verdict.metric:
            return rules.Point()
        step = verdict.step
        if step is None:
            curve = await self.reader.curve(run, verdict.metric)
            step = int(curve.x[-1]) if curve is not None and curve.x else None
        if step is None:
            return rules.Point()
        points = await self.reader.points(run, verdict.metric, float(step), 41)
        if not points:
            return rules.Point(step=step)
        x, value = min(points, key=lambda p: abs(p[0] - step))
        window = [(s, spelled(v)) for s, v in points]
        return rules.Point(int(x) if math.isfinite(x) else step, spelled(value), window)

    # --- money -----------------------------------------------------------------------------------------------------
    def _day(self) -> str:
        return dt.datetime.fromtimestamp(self.shell.clock.now(), dt.timezone.utc).strftime("%Y-%m-%d")

    def spent_today(self) -> float:
        """US dollars, as far as prices are known."""
        return self.shell.offsets.get(f"judge/spent/{self._day()}", 0) / 1e6

    def _too_dear(self, model: Model) -> str:
        """Why no more may be spent today; "" where it may."""
        over = self.models.over_budget()
        if over:
            return over
        limit = self.shell.prefs.get("judge_budget_usd_day", BUDGET_USD)
        limit = float(limit) if isinstance(limit, (int, float)) and not isinstance(limit, bool) else BUDGET_USD
        if self.spent_today() >= limit:
            return f"today's budget of ${limit:g} is spent"
        if self.shell.offsets.get(f"judge/blind/{self._day()}", 0) >= _BLIND_CALLS:
            return f"{_BLIND_CALLS} verdicts of a model without a known price are enough for a day"
        return ""

    async def _count_cost(self, usage: Usage) -> None:
        day = self._day()
        key, more = (f"judge/blind/{day}", 1)
        if usage.cost is not None:
            key, more = f"judge/spent/{day}", math.ceil(usage.cost * 1e6)
        if more:
            await self.shell.commit([], offsets={key: self.shell.offsets.get(key, 0) + more})


def _key(run_id: str, start: int) -> str:
    return f"{run_id}:{start}"


async def _called(model: Model, request: ModelRequest) -> tuple[object, str, Usage]:
    """(input of the verdict's call, JSON that was none, usage). No call at all is an input of None."""
    raw: object = None
    bad = ""
    usage: Usage | None = None
    stream = model.stream(request)
    try:
        async for event in stream:
            if isinstance(event, BlockEnded) and isinstance(event.block, ToolUse) and event.block.name == "verdict":
                raw, bad = event.block.input, event.bad_input
            elif isinstance(event, Ended):
                usage = event.usage
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()
    if usage is None:
        raise ModelFailed("cut", "the stream ended before the verdict did")
    return raw, bad, usage
