"""Which model a role uses: what was set, else the environment's word, else a default for the keys that are there."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec import Struct

BUILTIN = "builtin:assistant"
# Which provider's defaults are used, if there are keys of several.
ORDER = ("gateway", "anthropic", "compatible", "openai", "deepinfra")
_CLAUDE = {
    "chat": "claude-sonnet-5-5",
    "wild": "claude-sonnet-5-5",
    "research.orchestrator": "claude-opus-5-5",
    "research.executor": "claude-sonnet-5-5",
    "judge": "claude-haiku-5-5",
}
_GPT = {role: "gpt-6-luna" if role in ("judge", "research.executor") else "gpt-6-sol" for role in _CLAUDE}
DEFAULTS: dict[str, dict[str, str]] = {
    "gateway": _CLAUDE,
    "anthropic": _CLAUDE,
    "compatible": _CLAUDE,
    "openai": _GPT,
    "deepinfra": dict.fromkeys(_CLAUDE, "openai/gpt-oss-120b"),
}
# The predecessor's names for MODEL_PROVIDER; what it calls opencode is another program, which has no place here.
_ALIASES = {"research-agent": "gateway", "my-openai": "openai", "my-deepinfra": "deepinfra", "claude": "anthropic"}


class Choice(Struct, frozen=True):
    """spec: "provider:id", "" where there is none.  why: "set", "environment", "default", "no key"."""

    spec: str
    why: str


def split(spec: str) -> tuple[str, str]:
    """(provider, id) of a spec; a bare id is Anthropic's or OpenAI's by its name. ("", spec) where neither fits.

    >>> split("openai:gpt-6-sol"), split("claude-opus-5-5"), split("scripted:/a:b.json"), split("llama")
    (('openai', 'gpt-6-sol'), ('anthropic', 'claude-opus-5-5'), ('scripted', '/a:b.json'), ('', 'llama'))
    """
    provider, colon, id = spec.partition(":")
    if colon and id:
        return provider, id
    if spec.startswith("claude"):
        return "anthropic", spec
    return ("openai", spec) if spec.startswith(("gpt-", "o1", "o3", "o4")) else ("", spec)


def choose(role: str, was_set: Mapping[str, str | None], env: Mapping[str, str], there: Collection[str]) -> Choice:
    """was_set: role → spec.  there: providers that can be asked (a key, or a server that needs none).

    >>> choose("chat", {}, {}, ["openai"])
    Choice(spec='openai:gpt-6-sol', why='default')
    >>> choose("chat", {}, {}, []).spec, choose("judge", {}, {}, []).spec
    ('builtin:assistant', '')
    """
    chosen = was_set.get(role)
    if chosen:
        return Choice(chosen, "set")
    provider = env.get("MODEL_PROVIDER", "").strip().lower()
    provider = _ALIASES.get(provider, provider)
    id = env.get("MODEL_ID", "").strip()
    if provider in ("scripted", "builtin") and id:
        return Choice(f"{provider}:{id}", "environment")
    if provider in there and id:
        return Choice(f"{provider}:{id}", "environment")
    if id and not provider:
        named, bare = split(id)
        first = named if named in there else next((p for p in ORDER if p in there), "")
        if first and (not named or named in there or named == "anthropic"):
            return Choice(f"{first}:{bare}", "environment")
    for one in (provider, *ORDER):
        if one in there and one in DEFAULTS:
            return Choice(f"{one}:{DEFAULTS[one][role]}", "environment" if one == provider else "default")
    return Choice(BUILTIN if role == "chat" else "", "no key")
