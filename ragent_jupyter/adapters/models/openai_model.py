"""Models behind OpenAI's chat completions: OpenAI, DeepInfra, and servers that speak it. Needs the extra [openai]."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from ragent_jupyter.domain.model import ModelEvent, ModelFailed, ModelInfo, ModelRequest

from . import openai_wire as wire
from .streaming import Client, events, http_client, timeout
from .wire import Endpoint, check


class OpenAIModel:
    """One model at one endpoint. Its base URL ends as the endpoint's own documentation has it, mostly in /v1."""

    def __init__(self, info: ModelInfo, endpoint: Endpoint) -> None:
        check(endpoint)
        self.info = info
        self.endpoint = endpoint
        self._client = Client(self._make)

    def _make(self) -> Any:
        import httpx2
        import openai

        return openai.AsyncOpenAI(
            api_key=self.endpoint.key or "none",
            base_url=self.endpoint.base_url,
            max_retries=0,
            timeout=timeout(httpx2),
            http_client=http_client(openai, httpx2, self.endpoint),
        )

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        if importlib.util.find_spec("openai") is None:
            raise ModelFailed(
                "missing",
                f"Models of {self.endpoint.name} need the package openai, which is not installed.",
                "Install it: pip install 'ragent-jupyter[openai]'.",
            )
        if self.endpoint.key_name and not self.endpoint.key:
            remedy = f"Set one: ragent keys set {self.endpoint.key_name}."
            raise ModelFailed("missing", f"No key for {self.endpoint.name}.", remedy)
        client = await self._client.get()
        import httpx2
        import openai

        body = wire.body(request, self.info, self.endpoint.official)
        call = client.chat.completions.with_streaming_response.create(**body, stream=True)
        fold = wire.OpenAIFold(self.endpoint, self.info.id)
        async with aclosing(events(call, fold, self.endpoint, openai, httpx2)) as stream:
            async for event in stream:
                yield event
