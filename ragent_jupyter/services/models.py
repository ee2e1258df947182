"""The desk of models: which one a role uses, what its calls cost, when today's money is spent."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.errors import BadInput
from ragent_jupyter.domain.ids import make_id
from ragent_jupyter.domain.model import ROLES, Model, ModelFailed, ModelInfo, Usage
from ragent_jupyter.domain.ports import RowPut, Tx
from ragent_jupyter.domain.ports_mind import Keys, KeyState
from ragent_jupyter.domain.wire_chat import (
    KeysReply,
    ModelsReply,
    Probe,
    PutKey,
    PutModels,
    RoleModel,
    UsageLine,
    UsageReply,
)
from ragent_jupyter.rules.model_choice import BUILTIN, Choice, choose, split
from ragent_jupyter.rules.prices import FREE, Price, cost, over_limit, price_of, prices_from, total

from .shell import Change, Shell

PREF = "models"  # {"roles": {role: spec}, "prices": {model: {…}}, "probes": {spec: Probe}}
LIMIT_PREF = "budget_day_usd"
_DAYS_KEPT = 366


class Maker(Protocol):
    """What this desk asks of adapters/models/endpoints.py."""

    env: Mapping[str, str]

    def there(self) -> list[str]: ...
    def prices(self) -> dict[str, Any]: ...
    def known(self) -> list[ModelInfo]: ...
    def resolve(self, provider: str) -> str: ...
    def make(self, provider: str, id: str, tried: Probe | None = None) -> Model: ...
    def key(self, provider: str) -> tuple[str, str]: ...
    def info(self, provider: str, id: str, tried: Probe | None = None) -> ModelInfo: ...
    def probe(self, provider: str, id: str) -> Awaitable[Probe]: ...


class CallRow(Struct, frozen=True, kw_only=True):
    """One paid call as it is kept: kind "call", parent = its UTC day. The gateway keeps its own beside them, with more
    fields, and without those that have nothing to say: what asked for a list names no model."""

    id: str
    at: float
    role: str
    model: str = ""
    who: str = ""
    usage: Usage = Usage()
    outcome: str = "ok"


class ModelsDesk:
    """make: keys → Maker; the joining place brings it, as a desk knows no adapter."""

    def __init__(self, shell: Shell, keys: Keys, make: Callable[[Keys], Maker]) -> None:
        self.shell = shell
        self.keys = keys
        self.maker = make(keys)
        self._made: dict[str, tuple[object, Model]] = {}
        self._table = prices_from(self.maker.prices())
        self._today: tuple[str, dict[tuple[str, str], Usage]] = ("", {})
        self._past: dict[str, dict[tuple[str, str], Usage]] = {}

    # --- which --------------------------------------------------------------------------------------------------------
    @property
    def _pref(self) -> dict[str, Any]:
        held = self.shell.prefs.get(PREF)
        return held if isinstance(held, dict) else {}

    def _part(self, name: str) -> dict[str, Any]:
        held = self._pref.get(name)
        return held if isinstance(held, dict) else {}

    def choice(self, role: str) -> Choice:
        """Raises BadInput for a role that is none."""
        if role not in ROLES:
            raise BadInput(f"There is no role {role!r}.", f"Choose one of: {', '.join(ROLES)}.")
        return choose(role, self._part("roles"), self.maker.env, self.maker.there())

    def model_for(self, role: str, override: str = "") -> Model:
        """The model of a role, or the one that `override` names. Raises ModelFailed "missing", "not_found"."""
        spec = override or self.choice(role).spec
        if not spec:
            raise ModelFailed(
                "missing",
                f"No model is set for {role}, and there is no key for a default one.",
                "Set a key (ragent keys set ANTHROPIC_API_KEY), or name a model for this role.",
            )
        return self.model(spec)

    def model(self, spec: str) -> Model:
        """By its spec; made once for each address, credential and probe."""
        provider, id = split(spec)
        tried = self.tried(spec)
        stamp = (self.maker.key(provider), tried)
        held = self._made.get(spec)
        if held is None or held[0] != stamp:
            held = self._made[spec] = (stamp, self.maker.make(provider, id, tried))
        return held[1]

    def info(self, spec: str) -> ModelInfo:
        """What is known of a model, whether it can be asked now or not."""
        provider, id = split(spec)
        try:
            found = self.model(spec).info
        except ModelFailed:
            found = self.maker.info(self.maker.resolve(provider), id)
        return self._priced(found)

    def info_for(self, role: str, override: str = "") -> ModelInfo:
        """As `model_for`, but for showing: a model that cannot be asked now is shown all the same."""
        spec = override or self.choice(role).spec
        return self.info(spec) if spec else ModelInfo(id="", provider="", title="none")

    def _priced(self, info: ModelInfo) -> ModelInfo:
        price = price_of(info.id, self._own_prices())
        if price is None:
            return info
        return msgspec.structs.replace(
            info,
            price_input=price.input,
            price_output=price.output,
            price_cache_read=price.cache_read,
            price_cache_write=price.cache_write,
        )

    def reply(self) -> ModelsReply:
        roles: list[RoleModel] = []
        for role in ROLES:
            why, info, remedy = self.choice(role).why, self.info_for(role), ""
            try:
                self.model_for(role)
            except ModelFailed as failed:
                # What was set stays set, but nobody may read here that the role has it.
                info, remedy = ModelInfo(id="", provider="", title="none"), f"{failed.problem} {failed.remedy}"
                if failed.kind == "missing":
                    why = "no key"
            roles.append(RoleModel(role=role, model=info, why=why, remedy=remedy))  # type: ignore[arg-type]
        known = [self._priced(info) for info in self.maker.known()]
        named = {(info.provider, info.id) for info in known}
        for one in roles:  # a model that somebody named is one of those that can be chosen
            if one.model.id and (one.model.provider, one.model.id) not in named:
                named.add((one.model.provider, one.model.id))
                known.append(one.model)
        return ModelsReply(roles=roles, models=known)

    async def put(self, wanted: PutModels) -> ModelsReply:
        """Set roles and prices; null resets. Raises BadInput; changes nothing then."""
        roles, prices = dict(self._part("roles")), dict(self._part("prices"))
        for role, spec in wanted.roles.items():
            if role not in ROLES:
                raise BadInput(f"There is no role {role!r}.", f"Choose one of: {', '.join(ROLES)}.")
            if not spec:
                roles.pop(role, None)
                continue
            try:
                self.model(spec)
            except ModelFailed as error:
                raise BadInput(f"{role} cannot use {spec!r}: {error.problem}", error.remedy) from None
            roles[role] = spec
        for model, price in wanted.prices.items():
            if price is None:
                prices.pop(model, None)
            elif not prices_from({model: price}):
                raise BadInput(
                    f"The price of {model!r} is none.",
                    'Give US dollars per million tokens: {"input": 2, "output": 10, "cache_read": 0.2}.',
                )
            else:
                prices[model] = price
        await self._keep(roles=roles, prices=prices)
        return self.reply()

    async def _keep(self, **parts: Any) -> None:
        value = {**self._pref, **parts}
        await self.shell.commit([Change("prefs_changed", {"id": PREF, "value": value})])

    # --- keys ---------------------------------------------------------------------------------------------------------
    def keys_reply(self) -> KeysReply:
        return KeysReply(keys=self.keys.states())

    async def put_key(self, wanted: PutKey) -> KeyState:
        """Raises BadInput, CannotBeDone. Off the event loop: a keyring may take its time."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, self.keys.put, wanted.name, wanted.value)

    # --- trying -------------------------------------------------------------------------------------------------------
    def _spec_of(self, provider: str, id: str) -> str:
        return f"{self.maker.resolve(provider)}:{id}"

    def tried(self, spec: str) -> Probe | None:
        """What a probe found at the address that is set now."""
        provider, id = split(spec)
        held = self._part("probes").get(self._spec_of(provider, id))
        if not isinstance(held, dict) or held.get("at_url") != self.maker.key(provider)[0]:
            return None
        try:
            return msgspec.convert(held.get("probe"), Probe)
        except msgspec.ValidationError:
            return None

    async def test(self, spec: str = "") -> Probe:
        """Try a model (the chat's by default) and remember what it could do. A failure is an answer, too."""
        spec = spec or self.choice("chat").spec
        provider, id = split(spec)
        if provider == "builtin":
            return Probe(model=BUILTIN, ok=True, streams=True, tools=True, usage=True)
        try:
            found = await self.maker.probe(provider, id)
        except ModelFailed as error:
            return Probe(model=spec, ok=False, problem=error.problem, remedy=error.remedy)
        if found.streams:
            held = {"probe": msgspec.to_builtins(found), "at_url": self.maker.key(provider)[0]}
            await self._keep(probes={**self._part("probes"), self._spec_of(provider, id): held})
        return found

    # --- money --------------------------------------------------------------------------------------------------------
    def _own_prices(self) -> dict[str, Price]:
        return prices_from(self._part("prices"))

    def price_for(self, model: str) -> Price | None:
        found = price_of(model, self._own_prices(), self._table)
        if found is None and any(m.info.id == model and m.info.price_input == 0.0 for _, m in self._made.values()):
            return FREE  # a script, the built-in assistant, a server on this machine
        return found

    def price(self, model: str, usage: Usage) -> Usage:
        """The usage with its cost in US dollars; None where it is not known."""
        return msgspec.structs.replace(usage, cost=cost(usage, self.price_for(model)))

    async def spent(self, role: str, usage: Usage, model: str, who: str) -> None:
        """Keep a call's account. Raises StoreFailed; today's sum has it all the same."""
        if usage.cost is None:
            usage = self.price(model, usage)
        now = self.shell.clock.now()
        row = CallRow(
            id=make_id("cal", int(now * 1000), random.getrandbits(20)),
            at=now, role=role, model=model, who=who, usage=usage,
        )  # fmt: skip
        self.seen(role, usage, model, now)
        data = msgspec.json.encode(row)
        await self.shell.store.commit(
            Tx(puts=[RowPut(kind="call", id=row.id, data=data, parent=_day(now), status=role, sort=now)])
        )

    def seen(self, role: str, usage: Usage, model: str, at: float) -> None:
        """Count a call in today's sums; whoever calls keeps its account. at: when it began."""
        sums = self._of_today()
        if _day(at) != self._today[0]:
            self._past.pop(_day(at), None)  # it is yesterday's, and that was not over yet
        elif model:
            key = (role, model)
            sums[key] = total([sums[key], usage]) if key in sums else usage

    def _of_today(self) -> dict[tuple[str, str], Usage]:
        day = _day(self.shell.clock.now())
        if self._today[0] != day:
            self._today = (day, self._read(day))
        return self._today[1]

    def _read(self, day: str) -> dict[tuple[str, str], Usage]:
        by: dict[tuple[str, str], list[Usage]] = {}
        for data in self.shell.store.load("call", parent=day):
            row = msgspec.json.decode(data, type=CallRow)
            if row.model and row.outcome != "refused":
                by.setdefault((row.role, row.model), []).append(row.usage)
        return {key: total(usages) for key, usages in by.items()}

    def _of(self, day: str) -> dict[tuple[str, str], Usage]:
        if day == _day(self.shell.clock.now()):
            return self._of_today()
        if day not in self._past:  # a day that is over does not change
            self._past[day] = self._read(day)
        return self._past[day]

    @property
    def limit_day(self) -> float | None:
        """US dollars; None: no limit. A limit of 0 lets nothing paid through."""
        held = self.shell.prefs.get(LIMIT_PREF)
        if isinstance(held, bool) or not isinstance(held, (int, float, str)):
            return None
        try:
            limit = float(held)
        except ValueError:
            return None
        return limit if limit >= 0 else None

    def over_budget(self) -> str:
        """A sentence why no paid call may begin now, "" if one may."""
        limit = self.limit_day
        if limit is None:
            return ""
        sums = self._of_today()
        unpriced = [model for (_, model), usage in sums.items() if self._unpriced(model, usage)]
        return over_limit(limit, total(sums.values()).cost or 0.0, unpriced)

    def _unpriced(self, model: str, usage: Usage) -> bool:
        return usage.cost is None and self.price_for(model) is None

    def usage(self, days: int = 30) -> UsageReply:
        """By day, role and model, the newest day first."""
        now = datetime.fromtimestamp(self.shell.clock.now(), timezone.utc)
        wanted = max(1, min(days, _DAYS_KEPT))
        names = [(now - timedelta(days=i)).strftime("%Y-%m-%d") for i in range(max(wanted, now.day))]
        lines = [
            UsageLine(day=day, role=role, model=model, usage=usage)
            for day in names[:wanted]
            for (role, model), usage in sorted(self._of(day).items())
        ]
        month = [usage for day in names[: now.day] for usage in self._of(day).values()]
        return UsageReply(
            lines=lines, today=total(self._of(names[0]).values()), month=total(month), limit_day=self.limit_day
        )


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d")
