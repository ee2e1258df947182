"""Errors that tell the reader what to do next. Three readers share them: a person, a script, an agent."""

from __future__ import annotations


class RagentError(Exception):
    """A refusal with a problem, a remedy and the HTTP status that fits it."""

    status = 500
    type = "internal"

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem} {self.remedy}".strip()


class BadInput(RagentError):
    """The body or the arguments are not what the call takes."""

    status = 400
    type = "bad_input"


class NotAllowed(RagentError):
    """Known who asks, but they may not."""

    status = 403
    type = "not_allowed"


class NotFound(RagentError):
    """No such thing here."""

    status = 404
    type = "not_found"


class WrongMoment(RagentError):
    """The thing is there, but not in a state that honours this wish."""

    status = 409
    type = "wrong_moment"


class TooLarge(RagentError):
    status = 413
    type = "too_large"


class CannotBeDone(RagentError):
    """Well-formed, but impossible as asked: no such folder, no such interpreter, an empty search space."""

    status = 422
    type = "cannot_be_done"


class Held(RagentError):
    """Somebody else owns it: another engine, another host."""

    status = 423
    type = "held"


class BudgetSpent(RagentError):
    status = 429
    type = "budget_spent"


class MissingPart(RagentError):
    """A program, a package or a service that this needs is not there."""

    status = 503
    type = "missing_part"


class ExecutorMissing(MissingPart):
    def __init__(self, executor: str, program: str, present: list[str]) -> None:
        super().__init__(
            problem=f"Executor {executor!r} cannot start runs: {program!r} is not on PATH.",
            remedy=f"Install {program}, or choose another executor: {', '.join(present) or 'none found'}.",
        )


class StoreFailed(RagentError):
    """The disk or the database refused a write: nothing of it was kept. Later ones work once the cause is gone."""

    status = 503
    type = "store_failed"


class Unreachable(MissingPart):
    """The engine does not answer."""

    type = "unreachable"


BY_TYPE: dict[str, type[RagentError]] = {
    cls.type: cls
    for cls in (
        BadInput,
        NotAllowed,
        NotFound,
        WrongMoment,
        TooLarge,
        CannotBeDone,
        Held,
        BudgetSpent,
        MissingPart,
        StoreFailed,
        Unreachable,
    )
}


def from_wire(status: int, type_: str, problem: str, remedy: str) -> RagentError:
    """The error that a door raises for a refusal read from the wire.

    >>> type(from_wire(404, "not_found", "No run 'x'.", "")).__name__
    'NotFound'
    """
    cls = BY_TYPE.get(type_)
    if cls is None:
        cls = next((c for c in BY_TYPE.values() if c.status == status), RagentError)
    error = RagentError.__new__(cls)
    RagentError.__init__(error, problem, remedy)
    if cls is RagentError:
        error.status = status
    return error
