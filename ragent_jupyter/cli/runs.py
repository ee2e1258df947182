"""The verbs about runs: run, retry, runs, show, logs, stop."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragent_jupyter.domain.errors import BadInput, CannotBeDone, RagentError
from ragent_jupyter.domain.run import Run, RunStatus

from .context import Context, caller_python
from .output import DONE, FAILED, INTERRUPTED, Out, ago, duration, number, short

if TYPE_CHECKING:
    from ragent_jupyter.client import Client

_LOG_PIECE = 1 << 20


def run(context: Context) -> int:
    from ragent_jupyter.domain.wire import CreateRun

    args = context.args
    words = [*args.command, *args.after]
    cwd = _folder(args.cwd, context.workdir)
    command, kind = command_of(words, cwd)
    client = context.client(create=True)
    made = client.create_run(
        CreateRun(
            command=command,
            kind=kind,  # type: ignore[arg-type]
            name=args.name,
            cwd=str(cwd),
            python=python_of(args.python, context.workdir),
            caller_python=caller_python(),
            caller_env=dict(os.environ),
            env=env_of(args.env),
            executor=args.executor,
            gpus=args.gpus,
            primary=args.primary,
            mode=args.mode,
        )
    )
    return _started(context, client, made)


def retry(context: Context) -> int:
    from ragent_jupyter.client.typed import pairs

    args = context.args
    client = context.client()
    old = client.find_run(args.run)
    made = client.retry(old.id, pairs(args.set, "--set"))
    return _started(context, client, made)


def _started(context: Context, client: Client, made: Run) -> int:
    out = context.out
    if context.args.follow:
        return follow(context, client, made)
    out.document(made)
    out.say(f"{out.state(made.status.value)}  {made.id}  {made.name}")
    out.say(f"`ragent logs {made.id} -f` follows it; it goes on without this terminal.")
    return DONE


def follow(context: Context, client: Client, run: Run) -> int:
    """Show a run's log until it ends; 0 if it finished, 1 if not. Ctrl-C leaves the run alone."""
    out = context.out
    out.note(f"{out.state(run.status.value)}  {run.id}  {run.name}")
    out.line({"type": "run", "run": run})
    try:
        ended = _follow_log(out, client, run.id, 0)
    except KeyboardInterrupt:
        out.note(f"\n{run.id} goes on. `ragent logs {run.id} -f` follows it, `ragent stop {run.id}` ends it.")
        return INTERRUPTED
    out.line({"type": "run", "run": ended})
    out.note(_verdict(out, ended))
    return DONE if ended.status is RunStatus.FINISHED else FAILED


def _follow_log(out: Out, client: Client, run_id: str, offset: int) -> Run:
    for piece in client.follow_logs(run_id, offset=offset):
        if not piece.text:
            continue
        if out.json:
            out.line({"type": "log", "run": run_id, "text": piece.text, "offset": piece.offset, "next": piece.next})
        else:
            out.raw(piece.text)
    return client.run(run_id)


def _verdict(out: Out, run: Run) -> str:
    words = f"{out.state(run.status.value)}  {run.id}  {run.name}"
    if run.started_at and run.ended_at:
        words += f"  {duration(run.ended_at - run.started_at)}"
    if run.reason and run.status is not RunStatus.FINISHED:
        words += f"\n  {run.reason.text}"
        if run.reason.log_line:
            words += f"\n  {run.reason.log_line}"
    return words


def command_of(words: list[str], cwd: Path) -> tuple[str | list[str], str]:
    """What was typed as a run's command and kind.

    One word with blanks in it is a line for the shell; several words are executed as they are.
    >>> command_of(["python train.py | tee x"], Path("/"))
    ('python train.py | tee x', 'command')
    >>> command_of(["python", "train.py"], Path("/"))
    (['python', 'train.py'], 'command')
    """
    if not words or not any(word.strip() for word in words):
        raise BadInput("No command was given.", "Write it after --, such as: ragent run -- python train.py --lr 0.1")
    if len(words) == 1:
        word = words[0]
        if word.endswith(".ipynb"):
            notebook = cwd / word
            if not notebook.is_file():
                raise CannotBeDone(f"There is no notebook {notebook}.", "Give the path of a notebook that exists.")
            return str(notebook), "notebook"
        return (word, "command") if any(c.isspace() for c in word) else ([word], "command")
    if words[0].endswith(".ipynb"):
        raise BadInput("A notebook takes no arguments.", "Give the notebook alone: ragent run -- train.ipynb")
    return words, "command"


def env_of(items: list[str]) -> dict[str, str]:
    """`["A=1", "HOME"]` as variables; a name alone takes its value from this environment."""
    env: dict[str, str] = {}
    for item in items:
        name, sign, value = item.partition("=")
        if not name.strip():
            raise BadInput(f"--env {item!r} is not NAME=VALUE.", "Write it like --env CUDA_VISIBLE_DEVICES=0")
        if not sign and name not in os.environ:
            raise BadInput(f"The variable {name} is not set here.", f"Give it a value: --env {name}=…")
        env[name] = value if sign else os.environ[name]
    return env


def python_of(text: str | None, workdir: Path) -> str | None:
    """An interpreter's path made absolute; `conda:NAME`, `kernel:NAME` and bare names as they are."""
    if not text or ":" in text or (os.sep not in text and not (workdir / text).exists()):
        return text
    # Not resolved: a venv's python is a link, and what it links to knows nothing of the venv.
    return os.path.abspath(workdir / Path(text).expanduser())


def _folder(text: str | None, workdir: Path) -> Path:
    folder = (workdir / Path(text).expanduser()) if text else workdir
    if not folder.is_dir():
        raise CannotBeDone(f"{folder} is not a folder.", "Give --cwd a folder that exists.")
    return folder.resolve()


def runs(context: Context) -> int:
    args, out = context.args, context.out
    if args.limit < 1:
        raise BadInput(f"--limit {args.limit} shows nothing.", "Give 1 or more.")
    statuses = [s.strip() for s in args.status.split(",")] if args.status else None
    for status in statuses or []:
        if status not in RunStatus._value2member_map_:
            raise BadInput(f"{status!r} is not a run's status.", "One of: " + ", ".join(s.value for s in RunStatus))
    client = context.client()
    sweep = client.find_sweep(args.sweep) if args.sweep else None
    reply = client.runs(status=statuses, sweep=sweep.id if sweep else None, limit=args.limit)
    out.document(reply)
    if out.json:
        return DONE
    if not reply.runs:
        out.say("No runs." if not (statuses or sweep) else "No such runs.")
        return DONE
    now = time.time()
    out.table(
        ["STATUS", "ID", "NAME", "METRIC", "PROGRESS", "CREATED"],
        [[out.state(r.status.value), r.id, shown_name(r), metric_of(r), progress_of(r), ago(r.created_at, now)]
         for r in reply.runs],
    )  # fmt: skip
    if reply.total > len(reply.runs):
        out.say(f"{len(reply.runs)} of {reply.total}; --limit shows more.")
    if sweep is not None and sweep.estimate is not None:
        from .sweeps import told

        out.say(told(out, sweep.estimate))
    return DONE


def shown_name(run: Run) -> str:
    return short(run.alias or run.name, 40)


def metric_of(run: Run) -> str:
    """The metric that a run is judged by, as its best value so far; nothing where there is none."""
    name = run.primary or next((n for n in ("val_loss", "loss", "train_loss") if n in run.summary), None)
    if name is None or name not in run.summary:
        return ""
    summary = run.summary[name]
    best = summary.min if run.mode == "min" else summary.max
    return f"{name} {number(best if best is not None else summary.last)}"


def progress_of(run: Run) -> str:
    if run.status.terminal:
        took = run.ended_at - run.started_at if run.started_at and run.ended_at else None
        return duration(took)
    if run.status is RunStatus.QUEUED:
        return run.waits
    if run.progress is None or run.status is not RunStatus.RUNNING:
        return ""
    text = f"{100 * run.progress.fraction:.0f} %" if run.progress.fraction is not None else run.progress.text
    return text + (f", ~{duration(run.progress.eta_s)} left" if run.progress.eta_s is not None else "")


def show(context: Context) -> int:
    out = context.out
    client = context.client()
    run = client.find_run(context.args.run)
    out.document(run)
    if out.json:
        return DONE
    for name, text in _facts(out, run):
        if text:
            out.say(f"{name:<10} {text}")
    if run.summary:
        out.say()
        out.table(
            ["METRIC", "LAST", "MIN", "AT STEP", "MAX", "AT STEP", "POINTS", "NAN/INF"],
            [[short(name, 60), number(m.last), number(m.min), _step(m.min_step), number(m.max), _step(m.max_step),
              str(m.count), str(m.nonfinite or "")] for name, m in sorted(run.summary.items())],
            right=range(1, 8),
        )  # fmt: skip
    pending = client.alerts(status="pending", run=run.id).alerts
    for alert in pending:
        out.say(f"\n{out.paint('!', '33')} {alert.title}  (ragent respond {alert.id} "
                + "|".join(c.id for c in alert.choices) + ")")  # fmt: skip
    return DONE


def _step(step: int | None) -> str:
    return "" if step is None else str(step)


def _facts(out: Out, run: Run) -> list[tuple[str, str]]:
    took = (run.ended_at or time.time()) - run.started_at if run.started_at else None
    ended = f", ended {ago(run.ended_at)}" if run.ended_at else ""
    python = run.interpreter
    git = run.git
    place = ", ".join(f"GPU {i}" for i in run.gpu_ids)
    return [
        ("run", f"{run.id}  {run.name}" + (f"  ({run.alias})" if run.alias else "")),
        ("status", out.state(run.status.value) + (f"  {progress_of(run)}" if not run.status.terminal else "")),
        ("reason", run.reason.text if run.reason else ""),
        ("", run.reason.log_line or "" if run.reason else ""),
        ("command", run.command),
        ("cwd", run.cwd),
        ("python", f"{python.path} {python.version}".strip() if python else ""),
        ("params", "  ".join(f"{k}={number(v) if isinstance(v, float) else v}" for k, v in run.params.items())),
        ("env", "  ".join(f"{k}={v}" for k, v in run.env.items())),
        ("executor", run.executor + (f"  {run.executor_handle}" if run.executor_handle else "")
         + (f"  {place}" if place else "")),
        ("sweep", f"{run.sweep_id}, trial {(run.trial or 0) + 1}" if run.sweep_id else ""),
        ("retry of", run.retry_of or ""),
        ("git", f"{git.commit[:10]} {git.branch}{' (uncommitted changes)' if git.dirty else ''}" if git else ""),
        ("time", f"created {ago(run.created_at)}{f', ran {duration(took)}' if took is not None else ''}{ended}"),
        ("memory", f"{run.max_rss_bytes / 2**20:.0f} MiB at most" if run.max_rss_bytes else ""),
        ("health", run.health),
        ("tags", " ".join(run.tags)),
        ("notes", run.notes),
    ]  # fmt: skip


def logs(context: Context) -> int:
    args, out = context.args, context.out
    if args.lines is not None and args.lines < 0:
        raise BadInput(f"--lines {args.lines} shows nothing.", "Give 0 or more.")
    client = context.client()
    run = client.find_run(args.run)
    offset = 0
    if args.lines is not None:
        text, offset, size = _last_lines(client, run.id, args.lines)
        if not args.follow:
            out.document({"text": text, "next": offset, "size": size})
        if not out.json:
            out.raw(text)
        elif args.follow and text:
            out.line({"type": "log", "run": run.id, "text": text, "next": offset})
        if not args.follow:
            return DONE
    if args.follow:
        try:
            _follow_log(out, client, run.id, offset)
        except KeyboardInterrupt:
            out.note(f"\n{run.id} goes on.")
            return INTERRUPTED
        return DONE
    if out.json:
        out.document(client.logs(run.id, offset=offset, limit=_LOG_PIECE))
        return DONE
    while True:
        piece = client.logs(run.id, offset=offset, limit=_LOG_PIECE)
        out.raw(piece.text)
        if piece.next <= offset or piece.next >= piece.size:
            break
        offset = piece.next
    if piece.size == 0:
        out.note(f"{run.id} has written nothing" + (" yet." if not run.status.terminal else "."))
    return DONE


def _last_lines(client: Client, run_id: str, lines: int) -> tuple[str, int, int]:
    """The last `lines` lines (of at most the last MiB), the offset after them and the log's size, in bytes."""
    reach = max(1, 200 * lines)
    while True:
        reach = min(reach, _LOG_PIECE)
        tail = client.logs(run_id, offset=-reach, limit=_LOG_PIECE)
        if reach >= min(tail.size, _LOG_PIECE) or tail.text.count("\n") > lines:
            break
        reach *= 4
    return "".join(tail.text.splitlines(keepends=True)[-lines:] if lines else []), tail.next, tail.size


def stop(context: Context) -> int:
    args, out = context.args, context.out
    client = context.client()
    targets = [_target(client, ref) for ref in args.runs]  # all must be known before any is stopped
    done: list[Any] = []
    failed: RagentError | None = None
    for kind, id_ in targets:
        try:
            stopped = client.stop_sweep(id_, now=args.now) if kind == "sweep" else client.stop(id_, now=args.now)
        except RagentError as error:
            if len(targets) == 1:
                raise
            out.problem(error)
            failed = error
            continue
        done.append(stopped)
        out.say(f"{out.state(stopped.status.value)}  {id_}  {stopped.name}")
    out.document(done[0] if len(targets) == 1 else done)
    return FAILED if failed else DONE


def _target(client: Client, ref: str) -> tuple[str, str]:
    if ref.startswith("swp_"):
        return "sweep", client.find_sweep(ref).id
    return "run", client.find_run(ref).id
