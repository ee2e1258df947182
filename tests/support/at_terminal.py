"""The command line as a person types it: stdin is a terminal, so that what is a person's to say is theirs."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def at_terminal(
    folder: Path, env: Mapping[str, str], *argv: str, timeout: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """`ragent ARGV` with a terminal at its stdin and pipes behind stdout and stderr."""
    master, slave = pty.openpty()
    try:
        return subprocess.run(
            [sys.executable, "-m", "ragent_jupyter.cli.main", *argv], cwd=folder, env=dict(env), text=True,
            stdin=slave, capture_output=True, timeout=timeout, check=False, start_new_session=True,
        )  # fmt: skip
    finally:
        os.close(slave)
        os.close(master)
