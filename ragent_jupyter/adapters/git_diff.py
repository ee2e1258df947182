"""What lies between two commits, asked of git; nothing where git does not know."""

from __future__ import annotations

import asyncio
import os
import re

_COMMIT = re.compile(r"[0-9a-f]{7,64}\Z")
_TIMEOUT_S = 5.0
_MOST = 1 << 20


async def between(folder: str, old: str, new: str) -> str | None:
    """`git diff OLD NEW` as seen from a folder, at most 1 MiB; None where it is no repository, or a commit is gone."""
    if not (_COMMIT.match(old) and _COMMIT.match(new)):
        return None
    # No optional locks: looking must not write. No external programs: a repository's own settings must not run any.
    env = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    try:
        child = await asyncio.create_subprocess_exec(
            "git", "-C", folder, "diff", "--no-ext-diff", "--no-textconv", "--no-color", old, new, "--",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            env=env,
        )  # fmt: skip
    except OSError:
        return None
    assert child.stdout is not None
    try:
        text = await asyncio.wait_for(_read(child.stdout), _TIMEOUT_S)
        code = await asyncio.wait_for(child.wait(), _TIMEOUT_S) if len(text) < _MOST else 0
    except asyncio.TimeoutError:
        return None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    return text.decode("utf-8", "replace") if code == 0 else None


async def _read(stream: asyncio.StreamReader) -> bytes:
    found = b""
    while len(found) < _MOST and (piece := await stream.read(1 << 16)):
        found += piece
    return found
