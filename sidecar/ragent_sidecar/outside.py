"""Metric files outside the run's folder: found, proven, read; or reported, once, with what the user can do."""

from __future__ import annotations

import os

from ragent_jupyter.domain.alert import Choice, Evidence, Severity
from ragent_jupyter.rules.watch import Raise
from ragent_jupyter.runfiles.sources.discover import Discovery, Looked, launch_time
from ragent_jupyter.runfiles.sources.make import make_source
from ragent_jupyter.runfiles.sources.neighbours import named_folders, read_env
from ragent_jupyter.runfiles.spec import Spec

from .witness import Witness

_REMEDY = (
    "Nothing of it was read, for no run. Give each run a folder of its own (an output argument, or another working "
    "folder), or write to the file named by $RAGENT_METRICS_FILE, which is each run's own."
)
_LOOKS = 3  # one look is no proof of ambiguity: a program needs a moment to open what it writes


class Outside:
    """What `discover` sees, as sources and alerts of one witness."""

    def __init__(self, witness: Witness, run_dir: str, spec: Spec) -> None:
        self._witness = witness
        self._run_dir = run_dir
        self._spec = spec
        self._discovery: Discovery | None = None  # made at the first look: the walk is not to delay the first metric
        self._seen: dict[str, int] = {}  # ambiguous path -> looks that found it so

    def look(self, job_pid: int | None, *, final: bool = False) -> bool:
        """Whether it is worth looking again soon. final: the job is over; what is ambiguous now stays so."""
        looked = self._look(job_pid)
        for found in looked.found:
            self._witness.add(make_source(found.format, found.path, found.id, None, **found.options), found.proof)
        for id in looked.lost:
            self._witness.drop(id)
        told: list[tuple[str, list[str]]] = []
        for path, runs in looked.ambiguous.items():
            self._seen[path] = self._seen.get(path, 0) + 1
            if (final or self._seen[path] >= _LOOKS) and self._spec.run_id == min(runs):
                told.append((path, runs))
        if told:
            self._tell(told)
        return bool(looked.found or looked.lost or any(self._seen[path] < _LOOKS for path in looked.ambiguous))

    def _look(self, job_pid: int | None) -> Looked:
        if self._discovery is None:
            spec, sources = self._spec, self._witness.feed.sources.values()
            self._discovery = Discovery(
                self._run_dir,
                spec.run_id,
                spec.cwd,
                named_folders(spec.argv, read_env(self._run_dir), spec.cwd),
                launch_time(self._run_dir),
                {s.path: s.id for s in sources if os.path.dirname(s.path) != self._run_dir},
            )
        return self._discovery.look(job_pid)

    def _tell(self, told: list[tuple[str, list[str]]]) -> None:
        """One alert, by the first of the runs that share the file; its id is the same however often it is raised."""
        path, runs = told[0]
        name = os.path.relpath(path, self._spec.cwd)
        others = ", ".join(run for run in runs if run != self._spec.run_id) or "another run"
        more = f" (and {len(told) - 1} more)" if len(told) > 1 else ""
        self._witness.alert(
            Raise(
                rule="ambiguous_source",
                severity=Severity.WARNING,
                title=f"{name}{more} is read for no run: several runs could have written it",
                text=f"{name} lies where {others} could write as well, and no process was seen holding it. {_REMEDY}",
                evidence=Evidence(source=name),
                choices=[Choice("acknowledge", "acknowledge", "Got it")],
                default="acknowledge",
            )
        )
