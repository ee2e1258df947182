"""Makes types safe to decode in several threads: what msgspec notes of a type at its first use is noted before."""

from __future__ import annotations

import msgspec


def prepare(package: str = "ragent_jupyter.") -> list[type]:
    """Use every struct once that has been imported, in this one thread; returns them.

    msgspec (seen in 0.22) keeps on the class what it learns at the first decoding, and shows it before it is whole: two
    threads that decode a type for the first time at once end the process (SIGSEGV). Call it before threads begin.
    """
    ready: list[type] = []
    left: list[type] = [msgspec.Struct]
    seen: set[type] = set()
    while left:
        below: list[type] = left.pop().__subclasses__()
        for cls in below:
            if cls in seen:
                continue
            seen.add(cls)
            left.append(cls)
            if not cls.__module__.startswith(package):
                continue
            try:
                msgspec.json.Decoder(cls)
            except (TypeError, NameError):
                continue  # it holds what JSON has no word for (a function, an array): nobody decodes it
            ready.append(cls)
    return ready
