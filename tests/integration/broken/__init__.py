"""Broken runs with an answer key: what is run, why it breaks, and the line that proves it.

The scripts really run. Where a failure needs hardware that a test machine lacks, a stand-in for the framework raises
its exception, in its words, from below the script's own frames.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """name: of the case.  script: the text of train.py.  cause: the kind that a diagnosis must put first.

    proof: words of the line that proves it; it must be among what that cause cites.  where: the source of that line:
    "job.log", "exit.json", or a metric's name.  command: what is run, `{python}` is this
    interpreter.  live: it never ends by itself; it is diagnosed while it lives.  frame: the line of the script's own
    code that failed, if one did.
    """

    name: str
    cause: str
    proof: str
    script: str = ""
    where: str = "job.log"
    command: str = "{python} train.py"
    files: dict[str, str] = field(default_factory=dict)
    live: bool = False
    frame: str = ""


# A stand-in: its frames lie below site-packages, as the real one's do.
FAKE_TORCH = """
class OutOfMemoryError(RuntimeError):
    pass
OutOfMemoryError.__module__ = "torch"

def _kernel(kind, text):
    raise kind(text)

def call(kind, text):
    return _kernel(kind, text)

def oom(text):
    return call(OutOfMemoryError, text)

def fail(text):
    return call(RuntimeError, text)
"""
