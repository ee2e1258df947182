"""From options, as a terminal or a cell takes them, to the request for a loop; and a draft's questions answered."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from ragent_jupyter.domain.errors import BadInput, CannotBeDone
from ragent_jupyter.domain.wild import Holdout, Question
from ragent_jupyter.domain.wire_wild import CreateLoop

from .wild_typed import NONE, limits_from, space_of_json

# Options of limits, and the limits' own names.
LIMITS = {
    "max_runs": "runs", "max_iterations": "iterations", "max_hours": "hours", "max_cost": "cost_usd",
    "max_tokens": "tokens", "max_gpu_hours": "gpu_hours", "max_cpu_hours": "cpu_hours", "max_disk": "disk_gb",
    "until": "until",
}  # fmt: skip


def request_of(
    given: Mapping[str, Any], goal: str, command: str, workdir: Path, env: dict[str, str], caller_python: str | None
) -> CreateLoop:
    """The request as the options say it. given: options by name, with underscores; missing or None: not given.

    Relative paths are below `workdir`. Raises BadInput, CannotBeDone.
    """
    get = given.get
    if get("minimize") and get("maximize"):
        raise BadInput("--minimize and --maximize exclude each other.", "Leave one of them out.")
    for name, least in (("seeds", 1), ("top", 1), ("parallel", 1), ("gpus", 0)):
        value = get(name)
        if value is not None and value < least:
            raise BadInput(f"--{name} {value} is too few.", f"Give {least} or more.")
    for name, known in (("policy", ("builtin", "llm", "hybrid")), ("autonomy", ("cautious", "balanced", "full"))):
        if get(name) not in (None, *known):
            raise BadInput(f"--{name} cannot be {get(name)!r}.", f"One of: {', '.join(known)}.")
    cwd = workdir / Path(get("cwd") or ".").expanduser()
    if not cwd.is_dir():
        raise CannotBeDone(f"{cwd} is not a folder.", "Give --cwd a folder that exists.")
    mode: Any = "min" if get("minimize") else "max" if get("maximize") else None
    seed_flag = get("seed_flag")
    space = get("space")
    return CreateLoop(
        goal=goal,
        command=command,
        cwd=str(cwd.resolve()),
        python=get("python"),
        caller_python=caller_python,
        caller_env=dict(os.environ),
        env=env,
        executor=get("executor"),
        policy=get("policy"),
        model=get("model") or "",
        autonomy=get("autonomy") or "balanced",
        limits=limits_from({limit: get(option) for option, limit in LIMITS.items()}),
        metric=get("metric") or "",
        mode=mode,
        space=space_of_json(read_json(workdir / Path(space).expanduser())) if space else None,
        seed_flag=None if seed_flag is None else seed_flag.lstrip("-"),
        seeds=get("seeds"),
        top=get("top"),
        gpus=get("gpus") or 0,
        parallel=get("parallel"),
        isolation="in_place" if get("in_place") else None,
        inputs=get("input") or None,
        eval_files=get("eval_file") or None,
        may_edit=get("may_edit") or [],
        holdout=_holdout(given, cwd),
        request_id=os.urandom(8).hex(),
    )


def command_of(words: Sequence[str]) -> str:
    """One word is a line for the shell; several were split by a shell already and must survive a second time.

    >>> command_of(["python t.py | tee x"]), command_of(["python", "t.py", "a b"])
    ('python t.py | tee x', "python t.py 'a b'")
    """
    return words[0] if len(words) == 1 else shlex.join(words)


def _holdout(given: Mapping[str, Any], cwd: Path) -> Holdout | None:
    labels, predictions, score = (given.get(n) for n in ("holdout", "holdout_predictions", "holdout_score"))
    if not (labels or predictions or score):
        return None
    if not (labels and predictions and score):
        raise BadInput("A hold-out needs all of its three options.",
                       "--holdout LABELS --holdout-predictions FILE --holdout-score accuracy")  # fmt: skip
    path = (cwd / Path(labels).expanduser()).resolve()
    if not path.is_file():
        raise BadInput(f"There is no file {path}.", "Give --holdout the file with the labels.")
    best: Any = "max" if score == "accuracy" else "min"
    return Holdout(id=str(path), predictions=predictions, score=score, mode=best)


def read_json(path: Path) -> Any:
    """Raises BadInput where the file cannot be read or is no JSON."""
    try:
        return msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.", "Give a file that exists.") from error
    except msgspec.DecodeError as error:
        raise BadInput(f"{path.name} is not JSON: {error}.", "Mend it and try again.") from error


# --- what is asked before it starts -----------------------------------------------------------------------------------
def answered(body: CreateLoop, ask: Question, choice: str, text: str) -> CreateLoop:
    """The request with a draft's question answered. Raises BadInput for a question that no option of ours answers."""
    said = text or choice
    match ask.ref:
        case "command":
            return replace(body, command=said)
        case "metric":
            name, mode = _metric(said)
            return replace(body, metric=name, mode=mode or body.mode)
        case "mode":
            return replace(body, mode="max" if said.lower().startswith("max") else "min")
        case "seed" | "seed_flag":
            return replace(body, seed_flag="" if said.lower() in (*NONE, "unconfirmed") else said.lstrip("-"))
        case "inputs":
            return replace(body, inputs=[part.strip() for part in said.split(",") if part.strip()])
        case "isolation":
            return replace(body, isolation="tree" if said == "tree" else "in_place")
        case "cwd" | "python" | "executor":
            return replace(body, **{ask.ref: said})
        case _:
            raise BadInput(ask.text, "Say it with an option: `ragent wild --help` lists them.")


def _metric(said: str) -> tuple[str, Literal["min", "max"] | None]:
    """
    >>> _metric("max:val/acc"), _metric("val_loss|min"), _metric("loss")
    (('val/acc', 'max'), ('val_loss', 'min'), ('loss', None))
    """
    modes: tuple[Literal["min", "max"], ...] = ("min", "max")
    for mode in modes:
        for sign in (":", "|", " "):
            if said.startswith(mode + sign):
                return said[len(mode + sign) :].strip(), mode
            if said.endswith(sign + mode):
                return said[: -len(sign + mode)].strip(), mode
    return said.strip(), None
