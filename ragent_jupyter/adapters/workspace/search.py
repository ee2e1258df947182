"""Search in the project's text files: which files, and a pattern tried on them by a process that can be ended."""

from __future__ import annotations

import json
import os
import select
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ragent_jupyter.domain.errors import BadInput, CannotBeDone, RagentError
from ragent_jupyter.domain.ports_mind import FileHit

from .refused import why_refused
from .texts import Redact, blacked_out, encoding_of, split_lines
from .tree import Tree, read_bytes

# Folders that hold what others made; left out where git does not say it.
HEAVY = frozenset(
    {
        *(".git", ".hg", ".svn", ".ragent", ".cache", ".eggs", ".venv", "venv", ".tox", ".nox", "site-packages"),
        *("node_modules", "__pycache__", "__pypackages__", ".mypy_cache", ".ruff_cache", ".pytest_cache"),
        *(".hypothesis", ".ipynb_checkpoints", "wandb", "mlruns", "lightning_logs"),
    }
)
SECONDS = 10.0
_LONGEST_PATTERN = 1_000
_MOST_FILES = 50_000
_MOST_BYTES = 400_000_000
_LARGEST_FILE = 8_000_000
_BATCH = 1_000_000
_GIT_ENV = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def files_of(tree: Tree) -> Iterator[str]:
    """Relative paths of the files that a search looks into: what git knows or would add, else all but heavy folders."""
    listed = _git_files(tree.root)
    if listed is None:
        yield from _walk(tree.root, "")
        return
    for path in listed:
        if path.endswith("/"):  # a repository inside this one, of which git says no more
            yield from _walk(tree.root, path.rstrip("/"))
        else:
            yield path


def _git_files(root: str) -> list[str] | None:
    # fsmonitor would start a program that the repository's own configuration names.
    command = ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-C", root]
    command += ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=SECONDS, env=env | _GIT_ENV, stdin=subprocess.DEVNULL, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    return [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]


def _walk(root: str, below: str) -> Iterator[str]:
    """Names alone: nothing is opened here, and what is read later is gone to by `Tree.at`."""
    for folder, folders, files in os.walk(os.path.join(root, below)):
        folders[:] = sorted(name for name in folders if name not in HEAVY)
        for name in sorted(files):
            yield os.path.relpath(os.path.join(folder, name), root)


class _Matcher:
    """The other process. Raises CannotBeDone when the time is over; `close` ends it."""

    def __init__(self, pattern: str, deadline: float) -> None:
        self._deadline = deadline
        script = str(Path(__file__).with_name("matcher.py"))
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        os.set_blocking(self._in.fileno(), False)
        os.set_blocking(self._out.fileno(), False)
        said = self._ask(json.dumps({"pattern": pattern}).encode() + b"\n")
        if said.get("problem"):
            raise BadInput(
                f"The pattern is no regular expression: {said['problem']}.", "Escape ( ) [ ] . * + ? \\ with a \\."
            )

    def find(self, texts: list[tuple[int, str]]) -> list[tuple[int, int, str]]:
        """(key, line from 1, text) of the lines that match."""
        bodies = [(key, text.encode("utf-8", "replace")) for key, text in texts]
        head = json.dumps([[key, len(body)] for key, body in bodies]).encode() + b"\n"
        return [(key, line, text) for key, line, text in self._ask(head + b"".join(body for _, body in bodies))]

    def _ask(self, message: bytes) -> Any:
        rest = memoryview(message)
        got = bytearray()
        while True:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise CannotBeDone(
                    f"The search took longer than {SECONDS:.0f} s.",
                    "Use a simpler pattern (no nested repetition), or narrow it with a glob.",
                )
            ready = select.select([self._out], [self._in] if rest else [], [], left)
            try:
                if ready[1]:
                    rest = rest[os.write(self._in.fileno(), rest[:65536]) :]
                if ready[0]:
                    piece = os.read(self._out.fileno(), 65536)
                    got += piece
                    if not piece:
                        raise BrokenPipeError
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise CannotBeDone("The search ended by itself.", "Use a simpler pattern.") from None
            if got.endswith(b"\n"):
                return json.loads(got)

    def close(self) -> None:
        self._process.kill()
        for pipe in (self._in, self._out):
            try:
                pipe.close()
            except OSError:
                continue  # what was still in its buffer has no reader any more
        self._process.wait()


def search(tree: Tree, pattern: str, takes: Callable[[str], bool], limit: int, redact: Redact) -> list[FileHit]:
    """Lines that match, secrets blacked out, in the order of the files. A secret cannot be found by guessing at it:
    a line counts only if it still matches without."""
    if not pattern or len(pattern) > _LONGEST_PATTERN or "\0" in pattern:
        raise BadInput(f"A pattern has 1 to {_LONGEST_PATTERN} characters.", "Search for a word or two.")
    matcher = _Matcher(pattern, time.monotonic() + SECONDS)
    try:
        return _search(tree, matcher, takes, limit, redact)
    finally:
        matcher.close()


def _search(tree: Tree, matcher: _Matcher, takes: Callable[[str], bool], limit: int, redact: Redact) -> list[FileHit]:
    hits: list[FileHit] = []
    batch: list[tuple[str, str]] = []
    size = total = 0

    def flush() -> None:
        found = matcher.find([(key, text) for key, (_, text) in enumerate(batch)])
        for key in sorted({key for key, _, _ in found}):
            path, text = batch[key]
            lines = [line for k, line, _ in found if k == key]
            raw = text.split("\n")
            safe = blacked_out(raw, redact)
            if all(safe[line - 1] == raw[line - 1] for line in lines):
                shown = [(line, text) for k, line, text in found if k == key]
            else:
                shown = [(line, text) for _, line, text in matcher.find([(key, "\n".join(safe))])]
            hits.extend(FileHit(redact(shown_name(path)), line, text) for line, text in shown)
        batch.clear()

    for n, path in enumerate(files_of(tree)):
        if n >= _MOST_FILES or total >= _MOST_BYTES or len(hits) >= limit:
            break
        if not takes(path) or why_refused(path.split("/")):
            continue
        text = _text(tree, path)
        if text is None:
            continue
        batch.append((path, text))
        size += len(text)
        total += len(text)
        if size >= _BATCH or len(batch) >= 500:
            flush()
            size = 0
    if batch and len(hits) < limit:
        flush()
    return hits[:limit]


def _text(tree: Tree, path: str) -> str | None:
    """A file's lines, ended by LF; None for what is no text, is a link, is too large, or went away."""
    try:
        if not stat.S_ISREG(os.lstat(os.path.join(tree.root, path)).st_mode):
            return None
        with tree.at(path) as spot:
            data, _ = read_bytes(spot, _LARGEST_FILE)
    except (RagentError, OSError, ValueError):
        return None  # a search goes on; opening that file alone says why
    encoding = encoding_of(data)
    return "\n".join(split_lines(data.decode(encoding))) if encoding else None


def shown_name(path: str) -> str:
    """A path as text: what is no UTF-8 in it, and what is not seen or breaks lines, stands escaped."""
    plain = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in plain)
