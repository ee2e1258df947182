"""The gateway in the engine: machine doors under ragent/gateway/, and the people's side among the API's routes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ragent_jupyter.domain.ports import Store
from ragent_jupyter.domain.ports_mind import Keys
from ragent_jupyter.gateway import admin, calls, hands, tokens
from ragent_jupyter.gateway.core import Gateway
from ragent_jupyter.gateway.handlers import GatewayHandler
from ragent_jupyter.gateway.upstreams import FILE
from ragent_jupyter.runfiles.project import ragent_dir
from ragent_jupyter.services.models import ModelsDesk

from .base import EngineHandler


def make_gateway(
    project: Path,
    store: Store,
    draining: Callable[[], bool],
    touch: Callable[[], None],
    keys: Keys | None = None,
    models: ModelsDesk | None = None,
) -> Gateway:
    """touch: called for each call of a good token, so that an engine in use does not go idle.

    keys, models: the engine's own, whose prices and whose limit of the day hold here too; default: as a gateway alone
    has them.
    """
    holder = keys or hands.keys()
    gateway = Gateway(
        store, holder, table=ragent_dir(project) / FILE, price=hands.price(models.price_for if models else None),
        redact=hands.redaction(holder), draining=draining, touch=touch,
    )  # fmt: skip
    if models is not None:
        gateway.over = models.over_budget
        gateway.seen = lambda call: models.seen(call.role, call.usage, call.model, call.at)
    return gateway


def machine_routes(gateway: Gateway) -> list[Any]:
    """Without the API's prefix, errors and drain rule: these speak the providers' wires."""
    return [(r"/ragent/gateway/.*", GatewayHandler, {"gateway": gateway})]


class Tokens(EngineHandler):
    async def get(self) -> None:
        self.reply(200, await admin.list_tokens(self.engine.gateway))

    async def post(self) -> None:
        wish = self.body(tokens.CreateToken)
        by = self.request.headers.get("X-Ragent-User", "")
        self.reply(201, await admin.create_token(self.engine.gateway, wish, by=by))


class OneToken(EngineHandler):
    async def delete(self, id_or_name: str) -> None:
        self.reply(200, await admin.revoke_token(self.engine.gateway, id_or_name))


class GatewayUsage(EngineHandler):
    async def get(self) -> None:
        self.reply(200, await self.engine.gateway.usage(admin.days_of(self.arg("days"))))


ROUTES: list[tuple[str, Any]] = [
    (r"gateway/tokens", Tokens),
    (r"gateway/tokens/([^/]+)", OneToken),
    (r"gateway/usage", GatewayUsage),
]

ROWS: list[tuple[str, str, str, Any, int, Any]] = [
    ("get", "gateway/tokens", "Tokens of the gateway, without what could be used.", None, 200, admin.TokensReply),
    ("post", "gateway/tokens", "Make one; shown this once.", tokens.CreateToken, 201, admin.CreatedToken),
    ("delete", "gateway/tokens/{token}", "Revoke one, by id or name.", None, 200, tokens.TokenView),
    ("get", "gateway/usage", "Calls of the last ?days=, by day, token and model.", None, 200, calls.GatewayUsage),
]
