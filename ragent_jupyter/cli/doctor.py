"""`ragent doctor`: what is in place and what is not, with what to do about it. Works where the engine cannot start."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from ragent_jupyter.domain.errors import RagentError
from ragent_jupyter.domain.wire import Check, DoctorReply
from ragent_jupyter.runfiles.project import find_project, socket_path

from .context import Context, caller_python
from .output import DONE, FAILED

_LOW_DISK = 1 << 30


def doctor(context: Context) -> int:
    out = context.out
    checks: list[Check] = []
    try:
        project: Path | None = find_project(context.workdir)
    except RagentError as error:
        project = None
        checks.append(Check(name="project", ok=False, detail=error.problem, remedy=error.remedy))
    checks += [_python(), _training_python(), _tmux(), _gpu()]
    if project is not None:
        checks += [_project(project), _disk(project), _socket(project)]
        checks += _engine(project)
    checks += [_lab_extension(), _server_extension(), _kernel()]
    merged = list({check.name: check for check in checks}.values())
    out.document(DoctorReply(checks=merged))
    wide = max(len(check.name) for check in merged)
    for check in merged:
        mark = out.paint("✓", "32") if check.ok else out.paint("✗", "31")
        out.say(f"{mark} {check.name:<{wide}}  {check.detail}")
        if check.remedy and not check.ok:
            out.say(f"  {'':<{wide}}  → {check.remedy}")
    bad = [check for check in merged if not check.ok]
    out.say()
    out.say("All is well." if not bad else f"{len(bad)} of {len(merged)} want attention.")
    return FAILED if bad else DONE


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info >= (3, 10)
    return Check(
        name="python", ok=ok, detail=f"{version} at {sys.executable}", remedy="" if ok else "Use 3.10 or newer."
    )


def _training_python() -> Check:
    path = caller_python()
    remedy = "Activate an environment, or name one: ragent run --python PATH -- …"
    return Check(
        name="your python", ok=path is not None, detail=path or "no python on PATH", remedy="" if path else remedy
    )


def _tmux() -> Check:
    """Absence is not a fault: plain processes do as well, one only cannot attach to them."""
    path = shutil.which("tmux")
    if path is None:
        return Check(name="tmux", ok=True, detail=f"not installed: runs start as plain processes. {tmux_hint()}")
    said = _output([path, "-V"])
    return Check(name="tmux", ok=bool(said), detail=said or "does not run", remedy="" if said else tmux_hint())


def tmux_hint() -> str:
    """How to install tmux on this machine."""
    for program, command in (
        ("apt-get", "sudo apt-get install tmux"),
        ("dnf", "sudo dnf install tmux"),
        ("apk", "apk add tmux"),
        ("brew", "brew install tmux"),
        ("conda", "conda install -c conda-forge tmux"),
    ):
        if shutil.which(program):
            return f"To attach to runs in a terminal: {command}"
    return "To attach to runs in a terminal, install tmux."


def _gpu() -> Check:
    path = shutil.which("nvidia-smi")
    if path is None:
        return Check(name="gpus", ok=True, detail="no NVIDIA GPU (no nvidia-smi): runs use the CPU")
    listed = _output([path, "--query-gpu=name", "--format=csv,noheader"])
    if listed is None:
        remedy = "Run nvidia-smi and see what it says; often driver and library are of different versions."
        return Check(name="gpus", ok=False, detail="nvidia-smi fails", remedy=remedy)
    names = listed.splitlines()
    return Check(name="gpus", ok=True, detail=f"{len(names)}: {', '.join(sorted(set(names)))}")


def _project(project: Path) -> Check:
    there = (project / ".ragent").is_dir()
    ok = os.access(project / ".ragent" if there else project, os.W_OK | os.X_OK)
    detail = str(project) + ("" if there else " (no run yet)") + ("" if ok else " cannot be written")
    return Check(name="project", ok=ok, detail=detail, remedy="" if ok else f"chmod u+w {project}")


def _disk(project: Path) -> Check:
    usage = shutil.disk_usage(project)
    ok = usage.free > _LOW_DISK
    remedy = "" if ok else "Free some space: a run cannot write its log and metrics on a full disk."
    return Check(name="disk", ok=ok, detail=f"{usage.free / 2**30:.1f} GiB free", remedy=remedy)


def _socket(project: Path) -> Check:
    try:
        return Check(name="socket", ok=True, detail=socket_path(project))
    except RagentError as error:
        return Check(name="socket", ok=False, detail=error.problem, remedy=error.remedy)


def _engine(project: Path) -> list[Check]:
    """The engine's own checks. It is started for them only where the folder is a project already."""
    from ragent_jupyter.client import Client

    if not (project / ".ragent").is_dir():
        return [Check(name="engine", ok=True, detail="not started: nothing has run here yet")]
    try:
        return Client(project).doctor().checks
    except RagentError as error:
        return [Check(name="engine", ok=False, detail=error.problem, remedy=error.remedy)]


def _lab_extension() -> Check:
    from jupyter_core.paths import jupyter_path

    for folder in map(Path, jupyter_path("labextensions")):
        package = folder / "ragent-jupyter" / "package.json"
        try:
            version = json.loads(package.read_bytes()).get("version", "?")
        except (OSError, ValueError, AttributeError):
            continue
        return Check(name="lab extension", ok=True, detail=f"{version} in {package.parent}")
    return Check(
        name="lab extension",
        ok=False,
        detail="JupyterLab does not find ragent's panel",
        remedy=f"{sys.executable} -m pip install --force-reinstall --no-deps ragent-jupyter",
    )


def _server_extension() -> Check:
    from jupyter_core.paths import jupyter_config_path

    # The nearest folder wins, and in it what was said last: as Jupyter itself reads its configuration.
    for folder in map(Path, jupyter_config_path()):
        said: bool | None = None
        for file in [
            *sorted((folder / "jupyter_server_config.d").glob("*.json")),
            folder / "jupyter_server_config.json",
        ]:
            try:
                enabled = json.loads(file.read_bytes())["ServerApp"]["jpserver_extensions"]["ragent_jupyter"]
            except (OSError, ValueError, KeyError, TypeError):
                continue
            said = bool(enabled)
        if said is not None:
            remedy = "" if said else f"{sys.executable} -m jupyter server extension enable ragent_jupyter"
            words = "enabled" if said else "disabled"
            return Check(name="server extension", ok=said, detail=f"{words} in {folder}", remedy=remedy)
    return Check(
        name="server extension",
        ok=False,
        detail="Jupyter has not been told of it",
        remedy=f"{sys.executable} -m jupyter server extension enable ragent_jupyter",
    )


def _kernel() -> Check:
    from jupyter_core.paths import jupyter_path

    names = sorted(
        {spec.parent.name for folder in jupyter_path("kernels") for spec in Path(folder).glob("*/kernel.json")}
    )
    remedy = f"{sys.executable} -m pip install ipykernel"
    return Check(
        name="kernels", ok=bool(names), detail=", ".join(names) or "none found", remedy="" if names else remedy
    )


def _output(argv: list[str]) -> str | None:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
