"""`ragent gateway serve | token | usage`: keys stay here, programs get tokens."""

from __future__ import annotations

import datetime
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from ragent_jupyter.domain.errors import BadInput, CannotBeDone, MissingPart, from_wire
from ragent_jupyter.domain.wire import ErrorReply

from .context import Context
from .lab import _become
from .output import DONE, Out, ago, duration, number, short

DEFAULT_PORT = 8642
_UNITS = {"m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
_OFFLINE_TIMEOUT_S = 60.0


def gateway(context: Context) -> int:
    args = context.args
    match args.action:
        case "serve":
            return _serve(context)
        case "token" if args.list:
            return _list(context)
        case "token" if args.revoke:
            return _revoke(context)
        case "token":
            return _create(context)
        case _:
            return _usage(context)


def _serve(context: Context) -> int:
    args = context.args
    if context.out.json:
        raise BadInput("`ragent gateway serve` has no result to give as JSON.", "Leave --json out.")
    argv = [sys.executable, *(["-P"] if sys.version_info >= (3, 11) else []), "-m", "ragent_jupyter.gateway"]
    argv += ["--data", str(_folder(context)), "--host", args.host or "127.0.0.1", "--port", str(args.port)]
    if args.log_bodies:
        argv.append("--log-bodies")
    _become(argv, context.workdir, "ragent_jupyter.gateway")
    return DONE


def _folder(context: Context) -> Path:
    """The data folder of a gateway that stands alone."""
    given = context.args.data
    if given:
        return (context.workdir / Path(given).expanduser()).resolve()
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "ragent" / "gateway"


# --- whom we ask -----------------------------------------------------------------------------------------------------
def _call(context: Context, method: str, what: str, *, body: Any = None, days: int = 7, name: str = "") -> Any:
    """What a gateway answers: the project's engine, or with --data the one that stands alone, running or not."""
    path = "gateway/usage" if what == "usage" else "gateway/tokens"
    query = {"days": days} if what == "usage" else None
    if context.args.data is None:
        client = context.client(create=True)
        match method:
            case "POST":
                return client.post(path, body)
            case "DELETE":
                return client.delete(f"{path}/{name}")
            case _:
                return client.get(path, query=query)
    from ragent_jupyter.client.transport import NobodyListens, request

    about = _about(_folder(context))
    if about:
        where = f"{path}/{name}" if method == "DELETE" else path
        try:
            return msgspec.json.decode(request(about["socket"], method, where, body, query=query))
        except NobodyListens:
            pass  # it was killed and left its notice: its folder is free
    return _offline(context, method, what, body, days, name)


def _about(folder: Path) -> dict[str, Any]:
    try:
        about = json.loads((folder / "gateway.json").read_text())
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) and isinstance(about.get("socket"), str) else {}


def _offline(context: Context, method: str, what: str, body: Any, days: int, name: str) -> Any:
    folder = _folder(context)
    if method != "POST" and not (folder / "gateway.db").exists():
        raise CannotBeDone(f"There is no gateway in {folder}.", "`ragent gateway serve` begins one; --data says where.")
    argv = [sys.executable, *(["-P"] if sys.version_info >= (3, 11) else []), "-m", "ragent_jupyter.gateway"]
    argv += ["--data", str(folder), "--offline", method, "--name", "usage" if what == "usage" else name]
    done = subprocess.run(
        [*argv, "--days", str(days)], input=msgspec.json.encode(body or {}), capture_output=True,
        timeout=_OFFLINE_TIMEOUT_S,
    )  # fmt: skip
    if done.returncode == 0:
        return msgspec.json.decode(done.stdout)
    last = (done.stderr.strip().splitlines() or [b""])[-1]
    try:
        error = msgspec.json.decode(last, type=ErrorReply).error
    except msgspec.DecodeError:
        raise MissingPart(f"The gateway's program failed: {last.decode('utf-8', 'replace')[:300]}") from None
    raise from_wire(0, error.type, error.problem, error.remedy)


# --- tokens ----------------------------------------------------------------------------------------------------
def budgets(texts: list[str]) -> dict[str, float]:
    """US dollars, in total or a day.

    >>> budgets(["20", "2.50/day"])
    {'budget_total': 20.0, 'budget_day': 2.5}
    """
    found = {}
    for text in texts:
        parts = re.fullmatch(r"\$?(\d+(?:\.\d+)?)(/day|/total)?", text.strip())
        if parts is None:
            raise BadInput(f"--budget {text!r} is no sum.", "Give US dollars: 20 in all, or 2/day; or both.")
        found["budget_day" if parts[2] == "/day" else "budget_total"] = float(parts[1])
    return found


def lifetime(text: str, now: float) -> float | None:
    """Seconds; None for ever.

    >>> lifetime("12h", 0.0), lifetime("never", 0.0), lifetime("1970-01-02", 0.0)
    (43200.0, None, 86400.0)
    """
    if text in ("never", "none"):
        return None
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)([mhdw])", text)
    if parts:
        seconds = float(parts[1]) * _UNITS[parts[2]]
    else:
        try:
            at = datetime.datetime.fromisoformat(text)
        except ValueError:
            raise BadInput(f"--expires {text!r} is no time.", "Give 12h, 30d, 2026-12-31 or never.") from None
        seconds = (at if at.tzinfo else at.replace(tzinfo=datetime.timezone.utc)).timestamp() - now
    if seconds <= 0:
        raise BadInput(f"--expires {text} is over already.", "Give a time to come.")
    return seconds


def _create(context: Context) -> int:
    args, out = context.args, context.out
    wish: dict[str, Any] = {
        "name": args.name or "", "lifetime": lifetime(args.expires, time.time()), "upstreams": args.upstream,
        "models": args.model, **budgets(args.budget), **({"rate": args.rate} if args.rate is not None else {}),
    }  # fmt: skip
    made = _call(context, "POST", "token", body=wish)
    info, token = made["info"], made["token"]
    base = args.base_url or _base_url(context)
    expires = None if info["expires_at"] is None else _iso(info["expires_at"])
    out.document(
        {
            "base_url": base, "token": token, "expires": expires, "id": info["id"], "name": info["name"],
            "openai_base_url": base and f"{base}/openai/v1",
        }
    )  # fmt: skip
    out.say(token)
    out.note(f"{info['name']}: shown this once, {_limits(info)}")
    if base:
        out.say(f"export ANTHROPIC_BASE_URL={base} ANTHROPIC_AUTH_TOKEN={token}")
        out.say(f"export OPENAI_BASE_URL={base}/openai/v1 OPENAI_API_KEY={token}")
    else:
        out.note(
            "No JupyterLab serves this project just now. Its gateway is at ADDRESS/ragent/gateway once one does "
            "(`ragent lab`); `ragent gateway serve` runs one alone."
        )
    return DONE


def _limits(info: dict[str, Any]) -> str:
    parts = ["until " + _iso(info["expires_at"])[:10] if info["expires_at"] else "for ever"]
    if info["budget_total"] is not None:
        parts.append(f"${number(info['budget_total'])} in all")
    if info["budget_day"] is not None:
        parts.append(f"${number(info['budget_day'])} a day")
    if info["rate"]:
        parts.append(f"{info['rate']} requests a minute")
    scopes = [*info["upstreams"], *info["models"]]
    return ", ".join(parts) + (f", for {', '.join(scopes)}" if scopes else "")


def _iso(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _list(context: Context) -> int:
    out = context.out
    reply = _call(context, "GET", "token")
    out.document(reply)
    rows = [
        [t["id"], short(t["name"], 30), "…" + t["hint"], t["state"], _limits(t), f"${number(t['spent'])}",
         str(t["calls"]), ago(t["used_at"])]
        for t in reply["tokens"]
    ]  # fmt: skip
    if rows:
        out.table(["ID", "NAME", "ENDS IN", "STATE", "LIMITS", "SPENT", "CALLS", "USED"], rows, right=(5, 6))
    else:
        out.say("No tokens yet: `ragent gateway token --name NAME` makes one.")
    if reply["problem"]:
        out.note(f"! {reply['problem']}")
    return DONE


def _revoke(context: Context) -> int:
    revoked = _call(context, "DELETE", "token", name=context.args.revoke)
    context.out.document(revoked)
    context.out.say(f"{revoked['name']} ({revoked['id']}) is revoked: its next call gets 401.")
    return DONE


# --- where a client finds it ----------------------------------------------------------------------------------------
def _base_url(context: Context) -> str | None:
    if context.args.data is not None:
        url = _about(_folder(context)).get("url")
        return str(url) if url else f"http://127.0.0.1:{DEFAULT_PORT}"
    from ragent_jupyter.runfiles.project import find_project

    url = jupyter_url(find_project(context.workdir))
    return f"{url}ragent/gateway" if url else None


def jupyter_url(project: Path) -> str | None:
    """The address of a running Jupyter server that serves this project, from what such servers note of themselves."""
    from jupyter_core.paths import jupyter_runtime_dir

    best: tuple[int, str] | None = None
    for path in Path(jupyter_runtime_dir()).glob("jpserver-*.json"):
        try:
            about = json.loads(path.read_text())
            root, url, pid = Path(about["root_dir"]).resolve(), str(about["url"]), int(about["pid"])
            os.kill(pid, 0)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # another server's, a dead one's, or half written
        if project == root or project.is_relative_to(root) or root.is_relative_to(project):
            # The nearest one: a server on the home folder may show any project.
            distance = abs(len(project.parts) - len(root.parts))
            if best is None or distance < best[0]:
                best = (distance, url if url.endswith("/") else url + "/")
    return best[1] if best else None


# --- the table -------------------------------------------------------------------------------------------------
def _usage(context: Context) -> int:
    out = context.out
    reply = _call(context, "GET", "usage", days=context.args.days)
    out.document(reply)
    if not reply["rows"]:
        out.say(f"No calls in the last {context.args.days} days.")
        return DONE
    out.table(
        ["DAY", "WHO", "MODEL", "CALLS", "FAILED", "REFUSED", "IN", "CACHED", "OUT", "COST", "FIRST", "WHOLE"],
        [_row(row) for row in reply["rows"]],
        right=tuple(range(3, 12)),
    )
    total = reply["total"]
    out.say(f"{total['calls']} calls, {_tokens(total)} tokens, {_cost(total)}")
    _health(out, reply)
    return DONE


def _row(row: dict[str, Any]) -> list[str]:
    usage = row["usage"]
    cached = usage["cache_read"] + usage["cache_write"]
    counts = [usage["calls"], row["failed"] or "", row["refused"] or "", usage["input"], cached]
    return [
        row["day"],
        short(row["who"], 24),
        short(row["model"], 36),
        *map(str, counts),
        ("" if usage["known"] else "~") + str(usage["output"]),
        _cost(usage),
        _ms(row["first_token_ms"]),
        _ms(row["latency_ms"]),
    ]


def _tokens(usage: dict[str, Any]) -> str:
    whole = usage["input"] + usage["cache_read"] + usage["cache_write"] + usage["output"]
    return ("" if usage["known"] else "about ") + f"{whole:,}"


def _cost(usage: dict[str, Any]) -> str:
    return "no price" if usage["cost"] is None else ("" if usage["known"] else "~") + f"${usage['cost']:.4f}"


def _ms(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f} ms" if value < 10_000 else duration(value / 1000.0)


def _health(out: Out, reply: dict[str, Any]) -> None:
    if reply["waiting"]:
        out.note(f"! {reply['waiting']} calls wait for the database.")
    if reply["lost"]:
        out.note(f"! {reply['lost']} calls could not be kept: the database refused for too long.")
