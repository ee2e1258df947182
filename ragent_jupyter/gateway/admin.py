"""The people's side: make, list and revoke tokens, look at the usage. Only behind doors that know who asks."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from msgspec import Struct
from tornado.web import HTTPError, RequestHandler

from ragent_jupyter.domain.errors import BadInput, RagentError
from ragent_jupyter.domain.wire import ErrorBody, ErrorReply

from . import tokens
from .core import Gateway

log = logging.getLogger("ragent.gateway")

MOST_DAYS = 366


class CreatedToken(Struct, frozen=True, kw_only=True):
    """The reply to POST gateway/tokens: the only time that `token` is shown."""

    token: str
    info: tokens.TokenView


class TokensReply(Struct, frozen=True, kw_only=True):
    """upstreams: their names. problem: what is wrong with the table of upstreams, "" nothing."""

    tokens: list[tokens.TokenView]
    upstreams: list[str]
    problem: str = ""


async def list_tokens(gateway: Gateway) -> TokensReply:
    names = sorted(gateway.upstreams())
    return TokensReply(tokens=gateway.listed(), upstreams=names, problem=gateway.table_problem)


async def create_token(gateway: Gateway, wish: tokens.CreateToken, *, by: str) -> CreatedToken:
    token, text = await gateway.create(wish, by)
    return CreatedToken(token=text, info=tokens.view(token, gateway.clock()))


async def revoke_token(gateway: Gateway, id_or_name: str) -> tokens.TokenView:
    return tokens.view(await gateway.revoke(id_or_name), gateway.clock())


def days_of(text: str | None) -> int:
    """Raises BadInput."""
    try:
        days = int(text or "7")
    except ValueError:
        days = 0
    if not 1 <= days <= MOST_DAYS:
        raise BadInput(f"days={text!r} is not a number of days.", f"Give 1 to {MOST_DAYS}.")
    return days


# --- for the gateway that stands alone; the engine has these routes among its own -----------------------------------
class _Admin(RequestHandler):
    def initialize(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def compute_etag(self) -> None:
        """Nothing here is kept by anybody."""

    def reply(self, status: int, value: Any) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        self.finish(msgspec.json.encode(value))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = (kwargs.get("exc_info") or (None, None, None))[1]
        match error:
            case RagentError():
                body = ErrorBody(error.type, error.problem, error.remedy)
                status_code = error.status
            case msgspec.DecodeError() | UnicodeDecodeError():
                body, status_code = ErrorBody("bad_input", str(error), "`ragent gateway token --help`"), 400
            case HTTPError():
                body = ErrorBody("not_found", f"{self.request.method} {self.request.path} is not here.", "")
            case _:
                log.error("%s %s failed", self.request.method, self.request.path, exc_info=kwargs.get("exc_info"))
                body = ErrorBody("internal", f"{type(error).__name__}", "The gateway's log tells more.")
        self.reply(status_code, ErrorReply(body))

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if not isinstance(value, (RagentError, msgspec.DecodeError, HTTPError)):
            super().log_exception(typ, value, tb)


class TokensHandler(_Admin):
    async def get(self) -> None:
        self.reply(200, await list_tokens(self.gateway))

    async def post(self) -> None:
        wish = msgspec.json.decode(self.request.body or b"{}", type=tokens.CreateToken)
        self.reply(201, await create_token(self.gateway, wish, by=""))


class TokenHandler(_Admin):
    async def delete(self, id_or_name: str) -> None:
        self.reply(200, await revoke_token(self.gateway, id_or_name))


class UsageHandler(_Admin):
    async def get(self) -> None:
        self.reply(200, await self.gateway.usage(days_of(self.get_query_argument("days", None))))


class StatusHandler(_Admin):
    def get(self) -> None:
        self.reply(
            200, {"gateway": True, "live": len(self.gateway.live), "upstreams": sorted(self.gateway.upstreams())}
        )


def routes(gateway: Gateway) -> list[Any]:
    own = {"gateway": gateway}
    api = r"/ragent/api/v1/"
    return [
        (api + r"gateway/tokens", TokensHandler, own),
        (api + r"gateway/tokens/([^/]+)", TokenHandler, own),
        (api + r"gateway/usage", UsageHandler, own),
        (api + r"status", StatusHandler, own),
    ]
