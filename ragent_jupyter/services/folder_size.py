"""How much room folders take."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def size_of(folders: Sequence[Path]) -> int:
    """Bytes that these folders take on the disk; links are not followed."""
    total = 0
    stack = [os.fspath(folder) for folder in folders]
    while stack:
        try:
            with os.scandir(stack.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError:
            continue  # it went away while we looked
    return total
