"""The description and the handlers say the same, in both directions."""

from __future__ import annotations

import re

from ragent_jupyter.engine import app, openapi
from ragent_jupyter.engine.base import EngineHandler
from ragent_jupyter.engine.events import EventsSocket


def described() -> set[tuple[str, str]]:
    return {(row[0], row[1]) for row in openapi.ROWS}


def handled() -> set[tuple[str, str]]:
    """(method, path) of every verb that a handler answers, in the description's spelling."""
    found = set()
    for pattern, handler in app.Engine.routes(None):  # type: ignore[arg-type]
        names = iter(re.findall(r"^(runs|sweeps|alerts|reports|notebooks/requests|gateway/tokens)/", pattern))
        thing = next(names, "x")[:-1].rpartition("/")[2]
        path = re.sub(r"^((?:runs|sweeps|alerts|reports|notebooks/requests|gateway/tokens)/)\((?:run_\\w\+\|)?\[\^/\]\+\)", rf"\1{{{thing}}}", pattern)
        verbs = re.search(r"\(((?:\w+\|)+\w+)\)$", path)
        paths = [path[: verbs.start()] + v for v in verbs[1].split("|")] if verbs else [path]
        if handler is EventsSocket:
            found |= {("get", one) for one in paths}
            continue
        for method in ("get", "post", "put", "patch", "delete"):
            if getattr(handler, method) is not getattr(EngineHandler, method):
                found |= {(method, one) for one in paths}
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
