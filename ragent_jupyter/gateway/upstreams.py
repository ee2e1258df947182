"""The table of providers: where each is, which wire it speaks, which key it takes; and the choice among them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from ragent_jupyter.domain.errors import BadInput
from ragent_jupyter.rules.prices import Price

from .limits import Refused

Format = Literal["anthropic", "openai"]
HeaderStyle = Literal["x-api-key", "bearer", "both", "same"]
FILE = "upstreams.json"


class Upstream(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider.

    base_url: for anthropic what comes before /v1, for openai what comes before /chat/completions.
    keys: names of keys, the first that is set is used; [] none is sent.
    header: how the key is sent; "same": the way in which the client sent its token.
    free: its calls cost nothing.  prices: of its models, US dollars per million tokens, before any other price.
    """

    format: Format
    base_url: Annotated[str, Meta(pattern=r"^https?://[^\s?#]+$")]
    keys: list[str] = []
    header: HeaderStyle = "bearer"
    free: bool = False
    prices: dict[str, Price] = {}


DEFAULTS: dict[str, Upstream] = {
    "anthropic": Upstream(
        format="anthropic", base_url="https://api.anthropic.com", keys=["ANTHROPIC_API_KEY"], header="same"
    ),
    "openai": Upstream(format="openai", base_url="https://api.openai.com/v1", keys=["OPENAI_API_KEY"]),
    "deepinfra": Upstream(format="openai", base_url="https://api.deepinfra.com/v1/openai", keys=["DEEPINFRA_TOKEN"]),
}
_BASES = {"anthropic": "ANTHROPIC_BASE_URL", "openai": "OPENAI_BASE_URL"}


def table(env: Mapping[str, str], own: Mapping[str, Upstream] | None = None) -> dict[str, Upstream]:
    """The defaults, moved by ANTHROPIC_BASE_URL and OPENAI_BASE_URL, then what a project has of its own.

    At an address of somebody's choice a server may be another gateway: RESEARCH_AGENT_KEY opens it, and servers that
    know only one of the two headers are common, so both are sent.
    """
    found = dict(DEFAULTS)
    for name, variable in _BASES.items():
        base = env.get(variable, "").strip().rstrip("/")
        if base and base != DEFAULTS[name].base_url:
            both: HeaderStyle = "both" if name == "anthropic" else "bearer"
            keys = [*DEFAULTS[name].keys, "RESEARCH_AGENT_KEY"]
            found[name] = replace(DEFAULTS[name], base_url=base, keys=keys, header=both)
    return found | dict(own or {})


def read(path: Path) -> dict[str, Upstream]:
    """The upstreams in a file; {} where there is none. Raises BadInput with the place of the mistake."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.", "Make it readable, or remove it.") from error
    try:
        found = msgspec.json.decode(data, type=dict[str, Upstream])
    except msgspec.DecodeError as error:
        raise BadInput(f"{path}: {error}", 'Write {"NAME": {"format": "openai", "base_url": "http://…"}}.') from error
    for name in found:
        if not name.replace("-", "").replace("_", "").isalnum() or name in ("v1", "messages", "models", "chat"):
            raise BadInput(f"{path}: {name!r} cannot be the name of an upstream.", "Take letters, digits, - and _.")
    return found


def url(upstream: Upstream, path: str) -> str:
    """The address of one of the wire's paths.

    >>> url(DEFAULTS["anthropic"], "messages"), url(DEFAULTS["openai"], "models")
    ('https://api.anthropic.com/v1/messages', 'https://api.openai.com/v1/models')
    """
    base = upstream.base_url.rstrip("/")
    if upstream.format == "anthropic":
        base = base.removesuffix("/v1") + "/v1"
    return f"{base}/{path}"


def choose(upstreams: Mapping[str, Upstream], named: str, format_: Format, model: str) -> tuple[str, Upstream, str]:
    """(name, upstream, the model as that upstream calls it).

    named: the upstream in the path, "" none. Then a prefix of the model decides (`deepinfra/meta-llama/…`), else the
    wire's own provider. Raises Refused not_found, bad_request.
    """
    if named and named != format_:  # gateway/openai/v1 names the wire as well as the provider
        upstream = upstreams.get(named)
        if upstream is None:
            raise Refused("not_found", f"No upstream {named[:80]!r} here. There are: {', '.join(sorted(upstreams))}.")
        if upstream.format != format_:
            path = "v1/messages" if upstream.format == "anthropic" else "v1/chat/completions"
            raise Refused("bad_request", f"{named} speaks {upstream.format}'s wire: ask {named}/{path}.")
        return named, upstream, model
    prefix, slash, rest = model.partition("/")
    other = upstreams.get(prefix) if slash and rest else None
    # A router at the wire's own place has models called openai/…: only the true provider knows no such prefix.
    if other is not None and other.format == format_ and (prefix != format_ or other == DEFAULTS.get(prefix)):
        return prefix, other, rest
    return format_, upstreams[format_], model


def at_home(name: str, upstream: Upstream) -> bool:
    """Whether this is a known provider's own address, which cannot be another gateway."""
    home = DEFAULTS.get(name)
    return home is not None and urlsplit(home.base_url).hostname == urlsplit(upstream.base_url).hostname
