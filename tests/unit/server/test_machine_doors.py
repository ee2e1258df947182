"""The doors that Jupyter's authentication does not guard: exactly these, and what they do for nobody is nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError
from tornado.web import Application

from ragent_jupyter.gateway import wire
from ragent_jupyter.server import gateway
from tests.support.fake_wire import Fakes
from tests.unit.server.test_doors import VERBS, our_routes

ASK = b'{"model": "m", "messages": []}'


def test_only_the_gateway_is_open_without_authentication(jp_web_app: Application, jp_base_url: str) -> None:
    found = set()
    for pattern, handler in our_routes(jp_web_app):
        for verb in VERBS:
            # False is what ws_authenticated says of itself.
            if getattr(getattr(handler, verb.lower()), "__allow_unauthenticated", False):
                found.add((pattern, verb, handler.__name__))
    pattern = f"{jp_base_url}ragent/gateway/.*$"
    assert found == {(pattern, "GET", "GatewayDoor"), (pattern, "POST", "GatewayDoor")}


def test_no_code_of_ours_opens_a_door_in_another_way() -> None:
    from pathlib import Path

    import ragent_jupyter

    root = Path(ragent_jupyter.__file__).parent
    users = {p.relative_to(root).as_posix() for p in root.rglob("*.py") if "allow_unauthenticated" in p.read_text()}
    assert users == {"server/gateway.py"}


@pytest.mark.parametrize("credential", [{}, {"x-api-key": "sk-1"}, {"Authorization": "Bearer sk-1"}])
@pytest.mark.parametrize("path", ["v1/messages", "openai/v1/chat/completions", "v1/models", "anything/../else"])
async def test_without_a_gateway_token_nothing_is_asked_and_no_engine_wakes(
    jp_base_url: str, jp_serverapp: Any, http_server_client: Any, project: Any, fakes: Fakes, path: str, credential: Any
) -> None:
    url = f"{jp_base_url}ragent/gateway/{path}"
    for method, body in (("POST", ASK), ("GET", None)):
        with pytest.raises(HTTPClientError) as refused:
            await http_server_client.fetch(url, method=method, body=body, headers=credential)
        assert refused.value.code == 401
        error = json.loads(refused.value.response.body)["error"]
        assert error.get("code") == "invalid_api_key" if "openai" in path else error["type"] == "authentication_error"
    assert fakes.started == 0


async def test_what_opens_jupyter_does_not_open_the_gateway(
    jp_fetch: Any, jp_serverapp: Any, jp_base_url: str, http_server_client: Any, project: Any, fakes: Fakes
) -> None:
    with pytest.raises(HTTPClientError) as refused:  # jp_fetch sends Jupyter's own token
        await jp_fetch("ragent", "gateway", "v1", "messages", method="POST", body=ASK)
    assert refused.value.code == 401
    login = await http_server_client.fetch(
        f"{jp_base_url}ragent?token={jp_serverapp.identity_provider.token}", follow_redirects=False
    )
    cookies = "; ".join(value.split(";")[0] for value in login.headers.get_list("Set-Cookie"))
    with pytest.raises(HTTPClientError) as refused:
        await jp_fetch("ragent", "gateway", "v1", "messages", method="POST", body=ASK, headers={"Cookie": cookies})
    assert refused.value.code == 401
    assert fakes.started == 0


@pytest.mark.parametrize("verb", ["PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
async def test_other_verbs_are_not_there(
    jp_base_url: str, jp_serverapp: Any, http_server_client: Any, fakes: Fakes, verb: str
) -> None:
    body = b"{}" if verb in ("PUT", "PATCH") else None
    own = {"x-api-key": "rgt_1"}
    with pytest.raises(HTTPClientError) as refused:
        await http_server_client.fetch(f"{jp_base_url}ragent/gateway/v1/messages", method=verb, body=body, headers=own)
    assert refused.value.code == 405
    assert fakes.started == 0


def test_both_doors_pass_the_same_headers() -> None:
    assert gateway.FORTH.pattern.startswith(wire._FORTH.pattern)
    assert gateway.BACK.pattern.startswith(wire._BACK.pattern)
    assert gateway.MAX_BODY == wire.MAX_BODY


@pytest.mark.parametrize(
    ("header", "passes"),
    [
        ("anthropic-beta", True), ("Anthropic-Version", True), ("x-stainless-lang", True), ("X-Session-Id", True),
        ("Cookie", False), ("X-XSRFToken", False), ("Authorization", False), ("x-api-key", False), ("Host", False),
        ("X-Forwarded-For", False), ("Connection", False), ("openai-organization", False), ("X-Ragent-User", False),
        ("X-JupyterHub-Token", False), ("anthropic-beta2-x\r\nEvil", False),
    ],
)  # fmt: skip
def test_which_headers_go_on(header: str, passes: bool) -> None:
    assert bool(gateway.FORTH.fullmatch(header)) == passes
    assert (header in dict(wire.forth([(header, "1")]))) == passes
