"""What went wrong in the cells of this kernel, and asking for a repair of it."""

from __future__ import annotations

import traceback
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ragent_jupyter.domain.errors import BadInput, NotFound, RagentError

from .hide import head, tail

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_KEPT = 50
_MOST_TRACE = 12_000  # characters; the end tells most
_MOST_SOURCE = 12_000


class Failure(Struct, frozen=True):
    """One cell that raised. number: its execution count.  trace: the traceback, as text.  source: the cell's."""

    number: int
    trace: str
    source: str

    def __repr__(self) -> str:
        return self.trace


class Failures:
    """`Err`: the failures of this kernel by execution count; `Err[-1]` is the last. Only texts are kept."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self._kept: OrderedDict[int, Failure] = OrderedDict()

    def listen(self) -> None:
        """Hear of every cell from now on."""
        self.shell.events.register("post_run_cell", self.heard)

    def heard(self, result: Any) -> None:
        error = result.error_in_exec or result.error_before_exec
        # Our own refusals say what to do; an interrupt is no mistake.
        if error is None or result.execution_count is None or isinstance(error, (RagentError, KeyboardInterrupt)):
            return
        source = str(getattr(result.info, "raw_cell", "") or "")
        self._kept[int(result.execution_count)] = failure(int(result.execution_count), error, source)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)

    def __getitem__(self, number: int) -> Failure:
        if not isinstance(number, int):
            raise BadInput("Err takes the number of a cell.", "Err[-1] is the last failure.")
        found = list(self._kept.values())
        if number < 0 and len(found) >= -number:
            return found[number]
        if number in self._kept:
            return self._kept[number]
        listed = ", ".join(map(str, list(self._kept)[-5:]))
        raise NotFound(f"Cell {number} did not fail.", f"These did: {listed}." if listed else "No cell failed so far.")

    def last(self) -> Failure:
        """The last failure; one from before we listened counts too. Raises NotFound."""
        if self._kept:
            return self[-1]
        import sys

        error = getattr(sys, "last_value", None)
        if error is None:
            raise NotFound("No cell failed so far.", "Run the cell that fails, then %ragent fix.")
        inputs = self.shell.user_ns.get("In", [])
        return failure(max(0, len(inputs) - 2), error, inputs[-2] if len(inputs) > 1 else "")


def failure(number: int, error: BaseException, source: str) -> Failure:
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return Failure(number, tail(trace, _MOST_TRACE), head(source, _MOST_SOURCE))


def question(found: Failure, more: str = "") -> str:
    """What the assistant is asked about a failure. Both texts are fenced so that neither can end its fence."""
    wish = f"\n\n{more.strip()}" if more.strip() else ""
    return (
        f"This notebook cell failed. Say in a sentence why, then give the whole corrected cell as one block of Python."
        f"{wish}\n\nThe cell, In[{found.number}]:\n\n{_fenced(found.source, 'python')}\n\n"
        f"Its traceback:\n\n{_fenced(found.trace, 'text')}"
    )


def _fenced(text: str, language: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
