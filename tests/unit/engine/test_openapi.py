"""The description and the handlers say the same, in both directions."""

from __future__ import annotations

import re

from ragent_jupyter.engine import app, openapi
from ragent_jupyter.engine.base import EngineHandler
from ragent_jupyter.engine.events import EventsSocket


def described() -> set[tuple[str, str]]:
    return {(row[0], re.sub(r"\{\w+\}", "{}", row[1])) for row in openapi.ROWS}


def spelled(pattern: str) -> list[str]:
    """A route's pattern as paths: `{}` for what may be anything, one path for each of several verbs."""
    path = re.sub(r"\((?:run_\\w\+\|)?\[\^/\]\+\)", "{}", pattern)
    verbs = re.search(r"\(((?:\w+\|)+\w+)\)$", path)
    return [path[: verbs.start()] + verb for verb in verbs[1].split("|")] if verbs else [path]


def handled() -> set[tuple[str, str]]:
    """(method, path) of every verb that a handler answers, in the description's spelling."""
    found = set()
    for pattern, handler in app.Engine.routes(None):  # type: ignore[arg-type]
        if handler is EventsSocket:
            found |= {("get", one) for one in spelled(pattern)}
            continue
        for method in ("get", "post", "put", "patch", "delete"):
            if getattr(handler, method) is not getattr(EngineHandler, method):
                found |= {(method, one) for one in spelled(pattern)}
    return found


def test_every_route_is_described_and_every_description_has_its_route() -> None:
    assert handled() == described()


def test_the_description_is_whole() -> None:
    text = openapi.describe()
    assert text["openapi"].startswith("3.")
    schemas = text["components"]["schemas"]
    assert {"Run", "CreateRun", "Sweep", "Alert", "SeriesReply", "ErrorReply"} <= schemas.keys()
    for path, methods in text["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            assert [p["name"] for p in operation["parameters"]] == re.findall(r"\{(\w+)\}", path)
    references = set(re.findall(r"#/components/schemas/(\w+)", str(text)))
    assert references <= schemas.keys()
