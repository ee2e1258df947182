"""Trying the patterns: on the lines of an exception, and on any other line."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .patterns import PATTERNS, Pattern

# Few lines hold one of these, so that the patterns are rarely tried; plain searches are faster than one expression.
_HINTS = (
    "error", "stop", "fail", "memory", "oom", "kill", "nan", "infinite", "=inf", ":inf", "quota", "denied", "found",
    "exhaust", "refused", "reset", "closed", "resol", "connect", "xid", "timeout", "timed", "limit", "abort",
    "fault", "signal", "terminat", "interrupt", "unauthori", "forbidden", "gated", "invalid", "unrecogni",
    "required", "usage", "cancel", "preempt", "corrupt", "mismatch", "unable", "could", "cannot", "can't",
    "watchdog", "bad_alloc", "assert", "diverged", "many", "deadlock", "stuck", "hung", "panic", "support", "space",
    "exitcode", "exit", "scale", "gradient", "weight", "empty", "truncated", "module", "version", "requires", "not",
    "number", "division", "exceed", "load", "worker", "shared", "unknown", "unexpected", "compil",
)  # fmt: skip

# Exceptions that only tell that something below them failed.
WRAPPER = re.compile(
    r"ChildFailedError|ProcessRaisedException|ProcessExitedException|RayTaskError|CalledProcessError|CellExecutionError"
    r"|Caught \w+ in |TuneError|InvocationException|SystemExit|RuntimeError: One or more"
)


def of_exception(lines: Iterable[str]) -> tuple[Pattern, int] | None:
    """The heaviest pattern that matches a line of an exception's message, and which line."""
    best: tuple[Pattern, int] | None = None
    for number, text in enumerate(lines):
        cut = text[:4000]
        for pattern in PATTERNS:
            if (best is None or pattern.weight > best[0].weight) and pattern.regex.search(cut):
                best = pattern, number
    return best


def of_line(text: str) -> Pattern | None:
    """The heaviest pattern that matches a line outside of tracebacks."""
    cut = text[:4000]
    low = cut.lower()
    if not any(word in low for word in _HINTS):
        return None
    best: Pattern | None = None
    for pattern in PATTERNS:
        if pattern.where == "any" and (best is None or pattern.weight > best.weight) and pattern.regex.search(cut):
            best = pattern
    return best


# Where a module's name is not the name of what is installed.
PIP_NAMES = {
    "cv2": "opencv-python", "yaml": "PyYAML", "sklearn": "scikit-learn", "skimage": "scikit-image",
    "PIL": "Pillow", "bs4": "beautifulsoup4", "dotenv": "python-dotenv", "Crypto": "pycryptodome",
    "serial": "pyserial", "git": "GitPython", "google.protobuf": "protobuf", "dateutil": "python-dateutil",
    "attr": "attrs", "OpenSSL": "pyOpenSSL", "faiss": "faiss-cpu", "usb": "pyusb", "zmq": "pyzmq",
    "docx": "python-docx", "magic": "python-magic", "ignite": "pytorch-ignite", "lightning_fabric": "lightning",
    "pl_bolts": "lightning-bolts", "apex": "apex (from NVIDIA's sources)", "hydra": "hydra-core",
    "umap": "umap-learn", "gym": "gymnasium", "MySQLdb": "mysqlclient", "ruamel": "ruamel.yaml",
    "fitz": "PyMuPDF", "pkg_resources": "setuptools", "distutils": "setuptools",
}  # fmt: skip


def pip_name(module: str) -> str:
    """What to install for a module.

    >>> [pip_name(m) for m in ("cv2", "flash_attn.bert", "einops")]
    ['opencv-python', 'flash-attn', 'einops']
    """
    top = module.split(".")[0]
    return PIP_NAMES.get(module) or PIP_NAMES.get(top) or top.replace("_", "-")
