"""Run folders as the engine writes them, for tests that need no engine."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import msgspec

from ragent_jupyter.domain.facts import Claim, Exit, WrapperFact
from ragent_jupyter.domain.ports import LaunchSpec
from ragent_jupyter.runfiles.jsonl import append_line, read_json_lines
from ragent_jupyter.runfiles.proc import wrapper_path
from ragent_jupyter.runfiles.spec import Spec, StopSpec, write_spec

_orders = iter(range(1, 1_000_000))


def make_run(project: Path, argv: list[str], run_id: str, env: dict[str, str] | None = None, **more: Any) -> LaunchSpec:
    """A run's folder, ready to be launched. Grace is 1 s + 1 s unless `stop` says otherwise."""
    run_dir = project / ".ragent" / "runs" / run_id
    spec = Spec(
        run_id=run_id,
        project=str(project),
        argv=argv,
        cwd=str(more.pop("cwd", project)),
        command=" ".join(argv),
        stop=more.pop("stop", StopSpec(int_s=1.0, term_s=1.0)),
        **more,
    )
    path = {"PATH": os.path.dirname(sys.executable) + ":" + os.environ["PATH"]}
    write_spec(run_dir, spec, {**path, "RAGENT_RUN_ID": run_id, "RAGENT_RUN_DIR": str(run_dir), **(env or {})})
    return LaunchSpec(
        run_id=run_id,
        run_dir=str(run_dir),
        name=run_id,
        wrapper=[sys.executable, "-I", "-S", wrapper_path(), str(run_dir)],
        cwd=str(project),
    )


def order(run_dir: str | Path, type_: str = "stop", **more: Any) -> str:
    """Append an order as the engine does; its id."""
    seq = next(_orders)
    order_id = f"ord_{seq}"
    line = {"type": type_, "seq": seq, "order_id": order_id, "at": 1.0, **more}
    append_line(Path(run_dir, "orders.jsonl"), json.dumps(line).encode())
    return order_id


def read_exit(run_dir: str | Path) -> Exit | None:
    """exit.json, None while there is none. Whatever is there must be whole."""
    try:
        data = Path(run_dir, "exit.json").read_bytes()
    except FileNotFoundError:
        return None
    return msgspec.json.decode(data, type=Exit)


def read_claim(run_dir: str | Path) -> Claim | None:
    try:
        data = Path(run_dir, "claim.json").read_bytes()
    except FileNotFoundError:
        return None
    return msgspec.json.decode(data, type=Claim)


def read_facts(run_dir: str | Path) -> list[Any]:
    return read_json_lines(Path(run_dir, "wrapper.jsonl"), WrapperFact)
