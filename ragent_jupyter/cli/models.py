"""`ragent models` and `ragent usage`: who thinks, whether it answers, and what it cost."""

from __future__ import annotations

import math

from ragent_jupyter.domain.errors import BadInput
from ragent_jupyter.domain.model import ROLES, ModelInfo, Usage
from ragent_jupyter.domain.wire_chat import Probe

from .chat_view import harmless
from .context import Context
from .output import DONE, FAILED, Out


def models(context: Context) -> int:
    args, out = context.args, context.out
    if args.test is not None:
        probe = context.client(create=True).test_model(args.test)
        out.document(probe)
        return show_probe(out, probe)
    wanted = _roles(args.set)
    client = context.client(create=True)
    reply = client.put_models(wanted) if wanted else client.models()
    out.document(reply)
    if out.json:
        return DONE
    rows = [[one.role, _id(one.model), one.model.title if one.model.id else "", one.why] for one in reply.roles]
    out.table(["ROLE", "MODEL", "", ""], [[harmless(cell) for cell in row] for row in rows])
    if all(one.why == "no key" for one in reply.roles):
        out.say("\nNo key is set: `ragent keys set ANTHROPIC_API_KEY`. Until then the built-in assistant answers.")
    else:
        for one in reply.roles:
            if one.remedy:
                out.say(f"\n{one.role} has no model. {harmless(one.remedy)}")
    if reply.models:
        out.say()
        rows = [[_id(model), model.title, _price(model), _can(model)] for model in reply.models]
        out.table(["KNOWN", "", "$ PER MILLION", "CAN"], [[harmless(cell) for cell in row] for row in rows])
    return DONE


def _roles(items: list[str]) -> dict[str, str | None]:
    """`chat=anthropic:claude-…`; nothing after the sign resets the role."""
    found: dict[str, str | None] = {}
    for item in items:
        role, sign, model = item.partition("=")
        if not sign or role not in ROLES:
            raise BadInput(f"--set {item!r} names no role.", f"Write ROLE=PROVIDER:MODEL; roles: {', '.join(ROLES)}.")
        found[role] = model.strip() or None
    return found


def _id(model: ModelInfo) -> str:
    if not model.id:
        return "none"
    return model.id if model.id.startswith(model.provider + ":") else f"{model.provider}:{model.id}"


def _price(model: ModelInfo) -> str:
    if model.price_input is None or model.price_output is None:
        return "unknown"
    return f"{model.price_input:g} in, {model.price_output:g} out"


def _can(model: ModelInfo) -> str:
    able = [("tools", model.tools), ("images", model.images), ("thinking", model.thinking), ("caching", model.caching)]
    return ", ".join(name for name, can in able if can)


def show_probe(out: Out, probe: Probe) -> int:
    """What an endpoint could do; 1 if it did not answer."""
    if not out.json:
        if probe.ok:
            able = [name for name in ("streams", "tools", "usage", "thinking", "caching") if getattr(probe, name)]
            took = f", first token after {probe.first_token_ms:.0f} ms" if probe.first_token_ms is not None else ""
            out.say(f"{out.paint('✓', '32')} {harmless(probe.model)} answers{took}: {', '.join(able) or 'text only'}")
        else:
            out.say(f"{out.paint('✗', '31')} {harmless(probe.model)}: {harmless(probe.problem)}")
            out.say(f"  {harmless(probe.remedy)}")
    return DONE if probe.ok else FAILED


def usage(context: Context) -> int:
    args, out = context.args, context.out
    if not 1 <= args.days <= 3650:
        raise BadInput(f"--days {args.days} is no number of days.", "Give 1 to 3650.")
    if args.limit is not None:
        limited = {"budget_day_usd": _dollars(args.limit)}
        context.client(create=True).put("prefs", limited)
    reply = context.client().usage(args.days)
    out.document(reply)
    if out.json:
        return DONE
    limit = f" of at most ${reply.limit_day:.2f}" if reply.limit_day is not None else ""
    out.say(f"today {cost(reply.today)}{limit}, this month {cost(reply.month)}")
    if reply.lines:
        rows = [
            [line.day, line.role, line.model, str(line.usage.calls), f"{line.usage.prompt:,}", f"{line.usage.output:,}",
             cost(line.usage)]
            for line in reply.lines
        ]  # fmt: skip
        out.table(["DAY", "ROLE", "MODEL", "CALLS", "TOKENS IN", "OUT", "COST"], rows, right=(3, 4, 5, 6))
    return DONE


def _dollars(text: str) -> float | None:
    """US dollars a day; None for no limit. Raises BadInput."""
    if text == "none":
        return None
    try:
        limit = float(text.removeprefix("$"))
    except ValueError:
        limit = math.nan
    if not 0 <= limit < math.inf:
        raise BadInput(f"--limit {text!r} is no sum of money.", "Give US dollars a day, or none.")
    return limit


def cost(usage: Usage) -> str:
    """Money where a price is known.

    >>> cost(Usage(cost=0.0123)), cost(Usage(input=5, calls=1)), cost(Usage())
    ('$0.012', 'cost unknown', '$0')
    """
    if usage.cost is None:
        return "cost unknown" if usage.calls else "$0"
    return f"${usage.cost:.2f}" if usage.cost >= 1 else f"${usage.cost:.2g}" if usage.cost else "$0"
