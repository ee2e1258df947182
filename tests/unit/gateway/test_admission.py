"""Who gets in, how often, for how much, and to whom: tokens over the wire."""

from __future__ import annotations

import http.client
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ragent_jupyter.gateway import tokens
from ragent_jupyter.gateway.tokens import KIND
from tests.support.fake_provider import FakeProvider
from tests.support.wait import wait_until
from tests.unit.gateway.raw_provider import RawProvider
from tests.unit.gateway.running import KEY, HeldKeys, RunningGateway, hello


class Clock:
    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(tmp_path: Path, provider: FakeProvider, clock: Clock) -> Any:
    with RunningGateway(tmp_path, provider, clock=clock) as running:
        yield running


def status(gateway: RunningGateway, token: str, path: str = "/v1/messages", **more: Any) -> int:
    return gateway.ask(path, hello(**more), token).status


def test_unknown_expired_and_revoked_tokens_are_401(timed: RunningGateway, clock: Clock) -> None:
    token = timed.token(name="ann", lifetime=60.0)
    assert status(timed, token) == 200
    assert status(timed, token[:-1]) == status(timed, "") == status(timed, KEY) == 401
    clock.now += 60
    reply = timed.ask("/v1/messages", hello(), token)
    assert reply.status == 401 and "expired" in reply.json["error"]["message"]
    other = timed.token(name="bea", lifetime=None)
    clock.now += 10 * 365 * 86400
    assert status(timed, other) == 200
    timed.inside(timed.gateway.revoke("bea"))
    reply = timed.ask("/v1/messages", hello(), other)
    assert reply.status == 401 and "revoked" in reply.json["error"]["message"]
    assert reply.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": "TOKEN"}, {"Authorization": "Bearer TOKEN"}, {"authorization": "bearer  TOKEN"},
        {"Authorization": "Bearer of-a-hub", "X-API-Key": "TOKEN"},
        {"Authorization": "token jupyters", "x-api-key": "TOKEN"},
    ],
)  # fmt: skip
def test_every_way_to_send_a_token(gateway: RunningGateway, provider: FakeProvider, headers: dict[str, str]) -> None:
    token = gateway.token()
    sent = {name: value.replace("TOKEN", token) for name, value in headers.items()}
    assert gateway.ask("/v1/messages?beta=true&token=jupyters", hello(), headers=sent).status == 200
    seen = provider.seen[0]
    assert seen.key == KEY and seen.query == "beta=true"
    assert "hub" not in str(seen.headers) and "jupyters" not in str(seen.headers) and token not in str(seen.headers)


@pytest.mark.parametrize("cookie", ["a=b; _xsrf=1", ""])
def test_a_cookie_is_no_token_and_does_not_go_on(gateway: RunningGateway, provider: FakeProvider, cookie: str) -> None:
    assert gateway.ask("/v1/messages", hello(), headers={"Cookie": f"token={gateway.token()}"}).status == 401
    more = {"Cookie": cookie, "X-Forwarded-For": "10.0.0.1", "anthropic-beta": "one,two", "X-Stainless-Lang": "python"}
    assert gateway.ask("/v1/messages", hello(novel={"a": [1, None]}), gateway.token(), headers=more).status == 200
    seen = provider.seen[0]
    assert "cookie" not in seen.headers and "x-forwarded-for" not in seen.headers
    assert seen.headers["anthropic-beta"] == "one,two" and seen.headers["x-stainless-lang"] == "python"
    assert seen.body["novel"] == {"a": [1, None]}


def test_the_budget_of_a_day_is_over_when_it_is_spent_and_new_the_next_day(timed: RunningGateway, clock: Clock) -> None:
    token = timed.token(name="ann", budget_day=0.03)  # an answer costs 26 tokens, a tenth of a cent each
    assert [status(timed, token) for _ in range(3)] == [200, 200, 402]
    assert status(timed, token, "/v1/messages/count_tokens") == 402
    clock.now += 86400
    assert status(timed, token) == 200


def test_the_whole_budget_survives_a_restart(tmp_path: Path, provider: FakeProvider) -> None:
    gateway = RunningGateway(tmp_path, provider)
    with gateway:
        token = gateway.token(budget_total=0.05)
        assert [status(gateway, token) for _ in range(2)] == [200, 200]
    with gateway:
        assert status(gateway, token) == 402
        assert gateway.gateway.listed()[0].spent == pytest.approx(0.052)


def test_calls_that_are_cut_or_left_are_paid_for(gateway: RunningGateway, provider: FakeProvider) -> None:
    token = gateway.token(budget_total=1000.0)
    provider.fault("cut_tcp").reply(text="word " * 100, usage=None)
    with pytest.raises(http.client.IncompleteRead):
        gateway.ask("/v1/messages", hello(stream=True), token)
    assert status(gateway, token, stream=True) == 200  # whole, but it says nothing of its usage
    first, second = gateway.wait_calls(2)
    assert first.usage.cost and not first.usage.known
    assert second.usage.cost and not second.usage.known and second.usage.output >= 100


def test_many_at_once_do_not_all_see_the_same_purse(tmp_path: Path) -> None:
    """Each of ten calls puts aside what its text will cost; the purse holds three."""
    hold = threading.Event()
    provider = RawProvider(lambda connection, _: (hold.wait(10), connection.close())[1])
    text = "x" * 4000  # about a thousand tokens: a dollar
    with provider, RunningGateway(tmp_path, provider) as gateway:  # type: ignore[arg-type]
        token, said = gateway.token(budget_total=3.0), []

        def one() -> None:
            said.append(status(gateway, token, messages=[{"role": "user", "content": text}]))

        threads = [threading.Thread(target=one) for _ in range(10)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(said) >= 7, what="the refusals")
        wait_until(lambda: len(provider.requests) == 3, what="the three that were let in")
        assert set(said) == {402}
        hold.set()
        for thread in threads:
            thread.join(10)
    assert sorted(said) == [402] * 7 + [502] * 3


def test_a_budget_needs_a_price(gateway: RunningGateway, provider: FakeProvider) -> None:
    token = gateway.token(budget_total=5.0)
    reply = gateway.ask("/v1/messages", hello(model="mystery"), token)
    assert reply.status == 402 and "No price is known" in reply.json["error"]["message"]
    assert status(gateway, gateway.token(), model="mystery") == 200
    (gateway.folder / "upstreams.json").write_text(
        json.dumps({"anthropic": {"format": "anthropic", "base_url": provider.url, "keys": ["ANTHROPIC_API_KEY"],
                                  "header": "x-api-key", "prices": {"mystery": {"input": 1, "output": 1}}}})
    )  # fmt: skip
    assert status(gateway, token, model="mystery") == 200
    assert [call.usage.cost for call in gateway.wait_calls(3)] == [0.0, None, pytest.approx(26e-6)]


def test_a_rate_limit_says_when(timed: RunningGateway) -> None:
    mono = [0.0]
    timed.gateway.mono = lambda: mono[0]
    token = timed.token(rate=2)
    assert [status(timed, token) for _ in range(3)] == [200, 200, 429]
    reply = timed.ask("/openai/v1/chat/completions", hello(), token)
    assert reply.status == 429 and reply.json["error"]["code"] == "rate_limit_exceeded"
    assert reply.headers["retry-after"] == "30"
    mono[0] += 30
    assert [status(timed, token) for _ in range(2)] == [200, 429]


def test_a_scope_holds_for_every_model_that_a_request_names(gateway: RunningGateway, provider: FakeProvider) -> None:
    token = gateway.token(models=["claude-haiku*"])
    assert status(gateway, token, model="claude-haiku-9") == 200
    reply = gateway.ask("/v1/messages", hello(model="claude-opus-9"), token)
    assert reply.status == 403 and reply.json["error"]["type"] == "permission_error"
    assert status(gateway, token, model="claude-haiku-9", models=["claude-opus-9"]) == 403
    twice = json.dumps(hello(model="claude-opus-9"))[:-1] + ', "model": "claude-haiku-9"}'
    assert gateway.ask("/v1/messages", twice.encode(), token).status == 200
    assert provider.seen[-1].raw.count(b'"model"') == 1 and provider.seen[-1].body["model"] == "claude-haiku-9"
    only = gateway.token(upstreams=["openai"])
    assert status(gateway, only) == 403
    assert status(gateway, only, "/openai/v1/chat/completions") == 200


def test_a_prefix_of_the_model_or_of_the_path_chooses_the_upstream(
    gateway: RunningGateway, provider: FakeProvider
) -> None:
    (gateway.folder / "upstreams.json").write_text(
        json.dumps({"local": {"format": "openai", "base_url": f"{provider.url}/v1", "keys": []}})
    )
    token = gateway.token()
    provider.key = ""
    for path, model, there, called in [
        ("/openai/v1/chat/completions", "gpt-1", "/openai/v1/chat/completions", "gpt-1"),
        ("/v1/chat/completions", "local/qwen/q", "/v1/chat/completions", "qwen/q"),
        ("/local/v1/chat/completions", "qwen/q", "/v1/chat/completions", "qwen/q"),
        ("/anthropic/v1/messages", "claude-1", "/v1/messages", "claude-1"),
    ]:
        assert gateway.ask(path, hello(model=model), token).status == 200
        assert (provider.seen[-1].path, provider.seen[-1].body["model"]) == (there, called)
    assert "authorization" not in gateway_seen(provider, "qwen/q").headers  # local takes no key
    assert gateway.ask("/local/v1/models", None, token).json["data"]
    assert gateway.ask("/local/v1/messages", hello(), token).status == 400


def gateway_seen(provider: FakeProvider, model: str) -> Any:
    return next(seen for seen in provider.seen if seen.body.get("model") == model)


def test_bytes_of_a_request_go_on_as_they_came(gateway: RunningGateway, provider: FakeProvider) -> None:
    odd = b'{ "model":"m",\n "messages" : [], "max_tokens":1e2, "u": "\\u00e9\xc3\xa9", "n": 1.10, "n": 2 }'
    assert gateway.ask("/v1/messages", odd, gateway.token()).status == 200
    assert provider.seen[0].raw == odd


def test_a_broken_table_leaves_the_last_one_in_force(gateway: RunningGateway) -> None:
    token = gateway.token()
    (gateway.folder / "upstreams.json").write_text('{"local": {"format": "telnet"}}')
    assert status(gateway, token) == 200
    assert "upstreams.json" in gateway.gateway.table_problem


def test_tokens_are_hashes_on_disk_and_listed_without_them(gateway: RunningGateway) -> None:
    text = gateway.token(name=" an\x1b[31mn\n ")
    data = gateway.store.load(KIND)[0]
    assert text.encode() not in data and tokens.digest(text).encode() in data
    listed = gateway.gateway.listed()[0]
    assert listed.name == "an [31mn" and text.endswith(listed.hint) and not hasattr(listed, "hash")


def test_refusals_of_a_known_token_are_logged_but_not_each_of_a_flood(gateway: RunningGateway) -> None:
    token = gateway.token(budget_total=0.0)
    assert {status(gateway, token) for _ in range(20)} == {402}
    refused = gateway.wait_calls(1, lambda call: call.outcome == "refused")
    assert 1 <= len(refused) <= 5 and refused[0].error == "over_budget"
    assert status(gateway, "rgt_nobody") == 401 and len(gateway.calls()) == len(refused)


def test_a_new_key_is_used_and_a_charge_after_a_revocation_does_not_undo_it(
    tmp_path: Path, provider: FakeProvider
) -> None:
    with RunningGateway(tmp_path, provider, keys=HeldKeys()) as gateway:
        token = gateway.token(name="ann")
        assert status(gateway, token) == 503
        gateway.settings["keys"].names.add("ANTHROPIC_API_KEY")
        gateway.gateway._known.clear()  # as five seconds do
        assert status(gateway, token) == 200
        book = gateway.gateway.book
        gateway.inside(gateway.gateway.revoke("ann"))
        book.charge(book.find(token).id, 1.0)  # type: ignore[union-attr]
        assert book.find(token).revoked_at  # type: ignore[union-attr]


def test_a_disk_that_refuses_delays_no_stream_and_the_calls_come_later(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ragent_jupyter.domain.errors import StoreFailed
    from ragent_jupyter.gateway import calls

    monkeypatch.setattr(calls, "_RETRY_S", 0.05)
    token = gateway.token()
    commit = gateway.store.commit

    refused = []

    def refuses(tx: Any) -> Any:
        refused.append(tx)
        raise StoreFailed("The disk is full.")

    monkeypatch.setattr(gateway.store, "commit", refuses)
    assert [status(gateway, token) for _ in range(3)] == [200, 200, 200]
    wait_until(lambda: len(refused) >= 3 and gateway.gateway.calls.waiting == 3)
    assert gateway.calls() == []
    monkeypatch.setattr(gateway.store, "commit", commit)
    assert len(gateway.wait_calls(3)) == 3


def test_the_day_of_a_charge_is_its_own() -> None:
    token = tokens.Token(id="tok_1", name="a", hash="h", hint="h", created_at=0.0)
    late = tokens.charged(tokens.charged(token, 1.0, 86_399.0), 2.0, 86_401.0)
    assert (late.spent, late.spent_day, late.day, late.calls) == (3.0, 2.0, "1970-01-02", 2)
    assert tokens.spent_today(late, 2 * 86_400.0) == 0.0
    assert tokens.charged(late, None, 86_402.0) == replace(late, calls=3, used_at=86_402.0)
