"""One WebSocket per tab, passed on in both directions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from tests.support.fake_wire import Fakes
from tests.unit.server.aio import until

WS = ("ragent", "api", "v1", "events", "ws")
Seen = Callable[[], list[dict[str, Any]]]


async def read(socket: Any) -> Any:
    return await asyncio.wait_for(socket.read_message(), 10)


async def test_frames_go_both_ways_with_the_user_and_without_cookies(jp_ws_fetch: Any, project: Path):
    tab = await jp_ws_fetch(*WS)
    await tab.write_message('{"after": 7}')
    assert json.loads(await read(tab))["type"] == "hello"
    said = json.loads(await read(tab))
    assert said["you_said"] == '{"after": 7}'
    assert said["user"] not in (None, "", "anonymous")
    assert said["cookie"] is None
    tab.close()


async def test_what_the_tab_says_while_the_engine_starts_is_not_lost(
    jp_ws_fetch: Any, project: Path, monkeypatch: pytest.MonkeyPatch
):
    import threading

    go, fakes = threading.Event(), Fakes()

    def slow(project: Path) -> None:
        assert go.wait(20)
        fakes.ensure(project)

    monkeypatch.setattr("ragent_jupyter.client.ensure_engine", slow)
    tab = await jp_ws_fetch(*WS)
    await tab.write_message("early")
    go.set()
    try:
        await read(tab)
        assert json.loads(await read(tab))["you_said"] == "early"
    finally:
        tab.close()
        fakes.kill()


async def test_a_closed_tab_closes_the_engines_end(jp_ws_fetch: Any, project: Path, seen: Seen):
    tab = await jp_ws_fetch(*WS)
    await tab.write_message("x")
    await read(tab)
    tab.close()
    await until(lambda: {"ws": "closed"} in seen())


async def test_the_engines_own_close_reaches_the_tab_with_its_code(jp_ws_fetch: Any, project: Path):
    tab = await jp_ws_fetch(*WS)
    await tab.write_message("close")
    assert await read(tab) is None
    assert (tab.close_code, tab.close_reason) == (4001, "enough")


async def test_an_engine_that_dies_closes_the_tab_with_1012_and_the_next_tab_has_a_new_engine(
    jp_ws_fetch: Any, project: Path, fakes: Fakes
):
    tab = await jp_ws_fetch(*WS)
    await tab.write_message("die")
    assert await read(tab) is None
    assert tab.close_code == 1012
    again = await jp_ws_fetch(*WS)
    await again.write_message("x")
    assert json.loads(await read(again))["type"] == "hello"
    assert fakes.started == 2
    again.close()


async def test_an_engine_that_cannot_start_closes_with_the_problem_in_words(
    jp_ws_fetch: Any, project: Path, monkeypatch: pytest.MonkeyPatch
):
    from ragent_jupyter.domain.errors import CannotBeDone

    def fails(project: Path) -> None:
        raise CannotBeDone("The folder cannot be written. " + "é" * 200, "chmod")

    monkeypatch.setattr("ragent_jupyter.client.ensure_engine", fails)
    tab = await jp_ws_fetch(*WS)
    assert await read(tab) is None
    assert tab.close_code == 1013
    assert tab.close_reason.startswith("The folder cannot be written.")


async def test_a_page_of_another_origin_is_not_let_in_with_the_users_cookie(
    jp_serverapp: Any, jp_http_port: int, jp_base_url: str, http_server_client: Any, project: Path
):
    token = jp_serverapp.identity_provider.token
    login = await http_server_client.fetch(f"{jp_base_url}ragent?token={token}", follow_redirects=False)
    cookie = "; ".join(value.split(";")[0] for value in login.headers.get_list("Set-Cookie"))
    url = f"ws://127.0.0.1:{jp_http_port}{jp_base_url}ragent/api/v1/events/ws"
    own = await websocket_connect(
        HTTPRequest(url, headers={"Cookie": cookie, "Origin": f"http://127.0.0.1:{jp_http_port}"})
    )
    own.close()
    with pytest.raises(HTTPClientError) as refused:
        await websocket_connect(HTTPRequest(url, headers={"Cookie": cookie, "Origin": "https://evil.example"}))
    assert refused.value.code == 403


async def test_a_server_that_stops_says_so_to_its_tabs(jp_ws_fetch: Any, jp_serverapp: Any, project: Path):
    tab = await jp_ws_fetch(*WS)
    await tab.write_message("x")
    await read(tab)
    await read(tab)
    await jp_serverapp.extension_manager.extension_points["ragent_jupyter"].app.stop_extension()
    assert await read(tab) is None
    assert tab.close_code == 1012
