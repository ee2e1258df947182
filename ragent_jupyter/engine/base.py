"""What every handler of the engine shares: bodies in, objects out, and the one place where an error gets its status."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from tornado.web import HTTPError, RequestHandler

from ragent_jupyter.domain.errors import BadInput, MissingPart, RagentError
from ragent_jupyter.domain.wire import ErrorBody, ErrorReply

if TYPE_CHECKING:
    from .app import Engine

log = logging.getLogger("ragent.engine")

T = TypeVar("T")
_encode = msgspec.json.Encoder().encode


class EngineHandler(RequestHandler):
    """Authentication happens at the doors; this socket is 0600 and its users are inside the wall."""

    engine: Engine

    def initialize(self, engine: Engine) -> None:
        self.engine = engine

    def prepare(self) -> None:
        self.engine.touch()
        if self.engine.status.draining and self.request.method not in ("GET", "HEAD"):
            raise MissingPart("The engine is restarting.", "Try again in a second.")

    def compute_etag(self) -> str | None:
        return None  # replies change with every step of training; hashing megabytes for nothing costs time

    def check_xsrf_cookie(self) -> None:
        """No cookies here: the doors check."""

    def body(self, type_: type[T]) -> T:
        """The body as what it should be. Raises msgspec's errors, which name the field; an empty body is {}."""
        return msgspec.json.decode(self.request.body or b"{}", type=type_)

    def arg(self, name: str, default: str | None = None) -> str | None:
        value = self.get_query_argument(name, None)
        return value if value not in (None, "") else default

    def int_arg(self, name: str, default: int) -> int:
        text = self.arg(name)
        if text is None:
            return default
        try:
            return int(text)
        except ValueError:
            raise BadInput(f"{name}={text!r} is not a whole number.", f"Give {name} as a whole number.") from None

    def float_arg(self, name: str) -> float | None:
        text = self.arg(name)
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            raise BadInput(f"{name}={text!r} is not a number.", f"Give {name} as a number.") from None
        return value if value == value else None

    def set_arg(self, name: str) -> set[str] | None:
        text = self.arg(name)
        return set(filter(None, text.split(","))) if text else None

    def flag(self, name: str) -> bool:
        return (self.arg(name) or "").lower() in ("1", "true", "yes")

    def reply(self, status: int, obj: Any) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        self.finish(obj if isinstance(obj, bytes) else _encode(obj))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        match error:
            case RagentError():
                status, body = error.status, ErrorBody(error.type, error.problem, error.remedy)
            case msgspec.DecodeError() | msgspec.ValidationError() | UnicodeDecodeError():
                status, body = 400, ErrorBody("bad_input", str(error), "Send the fields named in the API reference.")
            case HTTPError():
                status = error.status_code
                type_ = {404: "not_found", 405: "bad_input", 413: "too_large", 400: "bad_input"}.get(status, "internal")
                problem = error.log_message or f"{self.request.method} {self.request.path}: {self._reason}"
                body = ErrorBody(type_, problem, "See GET /ragent/api/v1/openapi.json for what there is.")
            case _:
                log.error("%s %s failed", self.request.method, self.request.path, exc_info=kwargs.get("exc_info"))
                body = ErrorBody("internal", f"{type(error).__name__}: {error}", "See .ragent/engine.log; report it.")
                status = 500
        self.reply(status, ErrorReply(body))

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if not isinstance(value, (RagentError, msgspec.DecodeError, HTTPError)):
            super().log_exception(typ, value, tb)


class NothingHere(EngineHandler):
    def prepare(self) -> None:
        raise HTTPError(404, f"There is no {self.request.path} here.")
