"""The two wires at their edges: which paths, whose token, which headers go on, how a refusal reads. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from msgspec import Struct

from .limits import FINAL, Refused
from .upstreams import Format, HeaderStyle

MAX_BODY = 32 * 1024 * 1024
What = Literal["messages", "count_tokens", "chat", "models"]


class Ask(Struct, frozen=True):
    """What a path asks for. named: the upstream in it, "" none.  path: the provider's, behind /v1/."""

    what: What
    format: Format
    named: str
    path: str

    @property
    def paid(self) -> bool:
        return self.what in ("messages", "chat")


# Clients add /v1 or not, whatever their base URL ends in.
_PATH = re.compile(
    r"^/(?:ragent/)?(?:gateway/)?(?:(?!v1/)(?P<named>[A-Za-z0-9_-]+)/)?(?:v1/)*"
    r"(?P<path>messages/count_tokens|messages|chat/completions|models(?:/[^?#]{1,300})?)$"
)
_WHAT: dict[str, What] = {"messages": "messages", "messages/count_tokens": "count_tokens", "chat/completions": "chat"}


def parse(method: str, path: str, user_agent: str = "", formats: dict[str, Format] | None = None) -> Ask:
    """What is asked. formats: of the upstreams by name, for paths that both wires have. Raises Refused not_found.

    >>> parse("POST", "/ragent/gateway/deepinfra/v1/chat/completions")
    Ask(what='chat', format='openai', named='deepinfra', path='chat/completions')
    """
    found = _PATH.match(path)
    what: What = _WHAT.get(found["path"], "models") if found else "models"
    if found is None or method != ("GET" if what == "models" else "POST"):
        raise Refused(
            "not_found",
            "The gateway has POST v1/messages, v1/messages/count_tokens, openai/v1/chat/completions and GET v1/models, "
            "openai/v1/models.",
        )
    named = found["named"] or ""
    if what == "chat":
        format_: Format = "openai"
    elif what == "models":
        guess: Format = "openai" if "openai" in user_agent.lower() else "anthropic"
        format_ = (formats or {}).get(named, "openai") if named else guess
    else:
        format_ = "anthropic"
    return Ask(what, format_, named, found["path"])


def format_of(path: str) -> Format:
    """The wire in which a path that we do not have would have been answered."""
    return "openai" if "openai" in path or "chat" in path else "anthropic"


def credential(headers: Iterable[tuple[str, str]]) -> tuple[str, HeaderStyle]:
    """(the client's token, how it was sent); ("", …) none.

    >>> credential([("Authorization", "Bearer rgt_a")]), credential([("X-Api-Key", "rgt_b")])
    (('rgt_a', 'bearer'), ('rgt_b', 'x-api-key'))
    """
    by_name = {name.lower(): value.strip() for name, value in headers}
    scheme, _, bearer = by_name.get("authorization", "").partition(" ")
    key = by_name.get("x-api-key", "")
    bearer = bearer.strip() if scheme.lower() == "bearer" else ""
    # Behind some hubs the Authorization header is the hub's own: whichever is one of ours counts.
    if bearer and (bearer.startswith("rgt_") or not key):
        return bearer, "bearer"
    return key, "x-api-key"


# Only what is on a list goes on: cookies, tokens of proxies and addresses of clients end here.
_FORTH = re.compile(
    r"accept|content-type|user-agent|idempotency-key|anthropic-.+|openai-beta|x-stainless-.+|x-app|x-claude-.+"
    r"|x-session-.+|x-client-request-id|x-title|http-referer",
    re.IGNORECASE,
)
_BACK = re.compile(
    r"content-type|content-length|content-encoding|cache-control|retry-after|retry-after-ms|x-should-retry|request-id"
    r"|x-request-id|anthropic-.+|openai-.+|x-ratelimit-.+|cf-ray|date",
    re.IGNORECASE,
)


def forth(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The client's headers that its provider gets. Bytes come back as they are: no compression is asked for."""
    return [*((name, value) for name, value in headers if _FORTH.fullmatch(name)), ("Accept-Encoding", "identity")]


def back(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers if _BACK.fullmatch(name)]


def key_headers(key: str, style: HeaderStyle, sent: HeaderStyle) -> list[tuple[str, str]]:
    """The real key as `style` says; sent: how the client sent its token."""
    style = sent if style == "same" else style
    found = [("x-api-key", key)] if style in ("x-api-key", "both") else []
    return [*found, ("Authorization", f"Bearer {key}")] if style in ("bearer", "both") else found


def query_forth(query: str) -> str:
    """The query as it was, without what a hub or a Jupyter server is told by it.

    >>> query_forth("beta=true&token=abc&limit=5")
    'beta=true&limit=5'
    """
    return "&".join(p for p in query.split("&") if p and p.partition("=")[0].lower() not in ("token", "_xsrf"))


# --- the body -----------------------------------------------------------------------------------------------------
class Body(Struct, frozen=True):
    """What the gateway must know of a request. models: every model that it names."""

    fields: dict[str, msgspec.Raw]
    model: str
    models: list[str]
    stream: bool
    n_messages: int | None
    max_tokens: int | None


def read_body(data: bytes) -> Body:
    """Raises Refused bad_request. Everything but a few fields is looked through, not looked at."""
    try:
        fields = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused("bad_request", f"The body is not a JSON object: {error}") from None
    model = _field(fields, "model", str)
    if not model:
        raise Refused("bad_request", "model: name one, as a string.")
    # Routers take a list of models to fall back on, which a scope must hold for as well.
    more = [m for m in _field(fields, "models", list) or [] if isinstance(m, str)]
    messages = _field(fields, "messages", list)
    limit = _field(fields, "max_tokens", int) or _field(fields, "max_completion_tokens", int)
    return Body(
        fields, model, [model, *more], _field(fields, "stream", bool) is True,
        None if messages is None else len(messages), limit,
    )  # fmt: skip


def _field(fields: dict[str, msgspec.Raw], name: str, type_: Any) -> Any:
    if name not in fields:
        return None
    try:
        wanted = list[msgspec.Raw] if type_ is list and name == "messages" else type_
        return msgspec.json.decode(fields[name], type=wanted)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def body_forth(data: bytes, body: Body, model: str, *, exact: bool) -> bytes:
    """The bytes as they came, unless the model has another name at its provider.

    exact: what is sent must be what was checked, so a field that stands there twice goes once.
    """
    if model == body.model and not exact:
        return data
    return msgspec.json.encode({**body.fields, "model": msgspec.Raw(msgspec.json.encode(model))})


# --- refusals ------------------------------------------------------------------------------------------------------
_ANTHROPIC = {
    "bad_request": "invalid_request_error", "bad_token": "authentication_error", "over_budget": "billing_error",
    "not_allowed": "permission_error", "not_found": "not_found_error", "too_large": "request_too_large",
    "rate_limited": "rate_limit_error", "timeout": "timeout_error",
}  # fmt: skip
_OPENAI = {
    "bad_token": ("invalid_request_error", "invalid_api_key"),
    "over_budget": ("insufficient_quota", "insufficient_quota"),
    "rate_limited": ("requests", "rate_limit_exceeded"),
    "not_found": ("invalid_request_error", "not_found"),
}


def refusal(refused: Refused, format_: Format, request_id: str) -> tuple[bytes, list[tuple[str, str]]]:
    """(body, headers) of the gateway's own no, as the provider would have said it."""
    headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    if refused.retry_after is not None:
        headers.append(("Retry-After", str(refused.retry_after)))
    if refused.kind in FINAL:
        headers.append(("X-Should-Retry", "false"))
    said: dict[str, Any]
    if format_ == "anthropic":
        error = {"type": _ANTHROPIC.get(refused.kind, "api_error"), "message": refused.message}
        said = {"type": "error", "error": error, "request_id": request_id}
        headers.append(("request-id", request_id))
    else:
        asked = "invalid_request_error" if refused.status < 500 else "server_error"
        type_, code = _OPENAI.get(refused.kind, (asked, None))
        said = {"error": {"message": refused.message, "type": type_, "param": None, "code": code}}
        headers.append(("x-request-id", request_id))
    return msgspec.json.encode(said), headers
