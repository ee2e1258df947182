"""What belongs to a loop's end: the winner's score on the sealed hold-out, then the report.

Whoever dies in between leaves a loop without a report; it is taken up when the next engine serves.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
from msgspec.structs import replace

from ragent_jupyter.domain.errors import RagentError
from ragent_jupyter.domain.wild import Entry, Loop, Seen, Verdict
from ragent_jupyter.runfiles.kill_points import kill_point

from .shell import Change, Shell
from .wild_book import entry_id

log = logging.getLogger("ragent.engine")


class Scores(Protocol):
    """The sealed hold-out: a run's predictions against labels that no run was given."""

    async def scored(self, loop: Loop, verdicts: list[Verdict]) -> list[Verdict]: ...


class Reports(Protocol):
    async def write(self, loop_id: str) -> str: ...


class Ending:
    def __init__(self, shell: Shell, reports: Reports, scores: Scores | None) -> None:
        self.shell = shell
        self.reports = reports
        self.scores = scores

    async def finish(self, loop_id: str, remember: Callable[[Entry], None]) -> None:
        """Doing it again scores nothing twice. What cannot be written is said in the engine's log."""
        try:
            await self._score(loop_id, remember)
            path = await self.reports.write(loop_id)
            await self.shell.commit([Change("wild_changed", replace(self.shell.loops[loop_id], report=path))])
        except RagentError as error:
            log.error("the report of loop %s was not written: %s", loop_id, error)

    async def _score(self, loop_id: str, remember: Callable[[Entry], None]) -> None:
        """Not before the end: whoever still decides must not learn from the labels."""
        before = self.shell.loops[loop_id]
        if self.scores is None or before.setup.holdout is None:
            return
        found = await self.scores.scored(before, before.verdicts)
        kill_point("wild.scored")
        now = self.shell.loops[loop_id]
        if not now.over or now.verdicts != before.verdicts:
            return  # it goes on meanwhile, and is scored at its true end
        changed = [new for old, new in zip(before.verdicts, found, strict=True) if new != old]
        if changed:
            lines = [_line(now, offset, verdict, self.shell.clock.now()) for offset, verdict in enumerate(changed, 1)]
            for line in lines:
                remember(line)
            scored = replace(now, verdicts=found, entries=now.entries + len(lines))
            changes = [Change("wild_changed", scored), *[Change("wild_entry", line) for line in lines]]
            await self.shell.commit(changes)


def _line(loop: Loop, offset: int, verdict: Verdict, at: float) -> Entry:
    n = loop.entries + offset
    runs: Sequence[str] = [*verdict.runs, *verdict.baseline_runs]
    return Entry(
        id=entry_id(loop.id, n), loop_id=loop.id, n=n, at=at, by="engine", who="rule:holdout", stage=loop.stage.value,
        iteration=loop.iteration, evidence=[Seen(kind="run", ref=run) for run in runs][:40], reasoning=verdict.why,
        action={"do": "verdict", **msgspec.to_builtins(verdict)}, result=verdict.verdict,
    )  # fmt: skip
