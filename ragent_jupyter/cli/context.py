"""What every verb is given: the arguments, a way to speak, the project and its engine."""

from __future__ import annotations

import argparse
import functools
import os
import shutil
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ragent_jupyter.domain.errors import CannotBeDone

from .output import Out

if TYPE_CHECKING:
    from ragent_jupyter.client import Client


class Context:
    def __init__(self, args: argparse.Namespace, out: Out) -> None:
        self.args = args
        self.out = out

    @functools.cached_property
    def workdir(self) -> Path:
        """Where the verb works: --workdir, else the current folder. Raises CannotBeDone if it is no folder."""
        try:
            folder = Path(self.args.workdir or os.getcwd()).expanduser()
        except FileNotFoundError:
            raise CannotBeDone("The current folder has been removed.", "Go to another one (cd).") from None
        if not folder.is_dir():
            raise CannotBeDone(f"{folder} is not a folder.", "Give --workdir a folder that exists.")
        return folder.resolve()

    def client(self, *, create: bool = False, piped: bool = False) -> Client:
        """The project's engine. create: this verb may make the folder a project; others leave no trace in it.

        piped: stdin may hold what was piped in by somebody who sits at the screen.
        """
        from ragent_jupyter.client import Client

        # Approvals are a person's: a script or an agent's shell that runs this program has nobody at its stdin.
        somebody = _at_a_terminal(sys.stdin) or (piped and _at_a_terminal(sys.stderr))
        client = Client(self.workdir, door="terminal" if somebody else "script")
        if not create and not (client.project / ".ragent").is_dir():
            raise CannotBeDone(
                f"{client.project} is not a ragent project yet: nothing has run here.",
                "Start a run (ragent run -- python train.py), try `ragent quickstart`, or go to your project's folder.",
            )
        return client


def _at_a_terminal(stream: IO[str] | None) -> bool:
    return stream is not None and stream.isatty()


def caller_python() -> str | None:
    """The Python that the person who types means: the active environment's, else the first on PATH.

    Not sys.executable: `ragent` may live in an environment of its own, apart from the one that trains.
    """
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        prefix = os.environ.get(variable)
        if prefix:
            python = Path(prefix) / "bin" / "python"
            if os.access(python, os.X_OK):
                return str(python)
    return shutil.which("python") or shutil.which("python3")
