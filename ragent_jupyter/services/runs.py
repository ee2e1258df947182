"""The desk of runs: the only writer of runs. Wishes come from doors, facts from the host that watches folders."""

from __future__ import annotations

import asyncio
import os
import random
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from ragent_jupyter.domain.effects import Effect
from ragent_jupyter.domain.errors import BadInput, CannotBeDone, ExecutorMissing, NotFound, RagentError, WrongMoment
from ragent_jupyter.domain.facts import Live
from ragent_jupyter.domain.ids import make_id
from ragent_jupyter.domain.ports import Executor, Gpus
from ragent_jupyter.domain.run import Interpreter, MetricSummary, Progress, Run, RunStatus
from ragent_jupyter.domain.wire import CreateRun, PatchRun, RunsReply
from ragent_jupyter.rules import labels, run_life
from ragent_jupyter.rules.environment import kept, shown_env
from ragent_jupyter.rules.schedule import gpus_in_words
from ragent_jupyter.rules.sweep_space import command_for, spell
from ragent_jupyter.runfiles.spec import read_base_env, write_base_env

from . import silences
from .shell import Change, Shell

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_MAX_COMMAND = 256 * 1024


class Interpreters(Protocol):
    def resolve(self, wanted: str | None, caller: str | None) -> Interpreter: ...


class RunsDesk:
    """Create, start, stop, retry, edit, list."""

    def __init__(
        self,
        shell: Shell,
        project: Path,
        executors: Mapping[str, Executor],
        interpreters: Interpreters,
        gpus: Gpus | None = None,
    ) -> None:
        self.shell = shell
        self.project = project
        self.executors = executors
        self.interpreters = interpreters
        self.gpus = gpus
        self.live: dict[str, Live] = {}  # the newest live.json of each run that is watched
        self.progressed: Callable[[], None] = lambda: None  # the scheduler's and the sweeps' ear
        self._requests: dict[str, str] = {}

    def begin(self) -> None:
        """After the shell was loaded."""
        self._requests = {r.request_id: r.id for r in self.shell.runs.values() if r.request_id}

    # --- looking ------------------------------------------------------------------------------------------------
    def get(self, run_id: str) -> Run:
        run = self.shell.runs.get(run_id)
        if run is None:
            raise NotFound(f"No run {run_id!r} in this project.", "List them with `ragent runs`.")
        return run

    def folder(self, run_id: str) -> Path:
        return self.project / ".ragent" / "runs" / run_id

    def shown(self, run: Run) -> Run:
        """The run as doors see it: with what its sidecar saw last, and without secrets."""
        fields: dict[str, Any] = {}
        if run.env:
            fields["env"] = shown_env(run.env)
        live = None if run.settled else self.live.get(run.id)
        if live is not None:
            fields["summary"] = msgspec.convert(live.summary, dict[str, MetricSummary])
            fields["progress"] = msgspec.convert(live.progress, Progress) if live.progress else None
            if live.health and not run.health:
                fields["health"] = live.health
        return msgspec.structs.replace(run, **fields) if fields else run

    def page(
        self,
        *,
        status: set[str] | None = None,
        sweep: str | None = None,
        query: str = "",
        archived: bool = False,
        after: str | None = None,
        limit: int = 200,
    ) -> RunsReply:
        """Newest first, paged by `after` (the last id of the page before)."""
        counts: dict[str, int] = {}
        found: list[Run] = []
        words = query.lower().split()
        for run in self.shell.runs.values():
            if run.archived and not archived:
                continue
            if sweep is not None and run.sweep_id != sweep:
                continue
            counts[run.status.value] = counts.get(run.status.value, 0) + 1
            if status and run.status.value not in status:
                continue
            if words:
                text = f"{run.id} {run.name} {run.alias} {run.command} {' '.join(run.tags)}".lower()
                if not all(w in text for w in words):
                    continue
            found.append(run)
        found.sort(key=lambda r: (r.created_at, r.id), reverse=True)
        total = len(found)
        if after is not None:
            mark = self.get(after)
            found = [r for r in found if (r.created_at, r.id) < (mark.created_at, mark.id)]
        page = found[: max(1, limit)]
        more = page[-1].id if page and len(found) > len(page) else None
        return RunsReply(runs=[self.shown(r) for r in page], total=total, counts=counts, next=more)

    # --- wishes -------------------------------------------------------------------------------------------------
    def new_id(self, prefix: str = "run") -> str:
        return make_id(prefix, int(self.shell.clock.now() * 1000), random.getrandbits(20))

    def _order(self) -> float:
        queued = [r.order for r in self.shell.runs.values() if r.status is RunStatus.QUEUED]
        return max([*queued, self.shell.clock.now()]) + 1e-3

    async def check_gpus(self, wanted: int) -> None:
        """Raises BadInput where this machine has not as many: such a run would wait for ever."""
        if not 0 <= wanted <= 64:
            raise BadInput(f"{wanted} GPUs cannot be asked for.", "Give a number from 0 to 64.")
        if not wanted or self.gpus is None:
            return
        there = len(await asyncio.get_running_loop().run_in_executor(None, self.gpus.list))
        if wanted > there:
            remedy = (
                f"Ask for at most {there}." if there else "Leave --gpus out; `nvidia-smi` shows what the driver sees."
            )
            raise BadInput(f"{gpus_in_words(wanted)} asked for; this machine has {there or 'none'}.", remedy)

    def executor_for(self, wanted: str | None) -> str:
        """The executor by name, or the default: the preferred one, else tmux, else plain processes."""
        if wanted is None:
            preferred = str(self.shell.prefs.get("executor") or "tmux")
            for name in (preferred, "tmux", "process"):
                if name in self.executors and self.executors[name].available()[0]:
                    return name
            raise CannotBeDone("No executor is available here.", "Run `ragent doctor`.")
        if wanted not in self.executors:
            known = ", ".join(n for n in self.executors if n != "fake")
            raise BadInput(f"There is no executor {wanted!r}.", f"Choose one of: {known}.")
        ok, why = self.executors[wanted].available()
        if not ok:
            present = [n for n, e in self.executors.items() if e.available()[0]]
            if wanted == "tmux":
                raise ExecutorMissing("tmux", "tmux", present)
            raise CannotBeDone(f"Executor {wanted!r} is not available: {why}", f"Choose: {', '.join(present)}.")
        return wanted

    async def create(self, body: CreateRun, **more: Any) -> Run:
        """A new run, queued unless `start` is false. Raises BadInput, CannotBeDone; nothing is left behind then.

        more: sweep_id, trial, retry_of, seed, tree — what only desks may set.
        """
        if body.request_id and body.request_id in self._requests:
            return self.get(self._requests[body.request_id])
        command, argv = self._command(body)
        cwd = self._cwd(body.cwd)
        for name, value in body.env.items():
            if not _ENV_NAME.match(name) or "\0" in value:
                raise BadInput(f"{name!r} is not an environment variable.", "Use NAME=value, letters and digits.")
        silences.wanted(body.env)
        if not more.get("sweep_id"):  # a trial's were checked with its sweep
            await self.check_gpus(body.gpus)
        if not more.get("retry_of"):  # what an older run was allowed to have, its retry may have too
            body = msgspec.structs.replace(body, tags=labels.tags(body.tags), notes=labels.notes(body.notes))
            if body.name and not more.get("sweep_id"):  # a trial has its sweep's name, and a number
                body = msgspec.structs.replace(body, name=labels.alias(body.name))
        loop = asyncio.get_running_loop()
        if body.kind == "interactive":
            if body.pid is None or not 0 < body.pid < 1 << 31:
                raise BadInput("An interactive run names no process.", "Send the kernel's pid.")
            executor = "process"
            interpreter: Interpreter | None = Interpreter(body.caller_python or "")
        else:
            executor = await loop.run_in_executor(None, self.executor_for, body.executor)
            interpreter = await loop.run_in_executor(None, self.interpreters.resolve, body.python, body.caller_python)
        if body.kind == "notebook" and interpreter is not None:
            argv = [interpreter.path, *argv[1:]]
        # A second request with the same id may have overtaken this one while the interpreter was looked up.
        if body.request_id and body.request_id in self._requests:
            return self.get(self._requests[body.request_id])
        now = self.shell.clock.now()
        run = Run(
            id=self.new_id(),
            name=body.name or self._name(command, body),
            command=command,
            argv=argv,
            cwd=str(cwd),
            created_at=now,
            kind=body.kind,
            interpreter=interpreter,
            env=body.env,
            executor=executor,
            gpus=body.gpus,
            share_gpu=body.share_gpu,
            params=body.params,
            primary=body.primary,
            mode=body.mode,
            tags=body.tags,
            notes=body.notes,
            pid=body.pid,
            kernel=body.kernel,
            request_id=body.request_id,
            **more,
        )
        if run.request_id:
            self._requests[run.request_id] = run.id
        changes = [Change("run_created", run)]
        effects = []
        steps: list[run_life.Wish] = []
        if body.start:
            steps.append(run_life.Enqueue(now, self._order()))
            if body.kind == "interactive":  # it runs already: no slot, no queue
                steps.append(run_life.Place(now, [], executor))
        for step in steps:
            records, owed = run_life.decide(run, step)
            effects += owed
            for record in records:
                run = run_life.evolve(run, record)
                changes.append(Change(record.type, run))
        try:
            if body.caller_env is not None:
                write_base_env(self.folder(run.id), kept(body.caller_env))
            await self.shell.commit(changes, effects)
        except (RagentError, OSError) as error:
            self._requests.pop(run.request_id or "", None)
            if isinstance(error, OSError):
                raise CannotBeDone(f"The run's folder cannot be written: {error}.", "Free some disk space.") from error
            raise
        self.progressed()
        return run

    def _command(self, body: CreateRun) -> tuple[str, list[str]]:
        command = body.command
        if isinstance(command, list):
            if not command or not command[0].strip():
                raise BadInput("The command is empty.", "Give a command, such as `python train.py --lr 0.1`.")
            text, argv = shlex.join(command), list(command)
        else:
            text = command.strip("\n")
            if not text.strip():
                raise BadInput("The command is empty.", "Give a command, such as `python train.py --lr 0.1`.")
            shell = "/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh"
            argv = [shell, "-c", text]
        if "\0" in text or len(text) > _MAX_COMMAND:
            raise BadInput(
                "The command holds a NUL byte or is longer than 256 KiB.", "Put it into a script and run that."
            )
        if body.kind == "notebook":
            path = command if isinstance(command, str) else command[0]
            argv = ["python", "-c", _NOTEBOOK, path.strip()]
        return text, argv

    def _cwd(self, cwd: str | None) -> Path:
        folder = Path(cwd).expanduser() if cwd else self.project
        if not folder.is_absolute():
            folder = self.project / folder
        folder = Path(os.path.normpath(folder))
        if not os.path.isdir(folder):  # False also for a name that is too long to be one
            raise CannotBeDone(
                f"The folder {str(folder)[:300]} does not exist.", "Create it, or name another with --cwd."
            )
        return folder

    def _name(self, command: str, body: CreateRun) -> str:
        if body.kind == "interactive":
            stem = "notebook"
        else:
            words = command.replace("\n", " ").split()
            script = next((w for w in words if w.endswith((".py", ".sh", ".ipynb"))), words[0])
            stem = Path(script.strip("'\"")).stem or "run"
        return f"{stem[:60]} {len(self.shell.runs) + 1}"

    async def feed(self, run_id: str, event: run_life.Wish | run_life.Fact) -> Run:
        """One wish or fact through the rules; the run as it then is."""
        changes, effects = self.consequences(self.get(run_id), event)
        if changes or effects:
            await self.shell.commit(changes, effects)
            self.progressed()
        return self.get(run_id)

    def consequences(self, run: Run, event: run_life.Wish | run_life.Fact) -> tuple[list[Change], list[Effect]]:
        """What a wish or fact leads to, for whoever commits it together with more. Raises WrongMoment."""
        records, effects = run_life.decide(run, event)
        changes = []
        for record in records:
            run = run_life.evolve(run, record)
            changes.append(Change(record.type, run))
        return changes, effects

    def stopping(self, run: Run, *, now: bool, by: str) -> tuple[list[Change], list[Effect]]:
        """The consequences of a stop."""
        return self.consequences(run, run_life.Stop(self.shell.clock.now(), self.new_id("ord"), by, now))

    async def start(self, run_id: str) -> Run:
        return await self.feed(run_id, run_life.Enqueue(self.shell.clock.now(), self._order()))

    async def stop(self, run_id: str, *, now: bool = False, by: str = "user") -> Run:
        return await self.feed(run_id, run_life.Stop(self.shell.clock.now(), self.new_id("ord"), by, now))

    async def finish(self, run_id: str) -> Run:
        return await self.feed(run_id, run_life.Finish(self.shell.clock.now(), self.new_id("ord")))

    async def retry(self, run_id: str, changes: dict[str, Any], request_id: str | None = None) -> Run:
        """A new run of the same command with `retry_of`; `changes` replace parameters of the command line."""
        old = self.get(run_id)
        if old.kind == "interactive":
            raise WrongMoment(f"Run {run_id} is a notebook's own session.", "Run its cells again in the notebook.")
        if not old.status.terminal:
            raise WrongMoment(f"Run {run_id} is {old.status.value}.", "Stop it first, or wait for its end.")
        command = with_params(old.command, changes) if changes else old.command
        shell_form = len(old.argv) == 3 and old.argv[1] == "-c"
        body = CreateRun(
            command=(old.argv if not changes and not shell_form else command),
            name=f"{old.alias or old.name} (retry)" if not old.name.endswith("(retry)") else old.name,
            cwd=old.cwd,
            python=old.interpreter.path if old.interpreter else None,
            caller_env=read_base_env(self.folder(old.id)),
            env=old.env,
            executor=old.executor if self.executors[old.executor].available()[0] else None,
            gpus=old.gpus,
            share_gpu=old.share_gpu,
            primary=old.primary,
            mode=old.mode,
            params={**old.params, **changes},
            tags=old.tags,
            kind=old.kind,
            request_id=request_id,
        )
        return await self.create(body, retry_of=old.id, sweep_id=old.sweep_id, trial=old.trial, tree=old.tree)

    async def patch(self, run_id: str, body: PatchRun) -> Run:
        fields = {
            name: value
            for name in ("alias", "tags", "notes", "favourite", "archived", "colour")
            if (value := getattr(body, name)) is not None
        }
        for name, checked in (("alias", labels.alias), ("tags", labels.tags), ("notes", labels.notes)):
            if name in fields:
                fields[name] = checked(fields[name])
        if body.before is not None:
            fields["order"] = self._between(run_id, body.before)
        return await self.feed(run_id, run_life.Edit(fields))

    def _between(self, run_id: str, before: str) -> float:
        queue = sorted(
            (r for r in self.shell.runs.values() if r.status is RunStatus.QUEUED and r.id != run_id),
            key=lambda r: r.order,
        )
        if not queue:
            return self.get(run_id).order
        if before == "first":
            return queue[0].order - 1.0
        if before == "last":
            return queue[-1].order + 1.0
        at = next((i for i, r in enumerate(queue) if r.id == before), None)
        if at is None:
            raise WrongMoment(f"Run {before!r} is not in the queue.", 'Name a queued run, "first" or "last".')
        floor = queue[at - 1].order if at else queue[0].order - 2.0
        return (floor + queue[at].order) / 2


_NOTEBOOK = """
import os, sys
import nbformat
from nbclient import NotebookClient
path = sys.argv[1]
nb = nbformat.read(path, as_version=4)
out = os.path.join(os.environ["RAGENT_RUN_DIR"], os.path.basename(path))
client = NotebookClient(nb, timeout=None, kernel_name=nb.metadata.get("kernelspec", {}).get("name") or "python3",
                        resources={"metadata": {"path": os.path.dirname(os.path.abspath(path))}})
def told(cell, cell_index, execute_reply=None, **_):
    print(f"cell {cell_index + 1}/{len(nb.cells)}", flush=True)
    for output in cell.get("outputs", ()):
        if output.output_type == "stream":
            print(output.text, end="", flush=True)
client.on_cell_executed = told
try:
    client.execute()
finally:
    nbformat.write(nb, out)
"""


def with_params(command: str, changes: Mapping[str, Any]) -> str:
    """The command with some of its parameters set anew: `--name value`, `--name=value` and `name=value` are replaced
    where they stand, the rest is appended as `--name value`.

    >>> with_params("python t.py --lr 0.3 bs=4", {"lr": 0.1, "bs": 8, "wd": 0})
    'python t.py --lr 0.1 bs=8 --wd 0'
    """
    rest: dict[str, Any] = {}
    for name, value in changes.items():
        word = shlex.quote(spell(value))
        pattern = re.compile(
            rf"(?P<head>(?<!\S)(?:--?{re.escape(name)}(?:=|\s+)|{re.escape(name)}=))"
            r"(?P<old>'[^']*'|\"[^\"]*\"|[^\s;|&<>()]+)"
        )
        command, times = pattern.subn(lambda m, word=word: m["head"] + word, command)  # type: ignore[misc]
        if not times:
            rest[name] = value
    return command_for(command, rest, "--{name} {value}")
