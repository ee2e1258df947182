"""Models by name: `provider:id` → where it is asked, with which key, and what is known of it.

anthropic   ANTHROPIC_API_KEY at api.anthropic.com
compatible  ANTHROPIC_BASE_URL: any server that speaks Anthropic's wire; with ANTHROPIC_API_KEY, or with none
gateway     RESEARCH_AGENT_KEY at RESEARCH_AGENT_URL (or at ANTHROPIC_BASE_URL, where there is no other key for it)
openai      OPENAI_API_KEY at OPENAI_BASE_URL or api.openai.com
deepinfra   DEEPINFRA_TOKEN at api.deepinfra.com
scripted    no key: a script by name or path
builtin     no key: the built-in assistant
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from ragent_jupyter.domain.model import Model, ModelFailed, ModelInfo
from ragent_jupyter.domain.ports_mind import Keys
from ragent_jupyter.domain.wire_chat import Probe

from .probe import probe
from .streaming import loopback
from .wire import Endpoint

ANTHROPIC = "https://api.anthropic.com"
OPENAI = "https://api.openai.com/v1"
DEEPINFRA = "https://api.deepinfra.com/v1/openai"
PROVIDERS = ("gateway", "anthropic", "compatible", "openai", "deepinfra", "scripted", "builtin")
_KEY_OF = {
    "anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY", "deepinfra": "DEEPINFRA_TOKEN",
    "gateway": "RESEARCH_AGENT_KEY",
}  # fmt: skip
# Names that a gateway passes on to a server of the other wire.
_OPENAI_NAMES = re.compile(r"^(gpt-|o\d|chatgpt)|/")


@lru_cache(maxsize=1)
def catalog() -> dict[str, dict[str, Any]]:
    """What is known of models by name; a price is US dollars per million tokens."""
    held: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "catalog.json").read_text())["models"]
    return held


def builtin(id: str) -> Model:
    from .builtin import BuiltinModel

    return BuiltinModel()


def scripted(id: str) -> Model:
    from .scripted import ScriptedModel

    return ScriptedModel.named(id)


class Endpoints:
    """makers: provider → (id → model), beside and before ours; for tests and for models of one's own."""

    def __init__(
        self,
        keys: Keys,
        env: Mapping[str, str] | None = None,
        makers: Mapping[str, Callable[[str], Model]] | None = None,
    ) -> None:
        self._keys = keys
        self.env = os.environ if env is None else env
        self._makers: dict[str, Callable[[str], Model]] = {"scripted": scripted, "builtin": builtin, **(makers or {})}

    # --- what is there ------------------------------------------------------------------------------------------------
    def there(self) -> list[str]:
        """Providers that can be asked."""
        return [provider for provider in PROVIDERS[:5] if self._endpoint(provider) is not None]

    def prices(self) -> dict[str, Any]:
        return {name: about["price"] for name, about in catalog().items() if "price" in about}

    def known(self) -> list[ModelInfo]:
        """Models that can be chosen now. Others can as well, by their names: no list of ours is complete."""
        there = self.there()
        found: list[ModelInfo] = []
        for name, about in catalog().items():
            provider = str(about["provider"])
            served = {"anthropic": ("gateway", "anthropic", "compatible")}.get(provider, (provider,))
            found += [self.info(p, name) for p in served if p in there]
        return [*found, *(make("assistant").info for p, make in self._makers.items() if p == "builtin")]

    # --- making -------------------------------------------------------------------------------------------------------
    def resolve(self, provider: str) -> str:
        """`anthropic` means whoever serves Anthropic's models here."""
        if provider != "anthropic":
            return provider
        return next((p for p in ("anthropic", "compatible", "gateway") if self._endpoint(p) is not None), provider)

    def make(self, provider: str, id: str, tried: Probe | None = None) -> Model:
        """Raises ModelFailed: "missing" where a key or a part is, "not_found" for a provider that is none."""
        if provider in self._makers:
            return self._makers[provider](id)
        if provider not in PROVIDERS:
            raise ModelFailed(
                "not_found",
                f"There is no provider {provider!r} of models." if provider else f"Whose model is {id!r}?",
                f"Say PROVIDER:MODEL, with one of: {', '.join(PROVIDERS)}.",
            )
        provider = self.resolve(provider)
        endpoint = self._endpoint(provider)
        if endpoint is None:
            raise self._missing(provider)
        info = self.info(provider, id, tried)
        if provider in ("openai", "deepinfra") or (provider == "gateway" and _OPENAI_NAMES.search(id)):
            from .openai_model import OpenAIModel

            if provider == "gateway":
                endpoint = msgspec.structs.replace(endpoint, base_url=f"{endpoint.base_url}/openai/v1")
            return OpenAIModel(info, endpoint)
        from .anthropic_model import AnthropicModel

        return AnthropicModel(info, endpoint, newest=provider in ("anthropic", "gateway"))

    def key(self, provider: str) -> tuple[str, str]:
        """(address, credential): a model that was made for others must be made anew."""
        endpoint = self._endpoint(self.resolve(provider))
        return (endpoint.base_url, endpoint.key) if endpoint is not None else ("", "")

    def info(self, provider: str, id: str, tried: Probe | None = None) -> ModelInfo:
        """What is known of a model, by our catalog and by what a probe found."""
        about = _about(id)
        price = about.get("price") or {}
        endpoint = self._endpoint(provider)
        local = endpoint is not None and provider == "compatible" and loopback(endpoint.base_url)
        if local:
            price = dict.fromkeys(("input", "output", "cache_read", "cache_write"), 0.0)
        # Others may refuse what they do not know: nothing beyond the plain wire unless a probe saw it work.
        trusted = provider in ("anthropic", "gateway")
        return ModelInfo(
            id=id,
            provider=provider,
            title=about.get("title", id),
            context=about.get("context", 32_768 if local else 128_000),
            max_output=about.get("max_output", 8192),
            price_input=price.get("input"),
            price_output=price.get("output"),
            price_cache_read=price.get("cache_read"),
            price_cache_write=price.get("cache_write"),
            tools=tried.tools if tried is not None and tried.streams else True,
            images=bool(about.get("images")),
            thinking=bool(about.get("thinking")) if trusted else bool(tried and tried.thinking),
            caching=bool(about.get("caching")) if trusted else bool(tried and tried.caching),
        )

    async def probe(self, provider: str, id: str) -> Probe:
        """Try a model. Raises ModelFailed only where there is none to try."""
        model = self.make(provider, id)
        endpoint = getattr(model, "endpoint", None)
        again: Callable[[ModelInfo], Model] | None = None
        if endpoint is not None and model.info.provider == "compatible":
            from .anthropic_model import AnthropicModel

            def remake(info: ModelInfo) -> Model:
                return AnthropicModel(info, endpoint)

            again = remake
        return await probe(model, again)

    # --- where --------------------------------------------------------------------------------------------------------
    def _var(self, name: str) -> str:
        return self.env.get(name, "").strip()

    def _anthropic_key(self) -> str:
        return self._keys.get("ANTHROPIC_API_KEY") or self._var("ANTHROPIC_AUTH_TOKEN")

    def _gateway_url(self) -> str:
        if not self._keys.get("RESEARCH_AGENT_KEY"):
            return ""
        return self._var("RESEARCH_AGENT_URL") or ("" if self._anthropic_key() else self._var("ANTHROPIC_BASE_URL"))

    def _endpoint(self, provider: str) -> Endpoint | None:
        """None where a key or an address is missing."""
        match provider:
            case "gateway":
                url, key = self._gateway_url(), self._keys.get("RESEARCH_AGENT_KEY") or ""
                name = "the ragent gateway"
            case "anthropic":
                url, key = self._own_anthropic_url() or ANTHROPIC, self._anthropic_key()
                name = "Anthropic"
                if not key or not _official(url):
                    return None
            case "compatible":
                url, key = self._own_anthropic_url(), self._anthropic_key()
                name = url
                if not url or _official(url):
                    return None
            case "openai":
                url, key, name = (
                    self._var("OPENAI_BASE_URL") or OPENAI,
                    self._keys.get("OPENAI_API_KEY") or "",
                    "OpenAI",
                )
                if not key and not loopback(url):
                    return None
            case "deepinfra":
                url, key, name = DEEPINFRA, self._keys.get("DEEPINFRA_TOKEN") or "", "DeepInfra"
                if not key:
                    return None
            case _:
                return None
        if not url:
            return None
        url = url.rstrip("/")
        if provider not in ("openai", "deepinfra"):
            url = url.removesuffix("/v1")
        return Endpoint(name=name, base_url=url, key=key, key_name=_KEY_OF.get(provider, "") if key else "")

    def _own_anthropic_url(self) -> str:
        url = self._var("ANTHROPIC_BASE_URL")
        return "" if url and url == self._gateway_url() else url

    def _missing(self, provider: str) -> ModelFailed:
        if provider == "gateway" and self._keys.get("RESEARCH_AGENT_KEY"):
            return ModelFailed(
                "missing",
                "There is a key for a ragent gateway, but no address.",
                "Set RESEARCH_AGENT_URL to its base URL.",
            )
        if provider == "compatible":
            return ModelFailed("missing", "No server of one's own is named.", "Set ANTHROPIC_BASE_URL to its base URL.")
        key = _KEY_OF[provider]
        return ModelFailed("missing", f"There is no {key}.", f"Set it: ragent keys set {key}")


def _about(id: str) -> dict[str, Any]:
    bare = re.sub(r"-\d{8}$", "", id)
    for name in (id, bare, bare.rsplit("/", 1)[-1]):
        if name in catalog():
            return catalog()[name]
    return {}


def _official(url: str) -> bool:
    return Endpoint(name="", base_url=url).official


def make_models(
    keys: Keys,
    env: Mapping[str, str] | None = None,
    makers: Mapping[str, Callable[[str], Model]] | None = None,
) -> Endpoints:
    """What engine/mind.py hands to the desk of models."""
    return Endpoints(keys, env, makers)
