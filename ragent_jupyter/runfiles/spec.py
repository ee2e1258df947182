"""spec.json: what a run is told, written and fsynced by the engine before anything is launched."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.run import GitState, Interpreter
from ragent_jupyter.domain.silence import Usual

from .jsonl import atomic_write


class SidecarSpec(Struct, frozen=True, kw_only=True):
    argv: list[str]
    env: dict[str, str]


class StopSpec(Struct, frozen=True, kw_only=True):
    """Grace in seconds after INT and after TERM."""

    int_s: float = 10.0
    term_s: float = 10.0


class AttachSpec(Struct, frozen=True, kw_only=True):
    """A process that runs already (a notebook's kernel): watched, not started."""

    pid: int
    start_time: float


class StallSpec(Struct, frozen=True, kw_only=True):
    """stall_s: the least silence to tell, where the user set one; None: the rules' own."""

    stall_s: float | None = None
    alike: Usual = Usual()


class Spec(Struct, frozen=True, kw_only=True):
    run_id: str
    project: str
    argv: list[str]
    cwd: str
    v: int = 1
    mode: str = "spawn"  # or "attach"
    name: str = ""
    command: str = ""
    python: str | None = None
    interpreter: Interpreter | None = None
    executor: str = ""
    gpu_ids: list[int] = []
    sweep_id: str | None = None
    trial: int | None = None
    params: dict[str, Any] = {}
    seed: int | None = None
    retry_of: str | None = None
    primary: str | None = None
    mode_better: str = "min"
    created_at: float = 0.0
    env_names: list[str] = []
    git: GitState | None = None
    attach: AttachSpec | None = None
    sidecar: SidecarSpec | None = None
    log_cap_bytes: int = 256 * 1024 * 1024
    stop: StopSpec = StopSpec()
    stall: StallSpec = StallSpec()


def write_spec(run_dir: str | os.PathLike[str], spec: Spec, env: dict[str, str]) -> None:
    """Write spec.json and env.json (0600: it may hold what is nobody else's business), durably. Raises OSError."""
    folder = Path(run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / "env.json", json.dumps(env, indent=1).encode("utf-8", "surrogateescape"), mode=0o600)
    atomic_write(folder / "spec.json", msgspec.json.format(msgspec.json.encode(spec), indent=1))


def write_base_env(folder: str | os.PathLike[str], env: dict[str, str]) -> None:
    """Keep the environment that a run or sweep was asked for in, until it is launched. 0600, as env.json."""
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    data = json.dumps(env).encode("utf-8", "surrogateescape")
    atomic_write(path / "base_env.json", data, fsync=False, mode=0o600)


def read_base_env(folder: str | os.PathLike[str]) -> dict[str, str] | None:
    """None where nothing was kept: the engine's own environment is the base then."""
    try:
        env = json.loads((Path(folder) / "base_env.json").read_bytes().decode("utf-8", "surrogateescape"))
    except (FileNotFoundError, ValueError):
        return None
    return {str(k): str(v) for k, v in env.items()} if isinstance(env, dict) else None


def read_spec(run_dir: str | os.PathLike[str]) -> Spec:
    """Raises FileNotFoundError, msgspec.DecodeError."""
    return msgspec.json.decode((Path(run_dir) / "spec.json").read_bytes(), type=Spec)
