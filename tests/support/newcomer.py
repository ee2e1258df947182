"""A machine as a newcomer has it: a PATH without certain programs, a virtual environment, a fresh clone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
JAVASCRIPT = ("node", "nodejs", "npm", "npx", "yarn", "yarnpkg", "pnpm", "corepack", "jlpm")
# What this machine's owner or this test run set up, and a newcomer has not: keys, engines, other environments.
_FOREIGN = ("RAGENT_", "TMUX", "JUPYTER", "JPY_", "PYTHON", "VIRTUAL_ENV", "CONDA", "DATABASE_URL", "PYTEST", "COV_")
_SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def toolbox(folder: Path, without: Sequence[str]) -> Path:
    """A folder with links to every program of the system's folders, but for those named."""
    folder.mkdir(parents=True)
    for place in map(Path, _SYSTEM.split(":")):
        if not place.is_dir():
            continue
        for program in place.iterdir():
            link = folder / program.name
            if program.name not in without and not link.is_symlink() and os.access(program, os.X_OK):
                link.symlink_to(program)
    return folder


def clean_env(home: Path, *path: Path, **more: str) -> dict[str, str]:
    """This process's environment (pip's and npm's settings, certificates, caches) without what a newcomer lacks.

    home: takes Jupyter's, tmux's and the engine's own folders, so that nothing here is found and nothing is left.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_FOREIGN) and not name.endswith(("_API_KEY", "_TOKEN", "_SECRET"))
    }
    places = {name: home / name.lower() for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    for place in places.values():
        place.mkdir(parents=True, exist_ok=True)
    own = {"PATH": os.pathsep.join(map(str, path)), "TMUX_TMPDIR": str(home), "XDG_RUNTIME_DIR": str(home)}
    return {**kept, **{name: str(place) for name, place in places.items()}, **own, "PIP_NO_INPUT": "1", **more}


def say(argv: Sequence[str | Path], env: dict[str, str], cwd: Path, timeout: float = 120) -> str:
    """A command's stdout. Raises AssertionError with all that it said if it fails."""
    done = subprocess.run(
        [str(word) for word in argv], env=env, cwd=cwd, text=True, capture_output=True, timeout=timeout,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{argv} ended with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def venv(folder: Path) -> Path:
    """A new virtual environment of the Python below this one; its bin folder."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
    return folder / "bin"


def clone(folder: Path) -> Path:
    """This repository's HEAD, as `git clone` gives it: what is not committed is not there."""
    env = {**os.environ, "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    say(["git", "clone", "-q", "--depth", "1", f"file://{ROOT}", folder], env, folder.parent)
    return folder


def document(text: str) -> Any:
    """stdout as the one JSON document that it is; raises if anything stands before or after it."""
    value, end = json.JSONDecoder().raw_decode(text)
    assert text[end:] == "\n", f"more than one document: {text[end:][:200]!r}"
    return value
