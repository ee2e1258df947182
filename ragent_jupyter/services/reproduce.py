"""The desk of reproductions: runs a report's claim again as a sweep of its own, and says what came out.

A reproduction is its first sweep: its id is that sweep's, and the claim lies as `claim.json` in that sweep's folder,
written before anything is started. So a restart at any moment goes on with it, and the same claim asked for twice at
once is run once.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.errors import BadInput, NotFound, RagentError, TooLarge
from ragent_jupyter.domain.run import Run, RunStatus
from ragent_jupyter.domain.sweep import Sweep, SweepStatus
from ragent_jupyter.domain.wild import Loop, TrialView, Verdict, View
from ragent_jupyter.domain.wild_report import Claim, Pair, Reproduction
from ragent_jupyter.domain.wire import CreateSweep
from ragent_jupyter.domain.wire_wild import Reproduce
from ragent_jupyter.rules import confirm
from ragent_jupyter.rules import reproduce as rules
from ragent_jupyter.rules import wild_words as words
from ragent_jupyter.rules.report import number
from ragent_jupyter.rules.wild_novelty import base_commit, key
from ragent_jupyter.runfiles.jsonl import atomic_write
from ragent_jupyter.runfiles.spec import read_base_env

from .runs import RunsDesk
from .shell import Shell
from .sweeps import SweepsDesk
from .wild_view import objective

log = logging.getLogger("ragent.engine")

_LARGEST = 64 << 20
_SETTLE_S = 30.0  # after a run's end, in which its sidecar must have read everything
PURPOSE = "reproduce"


class Kept(Struct, frozen=True, kw_only=True):
    """`claim.json`. places: run of the claim -> (sweep, trial) that repeats it.  notes: what was odd at the start."""

    claim: Claim
    report: str
    sweeps: list[str]
    places: dict[str, tuple[str, int]]
    notes: list[str]


class Reproductions:
    """view_of: what is true about a loop; raises NotFound."""

    def __init__(
        self, shell: Shell, runs: RunsDesk, sweeps: SweepsDesk, project: Path, view_of: Callable[[str], View]
    ) -> None:
        self.shell = shell
        self.runs = runs
        self.sweeps = sweeps
        self.project = project
        self.view_of = view_of
        self._lock = asyncio.Lock()

    # --- wishes -------------------------------------------------------------------------------------------------------
    async def begin(self) -> None:
        """After a restart: what had been promised but not yet started is started."""
        for sweep in list(self.shell.sweeps.values()):
            if sweep.purpose == PURPOSE and sweep.status is SweepStatus.READY:
                first = self._first(sweep)
                if first is not None and self._kept(first) is not None:
                    try:
                        await self.sweeps.start(sweep.id)
                    except RagentError as error:
                        log.error("reproduction %s does not go on: %s", sweep.id, error)

    async def start(self, body: Reproduce) -> Reproduction:
        """Run a claim again; what is under way already is given as it is.

        Raises BadInput for a file that is no report, NotFound for an unknown claim (with those that there are),
        CannotBeDone where the claim is not what this project recorded.
        """
        path = self._path(body.report)
        notebook = await asyncio.get_running_loop().run_in_executor(None, read_notebook, path)
        claim = rules.pick(rules.claims_in(notebook), body.claim)
        groups = rules.plan(claim, self.shell.runs, self.shell.sweeps)
        loops = {group.like.loop_id for group in groups}
        if loops != {claim.loop}:
            raise rules.edited("The claim names another loop than its runs belong to.")
        notes = _odd(claim, self.view_of(claim.loop))
        async with self._lock:
            head = f"{PURPOSE}:{_digest(claim)}:"
            earlier = sorted(
                (s for s in self.shell.sweeps.values() if (s.request_id or "").startswith(head)),
                key=lambda s: (s.created_at, s.id),
            )
            serials = [int((s.request_id or "").removeprefix(head).split(":")[0]) for s in earlier]
            serial = max(serials, default=0)
            newest = [s for s, n in zip(earlier, serials, strict=True) if n == serial]
            # Another one, once the last is over; a half-made one is completed.
            if not newest or (len(newest) == len(groups) and all(s.status.terminal for s in newest)):
                serial += 1
            made = [await self._sweep(group, claim, path, f"{head}{serial}:{n}") for n, group in enumerate(groups)]
            places = {
                was: (sweep.id, place)
                for group, sweep in zip(groups, made, strict=True)
                for place, was in enumerate(group.was)
            }
            kept = Kept(claim=claim, report=str(path), sweeps=[s.id for s in made], places=places, notes=notes)
            folder = self._folder(made[0].id)
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / "claim.json").exists():
                atomic_write(folder / "claim.json", msgspec.json.encode(kept))
            for sweep in made:
                if self.sweeps.get(sweep.id).status is SweepStatus.READY:
                    await self.sweeps.start(sweep.id)
        return self.get(made[0].id)

    async def _sweep(self, group: rules.Group, claim: Claim, path: Path, request_id: str) -> Sweep:
        like = group.like
        body = CreateSweep(
            command=like.command,
            space=group.space,
            name=f"{claim.id} again",
            cwd=like.cwd,
            python=group.python or like.interpreter,
            caller_env=read_base_env(self._folder(like.id)),
            env=like.env,
            executor=self._executor(like.executor),
            gpus=like.gpus,
            share_gpu=like.share_gpu,
            max_runs=max(len(group.points), 1),
            parallel=like.parallel,
            smoke=False,
            primary=like.primary,
            mode=like.mode,
            goal=f"Run {claim.id} of {path.name} again",
            start=False,
            request_id=request_id,
        )
        return await self.sweeps.create(body, points=group.points, trees=group.trees, purpose=PURPOSE)

    def _executor(self, wanted: str | None) -> str | None:
        """The one that the claim's runs had, if it is there."""
        known = self.runs.executors.get(wanted or "")
        return wanted if known is not None and known.available()[0] else None

    # --- looking ------------------------------------------------------------------------------------------------------
    def get(self, id: str) -> Reproduction:
        """A reproduction as it stands. Raises NotFound."""
        sweep = self.shell.sweeps.get(id)
        kept = self._kept(sweep) if sweep is not None and sweep.purpose == PURPOSE else None
        if kept is None:
            raise NotFound(f"No reproduction {id!r} in this project.", "Start one: ragent reproduce REPORT#CLAIM.")
        claim = kept.claim
        view = self.view_of(claim.loop)
        pairs = [self._pair(kept, view.loop, was, n) for n, was in enumerate([*claim.runs, *claim.baseline_runs])]
        members = [self.shell.sweeps[s] for s in kept.sweeps if s in self.shell.sweeps]
        done = all(s.status.terminal for s in members) and all(self._over(p.now_run) for p in pairs)
        said = rules.Comparison(outcome="", text=rules.progress(pairs))
        again = None
        if done:
            again = self._judged(claim, view, pairs) if claim.kind == "verdict" else None
            said = rules.compare(claim, pairs, again.verdict if again else None)
        return Reproduction(
            id=id,
            report=kept.report,
            claim=claim.id,
            metric=claim.metric,
            was=[p.was for p in pairs],
            now=[p.now for p in pairs],
            runs=[p.now_run for p in pairs],
            done=done,
            text=said.text,
            verdict=again,
            outcome=said.outcome,
            reproduced=said.reproduced,
            pairs=pairs,
            notes=[*kept.notes, *self._notes(pairs, claim)],
            was_effect=said.was_effect,
            now_effect=said.now_effect,
            ci=claim.ci,
        )

    def _pair(self, kept: Kept, loop: Loop, was: str, n: int) -> Pair:
        claim = kept.claim
        mine = n < len(claim.runs)
        place = n if mine else n - len(claim.runs)
        run = self._repeated(*kept.places.get(was, ("", 0)))
        value = None
        if run is not None and run.status is RunStatus.FINISHED and not run.void and self._over(run.id):
            setup = msgspec.structs.replace(loop.setup, metric=claim.metric)
            value = objective(self.runs.shown(run).summary.get(claim.metric), setup)
        return Pair(
            was_run=was,
            was=claim.values[place] if mine else claim.baseline_values[place],
            now_run=run.id if run is not None else "",
            now=value,
            seed=claim.seeds[place] if place < len(claim.seeds) else None,
            side="candidate" if mine else "baseline",
            status=run.status.value if run is not None else "",
        )

    def _repeated(self, sweep_id: str, index: int) -> Run | None:
        sweep = self.shell.sweeps.get(sweep_id)
        trial = next((t for t in sweep.trials if t.index == index), None) if sweep is not None else None
        ids = [id for id in trial.run_ids if id in self.shell.runs] if trial is not None else []
        return self.shell.runs[ids[-1]] if ids else None

    def _over(self, run_id: str) -> bool:
        """Ended, and read to its end. A run that never came to be, because its sweep was stopped, is over."""
        run = self.shell.runs.get(run_id)
        if run is None:
            return not run_id
        return run.status.terminal and (run.settled or self.shell.clock.now() - (run.ended_at or 0.0) > _SETTLE_S)

    def _judged(self, claim: Claim, view: View, pairs: list[Pair]) -> Verdict | None:
        """The verdict that the same rules reach, with the new values in the place of the old ones."""
        fresh = {p.was_run: p for p in pairs}

        def again(trial: TrialView) -> TrialView:
            pair = fresh.get(trial.run)
            if pair is None:
                return trial
            return msgspec.structs.replace(trial, value=pair.now, status=pair.status or "stopped", void="")

        loop = view.loop
        anew = msgspec.structs.replace(view, trials=[again(t) for t in view.trials])
        name = key(claim.params, loop.setup, claim.commit or base_commit(loop))
        for verdict in confirm.verdicts(anew, claim.sweep):
            if key(verdict.params, loop.setup, verdict.commit or base_commit(loop)) == name:
                runs = {p.was_run: p.now_run for p in pairs}
                return msgspec.structs.replace(
                    verdict,
                    runs=[runs.get(run, run) for run in verdict.runs],
                    baseline_runs=[runs.get(run, run) for run in verdict.baseline_runs],
                )
        return None

    def _notes(self, pairs: list[Pair], claim: Claim) -> list[str]:
        """What is not as it was when the claim was made."""
        found: dict[str, None] = {}
        for pair in pairs:
            old, new = self.shell.runs.get(pair.was_run), self.shell.runs.get(pair.now_run)
            if old is None or new is None:
                continue
            if old.command != new.command:
                found["The command is not spelled as it was: this version of ragent builds it otherwise."] = None
            if old.interpreter and new.interpreter and old.interpreter.version != new.interpreter.version:
                was, now = old.interpreter.version or "unknown", new.interpreter.version or "unknown"
                found[f"The interpreter is another version: {was} was, {now} is."] = None
            if not new.tree and old.git and new.git:
                dirty = " with uncommitted changes" if new.git.dirty or old.git.dirty else ""
                if old.git.commit != new.git.commit or dirty:
                    found[
                        f"It ran in the project's own folder: commit {old.git.commit[:12]} was, "
                        f"{new.git.commit[:12]} is{dirty}."
                    ] = None
        if claim.holdout is not None:
            found["The sealed hold-out is scored once; it was not scored again."] = None
        return list(found)

    # --- files --------------------------------------------------------------------------------------------------------
    def _folder(self, sweep_id: str) -> Path:
        return self.project / ".ragent" / "sweeps" / sweep_id

    def _kept(self, sweep: Sweep) -> Kept | None:
        try:
            return msgspec.json.decode((self._folder(sweep.id) / "claim.json").read_bytes(), type=Kept)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            log.error("the claim of reproduction %s cannot be read: %s", sweep.id, error)
            return None

    def _first(self, sweep: Sweep) -> Sweep | None:
        """The sweep that a reproduction is known by, from any of its sweeps."""
        head = (sweep.request_id or "").rpartition(":")[0] + ":0"
        return next((s for s in self.shell.sweeps.values() if s.request_id == head), None)

    def _path(self, report: str) -> Path:
        """A path as a person gives it, or a report's id."""
        known = self.shell.reports.get(report)
        path = Path(str(known["path"]) if known else report).expanduser()
        return path if path.is_absolute() else self.project / path


def read_notebook(path: Path) -> Any:
    """The JSON of a notebook file. Raises NotFound, BadInput, TooLarge; never says what stands in another file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe of that name must not hold us
    except (OSError, ValueError) as error:
        raise NotFound(f"There is no report {words.quoted(str(path), 200)}.", "Name its path.") from error
    about = os.fstat(fd)
    if path.suffix != ".ipynb" or not stat.S_ISREG(about.st_mode):
        os.close(fd)
        raise BadInput(f"{words.quoted(str(path), 200)} is not a notebook.", "Name a report, an .ipynb file.")
    with os.fdopen(fd, "rb") as file:
        if about.st_size > _LARGEST:
            raise TooLarge(f"{path.name} is larger than {_LARGEST >> 20} MiB.", "Clear its other cells' outputs.")
        try:
            return msgspec.json.decode(file.read())
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadInput(f"{path.name} is no valid notebook.", "Write the report again.") from error


def _digest(claim: Claim) -> str:
    said = msgspec.json.encode([claim.loop, claim.id, claim.runs, claim.baseline_runs, claim.values])
    return hashlib.sha256(said).hexdigest()[:16]


def _odd(claim: Claim, view: View) -> list[str]:
    """Where the notebook does not say what was recorded."""
    recorded = {t.run: t.value for t in view.trials}
    said = [*zip(claim.runs, claim.values, strict=True), *zip(claim.baseline_runs, claim.baseline_values, strict=True)]
    found = [
        f"The notebook says {number(value)} for {run}, the record says {number(recorded.get(run))}."
        for run, value in said
        if recorded.get(run) != value
    ]
    if len(found) > 3:
        found = [*found[:3], f"{len(found) - 3} more values in the notebook are not the recorded ones."]
    kept = [v for v in view.loop.verdicts if v.runs == claim.runs and v.sweep == claim.sweep]
    if claim.kind == "verdict" and kept and claim.verdict not in [v.verdict for v in kept]:
        found.append(f"The notebook says {words.quoted(claim.verdict, 40)}, the record says {kept[0].verdict}.")
    if claim.kind == "verdict" and kept and claim.ci is not None and claim.ci not in [v.ci for v in kept]:
        # A wider interval would let any outcome pass as the same one.
        found.append(f"The notebook says {words.interval(claim.ci)}, the record has {words.interval(kept[0].ci)}.")
    return found
