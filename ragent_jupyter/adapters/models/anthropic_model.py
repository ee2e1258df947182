"""Models behind Anthropic's wire: Anthropic itself, a ragent gateway, and every server that speaks it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from ragent_jupyter.domain.model import ModelEvent, ModelFailed, ModelInfo, ModelRequest

from . import anthropic_wire as wire
from .streaming import Client, events, http_client, timeout
from .wire import Endpoint, check

# What servers of other makes were written against; Anthropic's own gets the SDK's.
_OLD_VERSION = "2023-06-01"


class AnthropicModel:
    """One model at one endpoint.

    info.thinking, info.caching: whether those fields may be sent; true for api.anthropic.com's models, for others
    only where a probe passed. newest: send the SDK's `anthropic-version` (Anthropic, gateways), not the old one.
    """

    def __init__(self, info: ModelInfo, endpoint: Endpoint, *, newest: bool | None = None) -> None:
        check(endpoint)
        self.info = info
        self.endpoint = endpoint
        self.newest = endpoint.official if newest is None else newest
        self._client = Client(self._make)

    def _make(self) -> Any:
        import anthropic
        import httpx2

        headers: dict[str, str] = {}
        if not self.endpoint.official:
            headers["x-api-key"] = self.endpoint.key or "none"  # older servers read no Authorization
        if not self.newest:
            headers["anthropic-version"] = _OLD_VERSION
        return anthropic.AsyncAnthropic(
            auth_token=self.endpoint.key or "none",
            base_url=self.endpoint.base_url.rstrip("/").removesuffix("/v1"),
            max_retries=0,
            timeout=timeout(httpx2),
            default_headers=headers,
            open_telemetry=False,
            http_client=http_client(anthropic, httpx2, self.endpoint),
        )

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        if self.endpoint.official and not self.endpoint.key:
            raise ModelFailed(
                "missing", f"No key for {self.endpoint.name}.", "Set one: ragent keys set ANTHROPIC_API_KEY."
            )
        client = await self._client.get()
        import anthropic
        import httpx2

        # A gateway passes our fields on to Anthropic itself, so its rules hold there as well.
        body = wire.body(request, self.info, official=self.newest)
        call = client.messages.with_streaming_response.create(**body, stream=True)
        fold = wire.AnthropicFold(self.endpoint, self.info.id)
        async with aclosing(events(call, fold, self.endpoint, anthropic, httpx2)) as stream:
            async for event in stream:
                yield event
