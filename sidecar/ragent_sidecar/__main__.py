"""`python -I -m ragent_sidecar RUN_DIR`: watch one run until it has ended and all is read.

Exit status: 0 the run is watched to its end (or another sidecar has it), 1 it could not be watched, 2 usage.
"""

from __future__ import annotations

import sys


def main(argv: list[str] | None = None) -> int:
    """The command line. Messages go to stderr, which the run's wrapper sends to sidecar.log."""
    args = sys.argv[1:] if argv is None else argv
    if len(args) != 1 or args[0].startswith("-"):
        print("usage: python -m ragent_sidecar RUN_DIR", file=sys.stderr)
        return 2
    # msgspec takes typing_extensions where it finds it and does without where it does not; it costs 2 MB and 10 ms.
    sys.modules.setdefault("typing_extensions", None)  # type: ignore[arg-type]
    from .loop import run

    return run(args[0])


if __name__ == "__main__":
    raise SystemExit(main())
