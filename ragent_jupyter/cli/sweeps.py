"""`ragent sweep`: from a file or from options to a sweep."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

import msgspec

from ragent_jupyter.domain.errors import BadInput, MissingPart
from ragent_jupyter.domain.sweep import Estimate, Sweep, SweepStatus
from ragent_jupyter.domain.wire import CreateSweep

from .chat_view import harmless
from .context import Context, caller_python
from .output import DONE, FAILED, Out
from .runs import env_of, python_of

# Options that say the same as a field of the file, and win over it.
_FIELDS = ("name", "cwd", "python", "executor", "gpus", "max_runs", "parallel", "primary", "mode")


def sweep(context: Context) -> int:
    args, out = context.args, context.out
    wanted = wish(context)
    if args.dry_run:
        return _dry_run(context, wanted)
    client = context.client(create=True)
    made = client.create_sweep(wanted)
    if args.follow:
        from .live import follow_sweep

        out.line({"type": "sweep", "sweep": made})
        ended = follow_sweep(out, client, made)
        if ended is None:
            out.note(f"\n{made.id} goes on. `ragent runs --sweep {made.id}` lists it, `ragent stop {made.id}` ends it.")
            return 130
        out.line({"type": "sweep", "sweep": ended})
        out.say(conclusion(context, ended))
        return DONE if ended.status is SweepStatus.FINISHED else FAILED
    out.document(made)
    out.say(f"{out.state(made.status.value)}  {made.id}  {made.name}: {len(made.trials)} trials")
    if made.estimate is not None:
        out.say(told(out, made.estimate))
    out.say(f"`ragent runs --sweep {made.id}` lists its runs; they go on without this terminal.")
    return DONE


def wish(context: Context) -> CreateSweep:
    """The sweep as it was asked for: the file's content, then the options over it. Raises BadInput."""
    from ragent_jupyter.client.typed import space_of, sweep_of

    args = context.args
    data: dict[str, Any] = {}
    if args.file is not None:
        data = _read(args.file, context.workdir)
    for name in _FIELDS:
        if getattr(args, name) is not None:
            data[name] = getattr(args, name)
    space = data.get("space") if isinstance(data.get("space"), dict) else {}
    data["space"] = {**(space or {}), **{n: data.pop(n) for n in ("method", "parameters", "points") if n in data}}
    if args.param:
        known = data["space"].get("parameters") or {}
        data["space"]["parameters"] = {**known, **msgspec.to_builtins(space_of(args.param))}
    if args.random is not None:
        if args.random < 1:
            raise BadInput(f"--random {args.random} draws nothing.", "Give 1 or more.")
        data["space"]["method"] = "random"
        data["max_runs"] = args.random if args.max_runs is None else min(args.random, args.max_runs)
    if args.seed is not None:
        data["seed"] = args.seed
    if args.flag is not None:
        data["flag"] = args.flag
    if args.no_smoke:
        data["smoke"] = False
    if args.env:
        data["env"] = {**(data.get("env") or {}), **env_of(args.env)}
    if args.after:
        # One word is a line for the shell; several were split by the shell already and must survive a second time.
        data["command"] = args.after[0] if len(args.after) == 1 else shlex.join(args.after)
    if args.file is None and not args.after:
        raise BadInput(
            "No sweep was given.", "Give a FILE, or write: ragent sweep --param lr=0.1,0.01 -- python train.py"
        )
    if not data["space"].get("parameters") and not data["space"].get("points"):
        raise BadInput("The sweep has no parameters.", "Add one, such as --param lr=0.1,0.01")
    wanted = sweep_of(data)
    cwd = context.workdir / Path(wanted.cwd).expanduser() if wanted.cwd else context.workdir
    python = python_of(wanted.python, context.workdir)
    caller: dict[str, Any] = {"caller_python": caller_python(), "caller_env": dict(os.environ)}
    return msgspec.structs.replace(wanted, cwd=str(cwd.resolve()), python=python, **caller)


def _read(name: str, workdir: Path) -> dict[str, Any]:
    if name == "-":
        if sys.stdin is None or sys.stdin.isatty():
            raise BadInput("There is nothing on stdin.", "Pipe the sweep's JSON in, or give a FILE.")
        text, kind = sys.stdin.buffer.read(), ".json"
    else:
        path = workdir / Path(name).expanduser()
        kind = path.suffix.lower()
        if kind not in (".json", ".toml", ".yaml", ".yml"):
            raise BadInput(
                f"{name!r} is not a .json, .toml or .yaml file.", "Put -- before a command: ragent sweep … -- CMD"
            )
        try:
            text = path.read_bytes()
        except OSError as error:
            raise BadInput(f"{path} cannot be read: {error.strerror}.", "Give a file that exists.") from error
    try:
        data = _PARSERS[kind](text)
    except (ValueError, msgspec.DecodeError) as error:
        raise BadInput(f"{name} is not {kind[1:].upper()}: {error}.", "Mend it and try again.") from error
    if not isinstance(data, dict):
        raise BadInput(f"{name} does not hold an object.", 'Such as {"command": "…", "parameters": {"lr": [0.1]}}')
    return data


def _toml(text: bytes) -> Any:
    try:
        import tomllib
    except ModuleNotFoundError:  # Python 3.10
        try:
            import tomli as tomllib  # type: ignore[import-not-found,no-redef]
        except ModuleNotFoundError:
            raise MissingPart("This Python cannot read TOML.", "pip install tomli, or write JSON.") from None
    return tomllib.loads(text.decode())


def _yaml(text: bytes) -> Any:
    try:
        import yaml  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        raise MissingPart("YAML cannot be read here.", "pip install pyyaml, or write JSON.") from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


_PARSERS: dict[str, Any] = {".json": msgspec.json.decode, ".toml": _toml, ".yaml": _yaml, ".yml": _yaml}


def _dry_run(context: Context, wanted: CreateSweep) -> int:
    from ragent_jupyter.rules.sweep_space import command_for, expand

    points = expand(wanted.space, wanted.max_runs)
    commands = [command_for(wanted.command, point, wanted.space.flag, wanted.space.flags) for point in points]
    context.out.document({"trials": [{"params": p, "command": c} for p, c in zip(points, commands, strict=True)]})
    for command in commands:
        context.out.say(command)
    context.out.note(f"{len(points)} trials; nothing was started.")
    return DONE


def told(out: Out, estimate: Estimate) -> str:
    """What the rest of a sweep will take, on a line of its own."""
    return out.paint(f"estimate  {harmless(estimate.text)}", "2")


def conclusion(context: Context, sweep: Sweep) -> str:
    return f"{context.out.state(sweep.status.value)}  {sweep.id}  {sweep.reason}"
