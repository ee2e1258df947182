"""Nobody comes in unasked: every route of ours, every verb, without and with the wrong credentials."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.auth import Authorizer
from tornado.httpclient import HTTPClientError
from tornado.web import Application, RequestHandler

from ragent_jupyter.server.gateway import GatewayDoor
from tests.support.fake_wire import Fakes

VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def our_routes(app: Application) -> Iterator[tuple[str, type[RequestHandler]]]:
    for rule in app.wildcard_router.rules + app.default_router.rules:
        for inner in getattr(rule.target, "rules", [rule]):
            handler = inner.target
            if inspect.isclass(handler) and handler.__module__.startswith("ragent_jupyter"):
                yield inner.matcher.regex.pattern, handler


PATHS = (
    "ragent", "ragent/", "ragent/docs", "ragent/docs/alerts", "ragent/static/page.js", "ragent/api/v1/runs",
    "ragent/api/v1/runs/run_1/stop", "ragent/api/v1/runs/run_1/start", "ragent/api/v1/project",
    "ragent/api/v1/events/ws", "ragent/api/v1/anything",
)  # fmt: skip


def test_the_paths_below_reach_every_route(jp_web_app: Application, jp_base_url: str):
    # All but the machines' door, which has tests of its own.
    routes = {pattern: handler for pattern, handler in our_routes(jp_web_app) if handler is not GatewayDoor}
    assert len(routes) >= 8
    reached = {p for p in routes if any(re.match(p, jp_base_url + path) for path in PATHS)}
    assert reached == set(routes)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("path", PATHS)
async def test_without_credentials_no_verb_of_any_route_answers(
    jp_base_url: str, jp_serverapp: Any, http_server_client: Any, project: Path, fakes: Fakes, path: str, verb: str
):
    body = b"{}" if verb in ("POST", "PUT", "PATCH") else None
    with pytest.raises(HTTPClientError) as refused:
        await http_server_client.fetch(jp_base_url + path, method=verb, body=body, follow_redirects=False)
    if refused.value.code == 302:  # a page: to the login
        assert "/login" in refused.value.response.headers["Location"]
    else:
        assert refused.value.code in (403, 405)
    assert fakes.started == 0


@pytest.mark.parametrize("path", ["runs", "runs/run_1/start", "prefs"])
async def test_who_is_refused_while_sending_hears_why(
    http_server_client: Any, http_server_port: Any, jp_base_url: str, project: Path, fakes: Fakes, path: str
):
    reader, writer = await asyncio.open_connection("127.0.0.1", http_server_port[-1])
    body = b"x" * 5_000_000
    head = f"POST {jp_base_url}ragent/api/v1/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    try:
        writer.write(head.encode())
        await writer.drain()
        await asyncio.sleep(0.05)  # a server that refuses before it has read would have hung up by now
        writer.write(body)
        await writer.drain()
        assert b" 403 " in await asyncio.wait_for(reader.readline(), 10)
    finally:
        writer.close()
    assert fakes.started == 0


def test_jupyters_own_check_finds_no_open_endpoint_of_ours(jp_configurable_serverapp: Any, fakes: Fakes):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        jp_configurable_serverapp()
    texts = [str(w.message) for w in caught if "Auth" in w.category.__name__]
    assert not [text for text in texts if "ragent" in text]


async def test_a_cookie_without_the_xsrf_token_may_look_but_not_touch(
    jp_serverapp: Any, jp_base_url: str, http_server_client: Any, project: Path
):
    login = await http_server_client.fetch(
        f"{jp_base_url}ragent?token={jp_serverapp.identity_provider.token}", follow_redirects=False
    )
    cookies = [value.split(";")[0] for value in login.headers.get_list("Set-Cookie")]
    xsrf = next(c.split("=", 1)[1] for c in cookies if c.startswith("_xsrf="))
    own = {"Cookie": "; ".join(cookies)}
    url = f"{jp_base_url}ragent/api/v1/echo"
    assert (await http_server_client.fetch(url, headers=own)).code == 200
    with pytest.raises(HTTPClientError) as refused:
        await http_server_client.fetch(url, method="POST", body="{}", headers=own)
    assert refused.value.code == 403
    assert "_xsrf" in json.loads(refused.value.response.body)["error"]["problem"]
    reply = await http_server_client.fetch(url, method="POST", body="{}", headers=own | {"X-XSRFToken": xsrf})
    assert reply.code == 200


class Gate(Authorizer):
    """Lets through what a test has named, and remembers what was asked."""

    asked: list[tuple[str, str]] = []
    open: set[str] = set()

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        Gate.asked.append((action, resource))
        return resource != "ragent" or action in Gate.open


@pytest.fixture
def jp_server_config(fakes: Fakes) -> dict[str, Any]:
    Gate.asked, Gate.open = [], {"read", "write", "execute"}
    return {
        "ServerApp": {
            "jpserver_extensions": {"ragent_jupyter": True},
            "allow_unauthenticated_access": False,
            "reraise_server_extension_failures": True,
            "authorizer_class": Gate,
        }
    }


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("GET", "runs", "read"), ("POST", "echo", "write"), ("PATCH", "echo", "write"), ("PUT", "echo", "write"),
        ("DELETE", "echo", "write"), ("POST", "runs", "execute"), ("POST", "runs/run_1/start", "execute"),
        ("POST", "runs/run_1/retry", "execute"), ("POST", "sweeps", "execute"), ("POST", "sweeps/s/start", "execute"),
        ("POST", "alerts/alt_1/respond", "execute"), ("POST", "runs/run_1/stop", "write"), ("GET", "project", "read"),
        ("PUT", "project", "execute"),
    ],
)  # fmt: skip
async def test_the_authorizer_is_asked_for_the_right_action(
    jp_fetch: Any, project: Path, method: str, path: str, action: str
):
    body = "{}" if method in ("POST", "PUT", "PATCH") else None
    Gate.open = {"read", "write", "execute"} - {action}
    with pytest.raises(HTTPClientError) as refused:
        await jp_fetch("ragent", "api", "v1", *path.split("/"), method=method, body=body)
    assert refused.value.code == 403
    assert json.loads(refused.value.response.body)["error"]["remedy"]
    assert [asked for asked in Gate.asked if asked[1] == "ragent"] == [(action, "ragent")]


async def test_the_authorizer_guards_the_event_socket_and_the_pages(jp_ws_fetch: Any, jp_fetch: Any, project: Path):
    Gate.open = set()
    with pytest.raises(HTTPClientError) as refused:
        await jp_ws_fetch("ragent", "api", "v1", "events", "ws")
    assert refused.value.code == 403
    for page in (("ragent",), ("ragent", "docs"), ("ragent", "static", "page.js")):
        with pytest.raises(HTTPClientError) as refused:
            await jp_fetch(*page)
        assert refused.value.code == 403
