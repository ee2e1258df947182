"""The driver: wishes, kills, and waiting for the end."""

from __future__ import annotations

import random
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import ragent_sidecar

import ragent_jupyter
from ragent_jupyter.client import Client
from ragent_jupyter.domain.errors import RagentError, Unreachable, WrongMoment
from ragent_jupyter.domain.run import Run
from ragent_jupyter.domain.sweep import SearchSpace, Values
from ragent_jupyter.domain.wire import CreateRun, CreateSweep

from .audit import Verdict, Wishes, audit, judge_events
from .world import KINDS, Jupyter, World

JOB = Path(__file__).with_name("job.py")
POINTS = {  # who dies there: pattern, and how late at most
    "engine": [("store.*", 40), ("jsonl.*", 12), ("effects.*", 8)],
    "wrapper": [("wrapper.claim.*", 3), ("wrapper.spawn*", 2), ("wrapper.fact.*", 6), ("wrapper.exit.*", 4)],
    "sidecar": [("columns.*", 40), ("sidecar.*", 25), ("jsonl.*", 20)],
}
MAX_LIVE = 8
WAIT_END_S = 180.0


class Ear:
    """Subscribes to all events from the first on, through every death of the engine."""

    def __init__(self, world: World) -> None:
        self.heard: list[int] = []
        self._world = world
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while self._world.folder.exists():
            try:
                for event in self._world.client().events(after=self.heard[-1] if self.heard else 0):
                    if event.type not in ("ping", "hello", "metrics_changed", "run_progress"):
                        self.heard.append(event.seq)
            except RagentError:
                threading.Event().wait(0.05)


class Soak:
    def __init__(self, world: World, seed: int, jupyter: bool = True, say: Callable[[str], None] | None = None) -> None:
        self.world = world
        self.random = random.Random(seed)
        self.wishes = Wishes()
        self.with_jupyter = jupyter
        self.say = say or (lambda words: None)
        self.count = 0
        self.troubles: list[str] = []

    # --- wishes ----------------------------------------------------------------------------------------------------
    def _command(self) -> str:
        r = self.random
        words = [sys.executable, str(JOB), str(self.world.truth)]
        if r.random() < 0.15:
            words += ["--rows", str(r.randint(2000, 8000)), "--burst", "200", "--pace", "0.02"]
        elif r.random() < 0.1:
            words += ["--rows", "600", "--pace", "0.09"]  # a stop that is lost is seen
        else:
            words += ["--rows", str(r.randint(5, 80)), "--pace", str(round(r.uniform(0.005, 0.04), 3))]
        if r.random() < 0.25:
            words += ["--exit", str(r.choice([1, 2, 77]))]
        if r.random() < 0.3:
            words += ["--via", "stdout"]
        if r.random() < 0.3:
            words += ["--nan-at", str(r.randint(3, 30)), "--lr", "0.1"]
        return " ".join(words)

    def launch(self) -> None:
        self.count += 1
        name = f"soak-{self.count}"
        body = CreateRun(
            command=self._command(),
            name=name,
            params={"lr": 0.1},
            primary="loss",
            executor=self.random.choice(["tmux", "process"]),
            request_id=f"request-{name}",
        )
        self.world.ask(lambda client: client.create_run(body))
        self.wishes.names.add(name)

    def sweep(self) -> None:
        self.count += 1
        name = f"sweep-{self.count}"
        command = f"{sys.executable} {JOB} {self.world.truth} --pace 0.05"
        space = SearchSpace(parameters={"rows": Values([10, 20, 30]), "lr": Values([0.01, 0.02])})
        body = CreateSweep(command=command, space=space, name=name, parallel=2, request_id=f"request-{name}")
        self.world.ask(lambda client: client.create_sweep(body))
        self.wishes.sweeps.add(name)

    def stop_sweep(self) -> None:
        running = [s for s in self.world.ask(lambda client: client.sweeps()) if not s.status.terminal]
        if not running:
            return
        sweep = self.random.choice(running)
        self.wishes.stopped_sweeps.add(sweep.name)
        try:
            self.world.ask(lambda client: client.stop_sweep(sweep.id))
        except WrongMoment:
            return  # it had ended
        at = time.time()
        for run in self.world.ask(lambda client: client.all_runs(sweep=sweep.id)):
            self.wishes.promised[run.id] = at

    def stop_one(self) -> None:
        live = self.world.ask(lambda client: client.runs(status=["running", "queued", "launching"], limit=50)).runs
        live = [run for run in live if not run.sweep_id]
        if not live:
            return
        run: Run = self.random.choice(live)
        self.wishes.stopped.add(run.id)
        try:
            self.world.ask(lambda client: client.stop(run.id, now=self.random.random() < 0.3))
        except WrongMoment:
            return  # it had ended
        self.wishes.promised[run.id] = time.time()

    def answer_one(self) -> None:
        pending = self.world.ask(lambda client: client.alerts(status="pending")).alerts
        if not pending:
            return
        alert = self.random.choice(pending)
        choice = self.random.choice(alert.choices)
        try:
            self.world.ask(lambda client: client.respond(alert.id, choice.id))
        except WrongMoment:
            return  # it had expired
        self.wishes.answered[alert.id] = choice.id

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:
            self.troubles.append(f"{act.__name__}: {error!r}")

    # --- kills -----------------------------------------------------------------------------------------------------
    def kill_one(self, kind: str) -> bool:
        found = self.world.find(kind)
        if not found:
            return False
        victim = self.random.choice(found)
        self.say(f"kill {kind} {victim.pid}")
        self.world.kill(victim, kind)
        return True

    def kill_inside(self, kind: str, pattern: str = "", number: int = 0, patience: float = 4.0) -> None:
        """Let someone die inside an operation: a new engine, or what a new engine launches, carries the kill point."""
        if not pattern:
            pattern, latest = self.random.choice(POINTS[kind])
            number = self.random.randint(1, latest)
        self.say(f"kill {kind} at {pattern}:{number}")
        for engine in self.world.find("engine"):
            self.world.kill(engine, "engine")
        if kind == "wrapper":
            for server in self.world.find("tmux"):  # its windows would have the old environment
                self.world.kill(server, "tmux")
        with self.world.kill_at(pattern, number) as marker:
            deadline = time.monotonic() + patience
            self.launch()
            self.launch()
            while time.monotonic() < deadline and not marker.exists():
                self.world.ask(lambda client: client.status())
                threading.Event().wait(0.05)
        if marker.exists():
            self.world.kills[f"{kind} inside"] += 1
            self.say("hit")

    def round(self) -> None:
        r = self.random
        acts: list[Callable[[], None]] = []
        status = self.world.ask(lambda client: client.status())
        if status.live + status.queued < MAX_LIVE:
            acts += [self.launch] * r.randint(1, 2)
            if r.random() < 0.1:
                acts.append(self.sweep)
            if r.random() < 0.05:
                acts.append(self.stop_sweep)
        if r.random() < 0.25:
            acts.append(self.stop_one)
        if r.random() < 0.5:
            acts.append(self.answer_one)
        worker = threading.Thread(target=lambda: [self._guarded(act) for act in acts])
        worker.start()
        threading.Event().wait(r.uniform(0.0, 0.5))
        if r.random() < 0.35:
            worker.join()
            self._guarded(lambda: self.kill_inside(r.choice(sorted(POINTS))))
        else:
            kinds = r.sample(KINDS, k=len(KINDS))
            if r.random() < 0.5:  # they are always there: let others come first
                kinds.sort(key=lambda kind: kind in ("engine", "jupyter"))
            times = r.choice([1, 1, 1, 2, 5])
            for kind in kinds:
                times -= self.kill_one(kind)
                if times <= 0:
                    break
        if self.with_jupyter and r.random() < 0.2:
            self._use_jupyter()
        worker.join()

    def _use_jupyter(self) -> None:
        """The other door: it starts the engine as well."""
        if self.world.jupyter is None:
            self.world.jupyter = Jupyter(self.world)
            return  # it comes up meanwhile; it is used next time
        deadline = time.monotonic() + 60.0
        while True:
            try:
                self.world.jupyter.get("status")
                return
            except OSError as error:  # its answer was lost with an engine that was killed: asking again must do
                if time.monotonic() > deadline:
                    self.troubles.append(f"jupyter: {error!r}")
                    return
                threading.Event().wait(0.1)

    def every_point(self) -> None:
        """Each kill point that the sources name, once early and once a little later, with runs to meet it."""
        names = sorted(set(re.findall(r'kill_point\((?:point \+ )?"([\w.]+)"\)', _sources())))
        for name in names:
            pattern = f"*{name}" if name.startswith(".") else name
            for number in (1, 3):
                self.wait_until(lambda client: client.status().live == 0, 60.0)
                self.kill_inside(_who(name), pattern, number, patience=3.0)

    # --- the end ---------------------------------------------------------------------------------------------------
    def wait_until(self, so: Callable[[Client], bool], timeout: float) -> None:
        """Use a door until it is so, or the time is over."""
        deadline = time.monotonic() + timeout
        while not self.world.ask(so) and time.monotonic() < deadline:
            threading.Event().wait(0.1)

    def wait_for_the_end(self) -> None:
        def over(client: Client) -> bool:
            runs = client.all_runs()
            sweeps = client.sweeps()
            return all(r.status.terminal and r.settled for r in runs) and all(s.status.terminal for s in sweeps)

        self.wait_until(over, WAIT_END_S)

    def verdict(self, ear: Ear | None) -> Verdict:
        self.wait_for_the_end()
        client = self.world.client()
        newest = client.status().seq
        if ear is not None:
            deadline = time.monotonic() + 10
            while (not ear.heard or ear.heard[-1] < newest) and time.monotonic() < deadline:
                threading.Event().wait(0.05)
        points = sum(pattern.startswith("wrapper.") for pattern in self.world.hits())
        world = self.world
        verdict = audit(client, world.project, world.truth, self.wishes, world.killed_wrappers, points)
        if ear is not None:
            judge_events(verdict, list(ear.heard), newest)
        verdict.details += self.troubles
        return verdict


def _sources() -> str:
    packages = [Path(ragent_jupyter.__path__[0]), Path(ragent_sidecar.__path__[0])]
    return "\n".join(path.read_text() for package in packages for path in package.rglob("*.py"))


def _who(point: str) -> str:
    """Who is to die there; what several pass is left to the first who comes."""
    for kind, prefixes in (("engine", ("store", "effects")), ("wrapper", ("wrapper", ".")), ("sidecar", ("",))):
        if point.startswith(prefixes):
            return kind
    raise AssertionError(point)


def soak(
    rounds: int, seed: int, *, jupyter: bool = True, points: bool = False, say: Callable[[str], None] | None = None
) -> dict[str, object]:
    """One soak; what the auditor found. The project's folder is kept where that is not nothing.

    points: before the rounds, each kill point is hit by itself.
    """
    world = World()
    began = time.monotonic()
    try:
        run = Soak(world, seed, jupyter, say)
        world.ask(lambda client: client.put("prefs", {"parallel": 4}))
        ear = Ear(world)
        if points:
            run.every_point()
        for number in range(rounds):
            run.say(f"round {number + 1}")
            run.round()
        verdict = run.verdict(ear)
        world.keep = not verdict.clean
        result: dict[str, object] = {"seed": seed, "rounds": rounds, "kills": dict(sorted(world.kills.items()))}
        result |= {name: value for name, value in vars(verdict).items() if name != "details"}
        result |= {"clean": verdict.clean, "seconds": round(time.monotonic() - began, 1)}
        if not verdict.clean:
            result |= {"details": verdict.details, "folder": str(world.folder)}
        return result
    finally:
        world.close()


__all__ = ["Soak", "Unreachable", "soak"]
