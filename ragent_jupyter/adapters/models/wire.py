"""What the wires of all providers share: where an endpoint is, server-sent events, and what a failure means."""

from __future__ import annotations

import codecs
import email.utils
import math
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.model import FailureKind, ModelFailed

CONNECT_S = 10.0
# The caller ends a stalled call much earlier, and visibly; this one only keeps a forgotten socket from living for ever.
READ_S = 300.0
_LONGEST_EVENT = 16 << 20  # characters; more is no event but an attempt to fill the memory


class Endpoint(Struct, frozen=True, kw_only=True):
    """Where a model is asked, and as whom. Credentials and address are always explicit: no profile file is read.

    name: for people.  key_name: the environment's name of the key, for remedies.  key: "" where none is needed.
    """

    name: str
    base_url: str
    key: str = ""
    key_name: str = ""

    @property
    def official(self) -> bool:
        """The provider's own server, which takes what others may not know."""
        return urlsplit(self.base_url).hostname in ("api.anthropic.com", "api.openai.com")


class Event(Struct, frozen=True):
    """A server-sent event. type: "" where the server gave none."""

    type: str
    data: str


class EventReader:
    """Server-sent events from bytes, whatever the pieces they come in. Source: the WHATWG's HTML standard, 9.2.6.

    >>> reader = EventReader()
    >>> reader.feed(b"event: ping\\ndata: {}\\r\\n")
    []
    >>> reader.feed(b"\\r\\n: a comment\\n\\n")
    [Event(type='ping', data='{}')]
    """

    def __init__(self) -> None:
        # Only a whole line is decoded: a character may be cut in two between the pieces.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._type = ""
        self._data: list[str] = []
        self._held = 0

    def feed(self, data: bytes) -> list[Event]:
        """The events that are now whole. Raises ModelFailed "bad_reply" for one that never ends."""
        return list(self._events(self._decoder.decode(data)))

    def _events(self, text: str) -> Iterator[Event]:
        # Lone carriage returns end lines too by the standard; no provider sends them, and JSON escapes its own.
        lines = (self._rest + text).split("\n")
        self._rest = lines.pop()
        self._held += len(text)
        if self._held > _LONGEST_EVENT:
            raise ModelFailed("bad_reply", "The endpoint sent an event without an end.", "Look at what answers there.")
        for line in lines:
            line = line.rstrip("\r")
            if not line:
                if self._data:
                    yield Event(self._type, "\n".join(self._data))
                self._type, self._data, self._held = "", [], len(self._rest)
            elif line.startswith("data:"):
                self._data.append(line[5:].removeprefix(" "))
            elif line.startswith("event:"):
                self._type = line[6:].strip()


# --- failures -------------------------------------------------------------------------------------------------------
_BY_STATUS: dict[int, FailureKind] = {
    400: "bad_request", 401: "auth", 402: "spend_limit", 403: "auth", 404: "not_found", 413: "too_large",
    422: "bad_request", 429: "rate_limited", 503: "overloaded", 529: "overloaded",
}  # fmt: skip
_BY_TYPE: dict[str, FailureKind] = {
    "invalid_request_error": "bad_request", "authentication_error": "auth", "permission_error": "auth",
    "billing_error": "spend_limit", "insufficient_quota": "spend_limit", "not_found_error": "not_found",
    "model_not_found": "not_found", "request_too_large": "too_large", "rate_limit_error": "rate_limited",
    "rate_limit_exceeded": "rate_limited", "overloaded_error": "overloaded", "api_error": "server",
    "server_error": "server", "timeout_error": "server", "invalid_api_key": "auth",
}  # fmt: skip
# Providers tell a full context and an empty purse by words alone, with the status of any bad request.
_TOO_LARGE = re.compile(
    r"prompt is too long|too many (input )?tokens|maximum context|context[ _](length|window|size)", re.IGNORECASE
)
_SPENT = re.compile(r"spend[ _]limit|credit balance|insufficient[ _](quota|credit|balance|funds)", re.IGNORECASE)
_TRIED_AGAIN = frozenset({408, 409, 425, 499})


def kind_of(status: int, error_type: str, code: str, message: str) -> FailureKind:
    """What a provider's refusal means. status: 200 for an error inside a stream.

    >>> kind_of(429, "rate_limit_error", "enforced_spend_limit_reached", "")
    'spend_limit'
    >>> kind_of(400, "invalid_request_error", "", "prompt is too long: 213000 tokens")
    'too_large'
    >>> kind_of(200, "overloaded_error", "", "")
    'overloaded'
    """
    said = f"{error_type} {code} {message}"
    if status not in (401, 404) and _SPENT.search(said):
        return "spend_limit"
    if status in (200, 400, 413, 422) and _TOO_LARGE.search(said):
        return "too_large"
    if status != 200 and status in _BY_STATUS:
        return _BY_STATUS[status]
    if 300 <= status < 400:
        return "bad_request"  # redirects are not followed: a key must not go where nobody sent it
    for word in (code, error_type):
        if word in _BY_TYPE:
            return _BY_TYPE[word]
    if status == 200 or status >= 500 or status in _TRIED_AGAIN:
        return "server"
    return "bad_request"


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds that a reply asks to wait: a number, or a date.

    >>> retry_after({"retry-after": "7"}), retry_after({"retry-after-ms": "250"}), retry_after({"retry-after": "soon"})
    (7.0, 0.25, None)
    """
    for name, scale in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        text = headers.get(name, "").strip()
        if not text:
            continue
        try:
            seconds = float(text) * scale
        except ValueError:
            try:
                then = email.utils.parsedate_to_datetime(text).timestamp()
            except (ValueError, TypeError, OverflowError):
                continue
            seconds = then - (time.time() if now is None else now)
        if math.isfinite(seconds):
            return max(0.0, seconds)
    return None


def remedy(kind: FailureKind, endpoint: Endpoint) -> str:
    """What a person can do about it."""
    key = endpoint.key_name or "the key"
    match kind:
        case "auth":
            return f"Check {key}: `ragent keys set {key}` replaces it, `ragent keys test` tries it."
        case "spend_limit":
            return f"Raise the limit or add credit at {endpoint.name}, or choose another model."
        case "not_found":
            return "Choose a model that this endpoint serves, and check its base URL."
        case "too_large":
            return "Ask with less: a shorter question, fewer attachments, or a new session."
        case "bad_request":
            return "The endpoint does not take this request; `ragent keys test` tells what it can do."
        case "bad_reply":
            return f"Check that {endpoint.base_url} is a model's endpoint, and not a page or a proxy's sign-in."
        case _:
            return "It is tried again by itself."


def refused(endpoint: Endpoint, status: int, headers: Mapping[str, str], body: Any) -> ModelFailed:
    """A ModelFailed from an HTTP error or from an error event (status 200). body: decoded JSON, or text, or None."""
    error = body.get("error", body) if isinstance(body, dict) else body
    error_type = code = message = ""
    if isinstance(error, dict):
        details = error.get("details")
        error_type = str(error.get("type") or "")
        code = str((details.get("error_code") if isinstance(details, dict) else None) or error.get("code") or "")
        message = str(error.get("message") or "")
    elif isinstance(error, str):
        message = error
    kind = kind_of(status, error_type, code, message)
    if 300 <= status < 400:
        message = f"it redirects to {headers.get('location', 'another address')}"
    said = scrub(" ".join(message.split())[:500], endpoint.key)
    where = f"{endpoint.name} answered {status}" if status != 200 else f"{endpoint.name} broke off"
    problem = f"{where}: {said or error_type or 'no reason given'}".rstrip(".") + "."
    return ModelFailed(kind, problem, remedy(kind, endpoint), retry_after(headers))


def failed(kind: FailureKind, endpoint: Endpoint, problem: str) -> ModelFailed:
    return ModelFailed(kind, scrub(problem, endpoint.key), remedy(kind, endpoint))


def cut(endpoint: Endpoint) -> ModelFailed:
    return failed("cut", endpoint, f"The answer of {endpoint.name} broke off before its end.")


def scrub(text: str, key: str) -> str:
    """A provider's words without our key, which some repeat in their errors."""
    return text.replace(key, "[key]") if len(key) >= 4 else text


def check(endpoint: Endpoint) -> None:
    """Raises ModelFailed "auth" where no header could carry the key, "bad_request" where the address is none."""
    try:
        parts = urlsplit(endpoint.base_url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of the port
        sound = False
    if not sound:
        raise ModelFailed(
            "bad_request", f"{endpoint.base_url!r} is no base URL.", "Give one like https://host/path, or unset it."
        )
    if not endpoint.key.isascii() or not endpoint.key.isprintable() or " " in endpoint.key:
        raise failed(
            "auth", endpoint, f"The value of {endpoint.key_name or 'the key'} holds characters that no key has."
        )


def decoded_object(text: str, endpoint: Endpoint) -> dict[str, Any]:
    """An event's JSON object. Raises ModelFailed "bad_reply"."""
    try:
        data = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise failed("bad_reply", endpoint, f"{endpoint.name} sent an event that is no JSON object.")
    return data


def tool_input(text: str) -> tuple[dict[str, Any], str]:
    """A call's input from its JSON: (input, ""), or ({}, the text) where it is no object.

    >>> tool_input('{"a": 1}'), tool_input(''), tool_input('{"a":')
    (({'a': 1}, ''), ({}, ''), ({}, '{"a":'))
    """
    if not text.strip():
        return {}, ""
    try:
        data = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return {}, text
    return (data, "") if isinstance(data, dict) else ({}, text)


def count(data: Mapping[str, Any], name: str) -> int | None:
    """A number of tokens; None where it is missing or no sensible number."""
    value = data.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
